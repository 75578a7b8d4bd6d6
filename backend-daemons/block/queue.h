/*
 * The data path of one ring: takes requests through the gate, moves their data, has the engine
 * carry them out, and answers.
 *
 * A batch goes through in stages, each with one system call for all its requests:
 *   1. copy entries from the ring, gate them; copy the indirect pages, gate those
 *   2. copy the data of writes from the guest
 *   3. submit to the engine
 *   4. on completion copy the data of reads to the guest
 *   5. write the responses, publish them, notify once if the guest asked for it
 *
 * A request lives in a slot with a buffer of its own, in which its segments lie in a row, so that
 * it is one operation on the file whatever the guest's pages look like. There are never more slots
 * than ring entries. Requests that find none stay in the ring until one is free. As much of the
 * buffer as a request has needed so far, up to the next power of two, is pinned: the disk's
 * operations then need not look for its pages.
 *
 * Each step is noted in the in-flight log (lib/inflight.h), into which an entry is copied straight
 * from the ring, so that another worker can go on if this one is killed. blk_queue_take_over() does
 * that: responses that were not shown are written again, then the requests without a response are
 * carried out again, one after the other, and only then is the ring looked at.
 *
 * Types: struct blk_queue, struct blk_queue_slot. At suspend the guest stops, what is in flight is
 * finished, and the worker exits; the next ring is another queue.
 */
#ifndef DUET_BLOCK_QUEUE_H
#define DUET_BLOCK_QUEUE_H

#include "blk_figures.h"
#include "engine.h"
#include "gate.h"
#include "grant.h"
#include "inflight.h"
#include "log.h"
#include "nbd.h"
#include "ring.h"
#include "stopwatch.h"
#include "throttle.h"

#define BLK_QUEUE_MAX_SLOTS  INFLIGHT_SLOTS
#define BLK_QUEUE_SLOT_BYTES (BLK_MAX_SEGMENTS * GRANT_PAGE_BYTES)

/* One request between the ring and its answer. */
struct blk_queue_slot {
    struct blk_request req;
    uint8_t *buf;
    uint32_t pinned; /* bytes of it that are (blk_engine_pin()) */
    uint64_t taken;  /* when, by the stopwatch's ticks */
    uint32_t done;   /* bytes carried out so far, for short transfers */
    int16_t status;  /* BLKIF_RSP_… */
    bool at_disk;
    uint8_t beats; /* since it went there */
    struct blk_queue_slot *next;
};

struct blk_queue {
    struct ring_back ring;
    const struct blk_layout *layout;
    struct blk_limits limits;
    struct blk_throttle throttle;
    bool throttled; /* requests were left in the ring for it */
    struct io_uring *uring;
    struct blk_nbd *nbd; /* where the image is; NULL: a file or block device */
    struct inflight_log *log;
    struct figures *figures;
    const struct stopwatch *watch;
    struct grant_copy_batch copies;
    const struct log_id *id;
    struct log_limit refused_log, io_log;
    bool late;    /* the disk is, which was told */
    bool no_pins; /* the kernel refused one */
    struct blk_queue_slot slots[BLK_QUEUE_MAX_SLOTS];
    struct blk_queue_slot *free;
    struct blk_queue_slot *finished; /* carried out, not answered */
    struct blk_queue_slot *answered; /* their responses are not published */
    struct blk_queue_slot *replay;   /* of an earlier worker, to be carried out, in ring order */
    bool replaying;                  /* until the last of them is answered */
    unsigned int nr_slots;
    unsigned int in_flight; /* slots that are not free */
    unsigned int nr_replay;
};

/*
 * Prepares the slots (memory is touched only when used) for the ring that `q->ring` already
 * describes; layout, limits, uring, nbd, log, figures, watch and id are set by the caller.
 * Returns 0 or -errno.
 */
int blk_queue_init(struct blk_queue *q, xengnttab_handle *xgt, uint16_t domid);

/*
 * Begins where the log says: with a new ring, or where an earlier worker of this one was. To be
 * called in the cage, before anything is taken. `ring` says which ring it is. Returns 0, or -errno
 * with the sentence *why set: nobody can go on with this ring.
 */
int blk_queue_take_over(struct blk_queue *q, const struct inflight_ring *ring, const char **why);

/*
 * Carries on with what blk_queue_take_over() found. Returns whether some of that is left; then
 * nothing else may be taken. For a worker that does not call blk_queue_take() any more.
 */
bool blk_queue_replay(struct blk_queue *q);

/*
 * Stages 1 to 3: takes what the ring offers and the throttle allows and queues it to the engine,
 * once nothing is left to replay: that was charged when it was taken first. Returns how many
 * requests were taken, or -EPROTO when the guest broke the ring.
 */
int blk_queue_take(struct blk_queue *q);

/* The engine reports the end of the operation with `tag` (a slot's number). */
void blk_queue_complete(struct blk_queue *q, uint64_t tag, int res);

/*
 * A few seconds have gone by (worker.h): says once when the disk has not answered an operation for
 * two to three beats, and when it has again. There is nothing to do but to wait.
 */
void blk_queue_beat(struct blk_queue *q);

/* Stages 4 and 5. Returns true when the guest must be notified. */
bool blk_queue_answer(struct blk_queue *q);

/* A flush has failed that no request of the guest asked for: its next one will say so. */
void blk_queue_lose(struct blk_queue *q);

/* Whether the disk is at work for it. */
bool blk_queue_busy(const struct blk_queue *q);

/* After blk_queue_answer(): whether only a completion lets the queue go on. */
bool blk_queue_waits_for_disk(const struct blk_queue *q);

/* After blk_queue_take(): whether there are requests that only time lets it take. */
bool blk_queue_waits_for_time(const struct blk_queue *q);

/* Nothing is in flight, and this is the end. */
void blk_queue_end(struct blk_queue *q);

#endif
