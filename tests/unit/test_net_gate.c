/*
 * The network back end's gate: slots as a front end publishes them, and as one that means harm
 * does. The slots are written by hand, in the wire format of xen/io/netif.h.
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

#include "gate.h"

static union net_slot slots[64];
static unsigned int nr;
static struct net_packet p;

static int setup(void **state)
{
    (void)state;
    memset(slots, 0, sizeof(slots));
    memset(&p, 0xee, sizeof(p));
    nr = 0;
    return 0;
}

static void data(uint16_t size, uint16_t offset, uint16_t flags)
{
    struct netif_tx_request req = {.gref = 100 + nr,
                                   .offset = offset,
                                   .flags = flags,
                                   .id = (uint16_t)(500 + nr),
                                   .size = size};

    memcpy(&slots[nr++], &req, sizeof(req));
}

static void extra(uint8_t type, uint8_t flags, uint16_t gso_bytes, uint8_t gso_type)
{
    struct netif_extra_info e = {.type = type, .flags = flags};

    e.u.gso.size = gso_bytes;
    e.u.gso.type = gso_type;
    memcpy(&slots[nr++], &e, sizeof(e));
}

static int gate(void)
{
    return net_gate_packet(slots, nr, &p);
}

static void a_packet_in_one_slot(void **state)
{
    (void)state;
    data(1514, 2, NETTXF_csum_blank | NETTXF_data_validated);
    assert_int_equal(gate(), 0);
    assert_int_equal(p.nr_slots, 1);
    assert_int_equal(p.nr_extras, 0);
    assert_int_equal(p.nr_fragments, 1);
    assert_int_equal(p.bytes, 1514);
    assert_int_equal(p.ids[0], 500);
    assert_true(p.csum_blank && p.data_validated);
    assert_int_equal(p.fragments[0].ref, 100);
    assert_int_equal(p.fragments[0].offset, 2);
    assert_int_equal(p.fragments[0].bytes, 1514);
    assert_int_equal(p.gso, NET_GSO_NONE);
    assert_int_equal(p.mcast, NET_MCAST_NONE);
}

static void the_first_slot_carries_the_size_of_all(void **state)
{
    (void)state;
    data(66 + 4096 + 100, 10, NETTXF_more_data);
    data(4096, 0, NETTXF_more_data);
    data(100, 3996, 0);
    data(60, 0, 0); /* the next packet */
    assert_int_equal(gate(), 0);
    assert_int_equal(p.nr_slots, 3);
    assert_int_equal(p.fragments[0].bytes, 66);
    assert_int_equal(p.fragments[1].bytes, 4096);
    assert_int_equal(p.fragments[2].bytes, 100);
    assert_int_equal(p.ids[2], 502);
}

static void extras_stand_behind_the_first_slot(void **state)
{
    (void)state;
    data(3000, 0, NETTXF_extra_info | NETTXF_more_data | NETTXF_csum_blank);
    extra(XEN_NETIF_EXTRA_TYPE_GSO, XEN_NETIF_EXTRA_FLAG_MORE, 1448, XEN_NETIF_GSO_TYPE_TCPV6);
    extra(XEN_NETIF_EXTRA_TYPE_HASH, 0, 0, 0);
    data(2000, 0, 0);
    assert_int_equal(gate(), 0);
    assert_int_equal(p.nr_slots, 4);
    assert_int_equal(p.nr_extras, 2);
    assert_int_equal(p.nr_fragments, 2);
    assert_int_equal(p.fragments[0].bytes, 1000);
    assert_int_equal(p.fragments[1].ref, 103);
    assert_int_equal(p.gso, NET_GSO_TCPV6);
    assert_int_equal(p.gso_bytes, 1448);
    assert_int_equal(p.ids[3], 503);
}

static void a_packet_that_breaks_off_is_waited_for(void **state)
{
    (void)state;
    assert_int_equal(gate(), -EAGAIN);
    data(3000, 0, NETTXF_extra_info | NETTXF_more_data);
    assert_int_equal(gate(), -EAGAIN);
    extra(XEN_NETIF_EXTRA_TYPE_GSO, XEN_NETIF_EXTRA_FLAG_MORE, 1448, XEN_NETIF_GSO_TYPE_TCPV4);
    assert_int_equal(gate(), -EAGAIN);
    extra(XEN_NETIF_EXTRA_TYPE_HASH, 0, 0, 0);
    assert_int_equal(gate(), -EAGAIN);
    data(1000, 0, NETTXF_more_data);
    assert_int_equal(gate(), -EAGAIN);
    data(1000, 0, 0);
    assert_int_equal(gate(), 0);
}

static void every_number_of_fragments(void **state)
{
    (void)state;
    for (unsigned int fragments = 1; fragments < 40; fragments++) {
        setup(NULL);
        for (unsigned int i = 0; i < fragments; i++) {
            data(i == 0 ? (uint16_t)(fragments * 100) : 100, 0,
                 i + 1 < fragments ? NETTXF_more_data : 0);
        }
        assert_int_equal(gate(), fragments <= NET_MAX_FRAGMENTS ? 0 : -EPROTO);
        if (fragments <= NET_MAX_FRAGMENTS) {
            assert_int_equal(p.nr_fragments, fragments);
        }
    }
}

static void a_packet_without_an_end_breaks_the_ring(void **state)
{
    (void)state;
    for (unsigned int i = 0; i <= NET_MAX_FRAGMENTS; i++) {
        data(100, 0, NETTXF_more_data);
    }
    assert_int_equal(gate(), -EPROTO);
    setup(NULL);
    data(100, 0, NETTXF_extra_info);
    for (unsigned int i = 0; i <= NET_MAX_EXTRAS; i++) {
        extra(XEN_NETIF_EXTRA_TYPE_HASH, XEN_NETIF_EXTRA_FLAG_MORE, 0, 0);
    }
    assert_int_equal(gate(), -EPROTO);
}

static void unknown_extras_break_the_ring(void **state)
{
    static const uint8_t types[] = {XEN_NETIF_EXTRA_TYPE_NONE, XEN_NETIF_EXTRA_TYPE_MAX, 255};

    (void)state;
    for (unsigned int i = 0; i < sizeof(types); i++) {
        setup(NULL);
        data(100, 0, NETTXF_extra_info);
        extra(types[i], 0, 0, 0);
        assert_int_equal(gate(), -EPROTO);
    }
}

static void a_fragment_past_its_page_is_refused_and_can_be_answered(void **state)
{
    static const struct {
        uint16_t size, offset;
    } bad[] = {{100, 4000}, {4097, 0}, {65535, 0}, {60, 4096}, {60, 65535}};

    (void)state;
    for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        setup(NULL);
        data(bad[i].size, bad[i].offset, 0);
        assert_int_equal(gate(), -EDOM);
        assert_int_equal(p.nr_slots, 1);
        assert_int_equal(p.ids[0], 500);
    }
    setup(NULL);
    data(100, 4096 - 100, 0);
    assert_int_equal(gate(), 0);
    setup(NULL);
    data(200, 0, NETTXF_more_data);
    data(100, 4000, 0);
    assert_int_equal(gate(), -EDOM);
    assert_int_equal(p.nr_slots, 2);
}

static void sizes_that_do_not_add_up_are_refused(void **state)
{
    (void)state;
    data(100, 0, NETTXF_more_data);
    data(101, 0, 0);
    assert_int_equal(gate(), -EMSGSIZE);
    assert_int_equal(p.nr_slots, 2);
    setup(NULL);
    data(13, 0, 0);
    assert_int_equal(gate(), -EMSGSIZE);
    setup(NULL);
    data(0, 0, 0);
    assert_int_equal(gate(), -EMSGSIZE);
    setup(NULL); /* a sum that would overflow 16 bits */
    data(60, 0, NETTXF_more_data);
    for (unsigned int i = 0; i < 18; i++) {
        data(65535, 0, i < 17 ? NETTXF_more_data : 0);
    }
    assert_int_equal(gate(), -EMSGSIZE);
}

static void empty_fragments_are_skipped(void **state)
{
    (void)state;
    data(100, 0, NETTXF_more_data);
    data(0, 0, NETTXF_more_data);
    data(100, 0, 0);
    assert_int_equal(gate(), 0);
    assert_int_equal(p.nr_slots, 3);
    assert_int_equal(p.nr_fragments, 1); /* the first one is empty as well */
    assert_int_equal(p.fragments[0].ref, 102);
}

static void segmentation_must_make_sense(void **state)
{
    (void)state;
    data(100, 0, NETTXF_extra_info);
    extra(XEN_NETIF_EXTRA_TYPE_GSO, 0, 0, XEN_NETIF_GSO_TYPE_TCPV4);
    assert_int_equal(gate(), -EINVAL);
    assert_int_equal(p.nr_slots, 2);
    assert_int_equal(p.nr_extras, 1);
    setup(NULL);
    data(100, 0, NETTXF_extra_info);
    extra(XEN_NETIF_EXTRA_TYPE_GSO, 0, 1448, 7);
    assert_int_equal(gate(), -EINVAL);
}

static void a_filter_change_needs_no_packet(void **state)
{
    struct netif_extra_info e = {.type = XEN_NETIF_EXTRA_TYPE_MCAST_DEL};

    (void)state;
    memcpy(e.u.mcast.addr, "\x33\x33\x00\x00\x00\x01", 6);
    data(0, 0, NETTXF_extra_info);
    memcpy(&slots[nr++], &e, sizeof(e));
    assert_int_equal(gate(), 0);
    assert_int_equal(p.mcast, NET_MCAST_DEL);
    assert_int_equal(p.nr_slots, 2);
    assert_memory_equal(p.mcast_mac, e.u.mcast.addr, 6);
}

static void errors_have_names(void **state)
{
    (void)state;
    assert_string_not_equal(net_gate_strerror(-EPROTO), net_gate_strerror(-EDOM));
    assert_string_not_equal(net_gate_strerror(-EMSGSIZE), net_gate_strerror(-EINVAL));
    assert_string_not_equal(net_gate_strerror(-EBADMSG), net_gate_strerror(-EFAULT));
    assert_string_equal(net_gate_strerror(-EXDEV), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_packet_in_one_slot, setup),
        cmocka_unit_test_setup(the_first_slot_carries_the_size_of_all, setup),
        cmocka_unit_test_setup(extras_stand_behind_the_first_slot, setup),
        cmocka_unit_test_setup(a_packet_that_breaks_off_is_waited_for, setup),
        cmocka_unit_test_setup(every_number_of_fragments, setup),
        cmocka_unit_test_setup(a_packet_without_an_end_breaks_the_ring, setup),
        cmocka_unit_test_setup(unknown_extras_break_the_ring, setup),
        cmocka_unit_test_setup(a_fragment_past_its_page_is_refused_and_can_be_answered, setup),
        cmocka_unit_test_setup(sizes_that_do_not_add_up_are_refused, setup),
        cmocka_unit_test_setup(empty_fragments_are_skipped, setup),
        cmocka_unit_test_setup(segmentation_must_make_sense, setup),
        cmocka_unit_test_setup(a_filter_change_needs_no_packet, setup),
        cmocka_unit_test_setup(errors_have_names, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
