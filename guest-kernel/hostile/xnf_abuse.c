/*
 * xnf_abuse.c - see xnf_abuse.h.
 *
 * The rings belong to xnf_tx.c and xnf_rx.c; two flags of a queue, tx_seized and rx_deaf, keep
 * these from them while a session is at work, and fall with the rings.
 */
#include "hostile/xnf_abuse.h"

#include "io/xennetf/xennetf_impl.h"
#include "kern/mem.h"
#include "kern/string.h"

static struct xnf *interface(const struct xnf_abuse *a)
{
    return CONTAINER_OF(a->dev, struct xnf, net);
}

/* There since the interface was connected for the first time, which xnf_abuse_open() saw to. */
static struct xnf_queue *first_queue(const struct xnf_abuse *a)
{
    return interface(a)->queues[0];
}

static int share_page(struct xnf_abuse *a)
{
    a->page = page_alloc_zeroed(0);
    if (a->page == NULL) {
        return -ENOMEM;
    }
    int rc = gnttab_share_page(interface(a)->fe.otherend_id, a->page, true, &a->gref);
    if (rc != 0) {
        page_free(a->page, 0);
    }
    return rc;
}

int xnf_abuse_open(struct xnf_abuse *a, const char *name)
{
    int rc;

    *a = (struct xnf_abuse){.dev = net_get(name), .gref = GREF_NONE};
    if (a->dev == NULL) {
        return -ENODEV;
    }
    if (a->dev->ops->transmit != xnf_transmit) {
        rc = -EOPNOTSUPP;
    } else if (first_queue(a) == NULL) {
        rc = -ENOTCONN;
    } else {
        rc = share_page(a);
    }
    if (rc != 0) {
        net_put(a->dev);
    }
    return rc;
}

void xnf_abuse_close(struct xnf_abuse *a)
{
    gnttab_unshare_page(a->gref, a->page);
    net_put(a->dev);
}

int xnf_abuse_seize(struct xnf_abuse *a)
{
    struct xnf_queue *q = first_queue(a);
    upcall_state_t s = spin_lock(&q->tx_lock);
    int rc = xnf_moving(q->x) ? xnf_tx_seize(q) : -ENOTCONN;

    spin_unlock(&q->tx_lock, s);
    return rc;
}

/* Takes the queue's lock if the ring is seized; NULL: it is not. */
static struct xnf_queue *lock_ring(struct xnf_abuse *a, upcall_state_t *s)
{
    struct xnf_queue *q = first_queue(a);

    *s = spin_lock(&q->tx_lock);
    if (xnf_moving(q->x) && q->tx_seized) {
        return q;
    }
    spin_unlock(&q->tx_lock, *s);
    return NULL;
}

int xnf_abuse_release(struct xnf_abuse *a)
{
    upcall_state_t s;
    struct xnf_queue *q = lock_ring(a, &s);

    if (q == NULL) {
        return -ENOTCONN;
    }
    bool all = q->tx.rsp_cons == q->tx.req_prod_pvt;
    q->tx_seized = !all;
    spin_unlock(&q->tx_lock, s);
    if (all) {
        xnf_tx_multicast(q);
        net_writable(a->dev);
    }
    return all ? 0 : -EBUSY;
}

static void publish(struct xnf_queue *q)
{
    int notify;

    RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&q->tx, notify);
    if (notify != 0) {
        evtchn_notify(q->tx_port);
    }
}

int xnf_abuse_put(struct xnf_abuse *a, const union xnf_raw *slots, unsigned n)
{
    upcall_state_t s;
    struct xnf_queue *q = lock_ring(a, &s);

    if (q == NULL) {
        return -ENOTCONN;
    }
    int rc = RING_FREE_REQUESTS(&q->tx) >= n ? 0 : -EAGAIN;
    for (unsigned i = 0; i < n && rc == 0; i++) {
        memcpy(RING_GET_REQUEST(&q->tx, q->tx.req_prod_pvt++), &slots[i], sizeof(slots[i]));
    }
    if (rc == 0) {
        publish(q);
    }
    spin_unlock(&q->tx_lock, s);
    return rc;
}

int xnf_abuse_index(struct xnf_abuse *a, uint32_t by)
{
    upcall_state_t s;
    struct xnf_queue *q = lock_ring(a, &s);

    if (q == NULL) {
        return -ENOTCONN;
    }
    q->tx.req_prod_pvt += by;
    publish(q);
    evtchn_notify(q->tx_port);
    spin_unlock(&q->tx_lock, s);
    return 0;
}

int xnf_abuse_kick(struct xnf_abuse *a)
{
    upcall_state_t s;
    struct xnf_queue *q = lock_ring(a, &s);

    if (q == NULL) {
        return -ENOTCONN;
    }
    evtchn_notify(q->tx_port);
    spin_unlock(&q->tx_lock, s);
    return 0;
}

static void count(struct xnf_answers *sum, int16_t status)
{
    switch (status) {
    case NETIF_RSP_OKAY:
        sum->okay++;
        break;
    case NETIF_RSP_ERROR:
        sum->error++;
        break;
    case NETIF_RSP_NULL:
        sum->null++;
        break;
    default:
        sum->other++;
        break;
    }
}

int xnf_abuse_take(struct xnf_abuse *a, struct xnf_answers *sum)
{
    upcall_state_t s;
    struct xnf_queue *q = lock_ring(a, &s);

    if (q == NULL) {
        return -ENOTCONN;
    }
    RING_IDX prod = READ_ONCE(q->tx.sring->rsp_prod);
    rmb();
    int rc = prod - q->tx.rsp_cons > q->tx.req_prod_pvt - q->tx.rsp_cons ? -EBADMSG : 0;
    while (rc == 0 && q->tx.rsp_cons != prod) {
        count(sum, READ_ONCE(RING_GET_RESPONSE(&q->tx, q->tx.rsp_cons)->status));
        q->tx.rsp_cons++;
    }
    RING_IDX left = q->tx.req_prod_pvt - q->tx.rsp_cons;
    spin_unlock(&q->tx_lock, s);
    return rc != 0 ? rc : (int)MIN(left, (RING_IDX)INT32_MAX);
}

int xnf_abuse_deafen(struct xnf_abuse *a, bool deaf)
{
    struct xnf *x = interface(a);
    upcall_state_t s = spin_lock(&x->rx_lock);
    bool moving = xnf_moving(x);
    unsigned n = moving ? x->nqueues : 0;
    int waiting = 0;

    for (unsigned i = 0; i < n; i++) {
        struct xnf_queue *q = x->queues[i];

        q->rx_deaf = deaf;
        waiting += (int)(READ_ONCE(q->rx.sring->rsp_prod) - q->rx.rsp_cons);
    }
    spin_unlock(&x->rx_lock, s);
    for (unsigned i = 0; i < n && !deaf; i++) {
        evtchn_again(x->queues[i]->rx_port);
    }
    return moving ? waiting : -ENOTCONN;
}
