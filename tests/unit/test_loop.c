/*
 * The event loop: timers in order, work once, and removal of an object from within a callback,
 * which is where event loops go wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "loop.h"

#define MS 1000000ULL

static struct loop *loop;
static char trace[128];
static unsigned int traced;

static int setup(void **state)
{
    (void)state;
    loop = loop_new();
    traced = 0;
    return loop == NULL;
}

static int teardown(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

static void note(void *arg)
{
    trace[traced++] = *(const char *)arg;
    trace[traced] = '\0';
}

static void stop(void *arg)
{
    (void)arg;
    loop_stop(loop, 7);
}

static void timers_fire_in_order_of_their_deadlines(void **state)
{
    struct loop_timer a = {0}, b = {0}, c = {0}, end = {0};

    (void)state;
    loop_timer_set(loop, &c, 6 * MS, note, "c");
    loop_timer_set(loop, &a, 2 * MS, note, "a");
    loop_timer_set(loop, &b, 4 * MS, note, "b");
    loop_timer_set(loop, &end, 8 * MS, stop, NULL);
    assert_int_equal(loop_run(loop), 7);
    assert_string_equal(trace, "abc");
}

static uint64_t last_deadline;

static void fire_in_order(void *arg)
{
    const struct loop_timer *t = arg;

    assert_true(t->deadline_ns >= last_deadline);
    last_deadline = t->deadline_ns;
    traced++;
}

static void many_timers_keep_the_heap_right(void **state)
{
    enum { N = 500 };
    static struct loop_timer t[N];
    struct loop_timer end = {0};

    (void)state;
    for (unsigned int i = 0; i < N; i++) {
        loop_timer_set(loop, &t[i], (i * 7919 % N) * 1000, fire_in_order, &t[i]);
    }
    for (unsigned int i = 0; i < N; i++) {
        if (i % 25 != 0 && i % 3 != 0) {
            loop_timer_cancel(loop, &t[i]);
            assert_false(t[i].armed);
        }
    }
    loop_timer_set(loop, &end, 2 * MS, stop, NULL);
    loop_run(loop);
    assert_int_equal(traced, (N + 2) / 3 + N / 25 - (N + 74) / 75);
}

static void a_timer_that_is_set_again_fires_once(void **state)
{
    struct loop_timer a = {0}, end = {0};

    (void)state;
    loop_timer_set(loop, &a, 1 * MS, note, "1");
    loop_timer_set(loop, &a, 2 * MS, note, "2");
    loop_timer_set(loop, &end, 5 * MS, stop, NULL);
    loop_run(loop);
    assert_string_equal(trace, "2");
}

static struct loop_work again;

static void note_and_queue_again(void *arg)
{
    note(arg);
    if (traced < 3) {
        loop_defer(loop, &again, note_and_queue_again, arg);
    } else {
        loop_stop(loop, 0);
    }
}

static void work_may_queue_itself_again(void **state)
{
    (void)state;
    loop_defer(loop, &again, note_and_queue_again, "w");
    loop_defer(loop, &again, note_and_queue_again, "w"); /* queued already */
    loop_run(loop);
    assert_string_equal(trace, "www");
}

static void cancelled_work_does_not_run(void **state)
{
    struct loop_work w = {0}, end = {0};

    (void)state;
    loop_defer(loop, &w, note, "x");
    loop_defer_cancel(loop, &w);
    loop_defer_cancel(loop, &w);
    loop_defer(loop, &end, stop, NULL);
    loop_run(loop);
    assert_int_equal(traced, 0);
}

static struct loop_fd watch[2];

/* Whichever of the two readable descriptors comes first removes the other. */
static void remove_the_other(void *arg, uint32_t events)
{
    (void)events;
    note("r");
    loop_fd_del(loop, &watch[1 - *(int *)arg]);
    loop_stop(loop, 0);
}

static void a_descriptor_removed_by_another_callback_is_silent(void **state)
{
    int ids[2] = {0, 1};
    int fds[2][2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipe(fds[i]), 0);
        assert_int_equal(write(fds[i][1], "x", 1), 1);
        assert_int_equal(
            loop_fd_add(loop, &watch[i], fds[i][0], EPOLLIN, remove_the_other, &ids[i]), 0);
        assert_int_equal(loop_fd_add(loop, &watch[i], fds[i][0], EPOLLIN, remove_the_other, NULL),
                         -EEXIST);
    }
    loop_run(loop);
    assert_string_equal(trace, "r");
    for (int i = 0; i < 2; i++) {
        loop_fd_del(loop, &watch[i]);
        close(fds[i][0]);
        close(fds[i][1]);
    }
}

static void on_signal(void *arg, int signo)
{
    (void)arg;
    loop_stop(loop, signo);
}

static void signals_arrive_through_the_loop(void **state)
{
    (void)state;
    assert_int_equal(loop_signal(loop, SIGUSR1, on_signal, NULL), 0);
    assert_int_equal(loop_signal(loop, SIGUSR2, on_signal, NULL), 0);
    raise(SIGUSR2);
    assert_int_equal(loop_run(loop), SIGUSR2);
    assert_int_equal(loop_signal(loop, 0, on_signal, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(timers_fire_in_order_of_their_deadlines, setup, teardown),
        cmocka_unit_test_setup_teardown(many_timers_keep_the_heap_right, setup, teardown),
        cmocka_unit_test_setup_teardown(a_timer_that_is_set_again_fires_once, setup, teardown),
        cmocka_unit_test_setup_teardown(work_may_queue_itself_again, setup, teardown),
        cmocka_unit_test_setup_teardown(cancelled_work_does_not_run, setup, teardown),
        cmocka_unit_test_setup_teardown(a_descriptor_removed_by_another_callback_is_silent, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(signals_arrive_through_the_loop, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
