/*
 * What a supervisor tells of its devices by HTTP: see metrics.h for what, metrics_http.h for how.
 */
#ifndef DUET_LIB_SUPERVISOR_METRICS_H
#define DUET_LIB_SUPERVISOR_METRICS_H

struct supervisor;

/* Listens where the configuration says, from now on; called again when that has changed. */
void supervisor_metrics_follow(struct supervisor *sup);

/* Listens no more. Harmless when it does not. */
void supervisor_metrics_end(struct supervisor *sup);

#endif
