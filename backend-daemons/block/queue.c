/*
 * The data path of one ring: see queue.h for its stages, which the functions below follow in order.
 */
#include "queue.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <xen/xen.h>
#include <xen/io/blkif.h>

#define LOG_BURST       1
#define LOG_INTERVAL_MS 5000
#define LATE_BEATS      3U
_Static_assert(BLK_QUEUE_MAX_SLOTS <= BLK_ENGINE_PINS, "each slot's buffer can be pinned");
_Static_assert(BLK_QUEUE_MAX_SLOTS < BLK_NBD_OPS, "and the last flush has one of its own");

#define MAX_COPIES (4 * BLK_MAX_SEGMENTS)

/* A singly linked batch of slots on its way through the stages, in order of arrival. */
struct blk_batch {
    struct blk_queue_slot *first;
    struct blk_queue_slot **tail;
};

static void blk_queue_batch_add(struct blk_batch *b, struct blk_queue_slot *slot)
{
    slot->next = NULL;
    *b->tail = slot;
    b->tail = &slot->next;
}

int blk_queue_init(struct blk_queue *q, xengnttab_handle *xgt, uint16_t domid)
{
    uint8_t *pool;

    q->nr_slots =
        q->ring.nr_entries < BLK_QUEUE_MAX_SLOTS ? q->ring.nr_entries : BLK_QUEUE_MAX_SLOTS;
    q->refused_log = (struct log_limit){.burst = LOG_BURST, .interval_ms = LOG_INTERVAL_MS};
    q->io_log = q->refused_log;
    pool = mmap(NULL, (uint64_t)q->nr_slots * BLK_QUEUE_SLOT_BYTES, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pool == MAP_FAILED) {
        return -errno;
    }
    for (unsigned int i = q->nr_slots; i-- > 0;) {
        q->slots[i].buf = pool + (uint64_t)i * BLK_QUEUE_SLOT_BYTES;
        q->slots[i].next = q->free;
        q->free = &q->slots[i];
    }
    return grant_batch_init(&q->copies, xgt, domid, MAX_COPIES);
}

static uint32_t blk_queue_slot_number(const struct blk_queue *q, const struct blk_queue_slot *slot)
{
    return (uint32_t)(slot - q->slots);
}

/* Counts a request that is about to be answered: once, whichever worker does it. */
static void blk_queue_count(struct blk_queue *q, const struct blk_queue_slot *slot, int16_t status)
{
    const struct blk_request *req = &slot->req;

    figures_add(q->figures, BLK_FIGURE_REQUESTS + req->op, 1);
    if (status != BLKIF_RSP_OKAY) {
        figures_add(q->figures, BLK_FIGURE_ERRORS + req->op, 1);
    } else if (req->op != BLK_FLUSH) {
        figures_add(q->figures, BLK_FIGURE_BYTES + req->op, req->nr_sectors * BLK_SECTOR_BYTES);
    }
    metric_time(q->figures, BLK_FIGURE_TIME, stopwatch_since(q->watch, slot->taken));
}

static void blk_queue_count_outstanding(struct blk_queue *q)
{
    figures_set(q->figures, BLK_FIGURE_OUTSTANDING, q->in_flight);
}

/* Writes a response into the ring, into the log before. The slot stays until it is published. */
static void blk_queue_respond(struct blk_queue *q, struct blk_queue_slot *slot, int16_t status)
{
    uint32_t rsp[4];
    uint32_t bytes = blk_gate_response(slot->req.id, slot->req.wire_op, status, rsp);

    inflight_answer(q->log, blk_queue_slot_number(q, slot), q->ring.rsp_prod, status);
    ring_respond(&q->ring, rsp, bytes);
    slot->next = q->answered;
    q->answered = slot;
}

/* The same for one that passed the gate, which is counted. */
static void blk_queue_finish(struct blk_queue *q, struct blk_queue_slot *slot, int16_t status)
{
    blk_queue_respond(q, slot, status);
    blk_queue_count(q, slot, status);
}

/* Whether the answer to it is one that says that a flush failed. */
static bool blk_queue_tells_loss(const struct blk_queue_slot *slot)
{
    return slot->req.op == BLK_FLUSH && slot->status == BLKIF_RSP_ERROR;
}

static bool blk_queue_publish(struct blk_queue *q)
{
    struct blk_queue_slot *slot, *next;
    bool notify;

    inflight_written(q->log, q->ring.rsp_prod);
    notify = ring_publish(&q->ring);
    inflight_published(q->log);
    for (slot = q->answered; slot != NULL; slot = next) {
        next = slot->next;
        if (blk_queue_tells_loss(slot)) {
            kept_put(&q->log->lost, 0);
        }
        inflight_free(q->log, blk_queue_slot_number(q, slot));
        slot->next = q->free;
        q->free = slot;
        q->in_flight--;
    }
    q->answered = NULL;
    blk_queue_count_outstanding(q);
    return notify;
}

/* Answers a request that the gate refused, and says so in the log, not too often. */
static void blk_queue_refuse(struct blk_queue *q, struct blk_queue_slot *slot, int err)
{
    const struct blk_request *req = &slot->req;

    log_limited(
        &q->refused_log, LOG_WARNING, q->id,
        "refused request of the guest: %s (operation %u, sector %llu, %llu sectors of a disk "
        "of %llu, %u segments)",
        blk_gate_strerror(err), req->wire_op, (unsigned long long)req->sector,
        (unsigned long long)req->nr_sectors, (unsigned long long)q->limits.sectors,
        req->nr_segments);
    figures_add(q->figures, BLK_FIGURE_REFUSED, 1);
    blk_queue_respond(q, slot, err == -EOPNOTSUPP ? BLKIF_RSP_EOPNOTSUPP : BLKIF_RSP_ERROR);
}

/* A guest page could not be copied: Xen refused its reference. The whole request fails. */
static void blk_queue_copy_failed(void *arg, uint32_t tag, int status)
{
    struct blk_queue *q = arg;

    log_limited(&q->refused_log, LOG_WARNING, q->id,
                "a page granted by the guest could not be copied (GNTST status %d)", status);
    q->slots[tag].status = BLKIF_RSP_ERROR;
}

/* Runs the copies queued so far; when the call itself fails, so does every request in `b`. */
static void blk_queue_run_copies(struct blk_queue *q, struct blk_queue_slot *first)
{
    int err = grant_batch_run(&q->copies, blk_queue_copy_failed, q);

    if (err == 0) {
        return;
    }
    log_limited(&q->io_log, LOG_ERR, q->id, "grant copy failed: %s", strerror(-err));
    for (struct blk_queue_slot *s = first; s != NULL; s = s->next) {
        s->status = BLKIF_RSP_ERROR;
    }
}

/* Queues the copies of a request's data, in the direction that its operation asks for. */
static void blk_queue_copy_data(struct blk_queue *q, struct blk_queue_slot *slot,
                                struct blk_queue_slot *first)
{
    uint8_t *buf = slot->buf;

    if (q->copies.nr + slot->req.nr_segments > q->copies.max) {
        blk_queue_run_copies(q, first);
    }
    for (unsigned int i = 0; i < slot->req.nr_segments; i++) {
        const struct blk_segment *s = &slot->req.segments[i];
        uint16_t offset = (uint16_t)(s->first * BLK_SECTOR_BYTES);
        uint16_t bytes = (uint16_t)(s->sectors * BLK_SECTOR_BYTES);

        if (slot->req.op == BLK_WRITE) {
            grant_batch_from_guest(&q->copies, buf, s->ref, offset, bytes,
                                   blk_queue_slot_number(q, slot));
        } else {
            grant_batch_to_guest(&q->copies, buf, s->ref, offset, bytes,
                                 blk_queue_slot_number(q, slot));
        }
        buf += bytes;
    }
}

/* A request that its slot's part of the log holds passes the gate, or is answered. Returns what the
 * gate says. */
static int blk_queue_admit(struct blk_queue *q, struct blk_queue_slot *slot,
                           struct blk_batch *ready, struct blk_batch *indirect)
{
    int err = blk_gate_request(q->layout, &q->limits,
                               q->log->slots[blk_queue_slot_number(q, slot)].raw, &slot->req);

    slot->done = 0;
    slot->taken = stopwatch_ticks();
    slot->status = BLKIF_RSP_OKAY;
    if (err != 0) {
        blk_queue_refuse(q, slot, err);
    } else {
        blk_queue_batch_add(slot->req.indirect ? indirect : ready, slot);
    }
    return err;
}

/* The bytes that a request moves; of an indirect one, whose segments are not known, at most. */
static uint64_t blk_queue_cost(const struct blk_request *req)
{
    if (req->op == BLK_DISCARD || req->op == BLK_FLUSH) {
        return 0;
    }
    return (req->indirect ? (uint64_t)req->nr_segments * BLK_SECTORS_PER_PAGE : req->nr_sectors) *
           BLK_SECTOR_BYTES;
}

/* An entry from the ring, by way of the log, through the gate. */
static void blk_queue_take_entry(struct blk_queue *q, struct blk_batch *ready,
                                 struct blk_batch *indirect)
{
    struct blk_queue_slot *slot = q->free;
    unsigned int number = blk_queue_slot_number(q, slot);
    uint32_t index = q->ring.req_cons;
    int err;

    q->free = slot->next;
    q->in_flight++;
    ring_copy(&q->ring, q->log->slots[number].raw);
    inflight_take(q->log, number, index);
    err = blk_queue_admit(q, slot, ready, indirect);
    if (q->throttle.on) {
        blk_throttle_charge(&q->throttle, err == 0 ? blk_queue_cost(&slot->req) : 0);
    }
}

/* Stage 1, first half: as many as there is room for, and as the throttle allows. */
static void blk_queue_take_entries(struct blk_queue *q, unsigned int count, struct blk_batch *ready,
                                   struct blk_batch *indirect)
{
    while (count-- > 0 && q->free != NULL) {
        if (q->throttle.on && !blk_throttle_open(&q->throttle)) {
            q->throttled = true;
            return;
        }
        blk_queue_take_entry(q, ready, indirect);
    }
}

/* Stage 1, second half: the pages that list the segments of indirect requests. */
static void blk_queue_take_indirect(struct blk_queue *q, struct blk_batch *indirect,
                                    struct blk_batch *ready)
{
    struct blk_queue_slot *slot, *next;

    for (slot = indirect->first; slot != NULL; slot = slot->next) {
        grant_batch_from_guest(&q->copies, slot->buf, slot->req.indirect_ref, 0,
                               (uint16_t)(slot->req.nr_segments * BLK_SEGMENT_BYTES),
                               blk_queue_slot_number(q, slot));
    }
    blk_queue_run_copies(q, indirect->first);
    for (slot = indirect->first; slot != NULL; slot = next) {
        const uint64_t most = blk_queue_cost(&slot->req);
        int err;

        next = slot->next;
        if (slot->status != BLKIF_RSP_OKAY) {
            blk_queue_finish(q, slot, slot->status);
            continue;
        }
        err = blk_gate_indirect_segments(&q->limits, slot->buf, &slot->req);
        if (err != 0) {
            blk_queue_refuse(q, slot, err);
            continue;
        }
        if (q->throttle.on && !q->replaying) {
            blk_throttle_refund(&q->throttle, most - slot->req.nr_sectors * BLK_SECTOR_BYTES);
        }
        blk_queue_batch_add(ready, slot);
    }
}

static uint32_t blk_queue_total_bytes(const struct blk_queue_slot *slot)
{
    return (uint32_t)slot->req.nr_sectors * BLK_SECTOR_BYTES;
}

/*
 * Has the slot's buffer pinned as far as the request reaches, and tells whether it is. What is
 * pinned doubles, so that each slot asks the kernel a few times in its life. A kernel that refuses
 * is not asked again: locked memory may be limited. What other slots have pinned before stays.
 */
static bool blk_queue_pinned(struct blk_queue *q, struct blk_queue_slot *slot)
{
    uint32_t bytes = slot->pinned != 0 ? slot->pinned : GRANT_PAGE_BYTES;

    if (!q->no_pins && slot->pinned < blk_queue_total_bytes(slot)) {
        while (bytes < blk_queue_total_bytes(slot)) {
            bytes *= 2;
        }
        q->no_pins =
            blk_engine_pin(q->uring, blk_queue_slot_number(q, slot), slot->buf, bytes) != 0;
        slot->pinned = q->no_pins ? 0 : bytes;
    }
    return slot->pinned >= blk_queue_total_bytes(slot);
}

static void blk_queue_submit_to_server(struct blk_queue *q, struct blk_queue_slot *slot)
{
    const struct blk_request *req = &slot->req;
    uint64_t bytes = req->op == BLK_FLUSH ? 0 : req->nr_sectors * BLK_SECTOR_BYTES;

    blk_nbd_submit(q->nbd, req->op, slot->buf, bytes,
                   req->op == BLK_FLUSH ? 0 : req->sector * BLK_SECTOR_BYTES,
                   blk_queue_slot_number(q, slot));
}

/* Stage 3: hands a request, or what is left of it, to the engine. */
static void blk_queue_submit(struct blk_queue *q, struct blk_queue_slot *slot)
{
    uint64_t offset = slot->req.sector * BLK_SECTOR_BYTES + slot->done;
    uint32_t tag = blk_queue_slot_number(q, slot);
    uint32_t left = blk_queue_total_bytes(slot) - slot->done;

    slot->at_disk = true;
    slot->beats = 0;
    if (q->nbd != NULL) {
        blk_queue_submit_to_server(q, slot);
        return;
    }
    switch (slot->req.op) {
    case BLK_READ:
        blk_engine_read(q->uring, slot->buf + slot->done, left, offset, blk_queue_pinned(q, slot),
                        tag);
        break;
    case BLK_WRITE:
        blk_engine_write(q->uring, slot->buf + slot->done, left, offset, blk_queue_pinned(q, slot),
                         tag);
        break;
    case BLK_FLUSH:
        blk_engine_flush(q->uring, q->replaying, tag);
        break;
    case BLK_DISCARD:
        blk_engine_discard(q->uring, offset, slot->req.nr_sectors * BLK_SECTOR_BYTES, tag);
        break;
    }
}

/* Stages 1, second half, to 3. */
static void blk_queue_start(struct blk_queue *q, struct blk_batch *ready,
                            struct blk_batch *indirect)
{
    struct blk_queue_slot *slot, *next;

    blk_queue_take_indirect(q, indirect, ready);
    for (slot = ready->first; slot != NULL; slot = slot->next) {
        if (slot->req.op == BLK_WRITE) {
            blk_queue_copy_data(q, slot, ready->first);
        }
    }
    blk_queue_run_copies(q, ready->first);
    for (slot = ready->first; slot != NULL; slot = next) {
        next = slot->next;
        if (slot->status == BLKIF_RSP_OKAY) {
            blk_queue_submit(q, slot);
        } else {
            blk_queue_finish(q, slot, slot->status);
        }
    }
}

bool blk_queue_replay(struct blk_queue *q)
{
    struct blk_batch ready = {.first = NULL, .tail = &ready.first};
    struct blk_batch indirect = {.first = NULL, .tail = &indirect.first};
    struct blk_queue_slot *slot = q->replay;

    if (q->in_flight > q->nr_replay) {
        return q->replaying; /* one of them is under way */
    }
    if (slot == NULL) {
        q->replaying = false;
        return false;
    }
    q->replay = slot->next;
    q->nr_replay--;
    blk_queue_admit(q, slot, &ready, &indirect);
    blk_queue_start(q, &ready, &indirect);
    return true;
}

int blk_queue_take(struct blk_queue *q)
{
    struct blk_batch ready = {.first = NULL, .tail = &ready.first};
    struct blk_batch indirect = {.first = NULL, .tail = &indirect.first};
    uint32_t before = q->ring.req_cons;
    int pending;

    q->throttled = false;
    if (q->replaying && blk_queue_replay(q)) {
        return 0;
    }
    pending = ring_pending(&q->ring);
    if (pending <= 0) {
        return pending;
    }
    blk_queue_take_entries(q, (unsigned int)pending, &ready, &indirect);
    blk_queue_count_outstanding(q);
    blk_queue_start(q, &ready, &indirect);
    return (int)(q->ring.req_cons - before);
}

/* The slot is not free: the log has a request in it. */
static void blk_queue_seize(struct blk_queue *q, struct blk_queue_slot *slot)
{
    struct blk_queue_slot **p = &q->free;

    while (*p != slot) {
        p = &(*p)->next;
    }
    *p = slot->next;
    q->in_flight++;
}

/* A slot of an earlier worker: its response is in the ring, or will be, or it is to be replayed. */
static void blk_queue_inherit(struct blk_queue *q, struct blk_queue_slot *slot)
{
    const struct inflight_slot *logged = &q->log->slots[blk_queue_slot_number(q, slot)];
    struct blk_queue_slot **p = &q->replay;

    blk_queue_seize(q, slot);
    if (logged->state == INFLIGHT_ANSWERED) {
        slot->next = q->answered;
        q->answered = slot;
        return;
    }
    while (*p != NULL &&
           (int32_t)(q->log->slots[blk_queue_slot_number(q, *p)].request - logged->request) < 0) {
        p = &(*p)->next;
    }
    slot->next = *p;
    *p = slot;
    q->nr_replay++;
    q->replaying = true;
}

/* The response that stands at `index` was written by nobody, or not to its end. */
static void blk_queue_rewrite(struct blk_queue *q, uint32_t index)
{
    for (unsigned int i = 0; i < q->nr_slots; i++) {
        const struct inflight_slot *logged = &q->log->slots[i];
        struct blk_request req;
        uint32_t rsp[4];

        if (logged->state == INFLIGHT_ANSWERED && logged->response == index) {
            blk_gate_request(q->layout, &q->limits, logged->raw, &req); /* for id and operation */
            ring_respond(&q->ring, rsp,
                         blk_gate_response(req.id, req.wire_op, (int16_t)logged->status, rsp));
            return;
        }
    }
}

int blk_queue_take_over(struct blk_queue *q, const struct inflight_ring *ring, const char **why)
{
    struct inflight_place place;
    int err = inflight_begin(q->log, ring, q->ring.rsp_prod, &place, why);

    if (err != 0) {
        return err;
    }
    ring_resume(&q->ring, place.taken, place.written);
    if (!ring_is_resumable(&q->ring, place.published)) {
        *why = "the guest has another ring in its place";
        return -ESTALE;
    }
    for (unsigned int i = 0; i < INFLIGHT_SLOTS; i++) {
        if (q->log->slots[i].state == INFLIGHT_FREE) {
            continue;
        }
        if (i >= q->nr_slots) {
            *why = "the log of requests in flight is of a larger ring";
            return -EBADMSG;
        }
        blk_queue_inherit(q, &q->slots[i]);
    }
    while (q->ring.rsp_prod != place.answered) {
        blk_queue_rewrite(q, q->ring.rsp_prod);
    }
    if (q->in_flight != 0) {
        log_msg(LOG_NOTICE, q->id,
                "goes on after an earlier worker: %u requests to be carried out again, %u answered",
                q->nr_replay, q->in_flight - q->nr_replay);
    }
    figures_set(q->figures, BLK_FIGURE_SLOTS, q->nr_slots);
    blk_queue_publish(q); /* the guest is kicked anyway when a worker begins */
    return 0;
}

void blk_queue_lose(struct blk_queue *q)
{
    kept_put(&q->log->lost, 1);
}

/* The operation failed: logged for us, an error without details for the guest. */
static void blk_queue_fail_io(struct blk_queue *q, struct blk_queue_slot *slot, int err)
{
    static const char *const names[] = {"read", "write", "flush", "discard"};

    if (slot->req.op == BLK_FLUSH) {
        blk_queue_lose(q);
    }
    slot->status =
        slot->req.op == BLK_DISCARD && err == -EOPNOTSUPP ? BLKIF_RSP_EOPNOTSUPP : BLKIF_RSP_ERROR;
    log_limited(&q->io_log, LOG_ERR, q->id, "%s of the image failed at sector %llu: %s",
                names[slot->req.op], (unsigned long long)slot->req.sector, strerror(-err));
}

void blk_queue_complete(struct blk_queue *q, uint64_t tag, int res)
{
    struct blk_queue_slot *slot = &q->slots[tag];
    bool transfer = slot->req.op == BLK_READ || slot->req.op == BLK_WRITE;

    slot->at_disk = false;
    if (res == -EAGAIN || res == -EINTR) {
        blk_queue_submit(q, slot);
        return;
    }
    if (res < 0) {
        blk_queue_fail_io(q, slot, res);
    } else if (slot->req.op == BLK_FLUSH && q->log->lost != 0) {
        slot->status = BLKIF_RSP_ERROR; /* what an earlier flush was to make durable may be lost */
    } else if (transfer && slot->done + (uint32_t)res < blk_queue_total_bytes(slot)) {
        if (res > 0) {
            slot->done += (uint32_t)res;
            blk_queue_submit(q, slot);
            return;
        }
        blk_queue_fail_io(q, slot, -ENODATA); /* the image has become shorter */
    }
    slot->next = q->finished;
    q->finished = slot;
}

void blk_queue_beat(struct blk_queue *q)
{
    const struct blk_queue_slot *oldest = NULL;

    for (unsigned int i = 0; i < q->nr_slots; i++) {
        struct blk_queue_slot *slot = &q->slots[i];

        if (slot->at_disk && slot->beats < UINT8_MAX) {
            slot->beats++;
        }
        if (slot->at_disk && (oldest == NULL || slot->beats > oldest->beats)) {
            oldest = slot;
        }
    }
    if (oldest != NULL && oldest->beats >= LATE_BEATS && !q->late) {
        q->late = true;
        log_msg(LOG_WARNING, q->id, "the storage does not answer at sector %llu: waits",
                (unsigned long long)oldest->req.sector);
    } else if (q->late && (oldest == NULL || oldest->beats < LATE_BEATS)) {
        q->late = false;
        log_msg(LOG_NOTICE, q->id, "the storage answers again");
    }
}

bool blk_queue_answer(struct blk_queue *q)
{
    struct blk_queue_slot *slot, *next;

    for (slot = q->finished; slot != NULL; slot = slot->next) {
        if (slot->req.op == BLK_READ && slot->status == BLKIF_RSP_OKAY) {
            blk_queue_copy_data(q, slot, q->finished);
        }
    }
    blk_queue_run_copies(q, q->finished);
    for (slot = q->finished; slot != NULL; slot = next) {
        next = slot->next;
        blk_queue_finish(q, slot, slot->status);
    }
    q->finished = NULL;
    return q->answered != NULL && blk_queue_publish(q);
}

bool blk_queue_busy(const struct blk_queue *q)
{
    return q->in_flight > q->nr_replay;
}

bool blk_queue_waits_for_disk(const struct blk_queue *q)
{
    return q->replaying ? blk_queue_busy(q) : q->free == NULL;
}

bool blk_queue_waits_for_time(const struct blk_queue *q)
{
    return q->throttled;
}

void blk_queue_end(struct blk_queue *q)
{
    inflight_end(q->log);
}
