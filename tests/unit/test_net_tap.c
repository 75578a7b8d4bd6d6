/*
 * Taps, in a network namespace of the test's own: what a daemon that is started again finds of the
 * one before it, and what it removes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "alias.h"
#include "own_network.h"
#include "tap.h"

static const char *stage;

/* A tap as a daemon leaves it that was killed. */
static void leave_tap(const char *name, const char *own, bool multi_queue)
{
    struct tap t;

    assert_int_equal(tap_open(&t, name, own, multi_queue, &stage), 0);
    tap_close(&t, false);
}

static bool is_there(const char *name)
{
    return if_nametoindex(name) != 0;
}

/* As the toolstack's script does for `vifname=`. */
static void rename_tap(const char *from, const char *to)
{
    struct ifreq ifr = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    snprintf(ifr.ifr_name, IFNAMSIZ, "%s", from);
    snprintf(ifr.ifr_newname, IFNAMSIZ, "%s", to);
    assert_int_equal(ioctl(fd, SIOCSIFNAME, &ifr), 0);
    close(fd);
}

/* Only that of domain 6 is there. */
static bool is_wanted(void *arg, int domid, int device)
{
    (void)arg;
    assert_int_equal(device, 0);
    return domid == 6;
}

static void sweep(void)
{
    tap_remove_stale("vif", is_wanted, NULL);
}

static void taps_of_guests_that_went_are_removed(void **state)
{
    (void)state;
    leave_tap("vif5.0", "vif5.0", false);
    leave_tap("vif6.0", "vif6.0", false);
    leave_tap("vif7.0", "vif7.0", true);
    sweep();
    assert_false(is_there("vif5.0"));
    assert_true(is_there("vif6.0"));
    assert_false(is_there("vif7.0"));
}

static void those_with_a_name_of_their_own_are_known_by_their_mark(void **state)
{
    (void)state;
    leave_tap("vif5.0", "vif5.0", false);
    rename_tap("vif5.0", "web");
    leave_tap("vif6.0", "vif6.0", false);
    rename_tap("vif6.0", "mail");
    sweep();
    assert_false(is_there("web"));
    assert_true(is_there("mail"));
}

/* Its name, its mark and what it is are asked for: all three have to be ours. */
static void what_is_not_ours_is_left_alone(void **state)
{
    char alias[ALIAS_MAX];

    (void)state;
    leave_tap("theirs", "tap5.0", false); /* another's, who marks in the same way */
    leave_tap("plain", "vif9.0", false);
    assert_int_equal(alias_set("plain", "of the house"), 0);
    assert_int_equal(alias_set("lo", "duet vif9.0"), 0);
    sweep();
    assert_true(is_there("theirs"));
    assert_true(is_there("plain"));
    assert_true(is_there("lo"));
    leave_tap("plain", "vif9.0", false); /* an alias that somebody gave it stays */
    assert_int_equal(alias_get("plain", alias, sizeof(alias)), 0);
    assert_string_equal(alias, "of the house");
}

static void one_that_is_in_use_stays(void **state)
{
    struct tap t;

    (void)state;
    assert_int_equal(tap_open(&t, "vif5.0", "vif5.0", false, &stage), 0);
    sweep();
    assert_true(is_there("vif5.0"));
    assert_true(tap_is_there(&t));
    tap_close(&t, true);
    assert_false(is_there("vif5.0"));
    assert_false(tap_is_there(&t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taps_of_guests_that_went_are_removed),
        cmocka_unit_test(those_with_a_name_of_their_own_are_known_by_their_mark),
        cmocka_unit_test(what_is_not_ours_is_left_alone),
        cmocka_unit_test(one_that_is_in_use_stays),
    };

    if (!own_network_enter()) {
        printf("this host gives no network namespace with taps\n");
        return 77; /* ctest knows it as skipped */
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
