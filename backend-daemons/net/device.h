/*
 * One network device of one guest, as its back end sees it: what is an interface's own in the life
 * that all devices share (lib/life.h), namely its tap, and what may change while it is connected.
 *
 * The tap is made before state 2 is written, because the toolstack runs its script then. The device
 * is not connected before the script has finished (`hotplug-status`).
 *
 * The tap outlives the phases, and also the daemon (tap.h). A daemon that is started again finds
 * it, and takes up rings that are in use where their responses end. The network forgives what got
 * lost.
 *
 * Types: struct netd, struct net_device.
 */
#ifndef DUET_NET_DEVICE_H
#define DUET_NET_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "supervisor.h"
#include "tap.h"
#include "wire.h"

/* The daemon: what all devices share. */
struct netd {
    struct supervisor sup; /* first */
    /* configuration */
    const char *tap_prefix; /* what stands before D.N in the tap's name */
    unsigned int max_queues;
    unsigned int own_vcpus; /* of this domain: so many queues where the guest's cannot be seen */
    unsigned int stall_seconds;
};

struct net_device {
    struct supervised base;  /* first */
    bool has_script;         /* the toolstack runs a script, whose end is to be waited for */
    unsigned int max_queues; /* offered */
    struct tap tap;
    bool tap_busy;                 /* somebody else had it at the last try */
    unsigned int offload;          /* TUN_F_*: what the guest can receive */
    struct net_wire_config config; /* that the worker has */
    char nr_fds[16];               /* for the worker's command line */
    bool link_down;                /* says the worker */
    bool carrier_due;              /* the store does not say so yet */
    struct log_limit carrier_log, counts_log;
    struct store_watch mcast_watch;
};

/* What the supervisor does with network devices: it is the one user of device.c. */
extern const struct supervisor_ops netd_ops;

static inline struct net_device *net_device_of(struct supervised *base)
{
    return (struct net_device *)base; /* its first member */
}

/* The daemon that a device belongs to. */
static inline const struct netd *net_device_daemon(const struct net_device *dev)
{
    return (const struct netd *)dev->base.sup; /* its first member */
}

#endif
