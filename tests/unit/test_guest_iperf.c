/*
 * What the guest's iperf makes of a stream of datagrams (lost, late and doubled ones, numbers of 32
 * and 64 bits, jitter), and the report that the two sides exchange, read as the peer lays it out.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shell/iperf_stream.h"

#define LENGTH 100U
#define START  (1700000000ULL * NSEC_PER_SEC)

/* A datagram that was sent at START + `sent` and came at START + `came`. */
static int take(struct iperf_stream *s, int64_t number, nsec_t sent, nsec_t came)
{
    uint8_t head[IPERF_FLAGS_BYTES];

    iperf_datagram_put(head, sizeof(head), number, START + sent);
    return iperf_stream_take(s, head, LENGTH, came, START + came);
}

static void nothing_lost(void **state)
{
    struct iperf_stream s = {0};
    struct iperf_report r;

    (void)state;
    for (int64_t i = 1; i <= 10; i++) {
        assert_int_equal(take(&s, i, (nsec_t)i * NSEC_PER_MSEC, (nsec_t)i * NSEC_PER_MSEC), 0);
    }
    assert_false(s.ended);
    assert_int_equal(take(&s, -11, 11 * NSEC_PER_MSEC, 11 * NSEC_PER_MSEC), 0);
    assert_true(s.ended);
    iperf_stream_report(&s, &r);
    assert_int_equal(r.datagrams, 11);
    assert_int_equal(r.bytes, 11 * LENGTH);
    assert_int_equal(r.lost, 0);
    assert_int_equal(r.out_of_order, 0);
    assert_int_equal(r.jitter_us, 0);
    assert_int_equal(r.took_us, 10000);
}

static void lost_late_and_doubled(void **state)
{
    const int64_t numbers[] = {3, 4, 7, 6, 7, 8, 2, -12};
    struct iperf_stream s = {0};
    struct iperf_report r;

    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        assert_int_equal(take(&s, numbers[i], 0, 0), 0);
    }
    iperf_stream_report(&s, &r);
    assert_int_equal(r.datagrams, 12);
    assert_int_equal(r.out_of_order, 3); /* 6, the second 7, 2 */
    assert_int_equal(r.lost, 4);         /* 1, 5, 9 to 11, less one for the second 7 */
}

static void what_is_no_stream(void **state)
{
    struct iperf_stream s = {0};
    uint8_t head[IPERF_HEAD_BYTES] = {0};

    (void)state;
    assert_int_equal(take(&s, -5, 0, 0), -EINVAL);
    assert_int_equal(iperf_stream_take(&s, head, IPERF_HEAD_BYTES - 1, 0, 0), -EINVAL);
    assert_int_equal(s.datagrams, 0);
}

/* The lower halves of numbers past 2^31 look negative; a peer without flags means them so. */
static void wide_numbers(void **state)
{
    struct iperf_stream s = {0}, old = {0};
    const uint8_t first[IPERF_FLAGS_BYTES] = {0, 0, 0, 1};
    const uint8_t end[IPERF_FLAGS_BYTES] = {0xff, 0xff, 0xff, 0xfe};

    (void)state;
    assert_int_equal(take(&s, 1, 0, 0), 0);
    assert_int_equal(take(&s, 0x80000000LL, 0, 0), 0);
    assert_false(s.ended);
    assert_int_equal(s.lost, 0x80000000LL - 2);
    assert_int_equal(take(&s, -0x180000000LL, 0, 0), 0);
    assert_true(s.ended);
    assert_int_equal(s.last, 0x180000000LL);

    assert_int_equal(iperf_stream_take(&old, first, LENGTH, 0, START), 0);
    assert_int_equal(iperf_stream_take(&old, end, LENGTH, 0, START), 0);
    assert_true(old.ended);
    assert_int_equal(old.last, 2);
}

/* RFC 3550's estimator: a change of 16 ms moves it by one. */
static void jitter(void **state)
{
    struct iperf_stream s = {0};
    struct iperf_report r;

    (void)state;
    assert_int_equal(take(&s, 1, 0, 5 * NSEC_PER_MSEC), 0);
    assert_int_equal(take(&s, 2, 0, 21 * NSEC_PER_MSEC), 0);
    iperf_stream_report(&s, &r);
    assert_int_equal(r.jitter_us, 1000);
    assert_int_equal(take(&s, 3, 0, 5 * NSEC_PER_MSEC), 0);
    iperf_stream_report(&s, &r);
    assert_int_equal(r.jitter_us, 1937);
}

/* What goes out comes back. */
static void reports(void **state)
{
    const struct iperf_report r = {.bytes = 0x123456789aULL,
                                   .datagrams = 0x200000003ULL,
                                   .lost = 0x100000001ULL,
                                   .out_of_order = 7,
                                   .took_us = 12345678,
                                   .jitter_us = 1000042};
    uint8_t text[IPERF_REPORT_BYTES];
    struct iperf_report got;

    (void)state;
    iperf_report_put(text, &r);
    assert_int_equal(iperf_report_get(text, sizeof(text), &got), 0);
    assert_memory_equal(&got, &r, sizeof(r));
    assert_int_equal(iperf_report_get(text, 56, &got), 0); /* a peer without upper halves */
    assert_int_equal(got.datagrams, 3);
    assert_int_equal(iperf_report_get(text, 55, &got), -EINVAL);
    text[16] = 0;
    assert_int_equal(iperf_report_get(text, sizeof(text), &got), -EINVAL);
}

/* The words of a report of iperf 2.1.8, at their places. */
static void report_of_the_peer(void **state)
{
    uint8_t text[IPERF_REPORT_BYTES] = {0};
    struct iperf_report got;

    (void)state;
    text[16] = 0x80;
    text[27] = 200; /* bytes */
    text[31] = 2;   /* seconds */
    text[35] = 5;   /* microseconds */
    text[39] = 3;   /* lost */
    text[43] = 4;   /* out of order */
    text[47] = 9;   /* datagrams */
    text[55] = 6;   /* jitter's microseconds */
    assert_int_equal(iperf_report_get(text, sizeof(text), &got), 0);
    assert_int_equal(got.bytes, 200);
    assert_int_equal(got.took_us, 2000005);
    assert_int_equal(got.lost, 3);
    assert_int_equal(got.out_of_order, 4);
    assert_int_equal(got.datagrams, 9);
    assert_int_equal(got.jitter_us, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_lost),
                                       cmocka_unit_test(lost_late_and_doubled),
                                       cmocka_unit_test(what_is_no_stream),
                                       cmocka_unit_test(wide_numbers),
                                       cmocka_unit_test(jitter),
                                       cmocka_unit_test(reports),
                                       cmocka_unit_test(report_of_the_peer)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
