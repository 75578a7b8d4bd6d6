/*
 * What the supervisor and the worker of a network device say to each other, behind the envelope
 * that all classes share (lib/wire.h).
 */
#ifndef DUET_NET_WIRE_H
#define DUET_NET_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "../lib/wire.h"

#define NET_WIRE_MAX_QUEUES 8U

struct net_wire_queue {
    uint32_t tx_ref, rx_ref;
    uint32_t tx_port, rx_port; /* the same number twice: one event channel for both */
};

/* What may change while the device is connected. */
struct net_wire_settings {
    uint64_t rate_bytes; /* per interval; 0: no limit */
    uint64_t rate_us;
    uint32_t headroom;      /* bytes to leave free at the start of each received page */
    uint32_t stall_seconds; /* without room for so long: the link is down */
    bool multicast_control;
};

/* First message, supervisor to worker, with the tap's descriptors: one for each queue. */
struct net_wire_config {
    struct wire_head head;
    uint32_t nr_queues;
    struct net_wire_queue queues[NET_WIRE_MAX_QUEUES];
    bool has_ctrl;
    uint32_t ctrl_ref, ctrl_port;
    bool can_sg;           /* the guest takes packets of several slots */
    bool csum_v4, csum_v6; /* the guest completes checksums of what it receives */
    bool gso_v4, gso_v6;   /* the guest takes packets yet to be segmented */
    bool rx_notify;        /* the guest says when it has made room */
    struct net_wire_settings settings;
};

/* Later messages, supervisor to worker, beside WIRE_STOP. */
enum net_wire_order_kind {
    NET_WIRE_SET = WIRE_CLASS_ORDER, /* new settings */
};

struct net_wire_order {
    uint32_t kind;
    struct net_wire_settings settings;
};

/* Worker to supervisor, beside the reports of lib/wire.h. */
enum net_wire_report_kind {
    NET_WIRE_CARRIER = WIRE_CLASS_REPORT, /* the link went up (err 0) or down (err ETIMEDOUT) */
};

static const struct wire_format net_wire_format = {
    .daemon = "duet-netd",
    .magic = 0x35746e64U, /* "dnt5": changes with these structures */
    .config_bytes = sizeof(struct net_wire_config),
    .order_bytes = sizeof(struct net_wire_order),
};

#endif
