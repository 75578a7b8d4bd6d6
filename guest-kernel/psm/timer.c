/*
 * timer.c - a pairing heap of one-shot timers per vCPU.
 *
 * The heap's root is the earliest deadline. A node has a list of children, linked by
 * `sibling`; `link` points at the pointer that points to it, so that any node can be cut out. Xen's
 * single-shot timer is programmed for the root only, and only when the root gets earlier.
 *
 * Arming and cancelling never wait, since the callback may want a lock that the caller holds. So a
 * timer whose callback runs on another CPU is armed anew on that CPU, in whose heap it fires when
 * the callback is over: it never runs on two CPUs at once. Only timer_cancel_wait() waits.
 *
 * Locks: that of the owning CPU's heap, of two the lower CPU's first; callbacks run without it.
 * Suspend: only vCPU 0 has timers then; timer_resume() reckons those by the wall clock anew and
 * programs the root.
 */
#include "psm/timer.h"

#include "kern/mem.h"
#include "kern/thread.h"
#include "kern/witness.h"
#include "os/evtchn.h"
#include "os/hypercall.h"
#include "os/panic.h"
#include "psm/clock.h"
#include "psm/cpu.h"

/* ---- the heap ---- */

/* Join two heaps: the later root becomes the first child of the earlier. Return: the root. */
static struct timer *heap_meld(struct timer *a, struct timer *b)
{
    if (a == NULL || b == NULL) {
        return a != NULL ? a : b;
    }
    if (b->deadline < a->deadline) {
        struct timer *later = a;

        a = b;
        b = later;
    }
    b->sibling = a->child;
    if (b->sibling != NULL) {
        b->sibling->link = &b->sibling;
    }
    a->child = b;
    b->link = &a->child;
    return a;
}

/* Meld a list of siblings into one heap: pairs from the left, then the pairs from the right. */
static struct timer *heap_meld_list(struct timer *first)
{
    struct timer *pairs = NULL, *root = NULL;

    while (first != NULL) {
        struct timer *a = first, *b = a->sibling;

        first = b != NULL ? b->sibling : NULL;
        a->sibling = NULL;
        if (b != NULL) {
            b->sibling = NULL;
        }
        struct timer *pair = heap_meld(a, b);
        pair->sibling = pairs;
        pairs = pair;
    }
    while (pairs != NULL) {
        struct timer *next = pairs->sibling;

        pairs->sibling = NULL;
        root = heap_meld(root, pairs);
        pairs = next;
    }
    return root;
}

static void heap_set_root(struct cpu *cpu, struct timer *root)
{
    cpu->timers->root = root;
    if (root != NULL) {
        root->link = &cpu->timers->root;
    }
}

static void heap_insert(struct cpu *cpu, struct timer *t)
{
    t->child = t->sibling = NULL;
    heap_set_root(cpu, heap_meld(cpu->timers->root, t));
}

static void heap_remove(struct cpu *cpu, struct timer *t)
{
    bool is_root = cpu->timers->root == t;
    struct timer *orphans = heap_meld_list(t->child);

    if (is_root) {
        heap_set_root(cpu, orphans);
    } else {
        *t->link = t->sibling;
        if (t->sibling != NULL) {
            t->sibling->link = t->link;
        }
        heap_set_root(cpu, heap_meld(cpu->timers->root, orphans));
    }
    t->link = NULL;
    t->child = t->sibling = NULL;
}

/* ---- Xen's timer ---- */

/*
 * Xen takes a deadline for a signed number, and what lies beyond for the past. So far away it may
 * interrupt early, once in a lifetime: then nothing is due, and it is asked again.
 */
#define FAR_AWAY ((nsec_t)INT64_MAX / 2)

/* Have Xen interrupt this CPU for the earliest timer. Its lock is held, and it is this CPU. */
static void timer_program(struct cpu *cpu)
{
    nsec_t deadline = cpu->timers->root == NULL ? NSEC_FOREVER : cpu->timers->root->deadline;

    if (deadline >= cpu->timers->programmed) {
        return;
    }
    struct vcpu_set_singleshot_timer op = {
        .timeout_abs_ns = MIN(clock_to_xen(MIN(deadline, FAR_AWAY)), FAR_AWAY)};
    long rc = HYPERVISOR_vcpu_op(VCPUOP_set_singleshot_timer, cpu->id, &op);

    ASSERT(rc == 0);
    cpu->timers->programmed = deadline;
}

/* VIRQ_TIMER: run what is due. */
static void timer_interrupt(evtchn_port_t port, void *arg)
{
    struct cpu *cpu = arg;
    upcall_state_t state = spin_lock(&cpu->timers->lock);

    (void)port;
    cpu->timers->programmed = NSEC_FOREVER;
    while (cpu->timers->root != NULL && cpu->timers->root->deadline <= clock_now()) {
        struct timer *t = cpu->timers->root;

        heap_remove(cpu, t);
        cpu->timers->running = t;
        spin_unlock(&cpu->timers->lock, state);
        witness_callback_begin(LOCK_TIMER_CALLBACK, (uint64_t)t->fn);
        t->fn(t); /* may free what @t is in */
        witness_callback_end();
        state = spin_lock(&cpu->timers->lock);
        WRITE_ONCE(cpu->timers->running, NULL);
    }
    timer_program(cpu);
    spin_unlock(&cpu->timers->lock, state);
}

/* ---- for everyone ---- */

void timer_init(struct timer *t, void (*fn)(struct timer *t))
{
    *t = (struct timer){.fn = fn};
}

/* Lock the heap that a timer belongs to, which may change until it is locked. Upcalls masked. */
static struct cpu *timer_lock_of(const struct timer *t)
{
    for (;;) {
        struct cpu *cpu = cpu_by_id(READ_ONCE(t->cpu));

        spin_acquire(&cpu->timers->lock);
        if (t->cpu == cpu->id) {
            return cpu;
        }
        spin_release(&cpu->timers->lock);
    }
}

/*
 * Take a timer out of whatever heap it is in, and lock the one that it shall go into: this CPU's,
 * or the one's on which its callback runs. Upcalls masked.
 */
static struct cpu *timer_take(struct timer *t)
{
    for (;;) {
        struct cpu *cpu = timer_lock_of(t);

        if (timer_armed(t)) {
            heap_remove(cpu, t);
        }
        if (cpu == this_cpu() || cpu->timers->running == t) {
            return cpu;
        }
        WRITE_ONCE(t->cpu, this_cpu()->id);
        spin_release(&cpu->timers->lock); /* of two CPUs' only one is ever held here */
    }
}

static void arm(struct timer *t, nsec_t deadline, nsec_t wall)
{
    upcall_state_t state = upcalls_save();
    struct cpu *cpu = timer_take(t);

    t->deadline = deadline;
    t->wall = wall;
    heap_insert(cpu, t);
    if (cpu == this_cpu()) { /* else timer_interrupt() does, when the callback is over */
        timer_program(cpu);
    }
    spin_unlock(&cpu->timers->lock, state);
}

void timer_arm(struct timer *t, nsec_t deadline)
{
    arm(t, deadline, 0);
}

void timer_arm_wall(struct timer *t, nsec_t deadline)
{
    upcall_state_t state = upcalls_save(); /* a suspend reckons anew what is armed */

    arm(t, clock_from_wall(deadline), deadline);
    upcalls_restore(state);
}

bool timer_cancel(struct timer *t)
{
    upcall_state_t state = upcalls_save();
    struct cpu *cpu = timer_lock_of(t);

    bool armed = timer_armed(t);
    if (armed) {
        heap_remove(cpu, t);
    }
    spin_unlock(&cpu->timers->lock, state);
    return armed;
}

/* Whether a timer is armed or its callback runs. */
static bool timer_busy(const struct timer *t)
{
    upcall_state_t state = upcalls_save();
    struct cpu *cpu = timer_lock_of(t);

    bool busy = timer_armed(t) || cpu->timers->running == t;
    spin_unlock(&cpu->timers->lock, state);
    return busy;
}

bool timer_cancel_wait(struct timer *t)
{
    witness_waits(LOCK_TIMER_CALLBACK);
    ASSERT(thread_may_wait());

    bool armed = timer_cancel(t);
    for (unsigned spins = 1; timer_busy(t); spins++) {
        spin_pause(spins);
        (void)timer_cancel(t); /* the callback may have armed it */
    }
    return armed;
}

int timer_cpu_create(struct cpu *cpu)
{
    static struct cpu_timers boot_cpu_timers; /* there is no memory yet */

    cpu->timers = cpu->id == 0 ? &boot_cpu_timers : kzalloc(sizeof(*cpu->timers));
    if (cpu->timers == NULL) {
        return -ENOMEM;
    }
    spin_init(&cpu->timers->lock, "timers");
    return 0;
}

void timer_cpu_free(struct cpu *cpu)
{
    kfree(cpu->timers);
}

int timer_cpu_init(struct cpu *cpu)
{
    cpu->timers->programmed = NSEC_FOREVER;
    int port = evtchn_bind_virq(VIRQ_TIMER, cpu->id, "timer", IPL_TIMER, timer_interrupt, cpu);

    if (port < 0) {
        return port;
    }
    cpu->timers->port = (evtchn_port_t)port;
    return 0;
}

void timer_cpu_close(struct cpu *cpu)
{
    evtchn_close(cpu->timers->port);
}

void timer_move_all(struct cpu *from, struct cpu *to)
{
    struct timer *t;

    ASSERT(to->id < from->id); /* the order of the two locks */
    spin_acquire(&to->timers->lock);
    spin_acquire(&from->timers->lock);
    while ((t = from->timers->root) != NULL) {
        heap_remove(from, t);
        WRITE_ONCE(t->cpu, to->id);
        heap_insert(to, t);
    }
    spin_release(&from->timers->lock);
    spin_release(&to->timers->lock);
    cpu_kick(to);
}

/* Take all timers out of the heap and put them back by what their owners asked for. */
static void heap_rebuild(struct cpu *cpu)
{
    struct timer *all = NULL, *t;

    while ((t = cpu->timers->root) != NULL) {
        heap_remove(cpu, t);
        t->sibling = all;
        all = t;
    }
    while ((t = all) != NULL) {
        all = t->sibling;
        t->deadline = t->wall != 0 ? clock_from_wall(t->wall) : t->deadline;
        heap_insert(cpu, t);
    }
}

void timer_resume(struct cpu *cpu)
{
    upcall_state_t state = spin_lock(&cpu->timers->lock);

    heap_rebuild(cpu);
    cpu->timers->programmed = NSEC_FOREVER;
    timer_program(cpu);
    spin_unlock(&cpu->timers->lock, state);
}

void timer_reprogram(struct cpu *cpu)
{
    upcall_state_t state = spin_lock(&cpu->timers->lock);

    timer_program(cpu);
    spin_unlock(&cpu->timers->lock, state);
}
