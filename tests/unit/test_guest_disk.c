/*
 * The guest's disk against a back end that lies: this program is the back end. Whatever it answers,
 * the guest takes nothing for an answer that is none, ends every request once, uses no page that
 * the back end still has, and keeps nothing when the device is gone.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <xen/xen.h>
#include <xen/io/blkif.h>

#include "fake_guest.h"
#include "io/blk.h"
#include "io/xvbd/xvbd.h"
#include "kern/errno.h"
#include "kern/mem.h"

#define PARTS 3u /* entries on the ring that one request of this size takes */
#define SIZE  (PARTS * 11 * 4096ul)

static struct xendev *dev;
static struct blk_dev *disk;
static struct blkif_back_ring ring; /* as the back end sees it */
static uint32_t port;

/* ---- a request of the guest's ---- */

static struct blk_req req;
static unsigned ended;
static int how;

static void done(struct blk_req *r, int rc)
{
    assert_ptr_equal(r, &req);
    ended++;
    how = rc;
}

/* Begins one; how many entries are on the ring then. */
static unsigned begin_request(enum blk_op op, size_t size)
{
    ended = 0;
    req = (struct blk_req){
        .op = op, .nsectors = size / 512, .buf = page_alloc_zeroed(6), .done = done};
    assert_int_equal(blk_submit(disk, &req), 0);
    return ring.sring->req_prod - ring.req_cons;
}

/* ---- the device's life ---- */

static void to_state(const char *state)
{
    fake_key("/back/state", state);
    frontend_event(dev->fe, (enum xenbus_state)(*state - '0'));
}

static void let_watch_thread_look(void)
{
    fake_poked = false;
    frontend_event(dev->fe, dev->fe->seen);
}

/* The device appears, with a back end that says this of it. */
static void appear(const char *key, const char *value)
{
    fake_guest_begin();
    dev = fake_device("vbd", "51728");
    fake_key("virtual-device", "51728");
    fake_key("/back/online", "1");
    fake_key("/back/sectors", "2048");
    fake_key("/back/sector-size", "512");
    fake_key("/back/info", "0");
    if (key != NULL) {
        fake_key(key, value);
    }
    assert_int_equal(xvbd_driver.probe(dev), 0);
    to_state("2");
}

static void connect(void)
{
    if (dev->state == XenbusStateInitialised) {
        struct blkif_sring *sring = fake_page(fake_number("ring-ref"), true);

        assert_non_null(sring);
        BACK_RING_INIT(&ring, sring, 4096);
        port = fake_number("event-channel");
        to_state("4");
    }
}

static void begin(void)
{
    appear(NULL, NULL);
    connect();
    assert_int_equal(dev->state, XenbusStateConnected);
    disk = blk_get("xvdb");
    assert_non_null(disk);
}

/* The toolstack takes the device away: nothing is left then. */
static void finish(void)
{
    if (disk != NULL) {
        blk_put(disk);
        disk = NULL;
    }
    if (req.buf != NULL) {
        page_free(req.buf, 6);
        req.buf = NULL;
    }
    frontend_remove(dev->fe);
    assert_int_equal(fake_guest_left(), 0);
}

static blkif_request_t taken(void)
{
    blkif_request_t r = *RING_GET_REQUEST(&ring, ring.req_cons);

    ring.req_cons++;
    return r;
}

static void answer(uint64_t id, uint8_t op, int16_t status)
{
    *RING_GET_RESPONSE(&ring, ring.rsp_prod_pvt) =
        (blkif_response_t){.id = id, .operation = op, .status = status};
    ring.rsp_prod_pvt++;
}

static void tell(unsigned ahead)
{
    ring.sring->rsp_prod = ring.rsp_prod_pvt + ahead;
    fake_kick(port);
}

/* The guest has given the device up, said why, and ended its request with an error, once. */
static void given_up(void)
{
    assert_int_equal(ended, 1);
    assert_int_equal(how, -EIO);
    assert_true(fake_poked);
    let_watch_thread_look();
    assert_int_equal(dev->state, XenbusStateClosing);
    assert_non_null(strstr(fake_said, "broke the protocol"));
    assert_int_equal(blk_submit(disk, &req), 0);
    assert_int_equal(ended, 2);
    assert_int_equal(how, -EIO);
    finish();
}

/* ---- lies on the ring ---- */

static void honest(void **unused)
{
    (void)unused;
    begin();
    assert_int_equal(begin_request(BLK_READ, SIZE), PARTS);
    for (unsigned i = 0; i < PARTS; i++) {
        blkif_request_t r = taken();

        for (unsigned j = 0; j < r.nr_segments; j++) {
            memset(fake_page(r.seg[j].gref, true), 'd', 4096);
        }
        answer(r.id, r.operation, BLKIF_RSP_OKAY);
        assert_int_equal(ended, 0);
    }
    tell(0);
    assert_int_equal(ended, 1);
    assert_int_equal(how, 0);
    for (size_t i = 0; i < SIZE; i++) {
        assert_int_equal(((char *)req.buf)[i], 'd');
    }
    finish();
}

static void ids_and_operations(void **unused)
{
    const struct {
        uint64_t id; /* added to the first request's */
        uint8_t op;
    } lies[] = {{UINT64_C(1) << 32, BLKIF_OP_READ},
                {UINT64_MAX, BLKIF_OP_READ},
                {32, BLKIF_OP_READ},
                {PARTS, BLKIF_OP_READ},
                {31, BLKIF_OP_READ},
                {0, BLKIF_OP_WRITE},
                {0, BLKIF_OP_INDIRECT},
                {0, UINT8_MAX}};

    (void)unused;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        begin();
        begin_request(BLK_READ, SIZE);
        answer(taken().id + lies[i].id, lies[i].op, BLKIF_RSP_OKAY);
        tell(0);
        given_up();
    }
}

static void one_answer_twice(void **unused)
{
    (void)unused;
    begin();
    begin_request(BLK_READ, SIZE);
    uint64_t id = taken().id;
    answer(id, BLKIF_OP_READ, BLKIF_RSP_OKAY);
    answer(id, BLKIF_OP_READ, BLKIF_RSP_OKAY);
    tell(0);
    given_up();
}

static void indices(void **unused)
{
    const unsigned ahead[] = {PARTS + 1, 32, 33, 1U << 31, UINT32_MAX, UINT32_MAX - 40};

    (void)unused;
    for (size_t i = 0; i < sizeof(ahead) / sizeof(ahead[0]); i++) {
        begin();
        begin_request(BLK_READ, SIZE);
        tell(ahead[i]);
        given_up();
    }
    begin(); /* what is told together with a lie is no answer either */
    begin_request(BLK_READ, 4096);
    answer(taken().id, BLKIF_OP_READ, BLKIF_RSP_OKAY);
    tell(1);
    given_up();
}

/* Nothing was asked, so nobody can be told: the next one is. */
static void an_answer_to_nothing(void **unused)
{
    (void)unused;
    begin();
    answer(0, BLKIF_OP_READ, BLKIF_RSP_OKAY);
    tell(0);
    assert_true(fake_poked);
    ended = 0;
    req =
        (struct blk_req){.op = BLK_READ, .nsectors = 8, .buf = page_alloc_zeroed(6), .done = done};
    assert_int_equal(blk_submit(disk, &req), 0);
    given_up();
}

static void statuses(void **unused)
{
    const struct {
        int16_t status;
        int rc;
    } rows[] = {{BLKIF_RSP_ERROR, -EIO},
                {BLKIF_RSP_EOPNOTSUPP, -EOPNOTSUPP},
                {1, -EIO},
                {-3, -EIO},
                {INT16_MAX, -EIO},
                {INT16_MIN, -EIO}};

    (void)unused;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin();
        begin_request(BLK_READ, 4096);
        answer(taken().id, BLKIF_OP_READ, rows[i].status);
        tell(0);
        assert_int_equal(ended, 1);
        assert_int_equal(how, rows[i].rc);
        assert_false(fake_poked);
        assert_int_equal(dev->state, XenbusStateConnected);
        finish();
    }
}

/* A page that the back end still has is not handed back to its owner, however the request ended. */
static void a_page_that_is_kept(void **unused)
{
    (void)unused;
    for (unsigned breach = 0; breach < 2; breach++) {
        begin();
        begin_request(BLK_READ, 4096);
        blkif_request_t r = taken();
        fake_hold(r.seg[0].gref, true);
        answer(r.id, breach ? BLKIF_OP_WRITE : BLKIF_OP_READ, BLKIF_RSP_OKAY);
        tell(0);
        fake_time();
        assert_int_equal(ended, 0);
        fake_hold(r.seg[0].gref, false);
        fake_time();
        assert_int_equal(ended, 1);
        assert_int_equal(how, breach ? -EIO : 0);
        finish();
    }
}

/* Not even when the device is taken away meanwhile. */
static void a_page_that_is_kept_longer(void **unused)
{
    (void)unused;
    begin();
    begin_request(BLK_READ, 4096);
    uint32_t kept = taken().seg[0].gref;
    fake_hold(kept, true);
    fake_key("/back/online", "0");
    to_state("5");
    frontend_remove(dev->fe);
    assert_int_equal(ended, 0);
    fake_hold(kept, false);
    fake_time();
    assert_int_equal(ended, 1);
    assert_int_equal(how, -ENODEV);
    page_free(req.buf, 6);
    req.buf = NULL;
    blk_put(disk);
    disk = NULL;
    assert_int_equal(fake_guest_left(), 0);
}

/* An answer that comes when the ring was left is not taken for one of the next connection. */
static void a_late_answer(void **unused)
{
    (void)unused;
    begin();
    begin_request(BLK_READ, 4096);
    blkif_request_t old = taken();
    uint32_t old_ring = fake_number("ring-ref");
    fake_hold(old_ring, true);
    struct blkif_sring *left = fake_page(old_ring, true);
    uint32_t left_port = port;
    to_state("5");
    assert_int_equal(dev->state, XenbusStateClosed);
    left->ring[0].rsp = (blkif_response_t){.id = old.id, .operation = BLKIF_OP_READ};
    left->rsp_prod = 1;
    fake_kick(left_port);
    assert_int_equal(ended, 0);
    to_state("6");
    to_state("2");
    connect();
    fake_hold(old_ring, false);
    answer(taken().id, BLKIF_OP_READ, BLKIF_RSP_OKAY);
    tell(0);
    assert_int_equal(ended, 1);
    assert_int_equal(how, 0);
    finish();
}

/* One that never answers is waited for until the device is taken away, and no longer. */
static void no_answer(void **unused)
{
    (void)unused;
    begin();
    begin_request(BLK_READ, SIZE);
    fake_key("/back/online", "0");
    to_state("5");
    assert_int_equal(ended, 1);
    assert_int_equal(how, -ENODEV);
    assert_int_equal(dev->state, XenbusStateClosed);
    finish();
}

/* ---- lies in the store ---- */

static void nonsense_in_the_store(void **unused)
{
    static const char *const lies[][2] = {
        {"/back/sectors", NULL},
        {"/back/sectors", ""},
        {"/back/sectors", "0"},
        {"/back/sectors", "-1"},
        {"/back/sectors", "36028797018963969"}, /* 2^55 + 1 */
        {"/back/sectors", "18446744073709551615"},
        {"/back/sectors", "18446744073709551617"},
        {"/back/sectors", "0x800"},
        {"/back/sector-size", "0"},
        {"/back/sector-size", "3"},
        {"/back/sector-size", "513"},
        {"/back/sector-size", "256"},
        {"/back/sector-size", "8192"},
        {"/back/sector-size", "2147483648"},
        {"/back/sector-size", "4294967808"}, /* 2^32 + 512 */
        {"/back/info", "\x1b[2J"},
        {"/back/feature-flush-cache", "-1"},
        {"/back/feature-discard", "2"},
    };

    (void)unused;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        appear(lies[i][0], lies[i][1]);
        connect();
        assert_int_equal(dev->state, XenbusStateClosing);
        assert_null(blk_get("xvdb"));
        finish();

        begin(); /* and while it is in use */
        begin_request(BLK_READ, 4096);
        fake_key(lies[i][0], lies[i][1]);
        to_state("4");
        assert_int_equal(dev->state, XenbusStateClosing);
        assert_int_equal(ended, 1);
        assert_int_equal(how, -EIO);
        finish();
    }
}

/* What is past the end of a disk that has shrunk is not asked for. */
static void a_disk_that_shrinks(void **unused)
{
    (void)unused;
    begin();
    fake_key("/back/sectors", "8");
    to_state("4");
    req = (struct blk_req){
        .op = BLK_READ, .sector = 8, .nsectors = 1, .buf = page_alloc_zeroed(6), .done = done};
    assert_int_equal(blk_submit(disk, &req), -ENXIO);
    req.sector = UINT64_MAX;
    assert_int_equal(blk_submit(disk, &req), -ENXIO);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(honest),
        cmocka_unit_test(ids_and_operations),
        cmocka_unit_test(one_answer_twice),
        cmocka_unit_test(indices),
        cmocka_unit_test(an_answer_to_nothing),
        cmocka_unit_test(statuses),
        cmocka_unit_test(a_page_that_is_kept),
        cmocka_unit_test(a_page_that_is_kept_longer),
        cmocka_unit_test(a_late_answer),
        cmocka_unit_test(no_answer),
        cmocka_unit_test(nonsense_in_the_store),
        cmocka_unit_test(a_disk_that_shrinks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
