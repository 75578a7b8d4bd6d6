/*
 * thread.c - the scheduler.
 *
 * Each CPU has a run queue with one list per priority and runs the first thread of the highest list
 * that is not empty. A thread gives up the CPU by blocking (sched_block), by yielding, by ending,
 * or when an upcall finds need_resched set: a better thread became ready or its time
 * slice ran out. Slices are one-shot timers that run only while another thread of the same
 * priority waits: no tick.
 *
 * The switch: thread_schedule() runs with upcalls masked and the run queue locked; the lock is
 * passed to the thread that runs next, which releases it (switch_finish). So a thread's state never
 * says BLOCKED to another CPU before its registers are saved.
 *
 * Locks, outermost first: a wait queue's; a run queue's, of two the lower CPU's. thread_list_lock
 * is a leaf beside them. Suspend: threads of other CPUs are moved to CPU 0 before and stay where
 * they are after.
 */
#include "kern/sched.h"

#include "hat/kvm.h"
#include "hat/uhat.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "os/hypercall.h"
#include "os/panic.h"
#include "psm/clock.h"
#include "psm/user.h"

#define SLICE         (10 * NSEC_PER_MSEC)
#define STACK_RESERVE 1536 /* for the deepest function's frame and an upcall: see psm/stack.S */
#define STACK_PAGES   (THREAD_STACK_SIZE / PAGE_SIZE)

void thread_switch(uint64_t *old_sp, uint64_t new_sp);
void thread_entry(void);
void thread_start(void);

extern char boot_stack[];

static spinlock_t thread_list_lock = SPINLOCK("thread list");
static struct thread_queue all_threads;
static struct thread_queue detached_dead; /* by all_link, for the reaper */
static struct waitq reaper_wait;
static unsigned next_id;
static struct thread boot_thread;

struct thread *thread_self(void)
{
    upcall_state_t state = upcalls_save();
    struct thread *self = this_cpu()->current;

    upcalls_restore(state);
    return self;
}

bool thread_may_wait(void)
{
    upcall_state_t state = upcalls_save();
    bool may = !state && this_cpu()->ipl == IPL_NONE;

    upcalls_restore(state);
    return may;
}

const char *thread_name(const struct thread *t)
{
    return t->name;
}

/* ---- run queues ---- */

/* Lock the run queue that a thread belongs to, which may change until it is locked. */
static struct cpu *runq_lock_of(struct thread *t, upcall_state_t *state)
{
    for (;;) {
        struct cpu *cpu = cpu_by_id(READ_ONCE(t->cpu));

        *state = spin_lock(&cpu->sched->lock);
        if (t->cpu == cpu->id) {
            return cpu;
        }
        spin_unlock(&cpu->sched->lock, *state);
    }
}

static void runq_put(struct cpu *cpu, struct thread *t)
{
    t->state = THREAD_READY;
    XEN_TAILQ_INSERT_TAIL(&cpu->sched->ready[t->prio], t, run_link);
    cpu->sched->nready++;
}

/* Take the best ready thread out of the queue, or NULL. */
static struct thread *runq_take(struct cpu *cpu)
{
    for (int prio = PRIO_COUNT - 1; prio >= 0; prio--) {
        struct thread *t = XEN_TAILQ_FIRST(&cpu->sched->ready[prio]);

        if (t != NULL) {
            XEN_TAILQ_REMOVE(&cpu->sched->ready[prio], t, run_link);
            cpu->sched->nready--;
            return t;
        }
    }
    return NULL;
}

/* End the running thread's turn after a while, if there is somebody to take over. */
static void slice_start(struct cpu *cpu, const struct thread *running)
{
    if (running != cpu->idle && XEN_TAILQ_EMPTY(&cpu->sched->ready[running->prio]) == 0 &&
        !timer_armed(&cpu->sched->slice)) {
        timer_arm(&cpu->sched->slice, clock_now() + SLICE);
    }
}

static void slice_end(struct timer *t)
{
    (void)t;
    this_cpu()->need_resched = true;
}

/* A thread was put into @cpu's queue: have that CPU, or an idle one, look. The queue is locked. */
static void runq_poke(struct cpu *cpu, const struct thread *t)
{
    const struct thread *running = cpu->current;

    if (running == cpu->idle || t->prio > running->prio) {
        WRITE_ONCE(cpu->need_resched, true);
        if (cpu != this_cpu()) {
            cpu_kick(cpu);
        }
        return;
    }
    if (cpu == this_cpu()) {
        slice_start(cpu, running);
    } else if (t->prio == running->prio && !timer_armed(&cpu->sched->slice)) {
        cpu_kick(cpu); /* a CPU arms its own timers: sched_kicked() */
    }
    struct cpu *idler = cpu_find_idle();
    if (idler != NULL) {
        cpu_kick(idler);
    }
}

/* Take a thread from a CPU that has more than it can run. Upcalls are masked, no queue locked. */
static bool runq_steal(struct cpu *thief)
{
    for (unsigned i = 1; i < CPU_MAX; i++) {
        struct cpu *victim = cpu_by_id((thief->id + i) % CPU_MAX);
        struct thread *t = NULL;

        if (victim == NULL || READ_ONCE(victim->sched->nready) == 0) {
            continue;
        }
        spin_acquire(&victim->sched->lock);
        t = runq_take(victim);
        if (t != NULL) {
            t->cpu = thief->id;
        }
        spin_release(&victim->sched->lock);
        if (t != NULL) {
            spin_acquire(&thief->sched->lock);
            runq_put(thief, t);
            spin_release(&thief->sched->lock);
            return true;
        }
    }
    return false;
}

/* ---- the switch ---- */

/* Exchange what thread_switch() does not: FPU registers, page tables, what ring 3 needs. */
static void context_switch(struct cpu *cpu, const struct thread *prev, const struct thread *next)
{
    if (prev->fpu != NULL) {
        __asm__ volatile("fxsaveq (%0)" : : "r"(prev->fpu) : "memory");
    }
    if (next->fpu != NULL) {
        __asm__ volatile("fxrstorq (%0)" : : "r"(next->fpu) : "memory");
    }
    if (next->uhat != cpu->uhat) {
        uhat_switch(cpu, next->uhat);
    }
    if (next->user != NULL) {
        user_load(next->user, next->stack + THREAD_STACK_SIZE);
    }
}

/* Run the best ready thread. Upcalls are masked and the run queue is locked; it returns unlocked.
 */
static void thread_schedule(struct cpu *cpu)
{
    struct thread *prev = cpu->current;
    struct thread *next;
    nsec_t now = clock_now();

    ASSERT(cpu->ipl == IPL_NONE);
    if (prev->state == THREAD_RUNNING && prev != cpu->idle) {
        runq_put(cpu, prev);
    }
    next = cpu->leaving ? NULL : runq_take(cpu);
    next = next != NULL ? next : cpu->idle;
    WRITE_ONCE(cpu->need_resched, false);
    next->state = THREAD_RUNNING;
    slice_start(cpu, next);
    if (next != prev) {
        prev->cpu_time += now - cpu->sched->switched_at;
        cpu->sched->switched_at = now;
        cpu->switches++;
        cpu->current = next;
        context_switch(cpu, prev, next);
        cpu->stack_limit = (uint64_t)next->stack + STACK_RESERVE; /* no call between this... */
        thread_switch(&prev->sp, next->sp);                       /* ... and this */
    }
    /* Another thread's switch brought us back, perhaps on another CPU: release its queue. */
    spin_release(&this_cpu()->sched->lock);
}

bool sched_wanted(const struct cpu *cpu)
{
    bool wanted = cpu->current != cpu->idle || READ_ONCE(cpu->need_resched);

    for (unsigned id = 0; id < CPU_MAX && !wanted; id++) {
        const struct cpu *other = cpu_by_id(id);

        wanted = other != NULL && READ_ONCE(other->sched->nready) != 0; /* it might take that */
    }
    return wanted;
}

void sched_kicked(struct cpu *cpu)
{
    upcall_state_t state = spin_lock(&cpu->sched->lock);

    /* Said again: a switch that began before cpu_stop() asked has forgotten what was said then. */
    if (READ_ONCE(cpu->leaving)) {
        WRITE_ONCE(cpu->need_resched, true);
    }
    slice_start(cpu, cpu->current);
    spin_unlock(&cpu->sched->lock, state);
}

void sched_interrupt_exit(struct cpu *cpu)
{
    if (READ_ONCE(cpu->need_resched) && cpu->current != NULL) {
        spin_acquire(&cpu->sched->lock);
        thread_schedule(cpu);
    }
}

void thread_yield(void)
{
    upcall_state_t state = upcalls_save();
    struct cpu *cpu = this_cpu();

    spin_acquire(&cpu->sched->lock);
    thread_schedule(cpu);
    upcalls_restore(state);
}

void sched_block(const bool *still_waiting)
{
    upcall_state_t state = upcalls_save();
    struct cpu *cpu = this_cpu();

    if (state || cpu->ipl != IPL_NONE) {
        panic("thread \"%s\" sleeps where it must not (upcalls masked: %d, level %d)",
              cpu->current->name, state, cpu->ipl);
    }
    spin_acquire(&cpu->sched->lock);
    if (READ_ONCE(*still_waiting)) {
        cpu->current->state = THREAD_BLOCKED;
        thread_schedule(cpu);
    } else {
        spin_release(&cpu->sched->lock);
    }
    upcalls_restore(state);
}

/* Its CPU went offline while the thread slept: it belongs to CPU 0 now. */
static struct cpu *thread_rehome(struct thread *t, struct cpu *cpu, upcall_state_t *state)
{
    while (!cpu->online) {
        t->cpu = 0;
        spin_unlock(&cpu->sched->lock, *state);
        cpu = runq_lock_of(t, state);
    }
    return cpu;
}

void thread_wake(struct thread *t)
{
    upcall_state_t state;
    struct cpu *cpu = thread_rehome(t, runq_lock_of(t, &state), &state);

    if (t->state == THREAD_BLOCKED) {
        runq_put(cpu, t);
        runq_poke(cpu, t);
    }
    spin_unlock(&cpu->sched->lock, state);
}

/* Move the ready threads of a leaving CPU to CPU 0 and accept no more. Upcalls are masked. */
static void runq_evacuate(struct cpu *cpu)
{
    struct cpu *heir = cpu_by_id(0);
    struct thread *t;

    spin_acquire(&heir->sched->lock);
    spin_acquire(&cpu->sched->lock);
    WRITE_ONCE(cpu->online, false);
    while ((t = runq_take(cpu)) != NULL) {
        t->cpu = heir->id;
        runq_put(heir, t);
        runq_poke(heir, t);
    }
    spin_release(&cpu->sched->lock);
    spin_release(&heir->sched->lock);
    (void)timer_cancel(&cpu->sched->slice);
    timer_move_all(cpu, heir);
}

void sched_idle(void)
{
    for (;;) {
        (void)upcalls_save();
        struct cpu *cpu = this_cpu();

        if (READ_ONCE(cpu->leaving)) {
            runq_evacuate(cpu);
            cpu_leave(cpu);
        }
        WRITE_ONCE(cpu->idling, true);
        if (READ_ONCE(cpu->sched->nready) > 0 || runq_steal(cpu)) {
            WRITE_ONCE(cpu->idling, false);
            spin_acquire(&cpu->sched->lock);
            thread_schedule(cpu);
        } else {
            /* Opens the mask and blocks in one step: no wake-up is lost between the two. */
            (void)HYPERVISOR_sched_op(SCHEDOP_block, NULL);
            WRITE_ONCE(cpu->idling, false);
        }
        upcalls_restore(false);
    }
}

static void idle_thread(void *arg)
{
    (void)arg;
    sched_idle();
}

/* ---- birth and death ---- */

static void thread_free(struct thread *t)
{
    kvm_free(t->stack, STACK_PAGES);
    kfree(t->fpu);
    kfree(t);
}

/* Where FXSAVE keeps the control words, and what they are at the start of a program. */
#define FPU_SIZE        512
#define FPU_FCW         0
#define FPU_MXCSR       24
#define FPU_FCW_START   0x037f
#define FPU_MXCSR_START 0x1f80
#define FPU_EXCEPTIONS  0x3f
#define MXCSR_MASKS     7 /* the lowest bit of those that mask an exception */

/* Registers that are zero, not those of whoever used them last. */
void *thread_fpu_fresh(void)
{
    static const uint16_t fcw = FPU_FCW_START;
    static const uint32_t mxcsr = FPU_MXCSR_START;
    char *area = kzalloc(FPU_SIZE);

    if (area != NULL) {
        memcpy(area + FPU_FCW, &fcw, sizeof(fcw));
        memcpy(area + FPU_MXCSR, &mxcsr, sizeof(mxcsr));
    }
    return area;
}

void thread_fpu_load(void *area)
{
    struct thread *self = thread_self();
    upcall_state_t state = upcalls_save();
    void *old = self->fpu;

    __asm__ volatile("fxrstorq (%0)" : : "r"(area) : "memory");
    self->fpu = area;
    upcalls_restore(state);
    kfree(old);
}

void *thread_fpu_copy(void)
{
    void *area = kzalloc(FPU_SIZE);

    if (area != NULL) {
        __asm__ volatile("fxsaveq (%0)" : : "r"(area) : "memory");
    }
    return area;
}

unsigned thread_fpu_exceptions(void)
{
    uint16_t fsw, fcw;
    uint32_t mxcsr;

    __asm__ volatile("fnstsw %0\n\tfnstcw %1\n\tstmxcsr %2" : "=m"(fsw), "=m"(fcw), "=m"(mxcsr));
    return ((fsw & ~(unsigned)fcw) | (mxcsr & ~(mxcsr >> MXCSR_MASKS))) & FPU_EXCEPTIONS;
}

int thread_fpu_reset(void)
{
    void *area = thread_fpu_fresh();

    if (area == NULL) {
        return -ENOMEM;
    }
    thread_fpu_load(area);
    return 0;
}

int thread_use_fpu(void)
{
    return thread_self()->fpu != NULL ? 0 : thread_fpu_reset();
}

static void thread_register(struct thread *t)
{
    upcall_state_t state = spin_lock(&thread_list_lock);

    t->id = next_id++;
    XEN_TAILQ_INSERT_TAIL(&all_threads, t, all_link);
    spin_unlock(&thread_list_lock, state);
}

/* Lay out a stack so that the first switch to it returns into thread_entry. */
static void stack_prime(struct thread *t)
{
    uint64_t *sp = (uint64_t *)(t->stack + THREAD_STACK_SIZE);

    *--sp = 0; /* keeps the ABI's alignment at thread_entry's call */
    *--sp = (uint64_t)thread_entry;
    sp -= 6; /* the registers that thread_switch pops */
    t->sp = (uint64_t)sp;
}

/* A blocked thread that has never run. */
static struct thread *thread_build(const char *name, void (*fn)(void *arg), void *arg,
                                   enum thread_prio prio)
{
    struct thread *t = kzalloc(sizeof(*t));

    if (t == NULL || (t->stack = kvm_alloc(STACK_PAGES)) == NULL) {
        log_err("thread \"%s\": no memory for its stack", name);
        kfree(t);
        return NULL;
    }
    strlcpy(t->name, name, sizeof(t->name));
    t->fn = fn;
    t->arg = arg;
    t->prio = prio;
    t->state = THREAD_BLOCKED;
    waitq_init(&t->joiners, "join");
    stack_prime(t);
    return t;
}

struct thread *thread_create(const char *name, void (*fn)(void *arg), void *arg,
                             enum thread_prio prio)
{
    struct thread *t = thread_build(name, fn, arg, prio);

    if (t != NULL) {
        t->cpu = thread_self()->cpu;
        thread_register(t);
        thread_wake(t);
    }
    return t;
}

/* Where thread_entry goes: the new thread holds the lock of the queue it was taken from. */
void thread_start(void)
{
    struct thread *self = this_cpu()->current;

    spin_release(&this_cpu()->sched->lock);
    upcalls_restore(false);
    self->fn(self->arg);
    thread_exit();
}

/* Free a thread that has ended, once its CPU has left its stack. */
static void thread_reap(struct thread *t)
{
    upcall_state_t state;
    bool gone = false;

    while (!gone) {
        struct cpu *cpu = runq_lock_of(t, &state);

        gone = t->state == THREAD_DEAD;
        spin_unlock(&cpu->sched->lock, state);
        if (!gone) {
            thread_yield(); /* and leave that lock to the CPU, which needs it to get there */
        }
    }
    thread_free(t);
}

static void reaper(void *arg)
{
    (void)arg;
    for (;;) {
        wait_event(&reaper_wait, !XEN_TAILQ_EMPTY(&detached_dead));
        upcall_state_t state = spin_lock(&thread_list_lock);
        struct thread *t = XEN_TAILQ_FIRST(&detached_dead);

        XEN_TAILQ_REMOVE(&detached_dead, t, all_link);
        spin_unlock(&thread_list_lock, state);
        thread_reap(t);
    }
}

/* The thread ended: whoever shall free it is told. Call with thread_list_lock held. */
static void thread_bequeath(struct thread *t)
{
    XEN_TAILQ_INSERT_TAIL(&detached_dead, t, all_link);
    waitq_wake_one(&reaper_wait);
}

void thread_exit(void)
{
    struct thread *self = thread_self();
    upcall_state_t state = spin_lock(&thread_list_lock);

    XEN_TAILQ_REMOVE(&all_threads, self, all_link);
    self->ended = true;
    if (self->detached && self != &boot_thread) {
        thread_bequeath(self);
    }
    waitq_wake_all(&self->joiners);
    (void)upcalls_save();
    spin_release(&thread_list_lock);

    struct cpu *cpu = this_cpu();
    (void)state;
    spin_acquire(&cpu->sched->lock);
    self->state = THREAD_DEAD;
    thread_schedule(cpu);
    panic("thread \"%s\" runs after its end", self->name);
}

void thread_join(struct thread *t)
{
    wait_event(&t->joiners, READ_ONCE(t->ended));
    thread_reap(t);
}

void thread_detach(struct thread *t)
{
    upcall_state_t state = spin_lock(&thread_list_lock);

    t->detached = true;
    if (t->ended) {
        thread_bequeath(t);
    }
    spin_unlock(&thread_list_lock, state);
}

__noreturn void stack_overflow(uint64_t rip, uint64_t rbp);

/* psm/stack.S found the running thread too deep; this runs on the emergency stack. */
void stack_overflow(uint64_t rip, uint64_t rbp)
{
    panic_at(rip, rbp, "stack overflow of thread \"%s\"", this_cpu()->current->name);
}

/* ---- frames ---- */

/* Early at boot there are no threads, and no suspend either. */
static void frames_count(unsigned change)
{
    struct thread *self = thread_self();

    if (self != NULL) {
        WRITE_ONCE(self->frames, self->frames + change);
        barrier();
    }
}

void frames_hold(void)
{
    frames_count(1);
}

void frames_release(void)
{
    barrier();
    frames_count(-1u);
}

static void look_for_holder(const struct thread *t, void *arg)
{
    bool *held = arg;

    *held = *held || (t->frames != 0 && t != thread_self());
}

bool frames_held(void)
{
    bool held = false;

    sched_foreach(look_for_holder, &held);
    return held;
}

/* ---- looking at threads ---- */

void sched_foreach(void (*fn)(const struct thread *t, void *arg), void *arg)
{
    struct thread *t;
    upcall_state_t state = spin_lock(&thread_list_lock);

    XEN_TAILQ_FOREACH (t, &all_threads, all_link) {
        fn(t, arg);
    }
    spin_unlock(&thread_list_lock, state);
}

/* A visitor of thread_foreach(), on its way through sched_foreach(). */
struct thread_visitor {
    void (*fn)(const struct thread_info *info, void *arg);
    void *arg;
};

static void visit_thread(const struct thread *t, void *arg)
{
    static const char *const states[] = {"ready", "running", "blocked", "dead"};
    const struct thread_visitor *visitor = arg;
    struct thread_info info = {.id = t->id,
                               .cpu = t->cpu,
                               .prio = t->prio,
                               .state = states[t->state],
                               .cpu_time = t->cpu_time};

    strlcpy(info.name, t->name, sizeof(info.name));
    visitor->fn(&info, visitor->arg);
}

nsec_t thread_cpu_time(const struct thread *t)
{
    const struct cpu *cpu = cpu_by_id(READ_ONCE(t->cpu));
    nsec_t since = READ_ONCE(cpu->sched->switched_at), now = clock_now();
    bool turn = READ_ONCE(cpu->current) == t && now > since;

    return READ_ONCE(t->cpu_time) + (turn ? now - since : 0);
}

bool thread_runs(const struct thread *t)
{
    enum thread_state state = READ_ONCE(t->state);

    return state == THREAD_RUNNING || state == THREAD_READY;
}

nsec_t thread_idle_time(unsigned cpu)
{
    return thread_cpu_time(cpu_by_id(cpu)->idle);
}

void thread_foreach(void (*fn)(const struct thread_info *info, void *arg), void *arg)
{
    struct thread_visitor visitor = {.fn = fn, .arg = arg};

    sched_foreach(visit_thread, &visitor);
}

struct thread *sched_guard_owner(const void *va)
{
    const char *page = (const char *)((uintptr_t)va & PAGE_MASK);
    struct thread *t, *found = NULL;

    XEN_TAILQ_FOREACH (t, &all_threads, all_link) {
        if (page == (char *)t->stack - PAGE_SIZE) {
            found = t;
        }
    }
    return found;
}

/* ---- start ---- */

int sched_cpu_init(struct cpu *cpu)
{
    char name[THREAD_NAME_MAX];

    cpu->sched = kzalloc(sizeof(*cpu->sched));
    if (cpu->sched == NULL) {
        return -ENOMEM;
    }
    spin_init(&cpu->sched->lock, "run queue");
    for (unsigned i = 0; i < PRIO_COUNT; i++) {
        XEN_TAILQ_INIT(&cpu->sched->ready[i]);
    }
    timer_init(&cpu->sched->slice, slice_end);
    snprintf(name, sizeof(name), "idle/%u", cpu->id);
    cpu->idle = thread_build(name, idle_thread, NULL, PRIO_IDLE);
    if (cpu->idle == NULL) {
        kfree(cpu->sched);
        return -ENOMEM;
    }
    cpu->idle->cpu = cpu->id;
    thread_register(cpu->idle);
    return 0;
}

void sched_cpu_fini(struct cpu *cpu)
{
    upcall_state_t state = spin_lock(&thread_list_lock);

    XEN_TAILQ_REMOVE(&all_threads, cpu->idle, all_link);
    spin_unlock(&thread_list_lock, state);
    thread_free(cpu->idle);
    cpu->idle = NULL;
    kfree(cpu->sched);
}

void sched_adopt_idle(struct cpu *cpu)
{
    cpu->idle->state = THREAD_RUNNING;
    cpu->current = cpu->idle;
    cpu->stack_limit = (uint64_t)cpu->idle->stack + STACK_RESERVE;
    cpu->sched->switched_at = clock_now();
    WRITE_ONCE(cpu->leaving, false);
    WRITE_ONCE(cpu->online, true);
}

void sched_boot(void)
{
    struct cpu *cpu = this_cpu();

    XEN_TAILQ_INIT(&all_threads);
    XEN_TAILQ_INIT(&detached_dead);
    waitq_init(&reaper_wait, "reaper");
    waitq_init(&boot_thread.joiners, "join");
    strlcpy(boot_thread.name, "main", sizeof(boot_thread.name));
    boot_thread.prio = PRIO_NORMAL;
    boot_thread.state = THREAD_RUNNING;
    boot_thread.stack = boot_stack;
    boot_thread.detached = true;
    cpu->current = &boot_thread;
    cpu->stack_limit = (uint64_t)boot_stack + STACK_RESERVE;
    thread_register(&boot_thread);
    if (sched_cpu_init(cpu) != 0 || thread_create("reaper", reaper, NULL, PRIO_NORMAL) == NULL) {
        panic("no memory for the first threads");
    }
}
