/*
 * Which states of frontend and backend fit: every combination gets a verdict, and the known good
 * and the known bad ones get the right one.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pairs.h"

static enum fit judge(int front, int back)
{
    struct device_end front_end = {.there = true, .state = front};
    struct device_end back_end = {.there = true, .state = back};
    const char *why = "unset";
    enum fit fit = pair_judge(&front_end, &back_end, &why);

    /* Whatever is not settled is explained, and only that. */
    if (fit == FIT_SETTLED) {
        assert_null(why);
    } else {
        assert_non_null(why);
    }
    return fit;
}

static void settled_pairs(void **state)
{
    (void)state;
    assert_int_equal(judge(4, 4), FIT_SETTLED);
    assert_int_equal(judge(6, 6), FIT_SETTLED);
    assert_int_equal(judge(8, 7), FIT_SETTLED);
}

static void pairs_on_the_way(void **state)
{
    static const int moving[][2] = {{1, 1}, {1, 2}, {3, 2}, {3, 4}, {4, 2}, {4, 5},
                                    {5, 4}, {5, 5}, {6, 5}, {6, 2}, {5, 6}};

    (void)state;
    for (size_t i = 0; i < sizeof(moving) / sizeof(moving[0]); i++) {
        assert_int_equal(judge(moving[i][0], moving[i][1]), FIT_MOVING);
    }
}

static void pairs_that_do_not_fit(void **state)
{
    static const int broken[][2] = {{4, 6},           {6, 4}, {1, 6},
                                    {3, 6},           {1, 4}, {2, 4},
                                    {0, 4},           {4, 0}, {STATE_MALFORMED, 4},
                                    {4, STATE_ABSENT}};

    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        assert_int_equal(judge(broken[i][0], broken[i][1]), FIT_BROKEN);
    }
}

static void every_combination_has_a_verdict(void **state)
{
    (void)state;
    for (int front = STATE_ABSENT; front <= 8; front++) {
        for (int back = STATE_ABSENT; back <= 8; back++) {
            judge(front, back);
        }
    }
}

static void a_missing_end_is_a_mismatch(void **state)
{
    struct device_end there = {.there = true, .state = 4}, gone = {.state = STATE_ABSENT};
    const char *why = NULL;

    (void)state;
    assert_int_equal(pair_judge(&there, &gone, &why), FIT_BROKEN);
    assert_string_equal(why, "no backend directory");
    assert_int_equal(pair_judge(&gone, &there, &why), FIT_BROKEN);
    assert_string_equal(why, "no frontend directory");
}

static void parses_states(void **state)
{
    (void)state;
    assert_int_equal(state_parse("4"), 4);
    assert_int_equal(state_parse("0"), 0);
    assert_int_equal(state_parse("8"), 8);
    assert_int_equal(state_parse(NULL), STATE_ABSENT);
    assert_int_equal(state_parse("9"), STATE_MALFORMED);
    assert_int_equal(state_parse(""), STATE_MALFORMED);
    assert_int_equal(state_parse("44"), STATE_MALFORMED);
    assert_int_equal(state_parse("-1"), STATE_MALFORMED);
    assert_string_equal(state_name(2), "InitWait");
    assert_string_equal(state_name(STATE_MALFORMED), "malformed");
    assert_string_equal(state_name(42), "malformed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settled_pairs),
        cmocka_unit_test(pairs_on_the_way),
        cmocka_unit_test(pairs_that_do_not_fit),
        cmocka_unit_test(every_combination_has_a_verdict),
        cmocka_unit_test(a_missing_end_is_a_mismatch),
        cmocka_unit_test(parses_states),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
