/*
 * How much of its disk a guest may have: see throttle.h.
 */
#include "throttle.h"

#define SECOND_NS   UINT64_C(1000000000)
#define MIN_WAIT_NS UINT64_C(1000000)

static void blk_throttle_limit(struct bucket *b, uint64_t rate, uint32_t burst_s, uint64_t owed,
                               uint64_t now_ns)
{
    struct bucket before = *b;

    if (bucket_tokens(&before, now_ns) == UINT64_MAX) {
        before = (struct bucket){.owed = owed};
    }
    bucket_set(b, rate, SECOND_NS, rate * burst_s, now_ns);
    b->tokens = before.tokens < b->burst ? before.tokens : b->burst;
    b->owed = before.owed;
}

void blk_throttle_set(struct blk_throttle *t, const struct blk_wire_pace *pace, uint64_t now_ns)
{
    t->on = pace->iops != 0 || pace->bytes != 0;
    blk_throttle_limit(&t->requests, pace->iops, pace->burst_s, 0, now_ns);
    blk_throttle_limit(&t->bytes, pace->bytes, pace->burst_s, BLK_THROTTLE_OWED_MAX, now_ns);
}

void blk_throttle_clock(struct blk_throttle *t, uint64_t now_ns)
{
    bucket_tokens(&t->requests, now_ns);
    bucket_tokens(&t->bytes, now_ns);
}

static bool blk_throttle_allows(const struct bucket *b)
{
    return b->amount == 0 || b->tokens != 0;
}

bool blk_throttle_open(const struct blk_throttle *t)
{
    return blk_throttle_allows(&t->requests) && blk_throttle_allows(&t->bytes);
}

void blk_throttle_charge(struct blk_throttle *t, uint64_t bytes)
{
    bucket_owe(&t->requests, 1);
    bucket_owe(&t->bytes, bytes);
}

void blk_throttle_refund(struct blk_throttle *t, uint64_t bytes)
{
    bucket_give_back(&t->bytes, bytes);
}

uint64_t blk_throttle_wait_ns(const struct blk_throttle *t, uint64_t now_ns)
{
    const uint64_t requests = bucket_wait_ns(&t->requests, 1, now_ns);
    const uint64_t bytes = bucket_wait_ns(&t->bytes, 1, now_ns);
    const uint64_t ns = requests > bytes ? requests : bytes;

    return ns > MIN_WAIT_NS ? ns : MIN_WAIT_NS;
}
