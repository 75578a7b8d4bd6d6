/*
 * The packets of the guest's `netabuse`, put before the gate of duet-netd: each comes to an end
 * that `netabuse` calls right. What only the bytes or the page of a packet reveal is judged behind
 * the gate, and tested by tests/lab/net-neighbour.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "gate.h"
#include "hostile/xnf_packets.h"

#define NOT_GRANTED 0x00ffffffu

_Static_assert(sizeof(union net_slot) == sizeof(union xnf_raw), "a slot is a slot");

static int gate(const struct xnf_packet *p, struct net_packet *out)
{
    union net_slot slots[NET_MAX_SLOTS];
    unsigned int nr = p->n < NET_MAX_SLOTS ? p->n : NET_MAX_SLOTS;

    memcpy(slots, p->slots, nr * sizeof(slots[0]));
    return net_gate_packet(slots, nr, out);
}

static void every_number_of_slots(void **state)
{
    (void)state;
    for (unsigned int n = 1; n <= XNF_PACKET_SLOTS; n++) {
        struct xnf_packet p = {.gref = 8};
        struct net_packet out;

        xnf_packet_fragments(&p, n);
        assert_int_equal(p.n, n);
        assert_int_equal(gate(&p, &out), n <= NET_MAX_FRAGMENTS ? 0 : -EPROTO);
        assert_true(n > NET_MAX_FRAGMENTS || out.nr_slots == n);
    }
}

static bool judged_later(const struct net_packet *p)
{
    return p->csum_blank || p->fragments[0].ref == NOT_GRANTED;
}

static void every_broken_packet(void **state)
{
    (void)state;
    for (const struct xnf_packet_case *c = xnf_packet_cases; c->name != NULL; c++) {
        struct xnf_packet p = {.gref = 8};
        struct net_packet out;
        unsigned int result;
        int err;

        if (c->build == NULL) {
            continue; /* the ring's indices: test_ring */
        }
        c->build(&p, c->arg);
        err = gate(&p, &out);
        result = err == 0 ? XNF_TAKEN : err == -EPROTO ? XNF_CLOSED : XNF_REFUSED;
        if (err == -EAGAIN || ((c->right & result) == 0 && !(err == 0 && judged_later(&out)))) {
            fail_msg("%s: %d", c->name, err);
        }
    }
}

/* Until its last slot is there, a packet is waited for, whatever it will be. */
static void an_unfinished_packet_is_waited_for(void **state)
{
    struct xnf_packet p = {.gref = 8};
    struct net_packet out;

    (void)state;
    xnf_packet_fragments(&p, NET_MAX_FRAGMENTS);
    for (p.n = 0; p.n < NET_MAX_FRAGMENTS; p.n++) {
        assert_int_equal(gate(&p, &out), -EAGAIN);
    }
    assert_int_equal(gate(&p, &out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_of_slots),
        cmocka_unit_test(every_broken_packet),
        cmocka_unit_test(an_unfinished_packet_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
