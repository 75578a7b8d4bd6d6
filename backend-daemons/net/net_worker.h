/*
 * What of a worker (lib/worker.h) is an interface's.
 *
 * A turn looks at every ring. If a whole turn found nothing, the worker may look some more times
 * (patience.h); then it asks for events again and waits.
 *
 * If it is killed, nothing of it remains but the rings. Every slot that it took is answered in the
 * order of the ring and published in one store with its neighbours, so the next worker goes on at
 * `rsp_prod`. What was taken and not published is taken again. A packet may be doubled or lost by
 * that, as on any wire, but no slot is answered twice.
 *
 * Types: struct net_worker.
 */
#ifndef DUET_NET_WORKER_H
#define DUET_NET_WORKER_H

#include "../lib/worker.h"
#include "ctrl.h"
#include "patience.h"
#include "rx.h"
#include "tx.h"
#include "vif.h"
#include "wire.h"

struct net_worker {
    struct worker base; /* first; its descriptors are the tap's, one for each queue */
    struct net_wire_config config;
    evtchn_port_t tx_ports[NET_WIRE_MAX_QUEUES], rx_ports[NET_WIRE_MAX_QUEUES], ctrl_port;
    bool link_up;
    bool expects_more;            /* the last turn with work took packets from the guest only */
    struct net_patience patience; /* for the next of these */
    uint64_t waits_since;         /* 0: the last turn did not end in a wait that counts */
    struct net_vif vif;
    struct net_tx tx[NET_WIRE_MAX_QUEUES];
    struct net_rx rx[NET_WIRE_MAX_QUEUES];
    struct net_ctrl ctrl;
};

static inline struct net_worker *net_worker_of(struct worker *base)
{
    return (struct net_worker *)base; /* its first member */
}

extern const struct worker_class net_worker_class;

#endif
