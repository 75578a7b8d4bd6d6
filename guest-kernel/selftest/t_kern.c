/*
 * t_kern.c - promises of threads, locks and waiting.
 */
#include "kern/lock.h"
#include "kern/mem.h"
#include "kern/thread.h"
#include "kern/wait.h"
#include "psm/clock.h"
#include "psm/cpu.h"
#include "selftest/selftest.h"

#define WORKERS 6
#define ROUNDS  2000

/* ---- mutual exclusion ---- */

struct shared {
    struct mutex mutex;
    struct cond cond;
    spinlock_t spin;
    uint64_t under_mutex, under_spin;
    unsigned turn;
};

static void add_up(void *arg)
{
    struct shared *s = arg;

    for (unsigned i = 0; i < ROUNDS; i++) {
        mutex_lock(&s->mutex);
        WRITE_ONCE(s->under_mutex, READ_ONCE(s->under_mutex) + 1);
        mutex_unlock(&s->mutex);
        upcall_state_t state = spin_lock(&s->spin);
        WRITE_ONCE(s->under_spin, READ_ONCE(s->under_spin) + 1);
        spin_unlock(&s->spin, state);
    }
}

/* Run a function in several threads and wait for all. */
static bool run_workers(unsigned n, void (*fn)(void *arg), void *arg)
{
    struct thread *threads[WORKERS];
    bool all = true;

    for (unsigned i = 0; i < n; i++) {
        threads[i] = thread_create("worker", fn, arg, PRIO_NORMAL);
        all &= threads[i] != NULL;
    }
    for (unsigned i = 0; i < n; i++) {
        if (threads[i] != NULL) {
            thread_join(threads[i]);
        }
    }
    return all;
}

static bool locks_exclude(void)
{
    struct shared s = {0};

    mutex_init(&s.mutex, "selftest");
    spin_init(&s.spin, "selftest");
    CHECK(run_workers(WORKERS, add_up, &s));
    CHECK(s.under_mutex == WORKERS * ROUNDS);
    CHECK(s.under_spin == WORKERS * ROUNDS);
    return true;
}

static void take_turns(void *arg)
{
    struct shared *s = arg;

    mutex_lock(&s->mutex);
    unsigned me = s->turn++ % 2; /* the first comer is 0, the second 1 */
    if (me == 1) {
        s->turn = 0;
        cond_broadcast(&s->cond);
    }
    for (unsigned i = 0; i < 200; i++) {
        while (s->turn != me) {
            cond_wait(&s->cond, &s->mutex);
        }
        s->under_mutex++;
        s->turn = me == 0;
        cond_broadcast(&s->cond);
    }
    mutex_unlock(&s->mutex);
}

static bool conditions_wake_who_waits(void)
{
    struct shared s = {0};

    mutex_init(&s.mutex, "selftest");
    cond_init(&s.cond, "selftest");
    CHECK(run_workers(2, take_turns, &s));
    CHECK(s.under_mutex == 400);
    return true;
}

static bool waits_end_at_their_deadline(void)
{
    struct waitq wq;
    nsec_t start = clock_now();

    waitq_init(&wq, "selftest");
    CHECK(wait_event_until(&wq, false, start + 20 * NSEC_PER_MSEC) == -ETIMEDOUT);
    CHECK(clock_now() >= start + 20 * NSEC_PER_MSEC);
    CHECK(wait_event_until(&wq, true, 0) == 0);
    return true;
}

/* ---- scheduling ---- */

struct spinner {
    bool stop;
    uint64_t turns;
};

static void spin(void *arg)
{
    struct spinner *s = arg;

    while (!READ_ONCE(s->stop)) {
        WRITE_ONCE(s->turns, s->turns + 1);
    }
}

static bool nobody_starves(void)
{
    struct spinner spinners[WORKERS] = {0};
    struct thread *threads[WORKERS];
    nsec_t limit = clock_now() + 20 * NSEC_PER_SEC;
    unsigned ran = 0;

    for (unsigned i = 0; i < WORKERS; i++) {
        threads[i] = thread_create("spinner", spin, &spinners[i], PRIO_LOW);
        CHECK(threads[i] != NULL);
    }
    while (ran < WORKERS && clock_now() < limit) {
        thread_sleep_until(clock_now() + 50 * NSEC_PER_MSEC);
        ran = 0;
        for (unsigned i = 0; i < WORKERS; i++) {
            ran += READ_ONCE(spinners[i].turns) > 0;
        }
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        WRITE_ONCE(spinners[i].stop, true);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        thread_join(threads[i]);
    }
    if (ran < WORKERS) {
        selftest_fail("%u of %u spinning threads ran", ran, WORKERS);
    }
    return ran == WORKERS;
}

/* A thread that sleeps until it is called, and counts how often it was. */
struct sleeper {
    struct waitq calls;
    unsigned called, answered, wanted;
};

static void t_kern_answer(void *arg)
{
    struct sleeper *s = arg;

    while (READ_ONCE(s->answered) < s->wanted) {
        wait_event(&s->calls, READ_ONCE(s->called) > READ_ONCE(s->answered));
        WRITE_ONCE(s->answered, s->answered + 1);
    }
}

/* Call the sleeper, and wait for its answer without giving up this vCPU of our own accord. */
static bool call(struct sleeper *s)
{
    nsec_t limit = clock_now() + 10 * NSEC_PER_SEC;

    WRITE_ONCE(s->called, s->called + 1);
    waitq_wake_one(&s->calls);
    while (READ_ONCE(s->answered) < s->called && clock_now() < limit) {
        __builtin_ia32_pause();
    }
    return s->answered == s->called;
}

/* Who wakes on a vCPU that another thread keeps busy gets a turn, whoever called. */
static bool woken_threads_get_their_turn(void)
{
    struct sleeper sleeper = {.wanted = 20};
    struct spinner busy = {0};
    struct thread *spinners[WORKERS];
    unsigned n = MIN(cpu_count_online(), (unsigned)WORKERS);
    bool all = true;

    waitq_init(&sleeper.calls, "selftest");
    struct thread *t = thread_create("sleeper", t_kern_answer, &sleeper, PRIO_NORMAL);
    CHECK(t != NULL);
    for (unsigned i = 0; i < n; i++) {
        spinners[i] = thread_create("spinner", spin, &busy, PRIO_NORMAL);
        CHECK(spinners[i] != NULL);
    }
    while (all && sleeper.called < sleeper.wanted) {
        all = call(&sleeper);
    }
    WRITE_ONCE(busy.stop, true);
    for (unsigned i = 0; i < n; i++) {
        thread_join(spinners[i]);
    }
    while (sleeper.called < sleeper.wanted) {
        (void)call(&sleeper);
    }
    thread_join(t);
    CHECK(all);
    return true;
}

static void note_cpu(void *arg)
{
    uint64_t *seen = arg;
    nsec_t until = clock_now() + 100 * NSEC_PER_MSEC;

    while (clock_now() < until) {
        upcall_state_t state = upcalls_save();
        unsigned id = this_cpu()->id;

        upcalls_restore(state);
        __atomic_fetch_or(&seen[id / 64], 1ull << (id % 64), __ATOMIC_RELAXED);
    }
}

static bool work_spreads_over_vcpus(void)
{
    uint64_t seen[CPU_MAX / 64] = {0};
    unsigned wanted = MIN(cpu_count_online(), 2u), used = 0;

    CHECK(run_workers(WORKERS, note_cpu, seen));
    for (unsigned id = 0; id < CPU_MAX; id++) {
        used += seen[id / 64] >> (id % 64) & 1;
    }
    CHECK(used >= wanted);
    return true;
}

static void t_kern_nothing(void *arg)
{
    (void)arg;
}

static bool ended_threads_leave_nothing(void)
{
    struct mem_stats before, after;

    CHECK(run_workers(WORKERS, t_kern_nothing, NULL));
    mem_get_stats(&before);
    for (unsigned i = 0; i < 100; i++) {
        CHECK(run_workers(WORKERS, t_kern_nothing, NULL));
    }
    mem_get_stats(&after);
    CHECK(after.pages_free + 16 >= before.pages_free);
    return true;
}

/* ---- FPU ---- */

static uint64_t fpu_errors;

/* Keep a value of our own in an SSE register across many switches. */
static void keep_sse(void *arg)
{
    static uint64_t next;
    uint64_t mine = __atomic_add_fetch(&next, 0x1111, __ATOMIC_RELAXED), found;

    (void)arg;
    if (thread_use_fpu() != 0) {
        __atomic_fetch_add(&fpu_errors, 1, __ATOMIC_RELAXED);
        return;
    }
    __asm__ volatile("movq %0, %%xmm5" : : "r"(mine));
    for (unsigned i = 0; i < 300; i++) {
        thread_yield();
        __asm__ volatile("movq %%xmm5, %0" : "=r"(found));
        if (found != mine) {
            __atomic_fetch_add(&fpu_errors, 1, __ATOMIC_RELAXED);
        }
    }
}

static bool sse_registers_are_a_threads_own(void)
{
    fpu_errors = 0;
    CHECK(run_workers(WORKERS, keep_sse, NULL));
    CHECK(fpu_errors == 0);
    return true;
}

const struct selftest selftests_kern[] = {
    {.name = "kern-locks-exclude", .fn = locks_exclude},
    {.name = "kern-conditions-wake-who-waits", .fn = conditions_wake_who_waits},
    {.name = "kern-waits-end-at-their-deadline", .fn = waits_end_at_their_deadline},
    {.name = "kern-nobody-starves", .fn = nobody_starves},
    {.name = "kern-woken-threads-get-their-turn", .fn = woken_threads_get_their_turn},
    {.name = "kern-work-spreads-over-vcpus", .fn = work_spreads_over_vcpus},
    {.name = "kern-ended-threads-leave-nothing", .fn = ended_threads_leave_nothing},
    {.name = "kern-sse-registers-are-a-threads-own", .fn = sse_registers_are_a_threads_own},
    {.name = NULL},
};
