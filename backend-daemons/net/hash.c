/*
 * Toeplitz hashing under the guest's control: see hash.h.
 */
#include "hash.h"

#include <string.h>
#include <xen/xen.h>
#include <xen/io/netif.h>

#define ALL_TYPES                                                        \
    (XEN_NETIF_CTRL_HASH_TYPE_IPV4 | XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP | \
     XEN_NETIF_CTRL_HASH_TYPE_IPV6 | XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP)
#define IPV4_ADDRESSES 12U /* offset of source and destination in an IPv4 header */
#define IPV6_ADDRESSES 8U
#define PORTS_BYTES    4U
#define MAX_TUPLE      36U
#define PAGE_BYTES     4096U

bool net_hash_enabled(const struct net_hash *h)
{
    return h->algorithm == XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ && h->flags != 0;
}

static uint32_t net_hash_set_algorithm(struct net_hash *h, uint32_t algorithm)
{
    if (algorithm != XEN_NETIF_CTRL_HASH_ALGORITHM_NONE &&
        algorithm != XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ) {
        return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
    }
    h->algorithm = algorithm;
    return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

static uint32_t net_hash_get_flags(const struct net_hash *h, uint32_t *data)
{
    if (h->algorithm == XEN_NETIF_CTRL_HASH_ALGORITHM_NONE) {
        return XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED;
    }
    *data = ALL_TYPES;
    return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

static uint32_t net_hash_set_flags(struct net_hash *h, uint32_t flags)
{
    if ((flags & ~(uint32_t)ALL_TYPES) != 0) {
        return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
    }
    if (h->algorithm == XEN_NETIF_CTRL_HASH_ALGORITHM_NONE) {
        return XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED;
    }
    h->flags = flags;
    return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

static uint32_t net_hash_set_key(struct net_hash *h, uint32_t ref, uint32_t bytes,
                                 net_hash_fetch_fn *fetch, void *arg)
{
    uint8_t key[NET_HASH_KEY_BYTES] = {0};

    if (bytes > NET_HASH_KEY_BYTES) {
        return XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW;
    }
    if (bytes != 0 && fetch(arg, ref, key, bytes) != 0) {
        return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
    }
    memcpy(h->key, key, sizeof(key));
    return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

static uint32_t net_hash_set_mapping_size(struct net_hash *h, uint32_t size)
{
    if (size > NET_HASH_MAPPING) {
        return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
    }
    h->mapping_size = size;
    memset(h->mapping, 0, sizeof(h->mapping));
    return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

static uint32_t net_hash_set_mapping(struct net_hash *h, const uint32_t *data,
                                     net_hash_fetch_fn *fetch, void *arg)
{
    uint32_t ref = data[0], count = data[1], first = data[2];
    uint32_t part[NET_HASH_MAPPING];

    if (count > PAGE_BYTES / sizeof(part[0])) {
        return XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW;
    }
    if (first > h->mapping_size || count > h->mapping_size - first) {
        return XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW;
    }
    if (count != 0 && fetch(arg, ref, part, count * (uint32_t)sizeof(part[0])) != 0) {
        return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (part[i] >= h->nr_queues) {
            return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
        }
    }
    memcpy(&h->mapping[first], part, count * sizeof(part[0]));
    return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

void net_hash_request(struct net_hash *h, const struct xen_netif_ctrl_request *req,
                      struct xen_netif_ctrl_response *rsp, net_hash_fetch_fn *fetch, void *arg)
{
    memset(rsp, 0, sizeof(*rsp));
    rsp->id = req->id;
    rsp->type = req->type;
    switch (req->type) {
    case XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM:
        rsp->status = net_hash_set_algorithm(h, req->data[0]);
        break;
    case XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS:
        rsp->status = net_hash_get_flags(h, &rsp->data);
        break;
    case XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS:
        rsp->status = net_hash_set_flags(h, req->data[0]);
        break;
    case XEN_NETIF_CTRL_TYPE_SET_HASH_KEY:
        rsp->status = net_hash_set_key(h, req->data[0], req->data[1], fetch, arg);
        break;
    case XEN_NETIF_CTRL_TYPE_GET_HASH_MAPPING_SIZE:
        rsp->status = XEN_NETIF_CTRL_STATUS_SUCCESS;
        rsp->data = NET_HASH_MAPPING;
        break;
    case XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE:
        rsp->status = net_hash_set_mapping_size(h, req->data[0]);
        break;
    case XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING:
        rsp->status = net_hash_set_mapping(h, req->data, fetch, arg);
        break;
    default:
        rsp->status = XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED;
        break;
    }
}

uint32_t net_hash_toeplitz(const uint8_t *key, const uint8_t *data, uint32_t bytes)
{
    uint32_t window =
        (uint32_t)key[0] << 24 | (uint32_t)key[1] << 16 | (uint32_t)key[2] << 8 | key[3];
    uint32_t value = 0;

    for (uint32_t i = 0; i < bytes; i++) {
        uint8_t next = i + 4 < NET_HASH_KEY_BYTES ? key[i + 4] : 0;

        for (int bit = 7; bit >= 0; bit--) {
            if ((data[i] >> bit & 1) != 0) {
                value ^= window;
            }
            window = window << 1 | (next >> bit & 1U);
        }
    }
    return value;
}

struct net_hash_result net_hash_packet(const struct net_hash *h, const uint8_t *data,
                                       const struct net_frame *f)
{
    struct net_hash_result r = {.valid = false};
    bool v4 = f->ip == NET_FRAME_IPV4;
    bool tcp = f->protocol == NET_FRAME_TCP && f->payload != 0;
    uint32_t addresses = v4 ? 8 : 32;
    uint8_t tuple[MAX_TUPLE];

    if (!net_hash_enabled(h) || f->ip == NET_FRAME_NOT_IP) {
        return r;
    }
    memcpy(tuple, data + f->ip_offset + (v4 ? IPV4_ADDRESSES : IPV6_ADDRESSES), addresses);
    r.type = v4 ? _XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP : _XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP;
    if (tcp && (h->flags >> r.type & 1) != 0) {
        memcpy(tuple + addresses, data + f->transport, PORTS_BYTES);
        r.valid = true;
        r.value = net_hash_toeplitz(h->key, tuple, addresses + PORTS_BYTES);
        return r;
    }
    r.type = v4 ? _XEN_NETIF_CTRL_HASH_TYPE_IPV4 : _XEN_NETIF_CTRL_HASH_TYPE_IPV6;
    if ((h->flags >> r.type & 1) != 0) {
        r.valid = true;
        r.value = net_hash_toeplitz(h->key, tuple, addresses);
    }
    return r;
}

uint32_t net_hash_queue(const struct net_hash *h, const struct net_hash_result *r)
{
    if (!r->valid) {
        return 0;
    }
    if (h->mapping_size == 0) {
        return r->value % h->nr_queues;
    }
    return h->mapping[r->value % h->mapping_size];
}
