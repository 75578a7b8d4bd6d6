/*
 * Time by the processor's counter: see stopwatch.h.
 */
#include "stopwatch.h"

#include <x86intrin.h>

#include "loop.h"

/* Less than that is too little to go by. */
#define LEARN_NS UINT64_C(1000000)

/* More than that nobody waits: the counter has jumped. */
#define MOST_NS 1e15

uint64_t stopwatch_ticks(void)
{
    return __rdtsc();
}

void stopwatch_look(struct stopwatch *s)
{
    const uint64_t ns = loop_now_ns(), ticks = stopwatch_ticks();

    if (s->begin_ns != 0 && ns - s->begin_ns < LEARN_NS) {
        return;
    }
    if (s->begin_ns != 0 && ticks > s->begin_ticks) {
        s->ns_per_tick = (double)(ns - s->begin_ns) / (double)(ticks - s->begin_ticks);
    }
    s->begin_ns = ns;
    s->begin_ticks = ticks;
}

uint64_t stopwatch_since(const struct stopwatch *s, uint64_t since)
{
    const uint64_t now = stopwatch_ticks();
    const double ns = now > since ? (double)(now - since) * s->ns_per_tick : 0;

    return ns < MOST_NS ? (uint64_t)ns : 0;
}
