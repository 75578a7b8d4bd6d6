/*
 * A worker: see worker.h for the stages, which worker_main() follows in order.
 */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/gntdev.h>

#include "grant.h"

enum {
    WORKER_TAG_PORTS,
    WORKER_TAG_UNMASK,
    WORKER_TAG_SUPERVISOR,
    WORKER_TAG_SIGNAL,
};

#define WORKER_EXIT_USAGE 2

#define BIND_TRIES    100U
#define BIND_PAUSE_NS 20000000L

int worker_set_up(struct worker *w, int err, const char *what)
{
    if (err != 0) {
        worker_report(w, WIRE_FAILED, -err, "cannot set up %s: %s", what, strerror(-err));
    }
    return err;
}

void worker_send(const void *report, unsigned long bytes)
{
    /* Without a supervisor there is nobody to tell; the end of file on the socket ends us. */
    send(CHILD_SOCKET_FD, report, bytes, MSG_NOSIGNAL);
}

void worker_report(struct worker *w, enum wire_report_kind kind, int err, const char *fmt, ...)
{
    struct wire_report r = {.kind = kind, .err = err};
    va_list ap;

    (void)w;
    va_start(ap, fmt);
    vsnprintf(r.text, sizeof(r.text), fmt, ap);
    va_end(ap);
    worker_send(&r, sizeof(r));
}

/* The supervisor knows whose device it is. What it cannot have at once goes to standard error. */
static bool worker_say(int priority, const struct log_id *id, const char *text)
{
    struct wire_report r = {.kind = WIRE_SAYS, .err = priority};

    (void)id;
    return snprintf(r.text, sizeof(r.text), "%s", text) < (int)sizeof(r.text) &&
           send(CHILD_SOCKET_FD, &r, sizeof(r), MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(r);
}

int worker_prepare_signals(struct worker *w)
{
    /* faults of ours, and what is harmless by default */
    static const int kept[] = {SIGILL,  SIGTRAP, SIGABRT, SIGBUS, SIGFPE,
                               SIGSEGV, SIGSYS,  SIGCHLD, SIGCONT};
    sigset_t defaults, mask;

    sigemptyset(&defaults);
    for (unsigned int i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        sigaddset(&defaults, kept[i]);
    }
    for (int signo = 1; signo <= SIGRTMAX; signo++) {
        if (sigismember(&defaults, signo) == 0) {
            signal(signo, SIG_IGN); /* refused for those that nobody can ignore */
        }
    }
    /* By a descriptor: a handler could run just before a wait, which would then not end. */
    signal(SIGTERM, SIG_DFL);
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    w->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (w->signal_fd < 0 || sigprocmask(SIG_SETMASK, &mask, NULL) < 0) {
        return -errno;
    }
    return 0;
}

/* Returns 0, or -errno: nothing that a supervisor of the same tree would send. */
static int worker_receive(struct worker *w, int argc, char **argv)
{
    unsigned long nr_fds = w->class->nr_fds;
    long n;

    if (nr_fds == 0) {
        nr_fds = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    } else if (argc != 1) {
        return -EINVAL;
    }
    if (nr_fds == 0 || nr_fds + WIRE_OWN_FDS > CHILD_FDS_MAX) {
        return -EINVAL;
    }
    n = child_receive(CHILD_SOCKET_FD, w->head, w->class->wire->config_bytes, w->fds,
                      (unsigned int)nr_fds + WIRE_OWN_FDS);
    w->nr_fds = (unsigned int)nr_fds;
    if (n < 0) {
        return (int)n;
    }
    if ((unsigned long)n != w->class->wire->config_bytes ||
        w->head->magic != w->class->wire->magic) {
        return -EPROTO;
    }
    w->head->class[sizeof(w->head->class) - 1] = '\0';
    w->id = (struct log_id){
        .class = w->head->class, .domid = w->head->domid, .device = w->head->device};
    log_set_level(w->head->log_level);
    log_prepare();
    log_set_sink(worker_say);
    return w->class->accept(w) ? 0 : -EPROTO;
}

/* Returns 0, or -errno after a report. */
static int worker_open(struct worker *w)
{
    w->xgt = xengnttab_open(NULL, 0);
    w->xce = xenevtchn_open(NULL, 0);
    if (w->xgt == NULL || w->xce == NULL) {
        int err = errno;

        worker_report(w, WIRE_FAILED, err, "cannot open /dev/xen/%s: %s",
                      w->xgt == NULL ? "gntdev" : "evtchn", strerror(err));
        return -err;
    }
    w->gntdev_fd = xengnttab_fd(w->xgt);
    w->evtchn_fd = xenevtchn_fd(w->xce);
    w->figures = kept_map(w->fds[w->nr_fds], sizeof(*w->figures));
    if (w->figures == NULL) {
        return worker_set_up(w, -errno, "what is counted");
    }
    if (fcntl(w->evtchn_fd, F_SETFL, O_NONBLOCK) < 0) {
        int err = errno;

        worker_report(w, WIRE_FAILED, err, "cannot set up /dev/xen/evtchn: %s", strerror(err));
        return -err;
    }
    return 0;
}

void *worker_map(struct worker *w, const char *what, const uint32_t *refs, unsigned int nr)
{
    void *mem = grant_map_ring(w->xgt, w->head->domid, refs, nr);

    if (mem == NULL) {
        int err = errno;

        worker_report(w, WIRE_FAILED, err, "%s: cannot map reference %u (of %u): %s", what, refs[0],
                      nr, strerror(err));
        errno = err;
    }
    return mem;
}

void worker_waits(void)
{
    log_msg(LOG_INFO, NULL, "waits for the last operations of an earlier worker");
}

/*
 * The kernel takes down who was killed in an order of its own, and lets go of the ports at any
 * point of it. Nothing tells when. Until then Xen says of the guest's port what it says of one that
 * does not exist.
 */
static int worker_try_bind(const struct worker *w, uint32_t remote)
{
    const bool had_one_before = w->kept != NULL && w->kept->state != KEPT_FRESH;
    const struct timespec pause = {.tv_nsec = BIND_PAUSE_NS};
    int local = xenevtchn_bind_interdomain(w->xce, w->head->domid, remote);

    for (unsigned int i = 1; had_one_before && local < 0 && errno == EINVAL && i < BIND_TRIES;
         i++) {
        nanosleep(&pause, NULL);
        local = xenevtchn_bind_interdomain(w->xce, w->head->domid, remote);
    }
    return local;
}

int worker_bind(struct worker *w, const char *what, uint32_t remote, evtchn_port_t *port)
{
    int local = -1;

    errno = ENOSPC;
    if (w->nr_ports < WORKER_PORTS_MAX) {
        local = worker_try_bind(w, remote);
    }
    if (local < 0) {
        int err = errno;

        worker_report(w, WIRE_FAILED, err, "%s: cannot bind port %u of the guest: %s", what, remote,
                      strerror(err));
        return -err;
    }
    *port = (evtchn_port_t)local;
    w->ports[w->nr_ports++] = *port;
    return 0;
}

unsigned int worker_rules(const struct worker *w, struct sandbox_rule *rules)
{
    const struct sandbox_rule common[] = {
        /*
         * uring_submit(): it has this ring and gets no other. Where no filter looks at arguments,
         * the kernel runs none, ours as little as the many of the unit: the call of every turn is
         * free.
         */
        {SYS_io_uring_enter, -1, 0},
        {SYS_ioctl, w->gntdev_fd, IOCTL_GNTDEV_GRANT_COPY}, /* grant_batch_run() */
        {SYS_ioctl, w->evtchn_fd, IOCTL_EVTCHN_NOTIFY},     /* worker_notify() */
        {SYS_ioctl, w->evtchn_fd, IOCTL_EVTCHN_UNBIND},     /* worker_unbind() */
        {SYS_write, STDERR_FILENO, 0},                      /* log_msg() */
        {SYS_sendto, CHILD_SOCKET_FD, 0},                   /* worker_send(), worker_say() */
        {SYS_recvfrom, CHILD_SOCKET_FD, 0},                 /* worker_on_supervisor() */
        {SYS_clock_gettime, -1, 0},                         /* loop_now_ns(), without vDSO */
        {SYS_exit_group, -1, 0},
    };
    unsigned int nr = sizeof(common) / sizeof(common[0]);

    memcpy(rules, common, sizeof(common));
    return w->class->rules != NULL ? nr + w->class->rules(w, rules + nr) : nr;
}

/* Returns 0, or -errno after a report. */
static int worker_cage(struct worker *w)
{
    struct sandbox_rule rules[WORKER_RULES_MAX];
    unsigned int nr = worker_rules(w, rules);
    const char *stage;
    int err = sandbox_enter(w->head->uid, WORKER_EMPTY_DIR, rules, nr, &stage);

    if (err != 0) {
        worker_report(w, WIRE_FAILED, -err, "cannot enter the sandbox: %s: %s", stage,
                      strerror(-err));
    }
    return err;
}

void worker_notify(struct worker *w, evtchn_port_t port)
{
    w->nr_notifications++;
    xenevtchn_notify(w->xce, port);
}

/* Unmasking and reading travel with the submission, so an event costs no call of its own. */
void worker_listen(struct worker *w)
{
    if (w->nr_unmask != 0) {
        uring_write_silently(&w->uring, w->evtchn_fd, w->unmask,
                             w->nr_unmask * (uint32_t)sizeof(w->unmask[0]),
                             WORKER_TAGS | WORKER_TAG_UNMASK);
        w->nr_unmask = 0;
    }
    if (!w->reading) {
        w->reading = true;
        uring_read(&w->uring, w->evtchn_fd, w->events, w->nr_ports * (uint32_t)sizeof(w->events[0]),
                   WORKER_TAGS | WORKER_TAG_PORTS);
    }
}

static void worker_on_ports(struct worker *w, int res)
{
    w->reading = false;
    if (res < 0 && res != -EAGAIN && res != -EINTR) {
        log_msg(LOG_ERR, &w->id, "cannot read the event channels: %s", strerror(-res));
        w->stopping = true;
    }
    for (int i = 0; i < res / (int)sizeof(w->events[0]) && w->nr_unmask < WORKER_PORTS_MAX; i++) {
        w->unmask[w->nr_unmask++] = w->events[i];
        w->nr_events++;
    }
}

/* Orders of the supervisor, or its end. Several may have made the socket readable once. */
static void worker_on_supervisor(struct worker *w)
{
    union {
        uint32_t kind;
        uint64_t aligned;
        uint8_t bytes[WORKER_ORDER_MAX];
    } order;
    ssize_t n;

    while ((n = recv(CHILD_SOCKET_FD, &order, sizeof(order), MSG_DONTWAIT)) > 0) {
        if (n < (ssize_t)sizeof(order.kind)) {
            continue;
        }
        if (order.kind == WIRE_STOP) {
            w->stopping = true;
        } else if (order.kind == WIRE_BEAT) {
            stopwatch_look(&w->watch);
            if (w->class->beat != NULL) {
                w->class->beat(w);
            }
        } else if (order.kind >= WIRE_CLASS_ORDER &&
                   (unsigned long)n == w->class->wire->order_bytes) {
            w->class->order(w, &order);
        }
    }
    if (n == 0) {
        w->stopping = true;
    }
}

static void worker_watch_supervisor(struct worker *w)
{
    uring_poll(&w->uring, CHILD_SOCKET_FD, WORKER_TAGS | WORKER_TAG_SUPERVISOR);
}

static void worker_complete(struct worker *w, const struct uring_event *event)
{
    switch (event->tag & ~WORKER_TAGS) {
    case WORKER_TAG_PORTS:
        worker_on_ports(w, event->res);
        break;
    case WORKER_TAG_SUPERVISOR:
        worker_on_supervisor(w);
        if (!event->more && !w->stopping) {
            worker_watch_supervisor(w);
        }
        break;
    case WORKER_TAG_SIGNAL:
        w->stopping = true;
        break;
    default:
        break; /* an unmasking that failed: the port is closed */
    }
}

/* Returns 0 at the orderly end, or -errno after a report. */
static int worker_serve(struct worker *w)
{
    struct uring_event event;
    int err;

    worker_watch_supervisor(w);
    uring_poll(&w->uring, w->signal_fd, WORKER_TAGS | WORKER_TAG_SIGNAL);
    for (unsigned int i = 0; i < w->nr_ports; i++) {
        worker_notify(w, w->ports[i]);
    }
    for (;;) {
        uint64_t wait_ns = 0;

        if (w->kept != NULL) {
            w->kept->turns++;
        }
        err = w->class->turn(w, &wait_ns);
        if (err != 0) {
            return err == WORKER_DONE ? 0 : err;
        }
        err = uring_submit(&w->uring, wait_ns);
        if (err < 0 && err != -EINTR) {
            worker_report(w, WIRE_FAILED, -err, "io_uring: %s", strerror(-err));
            return err;
        }
        while (uring_next(&w->uring, &event)) {
            if ((event.tag & WORKER_TAGS) != 0) {
                worker_complete(w, &event);
            } else {
                w->class->complete(w, &event);
            }
        }
    }
}

/* At once, not when the kernel gets round to it: another worker may bind the guest's ports. */
static void worker_unbind(struct worker *w)
{
    for (unsigned int i = 0; i < w->nr_ports; i++) {
        xenevtchn_unbind(w->xce, w->ports[i]);
    }
}

int worker_main(struct worker *w, int argc, char **argv)
{
    int err;

    child_take_name();
    if (worker_prepare_signals(w) != 0 || worker_receive(w, argc, argv) != 0) {
        fprintf(stderr, "%s is started by %s(8), not by hand\n", argv[0], w->class->wire->daemon);
        return WORKER_EXIT_USAGE;
    }
    stopwatch_look(&w->watch);
    err = worker_open(w);
    if (err == 0) {
        err = w->class->connect(w);
    }
    if (err == 0) {
        err = worker_cage(w);
    }
    if (err == 0 && w->class->begin != NULL) {
        err = w->class->begin(w);
    }
    if (err != 0) {
        return 1;
    }
    stopwatch_look(&w->watch);
    worker_report(w, WIRE_READY, 0, "serving");
    err = worker_serve(w);
    if (w->class->end != NULL) {
        w->class->end(w, err);
    }
    worker_unbind(w);
    return err == 0 ? 0 : 1;
}
