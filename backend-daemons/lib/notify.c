/*
 * What a daemon tells the service manager: see notify.h. The watchdog's timer is the only state.
 */
#include "notify.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "log.h"
#include "store.h"

static struct {
    struct loop *loop;
    struct loop_timer timer;
    uint64_t interval_ns;
    /* for the handler: sd_notify() is not for one */
    int socket;
    struct sockaddr_un manager;
    socklen_t manager_len;
} watchdog = {.socket = -1};

static void feed_watchdog(void *arg)
{
    (void)arg;
    sd_notify(0, "WATCHDOG=1");
    loop_timer_set(watchdog.loop, &watchdog.timer, watchdog.interval_ns, feed_watchdog, NULL);
}

static void on_alarm(int signo)
{
    static const char alive[] = "WATCHDOG=1";
    struct iovec iov = {.iov_base = (void *)alive, .iov_len = sizeof(alive) - 1};
    const struct msghdr message = {.msg_name = &watchdog.manager,
                                   .msg_namelen = watchdog.manager_len,
                                   .msg_iov = &iov,
                                   .msg_iovlen = 1};
    const int err = errno;

    (void)signo;
    if (store_is_asking()) {
        sendmsg(watchdog.socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    errno = err;
}

/* The service manager's socket, by its path or, behind an "@", its abstract name. */
static bool find_manager(void)
{
    const char *name = getenv("NOTIFY_SOCKET");
    const unsigned long len = name != NULL ? strlen(name) : 0;

    if (len == 0 || len >= sizeof(watchdog.manager.sun_path)) {
        return false;
    }
    watchdog.manager = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(watchdog.manager.sun_path, name, len);
    if (name[0] == '@') {
        watchdog.manager.sun_path[0] = '\0';
    }
    watchdog.manager_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    return true;
}

/* From now on the handler is called, and what it interrupts goes on. */
static void start_alarm(void)
{
    const uint64_t us = watchdog.interval_ns / 1000;
    const struct timeval every = {.tv_sec = (time_t)(us / 1000000),
                                  .tv_usec = (suseconds_t)(us % 1000000)};
    const struct itimerval timer = {.it_interval = every, .it_value = every};
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};

    if (watchdog.socket < 0) {
        watchdog.socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    }
    if (!find_manager() || watchdog.socket < 0 || sigaction(SIGALRM, &action, NULL) < 0 ||
        setitimer(ITIMER_REAL, &timer, NULL) < 0) {
        log_msg(LOG_WARNING, NULL, "the watchdog will not know when xenstored is to blame: %s",
                strerror(errno));
    }
}

void notify_ready(struct loop *loop)
{
    uint64_t usec;

    sd_notify(0, "READY=1");
    if (sd_watchdog_enabled(0, &usec) > 0) {
        watchdog.loop = loop;
        watchdog.interval_ns = usec * 1000 / 2;
        start_alarm();
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
