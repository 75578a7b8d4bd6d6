/*
 * xennetf.c - the network front end's interface as a whole: its queues, its life, its users' calls.
 *
 * What the back end may see of our memory are pages of a pool, zeroed once, granted while the
 * interface is connected and used for nothing else: frames are copied into and out of them. So a
 * grant is never taken back while a frame is under way, and a back end that holds on to a page
 * holds up nobody (gnttab_unshare_page() frees it when it is let go).
 *
 * A back end that breaks the protocol has its rings taken away: the interface is BROKEN and without
 * carrier until it is attached again. Nothing else happens.
 *
 * Owns struct xnf and the making of struct xnf_queue. Locks: see xennetf_impl.h. Suspend:
 * xnf_pause(), then xnf_unpause(); in another domain xnf_stop() and xnf_queue_close() in between.
 */
#include "io/xennetf/xennetf_impl.h"

#include "hat/p2m.h"
#include "io/xennetf/xnf_flow.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "kern/thread.h"

#define VLAN_LEN 4u /* a tag that does not count as data */

static void set_state(struct xnf *x, enum frontend_path state)
{
    upcall_state_t s = spin_lock(&x->lock);

    x->state = state;
    spin_unlock(&x->lock, s);
}

/* Waits until everybody who looked at the state before it changed is done. */
static void pass_locks(struct xnf *x)
{
    upcall_state_t s = spin_lock(&x->rx_lock);

    spin_unlock(&x->rx_lock, s);
    for (unsigned i = 0; i < x->nqueues; i++) {
        s = spin_lock(&x->queues[i]->tx_lock);
        spin_unlock(&x->queues[i]->tx_lock, s);
    }
}

void xnf_break(struct xnf *x, const char *why)
{
    upcall_state_t s = spin_lock(&x->lock);
    bool first = x->state == PATH_UP;

    if (first) {
        x->state = PATH_BROKEN;
    }
    spin_unlock(&x->lock, s);
    if (first) {
        frontend_break(&x->fe, why);
    }
}

/* Looks at every ring, tells the back end that there is room, and the user. */
static void xennetf_kick(struct xnf *x)
{
    xnf_tx_multicast(x->queues[0]);
    for (unsigned i = 0; i < x->nqueues; i++) {
        struct xnf_queue *q = x->queues[i];

        evtchn_notify(q->tx_port);
        if (q->rx_port != q->tx_port) {
            evtchn_notify(q->rx_port);
        }
        xnf_event(q->tx_port, q);
    }
    net_writable(&x->net);
}

void xnf_start(struct xnf *x)
{
    upcall_state_t s = spin_lock(&x->lock);

    xnf_mcast_forget(&x->mcast);
    spin_unlock(&x->lock, s);
    set_state(x, PATH_UP);
    xennetf_kick(x);
}

void xnf_stop(struct xnf *x, enum frontend_path state)
{
    set_state(x, state);
    pass_locks(x);
}

void xnf_pause(struct xnf *x)
{
    WRITE_ONCE(x->paused, true);
    pass_locks(x);
}

void xnf_unpause(struct xnf *x)
{
    WRITE_ONCE(x->paused, false);
    if (READ_ONCE(x->state) == PATH_UP) {
        xennetf_kick(x);
    }
}

/* Which queue a frame takes: all of a flow the same one. */
static struct xnf_queue *choose(struct xnf *x, const struct net_piece *pieces)
{
    unsigned n = READ_ONCE(x->nqueues);
    unsigned i = n > 1 ? xnf_flow_hash(pieces[0].base, pieces[0].len) % n : 0;

    return x->queues[i];
}

/* Whether the back end takes such a frame. */
static int xennetf_check(const struct xnf *x, const struct net_frame *frame)
{
    switch (frame->gso) {
    case NET_GSO_NONE:
        return frame->len > READ_ONCE(x->mtu) + NET_HEADER_LEN + VLAN_LEN ? -EMSGSIZE : 0;
    case NET_GSO_TCPV4:
        return x->features.gso_v4 && frame->gso_size != 0 ? 0 : -EMSGSIZE;
    case NET_GSO_TCPV6:
        return x->features.gso_v6 && frame->gso_size != 0 ? 0 : -EMSGSIZE;
    default:
        return -EMSGSIZE;
    }
}

int xnf_transmit(struct net_dev *dev, const struct net_frame *frame, const struct net_piece *pieces,
                 unsigned n)
{
    struct xnf *x = CONTAINER_OF(dev, struct xnf, net);

    if (!xnf_moving(x) || !READ_ONCE(x->carrier)) {
        return -ENOTCONN;
    }
    int rc = xennetf_check(x, frame);
    if (rc != 0) {
        return rc;
    }
    struct xnf_queue *q = choose(x, pieces);
    upcall_state_t s = spin_lock(&q->tx_lock);
    bool open = xnf_moving(x) && q->index < x->nqueues;
    rc = open ? xnf_tx_send(q, frame, pieces, n) : -ENOTCONN;
    spin_unlock(&q->tx_lock, s);
    return rc;
}

void xnf_info(struct net_dev *dev, struct net_info *info)
{
    struct xnf *x = CONTAINER_OF(dev, struct xnf, net);
    const struct xnf_features *f = &x->features;

    *info = (struct net_info){.carrier = xnf_moving(x) && READ_ONCE(x->carrier),
                              .csum_v4 = !f->no_csum,
                              .csum_v6 = f->csum_v6,
                              .gso_v4 = f->gso_v4,
                              .gso_v6 = f->gso_v6,
                              .queues = x->nqueues};
    memcpy(info->mac, x->mac, sizeof(info->mac));
    upcall_state_t s = spin_lock(&x->lock);
    info->mtu = x->mtu;
    memcpy(info->ip, x->ip, sizeof(info->ip));
    spin_unlock(&x->lock, s);
    for (unsigned i = 0; i < XNF_QUEUES_MAX && x->queues[i] != NULL; i++) {
        const struct xnf_queue *q = x->queues[i];

        info->rx_frames += q->rx_frames;
        info->rx_bytes += q->rx_bytes;
        info->rx_dropped += q->rx_dropped;
        info->rx_errors += q->rx_errors;
        info->tx_frames += q->tx_frames;
        info->tx_bytes += q->tx_bytes;
        info->tx_dropped += q->tx_dropped;
        info->tx_errors += q->tx_errors;
    }
}

int xnf_multicast(struct net_dev *dev, const uint8_t (*macs)[NET_MAC_LEN], unsigned n)
{
    struct xnf *x = CONTAINER_OF(dev, struct xnf, net);
    upcall_state_t s = spin_lock(&x->lock);
    int rc = xnf_mcast_want(&x->mcast, macs, n);

    spin_unlock(&x->lock, s);
    if (rc == 0 && xnf_moving(x)) {
        xnf_tx_multicast(x->queues[0]);
    }
    return rc;
}

int xnf_buf_grant(struct xnf_buf *buf, uint16_t domid, bool readonly)
{
    buf->page = page_alloc_zeroed(0);
    if (buf->page == NULL) {
        return -ENOMEM;
    }
    frames_hold();
    gnttab_grant(buf->gref, domid, virt_to_mfn(buf->page), readonly);
    frames_release();
    return 0;
}

/* The back end's access ends; its pages come back when it lets go of them. */
static void free_bufs(struct xnf_buf *bufs, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (bufs[i].page != NULL) {
            gnttab_unshare_page(bufs[i].gref, bufs[i].page);
        } else if (bufs[i].gref != GREF_NONE) {
            gnttab_free(bufs[i].gref);
        }
        bufs[i] = (struct xnf_buf){.gref = GREF_NONE};
    }
}

static void free_ring(gref_t *gref, void **page)
{
    if (*gref != GREF_NONE) {
        gnttab_unshare_page(*gref, *page);
        *gref = GREF_NONE;
        *page = NULL;
    }
}

static int make_grefs(struct xnf_buf *bufs, unsigned n)
{
    int rc = 0;

    for (unsigned i = 0; i < n && rc == 0; i++) {
        rc = gnttab_alloc(&bufs[i].gref);
    }
    return rc;
}

static int make_port(struct xnf_queue *q, const char *name, evtchn_handler_t handler,
                     evtchn_port_t *port)
{
    int rc = evtchn_alloc_unbound(q->x->fe.otherend_id, name, IPL_NET, handler, q);

    if (rc < 0) {
        return rc;
    }
    *port = (evtchn_port_t)rc;
    evtchn_set_home(*port, q->index);
    return 0;
}

static int make_ports(struct xnf_queue *q, bool split)
{
    if (!split) {
        int rc = make_port(q, q->tx_name, xnf_event, &q->tx_port);

        q->rx_port = q->tx_port;
        return rc;
    }
    int rc = make_port(q, q->tx_name, xnf_tx_event, &q->tx_port);
    return rc != 0 ? rc : make_port(q, q->rx_name, xnf_rx_event, &q->rx_port);
}

int xnf_queue_open(struct xnf_queue *q, unsigned nbufs, bool split)
{
    uint16_t domid = q->x->fe.otherend_id;

    q->nbufs = MIN(nbufs, XNF_RING_SIZE);
    int rc = gnttab_share_new_page(domid, &q->tx_page, &q->tx_gref);
    if (rc == 0) {
        rc = gnttab_share_new_page(domid, &q->rx_page, &q->rx_gref);
    }
    if (rc == 0) {
        rc = make_grefs(q->tx_bufs, q->nbufs);
    }
    if (rc == 0) {
        rc = make_grefs(q->rx_bufs, q->nbufs);
    }
    if (rc == 0) {
        rc = xnf_tx_init(q);
    }
    if (rc == 0) {
        rc = xnf_rx_init(q);
    }
    if (rc == 0) {
        rc = make_ports(q, split);
    }
    if (rc != 0) {
        xnf_queue_close(q, false);
    }
    return rc;
}

void xnf_queue_close(struct xnf_queue *q, bool lost)
{
    if (!lost && q->rx_port != EVTCHN_NONE && q->rx_port != q->tx_port) {
        evtchn_close(q->rx_port);
    }
    if (!lost && q->tx_port != EVTCHN_NONE) {
        evtchn_close(q->tx_port);
    }
    q->tx_port = EVTCHN_NONE;
    q->rx_port = EVTCHN_NONE;
    free_bufs(q->tx_bufs, q->nbufs);
    free_bufs(q->rx_bufs, q->nbufs);
    free_ring(&q->tx_gref, &q->tx_page);
    free_ring(&q->rx_gref, &q->rx_page);
}

static const struct net_ops xnf_ops;

void xnf_init(struct xnf *x, const char *name)
{
    net_init(&x->net, name, &xnf_ops);
    spin_init(&x->rx_lock, "xennetf-rx");
    spin_init(&x->lock, "xennetf");
    x->state = PATH_DOWN;
    x->mtu = XNF_MTU;
}

struct xnf_queue *xnf_queue_new(struct xnf *x, unsigned index)
{
    struct xnf_queue *q = kzalloc(sizeof(*q));

    if (q == NULL) {
        return NULL;
    }
    q->x = x;
    q->index = index;
    snprintf(q->tx_name, sizeof(q->tx_name), "%s-%u-tx", x->net.name, index);
    snprintf(q->rx_name, sizeof(q->rx_name), "%s-%u-rx", x->net.name, index);
    q->tx_gref = GREF_NONE;
    q->rx_gref = GREF_NONE;
    for (unsigned i = 0; i < XNF_RING_SIZE; i++) {
        q->tx_bufs[i].gref = GREF_NONE;
        q->rx_bufs[i].gref = GREF_NONE;
    }
    spin_init(&q->tx_lock, "xennetf-tx");
    return q;
}

void xnf_fini(struct xnf *x)
{
    for (unsigned i = 0; i < XNF_QUEUES_MAX; i++) {
        kfree(x->queues[i]);
        x->queues[i] = NULL;
    }
}

static void xennetf_release(struct net_dev *dev)
{
    struct xnf *x = CONTAINER_OF(dev, struct xnf, net);

    xnf_fini(x);
    kfree(x);
}

static const struct net_ops xnf_ops = {
    .transmit = xnf_transmit,
    .info = xnf_info,
    .multicast = xnf_multicast,
    .release = xennetf_release,
};
