/*
 * evtchn.c - ports, handlers and priority levels.
 *
 * A bound port is a struct evtchn in a two-level table indexed by port. The upcall works in two
 * steps. Collect: every deliverable port is masked, its pending bit cleared, and it is queued on
 * its CPU's list for its level. Dispatch: while the highest level with a queue is above the level
 * that runs, its first port's handler is called with upcalls open; a nested upcall does the same
 * and so runs only what is more urgent; the rest waits in the queues for the outer loop. When a
 * handler is done, its port is unmasked, which raises it again if it fired in between.
 *
 * A port in a queue or in its handler is `busy`; evtchn_unbind() waits for that to end, so a
 * handler's argument may be freed afterwards. A handler must not unbind its own port.
 *
 * Who sends without pause would keep the upcall's loop going for ever, so calls are counted per
 * port, whether or not the handler finds work. After a burst of BURST calls the loop looks how much
 * time threads had meanwhile. If that was less than a fifth, and a thread wants the vCPU, the port
 * rests: it stays masked for a quarter of the time that the burst took. A port whose vCPU has
 * nothing else to do, or whose events leave room, never rests. Timers' and IPIs' ports are exempt:
 * nobody else can send those.
 *
 * A device's port may have a vCPU as its home. It moves to vCPU 0 before that one goes offline, and
 * back when it is there again. An event that Xen signalled to the old vCPU before the move is
 * either found there, and with FIFO events, which are in one vCPU's queue at a time, dealt with
 * there, or it is still pending when the port is unmasked, and so signalled to the new one. What a
 * vCPU did not get to before it stopped is in its queue still, linked, and Xen does not link a port
 * twice: evtchn_cpu_drain() empties the queue of a vCPU that is down, and has Xen signal the events
 * where their ports are now. That comes after the vCPU's own ports were closed, so that these leave
 * the queue as well: Xen gives nobody a number that is linked.
 *
 * Locks: evtchn_lock, over table and flags, and over the timers'. It is not held in handlers.
 * cover_lock, over page_lock.
 * Suspend: see evtchn.h.
 */
#include "os/evtchn.h"

#include "kern/lock.h"
#include "kern/mem.h"
#include "kern/sched.h"
#include "kern/string.h"
#include "kern/witness.h"
#include "os/cmdline.h"
#include "os/evtchn_ops.h"
#include "os/hypercall.h"
#include "os/panic.h"
#include "psm/clock.h"
#include "psm/cpu.h"
#include "psm/upcall.h"

#define TABLE_SPAN   512 /* ports per leaf of the table */
#define TABLE_LEAVES (EVTCHN_FIFO_NR_CHANNELS / TABLE_SPAN)

#define THREADS_SHARE \
    5 /* one part in so many is left to threads by a port that fires all the while */
#define REST_MIN (100 * NSEC_PER_USEC)
#define REST_MAX (20 * NSEC_PER_MSEC)

struct evtchn {
    evtchn_port_t port;
    const char *name;
    enum ipl ipl;
    unsigned vcpu; /* that is signalled */
    unsigned home; /* of a device's port: see evtchn_set_home(); else 0 */
    evtchn_handler_t handler;
    void *arg;
    uint64_t count;
    bool busy;       /* queued or in its handler */
    bool owner_mask; /* evtchn_mask() was called */
    bool resting;    /* fired too much: held back until @rest fires */
    bool stranded;   /* fired for a vCPU that is down: held back until it joins */
    unsigned burst;  /* calls since the threads' share was looked at, and the times then */
    nsec_t burst_began, burst_thread_time;
    unsigned rests;
    struct timer rest;
    XEN_TAILQ_ENTRY(struct evtchn) link;
};

static spinlock_t evtchn_lock = SPINLOCK("evtchn");
static spinlock_t cover_lock = SPINLOCK("evtchn cover"); /* over ops->evtchn_cover() alone */
static bool vcpu_takes[CPU_MAX];                         /* ports whose home it is */
static struct evtchn **table[TABLE_LEAVES];
static XEN_TAILQ_HEAD(evtchn_list, struct evtchn) spares = XEN_TAILQ_HEAD_INITIALIZER(spares);
static const struct evtchn_ops *ops = &evtchn_2l_ops;

static struct evtchn *evtchn_find(evtchn_port_t port)
{
    struct evtchn **leaf = port < ops->limit ? table[port / TABLE_SPAN] : NULL;

    return leaf == NULL ? NULL : leaf[port % TABLE_SPAN];
}

/* ---- the upcall ---- */

/*
 * A deliverable port: hold it back and queue its handler. The 2-level words hold the ports of all
 * vCPUs: another's is left to it, for Xen has signalled that vCPU as well.
 */
static void collect_one(struct cpu *cpu, evtchn_port_t port)
{
    upcall_state_t state = spin_lock(&evtchn_lock);
    struct evtchn *e = evtchn_find(port);
    bool ours = e == NULL || e->vcpu == cpu->id || ops->queue_per_cpu;

    if (ours) {
        ops->mask(port);
        ops->clear_pending(port);
    }
    if (e != NULL && ours && !e->busy) {
        e->busy = true;
        XEN_TAILQ_INSERT_TAIL(&cpu->events->deferred[e->ipl], e, link);
        cpu->events->deferred_levels |= 1u << e->ipl;
    }
    spin_unlock(&evtchn_lock, state);
}

static void evtchn_collect(struct cpu *cpu)
{
    while (READ_ONCE(cpu->info.evtchn_upcall_pending)) {
        WRITE_ONCE(cpu->info.evtchn_upcall_pending, 0);
        mb();
        ops->collect(cpu, collect_one);
    }
}

static struct evtchn *deferred_take(struct cpu *cpu, enum ipl level)
{
    struct evtchn *e = XEN_TAILQ_FIRST(&cpu->events->deferred[level]);

    XEN_TAILQ_REMOVE(&cpu->events->deferred[level], e, link);
    if (XEN_TAILQ_EMPTY(&cpu->events->deferred[level])) {
        cpu->events->deferred_levels &= ~(1u << level);
    }
    return e;
}

/* Unmask a port, whichever vCPU it is bound to. */
static void unmask_any(evtchn_port_t port)
{
    struct evtchn_unmask op = {.port = port};

    (void)HYPERVISOR_event_channel_op(EVTCHNOP_unmask, &op);
}

/* Whether a port stays masked. evtchn_lock is held. */
static bool held_back(const struct evtchn *e)
{
    return e->busy || e->owner_mask || e->resting || e->stranded;
}

/* A port has rested. */
static void rest_over(struct timer *t)
{
    struct evtchn *e = CONTAINER_OF(t, struct evtchn, rest);
    upcall_state_t state = spin_lock(&evtchn_lock);

    e->resting = false;
    if (!held_back(e) && evtchn_find(e->port) == e) {
        unmask_any(e->port);
    }
    spin_unlock(&evtchn_lock, state);
}

/* A burst of calls is over: give threads a turn if they had too few. evtchn_lock is held. */
static void look_at_burst(struct cpu *cpu, struct evtchn *e)
{
    nsec_t now = clock_now();
    nsec_t took = now - e->burst_began;
    nsec_t threads_had = cpu->events->thread_time - e->burst_thread_time;

    if (threads_had < took / THREADS_SHARE && sched_wanted(cpu)) {
        e->resting = true;
        e->rests++;
        took /= THREADS_SHARE - 1;
        timer_arm(&e->rest, now + MIN(MAX(took, REST_MIN), REST_MAX));
    }
    e->burst = 0;
}

/* Count a call of its handler. evtchn_lock is held. */
static void count_call(struct cpu *cpu, struct evtchn *e)
{
    if (e->burst == 0) {
        e->burst_began = clock_now();
        e->burst_thread_time = cpu->events->thread_time;
    }
    if (++e->burst >= EVTCHN_BURST) {
        look_at_burst(cpu, e);
    }
}

/* The handler is over: the port may fire again, unless it is held back. */
static void port_done(struct cpu *cpu, struct evtchn *e)
{
    upcall_state_t state = spin_lock(&evtchn_lock);
    evtchn_port_t port = e->port;
    bool bound = evtchn_find(port) == e;

    WRITE_ONCE(e->busy, false);
    if (bound && e->ipl < IPL_TIMER) {
        count_call(cpu, e);
    }
    bool unmask = bound && !held_back(e);
    if (unmask && e->vcpu == cpu->id) {
        ops->unmask_local(cpu, port);
    } else if (unmask) {
        unmask_any(port);
    }
    spin_unlock(&evtchn_lock, state);
}

/* Run what is queued above the current level. Upcalls are masked, but not in the handlers. */
static void dispatch(struct cpu *cpu)
{
    while (cpu->events->deferred_levels >> (cpu->ipl + 1) != 0) {
        enum ipl level = 31u - (unsigned)__builtin_clz(cpu->events->deferred_levels);
        enum ipl interrupted = cpu->ipl;
        struct evtchn *e = deferred_take(cpu, level);

        cpu->ipl = level;
        e->count++;
        witness_callback_begin(LOCK_EVENT_HANDLER, (uint64_t)e->handler);
        upcalls_restore(false);
        e->handler(e->port, e->arg);
        (void)upcalls_save();
        witness_callback_end();
        cpu->ipl = interrupted;
        port_done(cpu, e);
        evtchn_collect(cpu);
    }
}

void evtchn_upcall(struct trap_frame *frame)
{
    struct cpu *cpu = this_cpu();
    struct trap_frame *outer = cpu->frame;

    cpu->frame = frame;
    cpu->upcalls++;
    if (cpu->ipl == IPL_NONE) {
        cpu->events->thread_time += clock_now() - cpu->events->threads_since;
    }
    evtchn_collect(cpu);
    dispatch(cpu);
    cpu->frame = outer;
    if (cpu->ipl == IPL_NONE) {
        cpu->events->threads_since = clock_now();
        sched_interrupt_exit(cpu);
    }
}

/* ---- records ---- */

/*
 * Who wakes up in another domain binds its ports anew while memory may be out, and has to: the
 * records of the old ports are spared for that, not freed.
 */
static void record_spare(struct evtchn *e)
{
    upcall_state_t state = spin_lock(&evtchn_lock);

    XEN_TAILQ_INSERT_HEAD(&spares, e, link);
    spin_unlock(&evtchn_lock, state);
}

/* A record, of whatever contents; NULL when memory ran out. */
static struct evtchn *record_new(void)
{
    upcall_state_t state = spin_lock(&evtchn_lock);
    struct evtchn *e = XEN_TAILQ_FIRST(&spares);

    if (e != NULL) {
        XEN_TAILQ_REMOVE(&spares, e, link);
    }
    spin_unlock(&evtchn_lock, state);
    return e != NULL ? e : kmalloc(sizeof(*e));
}

/* ---- binding ---- */

/* Make the shared words reach up to a port; two threads may bind at once. */
static int evtchn_cover(evtchn_port_t port)
{
    upcall_state_t state = spin_lock(&cover_lock);
    int rc = ops->cover(port);

    spin_unlock(&cover_lock, state);
    return rc;
}

/*
 * Put @e into the table. -EBUSY if the port has a handler, -ENOMEM without room for a leaf. A leaf
 * that is there stays: a resume, which binds ports of low numbers anew, finds its leaf.
 */
static int table_insert(struct evtchn *e)
{
    bool known = READ_ONCE(table[e->port / TABLE_SPAN]) != NULL;
    struct evtchn **fresh = known ? NULL : page_alloc_zeroed(0);
    int rc = 0;

    if (!known && fresh == NULL) {
        return -ENOMEM;
    }
    upcall_state_t state = spin_lock(&evtchn_lock);
    struct evtchn ***leaf = &table[e->port / TABLE_SPAN];
    if (*leaf == NULL) {
        *leaf = fresh;
        fresh = NULL;
    }
    ASSERT(*leaf != NULL);
    if ((*leaf)[e->port % TABLE_SPAN] != NULL) {
        rc = -EBUSY;
    } else {
        (*leaf)[e->port % TABLE_SPAN] = e;
    }
    spin_unlock(&evtchn_lock, state);
    if (fresh != NULL) {
        page_free(fresh, 0);
    }
    return rc;
}

static int bind(evtchn_port_t port, unsigned vcpu, const char *name, enum ipl ipl,
                evtchn_handler_t handler, void *arg)
{
    if (port >= ops->limit) {
        return -ERANGE;
    }
    struct evtchn *e = record_new();
    if (e == NULL) {
        return -ENOMEM;
    }
    *e = (struct evtchn){
        .port = port, .name = name, .ipl = ipl, .vcpu = vcpu, .handler = handler, .arg = arg};
    timer_init(&e->rest, rest_over);
    int rc = evtchn_cover(port);
    if (rc == 0) {
        ops->mask(port);
        rc = table_insert(e);
    }
    if (rc != 0) {
        kfree(e);
        return rc;
    }
    ops->set_level(port, ipl);
    evtchn_unmask(port);
    return 0;
}

static void port_close(evtchn_port_t port)
{
    struct evtchn_close op = {.port = port};

    /* Cannot fail for a port of ours; for one that is gone there is nothing to do. */
    (void)HYPERVISOR_event_channel_op(EVTCHNOP_close, &op);
}

/* Bind a handler to a port just made, or close it again. Return: the port or -errno. */
static int bind_new(evtchn_port_t port, unsigned vcpu, const char *name, enum ipl ipl,
                    evtchn_handler_t handler, void *arg)
{
    int rc = bind(port, vcpu, name, ipl, handler, arg);

    if (rc != 0) {
        port_close(port);
        return rc;
    }
    return (int)port;
}

int evtchn_alloc_unbound(uint16_t otherend, const char *name, enum ipl ipl,
                         evtchn_handler_t handler, void *arg)
{
    struct evtchn_alloc_unbound op = {.dom = DOMID_SELF, .remote_dom = otherend};
    long rc = HYPERVISOR_event_channel_op(EVTCHNOP_alloc_unbound, &op);

    return rc != 0 ? (int)rc : bind_new(op.port, 0, name, ipl, handler, arg);
}

/* Have Xen signal another vCPU from now on. evtchn_lock is held. */
static void move(struct evtchn *e, unsigned vcpu)
{
    struct evtchn_bind_vcpu op = {.port = e->port, .vcpu = vcpu};

    if (e->vcpu == vcpu) {
        return;
    }
    ops->mask(e->port);
    if (HYPERVISOR_event_channel_op(EVTCHNOP_bind_vcpu, &op) == 0) {
        e->vcpu = vcpu;
    }
    if (!held_back(e)) {
        unmask_any(e->port);
    }
}

void evtchn_set_home(evtchn_port_t port, unsigned vcpu)
{
    upcall_state_t state = spin_lock(&evtchn_lock);
    struct evtchn *e = evtchn_find(port);

    if (e != NULL) {
        e->home = vcpu;
        move(e, vcpu < CPU_MAX && vcpu_takes[vcpu] ? vcpu : 0);
    }
    spin_unlock(&evtchn_lock, state);
}

/* The first port from @port on that may be bound; the limit if there is none. */
static evtchn_port_t known_from(evtchn_port_t port)
{
    while (port < ops->limit && table[port / TABLE_SPAN] == NULL) {
        port = (port / TABLE_SPAN + 1) * TABLE_SPAN;
    }
    return port;
}

/* From now on a vCPU does, or does not, take the events of the ports whose home it is. */
static void set_takes(unsigned vcpu, bool takes)
{
    WRITE_ONCE(vcpu_takes[vcpu], takes);
    for (evtchn_port_t port = known_from(0); port < ops->limit; port = known_from(port + 1)) {
        upcall_state_t state = spin_lock(&evtchn_lock);
        struct evtchn *e = evtchn_find(port);

        if (e != NULL && e->home == vcpu) {
            move(e, takes ? vcpu : 0);
        }
        spin_unlock(&evtchn_lock, state);
    }
}

void evtchn_cpu_joins(struct cpu *cpu)
{
    set_takes(cpu->id, true);
    for (evtchn_port_t port = known_from(0); port < ops->limit; port = known_from(port + 1)) {
        upcall_state_t state = spin_lock(&evtchn_lock);
        struct evtchn *e = evtchn_find(port);

        if (e != NULL && e->stranded && e->vcpu == cpu->id) {
            e->stranded = false;
            if (!held_back(e)) {
                unmask_any(port);
            }
        }
        spin_unlock(&evtchn_lock, state);
    }
}

void evtchn_cpu_leaves(struct cpu *cpu)
{
    set_takes(cpu->id, false);
}

/* An event was in the queue of a vCPU that is down, and is there no more: it shall not be lost. */
static void reraise(struct cpu *cpu, evtchn_port_t port)
{
    upcall_state_t state = spin_lock(&evtchn_lock);
    struct evtchn *e = evtchn_find(port);

    ops->mask(port);
    if (e == NULL) {
        ops->clear_pending(port);
    } else if (e->vcpu == cpu->id) {
        e->stranded = true; /* an IPI or VIRQ of the vCPU's own: for when it is there again */
    } else if (!held_back(e)) {
        unmask_any(port);
    }
    spin_unlock(&evtchn_lock, state);
}

void evtchn_cpu_drain(struct cpu *cpu)
{
    upcall_state_t state = upcalls_save();

    ops->collect(cpu, reraise);
    upcalls_restore(state);
}

int evtchn_bind_interdomain(uint16_t otherend, evtchn_port_t remote, const char *name, enum ipl ipl,
                            evtchn_handler_t handler, void *arg)
{
    struct evtchn_bind_interdomain op = {.remote_dom = otherend, .remote_port = remote};
    long rc = HYPERVISOR_event_channel_op(EVTCHNOP_bind_interdomain, &op);

    return rc != 0 ? (int)rc : bind_new(op.local_port, 0, name, ipl, handler, arg);
}

int evtchn_bind_virq(unsigned virq, unsigned vcpu, const char *name, enum ipl ipl,
                     evtchn_handler_t handler, void *arg)
{
    struct evtchn_bind_virq op = {.virq = virq, .vcpu = vcpu};
    long rc = HYPERVISOR_event_channel_op(EVTCHNOP_bind_virq, &op);

    return rc != 0 ? (int)rc : bind_new(op.port, vcpu, name, ipl, handler, arg);
}

int evtchn_bind_pirq(unsigned pirq, bool shared, const char *name, enum ipl ipl,
                     evtchn_handler_t handler, void *arg)
{
    struct evtchn_bind_pirq op = {.pirq = pirq, .flags = shared ? BIND_PIRQ__WILL_SHARE : 0};
    long rc = HYPERVISOR_event_channel_op(EVTCHNOP_bind_pirq, &op);

    return rc != 0 ? (int)rc : bind_new(op.port, 0, name, ipl, handler, arg);
}

int evtchn_bind_ipi(unsigned vcpu, const char *name, enum ipl ipl, evtchn_handler_t handler,
                    void *arg)
{
    struct evtchn_bind_ipi op = {.vcpu = vcpu};
    long rc = HYPERVISOR_event_channel_op(EVTCHNOP_bind_ipi, &op);

    return rc != 0 ? (int)rc : bind_new(op.port, vcpu, name, ipl, handler, arg);
}

int evtchn_bind_existing(evtchn_port_t port, const char *name, enum ipl ipl,
                         evtchn_handler_t handler, void *arg)
{
    return bind(port, 0, name, ipl, handler, arg);
}

void evtchn_unbind(evtchn_port_t port)
{
    ops->mask(port);
    upcall_state_t state = spin_lock(&evtchn_lock);
    struct evtchn *e = evtchn_find(port);
    if (e != NULL) {
        table[port / TABLE_SPAN][port % TABLE_SPAN] = NULL;
    }
    spin_unlock(&evtchn_lock, state);
    witness_waits(LOCK_EVENT_HANDLER);
    for (unsigned spins = 1; e != NULL && READ_ONCE(e->busy); spins++) {
        spin_pause(spins);
    }
    if (e != NULL && e->rests != 0) {
        (void)timer_cancel_wait(&e->rest);
    }
    kfree(e);
}

void evtchn_close(evtchn_port_t port)
{
    evtchn_unbind(port);
    port_close(port);
}

/* ---- using ---- */

void evtchn_notify(evtchn_port_t port)
{
    struct evtchn_send op = {.port = port};

    /* Fails only when the other end is gone, which its owner learns from xenstore. */
    (void)HYPERVISOR_event_channel_op(EVTCHNOP_send, &op);
}

void evtchn_mask(evtchn_port_t port)
{
    upcall_state_t state = spin_lock(&evtchn_lock);
    struct evtchn *e = evtchn_find(port);

    if (e != NULL) {
        e->owner_mask = true;
    }
    ops->mask(port);
    spin_unlock(&evtchn_lock, state);
}

/* A port in its handler is unmasked at the handler's end: an event before that would be lost. */
void evtchn_unmask(evtchn_port_t port)
{
    upcall_state_t state = spin_lock(&evtchn_lock);
    struct evtchn *e = evtchn_find(port);

    if (e != NULL) {
        e->owner_mask = false;
    }
    if (e == NULL || !held_back(e)) {
        unmask_any(port);
    }
    spin_unlock(&evtchn_lock, state);
}

void evtchn_foreach(void (*fn)(const struct evtchn_info *info, void *arg), void *arg)
{
    for (evtchn_port_t port = known_from(0); port < ops->limit; port = known_from(port + 1)) {
        upcall_state_t state = spin_lock(&evtchn_lock);
        const struct evtchn *e = evtchn_find(port);
        struct evtchn_info info = {.port = port};

        if (e != NULL) {
            info.name = e->name;
            info.ipl = e->ipl;
            info.vcpu = e->vcpu;
            info.count = e->count;
            info.rests = e->rests;
            info.masked = ops->is_masked(port);
            info.pending = ops->is_pending(port);
        }
        spin_unlock(&evtchn_lock, state);
        if (e != NULL) {
            fn(&info, arg);
        }
    }
}

void evtchn_boot(void)
{
    for (evtchn_port_t port = 0; port < ops->limit; port++) {
        ops->mask(port);
    }
}

void evtchn_select(void)
{
    const char *wanted = cmdline_get("evtchn");

    if (wanted != NULL && strcmp(wanted, "2l") == 0) {
        return;
    }
    if (evtchn_fifo_ops.cpu_init(this_cpu()) == 0) {
        ops = &evtchn_fifo_ops;
    }
}

void evtchn_resume(void)
{
    for (size_t i = 0; i < TABLE_LEAVES; i++) {
        for (size_t j = 0; table[i] != NULL && j < TABLE_SPAN; j++) {
            struct evtchn *e = table[i][j];

            ASSERT(e == NULL || !e->busy);
            if (e != NULL) {
                (void)timer_cancel(&e->rest); /* no callback runs: this is its one vCPU */
                record_spare(e);
                table[i][j] = NULL;
            }
        }
    }
    int rc = ops->resume();
    if (rc != 0) {
        panic("%s events cannot be set up again: %s", ops->name, errno_name(rc));
    }
}

const char *evtchn_abi(void)
{
    return ops->name;
}

int evtchn_cpu_init(struct cpu *cpu)
{
    static struct cpu_events boot_cpu_events; /* there is no memory yet */

    cpu->events = cpu->id == 0 ? &boot_cpu_events : kzalloc(sizeof(*cpu->events));
    if (cpu->events == NULL) {
        return -ENOMEM;
    }
    for (unsigned level = 0; level < IPL_COUNT; level++) {
        XEN_TAILQ_INIT(&cpu->events->deferred[level]);
    }
    int rc = ops->cpu_init(cpu);
    if (rc != 0 && cpu->id != 0) {
        kfree(cpu->events);
    }
    return rc;
}
