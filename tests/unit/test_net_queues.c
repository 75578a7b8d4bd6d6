/*
 * The data path of a network device without Xen: the guest's pages are an array here,
 * xengnttab_grant_copy() copies from and to it, and the tap is a socket pair of datagrams behind a
 * real io_uring. The front end's side of the rings is written out by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/io/netif.h>

#include "estate.h"
#include "rx.h"
#include "tx.h"

enum { PAGES = 64, NO_GRANT = 1000, RING = 256 };

static uint8_t guest[PAGES][4096];
static _Alignas(4096) uint8_t tx_page[4096], rx_page[4096];
static netif_tx_sring_t *const tx_ring = (netif_tx_sring_t *)tx_page;
static netif_rx_sring_t *const rx_ring = (netif_rx_sring_t *)rx_page;
static uint32_t tx_seen, rx_seen;
static struct io_uring uring;
static struct net_vif vif;
static struct figures figures;
static struct net_mcast mcast;
static struct net_hash hash;
static struct net_tx tx;
static struct net_rx rx;
static int tap[2]; /* the device's end, the host's end */
static int copy_calls;

/* In place of libxengnttab's: a reference is an index into `guest`; others are refused by "Xen". */
int xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count, xengnttab_grant_copy_segment_t *s)
{
    (void)xgt;
    copy_calls++;
    for (; count-- > 0; s++) {
        bool out = (s->flags & GNTCOPY_source_gref) != 0;
        uint32_t ref = out ? s->source.foreign.ref : s->dest.foreign.ref;
        uint16_t offset = out ? s->source.foreign.offset : s->dest.foreign.offset;

        assert_true(offset + s->len <= 4096);
        s->status = ref < PAGES ? GNTST_okay : GNTST_bad_gntref;
        if (ref < PAGES && out) {
            memcpy(s->dest.virt, guest[ref] + offset, s->len);
        } else if (ref < PAGES) {
            memcpy(guest[ref] + offset, s->source.virt, s->len);
        }
    }
    return 0;
}

static int setup(void **state)
{
    const int size = 1 << 20;

    (void)state;
    memset(guest, 0, sizeof(guest));
    memset(tx_page, 0, sizeof(tx_page));
    memset(rx_page, 0, sizeof(rx_page));
    memset(&vif, 0, sizeof(vif));
    memset(&tx, 0, sizeof(tx));
    memset(&rx, 0, sizeof(rx));
    tx_ring->req_event = tx_ring->rsp_event = rx_ring->req_event = rx_ring->rsp_event = 1;
    tx_seen = rx_seen = 0;
    vif.id = (struct log_id){.class = "vif", .domid = 1, .device = 0};
    vif.guest_log = (struct log_limit){.burst = 1, .interval_ms = 5000};
    vif.uring = &uring;
    figures = (struct figures){.value = {0}};
    vif.figures = &figures;
    mcast = (struct net_mcast){.nr = 0};
    hash = (struct net_hash){.nr_queues = 1};
    vif.mcast = &mcast;
    vif.hash = &hash;
    vif.now_ns = 1000000; /* time stands still unless a test moves it */
    vif.gso_v4 = vif.gso_v6 = true;
    vif.can_sg = vif.csum_v4 = vif.csum_v6 = true;
    tx.vif = rx.vif = &vif;
    rx.all = &rx;
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, tap) != 0) {
        return 1;
    }
    setsockopt(tap[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    setsockopt(tap[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    tx.tap_fd = rx.tap_fd = tap[0];
    ring_attach(&tx.ring, tx_page, sizeof(tx_page), sizeof(union netif_tx_sring_entry));
    ring_attach(&rx.ring, rx_page, sizeof(rx_page), sizeof(union netif_rx_sring_entry));
    return net_engine_open(&uring) != 0 || net_tx_init(&tx, NULL, 1) != 0 ||
           net_rx_init(&rx, NULL, 1) != 0;
}

static int teardown(void **state)
{
    (void)state;
    io_uring_queue_exit(&uring);
    munmap(tx.buffers[0].memory, (size_t)NET_TX_BUFFERS * NET_TX_BUFFER_BYTES);
    munmap(rx.buffers[0].data - GRANT_PAGE_BYTES, (size_t)NET_RX_BUFFERS * NET_RX_BUFFER_BYTES);
    free(tx.copies.segs);
    free(tx.copies.tags);
    free(rx.copies.segs);
    free(rx.copies.tags);
    close(tap[0]);
    close(tap[1]);
    return 0;
}

/* Submits, and takes what has completed. */
static void turn_engine(void)
{
    struct uring_event ev;

    assert_int_equal(uring_submit(&uring, 1000000), 0);
    while (uring_next(&uring, &ev)) {
        if (NET_TAG_KIND(ev.tag) == NET_TAG_TX) {
            net_tx_complete(&tx, NET_TAG_INDEX(ev.tag), ev.res);
        } else {
            net_rx_complete(&rx, NET_TAG_INDEX(ev.tag), ev.res);
        }
    }
}

static struct netif_tx_request *put_tx(uint32_t ref, uint16_t offset, uint16_t size, uint16_t flags)
{
    struct netif_tx_request *r = &tx_ring->ring[tx_ring->req_prod % RING].req;

    *r = (struct netif_tx_request){.gref = ref,
                                   .offset = offset,
                                   .flags = flags,
                                   .id = (uint16_t)(tx_ring->req_prod + 7000),
                                   .size = size};
    tx_ring->req_prod++;
    return r;
}

static void put_tx_gso(uint16_t bytes, uint8_t type)
{
    struct netif_extra_info e = {.type = XEN_NETIF_EXTRA_TYPE_GSO};

    e.u.gso.size = bytes;
    e.u.gso.type = type;
    memcpy(&tx_ring->ring[tx_ring->req_prod++ % RING], &e, sizeof(e));
}

/* Takes all that waits. Returns whether the guest was to be notified. */
static bool transmit(void)
{
    bool notify = false;

    while (net_tx_take(&tx, &notify) > 0) {
        turn_engine();
    }
    return notify;
}

static int16_t tx_status(void)
{
    assert_true(tx_seen != tx_ring->rsp_prod);
    return tx_ring->ring[tx_seen++ % RING].rsp.status;
}

/* An IPv4 TCP frame of `payload` bytes behind its 54 of headers, at guest page `ref`. */
static void make_tcp4(uint32_t ref, uint16_t payload)
{
    static const uint8_t start[] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45};
    uint8_t *p = guest[ref];

    memset(p, 0, 54);
    memcpy(p, start, sizeof(start));
    p[16] = (uint8_t)((40 + payload) >> 8);
    p[17] = (uint8_t)(40 + payload);
    p[23] = NET_FRAME_TCP;
    p[46] = 0x50;
    for (unsigned int i = 0; i < payload && 54 + i < 4096; i++) {
        p[54 + i] = (uint8_t)(i * 7);
    }
}

/* What arrived at the host's end: the header in *h, the length without it, or -1. */
static ssize_t at_host(struct virtio_net_hdr *h, uint8_t *data, size_t size)
{
    static uint8_t buf[80000];
    ssize_t n = recv(tap[1], buf, sizeof(buf), 0);

    memset(h, 0, sizeof(*h));
    if (n < (ssize_t)NET_VNET_HEADER) {
        return -1;
    }
    memcpy(h, buf, NET_VNET_HEADER);
    n -= (ssize_t)NET_VNET_HEADER;
    memcpy(data, buf + NET_VNET_HEADER, (size_t)n < size ? (size_t)n : size);
    return n;
}

static void a_packet_reaches_the_tap(void **state)
{
    struct virtio_net_hdr h;
    uint8_t data[2000];

    (void)state;
    make_tcp4(3, 1000);
    put_tx(3, 0, 1054, NETTXF_csum_blank | NETTXF_data_validated);
    assert_true(transmit());
    assert_int_equal(tx_ring->ring[0].rsp.id, 7000);
    assert_int_equal(tx_status(), NETIF_RSP_OKAY);
    assert_int_equal(at_host(&h, data, sizeof(data)), 1054);
    assert_memory_equal(data, guest[3], 1054);
    assert_int_equal(h.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    assert_int_equal(h.csum_start, 34);
    assert_int_equal(h.csum_offset, 16);
    assert_int_equal(h.gso_type, VIRTIO_NET_HDR_GSO_NONE);
    assert_int_equal(figures.value[NET_FIGURE_TX_PACKETS], 1);
}

static void a_large_packet_with_segmentation(void **state)
{
    static uint8_t data[65536];
    struct virtio_net_hdr h;

    (void)state;
    make_tcp4(0, 4042);
    memset(guest[1], 0xb1, 4096);
    memset(guest[2], 0xb2, 4096);
    put_tx(0, 0, 54 + 4096 + 100, NETTXF_more_data | NETTXF_extra_info); /* the flag forgotten */
    put_tx_gso(1448, XEN_NETIF_GSO_TYPE_TCPV4);
    put_tx(1, 0, 4096, NETTXF_more_data);
    put_tx(2, 50, 100, 0);
    transmit();
    assert_int_equal(at_host(&h, data, sizeof(data)), 54 + 4096 + 100);
    assert_int_equal(h.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
    assert_int_equal(h.gso_size, 1448);
    assert_int_equal(h.hdr_len, 54);
    assert_int_equal(h.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    assert_int_equal(data[54], 0xb1);
    assert_int_equal(data[54 + 4096], 0xb2);
    assert_int_equal(tx_status(), NETIF_RSP_OKAY);
    assert_int_equal(tx_status(), NETIF_RSP_NULL);
    assert_int_equal(tx_status(), NETIF_RSP_OKAY);
    assert_int_equal(tx_status(), NETIF_RSP_OKAY);
}

static void a_batch_needs_one_copy(void **state)
{
    struct virtio_net_hdr h;
    uint8_t data[100];

    (void)state;
    for (unsigned int i = 0; i < 40; i++) {
        guest[0][14] = 1;
        put_tx(0, 0, 60, 0);
    }
    copy_calls = 0;
    transmit();
    assert_int_equal(copy_calls, 1);
    for (unsigned int i = 0; i < 40; i++) {
        assert_int_equal(at_host(&h, data, sizeof(data)), 60);
    }
    assert_int_equal(tx.in_flight, 0);
}

static void mistakes_are_answered_and_go_no_further(void **state)
{
    struct virtio_net_hdr h;
    uint8_t data[100];

    (void)state;
    put_tx(NO_GRANT, 0, 60, 0);
    put_tx(0, 4090, 60, 0);
    put_tx(1, 0, 60, NETTXF_csum_blank); /* no IP at all */
    make_tcp4(2, 10);
    put_tx(2, 0, 64, NETTXF_extra_info | NETTXF_csum_blank);
    put_tx_gso(1000, XEN_NETIF_GSO_TYPE_TCPV6); /* but it is IPv4 */
    put_tx(2, 0, 64, 0);
    transmit();
    assert_int_equal(tx_status(), NETIF_RSP_ERROR); /* the gate's refusal needs no copy */
    assert_int_equal(tx_ring->ring[0].rsp.id, 7001);
    assert_int_equal(tx_status(), NETIF_RSP_ERROR);
    assert_int_equal(tx_ring->ring[1].rsp.id, 7000);
    assert_int_equal(tx_status(), NETIF_RSP_ERROR);
    assert_int_equal(tx_status(), NETIF_RSP_ERROR);
    assert_int_equal(tx_status(), NETIF_RSP_NULL);
    assert_int_equal(tx_status(), NETIF_RSP_OKAY);
    assert_int_equal(at_host(&h, data, sizeof(data)), 64);
    assert_int_equal(at_host(&h, data, sizeof(data)), -1);
    assert_int_equal(figures.value[NET_FIGURE_TX_REFUSED], 4);
}

static void a_packet_that_breaks_off_waits_without_spinning(void **state)
{
    bool notify = false;

    (void)state;
    put_tx(0, 0, 200, NETTXF_more_data);
    assert_int_equal(net_tx_take(&tx, &notify), 0);
    assert_true(net_tx_may_wait(&tx));
    assert_int_equal(tx_ring->req_event, 2);
    put_tx(0, 0, 100, 0);
    assert_false(net_tx_may_wait(&tx));
    assert_int_equal(net_tx_take(&tx, &notify), 2);
    turn_engine();
}

static void a_ring_that_lies_is_broken(void **state)
{
    bool notify = false;

    (void)state;
    tx_ring->req_prod = RING + 1;
    assert_int_equal(net_tx_take(&tx, &notify), -EPROTO);
    teardown(NULL);
    setup(NULL);
    for (unsigned int i = 0; i < 30; i++) {
        put_tx(0, 0, 10, NETTXF_more_data);
    }
    assert_int_equal(net_tx_take(&tx, &notify), -EPROTO);
}

static void more_than_the_limit_waits_for_its_time(void **state)
{
    bool notify = false;

    (void)state;
    bucket_set(&vif.credit, 100, 1000000, 0, vif.now_ns);
    put_tx(0, 0, 60, 0);
    put_tx(0, 0, 60, 0);
    assert_int_equal(net_tx_take(&tx, &notify), 1);
    assert_true(tx.no_credit && net_tx_may_wait(&tx));
    vif.now_ns = vif.credit.next_ns;
    assert_int_equal(net_tx_take(&tx, &notify), 1);
    turn_engine();
}

/* As often as the guest asks for multicast control, it gets no more to send. */
static void other_settings_give_nothing_back(void **state)
{
    struct net_wire_settings s = {.rate_bytes = 100, .rate_us = 10000000};
    bool notify = false;

    (void)state;
    net_tx_limit(&vif, &s);
    vif.now_ns = vif.credit.filled_ns;
    assert_int_equal(vif.credit.tokens, 100);
    put_tx(0, 0, 60, 0);
    assert_int_equal(net_tx_take(&tx, &notify), 1);
    assert_int_equal(vif.credit.tokens, 40);
    s.multicast_control = true;
    net_tx_limit(&vif, &s);
    assert_int_equal(vif.credit.tokens, 40);
    s.rate_bytes = 200; /* another limit is another limit */
    net_tx_limit(&vif, &s);
    assert_int_equal(vif.credit.tokens, 200);
    turn_engine();
}

static void the_multicast_filter_is_changed_by_the_ring(void **state)
{
    struct netif_extra_info e = {.type = XEN_NETIF_EXTRA_TYPE_MCAST_ADD,
                                 .u.mcast.addr = {0x33, 0x33, 0, 0, 0, 1}};

    (void)state;
    put_tx(0, 0, 0, NETTXF_extra_info);
    memcpy(&tx_ring->ring[tx_ring->req_prod++ % RING], &e, sizeof(e));
    transmit();
    assert_int_equal(tx_status(), NETIF_RSP_OKAY);
    assert_int_equal(tx_status(), NETIF_RSP_NULL);
    assert_int_equal(mcast.nr, 1);
}

/* Another worker takes the transmit ring over, with the estate of the last one. */
static void another_worker(struct net_estate *e)
{
    tx.ring = (struct ring_back){.shared = NULL};
    ring_attach(&tx.ring, tx_page, sizeof(tx_page), sizeof(union netif_tx_sring_entry));
    assert_int_equal(ring_inherit(&tx.ring, &e->tx[0], false, sizeof(struct netif_tx_response)), 0);
}

/*
 * Killed at any store of a publication: nothing was counted yet, or all was and some of it is in
 * the ring, or all is and the guest was not shown it. What the next worker finds is answered as it
 * was, or taken again as a whole; no answer is taken for a request.
 */
static void killed_while_it_answers_nothing_is_taken_for_what_it_is_not(void **state)
{
    static uint8_t before[4096], answered[4096], data[5000];
    static struct net_estate e, full;
    const size_t entry = sizeof(union netif_tx_sring_entry);
    const uint32_t nr = 4;
    struct virtio_net_hdr h;

    (void)state;
    memset(&e, 0, sizeof(e));
    assert_int_equal(ring_inherit(&tx.ring, &e.tx[0], true, sizeof(struct netif_tx_response)), 0);
    make_tcp4(0, 4042);
    put_tx(0, 0, 4096 + 100, NETTXF_more_data | NETTXF_extra_info | NETTXF_csum_blank);
    put_tx_gso(1448, XEN_NETIF_GSO_TYPE_TCPV4);
    put_tx(1, 50, 100, 0);
    put_tx(2, 0, 60, 0);
    memcpy(before, tx_page, sizeof(before));
    transmit();
    memcpy(answered, tx_page, sizeof(answered));
    full = e;
    assert_int_equal(full.tx[0].answered, nr);
    while (at_host(&h, data, sizeof(data)) >= 0) {
    }
    for (uint32_t in_ring = 0; in_ring <= nr + 1; in_ring++) {
        memcpy(tx_page, before, sizeof(tx_page));
        memcpy(tx_page + RING_HEADER_BYTES, answered + RING_HEADER_BYTES,
               (in_ring < nr ? in_ring : nr) * entry);
        e = full;
        e.tx[0].written = in_ring > nr ? nr : 0;
        e.tx[0].published = 0;
        another_worker(&e);
        assert_int_equal(tx_ring->rsp_prod, nr);
        assert_memory_equal(tx_page + RING_HEADER_BYTES, answered + RING_HEADER_BYTES, nr * entry);
        transmit();
        assert_int_equal(at_host(&h, data, sizeof(data)), -1);
    }
    memcpy(tx_page, before, sizeof(tx_page)); /* and nothing was counted */
    e = full;
    e.tx[0].answered = e.tx[0].written = e.tx[0].published = 0;
    another_worker(&e);
    transmit();
    assert_int_equal(at_host(&h, data, sizeof(data)), 4196);
    assert_int_equal(h.gso_size, 1448);
    assert_int_equal(at_host(&h, data, sizeof(data)), 60);
    assert_memory_equal(tx_page + RING_HEADER_BYTES, answered + RING_HEADER_BYTES, nr * entry);
}

/* A guest that starts anew while nobody serves it, in pages that it has granted before. */
static void another_ring_in_the_same_page_is_not_answered(void **state)
{
    static struct net_estate e;
    const struct netif_tx_response rsp = {.id = 7000, .status = NETIF_RSP_OKAY};

    (void)state;
    memset(&e, 0, sizeof(e));
    assert_int_equal(ring_inherit(&tx.ring, &e.tx[0], true, sizeof(rsp)), 0);
    put_tx(2, 0, 60, 0);
    put_tx(3, 0, 60, 0);
    transmit();
    assert_int_equal(tx_ring->rsp_prod, 2);
    memset(tx_page, 0, sizeof(tx_page));
    tx.ring = (struct ring_back){.shared = NULL};
    ring_attach(&tx.ring, tx_page, sizeof(tx_page), sizeof(union netif_tx_sring_entry));
    assert_int_equal(ring_inherit(&tx.ring, &e.tx[0], false, sizeof(rsp)), -ESTALE);
    assert_int_equal(tx_ring->rsp_prod, 0);
    tx_ring->req_prod = 5;
    assert_int_equal(ring_inherit(&tx.ring, &e.tx[0], false, sizeof(rsp)), -ESTALE);
    assert_int_equal(tx_ring->rsp_prod, 0);
}

/* Before anything is counted the ring is as the guest left it: a part of a message is no message.
 */
static void what_is_not_published_is_not_in_the_ring(void **state)
{
    static struct net_estate e;
    static uint8_t before[4096];
    const struct netif_tx_response rsp = {.id = 7000, .status = NETIF_RSP_OKAY};

    (void)state;
    memset(&e, 0, sizeof(e));
    assert_int_equal(ring_inherit(&tx.ring, &e.tx[0], true, sizeof(rsp)), 0);
    put_tx(2, 0, 60, 0);
    memcpy(before, tx_page, sizeof(before));
    ring_respond(&tx.ring, &rsp, sizeof(rsp));
    assert_memory_equal(tx_page, before, sizeof(before));
    ring_publish(&tx.ring);
    assert_int_equal(tx_ring->ring[0].rsp.id, 7000);
    assert_int_equal(tx_ring->rsp_prod, 1);
}

static void an_estate_is_looked_at_as_at_a_guests(void **state)
{
    static struct net_estate good, e;
    struct net_wire_config config = {.nr_queues = 2, .queues = {{.tx_ref = 8}, {.tx_ref = 9}}};
    const char *why = NULL;

    (void)state;
    memset(&good, 0, sizeof(good));
    assert_int_equal(net_estate_begin(&good, &config, &why), 0);
    good.head.state = KEPT_OPEN;
    good.mcast.nr = 3;
    good.hash.mapping_size = 128;
    good.hash.mapping[127] = 1;
    e = good;
    assert_int_equal(net_estate_begin(&e, &config, &why), 0);
    assert_int_equal(e.mcast.nr, 3);
    assert_int_equal(e.hash.mapping[127], 1);
    e.mcast.nr = NET_MCAST_MAX + 1;
    assert_int_equal(net_estate_begin(&e, &config, &why), -EBADMSG);
    e = good;
    e.hash.mapping_size = NET_HASH_MAPPING + 1;
    assert_int_equal(net_estate_begin(&e, &config, &why), -EBADMSG);
    e = good;
    e.hash.mapping[127] = 2; /* a queue that is not there */
    assert_int_equal(net_estate_begin(&e, &config, &why), -EBADMSG);
    e = good;
    e.head.version++;
    assert_int_equal(net_estate_begin(&e, &config, &why), -EPROTO);
    e = good;
    e.rings.queues[1].tx_ref++;
    assert_int_equal(net_estate_begin(&e, &config, &why), -ESTALE);
    e = good;
    e.tx[0].answered = RING + 1;
    assert_int_equal(ring_inherit(&tx.ring, &e.tx[0], false, 4), -EBADMSG);
}

static void give_room(uint32_t first_ref, unsigned int count)
{
    for (unsigned int i = 0; i < count; i++) {
        struct netif_rx_request *r = &rx_ring->ring[rx_ring->req_prod % RING].req;

        *r = (struct netif_rx_request){.id = (uint16_t)(rx_ring->req_prod + 9000),
                                       .gref = first_ref + i};
        rx_ring->req_prod++;
    }
}

static void from_host(const struct virtio_net_hdr *h, const void *data, size_t bytes)
{
    static uint8_t buf[80000];

    memcpy(buf, h, NET_VNET_HEADER);
    memcpy(buf + NET_VNET_HEADER, data, bytes);
    assert_int_equal(send(tap[1], buf, NET_VNET_HEADER + bytes, 0), NET_VNET_HEADER + bytes);
}

/* Reads the tap and delivers. Returns whether the guest was to be notified. */
static bool receive(void)
{
    bool notify = false;

    for (int i = 0; i < 4; i++) {
        net_rx_post(&rx);
        turn_engine();
        assert_int_equal(net_rx_deliver(&rx, &notify), 0);
    }
    return notify;
}

static struct netif_rx_response *rx_response(void)
{
    assert_true(rx_seen != rx_ring->rsp_prod);
    return &rx_ring->ring[rx_seen++ % RING].rsp;
}

static void a_packet_reaches_the_guest(void **state)
{
    struct virtio_net_hdr h = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
    struct netif_rx_response *r;

    (void)state;
    make_tcp4(0, 100);
    give_room(10, 4);
    from_host(&h, guest[0], 154);
    assert_true(receive());
    r = rx_response();
    assert_int_equal(r->id, 9000);
    assert_int_equal(r->status, 154);
    assert_int_equal(r->offset, 0);
    assert_int_equal(r->flags, NETRXF_csum_blank | NETRXF_data_validated);
    assert_memory_equal(guest[10], guest[0], 154);
    assert_int_equal(rx_ring->rsp_prod, 1);
    assert_int_equal(figures.value[NET_FIGURE_RX_PACKETS], 1);
}

static void packets_stay_in_order_and_go_in_one_copy(void **state)
{
    struct virtio_net_hdr h = {0};
    uint8_t data[60] = {0};
    bool notify;

    (void)state;
    give_room(0, 40);
    for (uint8_t i = 0; i < 12; i++) {
        data[20] = i;
        from_host(&h, data, sizeof(data));
    }
    net_rx_post(&rx);
    for (int i = 0; i < 4; i++) {
        turn_engine();
    }
    copy_calls = 0;
    assert_int_equal(net_rx_deliver(&rx, &notify), 0);
    assert_int_equal(copy_calls, 1);
    for (unsigned int i = 0; i < 12; i++) {
        assert_int_equal(rx_response()->status, 60);
        assert_int_equal(guest[i][20], i);
    }
}

static void a_large_packet_takes_slots_and_an_extra(void **state)
{
    struct virtio_net_hdr h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                               .gso_type = VIRTIO_NET_HDR_GSO_TCPV6,
                               .gso_size = 1428};
    static uint8_t data[9000];
    struct netif_extra_info e;
    struct netif_rx_response *r;

    (void)state;
    for (unsigned int i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i / 100);
    }
    give_room(0, 8);
    from_host(&h, data, sizeof(data));
    receive();
    r = rx_response();
    assert_int_equal(r->flags, NETRXF_csum_blank | NETRXF_data_validated | NETRXF_more_data |
                                   NETRXF_extra_info);
    assert_int_equal(r->status, 4096);
    memcpy(&e, rx_response(), sizeof(e));
    assert_int_equal(e.type, XEN_NETIF_EXTRA_TYPE_GSO);
    assert_int_equal(e.flags, 0);
    assert_int_equal(e.u.gso.size, 1428);
    assert_int_equal(e.u.gso.type, XEN_NETIF_GSO_TYPE_TCPV6);
    r = rx_response();
    assert_int_equal(r->id, 9002);
    assert_int_equal(r->flags, NETRXF_more_data);
    r = rx_response();
    assert_int_equal(r->flags, 0);
    assert_int_equal(r->status, 9000 - 2 * 4096);
    assert_memory_equal(guest[0], data, 4096);
    assert_memory_equal(guest[2], data + 4096, 4096);
    assert_memory_equal(guest[3], data + 8192, 9000 - 8192);
    assert_int_equal(rx_ring->rsp_prod, 4);
}

static void headroom_is_left_in_each_page(void **state)
{
    struct virtio_net_hdr h = {0};
    static uint8_t data[4000];

    (void)state;
    vif.headroom = 256;
    give_room(0, 4);
    memset(data, 0x77, sizeof(data));
    from_host(&h, data, sizeof(data));
    receive();
    assert_int_equal(rx_response()->offset, 256);
    assert_int_equal(guest[0][255], 0);
    assert_int_equal(guest[0][256], 0x77);
    assert_int_equal(rx_response()->status, 4000 - 3840);
}

static void who_cannot_complete_checksums_gets_them_complete(void **state)
{
    struct virtio_net_hdr h = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};

    (void)state;
    vif.csum_v4 = false;
    make_tcp4(0, 100);
    give_room(1, 1);
    from_host(&h, guest[0], 154);
    receive();
    assert_int_equal(rx_response()->flags, NETRXF_data_validated);
    assert_true(guest[1][50] != 0 || guest[1][51] != 0);
}

static void no_scatter_gather_means_no_large_packets(void **state)
{
    struct virtio_net_hdr h = {0};
    static uint8_t data[5000];

    (void)state;
    vif.can_sg = false;
    give_room(0, 8);
    from_host(&h, data, sizeof(data));
    from_host(&h, data, 60);
    receive();
    assert_int_equal(rx_response()->status, 60);
    assert_int_equal(figures.value[NET_FIGURE_RX_DROPPED], 1);
}

static void a_page_that_is_not_granted_is_an_error_of_its_slot(void **state)
{
    struct virtio_net_hdr h = {0};
    uint8_t data[60] = {0};

    (void)state;
    give_room(NO_GRANT, 1);
    give_room(0, 1);
    from_host(&h, data, sizeof(data));
    from_host(&h, data, sizeof(data));
    receive();
    assert_int_equal(rx_response()->status, NETIF_RSP_ERROR);
    assert_int_equal(rx_response()->status, 60);
}

static void a_guest_without_room_is_waited_for_and_then_drained(void **state)
{
    struct virtio_net_hdr h = {0};
    static uint8_t data[5000];
    bool notify = false;

    (void)state;
    give_room(0, 1);
    for (unsigned int i = 0; i < 5; i++) {
        from_host(&h, data, sizeof(data)); /* needs two slots */
    }
    receive();
    assert_int_equal(rx.waiting, 5);
    assert_int_equal(rx.blocked_since_ns, vif.now_ns);
    assert_true(net_rx_may_wait(&rx));
    assert_int_equal(rx_ring->req_event, 2);
    give_room(1, 1);
    assert_false(net_rx_may_wait(&rx));
    vif.now_ns += 5;
    assert_int_equal(net_rx_deliver(&rx, &notify), 0);
    assert_int_equal(rx.waiting, 4);
    vif.now_ns += NET_RX_DRAIN_NS;
    assert_int_equal(net_rx_deliver(&rx, &notify), 0);
    assert_int_equal(rx.waiting, 0);
    assert_int_equal(figures.value[NET_FIGURE_RX_DROPPED], 4);
    assert_int_equal(rx.nr_free + rx.posted, NET_RX_BUFFERS);
    give_room(0, 4);
    assert_false(net_rx_may_wait(&rx));
    from_host(&h, data, 60);
    vif.now_ns += 2 * NET_RX_DRAIN_NS;
    receive();
    assert_int_equal(rx.blocked_since_ns, 0);
    assert_int_equal(rx.waiting, 0);
}

static void a_guest_without_room_fills_no_more_than_its_buffers(void **state)
{
    struct virtio_net_hdr h = {0};
    uint8_t data[60] = {0};

    (void)state;
    for (unsigned int round = 0; round < 10; round++) {
        for (unsigned int i = 0; i < 9; i++) {
            uint8_t buf[80] = {0};

            (void)h;
            if (send(tap[1], buf, NET_VNET_HEADER + sizeof(data), 0) < 0) {
                break; /* the tap's queue is full */
            }
        }
        receive();
    }
    assert_int_equal(rx.waiting, NET_RX_BUFFERS);
    assert_int_equal(rx.nr_free, 0);
    assert_int_equal(rx.posted, 0);
}

static void a_large_packet_of_a_kind_that_the_guest_cannot_take_is_dropped(void **state)
{
    struct virtio_net_hdr h = {.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 1448};
    static uint8_t data[3000];

    (void)state;
    vif.gso_v4 = false;
    give_room(0, 4);
    from_host(&h, data, sizeof(data));
    h.gso_type = VIRTIO_NET_HDR_GSO_UDP;
    from_host(&h, data, sizeof(data));
    receive();
    assert_int_equal(rx_ring->rsp_prod, 0);
    assert_int_equal(figures.value[NET_FIGURE_RX_DROPPED], 2);
}

static void whole_pages_are_copied_at_once(void **state)
{
    struct virtio_net_hdr h;
    static uint8_t data[20000];

    (void)state;
    put_tx(0, 0, 66 + 1000 + 2 * 4096, NETTXF_more_data);
    put_tx(1, 3096, 1000, NETTXF_more_data);
    put_tx(2, 0, 4096, NETTXF_more_data);
    put_tx(3, 0, 4096, 0);
    for (unsigned int i = 0; i < 4; i++) {
        memset(guest[i], (int)(0x10 + i), 4096);
    }
    transmit();
    assert_int_equal((uintptr_t)(tx.free->data + 1066) % 4096, 0);
    assert_int_equal(at_host(&h, data, sizeof(data)), 66 + 1000 + 2 * 4096);
    assert_int_equal(data[65], 0x10);
    assert_int_equal(data[66], 0x11);
    assert_int_equal(data[1066], 0x12);
    assert_int_equal(data[1066 + 4096], 0x13);
}

static void a_receive_ring_that_lies_is_broken(void **state)
{
    struct virtio_net_hdr h = {0};
    uint8_t data[60] = {0};
    bool notify;

    (void)state;
    rx_ring->req_prod = RING + 1;
    from_host(&h, data, sizeof(data));
    net_rx_post(&rx);
    turn_engine();
    assert_int_equal(net_rx_deliver(&rx, &notify), -EPROTO);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_packet_reaches_the_tap),
        CASE(a_large_packet_with_segmentation),
        CASE(a_batch_needs_one_copy),
        CASE(mistakes_are_answered_and_go_no_further),
        CASE(a_packet_that_breaks_off_waits_without_spinning),
        CASE(a_ring_that_lies_is_broken),
        CASE(more_than_the_limit_waits_for_its_time),
        CASE(other_settings_give_nothing_back),
        CASE(the_multicast_filter_is_changed_by_the_ring),
        CASE(killed_while_it_answers_nothing_is_taken_for_what_it_is_not),
        CASE(another_ring_in_the_same_page_is_not_answered),
        CASE(what_is_not_published_is_not_in_the_ring),
        CASE(an_estate_is_looked_at_as_at_a_guests),
        CASE(a_packet_reaches_the_guest),
        CASE(packets_stay_in_order_and_go_in_one_copy),
        CASE(a_large_packet_takes_slots_and_an_extra),
        CASE(headroom_is_left_in_each_page),
        CASE(who_cannot_complete_checksums_gets_them_complete),
        CASE(no_scatter_gather_means_no_large_packets),
        CASE(a_page_that_is_not_granted_is_an_error_of_its_slot),
        CASE(a_guest_without_room_is_waited_for_and_then_drained),
        CASE(a_guest_without_room_fills_no_more_than_its_buffers),
        CASE(a_large_packet_of_a_kind_that_the_guest_cannot_take_is_dropped),
        CASE(whole_pages_are_copied_at_once),
        CASE(a_receive_ring_that_lies_is_broken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
