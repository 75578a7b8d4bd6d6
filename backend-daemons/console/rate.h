/*
 * A token bucket: so many bytes per second, with a burst. A guest that floods its console spends
 * its own tokens and then waits; others do not notice.
 *
 * Types owned: struct rate. No locks. Time is CLOCK_MONOTONIC in nanoseconds, given by the caller.
 */
#ifndef DUET_CONSOLE_RATE_H
#define DUET_CONSOLE_RATE_H

#include <stddef.h>
#include <stdint.h>

struct rate {
    /* Bytes per second; 0: no limit. */
    uint64_t per_second;
    uint64_t burst;
    uint64_t tokens;
    uint64_t filled_ns;
};

/* A full bucket. */
void rate_init(struct rate *rate, uint64_t per_second, uint64_t burst, uint64_t now_ns);

/* How many bytes may pass now (SIZE_MAX without a limit). */
size_t rate_allowance(struct rate *rate, uint64_t now_ns);

/* Spends tokens; more than there are empties the bucket. */
void rate_spend(struct rate *rate, size_t bytes);

/* Nanoseconds until a quarter of the burst is there again; 0 when it is. */
uint64_t rate_wait_ns(const struct rate *rate);

#endif
