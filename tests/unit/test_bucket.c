/*
 * The token bucket lets the burst pass and then what it promises, neither more nor less, whatever
 * the pace at which it is asked, and whatever the numbers.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bucket.h"

#define SECOND 1000000000ULL

static void the_burst_passes_then_it_waits(void **state)
{
    struct bucket b;
    uint64_t now = 5 * SECOND;

    (void)state;
    bucket_set(&b, 1000, SECOND, 4000, now);
    assert_int_equal(bucket_tokens(&b, now), 1000);
    now += 100 * SECOND;
    assert_int_equal(bucket_tokens(&b, now), 4000);
    bucket_spend(&b, 4000);
    assert_int_equal(bucket_tokens(&b, now), 0);
    now += bucket_wait_ns(&b, 1001, now);
    assert_in_range(bucket_tokens(&b, now), 1001, 1002);
    assert_int_equal(bucket_wait_ns(&b, 1000, now), 0);
}

static void fractions_add_up(void **state)
{
    struct bucket b;
    uint64_t now = 0, passed = 0;

    (void)state;
    bucket_set(&b, 1000, SECOND, 1000, now);
    bucket_spend(&b, 1000);
    /* Steps of a third of a millisecond. */
    for (int i = 0; i < 30000; i++) {
        uint64_t tokens;

        now += SECOND / 3000;
        tokens = bucket_tokens(&b, now);
        bucket_spend(&b, tokens);
        passed += tokens;
    }
    assert_in_range(passed, 9990, 10000);
}

static void long_silence_and_overdraft_do_no_harm(void **state)
{
    struct bucket b;

    (void)state;
    bucket_set(&b, UINT64_MAX / 2, SECOND, 0, 0);
    bucket_spend(&b, UINT64_MAX);
    assert_int_equal(bucket_tokens(&b, UINT64_MAX - 1), UINT64_MAX / 2);
    bucket_set(&b, 10, UINT64_MAX, 0, 0);
    bucket_spend(&b, UINT64_MAX);
    assert_int_equal(bucket_tokens(&b, UINT64_MAX), 10);
}

static void without_a_limit_everything_passes(void **state)
{
    struct bucket b = {0};

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(bucket_tokens(&b, 1), UINT64_MAX);
        bucket_spend(&b, 1000);
        assert_true(bucket_take(&b, 65535, 1));
        assert_int_equal(bucket_wait_ns(&b, 65535, 1), 0);
        bucket_set(&b, i == 0 ? 0 : 1000, i == 0 ? SECOND : 0, 0, 1);
    }
}

/* As a network device does with rate=10MB/s. */
static void whole_packets_pass_at_the_rate(void **state)
{
    struct bucket b;
    uint64_t now = 1000, passed = 0;

    (void)state;
    bucket_set(&b, 10000, 1000000, 131072, now);
    for (unsigned int i = 0; i < 1000000; i++, now += 1000) {
        passed += bucket_take(&b, 1500, now) ? 1500 : 0;
    }
    assert_in_range(passed, 9900000, 10300000);
}

static void the_largest_packet_passes_a_small_limit(void **state)
{
    struct bucket b;
    uint64_t now = 0;

    (void)state;
    bucket_set(&b, 1000, 50000000, 131072, now);
    while (!bucket_take(&b, 65535, now)) {
        assert_true(b.next_ns > now);
        now = b.next_ns;
    }
    assert_in_range(now, 64ULL * 50000000, 67ULL * 50000000);
}

/* What is owed is paid before anything is there again, and nothing is gained or lost by it. */
static void what_is_owed_is_paid_first(void **state)
{
    struct bucket b;
    uint64_t now = 7 * SECOND;

    (void)state;
    bucket_set(&b, 1000, SECOND, 2000, now);
    bucket_owe(&b, 600);
    assert_int_equal(bucket_tokens(&b, now), 400);
    bucket_owe(&b, 5400);
    assert_int_equal(bucket_tokens(&b, now), 0);
    assert_int_equal(bucket_tokens(&b, now + 4999999999ULL), 0);
    assert_int_equal(bucket_wait_ns(&b, 1, now + 4999999999ULL), 1000002);
    assert_false(bucket_take(&b, 1, now + 5 * SECOND));
    assert_true(bucket_take(&b, 500, now + 5500000000ULL));
    bucket_owe(&b, 300);
    bucket_give_back(&b, 1000); /* the debt first */
    assert_int_equal(bucket_tokens(&b, now + 5500000000ULL), 700);
    bucket_give_back(&b, 5000); /* and never more than the burst */
    assert_int_equal(bucket_tokens(&b, now + 5500000000ULL), 2000);
    bucket_owe(&b, 1000000);
    assert_int_equal(bucket_tokens(&b, now + 5000 * SECOND), 2000);
    bucket_set(&b, 0, SECOND, 0, now);
    bucket_owe(&b, 1000);
    assert_int_equal(bucket_tokens(&b, now), UINT64_MAX);
}

/* What has passed since the last whole token is not waited for again. */
static void a_wait_begins_now(void **state)
{
    struct bucket b;

    (void)state;
    bucket_set(&b, 1, SECOND, 1, 0);
    bucket_spend(&b, 1);
    assert_int_equal(bucket_tokens(&b, 900000000), 0);
    assert_in_range(bucket_wait_ns(&b, 1, 900000000), 100000000, 100000001);
    assert_false(bucket_take(&b, 1, 900000000));
    assert_in_range(b.next_ns, SECOND, SECOND + 1);
    assert_int_equal(bucket_wait_ns(&b, 1, 2 * SECOND), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_burst_passes_then_it_waits),
        cmocka_unit_test(fractions_add_up),
        cmocka_unit_test(long_silence_and_overdraft_do_no_harm),
        cmocka_unit_test(without_a_limit_everything_passes),
        cmocka_unit_test(whole_packets_pass_at_the_rate),
        cmocka_unit_test(the_largest_packet_passes_a_small_limit),
        cmocka_unit_test(what_is_owed_is_paid_first),
        cmocka_unit_test(a_wait_begins_now),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
