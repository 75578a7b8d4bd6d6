/*
 * Which device a change in the store is for: what is there already, what comes and goes, and names
 * that are not a device's. The store is inside the program (fake_xenstore.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backends.h"
#include "fake_xenstore.h"

#define ROOT "/local/domain/3/backend/vif"

static struct loop *loop;
static struct store *store;
static struct backend_class class;
static char events[512]; /* "domid/device:key " for each, "look domid " for the others */

static void note(const char *text)
{
    strncat(events, text, sizeof(events) - strlen(events) - 1);
}

static void on_event(void *arg, int domid, int device, const char *key)
{
    char text[64];

    assert_ptr_equal(arg, &class);
    snprintf(text, sizeof(text), "%d/%d:%s ", domid, device, key);
    note(text);
}

static void on_look(void *arg, int domid)
{
    char text[64];

    assert_ptr_equal(arg, &class);
    snprintf(text, sizeof(text), "look %d ", domid);
    note(text);
}

/* What has happened since the last call. */
static const char *happened(void)
{
    static char copy[sizeof(events)];

    fake_settle(loop);
    memcpy(copy, events, sizeof(copy));
    events[0] = '\0';
    return copy;
}

static int setup(void **state)
{
    (void)state;
    fake_reset();
    fake_set("domid", "3");
    events[0] = '\0';
    memset(&class, 0, sizeof(class));
    loop = loop_new();
    store = store_open(loop, NULL, NULL);
    return store == NULL;
}

static int teardown(void **state)
{
    (void)state;
    backend_class_unwatch(&class);
    store_close(store);
    loop_free(loop);
    return 0;
}

static void watch(void)
{
    assert_int_equal(backend_class_watch(&class, loop, store, "vif", on_event, on_look, &class), 0);
}

static void what_exists_is_reported_at_the_start(void **state)
{
    const char *seen;

    (void)state;
    fake_set(ROOT "/5/0/state", "4");
    fake_set(ROOT "/5/1/state", "4");
    fake_set(ROOT "/17/0/state", "2");
    watch();
    seen = happened();
    assert_non_null(strstr(seen, "5/0: "));
    assert_non_null(strstr(seen, "5/1: "));
    assert_non_null(strstr(seen, "17/0: "));
    assert_non_null(strstr(seen, "look -1 "));
}

static void a_change_names_device_and_key(void **state)
{
    (void)state;
    watch();
    happened();
    fake_set(ROOT "/5/0/state", "1");
    assert_string_equal(happened(), "5/0:state ");
    fake_set(ROOT "/5/0/queue-0/tx", "1");
    assert_string_equal(happened(), "5/0:queue-0/tx ");
    fake_rm(ROOT "/5/0");
    assert_non_null(strstr(happened(), "5/0:"));
}

static void a_directory_that_vanishes_is_to_be_looked_at(void **state)
{
    (void)state;
    fake_set(ROOT "/5/0/state", "4");
    watch();
    happened();
    fake_rm(ROOT "/5");
    assert_non_null(strstr(happened(), "look 5 "));
}

static void names_that_are_no_numbers_are_ignored(void **state)
{
    (void)state;
    watch();
    happened();
    fake_set(ROOT "/x/0/state", "1");
    fake_set(ROOT "/5/zero/state", "1");
    fake_set(ROOT "/-1/0/state", "1");
    fake_set(ROOT "/99999999999/0/state", "1");
    fake_set(ROOT "/5/0x0/state", "1");
    assert_string_equal(happened(), "");
}

/* This host lacked memory for the list: it is asked for again. */
static void what_the_store_could_not_tell_is_asked_again(void **state)
{
    (void)state;
    fake_set(ROOT "/5/0/state", "4");
    watch();
    fake_fail_once(ENOMEM);
    assert_null(strstr(happened(), "5/0"));
    assert_true(class.again.armed);
    loop_timer_set(loop, &class.again, 0, class.again.fn, class.again.arg); /* a second later */
    assert_string_equal(happened(), "5/0: ");
    assert_false(class.again.armed);
}

static void nothing_comes_after_the_end(void **state)
{
    (void)state;
    watch();
    happened();
    backend_class_unwatch(&class);
    fake_set(ROOT "/5/0/state", "1");
    assert_string_equal(happened(), "");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_exists_is_reported_at_the_start),
        CASE(a_change_names_device_and_key),
        CASE(a_directory_that_vanishes_is_to_be_looked_at),
        CASE(names_that_are_no_numbers_are_ignored),
        CASE(what_the_store_could_not_tell_is_asked_again),
        CASE(nothing_comes_after_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
