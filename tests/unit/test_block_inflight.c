/*
 * A worker that is killed at any instruction, and the next one that goes on from its log.
 *
 * A child process serves a ring as a worker does, and ptrace(2) steps through it instruction by
 * instruction. Whenever the ring or the log has changed, the world is copied as it is, and as it
 * would have been had the child been killed just before. Both copies are taken over, and the guest
 * must find each of its requests answered once, with the right status and data, and must be served
 * on.
 *
 * The guest's pages are an array here, and the disk is a memfd behind a real io_uring. Requests end
 * out of order, in parts, with errors; the indices pass from 2^32 - 1 to 0 on the way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/io/blkif.h>

#include "queue.h"

enum {
    PAGES = 72,
    SEGMENT_PAGES = 64, /* from here on: of the indirect request of each round */
    NOT_GRANTED = 1000,
    DISK_BYTES = 256 * 1024,
    HANDLE = 51712,
    IDS = 64,
    BASE = -10, /* where the ring's indices begin */
};

/* What the guest knows. Not to be looked at while it thinks. */
struct guest_mind {
    volatile bool thinks;
    uint32_t rsp_cons;
    bool asked[IDS];
    uint8_t answers[IDS];
    int16_t status[IDS];
};

/* All that outlives a worker, but the disk. */
struct world {
    _Alignas(4096) uint8_t ring[4096];
    struct inflight_log log;
    struct guest_mind mind;
    uint8_t pages[PAGES][4096];
};

static const struct inflight_ring this_ring = {
    .entry_bytes = 112, .event_channel = 3, .nr_pages = 1, .refs = {8}};
static struct world *w; /* of the process's own worker */
static uint8_t *disk;
static int disk_fd;
static struct io_uring uring;
static struct blk_queue q;
static struct figures figures;
static const struct stopwatch watch;
static struct uring_event events[IDS]; /* that the queue has not been told yet */
static unsigned int nr_events;

/* In place of libxengnttab's: a reference is an index into `pages`; others are refused by "Xen". */
int xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count, xengnttab_grant_copy_segment_t *s)
{
    (void)xgt;
    for (; count-- > 0; s++) {
        bool from = (s->flags & GNTCOPY_source_gref) != 0;
        uint32_t ref = from ? s->source.foreign.ref : s->dest.foreign.ref;
        uint16_t offset = from ? s->source.foreign.offset : s->dest.foreign.offset;

        s->status = ref < PAGES ? GNTST_okay : GNTST_bad_gntref;
        if (ref < PAGES && from) {
            memcpy(s->dest.virt, &w->pages[ref][offset], s->len);
        } else if (ref < PAGES) {
            memcpy(&w->pages[ref][offset], s->source.virt, s->len);
        }
    }
    return 0;
}

static blkif_sring_t *sring(void)
{
    return (blkif_sring_t *)w->ring;
}

/*
 * Request `id` is about the id-th page of the disk and of the guest. Reads find what was there at
 * the beginning, 0x80 + id; writes put 0x40 + id there.
 */
static uint8_t operation_of(unsigned int id)
{
    static const uint8_t operations[] = {BLKIF_OP_WRITE,
                                         BLKIF_OP_READ,
                                         BLKIF_OP_FLUSH_DISKCACHE,
                                         BLKIF_OP_READ,
                                         BLKIF_OP_INDIRECT,
                                         BLKIF_OP_WRITE,
                                         99,
                                         BLKIF_OP_DISCARD};

    return operations[id % 8];
}

/* The fifth of a round writes from a page that was not granted. */
static bool is_ungranted(unsigned int id)
{
    return id % 8 == 5;
}

static int16_t status_of(unsigned int id)
{
    if (is_ungranted(id)) {
        return BLKIF_RSP_ERROR;
    }
    return operation_of(id) == 99 ? BLKIF_RSP_EOPNOTSUPP : BLKIF_RSP_OKAY;
}

static void ask(unsigned int id)
{
    blkif_request_t *r = &sring()->ring[sring()->req_prod % 32].req;
    uint8_t op = operation_of(id);

    memset(r, 0, sizeof(*r));
    r->operation = op;
    r->handle = HANDLE;
    r->id = id;
    r->sector_number = id * 8;
    if (op == BLKIF_OP_INDIRECT) {
        blkif_request_indirect_t *i = (blkif_request_indirect_t *)r;
        struct blkif_request_segment *seg =
            (struct blkif_request_segment *)w->pages[SEGMENT_PAGES + id / 8];

        i->indirect_op = BLKIF_OP_WRITE;
        i->nr_segments = 1;
        i->id = id;
        i->handle = HANDLE;
        i->sector_number = id * 8;
        i->indirect_grefs[0] = SEGMENT_PAGES + id / 8;
        *seg = (struct blkif_request_segment){.gref = id, .last_sect = 7};
    } else if (op == BLKIF_OP_READ || op == BLKIF_OP_WRITE) {
        r->nr_segments = 1;
        r->seg[0] = (struct blkif_request_segment){.gref = is_ungranted(id) ? NOT_GRANTED : id,
                                                   .last_sect = 7};
    } else if (op == BLKIF_OP_DISCARD) {
        ((blkif_request_discard_t *)r)->nr_sectors = 8;
    }
    memset(w->pages[id], op == BLKIF_OP_READ ? 0 : 0x40 + (int)id, 4096);
    w->mind.asked[id] = true;
    sring()->req_prod++;
}

/* The guest takes what it was answered. */
static void listen_to_answers(void)
{
    while (w->mind.rsp_cons != sring()->rsp_prod) {
        struct blkif_response *r = &sring()->ring[w->mind.rsp_cons++ % 32].rsp;

        if (r->id < IDS) {
            w->mind.answers[r->id]++;
            w->mind.status[r->id] = r->status;
        }
    }
}

/* A worker's start with what is in `w`. Returns as blk_queue_take_over(). */
static int start_worker(void)
{
    static const struct log_id id = {.class = "vbd", .domid = 1, .device = HANDLE};
    const char *why;

    memset(&q, 0, sizeof(q));
    nr_events = 0;
    q.layout = &blk_layout_x86_64;
    q.limits = (struct blk_limits){.sectors = DISK_BYTES / 512, .handle = HANDLE, .discard = true};
    q.uring = &uring;
    q.log = &w->log;
    q.id = &id;
    q.figures = &figures;
    q.watch = &watch;
    ring_attach(&q.ring, w->ring, sizeof(w->ring), q.layout->entry_bytes);
    assert_int_equal(blk_queue_init(&q, NULL, 1), 0);
    return blk_queue_take_over(&q, &this_ring, &why);
}

static void end_worker(void)
{
    munmap(q.slots[0].buf, (size_t)q.nr_slots * BLK_QUEUE_SLOT_BYTES);
    free(q.copies.segs);
    free(q.copies.tags);
}

/* Slots whose operation has not been completed. */
static unsigned int under_way(void)
{
    unsigned int nr = q.in_flight - q.nr_replay;

    for (const struct blk_queue_slot *s = q.answered; s != NULL; s = s->next) {
        nr--;
    }
    for (const struct blk_queue_slot *s = q.finished; s != NULL; s = s->next) {
        nr--;
    }
    return nr;
}

/* Waits for the operations that are under way, and completes the last ones first, up to `nr`. */
static void complete_backwards(unsigned int nr)
{
    uring_submit(&uring, 0);
    while (nr_events < under_way()) {
        uring_submit(&uring, UINT64_MAX);
        while (uring_next(&uring, &events[nr_events])) {
            nr_events++;
        }
    }
    for (; nr > 0 && nr_events > 0; nr--) {
        nr_events--;
        blk_queue_complete(&q, events[nr_events].tag, events[nr_events].res);
    }
}

/* Serves until nothing is left. */
static void serve_all(void)
{
    do {
        assert_true(blk_queue_take(&q) >= 0);
        blk_queue_answer(&q);
        complete_backwards(IDS);
        blk_queue_answer(&q);
    } while (q.in_flight > 0 || q.replaying || ring_pending(&q.ring) > 0);
}

static void start_world(void)
{
    memset(w, 0, sizeof(*w));
    sring()->req_prod = sring()->rsp_prod = w->mind.rsp_cons = (uint32_t)BASE;
    sring()->req_event = sring()->rsp_event = (uint32_t)BASE + 1;
    for (int i = 0; i < DISK_BYTES; i++) {
        disk[i] = (uint8_t)(0x80 + i / 4096);
    }
}

static void think(unsigned int first, unsigned int end)
{
    w->mind.thinks = true;
    listen_to_answers();
    for (; first < end; first++) {
        ask(first);
    }
    w->mind.thinks = false;
}

/* What the child does under the eyes of its parent. */
static void be_killed_at_any_time(void)
{
    start_worker();
    raise(SIGSTOP);
    think(0, 8);
    blk_queue_take(&q);
    complete_backwards(2);
    blk_queue_answer(&q); /* those that were taken last are answered, the first are not */
    think(8, 13);         /* in the places of these */
    blk_queue_take(&q);
    complete_backwards(3);
    blk_queue_answer(&q);
    complete_backwards(IDS);
    blk_queue_answer(&q);
    think(13, 16);
    serve_all();
    blk_queue_end(&q);
    _exit(0);
}

static void check_data(unsigned int id)
{
    const uint8_t *at = &disk[(size_t)id * 4096];
    int op = operation_of(id) == BLKIF_OP_INDIRECT ? BLKIF_OP_WRITE : operation_of(id);
    int want = 0x80 + (int)id;

    if (op == BLKIF_OP_WRITE && !is_ungranted(id)) {
        want = 0x40 + (int)id;
    } else if (op == BLKIF_OP_DISCARD) {
        want = 0;
    }
    assert_int_equal(at[0], want);
    assert_int_equal(at[4095], want);
    if (op == BLKIF_OP_READ) {
        assert_int_equal(w->pages[id][0], 0x80 + id);
        assert_int_equal(w->pages[id][4095], 0x80 + id);
    }
}

/*
 * The guest goes on, and fills all places of the ring that it knows to be free. Then the next
 * worker finds `w` and `disk` and serves what is left, and what comes then.
 */
static void go_on(void)
{
    unsigned int room;

    think(0, 0);
    room = 32 - (sring()->req_prod - w->mind.rsp_cons);
    think(16, 16 + room);
    assert_int_equal(start_worker(), 0);
    serve_all();
    think(56, 64);
    serve_all();
    think(0, 0);
    for (unsigned int id = 0; id < IDS; id++) {
        assert_int_equal(w->mind.answers[id], w->mind.asked[id] ? 1 : 0);
        if (w->mind.asked[id]) {
            assert_int_equal(w->mind.status[id], status_of(id));
            check_data(id);
        }
    }
    assert_int_equal(q.in_flight, 0);
    blk_queue_end(&q);
    assert_int_equal(w->log.taken, w->log.written);
    end_worker();
}

static uint8_t *make_disk(int *fd)
{
    uint8_t *mem;

    *fd = memfd_create("duet-test-disk", MFD_CLOEXEC);
    assert_true(*fd >= 0);
    assert_int_equal(ftruncate(*fd, DISK_BYTES), 0);
    mem = mmap(NULL, DISK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    assert_true(mem != MAP_FAILED);
    return mem;
}

static int open_engine(int fd)
{
    const struct blk_engine_files files = {.image = fd, .lock = fd, .log = -1};

    return blk_engine_open(&uring, BLK_QUEUE_MAX_SLOTS, &files, true);
}

/* Each test has a world and a disk of its own. */
static int setup(void **state)
{
    static struct world own;

    (void)state;
    w = &own;
    disk = make_disk(&disk_fd);
    start_world();
    return open_engine(disk_fd);
}

static int teardown(void **state)
{
    (void)state;
    io_uring_queue_exit(&uring);
    munmap(disk, DISK_BYTES);
    close(disk_fd);
    return 0;
}

/* A descriptor that refuses to be flushed: its description has an error to tell. */
static int no_flush_fd(void)
{
    int fd = eventfd(0, EFD_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

/* The child's world and disk, and what they are copied to. */
struct scene {
    struct world *live, *mine, *before;
    uint8_t *live_disk;
    int live_disk_fd;
    unsigned int deaths;
};

/* The child dies now, or would have died before the last change of ring and log. */
static void die_here(struct scene *s, const struct world *ring_and_log)
{
    *s->mine = *s->live;
    memcpy(s->mine->ring, ring_and_log->ring, sizeof(s->mine->ring));
    s->mine->log = ring_and_log->log;
    memcpy(disk, s->live_disk, DISK_BYTES);
    go_on();
    s->deaths++;
}

/* After one instruction of the child. */
static void look_at_child(struct scene *s)
{
    const size_t bytes = offsetof(struct world, mind);

    if (memcmp(s->before, s->live, bytes) == 0) {
        return;
    }
    if (!s->live->mind.thinks) {
        die_here(s, s->before);
        die_here(s, s->live);
    }
    memcpy(s->before, s->live, bytes);
}

static pid_t start_child(struct scene *s)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        io_uring_queue_exit(&uring); /* the parent's */
        w = s->live;
        disk = s->live_disk;
        start_world();
        if (open_engine(s->live_disk_fd) != 0) {
            _exit(1);
        }
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        be_killed_at_any_time();
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    return pid;
}

static void killed_at_any_instruction_nothing_is_lost_or_doubled(void **state)
{
    static struct world before;
    struct scene s = {.mine = w, .before = &before};
    int status = 0;
    pid_t pid;

    (void)state;
    s.live = mmap(NULL, sizeof(*s.live), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(s.live != MAP_FAILED);
    s.live_disk = make_disk(&s.live_disk_fd);
    pid = start_child(&s);
    before = *s.live;
    while (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid &&
           WIFSTOPPED(status)) {
        assert_int_equal(WSTOPSIG(status), SIGTRAP);
        look_at_child(&s);
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(s.deaths > 200);
    print_message("%u deaths survived\n", s.deaths);
    munmap(s.live, sizeof(*s.live));
    munmap(s.live_disk, DISK_BYTES);
    close(s.live_disk_fd);
}

/* Three requests are taken; the last is answered and published, the one before it is answered. */
static void die_with_three_in_flight(void)
{
    assert_int_equal(start_worker(), 0);
    think(0, 3);
    assert_int_equal(blk_queue_take(&q), 3);
    complete_backwards(1);
    blk_queue_answer(&q);
    complete_backwards(2);
    end_worker();
}

static void the_page_is_not_asked(void **state)
{
    (void)state;
    die_with_three_in_flight();
    sring()->rsp_prod = w->log.published - 1; /* neither before nor after a publication */
    assert_int_equal(start_worker(), -ESTALE);
    end_worker();
    sring()->rsp_prod = w->log.written;
    assert_int_equal(start_worker(), 0);
    assert_int_equal(sring()->rsp_prod, (uint32_t)BASE + 1);
    serve_all();
    think(0, 0);
    for (unsigned int id = 0; id < 3; id++) {
        assert_int_equal(w->mind.answers[id], 1);
        assert_int_equal(w->mind.status[id], BLKIF_RSP_OKAY);
    }
    end_worker();
}

/* A guest that starts anew while nobody serves it (kexec), in pages that it has granted before. */
static void another_ring_in_the_same_pages_is_not_served(void **state)
{
    const struct world died = *w;

    (void)state;
    die_with_three_in_flight();
    memset(w->ring, 0, sizeof(w->ring));
    sring()->req_event = sring()->rsp_event = 1;
    assert_int_equal(start_worker(), -ESTALE);
    assert_int_equal(sring()->rsp_prod, 0);
    end_worker();
    sring()->req_prod = 5; /* it has asked for something already */
    assert_int_equal(start_worker(), -ESTALE);
    assert_int_equal(sring()->rsp_prod, 0);
    end_worker();
    sring()->rsp_prod = w->log.written; /* the right answers, and an impossible request */
    sring()->req_prod = w->log.written + 33;
    assert_int_equal(start_worker(), -ESTALE);
    end_worker();
    *w = died;
}

/* Asks for a flush, has the disk do it as `res` says, if that is not 0. Returns the answer. */
static int16_t flush(int res)
{
    unsigned int before = w->mind.answers[2];

    think(2, 3);
    assert_int_equal(blk_queue_take(&q), 1);
    complete_backwards(0);
    assert_int_equal(nr_events, 1);
    nr_events = 0;
    blk_queue_complete(&q, events[0].tag, res);
    blk_queue_answer(&q);
    think(0, 0);
    assert_int_equal(w->mind.answers[2], before + 1);
    return w->mind.status[2];
}

static void a_flush_that_failed_is_told_once(void **state)
{
    (void)state;
    assert_int_equal(start_worker(), 0);
    assert_int_equal(flush(0), BLKIF_RSP_OKAY);
    assert_int_equal(flush(-EIO), BLKIF_RSP_ERROR);
    assert_int_equal(flush(0), BLKIF_RSP_OKAY);
    end_worker();
}

/* The last flush of a worker that ends has nobody to answer. */
static void a_last_flush_that_failed_is_told_by_the_next_worker(void **state)
{
    (void)state;
    assert_int_equal(start_worker(), 0);
    blk_queue_lose(&q);
    blk_queue_end(&q);
    end_worker();
    assert_int_equal(start_worker(), 0);
    assert_int_equal(flush(0), BLKIF_RSP_ERROR);
    assert_int_equal(flush(0), BLKIF_RSP_OKAY);
    end_worker();
}

/* A worker is killed when the kernel has told it, and it has not told the guest. */
static void a_flush_that_failed_is_told_by_who_carries_it_out_again(void **state)
{
    (void)state;
    assert_int_equal(start_worker(), 0);
    think(2, 3);
    assert_int_equal(blk_queue_take(&q), 1);
    complete_backwards(0);
    nr_events = 0;
    blk_queue_complete(&q, events[0].tag, -EIO);
    end_worker();
    assert_int_equal(start_worker(), 0);
    serve_all();
    think(0, 0);
    assert_int_equal(w->mind.answers[2], 1);
    assert_int_equal(w->mind.status[2], BLKIF_RSP_ERROR);
    assert_int_equal(flush(0), BLKIF_RSP_OKAY);
    end_worker();
}

/* The kernel tells an error to each description once: the next worker's own has not seen it. */
static void a_flush_that_is_carried_out_again_asks_an_older_description(void **state)
{
    const struct blk_engine_files files = {.image = disk_fd, .lock = no_flush_fd(), .log = -1};

    (void)state;
    assert_int_equal(start_worker(), 0);
    think(2, 3);
    assert_int_equal(blk_queue_take(&q), 1);
    complete_backwards(0);
    end_worker();
    io_uring_queue_exit(&uring);
    assert_int_equal(blk_engine_open(&uring, BLK_QUEUE_MAX_SLOTS, &files, true), 0);
    assert_int_equal(start_worker(), 0);
    serve_all();
    think(0, 0);
    assert_int_equal(w->mind.status[2], BLKIF_RSP_ERROR);
    end_worker();
    close(files.lock);
}

static void what_fails_after_a_take_over_is_told(void **state)
{
    (void)state;
    assert_int_equal(start_worker(), 0);
    think(0, 2);
    assert_int_equal(blk_queue_take(&q), 2);
    complete_backwards(0);
    end_worker();
    assert_int_equal(start_worker(), 0);
    q.limits.sectors = 8; /* the disk has become smaller meanwhile: the read lies beyond it */
    serve_all();
    think(0, 0);
    assert_int_equal(w->mind.status[0], BLKIF_RSP_OKAY);
    assert_int_equal(w->mind.status[1], BLKIF_RSP_ERROR);
    assert_int_equal(w->mind.answers[0] + w->mind.answers[1], 2);
    end_worker();
}

/* Requests that overlap end as if the worker had not died: in the order of the ring. */
static void replays_keep_the_order_of_the_ring(void **state)
{
    (void)state;
    assert_int_equal(start_worker(), 0);
    think(0, 1);
    w->mind.thinks = true;
    ask(8); /* a write, too */
    sring()->ring[(uint32_t)(BASE + 1) % 32].req.sector_number = 0;
    w->mind.thinks = false;
    assert_int_equal(blk_queue_take(&q), 2);
    complete_backwards(0);
    end_worker();
    memset(disk, 0, 4096);
    assert_int_equal(start_worker(), 0);
    assert_int_equal(q.nr_replay, 2);
    blk_queue_take(&q);
    assert_int_equal(q.nr_replay, 1); /* one at a time */
    complete_backwards(IDS);
    assert_int_equal(disk[0], 0x40);
    serve_all();
    assert_int_equal(disk[0], 0x48);
    end_worker();
}

static void nothing_new_is_taken_before_the_old_is_done(void **state)
{
    (void)state;
    assert_int_equal(start_worker(), 0);
    think(0, 1);
    assert_int_equal(blk_queue_take(&q), 1);
    complete_backwards(0);
    end_worker();
    think(1, 2);
    assert_int_equal(start_worker(), 0);
    assert_int_equal(blk_queue_take(&q), 0);
    assert_int_equal(ring_pending(&q.ring), 1);
    complete_backwards(IDS);
    blk_queue_answer(&q);
    assert_int_equal(blk_queue_take(&q), 1);
    serve_all();
    end_worker();
}

static void a_log_of_something_else_is_refused(void **state)
{
    struct inflight_log *log = &w->log;
    const uint32_t *found[] = {&log->head.version, &log->head.magic,         &log->head.state,
                               &log->ring.refs[0], &log->ring.event_channel, &log->taken,
                               &log->written};

    (void)state;
    die_with_three_in_flight();
    for (unsigned int i = 0; i < sizeof(found) / sizeof(found[0]); i++) {
        uint32_t *word = (uint32_t *)found[i];

        *word += 3;
        assert_true(start_worker() < 0);
        end_worker();
        *word -= 3;
    }
    assert_int_equal(start_worker(), 0);
    serve_all();
    end_worker();
}

static void a_log_that_contradicts_itself_is_refused(void **state)
{
    struct inflight_log good;

    (void)state;
    die_with_three_in_flight();
    good = w->log;
    for (unsigned int i = 0; i < 4; i++) {
        struct inflight_slot *s = &w->log.slots[i];

        w->log = good;
        s->state =
            s->state == INFLIGHT_TAKEN ? INFLIGHT_FREE : INFLIGHT_TAKEN; /* lost, or made up */
        assert_int_equal(start_worker(), -EBADMSG);
        end_worker();
        w->log = good;
        s->state = 7;
        assert_int_equal(start_worker(), -EBADMSG);
        end_worker();
    }
    w->log = good;
    for (unsigned int i = 0; i < INFLIGHT_SLOTS; i++) { /* one request in two slots */
        w->log.slots[i].request = good.taken - 1;
    }
    assert_int_equal(start_worker(), -EBADMSG);
    end_worker();
    w->log = good;
    w->log.slots[60] =
        (struct inflight_slot){.state = INFLIGHT_ANSWERED, .response = good.written - 1};
    assert_int_equal(start_worker(), -EBADMSG); /* a slot that a ring of this size does not have */
    end_worker();
}

/* As the supervisor sees it. */
static uint32_t state_of(int fd)
{
    const struct kept_head *head = kept_look(fd);
    uint32_t state;

    assert_non_null(head);
    state = head->state;
    kept_look_away(head);
    return state;
}

/* Whatever its slots say: responses stand in a row, near the end of those that are written; and
 * what is clean has nothing in flight. */
static void responses_that_cannot_be_are_refused(void **state)
{
    struct inflight_log *log = &w->log;
    struct inflight_slot *taken[2];
    struct inflight_log good;
    unsigned int nr = 0;

    (void)state;
    die_with_three_in_flight();
    good = *log;
    for (unsigned int i = 0; i < INFLIGHT_SLOTS && nr < 2; i++) {
        if (log->slots[i].state == INFLIGHT_TAKEN) {
            taken[nr++] = &log->slots[i];
        }
    }
    assert_int_equal(nr, 2);
    for (uint32_t apart = 0; apart <= 2; apart += 2) { /* both in one place; one left out */
        taken[0]->state = taken[1]->state = INFLIGHT_ANSWERED;
        taken[0]->response = log->written;
        taken[1]->response = log->written + apart;
        assert_int_equal(start_worker(), -EBADMSG);
        end_worker();
        *log = good;
    }
    log->slots[30] =
        (struct inflight_slot){.state = INFLIGHT_ANSWERED, .response = log->written + 1000};
    assert_int_equal(start_worker(), -EBADMSG);
    end_worker();
    *log = good;
    log->head.state = KEPT_CLEAN;
    assert_int_equal(start_worker(), -EBADMSG);
    end_worker();
}

static void expect_no_log(int fd)
{
    struct inflight_log *log;

    assert_int_equal(inflight_open(fd, abort, &log), -EPROTO);
    close(fd);
}

static int memory(off_t bytes, int seals)
{
    int fd = memfd_create("no-log", MFD_ALLOW_SEALING);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, bytes), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

/* A file that could be cut short would be a SIGBUS for who has it mapped. */
static void memory_that_is_no_log_is_refused(void **state)
{
    const off_t bytes = sizeof(struct inflight_log);
    int fd;

    (void)state;
    expect_no_log(memory(bytes, 0));
    expect_no_log(memory(bytes, F_SEAL_GROW));
    expect_no_log(memory(bytes, F_SEAL_SHRINK));
    expect_no_log(memory(bytes - 1, F_SEAL_SHRINK | F_SEAL_GROW));
    expect_no_log(memory(bytes + 4096, F_SEAL_SHRINK | F_SEAL_GROW));
    fd = memory(bytes, F_SEAL_SHRINK | F_SEAL_GROW);
    assert_int_equal(state_of(fd), KEPT_FRESH);
    close(fd);
}

static pid_t lock_holder;

static void end_holder(void)
{
    kill(lock_holder, SIGKILL);
    lock_holder = 0;
}

static void a_log_is_one_workers_at_a_time(void **state)
{
    struct inflight_log *log;
    int fd = inflight_create(), tell[2], own;
    char c;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(state_of(fd), KEPT_FRESH);
    assert_int_equal(pipe(tell), 0);
    lock_holder = fork();
    if (lock_holder == 0) {
        own = inflight_open(fd, abort, &log);
        (void)!write(tell[1], "x", 1);
        pause();
        _exit(own);
    }
    assert_int_equal(read(tell[0], &c, 1), 1);
    own = inflight_open(fd, end_holder, &log);
    assert_true(own >= 0);
    assert_int_equal(lock_holder, 0); /* it had to wait */
    wait(NULL);
    munmap(log, sizeof(*log));
    close(own);
    assert_null(kept_look(disk_fd));
    assert_int_equal(inflight_open(disk_fd, abort, &log), -EPROTO);
    close(fd);
    close(tell[0]);
    close(tell[1]);
}

/* A log of its own, which a worker has begun. */
static struct inflight_log *begin_log(int *fd, int *own)
{
    struct inflight_log *log;
    struct inflight_place place;
    const char *why;

    *fd = inflight_create();
    *own = inflight_open(*fd, abort, &log);
    assert_true(*own >= 0);
    assert_int_equal(inflight_begin(log, &this_ring, 0, &place, &why), 0);
    return log;
}

static void drop_log(struct inflight_log *log, int fd, int own)
{
    munmap(log, sizeof(*log));
    close(own);
    close(fd);
}

static void the_supervisor_sees_a_clean_end(void **state)
{
    int fd, own;
    struct inflight_log *log = begin_log(&fd, &own);
    struct inflight_place place;
    const char *why;

    (void)state;
    assert_int_equal(state_of(fd), KEPT_OPEN);
    inflight_take(log, 0, 0);
    inflight_answer(log, 0, 0, 0);
    inflight_written(log, 1);
    inflight_free(log, 0);
    inflight_end(log);
    assert_int_equal(state_of(fd), KEPT_CLEAN);
    assert_int_equal(inflight_begin(log, &this_ring, 77, &place, &why), 0);
    assert_int_equal(place.taken, 1);
    assert_int_equal(place.answered, 1);
    drop_log(log, fd, own);
}

/* The disk may be at one request while all others of the ring come and go. */
static void a_request_may_be_older_than_the_ring_is_long(void **state)
{
    int fd, own;
    struct inflight_log *log = begin_log(&fd, &own);
    struct inflight_place place;
    const char *why;

    (void)state;
    inflight_take(log, 0, 0);
    for (uint32_t i = 1; i < 1000; i++) {
        inflight_take(log, 1, i);
        inflight_answer(log, 1, i - 1, 0);
        inflight_written(log, i);
        inflight_published(log);
        inflight_free(log, 1);
    }
    assert_int_equal(inflight_begin(log, &this_ring, 0, &place, &why), 0);
    assert_int_equal(place.taken, 1000);
    assert_int_equal(place.written, 999);
    assert_int_equal(place.answered, 999);
    log->slots[0].request = 1001; /* but none that is still to come has been taken */
    assert_int_equal(inflight_begin(log, &this_ring, 0, &place, &why), -EBADMSG);
    drop_log(log, fd, own);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(killed_at_any_instruction_nothing_is_lost_or_doubled),
        TEST(the_page_is_not_asked),
        TEST(another_ring_in_the_same_pages_is_not_served),
        TEST(a_flush_that_failed_is_told_once),
        TEST(a_last_flush_that_failed_is_told_by_the_next_worker),
        TEST(a_flush_that_failed_is_told_by_who_carries_it_out_again),
        TEST(a_flush_that_is_carried_out_again_asks_an_older_description),
        TEST(what_fails_after_a_take_over_is_told),
        TEST(replays_keep_the_order_of_the_ring),
        TEST(nothing_new_is_taken_before_the_old_is_done),
        TEST(a_log_of_something_else_is_refused),
        TEST(a_log_that_contradicts_itself_is_refused),
        TEST(responses_that_cannot_be_are_refused),
        TEST(memory_that_is_no_log_is_refused),
        TEST(a_log_is_one_workers_at_a_time),
        TEST(the_supervisor_sees_a_clean_end),
        TEST(a_request_may_be_older_than_the_ring_is_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
