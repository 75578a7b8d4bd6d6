/*
 * What the daemon gives up, in two steps. After the devices, the store and the log directory are
 * open: its user and every capability. After xenstore's reader thread runs: every system call that
 * it does not need. Unlike a worker per device (../lib/sandbox.h) it goes on to open logs,
 * terminals and guests' rings, so files and descriptors stay possible, as an unprivileged user.
 *
 * No types, no locks.
 */
#ifndef DUET_CONSOLE_PRIVILEGES_H
#define DUET_CONSOLE_PRIVILEGES_H

/*
 * Gives the log directory @log_dir (a descriptor) and the logs in it to @user, becomes that user,
 * and drops all capabilities. @user is a name; NULL keeps the user and only drops the capabilities.
 * Returns 0 or -errno with *@stage naming what failed (-ENOENT: there is no such user).
 */
int privileges_drop(const char *user, int log_dir, const char **stage);

/* Restricts all threads to the system calls of a running daemon. Returns 0 or -errno. */
int privileges_filter(void);

#endif
