/*
 * The time line of `xenbus trace`: steps in order with the time between, keys gathered, slow and
 * missing steps marked, filters by id and by a name that comes later, directories that go, and
 * every pair of states has a next step or none.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pairs.h"
#include "trace.h"

#define FRONT "/local/domain/5/device/vbd/51712"
#define BACK  "/local/domain/0/backend/vbd3/5/51712"

struct seen {
    char text[4000];
};

static void note_step(void *context, const struct trace_step *step)
{
    static const char *const kinds[] = {"state", "keys", "gone", "error", "missing"};
    struct seen *seen = context;
    size_t used = strlen(seen->text);

    snprintf(seen->text + used, sizeof(seen->text) - used, "%g%s%u/%s/%s %s %s%s", step->time,
             step->slow ? "! " : " ", step->domid, step->class, step->device,
             step->side == TRACE_FRONT ? "F" : "B", kinds[step->kind], step->initial ? "*" : "");
    used = strlen(seen->text);
    if (step->kind == TRACE_STATE) {
        snprintf(seen->text + used, sizeof(seen->text) - used, " %d\n", step->state);
    } else {
        snprintf(seen->text + used, sizeof(seen->text) - used, " %s\n",
                 step->text != NULL ? step->text : "");
    }
}

static void feed(struct trace *trace, double time, const char *path, const char *value)
{
    struct trace_change change = {.time = time, .path = path, .value = value};

    trace_change(trace, &change);
}

static void a_handshake_becomes_a_time_line(void **state)
{
    struct seen seen = {""};
    struct trace *trace = trace_new(NULL, NULL, 1, note_step, &seen);

    (void)state;
    feed(trace, 0, BACK, "");
    feed(trace, 0, BACK "/frontend", FRONT);
    feed(trace, 0, BACK "/state", "1");
    feed(trace, 0.1, FRONT "/backend", BACK);
    feed(trace, 0.1, FRONT "/state", "1");
    feed(trace, 0.2, BACK "/feature-flush-cache", "1");
    feed(trace, 0.2, BACK "/state", "2");
    feed(trace, 0.3, BACK "/state", "2"); /* written again: no step */
    feed(trace, 2.5, FRONT "/ring-ref", "8");
    feed(trace, 2.5, FRONT "/event-channel", "9");
    feed(trace, 2.6, FRONT "/state", "3");
    assert_false(trace_settled(trace));
    feed(trace, 2.7, BACK "/state", "4");
    feed(trace, 2.8, FRONT "/state", "4");
    assert_true(trace_settled(trace));
    assert_int_equal(trace_end(trace, 3), 0);
    assert_string_equal(seen.text, "0 5/vbd/51712 B keys frontend\n"
                                   "0 5/vbd/51712 B state 1\n"
                                   "0.1 5/vbd/51712 F keys backend\n"
                                   "0.1 5/vbd/51712 F state 1\n"
                                   "0.2 5/vbd/51712 B keys feature-flush-cache\n"
                                   "0.2 5/vbd/51712 B state 2\n"
                                   "2.5! 5/vbd/51712 F keys ring-ref, event-channel\n"
                                   "2.6 5/vbd/51712 F state 3\n"
                                   "2.7 5/vbd/51712 B state 4\n"
                                   "2.8 5/vbd/51712 F state 4\n");
    trace_free(trace);
}

static void the_missing_step_is_named(void **state)
{
    struct seen seen = {""};
    struct trace *trace = trace_new("5", "vbd", 1, note_step, &seen);
    struct trace_change was = {.path = BACK "/state", .value = "2", .initial = true};

    (void)state;
    assert_false(trace_settled(trace));
    trace_change(trace, &was);
    was.path = FRONT "/state";
    was.value = "3";
    trace_change(trace, &was);
    feed(trace, 1, "/local/domain/0/error/backend/vbd/5/51712/error", "22 no");
    feed(trace, 1, "/local/domain/6/device/vbd/51712/state", "1"); /* another domain */
    feed(trace, 1, "/local/domain/5/device/vif/0/state", "1");     /* another class */
    assert_int_equal(trace_end(trace, 9), 1);
    assert_string_equal(
        seen.text, "0 5/vbd/51712 B state* 2\n"
                   "0 5/vbd/51712 F state* 3\n"
                   "1! 5/vbd/51712 B error 22 no\n"
                   "9! 5/vbd/51712 B missing maps the rings and connects: state 4 (Connected)\n");
    trace_free(trace);
}

static void a_name_may_come_later(void **state)
{
    struct seen seen = {""};
    struct trace *trace = trace_new("web", NULL, 1, note_step, &seen);

    (void)state;
    feed(trace, 0, FRONT "/state", "1");
    feed(trace, 1, "/local/domain/5/name", "web");
    feed(trace, 2, FRONT "/state", "2");
    feed(trace, 3, "/local/domain/5", NULL);
    assert_string_equal(seen.text, "2 5/vbd/51712 F state 2\n3! 5/vbd/51712 F gone \n");
    assert_true(trace_settled(trace));
    trace_free(trace);
}

static void a_flood_of_keys_is_bounded(void **state)
{
    struct seen seen = {""};
    struct trace *trace = trace_new(NULL, NULL, 1, note_step, &seen);

    (void)state;
    for (int i = 0; i < 100000; i++) {
        char path[100];

        snprintf(path, sizeof(path), FRONT "/key-%d", i);
        feed(trace, 0, path, "");
    }
    feed(trace, 0, FRONT "/state", "not a state");
    assert_non_null(strstr(seen.text, " more\n0 5/vbd/51712 F state -1\n"));
    assert_true(strlen(seen.text) < 1000);
    trace_free(trace);
}

static void odd_paths_are_no_devices(void **state)
{
    static const char *const odd[] = {
        "/",
        "/local/domain",
        "/local/domain/x/device/vbd/1/state",
        "/local/domain/5/device",
        "/local/domain/5/device/vbd",
        "/local/domain/5/devices/vbd/1/state",
        "/local/domain/0/backend/vbd/five/1/state",
        "/local/domain/0/backend/vbd/5",
        "/local/domain/99999/device/vbd/1",
        "/local/domainx5/device/vbd/1",
        "/local/domain/5/error",
        "/libxl/5/device/vbd/1/state",
        ("/local/domain/5/device/vbd/"
         "0123456789012345678901234567890123456789012345678901234567890")};
    struct seen seen = {""};
    struct trace *trace = trace_new(NULL, NULL, 1, note_step, &seen);

    (void)state;
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        assert_false(trace_concerns(odd[i]));
        feed(trace, 0, odd[i], "1");
        feed(trace, 0, odd[i], NULL);
    }
    assert_true(trace_concerns(FRONT));
    assert_true(trace_concerns("/local/domain/5/name"));
    assert_string_equal(seen.text, "");
    trace_free(trace);
}

static void every_pair_has_its_next_step(void **state)
{
    (void)state;
    for (int front = STATE_ABSENT; front <= 8; front++) {
        for (int back = STATE_ABSENT; back <= 8; back++) {
            struct device_end ends[] = {{.there = front != STATE_ABSENT, .state = front},
                                        {.there = back != STATE_ABSENT, .state = back}};
            enum trace_side side = (enum trace_side)7;
            const char *why, *next = trace_next(front, back, &side);

            assert_in_range(side, TRACE_FRONT, TRACE_BACK);
            /* What has settled needs no step; a guest that has closed is not waited for. */
            if (pair_judge(&ends[0], &ends[1], &why) == FIT_SETTLED) {
                assert_null(next);
            } else if (next == NULL) {
                assert_true((front == 6 && back == 2) || (front == STATE_ABSENT && back == front));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handshake_becomes_a_time_line),
        cmocka_unit_test(the_missing_step_is_named),
        cmocka_unit_test(a_name_may_come_later),
        cmocka_unit_test(a_flood_of_keys_is_bounded),
        cmocka_unit_test(odd_paths_are_no_devices),
        cmocka_unit_test(every_pair_has_its_next_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
