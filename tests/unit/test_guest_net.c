/*
 * The network front end's plain parts: the gate that makes frames of a back end's answers, the flow
 * hash, and the changes of the multicast filter. Answers are laid out as a back end would do it.
 * Every case works on a copy of exact size, so that the sanitizer sees any slot too far.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "io/xennetf/xnf_flow.h"
#include "io/xennetf/xnf_gate.h"
#include "io/xennetf/xnf_mcast.h"

#define RING 256U

/* The answers of a case, from place `first` of the ring on. */
struct answers {
    union xnf_slot slots[XNF_SLOTS_MAX + 4];
    unsigned n, first;
};

static void data(struct answers *a, uint16_t offset, uint16_t flags, int16_t status)
{
    a->slots[a->n].rsp = (struct netif_rx_response){.id = (uint16_t)((a->first + a->n) % RING),
                                                    .offset = offset,
                                                    .flags = flags,
                                                    .status = status};
    a->n++;
}

static void extra(struct answers *a, uint8_t type, uint8_t flags, uint16_t size, uint8_t kind)
{
    struct netif_extra_info *e = &a->slots[a->n++].extra;

    *e = (struct netif_extra_info){.type = type, .flags = flags};
    e->u.gso.size = size;
    e->u.gso.type = kind;
}

static int gate(const struct answers *a, unsigned n, struct xnf_frame *out)
{
    union xnf_slot *copy = malloc(n * sizeof(*copy));

    assert_non_null(copy);
    memcpy(copy, a->slots, n * sizeof(*copy));
    int rc = xnf_gate(copy, n, a->first, RING, out);
    free(copy);
    return rc;
}

static void one_slot(void **state)
{
    struct answers a = {.first = RING - 1};
    struct xnf_frame f;

    (void)state;
    data(&a, 2, NETRXF_data_validated, 60);
    assert_int_equal(gate(&a, 1, &f), 0);
    assert_int_equal(f.slots, 1);
    assert_int_equal(f.nparts, 1);
    assert_int_equal(f.parts[0].offset, 2);
    assert_int_equal(f.net.len, 60);
    assert_true(f.net.csum_valid && !f.net.csum_blank && f.net.gso == NET_GSO_NONE && !f.open);
}

/* Extra info takes the slots behind the first one; ids go on around the ring's end. */
static void pieces_and_extra_info(void **state)
{
    struct answers a = {.first = RING - 2};
    struct xnf_frame f;

    (void)state;
    data(&a, 0, NETRXF_csum_blank | NETRXF_extra_info | NETRXF_more_data, 4096);
    extra(&a, XEN_NETIF_EXTRA_TYPE_GSO, 0, 1448, XEN_NETIF_GSO_TYPE_TCPV6);
    data(&a, 0, NETRXF_more_data, 0); /* empty pieces are legal, and left out */
    data(&a, 4000, 0, 96);
    for (unsigned n = 1; n < a.n; n++) {
        assert_int_equal(gate(&a, n, &f), -EAGAIN);
    }
    assert_int_equal(gate(&a, a.n, &f), 0);
    assert_int_equal(f.slots, 4);
    assert_int_equal(f.nparts, 2);
    assert_int_equal(f.parts[1].slot, 3);
    assert_int_equal(f.net.len, 4192);
    assert_int_equal(f.net.gso, NET_GSO_TCPV6);
    assert_int_equal(f.net.gso_size, 1448);
    assert_true(f.net.csum_blank);
}

static void what_breaks_the_ring(void **state)
{
    const struct {
        uint16_t id, offset;
        int16_t status;
    } bad[] = {{5, 0, 60},   {RING + 4, 0, 60}, {4, 4097, 0},
               {4, 4096, 1}, {4, 4037, 60},     {4, UINT16_MAX, 60},
               {4, 0, 4097}, {4, 1, INT16_MAX}, {UINT16_MAX, 0, -1}};
    struct xnf_frame f;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct answers a = {.first = 4};

        data(&a, bad[i].offset, 0, bad[i].status);
        a.slots[0].rsp.id = bad[i].id;
        assert_int_equal(gate(&a, 1, &f), -EBADMSG);
        assert_non_null(f.why);

        struct answers b = {.first = 2}; /* the same, further behind */
        data(&b, 0, NETRXF_more_data | NETRXF_extra_info, 100);
        extra(&b, XEN_NETIF_EXTRA_TYPE_GSO, 0, 1448, XEN_NETIF_GSO_TYPE_TCPV4);
        b.slots[b.n++] = a.slots[0];
        assert_int_equal(gate(&b, 3, &f), -EBADMSG);
    }
    struct answers c = {0};
    data(&c, 0, NETRXF_extra_info, 60);
    for (unsigned i = 0; i <= XNF_EXTRAS_MAX; i++) {
        extra(&c, XEN_NETIF_EXTRA_TYPE_GSO, XEN_NETIF_EXTRA_FLAG_MORE, 1, XEN_NETIF_GSO_TYPE_TCPV4);
    }
    assert_int_equal(gate(&c, c.n, &f), -EBADMSG);
}

static void what_costs_the_frame(void **state)
{
    struct xnf_frame f;

    (void)state;
    struct answers failed = {0};
    data(&failed, 0, NETRXF_more_data, 100);
    data(&failed, 60000, 0, NETIF_RSP_ERROR);
    assert_int_equal(gate(&failed, 2, &f), -EIO);
    assert_int_equal(f.slots, 2);

    struct answers tiny = {0};
    data(&tiny, 0, 0, NET_HEADER_LEN - 1);
    assert_int_equal(gate(&tiny, 1, &f), -EMSGSIZE);

    const struct {
        uint8_t type, kind;
        uint16_t size;
    } odd[] = {{XEN_NETIF_EXTRA_TYPE_HASH, 0, 0},
               {XEN_NETIF_EXTRA_TYPE_NONE, 0, 0},
               {XEN_NETIF_EXTRA_TYPE_GSO, XEN_NETIF_GSO_TYPE_NONE, 100},
               {XEN_NETIF_EXTRA_TYPE_GSO, 9, 100},
               {XEN_NETIF_EXTRA_TYPE_GSO, XEN_NETIF_GSO_TYPE_TCPV4, 0}};
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        struct answers a = {0};

        data(&a, 0, NETRXF_extra_info, 100);
        extra(&a, odd[i].type, 0, odd[i].size, odd[i].kind);
        assert_int_equal(gate(&a, 2, &f), -EINVAL);
        assert_int_equal(f.slots, 2);
    }

    struct answers large = {0}; /* all pieces there can be, more than a frame may be long */
    for (unsigned i = 0; i < NET_PIECES_MAX; i++) {
        data(&large, 0, i + 1 < NET_PIECES_MAX ? NETRXF_more_data : 0, 4096);
    }
    assert_int_equal(gate(&large, large.n, &f), -EMSGSIZE);
    assert_int_equal(f.slots, NET_PIECES_MAX);
    assert_false(f.open);
}

/* A frame of too many slots is given up where that is known, and drained to its end. */
static void too_many_slots(void **state)
{
    struct answers a = {0}, rest = {.first = NET_PIECES_MAX};
    struct xnf_frame f;

    (void)state;
    for (unsigned i = 0; i < NET_PIECES_MAX; i++) {
        data(&a, 0, NETRXF_more_data, 10);
    }
    assert_int_equal(gate(&a, NET_PIECES_MAX, &f), -EMSGSIZE);
    assert_true(f.open);
    assert_int_equal(f.slots, NET_PIECES_MAX);
    data(&rest, 0, NETRXF_more_data, 10);
    assert_int_equal(xnf_gate_drain(rest.slots, 1, rest.first, RING, &f), 0);
    assert_true(f.open && f.slots == 1);
    data(&rest, 0, 0, 10);
    data(&rest, 0, 0, 60); /* another frame */
    assert_int_equal(xnf_gate_drain(rest.slots, 3, rest.first, RING, &f), 0);
    assert_true(!f.open && f.slots == 2);
    rest.slots[1].rsp.id++;
    assert_int_equal(xnf_gate_drain(rest.slots, 3, rest.first, RING, &f), -EBADMSG);
}

/* An IPv4 TCP frame; the parts that tests change are named below. */
static const uint8_t tcp4[] = {
    0x02, 0, 0, 0,  0,    1, 0x02, 0, 0,    0, 0, 2,  0x08, 0,       /* Ethernet */
    0x45, 0, 0, 40, 0,    0, 0x40, 0, 64,   6, 0, 0,                 /* IPv4, DF, TCP */
    10,   0, 0, 1,  10,   0, 0,    2, 0x10, 1, 0, 80, 0,    0, 0, 0, /* addresses, ports */
    0,    0, 0, 0,  0x50, 0, 0,    0, 0,    0, 0, 0,
};
#define AT_FRAGMENT 20
#define AT_SOURCE   26
#define AT_PORTS    34

static uint32_t hash_with(size_t at, uint8_t value, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1); /* of its exact size */

    assert_non_null(copy);
    memcpy(copy, tcp4, len);
    if (at < len) {
        copy[at] = value;
    }
    uint32_t hash = xnf_flow_hash(copy, len);
    free(copy);
    return hash;
}

static void flows(void **state)
{
    uint32_t usual = hash_with(0, 0x02, sizeof(tcp4));

    (void)state;
    assert_int_equal(hash_with(sizeof(tcp4) - 1, 99, sizeof(tcp4)), usual); /* other data */
    assert_int_equal(hash_with(5, 77, sizeof(tcp4)), usual);                /* another router */
    assert_int_not_equal(hash_with(AT_PORTS + 1, 2, sizeof(tcp4)), usual);
    assert_int_not_equal(hash_with(AT_SOURCE, 11, sizeof(tcp4)), usual);
    /* Fragments have no ports, whether they are the first one or not. */
    uint8_t first[sizeof(tcp4)], second[sizeof(tcp4)];
    memcpy(first, tcp4, sizeof(tcp4));
    memcpy(second, tcp4, sizeof(tcp4));
    first[AT_FRAGMENT] = 0x20;
    second[AT_FRAGMENT + 1] = 100;
    second[AT_PORTS] = 0xee;
    assert_int_equal(xnf_flow_hash(first, sizeof(first)), xnf_flow_hash(second, sizeof(second)));
    for (size_t len = 0; len < sizeof(tcp4); len++) {
        (void)hash_with(0, 0x02, len); /* reads nothing behind the end */
        (void)hash_with(14, 0x4f, len);
    }
}

/* Over many flows every one of a few queues is used. */
static void flows_spread(void **state)
{
    unsigned used[4] = {0};

    (void)state;
    for (unsigned port = 0; port < 256; port++) {
        used[hash_with(AT_PORTS + 1, (uint8_t)port, sizeof(tcp4)) % 4]++;
    }
    for (size_t i = 0; i < 4; i++) {
        assert_in_range(used[i], 32, 96);
    }
}

/* The back end's list, as it is after it was told all changes; each of them has to make sense. */
struct told {
    uint8_t list[NET_MULTICAST_MAX][NET_MAC_LEN];
    unsigned n, changes;
};

static void tell_all(struct xnf_mcast *m, struct told *t)
{
    struct xnf_mcast_change change;

    t->changes = 0;
    while (xnf_mcast_next(m, &change)) {
        unsigned i = 0;

        while (i < t->n && memcmp(t->list[i], change.mac, NET_MAC_LEN) != 0) {
            i++;
        }
        assert_true(change.add == (i == t->n));
        if (change.add) {
            assert_true(t->n < NET_MULTICAST_MAX);
            memcpy(t->list[t->n++], change.mac, NET_MAC_LEN);
        } else {
            memmove(t->list[i], t->list[--t->n], NET_MAC_LEN);
        }
        t->changes++;
    }
}

/* Full lists, one after the other: never more than the back end has room for. */
static void multicast_filter(void **state)
{
    uint8_t macs[NET_MULTICAST_MAX + 1][NET_MAC_LEN] = {{0}};
    struct xnf_mcast m = {.nwanted = 0};
    struct told t = {.n = 0};

    (void)state;
    for (size_t i = 0; i <= NET_MULTICAST_MAX; i++) {
        macs[i][0] = 0x33;
        macs[i][5] = (uint8_t)i;
    }
    tell_all(&m, &t);
    assert_int_equal(t.changes, 0);
    assert_int_equal(xnf_mcast_want(&m, macs, NET_MULTICAST_MAX + 1), -ENOSPC);
    assert_int_equal(xnf_mcast_want(&m, macs, NET_MULTICAST_MAX), 0);
    tell_all(&m, &t);
    assert_int_equal(t.n, NET_MULTICAST_MAX);
    assert_int_equal(xnf_mcast_want(&m, macs + 1, NET_MULTICAST_MAX), 0);
    tell_all(&m, &t);
    assert_int_equal(t.changes, 2);
    assert_int_equal(t.n, NET_MULTICAST_MAX);
    assert_memory_equal(t.list[NET_MULTICAST_MAX - 1], macs[NET_MULTICAST_MAX], NET_MAC_LEN);

    memcpy(macs[1], macs[0], NET_MAC_LEN); /* the same twice counts once */
    assert_int_equal(xnf_mcast_want(&m, macs, 3), 0);
    tell_all(&m, &t);
    assert_int_equal(t.n, 2);
    xnf_mcast_forget(&m);
    t.n = 0;
    tell_all(&m, &t);
    assert_int_equal(t.n, 2);
    assert_int_equal(xnf_mcast_want(&m, macs, 0), 0);
    tell_all(&m, &t);
    assert_int_equal(t.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_slot),
        cmocka_unit_test(pieces_and_extra_info),
        cmocka_unit_test(what_breaks_the_ring),
        cmocka_unit_test(what_costs_the_frame),
        cmocka_unit_test(too_many_slots),
        cmocka_unit_test(flows),
        cmocka_unit_test(flows_spread),
        cmocka_unit_test(multicast_filter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
