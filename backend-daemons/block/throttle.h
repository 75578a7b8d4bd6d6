/*
 * How much of its disk a guest may have: so many requests and so many bytes in a second, by a
 * bucket (lib/bucket.h) for each. What it does not use is saved up, as far as the burst goes, which
 * is given in seconds: so one number fits both limits, and still fits when they are changed.
 *
 * What is not allowed yet stays in the ring, in its order, and takes no memory. What a request
 * costs is known when it has been taken, so one is taken as long as there are tokens at all, and
 * may owe what is missing; as that is less than the largest request, a limit lower than it delays
 * requests, and never stops them. A worker begins as if its predecessor had just left the most that
 * can be owed: whoever has his worker replaced gains nothing.
 *
 * A read, a write, a flush and a discard are a request each, also if they are refused. The bytes of
 * a discard are not counted, for none are moved.
 *
 * Types: struct blk_throttle. Time is loop_now_ns()'s, given by the caller.
 */
#ifndef DUET_BLOCK_THROTTLE_H
#define DUET_BLOCK_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "bucket.h"
#include "gate.h"
#include "wire.h"

/* The most that one request can move, and so the most that is ever owed. */
#define BLK_THROTTLE_OWED_MAX ((uint64_t)BLK_MAX_SEGMENTS * BLK_SECTORS_PER_PAGE * BLK_SECTOR_BYTES)

struct blk_throttle {
    bool on; /* there is a limit: to be looked at before all else */
    struct bucket requests, bytes;
};

/* Has these limits hold from now on. What was saved up, or is owed, under others stays. */
void blk_throttle_set(struct blk_throttle *t, const struct blk_wire_pace *pace, uint64_t now_ns);

/* What time has brought. */
void blk_throttle_clock(struct blk_throttle *t, uint64_t now_ns);

/* Whether another request may be taken, by the last clock. */
bool blk_throttle_open(const struct blk_throttle *t);

/* One was taken, which moves so many bytes, or will not move more than these. */
void blk_throttle_charge(struct blk_throttle *t, uint64_t bytes);

/* It moves so many less. */
void blk_throttle_refund(struct blk_throttle *t, uint64_t bytes);

/* How long to wait from now until it is worth while to look again: never so short that it is all
 * that the worker does. */
uint64_t blk_throttle_wait_ns(const struct blk_throttle *t, uint64_t now_ns);

#endif
