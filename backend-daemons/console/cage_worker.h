/*
 * The worker's cage: what the process that has the guests' bytes can still do.
 *
 * It is an unprivileged user without capabilities whose file system is the directory of the logs.
 * Of system calls it has those listed in the .c file, most of them on one descriptor or with one
 * set of flags only. It opens logs and nothing else. It maps the grants that the supervisor named,
 * and memory that cannot be executed.
 */
#ifndef DUET_CONSOLE_CAGE_WORKER_H
#define DUET_CONSOLE_CAGE_WORKER_H

#include <stdbool.h>
#include <sys/types.h>

struct cons_cage {
    uid_t uid;
    gid_t gid;
    int events, grants, readers, logs; /* the descriptors of cons_wire.h */
    bool foreign;                      /* --foreign-map: the whole of any guest can be mapped */
};

/* Loads the system-call filter. Returns 0 or -errno. */
int cons_cage_filter(const struct cons_cage *cage);

/*
 * Enters the cage for good: the directory of the logs as the root, the user, the limits, the
 * filter. Returns 0 or -errno with *@stage naming what failed; after that the process must exit.
 */
int cons_cage_enter(const struct cons_cage *cage, const char **stage);

#endif
