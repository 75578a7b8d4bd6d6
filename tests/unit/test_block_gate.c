/*
 * The gate of the block back end: each field of a request before, at and past its limit, in both
 * layouts. Requests of the 64-bit layout are built with the public header's structures, so that the
 * gate's offsets are checked against them; those of the 32-bit layout are built by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <xen/xen.h>
#include <xen/io/blkif.h>

#include "gate.h"

#define SECTORS 1000U
#define HANDLE  51712U

static const struct blk_limits disk = {.sectors = SECTORS, .handle = HANDLE, .discard = true};
static const struct blk_limits read_only_disk = {
    .sectors = SECTORS, .handle = HANDLE, .read_only = true, .discard = true};

static union {
    blkif_request_t rw;
    blkif_request_discard_t discard;
    blkif_request_indirect_t indirect;
    uint8_t bytes[BLK_ENTRY_BYTES_MAX];
} raw;
static struct blk_request req;

/* A correct request of two segments, 8 + 3 sectors, that ends with the disk. */
static int setup(void **state)
{
    (void)state;
    memset(&raw, 0, sizeof(raw));
    memset(&req, 0xee, sizeof(req));
    raw.rw.operation = BLKIF_OP_WRITE;
    raw.rw.nr_segments = 2;
    raw.rw.handle = HANDLE;
    raw.rw.id = 0x123456789abcdef0ULL;
    raw.rw.sector_number = SECTORS - 11;
    raw.rw.seg[0] = (struct blkif_request_segment){.gref = 17, .first_sect = 0, .last_sect = 7};
    raw.rw.seg[1] = (struct blkif_request_segment){.gref = 18, .first_sect = 2, .last_sect = 4};
    return 0;
}

static int gate(const struct blk_limits *limits)
{
    return blk_gate_request(&blk_layout_x86_64, limits, &raw, &req);
}

static void a_correct_request_passes(void **state)
{
    (void)state;
    assert_int_equal(gate(&disk), 0);
    assert_int_equal(req.op, BLK_WRITE);
    assert_int_equal(req.wire_op, BLKIF_OP_WRITE);
    assert_true(req.id == 0x123456789abcdef0ULL);
    assert_int_equal(req.sector, SECTORS - 11);
    assert_int_equal(req.nr_sectors, 11);
    assert_int_equal(req.nr_segments, 2);
    assert_false(req.indirect);
    assert_int_equal(req.segments[0].ref, 17);
    assert_int_equal(req.segments[0].sectors, 8);
    assert_int_equal(req.segments[1].ref, 18);
    assert_int_equal(req.segments[1].first, 2);
    assert_int_equal(req.segments[1].sectors, 3);
}

static void the_end_of_the_disk_is_the_end(void **state)
{
    (void)state;
    raw.rw.sector_number++;
    assert_int_equal(gate(&disk), -ERANGE);
    raw.rw.sector_number = UINT64_MAX;
    assert_int_equal(gate(&disk), -ERANGE);
    raw.rw.sector_number = UINT64_MAX - 10; /* the sum is 0 */
    assert_int_equal(gate(&disk), -ERANGE);
    assert_true(req.id == 0x123456789abcdef0ULL); /* known even so, for the response */
}

static void segments_stay_in_their_page(void **state)
{
    (void)state;
    raw.rw.seg[1].last_sect = 8;
    assert_int_equal(gate(&disk), -EDOM);
    raw.rw.seg[1].last_sect = 255;
    assert_int_equal(gate(&disk), -EDOM);
    raw.rw.seg[1].last_sect = 1; /* before first_sect */
    assert_int_equal(gate(&disk), -EDOM);
    raw.rw.seg[1].first_sect = 8;
    raw.rw.seg[1].last_sect = 8;
    assert_int_equal(gate(&disk), -EDOM);
}

static void the_number_of_segments_has_limits(void **state)
{
    (void)state;
    raw.rw.nr_segments = 0;
    assert_int_equal(gate(&disk), -EINVAL);
    raw.rw.nr_segments = 12;
    assert_int_equal(gate(&disk), -EINVAL);
    raw.rw.nr_segments = 255;
    assert_int_equal(gate(&disk), -EINVAL);
    raw.rw.sector_number = 0;
    raw.rw.nr_segments = 11;
    assert_int_equal(gate(&disk), 0);
    assert_int_equal(req.nr_sectors, 11 + 9);
}

static void another_devices_handle_is_refused(void **state)
{
    (void)state;
    raw.rw.handle = HANDLE + 1;
    assert_int_equal(gate(&disk), -ENODEV);
}

static void a_read_only_disk_is_not_changed(void **state)
{
    (void)state;
    assert_int_equal(gate(&read_only_disk), -EROFS);
    raw.rw.operation = BLKIF_OP_READ;
    assert_int_equal(gate(&read_only_disk), 0);
    assert_int_equal(req.op, BLK_READ);
    raw.discard.operation = BLKIF_OP_DISCARD;
    raw.discard.flag = 0;
    raw.discard.nr_sectors = 1;
    assert_int_equal(gate(&read_only_disk), -EROFS);
}

static void unknown_operations_are_not_supported(void **state)
{
    (void)state;
    for (unsigned int op = 0; op < 256; op++) {
        raw.rw.operation = (uint8_t)op;
        if (op != BLKIF_OP_READ && op != BLKIF_OP_WRITE && op != BLKIF_OP_FLUSH_DISKCACHE &&
            op != BLKIF_OP_DISCARD && op != BLKIF_OP_INDIRECT) {
            assert_int_equal(gate(&disk), -EOPNOTSUPP);
            assert_int_equal(req.wire_op, op);
        }
    }
}

static void a_flush_carries_no_data(void **state)
{
    (void)state;
    raw.rw.operation = BLKIF_OP_FLUSH_DISKCACHE;
    assert_int_equal(gate(&disk), -EINVAL);
    raw.rw.nr_segments = 0;
    raw.rw.sector_number = UINT64_MAX; /* means nothing in a flush */
    assert_int_equal(gate(&disk), 0);
    assert_int_equal(req.op, BLK_FLUSH);
}

static void discards_are_checked(void **state)
{
    struct blk_limits without = disk;

    (void)state;
    raw.discard.operation = BLKIF_OP_DISCARD;
    raw.discard.flag = 0;
    raw.discard.sector_number = 1;
    raw.discard.nr_sectors = SECTORS - 1;
    assert_int_equal(gate(&disk), 0);
    assert_int_equal(req.op, BLK_DISCARD);
    assert_int_equal(req.nr_sectors, SECTORS - 1);
    raw.discard.nr_sectors = SECTORS;
    assert_int_equal(gate(&disk), -ERANGE);
    raw.discard.nr_sectors = UINT64_MAX;
    assert_int_equal(gate(&disk), -ERANGE);
    raw.discard.nr_sectors = 0;
    assert_int_equal(gate(&disk), -EINVAL);
    raw.discard.nr_sectors = 1;
    raw.discard.flag = BLKIF_DISCARD_SECURE;
    assert_int_equal(gate(&disk), -EOPNOTSUPP);
    raw.discard.flag = 0x80;
    assert_int_equal(gate(&disk), -EINVAL);
    raw.discard.flag = 0;
    without.discard = false;
    assert_int_equal(gate(&without), -EOPNOTSUPP);
}

static void make_indirect(uint16_t segments)
{
    memset(&raw, 0, sizeof(raw));
    raw.indirect.operation = BLKIF_OP_INDIRECT;
    raw.indirect.indirect_op = BLKIF_OP_READ;
    raw.indirect.nr_segments = segments;
    raw.indirect.handle = HANDLE;
    raw.indirect.id = 42;
    raw.indirect.indirect_grefs[0] = 99;
}

static void indirect_requests_are_checked_in_two_steps(void **state)
{
    struct blkif_request_segment seg[BLK_MAX_SEGMENTS];

    (void)state;
    make_indirect(BLK_MAX_SEGMENTS);
    assert_int_equal(gate(&disk), 0);
    assert_true(req.indirect);
    assert_int_equal(req.wire_op, BLKIF_OP_READ);
    assert_int_equal(req.indirect_ref, 99);
    for (unsigned int i = 0; i < BLK_MAX_SEGMENTS; i++) {
        seg[i] = (struct blkif_request_segment){.gref = i, .first_sect = 0, .last_sect = 7};
    }
    assert_int_equal(blk_gate_indirect_segments(&disk, seg, &req), 0);
    assert_int_equal(req.nr_sectors, BLK_MAX_SEGMENTS * 8);
    seg[BLK_MAX_SEGMENTS - 1].last_sect = 8;
    assert_int_equal(blk_gate_indirect_segments(&disk, seg, &req), -EDOM);
    seg[BLK_MAX_SEGMENTS - 1].last_sect = 7;
    req.sector = SECTORS - BLK_MAX_SEGMENTS * 8 + 1;
    assert_int_equal(blk_gate_indirect_segments(&disk, seg, &req), -ERANGE);
}

static void indirect_requests_have_limits_too(void **state)
{
    (void)state;
    make_indirect(BLK_MAX_SEGMENTS + 1);
    assert_int_equal(gate(&disk), -EINVAL);
    make_indirect(0);
    assert_int_equal(gate(&disk), -EINVAL);
    make_indirect(1);
    raw.indirect.handle = 0;
    assert_int_equal(gate(&disk), -ENODEV);
    make_indirect(1);
    raw.indirect.indirect_op = BLKIF_OP_FLUSH_DISKCACHE;
    assert_int_equal(gate(&disk), -EINVAL);
    make_indirect(1);
    raw.indirect.indirect_op = BLKIF_OP_INDIRECT;
    assert_int_equal(gate(&disk), -EINVAL);
    make_indirect(1);
    raw.indirect.indirect_op = BLKIF_OP_WRITE;
    assert_int_equal(gate(&read_only_disk), -EROFS);
}

/* struct blkif_x86_32_request: 4-byte alignment, so everything after the first word moves down. */
static void the_32_bit_layout_is_understood(void **state)
{
    uint64_t id = 0x1122334455667788ULL;
    uint64_t sector = 5;
    uint32_t gref = 77;

    (void)state;
    memset(&raw, 0, sizeof(raw));
    raw.bytes[0] = BLKIF_OP_READ;
    raw.bytes[1] = 1;
    raw.rw.handle = HANDLE;
    memcpy(raw.bytes + 4, &id, 8);
    memcpy(raw.bytes + 12, &sector, 8);
    memcpy(raw.bytes + 20, &gref, 4);
    raw.bytes[24] = 1;
    raw.bytes[25] = 7;
    assert_int_equal(blk_gate_request(&blk_layout_x86_32, &disk, &raw, &req), 0);
    assert_true(req.id == id);
    assert_int_equal(req.sector, 5);
    assert_int_equal(req.segments[0].ref, 77);
    assert_int_equal(req.nr_sectors, 7);
}

static void responses_match_the_public_header(void **state)
{
    struct blkif_response rsp;
    uint8_t out[32];

    (void)state;
    memset(out, 0xff, sizeof(out));
    memset(&rsp, 0, sizeof(rsp));
    rsp.id = 42;
    rsp.operation = BLKIF_OP_WRITE;
    rsp.status = BLKIF_RSP_ERROR;
    assert_int_equal(blk_gate_response(42, BLKIF_OP_WRITE, BLKIF_RSP_ERROR, out), sizeof(rsp));
    assert_memory_equal(out, &rsp, sizeof(rsp)); /* with its padding: nothing of ours leaks */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_correct_request_passes, setup),
        cmocka_unit_test_setup(the_end_of_the_disk_is_the_end, setup),
        cmocka_unit_test_setup(segments_stay_in_their_page, setup),
        cmocka_unit_test_setup(the_number_of_segments_has_limits, setup),
        cmocka_unit_test_setup(another_devices_handle_is_refused, setup),
        cmocka_unit_test_setup(a_read_only_disk_is_not_changed, setup),
        cmocka_unit_test_setup(unknown_operations_are_not_supported, setup),
        cmocka_unit_test_setup(a_flush_carries_no_data, setup),
        cmocka_unit_test_setup(discards_are_checked, setup),
        cmocka_unit_test_setup(indirect_requests_are_checked_in_two_steps, setup),
        cmocka_unit_test_setup(indirect_requests_have_limits_too, setup),
        cmocka_unit_test_setup(the_32_bit_layout_is_understood, setup),
        cmocka_unit_test_setup(responses_match_the_public_header, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
