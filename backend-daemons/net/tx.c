/*
 * One transmit ring: see tx.h for its stages, which the functions below follow in order.
 */
#include "tx.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <xen/xen.h>
#include <xen/io/netif.h>

#include "frame.h"

#define MAX_COPIES   256U
#define SMALL_OFFSET 64U /* of a packet in its buffer: room for the tap's header */

/* A singly linked batch of buffers, in order of arrival. */
struct net_tx_batch {
    struct net_tx_buffer *first;
    struct net_tx_buffer **tail;
};

int net_tx_init(struct net_tx *t, xengnttab_handle *xgt, uint16_t domid)
{
    uint8_t *pool =
        mmap(NULL, (uint64_t)NET_TX_BUFFERS * NET_TX_BUFFER_BYTES, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (pool == MAP_FAILED) {
        return -errno;
    }
    for (unsigned int i = NET_TX_BUFFERS; i-- > 0;) {
        t->buffers[i].memory = pool + (uint64_t)i * NET_TX_BUFFER_BYTES;
        t->buffers[i].next = t->free;
        t->free = &t->buffers[i];
    }
    t->want = 1;
    return grant_batch_init(&t->copies, xgt, domid, MAX_COPIES);
}

static unsigned int net_tx_number(const struct net_tx *t, const struct net_tx_buffer *buf)
{
    return (unsigned int)(buf - t->buffers);
}

static void net_tx_release(struct net_tx *t, struct net_tx_buffer *buf)
{
    buf->next = t->free;
    t->free = buf;
}

/* Answers all slots of a packet. */
static void net_tx_respond(struct net_tx *t, const struct net_packet *p, int16_t status)
{
    for (unsigned int i = 0; i < p->nr_slots; i++) {
        bool extra = i >= 1 && i <= p->nr_extras;
        _Alignas(uint32_t) struct netif_tx_response rsp = {
            .id = extra ? 0 : p->ids[i], .status = extra ? NETIF_RSP_NULL : status};

        ring_respond(&t->ring, &rsp, sizeof(rsp));
    }
}

static void net_tx_refuse(struct net_tx *t, const struct net_packet *p, int err)
{
    figures_add(t->vif->figures, NET_FIGURE_TX_REFUSED, 1);
    log_limited(&t->vif->guest_log, LOG_WARNING, &t->vif->id,
                "refused a packet of the guest: %s (%u bytes, %u slots, queue %u)",
                net_gate_strerror(err), p->bytes, p->nr_slots, t->queue);
    net_tx_respond(t, p, NETIF_RSP_ERROR);
}

static void net_tx_change_filter(struct net_tx *t, const struct net_packet *p)
{
    int err = net_mcast_change(t->vif->mcast, p->mcast, p->mcast_mac);

    net_tx_respond(t, p, err == 0 ? NETIF_RSP_OKAY : NETIF_RSP_ERROR);
}

/* Stage 1 for one packet: slots through the gate. A packet without further slots is the rule. */
static int net_tx_take_slots(struct net_tx *t, unsigned int pending, struct net_packet *p)
{
    union net_slot slots[NET_MAX_SLOTS];
    unsigned int nr = 1;
    struct netif_tx_request first;

    ring_peek(&t->ring, 0, &slots[0]);
    memcpy(&first, &slots[0], sizeof(first));
    if ((first.flags & (NETTXF_more_data | NETTXF_extra_info)) != 0) {
        for (; nr < pending && nr < NET_MAX_SLOTS; nr++) {
            ring_peek(&t->ring, nr, &slots[nr]);
        }
    }
    return net_gate_packet(slots, nr, p);
}

/*
 * Where in its buffer a packet begins: so that the whole pages among its fragments do not straddle
 * pages of ours, for that would make two copies of each.
 */
static uint32_t net_tx_place(const struct net_packet *p)
{
    uint32_t before = 0, offset;

    if (p->nr_fragments == 1) {
        return SMALL_OFFSET;
    }
    for (unsigned int i = 0; i + 1 < p->nr_fragments && p->fragments[i].bytes < GRANT_PAGE_BYTES;
         i++) {
        before += p->fragments[i].bytes;
    }
    offset = GRANT_PAGE_BYTES - before % GRANT_PAGE_BYTES;
    return offset < SMALL_OFFSET ? offset + GRANT_PAGE_BYTES : offset;
}

/* Stage 2 for one packet. */
static void net_tx_queue_copies(struct net_tx *t, struct net_tx_buffer *buf)
{
    const struct net_packet *p = &buf->packet;
    uint8_t *to;

    buf->data = buf->memory + net_tx_place(p);
    buf->err = 0;
    to = buf->data;
    for (unsigned int i = 0; i < p->nr_fragments; i++) {
        const struct net_fragment *f = &p->fragments[i];

        grant_batch_from_guest(&t->copies, to, f->ref, f->offset, f->bytes, net_tx_number(t, buf));
        to += f->bytes;
    }
}

static bool net_tx_may_send(struct net_vif *vif, uint32_t bytes)
{
    return vif->credit.amount == 0 || bucket_take(&vif->credit, bytes, net_vif_now(vif));
}

/* Stages 1 and 2: fills `b`. Returns 0 or -EPROTO. */
static int net_tx_collect(struct net_tx *t, unsigned int pending, struct net_tx_batch *b)
{
    while (pending > 0 && t->free != NULL && t->copies.nr + NET_MAX_FRAGMENTS <= t->copies.max) {
        struct net_tx_buffer *buf = t->free;
        int err = net_tx_take_slots(t, pending, &buf->packet);

        if (err == -EAGAIN) {
            t->want = pending + 1;
            return 0;
        }
        if (err == -EPROTO) {
            return err;
        }
        if (err == 0 && !net_tx_may_send(t->vif, buf->packet.bytes)) {
            t->no_credit = true;
            return 0;
        }
        ring_consume(&t->ring, buf->packet.nr_slots);
        pending -= buf->packet.nr_slots;
        if (err != 0) {
            net_tx_refuse(t, &buf->packet, err);
        } else if (buf->packet.mcast != NET_MCAST_NONE) {
            net_tx_change_filter(t, &buf->packet);
        } else {
            t->free = buf->next;
            net_tx_queue_copies(t, buf);
            buf->next = NULL;
            *b->tail = buf;
            b->tail = &buf->next;
        }
    }
    return 0;
}

static void net_tx_copy_failed(void *arg, uint32_t tag, int status)
{
    struct net_tx *t = arg;

    (void)status;
    t->buffers[tag].err = -EFAULT;
}

static void net_tx_run_copies(struct net_tx *t, struct net_tx_buffer *first)
{
    int err;

    figures_add(t->vif->figures, NET_FIGURE_COPIES, t->copies.nr);
    err = grant_batch_run(&t->copies, net_tx_copy_failed, t);
    for (; err != 0 && first != NULL; first = first->next) {
        first->err = -EFAULT;
    }
}

/* Stage 3: the tap's header from what the guest asks for. Returns 0 or -EBADMSG. */
static int net_tx_prepare(struct net_tx_buffer *buf)
{
    const struct net_packet *p = &buf->packet;
    struct virtio_net_hdr h = {.flags = 0};
    struct net_frame f = {.ip = NET_FRAME_NOT_IP};

    if (p->csum_blank || p->gso != NET_GSO_NONE) {
        net_frame_parse(buf->data, p->bytes, &f);
        if (f.payload == 0) {
            return -EBADMSG;
        }
        h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        h.csum_start = f.transport;
        h.csum_offset = (uint16_t)net_frame_checksum_field(&f);
        if (!p->csum_blank) { /* some front ends forget the flag with segmentation */
            net_frame_put_pseudo_sum(buf->data, p->bytes, &f);
        }
    } else if (p->data_validated) {
        h.flags = VIRTIO_NET_HDR_F_DATA_VALID;
    }
    if (p->gso != NET_GSO_NONE) {
        if (f.protocol != NET_FRAME_TCP ||
            f.ip != (p->gso == NET_GSO_TCPV4 ? NET_FRAME_IPV4 : NET_FRAME_IPV6)) {
            return -EBADMSG;
        }
        h.gso_type = f.ip == NET_FRAME_IPV4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
        h.gso_size = p->gso_bytes;
        h.hdr_len = f.payload;
    }
    memcpy(buf->data - NET_VNET_HEADER, &h, NET_VNET_HEADER);
    return 0;
}

/* Stages 3 to 5 for one packet. */
static void net_tx_finish(struct net_tx *t, struct net_tx_buffer *buf)
{
    int err = buf->err != 0 ? buf->err : net_tx_prepare(buf);

    if (err != 0) {
        net_tx_refuse(t, &buf->packet, err);
        net_tx_release(t, buf);
        return;
    }
    net_tx_respond(t, &buf->packet, NETIF_RSP_OKAY);
    figures_add(t->vif->figures, NET_FIGURE_TX_PACKETS, 1);
    figures_add(t->vif->figures, NET_FIGURE_TX_BYTES, buf->packet.bytes);
    t->in_flight++;
    uring_write(t->vif->uring, t->tap_fd, buf->data - NET_VNET_HEADER,
                NET_VNET_HEADER + buf->packet.bytes,
                NET_TAG(NET_TAG_TX, t->queue, net_tx_number(t, buf)));
}

void net_tx_limit(struct net_vif *vif, const struct net_wire_settings *settings)
{
    const uint64_t interval_ns = UINT64_C(1000) * settings->rate_us;

    if (vif->credit.amount != settings->rate_bytes || vif->credit.interval_ns != interval_ns) {
        bucket_set(&vif->credit, settings->rate_bytes, interval_ns, NET_VIF_BURST_BYTES,
                   loop_now_ns());
    }
}

int net_tx_take(struct net_tx *t, bool *notify)
{
    struct net_tx_batch b = {.first = NULL, .tail = &b.first};
    struct net_tx_buffer *buf, *next;
    uint32_t before = t->ring.rsp_prod;
    int pending = ring_pending(&t->ring);
    int err;

    t->no_credit = false;
    t->want = 1;
    if (pending <= 0) {
        return pending;
    }
    err = net_tx_collect(t, (unsigned int)pending, &b);
    net_tx_run_copies(t, b.first);
    for (buf = b.first; buf != NULL; buf = next) {
        next = buf->next;
        net_tx_finish(t, buf);
    }
    if (t->ring.rsp_prod != before) {
        *notify = ring_publish(&t->ring) || *notify;
    }
    return err != 0 ? err : (int)(t->ring.rsp_prod - before);
}

void net_tx_complete(struct net_tx *t, unsigned int index, int res)
{
    t->in_flight--;
    if (res < 0) {
        figures_add(t->vif->figures, NET_FIGURE_TX_DROPPED, 1);
    }
    net_tx_release(t, &t->buffers[index]);
}

bool net_tx_may_wait(const struct net_tx *t)
{
    if (t->no_credit || t->free == NULL) {
        return true; /* time, or a completion, lets it go on */
    }
    return !ring_final_check_many(&t->ring, t->want);
}
