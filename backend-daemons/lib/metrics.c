/*
 * Figures as text for Prometheus: see metrics.h.
 */
#include "metrics.h"

#include <inttypes.h>
#include <stdlib.h>

#include "log.h"

#define NS_PER_S  UINT64_C(1000000000)
#define LABEL_MAX 1024U

void metric_bounds(const struct metric_table *table, struct figures_bounds *bounds)
{
    *bounds = (struct figures_bounds){.gauge = {0}};
    for (unsigned int i = 0; i < table->nr; i++) {
        const struct metric *m = &table->metrics[i];

        for (unsigned int s = 0; s < METRIC_SERIES_MAX && m->series[s].labels != NULL; s++) {
            if (m->series[s].at < FIGURES_MAX) {
                bounds->gauge[m->series[s].at] = m->most;
            }
        }
    }
}

void metric_put(struct metric_row *row, const struct figures *figures)
{
    for (unsigned int i = 0; i < FIGURES_MAX; i++) {
        row->value[i] = figures->value[i];
    }
}

void metric_drop_gauges(struct metric_row *row, const struct figures_bounds *bounds)
{
    for (unsigned int i = 0; i < FIGURES_MAX; i++) {
        if (bounds->gauge[i] != 0) {
            row->value[i] = 0;
        }
    }
}

void metrics_write_label(FILE *out, const char *value)
{
    char shown[LABEL_MAX];

    log_escape(shown, sizeof(shown), value);
    fputc('"', out);
    for (const char *c = shown; *c != '\0'; c++) {
        if (*c == '\\' || *c == '"') {
            fputc('\\', out);
        }
        fputc(*c, out);
    }
    fputc('"', out);
}

/* The labels of a series, without the last brace. */
static void metrics_write_labels(FILE *out, const struct metric_row *row, const char *labels)
{
    fprintf(out, "{domid=\"%d\",domain=", row->domid);
    metrics_write_label(out, row->domain != NULL ? row->domain : "");
    fputs(",device=", out);
    metrics_write_label(out, row->device);
    fprintf(out, "%s%s", *labels != '\0' ? "," : "", labels);
}

/* Seconds with as many digits as it takes. */
static void metrics_write_seconds(FILE *out, uint64_t ns)
{
    char digits[10];
    int n;

    n = snprintf(digits, sizeof(digits), "%09" PRIu64, ns % NS_PER_S);
    while (n > 1 && digits[n - 1] == '0') {
        digits[--n] = '\0';
    }
    fprintf(out, "%" PRIu64 ".%s", ns / NS_PER_S, digits);
}

static void metrics_write_histogram(FILE *out, const struct metric *m, const struct metric_row *row,
                                    const struct metric_series *series)
{
    const uint64_t *figures = &row->value[series->at];
    uint64_t count = 0;

    for (unsigned int i = 0; i <= METRIC_BUCKETS; i++) {
        count += figures[1 + i];
        fprintf(out, "%s_bucket", m->name);
        metrics_write_labels(out, row, series->labels);
        fputs(",le=\"", out);
        if (i < METRIC_BUCKETS) {
            metrics_write_seconds(out, metric_bounds_ns[i]);
        } else {
            fputs("+Inf", out);
        }
        fprintf(out, "\"} %" PRIu64 "\n", count);
    }
    fprintf(out, "%s_sum", m->name);
    metrics_write_labels(out, row, series->labels);
    fputs("} ", out);
    metrics_write_seconds(out, figures[0]);
    fprintf(out, "\n%s_count", m->name);
    metrics_write_labels(out, row, series->labels);
    fprintf(out, "} %" PRIu64 "\n", count);
}

static void metrics_write_head(FILE *out, const char *name, const char *help, const char *type)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void metrics_write_one(FILE *out, const struct metric *m, const struct metric_row *row)
{
    for (unsigned int s = 0; s < METRIC_SERIES_MAX && m->series[s].labels != NULL; s++) {
        const struct metric_series *series = &m->series[s];

        if (m->kind == METRIC_HISTOGRAM) {
            metrics_write_histogram(out, m, row, series);
            continue;
        }
        fputs(m->name, out);
        metrics_write_labels(out, row, series->labels);
        fprintf(out, "} %" PRIu64 "\n", row->value[series->at]);
    }
}

static void metrics_write_table(FILE *out, const struct metric_table *table,
                                const struct metric_row *rows, unsigned int nr_rows)
{
    static const char *const kinds[] = {
        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};

    for (unsigned int i = 0; i < table->nr; i++) {
        const struct metric *m = &table->metrics[i];

        metrics_write_head(out, m->name, m->help, kinds[m->kind]);
        for (unsigned int r = 0; r < nr_rows; r++) {
            metrics_write_one(out, m, &rows[r]);
        }
    }
}

char *metrics_text(const struct metric_table *table, const struct metric_row *rows,
                   unsigned int nr_rows, const char *daemon, int64_t start_s, unsigned long *len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, len);
    bool failed;

    if (out == NULL) {
        return NULL;
    }
    metrics_write_head(out, "duet_daemon_info", "The daemon, by name and version.", "gauge");
    fprintf(out, "duet_daemon_info{daemon=\"%s\",version=\"%s\"} 1\n", daemon, DUET_VERSION);
    metrics_write_head(out, "duet_daemon_start_time_seconds",
                       "When the daemon began to count, in seconds since 1970.", "gauge");
    fprintf(out, "duet_daemon_start_time_seconds{daemon=\"%s\"} %" PRId64 "\n", daemon, start_s);
    metrics_write_table(out, table, rows, nr_rows);
    failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}
