/*
 * Fuzzes a network device's transmit and receive rings with their queues: whatever a front end does
 * to its pages and whatever frames the host sends, each slot that was taken is answered once with
 * its own id; what goes to the tap lies in its buffer, and its header names nothing outside of it;
 * what comes from the tap arrives in as many bytes as it had, in slots that the guest had made, in
 * the order in which it made them. A frame of the guest is the bytes that its fragments name.
 *
 * Input: a byte of choices, another for where the indices begin, then steps, each a byte and what
 * it needs. The guest and the tap are memory; time stands still unless a step moves it.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <xen/xen.h>
#include <xen/io/netif.h>

#include "parts/guest.h"
#include "parts/input.h"
#include "rx.h"
#include "tx.h"

enum { QUEUES = 2, STEPS = 400, ENTRIES = 256, FRAMES = 1024 };

enum step {
    PUT_PACKET,
    PUT_SLOT,
    PUT_EXTRA,
    PUT_ROOM,
    MOVE_INDEX,
    SET_INDEX,
    SCRIBBLE,
    TRANSMIT,
    SENT,
    POST,
    ARRIVE,
    DELIVER,
    PASS_TIME,
    SET_UP,
    FAIL_COPIES,
    FILL_PAGE,
    NR_STEPS,
};

/* A ring's page, and what the test knows of it. */
struct side {
    uint8_t *page;
    struct ring_back *ring;
    uint32_t seen;            /* responses that were looked at */
    uint32_t smeared;         /* those before it the guest may have overwritten */
    uint16_t ids[ENTRIES];    /* of requests that were taken, by their place */
    bool waits[ENTRIES];      /* for an answer */
    unsigned int nr_extras;   /* slots that were taken and have no id: answered by NULL */
    unsigned int nr_answered; /* of those */
};

static struct net_vif vif;
static struct figures figures;
static struct net_mcast mcast;
static struct net_hash hash;
static struct net_tx *tx;
static struct net_rx *rx; /* QUEUES of them */
static struct side txs, rxs[QUEUES];
static uint16_t tx_size; /* of an entry, in bytes */
static bool over;
static bool writing[NET_TX_BUFFERS];
static struct {
    bool active;
    uint8_t *buf;
    uint32_t bytes;
} reading[QUEUES][NET_RX_BUFFERS];
static uint32_t frames[FRAMES]; /* lengths of those that are on their way to the guest */
static unsigned int nr_frames;

uint64_t loop_now_ns(void)
{
    return 1;
}

static uint8_t *entry_at(const struct side *s, uint32_t index)
{
    return s->page + RING_HEADER_BYTES + (size_t)(index % ENTRIES) * s->ring->entry_bytes;
}

static struct ring_shared *shared(const struct side *s)
{
    return (struct ring_shared *)s->page;
}

static uint8_t *guest_writes(struct side *s, uint8_t *where)
{
    s->smeared = s->ring->rsp_prod;
    return where;
}

/* A header that the kernel would take from us. */
static void check_header(const struct virtio_net_hdr *h, uint32_t bytes)
{
    if ((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0) {
        require(h->csum_start + h->csum_offset + 2U <= bytes);
    }
    if (h->gso_type != VIRTIO_NET_HDR_GSO_NONE) {
        require((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0);
        require(h->gso_size != 0 && h->hdr_len != 0 && h->hdr_len <= bytes);
        require(h->gso_type == VIRTIO_NET_HDR_GSO_TCPV4 || h->gso_type == VIRTIO_NET_HDR_GSO_TCPV6);
    }
}

/* In place of uring.c and engine.c: the tap takes it, later. */
void uring_write(struct io_uring *ring, int fd, const void *buf, uint32_t bytes, uint64_t tag)
{
    const struct net_tx_buffer *b = &tx->buffers[NET_TAG_INDEX(tag)];
    const uint8_t *from = buf;
    struct virtio_net_hdr h;

    (void)ring;
    (void)fd;
    require(NET_TAG_KIND(tag) == NET_TAG_TX && NET_TAG_INDEX(tag) < NET_TX_BUFFERS);
    require(!writing[NET_TAG_INDEX(tag)]);
    require(from >= b->memory && from + bytes <= b->memory + NET_TX_BUFFER_BYTES);
    require(bytes >= NET_VNET_HEADER + NET_MIN_PACKET && bytes <= NET_VNET_HEADER + NET_MAX_PACKET);
    memcpy(&h, from, sizeof(h));
    check_header(&h, bytes - NET_VNET_HEADER);
    writing[NET_TAG_INDEX(tag)] = true;
}

void net_engine_read(struct io_uring *ring, int fd, void *buf, uint32_t bytes, bool linked,
                     uint64_t tag)
{
    unsigned int queue = NET_TAG_QUEUE(tag), index = NET_TAG_INDEX(tag);

    (void)ring;
    (void)fd;
    (void)linked;
    require(NET_TAG_KIND(tag) == NET_TAG_RX && queue < QUEUES && index < NET_RX_BUFFERS);
    require(!reading[queue][index].active);
    reading[queue][index].active = true;
    reading[queue][index].buf = buf;
    reading[queue][index].bytes = bytes;
}

/* Copies go to and come from buffers, whichever they are of. */
static void on_copy(const struct guest_copy *c)
{
    bool inside = false;

    for (unsigned int i = 0; i < NET_TX_BUFFERS && c->from_guest; i++) {
        inside = inside || (c->local >= tx->buffers[i].memory &&
                            c->local + c->bytes <= tx->buffers[i].memory + NET_TX_BUFFER_BYTES);
    }
    for (unsigned int i = 0; i < QUEUES * NET_RX_BUFFERS && !c->from_guest; i++) {
        const struct net_rx_buffer *b = &rx[i / NET_RX_BUFFERS].buffers[i % NET_RX_BUFFERS];

        inside = inside || (c->local >= b->data && c->local + c->bytes <= b->data + b->bytes);
    }
    require(inside);
}

/* Whether the guest has broken a ring. */
static bool broken(const struct side *s)
{
    uint32_t prod = shared(s)->req_prod;

    return prod - s->ring->rsp_prod > ENTRIES || prod - s->ring->req_cons > ENTRIES;
}

/* The slots that a turn took, as they stand in the ring. */
static void note_taken(struct side *s, uint8_t copy[ENTRIES][16], uint32_t first)
{
    bool extras = false;   /* more of them follow */
    bool fragment = false; /* the next slot is one of a packet that has begun */

    for (; first != s->ring->req_cons; first++) {
        struct netif_tx_request r;

        memcpy(&r, copy[first % ENTRIES], sizeof(r));
        if (extras) {
            struct netif_extra_info e;

            memcpy(&e, copy[first % ENTRIES], sizeof(e));
            extras = (e.flags & XEN_NETIF_EXTRA_FLAG_MORE) != 0;
            s->nr_extras++;
            continue;
        }
        require(!s->waits[first % ENTRIES]);
        s->waits[first % ENTRIES] = true;
        s->ids[first % ENTRIES] = r.id;
        extras = !fragment && (r.flags & NETTXF_extra_info) != 0;
        fragment = (r.flags & NETTXF_more_data) != 0;
    }
}

static void copy_entries(const struct side *s, uint8_t copy[ENTRIES][16])
{
    for (uint32_t i = 0; i < ENTRIES; i++) {
        memcpy(copy[i], entry_at(s, i), s->ring->entry_bytes);
    }
}

/* One answer of the transmit ring: to some slot that waits, for a batch answers refusals first. */
static void look_at_tx_answer(uint32_t index)
{
    struct netif_tx_response r;

    memcpy(&r, entry_at(&txs, index), sizeof(r));
    if ((int32_t)(index - txs.smeared) < 0) {
        return;
    }
    require(r.status == NETIF_RSP_OKAY || r.status == NETIF_RSP_ERROR ||
            r.status == NETIF_RSP_NULL);
    if (r.status == NETIF_RSP_NULL) {
        require(r.id == 0);
        txs.nr_answered++;
        return;
    }
    for (unsigned int i = 0; i < ENTRIES; i++) {
        if (txs.waits[i] && txs.ids[i] == r.id) {
            txs.waits[i] = false;
            return;
        }
    }
    require(!"an answer to nothing");
}

static void transmit(void)
{
    static uint8_t copy[ENTRIES][16];
    uint32_t first = txs.ring->req_cons;
    bool bad = broken(&txs), notify = false;
    int n;

    copy_entries(&txs, copy);
    n = net_tx_take(tx, &notify);
    require(!bad || n == -EPROTO);
    over = n < 0;
    require(txs.ring->published == txs.ring->rsp_prod && txs.ring->rsp_prod == txs.ring->req_cons);
    require(over || (uint32_t)n == txs.ring->req_cons - first);
    note_taken(&txs, copy, first);
    for (; txs.seen != txs.ring->published; txs.seen++) {
        look_at_tx_answer(txs.seen);
    }
    for (unsigned int i = 0; i < ENTRIES; i++) {
        require(!txs.waits[i]);
    }
    require(txs.nr_extras == txs.nr_answered);
    (void)net_tx_may_wait(tx);
}

static void expect_frame(uint32_t bytes)
{
    for (unsigned int i = 0; i < nr_frames; i++) {
        if (frames[i] == bytes) {
            frames[i] = frames[--nr_frames];
            return;
        }
    }
    require(!"a frame that nobody sent");
}

/* All answers of a receive ring since: whole packets, in the places of their requests. */
static void look_at_rx_answers(struct side *s, uint8_t copy[ENTRIES][16])
{
    uint32_t bytes = 0;
    bool more = false, failed = false, extras = false;

    for (; s->seen != s->ring->published; s->seen++) {
        struct netif_rx_response r;
        struct netif_rx_request asked;
        struct netif_extra_info e;

        memcpy(&r, entry_at(s, s->seen), sizeof(r));
        memcpy(&e, entry_at(s, s->seen), sizeof(e));
        memcpy(&asked, copy[s->seen % ENTRIES], sizeof(asked));
        if (extras) {
            require(e.type == XEN_NETIF_EXTRA_TYPE_GSO || e.type == XEN_NETIF_EXTRA_TYPE_HASH);
            extras = (e.flags & XEN_NETIF_EXTRA_FLAG_MORE) != 0;
        } else {
            require(r.id == asked.id && r.offset == vif.headroom);
            require(r.status == NETIF_RSP_ERROR ||
                    (r.status > 0 && r.offset + r.status <= (int)GUEST_BYTES));
            failed = failed || r.status < 0;
            bytes += r.status > 0 ? (uint32_t)r.status : 0;
            require(!more || (r.flags & NETRXF_extra_info) == 0);
            extras = (r.flags & NETRXF_extra_info) != 0;
            more = (r.flags & NETRXF_more_data) != 0;
            require(vif.can_sg || !more);
        }
        if (!more && !extras) {
            if (!failed) {
                expect_frame(bytes);
            }
            bytes = 0;
            failed = false;
        }
    }
    require(!more && !extras);
}

static void deliver(unsigned int queue)
{
    static uint8_t copy[ENTRIES][16];
    struct side *s = &rxs[queue];
    bool bad = broken(s) && rx[queue].first != NULL, notify = false;
    int err;

    copy_entries(s, copy);
    err = net_rx_deliver(&rx[queue], &notify);
    require(!bad || err == -EPROTO);
    require(err == 0 || err == -EPROTO);
    require(s->ring->published == s->ring->rsp_prod && s->ring->rsp_prod == s->ring->req_cons);
    require(rx[queue].waiting <= NET_RX_BUFFERS && rx[queue].nr_free <= NET_RX_BUFFERS);
    look_at_rx_answers(s, copy);
    over = over || err != 0;
    (void)net_rx_may_wait(&rx[queue]);
}

/* The host sends a frame of `bytes` bytes; its first ones are the input's. */
static void arrive(struct input *in)
{
    uint8_t which = input_u8(in);
    unsigned int queue = which % QUEUES, index = which / QUEUES % NET_RX_BUFFERS;
    uint32_t bytes = input_u16(in);
    struct virtio_net_hdr h = {.flags = input_u8(in), .gso_type = input_u8(in)};
    uint8_t start[80];

    for (unsigned int i = 0; i < NET_RX_BUFFERS && !reading[queue][index].active; i++) {
        index = (index + 1) % NET_RX_BUFFERS;
    }
    h.gso_size = input_u16(in);
    h.csum_start = input_u16(in);
    h.csum_offset = input_u8(in);
    input_bytes(in, start, sizeof(start));
    if (!reading[queue][index].active) {
        return;
    }
    reading[queue][index].active = false;
    if (bytes == 0xffff) {
        net_rx_complete(&rx[queue], index, -EAGAIN);
        return;
    }
    require(bytes + NET_VNET_HEADER <= reading[queue][index].bytes);
    memcpy(reading[queue][index].buf, &h, sizeof(h));
    memcpy(reading[queue][index].buf + sizeof(h), start, bytes < 80 ? bytes : 80);
    if (nr_frames == FRAMES) {
        nr_frames = 0; /* they were dropped long ago */
    }
    frames[nr_frames++] = bytes;
    net_rx_complete(&rx[queue], index, (int)(bytes + NET_VNET_HEADER));
}

/* A packet of several fragments whose sizes add up, more or less. */
static void put_packet(struct input *in)
{
    uint8_t flags = input_u8(in), nr = input_u8(in) % 8;
    uint16_t sizes[8], total = 0;

    for (unsigned int i = 0; i <= nr && i < 8; i++) {
        sizes[i] = input_u16(in) % 1500;
        total += sizes[i];
    }
    sizes[0] = (flags & 0x10) != 0 ? sizes[0] : total;
    for (unsigned int i = 0; i <= nr && i < 8; i++) {
        const struct netif_tx_request r = {.gref = input_u8(in) % (GUEST_PAGES + 1),
                                           .offset = input_u16(in) % 3000,
                                           .flags = (i == 0 ? flags & 0xb : 0) |
                                                    (i < nr ? NETTXF_more_data : 0),
                                           .id = (uint16_t)(shared(&txs)->req_prod + 1),
                                           .size = sizes[i]};

        memcpy(guest_writes(&txs, entry_at(&txs, shared(&txs)->req_prod++)), &r, sizeof(r));
        if (i == 0 && (flags & NETTXF_extra_info) != 0) {
            input_bytes(in, guest_writes(&txs, entry_at(&txs, shared(&txs)->req_prod++)),
                        sizeof(struct netif_extra_info));
        }
    }
}

static void put_extra(struct input *in)
{
    struct netif_extra_info e = {.type = input_u8(in) % 6, .flags = input_u8(in) & 1};

    input_bytes(in, &e.u, sizeof(e.u));
    memcpy(guest_writes(&txs, entry_at(&txs, shared(&txs)->req_prod++)), &e, sizeof(e));
}

static void put_room(struct input *in)
{
    uint8_t n = input_u8(in);
    struct side *s = &rxs[n % QUEUES];

    for (unsigned int i = 0; i <= n / QUEUES; i++) {
        const struct netif_rx_request r = {.id = (uint16_t)(shared(s)->req_prod + 1),
                                           .gref = i % (GUEST_PAGES + (n & 1))};

        memcpy(guest_writes(s, entry_at(s, shared(s)->req_prod++)), &r, sizeof(r));
    }
}

static struct side *any_side(uint8_t n)
{
    return n % 3 == 0 ? &txs : &rxs[n % 3 - 1];
}

static void scribble(struct input *in)
{
    struct side *s = any_side(input_u8(in));
    uint16_t where = input_u16(in);
    uint8_t n = input_u8(in) % 16;

    for (unsigned int i = 0; i < n; i++) {
        *guest_writes(s, s->page + (where + i) % GUEST_BYTES) = input_u8(in);
    }
}

/* What the guest can do, and has asked for. */
static void set_up(struct input *in)
{
    uint8_t can = input_u8(in), wants = input_u8(in);

    vif.can_sg = (can & 1) != 0;
    vif.csum_v4 = (can & 2) != 0;
    vif.csum_v6 = (can & 4) != 0;
    vif.gso_v4 = (can & 8) != 0;
    vif.gso_v6 = (can & 16) != 0;
    vif.headroom = (can & 32) != 0 ? input_u16(in) % 2049 : 0;
    mcast.enabled = (can & 64) != 0;
    hash.algorithm = wants & 1;
    hash.flags = wants >> 1 & 0xf;
    hash.mapping_size = wants >> 5;
    for (unsigned int i = 0; i < NET_HASH_MAPPING; i++) {
        hash.mapping[i] = i % QUEUES;
    }
    bucket_set(&vif.credit, (can & 128) != 0 ? 3000 : 0, 1000000, 131072, vif.now_ns);
}

static void do_step(struct input *in, enum step step)
{
    uint8_t n;

    switch (step) {
    case PUT_PACKET:
        put_packet(in);
        break;
    case PUT_SLOT:
        input_bytes(in, guest_writes(&txs, entry_at(&txs, shared(&txs)->req_prod++)), tx_size);
        break;
    case PUT_EXTRA:
        put_extra(in);
        break;
    case PUT_ROOM:
        put_room(in);
        break;
    case MOVE_INDEX:
        n = input_u8(in);
        shared(any_side(n))->req_prod += (uint32_t)(int8_t)input_u8(in);
        break;
    case SET_INDEX:
        n = input_u8(in);
        shared(any_side(n))->req_prod = input_u32(in);
        break;
    case SCRIBBLE:
        scribble(in);
        break;
    case TRANSMIT:
        transmit();
        break;
    case SENT:
        n = input_u8(in) % NET_TX_BUFFERS;
        if (writing[n]) {
            writing[n] = false;
            net_tx_complete(tx, n, (input_u8(in) & 1) != 0 ? -EIO : 1);
        }
        break;
    case POST:
        net_rx_post(&rx[input_u8(in) % QUEUES]);
        break;
    case ARRIVE:
        arrive(in);
        break;
    case DELIVER:
        deliver(input_u8(in) % QUEUES);
        break;
    case PASS_TIME:
        vif.now_ns += (uint64_t)input_u8(in) << (input_u8(in) % 32);
        break;
    case SET_UP:
        set_up(in);
        break;
    case FAIL_COPIES:
        guest_calls_fail = !guest_calls_fail;
        break;
    default:
        n = input_u8(in);
        input_bytes(in, guest_pages[n % GUEST_PAGES], 96);
        break;
    }
}

static void begin_side(struct side *s, struct ring_back *ring, uint32_t entry_bytes, uint32_t first)
{
    memset(s, 0, sizeof(*s));
    s->page = calloc(1, GUEST_BYTES);
    s->ring = ring;
    require(s->page != NULL);
    shared(s)->req_prod = shared(s)->rsp_prod = s->seen = s->smeared = first;
    shared(s)->req_event = shared(s)->rsp_event = first + 1;
    ring_attach(ring, s->page, GUEST_BYTES, entry_bytes);
    require(ring->nr_entries == ENTRIES);
}

static void begin(uint32_t first)
{
    memset(&vif, 0, sizeof(vif));
    memset(writing, 0, sizeof(writing));
    memset(reading, 0, sizeof(reading));
    memset(guest_pages, 0, sizeof(guest_pages));
    nr_frames = 0;
    over = guest_calls_fail = false;
    guest_on_copy = on_copy;
    memset(&mcast, 0, sizeof(mcast));
    hash = (struct net_hash){.nr_queues = QUEUES};
    vif.figures = &figures;
    vif.mcast = &mcast;
    vif.hash = &hash;
    vif.now_ns = 1;
    vif.can_sg = vif.csum_v4 = vif.csum_v6 = vif.gso_v4 = vif.gso_v6 = true;
    tx = calloc(1, sizeof(*tx));
    rx = calloc(QUEUES, sizeof(*rx));
    require(tx != NULL && rx != NULL);
    tx->vif = &vif;
    begin_side(&txs, &tx->ring, sizeof(union netif_tx_sring_entry), first);
    tx_size = sizeof(union netif_tx_sring_entry);
    require(net_tx_init(tx, NULL, 1) == 0);
    for (unsigned int i = 0; i < QUEUES; i++) {
        rx[i].vif = &vif;
        rx[i].all = rx;
        rx[i].queue = i;
        begin_side(&rxs[i], &rx[i].ring, sizeof(union netif_rx_sring_entry), first);
        require(net_rx_init(&rx[i], NULL, 1) == 0);
    }
}

static void end(void)
{
    munmap(tx->buffers[0].memory, (size_t)NET_TX_BUFFERS * NET_TX_BUFFER_BYTES);
    free(tx->copies.segs);
    free(tx->copies.tags);
    free(txs.page);
    for (unsigned int i = 0; i < QUEUES; i++) {
        munmap(rx[i].buffers[0].data - GUEST_BYTES, (size_t)NET_RX_BUFFERS * NET_RX_BUFFER_BYTES);
        free(rx[i].copies.segs);
        free(rx[i].copies.tags);
        free(rxs[i].page);
    }
    free(tx);
    free(rx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};

    log_set_level(-1);
    begin((uint32_t)(int8_t)input_u8(&in));
    set_up(&in);
    for (unsigned int i = 0; i < STEPS && in.left != 0 && !over; i++) {
        do_step(&in, input_u8(&in) % NR_STEPS);
    }
    end();
    return 0;
}
