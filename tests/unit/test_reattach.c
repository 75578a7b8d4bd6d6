/*
 * duet-driverd: what becomes of the store when a driver domain dies and another of its name comes;
 * that only what the toolstack wrote, spelled as it spells it, is acted upon; that nothing is
 * written for a guest that has no such device; and the nudge for an `xl devd` that came late.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

#include "fake_xenstore.h"
#include "reattach.h"
#include "store_rights.h"

#define RECORD   "/libxl/9/device/vbd/51712"
#define FRONT    "/local/domain/9/device/vbd/51712"
#define OLD_BACK "/local/domain/5/backend/vbd/9/51712"
#define NEW_BACK "/local/domain/6/backend/vbd/9/51712"

static struct reattach r;

static void begin_domain(unsigned int domid, const char *name, bool driver)
{
    char path[64];

    snprintf(path, sizeof(path), "/local/domain/%u/domid", domid);
    fake_set(path, "");
    snprintf(path, sizeof(path), "/local/domain/%u/name", domid);
    fake_set(path, name);
    if (driver) {
        snprintf(path, sizeof(path), "/local/domain/%u/libxl", domid);
        fake_set(path, "");
    }
}

static void stop(void *arg)
{
    loop_stop(arg, 0);
}

static void turn(unsigned int ms)
{
    struct loop_timer t = {0};

    loop_timer_set(r.loop, &t, ms * 1000000ULL, stop, r.loop);
    loop_run(r.loop);
    loop_timer_cancel(r.loop, &t);
}

/* A guest, 9, whose disk the driver domain 5 serves. */
static int setup(void **state)
{
    (void)state;
    fake_reset();
    memset(&r, 0, sizeof(r));
    fake_set("domid", "0");
    begin_domain(5, "driver", true);
    begin_domain(9, "web", false);
    fake_set(RECORD "/backend", OLD_BACK);
    fake_set(RECORD "/frontend", FRONT);
    fake_set(RECORD "/frontend-id", "9");
    fake_set(RECORD "/online", "1");
    fake_set(RECORD "/state", "1");
    fake_set(RECORD "/params", "/dev/vg/web");
    fake_set(RECORD "/script", "/etc/xen/scripts/block");
    fake_set(FRONT, "");
    fake_set(FRONT "/queue-0", "");
    fake_set(FRONT "/backend", OLD_BACK);
    fake_set(FRONT "/backend-id", "5");
    fake_set(FRONT "/state", "4");
    fake_set(FRONT "/ring-ref", "8");
    fake_set(FRONT "/queue-0/ring-ref", "9");
    r.loop = loop_new();
    r.store = store_open(r.loop, NULL, NULL);
    assert_int_equal(reattach_start(&r), 0);
    fake_settle(r.loop);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    reattach_stop(&r);
    store_close(r.store);
    loop_free(r.loop);
    return 0;
}

static void driver_dies(void)
{
    fake_rm("/local/domain/5");
    fake_set("@releaseDomain", "");
    fake_settle(r.loop);
}

static void driver_comes(unsigned int domid, const char *name, bool driver)
{
    begin_domain(domid, name, driver);
    fake_set("@introduceDomain", "");
    fake_settle(r.loop);
}

static void belongs(const char *path, unsigned int owner, unsigned int reader)
{
    unsigned int n;
    struct xs_permissions *p = xs_get_permissions(store_handle(r.store), XBT_NULL, path, &n);

    assert_non_null(p);
    assert_int_equal(n, 2);
    assert_int_equal(p[0].id, owner);
    assert_int_equal(p[0].perms, XS_PERM_NONE);
    assert_int_equal(p[1].id, reader);
    assert_int_equal(p[1].perms, XS_PERM_READ);
    free(p);
}

static void nothing_moved(void)
{
    assert_null(fake_get(NEW_BACK "/state"));
    assert_null(fake_get(FRONT "/moved"));
}

static void a_device_moves_to_the_next_of_that_name(void **state)
{
    (void)state;
    assert_string_equal(fake_get("/tool/duet-driverd/5"), "driver");
    driver_dies();
    nothing_moved();
    assert_string_equal(fake_get("/tool/duet-driverd/5"), "driver");
    driver_comes(6, "driver", true);
    assert_string_equal(fake_get(RECORD "/backend"), NEW_BACK);
    assert_string_equal(fake_get(FRONT "/backend"), NEW_BACK);
    assert_string_equal(fake_get(FRONT "/backend-id"), "6");
    assert_string_equal(fake_get(FRONT "/state"), "1");
    assert_string_equal(fake_get(FRONT "/moved"), "1");
    assert_string_equal(fake_get(NEW_BACK "/state"), "1");
    assert_string_equal(fake_get(NEW_BACK "/online"), "1");
    assert_string_equal(fake_get(NEW_BACK "/frontend"), FRONT);
    assert_string_equal(fake_get(NEW_BACK "/frontend-id"), "9");
    assert_string_equal(fake_get(NEW_BACK "/params"), "/dev/vg/web");
    assert_string_equal(fake_get(NEW_BACK "/script"), "/etc/xen/scripts/block");
    assert_null(fake_get(NEW_BACK "/backend"));
    belongs(NEW_BACK, 6, 9);
    belongs(FRONT, 9, 6);
    belongs(FRONT "/ring-ref", 9, 6);
    belongs(FRONT "/queue-0/ring-ref", 9, 6);
    assert_null(fake_get("/tool/duet-driverd/5")); /* needed no more */
    assert_string_equal(fake_get("/tool/duet-driverd/6"), "driver");
}

static void it_moves_again(void **state)
{
    (void)state;
    driver_dies();
    driver_comes(6, "driver", true);
    fake_rm("/local/domain/6");
    fake_rm(FRONT "/moved");
    driver_comes(7, "driver", true);
    assert_string_equal(fake_get(FRONT "/backend"), "/local/domain/7/backend/vbd/9/51712");
    assert_string_equal(fake_get(FRONT "/moved"), "1");
}

static void only_a_driver_domain_of_that_name_gets_it(void **state)
{
    (void)state;
    driver_dies();
    driver_comes(6, "other", true);
    driver_comes(7, "driver", false); /* an ordinary guest that has the name */
    nothing_moved();
    assert_string_equal(fake_get(RECORD "/backend"), OLD_BACK);
}

static void while_it_lives_nothing_moves(void **state)
{
    (void)state;
    driver_comes(6, "driver", true);
    nothing_moved();
}

/* A guest may remove its directory; nobody makes it anew. */
static void a_guest_without_the_device_gets_none(void **state)
{
    (void)state;
    driver_dies();
    fake_rm(FRONT);
    driver_comes(6, "driver", true);
    assert_null(fake_get(FRONT "/backend"));
    nothing_moved();
    assert_string_equal(fake_get(RECORD "/backend"), OLD_BACK);
}

/* What it says of its back end is not believed, nor followed. */
static void a_guests_word_is_not_followed(void **state)
{
    (void)state;
    driver_dies();
    fake_set(FRONT "/backend", "/local/domain/0/backend/vbd/1/51712");
    fake_set(FRONT "/backend-id", "0");
    driver_comes(6, "driver", true);
    assert_string_equal(fake_get(FRONT "/backend"), NEW_BACK);
    assert_null(fake_get("/local/domain/0/backend/vbd/1/51712/state"));
}

/* Its directory is larger than any device's: it alone goes without. */
static void a_guest_with_too_many_nodes_gets_none(void **state)
{
    static const char *const deep[] = {"/a", "/a/b", "/a/b/c", "/a/b/c/d", "/a/b/c/d/e"};
    char path[256];

    (void)state;
    driver_dies();
    for (unsigned int i = 0; i < sizeof(deep) / sizeof(deep[0]); i++) {
        snprintf(path, sizeof(path), FRONT "%s", deep[i]);
        fake_set(path, "");
    }
    driver_comes(6, "driver", true);
    nothing_moved();
    assert_string_equal(fake_get(RECORD "/backend"), OLD_BACK);
    fake_rm(FRONT "/a");
    turn(1100);
    fake_settle(r.loop);
    assert_string_equal(fake_get(FRONT "/moved"), "1");
}

static void records_in_other_words_are_left_alone(void **state)
{
    static const char *const odd[] = {
        "/local/domain/05/backend/vbd/9/51712",  "/local/domain/5/backend/vbd/9/51712/x",
        "/local/domain/5/backend/vif/9/51712",   "/local/domain/5/backend/vbd/8/51712",
        "/local/domain/40000/backend/vbd/9/517", "/local/domain/0/backend/vbd/9/51712",
        "/local/domain/-1/backend/vbd/9/51712",  "",
    };

    (void)state;
    driver_dies();
    for (unsigned int i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        fake_set("/tool/duet-driverd/5", "driver");
        fake_set("/tool/duet-driverd/0", "driver");
        fake_set(RECORD "/backend", odd[i]);
        driver_comes(6, "driver", true);
        nothing_moved();
    }
}

/* Somebody writes while the transaction runs: it is made again. */
static void a_conflict_is_tried_again(void **state)
{
    (void)state;
    driver_dies();
    fake_conflicts(3);
    driver_comes(6, "driver", true);
    assert_string_equal(fake_get(FRONT "/moved"), "1");
}

static unsigned int events;

static void on_state(void *arg, const char *path)
{
    (void)arg;
    (void)path;
    events++;
}

/* `xl devd` began after the back end was ready: its state is written until the script has run. */
static void a_late_devd_is_told(void **state)
{
    struct store_watch watch = {0};

    (void)state;
    driver_dies();
    driver_comes(6, "driver", true);
    fake_set(NEW_BACK "/state", "2");
    assert_int_equal(store_watch_add(r.store, &watch, NEW_BACK "/state", on_state, NULL), 0);
    fake_settle(r.loop);
    events = 0;
    turn(900); /* a nudge after 250 ms and one 500 ms later */
    assert_int_equal(events, 2);
    assert_string_equal(fake_get(NEW_BACK "/state"), "2");
    fake_set(NEW_BACK "/hotplug-status", "connected");
    turn(1100);
    fake_settle(r.loop);
    assert_int_equal(events, 2);
    assert_true(XEN_TAILQ_EMPTY(&r.waiting));
    store_watch_del(r.store, &watch);
}

/* Nobody is nudged in another state, and a directory that is gone is not made. */
static void a_device_that_is_gone_is_not_made(void **state)
{
    (void)state;
    driver_dies();
    driver_comes(6, "driver", true);
    fake_rm(NEW_BACK);
    turn(300);
    fake_settle(r.loop);
    assert_null(fake_get(NEW_BACK "/state"));
    assert_true(XEN_TAILQ_EMPTY(&r.waiting));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_device_moves_to_the_next_of_that_name, setup, teardown),
        cmocka_unit_test_setup_teardown(it_moves_again, setup, teardown),
        cmocka_unit_test_setup_teardown(only_a_driver_domain_of_that_name_gets_it, setup, teardown),
        cmocka_unit_test_setup_teardown(while_it_lives_nothing_moves, setup, teardown),
        cmocka_unit_test_setup_teardown(a_guest_without_the_device_gets_none, setup, teardown),
        cmocka_unit_test_setup_teardown(a_guests_word_is_not_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_guest_with_too_many_nodes_gets_none, setup, teardown),
        cmocka_unit_test_setup_teardown(records_in_other_words_are_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_conflict_is_tried_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_late_devd_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_device_that_is_gone_is_not_made, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
