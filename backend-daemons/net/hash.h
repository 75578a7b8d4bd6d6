/*
 * Hashing of what the guest receives (xen/io/netif.h, "Hash types" and "Control messages"). The
 * guest chooses the Toeplitz algorithm, a key, which headers count, and a table from hash to queue.
 *
 * net_hash_request() carries out a control message. The one page of guest memory that it needs is
 * fetched by a callback, so that everything here can be tested without Xen. net_hash_packet() gives
 * the hash of a frame, net_hash_queue() the queue that it belongs to.
 *
 * Types: struct net_hash, net_hash_result.
 */
#ifndef DUET_NET_HASH_H
#define DUET_NET_HASH_H

#include <stdbool.h>
#include <stdint.h>

#include "frame.h"

#define NET_HASH_KEY_BYTES 40U
#define NET_HASH_MAPPING   128U

struct net_hash {
    uint32_t nr_queues;
    uint32_t algorithm; /* XEN_NETIF_CTRL_HASH_ALGORITHM_* */
    uint32_t flags;     /* XEN_NETIF_CTRL_HASH_TYPE_*, what is hashed */
    uint8_t key[NET_HASH_KEY_BYTES];
    uint32_t mapping_size; /* 0: modulo the number of queues */
    uint32_t mapping[NET_HASH_MAPPING];
};

struct net_hash_result {
    bool valid;
    uint8_t type; /* number of the bit: _XEN_NETIF_CTRL_HASH_TYPE_* */
    uint32_t value;
};

/* Copies `bytes` bytes from the start of the guest's page `ref`. Returns 0 or -errno. */
typedef int net_hash_fetch_fn(void *arg, uint32_t ref, void *to, uint32_t bytes);

/*
 * Carries out the control request `req` (struct xen_netif_ctrl_request, a private copy) and fills
 * `rsp` (struct xen_netif_ctrl_response). Every field of it is the guest's and is checked.
 */
struct xen_netif_ctrl_request;
struct xen_netif_ctrl_response;
void net_hash_request(struct net_hash *h, const struct xen_netif_ctrl_request *req,
                      struct xen_netif_ctrl_response *rsp, net_hash_fetch_fn *fetch, void *arg);

/* The hash of a frame, if the guest wants one of its kind. */
struct net_hash_result net_hash_packet(const struct net_hash *h, const uint8_t *data,
                                       const struct net_frame *f);

/* The queue for a hash. Less than nr_queues for sure. */
uint32_t net_hash_queue(const struct net_hash *h, const struct net_hash_result *r);

/* Whether the guest has asked for hashing at all. */
bool net_hash_enabled(const struct net_hash *h);

/* The Toeplitz hash of `bytes` bytes under a key of NET_HASH_KEY_BYTES. */
uint32_t net_hash_toeplitz(const uint8_t *key, const uint8_t *data, uint32_t bytes);

#endif
