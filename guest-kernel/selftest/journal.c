/*
 * journal.c - numbered, checksummed blocks written to a disk all the while, and read back.
 *
 * One thread per lane writes its next block, and reads back one of its former ones now and then. A
 * wrong block or a failed request is logged when it is found and counted. One more thread sleeps
 * for a tick, again and again, with a better priority. Locks: journal_lock (mutex) over start,
 * status and stop; a lane's numbers belong to its thread, the ticker's but `pause` to the ticker.
 * Suspend: nothing to do, which is what it is for.
 */
#include "selftest/journal.h"

#include "io/blk.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "kern/wait.h"
#include "lib/sha256.h"
#include "psm/clock.h"

#define SECTORS     (JOURNAL_BLOCK / BLK_SECTOR_SIZE)
#define READ_EVERY  4
#define FLUSH_EVERY 64
#define TICK        (10 * NSEC_PER_MSEC)

_Static_assert(JOURNAL_BLOCK == PAGE_SIZE, "a block is a page");

struct lane {
    unsigned id;
    uint64_t last, read, wrong;
    struct journal_block *out, *in;
    struct thread *thread;
};

static struct mutex journal_lock = {.waiters = WAITQ(journal_lock.waiters, "journal")};
static struct lane lanes[JOURNAL_LANES];
static struct {
    uint64_t ticks, early;
    nsec_t pause; /* taken by the next report */
    struct thread *thread;
} ticker;
static struct blk_dev *disk; /* NULL: not running */
static uint64_t slots;
static bool stop;

static void digest(const struct journal_block *b, uint8_t out[JOURNAL_SHA])
{
    struct sha256 s;

    sha256_init(&s);
    sha256_update(&s, b, offsetof(struct journal_block, sha256));
    sha256_final(&s, out);
}

static uint64_t sector_of(const struct lane *l, uint64_t slot)
{
    return (l->id * slots + slot) * SECTORS;
}

/* Note that something is not as it must be. */
static void wrong(struct lane *l, uint64_t slot, const char *what)
{
    l->wrong++;
    log_err("journal: %s: lane %u, slot %lu: %s", disk->name, l->id, (unsigned long)slot, what);
}

static bool write_next(struct lane *l)
{
    struct journal_block *b = l->out;
    uint64_t slot = l->last % slots;

    memcpy(b->magic, JOURNAL_MAGIC, sizeof(b->magic));
    b->lane = l->id;
    b->slot = slot;
    b->sequence = l->last + 1;
    for (size_t i = 0; i < ARRAY_SIZE(b->body); i++) {
        b->body[i] = b->sequence;
    }
    digest(b, b->sha256);
    int rc = blk_rw(disk, BLK_WRITE, sector_of(l, slot), SECTORS, b);
    if (rc != 0) {
        wrong(l, slot, errno_name(rc));
        return false;
    }
    WRITE_ONCE(l->last, l->last + 1);
    return true;
}

/* The highest sequence in a slot when @last is the lane's; 0 if it was not written yet. */
static uint64_t expected(uint64_t last, uint64_t slot)
{
    return slot >= last ? 0 : last - (last - 1 - slot) % slots;
}

static void read_back(struct lane *l, uint64_t slot)
{
    const struct journal_block *b = l->in;
    uint64_t sequence = expected(l->last, slot);
    uint8_t sha256[JOURNAL_SHA];

    if (sequence == 0) {
        return;
    }
    int rc = blk_rw(disk, BLK_READ, sector_of(l, slot), SECTORS, l->in);
    if (rc != 0) {
        wrong(l, slot, errno_name(rc));
        return;
    }
    digest(b, sha256);
    if (memcmp(b->magic, JOURNAL_MAGIC, sizeof(b->magic)) != 0 ||
        memcmp(b->sha256, sha256, sizeof(sha256)) != 0) {
        wrong(l, slot, "not a whole block");
    } else if (b->lane != l->id || b->slot != slot || b->sequence != sequence) {
        wrong(l, slot, b->sequence < sequence ? "an older block" : "another block");
    }
    WRITE_ONCE(l->read, l->read + 1);
}

static void run_lane(void *arg)
{
    struct lane *l = arg;

    while (!READ_ONCE(stop) && write_next(l)) {
        if (l->last % READ_EVERY == 0) {
            read_back(l, l->last * 31 % slots);
        }
        int rc = l->last % FLUSH_EVERY == 0 ? blk_flush(disk) : 0;
        if (rc != 0) {
            wrong(l, 0, "not flushed");
        }
    }
}

static void run_ticker(void *arg)
{
    nsec_t last = clock_wall();

    (void)arg;
    while (!READ_ONCE(stop)) {
        nsec_t due = clock_now() + TICK;

        thread_sleep_until(due);
        ticker.early += clock_now() < due;
        nsec_t now = clock_wall(), pause = now > last ? now - last : 0;
        if (pause > __atomic_load_n(&ticker.pause, __ATOMIC_RELAXED)) {
            __atomic_store_n(&ticker.pause, pause, __ATOMIC_RELAXED);
        }
        last = now;
        ticker.ticks++;
    }
}

static void free_lanes(void)
{
    for (unsigned i = 0; i < JOURNAL_LANES; i++) {
        page_free(lanes[i].in, 0);
        page_free(lanes[i].out, 0);
    }
    blk_put(disk);
    disk = NULL;
}

static void join(struct thread **thread)
{
    if (*thread != NULL) {
        thread_join(*thread);
        *thread = NULL;
    }
}

/* Wait for the threads that were started. */
static void join_all(void)
{
    WRITE_ONCE(stop, true);
    for (unsigned i = 0; i < JOURNAL_LANES; i++) {
        join(&lanes[i].thread);
    }
    join(&ticker.thread);
}

static int start_threads(void)
{
    bool ok = true;

    for (unsigned i = 0; i < JOURNAL_LANES; i++) {
        lanes[i] = (struct lane){.id = i, .in = page_alloc_zeroed(0), .out = page_alloc_zeroed(0)};
        ok = ok && lanes[i].in != NULL && lanes[i].out != NULL;
    }
    for (unsigned i = 0; i < JOURNAL_LANES && ok; i++) {
        lanes[i].thread = thread_create("journal", run_lane, &lanes[i], PRIO_LOW);
        ok = lanes[i].thread != NULL;
    }
    ticker.ticks = ticker.early = ticker.pause = 0;
    ticker.thread = ok ? thread_create("ticker", run_ticker, NULL, PRIO_NORMAL) : NULL;
    ok = ok && ticker.thread != NULL;
    if (!ok) {
        join_all();
        free_lanes();
    }
    return ok ? 0 : -ENOMEM;
}

static int journal_start_locked(const char *name)
{
    struct blk_info info;

    if (disk != NULL) {
        return -EBUSY;
    }
    struct blk_dev *dev = blk_get(name);
    if (dev == NULL) {
        return -ENODEV;
    }
    blk_get_info(dev, &info);
    slots = info.sectors / SECTORS / JOURNAL_LANES;
    if (info.readonly || slots == 0) {
        blk_put(dev);
        return info.readonly ? -EROFS : -ENOSPC;
    }
    disk = dev;
    stop = false;
    return start_threads();
}

int journal_start(const char *name)
{
    mutex_lock(&journal_lock);
    int rc = journal_start_locked(name);
    mutex_unlock(&journal_lock);
    return rc;
}

static void report_locked(struct journal_report *report)
{
    *report =
        (struct journal_report){.slots = slots,
                                .ticks = READ_ONCE(ticker.ticks),
                                .early = READ_ONCE(ticker.early),
                                .pause = __atomic_exchange_n(&ticker.pause, 0, __ATOMIC_RELAXED)};
    for (unsigned i = 0; i < JOURNAL_LANES; i++) {
        report->last[i] = READ_ONCE(lanes[i].last);
        report->written += report->last[i];
        report->read += READ_ONCE(lanes[i].read);
        report->wrong += READ_ONCE(lanes[i].wrong);
    }
}

int journal_status(struct journal_report *report)
{
    int rc = -ENOENT;

    mutex_lock(&journal_lock);
    if (disk != NULL) {
        report_locked(report);
        rc = 0;
    }
    mutex_unlock(&journal_lock);
    return rc;
}

static void journal_stop_locked(struct journal_report *report)
{
    join_all();
    if (blk_flush(disk) != 0) {
        wrong(&lanes[0], 0, "not flushed at the end");
    }
    for (unsigned i = 0; i < JOURNAL_LANES; i++) {
        for (uint64_t slot = 0; slot < slots; slot++) {
            read_back(&lanes[i], slot);
        }
    }
    report_locked(report);
    free_lanes();
}

int journal_stop(struct journal_report *report)
{
    int rc = -ENOENT;

    mutex_lock(&journal_lock);
    if (disk != NULL) {
        journal_stop_locked(report);
        rc = 0;
    }
    mutex_unlock(&journal_lock);
    return rc;
}
