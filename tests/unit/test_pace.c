/*
 * How often something may be done: the first time at once, then after a quarter of a second, twice
 * as long each time, up to two seconds. Ten quiet seconds, and all is forgiven. Whoever asks too
 * early is told how long to wait, and loses nothing by having asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pace.h"

#define MS     UINT64_C(1000000)
#define SECOND (1000 * MS)

static void each_time_costs_twice_as_long_up_to_two_seconds(void **state)
{
    static const uint64_t waits_ms[] = {250, 500, 1000, 2000, 2000, 2000};
    struct pace p = {0};
    uint64_t now = 7 * SECOND;

    (void)state;
    assert_int_equal(pace_ask(&p, now), 0);
    for (unsigned int i = 0; i < sizeof(waits_ms) / sizeof(waits_ms[0]); i++) {
        assert_int_equal(pace_ask(&p, now), waits_ms[i] * MS);
        assert_int_equal(pace_ask(&p, now + MS), (waits_ms[i] - 1) * MS);
        now += waits_ms[i] * MS;
        assert_int_equal(pace_ask(&p, now), 0);
    }
}

static void ten_quiet_seconds_forgive_all(void **state)
{
    struct pace p = {0};
    uint64_t now = SECOND;

    (void)state;
    for (int i = 0; i < 4; i++) {
        now += 2 * SECOND;
        assert_int_equal(pace_ask(&p, now), 0);
    }
    assert_int_equal(pace_ask(&p, now), 2 * SECOND);
    now += 10 * SECOND;
    assert_int_equal(pace_ask(&p, now), 0);
    assert_int_equal(pace_ask(&p, now), SECOND / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_time_costs_twice_as_long_up_to_two_seconds),
        cmocka_unit_test(ten_quiet_seconds_forgive_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
