/*
 * What a disk's worker counts (lib/figures.h), and what is told of it (blk_metrics.c).
 */
#ifndef DUET_BLOCK_FIGURES_H
#define DUET_BLOCK_FIGURES_H

#include "gate.h"
#include "../lib/metrics.h"

#define BLK_NR_OPS (BLK_DISCARD + 1U)

enum blk_figure {
    BLK_FIGURE_REQUESTS,                                  /* answered, one for each enum blk_op */
    BLK_FIGURE_ERRORS = BLK_FIGURE_REQUESTS + BLK_NR_OPS, /* of them by an error */
    BLK_FIGURE_BYTES = BLK_FIGURE_ERRORS + BLK_NR_OPS,    /* of those without an error */
    BLK_FIGURE_REFUSED = BLK_FIGURE_BYTES + BLK_NR_OPS,   /* at the gate: of no operation */
    BLK_FIGURE_OUTSTANDING,                               /* taken, and not answered */
    BLK_FIGURE_SLOTS,                                     /* that can be outstanding */
    BLK_FIGURE_TIME,                                      /* a histogram, from taken to answered */
    BLK_FIGURES = BLK_FIGURE_TIME + METRIC_HISTOGRAM_FIGURES,
};

_Static_assert((unsigned int)BLK_FIGURES <= FIGURES_MAX, "a worker has room for them");

extern const struct metric_table blk_disk_metrics;

#endif
