/*
 * xnf_mcast.h - which multicast addresses the back end has to be told of.
 *
 * Multicast control (xen/io/netif.h): a back end that was asked to passes on only the multicast of
 * a list, which the front end changes by extra info. Here is the list as the user wants it, and as
 * the back end has it. Plain C; the owner's lock covers it.
 */
#ifndef IO_XENNETF_XNF_MCAST_H
#define IO_XENNETF_XNF_MCAST_H

#include "io/net.h"

struct xnf_mcast {
    uint8_t wanted[NET_MULTICAST_MAX][NET_MAC_LEN];
    uint8_t told[NET_MULTICAST_MAX][NET_MAC_LEN];
    unsigned nwanted, ntold;
};

/* A change that the back end is to make. */
struct xnf_mcast_change {
    bool add;
    uint8_t mac[NET_MAC_LEN];
};

/**
 * xnf_mcast_want() - from now on, these
 *
 * An address that stands there twice counts once. Return: 0, -ENOSPC with nothing changed.
 */
int xnf_mcast_want(struct xnf_mcast *m, const uint8_t (*macs)[NET_MAC_LEN],
                   unsigned n) __must_check;

/**
 * xnf_mcast_next() - the next change, which counts as told from then on
 *
 * What goes comes first, so that the back end's list is never longer than ours. False: there is
 * none.
 */
bool xnf_mcast_next(struct xnf_mcast *m, struct xnf_mcast_change *change);

/** xnf_mcast_forget() - a new back end has been told nothing. */
void xnf_mcast_forget(struct xnf_mcast *m);

#endif /* IO_XENNETF_XNF_MCAST_H */
