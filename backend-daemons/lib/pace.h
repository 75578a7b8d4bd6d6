/*
 * How often something may be done that a guest can cause without end: to connect, to begin anew.
 * The first time it is free; then it waits a quarter of a second, and twice as long each time, up
 * to two seconds; ten quiet seconds, and all is forgiven.
 *
 * Types: struct pace (zero-initialise). Time is loop_now_ns()'s, given by the caller.
 */
#ifndef DUET_LIB_PACE_H
#define DUET_LIB_PACE_H

#include <stdint.h>

struct pace {
    uint64_t last_ns; /* when it was done last; 0: never */
    unsigned int hurry;
};

/* Returns 0, and counts it as done, or how many nanoseconds are to be waited before. */
uint64_t pace_ask(struct pace *pace, uint64_t now_ns);

#endif
