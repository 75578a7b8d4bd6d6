/*
 * One console as the store shows it, played through with a store inside the program
 * (fake_xenstore.h) and stand-ins for Xen's devices and for the socket to the worker: what the
 * worker is told, when, and how often, whoever writes the keys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "console.h"
#include "fake_xenstore.h"

#define HOME  "/local/domain/5"
#define DIR   HOME "/console"
#define MS_NS UINT64_C(1000000)

static struct cons_host host;
static struct cons_console *console;
static struct cons_order last_order;
static unsigned int orders[CONS_PING + 1]; /* by kind */
static unsigned int looks, ends;           /* what the owner was told */
static unsigned int bound;                 /* channels that are bound now */
static int bind_error, grant_error;

/* Stand-ins for xen_supervisor.c and link.c. */

int cons_bind(const struct cons_doors *doors, unsigned int domid, uint32_t remote)
{
    (void)doors;
    assert_int_equal(domid, 5);
    if (bind_error != 0) {
        return bind_error;
    }
    bound++;
    return 100 + (int)remote;
}

void cons_unbind(const struct cons_doors *doors, int local)
{
    (void)doors;
    assert_true(local >= 100 && bound > 0);
    bound--;
}

int cons_name_grant(const struct cons_doors *doors, unsigned int domid, uint64_t *index)
{
    (void)doors;
    (void)domid;
    *index = 0x4000;
    return grant_error;
}

void cons_link_send(struct cons_link *link, const struct cons_order *order, int fd)
{
    (void)link;
    assert_in_range(order->kind, CONS_OPEN, CONS_PING);
    assert_int_equal(order->domid, 5);
    assert_int_equal(fd >= 0, order->kind == CONS_OPEN);
    orders[order->kind]++;
    last_order = *order;
    if (fd >= 0) {
        close(fd);
    }
}

static void on_looked(void *arg, struct cons_console *c, bool gone)
{
    (void)arg;
    assert_ptr_equal(c, console);
    looks += !gone;
    ends += gone;
}

static void stop_loop(void *arg)
{
    loop_stop(arg, 0);
}

/* Lets the loop turn for so long; nothing that is judged depends on how far it comes. */
static void turn(unsigned int ms)
{
    struct loop_timer timer = {0};

    loop_timer_set(host.loop, &timer, ms * MS_NS, stop_loop, host.loop);
    loop_run(host.loop);
}

/* Turns until *@counter is at least @wanted; a test that waits in vain ends by ctest's limit. */
static void turn_until(const unsigned int *counter, unsigned int wanted)
{
    while (*counter < wanted) {
        turn(1);
    }
}

static void answer(int err, uint32_t serial)
{
    struct cons_report report = {.report = {.kind = CONS_ATTACHED, .err = err, .text = "mapping"},
                                 .domid = 5,
                                 .serial = serial};

    cons_answered(console, &report);
}

static int setup(void **state)
{
    (void)state;
    fake_reset();
    fake_set(HOME "/name", "g1");
    fake_set(DIR "/ring-ref", "77");
    fake_set(DIR "/port", "2");
    fake_set(DIR "/type", "xenconsoled");
    memset(orders, 0, sizeof(orders));
    looks = ends = bound = 0;
    bind_error = grant_error = 0;
    host = (struct cons_host){.loop = loop_new(), .readers = inotify_init1(IN_NONBLOCK)};
    host.store = store_open(host.loop, NULL, NULL);
    console = cons_new(&host, 5, false, on_looked, NULL);
    return console != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    if (console != NULL) {
        cons_free(console);
    }
    store_close(host.store);
    loop_free(host.loop);
    close(host.readers);
    return bound == 0 ? 0 : -1;
}

static void a_ring_is_offered_and_told_when_it_is_served(void **state)
{
    (void)state;
    turn_until(&orders[CONS_ATTACH], 1);
    assert_int_equal(orders[CONS_OPEN], 1);
    assert_string_equal(last_order.log, "g1");
    assert_int_equal(last_order.port, 102);
    assert_int_equal(last_order.index, 0x4000);
    assert_int_equal(last_order.frame, 77);
    turn(5);
    /* Not before the worker has it: neither a terminal for clients nor "ready". */
    assert_null(fake_get(DIR "/tty"));
    assert_int_equal(looks, 0);
    answer(0, last_order.serial);
    assert_non_null(fake_get(DIR "/tty"));
    assert_int_equal(looks, 1);
}

/* D4's kind: what we write must not make us look again. */
static void the_terminals_path_is_written_once(void **state)
{
    int transactions;

    (void)state;
    turn_until(&orders[CONS_ATTACH], 1);
    answer(0, last_order.serial);
    transactions = fake_transactions();
    turn(50);
    assert_int_equal(fake_transactions(), transactions);
    assert_int_equal(orders[CONS_ATTACH], 1);
    assert_int_equal(looks, 1);
}

/* D6's kind: somebody who writes without end costs a few looks, and as few orders. */
static void keys_that_change_without_end_cost_little(void **state)
{
    char value[16];
    uint64_t began = loop_now_ns(), seconds;

    (void)state;
    turn_until(&orders[CONS_ATTACH], 1);
    for (unsigned int i = 0; i < 400; i++) {
        snprintf(value, sizeof(value), "%u", 100 + i);
        fake_set(DIR "/ring-ref", value);
        turn(1);
        if (console->answer_due) {
            answer(0, last_order.serial);
        }
    }
    seconds = (loop_now_ns() - began) / (1000 * MS_NS) + 1;
    assert_true(orders[CONS_ATTACH] <= 10 + 4 * seconds);
    /* The last value is seen nevertheless. */
    while (last_order.frame != 499) {
        turn(10);
    }
}

static void answers_to_something_else_change_nothing(void **state)
{
    (void)state;
    turn_until(&orders[CONS_ATTACH], 1);
    answer(0, last_order.serial + 1);
    answer(EINVAL, last_order.serial - 1);
    assert_null(fake_get(DIR "/tty"));
    assert_int_equal(looks, 0);
    answer(0, last_order.serial);
    assert_int_equal(looks, 1);
    /* A second one: nothing is due any more. */
    answer(EINVAL, last_order.serial);
    assert_int_equal(looks, 1);
    assert_int_equal(orders[CONS_DETACH], 0);
}

static void a_ring_that_cannot_be_mapped_is_let_go(void **state)
{
    static const int errors[] = {EINVAL, 0x7fffffff, -1, INT_MIN};

    (void)state;
    for (unsigned int i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        turn_until(&orders[CONS_ATTACH], i + 1);
        answer(errors[i], last_order.serial);
        assert_int_equal(orders[CONS_DETACH], i + 1);
        assert_int_equal(bound, 0);
        assert_null(fake_get(DIR "/tty"));
        fake_set(DIR "/port", "3");
    }
    turn_until(&orders[CONS_ATTACH], 5);
    answer(0, last_order.serial);
    assert_non_null(fake_get(DIR "/tty"));
}

static void what_cannot_be_bound_or_named_is_tried_with_the_next_value(void **state)
{
    (void)state;
    bind_error = -EINVAL;
    turn_until(&looks, 1);
    assert_int_equal(orders[CONS_ATTACH], 0);
    bind_error = 0;
    grant_error = -ENOMEM;
    fake_set(DIR "/port", "3");
    turn_until(&looks, 2);
    assert_int_equal(orders[CONS_ATTACH], 0);
    assert_int_equal(bound, 0);
    grant_error = 0;
    fake_set(DIR "/port", "4");
    turn_until(&orders[CONS_ATTACH], 1);
    assert_int_equal(bound, 1);
}

static void a_ring_that_goes_or_is_anothers_is_let_go(void **state)
{
    (void)state;
    turn_until(&orders[CONS_ATTACH], 1);
    answer(0, last_order.serial);
    fake_set(DIR "/type", "ioemu");
    turn_until(&orders[CONS_DETACH], 1);
    assert_int_equal(bound, 0);
    fake_set(DIR "/type", "xenconsoled");
    turn_until(&orders[CONS_ATTACH], 2);
    /* Gone before the worker has answered: its answer is late. */
    fake_rm(DIR "/ring-ref");
    turn_until(&orders[CONS_DETACH], 2);
    answer(0, last_order.serial);
    assert_int_equal(bound, 0);
    assert_int_equal(orders[CONS_OPEN], 1);
}

static void nonsense_changes_nothing(void **state)
{
    (void)state;
    turn_until(&orders[CONS_ATTACH], 1);
    answer(0, last_order.serial);
    fake_set(DIR "/ring-ref", "not a number");
    turn_until(&looks, 2);
    assert_int_equal(orders[CONS_ATTACH], 1);
    assert_int_equal(orders[CONS_DETACH], 0);
    assert_int_equal(bound, 1);
}

static void a_guest_that_is_renamed_or_leaves_is_followed(void **state)
{
    (void)state;
    turn_until(&orders[CONS_ATTACH], 1);
    answer(0, last_order.serial);
    fake_set(HOME "/name", "g2--incoming");
    turn_until(&orders[CONS_LOG], 1);
    assert_string_equal(last_order.log, "g2");
    fake_rm(HOME);
    turn_until(&ends, 1);
    cons_free(console);
    console = NULL;
    assert_int_equal(orders[CONS_CLOSE], 1);
    assert_int_equal(bound, 0);
}

#define CONSOLE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONSOLE_TEST(a_ring_is_offered_and_told_when_it_is_served),
        CONSOLE_TEST(the_terminals_path_is_written_once),
        CONSOLE_TEST(keys_that_change_without_end_cost_little),
        CONSOLE_TEST(answers_to_something_else_change_nothing),
        CONSOLE_TEST(a_ring_that_cannot_be_mapped_is_let_go),
        CONSOLE_TEST(what_cannot_be_bound_or_named_is_tried_with_the_next_value),
        CONSOLE_TEST(a_ring_that_goes_or_is_anothers_is_let_go),
        CONSOLE_TEST(nonsense_changes_nothing),
        CONSOLE_TEST(a_guest_that_is_renamed_or_leaves_is_followed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
