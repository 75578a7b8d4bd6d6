/*
 * What a daemon tells the service manager: ready, status line, stopping, still alive
 * (sd_notify(3)). Without a service manager (NOTIFY_SOCKET unset) every call does nothing. No
 * types, no locks, nothing to suspend.
 */
#ifndef DUET_LIB_NOTIFY_H
#define DUET_LIB_NOTIFY_H

#include "loop.h"

/*
 * Reports READY=1 and, when the unit asks for a watchdog (WatchdogSec=), starts to report from
 * `loop` at half its interval that the loop still turns.
 */
void notify_ready(struct loop *loop);

/* Sets the status line that `systemctl status` shows. */
void notify_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Reports STOPPING=1: the daemon is on its way out on purpose. */
void notify_stopping(void);

#endif
