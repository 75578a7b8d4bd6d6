/*
 * t_net.c - promises of the network front end, with this file playing the back end, a bad one too.
 *
 * An interface is made without the store: its queue is a real one, granted to this domain and bound
 * to ports of this domain, into whose rings the tests write what a back end would. Each test has an
 * interface of its own. The gate's tests proper are those of tests/unit.
 */
#include "io/xennetf/xennetf_impl.h"
#include "io/xennetf/xnf_gate.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "kern/wait.h"
#include "psm/clock.h"
#include "selftest/own_domid.h"
#include "selftest/selftest.h"

#define PATIENCE (10 * NSEC_PER_SEC)
#define MTU      9000
#define FLOOD    2000 /* more frames than a handler takes at once */
#define FULL     XNF_RING_SIZE

/* An interface, the other side's view of its rings, and what its user has seen. */
struct stage {
    struct xnf x;
    struct xendev dev;
    struct xnf_queue *q;
    struct netif_tx_back_ring back_tx;
    struct netif_rx_back_ring back_rx;
    struct net_frame last;
    unsigned pieces, received, writable, flood;
    uint32_t sum; /* of the last frame's bytes */
    struct waitq wq;
    uint8_t data[3 * PAGE_SIZE]; /* to be sent */
};

static uint32_t sum_of(const void *data, size_t len)
{
    const uint8_t *bytes = data;
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i++) {
        sum = sum * 31 + bytes[i];
    }
    return sum;
}

static void answer_rx(struct stage *s, uint16_t offset, uint16_t flags, int status);
static void push_rx(struct stage *s);

static void t_net_receive(void *arg, const struct net_frame *frame, const struct net_piece *pieces,
                          unsigned n)
{
    struct stage *s = arg;

    s->last = *frame;
    s->pieces = n;
    s->sum = n == 1 ? sum_of(pieces[0].base, pieces[0].len) : 0;
    WRITE_ONCE(s->received, s->received + 1);
    if (s->flood != 0) {
        s->flood--;
        answer_rx(s, 0, 0, 60);
        push_rx(s);
    }
    waitq_wake_all(&s->wq);
}

static void writable(void *arg)
{
    struct stage *s = arg;

    s->writable++;
}

static void t_net_nothing(void *arg __unused)
{
}

static const struct net_user player = {.receive = t_net_receive,
                                       .writable = writable,
                                       .changed = t_net_nothing,
                                       .gone = t_net_nothing};

static void t_net_unmake(struct stage *s)
{
    xnf_stop(&s->x, PATH_GONE);
    if (s->x.nqueues != 0) {
        xnf_queue_close(s->q, false);
    }
    xnf_fini(&s->x);
    kfree(s);
}

static bool open_queue(struct stage *s, unsigned nbufs)
{
    if (xnf_queue_open(s->q, nbufs, true) != 0) {
        return false;
    }
    s->x.nqueues = 1;
    BACK_RING_INIT(&s->back_tx, (struct netif_tx_sring *)s->q->tx_page, PAGE_SIZE);
    BACK_RING_INIT(&s->back_rx, (struct netif_rx_sring *)s->q->rx_page, PAGE_SIZE);
    xnf_start(&s->x);
    return true;
}

static struct stage *t_net_make(void)
{
    struct stage *s = kzalloc(sizeof(*s));

    if (s == NULL) {
        return NULL;
    }
    xnf_init(&s->x, "testnet");
    waitq_init(&s->wq, "selftest");
    s->x.fe.dev = &s->dev;
    s->x.fe.name = s->x.net.name;
    s->x.mtu = MTU;
    s->x.carrier = true;
    s->x.features = (struct xnf_features){.sg = true, .gso_v4 = true};
    s->x.net.entry.listed = true; /* for net_transmit(); the table does not know it */
    s->x.net.user = &player;
    s->x.net.user_arg = s;
    for (size_t i = 0; i < sizeof(s->data); i++) {
        s->data[i] = (uint8_t)(i * 7 + i / PAGE_SIZE);
    }
    s->q = s->x.queues[0] = xnf_queue_new(&s->x, 0);
    if (s->q == NULL || own_domid(&s->x.fe.otherend_id) != 0 || !open_queue(s, FULL)) {
        t_net_unmake(s);
        return NULL;
    }
    return s;
}

/* ---- reception ---- */

/* The request that the back end answers next, and the page it names. */
static unsigned t_net_place(const struct stage *s)
{
    return s->back_rx.rsp_prod_pvt & (FULL - 1);
}

static void *page_to_fill(const struct stage *s)
{
    return s->q->rx_bufs[s->q->rx_slot[t_net_place(s)]].page;
}

static void answer_id(struct stage *s, uint16_t id, uint16_t offset, uint16_t flags, int status)
{
    *RING_GET_RESPONSE(&s->back_rx, s->back_rx.rsp_prod_pvt++) = (struct netif_rx_response){
        .id = id, .offset = offset, .flags = flags, .status = (int16_t)status};
}

static void answer_rx(struct stage *s, uint16_t offset, uint16_t flags, int status)
{
    answer_id(s, (uint16_t)t_net_place(s), offset, flags, status);
}

static void answer_extra(struct stage *s, uint8_t type, uint8_t flags, uint16_t size, uint8_t kind)
{
    struct netif_extra_info extra = {
        .type = type, .flags = flags, .u.gso.size = size, .u.gso.type = kind};

    memcpy(RING_GET_RESPONSE(&s->back_rx, s->back_rx.rsp_prod_pvt++), &extra, sizeof(extra));
}

static void push_rx(struct stage *s)
{
    RING_PUSH_RESPONSES(&s->back_rx);
}

static void t_net_deliver(struct stage *s)
{
    push_rx(s);
    xnf_rx_event(EVTCHN_NONE, s->q);
}

static bool frames_arrive(struct stage *s)
{
    uint8_t *page = page_to_fill(s);

    memcpy(page + 100, s->data, 600);
    answer_rx(s, 100, NETRXF_csum_blank | NETRXF_data_validated, 600);
    t_net_deliver(s);
    CHECK(s->received == 1 && s->pieces == 1 && s->last.len == 600);
    CHECK(s->sum == sum_of(s->data, 600) && s->last.csum_blank && s->last.csum_valid);
    answer_rx(s, 0, NETRXF_more_data | NETRXF_extra_info, PAGE_SIZE);
    answer_extra(s, XEN_NETIF_EXTRA_TYPE_GSO, 0, 1448, XEN_NETIF_GSO_TYPE_TCPV4);
    answer_rx(s, 0, NETRXF_more_data, PAGE_SIZE);
    answer_rx(s, 0, 0, 5);
    t_net_deliver(s);
    CHECK(s->received == 2 && s->pieces == 3 && s->last.len == 2 * PAGE_SIZE + 5);
    CHECK(s->last.gso == NET_GSO_TCPV4 && s->last.gso_size == 1448);
    CHECK(s->x.state == PATH_UP && s->q->rx_frames == 2 && s->q->rx_errors == 0);
    return true;
}

/* More frames than there are buffers: each of them comes back, with its place as its id. */
static bool buffers_come_back(struct stage *s)
{
    for (unsigned i = 0; i < 3 * FULL; i++) {
        const struct netif_rx_request *req = RING_GET_REQUEST(&s->back_rx, i);

        CHECK(s->q->rx.sring->req_prod - i > FULL / 2);
        CHECK(req->id == t_net_place(s) && req->gref == s->q->rx_bufs[s->q->rx_slot[req->id]].gref);
        answer_rx(s, 0, 0, 60);
        t_net_deliver(s);
    }
    CHECK(s->received == 3 * FULL && s->x.state == PATH_UP);
    return true;
}

static bool dropped(struct stage *s, unsigned errors)
{
    unsigned before = s->received;

    CHECK(s->x.state == PATH_UP && s->q->rx_errors == errors);
    answer_rx(s, 0, 0, 60);
    t_net_deliver(s);
    CHECK(s->x.state == PATH_UP && s->received == before + 1 && s->q->rx_errors == errors);
    return true;
}

/* What is wrong with a frame alone costs that frame, and the next one arrives. */
static bool bad_frames_are_dropped(struct stage *s)
{
    answer_rx(s, 0, 0, NETIF_RSP_ERROR);
    t_net_deliver(s);
    CHECK(dropped(s, 1));
    answer_rx(s, 0, 0, NET_HEADER_LEN - 1);
    t_net_deliver(s);
    CHECK(dropped(s, 2));
    answer_rx(s, 0, NETRXF_extra_info, 60);
    answer_extra(s, 77, 0, 0, 0);
    t_net_deliver(s);
    CHECK(dropped(s, 3));
    answer_rx(s, 0, NETRXF_more_data, NETIF_RSP_ERROR);
    answer_rx(s, 0, 0, 60);
    t_net_deliver(s);
    CHECK(dropped(s, 4) && s->received == 4);
    return true;
}

static bool too_many_slots(struct stage *s)
{
    for (unsigned i = 0; i < 50; i++) {
        answer_rx(s, 0, NETRXF_more_data, 100);
        if (i % 10 == 5) {
            t_net_deliver(s);
        }
    }
    answer_rx(s, 0, 0, 100);
    t_net_deliver(s);
    CHECK(s->received == 0 && !s->q->rx_draining && s->q->rx_errors == 1);
    return dropped(s, 1);
}

static bool rest_comes_later(struct stage *s)
{
    answer_rx(s, 0, NETRXF_more_data | NETRXF_extra_info, 1000);
    t_net_deliver(s);
    CHECK(s->received == 0 && s->q->rx.sring->rsp_event == 2);
    answer_extra(s, XEN_NETIF_EXTRA_TYPE_GSO, 0, 500, XEN_NETIF_GSO_TYPE_TCPV6);
    t_net_deliver(s);
    CHECK(s->received == 0 && s->q->rx.sring->rsp_event == 3);
    answer_rx(s, 0, 0, 1000);
    t_net_deliver(s);
    CHECK(s->received == 1 && s->last.len == 2000 && s->last.gso == NET_GSO_TCPV6);
    return true;
}

static bool t_net_broken(struct stage *s)
{
    struct net_frame frame = {.len = 60};
    struct net_piece piece = {.base = s->data, .len = 60};
    unsigned before = s->received;

    CHECK(s->x.state == PATH_BROKEN && s->x.fe.breach != NULL);
    CHECK(net_transmit(&s->x.net, &frame, &piece, 1) == -ENOTCONN);
    xnf_event(EVTCHN_NONE, s->q);
    CHECK(s->received == before);
    return true;
}

static bool wrong_id(struct stage *s)
{
    answer_id(s, 1, 0, 0, 60);
    t_net_deliver(s);
    return t_net_broken(s);
}

static bool t_net_id_past_the_ring(struct stage *s)
{
    answer_id(s, FULL, 0, 0, 60);
    t_net_deliver(s);
    return t_net_broken(s);
}

static bool outside_of_the_page(struct stage *s)
{
    answer_rx(s, PAGE_SIZE - 59, 0, 60);
    t_net_deliver(s);
    return t_net_broken(s);
}

static bool offset_past_the_page(struct stage *s)
{
    answer_rx(s, UINT16_MAX, 0, 60);
    t_net_deliver(s);
    return t_net_broken(s);
}

static bool endless_extra_info(struct stage *s)
{
    answer_rx(s, 0, NETRXF_extra_info, 60);
    for (unsigned i = 0; i <= XNF_EXTRAS_MAX; i++) {
        answer_extra(s, XEN_NETIF_EXTRA_TYPE_GSO, XEN_NETIF_EXTRA_FLAG_MORE, 500,
                     XEN_NETIF_GSO_TYPE_TCPV4);
    }
    t_net_deliver(s);
    return t_net_broken(s);
}

static bool more_answers_than_buffers(struct stage *s)
{
    s->back_rx.sring->rsp_prod = FULL + 1;
    xnf_rx_event(EVTCHN_NONE, s->q);
    return t_net_broken(s);
}

static bool t_net_index_that_goes_back(struct stage *s)
{
    s->back_rx.sring->rsp_prod--;
    xnf_rx_event(EVTCHN_NONE, s->q);
    return t_net_broken(s);
}

/* A back end without end does not keep the handler for good; what is left is taken later. */
static bool flood(struct stage *s)
{
    s->flood = FLOOD;
    answer_rx(s, 0, 0, 60);
    t_net_deliver(s);
    CHECK(wait_event_until(&s->wq, READ_ONCE(s->received) == FLOOD + 1, clock_now() + PATIENCE) ==
          0);
    CHECK(s->x.state == PATH_UP && s->q->rx_errors == 0);
    return true;
}

/* ---- sending ---- */

static int t_net_send(struct stage *s, uint32_t len, enum net_gso gso)
{
    struct net_frame frame = {
        .len = len, .csum_blank = gso != NET_GSO_NONE, .gso = gso, .gso_size = 1000};
    struct net_piece pieces[] = {{.base = s->data, .len = 20},
                                 {.base = s->data + 20, .len = 0},
                                 {.base = s->data + 20, .len = len - 20}};

    return net_transmit(&s->x.net, &frame, pieces, ARRAY_SIZE(pieces));
}

static struct netif_tx_request take_tx(struct stage *s)
{
    struct netif_tx_request req;

    memcpy(&req, RING_GET_REQUEST(&s->back_tx, s->back_tx.req_cons++), sizeof(req));
    return req;
}

/* Answers, and has the front end look, as if it had asked for an event. */
static void answer_tx(struct stage *s, uint16_t id, int status)
{
    *RING_GET_RESPONSE(&s->back_tx, s->back_tx.rsp_prod_pvt++) =
        (struct netif_tx_response){.id = id, .status = (int16_t)status};
    RING_PUSH_RESPONSES(&s->back_tx);
    s->q->tx_blocked = true;
    xnf_tx_event(EVTCHN_NONE, s->q);
}

/* Whether the request names a page with @len bytes of the data, from @offset on. */
static bool carries(const struct stage *s, const struct netif_tx_request *req, size_t offset,
                    size_t len)
{
    const struct xnf_buf *buf = &s->q->tx_bufs[req->id];

    return req->id < FULL && req->gref == buf->gref && req->offset == 0 && buf->sent &&
           memcmp(buf->page, s->data + offset, len) == 0;
}

static bool frames_are_sent(struct stage *s)
{
    CHECK(t_net_send(s, 100, NET_GSO_NONE) == 0);
    struct netif_tx_request one = take_tx(s);
    CHECK(one.size == 100 && one.flags == 0 && carries(s, &one, 0, 100));
    answer_tx(s, one.id, NETIF_RSP_OKAY);
    CHECK(s->q->tx_nfree == FULL);

    CHECK(t_net_send(s, 2 * PAGE_SIZE + 9, NET_GSO_TCPV4) == 0);
    struct netif_tx_request first = take_tx(s);
    struct netif_tx_request slot = take_tx(s);
    struct netif_tx_request second = take_tx(s);
    struct netif_tx_request third = take_tx(s);
    struct netif_extra_info extra;
    memcpy(&extra, &slot, sizeof(extra));
    CHECK(first.size == 2 * PAGE_SIZE + 9 && carries(s, &first, 0, PAGE_SIZE));
    CHECK(first.flags ==
          (NETTXF_csum_blank | NETTXF_data_validated | NETTXF_more_data | NETTXF_extra_info));
    CHECK(extra.type == XEN_NETIF_EXTRA_TYPE_GSO && extra.u.gso.size == 1000 && !extra.flags);
    CHECK(extra.u.gso.type == XEN_NETIF_GSO_TYPE_TCPV4 && extra.u.gso.features == 0);
    CHECK(second.size == PAGE_SIZE && second.flags == NETTXF_more_data &&
          carries(s, &second, PAGE_SIZE, PAGE_SIZE));
    CHECK(third.size == 9 && third.flags == 0 && carries(s, &third, 2 * PAGE_SIZE, 9));
    answer_tx(s, second.id, NETIF_RSP_OKAY);
    answer_tx(s, first.id, NETIF_RSP_ERROR);
    answer_tx(s, 0, NETIF_RSP_NULL);
    answer_tx(s, third.id, NETIF_RSP_OKAY);
    CHECK(s->x.state == PATH_UP && s->q->tx_nfree == FULL && s->q->tx_extras == 0);
    CHECK(s->q->tx_errors == 1 && s->q->tx_frames == 2);
    return true;
}

static bool sizes_are_checked(struct stage *s)
{
    CHECK(t_net_send(s, MTU + NET_HEADER_LEN + 4, NET_GSO_NONE) == 0);
    CHECK(t_net_send(s, MTU + NET_HEADER_LEN + 5, NET_GSO_NONE) == -EMSGSIZE);
    CHECK(t_net_send(s, 3000, NET_GSO_TCPV6) == -EMSGSIZE);
    struct net_frame frame = {.len = 100};
    struct net_piece piece = {.base = s->data, .len = 99};
    CHECK(net_transmit(&s->x.net, &frame, &piece, 1) == -EMSGSIZE);
    CHECK(s->q->tx.req_prod_pvt == 3 && s->x.state == PATH_UP);
    s->x.carrier = false;
    CHECK(t_net_send(s, 100, NET_GSO_NONE) == -ENOTCONN);
    return true;
}

static bool fill_ring(struct stage *s)
{
    for (unsigned i = 0; i < FULL; i++) {
        CHECK(t_net_send(s, 100, NET_GSO_NONE) == 0);
    }
    return true;
}

/* Answers half of a full ring. */
static void answer_half(struct stage *s)
{
    for (unsigned i = 0; i < FULL / 2; i++) {
        *RING_GET_RESPONSE(&s->back_tx, s->back_tx.rsp_prod_pvt++) =
            (struct netif_tx_response){.id = take_tx(s).id, .status = NETIF_RSP_OKAY};
    }
    RING_PUSH_RESPONSES(&s->back_tx);
    xnf_tx_event(EVTCHN_NONE, s->q);
}

/* A full ring refuses; it asks for an event at half, and tells its user then. */
static bool full_ring(struct stage *s)
{
    CHECK(fill_ring(s));
    unsigned told = s->writable;
    CHECK(t_net_send(s, 100, NET_GSO_NONE) == -EAGAIN && s->q->tx_blocked);
    CHECK(s->back_tx.sring->rsp_event == FULL / 2);
    answer_half(s);
    CHECK(s->writable == told + 1 && !s->q->tx_blocked);
    CHECK(t_net_send(s, 100, NET_GSO_NONE) == 0 && s->q->tx_nfree == FULL / 2 - 1);
    return true;
}

static bool answer_past_the_buffers(struct stage *s)
{
    CHECK(t_net_send(s, 100, NET_GSO_NONE) == 0);
    answer_tx(s, FULL, NETIF_RSP_OKAY);
    return t_net_broken(s);
}

static bool answer_to_nothing(struct stage *s)
{
    CHECK(t_net_send(s, 100, NET_GSO_NONE) == 0);
    answer_tx(s, (uint16_t)(take_tx(s).id + 1), NETIF_RSP_OKAY);
    return t_net_broken(s);
}

static bool t_net_answered_twice(struct stage *s)
{
    CHECK(t_net_send(s, 100, NET_GSO_NONE) == 0 && t_net_send(s, 100, NET_GSO_NONE) == 0);
    uint16_t id = take_tx(s).id;
    answer_tx(s, id, NETIF_RSP_OKAY);
    CHECK(s->x.state == PATH_UP);
    answer_tx(s, id, NETIF_RSP_OKAY);
    return t_net_broken(s);
}

static bool extra_that_was_not_sent(struct stage *s)
{
    CHECK(t_net_send(s, 100, NET_GSO_NONE) == 0);
    answer_tx(s, 0, NETIF_RSP_NULL);
    return t_net_broken(s);
}

static bool more_answers_than_frames(struct stage *s)
{
    CHECK(t_net_send(s, 100, NET_GSO_NONE) == 0);
    s->q->tx_blocked = true;
    s->back_tx.sring->rsp_prod = 2;
    xnf_tx_event(EVTCHN_NONE, s->q);
    return t_net_broken(s);
}

/* ---- multicast control ---- */

static const uint8_t groups[2][NET_MAC_LEN] = {{0x33, 0x33, 0, 0, 0, 1}, {1, 0, 0x5e, 1, 2, 3}};

/* Whether the next two slots are that change; answers it. */
static bool is_told(struct stage *s, uint8_t type, const uint8_t *mac)
{
    struct netif_tx_request req = take_tx(s), slot = take_tx(s);
    struct netif_extra_info extra;

    memcpy(&extra, &slot, sizeof(extra));
    CHECK(req.flags == NETTXF_extra_info && req.size == 0 && req.gref == 0);
    CHECK(extra.type == type && extra.flags == 0 && !memcmp(extra.u.mcast.addr, mac, NET_MAC_LEN));
    answer_tx(s, req.id, NETIF_RSP_OKAY);
    answer_tx(s, 0, NETIF_RSP_NULL);
    CHECK(s->x.state == PATH_UP && s->q->tx_errors == 0);
    return true;
}

/* What the user listens to is told once, and again to another back end. */
static bool multicast_is_told(struct stage *s)
{
    CHECK(net_set_multicast(&s->x.net, groups, 1) == 0 && s->q->tx.req_prod_pvt == 0);
    s->x.features.mcast = true;
    CHECK(net_set_multicast(&s->x.net, groups, 2) == 0 && s->q->tx.sring->req_prod == 4);
    CHECK(is_told(s, XEN_NETIF_EXTRA_TYPE_MCAST_ADD, groups[0]));
    CHECK(is_told(s, XEN_NETIF_EXTRA_TYPE_MCAST_ADD, groups[1]));
    CHECK(net_set_multicast(&s->x.net, groups, 2) == 0 && s->q->tx.sring->req_prod == 4);
    CHECK(net_set_multicast(&s->x.net, groups + 1, 1) == 0 && s->q->tx.sring->req_prod == 6);
    CHECK(is_told(s, XEN_NETIF_EXTRA_TYPE_MCAST_DEL, groups[0]));
    CHECK(s->q->tx_extras == 0 && s->q->tx_nfree == FULL);
    CHECK(net_set_multicast(&s->x.net, groups, NET_MULTICAST_MAX + 1) == -ENOSPC);
    xnf_pause(&s->x);
    CHECK(net_set_multicast(&s->x.net, groups, 2) == 0 && s->q->tx.sring->req_prod == 6);
    xnf_unpause(&s->x);
    CHECK(is_told(s, XEN_NETIF_EXTRA_TYPE_MCAST_ADD, groups[0]));

    xnf_stop(&s->x, PATH_DOWN);
    xnf_queue_close(s->q, false);
    s->x.nqueues = 0;
    CHECK(open_queue(s, FULL) && s->q->tx.sring->req_prod == 4);
    CHECK(is_told(s, XEN_NETIF_EXTRA_TYPE_MCAST_ADD, groups[0]));
    CHECK(is_told(s, XEN_NETIF_EXTRA_TYPE_MCAST_ADD, groups[1]));
    return true;
}

/* A change for which there is no room is told when there is. */
static bool multicast_waits_for_room(struct stage *s)
{
    s->x.features.mcast = true;
    CHECK(fill_ring(s));
    CHECK(net_set_multicast(&s->x.net, groups, 1) == 0 && s->q->tx_blocked);
    CHECK(s->q->tx.req_prod_pvt == FULL && s->x.mcast.ntold == 0);
    answer_half(s);
    CHECK(s->q->tx.sring->req_prod == FULL + 2 && s->x.mcast.ntold == 1 && !s->q->tx_blocked);
    return true;
}

/* ---- life ---- */

/* Paused, nothing moves; then it goes on where it was, on the same rings. */
static bool pause_and_go_on(struct stage *s)
{
    xnf_pause(&s->x);
    CHECK(t_net_send(s, 100, NET_GSO_NONE) == -ENOTCONN);
    answer_rx(s, 0, 0, 60);
    t_net_deliver(s);
    CHECK(s->received == 0);
    xnf_unpause(&s->x);
    CHECK(s->received == 1 && t_net_send(s, 100, NET_GSO_NONE) == 0);
    return true;
}

/* Another back end finds fresh rings; a small pool is enough for the largest of frames. */
static bool t_net_another_back_end(struct stage *s)
{
    CHECK(t_net_send(s, MTU, NET_GSO_NONE) == 0);
    xnf_stop(&s->x, PATH_DOWN);
    xnf_queue_close(s->q, false);
    s->x.nqueues = 0;
    CHECK(t_net_send(s, 100, NET_GSO_NONE) == -ENOTCONN);
    CHECK(open_queue(s, NET_PIECES_MAX + 1));
    CHECK(s->q->tx.sring->req_prod == 0 && s->q->rx.sring->req_prod == NET_PIECES_MAX + 1);
    for (unsigned i = 0; i < 2 * FULL; i++) {
        answer_rx(s, 0, 0, 60);
        t_net_deliver(s);
        CHECK(t_net_send(s, 100, NET_GSO_NONE) == 0);
        answer_tx(s, take_tx(s).id, NETIF_RSP_OKAY);
    }
    CHECK(s->received == 2 * FULL && s->q->tx_nfree == NET_PIECES_MAX + 1);
    return true;
}

/* A page that the back end holds on to is freed when it lets go, and holds up nobody. */
static bool t_net_page_not_let_go(struct stage *s)
{
    struct gnttab_stats before, held;
    struct gnttab_map map;

    gnttab_get_stats(&before);
    CHECK(gnttab_map(s->x.fe.otherend_id, s->q->rx_bufs[3].gref, false, &map) == 0);
    xnf_stop(&s->x, PATH_DOWN);
    xnf_queue_close(s->q, false);
    s->x.nqueues = 0;
    gnttab_get_stats(&held);
    CHECK(gnttab_unmap(&map) == 0);
    CHECK(held.deferred == before.deferred + 1);
    nsec_t deadline = clock_now() + PATIENCE;
    while (held.deferred != before.deferred && clock_now() < deadline) {
        thread_sleep_until(clock_now() + 50 * NSEC_PER_MSEC);
        gnttab_get_stats(&held);
    }
    CHECK(held.deferred == before.deferred);
    return true;
}

/* ---- the table of interfaces ---- */

static unsigned gone_calls, released;

static void close_at_once(void *arg)
{
    gone_calls++;
    net_close(arg);
}

static void count_release(struct net_dev *dev __unused)
{
    released++;
}

static bool users_of_an_interface(void)
{
    static const struct net_ops ops = {.release = count_release};
    static const struct net_user user = {.receive = t_net_receive,
                                         .writable = t_net_nothing,
                                         .changed = t_net_nothing,
                                         .gone = close_at_once};
    struct net_dev dev, twin;

    gone_calls = released = 0;
    net_init(&dev, "testnet9", &ops);
    net_init(&twin, "testnet9", &ops);
    dev.announced = twin.announced = true; /* nobody but us shall open them */
    CHECK(net_open(&dev, &user, &dev) == -ENODEV);
    CHECK(net_register(&dev) == 0 && net_register(&twin) == -EEXIST);
    CHECK(net_get("testnet9") == &dev);
    net_put(&dev);
    CHECK(net_open(&dev, &user, &dev) == 0);
    CHECK(net_open(&dev, &player, NULL) == -EBUSY);
    net_close(&dev);
    CHECK(net_open(&dev, &user, &dev) == 0 && released == 0);
    net_withdraw(&dev);
    CHECK(gone_calls == 1 && dev.user == NULL && dev.calls == 0 && net_get("testnet9") == NULL);
    net_withdraw(&dev);
    net_put(&dev);
    CHECK(gone_calls == 1 && released == 1);
    return true;
}

/* Each test gets an interface, which is taken down whatever the test found. */
#define ON_A_NIC(test)                                                             \
    static bool test##_on_a_nic(void)                                              \
    {                                                                              \
        struct gnttab_stats before, after;                                         \
        struct stage *s = t_net_make();                                            \
                                                                                   \
        CHECK(s != NULL);                                                          \
        gnttab_get_stats(&before);                                                 \
        before.entries_free += 2 + 2 * FULL; /* of its rings and buffers */        \
        bool ok = test(s);                                                         \
        t_net_unmake(s);                                                           \
        gnttab_get_stats(&after);                                                  \
        CHECK(!ok || after.entries_free >= before.entries_free || after.deferred); \
        return ok;                                                                 \
    }

ON_A_NIC(frames_arrive)
ON_A_NIC(buffers_come_back)
ON_A_NIC(bad_frames_are_dropped)
ON_A_NIC(too_many_slots)
ON_A_NIC(rest_comes_later)
ON_A_NIC(wrong_id)
ON_A_NIC(t_net_id_past_the_ring)
ON_A_NIC(outside_of_the_page)
ON_A_NIC(offset_past_the_page)
ON_A_NIC(endless_extra_info)
ON_A_NIC(more_answers_than_buffers)
ON_A_NIC(t_net_index_that_goes_back)
ON_A_NIC(flood)
ON_A_NIC(frames_are_sent)
ON_A_NIC(sizes_are_checked)
ON_A_NIC(full_ring)
ON_A_NIC(answer_past_the_buffers)
ON_A_NIC(answer_to_nothing)
ON_A_NIC(t_net_answered_twice)
ON_A_NIC(extra_that_was_not_sent)
ON_A_NIC(more_answers_than_frames)
ON_A_NIC(multicast_is_told)
ON_A_NIC(multicast_waits_for_room)
ON_A_NIC(pause_and_go_on)
ON_A_NIC(t_net_another_back_end)
ON_A_NIC(t_net_page_not_let_go)

const struct selftest selftests_net[] = {
    {.name = "net-received-frames-reach-the-user", .fn = frames_arrive_on_a_nic},
    {.name = "net-receive-buffers-come-back", .fn = buffers_come_back_on_a_nic},
    {.name = "net-bad-frames-cost-themselves-only", .fn = bad_frames_are_dropped_on_a_nic},
    {.name = "net-a-frame-of-too-many-slots-is-drained", .fn = too_many_slots_on_a_nic},
    {.name = "net-an-unfinished-frame-is-waited-for", .fn = rest_comes_later_on_a_nic},
    {.name = "net-a-wrong-id-breaks-the-interface", .fn = wrong_id_on_a_nic},
    {.name = "net-an-id-past-the-ring-breaks-it", .fn = t_net_id_past_the_ring_on_a_nic},
    {.name = "net-bytes-past-the-page-break-it", .fn = outside_of_the_page_on_a_nic},
    {.name = "net-an-offset-past-the-page-breaks-it", .fn = offset_past_the_page_on_a_nic},
    {.name = "net-endless-extra-info-breaks-it", .fn = endless_extra_info_on_a_nic},
    {.name = "net-more-answers-than-buffers-break-it", .fn = more_answers_than_buffers_on_a_nic},
    {.name = "net-an-index-that-goes-back-breaks-it", .fn = t_net_index_that_goes_back_on_a_nic},
    {.name = "net-a-flood-lets-others-run", .fn = flood_on_a_nic},
    {.name = "net-sent-frames-are-on-the-ring", .fn = frames_are_sent_on_a_nic},
    {.name = "net-frames-out-of-bounds-are-refused", .fn = sizes_are_checked_on_a_nic},
    {.name = "net-a-full-ring-tells-when-there-is-room", .fn = full_ring_on_a_nic},
    {.name = "net-an-answer-past-the-buffers-breaks-it", .fn = answer_past_the_buffers_on_a_nic},
    {.name = "net-an-answer-to-nothing-breaks-it", .fn = answer_to_nothing_on_a_nic},
    {.name = "net-an-answer-twice-breaks-it", .fn = t_net_answered_twice_on_a_nic},
    {.name = "net-an-answer-to-no-extra-breaks-it", .fn = extra_that_was_not_sent_on_a_nic},
    {.name = "net-more-answers-than-frames-break-it", .fn = more_answers_than_frames_on_a_nic},
    {.name = "net-multicast-changes-are-told-once", .fn = multicast_is_told_on_a_nic},
    {.name = "net-multicast-changes-wait-for-room", .fn = multicast_waits_for_room_on_a_nic},
    {.name = "net-paused-nothing-moves", .fn = pause_and_go_on_on_a_nic},
    {.name = "net-another-back-end-gets-fresh-rings", .fn = t_net_another_back_end_on_a_nic},
    {.name = "net-a-page-not-let-go-is-freed-later", .fn = t_net_page_not_let_go_on_a_nic},
    {.name = "net-users-come-and-go", .fn = users_of_an_interface},
    {.name = NULL},
};
