/*
 * The limit of `rate=`: so many bytes in each interval of so many microseconds, as the toolstack
 * writes it to the key `rate`. What an interval leaves over is lost, but for a burst that lets the
 * largest packet through.
 *
 * Types: struct net_credit. No locks. Time is CLOCK_MONOTONIC in nanoseconds, given by the caller.
 */
#ifndef DUET_NET_CREDIT_H
#define DUET_NET_CREDIT_H

#include <stdbool.h>
#include <stdint.h>

struct net_credit {
    uint64_t bytes; /* per interval; 0: no limit */
    uint64_t interval_ns;
    uint64_t left;
    uint64_t next_ns; /* when the next interval begins */
};

/* Sets the limit, from now on. */
void net_credit_set(struct net_credit *c, uint64_t bytes, uint64_t interval_us, uint64_t now_ns);

/*
 * Spends `bytes` if they are there. Returns false when the packet has to wait until `next_ns`.
 */
bool net_credit_spend(struct net_credit *c, uint32_t bytes, uint64_t now_ns);

#endif
