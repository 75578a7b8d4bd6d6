/*
 * The supervisor's end of the socket to the worker: orders out, reports in.
 *
 * Neither side waits for the other: an order that does not fit into the socket is kept, with its
 * descriptor, until it does. The worker is the less trusted side. The form of what it says is
 * checked here, the sense by whoever asked. A ping checks that it answers at all. A worker that
 * takes no order or answers no ping in time is as good as dead: the daemon ends, and the service
 * manager starts both halves again.
 *
 * Types: struct cons_link, one per daemon.
 */
#ifndef DUET_CONSOLE_LINK_H
#define DUET_CONSOLE_LINK_H

#include <stdbool.h>

#include "child.h"
#include "cons_wire.h"
#include "loop.h"

/* A report for the owner. Its text is terminated; what it says is the worker's choice. */
typedef void cons_report_fn(void *arg, const struct cons_report *report);

/* The worker is gone or given up; @orderly: as it was told to. Called once. */
typedef void cons_end_fn(void *arg, bool orderly);

struct cons_parcel;

struct cons_link {
    struct loop *loop;
    struct child child;
    /* Orders that wait for room in the socket, and a descriptor of it that is watched meanwhile. */
    XEN_TAILQ_HEAD(cons_parcels, struct cons_parcel) waiting;
    struct loop_fd room;
    /* Waits for room, for an answer to the ping, or for the end. */
    struct loop_timer deadline, beat;
    bool ready;
    bool ping_open;
    bool stopping;
    bool ended;
    cons_report_fn *on_report;
    cons_end_fn *on_end;
    void *arg;
};

/*
 * Starts the worker at @path and gives it @config and @fds, which stay the caller's. The caller has
 * set the callbacks and their argument. Returns 0 or -errno. What follows comes from the loop.
 */
int cons_link_start(struct cons_link *link, struct loop *loop, const char *path,
                    const struct cons_wire_config *config, const int fds[CONS_NR_FDS]);

/* Gives an order; @fd (or -1) goes along and is the link's to close. */
void cons_link_send(struct cons_link *link, const struct cons_order *order, int fd);

/* Has the worker take the guests' last words and end. on_end() follows in time, whatever happens.
 */
void cons_link_stop(struct cons_link *link);

/* Forgets the worker, which thereby ends. Harmless when it was never started. */
void cons_link_close(struct cons_link *link);

#endif
