/*
 * What a worker counts, in memory that its supervisor sees: so nobody has to be asked, and a worker
 * that does not answer holds up nobody.
 *
 * Each worker gets memory of its own, of zeros; what the workers before it had counted is kept by
 * the supervisor and added, so that a total never goes back when a worker is replaced. A request
 * whose worker was killed while it answered may be counted by none of the two.
 *
 * The worker may be a guest's, if that one has taken it over. What it writes is copied once and
 * checked as a whole: a total that goes back, or is more than FIGURE_MOST, or a gauge beyond its
 * bound is a lie. Then what was believed last stays, and `lies` says so until the next worker. It
 * is logged once.
 *
 * Totals stop at FIGURE_MOST on both sides: an honest worker counts no further, however much its
 * guest discards, and neither do several workers together.
 *
 * What a figure means is the class's business (metrics.h).
 *
 * Types: struct figures, which the worker writes and the supervisor reads at any time;
 * struct figures_view, the supervisor's.
 */
#ifndef DUET_LIB_FIGURES_H
#define DUET_LIB_FIGURES_H

#include <stdbool.h>
#include <stdint.h>

#include "log.h"

#define FIGURES_MAX 64U

/* Where totals stop. So many that the counts of all buckets of a histogram fit in 64 bits. */
#define FIGURE_MOST (UINT64_C(1) << 59)

struct figures {
    uint64_t value[FIGURES_MAX];
};

/* For the worker: the one that writes. */
static inline void figures_set(struct figures *f, unsigned int at, uint64_t value)
{
    __atomic_store_n(&f->value[at], value, __ATOMIC_RELAXED);
}

/* The sum of two totals. */
static inline uint64_t figure_sum(uint64_t a, uint64_t b)
{
    return a < FIGURE_MOST && b < FIGURE_MOST - a ? a + b : FIGURE_MOST;
}

static inline void figures_add(struct figures *f, unsigned int at, uint64_t n)
{
    figures_set(f, at, figure_sum(f->value[at], n));
}

/* Zero-initialise the rest. */
struct figures_view {
    const struct log_id *id;      /* what a lie is logged about; NULL: the daemon */
    const struct figures *memory; /* of the worker; NULL: there has been none */
    struct figures before;        /* the totals of earlier workers */
    struct figures last;          /* of this one, as believed last */
    bool lies;                    /* has lied, once or more */
};

/* How high each figure may be: 0 for a total, else a gauge's bound. */
struct figures_bounds {
    uint64_t gauge[FIGURES_MAX];
};

/*
 * The memory for another worker. No worker runs. Returns a descriptor, which the worker is to get,
 * or -errno.
 */
int figures_renew(struct figures_view *view, const struct figures_bounds *bounds);

/* Reads what the worker has counted, and leaves all totals and gauges in `now`. */
void figures_read(struct figures_view *view, const struct figures_bounds *bounds,
                  struct figures *now);

/* Gives up the memory. */
void figures_release(struct figures_view *view);

#endif
