/*
 * iperf_stream.c - a stream of datagrams in numbers. See iperf_stream.h.
 *
 * Nothing that came is trusted: numbers and times are only calculated with.
 */
#include "shell/iperf_stream.h"

#include "kern/string.h"

#define REPORT_VALID 0x80000000u /* the report holds something */
#define NUMBERS_WIDE 0x08000000u /* upper halves of numbers count */
#define REPORT_LEAST 56u         /* bytes, up to the jitter */

/* The report's words behind its first four. */
enum {
    R_FLAGS = 4,
    R_BYTES = 5,
    R_TOOK = 7,
    R_LOST = 9,
    R_OUT_OF_ORDER = 10,
    R_DATAGRAMS = 11,
    R_JITTER = 12,
    R_LOST_UPPER = 29,
    R_OUT_OF_ORDER_UPPER = 30,
    R_DATAGRAMS_UPPER = 31,
};

static uint32_t iperf_stream_word(const uint8_t *from, unsigned i)
{
    const uint8_t *b = from + (size_t)i * 4;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static void put_word(uint8_t *to, unsigned i, uint64_t value)
{
    for (unsigned b = 0; b < 4; b++) {
        to[i * 4 + b] = (uint8_t)(value >> (24 - 8 * b));
    }
}

/* RFC 3550, 6.4.1: a sixteenth of how much the time under way changed. */
static void count_jitter(struct iperf_stream *s, int64_t transit)
{
    int64_t change = transit - s->transit;

    s->transit = transit;
    if (s->datagrams != 0) {
        s->jitter += ((change < 0 ? -change : change) - s->jitter) / 16;
    }
}

static void count_number(struct iperf_stream *s, uint64_t number)
{
    if (number > s->last) {
        s->lost += number - s->last - 1;
        s->last = number;
    } else if (s->datagrams != 0 && !s->ended) {
        s->out_of_order++;
        s->lost -= s->lost != 0 ? 1 : 0;
    }
}

int iperf_stream_take(struct iperf_stream *s, const uint8_t *head, size_t len, nsec_t now,
                      nsec_t wall)
{
    if (len < IPERF_HEAD_BYTES) {
        return -EINVAL;
    }
    if (s->datagrams == 0) {
        s->start = now;
        s->wide = len >= IPERF_FLAGS_BYTES && (iperf_stream_word(head, 4) & NUMBERS_WIDE);
    }
    int64_t number =
        s->wide ? (int64_t)((uint64_t)iperf_stream_word(head, 3) << 32 | iperf_stream_word(head, 0))
                : (int32_t)iperf_stream_word(head, 0);
    if (number < 0 && s->datagrams == 0) {
        return -EINVAL;
    }
    nsec_t sent =
        iperf_stream_word(head, 1) * NSEC_PER_SEC + iperf_stream_word(head, 2) * NSEC_PER_USEC;
    s->ended = number < 0;
    count_number(s, number < 0 ? -(uint64_t)number : (uint64_t)number);
    count_jitter(s, (int64_t)(wall - sent));
    s->datagrams++;
    s->bytes += len;
    s->end = now;
    return 0;
}

void iperf_stream_report(const struct iperf_stream *s, struct iperf_report *report)
{
    *report = (struct iperf_report){.bytes = s->bytes,
                                    .datagrams = MAX(s->last, 1u),
                                    .lost = s->lost,
                                    .out_of_order = s->out_of_order,
                                    .took_us = (s->end - s->start) / NSEC_PER_USEC,
                                    .jitter_us = (uint64_t)s->jitter / NSEC_PER_USEC};
}

void iperf_datagram_put(uint8_t *head, size_t len, int64_t number, nsec_t wall)
{
    put_word(head, 0, (uint64_t)number);
    put_word(head, 1, wall / NSEC_PER_SEC);
    put_word(head, 2, wall % NSEC_PER_SEC / NSEC_PER_USEC);
    put_word(head, 3, (uint64_t)number >> 32);
    if (len >= IPERF_FLAGS_BYTES) {
        put_word(head, 4, NUMBERS_WIDE);
    }
}

void iperf_report_put(uint8_t *to, const struct iperf_report *report)
{
    memset(to, 0, IPERF_REPORT_BYTES);
    put_word(to, R_FLAGS, REPORT_VALID | NUMBERS_WIDE);
    put_word(to, R_BYTES, report->bytes >> 32);
    put_word(to, R_BYTES + 1, report->bytes);
    put_word(to, R_TOOK, report->took_us / 1000000);
    put_word(to, R_TOOK + 1, report->took_us % 1000000);
    put_word(to, R_LOST, report->lost);
    put_word(to, R_OUT_OF_ORDER, report->out_of_order);
    put_word(to, R_DATAGRAMS, report->datagrams);
    put_word(to, R_JITTER, report->jitter_us / 1000000);
    put_word(to, R_JITTER + 1, report->jitter_us % 1000000);
    put_word(to, R_LOST_UPPER, report->lost >> 32);
    put_word(to, R_OUT_OF_ORDER_UPPER, report->out_of_order >> 32);
    put_word(to, R_DATAGRAMS_UPPER, report->datagrams >> 32);
}

int iperf_report_get(const uint8_t *from, size_t len, struct iperf_report *report)
{
    if (len < REPORT_LEAST || (iperf_stream_word(from, R_FLAGS) & REPORT_VALID) == 0) {
        return -EINVAL;
    }
    bool wide = len >= IPERF_REPORT_BYTES && (iperf_stream_word(from, R_FLAGS) & NUMBERS_WIDE);
#define COUNT(n) \
    ((uint64_t)(wide ? iperf_stream_word(from, n##_UPPER) : 0) << 32 | iperf_stream_word(from, n))
    *report = (struct iperf_report){.bytes = (uint64_t)iperf_stream_word(from, R_BYTES) << 32 |
                                             iperf_stream_word(from, R_BYTES + 1),
                                    .datagrams = COUNT(R_DATAGRAMS),
                                    .lost = COUNT(R_LOST),
                                    .out_of_order = COUNT(R_OUT_OF_ORDER),
                                    .took_us = iperf_stream_word(from, R_TOOK) * 1000000ull +
                                               iperf_stream_word(from, R_TOOK + 1),
                                    .jitter_us = iperf_stream_word(from, R_JITTER) * 1000000ull +
                                                 iperf_stream_word(from, R_JITTER + 1)};
#undef COUNT
    return 0;
}
