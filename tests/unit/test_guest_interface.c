/*
 * The guest's interface against a back end that lies: this program is the back end. Whatever it
 * answers, the guest delivers no byte from outside of the pages that it gave, takes nothing for an
 * answer that is none, never waits, and keeps nothing when the interface is gone.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <xen/xen.h>
#include <xen/io/netif.h>

#include "fake_guest.h"
#include "io/net.h"
#include "io/xennetf/xennetf.h"
#include "kern/errno.h"

#define RING  256U
#define FRAME 60U

static struct xendev *dev;
static struct net_dev *net;
static struct netif_tx_back_ring tx; /* as the back end sees them */
static struct netif_rx_back_ring rx;
static uint32_t port;
static unsigned frames, bytes; /* that the guest's user got */
static bool room;              /* it was told that there is */

/* ---- the interface's user ---- */

static void on_receive(void *arg, const struct net_frame *frame, const struct net_piece *pieces,
                       unsigned n)
{
    unsigned sum = 0;

    (void)arg;
    for (unsigned i = 0; i < n; i++) {
        const unsigned char *at = pieces[i].base;

        assert_true(((uintptr_t)at & 4095) + pieces[i].len <= 4096);
        for (size_t j = 0; j < pieces[i].len; j++) {
            sum += at[j]; /* the sanitizer sees what is not ours */
        }
        bytes += (unsigned)pieces[i].len;
    }
    assert_true(sum <= 255 * frame->len);
    frames++;
}

static void on_writable(void *arg)
{
    (void)arg;
    room = true;
}

static void nothing(void *arg)
{
    (void)arg;
}

static const struct net_user user = {
    .receive = on_receive, .writable = on_writable, .changed = nothing, .gone = nothing};

static int send_one(void)
{
    static const char data[FRAME];
    const struct net_frame frame = {.len = FRAME};
    const struct net_piece piece = {.base = (void *)(uintptr_t)data, .len = FRAME};

    return net_transmit(net, &frame, &piece, 1);
}

/* ---- its life ---- */

static void to_state(const char *state)
{
    fake_key("/back/state", state);
    frontend_event(dev->fe, (enum xenbus_state)(*state - '0'));
}

static void appear(const char *key, const char *value)
{
    fake_guest_begin();
    frames = bytes = 0;
    room = false;
    dev = fake_device("vif", "0");
    fake_key("mac", "00:16:3e:00:00:01");
    fake_key("/back/online", "1");
    fake_key("/back/feature-rx-copy", "1");
    if (key != NULL) {
        fake_key(key, value);
    }
    assert_int_equal(xennetf_driver.probe(dev), 0);
    to_state("2");
}

static void connect(void)
{
    struct netif_tx_sring *tx_ring = fake_page(fake_number("tx-ring-ref"), true);
    struct netif_rx_sring *rx_ring = fake_page(fake_number("rx-ring-ref"), true);

    assert_non_null(tx_ring);
    assert_non_null(rx_ring);
    BACK_RING_INIT(&tx, tx_ring, 4096);
    BACK_RING_INIT(&rx, rx_ring, 4096);
    port = fake_number("event-channel");
    to_state("4");
    net = net_get("eth0");
    assert_non_null(net);
    assert_int_equal(net_open(net, &user, NULL), 0);
}

static void begin(void)
{
    appear(NULL, NULL);
    connect();
}

static void finish(void)
{
    if (net != NULL) {
        net_close(net);
        net_put(net);
        net = NULL;
    }
    frontend_remove(dev->fe);
    assert_int_equal(fake_guest_left(), 0);
}

static void given_up(void)
{
    assert_true(fake_poked);
    frontend_event(dev->fe, dev->fe->seen);
    assert_int_equal(dev->state, XenbusStateClosing);
    assert_non_null(strstr(fake_said, "broke the protocol"));
    assert_int_equal(send_one(), -ENOTCONN);
    finish();
}

static void still_served(void)
{
    unsigned before = frames;
    RING_IDX place = rx.rsp_prod_pvt;

    assert_false(fake_poked);
    *RING_GET_RESPONSE(&rx, place) =
        (struct netif_rx_response){.id = (uint16_t)(place % RING), .status = FRAME};
    rx.sring->rsp_prod = ++rx.rsp_prod_pvt;
    fake_kick(port);
    assert_int_equal(frames, before + 1);
    assert_int_equal(send_one(), 0);
    finish();
}

/* ---- lies in what is received ---- */

/* A slot; @wrong is added to its id. */
static void slot(uint16_t wrong, uint16_t offset, uint16_t flags, int16_t status)
{
    RING_IDX place = rx.rsp_prod_pvt++;

    *RING_GET_RESPONSE(&rx, place) = (struct netif_rx_response){
        .id = (uint16_t)(place % RING + wrong), .offset = offset, .flags = flags, .status = status};
}

static void publish(unsigned ahead)
{
    rx.sring->rsp_prod = rx.rsp_prod_pvt + ahead;
    fake_kick(port);
}

static void received_lies_that_end_it(void **unused)
{
    const struct {
        uint16_t wrong, offset;
        int16_t status;
        unsigned ahead;
    } lies[] = {{1, 0, FRAME, 0},        {RING, 0, FRAME, 0},          {UINT16_MAX, 0, FRAME, 0},
                {0, 4097, 0, 0},         {0, UINT16_MAX, 60, 0},       {0, 4037, 60, 0},
                {0, 0, 4097, 0},         {0, 0, INT16_MAX, 0},         {0, 0, FRAME, RING},
                {0, 0, FRAME, 1U << 31}, {0, 0, FRAME, UINT32_MAX - 1}};

    (void)unused;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        begin();
        slot(lies[i].wrong, lies[i].offset, 0, lies[i].status);
        publish(lies[i].ahead);
        assert_int_equal(frames, 0);
        given_up();
    }
}

static void received_lies_that_cost_a_frame(void **unused)
{
    const struct {
        uint16_t flags;
        int16_t status;
    } lies[] = {{0, -1}, {0, INT16_MIN}, {0, 0}, {0, 13}};

    (void)unused;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        begin();
        slot(0, 0, lies[i].flags, lies[i].status);
        publish(0);
        assert_int_equal(frames, 0);
        still_served();
    }
}

/* A frame of more slots than there are buffers in it never comes to be, and the next one does. */
static void a_chain_without_end(void **unused)
{
    (void)unused;
    begin();
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < 100; i++) {
            slot(0, 0, NETRXF_more_data, 10);
        }
        publish(0);
    }
    assert_int_equal(frames, 0);
    slot(0, 0, 0, 10);
    publish(0);
    assert_int_equal(frames, 0);
    still_served();
}

static void extra_info_without_end(void **unused)
{
    const struct netif_extra_info lie = {.type = XEN_NETIF_EXTRA_TYPE_GSO,
                                         .flags = XEN_NETIF_EXTRA_FLAG_MORE};

    (void)unused;
    begin();
    slot(0, 0, NETRXF_extra_info, FRAME);
    for (unsigned i = 0; i < 20; i++) {
        memcpy(RING_GET_RESPONSE(&rx, rx.rsp_prod_pvt++), &lie, sizeof(lie));
    }
    publish(0);
    given_up();
}

/* ---- lies in answers to what was sent ---- */

/* The guest fills the ring: it looks at answers when it needs room. */
static void fill(void)
{
    int rc = 0;

    while (rc == 0) {
        rc = send_one();
    }
    assert_int_equal(rc, -EAGAIN);
}

static void tx_answer(uint16_t id, int16_t status)
{
    RING_GET_RESPONSE(&tx, tx.rsp_prod_pvt++)->id = id;
    RING_GET_RESPONSE(&tx, tx.rsp_prod_pvt - 1)->status = status;
}

static void tx_tell(unsigned ahead)
{
    tx.sring->rsp_prod = tx.rsp_prod_pvt + ahead;
    fake_kick(port);
}

static void answers_to_nothing(void **unused)
{
    const struct {
        uint16_t first, other;
        int16_t status;
        unsigned ahead;
    } lies[] = {{RING, 1, 0, 0},           {UINT16_MAX, 1, 0, 0}, {0, 0, 0, 0},
                {0, 1, NETIF_RSP_NULL, 0}, {0, 1, 0, RING},       {0, 1, 0, 1U << 31}};

    (void)unused;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        begin();
        fill();
        tx_answer(lies[i].first, lies[i].status);
        for (uint16_t n = 0; n < RING - 1; n++) {
            tx_answer(lies[i].other + n, lies[i].status);
        }
        tx_tell(lies[i].ahead);
        given_up();
    }
}

static void statuses(void **unused)
{
    const int16_t rows[] = {NETIF_RSP_ERROR, NETIF_RSP_DROPPED, 5, INT16_MAX, INT16_MIN};

    (void)unused;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin();
        fill();
        for (uint16_t id = 0; id < RING; id++) {
            tx_answer(id, rows[i]);
        }
        tx_tell(0);
        assert_true(room);
        still_served();
    }
}

/* Nobody waits for one that never answers; what it had is given up with the interface. */
static void no_answer(void **unused)
{
    (void)unused;
    begin();
    fill();
    fake_kick(port);
    assert_false(room);
    assert_int_equal(send_one(), -EAGAIN);
    fake_key("/back/online", "0");
    to_state("5");
    assert_int_equal(dev->state, XenbusStateClosed);
    assert_int_equal(send_one(), -ENODEV);
    finish();
}

/* Pages that the back end keeps keep nobody, and come back when it lets go. */
static void kept_pages(void **unused)
{
    (void)unused;
    begin();
    uint32_t ring = fake_number("rx-ring-ref"), buffer = RING_GET_REQUEST(&rx, 0)->gref;
    fake_hold(ring, true);
    fake_hold(buffer, true);
    fake_key("/back/online", "0");
    to_state("5");
    assert_int_equal(dev->state, XenbusStateClosed);
    fake_hold(ring, false);
    fake_hold(buffer, false);
    finish();
}

/* ---- lies in the store ---- */

static void refused_by_the_store(void **unused)
{
    static const char *const lies[][2] = {
        {"/back/feature-rx-copy", NULL},
        {"/back/feature-rx-copy", "0"},
        {"/back/feature-rx-copy", "-1"},
        {"/back/feature-rx-copy", "yes"},
        {"/back/feature-sg", "2"},
        {"/back/feature-gso-tcpv4", "\x1b[2J"},
        {"/back/multi-queue-max-queues", "-1"},
        {"/back/multi-queue-max-queues", "4294967296"},
        {"/back/multi-queue-max-queues", ""},
    };

    (void)unused;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        appear(lies[i][0], lies[i][1]);
        assert_int_equal(dev->state, XenbusStateClosing);
        finish();
    }
}

static void made_sense_of(void **unused)
{
    static char many[2001];
    const struct {
        const char *key, *value;
        uint16_t mtu;
    } lies[] = {{"/back/multi-queue-max-queues", "0", 1500},
                {"/back/multi-queue-max-queues", "4294967295", 1500},
                {"/back/mtu", "0", 1500},
                {"/back/mtu", "67", 1500},
                {"/back/mtu", "65535", 1500},
                {"/back/mtu", "65604", 1500}, /* 68 in 16 bits */
                {"/back/mtu", "4294967364", 1500},
                {"/back/mtu", "576", 576},
                {"/back/ip", many, 1500}};
    struct net_info info;

    (void)unused;
    memset(many, '1', sizeof(many) - 1);
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        appear(lies[i].key, lies[i].value);
        connect();
        net_get_info(net, &info);
        assert_int_equal(info.mtu, lies[i].mtu);
        assert_int_equal(info.queues, 1);
        assert_string_equal(info.ip, "");
        still_served();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(received_lies_that_end_it),
        cmocka_unit_test(received_lies_that_cost_a_frame),
        cmocka_unit_test(a_chain_without_end),
        cmocka_unit_test(extra_info_without_end),
        cmocka_unit_test(answers_to_nothing),
        cmocka_unit_test(statuses),
        cmocka_unit_test(no_answer),
        cmocka_unit_test(kept_pages),
        cmocka_unit_test(refused_by_the_store),
        cmocka_unit_test(made_sense_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
