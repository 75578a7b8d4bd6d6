/*
 * t_psm.c - promises of the platform: clock, timers, interrupt levels, vCPUs.
 */
#include "kern/lock.h"
#include "kern/thread.h"
#include "kern/wait.h"
#include "os/evtchn.h"
#include "psm/clock.h"
#include "psm/cpu.h"
#include "psm/timer.h"
#include "selftest/selftest.h"

#define SOON (200 * NSEC_PER_MSEC)

/* ---- the clock ---- */

static nsec_t clock_seen; /* the latest time any thread has read */
static bool clock_went_back;

static void watch_clock(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 20000; i++) {
        nsec_t seen = __atomic_load_n(&clock_seen, __ATOMIC_SEQ_CST);
        nsec_t now = clock_now();

        if (now < seen) {
            WRITE_ONCE(clock_went_back, true);
        }
        while (seen < now && !__atomic_compare_exchange_n(&clock_seen, &seen, now, false,
                                                          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        }
    }
}

static bool clock_is_monotonic_across_vcpus(void)
{
    struct thread *threads[4];

    clock_went_back = false;
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        threads[i] = thread_create("clock", watch_clock, NULL, PRIO_NORMAL);
        CHECK(threads[i] != NULL);
    }
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        thread_join(threads[i]);
    }
    CHECK(!clock_went_back);
    return true;
}

static bool wall_clock_is_plausible(void)
{
    struct date date;

    date_from_wall(0, &date);
    CHECK(date.year == 1970 && date.month == 1 && date.day == 1 && date.weekday[0] == 'T');
    date_from_wall(951782400ull * NSEC_PER_SEC, &date); /* 2000-02-29 */
    CHECK(date.year == 2000 && date.month == 2 && date.day == 29);
    date_from_wall(clock_wall(), &date);
    CHECK(date.year >= 2024 && date.year < 2100);
    return true;
}

/* ---- timers ---- */

struct shot {
    struct timer timer;
    nsec_t fired_at;
    unsigned order;
};

static unsigned shots_fired;

static void shot_fire(struct timer *t)
{
    struct shot *shot = CONTAINER_OF(t, struct shot, timer);

    shot->fired_at = clock_now();
    shot->order = __atomic_fetch_add(&shots_fired, 1, __ATOMIC_SEQ_CST);
}

static bool timers_fire_in_order_and_not_early(void)
{
    static struct shot shots[32];
    nsec_t start = clock_now() + 20 * NSEC_PER_MSEC;
    upcall_state_t state = upcalls_save(); /* so that all are armed on one vCPU */

    shots_fired = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(shots); i++) {
        unsigned place = i * 13 % ARRAY_SIZE(shots);

        timer_init(&shots[place].timer, shot_fire);
        timer_arm(&shots[place].timer, start + place * NSEC_PER_MSEC);
    }
    bool cancelled = timer_cancel(&shots[7].timer);
    upcalls_restore(state);
    thread_sleep_until(start + SOON);
    CHECK(cancelled);
    CHECK(shots_fired == ARRAY_SIZE(shots) - 1);
    for (unsigned i = 0; i < ARRAY_SIZE(shots); i++) {
        if (i != 7) {
            CHECK(shots[i].fired_at >= shots[i].timer.deadline);
            CHECK(shots[i].order == i - (i > 7));
        }
    }
    return true;
}

/*
 * What a suspend does to the clock and to timers, without going anywhere. A timer by the wall clock
 * fires AWAY earlier than one that was armed together with it for clock_now().
 */
#define AWAY (30 * NSEC_PER_MSEC)

static void be_away(nsec_t time)
{
    cpus_park();
    upcall_state_t state = upcalls_save();

    clock_suspend();
    nsec_t back = clock_xen() + time;
    while (clock_xen() < back) {
        __builtin_ia32_pause();
    }
    (void)clock_resume();
    timer_resume(this_cpu());
    upcalls_restore(state);
    cpus_unpark();
}

static bool time_stands_still_while_away_and_wall_timers_know(void)
{
    static struct shot by_clock, by_wall;
    /* In this order, and Xen's last below: the vCPU may lose its processor between any two. */
    nsec_t xen_before = clock_xen();
    nsec_t wall = clock_wall();
    nsec_t before = clock_now();
    nsec_t due = before + AWAY + SOON;

    shots_fired = 0;
    timer_init(&by_clock.timer, shot_fire);
    timer_init(&by_wall.timer, shot_fire);
    timer_arm(&by_clock.timer, due);
    timer_arm_wall(&by_wall.timer, wall + AWAY + SOON);
    be_away(AWAY);
    nsec_t passed = clock_now() - before;
    nsec_t xen_passed = clock_xen() - xen_before;
    /* Two processors' clocks may be some milliseconds apart under emulation. */
    CHECK(passed + AWAY <= xen_passed + AWAY / 3);
    thread_sleep_until(due + SOON);
    CHECK(shots_fired == 2);
    CHECK(by_clock.fired_at >= due);
    CHECK(by_wall.order == 0);
    CHECK(clock_wall() >= wall + AWAY + SOON);
    return true;
}

/* Asks for the time until it is to stop, and keeps the latest. */
struct asker {
    bool stop;
    nsec_t latest;
};

static void keep_asking(void *arg)
{
    struct asker *a = arg;

    while (!READ_ONCE(a->stop)) {
        a->latest = MAX(a->latest, clock_now());
    }
}

/*
 * A thread that a suspend interrupts while it asks for the time does not take Xen's from before for
 * one from after. Each stay is longer than the kernel has run, so that this would be before its
 * start.
 */
static bool who_asks_meanwhile_gets_the_time(void)
{
    struct asker a = {.stop = false};
    struct thread *t = thread_create("asker", keep_asking, &a, PRIO_LOW);

    CHECK(t != NULL);
    for (unsigned i = 0; i < 5; i++) {
        thread_sleep_until(clock_now() + 5 * NSEC_PER_MSEC);
        be_away(clock_now() + AWAY);
    }
    WRITE_ONCE(a.stop, true);
    thread_join(t);
    CHECK(a.latest != 0 && a.latest < UINT64_MAX / 2);
    return true;
}

/* ---- interrupt levels ---- */

struct level_test {
    int low, middle, high; /* ports of one vCPU that anyone may notify */
    char trace[8];         /* in which order handlers began (lower case) and ended (upper case) */
    unsigned len;
};

static void trace(struct level_test *t, char c)
{
    unsigned at = __atomic_fetch_add(&t->len, 1, __ATOMIC_SEQ_CST);

    if (at < sizeof(t->trace)) {
        t->trace[at] = c;
    }
}

static void low_handler(evtchn_port_t port, void *arg)
{
    struct level_test *t = arg;

    (void)port;
    trace(t, 'l');
    evtchn_notify((evtchn_port_t)t->high); /* is above: runs before we go on */
    nsec_t limit = clock_now() + SOON;
    while (READ_ONCE(t->len) < 3 && clock_now() < limit) {
    }
    evtchn_notify((evtchn_port_t)t->low); /* is ours: waits until we are done */
    trace(t, 'L');
}

static void low_again(evtchn_port_t port, void *arg)
{
    struct level_test *t = arg;

    if (t->len == 0) {
        low_handler(port, arg);
    } else {
        trace(t, 'a');
    }
}

static void middle_handler(evtchn_port_t port, void *arg)
{
    (void)port;
    trace(arg, 'm');
}

static void high_handler(evtchn_port_t port, void *arg)
{
    struct level_test *t = arg;

    (void)port;
    trace(t, 'h');
    evtchn_notify((evtchn_port_t)t->middle); /* is below us, above the interrupted one: deferred */
    trace(t, 'H');
}

static bool higher_levels_preempt_lower_ones(void)
{
    struct level_test t = {0};
    static const char expected[] = "lhHmLa";

    t.low = evtchn_bind_ipi(0, "selftest low", IPL_SOFT, low_again, &t);
    t.middle = evtchn_bind_ipi(0, "selftest middle", IPL_BLOCK, middle_handler, &t);
    t.high = evtchn_bind_ipi(0, "selftest high", IPL_CONSOLE, high_handler, &t);
    CHECK(t.low > 0 && t.middle > 0 && t.high > 0);
    evtchn_notify((evtchn_port_t)t.low);
    for (nsec_t limit = clock_now() + 2 * SOON;
         READ_ONCE(t.len) < sizeof(expected) - 1 && clock_now() < limit;) {
        thread_yield();
    }
    evtchn_close((evtchn_port_t)t.low);
    evtchn_close((evtchn_port_t)t.middle);
    evtchn_close((evtchn_port_t)t.high);
    for (unsigned i = 0; i < sizeof(expected) - 1; i++) {
        if (t.len != sizeof(expected) - 1 || t.trace[i] != expected[i]) {
            selftest_fail("handlers ran as \"%.8s\", not \"%s\"", t.trace, expected);
            return false;
        }
    }
    return true;
}

static void count_handler(evtchn_port_t port, void *arg)
{
    (void)port;
    __atomic_fetch_add((unsigned *)arg, 1, __ATOMIC_SEQ_CST);
}

static bool masked_ports_wait(void)
{
    unsigned count = 0;
    int port = evtchn_bind_ipi(0, "selftest mask", IPL_SOFT, count_handler, &count);

    CHECK(port > 0);
    evtchn_mask((evtchn_port_t)port);
    evtchn_notify((evtchn_port_t)port);
    evtchn_notify((evtchn_port_t)port);
    thread_sleep_until(clock_now() + 10 * NSEC_PER_MSEC);
    unsigned while_masked = READ_ONCE(count);
    evtchn_unmask((evtchn_port_t)port);
    for (nsec_t limit = clock_now() + SOON; READ_ONCE(count) == 0 && clock_now() < limit;) {
        thread_yield();
    }
    evtchn_close((evtchn_port_t)port);
    CHECK(while_masked == 0);
    CHECK(count == 1);
    return true;
}

/* ---- vCPUs ---- */

static bool interrupts_reach_every_vcpu(void)
{
    unsigned reached = 0, sent = 0;
    int ports[CPU_MAX] = {0};

    for (unsigned id = 0; id < CPU_MAX; id++) {
        const struct cpu *cpu = cpu_by_id(id);

        if (cpu != NULL && cpu->online) {
            ports[id] = evtchn_bind_ipi(id, "selftest ipi", IPL_IPI, count_handler, &reached);
            CHECK(ports[id] > 0);
            evtchn_notify((evtchn_port_t)ports[id]);
            sent++;
        }
    }
    for (nsec_t limit = clock_now() + 10 * SOON;
         READ_ONCE(reached) < sent && clock_now() < limit;) {
        thread_yield();
    }
    for (unsigned id = 0; id < CPU_MAX; id++) {
        if (ports[id] > 0) {
            evtchn_close((evtchn_port_t)ports[id]);
        }
    }
    if (reached != sent) {
        selftest_fail("%u of %u vCPUs took the interrupt", reached, sent);
    }
    return reached == sent;
}

static bool vcpus_stop_and_start_again(void)
{
    unsigned online = cpu_count_online();

    for (unsigned id = 1; id < online; id++) {
        const struct cpu *cpu = cpu_by_id(id);

        if (cpu != NULL && cpu->online) {
            CHECK(cpu_stop(id) == 0);
            CHECK(!cpu->online);
            CHECK(cpu_start(id) == 0);
            CHECK(cpu->online);
        }
    }
    CHECK(cpu_count_online() == online);
    return true;
}

/* A port whose home is some vCPU, and the other end of it, both ours. */
struct homed {
    int port, other;
    unsigned events, ran_on, other_events;
    bool enough, lost;
};

static void note_vcpu(evtchn_port_t port, void *arg)
{
    struct homed *h = arg;

    (void)port;
    WRITE_ONCE(h->ran_on, this_cpu()->id);
    __atomic_fetch_add(&h->events, 1, __ATOMIC_SEQ_CST);
}

/* Sends an event; false if none comes. */
static bool t_psm_send_and_wait(struct homed *h)
{
    unsigned before = __atomic_load_n(&h->events, __ATOMIC_SEQ_CST);
    nsec_t limit = clock_now() + 10 * SOON;

    evtchn_notify((evtchn_port_t)h->other);
    while (__atomic_load_n(&h->events, __ATOMIC_SEQ_CST) == before && clock_now() < limit) {
        thread_yield();
    }
    return h->events != before;
}

static void send_all_the_while(void *arg)
{
    struct homed *h = arg;

    while (!READ_ONCE(h->enough)) {
        if (!t_psm_send_and_wait(h)) {
            WRITE_ONCE(h->lost, true);
        }
    }
}

static bool follows_its_home(struct homed *h, unsigned id)
{
    evtchn_set_home((evtchn_port_t)h->port, id);
    CHECK(t_psm_send_and_wait(h) && h->ran_on == id);
    CHECK(cpu_stop(id) == 0);
    CHECK(t_psm_send_and_wait(h) && h->ran_on == 0);
    CHECK(cpu_start(id) == 0);
    CHECK(t_psm_send_and_wait(h) && h->ran_on == id);
    struct thread *sender = thread_create("sender", send_all_the_while, h, PRIO_NORMAL);
    CHECK(sender != NULL);
    for (unsigned i = 0; i < 20; i++) {
        (void)cpu_stop(id);
        (void)cpu_start(id);
    }
    WRITE_ONCE(h->enough, true);
    thread_join(sender);
    CHECK(!h->lost);
    return true;
}

static bool events_follow_their_home(void)
{
    unsigned last = cpu_count_online() - 1;
    struct homed h = {0};

    h.port = evtchn_alloc_unbound(DOMID_SELF, "selftest home", IPL_SOFT, note_vcpu, &h);
    CHECK(h.port > 0);
    h.other = evtchn_bind_interdomain(DOMID_SELF, (evtchn_port_t)h.port, "selftest other", IPL_SOFT,
                                      count_handler, &h.other_events);
    bool ok =
        h.other > 0 && ((last == 0 ? t_psm_send_and_wait(&h) : follows_its_home(&h, last)) != 0);
    evtchn_close((evtchn_port_t)h.port);
    if (h.other > 0) {
        evtchn_close((evtchn_port_t)h.other);
    }
    return ok;
}

const struct selftest selftests_psm[] = {
    {.name = "psm-clock-is-monotonic-across-vcpus", .fn = clock_is_monotonic_across_vcpus},
    {.name = "psm-wall-clock-is-plausible", .fn = wall_clock_is_plausible},
    {.name = "psm-timers-fire-in-order-and-not-early", .fn = timers_fire_in_order_and_not_early},
    {.name = "psm-time-stands-still-while-away-and-wall-timers-know",
     .fn = time_stands_still_while_away_and_wall_timers_know},
    {.name = "psm-who-asks-meanwhile-gets-the-time",
     .fn = who_asks_meanwhile_gets_the_time,
     .slow = true},
    {.name = "psm-higher-levels-preempt-lower-ones", .fn = higher_levels_preempt_lower_ones},
    {.name = "psm-masked-ports-wait", .fn = masked_ports_wait},
    {.name = "psm-interrupts-reach-every-vcpu", .fn = interrupts_reach_every_vcpu},
    {.name = "psm-vcpus-stop-and-start-again", .fn = vcpus_stop_and_start_again},
    {.name = "psm-events-follow-their-home", .fn = events_follow_their_home},
    {.name = NULL},
};
