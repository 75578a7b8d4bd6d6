/*
 * xennetf_impl.h - one interface, as xennetf_xs.c (negotiation), xennetf.c (the interface as a
 * whole) and xnf_tx.c and xnf_rx.c (a queue's two directions) share it.
 *
 * Locks, in order: x->rx_lock (everything received, of all queues, one frame at a time, user's
 * function included), q->tx_lock (one queue's transmit ring), x->lock (state and below); then
 * net.c's, the grant table's, the timers'. All are spinlocks. What stands above the locks in each
 * structure belongs to the watch thread, under the xendev's lock, and is read by the others between
 * xnf_start() and xnf_stop().
 */
#ifndef IO_XENNETF_XENNETF_IMPL_H
#define IO_XENNETF_XENNETF_IMPL_H

#include <stdint.h>
#include <xen/xen.h>
#include <xen/io/netif.h>

#include "io/net.h"
#include "io/xennetf/xnf_mcast.h"
#include "kern/lock.h"
#include "os/evtchn.h"
#include "os/gnttab.h"
#include "xendev/xendev.h"

#define XNF_RING_SIZE  256u /* of both rings; checked in xnf_queue_init() */
#define XNF_QUEUES_MAX 8u
#define XNF_NAME_MAX   (NET_NAME_MAX + 8)
#define XNF_NO_BUF     UINT16_MAX
#define XNF_MTU        1500u /* if nobody says otherwise */

/* A page of ours that the back end may read (transmit) or write (receive) while connected. */
struct xnf_buf {
    void *page; /* NULL: not granted yet */
    gref_t gref;
    uint16_t next; /* transmit: on the free list */
    bool sent;     /* transmit: the back end has it */
};

struct xnf;

struct xnf_queue {
    struct xnf *x;
    unsigned index;
    char tx_name[XNF_NAME_MAX], rx_name[XNF_NAME_MAX];
    evtchn_port_t tx_port, rx_port; /* the same twice without split event channels */
    gref_t tx_gref, rx_gref;
    void *tx_page, *rx_page;
    unsigned nbufs; /* in each direction */

    spinlock_t tx_lock;
    struct netif_tx_front_ring tx;
    struct xnf_buf tx_bufs[XNF_RING_SIZE];
    uint16_t tx_free;
    unsigned tx_nfree;
    unsigned tx_extras; /* slots with extra info that are not answered */
    bool tx_blocked;    /* the user waits for room */
    bool tx_seized;     /* the ring is xnf_abuse.c's */
    uint64_t tx_frames, tx_bytes, tx_dropped, tx_errors;

    struct netif_rx_front_ring rx; /* from here on: under x->rx_lock */
    struct xnf_buf rx_bufs[XNF_RING_SIZE];
    uint16_t rx_slot[XNF_RING_SIZE]; /* which buffer each place of the ring asks to fill */
    bool rx_draining;                /* within a frame that was given up */
    bool rx_deaf;                    /* nothing is taken: xnf_abuse.c's doing */
    uint64_t rx_frames, rx_bytes, rx_dropped, rx_errors;
};

/* What the back end can do, as read before connecting. */
struct xnf_features {
    bool sg, gso_v4, gso_v6, no_csum, csum_v6, split, mcast;
    uint32_t max_queues;
};

struct xnf {
    struct net_dev net;
    struct frontend fe;
    uint8_t mac[NET_MAC_LEN];
    struct xnf_features features;
    unsigned nqueues;
    struct xnf_queue *queues[XNF_QUEUES_MAX]; /* made when needed, kept until the end */
    struct xs_watch carrier_watch;
    char *carrier_path;

    spinlock_t rx_lock;

    spinlock_t lock;
    enum frontend_path state;
    bool paused;            /* nothing moves, for a suspend */
    bool carrier;           /* the back end's word */
    struct xnf_mcast mcast; /* used if @features.mcast */
    uint16_t mtu;
    char ip[NET_IP_MAX];
};

/** xnf_moving() - whether frames move at all; stable under the queue's lock, see xnf_stop(). */
static inline bool xnf_moving(const struct xnf *x)
{
    return READ_ONCE(x->state) == PATH_UP && !READ_ONCE(x->paused);
}

/** xnf_init() - fill in an interface that is DOWN. */
void xnf_init(struct xnf *x, const char *name);

/** xnf_queue_new() - a closed queue; NULL: no memory. */
struct xnf_queue *xnf_queue_new(struct xnf *x, unsigned index);

/** xnf_fini() - free the queues; xnf_stop() was called, the queues are closed. */
void xnf_fini(struct xnf *x);

/** xnf_transmit(), xnf_info(), xnf_multicast() - struct net_ops' entries. */
int xnf_transmit(struct net_dev *dev, const struct net_frame *frame, const struct net_piece *pieces,
                 unsigned n);
void xnf_info(struct net_dev *dev, struct net_info *info);
int xnf_multicast(struct net_dev *dev, const uint8_t (*macs)[NET_MAC_LEN], unsigned n);

/** xnf_break() - the back end broke the protocol: no more of it. Queue's lock held. */
void xnf_break(struct xnf *x, const char *why);

/** xnf_start() - both ends are connected: let frames move. Thread context. */
void xnf_start(struct xnf *x);

/** xnf_stop() - nothing moves any more when this returns; the queues are as they were. */
void xnf_stop(struct xnf *x, enum frontend_path state);

/** xnf_pause() - hold still, for a suspend; xnf_unpause() goes on, on the same rings if any. */
void xnf_pause(struct xnf *x);
void xnf_unpause(struct xnf *x);

/**
 * xnf_queue_open() - rings, grants, buffers and ports of one queue
 * @split: a port for each direction
 *
 * Return: 0 or -errno, with nothing left behind. Thread context.
 */
int xnf_queue_open(struct xnf_queue *q, unsigned nbufs, bool split) __must_check;

/**
 * xnf_queue_close() - the reverse, after xnf_stop()
 * @lost: the ports were another domain's: forget them. Thread context
 */
void xnf_queue_close(struct xnf_queue *q, bool lost);

/** xnf_buf_grant() - have a page behind a buffer and let the back end use it. -ENOMEM. */
int xnf_buf_grant(struct xnf_buf *buf, uint16_t domid, bool readonly) __must_check;

/** xnf_tx_init(), xnf_rx_init() - a fresh ring on its zeroed page, buffers to go with it. */
int xnf_tx_init(struct xnf_queue *q) __must_check;
int xnf_rx_init(struct xnf_queue *q) __must_check;

/** xnf_tx_send() - put a checked frame on the ring; returns as net_transmit() does. */
int xnf_tx_send(struct xnf_queue *q, const struct net_frame *frame, const struct net_piece *pieces,
                unsigned n);

/**
 * xnf_tx_multicast() - tell the back end what changed in x->mcast, as far as there is room
 *
 * The rest follows when there is more. Takes the queue's lock by itself.
 */
void xnf_tx_multicast(struct xnf_queue *q);

/**
 * xnf_tx_seize() - send nothing more by this queue until its ring is made anew, or it is let go
 *
 * For xnf_abuse.c. Queue's lock held. Return: 0, -EAGAIN while frames are under way, -EBUSY if it
 * is seized and somebody else's slots are on it, -ENOTCONN if the back end broke the protocol.
 */
int xnf_tx_seize(struct xnf_queue *q) __must_check;

/** xnf_tx_event(), xnf_rx_event(), xnf_event() - the event channels' handlers; @arg: the queue. */
void xnf_tx_event(evtchn_port_t port, void *arg);
void xnf_rx_event(evtchn_port_t port, void *arg);
void xnf_event(evtchn_port_t port, void *arg);

#endif /* IO_XENNETF_XENNETF_IMPL_H */
