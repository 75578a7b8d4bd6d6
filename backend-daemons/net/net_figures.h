/*
 * What an interface's worker counts (lib/figures.h), and what is told of it (net_metrics.c). Both
 * directions are as the host sees them: rx is to the guest.
 */
#ifndef DUET_NET_FIGURES_H
#define DUET_NET_FIGURES_H

#include "../lib/metrics.h"

enum net_figure {
    NET_FIGURE_TX_PACKETS,
    NET_FIGURE_TX_BYTES,
    NET_FIGURE_TX_REFUSED, /* that made no sense */
    NET_FIGURE_TX_DROPPED, /* that the tap did not take */
    NET_FIGURE_RX_PACKETS,
    NET_FIGURE_RX_BYTES,
    NET_FIGURE_RX_DROPPED,
    NET_FIGURE_COPIES,
    NET_FIGURE_EVENTS,
    NET_FIGURE_NOTIFICATIONS,
    NET_FIGURE_STALLS,
    NET_FIGURE_LINK,   /* 1: up */
    NET_FIGURE_QUEUES, /* in use */
    NET_FIGURES,
};

_Static_assert((unsigned int)NET_FIGURES <= FIGURES_MAX, "a worker has room for them");

extern const struct metric_table net_interface_metrics;

#endif
