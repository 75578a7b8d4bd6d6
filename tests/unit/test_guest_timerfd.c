/*
 * The guest kernel's timers as files (syscall/sys_timerfd.c): when they run out, how often that is
 * told, and what a time that the domain was saved for does to them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "fake_files.h"
#include "fake_user.h"
#include "psm/clock.h"
#include "psm/timer.h"
#include "syscall/calls.h"
#include "syscall/times.h"

/* ---- the clocks, and the one timer ---- */

static nsec_t now, away;
static const nsec_t since_1970 = 1000000;
static struct timer *armed;
static nsec_t due_now, due_wall; /* one of the two, or 0 */
static unsigned calls;           /* of the timer's callback */

nsec_t clock_wall(void)
{
    return since_1970 + now + away;
}

int clock_read(uint64_t clock, nsec_t *t)
{
    *t = clock == CLOCK_MONOTONIC ? now : clock == CLOCK_REALTIME ? clock_wall() : now + away;
    return 0;
}

void timer_init(struct timer *t, void (*fn)(struct timer *t))
{
    *t = (struct timer){.fn = fn};
}

void timer_arm(struct timer *t, nsec_t deadline)
{
    armed = t;
    due_now = deadline;
    due_wall = 0;
}

void timer_arm_wall(struct timer *t, nsec_t deadline)
{
    armed = t;
    due_wall = deadline;
    due_now = 0;
}

bool timer_cancel_wait(struct timer *t)
{
    (void)t;
    bool was = armed != NULL;

    armed = NULL;
    return was;
}

int get_timespec(uint64_t from, nsec_t *t)
{
    struct abi_timespec ts;
    int rc = copy_from_user(&ts, UADDR(from), sizeof(ts));

    *t = rc == 0 ? (nsec_t)ts.sec * NSEC_PER_SEC + (nsec_t)ts.nsec : 0;
    return rc;
}

struct abi_timespec timespec_of(nsec_t t)
{
    return (struct abi_timespec){.sec = (int64_t)(t / NSEC_PER_SEC),
                                 .nsec = (int64_t)(t % NSEC_PER_SEC)};
}

void epoll_forget(struct file *f)
{
    (void)f;
}

/* Time passes, also one that the domain is saved for. */
static void pass(nsec_t t, nsec_t saved)
{
    now += t;
    away += saved;
    if (armed != NULL && (due_now != 0 ? now >= due_now : clock_wall() >= due_wall)) {
        struct timer *timer = armed;

        armed = NULL;
        calls++;
        timer->fn(timer);
    }
}

/* ---- tests ---- */

#define USER 0x10000u

static struct task task;
static struct abi_itimerspec user[2];
static struct file *timer;

static int64_t set(nsec_t value, nsec_t interval, unsigned flags)
{
    struct call c = {.t = &task, .a = {0, flags, USER, USER + sizeof(user[0])}};

    user[0] =
        (struct abi_itimerspec){.interval = timespec_of(interval), .value = timespec_of(value)};
    return sys_timerfd_settime(&c);
}

static nsec_t left(void)
{
    struct call c = {.t = &task, .a = {0, USER}};

    assert_int_equal(sys_timerfd_gettime(&c), 0);
    return (nsec_t)user[0].value.sec * NSEC_PER_SEC + (nsec_t)user[0].value.nsec;
}

/* How often it ran out since it was asked last. */
static uint64_t times(void)
{
    uint64_t n = 0;
    ssize_t rc = timer->ops->read(timer, 0, &n, sizeof(n));

    assert_true(rc == 8 || rc == -EAGAIN);
    return rc == 8 ? n : 0;
}

static void make(uint64_t clock)
{
    struct call c = {.t = &task, .a = {clock, O_NONBLOCK}};

    (void)fd_close(&task.fds, 0);
    assert_int_equal(sys_timerfd_create(&c), 0);
    timer = task.fds.fds[0].file;
}

static int begin(void **state)
{
    (void)state;
    fake_files_begin();
    fake_user_is(USER, user, sizeof(user));
    memset(&task, 0, sizeof(task));
    now = 1000;
    away = 500;
    calls = 0;
    make(CLOCK_MONOTONIC);
    return 0;
}

static int nothing_is_left(void **state)
{
    (void)state;
    fd_close_all(&task.fds);
    assert_null(armed);
    assert_int_equal(fake_held, 0);
    return 0;
}

static void it_runs_out_once(void **state)
{
    (void)state;
    assert_int_equal(left(), 0);
    assert_int_equal(set(100, 0, 0), 0);
    pass(99, 0);
    assert_int_equal(left(), 1);
    assert_int_equal(times(), 0);
    assert_false(file_ready(timer) & POLLIN);
    unsigned woken = fake_woken;
    pass(1, 0);
    assert_int_equal(fake_woken, woken + 1);
    assert_true(file_ready(timer) & POLLIN);
    assert_int_equal(times(), 1);
    assert_int_equal(times(), 0);
    assert_int_equal(left(), 0);
    pass(1000, 0);
    assert_int_equal(times(), 0);
}

/* However short it is: one callback for each time that somebody asks. */
static void what_was_missed_is_counted(void **state)
{
    (void)state;
    assert_int_equal(set(100, 10, 0), 0);
    for (unsigned i = 0; i < 1000; i++) {
        pass(1, 0);
    }
    assert_int_equal(calls, 1);
    assert_int_equal(times(), 91);
    pass(5, 0);
    assert_int_equal(left(), 5);
    pass(5, 0);
    assert_int_equal(times(), 1);
    /* What is set anew forgets what ran out. */
    pass(50, 0);
    assert_int_equal(set(7, 0, 0), 0);
    assert_int_equal(user[1].interval.nsec, 10);
    assert_int_equal(times(), 0);
    assert_int_equal(set(0, 0, 0), 0);
    assert_null(armed);
    pass(1000, 0);
    assert_int_equal(times(), 0);
}

/* Who only looks, and is woken to look again, would never come to rest. */
static void who_looks_is_woken_once(void **state)
{
    (void)state;
    assert_int_equal(set(10, 10, 0), 0);
    pass(10, 0);
    assert_true(file_ready(timer) & POLLIN);
    pass(10, 0);
    assert_true(file_ready(timer) & POLLIN);
    pass(10, 0);
    assert_int_equal(calls, 1);
    assert_int_equal(times(), 3);
    pass(10, 0);
    assert_int_equal(calls, 2);
    assert_int_equal(times(), 1);
    /* Asking what is left sets it again, and loses nothing. */
    pass(15, 0);
    assert_int_equal(left(), 5);
    pass(5, 0);
    assert_int_equal(calls, 4);
    assert_int_equal(times(), 2);
}

static void a_time_may_be_over(void **state)
{
    (void)state;
    now = 5000;
    assert_int_equal(set(4000, 100, 1), 0);
    pass(0, 0);
    assert_int_equal(times(), 11);
    assert_int_equal(left(), 100);
}

/* Of the three clocks one stands still while the domain is saved. */
static void a_save_counts_or_not(void **state)
{
    static const uint64_t clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        make(clocks[i]);
        assert_int_equal(set(100, 0, 0), 0);
        pass(50, 60);
        assert_int_equal(times(), i != 0);
        pass(50, 0);
        assert_int_equal(times(), i == 0);
    }
}

/* The host's clock is set: what runs out too soon has not run out. */
static void a_clock_that_is_set_is_no_time(void **state)
{
    (void)state;
    make(CLOCK_BOOTTIME);
    assert_int_equal(set(100, 0, 0), 0);
    armed->fn(armed);
    assert_false(file_ready(timer) & POLLIN);
    assert_int_equal(times(), 0);
    pass(100, 0);
    assert_int_equal(times(), 1);
}

static void bad_ones_are_refused(void **state)
{
    struct call c = {.t = &task, .a = {99}};
    uint64_t n;

    (void)state;
    assert_int_equal(sys_timerfd_create(&c), -EINVAL);
    c.a[0] = CLOCK_MONOTONIC;
    c.a[1] = 1;
    assert_int_equal(sys_timerfd_create(&c), -EINVAL);
    c.a[1] = 0;
    fake_users_may_take = false;
    assert_int_equal(sys_timerfd_create(&c), -ENOMEM);
    fake_users_may_take = true;
    assert_int_equal(set(1, 0, 4), -EINVAL);
    c = (struct call){.t = &task, .a = {5, 0, USER}};
    assert_int_equal(sys_timerfd_settime(&c), -EBADF);
    c.a[0] = 0;
    c.a[2] = USER + sizeof(user);
    assert_int_equal(sys_timerfd_settime(&c), -EFAULT);
    assert_int_equal(timer->ops->read(timer, 0, &n, 7), -EINVAL);
    assert_null(armed);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, nothing_is_left)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_runs_out_once),        TEST(what_was_missed_is_counted),
        TEST(who_looks_is_woken_once), TEST(a_time_may_be_over),
        TEST(a_save_counts_or_not),    TEST(a_clock_that_is_set_is_no_time),
        TEST(bad_ones_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
