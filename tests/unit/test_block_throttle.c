/*
 * How much of its disk a guest may have, by a clock of the test's own: never more than the limits
 * say and hardly less, whatever the sizes of its requests, however often its worker is replaced,
 * and whatever becomes of the limits meanwhile.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "throttle.h"

#define SECOND 1000000000ULL

static struct blk_throttle t;
static uint64_t now, requests, moved;

static void limit(uint32_t iops, uint64_t bytes, uint32_t burst_s)
{
    const struct blk_wire_pace pace = {.iops = iops, .bytes = bytes, .burst_s = burst_s};

    blk_throttle_set(&t, &pace, now);
}

/* A new worker, at some time of the host's. */
static int setup(void **state)
{
    (void)state;
    memset(&t, 0, sizeof(t));
    now = 1234567 * SECOND;
    requests = moved = 0;
    return 0;
}

/* A guest that always wants more, as its worker serves it, until `end`. */
static void greedy(uint64_t end, uint64_t (*size)(void))
{
    while (now < end) {
        blk_throttle_clock(&t, now);
        while (blk_throttle_open(&t)) {
            const uint64_t bytes = size();

            blk_throttle_charge(&t, BLK_THROTTLE_OWED_MAX);
            blk_throttle_refund(&t, BLK_THROTTLE_OWED_MAX - bytes);
            requests++;
            moved += bytes;
        }
        assert_true(blk_throttle_wait_ns(&t, now) >= 1000000);
        now += blk_throttle_wait_ns(&t, now);
    }
}

static uint64_t largest(void)
{
    return BLK_THROTTLE_OWED_MAX;
}

static uint64_t sector(void)
{
    return BLK_SECTOR_BYTES;
}

/* The same numbers in each run. */
static uint32_t chance(uint32_t below)
{
    static uint32_t seed = 1;

    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % below;
}

static uint64_t anything(void)
{
    return (uint64_t)(1 + chance(512)) * BLK_SECTOR_BYTES;
}

static void requests_come_at_their_rate(void **state)
{
    const uint64_t began = now;

    (void)state;
    limit(500, 0, 1);
    greedy(began + 100 * SECOND, largest);
    assert_in_range(requests, 49900, 50000);
}

static void bytes_come_at_their_rate(void **state)
{
    static uint64_t (*const sizes[])(void) = {sector, anything, largest};

    for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        setup(state);
        limit(0, 1000000, 1);
        greedy(now + 100 * SECOND, sizes[i]);
        assert_in_range(moved, 99000000, 100000000);
    }
}

static void the_lower_of_two_limits_holds(void **state)
{
    (void)state;
    limit(100, 1000000, 1);
    greedy(now + 100 * SECOND, sector);
    assert_in_range(requests, 9970, 10000);
    setup(state);
    limit(100, 1000000, 1);
    greedy(now + 100 * SECOND, largest);
    assert_in_range(moved, 99000000, 100000000);
}

/* The largest request is a quarter of a minute's worth: it waits its turn, and gets it. */
static void a_limit_below_a_request_delays_it(void **state)
{
    (void)state;
    limit(0, 16384, 1);
    greedy(now + 100 * 16 * SECOND, largest);
    assert_in_range(requests, 98, 100);
}

static void what_is_not_used_is_saved_up_to_the_burst(void **state)
{
    (void)state;
    limit(0, 1000000, 4);
    now += 1000 * SECOND;
    greedy(now + 1, sector);
    assert_in_range(moved, 4000000, 4000000 + BLK_THROTTLE_OWED_MAX);
    greedy(now + 10 * SECOND, sector);
    assert_in_range(moved, 13900000, 14000000 + BLK_THROTTLE_OWED_MAX);
}

/* However often, and whenever: what it has had is never more than what is due. */
static void a_worker_that_is_replaced_gains_nothing(void **state)
{
    const uint64_t began = now;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        memset(&t, 0, sizeof(t));
        limit(300, 2000000, 2);
        greedy(now + (uint64_t)chance(1000) * 1000000, anything);
        assert_true(requests <= (now - began) * 300 / SECOND);
        assert_true(moved <= (now - began) / 500);
    }
}

static void limits_change_at_once(void **state)
{
    (void)state;
    limit(10, 0, 10);
    now += 100 * SECOND;
    limit(20, 0, 1); /* of the hundred that are saved, twenty stay */
    greedy(now + 1, sector);
    assert_in_range(requests, 20, 21);
    limit(0, 4096, 1); /* owed what a new worker owes, more than a minute of it */
    blk_throttle_clock(&t, now + SECOND);
    assert_false(blk_throttle_open(&t));
    limit(0, 1 << 30, 1);
    greedy(now + SECOND, anything);
    assert_in_range(moved, (1 << 30) - 3000000, (1 << 30) + 3000000);
    limit(0, 0, 1);
    assert_false(t.on);
    assert_true(blk_throttle_open(&t));
    limit(0, 4096, 1);
    assert_true(t.on);
    assert_false(blk_throttle_open(&t));
}

/* A guest that asks now and then: a request that comes a little early waits no longer than it has
 * to. */
static void who_asks_now_and_then_waits_for_the_rest(void **state)
{
    (void)state;
    limit(1, 0, 1);
    now += 5 * SECOND;
    for (int i = 0; i < 10; i++) {
        blk_throttle_clock(&t, now);
        assert_true(blk_throttle_open(&t));
        blk_throttle_charge(&t, BLK_SECTOR_BYTES);
        now += 900000000;
        blk_throttle_clock(&t, now);
        assert_false(blk_throttle_open(&t));
        assert_in_range(blk_throttle_wait_ns(&t, now), 90000000, 110000000);
        now += blk_throttle_wait_ns(&t, now);
    }
}

static void without_limits_all_passes(void **state)
{
    (void)state;
    limit(0, 0, 0);
    assert_false(t.on);
    for (int i = 0; i < 1000; i++) {
        assert_true(blk_throttle_open(&t));
        blk_throttle_charge(&t, BLK_THROTTLE_OWED_MAX);
        blk_throttle_refund(&t, 1);
    }
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_come_at_their_rate),
        TEST(bytes_come_at_their_rate),
        TEST(the_lower_of_two_limits_holds),
        TEST(a_limit_below_a_request_delays_it),
        TEST(what_is_not_used_is_saved_up_to_the_burst),
        TEST(a_worker_that_is_replaced_gains_nothing),
        TEST(limits_change_at_once),
        TEST(who_asks_now_and_then_waits_for_the_rest),
        TEST(without_limits_all_passes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
