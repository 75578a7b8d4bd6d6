/*
 * All consoles of the host: follows domains that come and go.
 *
 * xenstored says that some domain came or went, not which: each time the list of domains is read
 * once and compared by hash. Everything else that happens goes to one console directly.
 *
 * Types owned: struct daemon. One thread, no locks.
 */
#ifndef DUET_CONSOLE_DAEMON_H
#define DUET_CONSOLE_DAEMON_H

#include "console.h"

struct daemon {
    struct shared *shared;
    struct console *consoles;
    struct store_watch introduced, released;
    struct loop_work scan;
    unsigned int pass;
    /* Consoles that were there at the start and have not been looked at yet. */
    unsigned int first_looks;
    bool started;
    loop_fn *ready;
    void *arg;
};

/*
 * Takes over every console there is. Calls ready(arg) from the loop when each has been looked at.
 * Returns 0 or -errno.
 */
int daemon_start(struct daemon *daemon, struct shared *shared, loop_fn *ready, void *arg);

/* Lets go of all guests; they print on into their rings. */
void daemon_stop(struct daemon *daemon);

#endif
