/*
 * A daemon's figures as text for Prometheus (exposition format 0.0.4).
 *
 * What a class tells is one table: a row for each metric, which says where in a device's values the
 * metric's series stand. The values are the figures that a device's worker has counted (figures.h),
 * and behind them what the supervisor knows by itself.
 *
 * Names of domains come from the store, and may be a guest's: a label's value is escaped twice,
 * first to what is harmless to a terminal, then to what the format asks for.
 *
 * Types: struct metric, metric_table, metric_row.
 */
#ifndef DUET_LIB_METRICS_H
#define DUET_LIB_METRICS_H

#include <stdio.h>

#include "figures.h"

#define METRIC_SERIES_MAX 4U
#define METRIC_DEVICE_MAX 32

enum metric_kind {
    METRIC_COUNTER,
    METRIC_GAUGE,
    METRIC_HISTOGRAM, /* of times: the figure that a series names is their sum in nanoseconds, and
                         METRIC_BUCKETS + 1 counts stand behind it, each of its bucket alone */
};

/* The supervisor's own values, behind the worker's. */
enum metric_own {
    METRIC_UP = FIGURES_MAX, /* a worker serves, moves, and its figures make sense */
    METRIC_CONNECTED,
    METRIC_RESTARTS,
    METRIC_VALUES,
};

struct metric_series {
    const char *labels; /* `op="read"`; "": none but the device's; NULL: no more series */
    unsigned int at;
};

struct metric {
    const char *name, *help;
    enum metric_kind kind;
    uint64_t most; /* of a gauge that a worker writes: more is a lie */
    struct metric_series series[METRIC_SERIES_MAX];
};

struct metric_table {
    const struct metric *metrics;
    unsigned int nr;
};

/* Upper bounds of a histogram's buckets, in nanoseconds; the last bucket has none. */
#define METRIC_BUCKETS 16U
static const uint64_t metric_bounds_ns[METRIC_BUCKETS] = {
    50000,    100000,   250000,    500000,    1000000,   2500000,    5000000,    10000000,
    25000000, 50000000, 100000000, 250000000, 500000000, 1000000000, 2500000000, 10000000000};

/* Figures that a histogram takes. */
#define METRIC_HISTOGRAM_FIGURES (METRIC_BUCKETS + 2U)

/* For the worker: something took so long. `at` is where the histogram begins. */
static inline void metric_time(struct figures *f, unsigned int at, uint64_t ns)
{
    unsigned int bucket = 0;

    while (bucket < METRIC_BUCKETS && ns > metric_bounds_ns[bucket]) {
        bucket++;
    }
    figures_add(f, at, ns);
    figures_add(f, at + 1 + bucket, 1);
}

/* One device. */
struct metric_row {
    int domid;
    const char *domain;             /* its name; NULL: not known */
    char device[METRIC_DEVICE_MAX]; /* "vbd/51712" */
    uint64_t value[METRIC_VALUES];
};

/* How high each figure of a table may be. */
void metric_bounds(const struct metric_table *table, struct figures_bounds *bounds);

/* Copies the figures into a row's values. */
void metric_put(struct metric_row *row, const struct figures *figures);

/* Nobody serves the device: what its last worker had said of itself is gone with it. */
void metric_drop_gauges(struct metric_row *row, const struct figures_bounds *bounds);

/* Writes a label's value, escaped and in quotes. */
void metrics_write_label(FILE *out, const char *value);

/*
 * All metrics of all rows, and what is said of every daemon: version and start. Returns the text,
 * of *len bytes and the caller's to free; NULL: there is no memory.
 */
char *metrics_text(const struct metric_table *table, const struct metric_row *rows,
                   unsigned int nr_rows, const char *daemon, int64_t start_s, unsigned long *len);

#endif
