/*
 * Time by the processor's counter. In a PV domain the clock is a system call, and a worker would
 * need it twice for each request; the counter costs a few cycles. How fast it runs is learnt from
 * the clock: once a worker has started, and again with each beat, so that a driver domain that was
 * moved to another host goes by the new one's after a few seconds.
 *
 * Types: struct stopwatch.
 */
#ifndef DUET_LIB_STOPWATCH_H
#define DUET_LIB_STOPWATCH_H

#include <stdint.h>

/* Zero-initialise. */
struct stopwatch {
    uint64_t begin_ticks, begin_ns; /* of what is measured by */
    double ns_per_tick;             /* 0: not known yet */
};

uint64_t stopwatch_ticks(void);

/* Looks at the clock, and learns from what went by since the last look. */
void stopwatch_look(struct stopwatch *s);

/* How many nanoseconds went by since the counter stood at `since`; 0 when that is not known. */
uint64_t stopwatch_since(const struct stopwatch *s, uint64_t since);

#endif
