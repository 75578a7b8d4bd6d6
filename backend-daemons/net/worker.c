/*
 * duet-net-worker: serves the rings of one network device of one guest, and can do nothing else.
 *
 * Theory of operation, in stages:
 *   1. as root: receive struct net_wire_config and the tap's descriptors from the supervisor
 *   2. open the grant and event-channel devices, map the rings, bind the event channels, set up the
 *      engine: the last moment at which anything can be opened or allocated
 *   3. enter the sandbox: empty root directory, a uid per guest, no capabilities, a list of
 *      permitted system calls (enter_sandbox() below)
 *   4. tell the supervisor READY, report the link up, kick the guest once (kicks sent while nobody
 *      listened are lost), scan the rings once, then serve until STOP, SIGTERM or the supervisor's
 *      end
 * While there is work, no event is asked for and none is waited for: the loop looks at every ring
 * and every completion in turn. When a whole turn found nothing it may look some more times
 * (patience.h); then events are asked for again.
 *
 * A mistake of the guest that leaves its ring usable is answered and logged; one that does not ends
 * the worker (WIRE_BROKEN).
 *
 * Types: struct net_worker, port. One thread, no locks. At suspend the guest's rings go away and
 * the supervisor, which sees the device go from the store, stops the worker.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/gntdev.h>
#include <x86intrin.h>

#include "child.h"
#include "ctrl.h"
#include "log.h"
#include "loop.h"
#include "patience.h"
#include "rx.h"
#include "sandbox.h"
#include "tx.h"
#include "vif.h"

#define EMPTY_DIRECTORY "/run/duet/empty"
#define MAX_PORTS       (2 * NET_WIRE_MAX_QUEUES + 1)
#define POLL_ROOM_NS    10000000ULL /* for guests that do not say when they make room */
#define GUEST_LOG_MS    5000
#define NS_PER_S        1000000000ULL
#define TX_ENTRY_BYTES  12U
#define RX_ENTRY_BYTES  8U

struct net_worker {
    struct net_wire_config config;
    int tap_fds[NET_WIRE_MAX_QUEUES];
    xengnttab_handle *xgt;
    xenevtchn_handle *xce;
    evtchn_port_t tx_ports[NET_WIRE_MAX_QUEUES], rx_ports[NET_WIRE_MAX_QUEUES], ctrl_port;
    uint32_t events[MAX_PORTS]; /* ports of the last read: the engine's to write */
    uint32_t unmask[MAX_PORTS]; /* masked by the device since they were read */
    unsigned int nr_unmask;
    bool reading_ports;
    bool stopping;
    bool link_up;
    bool expects_more;            /* the last turn with work took packets from the guest only */
    struct net_patience patience; /* for the next of these */
    struct net_vif vif;
    struct net_tx tx[NET_WIRE_MAX_QUEUES];
    struct net_rx rx[NET_WIRE_MAX_QUEUES];
    struct net_ctrl ctrl;
};

static volatile sig_atomic_t terminated;

static void on_sigterm(int signo)
{
    (void)signo;
    terminated = 1;
}

static void report(struct net_worker *w, uint32_t kind, int err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void report(struct net_worker *w, uint32_t kind, int err, const char *fmt, ...)
{
    struct net_wire_counts r = {.report = {.kind = kind, .err = err},
                                .statistics = w->vif.statistics};
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(r.report.text, sizeof(r.report.text), fmt, ap);
    va_end(ap);
    /* Without a supervisor there is nobody to tell; the end of file on the socket ends us. */
    send(CHILD_SOCKET_FD, &r, kind == NET_WIRE_COUNTS ? sizeof(r) : sizeof(r.report), MSG_NOSIGNAL);
}

static void apply_settings(struct net_worker *w, const struct net_wire_settings *s)
{
    net_credit_set(&w->vif.credit, s->rate_bytes, s->rate_us, loop_now_ns());
    w->vif.headroom = s->headroom;
    w->vif.mcast.enabled = s->multicast_control;
}

/* Stage 1. The number of descriptors is that of the queues, which is not known before. */
static int receive_config(struct net_worker *w, unsigned int nr_queues)
{
    struct net_wire_config *c = &w->config;
    long n = child_receive(CHILD_SOCKET_FD, c, sizeof(*c), w->tap_fds, nr_queues);

    if (n != sizeof(*c) || c->head.magic != NET_WIRE_MAGIC || c->nr_queues != nr_queues) {
        return n < 0 ? (int)n : -EPROTO;
    }
    w->vif = (struct net_vif){
        .id = {.class = "vif", .domid = c->head.domid, .device = c->head.device},
        .guest_log = {.burst = 1, .interval_ms = GUEST_LOG_MS},
        .hash = {.nr_queues = c->nr_queues},
        .can_sg = c->can_sg,
        .csum_v4 = c->csum_v4,
        .csum_v6 = c->csum_v6,
        .gso_v4 = c->gso_v4,
        .gso_v6 = c->gso_v6,
    };
    apply_settings(w, &c->settings);
    log_set_level(c->head.log_level);
    log_prepare();
    return 0;
}

/* Maps the page of a ring. Returns 0 or -errno after a report. */
static int map_ring(struct net_worker *w, const char *what, uint32_t ref, uint32_t entry_bytes,
                    struct ring_back *ring)
{
    void *page = grant_map_ring(w->xgt, w->config.head.domid, &ref, 1);

    if (page == NULL) {
        int err = errno;

        report(w, WIRE_FAILED, err, "%s: cannot map reference %u: %s", what, ref, strerror(err));
        return -err;
    }
    ring_attach(ring, page, GRANT_PAGE_BYTES, entry_bytes);
    return 0;
}

static int bind_port(struct net_worker *w, const char *what, uint32_t remote, evtchn_port_t *port)
{
    int local = xenevtchn_bind_interdomain(w->xce, w->config.head.domid, remote);

    if (local < 0) {
        int err = errno;

        report(w, WIRE_FAILED, err, "%s: cannot bind port %u of the guest: %s", what, remote,
               strerror(err));
        return -err;
    }
    *port = (evtchn_port_t)local;
    return 0;
}

/* Stage 2 for one queue. Returns 0 or -errno after a report. */
static int connect_queue(struct net_worker *w, unsigned int i)
{
    const struct net_wire_queue *q = &w->config.queues[i];
    int err = map_ring(w, "tx-ring-ref", q->tx_ref, TX_ENTRY_BYTES, &w->tx[i].ring);

    if (err == 0) {
        err = map_ring(w, "rx-ring-ref", q->rx_ref, RX_ENTRY_BYTES, &w->rx[i].ring);
    }
    if (err == 0) {
        err = bind_port(w, q->tx_port == q->rx_port ? "event-channel" : "event-channel-tx",
                        q->tx_port, &w->tx_ports[i]);
    }
    w->rx_ports[i] = w->tx_ports[i];
    if (err == 0 && q->tx_port != q->rx_port) {
        err = bind_port(w, "event-channel-rx", q->rx_port, &w->rx_ports[i]);
    }
    if (err != 0) {
        return err;
    }
    w->tx[i].vif = w->rx[i].vif = &w->vif;
    w->vif.mcast.unknown = w->vif.mcast.unknown || w->tx[i].ring.rsp_prod != 0;
    w->tx[i].queue = w->rx[i].queue = i;
    w->tx[i].tap_fd = w->rx[i].tap_fd = w->tap_fds[i];
    w->rx[i].all = w->rx;
    err = net_tx_init(&w->tx[i], w->xgt, w->config.head.domid);
    if (err == 0) {
        err = net_rx_init(&w->rx[i], w->xgt, w->config.head.domid);
    }
    if (err != 0) {
        report(w, WIRE_FAILED, -err, "cannot set up buffers: %s", strerror(-err));
    }
    return err;
}

static int connect_ctrl(struct net_worker *w)
{
    int err = map_ring(w, "ctrl-ring-ref", w->config.ctrl_ref, NET_CTRL_ENTRY_BYTES, &w->ctrl.ring);

    if (err == 0) {
        err = bind_port(w, "event-channel-ctrl", w->config.ctrl_port, &w->ctrl_port);
    }
    return err != 0 ? err : net_ctrl_init(&w->ctrl, &w->vif.hash, w->xgt, w->config.head.domid);
}

/* Stage 2. Returns 0 or -errno after a report. */
static int connect_guest(struct net_worker *w)
{
    int err = 0;

    w->xgt = xengnttab_open(NULL, 0);
    w->xce = xenevtchn_open(NULL, 0);
    if (w->xgt == NULL || w->xce == NULL) {
        err = errno;
        report(w, WIRE_FAILED, err, "cannot open /dev/xen/%s: %s",
               w->xgt == NULL ? "gntdev" : "evtchn", strerror(err));
        return -err;
    }
    for (unsigned int i = 0; i < w->config.nr_queues && err == 0; i++) {
        err = connect_queue(w, i);
    }
    if (err == 0 && w->config.has_ctrl) {
        err = connect_ctrl(w);
    }
    if (err != 0) {
        return err;
    }
    err = fcntl(xenevtchn_fd(w->xce), F_SETFL, O_NONBLOCK) < 0 ? -errno
                                                               : net_engine_init(&w->vif.engine);
    if (err != 0) {
        report(w, WIRE_FAILED, -err, "cannot set up I/O: %s", strerror(-err));
    }
    return err;
}

/* Stage 3. Each call with what needs it; anything else ends the process. */
static int enter_sandbox(struct net_worker *w)
{
    const int gntdev = xengnttab_fd(w->xgt);
    const int evtchn = xenevtchn_fd(w->xce);
    const struct sandbox_rule rules[] = {
        {SYS_io_uring_enter, w->vif.engine.ring.ring_fd, 0}, /* net_engine_submit() */
        {SYS_ioctl, gntdev, IOCTL_GNTDEV_GRANT_COPY},        /* grant_batch_run() */
        {SYS_ioctl, evtchn, IOCTL_EVTCHN_NOTIFY},            /* notify_port() */
        {SYS_ioctl, evtchn, IOCTL_EVTCHN_UNBIND},            /* unbind(), at the end */
        {SYS_ioctl, w->tap_fds[0], TUNSETCARRIER},           /* set_link() */
        {SYS_write, STDERR_FILENO, 0},                       /* log_msg() */
        {SYS_sendto, CHILD_SOCKET_FD, 0},                    /* report() */
        {SYS_recvfrom, CHILD_SOCKET_FD, 0},                  /* on_supervisor() */
        {SYS_clock_gettime, -1, 0},                          /* loop_now_ns(), without vDSO */
        {SYS_sched_yield, -1, 0},                            /* rest() */
        {SYS_rt_sigreturn, -1, 0},                           /* on_sigterm() */
        {SYS_exit_group, -1, 0},
    };
    const char *stage;
    int err = sandbox_enter(w->config.head.uid, EMPTY_DIRECTORY, rules,
                            sizeof(rules) / sizeof(rules[0]), &stage);

    if (err != 0) {
        report(w, WIRE_FAILED, -err, "cannot enter the sandbox: %s: %s", stage, strerror(-err));
    }
    return err;
}

static void notify_port(struct net_worker *w, evtchn_port_t port)
{
    w->vif.statistics.notifications++;
    xenevtchn_notify(w->xce, port);
}

/* The host learns from the tap, the guest from the store, which the supervisor writes. */
static void set_link(struct net_worker *w, bool up)
{
    unsigned int carrier = up;

    if (w->link_up == up) {
        return;
    }
    w->link_up = up;
    if (ioctl(w->tap_fds[0], TUNSETCARRIER, &carrier) < 0) {
        log_msg(LOG_WARNING, &w->vif.id, "cannot set the tap's carrier: %s", strerror(errno));
    }
    w->vif.statistics.stalls += up ? 0 : 1;
    report(w, NET_WIRE_CARRIER, up ? 0 : ETIMEDOUT, "%s",
           up ? "link up" : "the guest takes no packets: link down");
}

/* An order of the supervisor, or its end. */
static void on_supervisor(struct net_worker *w)
{
    struct net_wire_order order;
    ssize_t n = recv(CHILD_SOCKET_FD, &order, sizeof(order), MSG_DONTWAIT);

    if (n == 0) {
        w->stopping = true;
    } else if (n == sizeof(order)) {
        switch (order.kind) {
        case WIRE_STOP:
            w->stopping = true;
            break;
        case NET_WIRE_SET:
            apply_settings(w, &order.settings);
            break;
        case NET_WIRE_COUNT:
            report(w, NET_WIRE_COUNTS, 0, "counted");
            break;
        default:
            break;
        }
    }
}

static void read_ports(struct net_worker *w)
{
    net_engine_read(&w->vif.engine, xenevtchn_fd(w->xce), w->events, sizeof(w->events), false,
                    NET_TAG(NET_TAG_PORTS, 0, 0));
}

/* The ports stay masked from here to unmask_ports(): while we are busy no event disturbs us. */
static void on_ports(struct net_worker *w, int res)
{
    w->reading_ports = false;
    if (res < 0 && res != -EAGAIN && res != -EINTR) {
        log_msg(LOG_ERR, &w->vif.id, "cannot read the event channels: %s", strerror(-res));
        w->stopping = true;
    }
    for (int i = 0; i < res / (int)sizeof(w->events[0]) && w->nr_unmask < MAX_PORTS; i++) {
        w->unmask[w->nr_unmask++] = w->events[i];
        w->vif.statistics.events++;
    }
}

/* Both travel with the submission that begins the wait, so an event costs no call of its own. */
static void unmask_ports(struct net_worker *w)
{
    if (w->nr_unmask != 0) {
        net_engine_write_silently(&w->vif.engine, xenevtchn_fd(w->xce), w->unmask,
                                  w->nr_unmask * (uint32_t)sizeof(w->unmask[0]),
                                  NET_TAG(NET_TAG_UNMASK, 0, 0));
        w->nr_unmask = 0;
    }
    if (!w->reading_ports) {
        w->reading_ports = true;
        read_ports(w);
    }
}

static void take_completions(struct net_worker *w)
{
    struct uring_event ev;

    while (net_engine_next(&w->vif.engine, &ev)) {
        switch (NET_TAG_KIND(ev.tag)) {
        case NET_TAG_PORTS:
            on_ports(w, ev.res);
            break;
        case NET_TAG_SUPERVISOR:
            on_supervisor(w);
            if (!ev.more && !w->stopping) {
                net_engine_poll(&w->vif.engine, CHILD_SOCKET_FD, NET_TAG(NET_TAG_SUPERVISOR, 0, 0));
            }
            break;
        case NET_TAG_TX:
            net_tx_complete(&w->tx[NET_TAG_QUEUE(ev.tag)], NET_TAG_INDEX(ev.tag), ev.res);
            break;
        case NET_TAG_RX:
            net_rx_complete(&w->rx[NET_TAG_QUEUE(ev.tag)], NET_TAG_INDEX(ev.tag), ev.res);
            break;
        default:
            break; /* an unmasking that failed: the port is closed */
        }
    }
}

static int broken(struct net_worker *w, const char *ring, unsigned int queue,
                  const struct ring_back *r, int err)
{
    report(w, WIRE_BROKEN, -err,
           "%s ring of queue %u: impossible indices or a packet without an end: req_prod %u, taken "
           "%u, answered %u, ring of %u",
           ring, queue, r->shared->req_prod, r->req_cons, r->rsp_prod, r->nr_entries);
    return err;
}

/* One turn for one queue. Returns whether there was anything to do, or -errno after a report. */
static int serve_queue(struct net_worker *w, unsigned int i)
{
    bool notify_tx = false, notify_rx = false;
    int n = net_tx_take(&w->tx[i], &notify_tx);
    int err;

    if (n < 0) {
        return broken(w, "transmit", i, &w->tx[i].ring, n);
    }
    err = net_rx_deliver(&w->rx[i], &notify_rx);
    if (err != 0) {
        return broken(w, "receive", i, &w->rx[i].ring, err);
    }
    net_rx_post(&w->rx[i]);
    if (notify_tx) {
        notify_port(w, w->tx_ports[i]);
    }
    if (notify_rx && (!notify_tx || w->rx_ports[i] != w->tx_ports[i])) {
        notify_port(w, w->rx_ports[i]);
    }
    return n > 0;
}

/* A turn over all rings. */
static int serve_rings(struct net_worker *w)
{
    int busy = 0;

    if (w->config.has_ctrl) {
        bool notify = false;
        int err = net_ctrl_take(&w->ctrl, &notify);

        if (err != 0) {
            return broken(w, "control", 0, &w->ctrl.ring, err);
        }
        if (notify) {
            notify_port(w, w->ctrl_port);
        }
    }
    for (unsigned int i = 0; i < w->config.nr_queues; i++) {
        int n = serve_queue(w, i);

        if (n < 0) {
            return n;
        }
        busy |= n;
    }
    return busy;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The link goes down for who takes no packets for too long. Returns when to look again. */
static uint64_t watch_stalls(struct net_worker *w)
{
    uint64_t stall_ns = w->config.stall_seconds * NS_PER_S;
    uint64_t next = UINT64_MAX, now_ns;
    bool up = true;

    for (unsigned int i = 0; i < w->config.nr_queues; i++) {
        uint64_t since = w->rx[i].blocked_since_ns;

        if (since == 0) {
            continue;
        }
        now_ns = net_vif_now(&w->vif);
        if (now_ns - since < NET_RX_DRAIN_NS) {
            next = earlier(next, since + NET_RX_DRAIN_NS);
        }
        if (w->config.rx_notify && now_ns - since >= stall_ns) {
            up = false;
        } else {
            next = earlier(next, w->config.rx_notify ? since + stall_ns : now_ns + POLL_ROOM_NS);
        }
    }
    set_link(w, up);
    return next;
}

/*
 * How long to wait, 0 for not at all. The guest is asked for events before the rings are looked at
 * for the last time; an event that it sends from then on stays pending until its port is unmasked,
 * which the submission that begins the wait does.
 */
static uint64_t may_wait(struct net_worker *w)
{
    uint64_t until = watch_stalls(w);
    bool wait = true;

    for (unsigned int i = 0; i < w->config.nr_queues; i++) {
        wait = net_tx_may_wait(&w->tx[i]) && net_rx_may_wait(&w->rx[i]) && wait;
        if (w->tx[i].no_credit) {
            until = earlier(until, w->vif.credit.next_ns);
        }
    }
    if (w->config.has_ctrl && ring_final_check(&w->ctrl.ring)) {
        wait = false;
    }
    if (!wait || (until != UINT64_MAX && until <= net_vif_now(&w->vif))) {
        return 0;
    }
    unmask_ports(w);
    return until == UINT64_MAX ? until : until - net_vif_now(&w->vif);
}

static unsigned int writes_in_flight(const struct net_worker *w)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < w->config.nr_queues; i++) {
        n += w->tx[i].in_flight;
    }
    return n;
}

/* Kicks that the guest sent before we listened are lost, and it may wait for ours as well. */
static void begin(struct net_worker *w)
{
    net_engine_poll(&w->vif.engine, CHILD_SOCKET_FD, NET_TAG(NET_TAG_SUPERVISOR, 0, 0));
    for (unsigned int i = 0; i < w->config.nr_queues; i++) {
        notify_port(w, w->tx_ports[i]);
        if (w->rx_ports[i] != w->tx_ports[i]) {
            notify_port(w, w->rx_ports[i]);
        }
    }
}

/* A guest that was given packets shall have the processor, and not find us looking for its answer.
 */
static void note_work(struct net_worker *w, bool sent, bool delivered)
{
    if (sent || delivered) {
        w->expects_more = !delivered;
        net_patience_busy(&w->patience);
    }
}

/* Nothing more was found: waits, or lets others run for a moment. Returns 0 or -errno. */
static int rest(struct net_worker *w)
{
    uint64_t wait_ns, begin = __rdtsc();
    int err;

    if (w->expects_more && net_patience_look(&w->patience, begin)) {
        sched_yield();
        return net_engine_submit(&w->vif.engine, 0);
    }
    wait_ns = may_wait(w);
    err = net_engine_submit(&w->vif.engine, wait_ns);
    if (wait_ns != 0 && w->expects_more) {
        net_patience_waited(&w->patience, begin, __rdtsc());
    }
    return err;
}

/* Stage 4: serves the rings. Returns 0 at the orderly end, or -errno after a report. */
static int serve(struct net_worker *w)
{
    begin(w);
    for (;;) {
        int err;

        w->vif.now_ns = 0;
        w->stopping = w->stopping || terminated != 0;
        if (w->stopping) {
            if (writes_in_flight(w) == 0) {
                return 0;
            }
            err = net_engine_submit(&w->vif.engine, UINT64_MAX);
        } else {
            uint64_t delivered = w->vif.statistics.rx_packets;
            int busy = serve_rings(w);

            if (busy < 0) {
                return busy;
            }
            note_work(w, busy != 0, w->vif.statistics.rx_packets != delivered);
            err = busy != 0 ? net_engine_submit(&w->vif.engine, 0) : rest(w);
        }
        if (err < 0 && err != -EINTR) {
            report(w, WIRE_FAILED, -err, "io_uring: %s", strerror(-err));
            return err;
        }
        take_completions(w);
        if (w->vif.tap_error != 0) {
            report(w, WIRE_FAILED, -w->vif.tap_error, "the interface is lost: %s",
                   strerror(-w->vif.tap_error));
            return w->vif.tap_error;
        }
    }
}

/* At once, not when the kernel gets round to it: another worker may bind the guest's ports. */
static void unbind(struct net_worker *w)
{
    for (unsigned int i = 0; i < w->config.nr_queues; i++) {
        xenevtchn_unbind(w->xce, w->tx_ports[i]);
        if (w->rx_ports[i] != w->tx_ports[i]) {
            xenevtchn_unbind(w->xce, w->rx_ports[i]);
        }
    }
    if (w->config.has_ctrl) {
        xenevtchn_unbind(w->xce, w->ctrl_port);
    }
}

int main(int argc, char **argv)
{
    static struct net_worker w;
    struct sigaction sa = {.sa_handler = on_sigterm};
    unsigned long nr_queues = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
    int err;

    if (nr_queues == 0 || nr_queues > NET_WIRE_MAX_QUEUES ||
        receive_config(&w, (unsigned int)nr_queues) != 0) {
        fprintf(stderr, "%s is started by duet-netd(8), not by hand\n", argv[0]);
        return 2;
    }
    sigaction(SIGTERM, &sa, NULL);
    if (connect_guest(&w) != 0 || enter_sandbox(&w) != 0) {
        return 1;
    }
    report(&w, WIRE_READY, 0, "serving");
    err = serve(&w);
    report(&w, NET_WIRE_COUNTS, 0, "counted");
    unbind(&w);
    return err == 0 ? 0 : 1;
}
