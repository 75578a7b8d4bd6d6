/*
 * The worker of a network device: see net_worker.h.
 */
#include <errno.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <x86intrin.h>

#include "loop.h"
#include "net_worker.h"

#define POLL_ROOM_NS   10000000ULL /* for guests that do not say when they make room */
#define GUEST_LOG_MS   5000
#define NS_PER_S       1000000000ULL
#define TX_ENTRY_BYTES 12U
#define RX_ENTRY_BYTES 8U

#define NET_TX_RESPONSE_BYTES   4U
#define NET_CTRL_RESPONSE_BYTES 12U

static bool net_worker_has_taps(const struct worker *base)
{
    const struct net_wire_config *c = &((const struct net_worker *)base)->config;

    return c->nr_queues != 0 && c->nr_queues <= NET_WIRE_MAX_QUEUES &&
           base->nr_fds == c->nr_queues + 1;
}

static void net_worker_apply(struct net_worker *n, const struct net_wire_settings *s)
{
    n->config.settings.stall_seconds = s->stall_seconds;
    net_tx_limit(&n->vif, s);
    n->vif.headroom = s->headroom;
    n->vif.mcast->enabled = s->multicast_control;
}

/* Returns 0 or -errno after a report. */
static int net_worker_open_estate(struct net_worker *n)
{
    int err = net_estate_open(n->base.fds[n->config.nr_queues], worker_waits, &n->estate);

    if (err != 0) {
        worker_report(&n->base, WIRE_FAILED, -err, "what an earlier worker left cannot be read: %s",
                      err == -EPROTO ? "it is of another version" : strerror(-err));
        return err;
    }
    n->base.kept = &n->estate->head;
    return 0;
}

static void net_worker_set_up_vif(struct net_worker *n)
{
    const struct net_wire_config *c = &n->config;

    n->vif = (struct net_vif){
        .id = n->base.id,
        .uring = &n->base.uring,
        .figures = n->base.figures,
        .guest_log = {.burst = 1, .interval_ms = GUEST_LOG_MS},
        .mcast = &n->estate->mcast,
        .hash = &n->estate->hash,
        .can_sg = c->can_sg,
        .csum_v4 = c->csum_v4,
        .csum_v6 = c->csum_v6,
        .gso_v4 = c->gso_v4,
        .gso_v6 = c->gso_v6,
    };
}

/* Maps the page of a ring. Returns 0 or -errno after a report. */
static int net_worker_map(struct net_worker *n, const char *what, uint32_t ref,
                          uint32_t entry_bytes, struct ring_back *ring)
{
    void *page = worker_map(&n->base, what, &ref, 1);

    if (page == NULL) {
        return -errno;
    }
    ring_attach(ring, page, GRANT_PAGE_BYTES, entry_bytes);
    return 0;
}

/* Returns 0 or -errno after a report. */
static int net_worker_connect_queue(struct net_worker *n, unsigned int i)
{
    const struct net_wire_queue *q = &n->config.queues[i];
    bool one_port = q->tx_port == q->rx_port;
    int err = net_worker_map(n, "tx-ring-ref", q->tx_ref, TX_ENTRY_BYTES, &n->tx[i].ring);

    if (err == 0) {
        err = net_worker_map(n, "rx-ring-ref", q->rx_ref, RX_ENTRY_BYTES, &n->rx[i].ring);
    }
    if (err == 0) {
        err = worker_bind(&n->base, one_port ? "event-channel" : "event-channel-tx", q->tx_port,
                          &n->tx_ports[i]);
    }
    n->rx_ports[i] = n->tx_ports[i];
    if (err == 0 && !one_port) {
        err = worker_bind(&n->base, "event-channel-rx", q->rx_port, &n->rx_ports[i]);
    }
    if (err != 0) {
        return err;
    }
    n->tx[i].vif = n->rx[i].vif = &n->vif;
    n->tx[i].queue = n->rx[i].queue = i;
    n->tx[i].tap_fd = n->rx[i].tap_fd = n->base.fds[i];
    n->rx[i].all = n->rx;
    err = net_tx_init(&n->tx[i], n->base.xgt, n->config.head.domid);
    if (err == 0) {
        err = net_rx_init(&n->rx[i], n->base.xgt, n->config.head.domid);
    }
    return worker_set_up(&n->base, err, "buffers");
}

static int net_worker_connect_ctrl(struct net_worker *n)
{
    int err =
        net_worker_map(n, "ctrl-ring-ref", n->config.ctrl_ref, NET_CTRL_ENTRY_BYTES, &n->ctrl.ring);

    if (err == 0) {
        err = worker_bind(&n->base, "event-channel-ctrl", n->config.ctrl_port, &n->ctrl_port);
    }
    return err != 0 ? err : net_ctrl_init(&n->ctrl, n->vif.hash, n->base.xgt, n->config.head.domid);
}

static int net_worker_connect_all(struct worker *base)
{
    struct net_worker *n = net_worker_of(base);
    int err = net_worker_open_estate(n);

    if (err != 0) {
        return err;
    }
    net_worker_set_up_vif(n);
    for (unsigned int i = 0; i < n->config.nr_queues && err == 0; i++) {
        err = net_worker_connect_queue(n, i);
    }
    if (err == 0 && n->config.has_ctrl) {
        err = net_worker_connect_ctrl(n);
    }
    if (err != 0) {
        return err;
    }
    return worker_set_up(base, net_engine_open(&base->uring), "I/O");
}

/* Returns 0, -EBADMSG or -ESTALE. */
static int net_worker_inherit_rings(struct net_worker *n, bool fresh)
{
    int err = 0;

    for (unsigned int i = 0; i < n->config.nr_queues && err == 0; i++) {
        /* in use before, and nobody has kept what the guest wants to hear */
        n->vif.mcast->unknown |= fresh && n->tx[i].ring.rsp_prod != 0;
        err = ring_inherit(&n->tx[i].ring, &n->estate->tx[i], fresh, NET_TX_RESPONSE_BYTES);
        if (err == 0) {
            err = ring_inherit(&n->rx[i].ring, &n->estate->rx[i], fresh, RX_ENTRY_BYTES);
        }
    }
    if (err == 0 && n->config.has_ctrl) {
        err = ring_inherit(&n->ctrl.ring, &n->estate->ctrl, fresh, NET_CTRL_RESPONSE_BYTES);
    }
    return err;
}

/* What an earlier worker left is a guest's, if that one was taken over. */
static int net_worker_begin(struct worker *base)
{
    struct net_worker *n = net_worker_of(base);
    const char *why = "a ring's answers are impossible";
    bool fresh = n->estate->head.state == KEPT_FRESH;
    int err = net_estate_begin(n->estate, &n->config, &why);

    if (err == 0) {
        err = net_worker_inherit_rings(n, fresh);
        why = err == -ESTALE ? "the guest has another ring in the place of one" : why;
    }
    if (err != 0) {
        worker_report(base, WIRE_FAILED, -err, "the rings cannot be taken over: %s", why);
        return err;
    }
    net_worker_apply(n, &n->config.settings);
    figures_set(n->vif.figures, NET_FIGURE_QUEUES, n->config.nr_queues);
    kept_put(&n->estate->head.state, KEPT_OPEN);
    return 0;
}

static unsigned int net_worker_rules(const struct worker *base, struct sandbox_rule *rules)
{
    rules[0] = (struct sandbox_rule){SYS_ioctl, base->fds[0], TUNSETCARRIER}; /* ..._set_link() */
    rules[1] = (struct sandbox_rule){SYS_sched_yield, -1, 0};                 /* ..._rest() */
    return 2;
}

/* The host learns from the tap, the guest from the store, which the supervisor writes. */
static void net_worker_set_link(struct net_worker *n, bool up)
{
    struct wire_report r = {.kind = NET_WIRE_CARRIER, .err = up ? 0 : ETIMEDOUT};
    unsigned int carrier = up;

    if (n->link_up == up) {
        return;
    }
    n->link_up = up;
    if (ioctl(n->base.fds[0], TUNSETCARRIER, &carrier) < 0) {
        log_msg(LOG_WARNING, &n->vif.id, "cannot set the tap's carrier: %s", strerror(errno));
    }
    figures_add(n->vif.figures, NET_FIGURE_STALLS, up ? 0 : 1);
    figures_set(n->vif.figures, NET_FIGURE_LINK, up ? 1 : 0);
    snprintf(r.text, sizeof(r.text), "%s",
             up ? "link up" : "the guest takes no packets: link down");
    worker_send(&r, sizeof(r));
}

static void net_worker_take_order(struct worker *base, const void *msg)
{
    const struct net_wire_order *order = msg;

    if (order->kind == NET_WIRE_SET) {
        net_worker_apply(net_worker_of(base), &order->settings);
    }
}

static void net_worker_packet_done(struct worker *base, const struct uring_event *event)
{
    struct net_worker *n = net_worker_of(base);

    if (NET_TAG_KIND(event->tag) == NET_TAG_TX) {
        net_tx_complete(&n->tx[NET_TAG_QUEUE(event->tag)], NET_TAG_INDEX(event->tag), event->res);
    } else {
        net_rx_complete(&n->rx[NET_TAG_QUEUE(event->tag)], NET_TAG_INDEX(event->tag), event->res);
    }
}

static int net_worker_broken(struct net_worker *n, const char *ring, unsigned int queue,
                             const struct ring_back *r, int err)
{
    worker_report(&n->base, WIRE_BROKEN, -err,
                  "%s ring of queue %u: impossible indices or a packet without an end: req_prod "
                  "%u, taken %u, answered %u, ring of %u",
                  ring, queue, r->shared->req_prod, r->req_cons, r->rsp_prod, r->nr_entries);
    return err;
}

/* One turn for one queue. Returns whether there was anything to do, or -errno after a report. */
static int net_worker_serve_queue(struct net_worker *n, unsigned int i)
{
    bool notify_tx = false, notify_rx = false;
    int taken = net_tx_take(&n->tx[i], &notify_tx);
    int err;

    if (taken < 0) {
        return net_worker_broken(n, "transmit", i, &n->tx[i].ring, taken);
    }
    err = net_rx_deliver(&n->rx[i], &notify_rx);
    if (err != 0) {
        return net_worker_broken(n, "receive", i, &n->rx[i].ring, err);
    }
    net_rx_post(&n->rx[i]);
    if (notify_tx) {
        worker_notify(&n->base, n->tx_ports[i]);
    }
    if (notify_rx && (!notify_tx || n->rx_ports[i] != n->tx_ports[i])) {
        worker_notify(&n->base, n->rx_ports[i]);
    }
    return taken > 0;
}

/* All rings, once. Returns whether there was anything to do, or -errno after a report. */
static int net_worker_serve_rings(struct net_worker *n)
{
    int busy = 0;

    if (n->config.has_ctrl) {
        bool notify = false;
        int err = net_ctrl_take(&n->ctrl, &notify);

        if (err != 0) {
            return net_worker_broken(n, "control", 0, &n->ctrl.ring, err);
        }
        if (notify) {
            worker_notify(&n->base, n->ctrl_port);
        }
    }
    for (unsigned int i = 0; i < n->config.nr_queues; i++) {
        int found = net_worker_serve_queue(n, i);

        if (found < 0) {
            return found;
        }
        busy |= found;
    }
    return busy;
}

static uint64_t net_worker_earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The link goes down for who takes no packets for too long. Returns when to look again. */
static uint64_t net_worker_watch_stalls(struct net_worker *n)
{
    uint64_t stall_ns = n->config.settings.stall_seconds * NS_PER_S;
    uint64_t next = UINT64_MAX, now_ns;
    bool up = true;

    for (unsigned int i = 0; i < n->config.nr_queues; i++) {
        uint64_t since = n->rx[i].blocked_since_ns;

        if (since == 0) {
            continue;
        }
        now_ns = net_vif_now(&n->vif);
        if (now_ns - since < NET_RX_DRAIN_NS) {
            next = net_worker_earlier(next, since + NET_RX_DRAIN_NS);
        }
        if (n->config.rx_notify && now_ns - since >= stall_ns) {
            up = false;
        } else {
            next = net_worker_earlier(next, n->config.rx_notify ? since + stall_ns
                                                                : now_ns + POLL_ROOM_NS);
        }
    }
    net_worker_set_link(n, up);
    return next;
}

/*
 * How long to wait, 0 for not at all. The guest is asked for events before the rings are looked at
 * for the last time; an event that it sends from then on stays pending until its port is unmasked,
 * which the submission that begins the wait does.
 */
static uint64_t net_worker_wait(struct net_worker *n)
{
    uint64_t until = net_worker_watch_stalls(n);
    bool wait = true;

    for (unsigned int i = 0; i < n->config.nr_queues; i++) {
        wait = net_tx_may_wait(&n->tx[i]) && net_rx_may_wait(&n->rx[i]) && wait;
        if (n->tx[i].no_credit) {
            until = net_worker_earlier(until, n->vif.credit.next_ns);
        }
    }
    if (n->config.has_ctrl && ring_final_check(&n->ctrl.ring)) {
        wait = false;
    }
    if (!wait || (until != UINT64_MAX && until <= net_vif_now(&n->vif))) {
        return 0;
    }
    worker_listen(&n->base);
    return until == UINT64_MAX ? until : until - net_vif_now(&n->vif);
}

static bool net_worker_writes(const struct net_worker *n)
{
    unsigned int nr = 0;

    for (unsigned int i = 0; i < n->config.nr_queues; i++) {
        nr += n->tx[i].in_flight;
    }
    return nr != 0;
}

/* What the device says of itself, rather than of packets. */
static void net_worker_note_figures(struct net_worker *n)
{
    figures_set(n->vif.figures, NET_FIGURE_EVENTS, n->base.nr_events);
    figures_set(n->vif.figures, NET_FIGURE_NOTIFICATIONS, n->base.nr_notifications);
}

/* A guest that was given packets shall have the processor, and not find us looking for its answer.
 */
static void net_worker_note_work(struct net_worker *n, bool sent, bool delivered)
{
    if (sent || delivered) {
        n->expects_more = !delivered;
        n->estate->head.progress++;
        net_patience_busy(&n->patience);
    }
}

/* Nothing more was found: how long to wait, or others may run for a moment. */
static uint64_t net_worker_rest(struct net_worker *n)
{
    uint64_t begin = __rdtsc(), wait_ns;

    if (n->expects_more && net_patience_look(&n->patience, begin)) {
        sched_yield();
        return 0;
    }
    wait_ns = net_worker_wait(n);
    n->waits_since = wait_ns != 0 && n->expects_more ? begin : 0;
    return wait_ns;
}

static int net_worker_turn_over(struct worker *base, uint64_t *wait_ns)
{
    struct net_worker *n = net_worker_of(base);
    uint64_t delivered = n->vif.figures->value[NET_FIGURE_RX_PACKETS];
    int busy;

    if (n->vif.tap_error != 0) {
        worker_report(base, WIRE_FAILED, -n->vif.tap_error, "the interface is lost: %s",
                      strerror(-n->vif.tap_error));
        return n->vif.tap_error;
    }
    if (n->waits_since != 0) {
        net_patience_waited(&n->patience, n->waits_since, __rdtsc());
        n->waits_since = 0;
    }
    if (base->stopping) {
        *wait_ns = UINT64_MAX;
        return net_worker_writes(n) ? 0 : WORKER_DONE;
    }
    n->vif.now_ns = 0;
    busy = net_worker_serve_rings(n);
    if (busy < 0) {
        return busy;
    }
    net_worker_note_figures(n);
    net_worker_note_work(n, busy != 0, n->vif.figures->value[NET_FIGURE_RX_PACKETS] != delivered);
    *wait_ns = busy != 0 ? 0 : net_worker_rest(n);
    return 0;
}

static void net_worker_close_estate(struct worker *base, int err)
{
    if (err == 0) {
        net_estate_end(net_worker_of(base)->estate);
    }
}

const struct worker_class net_worker_class = {
    .wire = &net_wire_format,
    .accept = net_worker_has_taps,
    .connect = net_worker_connect_all,
    .rules = net_worker_rules,
    .begin = net_worker_begin,
    .turn = net_worker_turn_over,
    .complete = net_worker_packet_done,
    .order = net_worker_take_order,
    .end = net_worker_close_estate,
};
