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

_Static_assert(sizeof(union rx_slot) == sizeof(struct netif_rx_response), "receive slot");
_Static_assert(sizeof(struct netif_extra_info) == sizeof(union rx_slot), "extra-info slot");

#define MAX_COPIES      256U
#define READ_BYTES      (VNET_HEADER + RX_BUFFER_BYTES - GRANT_PAGE_BYTES)
#define ETHERNET_HEADER 14U

int rx_init(struct rx *r, xengnttab_handle *xgt, uint16_t domid)
{
    uint8_t *pool = mmap(NULL, (uint64_t)RX_BUFFERS * RX_BUFFER_BYTES, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (pool == MAP_FAILED) {
        return -errno;
    }
    for (unsigned int i = RX_BUFFERS; i-- > 0;) {
        r->buffers[i] =
            (struct rx_buffer){.data = pool + (uint64_t)i * RX_BUFFER_BYTES + GRANT_PAGE_BYTES,
                               .home = r,
                               .next = r->free};
        r->free = &r->buffers[i];
    }
    r->nr_free = RX_BUFFERS;
    r->tail = &r->first;
    return grant_batch_init(&r->copies, xgt, domid, MAX_COPIES);
}

static void release(struct rx_buffer *buf)
{
    struct rx *home = buf->home;

    buf->next = home->free;
    home->free = buf;
    home->nr_free++;
}

static void drop(struct rx *r, struct rx_buffer *buf)
{
    r->vif->statistics.rx_dropped++;
    release(buf);
}

void rx_post(struct rx *r)
{
    unsigned int n = r->nr_free < RX_CHAIN ? r->nr_free : RX_CHAIN;

    if (r->posted != 0) {
        return;
    }
    for (; n > 0; n--) {
        struct rx_buffer *buf = r->free;

        r->free = buf->next;
        r->nr_free--;
        r->posted++;
        engine_read(&r->vif->engine, r->tap_fd, buf->data - VNET_HEADER, READ_BYTES, n > 1,
                    TAG(TAG_RX, r->queue, (unsigned int)(buf - r->buffers)));
    }
}

/* A guest that cannot complete checksums of this kind gets them complete. */
static void complete_checksum(struct vif *vif, struct rx_buffer *buf, const struct frame *f)
{
    struct virtio_net_hdr *h = &buf->header;

    if ((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0 || (f->ip == FRAME_IPV4 && vif->csum_v4) ||
        (f->ip == FRAME_IPV6 && vif->csum_v6)) {
        return;
    }
    if (frame_complete_checksum(buf->data, buf->bytes, h->csum_start, h->csum_offset) == 0) {
        h->flags = VIRTIO_NET_HDR_F_DATA_VALID;
    }
}

/* Which queue a packet is for, and what is to be done to it before. */
static struct rx *classify(struct rx *r, struct rx_buffer *buf)
{
    struct vif *vif = r->vif;
    bool want_hash = hash_enabled(&vif->hash);
    struct frame f;

    buf->hash.valid = false;
    if (want_hash || ((buf->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0 &&
                      !(vif->csum_v4 && vif->csum_v6))) {
        frame_parse(buf->data, buf->bytes, &f);
        complete_checksum(vif, buf, &f);
        buf->hash = hash_packet(&vif->hash, buf->data, &f);
    }
    return want_hash ? &r->all[hash_queue(&vif->hash, &buf->hash)] : r;
}

/* What the tap queued for an earlier life of the guest may be of a kind that this one cannot take.
 */
static bool gso_accepted(const struct vif *vif, const struct rx_buffer *buf)
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

void rx_complete(struct rx *r, unsigned int index, int res)
{
    struct rx_buffer *buf = &r->buffers[index];
    struct rx *to;

    r->posted--;
    if (res < 0 && res != -EAGAIN && res != -EINTR) {
        r->vif->tap_error = res;
    }
    if (res < (int)(VNET_HEADER + ETHERNET_HEADER)) {
        release(buf);
        return;
    }
    buf->bytes = (uint32_t)res - VNET_HEADER;
    memcpy(&buf->header, buf->data - VNET_HEADER, VNET_HEADER);
    if (!mcast_wanted(&r->vif->mcast, buf->data) || !gso_accepted(r->vif, buf)) {
        drop(r, buf);
        return;
    }
    to = classify(r, buf);
    if (to->waiting == RX_BUFFERS) {
        drop(to, buf);
        return;
    }
    buf->next = NULL;
    *to->tail = buf;
    to->tail = &buf->next;
    to->waiting++;
}

static uint32_t nr_extras(const struct rx_buffer *buf)
{
    return (buf->header.gso_type != VIRTIO_NET_HDR_GSO_NONE ? 1U : 0U) +
           (buf->hash.valid ? 1U : 0U);
}

static uint32_t nr_data_slots(const struct rx *r, const struct rx_buffer *buf)
{
    uint32_t room = GRANT_PAGE_BYTES - r->vif->headroom;

    return (buf->bytes + room - 1) / room;
}

/* Takes the guest's next slot for an answer at the end of the batch. */
static union rx_slot *take_slot(struct rx *r, struct netif_rx_request *req)
{
    ring_copy(&r->ring, req);
    return &r->slots[r->nr_slots++];
}

static void put_extra(struct rx *r, const struct netif_extra_info *extra)
{
    struct netif_rx_request unused;

    memcpy(take_slot(r, &unused)->extra, extra, sizeof(*extra));
}

static void put_extras(struct rx *r, const struct rx_buffer *buf)
{
    struct netif_extra_info extra = {.flags = 0};

    if (buf->header.gso_type != VIRTIO_NET_HDR_GSO_NONE) {
        bool v4 = (buf->header.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_TCPV4;

        extra.type = XEN_NETIF_EXTRA_TYPE_GSO;
        extra.flags = buf->hash.valid ? XEN_NETIF_EXTRA_FLAG_MORE : 0;
        extra.u.gso.size = buf->header.gso_size;
        extra.u.gso.type = v4 ? XEN_NETIF_GSO_TYPE_TCPV4 : XEN_NETIF_GSO_TYPE_TCPV6;
        put_extra(r, &extra);
    }
    if (buf->hash.valid) {
        memset(&extra, 0, sizeof(extra));
        extra.type = XEN_NETIF_EXTRA_TYPE_HASH;
        extra.u.hash.type = buf->hash.type;
        extra.u.hash.algorithm = XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ;
        memcpy(extra.u.hash.value, &buf->hash.value, sizeof(buf->hash.value));
        put_extra(r, &extra);
    }
}

static uint16_t first_flags(const struct rx_buffer *buf)
{
    uint16_t flags = nr_extras(buf) != 0 ? NETRXF_extra_info : 0;

    if ((buf->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0) {
        flags |= NETRXF_csum_blank | NETRXF_data_validated;
    } else if ((buf->header.flags & VIRTIO_NET_HDR_F_DATA_VALID) != 0) {
        flags |= NETRXF_data_validated;
    }
    return flags;
}

/* One packet into the guest's next slots, which are there. */
static void put_packet(struct rx *r, const struct rx_buffer *buf)
{
    uint32_t room = GRANT_PAGE_BYTES - r->vif->headroom;
    uint16_t flags = first_flags(buf);

    for (uint32_t done = 0; done < buf->bytes;) {
        uint32_t part = buf->bytes - done < room ? buf->bytes - done : room;
        struct netif_rx_request req;
        union rx_slot *slot = take_slot(r, &req);

        slot->response.id = req.id;
        slot->response.offset = (uint16_t)r->vif->headroom;
        slot->response.status = (int16_t)part;
        slot->response.flags = flags | (done + part < buf->bytes ? NETRXF_more_data : 0);
        grant_batch_to_guest(&r->copies, buf->data + done, req.gref, (uint16_t)r->vif->headroom,
                             (uint16_t)part, r->nr_slots - 1);
        if (done == 0) {
            put_extras(r, buf);
            flags = 0;
        }
        done += part;
    }
    r->vif->statistics.rx_packets++;
    r->vif->statistics.rx_bytes += buf->bytes;
}

static void copy_failed(void *arg, uint32_t tag, int status)
{
    struct rx *r = arg;

    log_limited(&r->vif->guest_log, LOG_WARNING, &r->vif->id,
                "a page that the guest granted for reception could not be written (GNTST status "
                "%d)",
                status);
    r->slots[tag].response.status = NETIF_RSP_ERROR;
}

/* Copies the batch's data, then answers its slots. */
static void finish_batch(struct rx *r)
{
    uint32_t nr = r->copies.nr;
    int err = grant_batch_run(&r->copies, copy_failed, r);

    r->vif->statistics.copies += nr;
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

static struct rx_buffer *take_first(struct rx *r)
{
    struct rx_buffer *buf = r->first;

    r->first = buf->next;
    if (r->first == NULL) {
        r->tail = &r->first;
    }
    r->waiting--;
    return buf;
}

/* Puts as many packets as fit into one batch. Returns false when the guest lacks room. */
static bool fill_batch(struct rx *r, unsigned int room, struct rx_buffer **done)
{
    while (r->first != NULL) {
        uint32_t data = nr_data_slots(r, r->first);
        struct rx_buffer *buf;

        if (data > 1 && !r->vif->can_sg) {
            drop(r, take_first(r));
            continue;
        }
        r->want = data + nr_extras(r->first);
        if (r->want > room) {
            return false;
        }
        if (r->nr_slots + r->want > RX_MAX_SLOTS || r->copies.nr + data > r->copies.max) {
            return true;
        }
        room -= r->want;
        buf = take_first(r);
        put_packet(r, buf);
        buf->next = *done;
        *done = buf;
    }
    return true;
}

/* What waited too long is dropped, and the memory it held is free. */
static void drain(struct rx *r)
{
    if (vif_now(r->vif) - r->blocked_since_ns >= RX_DRAIN_NS) {
        while (r->first != NULL) {
            drop(r, take_first(r));
        }
    }
}

int rx_deliver(struct rx *r, bool *notify)
{
    bool room = true;

    if (r->first == NULL && r->blocked_since_ns != 0 && ring_pending(&r->ring) != 0) {
        r->blocked_since_ns = 0; /* all was dropped; the guest is there again */
    }
    while (room && r->first != NULL) {
        struct rx_buffer *done = NULL, *next;
        uint32_t before = r->ring.rsp_prod;
        int pending = ring_pending(&r->ring);

        if (pending < 0) {
            return pending;
        }
        room = fill_batch(r, (unsigned int)pending, &done);
        finish_batch(r);
        for (; done != NULL; done = next) {
            next = done->next;
            release(done);
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
        r->blocked_since_ns = vif_now(r->vif);
    }
    drain(r);
    return 0;
}

bool rx_may_wait(const struct rx *r)
{
    if (r->blocked_since_ns == 0) {
        return true; /* only the tap has news for us */
    }
    return !ring_final_check_many(&r->ring, r->first != NULL ? r->want : 1);
}
