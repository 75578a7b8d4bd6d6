/*
 * The back end's side of a shared ring (xen/io/ring.h). Every index that the guest writes is
 * checked before it is used.
 *
 * The shared page may change under our eyes at any time. So an index is loaded once, a request is
 * copied once (ring_copy()), and nothing else is ever read from the page. The private indices live
 * here and are never taken from the page again after ring_attach().
 *
 * Types: struct ring_back, one per ring.
 */
#ifndef DUET_LIB_RING_H
#define DUET_LIB_RING_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes before the first entry of a ring (struct NAME_sring of xen/io/ring.h). */
#define RING_HEADER_BYTES 64

/* The part of the page that both sides write: the indices at its start. */
struct ring_shared {
    uint32_t req_prod;
    uint32_t req_event;
    uint32_t rsp_prod;
    uint32_t rsp_event;
};

/*
 * The answers that a guest may not have been shown, in memory that outlives who writes them, for a
 * class that answers in the order of the ring. A response takes the place of its request: who were
 * killed between writing some and publishing them would leave the next one responses to take for
 * requests, or a message of several slots without its head. So they are noted here, and
 * ring_publish() counts all of them in `answered`, then writes them to the ring, then counts them
 * in `written`, then publishes them.
 */
#define RING_LOG_ENTRIES 256U
#define RING_LOG_WORDS   4U

struct ring_log {
    uint32_t answered;  /* responses before this are in the ring, or below */
    uint32_t written;   /* responses before this are in the ring */
    uint32_t published; /* what rsp_prod was when it was last stored, or what it was before */
    uint32_t responses[RING_LOG_ENTRIES][RING_LOG_WORDS];
};

struct ring_back {
    volatile struct ring_shared *shared;
    volatile uint8_t *entries;
    uint32_t nr_entries;  /* a power of two */
    uint32_t entry_bytes; /* a multiple of four */
    uint32_t req_cons;    /* requests taken */
    uint32_t rsp_prod;    /* responses written, published or not */
    uint32_t published;   /* responses that the guest has been shown */
    struct ring_log *log; /* NULL: none */
    uint32_t log_bytes;   /* of each response there */
};

/*
 * Describes the ring in the mapped memory `mem` of `bytes` bytes. Private indices start at the
 * published `rsp_prod`: 0 for a fresh ring, and for a class that answers in the order of the ring
 * the place up to which everything has been answered. `entry_bytes` is that of the guest's ABI.
 */
void ring_attach(struct ring_back *r, void *mem, uint32_t bytes, uint32_t entry_bytes);

/*
 * Goes on where an earlier back end was, as its log says: the next request to be taken, and how
 * many responses are in the ring, published or not. What the page says does not count.
 */
void ring_resume(struct ring_back *r, uint32_t req_cons, uint32_t rsp_prod);

/*
 * After ring_resume(): whether the page can be of that ring. Its rsp_prod is what was resumed, or
 * `published`, which it was before; and what it offers fits behind that.
 */
bool ring_is_resumable(const struct ring_back *r, uint32_t published);

/*
 * Notes every response in `log` from now on, whose ring has at most RING_LOG_ENTRIES entries. With
 * `fresh` it begins where the ring is; otherwise the ring goes on where the log's last writer was:
 * responses, of `bytes` bytes each, that he had not shown the guest are written again, and
 * published. Returns 0, -EBADMSG: that is no log of such a ring; or -ESTALE: the guest has another
 * ring in its place.
 */
int ring_inherit(struct ring_back *r, struct ring_log *log, bool fresh, uint32_t bytes);

/*
 * How many requests wait to be taken. Returns 0 … nr_entries, or -EPROTO when the guest claims more
 * than the ring can hold beside the requests that are not answered yet: the ring is broken for
 * good.
 */
int ring_pending(const struct ring_back *r);

/* Copies the next request into `dst` (entry_bytes long), once, and consumes it. */
void ring_copy(struct ring_back *r, void *dst);

/*
 * Copies the request `ahead` places after the next one into `dst`, once, and consumes nothing: for
 * messages of several requests. `ahead` must be less than what ring_pending() returned.
 */
void ring_peek(const struct ring_back *r, uint32_t ahead, void *dst);

/* Consumes `count` requests that were looked at by ring_peek(). */
void ring_consume(struct ring_back *r, uint32_t count);

/* Writes the next response (`bytes` <= entry_bytes long), or notes it, without publishing it. */
void ring_respond(struct ring_back *r, const void *rsp, uint32_t bytes);

/* Publishes the responses written so far. Returns true when the guest wants an event for them. */
bool ring_publish(struct ring_back *r);

/*
 * Asks for an event with the next request, then looks once more: true when a request arrived
 * meanwhile (or the ring broke), so that waiting now could lose a wake-up.
 */
bool ring_final_check(const struct ring_back *r);

/* As ring_final_check(), for a caller that needs at least `want` (1 or more) requests. */
bool ring_final_check_many(const struct ring_back *r, uint32_t want);

#endif
