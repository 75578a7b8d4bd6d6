/*
 * The xenstore session: values as a guest may write them, the sentences that explain a refusal,
 * transactions that conflict, watches that come and go from within callbacks, a xenstored that
 * dies. And on top of it the conventions of XenBus (xenbus.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_xenstore.h"
#include "store.h"
#include "xenbus.h"

static struct loop *loop;
static struct store *st;
static int lost;

static void on_lost(void *arg)
{
    (void)arg;
    lost++;
    loop_stop(loop, 0);
}

static int setup(void **state)
{
    (void)state;
    fake_reset();
    lost = 0;
    fake_set("domid", "0");
    loop = loop_new();
    st = store_open(loop, on_lost, NULL);
    return st == NULL;
}

static int teardown(void **state)
{
    (void)state;
    store_close(st);
    loop_free(loop);
    return 0;
}

static int fired[2]; /* how often each watch was called */

static int read_number(const char *value, uint64_t max, uint64_t *out)
{
    fake_set("/f/ring-ref", value);
    return store_read_uint(st, STORE_NO_TX, "/f", "ring-ref", max, out);
}

static void numbers_are_read_whole_or_not_at_all(void **state)
{
    uint64_t n = 7;

    (void)state;
    assert_int_equal(read_number("0", UINT32_MAX, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(read_number("4294967295", UINT32_MAX, &n), 0);
    assert_int_equal(n, UINT32_MAX);
    assert_int_equal(read_number("18446744073709551615", UINT64_MAX, &n), 0);
    assert_true(n == UINT64_MAX);
    assert_int_equal(read_number("4294967296", UINT32_MAX, &n), -ERANGE);
    assert_int_equal(read_number("18446744073709551616", UINT64_MAX, &n), -ERANGE);
    assert_int_equal(read_number("99999999999999999999999", UINT64_MAX, &n), -ERANGE);
    assert_int_equal(read_number("", UINT32_MAX, &n), -EINVAL);
    assert_int_equal(read_number("-1", UINT32_MAX, &n), -EINVAL);
    assert_int_equal(read_number("+1", UINT32_MAX, &n), -EINVAL);
    assert_int_equal(read_number(" 1", UINT32_MAX, &n), -EINVAL);
    assert_int_equal(read_number("1 ", UINT32_MAX, &n), -EINVAL);
    assert_int_equal(read_number("0x10", UINT32_MAX, &n), -EINVAL);
    assert_int_equal(read_number("1\n", UINT32_MAX, &n), -EINVAL);
    assert_true(n == UINT64_MAX); /* untouched by the failures */
}

static void a_refusal_names_path_and_value(void **state)
{
    uint64_t n;

    (void)state;
    read_number("x\x1b", 255, &n);
    assert_string_equal(store_error(st), "/f/ring-ref = \"x\\x1b\": contains control characters");
    read_number("256", 255, &n);
    assert_string_equal(store_error(st), "/f/ring-ref = \"256\": not a number from 0 to 255");
    assert_int_equal(store_read_uint(st, STORE_NO_TX, "/f", "none", 255, &n), -ENOENT);
    assert_string_equal(store_error(st), "/f/none: No such file or directory");
}

static void missing_numbers_have_a_default(void **state)
{
    uint64_t n;

    (void)state;
    assert_int_equal(store_read_uint_def(st, STORE_NO_TX, "/f", "none", 255, 9, &n), 0);
    assert_int_equal(n, 9);
    fake_set("/f/some", "bad");
    assert_int_equal(store_read_uint_def(st, STORE_NO_TX, "/f", "some", 255, 9, &n), -EINVAL);
}

static void what_must_not_be_read_is_not_there(void **state)
{
    unsigned int count = 7;
    uint64_t n = 0;
    char *s;

    (void)state;
    fake_set("/local/domain/7/vm", "3");
    fake_forbid("/local/domain/7");
    assert_int_equal(store_read_str(st, STORE_NO_TX, "/local/domain/7", "vm", 64, &s), -ENOENT);
    assert_null(s);
    assert_int_equal(store_read_uint_def(st, STORE_NO_TX, "/local/domain/7", "vm", 9, 4, &n), 0);
    assert_int_equal(n, 4);
    assert_int_equal(store_has(st, STORE_NO_TX, "/local/domain/7", "vm"), 0);
    assert_null(store_list(st, STORE_NO_TX, "/local/domain/7", &count));
    assert_int_equal(errno, ENOENT);
    assert_int_equal(count, 0);
    assert_string_equal(store_error(st),
                        "/local/domain/7: missing, or not for this domain to read");
}

static void strings_have_a_length_limit(void **state)
{
    char *s;

    (void)state;
    fake_set("/f/s", "12345678");
    assert_int_equal(store_read_str(st, STORE_NO_TX, "/f/s", NULL, 8, &s), 0);
    assert_string_equal(s, "12345678");
    free(s);
    assert_int_equal(store_read_str(st, STORE_NO_TX, "/f/s", NULL, 7, &s), -E2BIG);
    assert_null(s);
}

static void paths_and_values_that_do_not_fit_are_refused(void **state)
{
    static char dir[STORE_PATH_MAX];
    static char value[4096];

    (void)state;
    memset(dir, 'a', sizeof(dir) - 1);
    memset(value, 'v', sizeof(value) - 1);
    assert_int_equal(store_write(st, STORE_NO_TX, dir, "key", "1"), -ENAMETOOLONG);
    assert_int_equal(store_write(st, STORE_NO_TX, "/f", "key", "%s", value), -E2BIG);
    assert_int_equal(store_write(st, STORE_NO_TX, "/f", "key", "%d-%s", 5, "x"), 0);
    assert_string_equal(fake_get("/f/key"), "5-x");
}

static void directories_are_listed(void **state)
{
    unsigned int count;
    char **names;

    (void)state;
    fake_set("/d/1/state", "1");
    fake_set("/d/1/online", "1");
    fake_set("/d/20", "");
    names = store_list(st, STORE_NO_TX, "/d", &count);
    assert_int_equal(count, 2);
    assert_string_equal(names[0], "1");
    assert_string_equal(names[1], "20");
    free(names);
    assert_null(store_list(st, STORE_NO_TX, "/none", &count));
    assert_int_equal(errno, ENOENT);
    assert_int_equal(count, 0);
}

static int write_two(struct store *s, xs_transaction_t t, void *arg)
{
    int err = store_write(s, t, "/t", "a", "1");

    if (err == 0) {
        err = store_write(s, t, "/t", "b", "2");
    }
    return err != 0 ? err : *(int *)arg;
}

static void transactions_are_tried_again_after_a_conflict(void **state)
{
    int ret = 0;

    (void)state;
    fake_conflicts(3);
    assert_int_equal(store_transaction(st, write_two, &ret), 0);
    assert_int_equal(fake_transactions(), 4);
    assert_string_equal(fake_get("/t/b"), "2");
}

static void transactions_give_up_some_time(void **state)
{
    int ret = 0;

    (void)state;
    fake_conflicts(1000);
    assert_int_equal(store_transaction(st, write_two, &ret), -EAGAIN);
    assert_null(fake_get("/t/a"));
}

static void a_failed_body_leaves_nothing(void **state)
{
    int ret = -EPERM;

    (void)state;
    assert_int_equal(store_transaction(st, write_two, &ret), -EPERM);
    assert_int_equal(fake_transactions(), 1);
    assert_null(fake_get("/t/a"));
}

/* A body that takes a key that it could not read for one that is not there. */
static int write_unless_there(struct store *s, xs_transaction_t t, void *arg)
{
    (void)arg;
    return store_exists(s, t, "/t", "a") ? 0 : store_write(s, t, "/t", "b", "%d", 2);
}

static void a_body_that_got_no_answer_leaves_nothing(void **state)
{
    (void)state;
    fake_set("/t/a", "1");
    fake_fail_once(ENOMEM);
    assert_int_equal(store_transaction(st, write_unless_there, NULL), -ENOMEM);
    assert_null(fake_get("/t/b"));
    assert_int_equal(store_transaction(st, write_unless_there, NULL), 0);
    assert_null(fake_get("/t/b"));
}

static struct store_watch watch[2];
static char last_path[64];

static void on_event(void *arg, const char *path)
{
    fired[*(int *)arg]++;
    snprintf(last_path, sizeof(last_path), "%s", path);
}

static void watches_report_what_changed(void **state)
{
    int id = 0;

    (void)state;
    fired[0] = 0;
    assert_int_equal(store_watch_add(st, &watch[0], "/w", on_event, &id), 0);
    assert_int_equal(store_watch_add(st, &watch[0], "/w", on_event, &id), -EEXIST);
    fake_settle(loop);
    assert_int_equal(fired[0], 1); /* once at registration */
    assert_string_equal(last_path, "/w");
    fake_set("/w/5/state", "3");
    fake_set("/v", "");
    fake_settle(loop);
    assert_int_equal(fired[0], 2);
    assert_string_equal(last_path, "/w/5/state");
    store_watch_del(st, &watch[0]);
    store_watch_del(st, &watch[0]);
    fake_set("/w/5/state", "4");
    fake_settle(loop);
    assert_int_equal(fired[0], 2);
}

/* The first to be called removes the other, whose event is queued already. */
static void remove_other(void *arg, const char *path)
{
    int id = *(int *)arg;

    (void)path;
    fired[id]++;
    store_watch_del(st, &watch[1 - id]);
}

static void a_watch_removed_by_another_one_is_silent(void **state)
{
    int ids[2] = {0, 1};

    (void)state;
    fired[0] = fired[1] = 0;
    store_watch_add(st, &watch[0], "/a", remove_other, &ids[0]);
    store_watch_add(st, &watch[1], "/b", remove_other, &ids[1]);
    fake_settle(loop);
    assert_int_equal(fired[0] + fired[1], 1);
    store_watch_del(st, &watch[0]);
    store_watch_del(st, &watch[1]);
}

static void a_storm_of_events_is_delivered_in_full(void **state)
{
    int id = 0;

    (void)state;
    fired[0] = 0;
    store_watch_add(st, &watch[0], "/w", on_event, &id);
    for (int i = 0; i < 500; i++) {
        fake_set("/w/x", "1");
    }
    fake_settle(loop);
    assert_int_equal(fired[0], 501);
    store_watch_del(st, &watch[0]);
}

static void the_end_of_xenstored_is_told_once(void **state)
{
    uint64_t n;

    (void)state;
    fake_die();
    loop_run(loop);
    assert_int_equal(lost, 1);
    assert_int_equal(store_read_uint(st, STORE_NO_TX, "/f", "x", 1, &n), -EIO);
}

static void states_are_read_and_named(void **state)
{
    enum xenbus_state s;

    (void)state;
    assert_int_equal(xenbus_read_state(st, STORE_NO_TX, "/b", &s), 0);
    assert_int_equal(s, XenbusStateUnknown);
    fake_set("/b/state", "4");
    assert_int_equal(xenbus_read_state(st, STORE_NO_TX, "/b", &s), 0);
    assert_int_equal(s, XenbusStateConnected);
    assert_string_equal(xenbus_state_name(s), "Connected");
    fake_set("/b/state", "9");
    assert_int_equal(xenbus_read_state(st, STORE_NO_TX, "/b", &s), -ERANGE);
    assert_string_equal(xenbus_state_name((enum xenbus_state)9), "invalid");
}

static void a_state_is_not_written_to_a_removed_device(void **state)
{
    (void)state;
    assert_int_equal(xenbus_write_state(st, "/b", XenbusStateClosed), -ENOENT);
    assert_null(fake_get("/b/state"));
    fake_set("/b/state", "5");
    assert_int_equal(xenbus_write_state(st, "/b", XenbusStateClosed), 0);
    assert_string_equal(fake_get("/b/state"), "6");
}

static void errors_are_written_where_xenbus_has_them(void **state)
{
    const char *dir = "/local/domain/0/backend/vbd/5/51712";

    (void)state;
    assert_int_equal(xenbus_write_error(st, dir, EBUSY, "in use"), 0);
    assert_string_equal(fake_get("/local/domain/0/error/backend/vbd/5/51712/error"), "16 in use");
    xenbus_clear_error(st, dir);
    assert_null(fake_get("/local/domain/0/error/backend/vbd/5/51712/error"));
    assert_int_equal(xenbus_write_error(st, "/elsewhere", EBUSY, "x"), -EINVAL);
    /* a guest's or a worker's words may be in it, and xl shows it in a terminal */
    assert_int_equal(xenbus_write_error(st, dir, EIO, "a \033[2J\n\x9b worker"), 0);
    assert_string_equal(fake_get("/local/domain/0/error/backend/vbd/5/51712/error"),
                        "5 a \\x1b[2J\\x0a\\x9b worker");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(numbers_are_read_whole_or_not_at_all),
        TEST(a_refusal_names_path_and_value),
        TEST(missing_numbers_have_a_default),
        TEST(what_must_not_be_read_is_not_there),
        TEST(strings_have_a_length_limit),
        TEST(paths_and_values_that_do_not_fit_are_refused),
        TEST(directories_are_listed),
        TEST(transactions_are_tried_again_after_a_conflict),
        TEST(transactions_give_up_some_time),
        TEST(a_failed_body_leaves_nothing),
        TEST(a_body_that_got_no_answer_leaves_nothing),
        TEST(watches_report_what_changed),
        TEST(a_watch_removed_by_another_one_is_silent),
        TEST(a_storm_of_events_is_delivered_in_full),
        TEST(the_end_of_xenstored_is_told_once),
        TEST(states_are_read_and_named),
        TEST(a_state_is_not_written_to_a_removed_device),
        TEST(errors_are_written_where_xenbus_has_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
