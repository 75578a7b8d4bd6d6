/*
 * iperf_stream.h - one stream of datagrams as iperf (version 2) counts it, and its two messages.
 *
 * Every datagram begins with 16 bytes, big-endian: the lower half of its number, when it was sent
 * (seconds, microseconds), the upper half of the number. Numbers begin at 1; a negative one ends
 * the stream and is counted like the others. The word behind them has flags: that the upper half
 * of the number counts. The end is answered by a report of 128 bytes: 16 as above, then flags,
 * bytes (two words), duration (seconds, microseconds), datagrams lost, out of order and in all,
 * jitter (seconds, microseconds), 15 words that nobody has to fill in, and the upper halves of the
 * three counts.
 *
 * Plain C.
 */
#ifndef SHELL_IPERF_STREAM_H
#define SHELL_IPERF_STREAM_H

#include "kern/types.h"

#define IPERF_HEAD_BYTES   16u
#define IPERF_FLAGS_BYTES  20u /* with the flags: all that is looked at */
#define IPERF_REPORT_BYTES 128u

/* What the receiving side knows of a stream. */
struct iperf_stream {
    uint64_t datagrams, bytes; /* that came */
    uint64_t last;             /* the highest number: how many were sent, as far as is known */
    uint64_t lost, out_of_order;
    nsec_t start, end; /* when the first and the latest came */
    int64_t transit, jitter;
    bool wide;  /* numbers have 64 bits */
    bool ended; /* its end has come */
};

/* What the one side tells the other. */
struct iperf_report {
    uint64_t bytes, datagrams, lost, out_of_order; /* @datagrams: lost ones, too */
    uint64_t took_us, jitter_us;
};

/**
 * iperf_stream_take() - count a datagram
 * @head: its first bytes, up to IPERF_FLAGS_BYTES of its @len
 * @now: of clock_now(); @wall: of clock_wall()
 *
 * Return: 0; -EINVAL if it is too short, or ends a stream that has not begun.
 */
int iperf_stream_take(struct iperf_stream *s, const uint8_t *head, size_t len, nsec_t now,
                      nsec_t wall) __must_check;

/** iperf_stream_report() - what can be told of it. */
void iperf_stream_report(const struct iperf_stream *s, struct iperf_report *report);

/** iperf_datagram_put() - write a datagram's first bytes, of @len; @number: negative at the end. */
void iperf_datagram_put(uint8_t *head, size_t len, int64_t number, nsec_t wall);

/** iperf_report_put() - write the answer to the end of a stream: IPERF_REPORT_BYTES. */
void iperf_report_put(uint8_t *to, const struct iperf_report *report);

/** iperf_report_get() - read one. Return: 0, -EINVAL if it is none. */
int iperf_report_get(const uint8_t *from, size_t len, struct iperf_report *report) __must_check;

#endif /* SHELL_IPERF_STREAM_H */
