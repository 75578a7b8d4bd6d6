/*
 * One receive ring: from the tap to the guest.
 *
 * Reads of the tap fill buffers (net_rx_post(), net_rx_complete()), which wait in order until the
 * guest has room for them. net_rx_deliver() then carries a batch over with one grant copy, answers
 * the guest's slots in their own places (front ends rely on that), and gives the buffers back.
 *
 * A guest that makes no room costs nobody but itself. No more than its buffers are filled, and the
 * rest waits in the tap's queue, which is short. After NET_RX_DRAIN_NS the waiting packets are
 * dropped, so that no memory is held for them. After the stall time the link is reported down, and
 * the host does not send any more. The first room that the guest makes ends this.
 *
 * Types: struct net_rx, net_rx_buffer.
 */
#ifndef DUET_NET_RX_H
#define DUET_NET_RX_H

#include <stdbool.h>
#include <stdint.h>
#include <xengnttab.h>

#include "grant.h"
#include "ring.h"
#include "vif.h"

#define NET_RX_BUFFERS      48U
#define NET_RX_CHAIN        16U /* reads that are queued at once */
#define NET_RX_BUFFER_BYTES (18U * GRANT_PAGE_BYTES)
#define NET_RX_MAX_SLOTS    256U
#define NET_RX_DRAIN_NS     10000000000ULL

struct net_rx;

struct net_rx_buffer {
    struct net_rx_buffer *next;
    struct net_rx *home; /* whose buffer it is; another queue may be delivering it */
    uint8_t *data;       /* the packet, at the start of a page; the tap's header ends here */
    uint32_t bytes;      /* of the packet */
    struct virtio_net_hdr header;
    struct net_hash_result hash;
};

/* A response, or an extra-info slot in place of one. */
union net_rx_slot {
    struct {
        uint16_t id, offset, flags;
        int16_t status;
    } response;
    uint8_t extra[8];
    uint32_t words[2]; /* as which it is written to the ring */
};

struct net_rx {
    struct net_vif *vif;
    struct net_rx *all; /* the queues of the device, an array of vif->hash.nr_queues */
    unsigned int queue;
    int tap_fd;
    struct ring_back ring;
    struct grant_copy_batch copies;
    struct net_rx_buffer buffers[NET_RX_BUFFERS];
    struct net_rx_buffer *free;
    unsigned int nr_free;
    unsigned int posted;                 /* reads of the tap under way */
    struct net_rx_buffer *first, **tail; /* wait for room, in order */
    unsigned int waiting;
    uint32_t want;             /* slots that the first one needs */
    uint64_t blocked_since_ns; /* 0: the guest has room */
    bool stalled;              /* for so long that the link is down */
    union net_rx_slot slots[NET_RX_MAX_SLOTS];
    unsigned int nr_slots; /* of the batch at hand */
};

/* Prepares the buffers (memory is touched only when used). Returns 0 or -errno. */
int net_rx_init(struct net_rx *r, xengnttab_handle *xgt, uint16_t domid);

/* Queues reads of the tap, if buffers are free and none are under way. */
void net_rx_post(struct net_rx *r);

/* A read into buffer `index` has ended. The packet may go to another queue of the device. */
void net_rx_complete(struct net_rx *r, unsigned int index, int res);

/*
 * Delivers what the guest has room for. Returns 0, or -EPROTO when the guest broke the ring.
 * `*notify` is set when the guest must be notified.
 */
int net_rx_deliver(struct net_rx *r, bool *notify);

/* Whether waiting now is right: if room is needed, asks the guest for an event and looks again. */
bool net_rx_may_wait(const struct net_rx *r);

#endif
