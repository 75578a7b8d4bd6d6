/*
 * What is told of a disk: see blk_figures.h.
 */
#include "blk_figures.h"

#include "inflight.h"

/* clang-format off */
#define OF_EACH_OP(figure)                                  \
    {                                                       \
        {"op=\"read\"", (figure) + BLK_READ},               \
        {"op=\"write\"", (figure) + BLK_WRITE},             \
        {"op=\"flush\"", (figure) + BLK_FLUSH},             \
        {"op=\"discard\"", (figure) + BLK_DISCARD},         \
    }
/* clang-format on */

static const struct metric rows[] = {
    {.name = "duet_block_up",
     .help = "Whether a worker serves the disk, moves, and counts what can be true.",
     .kind = METRIC_GAUGE,
     .series = {{"", METRIC_UP}}},
    {.name = "duet_block_connected",
     .help = "Whether the guest is connected to its disk.",
     .kind = METRIC_GAUGE,
     .series = {{"", METRIC_CONNECTED}}},
    {.name = "duet_block_worker_restarts_total",
     .help = "Workers that were started in the place of one that died or hung.",
     .kind = METRIC_COUNTER,
     .series = {{"", METRIC_RESTARTS}}},
    {.name = "duet_block_requests_total",
     .help = "Requests of the guest that were answered, those by an error among them.",
     .kind = METRIC_COUNTER,
     .series = OF_EACH_OP(BLK_FIGURE_REQUESTS)},
    {.name = "duet_block_errors_total",
     .help = "Requests of the guest that were answered by an error.",
     .kind = METRIC_COUNTER,
     .series = OF_EACH_OP(BLK_FIGURE_ERRORS)},
    {.name = "duet_block_refused_total",
     .help = "Requests that made no sense, and were answered by an error without being tried.",
     .kind = METRIC_COUNTER,
     .series = {{"", BLK_FIGURE_REFUSED}}},
    {.name = "duet_block_bytes_total",
     .help = "Bytes of the requests that were carried out.",
     .kind = METRIC_COUNTER,
     .series = {{"op=\"read\"", BLK_FIGURE_BYTES + BLK_READ},
                {"op=\"write\"", BLK_FIGURE_BYTES + BLK_WRITE},
                {"op=\"discard\"", BLK_FIGURE_BYTES + BLK_DISCARD}}},
    {.name = "duet_block_request_duration_seconds",
     .help = "Time from taking a request from the ring to its answer.",
     .kind = METRIC_HISTOGRAM,
     .series = {{"", BLK_FIGURE_TIME}}},
    {.name = "duet_block_outstanding_requests",
     .help = "Requests that were taken from the ring and not answered yet.",
     .kind = METRIC_GAUGE,
     .most = INFLIGHT_SLOTS,
     .series = {{"", BLK_FIGURE_OUTSTANDING}}},
    {.name = "duet_block_queue_depth",
     .help = "Requests that can be outstanding at once.",
     .kind = METRIC_GAUGE,
     .most = INFLIGHT_SLOTS,
     .series = {{"", BLK_FIGURE_SLOTS}}},
};

const struct metric_table blk_disk_metrics = {.metrics = rows,
                                              .nr = sizeof(rows) / sizeof(rows[0])};
