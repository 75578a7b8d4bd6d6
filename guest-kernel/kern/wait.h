/*
 * wait.h - waiting for something to become true.
 *
 * A wait queue holds sleeping threads. The waiter's pattern is the macro wait_event(): it joins
 * the queue, tests the condition, and sleeps only if it is false, so that a wake-up between
 * test and sleep is not lost. Wakers change the condition first, then call waitq_wake_*().
 * Mutexes and condition variables are made of the same queue.
 * Locks: each queue has its spinlock, over the run queues' locks only.
 * Suspend: sleepers stay asleep; deadlines are in system time (see psm/clock.h).
 */
#ifndef KERN_WAIT_H
#define KERN_WAIT_H

#include <xen_list.h>

#include "kern/lock.h"
#include "kern/types.h"
#include "kern/witness.h"

struct thread;

/* One sleeper, on its own stack. */
struct waiter {
    struct thread *thread;
    XEN_TAILQ_ENTRY(struct waiter) link;
    bool queued;  /* in the queue; under its lock */
    bool waiting; /* shall go on sleeping */
};

struct waitq {
    spinlock_t lock;
    XEN_TAILQ_HEAD(waiter_list, struct waiter) waiters;
};

/* A queue that is usable from the start. */
#define WAITQ(wq, queuename)                                 \
    {                                                        \
        .lock = SPINLOCK_OF(LOCK_WAITQ, queuename),          \
        .waiters = XEN_TAILQ_HEAD_INITIALIZER((wq).waiters), \
    }

/** waitq_init() - make a queue usable. @name must stay valid. */
void waitq_init(struct waitq *wq, const char *name);

/** waitq_wake_one() / waitq_wake_all() - make sleepers ready. Any context, also interrupts. */
void waitq_wake_one(struct waitq *wq);
void waitq_wake_all(struct waitq *wq);

/* The pieces of wait_event(); see there. */
void waitq_prepare(struct waitq *wq, struct waiter *w);
int waitq_sleep(struct waitq *wq, struct waiter *w, nsec_t deadline);
int waitq_sleep_wall(struct waitq *wq, struct waiter *w, nsec_t deadline); /* clock_wall() time */
void waitq_finish(struct waitq *wq, struct waiter *w);

/**
 * wait_event_until() - sleep until @cond holds or system time reaches @deadline
 *
 * @cond is evaluated several times, without a lock held, and no more once it was true: it may take
 * something (mutex_trylock). Thread context, may sleep.
 * Value: 0 when the condition holds, -ETIMEDOUT when the deadline passed first.
 */
#define wait_event_until(wq, cond, deadline)                \
    ({                                                      \
        struct waiter __w;                                  \
        witness_may_sleep();                                \
        bool __true = (cond);                               \
        int __rc = 0;                                       \
        while (!__true && __rc == 0) {                      \
            waitq_prepare((wq), &__w);                      \
            __true = (cond);                                \
            if (!__true) {                                  \
                __rc = waitq_sleep((wq), &__w, (deadline)); \
            }                                               \
            waitq_finish((wq), &__w);                       \
            __true = __true || (cond);                      \
        }                                                   \
        __true ? 0 : __rc;                                  \
    })

/** wait_event() - the same without a deadline. */
#define wait_event(wq, cond) ((void)wait_event_until((wq), (cond), NSEC_FOREVER))

/* A sleeping lock. Owned by a thread; not for interrupts. */
struct mutex {
    struct thread *owner;
    uint16_t class; /* its enum lock_class, once the witness has looked it up */
    struct waitq waiters;
};

/** mutex_init() - make it usable. @name must stay valid and have a row in lockorder.def. */
void mutex_init(struct mutex *m, const char *name);

/**
 * mutex_lock() - take it, sleeping while another thread holds it. Panics if the caller does.
 *
 * mutex_trylock() does not sleep, and so may be called against the table's order.
 */
void mutex_lock(struct mutex *m);
bool mutex_trylock(struct mutex *m) __must_check;
void mutex_unlock(struct mutex *m);

/* A condition variable, used with a mutex. */
struct cond {
    struct waitq waiters;
};

void cond_init(struct cond *c, const char *name);

/** cond_wait_until() - release @m, sleep, take @m again. Return: 0 or -ETIMEDOUT. Check in a loop.
 */
int cond_wait_until(struct cond *c, struct mutex *m, nsec_t deadline);
void cond_wait(struct cond *c, struct mutex *m);
void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);

#endif /* KERN_WAIT_H */
