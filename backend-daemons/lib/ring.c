/*
 * The back end's side of a shared ring: see ring.h. The memory barriers are those of the macros in
 * xen/io/ring.h: acquire after reading req_prod, release before publishing rsp_prod, a full one
 * between publishing and reading the other side's event index.
 */
#include "ring.h"

#include <errno.h>
#include <string.h>

#include "kept.h"

_Static_assert(sizeof(struct ring_shared) == 16, "indices of xen/io/ring.h");

void ring_attach(struct ring_back *r, void *mem, uint32_t bytes, uint32_t entry_bytes)
{
    uint32_t fit = (bytes - RING_HEADER_BYTES) / entry_bytes;

    r->shared = mem;
    r->entries = (volatile uint8_t *)mem + RING_HEADER_BYTES;
    r->entry_bytes = entry_bytes;
    r->nr_entries = 1U << (31 - __builtin_clz(fit));
    r->rsp_prod = __atomic_load_n(&r->shared->rsp_prod, __ATOMIC_ACQUIRE);
    r->req_cons = r->rsp_prod;
    r->published = r->rsp_prod;
}

void ring_resume(struct ring_back *r, uint32_t req_cons, uint32_t rsp_prod)
{
    r->req_cons = req_cons;
    r->rsp_prod = rsp_prod;
    r->published = rsp_prod;
}

bool ring_is_resumable(const struct ring_back *r, uint32_t published)
{
    uint32_t shown = __atomic_load_n(&r->shared->rsp_prod, __ATOMIC_ACQUIRE);

    return (shown == r->published || shown == published) && ring_pending(r) >= 0;
}

int ring_inherit(struct ring_back *r, struct ring_log *log, bool fresh, uint32_t bytes)
{
    uint32_t answered;

    if (r->nr_entries > RING_LOG_ENTRIES || bytes > sizeof(log->responses[0])) {
        return -EBADMSG;
    }
    if (fresh) {
        log->answered = log->written = log->published = r->rsp_prod;
    }
    answered = log->answered;
    ring_resume(r, answered, log->written);
    if (answered - r->published > r->nr_entries) {
        return -EBADMSG;
    }
    if (!ring_is_resumable(r, log->published)) {
        return -ESTALE;
    }
    r->log = log;
    r->log_bytes = bytes;
    r->rsp_prod = answered;
    ring_publish(r);
    return 0;
}

int ring_pending(const struct ring_back *r)
{
    uint32_t prod = __atomic_load_n(&r->shared->req_prod, __ATOMIC_ACQUIRE);

    /* Everything from the first unanswered request to the newest one shares the ring. */
    if (prod - r->rsp_prod > r->nr_entries || prod - r->req_cons > r->nr_entries) {
        return -EPROTO;
    }
    return (int)(prod - r->req_cons);
}

static volatile uint32_t *entry(const struct ring_back *r, uint32_t index)
{
    return (volatile uint32_t *)(r->entries +
                                 (uint64_t)(index & (r->nr_entries - 1)) * r->entry_bytes);
}

void ring_peek(const struct ring_back *r, uint32_t ahead, void *dst)
{
    volatile uint32_t *src = entry(r, r->req_cons + ahead);
    uint32_t *d = dst;

    for (uint32_t i = 0; i < r->entry_bytes / sizeof(uint32_t); i++) {
        d[i] = src[i];
    }
}

void ring_consume(struct ring_back *r, uint32_t count)
{
    r->req_cons += count;
}

void ring_copy(struct ring_back *r, void *dst)
{
    ring_peek(r, 0, dst);
    ring_consume(r, 1);
}

static void ring_write(const struct ring_back *r, uint32_t index, const void *rsp, uint32_t bytes)
{
    volatile uint32_t *dst = entry(r, index);
    const uint32_t *s = rsp;

    for (uint32_t i = 0; i < bytes / sizeof(uint32_t); i++) {
        dst[i] = s[i];
    }
}

void ring_respond(struct ring_back *r, const void *rsp, uint32_t bytes)
{
    if (r->log != NULL) {
        memcpy(r->log->responses[r->rsp_prod % RING_LOG_ENTRIES], rsp, bytes);
    } else {
        ring_write(r, r->rsp_prod, rsp, bytes);
    }
    r->rsp_prod++;
}

/* What was noted since the last time goes to the ring. */
static void ring_write_noted(const struct ring_back *r)
{
    kept_put(&r->log->answered, r->rsp_prod);
    for (uint32_t i = r->published; i != r->rsp_prod; i++) {
        ring_write(r, i, r->log->responses[i % RING_LOG_ENTRIES], r->log_bytes);
    }
    kept_put(&r->log->written, r->rsp_prod);
}

bool ring_publish(struct ring_back *r)
{
    uint32_t old = r->published;
    uint32_t event;

    if (r->log != NULL) {
        ring_write_noted(r);
    }
    __atomic_store_n(&r->shared->rsp_prod, r->rsp_prod, __ATOMIC_RELEASE);
    r->published = r->rsp_prod;
    if (r->log != NULL) {
        kept_put(&r->log->published, r->rsp_prod);
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    event = __atomic_load_n(&r->shared->rsp_event, __ATOMIC_RELAXED);
    return r->rsp_prod - event < r->rsp_prod - old;
}

bool ring_final_check_many(const struct ring_back *r, uint32_t want)
{
    int pending;

    __atomic_store_n(&r->shared->req_event, r->req_cons + want, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    pending = ring_pending(r);
    return pending < 0 || (uint32_t)pending >= want;
}

bool ring_final_check(const struct ring_back *r)
{
    return ring_final_check_many(r, 1);
}
