/*
 * What supervisor and worker say to each other over their socket (lib/child.h). Both are built from
 * the same tree and started together; the worker is the less trusted side, so the supervisor checks
 * the length and kind of what it gets and treats texts as untrusted.
 *
 * The worker receives everything it needs in the first message, descriptors included, so that one
 * can be started for a device that is in use already. Plain data: no locks, nothing to suspend.
 */
#ifndef DUET_NET_WIRE_H
#define DUET_NET_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#define WIRE_MAGIC      0x31746e64U /* "dnt1": changes with these structures */
#define WIRE_MAX_QUEUES 8U

struct wire_queue {
    uint32_t tx_ref, rx_ref;
    uint32_t tx_port, rx_port; /* the same number twice: one event channel for both */
};

/* What may change while the device is connected. */
struct wire_settings {
    uint64_t rate_bytes; /* per interval; 0: no limit */
    uint64_t rate_us;
    uint32_t headroom; /* bytes to leave free at the start of each received page */
    bool multicast_control;
};

/* First message, supervisor to worker, with the tap's descriptors: one for each queue. */
struct wire_config {
    uint32_t magic;
    uint16_t domid;
    int32_t device;
    uint32_t uid; /* to become */
    int32_t log_level;
    uint32_t nr_queues;
    struct wire_queue queues[WIRE_MAX_QUEUES];
    bool has_ctrl;
    uint32_t ctrl_ref, ctrl_port;
    bool can_sg;            /* the guest takes packets of several slots */
    bool csum_v4, csum_v6;  /* the guest completes checksums of what it receives */
    bool gso_v4, gso_v6;    /* the guest takes packets yet to be segmented */
    bool rx_notify;         /* the guest says when it has made room */
    uint32_t stall_seconds; /* without room for so long: the link is down */
    struct wire_settings settings;
};

/* Later messages, supervisor to worker. */
enum wire_order_kind {
    WIRE_STOP = 1, /* finish what was taken from the rings, then exit with status 0 */
    WIRE_SET,      /* new settings */
    WIRE_COUNT,    /* report the statistics */
};

struct wire_order {
    uint32_t kind;
    struct wire_settings settings;
};

/* Packets and what became of them; both directions as the host sees them (rx: to the guest). */
struct wire_statistics {
    uint64_t tx_packets, tx_bytes, tx_refused, tx_dropped;
    uint64_t rx_packets, rx_bytes, rx_dropped;
    uint64_t copies, events, notifications, stalls;
};

/* Worker to supervisor. */
enum wire_report_kind {
    WIRE_READY = 1, /* serving: connected, caged */
    WIRE_FAILED,    /* could not start; exits */
    WIRE_BROKEN,    /* the guest broke the protocol; exits */
    WIRE_CARRIER,   /* the link went up (err 0) or down (err ETIMEDOUT) */
    WIRE_COUNTS,    /* the statistics, as asked for; also at the end */
};

struct wire_report {
    uint32_t kind;
    int32_t err; /* positive errno */
    struct wire_statistics statistics;
    char text[240];
};

#endif
