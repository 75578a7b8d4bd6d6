/*
 * What a daemon tells the service manager: that it is ready, a status line, that it is stopping,
 * that it is still alive (sd_notify(3)), and which descriptors to keep for the next daemon of the
 * unit. Without a service manager (NOTIFY_SOCKET unset) every call does nothing.
 */
#ifndef DUET_LIB_NOTIFY_H
#define DUET_LIB_NOTIFY_H

#include "loop.h"

/*
 * Reports READY=1 and, when the unit asks for a watchdog (WatchdogSec=), starts to report from
 * `loop` at half its interval that the loop still turns. A loop that stands because xenstored does
 * not answer is no reason to end: nobody who starts anew would fare better, and who waits has his
 * workers still. That is reported from a handler of SIGALRM.
 */
void notify_ready(struct loop *loop);

/* Sets the status line that `systemctl status` shows. */
void notify_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Reports STOPPING=1: the daemon is on its way out on purpose. */
void notify_stopping(void);

/* Has the service manager keep a descriptor under a name without colons. It stays the caller's. */
void notify_keep_fd(const char *name, int fd);

/* Has it drop what it keeps under this name. */
void notify_drop_fd(const char *name);

/*
 * Calls fn for each descriptor that it kept, which is fn's to close. Only the first call does so.
 */
void notify_kept_fds(void (*fn)(void *arg, const char *name, int fd), void *arg);

#endif
