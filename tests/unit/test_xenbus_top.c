/*
 * What `xenbus top` makes of the daemons' figures: which device they are of, what went by between
 * two looks, the order; and of text that is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "top.h"

#define A   "{domid=\"5\",domain=\"web1\",device=\"vbd/51712\""
#define B   "{domid=\"12\",domain=\"a\\\"b\\\\x1b\",device=\"vif/0\""
#define END "} "

static const char first[] =
    "# HELP duet_block_up Whether.\n"
    "# TYPE duet_block_up gauge\n"
    "duet_daemon_info{daemon=\"duet-blockd\",version=\"1\"} 1\n"
    "duet_block_up" A END "1\n"
    "duet_block_connected" A END "1\n"
    "duet_block_worker_restarts_total" A END "2\n"
    "duet_block_requests_total" A ",op=\"read\"" END "100\n"
    "duet_block_requests_total" A ",op=\"write\"" END "10\n"
    "duet_block_bytes_total" A ",op=\"read\"" END "4096\n"
    "duet_block_bytes_total" A ",op=\"write\"" END "512\n"
    "duet_block_request_duration_seconds_bucket" A ",le=\"+Inf\"" END "110\n"
    "duet_block_request_duration_seconds_sum" A END "1.5\n"
    "duet_block_request_duration_seconds_count" A END "110\n"
    "duet_block_outstanding_requests" A END "3\n";

static const char second[] = "duet_block_requests_total" A ",op=\"read\"" END "120\n"
                             "duet_block_requests_total" A ",op=\"write\"" END "20\n"
                             "duet_block_bytes_total" A ",op=\"read\"" END "8192\n"
                             "duet_block_bytes_total" A ",op=\"write\"" END "512\n"
                             "duet_block_request_duration_seconds_sum" A END "1.8\n"
                             "duet_block_request_duration_seconds_count" A END "140\n"
                             "duet_net_packets_total" B ",direction=\"to_guest\"" END "7\n"
                             "duet_net_bytes_total" B ",direction=\"to_guest\"" END "700\n"
                             "duet_net_bytes_total" B ",direction=\"from_guest\"" END "70\n"
                             "duet_net_dropped_total" B ",direction=\"to_guest\"" END "1\n";

static void figures_come_together_by_device(void **state)
{
    struct top_view view = {.devices = NULL};
    const struct top_device *d;

    (void)state;
    assert_true(top_add(&view, first));
    assert_int_equal(view.nr, 1);
    d = view.devices;
    assert_int_equal(d->domid, 5);
    assert_string_equal(d->domain, "web1");
    assert_string_equal(d->device, "vbd/51712");
    assert_true(d->total[TOP_UP] == 1 && d->total[TOP_CONNECTED] == 1);
    assert_true(d->total[TOP_RESTARTS] == 2);
    assert_true(d->total[TOP_OPERATIONS] == 110);
    assert_true(d->total[TOP_TO_GUEST] == 4096 && d->total[TOP_FROM_GUEST] == 512);
    assert_true(d->total[TOP_QUEUED] == 3);
    top_free(&view);
}

static void rates_are_what_went_by(void **state)
{
    struct top_view before = {.devices = NULL}, view = {.devices = NULL};
    const struct top_device *d;

    (void)state;
    assert_true(top_add(&before, first));
    assert_true(top_add(&view, second));
    assert_int_equal(view.nr, 2);
    top_compare(&view, &before, 2);
    d = &view.devices[0];
    assert_true(d->rate[TOP_OPERATIONS] == 15);
    assert_true(d->rate[TOP_TO_GUEST] == 2048 && d->rate[TOP_FROM_GUEST] == 0);
    assert_true(d->latency_ms > 9.99 && d->latency_ms < 10.01);
    d = &view.devices[1];
    assert_string_equal(d->domain, "a\"b\\x1b");
    assert_true(d->total[TOP_OPERATIONS] == 7 && d->total[TOP_ERRORS] == 1);
    assert_true(d->total[TOP_TO_GUEST] == 700 && d->total[TOP_FROM_GUEST] == 70);
    assert_true(d->rate[TOP_OPERATIONS] == 0); /* it is new */
    top_compare(&before, &view, 2);            /* as if a daemon had begun anew */
    assert_true(before.devices[0].rate[TOP_OPERATIONS] == 0);
    top_free(&view);
    top_free(&before);
}

static void the_most_come_first(void **state)
{
    struct top_view view = {.devices = NULL};

    (void)state;
    assert_true(top_add(&view, second));
    assert_true(top_add(&view, first));
    top_sort(&view, TOP_BY_DOMAIN);
    assert_int_equal(view.devices[0].domid, 5);
    top_sort(&view, TOP_BY_DEVICE);
    assert_int_equal(view.devices[0].domid, 5);
    view.devices[1].rate[TOP_TO_GUEST] = 1;
    top_sort(&view, TOP_BY_TO_GUEST);
    assert_int_equal(view.devices[0].domid, 12);
    top_sort(&view, TOP_BY_RESTARTS);
    assert_int_equal(view.devices[0].domid, 5);
    top_free(&view);
}

static void what_is_no_figure_is_left_out(void **state)
{
    static const char *const wrong[] = {
        "duet_block_up" A END,
        "duet_block_up" A END "one",
        "duet_block_up" A END "-1",
        "duet_block_up" A END "inf",
        "duet_block_up" A END "nan",
        "duet_block_up" A END "1e999",
        "duet_block_up" A END "0x10",
        "duet_block_up" A END " 1",
        "duet_block_up" A END "1 2 3",
        "duet_block_up" A,
        "duet_block_up{domid=\"5",
        "duet_block_up{domid=\"5\\",
        "duet_block_up{domid=5} 1",
        "duet_block_up{domid=\"5\" 1",
        "duet_block_up{=\"5\"",
        "duet_block_up{domid=\"5\n\"} 1",
        "{}",
        "\"",
        "\x1b[2J",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct top_view view = {.devices = NULL};

        assert_false(top_add(&view, wrong[i]));
        assert_int_equal(view.nr, 0);
        top_free(&view);
    }
}

static void devices_without_end_are_not_kept(void **state)
{
    struct top_view view = {.devices = NULL};
    char line[128];

    (void)state;
    for (int i = 0; i < 5000; i++) {
        snprintf(line, sizeof(line), "duet_block_up{domid=\"%d\",device=\"vbd/1\"} 1\n", i);
        assert_true(top_add(&view, line));
    }
    assert_int_equal(view.nr, 4096);
    top_free(&view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_come_together_by_device),
        cmocka_unit_test(rates_are_what_went_by),
        cmocka_unit_test(the_most_come_first),
        cmocka_unit_test(what_is_no_figure_is_left_out),
        cmocka_unit_test(devices_without_end_are_not_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
