/*
 * xnf_tx.c - one queue's transmit ring.
 *
 * A frame is copied into buffers of the queue's pool, a page each, and takes a slot for each and
 * one more if it is to be segmented. Nobody waits for the answers: they are taken when room is
 * needed. Only when there is none is an event asked for, once half of what is under way is
 * answered.
 *
 * A change of the multicast filter goes to the back end as a frame without bytes, on queue 0. It
 * takes a buffer's id, and a slot with extra info.
 *
 * Each answer is copied once; it must name a buffer that was sent, or, with NETIF_RSP_NULL, stand
 * for extra info that was sent.
 *
 * Owns the transmit half of struct xnf_queue. Locks: q->tx_lock. Suspend: what the back end has is
 * lost with it; the ring is made anew.
 */
#include "io/xennetf/xennetf_impl.h"
#include "kern/string.h"

/* The most that one frame takes: room for another is only announced when there is that much. */
#define PAGES_MAX DIV_ROUND_UP(NET_FRAME_MAX, PAGE_SIZE)
#define SLOTS_MAX (PAGES_MAX + 1)

_Static_assert(SLOTS_MAX <= XEN_NETIF_NR_SLOTS_MIN, "what every back end takes");
_Static_assert(sizeof(struct netif_extra_info) <= sizeof(struct netif_tx_request), "fits a slot");

/* All of these run with q->tx_lock held. */

static void put_buf(struct xnf_queue *q, unsigned id)
{
    q->tx_bufs[id].next = q->tx_free;
    q->tx_free = (uint16_t)id;
    q->tx_nfree++;
}

static unsigned take_buf(struct xnf_queue *q)
{
    unsigned id = q->tx_free;

    q->tx_free = q->tx_bufs[id].next;
    q->tx_nfree--;
    return id;
}

int xnf_tx_init(struct xnf_queue *q)
{
    struct netif_tx_sring *sring = q->tx_page;

    SHARED_RING_INIT(sring);
    FRONT_RING_INIT(&q->tx, sring, PAGE_SIZE);
    q->tx_free = XNF_NO_BUF;
    q->tx_nfree = 0;
    q->tx_extras = 0;
    q->tx_blocked = false;
    q->tx_seized = false;
    for (unsigned i = q->nbufs; i-- > 0;) {
        put_buf(q, i);
    }
    return q->tx.nr_ents == XNF_RING_SIZE ? 0 : -EINVAL;
}

/* One answer, already copied. False: the back end broke the protocol. */
static bool xnf_tx_take_response(struct xnf_queue *q, const struct netif_tx_response *rsp)
{
    if (rsp->status == NETIF_RSP_NULL) {
        if (q->tx_extras == 0) {
            xnf_break(q->x, "an answer to extra info that was not sent");
            return false;
        }
        q->tx_extras--;
        return true;
    }
    if (rsp->id >= q->nbufs || !q->tx_bufs[rsp->id].sent) {
        xnf_break(q->x, "an answer to a frame that was not sent or was answered");
        return false;
    }
    q->tx_errors += rsp->status < 0;
    q->tx_bufs[rsp->id].sent = false;
    put_buf(q, rsp->id);
    return true;
}

/* Takes the answers that are there. False: the back end broke the protocol. */
static bool reap(struct xnf_queue *q)
{
    RING_IDX prod = READ_ONCE(q->tx.sring->rsp_prod);

    rmb();
    if (prod - q->tx.rsp_cons > q->tx.req_prod_pvt - q->tx.rsp_cons) {
        xnf_break(q->x, "more answers than frames were sent");
        return false;
    }
    while (q->tx.rsp_cons != prod) {
        struct netif_tx_response rsp;

        memcpy(&rsp, RING_GET_RESPONSE(&q->tx, q->tx.rsp_cons), sizeof(rsp));
        barrier();
        q->tx.rsp_cons++;
        if (!xnf_tx_take_response(q, &rsp)) {
            return false;
        }
    }
    return true;
}

static bool xnf_tx_has_room(const struct xnf_queue *q, unsigned pages, unsigned slots)
{
    return q->tx_nfree >= pages && RING_FREE_REQUESTS(&q->tx) >= slots;
}

/* Makes room, or has an event come when there is some: 0, -EAGAIN, -ENOTCONN. */
static int xnf_tx_make_room(struct xnf_queue *q, unsigned pages, unsigned slots)
{
    while (!xnf_tx_has_room(q, pages, slots)) {
        RING_IDX half = (q->tx.req_prod_pvt - q->tx.rsp_cons + 1) / 2;

        WRITE_ONCE(q->tx.sring->rsp_event, q->tx.rsp_cons + half);
        mb();
        if (READ_ONCE(q->tx.sring->rsp_prod) - q->tx.rsp_cons < half) {
            q->tx_blocked = true;
            return -EAGAIN;
        }
        if (!reap(q)) {
            return -ENOTCONN;
        }
    }
    return 0;
}

/* Copies the next @len bytes of the pieces; *@piece and *@done say where they begin. */
static void xnf_tx_gather(char *to, size_t len, const struct net_piece **piece, size_t *done)
{
    while (len != 0) {
        size_t part = MIN(len, (*piece)->len - *done);

        memcpy(to, (const char *)(*piece)->base + *done, part);
        to += part;
        len -= part;
        *done += part;
        if (*done == (*piece)->len) {
            ++*piece;
            *done = 0;
        }
    }
}

/* Fills buffers with the frame. -ENOMEM: none is used. */
static int xnf_tx_fill(struct xnf_queue *q, const struct net_frame *frame,
                       const struct net_piece *piece, uint16_t *ids, unsigned pages)
{
    size_t done = 0;
    uint32_t left = frame->len;

    for (unsigned i = 0; i < pages; i++) {
        struct xnf_buf *buf = &q->tx_bufs[ids[i] = (uint16_t)take_buf(q)];

        if (buf->page == NULL && xnf_buf_grant(buf, q->x->fe.otherend_id, true) != 0) {
            for (unsigned j = i + 1; j-- > 0;) {
                put_buf(q, ids[j]);
            }
            return -ENOMEM;
        }
        uint32_t part = MIN(left, PAGE_SIZE);
        xnf_tx_gather(buf->page, part, &piece, &done);
        left -= part;
    }
    return 0;
}

static void put_extra(struct xnf_queue *q, const struct netif_extra_info *extra)
{
    struct netif_tx_request *slot = RING_GET_REQUEST(&q->tx, q->tx.req_prod_pvt++);

    memset(slot, 0, sizeof(*slot));
    memcpy(slot, extra, sizeof(*extra));
    q->tx_extras++;
}

static void put_gso(struct xnf_queue *q, const struct net_frame *frame)
{
    const struct netif_extra_info gso = {.type = XEN_NETIF_EXTRA_TYPE_GSO,
                                         .u.gso.size = frame->gso_size,
                                         .u.gso.type = frame->gso == NET_GSO_TCPV4
                                                           ? XEN_NETIF_GSO_TYPE_TCPV4
                                                           : XEN_NETIF_GSO_TYPE_TCPV6};

    put_extra(q, &gso);
}

static void put_change(struct xnf_queue *q, const struct xnf_mcast_change *change)
{
    struct netif_extra_info mcast = {.type = change->add ? XEN_NETIF_EXTRA_TYPE_MCAST_ADD
                                                         : XEN_NETIF_EXTRA_TYPE_MCAST_DEL};
    unsigned id = take_buf(q);

    memcpy(mcast.u.mcast.addr, change->mac, sizeof(mcast.u.mcast.addr));
    *RING_GET_REQUEST(&q->tx, q->tx.req_prod_pvt++) =
        (struct netif_tx_request){.flags = NETTXF_extra_info, .id = (uint16_t)id};
    q->tx_bufs[id].sent = true;
    put_extra(q, &mcast);
}

static void xnf_tx_push(struct xnf_queue *q)
{
    int notify;

    RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&q->tx, notify);
    if (notify != 0) {
        evtchn_notify(q->tx_port);
    }
}

/* Puts the slots of a frame on the ring. The first one's size is that of the whole. */
static void put_slots(struct xnf_queue *q, const struct net_frame *frame, const uint16_t *ids,
                      unsigned pages)
{
    uint16_t flags =
        (uint16_t)((frame->csum_blank ? NETTXF_csum_blank : 0) |
                   (frame->csum_blank || frame->csum_valid ? NETTXF_data_validated : 0) |
                   (frame->gso != NET_GSO_NONE ? NETTXF_extra_info : 0));

    for (unsigned i = 0; i < pages; i++) {
        struct xnf_buf *buf = &q->tx_bufs[ids[i]];
        uint32_t rest = frame->len - i * (uint32_t)PAGE_SIZE;

        *RING_GET_REQUEST(&q->tx, q->tx.req_prod_pvt++) = (struct netif_tx_request){
            .gref = buf->gref,
            .flags = (uint16_t)(flags | (i + 1 < pages ? NETTXF_more_data : 0)),
            .id = ids[i],
            .size = (uint16_t)(i == 0 ? frame->len : MIN(rest, PAGE_SIZE))};
        buf->sent = true;
        if (i == 0 && frame->gso != NET_GSO_NONE) {
            put_gso(q, frame);
        }
        flags = 0;
    }
}

int xnf_tx_send(struct xnf_queue *q, const struct net_frame *frame, const struct net_piece *pieces,
                unsigned n)
{
    unsigned pages = (unsigned)DIV_ROUND_UP(frame->len, PAGE_SIZE);
    unsigned slots = pages + (frame->gso != NET_GSO_NONE ? 1 : 0);
    uint16_t ids[PAGES_MAX];
    size_t total = 0;

    for (unsigned i = 0; i < n; i++) {
        total += pieces[i].len;
    }
    if (total != frame->len || (pages > 1 && !q->x->features.sg)) {
        return -EMSGSIZE;
    }
    int rc = q->tx_seized ? -EAGAIN : xnf_tx_make_room(q, pages, slots);
    if (rc != 0) {
        return rc;
    }
    if (xnf_tx_fill(q, frame, pieces, ids, pages) != 0) {
        q->tx_dropped++;
        return 0;
    }
    put_slots(q, frame, ids, pages);
    q->tx_frames++;
    q->tx_bytes += frame->len;
    xnf_tx_push(q);
    return 0;
}

int xnf_tx_seize(struct xnf_queue *q)
{
    bool ours = q->tx_nfree != q->nbufs || q->tx_extras != 0;

    if (q->tx_seized && !ours && q->tx.rsp_cons != q->tx.req_prod_pvt) {
        return -EBUSY;
    }
    q->tx_seized = true;
    q->tx_blocked = false;
    if (!reap(q)) {
        return -ENOTCONN;
    }
    return q->tx.rsp_cons == q->tx.req_prod_pvt ? 0 : -EAGAIN;
}

static bool next_change(struct xnf *x, struct xnf_mcast_change *change)
{
    upcall_state_t s = spin_lock(&x->lock);
    bool some = xnf_mcast_next(&x->mcast, change);

    spin_unlock(&x->lock, s);
    return some;
}

/* As many changes of the multicast filter as there is room for. */
static void tell_changes(struct xnf_queue *q)
{
    struct xnf_mcast_change change;

    if (!q->x->features.mcast || q->index != 0 || q->tx_seized) {
        return;
    }
    while (xnf_tx_make_room(q, 1, 2) == 0 && next_change(q->x, &change)) {
        put_change(q, &change);
    }
    xnf_tx_push(q);
}

/* These two take the lock by themselves. */

void xnf_tx_multicast(struct xnf_queue *q)
{
    upcall_state_t s = spin_lock(&q->tx_lock);

    if (xnf_moving(q->x)) {
        tell_changes(q);
    }
    spin_unlock(&q->tx_lock, s);
}

void xnf_tx_event(evtchn_port_t port __unused, void *arg)
{
    struct xnf_queue *q = arg;
    bool wake = false;
    upcall_state_t s = spin_lock(&q->tx_lock);

    if (q->tx_blocked && xnf_moving(q->x) && reap(q)) {
        wake = xnf_tx_make_room(q, PAGES_MAX, SLOTS_MAX) == 0;
        q->tx_blocked = !wake;
        if (wake) {
            tell_changes(q);
        }
    }
    spin_unlock(&q->tx_lock, s);
    if (wake) {
        net_writable(&q->x->net);
    }
}
