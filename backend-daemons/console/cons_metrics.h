/*
 * What the console daemon tells of its consoles by HTTP: see lib/metrics.h for what,
 * lib/metrics_http.h for how.
 */
#ifndef DUET_CONSOLE_METRICS_H
#define DUET_CONSOLE_METRICS_H

#include "../lib/metrics.h"

extern const struct metric_table cons_metrics;

/* A metrics_text_fn; `arg` is the struct cons_daemon. */
char *cons_metrics_text(void *arg, unsigned long *len);

#endif
