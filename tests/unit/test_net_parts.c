/*
 * The small parts of the network back end, each a pure function or nearly so: frames and their
 * checksums, the rate limit, the worker's patience, the multicast filter, hashing and the control
 * messages for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <xen/xen.h>
#include <xen/io/netif.h>

#include "frame.h"
#include "hash.h"
#include "mcast.h"
#include "patience.h"

/* Ethernet, IPv4 (header of 20), TCP; addresses and ports of the Toeplitz example below. */
static const uint8_t tcp4[] = {
    0x02, 0,    0,    0,    0,   1,  0x02, 0, 0,  0, 0, 2, 0x08, 0x00, /* Ethernet */
    0x45, 0,    0,    44,   0,   0,  0x40, 0, 64, 6, 0, 0, 66,   9,
    149,  187,  161,  142,  100, 80, /* IPv4 */
    0x0a, 0xea, 0x06, 0xe6, 0,   0,  0,    1, 0,  0, 0, 2, 0x50, 0x18,
    1,    0,    0,    0,    0,   0, /* TCP */
    'd',  'u',  'e',  't'};

static void a_plain_frame(void **state)
{
    struct net_frame f;

    (void)state;
    net_frame_parse(tcp4, sizeof(tcp4), &f);
    assert_int_equal(f.ip, NET_FRAME_IPV4);
    assert_int_equal(f.ip_offset, 14);
    assert_int_equal(f.transport, 34);
    assert_int_equal(f.payload, 54);
    assert_int_equal(f.protocol, NET_FRAME_TCP);
    assert_false(f.fragment);
    assert_int_equal(net_frame_checksum_field(&f), 16);
}

static void vlan_tags_are_stepped_over(void **state)
{
    static const uint8_t tags[] = {0x88, 0xa8, 0, 5, 0x81, 0, 0, 7};
    uint8_t tagged[sizeof(tcp4) + 8];
    struct net_frame f;

    (void)state;
    memcpy(tagged, tcp4, 12);
    memcpy(tagged + 12, tags, sizeof(tags));
    memcpy(tagged + 20, tcp4 + 12, sizeof(tcp4) - 12);
    net_frame_parse(tagged, sizeof(tagged), &f);
    assert_int_equal(f.ip, NET_FRAME_IPV4);
    assert_int_equal(f.payload, 62);
}

static void ipv6_and_its_extension_headers(void **state)
{
    uint8_t udp6[14 + 40 + 8 + 8 + 8 + 4] = {0};
    struct net_frame f;

    (void)state;
    udp6[12] = 0x86;
    udp6[13] = 0xdd;
    udp6[14] = 0x60;
    udp6[14 + 6] = 0; /* hop by hop */
    udp6[54] = 44;    /* then a fragment header */
    udp6[62] = NET_FRAME_UDP;
    net_frame_parse(udp6, sizeof(udp6), &f);
    assert_int_equal(f.ip, NET_FRAME_IPV6);
    assert_int_equal(f.transport, 70);
    assert_int_equal(f.payload, 78); /* an atomic fragment is a whole packet */
    udp6[64] = 1;
    net_frame_parse(udp6, sizeof(udp6), &f);
    assert_true(f.fragment);
    assert_int_equal(f.payload, 0);
}

/*
 * Headers of the greatest length, as many as a frame has room for; the last may lead out of it,
 * past what 16 bits can say.
 */
static void the_longest_ipv6_headers_do_not_outgrow_an_offset(void **state)
{
    enum { FIRST = 14 + 8 + 40, HEADER = 8 + 255 * 8, MOST = 32 };
    static uint8_t frame[65535];

    (void)state;
    for (uint32_t nr = 1; nr <= MOST; nr++) {
        const uint32_t end = FIRST + nr * HEADER;
        struct net_frame f;

        memset(frame, 0, sizeof(frame));
        memcpy(frame + 12, (const uint8_t[]){0x88, 0xa8, 0, 1, 0x81, 0, 0, 2, 0x86, 0xdd}, 10);
        frame[14 + 8] = 0x60;
        frame[14 + 8 + 6] = 60; /* destination options */
        for (uint32_t at = FIRST; at < end; at += HEADER) {
            frame[at] = at + HEADER < end ? 60 : NET_FRAME_UDP;
            frame[at + 1] = 255;
        }
        net_frame_parse(frame, sizeof(frame), &f);
        assert_int_equal(f.ip, NET_FRAME_IPV6);
        if (f.transport == 0) { /* too many, or not in the frame */
            assert_int_equal(f.payload, 0);
            assert_true(nr > 4);
        } else {
            assert_int_equal(f.transport, end);
            assert_int_equal(f.payload, end + 8);
        }
    }
}

static void a_frame_cut_short_has_no_offsets_outside(void **state)
{
    (void)state;
    for (uint32_t bytes = 0; bytes < 54; bytes++) {
        struct net_frame f;

        net_frame_parse(tcp4, bytes, &f);
        assert_int_equal(f.payload, 0);
        assert_true(f.transport <= bytes);
    }
}

/* The sum over pseudo-header and segment of a correct packet is all ones. */
static uint16_t whole_sum(const uint8_t *d, uint32_t bytes)
{
    uint32_t sum = NET_FRAME_TCP + (bytes - 34);

    for (uint32_t i = 26; i < bytes; i += 2) {
        sum += (uint32_t)(d[i] << 8 | d[i + 1]);
    }
    while (sum >> 16 != 0) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

static void a_checksum_is_completed_as_hardware_does(void **state)
{
    uint8_t d[sizeof(tcp4)];
    struct net_frame f;

    (void)state;
    memcpy(d, tcp4, sizeof(d));
    net_frame_parse(d, sizeof(d), &f);
    net_frame_put_pseudo_sum(d, sizeof(d), &f);
    assert_int_equal(net_frame_complete_checksum(d, sizeof(d), f.transport, 16), 0);
    assert_int_equal(whole_sum(d, sizeof(d)), 0xffff);
    assert_int_equal(net_frame_complete_checksum(d, sizeof(d), sizeof(d) - 1, 1), -EINVAL);
    assert_int_equal(net_frame_complete_checksum(d, sizeof(d), 70000, 16), -EINVAL);
    assert_int_equal(net_frame_complete_checksum(d, sizeof(d), 34, 60000), -EINVAL);
}

/* Looks until it would wait, each costing `look` ticks; then an event comes after `wait` ticks. */
static unsigned int looks_before_waiting(struct net_patience *p, uint64_t *now, uint64_t look,
                                         uint64_t wait)
{
    unsigned int looks = 0;

    net_patience_busy(p);
    while (net_patience_look(p, *now)) {
        looks++;
        *now += look;
    }
    net_patience_waited(p, *now, *now + wait);
    *now += wait;
    return looks;
}

static void patience_grows_by_short_waits_and_goes_by_long_ones(void **state)
{
    struct net_patience p = {0};
    uint64_t now = 1;

    (void)state;
    assert_int_equal(looks_before_waiting(&p, &now, 10, 100), 0);
    for (int i = 0; i < 10; i++) {
        looks_before_waiting(&p, &now, 10, 100);
    }
    assert_int_equal(looks_before_waiting(&p, &now, 10, 100), NET_PATIENCE_LOOKS_MAX);
    for (int i = 0; i < 10; i++) {
        looks_before_waiting(&p, &now, 10, 10 * NET_PATIENCE_LOOKS_MAX + 1);
    }
    assert_int_equal(looks_before_waiting(&p, &now, 10, 100000), 0);
    looks_before_waiting(&p, &now, 10, 10);
    assert_int_equal(looks_before_waiting(&p, &now, 10, 10), 1);
}

static void the_filter_lets_through_what_is_on_it(void **state)
{
    static const uint8_t all[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t group[] = {0x33, 0x33, 0, 0, 0, 1};
    static const uint8_t other[] = {0x01, 0, 0x5e, 0, 0, 1};
    static const uint8_t one[] = {0x02, 0, 0, 0, 0, 1};
    struct net_mcast m = {.enabled = false};

    (void)state;
    assert_true(net_mcast_wanted(&m, group));
    m.enabled = true;
    assert_false(net_mcast_wanted(&m, group));
    assert_true(net_mcast_wanted(&m, all) && net_mcast_wanted(&m, one));
    assert_int_equal(net_mcast_change(&m, NET_MCAST_ADD, group), 0);
    assert_int_equal(net_mcast_change(&m, NET_MCAST_ADD, group), 0);
    assert_true(net_mcast_wanted(&m, group));
    assert_false(net_mcast_wanted(&m, other));
    assert_int_equal(net_mcast_change(&m, NET_MCAST_DEL, other), 0);
    assert_int_equal(net_mcast_change(&m, NET_MCAST_DEL, group), 0);
    assert_false(net_mcast_wanted(&m, group));
    assert_int_equal(m.nr, 0);
    /* who was killed while he removed one has left the last one there twice */
    m.nr = 2;
    memcpy(m.list[0], group, sizeof(group));
    memcpy(m.list[1], group, sizeof(group));
    assert_int_equal(net_mcast_change(&m, NET_MCAST_DEL, group), 0);
    assert_false(net_mcast_wanted(&m, group));
    m.unknown = true; /* of a worker before this one, and nobody has kept it */
    assert_true(net_mcast_wanted(&m, group));
}

static void the_filter_has_an_end(void **state)
{
    struct net_mcast m = {.enabled = true};
    uint8_t mac[6] = {1};

    (void)state;
    for (unsigned int i = 0; i < NET_MCAST_MAX; i++) {
        mac[5] = (uint8_t)i;
        assert_int_equal(net_mcast_change(&m, NET_MCAST_ADD, mac), 0);
    }
    mac[5] = NET_MCAST_MAX;
    assert_int_equal(net_mcast_change(&m, NET_MCAST_ADD, mac), -ENOSPC);
    assert_false(net_mcast_wanted(&m, mac));
}

/* The key and values of the verification suite that is published for receive-side scaling. */
static const uint8_t key[NET_HASH_KEY_BYTES] = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

static struct net_hash h;
static uint8_t page[4096];
static int fetches;

static int fetch(void *arg, uint32_t ref, void *to, uint32_t bytes)
{
    (void)arg;
    fetches++;
    assert_true(bytes <= sizeof(page));
    memcpy(to, page, bytes);
    return ref == 7 ? 0 : -EFAULT;
}

static uint32_t request(uint16_t type, uint32_t a, uint32_t b, uint32_t c)
{
    struct xen_netif_ctrl_request req = {.id = 42, .type = type, .data = {a, b, c}};
    struct xen_netif_ctrl_response rsp;

    net_hash_request(&h, &req, &rsp, fetch, NULL);
    assert_int_equal(rsp.id, 42);
    assert_int_equal(rsp.type, type);
    return rsp.status;
}

static int setup_hash(void **state)
{
    (void)state;
    memset(&h, 0, sizeof(h));
    h.nr_queues = 4;
    memcpy(page, key, sizeof(key));
    return 0;
}

static void hashes_are_those_of_the_verification_suite(void **state)
{
    struct net_frame f;
    struct net_hash_result r;

    (void)state;
    net_frame_parse(tcp4, sizeof(tcp4), &f);
    assert_int_equal(
        request(XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS, XEN_NETIF_CTRL_HASH_TYPE_IPV4, 0, 0),
        XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED);
    assert_false(net_hash_packet(&h, tcp4, &f).valid);
    assert_int_equal(request(XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM,
                             XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ, 0, 0),
                     XEN_NETIF_CTRL_STATUS_SUCCESS);
    assert_int_equal(request(XEN_NETIF_CTRL_TYPE_SET_HASH_KEY, 7, NET_HASH_KEY_BYTES, 0),
                     XEN_NETIF_CTRL_STATUS_SUCCESS);
    assert_int_equal(
        request(XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS, XEN_NETIF_CTRL_HASH_TYPE_IPV4, 0, 0),
        XEN_NETIF_CTRL_STATUS_SUCCESS);
    r = net_hash_packet(&h, tcp4, &f);
    assert_true(r.valid);
    assert_int_equal(r.type, _XEN_NETIF_CTRL_HASH_TYPE_IPV4);
    assert_int_equal(r.value, 0x323e8fc2);
    request(XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS,
            XEN_NETIF_CTRL_HASH_TYPE_IPV4 | XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP, 0, 0);
    r = net_hash_packet(&h, tcp4, &f);
    assert_int_equal(r.type, _XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP);
    assert_int_equal(r.value, 0x51ccc178);
}

static void a_hash_leads_to_a_queue(void **state)
{
    struct net_hash_result r = {.valid = true, .value = 6};
    uint32_t *table = (uint32_t *)page;

    (void)state;
    assert_int_equal(net_hash_queue(&h, &r), 2);
    assert_int_equal(request(XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE, 8, 0, 0),
                     XEN_NETIF_CTRL_STATUS_SUCCESS);
    assert_int_equal(net_hash_queue(&h, &r), 0);
    table[0] = 1;
    table[1] = 3;
    assert_int_equal(request(XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, 7, 2, 5),
                     XEN_NETIF_CTRL_STATUS_SUCCESS);
    assert_int_equal(net_hash_queue(&h, &r), 3);
    r.valid = false;
    assert_int_equal(net_hash_queue(&h, &r), 0);
}

static void control_messages_that_lie_are_refused(void **state)
{
    uint32_t *table = (uint32_t *)page;

    (void)state;
    assert_int_equal(request(XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM, 9, 0, 0),
                     XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER);
    assert_int_equal(request(XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS, 0x10, 0, 0),
                     XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER);
    assert_int_equal(request(XEN_NETIF_CTRL_TYPE_SET_HASH_KEY, 7, NET_HASH_KEY_BYTES + 1, 0),
                     XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW);
    assert_int_equal(request(XEN_NETIF_CTRL_TYPE_SET_HASH_KEY, 8, 4, 0),
                     XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER);
    assert_int_equal(h.key[0], 0);
    assert_int_equal(request(XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE, NET_HASH_MAPPING + 1, 0, 0),
                     XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER);
    request(XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE, NET_HASH_MAPPING, 0, 0);
    fetches = 0;
    assert_int_equal(request(XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, 7, 2, NET_HASH_MAPPING - 1),
                     XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW);
    assert_int_equal(request(XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, 7, 0xffffffff, 2),
                     XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW);
    assert_int_equal(request(XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, 7, 2, 0xffffffff),
                     XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW);
    assert_int_equal(fetches, 0);
    table[0] = 4; /* a queue that does not exist */
    assert_int_equal(request(XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, 7, 1, 0),
                     XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER);
    assert_int_equal(request(XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING, 7, 1, 0),
                     XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_frame),
        cmocka_unit_test(vlan_tags_are_stepped_over),
        cmocka_unit_test(ipv6_and_its_extension_headers),
        cmocka_unit_test(the_longest_ipv6_headers_do_not_outgrow_an_offset),
        cmocka_unit_test(a_frame_cut_short_has_no_offsets_outside),
        cmocka_unit_test(a_checksum_is_completed_as_hardware_does),
        cmocka_unit_test(patience_grows_by_short_waits_and_goes_by_long_ones),
        cmocka_unit_test(the_filter_lets_through_what_is_on_it),
        cmocka_unit_test(the_filter_has_an_end),
        cmocka_unit_test_setup(hashes_are_those_of_the_verification_suite, setup_hash),
        cmocka_unit_test_setup(a_hash_leads_to_a_queue, setup_hash),
        cmocka_unit_test_setup(control_messages_that_lie_are_refused, setup_hash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
