/*
 * What the queues of one device share inside its worker: the guest's abilities, settings,
 * statistics, filter and hash, and the limit on its log lines. Also how completions are told apart.
 *
 * Types: struct net_vif.
 */
#ifndef DUET_NET_VIF_H
#define DUET_NET_VIF_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>

#include "bucket.h"
#include "engine.h"
#include "hash.h"
#include "log.h"
#include "loop.h"
#include "mcast.h"
#include "net_figures.h"
#include "wire.h"

/* Bytes of the header that the tap puts before each packet: the short form without num_buffers. */
#define NET_VNET_HEADER ((uint32_t)sizeof(struct virtio_net_hdr))

/* However small the limit of `rate=` is, two of the largest packets may pass at once. */
#define NET_VIF_BURST_BYTES (2U * 65536U)

/* A completion's tag: what, of which queue, which buffer of it. */
enum net_vif_tag {
    NET_TAG_TX = 1,
    NET_TAG_RX,
};
#define NET_TAG(kind, queue, index) ((uint64_t)(kind) << 32 | (uint64_t)(queue) << 16 | (index))
#define NET_TAG_KIND(tag)           ((unsigned int)((tag) >> 32))
#define NET_TAG_QUEUE(tag)          ((unsigned int)((tag) >> 16 & 0xffff))
#define NET_TAG_INDEX(tag)          ((unsigned int)((tag)&0xffff))

struct net_vif {
    struct log_id id;
    uint64_t now_ns; /* of this turn; 0: nobody has asked yet, see net_vif_now() */
    int tap_error;   /* -errno: the tap is lost */
    struct io_uring *uring;
    struct figures *figures;
    struct bucket credit;    /* the limit of `rate=`, in bytes */
    struct net_mcast *mcast; /* both live in what outlives the worker (estate.h) */
    struct net_hash *hash;
    struct log_limit guest_log; /* mistakes of the guest */
    bool can_sg, csum_v4, csum_v6, gso_v4, gso_v6;
    uint32_t headroom;
};

/*
 * CLOCK_MONOTONIC of this turn. In a PV domain the clock is a system call: few turns need it, none
 * needs it twice.
 */
static inline uint64_t net_vif_now(struct net_vif *vif)
{
    if (vif->now_ns == 0) {
        vif->now_ns = loop_now_ns();
    }
    return vif->now_ns;
}

#endif
