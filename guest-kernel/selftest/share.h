/*
 * share.h - how a vCPU's time divides between threads and the events that interrupt them.
 *
 * Both note that they run; the time between two notes of the same kind is theirs. So what Xen takes
 * away, and the way from one to the other, counts for neither, and the result is a ratio that does
 * not depend on how fast the machine is. All on one vCPU, with upcalls masked: no lock.
 */
#ifndef SELFTEST_SHARE_H
#define SELFTEST_SHARE_H

#include "kern/thread.h"
#include "psm/clock.h"
#include "psm/cpu.h"

#define SHARE_GAP   NSEC_PER_MSEC /* more than that between two notes: somebody else ran */
#define SHARE_LEAST 10            /* one part in so many; events leave threads one in five */

enum share_who { SHARE_NOBODY, SHARE_THREADS, SHARE_EVENTS, SHARE_KINDS };

struct share {
    unsigned vcpu;
    enum share_who last;
    nsec_t at, had[SHARE_KINDS];
    bool stop; /* for threads in share_run() */
};

/** share_note() - @who runs here now; nothing on another vCPU. Any context. */
static inline void share_note(struct share *s, enum share_who who)
{
    upcall_state_t state = upcalls_save();
    const struct cpu *cpu = this_cpu();

    if (cpu->id == s->vcpu) {
        nsec_t now = clock_now();

        if (who == SHARE_EVENTS && cpu->current == cpu->idle) {
            who = SHARE_NOBODY; /* who interrupts the idle thread takes a turn from nobody */
        }
        s->had[who] += who == s->last ? MIN(now - s->at, SHARE_GAP) : 0;
        s->last = who;
        s->at = now;
    }
    upcalls_restore(state);
}

/** share_run() - a thread that does nothing but run; @arg: the struct share. */
static inline void share_run(void *arg)
{
    struct share *s = arg;

    while (!READ_ONCE(s->stop)) {
        share_note(s, SHARE_THREADS);
    }
}

/** share_fair() - whether threads had theirs. */
static inline bool share_fair(const struct share *s)
{
    return s->had[SHARE_THREADS] >= s->had[SHARE_EVENTS] / SHARE_LEAST;
}

#endif /* SELFTEST_SHARE_H */
