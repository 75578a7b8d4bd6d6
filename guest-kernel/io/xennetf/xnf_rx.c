/*
 * xnf_rx.c - one queue's receive ring.
 *
 * All buffers are on the ring, as requests to fill them, but for the ones of the frame that the
 * user looks at now. Answers are copied once, a frame's worth at a time; the gate (xnf_gate.h)
 * makes a frame of them, and after the user's function returned its buffers go on the ring again.
 *
 * A handler takes at most XNF_RX_BUDGET slots and asks for another call then, before which threads
 * have their share of the vCPU (os/evtchn.c). So a network that floods us costs frames, not the
 * vCPU.
 *
 * Owns the receive half of struct xnf_queue. Locks: x->rx_lock, for a frame at a time. Suspend: as
 * in xnf_tx.c.
 */
#include "io/xennetf/xennetf_impl.h"
#include "io/xennetf/xnf_gate.h"
#include "kern/string.h"

#define XNF_RX_BUDGET (2 * XNF_RING_SIZE)
#define XNF_RX_PUSH   16 /* buffers given back before the back end is told */

/* All of these run with x->rx_lock held, or before the interface is started. */

/* Asks for buffer @b to be filled; the back end is not told yet. */
static void xnf_rx_ask(struct xnf_queue *q, unsigned b)
{
    unsigned place = q->rx.req_prod_pvt & (XNF_RING_SIZE - 1);

    q->rx_slot[place] = (uint16_t)b;
    *RING_GET_REQUEST(&q->rx, q->rx.req_prod_pvt) =
        (struct netif_rx_request){.id = (uint16_t)place, .gref = q->rx_bufs[b].gref};
    q->rx.req_prod_pvt++;
}

static void xnf_rx_push(struct xnf_queue *q)
{
    int notify;

    if (q->rx.req_prod_pvt != q->rx.sring->req_prod) {
        RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&q->rx, notify);
        if (notify != 0) {
            evtchn_notify(q->rx_port);
        }
    }
}

int xnf_rx_init(struct xnf_queue *q)
{
    struct netif_rx_sring *sring = q->rx_page;

    SHARED_RING_INIT(sring);
    FRONT_RING_INIT(&q->rx, sring, PAGE_SIZE);
    q->rx_draining = false;
    q->rx_deaf = false;
    if (q->rx.nr_ents != XNF_RING_SIZE) {
        return -EINVAL;
    }
    for (unsigned i = 0; i < q->nbufs; i++) {
        int rc = xnf_buf_grant(&q->rx_bufs[i], q->x->fe.otherend_id, false);

        if (rc != 0) {
            return rc;
        }
        xnf_rx_ask(q, i);
    }
    RING_PUSH_REQUESTS(&q->rx);
    return 0;
}

/* Answers that wait; -EBADMSG if there cannot be so many. */
static int waiting(struct xnf_queue *q)
{
    RING_IDX n = READ_ONCE(q->rx.sring->rsp_prod) - q->rx.rsp_cons;

    rmb();
    if (n > q->rx.req_prod_pvt - q->rx.rsp_cons) {
        xnf_break(q->x, "more answers than buffers to receive into");
        return -EBADMSG;
    }
    return (int)n;
}

static void xnf_rx_deliver(struct xnf_queue *q, const struct xnf_frame *frame)
{
    struct net_piece pieces[NET_PIECES_MAX];

    for (unsigned i = 0; i < frame->nparts; i++) {
        const struct xnf_part *part = &frame->parts[i];
        unsigned place = (q->rx.rsp_cons + part->slot) & (XNF_RING_SIZE - 1);

        pieces[i] = (struct net_piece){
            .base = (char *)q->rx_bufs[q->rx_slot[place]].page + part->offset, .len = part->len};
    }
    q->rx_frames++;
    q->rx_bytes += frame->net.len;
    net_receive(&q->x->net, &frame->net, pieces, frame->nparts);
}

/* Takes the frame that @slots begin. How many slots it took; 0: it is not complete; -EBADMSG. */
static int take_frame(struct xnf_queue *q, const union xnf_slot *slots, unsigned n)
{
    struct xnf_frame frame;
    unsigned first = q->rx.rsp_cons;
    bool draining = q->rx_draining;
    int rc = draining ? xnf_gate_drain(slots, n, first, XNF_RING_SIZE, &frame)
                      : xnf_gate(slots, n, first, XNF_RING_SIZE, &frame);

    if (rc == -EAGAIN) {
        return 0;
    }
    if (rc == -EBADMSG) {
        xnf_break(q->x, frame.why);
        return rc;
    }
    q->rx_draining = frame.open;
    if (rc != 0) {
        q->rx_errors++;
    } else if (!draining) {
        xnf_rx_deliver(q, &frame);
    }
    for (unsigned i = 0; i < frame.slots; i++) {
        unsigned b = q->rx_slot[q->rx.rsp_cons & (XNF_RING_SIZE - 1)];

        q->rx.rsp_cons++;
        xnf_rx_ask(q, b);
    }
    return (int)frame.slots;
}

/* There is no complete frame: gives all buffers back and asks for an event; true: not needed. */
static bool ask_event(struct xnf_queue *q, RING_IDX seen)
{
    xnf_rx_push(q);
    WRITE_ONCE(q->rx.sring->rsp_event, q->rx.rsp_cons + seen + 1);
    mb();
    return READ_ONCE(q->rx.sring->rsp_prod) - q->rx.rsp_cons > seen;
}

/* One frame, or the end of the work. Slots taken; *@more: call again. */
static unsigned xnf_rx_step(struct xnf_queue *q, bool *more)
{
    union xnf_slot slots[XNF_SLOTS_MAX];

    *more = false;
    int n = xnf_moving(q->x) && !q->rx_deaf ? waiting(q) : -ENOTCONN;
    if (n < 0) {
        return 0;
    }
    int part = MIN(n, (int)XNF_SLOTS_MAX);
    for (int i = 0; i < part; i++) {
        memcpy(&slots[i], RING_GET_RESPONSE(&q->rx, q->rx.rsp_cons + (RING_IDX)i),
               sizeof(slots[i]));
    }
    barrier();
    int taken = part != 0 ? take_frame(q, slots, (unsigned)part) : 0;
    if (taken < 0) {
        return 0;
    }
    if (taken == 0) {
        *more = ask_event(q, (RING_IDX)n);
        return 0;
    }
    if (q->rx.req_prod_pvt - q->rx.sring->req_prod >= XNF_RX_PUSH) {
        xnf_rx_push(q);
    }
    *more = true;
    return (unsigned)taken;
}

/* Takes the lock by itself, frame by frame. */
static void xnf_rx_receive(struct xnf_queue *q)
{
    struct xnf *x = q->x;
    unsigned used = 0;
    bool more = true;

    while (more && used < XNF_RX_BUDGET) {
        upcall_state_t s = spin_lock(&x->rx_lock);

        used += MAX(xnf_rx_step(q, &more), 1u); /* a step without a frame is work as well */
        if (more && used >= XNF_RX_BUDGET) {
            xnf_rx_push(q);
            evtchn_again(q->rx_port);
        }
        spin_unlock(&x->rx_lock, s);
    }
}

void xnf_rx_event(evtchn_port_t port __unused, void *arg)
{
    xnf_rx_receive(arg);
}

void xnf_event(evtchn_port_t port, void *arg)
{
    xnf_tx_event(port, arg);
    xnf_rx_receive(arg);
}
