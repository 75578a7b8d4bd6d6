/*
 * The data path of a ring without Xen: the guest's pages are an array here, xengnttab_grant_copy()
 * copies from and to it, and the disk is a temporary file behind a real io_uring.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/io/blkif.h>

#include "queue.h"

enum { PAGES = 80, DISK_SECTORS = 2048, HANDLE = 51712 };

static uint8_t guest[PAGES][4096];
static _Alignas(4096) uint8_t ring_page[4096];
static blkif_sring_t *const sring = (blkif_sring_t *)ring_page;
static uint32_t rsp_cons;
static struct io_uring uring;
static struct inflight_log log_memory;
static struct blk_queue q;
static struct figures figures;
static const struct stopwatch watch;
static int disk_fd;
static int copy_calls;

/* In place of libxengnttab's: a reference is an index into `guest`; others are refused by "Xen". */
int xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count, xengnttab_grant_copy_segment_t *s)
{
    (void)xgt;
    copy_calls++;
    for (; count-- > 0; s++) {
        bool from = (s->flags & GNTCOPY_source_gref) != 0;
        uint32_t ref = from ? s->source.foreign.ref : s->dest.foreign.ref;
        uint16_t offset = from ? s->source.foreign.offset : s->dest.foreign.offset;

        if (ref >= PAGES || offset + s->len > 4096) {
            s->status = GNTST_bad_gntref;
            continue;
        }
        s->status = GNTST_okay;
        if (from) {
            memcpy(s->dest.virt, &guest[ref][offset], s->len);
        } else {
            memcpy(&guest[ref][offset], s->source.virt, s->len);
        }
    }
    return 0;
}

static int setup(void **state)
{
    static const struct log_id id = {.class = "vbd", .domid = 1, .device = HANDLE};
    static const struct inflight_ring which = {.nr_pages = 1};
    char name[] = "/tmp/duet-test-queue-XXXXXX";
    struct blk_engine_files files;
    const char *why;

    (void)state;
    memset(ring_page, 0, sizeof(ring_page));
    memset(guest, 0, sizeof(guest));
    sring->req_event = sring->rsp_event = 1;
    rsp_cons = 0;
    disk_fd = mkstemp(name);
    unlink(name);
    if (disk_fd < 0 || ftruncate(disk_fd, DISK_SECTORS * 512) != 0) {
        return 1;
    }
    files = (struct blk_engine_files){.image = disk_fd, .lock = disk_fd, .log = -1};
    memset(&q, 0, sizeof(q));
    memset(&figures, 0, sizeof(figures));
    memset(&log_memory, 0, sizeof(log_memory));
    q.layout = &blk_layout_x86_64;
    q.limits = (struct blk_limits){.sectors = DISK_SECTORS, .handle = HANDLE, .discard = true};
    q.uring = &uring;
    q.log = &log_memory;
    q.id = &id;
    q.figures = &figures;
    q.watch = &watch;
    ring_attach(&q.ring, ring_page, sizeof(ring_page), q.layout->entry_bytes);
    return blk_engine_open(&uring, BLK_QUEUE_MAX_SLOTS, &files, true) != 0 ||
           blk_queue_init(&q, NULL, 1) != 0 || blk_queue_take_over(&q, &which, &why) != 0;
}

static int teardown(void **state)
{
    (void)state;
    io_uring_queue_exit(&uring);
    munmap(q.slots[0].buf, (size_t)q.nr_slots * BLK_QUEUE_SLOT_BYTES);
    free(q.copies.segs);
    free(q.copies.tags);
    close(disk_fd);
    return 0;
}

static blkif_request_t *next_request(uint8_t op, uint64_t id)
{
    blkif_request_t *r = &sring->ring[sring->req_prod++ % 32].req;

    memset(r, 0, sizeof(*r));
    r->operation = op;
    r->handle = HANDLE;
    r->id = id;
    return r;
}

/* A read or write of whole pages from `first_page` on. */
static void put_transfer(uint8_t op, uint64_t id, uint64_t sector, uint32_t first_page, uint8_t nr)
{
    blkif_request_t *r = next_request(op, id);

    r->sector_number = sector;
    r->nr_segments = nr;
    for (uint8_t i = 0; i < nr; i++) {
        r->seg[i] = (struct blkif_request_segment){.gref = first_page + i, .last_sect = 7};
    }
}

/* Works until nothing is in flight. Returns whether the guest was to be notified. */
static bool work(void)
{
    bool notify = false;

    do {
        struct uring_event ev;

        assert_true(blk_queue_take(&q) >= 0);
        notify |= blk_queue_answer(&q);
        assert_int_equal(uring_submit(&uring, q.in_flight > 0 ? UINT64_MAX : 0), 0);
        while (uring_next(&uring, &ev)) {
            blk_queue_complete(&q, ev.tag, ev.res);
        }
        notify |= blk_queue_answer(&q);
    } while (q.in_flight > 0 || ring_pending(&q.ring) > 0);
    return notify;
}

/* The next response must be that of request `id`. Returns its status. */
static int16_t response(uint64_t id, uint8_t op)
{
    struct blkif_response *r = &sring->ring[rsp_cons % 32].rsp;

    assert_true(rsp_cons != sring->rsp_prod);
    rsp_cons++;
    assert_int_equal(r->id, id);
    assert_int_equal(r->operation, op);
    return r->status;
}

static void what_is_written_can_be_read(void **state)
{
    (void)state;
    for (unsigned int i = 0; i < 11 * 4096; i++) {
        guest[i / 4096][i % 4096] = (uint8_t)(i * 7 + i / 4096);
    }
    put_transfer(BLKIF_OP_WRITE, 1, 100, 0, 11);
    assert_true(work());
    assert_int_equal(response(1, BLKIF_OP_WRITE), BLKIF_RSP_OKAY);
    put_transfer(BLKIF_OP_READ, 2, 100, 20, 11);
    work();
    assert_int_equal(response(2, BLKIF_OP_READ), BLKIF_RSP_OKAY);
    assert_memory_equal(guest[0], guest[20], 11 * 4096);
}

static void parts_of_pages_lie_in_a_row_on_disk(void **state)
{
    blkif_request_t *r = next_request(BLKIF_OP_WRITE, 3);
    uint8_t disk[1536];

    (void)state;
    memset(&guest[0][3 * 512], 'a', 512);
    memset(&guest[1][0], 'b', 1024);
    r->sector_number = 7;
    r->nr_segments = 2;
    r->seg[0] = (struct blkif_request_segment){.gref = 0, .first_sect = 3, .last_sect = 3};
    r->seg[1] = (struct blkif_request_segment){.gref = 1, .first_sect = 0, .last_sect = 1};
    work();
    assert_int_equal(response(3, BLKIF_OP_WRITE), BLKIF_RSP_OKAY);
    assert_int_equal(pread(disk_fd, disk, sizeof(disk), 7 * 512), sizeof(disk));
    assert_memory_equal(disk, &guest[0][3 * 512], 512);
    assert_memory_equal(disk + 512, &guest[1][0], 1024);
}

static void a_batch_needs_one_copy_for_all_its_writes(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 8; i++) {
        put_transfer(BLKIF_OP_WRITE, i, i * 8, (uint32_t)i, 1);
    }
    copy_calls = 0;
    work();
    assert_int_equal(copy_calls, 1);
}

static void an_indirect_request_moves_its_maximum(void **state)
{
    blkif_request_indirect_t *r = (blkif_request_indirect_t *)next_request(BLKIF_OP_INDIRECT, 4);
    struct blkif_request_segment *seg = (struct blkif_request_segment *)guest[79];

    (void)state;
    memset(guest[0], 0x5a, BLK_MAX_SEGMENTS * 4096);
    for (uint32_t i = 0; i < BLK_MAX_SEGMENTS; i++) {
        seg[i] = (struct blkif_request_segment){.gref = i, .last_sect = 7};
    }
    r->operation = BLKIF_OP_INDIRECT;
    r->indirect_op = BLKIF_OP_WRITE;
    r->nr_segments = BLK_MAX_SEGMENTS;
    r->sector_number = 0;
    r->handle = HANDLE;
    r->id = 4;
    r->indirect_grefs[0] = 79;
    work();
    assert_int_equal(response(4, BLKIF_OP_WRITE), BLKIF_RSP_OKAY);
    put_transfer(BLKIF_OP_READ, 5, BLK_MAX_SEGMENTS * 8 - 8, 70, 1);
    work();
    assert_int_equal(response(5, BLKIF_OP_READ), BLKIF_RSP_OKAY);
    assert_memory_equal(guest[70], guest[0], 4096);
}

static void a_bad_indirect_page_fails_the_request(void **state)
{
    blkif_request_indirect_t *r = (blkif_request_indirect_t *)next_request(BLKIF_OP_INDIRECT, 6);
    struct blkif_request_segment *seg = (struct blkif_request_segment *)guest[79];

    (void)state;
    r->operation = BLKIF_OP_INDIRECT;
    r->indirect_op = BLKIF_OP_READ;
    r->nr_segments = 1;
    r->handle = HANDLE;
    r->id = 6;
    r->indirect_grefs[0] = 1000;
    work();
    assert_int_equal(response(6, BLKIF_OP_READ), BLKIF_RSP_ERROR);
    r = (blkif_request_indirect_t *)next_request(BLKIF_OP_INDIRECT, 7);
    seg[0] = (struct blkif_request_segment){.gref = 0, .last_sect = 255};
    r->indirect_op = BLKIF_OP_READ;
    r->nr_segments = 1;
    r->sector_number = 0;
    r->id = 7;
    r->handle = HANDLE;
    r->indirect_grefs[0] = 79;
    work();
    assert_int_equal(response(7, BLKIF_OP_READ), BLKIF_RSP_ERROR);
}

static void a_page_that_is_not_granted_fails_only_its_request(void **state)
{
    (void)state;
    put_transfer(BLKIF_OP_WRITE, 8, 0, 1000, 1);
    put_transfer(BLKIF_OP_READ, 9, 0, 1000, 1);
    put_transfer(BLKIF_OP_WRITE, 10, 8, 1, 1);
    work();
    assert_int_equal(response(8, BLKIF_OP_WRITE), BLKIF_RSP_ERROR);
    for (int i = 0; i < 2; i++) { /* in whichever order they ended */
        struct blkif_response *r = &sring->ring[rsp_cons++ % 32].rsp;

        assert_int_equal(r->status, r->id == 9 ? BLKIF_RSP_ERROR : BLKIF_RSP_OKAY);
    }
}

static void a_refused_request_does_not_reach_the_disk(void **state)
{
    uint8_t disk[4096], zeros[4096] = {0};

    (void)state;
    q.limits.read_only = true;
    memset(guest[0], 'x', 4096);
    put_transfer(BLKIF_OP_WRITE, 11, 0, 0, 1);
    next_request(99, 12);
    work();
    assert_int_equal(response(11, BLKIF_OP_WRITE), BLKIF_RSP_ERROR);
    assert_int_equal(response(12, 99), BLKIF_RSP_EOPNOTSUPP);
    assert_int_equal(pread(disk_fd, disk, sizeof(disk), 0), sizeof(disk));
    assert_memory_equal(disk, zeros, sizeof(disk));
}

static void flush_and_discard_work(void **state)
{
    blkif_request_discard_t *d;
    uint8_t disk[4096], zeros[4096] = {0};

    (void)state;
    memset(guest[0], 'x', 4096);
    put_transfer(BLKIF_OP_WRITE, 13, 8, 0, 1);
    work();
    assert_int_equal(response(13, BLKIF_OP_WRITE), BLKIF_RSP_OKAY);
    next_request(BLKIF_OP_FLUSH_DISKCACHE, 14);
    work();
    assert_int_equal(response(14, BLKIF_OP_FLUSH_DISKCACHE), BLKIF_RSP_OKAY);
    d = (blkif_request_discard_t *)next_request(BLKIF_OP_DISCARD, 15);
    d->sector_number = 8;
    d->nr_sectors = 8;
    work();
    assert_int_equal(response(15, BLKIF_OP_DISCARD), BLKIF_RSP_OKAY);
    assert_int_equal(pread(disk_fd, disk, sizeof(disk), 4096), sizeof(disk));
    assert_memory_equal(disk, zeros, sizeof(disk));
}

static void an_image_that_became_shorter_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(ftruncate(disk_fd, 4096), 0);
    put_transfer(BLKIF_OP_READ, 16, 4, 0, 1);
    work();
    assert_int_equal(response(16, BLKIF_OP_READ), BLKIF_RSP_ERROR);
}

/* What is pinned is as much as a slot's requests have needed, and data is right in each case. */
static void a_buffer_is_pinned_as_far_as_needed(void **state)
{
    static const struct {
        uint8_t pages;
        uint32_t pinned;
    } steps[] = {{1, 4096}, {1, 4096}, {5, 32768}, {2, 32768}, {11, 65536}};

    (void)state;
    for (unsigned int i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        const size_t bytes = (size_t)steps[i].pages * 4096;

        memset(guest, 'a' + (int)i, bytes);
        put_transfer(BLKIF_OP_WRITE, 1, 8, 0, steps[i].pages);
        work();
        assert_int_equal(response(1, BLKIF_OP_WRITE), BLKIF_RSP_OKAY);
        put_transfer(BLKIF_OP_READ, 2, 8, 20, steps[i].pages);
        work();
        assert_int_equal(response(2, BLKIF_OP_READ), BLKIF_RSP_OKAY);
        assert_memory_equal(guest[20], guest[0], bytes);
        assert_int_equal(q.slots[0].pinned, steps[i].pinned);
        assert_int_equal(q.slots[1].pinned, 0); /* never used */
    }
}

/* Locked memory is limited, for example: the disk works all the same, and nobody asks again. */
static void where_nothing_can_be_pinned_the_disk_works(void **state)
{
    static const uint8_t operations[] = {IORING_OP_READ, IORING_OP_WRITE};
    const int files[] = {disk_fd};
    const struct uring_limits limits = {.operations = operations,
                                        .nr_operations = sizeof(operations),
                                        .flags = IOSQE_FIXED_FILE,
                                        .files = files,
                                        .nr_files = 1};

    (void)state;
    io_uring_queue_exit(&uring);
    assert_int_equal(uring_open(&uring, 8, &limits), 0);
    memset(guest[0], 'z', 4096);
    put_transfer(BLKIF_OP_WRITE, 1, 8, 0, 1);
    work();
    assert_int_equal(response(1, BLKIF_OP_WRITE), BLKIF_RSP_OKAY);
    put_transfer(BLKIF_OP_READ, 2, 8, 1, 1);
    work();
    assert_int_equal(response(2, BLKIF_OP_READ), BLKIF_RSP_OKAY);
    assert_memory_equal(guest[1], guest[0], 4096);
    assert_true(q.no_pins);
    assert_int_equal(q.slots[0].pinned, 0);
}

/* Another slot was refused meanwhile, so that what is pinned here does not grow with the requests.
 */
static void a_request_beyond_what_is_pinned_works(void **state)
{
    (void)state;
    put_transfer(BLKIF_OP_WRITE, 1, 8, 0, 1);
    work();
    assert_int_equal(response(1, BLKIF_OP_WRITE), BLKIF_RSP_OKAY);
    assert_int_equal(q.slots[0].pinned, 4096);
    q.no_pins = true;
    for (uint8_t pages = 6; pages > 0; pages -= 3) {
        memset(guest, 'a' + pages, sizeof(guest[0]) * pages);
        put_transfer(BLKIF_OP_WRITE, 2, 8, 0, pages);
        work();
        assert_int_equal(response(2, BLKIF_OP_WRITE), BLKIF_RSP_OKAY);
        put_transfer(BLKIF_OP_READ, 3, 8, 20, pages);
        work();
        assert_int_equal(response(3, BLKIF_OP_READ), BLKIF_RSP_OKAY);
        assert_memory_equal(guest[20], guest[0], sizeof(guest[0]) * pages);
    }
}

static void a_full_ring_is_served_many_times_over(void **state)
{
    uint64_t seen = 0;

    (void)state;
    for (unsigned int round = 0; round < 50; round++) {
        for (uint64_t i = 0; i < 32; i++) {
            put_transfer(i % 2 ? BLKIF_OP_WRITE : BLKIF_OP_READ, i, i * 16, (uint32_t)i, 2);
        }
        work();
        while (rsp_cons != sring->rsp_prod) {
            struct blkif_response *r = &sring->ring[rsp_cons++ % 32].rsp;

            assert_int_equal(r->status, BLKIF_RSP_OKAY);
            assert_true(r->id < 32);
            seen++;
        }
    }
    assert_int_equal(seen, 50 * 32);
    assert_int_equal(q.in_flight, 0);
}

/* The lines that `nr` beats write. */
static unsigned int lines_of_beats(unsigned int nr)
{
    int was = dup(STDERR_FILENO), log = memfd_create("log", 0);
    unsigned int lines = 0;
    char text[4096];
    ssize_t n;

    dup2(log, STDERR_FILENO);
    while (nr-- > 0) {
        blk_queue_beat(&q);
    }
    dup2(was, STDERR_FILENO);
    n = pread(log, text, sizeof(text), 0);
    for (ssize_t i = 0; i < n; i++) {
        lines += text[i] == '\n' ? 1 : 0;
    }
    close(log);
    close(was);
    return lines;
}

static void a_disk_that_does_not_answer_is_told_about_once(void **state)
{
    (void)state;
    assert_int_equal(lines_of_beats(20), 0); /* nothing to wait for */
    for (int round = 0; round < 2; round++) {
        put_transfer(BLKIF_OP_READ, 1, 0, 0, 1);
        assert_int_equal(blk_queue_take(&q), 1); /* and nothing is submitted yet */
        assert_int_equal(lines_of_beats(2), 0);
        assert_int_equal(lines_of_beats(1), 1);
        assert_int_equal(lines_of_beats(300), 0);
        work();
        assert_int_equal(lines_of_beats(1), 1);
        assert_int_equal(lines_of_beats(5), 0);
    }
    for (int i = 0; i < 10; i++) { /* a disk at work is not late */
        put_transfer(BLKIF_OP_READ, 1, 0, 0, 1);
        assert_int_equal(blk_queue_take(&q), 1);
        assert_int_equal(lines_of_beats(1), 0);
        work();
    }
}

static void what_it_does_is_counted_once(void **state)
{
    const uint64_t *n = figures.value;
    uint64_t timed = 0;

    (void)state;
    assert_int_equal(n[BLK_FIGURE_SLOTS], 32);
    put_transfer(BLKIF_OP_WRITE, 1, 100, 0, 11);
    put_transfer(BLKIF_OP_READ, 2, 8, 20, 3);
    put_transfer(BLKIF_OP_READ, 3, DISK_SECTORS, 20, 1); /* past the end */
    put_transfer(BLKIF_OP_READ, 4, 0, 1000, 1);
    next_request(BLKIF_OP_FLUSH_DISKCACHE, 5);
    assert_true(blk_queue_take(&q) >= 0);
    assert_int_equal(n[BLK_FIGURE_OUTSTANDING], 5);
    work();
    assert_int_equal(n[BLK_FIGURE_OUTSTANDING], 0);
    assert_int_equal(n[BLK_FIGURE_REQUESTS + BLK_READ], 2);
    assert_int_equal(n[BLK_FIGURE_REQUESTS + BLK_WRITE], 1);
    assert_int_equal(n[BLK_FIGURE_REQUESTS + BLK_FLUSH], 1);
    assert_int_equal(n[BLK_FIGURE_ERRORS + BLK_READ], 1);
    assert_int_equal(n[BLK_FIGURE_ERRORS + BLK_WRITE], 0);
    assert_int_equal(n[BLK_FIGURE_BYTES + BLK_READ], 3 * 4096);
    assert_int_equal(n[BLK_FIGURE_BYTES + BLK_WRITE], 11 * 4096);
    assert_int_equal(n[BLK_FIGURE_BYTES + BLK_FLUSH], 0);
    assert_int_equal(n[BLK_FIGURE_REFUSED], 1);
    for (unsigned int i = 0; i <= METRIC_BUCKETS; i++) {
        timed += n[BLK_FIGURE_TIME + 1 + i];
    }
    assert_int_equal(timed, 4);
}

/* So much time goes by, and requests end as far as they were taken. */
static void later(uint64_t *now, uint64_t ns)
{
    *now += ns;
    blk_throttle_clock(&q.throttle, *now);
    do {
        struct uring_event ev;

        assert_true(blk_queue_take(&q) >= 0);
        blk_queue_answer(&q);
        assert_int_equal(uring_submit(&uring, q.in_flight > 0 ? UINT64_MAX : 0), 0);
        while (uring_next(&uring, &ev)) {
            blk_queue_complete(&q, ev.tag, ev.res);
        }
        blk_queue_answer(&q);
    } while (q.in_flight > 0);
}

static void set_limits(uint32_t iops, uint64_t bytes, uint64_t now)
{
    const struct blk_wire_pace pace = {.iops = iops, .bytes = bytes, .burst_s = 1};

    blk_throttle_set(&q.throttle, &pace, now);
}

/* And in their order: what comes behind a flush is not taken before it. */
static void what_is_above_the_limit_waits_in_the_ring(void **state)
{
    uint64_t now = 1000000000;

    (void)state;
    set_limits(10, 0, now);
    for (uint64_t i = 0; i < 24; i++) {
        if (i == 12) {
            next_request(BLKIF_OP_FLUSH_DISKCACHE, i);
        } else {
            put_transfer(BLKIF_OP_WRITE, i, i * 8, (uint32_t)i, 1);
        }
    }
    next_request(99, 24); /* one that is refused counts, too */
    later(&now, 0);
    assert_int_equal(sring->rsp_prod, 0);
    assert_true(blk_queue_waits_for_time(&q));
    assert_int_equal(q.in_flight, 0);
    for (uint32_t i = 1; i <= 25; i++) {
        later(&now, 100000000);
        assert_int_equal(sring->rsp_prod, i);
        assert_int_equal(sring->ring[(i - 1) % 32].rsp.id, i - 1);
        assert_int_equal(blk_queue_waits_for_time(&q), i < 25);
    }
    assert_int_equal(q.throttle.requests.tokens, 0);
    now += 5000000000; /* of which a second's worth is saved up */
    for (uint64_t i = 0; i < 20; i++) {
        put_transfer(BLKIF_OP_READ, i, i * 8, (uint32_t)i, 1);
    }
    later(&now, 0);
    assert_int_equal(sring->rsp_prod, 35);
    set_limits(0, 0, now);
    later(&now, 0);
    assert_int_equal(sring->rsp_prod, 45);
    assert_false(blk_queue_waits_for_time(&q));
}

/* An indirect request of `nr` segments of a sector each, from page 0 on. */
static void put_indirect(uint64_t id, uint16_t nr)
{
    blkif_request_indirect_t *r = (blkif_request_indirect_t *)next_request(BLKIF_OP_INDIRECT, id);
    struct blkif_request_segment *seg = (struct blkif_request_segment *)guest[79];

    for (uint32_t i = 0; i < nr && i < BLK_MAX_SEGMENTS; i++) {
        seg[i] = (struct blkif_request_segment){.gref = i};
    }
    r->operation = BLKIF_OP_INDIRECT;
    r->indirect_op = BLKIF_OP_READ;
    r->nr_segments = nr;
    r->sector_number = 0;
    r->handle = HANDLE;
    r->id = id;
    r->indirect_grefs[0] = 79;
}

static void a_request_costs_what_it_moves(void **state)
{
    const uint64_t per_second = 1000000;
    blkif_request_discard_t *d;
    uint64_t now = 1000000000;

    (void)state;
    set_limits(0, per_second, now);
    now += 5000000000;
    put_transfer(BLKIF_OP_READ, 1, 0, 0, 11);
    put_indirect(2, BLK_MAX_SEGMENTS);
    put_indirect(3, 1000); /* refused */
    d = (blkif_request_discard_t *)next_request(BLKIF_OP_DISCARD, 4);
    d->nr_sectors = DISK_SECTORS;
    next_request(BLKIF_OP_FLUSH_DISKCACHE, 5);
    later(&now, 0);
    assert_int_equal(sring->rsp_prod, 5);
    assert_int_equal(q.throttle.bytes.tokens,
                     per_second - 11 * 4096 - BLK_MAX_SEGMENTS * BLK_SECTOR_BYTES);
    assert_int_equal(q.throttle.bytes.owed, 0);
}

/* It was paid for when it was taken first; nothing is given back for it, either. */
static void what_is_carried_out_again_costs_nothing(void **state)
{
    static const struct inflight_ring which = {.nr_pages = 1};
    const uint64_t now = 1000000000;
    const char *why;

    (void)state;
    put_indirect(1, BLK_MAX_SEGMENTS);
    assert_int_equal(blk_queue_take(&q), 1);
    io_uring_queue_exit(&uring); /* the worker is killed */
    munmap(q.slots[0].buf, (size_t)q.nr_slots * BLK_QUEUE_SLOT_BYTES);
    free(q.copies.segs);
    free(q.copies.tags);
    q.free = q.replay = q.finished = q.answered = NULL;
    q.in_flight = q.nr_replay = 0;
    memset(q.slots, 0, sizeof(q.slots));
    assert_int_equal(blk_engine_open(&uring, BLK_QUEUE_MAX_SLOTS,
                                     &(struct blk_engine_files){disk_fd, disk_fd, -1}, true),
                     0);
    assert_int_equal(blk_queue_init(&q, NULL, 1), 0);
    set_limits(10, 1000000, now);
    assert_int_equal(blk_queue_take_over(&q, &which, &why), 0);
    work();
    assert_int_equal(response(1, BLKIF_OP_READ), BLKIF_RSP_OKAY);
    assert_int_equal(q.throttle.bytes.owed, BLK_THROTTLE_OWED_MAX);
    assert_int_equal(q.throttle.requests.owed, 0);
}

static void impossible_indices_end_it(void **state)
{
    (void)state;
    sring->req_prod = 33;
    assert_int_equal(blk_queue_take(&q), -EPROTO);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_can_be_read),
        TEST(parts_of_pages_lie_in_a_row_on_disk),
        TEST(a_batch_needs_one_copy_for_all_its_writes),
        TEST(an_indirect_request_moves_its_maximum),
        TEST(a_bad_indirect_page_fails_the_request),
        TEST(a_page_that_is_not_granted_fails_only_its_request),
        TEST(a_refused_request_does_not_reach_the_disk),
        TEST(flush_and_discard_work),
        TEST(an_image_that_became_shorter_is_an_error),
        TEST(a_buffer_is_pinned_as_far_as_needed),
        TEST(where_nothing_can_be_pinned_the_disk_works),
        TEST(a_request_beyond_what_is_pinned_works),
        TEST(a_full_ring_is_served_many_times_over),
        TEST(a_disk_that_does_not_answer_is_told_about_once),
        TEST(what_it_does_is_counted_once),
        TEST(what_is_above_the_limit_waits_in_the_ring),
        TEST(a_request_costs_what_it_moves),
        TEST(what_is_carried_out_again_costs_nothing),
        TEST(impossible_indices_end_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
