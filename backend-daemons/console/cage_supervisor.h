/*
 * What the supervisor gives up once it has started. It goes on talking to xenstored, which does for
 * it whatever root may ask, so it is kept away from guests' bytes. It becomes an unprivileged user
 * without capabilities, and of system calls it keeps what it needs to follow the store, to open
 * terminals, to bind channels and to name grants.
 */
#ifndef DUET_CONSOLE_CAGE_SUPERVISOR_H
#define DUET_CONSOLE_CAGE_SUPERVISOR_H

#include <stdbool.h>
#include <sys/types.h>

/* The descriptors on which certain calls alone are permitted. */
struct cons_office {
    int events, grants, readers, worker;
    int entrance; /* who comes is accepted there; negative: nobody can come */
    bool metrics; /* somebody may ask for figures */
};

/* Finds a user by its name. Returns 0 or -errno (-ENOENT: there is none). */
int cons_find_user(const char *name, uid_t *uid, gid_t *gid);

/*
 * Gives the directory of the logs, of which @logs is a descriptor, and the logs in it to the user:
 * those of an earlier run may be another's. Returns 0 or -errno.
 */
int cons_give_logs(int logs, uid_t uid, gid_t gid);

/* Becomes the user, without capabilities. Returns 0 or -errno with *@stage naming what failed. */
int cons_office_drop(uid_t uid, gid_t gid, const char **stage);

/*
 * Loads the system-call filter for all threads: after the last of them, xenstore's reader, was
 * started. Returns 0 or -errno.
 */
int cons_office_filter(const struct cons_office *office);

#endif
