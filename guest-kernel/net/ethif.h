/*
 * ethif.h - an Ethernet interface of lwIP over one of io/net.h.
 */
#ifndef NET_ETHIF_H
#define NET_ETHIF_H

#include "io/net.h"
#include "kern/lock.h"
#include "lwip/netif.h"
#include "lwip/tcpip.h"
#include "net/groups.h"

struct rx_frame;
struct tcp_pcb;

struct ethif {
    struct netif netif; /* lwIP's lock */
    struct net_dev *dev;
    char name[NET_NAME_MAX];
    bool csum_v4, csum_v6; /* TCP's checksums are left to the other end */
    bool gso_v4, gso_v6;   /* and large segments, too */
    u16_t mtu, mtu6;       /* the interface's own, while lwIP's is hidden */
    ip4_addr_t said;       /* the address that was told in the log */
    struct groups groups;  /* what it listens to */
    bool dead;             /* removed; the message under way frees it */

    struct tcpip_callback_msg *msg; /* has the tcpip thread look at events */
    bool posted;                    /* it is under way. Atomic */
    unsigned events;                /* EV_* of ethif.c. Atomic */

    spinlock_t rx_lock;
    struct rx_frame *rx_first, **rx_last;
    size_t rx_bytes;     /* queued */
    uint64_t rx_dropped; /* no memory, or the queue was full */
};

/** ethif_of() - the interface that lwIP's belongs to, NULL for the loopback. */
struct ethif *ethif_of(const struct netif *netif);

/**
 * ethif_bulk() - have an established connection send large segments, if its interface can cut them
 *
 * lwIP's lock is held.
 */
void ethif_bulk(struct tcp_pcb *pcb);

/** ethif_arrived() - serve an interface from here on: net_set_arrival(). Thread context. */
void ethif_arrived(struct net_dev *dev);

#endif /* NET_ETHIF_H */
