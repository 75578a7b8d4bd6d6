/*
 * Multicast control (xen/io/netif.h): the list of multicast addresses that a guest wants to hear.
 * The guest changes the list by extra-info slots. It is applied only while the guest asks for it.
 *
 * A worker that takes over from another has no list, and the guest does not know that it is lost:
 * then all multicast is passed on.
 *
 * Types: struct net_mcast.
 */
#ifndef DUET_NET_MCAST_H
#define DUET_NET_MCAST_H

#include <stdbool.h>
#include <stdint.h>

#include "gate.h"

#define NET_MCAST_MAX 64U

struct net_mcast {
    bool enabled;
    bool unknown; /* the list was made before us */
    unsigned int nr;
    uint8_t list[NET_MCAST_MAX][NET_MAC_BYTES];
};

/* Adds or removes an address. Returns 0, or -ENOSPC when the list is full. */
int net_mcast_change(struct net_mcast *m, enum net_mcast_op op, const uint8_t mac[NET_MAC_BYTES]);

/* Whether a frame to this address is for the guest. Broadcast and unicast always are. */
bool net_mcast_wanted(const struct net_mcast *m, const uint8_t mac[NET_MAC_BYTES]);

#endif
