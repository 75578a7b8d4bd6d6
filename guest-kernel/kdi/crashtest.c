/*
 * crashtest.c - bugs on purpose: what a panic or the debugger must name.
 *
 * Owns the two mutexes of its deadlock and two spinlocks. Locks: those, wrongly.
 */
#include "kdi/crashtest.h"

#include "hat/hat.h"
#include "hat/kvm.h"
#include "hat/layout.h"
#include "kdi/kdi.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/sched.h"
#include "kern/string.h"
#include "os/cmdline.h"
#include "os/panic.h"
#include "psm/clock.h"
#include "psm/trap.h"

#define NOT_CANONICAL 0x4141414141414141ull

/* Volatile and shared, lest compiler and checkers see the bugs coming. */
static struct thread *volatile nobody;
static void *volatile object, *volatile again;

static void null_pointer(void)
{
    log_info("crashtest: thread 0 has priority %d", nobody->prio);
}

/* Too deep by its own calls; the sum keeps the compiler from making a loop of it. */
static uint64_t descend(volatile uint64_t depth)
{
    volatile uint64_t room[16] = {depth};

    return depth == UINT64_MAX ? 0 : descend(room[0] + 1) + room[0];
}

static void stack_overflow_test(void)
{
    log_info("crashtest: %llu", (unsigned long long)descend(0));
}

static void double_free(void)
{
    object = again = kmalloc(100);
    kfree(object);
    kfree(again);
}

static void write_page_table(void)
{
    /* The direct map's entry of the entry that maps this function. */
    pte_t *entry = (pte_t *)hat_table_entry((uint64_t)write_page_table, 1);

    *(volatile uint64_t *)&entry->v = 0;
}

static void write_text(void)
{
    *(volatile uint8_t *)(uint64_t)write_text = 0xc3;
}

static void jump_wild(void)
{
    void (*volatile nowhere)(void) = (void (*)(void))(KVM_END - PAGE_SIZE);

    nowhere();
}

static void jump_data(void)
{
    static uint8_t data[] = {0xc3};
    void (*volatile there)(void) = (void (*)(void))data;

    there();
}

static void jump_not_canonical(void)
{
    *(volatile uint64_t *)NOT_CANONICAL = 0;
}

static spinlock_t outer_lock = SPINLOCK("crashtest outer");
static spinlock_t inner_lock = SPINLOCK("crashtest");

static void spinlock_twice(void)
{
    upcall_state_t state = spin_lock(&inner_lock);

    spin_unlock(&inner_lock, spin_lock(&inner_lock));
    spin_unlock(&inner_lock, state);
}

static void mutex_twice(void)
{
    static struct mutex lock;

    mutex_init(&lock, "crashtest");
    mutex_lock(&lock);
    mutex_lock(&lock);
}

static void sleep_masked(void)
{
    (void)upcalls_save();
    thread_sleep_until(clock_now() + NSEC_PER_MSEC);
}

/* ---- orders of locks, for the witness of the debug kernel ---- */

static __attribute__((noinline)) void take_in_order(void)
{
    upcall_state_t state = spin_lock(&outer_lock);

    spin_acquire(&inner_lock);
    spin_release(&inner_lock);
    spin_unlock(&outer_lock, state);
}

static __attribute__((noinline)) void take_against_order(void)
{
    upcall_state_t state = spin_lock(&inner_lock);

    spin_acquire(&outer_lock);
    spin_release(&outer_lock);
    spin_unlock(&inner_lock, state);
}

static void lock_order(void)
{
    take_in_order();
    take_against_order();
    log_info("crashtest: nobody minded the order of the locks");
}

static volatile bool locking_timer_fired;

static void locking_timer(struct timer *t __unused)
{
    spin_unlock(&inner_lock, spin_lock(&inner_lock));
    locking_timer_fired = true;
}

/* Waits for a callback with the lock held that it takes. */
static void timer_wait(void)
{
    static struct timer timer;

    timer_init(&timer, locking_timer);
    timer_arm(&timer, clock_now());
    while (!locking_timer_fired) {
        thread_yield();
    }
    upcall_state_t state = spin_lock(&inner_lock);
    (void)timer_cancel_wait(&timer);
    spin_unlock(&inner_lock, state);
}

/* There is no need to sleep, but there might have been. */
static void sleep_locked(void)
{
    static struct mutex free_mutex;

    mutex_init(&free_mutex, "crashtest");
    upcall_state_t state = spin_lock(&inner_lock);
    mutex_lock(&free_mutex);
    mutex_unlock(&free_mutex);
    spin_unlock(&inner_lock, state);
    log_info("crashtest: nobody minded that it might sleep");
}

/* ---- a deadlock ---- */

static struct mutex left, right;

/* Two threads that each take their first mutex, meet, then want the other's. */
struct taker {
    const char *name;
    struct mutex *first, *second;
    volatile bool ready;
    struct taker *other;
    struct thread *thread;
};

static void take_both(void *arg)
{
    struct taker *self = arg;

    mutex_lock(self->first);
    self->ready = true;
    while (!self->other->ready) {
        thread_yield();
    }
    mutex_lock(self->second);
}

static bool sleeps_for_mutex(const struct taker *taker)
{
    const struct thread *t = taker->thread;

    return READ_ONCE(t->wants) != NULL && READ_ONCE(t->state) == THREAD_BLOCKED;
}

static void deadlock(void)
{
    static struct taker a = {.name = "taker-a", .first = &left, .second = &right};
    static struct taker b = {.name = "taker-b", .first = &right, .second = &left};

    mutex_init(&left, "left");
    mutex_init(&right, "right");
    a.other = &b;
    b.other = &a;
    a.thread = thread_create(a.name, take_both, &a, PRIO_NORMAL);
    b.thread = thread_create(b.name, take_both, &b, PRIO_NORMAL);
    if (a.thread == NULL || b.thread == NULL) {
        log_err("crashtest: no memory for two threads");
        return;
    }
    while (!sleeps_for_mutex(&a) || !sleeps_for_mutex(&b)) {
        thread_yield();
    }
    log_info("crashtest: taker-a and taker-b wait for each other");
}

/* ---- what must be survived ---- */

static void wild_read(void)
{
    static const uint64_t addresses[] = {0, NOT_CANONICAL, KVM_END - PAGE_SIZE,
                                         KERNEL_BASE - PAGE_SIZE, UINT64_MAX - 7};

    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        uint64_t value;
        int rc = safe_read64((const uint64_t *)addresses[i], &value);

        log_info("crashtest: safe read at %#llx: %s", (unsigned long long)addresses[i],
                 rc == 0 ? "succeeded" : errno_name(rc));
    }
}

/* ---- a vCPU that answers to nothing but an NMI ---- */

static volatile bool stuck_ready;

static void spin_masked(void *arg __unused)
{
    (void)upcalls_save();
    stuck_ready = true;
    for (;;) {
        __builtin_ia32_pause();
    }
}

static void stuck(void)
{
    if (cpu_count_online() < 2) {
        log_err("crashtest: needs a second vCPU");
        return;
    }
    struct thread *t = thread_create("stuck", spin_masked, NULL, PRIO_NORMAL);

    if (t == NULL) {
        log_err("crashtest: no memory for a thread");
        return;
    }
    /* Keeps this vCPU: another one takes the thread, or this thread when its time slice is over. */
    while (!stuck_ready) {
        __builtin_ia32_pause();
    }
    log_info("crashtest: vCPU %u spins with upcalls masked", t->cpu);
    kdi_break("crashtest: a stuck vCPU");
}

/* ---- breakpoints ---- */

/* Something to set breakpoints at and to step through. */
static __attribute__((noinline)) void crashtest_target(unsigned round)
{
    upcall_state_t state = upcalls_save();

    log_info("crashtest: round %u, upcalls were %s", round, state ? "masked" : "open");
    upcalls_restore(state);
}

static void break_rounds(void)
{
    breakpoint();
    for (unsigned round = 1; round <= 4; round++) {
        crashtest_target(round);
    }
    log_info("crashtest: went on after the breakpoints");
}

const struct crashtest crashtests[] = {
    {"null", "a null pointer", null_pointer},
    {"stack", "a stack overflow, the thread named", stack_overflow_test},
    {"double-free", "an object freed twice", double_free},
    {"pagetable", "a write to a page table", write_page_table},
    {"text", "a write to the kernel's text", write_text},
    {"jump", "execution where nothing is mapped", jump_wild},
    {"jump-data", "execution of data", jump_data},
    {"wild", "a wild pointer that is not canonical", jump_not_canonical},
    {"spinlock", "a spinlock taken twice", spinlock_twice},
    {"mutex", "a mutex taken twice", mutex_twice},
    {"sleep", "sleep with upcalls masked", sleep_masked},
    {"lock-order", "two spinlocks in both orders; noticed by the debug kernel", lock_order},
    {"timer-wait", "waiting for a callback with the lock held that it takes", timer_wait},
    {"sleep-locked", "what may sleep, with a spinlock held; likewise", sleep_locked},
    {"deadlock", "two threads that wait for each other; for `locks` of the debugger", deadlock},
    {"wild-read", "wild pointers in safe reads: nothing happens", wild_read},
    {"stuck", "a vCPU that takes no events, then the debugger", stuck},
    {"break", "the debugger, then four calls of crashtest_target", break_rounds},
    {0},
};

const struct crashtest *crashtest_find(const char *kind)
{
    for (const struct crashtest *t = crashtests; t->kind != NULL; t++) {
        if (strcmp(t->kind, kind) == 0) {
            return t;
        }
    }
    return NULL;
}

void crashtest_boot(void)
{
    const char *kind = cmdline_get("crashtest");
    const struct crashtest *t = kind != NULL ? crashtest_find(kind) : NULL;

    if (t != NULL) {
        log_info("crashtest=%s: %s", kind, t->expected);
        t->commit();
    } else if (kind != NULL) {
        log_err("crashtest=%s: no such kind", kind);
    }
}
