/*
 * The gate for packets that guests send: see gate.h. Works on private copies only; first the shape
 * of the packet (which slots belong to it), then the fields.
 */
#include "gate.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <xen/xen.h>
#include <xen/io/netif.h>

_Static_assert(sizeof(union net_slot) == sizeof(struct netif_tx_request), "transmit slot");
_Static_assert(sizeof(struct netif_extra_info) <= sizeof(union net_slot), "extra-info slot");
_Static_assert(NET_MAX_FRAGMENTS >= XEN_NETIF_NR_SLOTS_MIN, "what every back end must take");
_Static_assert(NET_MAX_PACKET == XEN_NETIF_MAX_TX_SIZE, "size field");

static struct netif_tx_request net_gate_as_request(const union net_slot *slot)
{
    struct netif_tx_request req;

    memcpy(&req, slot, sizeof(req));
    return req;
}

static void net_gate_take_gso(const struct netif_extra_info *extra, struct net_packet *out,
                              int *err)
{
    out->gso_bytes = extra->u.gso.size;
    switch (extra->u.gso.type) {
    case XEN_NETIF_GSO_TYPE_TCPV4:
        out->gso = NET_GSO_TCPV4;
        break;
    case XEN_NETIF_GSO_TYPE_TCPV6:
        out->gso = NET_GSO_TCPV6;
        break;
    default:
        *err = -EINVAL;
        return;
    }
    if (out->gso_bytes == 0) {
        *err = -EINVAL;
    }
}

/* One extra-info slot. A mistake that leaves the shape intact goes to *err. */
static int net_gate_take_extra(const union net_slot *slot, struct net_packet *out, int *err,
                               bool *more)
{
    struct netif_extra_info extra;

    memcpy(&extra, slot, sizeof(extra));
    *more = (extra.flags & XEN_NETIF_EXTRA_FLAG_MORE) != 0;
    switch (extra.type) {
    case XEN_NETIF_EXTRA_TYPE_GSO:
        net_gate_take_gso(&extra, out, err);
        return 0;
    case XEN_NETIF_EXTRA_TYPE_MCAST_ADD:
    case XEN_NETIF_EXTRA_TYPE_MCAST_DEL:
        out->mcast = extra.type == XEN_NETIF_EXTRA_TYPE_MCAST_ADD ? NET_MCAST_ADD : NET_MCAST_DEL;
        memcpy(out->mcast_mac, extra.u.mcast.addr, NET_MAC_BYTES);
        return 0;
    case XEN_NETIF_EXTRA_TYPE_HASH:
        return 0; /* the guest's own hash: nothing here depends on it */
    default:
        return -EPROTO;
    }
}

/* All extra-info slots, which begin at slots[1]. */
static int net_gate_take_extras(const union net_slot *slots, unsigned int nr,
                                struct net_packet *out, int *err)
{
    bool more = true;

    while (more) {
        int shape;

        if (out->nr_extras == NET_MAX_EXTRAS) {
            return -EPROTO;
        }
        if (1U + out->nr_extras == nr) {
            return -EAGAIN;
        }
        shape = net_gate_take_extra(&slots[1U + out->nr_extras], out, err, &more);
        if (shape != 0) {
            return shape;
        }
        out->nr_extras++;
    }
    return 0;
}

static void net_gate_take_fragment(const struct netif_tx_request *req, uint32_t bytes,
                                   struct net_packet *out, int *err)
{
    if (req->offset > NET_PAGE_BYTES || bytes > NET_PAGE_BYTES - req->offset) {
        *err = -EDOM;
        return;
    }
    if (bytes != 0) { /* an empty fragment is legal, and nothing to copy */
        out->fragments[out->nr_fragments++] = (struct net_fragment){
            .ref = req->gref, .offset = req->offset, .bytes = (uint16_t)bytes};
    }
}

/* The fragments behind the extras; returns -EAGAIN, -EPROTO, or 0 with the size of them in *rest.
 */
static int net_gate_count_fragments(const union net_slot *slots, unsigned int nr, uint16_t flags,
                                    struct net_packet *out, uint32_t *rest)
{
    unsigned int fragments = 1;

    out->nr_slots = (uint16_t)(1 + out->nr_extras);
    *rest = 0;
    while ((flags & NETTXF_more_data) != 0) {
        struct netif_tx_request req;

        if (fragments++ == NET_MAX_FRAGMENTS) {
            return -EPROTO;
        }
        if (out->nr_slots == nr) {
            return -EAGAIN;
        }
        req = net_gate_as_request(&slots[out->nr_slots]);
        out->ids[out->nr_slots++] = req.id;
        *rest += req.size;
        flags = req.flags;
    }
    return 0;
}

int net_gate_packet(const union net_slot *slots, unsigned int nr, struct net_packet *out)
{
    struct netif_tx_request first;
    uint32_t rest;
    int err = 0, shape = 0;

    if (nr == 0) {
        return -EAGAIN;
    }
    first = net_gate_as_request(&slots[0]);
    memset(out, 0, offsetof(struct net_packet, ids));
    out->ids[0] = first.id;
    out->bytes = first.size;
    out->csum_blank = (first.flags & NETTXF_csum_blank) != 0;
    out->data_validated = (first.flags & NETTXF_data_validated) != 0;
    if ((first.flags & NETTXF_extra_info) != 0) {
        shape = net_gate_take_extras(slots, nr, out, &err);
    }
    if (shape == 0) {
        shape = net_gate_count_fragments(slots, nr, first.flags, out, &rest);
    }
    if (shape != 0) {
        return shape;
    }
    if (out->mcast != NET_MCAST_NONE) {
        return err;
    }
    if (first.size < NET_MIN_PACKET || rest > first.size) {
        return -EMSGSIZE;
    }
    net_gate_take_fragment(&first, first.size - rest, out, &err);
    for (unsigned int i = 1U + out->nr_extras; i < out->nr_slots; i++) {
        struct netif_tx_request req = net_gate_as_request(&slots[i]);

        net_gate_take_fragment(&req, req.size, out, &err);
    }
    return err;
}

const char *net_gate_strerror(int err)
{
    switch (err) {
    case -EPROTO:
        return "a packet without an end: too many fragments or extra-info slots, or an unknown "
               "kind of extra info";
    case -EDOM:
        return "a fragment that leaves its page";
    case -EMSGSIZE:
        return "fragments that do not add up, or a packet too short for Ethernet";
    case -EINVAL:
        return "segmentation that makes no sense";
    case -EBADMSG:
        return "checksum or segmentation offload for a packet that is not TCP or UDP";
    case -EFAULT:
        return "a page that could not be copied";
    default:
        return "unknown error";
    }
}
