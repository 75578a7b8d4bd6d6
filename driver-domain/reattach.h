/*
 * Gives guests' devices to the driver domain that took the place of one that died.
 *
 * Of each disk and interface that a driver domain serves, the toolstack's record below /libxl has
 * all that was written when it was made, and outlives both ends; guests have no rights there. What
 * it lacks is the name of the driver domain, since a new one has another domain id. So names are
 * kept below /tool/duet-driverd, by domain id, for as long as a record has that id. When a domain
 * of that name, which the toolstack made a driver domain, is there and the old one is not, both
 * ends' directories are written as the toolstack would have, in one transaction, and the record is
 * led to the new one. The guest finds a key `moved`, by which it knows that it is the same device.
 *
 * Nothing of a guest's is read but whether it has the device; the driver domain's words count only
 * for whether `xl devd` has run its script. Where that began later than the device, it has not seen
 * it come: then the state is written again, as it is, until it does.
 *
 * Types: struct reattach, owned by whoever starts it. One thread, the loop's.
 */
#ifndef DUET_DRIVER_REATTACH_H
#define DUET_DRIVER_REATTACH_H

#include <stdint.h>
#include <xen_list.h>

#include "log.h"
#include "loop.h"
#include "store.h"

/* DOMID_FIRST_RESERVED of Xen: what is above names no domain. */
#define REATTACH_DOMIDS 0x7ff0U

struct reattach_waiting;

/* Set `loop` and `store`, zero the rest. */
struct reattach {
    struct loop *loop;
    struct store *store;
    struct store_watch introduced, released, records;
    struct loop_work look;
    struct loop_timer look_again;
    XEN_TAILQ_HEAD(reattach_list, struct reattach_waiting) waiting; /* for `xl devd` */
    struct log_limit refused;
    uint8_t used[REATTACH_DOMIDS]; /* some record has that id, as of the last look */
};

/* Begins to watch and looks at all that is there. Returns 0, or -errno after a log line. */
int reattach_start(struct reattach *r);

/* The reverse; harmless when it never started. */
void reattach_stop(struct reattach *r);

#endif
