/*
 * All consoles of the host, as domains come and go.
 *
 * xenstored says that some domain came or went, and not which. So each time the list of domains is
 * read once and compared by hash. Everything else that happens goes to one console directly.
 *
 * Types: struct cons_daemon.
 */
#ifndef DUET_CONSOLE_DAEMON_H
#define DUET_CONSOLE_DAEMON_H

#include "console.h"

struct cons_daemon {
    struct cons_host *host;
    struct cons_console *consoles;
    struct store_watch introduced, released;
    struct loop_work scan;
    struct loop_timer again; /* the next scan, when a domain could not be followed */
    unsigned int pass;
    /* Consoles that were there at the start and have not been looked at yet. */
    unsigned int first_looks;
    bool started;
    bool worker_ready;
    bool told_ready;
    struct log_limit says; /* the worker's messages: one that was taken over must not flood */
    int64_t began_s;       /* by the wall clock */
    loop_fn *ready;
    void *arg;
};

/*
 * Takes over every console there is. Calls ready(arg) once, when the worker is ready and each
 * console has been looked at. Returns 0 or -errno.
 */
int cons_daemon_start(struct cons_daemon *daemon, struct cons_host *host, loop_fn *ready,
                      void *arg);

/* The configuration has changed: the worker hears what each guest has of it. */
void cons_daemon_reconfigure(struct cons_daemon *daemon);

/* A report of the worker that is not about the link itself. */
void cons_daemon_report(struct cons_daemon *daemon, const struct cons_report *report);

/* Lets go of all guests, which go on printing into their rings. Harmless when it was not started.
 */
void cons_daemon_stop(struct cons_daemon *daemon);

#endif
