/*
 * duet-block-worker: serves one ring of one device of one guest, and can do nothing else.
 *
 * Theory of operation, in stages:
 *   1. as root: receive struct blk_wire_config and the open image from the supervisor
 *   2. open the grant and event-channel devices, map the ring, bind the event channel, set up the
 *      engine: the last moment at which anything can be opened or allocated
 *   3. enter the sandbox: empty root directory, a uid per guest, no capabilities, a list of
 *      permitted system calls (rules() below)
 *   4. tell the supervisor READY, kick the guest once (kicks sent while nobody listened are lost),
 *      scan the ring once, then serve until STOP, SIGTERM or the supervisor's end
 * On the way out everything that was taken from the ring is finished and answered, so that the ring
 * is at rest and another worker can go on with it; and the image is flushed, because that worker
 * may be one of another host.
 *
 * A mistake of the guest that leaves the ring usable is answered and logged; one that does not ends
 * the worker (WIRE_BROKEN). A broken invariant of ours is fatal.
 *
 * Types: struct blk_worker. One thread, no locks. At suspend the guest's ring goes away and the
 * supervisor, which sees the device go from the store, stops the worker.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/gntdev.h>

#include "child.h"
#include "engine.h"
#include "grant.h"
#include "log.h"
#include "queue.h"
#include "sandbox.h"
#include "wire.h"

/* Tags of the engine beside the slots' numbers. */
#define TAG_EVENT_CHANNEL 0x10000ULL
#define TAG_SUPERVISOR    0x10001ULL
#define TAG_LAST_FLUSH    0x10002ULL

#define EMPTY_DIRECTORY "/run/duet/empty"

struct blk_worker {
    struct blk_wire_config config;
    struct log_id id;
    int fds[BLK_WIRE_NR_FDS];
    xengnttab_handle *xgt;
    xenevtchn_handle *xce;
    evtchn_port_t port;
    uint32_t event_port; /* that of the last event: the engine's to write */
    bool port_masked;    /* an event came in, and the port was not unmasked since */
    bool stopping;
    enum { FLUSH_DUE, FLUSH_UNDER_WAY, FLUSHED } last_flush;
    struct blk_engine engine;
    struct blk_queue queue;
};

static volatile sig_atomic_t terminated;

static void on_sigterm(int signo)
{
    (void)signo;
    terminated = 1;
}

static void report(enum wire_report_kind kind, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void report(enum wire_report_kind kind, int err, const char *fmt, ...)
{
    struct wire_report r = {.kind = kind, .err = err};
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(r.text, sizeof(r.text), fmt, ap);
    va_end(ap);
    /* Without a supervisor there is nobody to tell; the end of file on the socket ends us. */
    send(CHILD_SOCKET_FD, &r, sizeof(r), MSG_NOSIGNAL);
}

/* Stage 1. */
static int receive_config(struct blk_worker *w)
{
    long n = child_receive(CHILD_SOCKET_FD, &w->config, sizeof(w->config), w->fds, BLK_WIRE_NR_FDS);

    if (n != sizeof(w->config) || w->config.head.magic != BLK_WIRE_MAGIC ||
        w->config.nr_pages > BLK_WIRE_MAX_PAGES || w->config.nr_pages == 0) {
        return n < 0 ? (int)n : -EPROTO;
    }
    w->id = (struct log_id){.class = w->config.head.class,
                            .domid = w->config.head.domid,
                            .device = w->config.head.device};
    log_set_level(w->config.head.log_level);
    log_prepare();
    return 0;
}

/* Stage 2: the ring and the event channel. Returns 0 or -errno after a report. */
static int connect_guest(struct blk_worker *w)
{
    struct blk_wire_config *c = &w->config;
    int port;
    void *ring;

    w->xgt = xengnttab_open(NULL, 0);
    w->xce = xenevtchn_open(NULL, 0);
    if (w->xgt == NULL || w->xce == NULL) {
        int err = errno;

        report(WIRE_FAILED, err, "cannot open /dev/xen/%s: %s",
               w->xgt == NULL ? "gntdev" : "evtchn", strerror(err));
        return -err;
    }
    ring = grant_map_ring(w->xgt, c->head.domid, c->ring_refs, c->nr_pages);
    if (ring == NULL) {
        report(WIRE_FAILED, errno,
               "ring-ref: cannot map the ring (%u pages, first reference %u): %s", c->nr_pages,
               c->ring_refs[0], strerror(errno));
        return -errno;
    }
    port = xenevtchn_bind_interdomain(w->xce, c->head.domid, c->event_channel);
    if (port < 0) {
        report(WIRE_FAILED, errno, "event-channel: cannot bind port %u of the guest: %s",
               c->event_channel, strerror(errno));
        return -errno;
    }
    w->port = (evtchn_port_t)port;
    w->queue.layout = c->protocol == BLK_WIRE_X86_32 ? &blk_layout_x86_32 : &blk_layout_x86_64;
    ring_attach(&w->queue.ring, ring, c->nr_pages * GRANT_PAGE_BYTES, w->queue.layout->entry_bytes);
    return fcntl(xenevtchn_fd(w->xce), F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/* Stage 2: the engine and the slots. */
static int set_up_queue(struct blk_worker *w)
{
    int err;

    w->queue.limits = (struct blk_limits){.sectors = w->config.sectors,
                                          .handle = (uint16_t)w->config.head.device,
                                          .read_only = w->config.read_only,
                                          .discard = w->config.discard};
    w->queue.engine = &w->engine;
    w->queue.id = &w->id;
    err = blk_queue_init(&w->queue, w->xgt, w->config.head.domid);
    if (err == 0) {
        err = blk_engine_init(&w->engine, BLK_QUEUE_MAX_SLOTS + 4, w->fds[BLK_WIRE_FD_IMAGE]);
    }
    if (err != 0) {
        report(WIRE_FAILED, -err, "cannot set up I/O: %s", strerror(-err));
    }
    return err;
}

/* Stage 3. Each call with what needs it; anything else ends the process. */
static int enter_sandbox(struct blk_worker *w)
{
    const int gntdev = xengnttab_fd(w->xgt);
    const int evtchn = xenevtchn_fd(w->xce);
    const struct sandbox_rule rules[] = {
        {SYS_io_uring_enter, w->engine.ring.ring_fd, 0}, /* blk_engine_submit() */
        {SYS_ioctl, gntdev, IOCTL_GNTDEV_GRANT_COPY},    /* grant_batch_run() */
        {SYS_ioctl, evtchn, IOCTL_EVTCHN_NOTIFY},        /* notify_guest() */
        {SYS_ioctl, evtchn, IOCTL_EVTCHN_UNBIND},        /* main(), at the end */
        {SYS_write, STDERR_FILENO, 0},                   /* log_msg() */
        {SYS_sendto, CHILD_SOCKET_FD, 0},                /* report() */
        {SYS_recvfrom, CHILD_SOCKET_FD, 0},              /* on_supervisor() */
        {SYS_clock_gettime, -1, 0},                      /* log_limited(), without vDSO */
        {SYS_rt_sigreturn, -1, 0},                       /* on_sigterm() */
        {SYS_exit_group, -1, 0},
    };
    const char *stage;
    int err = sandbox_enter(w->config.head.uid, EMPTY_DIRECTORY, rules,
                            sizeof(rules) / sizeof(rules[0]), &stage);

    if (err != 0) {
        report(WIRE_FAILED, -err, "cannot enter the sandbox: %s: %s", stage, strerror(-err));
    }
    return err;
}

static void notify_guest(struct blk_worker *w)
{
    xenevtchn_notify(w->xce, w->port);
}

/* An order of the supervisor, or its end: either way there is only one thing to be told. */
static void on_supervisor(struct blk_worker *w)
{
    uint32_t order;
    ssize_t n = recv(CHILD_SOCKET_FD, &order, sizeof(order), MSG_DONTWAIT);

    if (n == 0 || (n == sizeof(order) && order == WIRE_STOP)) {
        w->stopping = true;
    }
}

/* The port stays masked from here to unmask_port(): while we are busy no event disturbs us. */
static void on_event_channel(struct blk_worker *w, int res)
{
    if (res == sizeof(w->event_port)) {
        w->port_masked = true;
    } else if (res != -EAGAIN && res != -EINTR) {
        log_msg(LOG_ERR, &w->id, "cannot read the event channel: %s", strerror(-res));
        w->stopping = true;
    } else {
        blk_engine_next_port(&w->engine, xenevtchn_fd(w->xce), &w->event_port, TAG_EVENT_CHANNEL);
    }
}

/* Both travel with the next submission, so an event costs no system call of its own. */
static void unmask_port(struct blk_worker *w)
{
    if (w->port_masked) {
        w->port_masked = false;
        blk_engine_unmask_port(&w->engine, xenevtchn_fd(w->xce), &w->port);
        blk_engine_next_port(&w->engine, xenevtchn_fd(w->xce), &w->event_port, TAG_EVENT_CHANNEL);
    }
}

static void take_completions(struct blk_worker *w)
{
    struct uring_event ev;

    while (blk_engine_next(&w->engine, &ev)) {
        switch (ev.tag) {
        case TAG_EVENT_CHANNEL:
            on_event_channel(w, ev.res);
            break;
        case TAG_SUPERVISOR:
            on_supervisor(w);
            if (!ev.more && !w->stopping) {
                blk_engine_poll(&w->engine, CHILD_SOCKET_FD, TAG_SUPERVISOR);
            }
            break;
        case TAG_LAST_FLUSH:
            w->last_flush = FLUSHED;
            if (ev.res < 0) {
                log_msg(LOG_ERR, &w->id, "the last flush of the image failed: %s",
                        strerror(-ev.res));
            }
            break;
        default:
            blk_queue_complete(&w->queue, ev.tag, ev.res);
            break;
        }
    }
}

/*
 * Whether to wait now. The guest is asked for events before the ring is looked at for the last
 * time; an event that it sends from then on stays pending until the port is unmasked, which the
 * submission that begins the wait does.
 */
static bool may_wait(struct blk_worker *w)
{
    if (w->stopping) {
        return w->queue.in_flight > 0 || w->last_flush == FLUSH_UNDER_WAY;
    }
    if (w->queue.free == NULL) {
        return true; /* no slot: only a completion lets us go on */
    }
    unmask_port(w);
    return !ring_final_check(&w->queue.ring);
}

/* Whether all is done that is to be done before the end: answers are, then the flush is due. */
static bool finished(struct blk_worker *w)
{
    if (!w->stopping || w->queue.in_flight > 0) {
        return false;
    }
    if (w->last_flush == FLUSH_DUE && w->config.read_only) {
        w->last_flush = FLUSHED;
    } else if (w->last_flush == FLUSH_DUE) {
        blk_engine_flush(&w->engine, TAG_LAST_FLUSH);
        w->last_flush = FLUSH_UNDER_WAY;
    }
    return w->last_flush == FLUSHED;
}

/* Stage 4: serves the ring. Returns 0 at the orderly end, or -errno after a report. */
static int serve(struct blk_worker *w)
{
    blk_engine_next_port(&w->engine, xenevtchn_fd(w->xce), &w->event_port, TAG_EVENT_CHANNEL);
    blk_engine_poll(&w->engine, CHILD_SOCKET_FD, TAG_SUPERVISOR);
    notify_guest(w);
    for (;;) {
        int n = 0;

        w->stopping = w->stopping || terminated != 0;
        if (!w->stopping) {
            n = blk_queue_take(&w->queue);
        }
        if (n < 0) {
            report(WIRE_BROKEN, -n,
                   "the guest's ring indices are impossible: req_prod %u, taken %u, "
                   "answered %u, ring of %u",
                   w->queue.ring.shared->req_prod, w->queue.ring.req_cons, w->queue.ring.rsp_prod,
                   w->queue.ring.nr_entries);
            return n;
        }
        if (blk_queue_answer(&w->queue)) {
            notify_guest(w);
        }
        if (finished(w)) {
            return 0;
        }
        n = blk_engine_submit(&w->engine, may_wait(w));
        if (n < 0 && n != -EINTR) {
            report(WIRE_FAILED, -n, "io_uring: %s", strerror(-n));
            return n;
        }
        take_completions(w);
    }
}

int main(int argc, char **argv)
{
    static struct blk_worker w;
    struct sigaction sa = {.sa_handler = on_sigterm};
    int err;

    if (argc != 1 || receive_config(&w) != 0) {
        fprintf(stderr, "%s is started by duet-blockd(8), not by hand\n", argv[0]);
        return 2;
    }
    sigaction(SIGTERM, &sa, NULL);
    err = connect_guest(&w);
    if (err == 0) {
        err = set_up_queue(&w);
    }
    if (err == 0) {
        err = enter_sandbox(&w);
    }
    if (err != 0) {
        return 1;
    }
    report(WIRE_READY, 0, "serving");
    err = serve(&w);
    /* At once, not when the kernel gets round to it: another worker may bind the guest's port. */
    xenevtchn_unbind(w.xce, w.port);
    return err == 0 ? 0 : 1;
}
