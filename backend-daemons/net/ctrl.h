/*
 * The control ring: messages by which a guest configures hashing (hash.h). There are few in a
 * guest's life.
 *
 * Types: struct net_ctrl.
 */
#ifndef DUET_NET_CTRL_H
#define DUET_NET_CTRL_H

#include <stdbool.h>
#include <stdint.h>
#include <xengnttab.h>

#include "grant.h"
#include "hash.h"
#include "ring.h"

/* Bytes of an entry: the larger of request and response. */
#define NET_CTRL_ENTRY_BYTES 16U

struct net_ctrl {
    struct net_hash *hash;
    struct ring_back ring;
    struct grant_copy_batch copies;
    bool copy_failed;
};

/* Prepares for the ring that c->ring describes. Returns 0 or -errno. */
int net_ctrl_init(struct net_ctrl *c, struct net_hash *hash, xengnttab_handle *xgt, uint16_t domid);

/*
 * Carries out what waits. Returns 0, or -EPROTO when the guest broke the ring. `*notify` is set
 * when the guest must be notified.
 */
int net_ctrl_take(struct net_ctrl *c, bool *notify);

#endif
