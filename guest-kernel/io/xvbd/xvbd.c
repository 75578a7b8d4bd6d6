/*
 * xvbd.c - the block front end's data path.
 *
 * A request of any length is cut into parts of up to XVBD_SEGS pages; each part takes a slot, whose
 * number is the id on the ring, and grants the pages of the caller's buffer for as long as it is
 * under way. Responses are copied once; the id must name a slot that was sent with that operation,
 * and the indices must not promise more than was asked. A back end that breaks these rules has its
 * ring taken away: the disk is BROKEN, requests fail with -EIO, nothing else happens.
 *
 * A back end that answers and keeps a page mapped could write into memory that its owner uses for
 * something else by then. Such a part is HELD: its request does not end before the page is let go;
 * a timer looks each HELD_PERIOD.
 *
 * Owns struct xvbd_slot and the queue of waiting requests. Locks: x->lock (see xvbd_impl.h);
 * requests are completed after it was dropped. Suspend: xvbd_pause(); then, in another
 * domain, xvbd_stop(PATH_DOWN), xvbd_unpause() and xvbd_start(), or, in the same, xvbd_unpause()
 * alone.
 */
#include "io/xvbd/xvbd_impl.h"

#include "hat/p2m.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "os/panic.h"
#include "psm/clock.h"

#define HELD_PERIOD      (100 * NSEC_PER_MSEC)
#define SECTORS_PER_PAGE (PAGE_SIZE / BLK_SECTOR_SIZE)
#define PART_SECTORS     (XVBD_SEGS * SECTORS_PER_PAGE)
#define NO_SLOT          UINT32_MAX

/* Requests whose last part ended under the lock, completed after it. */
XEN_TAILQ_HEAD(ended_list, struct blk_req);

static void complete(struct ended_list *ended)
{
    struct blk_req *req;

    while ((req = XEN_TAILQ_FIRST(ended))) {
        XEN_TAILQ_REMOVE(ended, req, link);
        req->done(req, req->rc);
    }
}

/* The functions from here to the next comment that says otherwise run with x->lock held. */

/* A request with nothing to send and nothing under way is over. */
static void end_if_over(struct blk_req *req, uint64_t total, struct ended_list *ended)
{
    if (req->parts == 0 && req->issued >= total) {
        XEN_TAILQ_INSERT_TAIL(ended, req, link);
    }
}

/* How many units a request is issued in: sectors; a flush is one unit. */
static uint64_t total_of(const struct blk_req *req)
{
    return req->op == BLK_FLUSH ? 1 : req->nsectors;
}

static unsigned take_slot(struct xvbd *x)
{
    unsigned id = x->free_slot;

    if (id != NO_SLOT) {
        x->free_slot = x->slots[id].next_free;
        x->busy_slots++;
    }
    return id;
}

static void free_slot(struct xvbd *x, struct xvbd_slot *slot)
{
    slot->state = SLOT_FREE;
    slot->req = NULL;
    slot->next_free = x->free_slot;
    x->free_slot = (unsigned)(slot - x->slots);
    if (--x->busy_slots == 0) {
        waitq_wake_all(&x->idle_wq);
    }
}

/* Takes back the grants of a slot; false while the back end holds on to one. */
static bool end_grants(struct xvbd_slot *slot)
{
    while (slot->nsegs != 0) {
        if (gnttab_end(slot->grefs[slot->nsegs - 1]) != 0) {
            return false;
        }
        slot->nsegs--;
    }
    return true;
}

/* A slot is over: its part is finished with slot->rc, or to be sent again. */
static void settle_slot(struct xvbd *x, struct xvbd_slot *slot, struct ended_list *ended)
{
    struct blk_req *req = slot->req;

    if (slot->resend) {
        slot->resend = false;
        slot->state = SLOT_READY;
        return;
    }
    if (slot->rc != 0) {
        x->errors++;
        req->rc = req->rc != 0 ? req->rc : slot->rc;
    }
    req->parts--;
    free_slot(x, slot);
    end_if_over(req, total_of(req), ended);
}

/* Ends a slot as @slot says, or keeps it until its pages are let go. */
static void finish_slot(struct xvbd *x, struct xvbd_slot *slot, struct ended_list *ended)
{
    if (end_grants(slot)) {
        settle_slot(x, slot, ended);
        return;
    }
    slot->state = SLOT_HELD;
    x->held_slots++;
    timer_arm(&x->held_timer, clock_now() + HELD_PERIOD);
}

/* Everything that waits ends with @rc; what is on the ring is not touched. */
static void fail_queue(struct xvbd *x, int rc, struct ended_list *ended)
{
    struct blk_req *req;

    while ((req = XEN_TAILQ_FIRST(&x->queue))) {
        XEN_TAILQ_REMOVE(&x->queue, req, link);
        req->rc = rc;
        req->issued = total_of(req);
        end_if_over(req, req->issued, ended);
    }
}

/* Takes all slots off the ring: to be sent again, or finished with @rc. */
static void recall_slots(struct xvbd *x, bool resend, int rc, struct ended_list *ended)
{
    for (unsigned i = 0; i < XVBD_RING_SIZE; i++) {
        struct xvbd_slot *slot = &x->slots[i];

        if (slot->state == SLOT_HELD) {
            /* One that was answered keeps its answer if this back end only went away. */
            slot->resend = slot->resend && resend;
            slot->rc = resend || slot->rc != 0 ? slot->rc : rc;
        } else if (slot->state != SLOT_FREE) {
            slot->resend = resend;
            slot->rc = rc;
            finish_slot(x, slot, ended);
        }
    }
}

/* The back end broke the protocol: no more of it. */
static void break_ring(struct xvbd *x, const char *why, struct ended_list *ended)
{
    x->state = PATH_BROKEN;
    recall_slots(x, false, -EIO, ended);
    fail_queue(x, -EIO, ended);
    frontend_break(&x->fe, why);
}

static uint8_t ring_op(const struct xvbd *x, enum blk_op op)
{
    switch (op) {
    case BLK_READ:
        return BLKIF_OP_READ;
    case BLK_WRITE:
        return BLKIF_OP_WRITE;
    case BLK_DISCARD:
        return BLKIF_OP_DISCARD;
    default:
        return x->barrier_only ? BLKIF_OP_WRITE_BARRIER : BLKIF_OP_FLUSH_DISKCACHE;
    }
}

/* Grants the pages of a slot's part and describes them to the back end. */
static void fill_segments(struct xvbd *x, struct xvbd_slot *slot, struct blkif_request *out)
{
    const char *data = (const char *)slot->req->buf + slot->first * BLK_SECTOR_SIZE;
    uint64_t left = slot->count;

    slot->nsegs = 0;
    while (left != 0) {
        uint64_t n = MIN(left, SECTORS_PER_PAGE);
        gref_t gref = slot->grefs[slot->nsegs];

        gnttab_grant(gref, x->fe.otherend_id, virt_to_mfn(data), slot->op == BLKIF_OP_WRITE);
        out->seg[slot->nsegs++] = (struct blkif_request_segment){
            .gref = gref, .first_sect = 0, .last_sect = (uint8_t)(n - 1)};
        data += PAGE_SIZE;
        left -= n;
    }
    out->nr_segments = slot->nsegs;
}

/* Puts a slot on the ring. */
static void send_slot(struct xvbd *x, struct xvbd_slot *slot)
{
    struct blkif_request *out = RING_GET_REQUEST(&x->ring, x->ring.req_prod_pvt);
    uint64_t sector = slot->req->sector + slot->first;

    slot->state = SLOT_SENT;
    slot->rc = 0;
    slot->op = ring_op(x, slot->req->op);
    if (slot->op == BLKIF_OP_DISCARD) {
        struct blkif_request_discard *d = (struct blkif_request_discard *)out;

        *d = (struct blkif_request_discard){.operation = slot->op,
                                            .handle = (blkif_vdev_t)x->vdev,
                                            .id = (uint64_t)(slot - x->slots),
                                            .sector_number = sector,
                                            .nr_sectors = slot->count};
    } else {
        out->operation = slot->op;
        out->handle = (blkif_vdev_t)x->vdev;
        out->id = (uint64_t)(slot - x->slots);
        out->sector_number = slot->req->op == BLK_FLUSH ? 0 : sector;
        out->nr_segments = 0;
        if (slot->req->op != BLK_FLUSH) {
            fill_segments(x, slot, out);
        }
    }
    x->ring.req_prod_pvt++;
}

/* Sends the next part of a request; false when no slot is free. */
static bool send_part(struct xvbd *x, struct blk_req *req)
{
    unsigned id = take_slot(x);

    if (id == NO_SLOT) {
        return false;
    }
    struct xvbd_slot *slot = &x->slots[id];
    uint64_t left = total_of(req) - req->issued;

    slot->req = req;
    slot->first = req->issued;
    slot->count = req->op == BLK_DISCARD ? left : MIN(left, PART_SECTORS);
    slot->resend = false;
    req->issued += slot->count;
    req->parts++;
    send_slot(x, slot);
    return true;
}

/* Sends what waits, as far as there is room. True: the back end wants an event. */
static bool pump(struct xvbd *x)
{
    struct blk_req *req;
    int notify;

    if (x->state != PATH_UP || x->paused || x->seized) {
        return false;
    }
    while ((req = XEN_TAILQ_FIRST(&x->queue)) && send_part(x, req)) {
        if (req->issued >= total_of(req)) {
            XEN_TAILQ_REMOVE(&x->queue, req, link);
        }
    }
    RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&x->ring, notify);
    return notify;
}

static int status_errno(int16_t status)
{
    switch (status) {
    case BLKIF_RSP_OKAY:
        return 0;
    case BLKIF_RSP_EOPNOTSUPP:
        return -EOPNOTSUPP;
    default:
        return -EIO;
    }
}

/* One response, already copied. */
static bool xvbd_take_response(struct xvbd *x, const struct blkif_response *rsp,
                               struct ended_list *ended)
{
    if (rsp->id >= XVBD_RING_SIZE) {
        break_ring(x, "response with an id past the ring", ended);
        return false;
    }
    struct xvbd_slot *slot = &x->slots[rsp->id];
    if (slot->state != SLOT_SENT) {
        break_ring(x, "response to a request that was not made or was answered", ended);
        return false;
    }
    if (rsp->operation != slot->op) {
        break_ring(x, "response with another operation than its request", ended);
        return false;
    }
    slot->rc = status_errno(rsp->status);
    finish_slot(x, slot, ended);
    return true;
}

/* All responses that are there. */
static void take_responses(struct xvbd *x, struct ended_list *ended)
{
    int more = true;

    while (more != 0 && x->state == PATH_UP) {
        RING_IDX prod = READ_ONCE(x->ring.sring->rsp_prod);

        rmb();
        if (prod - x->ring.rsp_cons > x->ring.req_prod_pvt - x->ring.rsp_cons) {
            break_ring(x, "more responses than requests", ended);
            return;
        }
        while (x->ring.rsp_cons != prod) {
            struct blkif_response rsp;

            memcpy(&rsp, RING_GET_RESPONSE(&x->ring, x->ring.rsp_cons), sizeof(rsp));
            barrier();
            x->ring.rsp_cons++;
            if (!xvbd_take_response(x, &rsp, ended)) {
                return;
            }
        }
        RING_FINAL_CHECK_FOR_RESPONSES(&x->ring, more);
    }
}

/* From here on functions take x->lock by themselves. */

void xvbd_event(evtchn_port_t port, void *arg)
{
    struct ended_list ended = XEN_TAILQ_HEAD_INITIALIZER(ended);
    struct xvbd *x = arg;
    upcall_state_t s = spin_lock(&x->lock);

    if (x->state == PATH_UP && !x->seized) {
        take_responses(x, &ended);
    }
    bool notify = pump(x);
    spin_unlock(&x->lock, s);
    if (notify) {
        evtchn_notify(port);
    }
    complete(&ended);
}

void xvbd_submit(struct blk_dev *dev, struct blk_req *req)
{
    struct ended_list ended = XEN_TAILQ_HEAD_INITIALIZER(ended);
    struct xvbd *x = CONTAINER_OF(dev, struct xvbd, blk);
    upcall_state_t s = spin_lock(&x->lock);

    if (x->state == PATH_UP || x->state == PATH_DOWN) {
        x->reads += req->op == BLK_READ;
        x->writes += req->op == BLK_WRITE;
        x->flushes += req->op == BLK_FLUSH;
        if (req->op == BLK_FLUSH && !x->blk.info.flush) {
            /* The back end has no cache that it could lose: what is written is stable. */
            XEN_TAILQ_INSERT_TAIL(&ended, req, link);
        } else {
            XEN_TAILQ_INSERT_TAIL(&x->queue, req, link);
        }
    } else {
        req->rc = x->state == PATH_GONE ? -ENODEV : -EIO;
        XEN_TAILQ_INSERT_TAIL(&ended, req, link);
    }
    evtchn_port_t port = x->port;
    bool notify = pump(x);
    spin_unlock(&x->lock, s);
    if (notify) {
        evtchn_notify(port);
    }
    complete(&ended);
}

/* Timer: looks whether the back end let go of what it held. */
static void retry_held(struct timer *t)
{
    struct ended_list ended = XEN_TAILQ_HEAD_INITIALIZER(ended);
    struct xvbd *x = CONTAINER_OF(t, struct xvbd, held_timer);
    upcall_state_t s = spin_lock(&x->lock);

    for (unsigned i = 0; i < XVBD_RING_SIZE; i++) {
        struct xvbd_slot *slot = &x->slots[i];

        if (slot->state == SLOT_HELD && end_grants(slot)) {
            x->held_slots--;
            settle_slot(x, slot, &ended);
            if (slot->state == SLOT_READY && x->state == PATH_UP && !x->paused) {
                send_slot(x, slot);
            }
        }
    }
    if (x->held_slots != 0) {
        timer_arm(t, clock_now() + HELD_PERIOD);
    }
    evtchn_port_t port = x->port;
    bool notify = pump(x);
    spin_unlock(&x->lock, s);
    if (notify) {
        evtchn_notify(port);
    }
    complete(&ended);
}

/* Sends what is to be sent again, and what waits. Caller holds x->lock. */
static bool pump_all(struct xvbd *x)
{
    for (unsigned i = 0; i < XVBD_RING_SIZE; i++) {
        if (x->state == PATH_UP && x->slots[i].state == SLOT_READY) {
            send_slot(x, &x->slots[i]);
        }
    }
    return pump(x);
}

void xvbd_start(struct xvbd *x)
{
    upcall_state_t s = spin_lock(&x->lock);

    x->state = PATH_UP;
    x->seized = false;
    bool notify = pump_all(x);
    spin_unlock(&x->lock, s);
    if (notify) {
        evtchn_notify(x->port);
    }
}

int xvbd_drain(struct xvbd *x, nsec_t deadline)
{
    return wait_event_until(&x->idle_wq, READ_ONCE(x->busy_slots) == 0, deadline);
}

int xvbd_pause(struct xvbd *x, nsec_t deadline)
{
    upcall_state_t s = spin_lock(&x->lock);
    bool up = x->state == PATH_UP;

    x->paused = true;
    spin_unlock(&x->lock, s);
    return up ? xvbd_drain(x, deadline) : 0;
}

void xvbd_unpause(struct xvbd *x)
{
    upcall_state_t s = spin_lock(&x->lock);

    x->paused = false;
    bool notify = pump_all(x);
    spin_unlock(&x->lock, s);
    if (notify) {
        evtchn_notify(x->port);
    }
}

void xvbd_stop(struct xvbd *x, enum frontend_path state, int rc)
{
    struct ended_list ended = XEN_TAILQ_HEAD_INITIALIZER(ended);
    upcall_state_t s = spin_lock(&x->lock);

    x->state = state;
    recall_slots(x, state == PATH_DOWN, rc, &ended);
    if (state != PATH_DOWN) {
        fail_queue(x, rc, &ended);
    }
    spin_unlock(&x->lock, s);
    complete(&ended);
}

int xvbd_seize(struct xvbd *x)
{
    upcall_state_t s = spin_lock(&x->lock);
    bool idle = x->ring.rsp_cons == x->ring.req_prod_pvt;
    int rc = x->state != PATH_UP || x->paused ? -ENOTCONN : idle ? 0 : x->seized ? -EBUSY : -EAGAIN;

    x->seized = x->seized || rc == 0;
    spin_unlock(&x->lock, s);
    return rc;
}

int xvbd_let_go(struct xvbd *x)
{
    upcall_state_t s = spin_lock(&x->lock);
    bool idle = x->ring.rsp_cons == x->ring.req_prod_pvt;
    int rc = x->state != PATH_UP || !x->seized ? -ENOTCONN : idle ? 0 : -EBUSY;
    bool notify = false;

    if (rc == 0) {
        x->seized = false;
        WRITE_ONCE(x->ring.sring->rsp_event, x->ring.rsp_cons + 1);
        mb();
        notify = pump_all(x);
    }
    evtchn_port_t port = x->port;
    spin_unlock(&x->lock, s);
    if (notify) {
        evtchn_notify(port);
    }
    return rc;
}

int xvbd_init(struct xvbd *x)
{
    spin_init(&x->lock, "xvbd");
    waitq_init(&x->idle_wq, "xvbd-idle");
    timer_init(&x->held_timer, retry_held);
    XEN_TAILQ_INIT(&x->queue);
    x->state = PATH_DOWN;
    x->free_slot = NO_SLOT;
    for (unsigned i = 0; i < XVBD_RING_SIZE; i++) {
        for (unsigned j = 0; j < XVBD_SEGS; j++) {
            x->slots[i].grefs[j] = GREF_NONE;
        }
    }
    for (unsigned i = XVBD_RING_SIZE; i-- > 0;) {
        for (unsigned j = 0; j < XVBD_SEGS; j++) {
            int rc = gnttab_alloc(&x->slots[i].grefs[j]);
            if (rc != 0) {
                xvbd_fini(x);
                return rc;
            }
        }
        x->slots[i].next_free = x->free_slot;
        x->free_slot = i;
    }
    return 0;
}

void xvbd_fini(struct xvbd *x)
{
    (void)timer_cancel_wait(&x->held_timer);
    for (unsigned i = 0; i < XVBD_RING_SIZE; i++) {
        for (unsigned j = 0; j < XVBD_SEGS; j++) {
            if (x->slots[i].grefs[j] != GREF_NONE) {
                gnttab_free(x->slots[i].grefs[j]);
            }
        }
    }
}
