/*
 * The in-flight log of a ring: what a worker has taken from the ring and not yet answered, in
 * memory that outlives the worker (kept.h). The supervisor makes it for each new ring, keeps it,
 * and hands it to each worker of that ring in turn. A worker may be killed at any instruction: the
 * next one goes on from the log, no request is lost, and none is answered twice.
 *
 * The shared ring cannot tell this by itself. Responses leave in the order in which the disk
 * finishes, so `rsp_prod` says how many requests were answered, and not which. A response
 * overwrites the request that stood in its place. And the page is the guest's to write. So the log
 * never asks the page: it has its own copy of each request, and its own count of what was written
 * to the page.
 *
 * The protocol. Four stores decide. Each is one aligned word, and what it vouches for was stored
 * before it:
 *
 *   taken    A request is copied into a free slot, with its index in the ring; then the slot
 *            becomes TAKEN; then `taken` counts it. A slot that is TAKEN and not counted does not
 *            exist: the request still stands in the ring.
 *   answer   The slot is given the index of its response and the status, then becomes ANSWERED.
 *            The response is written to the ring after that, and nobody is shown it yet.
 *   written  When all responses of a batch are in the ring, `written` takes them in. Then they are
 *            published (rsp_prod), and the guest may put new requests in their places.
 *   free     Then the slots become FREE.
 *
 * So at any moment this is what a slot means to the next worker:
 *
 *   TAKEN, counted                 carry it out (again): a read, a write, a flush or a discard may
 *                                  be done twice, and the guest was not told that it was done once
 *   ANSWERED, not within `written` write the response again: nobody was shown it, so the place is
 *                                  still ours
 *   ANSWERED, within `written`     it is in the ring, and perhaps published, so its place may hold
 *                                  a new request by now: do not write it; publish `written`
 *
 * Every request that is counted is in one of these states or lies before `written`, and this is
 * checked:
 *
 *   taken = written + (ANSWERED beyond written) + (TAKEN and counted)
 *
 * A ring that is taken over is the guest's old one: its rsp_prod is `written`, or `published` if
 * the last worker was killed between the two. A guest that has started anew in the same pages
 * (kexec) while nobody served it shows another, and is not answered what it never asked.
 *
 * A flush that fails is told once by the kernel, and it may be that nobody hears it: the last flush
 * of a worker that ends has no guest to answer, and a worker may be killed with the news. So `lost`
 * is set first, and cleared when a flush has been answered by an error.
 *
 * Requests that are carried out again come first, in the order of the ring, one by one. Newer ones
 * wait, so that none is overtaken by an older one.
 *
 * That the old worker is gone does not mean that its disk operations are: the kernel ends a process
 * without waiting for them, and a late one could undo what was written after it. So a worker holds
 * a lock on the log, by an open file description of its own that its io_uring keeps until the last
 * operation has ended. The next worker waits for that lock.
 *
 * Only the order of the instructions counts, and no memory barrier is needed, because the log is
 * read after its writer is gone. Its content is that of a process which a guest may have taken
 * over. So it is read inside the cage, checked as a whole, and each copied request passes the gate
 * again.
 *
 * Types: struct inflight_log, inflight_slot, inflight_ring, inflight_place. One worker at a time
 * writes. At suspend the guest throws its ring away; the next ring has another log.
 */
#ifndef DUET_LIB_INFLIGHT_H
#define DUET_LIB_INFLIGHT_H

#include <stdint.h>

#include "kept.h"

#define INFLIGHT_MAGIC     0x676f6c66U /* "flog" */
#define INFLIGHT_VERSION   3U          /* changes with these structures, and with their meaning */
#define INFLIGHT_SLOTS     64U
#define INFLIGHT_RAW_BYTES 112U
#define INFLIGHT_MAX_PAGES 16U

enum inflight_slot_state {
    INFLIGHT_FREE,
    INFLIGHT_TAKEN,
    INFLIGHT_ANSWERED,
};

struct inflight_slot {
    uint32_t state;
    uint32_t request;                /* index in the ring, not reduced to its size */
    uint32_t response;               /* likewise */
    int32_t status;                  /* of the response; what it means is the class's business */
    uint8_t raw[INFLIGHT_RAW_BYTES]; /* the request as it stood in the ring */
};

/* Which ring the log is of. */
struct inflight_ring {
    uint32_t entry_bytes;
    uint32_t event_channel;
    uint32_t nr_pages;
    uint32_t refs[INFLIGHT_MAX_PAGES];
};

struct inflight_log {
    struct kept_head head; /* first */
    uint32_t taken;
    uint32_t written;
    uint32_t published; /* what rsp_prod was when it was last stored, or what it was before */
    uint32_t lost;      /* not 0: a flush failed, and no answer to a flush has said so */
    struct inflight_ring ring;
    _Alignas(128) struct inflight_slot slots[INFLIGHT_SLOTS];
};

/* Where a worker goes on. */
struct inflight_place {
    uint32_t taken;     /* index of the next request to be taken */
    uint32_t written;   /* responses before this are in the ring */
    uint32_t published; /* rsp_prod may also be this */
    uint32_t answered;  /* those from `written` to here are to be written again */
};

/*
 * For the supervisor: makes a fresh log for a new ring, whose size is sealed. Returns the
 * descriptor or -errno.
 */
int inflight_create(void);

/*
 * For the worker: kept_open(). Looks at nothing in the log. The descriptor is to be registered with
 * the io_uring.
 */
int inflight_open(int fd, void (*waits)(void), struct inflight_log **out);

/*
 * For the worker, in its cage: begins a fresh log at index `first`, which is where the new ring
 * begins, or takes an earlier one over. Returns 0 with *place filled, or -errno with *why, a
 * sentence, set: the ring cannot be served.
 */
int inflight_begin(struct inflight_log *log, const struct inflight_ring *ring, uint32_t first,
                   struct inflight_place *place, const char **why);

/* The request `index` has been copied to the slot's `raw`. */
void inflight_take(struct inflight_log *log, unsigned int slot, uint32_t index);

/* Before the response `index` is written to the ring. */
void inflight_answer(struct inflight_log *log, unsigned int slot, uint32_t index, int32_t status);

/* All responses before `index` are in the ring, and are about to be published. */
void inflight_written(struct inflight_log *log, uint32_t index);

/* rsp_prod is what inflight_written() was told last. */
void inflight_published(struct inflight_log *log);

/* The response has been published. */
void inflight_free(struct inflight_log *log, unsigned int slot);

/* The worker ends with nothing in flight. */
void inflight_end(struct inflight_log *log);

#endif
