/*
 * xvbd_impl.h - one disk, as xvbd_xs.c (negotiation) and xvbd.c (data path) share it.
 *
 * Locks: xvbd->lock (spinlock) guards everything from `state` down, over the grant table's and the
 * timers' locks. Fields above it belong to the watch thread, under the xendev's lock.
 */
#ifndef IO_XVBD_XVBD_IMPL_H
#define IO_XVBD_XVBD_IMPL_H

#include <stdint.h>
#include <xen/xen.h>
#include <xen/io/blkif.h>

#include "io/blk.h"
#include "kern/lock.h"
#include "kern/wait.h"
#include "os/evtchn.h"
#include "os/gnttab.h"
#include "psm/timer.h"
#include "xendev/xendev.h"

#define XVBD_RING_SIZE __CONST_RING_SIZE(blkif, PAGE_SIZE)
#define XVBD_SEGS      BLKIF_MAX_SEGMENTS_PER_REQUEST

/*
 * One entry of the ring, by its id. FREE; SENT to the back end; HELD: answered or given up, but
 * the back end still has a page of it mapped; READY: to be sent (again) on the next connection.
 */
enum xvbd_slot_state { SLOT_FREE, SLOT_SENT, SLOT_HELD, SLOT_READY };

struct xvbd_slot {
    enum xvbd_slot_state state;
    uint8_t op; /* BLKIF_OP_* */
    uint8_t nsegs;
    bool resend; /* HELD: becomes READY, not finished, when let go */
    int rc;      /* HELD: how it ended */
    struct blk_req *req;
    uint64_t first, count; /* which of the request's sectors */
    gref_t grefs[XVBD_SEGS];
    unsigned next_free;
};

struct xvbd {
    struct blk_dev blk;
    struct frontend fe;
    uint32_t vdev;
    void *ring_page;
    gref_t ring_gref;
    evtchn_port_t port;
    bool barrier_only; /* flushes are write barriers */
    uint32_t
        max_indirect; /* segments that the back end offers; not used here, but by xvb_abuse.c */
    bool paused;      /* nothing is sent, for a suspend; under the lock */
    bool seized;      /* the ring is xvb_abuse.c's; under the lock */

    spinlock_t lock;
    enum frontend_path state;
    struct blkif_front_ring ring;
    struct xvbd_slot slots[XVBD_RING_SIZE];
    unsigned free_slot, busy_slots, held_slots;
    XEN_TAILQ_HEAD(xvbd_queue, struct blk_req) queue;
    struct timer held_timer;
    struct waitq idle_wq; /* woken when the last slot becomes free */
    uint64_t reads, writes, flushes, errors;
};

/** xvbd_init() - fields of the data path, references for all slots. -ENOSPC, -ENOMEM. */
int xvbd_init(struct xvbd *x) __must_check;

/** xvbd_fini() - give the references back; all slots are free. Thread context. */
void xvbd_fini(struct xvbd *x);

/** xvbd_submit() - struct blk_ops' entry. */
void xvbd_submit(struct blk_dev *dev, struct blk_req *req);

/** xvbd_event() - the event channel's handler; @arg is the struct xvbd. */
void xvbd_event(evtchn_port_t port, void *arg);

/** xvbd_start() - the ring page is shared and both ends are connected: send what waits. */
void xvbd_start(struct xvbd *x);

/**
 * xvbd_pause() - send nothing more, and give the back end until @deadline for what it has
 *
 * Return: 0, -ETIMEDOUT if something is still under way. May sleep.
 */
int xvbd_pause(struct xvbd *x, nsec_t deadline);

/** xvbd_unpause() - go on, on the same ring if there is one. */
void xvbd_unpause(struct xvbd *x);

/** xvbd_drain() - wait for what is under way until @deadline: 0 or -ETIMEDOUT. May sleep. */
int xvbd_drain(struct xvbd *x, nsec_t deadline) __must_check;

/**
 * xvbd_stop() - the ring is of no use any more; nobody touches it after this
 * @state: PATH_DOWN: what was under way is sent again after xvbd_start();
 *         PATH_GONE or PATH_BROKEN: it and all that waits ends with @rc
 */
void xvbd_stop(struct xvbd *x, enum frontend_path state, int rc);

/**
 * xvbd_seize() - leave the ring alone until it is made anew, or xvbd_let_go()
 *
 * For xvb_abuse.c. Return: 0; -EAGAIN while requests are under way; -ENOTCONN while the disk is not
 * connected; -EBUSY if it is seized and not all that lies on it is answered. Any context.
 */
int xvbd_seize(struct xvbd *x) __must_check;

/** xvbd_let_go() - go on with it. -EBUSY: not all is answered; -ENOTCONN: it is not seized. */
int xvbd_let_go(struct xvbd *x) __must_check;

#endif /* IO_XVBD_XVBD_IMPL_H */
