/*
 * One network device of one guest, as its back end sees it: the XenBus state machine.
 *
 * Phases, and the `state` that the store shows meanwhile:
 *
 *   NEW       tap created, features published: to WAITING (2); the toolstack runs its script now
 *   WAITING   front end at 4 and the script done (`hotplug-status`): worker started, to STARTING
 *   STARTING  worker is ready: to CONNECTED (4)
 *   CONNECTED front end closed or gone: to STOPPING (5); worker died of itself: to WAITING, which
 *             starts another
 *   STOPPING  worker gone: to CLOSED (6)
 *   CLOSED    front end starts anew: to WAITING (2); directory removed: tap removed, freed
 *
 * evaluate() is the only place where phases change by what the store says; every event just
 * asks for it to run, and it reads afresh what it needs. So no order of events is assumed. The
 * directory of the front end belongs to the guest and everything in it is checked; that of the back
 * end is written by the toolstack.
 *
 * The tap outlives the phases and also the daemon (tap.h): one that is started again finds it, and
 * takes up rings that are in use where their responses end. The network forgives what got lost.
 *
 * Types: struct netd, struct device. One thread, no locks. At suspend the toolstack removes
 * the device; after the restore there is a new one under a new domain id.
 */
#ifndef DUET_NET_DEVICE_H
#define DUET_NET_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "child.h"
#include "supervisor.h"
#include "tap.h"
#include "wire.h"

/* The daemon: what all devices share. */
struct netd {
    struct supervisor sup; /* first */
    /* configuration */
    const char *tap_prefix; /* what stands before D.N in the tap's name */
    unsigned int max_queues;
    unsigned int stall_seconds;
};

enum device_phase {
    DEVICE_NEW,
    DEVICE_WAITING,
    DEVICE_STARTING,
    DEVICE_CONNECTED,
    DEVICE_STOPPING,
    DEVICE_CLOSED,
};

struct device {
    struct supervised base; /* first */
    enum device_phase phase;
    bool unusable;           /* no tap: nothing to wait for but removal */
    bool reported;           /* the worker has said why it ends */
    bool has_script;         /* the toolstack runs a script, whose end is to be waited for */
    unsigned int max_queues; /* offered */
    struct tap tap;
    struct child worker;
    struct net_wire_settings settings; /* that the worker has */
    unsigned int deaths;               /* of workers, one soon after the other */
    struct store_watch mcast_watch;
};

/* What the supervisor does with network devices: it is the one user of device.c. */
extern const struct supervisor_ops netd_ops;

/* The daemon that a device belongs to. */
static inline const struct netd *device_netd(const struct device *dev)
{
    return (const struct netd *)dev->base.sup; /* its first member */
}

#endif
