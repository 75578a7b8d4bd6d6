/*
 * What is counted of each console: see ledger.h.
 */
#include "ledger.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kept.h"

int cons_ledger_open(struct cons_ledger *ledger)
{
    void *seats;
    int err;

    ledger->fd = kept_create("duet-figures", CONS_LEDGER_BYTES);
    if (ledger->fd < 0) {
        return ledger->fd;
    }
    seats = mmap(NULL, CONS_LEDGER_BYTES, PROT_READ, MAP_SHARED, ledger->fd, 0);
    if (seats == MAP_FAILED) {
        err = -errno;
        close(ledger->fd);
        return err;
    }
    ledger->seats = seats;
    return 0;
}

unsigned int cons_ledger_take(struct cons_ledger *ledger)
{
    unsigned int seat = 0;

    while (seat < CONS_LEDGER_SEATS && ledger->taken[seat]) {
        seat++;
    }
    if (seat < CONS_LEDGER_SEATS) {
        ledger->taken[seat] = true;
    }
    return seat;
}

void cons_ledger_give_back(struct cons_ledger *ledger, unsigned int seat)
{
    if (seat < CONS_LEDGER_SEATS) {
        ledger->taken[seat] = false;
    }
}

const struct figures *cons_ledger_seat(const struct cons_ledger *ledger, unsigned int seat)
{
    return ledger->seats != NULL && seat < CONS_LEDGER_SEATS ? &ledger->seats[seat] : NULL;
}
