/*
 * What the worker counts of each console (lib/figures.h): a table that both halves share, with a
 * seat for each console. The supervisor says which, and believes what stands there once the worker
 * has answered about that console, because it cleared the seat before.
 *
 * Consoles beyond CONS_LEDGER_SEATS are served like all others, and counted nowhere.
 *
 * Types: struct cons_ledger, one per supervisor.
 */
#ifndef DUET_CONSOLE_LEDGER_H
#define DUET_CONSOLE_LEDGER_H

#include "../lib/metrics.h"

#define CONS_LEDGER_SEATS 1024U

/* Behind the seats: of those that have none. */
#define CONS_LEDGER_NOBODY CONS_LEDGER_SEATS

#define CONS_LEDGER_BYTES ((CONS_LEDGER_SEATS + 1UL) * sizeof(struct figures))

enum cons_figure {
    CONS_FIGURE_OUTPUT, /* bytes that the guest printed */
    CONS_FIGURE_INPUT,  /* bytes that it was given */
    CONS_FIGURE_LOST_LOG,
    CONS_FIGURE_LOST_READER,
    CONS_FIGURE_HELD_BACK, /* times, by its rate */
    CONS_FIGURE_ATTACHED,  /* 1: somebody reads */
    CONS_FIGURE_SESSIONS,  /* who reads or writes at the socket */
};

struct cons_ledger {
    int fd; /* for the worker */
    const struct figures *seats;
    bool taken[CONS_LEDGER_SEATS];
    struct figures_bounds bounds; /* its owner's to set */
};

/* Returns 0 or -errno. */
int cons_ledger_open(struct cons_ledger *ledger);

/* A free seat, or CONS_LEDGER_NOBODY. */
unsigned int cons_ledger_take(struct cons_ledger *ledger);

void cons_ledger_give_back(struct cons_ledger *ledger, unsigned int seat);

/* What stands at a seat; NULL: nothing does. */
const struct figures *cons_ledger_seat(const struct cons_ledger *ledger, unsigned int seat);

#endif
