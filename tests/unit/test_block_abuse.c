/*
 * The requests of the guest's `blkabuse`, put before the gate of duet-blockd: each comes to an end
 * that `blkabuse` calls right. What only Xen or the disk reveals (whether a page is granted) is
 * judged behind the gate, and tested by tests/lab/block-neighbour and conformance. Then the premise
 * of the cases that change requests while they are read: whatever is read when, the disk stays as
 * it is outside of the scratch sectors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "gate.h"
#include "hostile/xvb_requests.h"

#define SECTORS     4096U
#define HANDLE      51712U
#define FIRST_PAGE  100U
#define NOT_GRANTED 0x00ffffffU
#define GUARDED     200U
#define ENDED       201U

static struct blkif_request_segment list[XVB_LIST];
static struct xvb_disk disk;
static struct xvb_batch batch;
static struct blk_limits limits;

static void a_disk(bool read_only, bool discard)
{
    memset(list, 0, sizeof(list));
    disk = (struct xvb_disk){.sectors = SECTORS,
                             .handle = HANDLE,
                             .readonly = read_only,
                             .discard = discard,
                             .indirect = BLK_MAX_SEGMENTS,
                             .guard = GUARDED,
                             .ended = ENDED,
                             .listed = 202,
                             .list = list};
    for (unsigned int i = 0; i < XVB_PAGES; i++) {
        disk.data[i] = FIRST_PAGE + i;
    }
    batch = (struct xvb_batch){.disk = &disk};
    limits = (struct blk_limits){
        .sectors = SECTORS, .handle = HANDLE, .read_only = read_only, .discard = discard};
}

static int gate(const void *raw, struct blk_request *req)
{
    int err = blk_gate_request(&blk_layout_x86_64, &limits, raw, req);

    return err == 0 && req->indirect ? blk_gate_indirect_segments(&limits, list, req) : err;
}

static unsigned int outcome(int err)
{
    return err == 0 ? XVB_OKAY : err == -EOPNOTSUPP ? XVB_UNSUPPORTED : XVB_ERROR;
}

/* Whether Xen would refuse a page that a request which passed the gate names. */
static bool refused_by_xen(const struct blk_request *req)
{
    bool write_to = req->op == BLK_READ;

    for (unsigned int i = 0; i < req->nr_segments; i++) {
        uint32_t ref = req->segments[i].ref;

        if (ref == NOT_GRANTED || ref == ENDED || (ref == GUARDED && write_to)) {
            return true;
        }
    }
    return req->indirect && req->indirect_ref == NOT_GRANTED;
}

static void try_all(void)
{
    unsigned int tried = 0;

    for (const struct xvb_case *c = xvb_cases; c->name != NULL; c++) {
        if (c->how != XVB_BATCH || xvb_applies(c, &disk) != NULL) {
            continue;
        }
        batch.n = 0;
        c->build(&batch, c->arg);
        assert_in_range(batch.n, 1, XVB_RING);
        for (unsigned int i = 0; i < batch.n; i++) {
            struct blk_request req;
            int err = gate(&batch.entries[i], &req);
            bool late = err == 0 && refused_by_xen(&req);

            if ((c->right & (late ? (unsigned int)XVB_ERROR : outcome(err))) == 0) {
                fail_msg("%s, entry %u: %d", c->name, i, err);
            }
        }
        tried++;
    }
    assert_true(tried >= 6);
}

static void each_case_on_a_disk(void **state)
{
    (void)state;
    a_disk(false, true);
    try_all();
}

static void each_case_without_discard(void **state)
{
    (void)state;
    a_disk(false, false);
    try_all();
}

static void each_case_on_a_read_only_disk(void **state)
{
    (void)state;
    a_disk(true, true);
    try_all();
    a_disk(true, false);
    try_all();
}

static void names_are_unique(void **state)
{
    (void)state;
    for (const struct xvb_case *c = xvb_cases; c->name != NULL; c++) {
        for (const struct xvb_case *d = xvb_cases; d != c; d++) {
            assert_string_not_equal(c->name, d->name);
        }
        assert_non_null(c->origin);
        assert_true(c->right != 0);
        assert_int_equal(c->how == XVB_BATCH, c->build != NULL);
    }
}

/* What passes the gate may change the scratch sectors, or nothing. */
static void within_scratch(const void *raw)
{
    struct blk_request req;

    if (gate(raw, &req) != 0 || req.op == BLK_READ || req.op == BLK_FLUSH) {
        return;
    }
    assert_true(req.sector >= XVB_SCRATCH);
    assert_true(req.sector + req.nr_sectors <= XVB_SCRATCH + XVB_SCRATCH_SECTORS);
}

/* Every mix of an old and a new entry, as a back end sees it that is interrupted while it copies.
 */
static void changes_leave_the_disk_alone(void **state)
{
    (void)state;
    for (unsigned int what = XVB_ALTER_HEADER; what <= XVB_ALTER_LIST; what++) {
        union xvb_raw now, before, mixed;

        a_disk(false, true);
        xvb_alter_base(&batch, what);
        before = now = batch.entries[0];
        within_scratch(&now);
        for (unsigned int turn = 0; turn < 2000; turn++) {
            xvb_alter(&now, list, what, turn);
            within_scratch(&now);
            for (unsigned int cut = 0; cut <= sizeof(mixed); cut++) {
                mixed = now;
                memcpy(&mixed, &before, cut > 16 && cut < 24 ? 24 : cut);
                within_scratch(&mixed);
            }
            before = now;
        }
    }
}

/* A change that changes nothing that matters would try nothing. */
static void changes_break_requests(void **state)
{
    (void)state;
    for (unsigned int what = XVB_ALTER_HEADER; what <= XVB_ALTER_LIST; what++) {
        unsigned int passed = 0, refused = 0;

        a_disk(false, true);
        xvb_alter_base(&batch, what);
        for (unsigned int turn = 0; turn < 2000; turn++) {
            struct blk_request req;

            xvb_alter(&batch.entries[0], list, what, turn);
            *(gate(&batch.entries[0], &req) == 0 ? &passed : &refused) += 1;
        }
        assert_true(passed > 0 && refused > 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_case_on_a_disk),
        cmocka_unit_test(each_case_without_discard),
        cmocka_unit_test(each_case_on_a_read_only_disk),
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(changes_leave_the_disk_alone),
        cmocka_unit_test(changes_break_requests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
