/*
 * Packets of IPv6 that are longer than their way is wide: lwIP's fragments as the guest kernel has
 * them built, and what it believes of a "packet too big" (net/pmtu.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "fake_lwip.h"
#include "lwip/icmp6.h"
#include "lwip/ip6_frag.h"
#include "lwip/nd6.h"
#include "lwip/pbuf.h"
#include "lwip/priv/nd6_priv.h"
#include "lwip/prot/icmp6.h"
#include "lwip/prot/ip6.h"

#define LINK   1500
#define FIRST  1000 /* bytes of the first piece, headers included */
#define SECOND 3000

static struct netif link_ = {.mtu = LINK, .mtu6 = LINK};
static uint8_t sent[FIRST + SECOND]; /* what the fragments bring together */
static size_t sent_size;
static unsigned fragments;

static err_t collect(struct netif *netif, struct pbuf *p, const ip6_addr_t *to)
{
    struct ip6_frag_hdr frag;
    size_t at, n = p->tot_len - IP6_HLEN - IP6_FRAG_HLEN;

    (void)netif;
    (void)to;
    assert_int_equal(pbuf_copy_partial(p, &frag, IP6_FRAG_HLEN, IP6_HLEN), IP6_FRAG_HLEN);
    at = lwip_ntohs(frag._fragment_offset) & IP6_FRAG_OFFSET_MASK;
    assert_true(n > 0 && p->tot_len <= LINK && at + n <= sizeof(sent));
    assert_int_equal(pbuf_copy_partial(p, sent + at, (u16_t)n, IP6_HLEN + IP6_FRAG_HLEN), n);
    sent_size += n;
    fragments++;
    return ERR_OK;
}

static int begin(void **state)
{
    (void)state;
    fake_lwip_begin();
    fake_core_locked = true;
    link_.output_ip6 = collect;
    nd6_clear_destination_cache();
    return 0;
}

static int end(void **state)
{
    (void)state;
    fake_core_locked = false;
    return 0;
}

static ip6_addr_t peer(void)
{
    ip6_addr_t addr;

    IP6_ADDR(&addr, PP_HTONL(0xfd000000), 0, 0, PP_HTONL(1));
    ip6_addr_clear_zone(&addr);
    return addr;
}

/* A packet in two pieces, as TCP has them. */
static struct pbuf *packet(void)
{
    struct pbuf *p = pbuf_alloc(PBUF_LINK, FIRST, PBUF_RAM);
    struct pbuf *q = pbuf_alloc(PBUF_RAW, SECOND, PBUF_RAM);

    for (unsigned i = 0; i < FIRST; i++) {
        ((uint8_t *)p->payload)[i] = (uint8_t)(i * 7);
    }
    for (unsigned i = 0; i < SECOND; i++) {
        ((uint8_t *)q->payload)[i] = (uint8_t)(i * 11);
    }
    pbuf_cat(p, q);
    return p;
}

/* All of @p arrives. */
static void send_whole(struct pbuf *p)
{
    uint8_t whole[FIRST + SECOND];
    const ip6_addr_t to = peer();

    sent_size = fragments = 0;
    assert_int_equal(pbuf_copy_partial(p, whole, sizeof(whole), 0), sizeof(whole));
    assert_int_equal(ip6_frag(p, &link_, &to), ERR_OK);
    assert_int_equal(sent_size, sizeof(whole) - IP6_HLEN);
    assert_memory_equal(sent, whole + IP6_HLEN, sent_size);
}

/* TCP keeps what it sends until it is acknowledged: the second time it is the same. */
static void test_sent_twice(void **state)
{
    size_t before = fake_used;
    struct pbuf *p = packet();

    (void)state;
    send_whole(p);
    send_whole(p);
    assert_int_equal(p->len, FIRST);
    assert_int_equal(p->next->len, SECOND);
    pbuf_free(p);
    assert_int_equal(fake_used, before);
}

static void test_no_memory(void **state)
{
    const ip6_addr_t to = peer();
    struct pbuf *p = packet();

    (void)state;
    fake_no_memory = true;
    assert_int_equal(ip6_frag(p, &link_, &to), ERR_MEM);
    fake_no_memory = false;
    send_whole(p);
    pbuf_free(p);
}

/* Somebody says that only so much gets to the peer. */
static void too_big(u32_t mtu)
{
    struct pbuf *p = pbuf_alloc(PBUF_RAW, sizeof(struct icmp6_hdr) + IP6_HLEN, PBUF_RAM);
    struct icmp6_hdr *icmp = p->payload;
    struct ip6_hdr *ip = (struct ip6_hdr *)(icmp + 1);
    const ip6_addr_t to = peer();

    memset(p->payload, 0, p->len);
    icmp->type = ICMP6_TYPE_PTB;
    icmp->data = lwip_htonl(mtu);
    ip6_addr_copy_to_packed(ip->dest, to);
    destination_cache[0].destination_addr = to;
    nd6_input(p, &link_);
}

static void test_told_a_width(void **state)
{
    static const struct {
        u32_t told;
        u16_t is;
    } cases[] = {{0, 1500},    {1, 1280},    {47, 1280},    {48, 1280},
                 {55, 1280},   {1279, 1280}, {1280, 1280},  {1400, 1400},
                 {1500, 1500}, {1501, 1500}, {65536, 1500}, {0xffffffff, 1500}};
    const ip6_addr_t to = peer();
    struct pbuf *p = packet();

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        unsigned each = (cases[i].is - IP6_HLEN - IP6_FRAG_HLEN) & ~7U;

        too_big(cases[i].told);
        assert_int_equal(nd6_get_destination_mtu(&to, &link_), cases[i].is);
        if (cases[i].told != 0) {
            send_whole(p);
            assert_int_equal(fragments, (sent_size + each - 1) / each);
        }
    }
    pbuf_free(p);
}

/* A link of less than IPv6 asks for, and one whose MTU is hidden. */
static void test_narrow_link(void **state)
{
    const ip6_addr_t to = peer();

    (void)state;
    too_big(1400);
    link_.mtu6 = 576;
    assert_int_equal(nd6_get_destination_mtu(&to, &link_), 576);
    link_.mtu6 = 0;
    assert_int_equal(nd6_get_destination_mtu(&to, &link_), 1400);
    assert_int_equal(nd6_get_destination_mtu(&to, NULL), 1400);
    link_.mtu6 = LINK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sent_twice, begin, end),
        cmocka_unit_test_setup_teardown(test_no_memory, begin, end),
        cmocka_unit_test_setup_teardown(test_told_a_width, begin, end),
        cmocka_unit_test_setup_teardown(test_narrow_link, begin, end),
    };

    return cmocka_run_group_tests_name("guest_frag", tests, NULL, NULL);
}
