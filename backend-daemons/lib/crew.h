/*
 * The worker of a device as its supervisor sees it. It is started with its configuration and, if
 * the class has one, the log of what is in flight. Its reports are taken out of their envelope
 * (wire.h), and its deaths are counted. What follows from all this is decided by the device's life
 * (life.h).
 *
 * The log belongs to a ring and outlives each worker of it. The service manager keeps it as well,
 * so that the next daemon has it (notify.h). A worker that starts waits until the one before it,
 * which a dead daemon may have left behind, has let go of the log (inflight.h).
 *
 * A ring that is in use and whose log is missing is not taken over, because nobody knows which
 * requests were answered; unless the last worker ended in good order, which a mark in the store
 * says.
 *
 * Every few seconds the worker is asked for a turn (WIRE_BEAT), which it counts in its log. One
 * that has not turned by the beat after the next is replaced, for a hang is a crash, too; but one
 * that the kernel holds, as it does who waits for storage that does not answer, could not even be
 * killed: that is told once, and waited for.
 *
 * A class whose guest would wait for ever for answers (`refuses`) gets, once its workers have died
 * too often in a row, one that answers everything by an error. A death counts when it comes soon
 * and before the worker has done anything for its guest: who is killed from outside at work is
 * replaced as often as that happens, while a request that kills who takes it does so each time.
 *
 * Types: struct crew, which lives in struct supervised, and crew_orders.
 */
#ifndef DUET_LIB_CREW_H
#define DUET_LIB_CREW_H

#include <stdbool.h>
#include <stdint.h>

#include "child.h"
#include "figures.h"
#include "kept.h"
#include "lacks.h"
#include "log.h"
#include "pace.h"
#include "wire.h"

struct supervised;

/* What a class wants its worker to have. */
struct crew_orders {
    const void *config; /* begins with a struct wire_head; valid until it was sent */
    unsigned long size;
    int fds[CHILD_FDS_MAX];
    unsigned int nr_fds;
    int log_at;          /* where in `fds` the log belongs, if the class has one */
    const char *args[3]; /* for ps(1); NULL: no more */
};

/* Zero-initialise, then crew_init(). */
struct crew {
    struct child child;
    int log_fd;                   /* -1: none */
    const struct kept_head *kept; /* of the log; NULL: unknown */
    uint32_t progress;            /* as it was when the worker started */
    struct loop_timer beat;
    uint32_t turns;      /* at the last beat */
    unsigned int silent; /* beats without a turn, one after the other */
    bool serves;
    bool held; /* by the kernel, which was told */
    struct pace starts;
    unsigned int deaths; /* one soon after the other */
    bool refusing;       /* it only says no */
    bool told;           /* why it ends was told, or it was given up */
    bool replaces;       /* the next worker does one that died */
    uint64_t restarts;   /* workers that did */
    struct figures_view figures;
    struct log_limit report_log;
    struct log_limit says; /* its own messages; it limits them itself, unless it was taken over */
};

/* Prepares it: no worker, no log. */
void crew_init(struct crew *crew);

static inline bool crew_has_worker(const struct crew *crew)
{
    return crew->child.pid != 0;
}

/*
 * Starts a worker. Raises STARTED, TOO_SOON, or REFUSED after telling why. What this host lacks
 * just now (memory, processes) counts, where the ring is in use, as a death: another try follows.
 */
void crew_start(struct supervised *dev);

/* Sends an order, which begins with its kind. Returns 0 or -errno. */
int crew_order(struct crew *crew, const void *order, unsigned long size);

/* Tells the worker to finish what it took, and to end. */
void crew_stop(struct supervised *dev);

/* No ring is in use any more: drops its log, and forgets how its workers died. */
void crew_dismiss(struct supervised *dev);

/* The worker serves: its beats begin. */
void crew_watch(struct supervised *dev);

static inline bool crew_serves(const struct crew *crew)
{
    return crew->serves;
}

/* Whether the worker serves, has turned when it was asked to, and counts what can be true. */
bool crew_moves(const struct crew *crew);

/* Closes what is open; the service manager keeps the log. */
void crew_release(struct supervised *dev);

#endif
