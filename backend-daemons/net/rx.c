/*
 * One receive ring: see rx.h.
 */
#include "rx.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <xen/xen.h>
#include <xen/io/netif.h>

#include "frame.h"

_Static_assert(sizeof(union net_rx_slot) == sizeof(struct netif_rx_response), "receive slot");
_Static_assert(sizeof(struct netif_extra_info) == sizeof(union net_rx_slot), "extra-info slot");

#define MAX_COPIES      256U
#define READ_BYTES      (NET_VNET_HEADER + NET_RX_BUFFER_BYTES - GRANT_PAGE_BYTES)
#define ETHERNET_HEADER 14U

int net_rx_init(struct net_rx *r, xengnttab_handle *xgt, uint16_t domid)
{
    uint8_t *pool =
        mmap(NULL, (uint64_t)NET_RX_BUFFERS * NET_RX_BUFFER_BYTES, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (pool == MAP_FAILED) {
        return -errno;
    }
    for (unsigned int i = NET_RX_BUFFERS; i-- > 0;) {
        r->buffers[i] = (struct net_rx_buffer){.data = pool + (uint64_t)i * NET_RX_BUFFER_BYTES +
                                                       GRANT_PAGE_BYTES,
                                               .home = r,
                                               .next = r->free};
        r->free = &r->buffers[i];
    }
    r->nr_free = NET_RX_BUFFERS;
    r->tail = &r->first;
    return grant_batch_init(&r->copies, xgt, domid, MAX_COPIES);
}

static void net_rx_release(struct net_rx_buffer *buf)
{
    struct net_rx *home = buf->home;

    buf->next = home->free;
    home->free = buf;
    home->nr_free++;
}

static void net_rx_drop(struct net_rx *r, struct net_rx_buffer *buf)
{
    figures_add(r->vif->figures, NET_FIGURE_RX_DROPPED, 1);
    net_rx_release(buf);
}

void net_rx_post(struct net_rx *r)
{
    unsigned int n = r->nr_free < NET_RX_CHAIN ? r->nr_free : NET_RX_CHAIN;

    if (r->posted != 0) {
        return;
    }
    for (; n > 0; n--) {
        struct net_rx_buffer *buf = r->free;

        r->free = buf->next;
        r->nr_free--;
        r->posted++;
        net_engine_read(r->vif->uring, r->tap_fd, buf->data - NET_VNET_HEADER, READ_BYTES, n > 1,
                        NET_TAG(NET_TAG_RX, r->queue, (unsigned int)(buf - r->buffers)));
    }
}

/* A guest that cannot complete checksums of this kind gets them complete. */
static void net_rx_complete_checksum(struct net_vif *vif, struct net_rx_buffer *buf,
                                     const struct net_frame *f)
{
    struct virtio_net_hdr *h = &buf->header;

    if ((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0 ||
        (f->ip == NET_FRAME_IPV4 && vif->csum_v4) || (f->ip == NET_FRAME_IPV6 && vif->csum_v6)) {
        return;
    }
    if (net_frame_complete_checksum(buf->data, buf->bytes, h->csum_start, h->csum_offset) == 0) {
        h->flags = VIRTIO_NET_HDR_F_DATA_VALID;
    }
}

/* Which queue a packet is for, and what is to be done to it before. */
static struct net_rx *net_rx_classify(struct net_rx *r, struct net_rx_buffer *buf)
{
    struct net_vif *vif = r->vif;
    bool want_hash = net_hash_enabled(vif->hash);
    struct net_frame f;

    buf->hash.valid = false;
    if (want_hash || ((buf->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0 &&
                      !(vif->csum_v4 && vif->csum_v6))) {
        net_frame_parse(buf->data, buf->bytes, &f);
        net_rx_complete_checksum(vif, buf, &f);
        buf->hash = net_hash_packet(vif->hash, buf->data, &f);
    }
    return want_hash ? &r->all[net_hash_queue(vif->hash, &buf->hash)] : r;
}

/* What the tap queued for an earlier life of the guest may be of a kind that this one cannot take.
 */
static bool net_rx_gso_accepted(const struct net_vif *vif, const struct net_rx_buffer *buf)
{
    switch (buf->header.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
    case VIRTIO_NET_HDR_GSO_NONE:
        return true;
    case VIRTIO_NET_HDR_GSO_TCPV4:
        return vif->gso_v4;
    case VIRTIO_NET_HDR_GSO_TCPV6:
        return vif->gso_v6;
    default:
        return false;
    }
}

void net_rx_complete(struct net_rx *r, unsigned int index, int res)
{
    struct net_rx_buffer *buf = &r->buffers[index];
    struct net_rx *to;

    r->posted--;
    if (res < 0 && res != -EAGAIN && res != -EINTR) {
        r->vif->tap_error = res;
    }
    if (res < (int)(NET_VNET_HEADER + ETHERNET_HEADER)) {
        net_rx_release(buf);
        return;
    }
    buf->bytes = (uint32_t)res - NET_VNET_HEADER;
    memcpy(&buf->header, buf->data - NET_VNET_HEADER, NET_VNET_HEADER);
    if (!net_mcast_wanted(r->vif->mcast, buf->data) || !net_rx_gso_accepted(r->vif, buf)) {
        net_rx_drop(r, buf);
        return;
    }
    to = net_rx_classify(r, buf);
    if (to->waiting == NET_RX_BUFFERS) {
        net_rx_drop(to, buf);
        return;
    }
    buf->next = NULL;
    *to->tail = buf;
    to->tail = &buf->next;
    to->waiting++;
}

static uint32_t net_rx_nr_extras(const struct net_rx_buffer *buf)
{
    return (buf->header.gso_type != VIRTIO_NET_HDR_GSO_NONE ? 1U : 0U) +
           (buf->hash.valid ? 1U : 0U);
}

static uint32_t net_rx_nr_data_slots(const struct net_rx *r, const struct net_rx_buffer *buf)
{
    uint32_t room = GRANT_PAGE_BYTES - r->vif->headroom;

    return (buf->bytes + room - 1) / room;
}

/* Takes the guest's next slot for an answer at the end of the batch. */
static union net_rx_slot *net_rx_take_slot(struct net_rx *r, struct netif_rx_request *req)
{
    ring_copy(&r->ring, req);
    return &r->slots[r->nr_slots++];
}

static void net_rx_put_extra(struct net_rx *r, const struct netif_extra_info *extra)
{
    struct netif_rx_request unused;

    memcpy(net_rx_take_slot(r, &unused)->extra, extra, sizeof(*extra));
}

static void net_rx_put_extras(struct net_rx *r, const struct net_rx_buffer *buf)
{
    struct netif_extra_info extra = {.flags = 0};

    if (buf->header.gso_type != VIRTIO_NET_HDR_GSO_NONE) {
        bool v4 = (buf->header.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_TCPV4;

        extra.type = XEN_NETIF_EXTRA_TYPE_GSO;
        extra.flags = buf->hash.valid ? XEN_NETIF_EXTRA_FLAG_MORE : 0;
        extra.u.gso.size = buf->header.gso_size;
        extra.u.gso.type = v4 ? XEN_NETIF_GSO_TYPE_TCPV4 : XEN_NETIF_GSO_TYPE_TCPV6;
        net_rx_put_extra(r, &extra);
    }
    if (buf->hash.valid) {
        memset(&extra, 0, sizeof(extra));
        extra.type = XEN_NETIF_EXTRA_TYPE_HASH;
        extra.u.hash.type = buf->hash.type;
        extra.u.hash.algorithm = XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ;
        memcpy(extra.u.hash.value, &buf->hash.value, sizeof(buf->hash.value));
        net_rx_put_extra(r, &extra);
    }
}

static uint16_t net_rx_first_flags(const struct net_rx_buffer *buf)
{
    uint16_t flags = net_rx_nr_extras(buf) != 0 ? NETRXF_extra_info : 0;

    if ((buf->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0) {
        flags |= NETRXF_csum_blank | NETRXF_data_validated;
    } else if ((buf->header.flags & VIRTIO_NET_HDR_F_DATA_VALID) != 0) {
        flags |= NETRXF_data_validated;
    }
    return flags;
}

/* One packet into the guest's next slots, which are there. */
static void net_rx_put_packet(struct net_rx *r, const struct net_rx_buffer *buf)
{
    uint32_t room = GRANT_PAGE_BYTES - r->vif->headroom;
    uint16_t flags = net_rx_first_flags(buf);

    for (uint32_t done = 0; done < buf->bytes;) {
        uint32_t part = buf->bytes - done < room ? buf->bytes - done : room;
        struct netif_rx_request req;
        union net_rx_slot *slot = net_rx_take_slot(r, &req);

        slot->response.id = req.id;
        slot->response.offset = (uint16_t)r->vif->headroom;
        slot->response.status = (int16_t)part;
        slot->response.flags = flags | (done + part < buf->bytes ? NETRXF_more_data : 0);
        grant_batch_to_guest(&r->copies, buf->data + done, req.gref, (uint16_t)r->vif->headroom,
                             (uint16_t)part, r->nr_slots - 1);
        if (done == 0) {
            net_rx_put_extras(r, buf);
            flags = 0;
        }
        done += part;
    }
    figures_add(r->vif->figures, NET_FIGURE_RX_PACKETS, 1);
    figures_add(r->vif->figures, NET_FIGURE_RX_BYTES, buf->bytes);
}

static void net_rx_copy_failed(void *arg, uint32_t tag, int status)
{
    struct net_rx *r = arg;

    log_limited(&r->vif->guest_log, LOG_WARNING, &r->vif->id,
                "a page that the guest granted for reception could not be written (GNTST status "
                "%d)",
                status);
    r->slots[tag].response.status = NETIF_RSP_ERROR;
}

/* Copies the batch's data, then answers its slots. */
static void net_rx_finish_batch(struct net_rx *r)
{
    uint32_t nr = r->copies.nr;
    int err = grant_batch_run(&r->copies, net_rx_copy_failed, r);

    figures_add(r->vif->figures, NET_FIGURE_COPIES, nr);
    if (err != 0) {
        log_limited(&r->vif->guest_log, LOG_ERR, &r->vif->id, "grant copy failed: %s",
                    strerror(-err));
    }
    for (uint32_t i = 0; err != 0 && i < nr; i++) {
        r->slots[r->copies.tags[i]].response.status = NETIF_RSP_ERROR;
    }
    for (unsigned int i = 0; i < r->nr_slots; i++) {
        ring_respond(&r->ring, &r->slots[i], sizeof(r->slots[i]));
    }
    r->nr_slots = 0;
}

static struct net_rx_buffer *net_rx_take_first(struct net_rx *r)
{
    struct net_rx_buffer *buf = r->first;

    r->first = buf->next;
    if (r->first == NULL) {
        r->tail = &r->first;
    }
    r->waiting--;
    return buf;
}

/* Puts as many packets as fit into one batch. Returns false when the guest lacks room. */
static bool net_rx_fill_batch(struct net_rx *r, unsigned int room, struct net_rx_buffer **done)
{
    while (r->first != NULL) {
        uint32_t data = net_rx_nr_data_slots(r, r->first);
        struct net_rx_buffer *buf;

        if (data > 1 && !r->vif->can_sg) {
            net_rx_drop(r, net_rx_take_first(r));
            continue;
        }
        r->want = data + net_rx_nr_extras(r->first);
        if (r->want > room) {
            return false;
        }
        if (r->nr_slots + r->want > NET_RX_MAX_SLOTS || r->copies.nr + data > r->copies.max) {
            return true;
        }
        room -= r->want;
        buf = net_rx_take_first(r);
        net_rx_put_packet(r, buf);
        buf->next = *done;
        *done = buf;
    }
    return true;
}

/* What waited too long is dropped, and the memory it held is free. */
static void net_rx_drain(struct net_rx *r)
{
    if (net_vif_now(r->vif) - r->blocked_since_ns >= NET_RX_DRAIN_NS) {
        while (r->first != NULL) {
            net_rx_drop(r, net_rx_take_first(r));
        }
    }
}

int net_rx_deliver(struct net_rx *r, bool *notify)
{
    bool room = true;

    if (r->first == NULL && r->blocked_since_ns != 0 && ring_pending(&r->ring) != 0) {
        r->blocked_since_ns = 0; /* all was dropped; the guest is there again */
    }
    while (room && r->first != NULL) {
        struct net_rx_buffer *done = NULL, *next;
        uint32_t before = r->ring.rsp_prod;
        int pending = ring_pending(&r->ring);

        if (pending < 0) {
            return pending;
        }
        room = net_rx_fill_batch(r, (unsigned int)pending, &done);
        net_rx_finish_batch(r);
        for (; done != NULL; done = next) {
            next = done->next;
            net_rx_release(done);
        }
        if (r->ring.rsp_prod != before) {
            r->blocked_since_ns = 0;
            *notify = ring_publish(&r->ring) || *notify;
        }
    }
    if (room) {
        return 0;
    }
    if (r->blocked_since_ns == 0) {
        r->blocked_since_ns = net_vif_now(r->vif);
    }
    net_rx_drain(r);
    return 0;
}

bool net_rx_may_wait(const struct net_rx *r)
{
    if (r->blocked_since_ns == 0) {
        return true; /* only the tap has news for us */
    }
    return !ring_final_check_many(&r->ring, r->first != NULL ? r->want : 1);
}
