/*
 * groups.h - the multicast addresses that an interface listens to.
 */
#ifndef NET_GROUPS_H
#define NET_GROUPS_H

#include "io/net.h"
#include "lwip/netif.h"

/* Several groups of IP share an Ethernet address. lwIP's lock covers it. */
struct groups {
    unsigned n;
    uint8_t macs[NET_MULTICAST_MAX][NET_MAC_LEN];
    uint16_t users[NET_MULTICAST_MAX]; /* how many groups want it */
};

/**
 * groups_begin() - have the driver know, from now on, what lwIP listens to on an interface
 *
 * For the function that netif_add() calls, of an interface that ethif_of() knows.
 */
void groups_begin(struct netif *netif);

#endif /* NET_GROUPS_H */
