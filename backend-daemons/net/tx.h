/*
 * One transmit ring: from the guest to the tap.
 *
 * A turn, net_tx_take(), has these stages, each for a batch of packets:
 *   1. slots are copied from the ring and pass the gate (gate.h)
 *   2. one grant copy fetches the data of the whole batch into buffers of ours
 *   3. offload requests are checked against the packets' own headers, and become the tap's header
 *   4. the guest is answered: it has its pages back before the packets are on their way
 *   5. one write to the tap is queued for each packet; all go with one system call
 *
 * net_tx_complete() gives a buffer back when its write has ended.
 *
 * Types: struct net_tx, net_tx_buffer.
 */
#ifndef DUET_NET_TX_H
#define DUET_NET_TX_H

#include <stdbool.h>
#include <stdint.h>
#include <xengnttab.h>

#include "gate.h"
#include "grant.h"
#include "ring.h"
#include "vif.h"

#define NET_TX_BUFFERS 64U
#define NET_TX_BUFFER_BYTES                                               \
    (18U * GRANT_PAGE_BYTES) /* a packet, wherever in two pages it begins \
                              */

struct net_tx_buffer {
    struct net_tx_buffer *next;
    uint8_t *memory; /* NET_TX_BUFFER_BYTES */
    uint8_t *data;   /* the packet; the tap's header ends here */
    int err;         /* -errno: refused */
    struct net_packet packet;
};

struct net_tx {
    struct net_vif *vif;
    unsigned int queue; /* its number */
    int tap_fd;
    struct ring_back ring;
    struct grant_copy_batch copies;
    struct net_tx_buffer buffers[NET_TX_BUFFERS];
    struct net_tx_buffer *free;
    unsigned int in_flight; /* writes to the tap */
    uint32_t want;          /* slots without which there is nothing to do */
    bool no_credit;         /* the next packet waits for vif.credit */
};

/* Prepares the buffers (memory is touched only when used). Returns 0 or -errno. */
int net_tx_init(struct net_tx *t, xengnttab_handle *xgt, uint16_t domid);

/*
 * Takes a batch of packets. Returns how many slots were answered, or -EPROTO when the guest broke
 * the ring. `*notify` is set when the guest must be notified.
 */
int net_tx_take(struct net_tx *t, bool *notify);

/* The write from buffer `index` has ended. */
void net_tx_complete(struct net_tx *t, unsigned int index, int res);

/* Whether waiting now is right: asks the guest for an event, then looks at the ring once more. */
bool net_tx_may_wait(const struct net_tx *t);

#endif
