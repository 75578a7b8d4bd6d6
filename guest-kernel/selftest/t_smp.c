/*
 * t_smp.c - promises that vCPUs make one another: nobody waits for a callback, no port takes a vCPU
 * for itself, a vCPU that leaves or cannot start takes nothing with it.
 */
#include "kern/lock.h"
#include "kern/mem.h"
#include "kern/thread.h"
#include "kern/wait.h"
#include "os/evtchn.h"
#include "os/hypercall.h"
#include "psm/clock.h"
#include "psm/cpu.h"
#include "psm/timer.h"
#include "selftest/selftest.h"
#include "selftest/share.h"

#define LONG (20 * NSEC_PER_SEC) /* only a failure takes so long */

/* Look at a flag until it is set, without giving up this vCPU. */
static bool spin_until(const bool *flag)
{
    nsec_t limit = clock_now() + LONG;

    while (!READ_ONCE(*flag) && clock_now() < limit) {
        __builtin_ia32_pause();
    }
    return READ_ONCE(*flag);
}

/* ---- timers ---- */

/* A timer whose callback takes a lock that who arms it again holds. */
struct rearmed {
    struct timer timer;
    spinlock_t lock;
    bool entered, locked;
    unsigned running, calls;
    bool at_once;
};

static void callback_locks(struct timer *t)
{
    struct rearmed *r = CONTAINER_OF(t, struct rearmed, timer);

    if (__atomic_fetch_add(&r->running, 1, __ATOMIC_SEQ_CST) != 0) {
        WRITE_ONCE(r->at_once, true);
    }
    WRITE_ONCE(r->entered, true);
    (void)spin_until(&r->locked);
    spin_unlock(&r->lock, spin_lock(&r->lock));
    __atomic_fetch_add(&r->calls, 1, __ATOMIC_SEQ_CST);
    __atomic_fetch_sub(&r->running, 1, __ATOMIC_SEQ_CST);
}

static void arm_there(void *arg)
{
    struct rearmed *r = arg;

    timer_arm(&r->timer, clock_now());
}

/* One vCPU is in the callback and wants the lock; another holds it, and arms and cancels. */
static bool arming_does_not_wait(void)
{
    struct rearmed r = {.entered = false};
    nsec_t limit = clock_now() + LONG;

    if (cpu_count_online() < 2) {
        return true;
    }
    spin_init(&r.lock, "selftest");
    timer_init(&r.timer, callback_locks);
    upcall_state_t state = upcalls_save(); /* keeps this vCPU: the thread runs on another */
    struct thread *t = thread_create("armer", arm_there, &r, PRIO_NORMAL);
    bool entered = t != NULL && spin_until(&r.entered);
    spin_acquire(&r.lock);
    WRITE_ONCE(r.locked, true);
    timer_arm(&r.timer, clock_now() + 5 * NSEC_PER_MSEC);
    bool armed = timer_cancel(&r.timer);
    timer_arm(&r.timer, clock_now() + 5 * NSEC_PER_MSEC);
    spin_release(&r.lock);
    upcalls_restore(state);
    CHECK(t != NULL);
    thread_join(t);
    while (READ_ONCE(r.calls) < 2 && clock_now() < limit) {
        thread_yield();
    }
    (void)timer_cancel_wait(&r.timer);
    CHECK(entered);
    CHECK(armed);
    CHECK(r.calls == 2);
    CHECK(!r.at_once);
    return true;
}

/* A timer that arms itself again until it is told not to. */
struct restless {
    struct timer timer;
    unsigned calls;
    bool freed, called_after;
};

static void callback_again(struct timer *t)
{
    struct restless *r = CONTAINER_OF(t, struct restless, timer);

    if (READ_ONCE(r->freed)) {
        WRITE_ONCE(r->called_after, true);
    }
    WRITE_ONCE(r->calls, r->calls + 1);
    timer_arm(t, clock_now() + 50 * NSEC_PER_USEC);
}

static bool who_cancelled_and_waited_may_free(void)
{
    struct restless r = {.calls = 0};

    for (unsigned i = 0; i < 50; i++) {
        unsigned before = READ_ONCE(r.calls);
        nsec_t limit = clock_now() + LONG;

        timer_init(&r.timer, callback_again);
        timer_arm(&r.timer, clock_now());
        while (READ_ONCE(r.calls) < before + 3 && clock_now() < limit) {
            thread_yield();
        }
        CHECK(READ_ONCE(r.calls) >= before + 3);
        (void)timer_cancel_wait(&r.timer);
        WRITE_ONCE(r.freed, true);
        thread_sleep_until(clock_now() + 200 * NSEC_PER_USEC);
        WRITE_ONCE(r.freed, false);
        CHECK(!r.called_after);
    }
    return true;
}

/* ---- ports that fire without pause ---- */

#define STORM_CALLS (40 * EVTCHN_BURST)
#define SLOW_CALLS  150 /* fewer than a burst has when its calls are short */
#define SLOW_CALL   (4 * NSEC_PER_MSEC)
#define STORM_PORTS 8
#define STORM_CPUS  8 /* with more, Xen's turns are too rare to judge by */

struct storm {
    int ports[STORM_PORTS];
    unsigned nports, begun, calls, enough, rests; /* the ports begin one after the other */
    nsec_t work;                                  /* how long a call takes */
    struct share share;
    struct waitq over;
};

static void work_until(nsec_t end, struct storm *s)
{
    while (clock_now() < end) {
        share_note(&s->share, SHARE_EVENTS);
    }
}

/*
 * Raises its own port again before it ends: as a sender does that never pauses. The next port
 * begins a burst later: if each rested alone, others would always run.
 */
static void storm_handler(evtchn_port_t port, void *arg)
{
    struct storm *s = arg;

    share_note(&s->share, SHARE_EVENTS);
    work_until(clock_now() + s->work, s);
    WRITE_ONCE(s->calls, s->calls + 1);
    if (s->calls >= s->enough) {
        WRITE_ONCE(s->share.stop, true); /* what threads get from now on does not count */
        waitq_wake_all(&s->over);
        return;
    }
    evtchn_notify(port);
    if (s->begun < s->nports && s->calls >= s->begun * EVTCHN_BURST) {
        evtchn_notify((evtchn_port_t)s->ports[s->begun]);
        WRITE_ONCE(s->begun, s->begun + 1);
    }
}

/* The thread that sends may be the victim's only one. */
static void send_storm(void *arg)
{
    struct storm *s = arg;

    while (!READ_ONCE(s->share.stop)) {
        share_note(&s->share, SHARE_THREADS);
        for (unsigned i = 0; i < READ_ONCE(s->begun); i++) {
            evtchn_notify((evtchn_port_t)s->ports[i]);
        }
    }
}

static void note_rests(const struct evtchn_info *info, void *arg)
{
    struct storm *s = arg;

    for (unsigned i = 0; i < s->nports; i++) {
        s->rests += (int)info->port == s->ports[i] ? info->rests : 0;
    }
}

/* Enough threads that each vCPU has one, and one that sends. Return: whether the storm ended. */
static bool weather_storm(struct storm *s)
{
    struct thread *threads[STORM_CPUS + 2] = {NULL};
    unsigned n = cpu_count_online() + 2;
    bool all = true;

    for (unsigned i = 0; i < n; i++) {
        threads[i] = i == 0 ? thread_create("storm", send_storm, s, PRIO_NORMAL)
                            : thread_create("storm", share_run, &s->share, PRIO_NORMAL);
        all &= threads[i] != NULL;
    }
    int rc = wait_event_until(&s->over, READ_ONCE(s->calls) >= s->enough, clock_now() + LONG);
    evtchn_foreach(note_rests, s);
    WRITE_ONCE(s->share.stop, true);
    for (unsigned i = 0; i < n; i++) {
        if (threads[i] != NULL) {
            thread_join(threads[i]);
        }
    }
    return all && rc == 0;
}

/* So many ports storm on the last vCPU, and each call takes so long. */
static bool storm_leaves_turns(unsigned nports, unsigned enough, nsec_t work)
{
    static struct storm s;
    bool bound = true;

    if (cpu_count_online() > STORM_CPUS) {
        return true;
    }
    s = (struct storm){.enough = enough, .work = work, .begun = 1};
    s.share.vcpu = cpu_count_online() - 1;
    waitq_init(&s.over, "selftest");
    for (unsigned i = 0; i < nports && bound; i++) {
        s.ports[i] = evtchn_bind_ipi(s.share.vcpu, "selftest storm", IPL_SOFT, storm_handler, &s);
        bound = s.ports[i] > 0;
        s.nports += bound;
    }
    bool ended = bound && weather_storm(&s);
    for (unsigned i = 0; i < s.nports; i++) {
        evtchn_close((evtchn_port_t)s.ports[i]);
    }
    CHECK(bound);
    CHECK(ended);
    if (!share_fair(&s.share) || s.rests == 0) {
        selftest_fail("%u ports had %lu us, threads %lu us, %u rests", nports,
                      (unsigned long)(s.share.had[SHARE_EVENTS] / NSEC_PER_USEC),
                      (unsigned long)(s.share.had[SHARE_THREADS] / NSEC_PER_USEC), s.rests);
        return false;
    }
    return true;
}

static bool storms_leave_threads_their_turns(void)
{
    return storm_leaves_turns(1, STORM_CALLS, 0);
}

/* They must not run by turns, some while others rest. */
static bool several_storms_leave_threads_their_turns(void)
{
    return storm_leaves_turns(STORM_PORTS, STORM_CALLS, 0);
}

static bool slow_storms_leave_threads_their_turns(void)
{
    return storm_leaves_turns(1, SLOW_CALLS, SLOW_CALL);
}

/* ---- starts that fail ---- */

static void count_port(const struct evtchn_info *info, void *arg)
{
    (void)info;
    ++*(unsigned *)arg;
}

struct in_use {
    unsigned ports;
    uint64_t pages;
};

static struct in_use what_is_in_use(void)
{
    struct in_use u = {.ports = 0};
    struct mem_stats mem;

    evtchn_foreach(count_port, &u.ports);
    mem_get_stats(&mem);
    u.pages = mem.pages_total - mem.pages_free;
    return u;
}

/* The step-th step of a start fails, again and again. *@failed: there was such a step. */
static bool fail_start(unsigned id, unsigned step, bool *failed)
{
    const unsigned tries = 4, slack = 2; /* pages; each try that leaks takes one at the least */
    struct in_use before = {.ports = 0}, after;

    for (unsigned i = 0; i <= tries; i++) {
        cpu_fail_step(step);
        int rc = cpu_start(id);
        cpu_fail_step(0);
        *failed = rc != 0;
        if (rc == 0) {
            return true;
        }
        CHECK(rc == -EIO);
        after = what_is_in_use();
        before = i == 0 ? after : before; /* the first may have told Xen what stays */
    }
    if (after.ports != before.ports || after.pages > before.pages + slack) {
        selftest_fail("step %u: %u ports and %lu pages before, %u and %lu after", step,
                      before.ports, before.pages, after.ports, after.pages);
        return false;
    }
    return true;
}

/* A vCPU that was never started, or else one that is stopped for this; 0: there is none. */
static unsigned startable(bool *fresh)
{
    for (unsigned id = 1; cpu_exists(id); id++) {
        if (cpu_by_id(id) == NULL) {
            *fresh = true;
            return id;
        }
    }
    *fresh = false;
    unsigned last = cpu_count_online() - 1;
    return last != 0 && cpu_stop(last) == 0 ? last : 0;
}

/* Each step in turn, until the vCPU has its structure, or if it has one until it starts. */
static bool fail_each_step(unsigned id, unsigned *steps)
{
    bool fresh = cpu_by_id(id) == NULL, failed = true, ok = true;

    *steps = 0;
    while (ok && failed && fresh == (cpu_by_id(id) == NULL)) {
        ok = fail_start(id, ++*steps, &failed);
    }
    return ok;
}

static bool failed_starts_leave_nothing(void)
{
    bool fresh;
    unsigned id = startable(&fresh), steps = 0;
    struct in_use before = what_is_in_use();

    if (id == 0) {
        return true;
    }
    if (fresh && !fail_each_step(id, &steps)) {
        return false;
    }
    CHECK(!fresh || steps == 5); /* four structures of its own, and the next step */
    if (!fail_each_step(id, &steps)) {
        return false;
    }
    CHECK(steps == 8); /* seven, and the start that succeeded */
    CHECK(!fresh || cpu_stop(id) == 0);
    CHECK(!fresh || what_is_in_use().ports == before.ports);
    return true;
}

/* ---- a vCPU that leaves ---- */

struct kicker {
    struct cpu *cpu;
    bool stop;
};

static void kick_all_the_while(void *arg)
{
    struct kicker *k = arg;

    while (!READ_ONCE(k->stop)) {
        cpu_kick(k->cpu);
    }
}

/* Whether a CPU that shall leave does; a thread spins on it that nobody else takes turns with. */
static bool goes_when_kicked(struct cpu *cpu)
{
    bool offline = false;
    nsec_t limit = clock_now() + LONG / 4;

    WRITE_ONCE(cpu->leaving, true);
    WRITE_ONCE(cpu->need_resched, false); /* as a switch does that began just before */
    cpu_kick(cpu);
    while (!offline && clock_now() < limit) {
        offline = !READ_ONCE(cpu->online);
    }
    return offline;
}

/* Spinning threads on all vCPUs but the first; this one stays on that. *@begun: they run. */
static bool leaves_among_spinners(struct cpu *cpu, struct share *share, struct thread **spinners,
                                  bool *begun)
{
    nsec_t limit = clock_now() + LONG;
    upcall_state_t state = upcalls_save(); /* keeps this vCPU: the threads run on others */
    bool offline = false;

    *begun = this_cpu()->id == 0;
    for (unsigned i = 0; *begun && i < cpu_count_online() - 1; i++) {
        spinners[i] = thread_create("spinner", share_run, share, PRIO_NORMAL);
        *begun = spinners[i] != NULL;
    }
    while (*begun && READ_ONCE(share->had[SHARE_THREADS]) == 0) {
        *begun = clock_now() < limit;
    }
    if (*begun) {
        offline = goes_when_kicked(cpu);
    }
    upcalls_restore(state);
    return offline;
}

/* What cpu_stop() does after a CPU went offline; or it does not leave after all. */
static void after_leaving(struct cpu *cpu, bool offline)
{
    if (!offline) {
        WRITE_ONCE(cpu->leaving, false);
        evtchn_cpu_joins(cpu);
        return;
    }
    while (HYPERVISOR_vcpu_op(VCPUOP_is_up, cpu->id, NULL) > 0) {
        thread_yield();
    }
    cpu_interrupts_close(cpu);
    evtchn_cpu_drain(cpu);
}

/* A vCPU is told to leave while it is about to forget that it shall look. */
static bool who_is_told_leaves(void)
{
    static struct share share;
    struct thread *spinners[STORM_CPUS] = {NULL};
    unsigned last = cpu_count_online() - 1;
    bool begun = false, offline = false;

    if (last == 0 || last >= STORM_CPUS) {
        return true;
    }
    CHECK(cpu_stop(last) == 0 && cpu_start(last) == 0); /* now this thread is on the first */
    share = (struct share){.vcpu = last};
    evtchn_cpu_leaves(cpu_by_id(last));
    offline = leaves_among_spinners(cpu_by_id(last), &share, spinners, &begun);
    WRITE_ONCE(share.stop, true);
    for (unsigned i = 0; i < STORM_CPUS; i++) {
        if (spinners[i] != NULL) {
            thread_join(spinners[i]);
        }
    }
    after_leaving(cpu_by_id(last), offline);
    CHECK(cpu_start(last) == 0);
    CHECK(!begun || offline);
    return true;
}

#define REUSED 16 /* more than there are free numbers below those of a vCPU's own ports */

static void note_event(evtchn_port_t port, void *arg)
{
    (void)port;
    WRITE_ONCE(*(bool *)arg, true);
}

/*
 * New ports get the lowest numbers, one that a vCPU has just given back among them, and an event
 * for each arrives. Xen keeps back a number that is still linked in some queue.
 */
static bool number_can_be_used_again(evtchn_port_t given_back)
{
    bool again = false;
    int ports[REUSED];
    bool arrived[REUSED] = {false};
    unsigned found = 0;
    nsec_t limit = clock_now() + LONG / 10;

    for (unsigned i = 0; i < REUSED; i++) {
        ports[i] = evtchn_bind_ipi(0, "selftest", IPL_SOFT, note_event, &arrived[i]);
        if (ports[i] > 0) {
            evtchn_notify((evtchn_port_t)ports[i]);
            again |= (evtchn_port_t)ports[i] == given_back;
        }
    }
    while (found < REUSED && clock_now() < limit) {
        thread_yield();
        for (found = 0; found < REUSED && READ_ONCE(arrived[found]); found++) {
        }
    }
    for (unsigned i = 0; i < REUSED; i++) {
        if (ports[i] > 0) {
            evtchn_close((evtchn_port_t)ports[i]);
        }
    }
    return found == REUSED && again;
}

/* What was sent to a vCPU in its last moments does not stay in its queue. */
static bool leaving_strands_no_event(void)
{
    unsigned last = cpu_count_online() - 1;
    bool ok = true;

    for (unsigned i = 0; last != 0 && ok && i < 10; i++) {
        struct kicker k = {.cpu = cpu_by_id(last)};
        evtchn_port_t kicked = k.cpu->ipi;
        struct thread *t = thread_create("kicker", kick_all_the_while, &k, PRIO_NORMAL);

        CHECK(t != NULL);
        ok = cpu_stop(last) == 0;
        WRITE_ONCE(k.stop, true);
        thread_join(t);
        ok = ok && number_can_be_used_again(kicked);
        CHECK(cpu_start(last) == 0);
    }
    CHECK(ok);
    return true;
}

#define LAST_STEP 7 /* of a start: fail_each_step() counts them */

/*
 * The vCPU is down and an event waits in its queue at each of two ports. Who wanted to start it and
 * could not empties the queue: a port that is closed leaves its number to others, and the event of
 * one that stays comes when the vCPU does.
 */
static bool queue_is_emptied(unsigned id, int closed, int kept, const bool *arrived)
{
    nsec_t limit = clock_now() + LONG;

    CHECK(closed > 0 && kept > 0);
    evtchn_notify((evtchn_port_t)closed);
    evtchn_notify((evtchn_port_t)kept);
    cpu_fail_step(LAST_STEP);
    int rc = cpu_start(id);
    cpu_fail_step(0);
    CHECK(rc == -EIO);
    evtchn_close((evtchn_port_t)closed);
    CHECK(number_can_be_used_again((evtchn_port_t)closed));
    CHECK(!READ_ONCE(*arrived));
    CHECK(cpu_start(id) == 0);
    while (!READ_ONCE(*arrived) && clock_now() < limit) {
        thread_yield();
    }
    CHECK(*arrived);
    return true;
}

static bool events_for_who_is_down_wait(void)
{
    unsigned last = cpu_count_online() - 1;
    bool arrived[2] = {false};

    if (last == 0) {
        return true;
    }
    CHECK(cpu_stop(last) == 0);
    int closed = evtchn_bind_ipi(last, "selftest", IPL_SOFT, note_event, &arrived[0]);
    int kept = evtchn_bind_ipi(last, "selftest", IPL_SOFT, note_event, &arrived[1]);
    bool ok = queue_is_emptied(last, closed, kept, &arrived[1]);
    if (kept > 0) {
        evtchn_close((evtchn_port_t)kept);
    }
    CHECK(cpu_start(last) == 0);
    CHECK(ok);
    CHECK(!arrived[0]);
    return true;
}

const struct selftest selftests_smp[] = {
    {.name = "smp-arming-does-not-wait", .fn = arming_does_not_wait},
    {.name = "smp-who-cancelled-and-waited-may-free", .fn = who_cancelled_and_waited_may_free},
    {.name = "smp-storms-leave-threads-their-turns", .fn = storms_leave_threads_their_turns},
    {.name = "smp-several-storms-leave-threads-their-turns",
     .fn = several_storms_leave_threads_their_turns},
    {.name = "smp-slow-storms-leave-threads-their-turns",
     .fn = slow_storms_leave_threads_their_turns},
    {.name = "smp-failed-starts-leave-nothing", .fn = failed_starts_leave_nothing},
    {.name = "smp-who-is-told-to-leave-does", .fn = who_is_told_leaves},
    {.name = "smp-leaving-strands-no-event", .fn = leaving_strands_no_event},
    {.name = "smp-events-for-a-vcpu-that-is-down-wait", .fn = events_for_who_is_down_wait},
    {.name = NULL},
};
