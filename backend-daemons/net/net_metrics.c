/*
 * What is told of an interface: see net_figures.h.
 */
#include "net_figures.h"

#include "wire.h"

#define FROM_GUEST "direction=\"from_guest\""
#define TO_GUEST   "direction=\"to_guest\""

static const struct metric rows[] = {
    {.name = "duet_net_up",
     .help = "Whether a worker serves the interface, moves, and counts what can be true.",
     .kind = METRIC_GAUGE,
     .series = {{"", METRIC_UP}}},
    {.name = "duet_net_connected",
     .help = "Whether the guest is connected to its interface.",
     .kind = METRIC_GAUGE,
     .series = {{"", METRIC_CONNECTED}}},
    {.name = "duet_net_worker_restarts_total",
     .help = "Workers that were started in the place of one that died or hung.",
     .kind = METRIC_COUNTER,
     .series = {{"", METRIC_RESTARTS}}},
    {.name = "duet_net_packets_total",
     .help = "Packets that were passed on.",
     .kind = METRIC_COUNTER,
     .series = {{FROM_GUEST, NET_FIGURE_TX_PACKETS}, {TO_GUEST, NET_FIGURE_RX_PACKETS}}},
    {.name = "duet_net_bytes_total",
     .help = "Bytes of those packets.",
     .kind = METRIC_COUNTER,
     .series = {{FROM_GUEST, NET_FIGURE_TX_BYTES}, {TO_GUEST, NET_FIGURE_RX_BYTES}}},
    {.name = "duet_net_dropped_total",
     .help = "Packets that were lost: the host did not take them, or the guest had no room.",
     .kind = METRIC_COUNTER,
     .series = {{FROM_GUEST, NET_FIGURE_TX_DROPPED}, {TO_GUEST, NET_FIGURE_RX_DROPPED}}},
    {.name = "duet_net_refused_total",
     .help = "Packets of the guest that made no sense.",
     .kind = METRIC_COUNTER,
     .series = {{"", NET_FIGURE_TX_REFUSED}}},
    {.name = "duet_net_copies_total",
     .help = "Pieces of guest memory that were copied.",
     .kind = METRIC_COUNTER,
     .series = {{"", NET_FIGURE_COPIES}}},
    {.name = "duet_net_events_total",
     .help = "Events that came from the guest.",
     .kind = METRIC_COUNTER,
     .series = {{"", NET_FIGURE_EVENTS}}},
    {.name = "duet_net_notifications_total",
     .help = "Events that were sent to the guest.",
     .kind = METRIC_COUNTER,
     .series = {{"", NET_FIGURE_NOTIFICATIONS}}},
    {.name = "duet_net_stalls_total",
     .help = "Times that the link went down because the guest took no packets.",
     .kind = METRIC_COUNTER,
     .series = {{"", NET_FIGURE_STALLS}}},
    {.name = "duet_net_link_up",
     .help = "Whether the link is up.",
     .kind = METRIC_GAUGE,
     .most = 1,
     .series = {{"", NET_FIGURE_LINK}}},
    {.name = "duet_net_queues",
     .help = "Queues in use.",
     .kind = METRIC_GAUGE,
     .most = NET_WIRE_MAX_QUEUES,
     .series = {{"", NET_FIGURE_QUEUES}}},
};

const struct metric_table net_interface_metrics = {.metrics = rows,
                                                   .nr = sizeof(rows) / sizeof(rows[0])};
