/*
 * timer.h - one-shot timers.
 *
 * Each vCPU has a heap of timers and programs Xen's single-shot timer for the earliest: no
 * periodic tick. Callbacks run at IPL_TIMER on the vCPU that armed them, never on two at once, and
 * must not sleep.
 * Locks: one per vCPU's heap; not held during a callback. Suspend: deadlines are in clock_now()
 * time, which stands still meanwhile, and are programmed again; those given by the wall clock are
 * reckoned anew.
 */
#ifndef PSM_TIMER_H
#define PSM_TIMER_H

#include "kern/lock.h"
#include "kern/types.h"

#include <xen/xen.h>
#include <xen/event_channel.h>

struct timer {
    nsec_t deadline; /* clock_now() time; read-only for the owner */
    nsec_t wall;     /* the same in clock_wall() time, for which it was armed; 0: for the other */
    void (*fn)(struct timer *t);
    struct timer *child, *sibling, **link; /* pairing heap; NULL link: not armed */
    unsigned cpu;
};

/* The timers of one CPU. */
struct cpu_timers {
    spinlock_t lock;       /* from any CPU; not held during a callback */
    evtchn_port_t port;    /* VIRQ_TIMER */
    struct timer *root;    /* of the heap */
    struct timer *running; /* whose callback runs now */
    nsec_t programmed;     /* deadline that Xen knows; NSEC_FOREVER: none */
};

/**
 * timer_init() - make a timer usable
 *
 * The structure must stay while it is armed and while its callback runs: call timer_cancel_wait()
 * before it goes. @fn itself may free it, if it did not arm it again.
 */
void timer_init(struct timer *t, void (*fn)(struct timer *t));

/** timer_armed() - whether it is set to fire. Stable only for who arms it. */
static inline bool timer_armed(const struct timer *t)
{
    return t->link != NULL;
}

/**
 * timer_arm() - call @t->fn once at @deadline; moves it if armed already
 *
 * Never waits: if the callback runs just now, it will run again. Any context, also the callback
 * and with any lock held that the callback takes.
 */
void timer_arm(struct timer *t, nsec_t deadline);

/**
 * timer_arm_wall() - the same, @deadline being a clock_wall() time
 *
 * Time that passes while the domain is saved counts: what became due meanwhile fires at once.
 */
void timer_arm_wall(struct timer *t, nsec_t deadline);

/**
 * timer_cancel() - forget it, without waiting
 *
 * Return: true if it was armed and now will not fire. False: it was not armed, or it fired; its
 * callback may still run, so the structure must stay. Any context, also its callback and with any
 * lock held.
 */
bool timer_cancel(struct timer *t);

/**
 * timer_cancel_wait() - forget it, and wait until its callback is over
 *
 * The one call that waits: afterwards the timer is not armed, not even by its callback, and its
 * memory may go, if nobody else arms it. Thread context, no spinlock held, not in a callback.
 * Return: as timer_cancel().
 */
bool timer_cancel_wait(struct timer *t);

struct cpu;

/**
 * timer_cpu_create() - a CPU's heap; once, before its first start: others may hold its lock ever
 * after
 *
 * Return: 0 or -ENOMEM; for vCPU 0, which has its heap before memory works, 0.
 */
int timer_cpu_create(struct cpu *cpu);

/** timer_cpu_free() - the reverse, for a CPU that nobody came to know. */
void timer_cpu_free(struct cpu *cpu);

/** timer_cpu_init() - bind the timer interrupt of a CPU. Return: 0 or -errno. */
int timer_cpu_init(struct cpu *cpu);

/** timer_cpu_close() - unbind it, when the CPU is down. */
void timer_cpu_close(struct cpu *cpu);

/** timer_resume() - vCPU 0's timers after a suspend; upcalls masked, all others parked. */
void timer_resume(struct cpu *cpu);

/** timer_move_all() - hand a leaving CPU's timers to @to. Upcalls masked, on the leaving CPU. */
void timer_move_all(struct cpu *from, struct cpu *to);

/** timer_reprogram() - look at this CPU's heap anew, after somebody else changed it. */
void timer_reprogram(struct cpu *cpu);

#endif /* PSM_TIMER_H */
