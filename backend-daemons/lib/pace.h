/*
 * How often something may be done that a guest can cause without end, such as connecting or
 * starting anew. The first time costs nothing. The next has to wait a quarter of a second, and each
 * further one twice as long, up to two seconds. After ten quiet seconds all is forgiven.
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

/* Returns 0 and counts it as done, or returns how many nanoseconds to wait before asking again. */
uint64_t pace_ask(struct pace *pace, uint64_t now_ns);

#endif
