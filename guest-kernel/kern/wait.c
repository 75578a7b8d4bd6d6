/*
 * wait.c - wait queues, mutexes and condition variables.
 *
 * A waiter stands on its thread's stack. `waiting` says that the thread shall go on sleeping; the
 * waker or the timer clears it and then wakes the thread, and sched_block() tests it under the run
 * queue's lock, so that no order of events loses a wake-up. A waker touches waiter and thread only
 * under the queue's lock, and the sleeper takes that lock once more in waitq_finish() before its
 * stack frame goes away. Locks: the queue's own, over the run queues'.
 */
#include "kern/wait.h"

#include "kern/sched.h"
#include "os/panic.h"
#include "psm/timer.h"

void waitq_init(struct waitq *wq, const char *name)
{
    wq->lock = (spinlock_t)SPINLOCK_OF(LOCK_WAITQ, name);
    XEN_TAILQ_INIT(&wq->waiters);
}

/* Take the first sleeper off the queue and wake it. The queue is locked. */
static bool wake_first(struct waitq *wq)
{
    struct waiter *w = XEN_TAILQ_FIRST(&wq->waiters);

    if (w == NULL) {
        return false;
    }
    XEN_TAILQ_REMOVE(&wq->waiters, w, link);
    w->queued = false;
    WRITE_ONCE(w->waiting, false);
    thread_wake(w->thread);
    return true;
}

void waitq_wake_one(struct waitq *wq)
{
    upcall_state_t state = spin_lock(&wq->lock);

    (void)wake_first(wq);
    spin_unlock(&wq->lock, state);
}

void waitq_wake_all(struct waitq *wq)
{
    upcall_state_t state = spin_lock(&wq->lock);

    while (wake_first(wq)) {
    }
    spin_unlock(&wq->lock, state);
}

void waitq_prepare(struct waitq *wq, struct waiter *w)
{
    upcall_state_t state = spin_lock(&wq->lock);

    *w = (struct waiter){.thread = thread_self(), .queued = true, .waiting = true};
    WRITE_ONCE(w->thread->waits_for, wq);
    XEN_TAILQ_INSERT_TAIL(&wq->waiters, w, link);
    spin_unlock(&wq->lock, state);
}

void waitq_finish(struct waitq *wq, struct waiter *w)
{
    upcall_state_t state = spin_lock(&wq->lock);

    WRITE_ONCE(w->thread->waits_for, NULL);
    if (w->queued) {
        XEN_TAILQ_REMOVE(&wq->waiters, w, link);
        w->queued = false;
    }
    spin_unlock(&wq->lock, state);
}

/* A deadline of one sleeping thread, on its stack. */
struct alarm {
    struct timer timer;
    struct thread *thread;
    bool *waiting;
};

static void alarm_ring(struct timer *t)
{
    struct alarm *alarm = CONTAINER_OF(t, struct alarm, timer);

    WRITE_ONCE(*alarm->waiting, false);
    thread_wake(alarm->thread);
}

/* Sleep until @waiting is cleared, at the latest by the deadline, which @arm sets a timer to.
 * Return: 0 or -ETIMEDOUT.
 */
static int sleep_until(bool *waiting, nsec_t deadline,
                       void (*arm)(struct timer *t, nsec_t deadline))
{
    struct alarm alarm = {.thread = thread_self(), .waiting = waiting};

    if (deadline == NSEC_FOREVER) {
        sched_block(waiting);
        return 0;
    }
    timer_init(&alarm.timer, alarm_ring);
    arm(&alarm.timer, deadline);
    sched_block(waiting);
    return timer_cancel_wait(&alarm.timer) ? 0 : -ETIMEDOUT;
}

int waitq_sleep(struct waitq *wq, struct waiter *w, nsec_t deadline)
{
    (void)wq;
    return sleep_until(&w->waiting, deadline, timer_arm);
}

int waitq_sleep_wall(struct waitq *wq, struct waiter *w, nsec_t deadline)
{
    (void)wq;
    return sleep_until(&w->waiting, deadline, timer_arm_wall);
}

void thread_sleep_until(nsec_t deadline)
{
    bool waiting = true;

    (void)sleep_until(&waiting, deadline, timer_arm);
}

void thread_sleep_until_wall(nsec_t deadline)
{
    bool waiting = true;

    (void)sleep_until(&waiting, deadline, timer_arm_wall);
}

void mutex_init(struct mutex *m, const char *name)
{
    *m = (struct mutex){.owner = NULL};
    waitq_init(&m->waiters, name);
}

/* Take it if it is free; @place is for the witness: who wants it. */
static bool try_take(struct mutex *m, uint64_t place)
{
    struct thread *nobody = NULL;

    if (unlikely(locks_bypassed())) {
        return true;
    }
    bool taken = __atomic_compare_exchange_n(&m->owner, &nobody, thread_self(), false,
                                             __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
    if (taken) {
        witness_mutex_has(m, place);
    }
    return taken;
}

bool mutex_trylock(struct mutex *m)
{
    return try_take(m, (uint64_t)__builtin_return_address(0));
}

void mutex_lock(struct mutex *m)
{
    uint64_t place = (uint64_t)__builtin_return_address(0);
    struct thread *self = thread_self();

    witness_mutex_wants(m, place);
    if (try_take(m, place)) {
        return;
    }
    if (READ_ONCE(m->owner) == self) {
        panic("mutex \"%s\": taken twice by thread \"%s\"", m->waiters.lock.name,
              thread_name(self));
    }
    WRITE_ONCE(self->wants, m);
    wait_event(&m->waiters, try_take(m, place));
    WRITE_ONCE(self->wants, NULL);
}

void mutex_unlock(struct mutex *m)
{
    if (unlikely(locks_bypassed())) {
        return;
    }
    if (READ_ONCE(m->owner) != thread_self()) {
        panic("mutex \"%s\": released by thread \"%s\", which does not hold it",
              m->waiters.lock.name, thread_name(thread_self()));
    }
    witness_mutex_drops(m);
    __atomic_store_n(&m->owner, NULL, __ATOMIC_RELEASE);
    waitq_wake_one(&m->waiters);
}

void cond_init(struct cond *c, const char *name)
{
    waitq_init(&c->waiters, name);
}

int cond_wait_until(struct cond *c, struct mutex *m, nsec_t deadline)
{
    struct waiter w;

    waitq_prepare(&c->waiters, &w);
    mutex_unlock(m);
    int rc = waitq_sleep(&c->waiters, &w, deadline);
    waitq_finish(&c->waiters, &w);
    mutex_lock(m);
    return rc;
}

void cond_wait(struct cond *c, struct mutex *m)
{
    (void)cond_wait_until(c, m, NSEC_FOREVER);
}

void cond_signal(struct cond *c)
{
    waitq_wake_one(&c->waiters);
}

void cond_broadcast(struct cond *c)
{
    waitq_wake_all(&c->waiters);
}
