/*
 * xnf_gate.c - see xnf_gate.h.
 */
#include "io/xennetf/xnf_gate.h"

_Static_assert(sizeof(union xnf_slot) == 8, "a receive slot, see xen/io/netif.h");

static int xnf_gate_broken(struct xnf_frame *out, const char *why)
{
    out->why = why;
    return -EBADMSG;
}

/* One data slot, the @i-th of the frame. An error that leaves the ring intact goes to *@err. */
static int take_data(const struct netif_rx_response *rsp, unsigned i, unsigned id,
                     struct xnf_frame *out, int *err)
{
    if (rsp->id != id) {
        return xnf_gate_broken(out, "an answer with an id that is not its request's");
    }
    out->open = rsp->flags & NETRXF_more_data;
    if (rsp->status < 0) {
        *err = -EIO;
        return 0;
    }
    unsigned len = (unsigned)rsp->status;
    if (rsp->offset > PAGE_SIZE || len > PAGE_SIZE - rsp->offset) {
        return xnf_gate_broken(out, "an answer with bytes outside of its page");
    }
    if (len != 0 && out->nparts < NET_PIECES_MAX) {
        out->parts[out->nparts++] =
            (struct xnf_part){.slot = (uint16_t)i, .offset = rsp->offset, .len = (uint16_t)len};
    }
    out->net.len += len;
    return 0;
}

static void take_gso(const struct netif_extra_info *extra, struct xnf_frame *out, int *err)
{
    out->net.gso_size = extra->u.gso.size;
    switch (extra->u.gso.type) {
    case XEN_NETIF_GSO_TYPE_TCPV4:
        out->net.gso = NET_GSO_TCPV4;
        break;
    case XEN_NETIF_GSO_TYPE_TCPV6:
        out->net.gso = NET_GSO_TCPV6;
        break;
    default:
        *err = -EINVAL;
    }
    if (out->net.gso_size == 0) {
        *err = -EINVAL;
    }
}

/* The extra info that begins at slots[1]; *@count of them. */
static int take_extras(const union xnf_slot *slots, unsigned n, struct xnf_frame *out,
                       unsigned *count, int *err)
{
    bool more = true;

    for (unsigned i = 1; more; i++) {
        if (*count == XNF_EXTRAS_MAX) {
            return xnf_gate_broken(out, "more extra info than there are kinds of it");
        }
        if (i == n) {
            return -EAGAIN;
        }
        if (slots[i].extra.type == XEN_NETIF_EXTRA_TYPE_GSO) {
            take_gso(&slots[i].extra, out, err);
        } else {
            *err = -EINVAL;
        }
        more = slots[i].extra.flags & XEN_NETIF_EXTRA_FLAG_MORE;
        ++*count;
    }
    return 0;
}

int xnf_gate(const union xnf_slot *slots, unsigned n, unsigned first, unsigned size,
             struct xnf_frame *out)
{
    const struct netif_rx_response *head = &slots[0].rsp;
    unsigned extras = 0;
    int err = 0;

    *out = (struct xnf_frame){.net.csum_blank = head->flags & NETRXF_csum_blank,
                              .net.csum_valid = head->flags & NETRXF_data_validated};
    int rc = take_data(head, 0, first % size, out, &err);
    if (rc == 0 && (head->flags & NETRXF_extra_info)) {
        rc = take_extras(slots, n, out, &extras, &err);
    }
    if (rc != 0) {
        return rc;
    }
    out->slots = 1 + extras;
    while (out->open && out->slots - extras < NET_PIECES_MAX) {
        if (out->slots == n) {
            return -EAGAIN;
        }
        rc = take_data(&slots[out->slots].rsp, out->slots, (first + out->slots) % size, out, &err);
        if (rc != 0) {
            return rc;
        }
        out->slots++;
    }
    if (out->open || out->net.len < NET_HEADER_LEN || out->net.len > NET_FRAME_MAX) {
        err = err != 0 ? err : -EMSGSIZE;
    }
    return err;
}

int xnf_gate_drain(const union xnf_slot *slots, unsigned n, unsigned first, unsigned size,
                   struct xnf_frame *out)
{
    int dropped = 0;

    *out = (struct xnf_frame){.open = true};
    while (out->open && out->slots < n) {
        int rc = take_data(&slots[out->slots].rsp, out->slots, (first + out->slots) % size, out,
                           &dropped);
        if (rc != 0) {
            return rc;
        }
        out->slots++;
    }
    return 0;
}
