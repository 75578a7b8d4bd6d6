/*
 * What a daemon tells the service manager: see notify.h. The watchdog's timer is the only state.
 */
#include "notify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

static struct {
    struct loop *loop;
    struct loop_timer timer;
    uint64_t interval_ns;
} watchdog;

static void feed_watchdog(void *arg)
{
    (void)arg;
    sd_notify(0, "WATCHDOG=1");
    loop_timer_set(watchdog.loop, &watchdog.timer, watchdog.interval_ns, feed_watchdog, NULL);
}

void notify_ready(struct loop *loop)
{
    uint64_t usec;

    sd_notify(0, "READY=1");
    if (sd_watchdog_enabled(0, &usec) > 0) {
        watchdog.loop = loop;
        watchdog.interval_ns = usec * 1000 / 2;
        feed_watchdog(NULL);
    }
}

void notify_status(const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    sd_notifyf(0, "STATUS=%s", text);
}

void notify_stopping(void)
{
    sd_notify(0, "STOPPING=1");
}

void notify_keep_fd(const char *name, int fd)
{
    char text[128];

    snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s", name);
    sd_pid_notify_with_fds(0, 0, text, &fd, 1);
}

void notify_drop_fd(const char *name)
{
    sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

void notify_kept_fds(void (*fn)(void *arg, const char *name, int fd), void *arg)
{
    char **names = NULL;
    int n = sd_listen_fds_with_names(1, &names);

    for (int i = 0; i < n; i++) {
        fn(arg, names[i], SD_LISTEN_FDS_START + i);
        free(names[i]);
    }
    free(names);
}
