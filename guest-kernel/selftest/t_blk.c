/*
 * t_blk.c - promises of the block front end, with this file playing the back end, a bad one too.
 *
 * A disk is made without the store: its ring is an ordinary page, into which the tests write what a
 * back end would, and its grants name this domain. Each test has a disk of its own.
 */
#include "io/xvbd/xvbd_impl.h"
#include "hat/p2m.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "psm/clock.h"
#include "selftest/own_domid.h"
#include "selftest/selftest.h"

#define REQUESTS 3
#define PATIENCE (10 * NSEC_PER_SEC)

/* A disk, the other side's view of its ring, and requests to play with. */
struct stage {
    struct xvbd x;
    struct xendev dev;
    struct blkif_back_ring back;
    void *page; /* what the requests read into or write from */
    struct blk_req reqs[REQUESTS];
    int results[REQUESTS];
    bool done[REQUESTS];
    struct waitq wq;
};

static void req_done(struct blk_req *req, int rc)
{
    struct stage *s = req->arg;
    size_t i = (size_t)(req - s->reqs);

    s->results[i] = rc;
    WRITE_ONCE(s->done[i], true);
    waitq_wake_all(&s->wq);
}

/* The stage holds the only reference, and frees the disk by itself. */
static const struct blk_ops stage_ops = {.submit = xvbd_submit};

/* Both ends of a fresh ring; the back end has seen nothing yet. */
static void fresh_ring(struct stage *s)
{
    struct blkif_sring *sring = s->x.ring_page;

    SHARED_RING_INIT(sring);
    FRONT_RING_INIT(&s->x.ring, sring, PAGE_SIZE);
    BACK_RING_INIT(&s->back, sring, PAGE_SIZE);
}

static void t_blk_unmake(struct stage *s)
{
    if (s != NULL) {
        xvbd_stop(&s->x, PATH_GONE, -ENODEV);
        xvbd_fini(&s->x);
        page_free(s->x.ring_page, 0);
        page_free(s->page, 0);
        kfree(s);
    }
}

static struct stage *t_blk_make(void)
{
    struct stage *s = kzalloc(sizeof(*s));

    if (s == NULL || xvbd_init(&s->x) != 0) {
        kfree(s);
        return NULL;
    }
    s->x.ring_page = page_alloc_zeroed(0);
    s->page = page_alloc_zeroed(0);
    s->x.fe.dev = &s->dev;
    s->x.fe.name = s->x.blk.name;
    blk_init(&s->x.blk, "testdisk", &stage_ops);
    s->x.blk.info.flush = true;
    waitq_init(&s->wq, "selftest");
    if (s->x.ring_page == NULL || s->page == NULL || own_domid(&s->x.fe.otherend_id) != 0) {
        xvbd_fini(&s->x);
        kfree(s);
        return NULL;
    }
    fresh_ring(s);
    xvbd_start(&s->x);
    return s;
}

/* Starts request @i: one page read at sector 8 * i. */
static void t_blk_start(struct stage *s, unsigned i)
{
    s->done[i] = false;
    s->reqs[i] = (struct blk_req){.op = BLK_READ,
                                  .sector = 8ull * i,
                                  .nsectors = 8,
                                  .buf = s->page,
                                  .done = req_done,
                                  .arg = s};
    xvbd_submit(&s->x.blk, &s->reqs[i]);
}

/* The back end takes the next request off the ring. */
static struct blkif_request t_blk_take(struct stage *s)
{
    struct blkif_request req = {.operation = 0xff};

    if (s->back.req_cons != s->back.sring->req_prod) {
        memcpy(&req, RING_GET_REQUEST(&s->back, s->back.req_cons), sizeof(req));
        s->back.req_cons++;
    }
    return req;
}

/* The back end answers, with whatever id, operation and status it likes. */
static void t_blk_answer(struct stage *s, uint64_t id, uint8_t op, int16_t status)
{
    *RING_GET_RESPONSE(&s->back, s->back.rsp_prod_pvt++) =
        (struct blkif_response){.id = id, .operation = op, .status = status};
    s->back.sring->rsp_prod = s->back.rsp_prod_pvt;
    xvbd_event(EVTCHN_NONE, &s->x);
}

static bool honest_answers(struct stage *s)
{
    t_blk_start(s, 0);
    t_blk_start(s, 1);
    struct blkif_request first = t_blk_take(s);
    struct blkif_request second = t_blk_take(s);

    CHECK(first.operation == BLKIF_OP_READ && first.nr_segments == 1);
    CHECK(first.sector_number == 0 && second.sector_number == 8 && first.id != second.id);
    CHECK(first.seg[0].first_sect == 0 && first.seg[0].last_sect == 7);
    t_blk_answer(s, second.id, BLKIF_OP_READ, BLKIF_RSP_ERROR);
    CHECK(!s->done[0] && s->done[1] && s->results[1] == -EIO);
    t_blk_answer(s, first.id, BLKIF_OP_READ, BLKIF_RSP_OKAY);
    CHECK(s->done[0] && s->results[0] == 0 && s->x.busy_slots == 0);
    return true;
}

/* After foul play: all that was under way has failed, and so does what comes. */
static bool t_blk_broken(struct stage *s)
{
    CHECK(s->x.state == PATH_BROKEN && s->x.fe.breach != NULL);
    CHECK(s->done[0] && s->results[0] == -EIO && s->done[1] && s->results[1] == -EIO);
    t_blk_start(s, 2);
    CHECK(s->done[2] && s->results[2] == -EIO && s->x.busy_slots == 0);
    return true;
}

static bool t_blk_id_past_the_ring(struct stage *s)
{
    t_blk_start(s, 0);
    t_blk_start(s, 1);
    t_blk_answer(s, XVBD_RING_SIZE, BLKIF_OP_READ, BLKIF_RSP_OKAY);
    return t_blk_broken(s);
}

static bool id_nobody_asked_for(struct stage *s)
{
    t_blk_start(s, 0);
    t_blk_start(s, 1);
    t_blk_answer(s, 17, BLKIF_OP_READ, BLKIF_RSP_OKAY);
    return t_blk_broken(s);
}

static bool other_operation(struct stage *s)
{
    t_blk_start(s, 0);
    t_blk_start(s, 1);
    t_blk_answer(s, t_blk_take(s).id, BLKIF_OP_WRITE, BLKIF_RSP_OKAY);
    return t_blk_broken(s);
}

static bool index_that_jumps(struct stage *s)
{
    t_blk_start(s, 0);
    t_blk_start(s, 1);
    s->back.sring->rsp_prod += 3;
    xvbd_event(EVTCHN_NONE, &s->x);
    return t_blk_broken(s);
}

static bool t_blk_index_that_goes_back(struct stage *s)
{
    t_blk_start(s, 0);
    t_blk_start(s, 1);
    s->back.sring->rsp_prod--;
    xvbd_event(EVTCHN_NONE, &s->x);
    return t_blk_broken(s);
}

/* The second answer to a request comes while another is under way. */
static bool t_blk_answered_twice(struct stage *s)
{
    t_blk_start(s, 0);
    uint64_t id = t_blk_take(s).id;
    t_blk_answer(s, id, BLKIF_OP_READ, BLKIF_RSP_OKAY);
    CHECK(s->done[0] && s->results[0] == 0);
    s->results[0] = -EIO; /* as the check below expects of both */
    t_blk_start(s, 1);
    t_blk_answer(s, (id + 1) % XVBD_RING_SIZE, BLKIF_OP_READ, BLKIF_RSP_OKAY);
    return t_blk_broken(s);
}

/* An answered page that stays mapped keeps its request open until it is let go. */
static bool t_blk_page_not_let_go(struct stage *s)
{
    struct gnttab_map map;

    t_blk_start(s, 0);
    struct blkif_request req = t_blk_take(s);
    CHECK(gnttab_map(s->x.fe.otherend_id, req.seg[0].gref, false, &map) == 0);
    t_blk_answer(s, req.id, BLKIF_OP_READ, BLKIF_RSP_OKAY);
    bool early = s->done[0];
    unsigned held = s->x.held_slots;
    CHECK(gnttab_unmap(&map) == 0);
    CHECK(!early && held == 1);
    CHECK(wait_event_until(&s->wq, READ_ONCE(s->done[0]), clock_now() + PATIENCE) == 0);
    CHECK(s->results[0] == 0 && s->x.held_slots == 0 && s->x.busy_slots == 0);
    return true;
}

/* A back end that goes and comes again gets the same requests, and their owners notice nothing. */
static bool t_blk_another_back_end(struct stage *s)
{
    t_blk_start(s, 0);
    t_blk_start(s, 1);
    struct blkif_request lost = t_blk_take(s);

    xvbd_stop(&s->x, PATH_DOWN, 0);
    t_blk_start(s, 2);
    CHECK(!s->done[0] && !s->done[1] && !s->done[2]);
    fresh_ring(s);
    xvbd_start(&s->x);
    for (unsigned i = 0; i < REQUESTS; i++) {
        struct blkif_request req = t_blk_take(s);

        CHECK(req.operation == lost.operation && req.nr_segments == 1);
        t_blk_answer(s, req.id, req.operation, BLKIF_RSP_OKAY);
    }
    for (unsigned i = 0; i < REQUESTS; i++) {
        CHECK(s->done[i] && s->results[i] == 0);
    }
    return true;
}

static bool disk_that_goes(struct stage *s)
{
    t_blk_start(s, 0);
    t_blk_start(s, 1);
    xvbd_stop(&s->x, PATH_GONE, -ENODEV);
    CHECK(s->done[0] && s->results[0] == -ENODEV && s->done[1] && s->results[1] == -ENODEV);
    t_blk_start(s, 2);
    CHECK(s->done[2] && s->results[2] == -ENODEV);
    return true;
}

/* What others left in its pages, or stands beside it, is not for the back end to see. */
static bool buffers_of_others(struct stage *s)
{
    static const struct blk_ops ops = {.submit = xvbd_submit};

    s->x.blk.ops = &ops;
    s->x.blk.info.sectors = 64;
    s->x.blk.info.sector_size = BLK_SECTOR_SIZE;
    CHECK(blk_register(&s->x.blk) == 0);
    void *used = page_alloc(1);
    void *fresh = page_alloc_zeroed(1);
    void *object = kmalloc(PAGE_SIZE);
    int rcs[3] = {0};
    void *const bufs[] = {used, fresh, object};

    for (unsigned i = 0; i < ARRAY_SIZE(bufs) && bufs[i] != NULL; i++) {
        s->reqs[i] = (struct blk_req){
            .op = BLK_READ, .nsectors = 16, .buf = bufs[i], .done = req_done, .arg = s};
        rcs[i] = blk_submit(&s->x.blk, &s->reqs[i]);
    }
    blk_withdraw(&s->x.blk);
    xvbd_stop(&s->x, PATH_DOWN, 0);
    xvbd_stop(&s->x, PATH_GONE, -ENODEV);
    page_free(used, 1);
    page_free(fresh, 1);
    kfree(object);
    CHECK(rcs[0] == -EFAULT && rcs[1] == 0 && rcs[2] == -EFAULT);
    return true;
}

/* Each test gets a disk, which is taken down whatever the test found. */
#define ON_A_DISK(test)                 \
    static bool test##_on_a_disk(void)  \
    {                                   \
        struct stage *s = t_blk_make(); \
                                        \
        CHECK(s != NULL);               \
        bool ok = test(s);              \
        t_blk_unmake(s);                \
        return ok;                      \
    }

ON_A_DISK(honest_answers)
ON_A_DISK(t_blk_id_past_the_ring)
ON_A_DISK(id_nobody_asked_for)
ON_A_DISK(other_operation)
ON_A_DISK(index_that_jumps)
ON_A_DISK(t_blk_index_that_goes_back)
ON_A_DISK(t_blk_answered_twice)
ON_A_DISK(t_blk_page_not_let_go)
ON_A_DISK(t_blk_another_back_end)
ON_A_DISK(disk_that_goes)
ON_A_DISK(buffers_of_others)

const struct selftest selftests_blk[] = {
    {.name = "blk-answers-reach-their-requests", .fn = honest_answers_on_a_disk},
    {.name = "blk-an-id-past-the-ring-breaks-the-disk", .fn = t_blk_id_past_the_ring_on_a_disk},
    {.name = "blk-an-id-nobody-asked-for-breaks-it", .fn = id_nobody_asked_for_on_a_disk},
    {.name = "blk-another-operation-breaks-it", .fn = other_operation_on_a_disk},
    {.name = "blk-an-index-that-jumps-breaks-it", .fn = index_that_jumps_on_a_disk},
    {.name = "blk-an-index-that-goes-back-breaks-it", .fn = t_blk_index_that_goes_back_on_a_disk},
    {.name = "blk-an-answer-to-nothing-breaks-it", .fn = t_blk_answered_twice_on_a_disk},
    {.name = "blk-a-page-not-let-go-keeps-its-request", .fn = t_blk_page_not_let_go_on_a_disk},
    {.name = "blk-another-back-end-gets-the-requests", .fn = t_blk_another_back_end_on_a_disk},
    {.name = "blk-requests-of-a-disk-that-goes-fail", .fn = disk_that_goes_on_a_disk},
    {.name = "blk-a-buffer-that-was-anothers-is-refused", .fn = buffers_of_others_on_a_disk},
    {.name = NULL},
};
