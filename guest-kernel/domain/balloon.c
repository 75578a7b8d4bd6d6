/*
 * balloon.c - the domain's size follows memory/target.
 *
 * A thread compares the target with the pages we have. Too many: free pages are taken from the
 * allocator, unmapped from the direct map, struck from the p2m and given to Xen
 * (XENMEM_decrease_reservation). Too few: holes get frames (XENMEM_populate_physmap), are mapped
 * and joined to free memory; if there are no holes, the p2m and the page records grow first, so
 * that a domain may get larger than it was at its start. Work goes in batches; what Xen or the
 * allocator cannot give now is tried again after a while, and at the next change of the target.
 *
 * A reserve of free pages is kept: a target that would leave less is followed as far as possible.
 * See "Memory" in Xen's docs/misc/xenstore-paths and xen/memory.h.
 * Locks: none; the one thread owns all state, `target_pages` is read without.
 * Suspend: between two batches; the thread looks at the target again afterwards.
 */
#include "domain/balloon.h"

#include "hat/hat.h"
#include "hat/p2m.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/page.h"
#include "kern/thread.h"
#include "kern/wait.h"
#include "os/reservation.h"
#include "os/start_info.h"
#include "psm/clock.h"
#include "xenbus/xs.h"

#define BATCH         256
#define RESERVE_PAGES 256 /* 1 MiB stays free */
#define RETRY         NSEC_PER_SEC
#define KIB_PER_PAGE  (PAGE_SIZE / 1024)

static struct waitq wake;
static bool changed;            /* the target may be another one */
static uint64_t target_pages;   /* 0: none known yet */
static xen_pfn_t frames[BATCH]; /* what a memory_op reads and writes */
static xen_pfn_t holes[BATCH];  /* the pfns that `frames` were asked for */

static void target_changed(struct xs_watch *w, const char *path)
{
    (void)w;
    (void)path;
    WRITE_ONCE(changed, true);
    waitq_wake_all(&wake);
}

static struct xs_watch target_watch = {.path = "memory/target", .fn = target_changed};

/* The pages that have a frame: all that have a record, without the holes. */
static uint64_t have_pages(void)
{
    struct mem_stats mem;

    mem_get_stats(&mem);
    return page_limit().n - mem.pages_ballooned;
}

static int read_target(uint64_t *pages)
{
    uint64_t kib;
    struct xs_field field = {.key = "target", .type = XS_U64, .out = &kib};
    int rc = xs_gather(XS_NO_TXN, "memory", &field, 1, NULL);

    if (rc == 0) {
        *pages = kib / KIB_PER_PAGE;
    }
    return rc;
}

/* ---- smaller ---- */

/* Take up to @want free pages out of the direct map; their frames go to `frames`. */
static unsigned deflate_collect(uint64_t want)
{
    static pfn_t pfns[BATCH];
    static mfn_t mfns[BATCH];
    unsigned n = 0;
    struct mem_stats mem;

    while (n < MIN(want, BATCH)) {
        mem_get_stats(&mem);
        void *page = mem.pages_free > RESERVE_PAGES ? page_alloc(0) : NULL;
        if (page == NULL) {
            break;
        }
        pfns[n++] = virt_to_pfn(page);
    }
    if (n > 0) {
        hat_kpm_unmap(pfns, mfns, n);
    }
    for (unsigned i = 0; i < n; i++) {
        frames[i] = mfns[i].n;
        page_leave(pfns[i]);
    }
    return n;
}

/* Give memory to Xen. Return: pages given, 0 when there is none to spare. */
static uint64_t shrink(uint64_t want)
{
    unsigned n = deflate_collect(want);
    long done = n == 0 ? 0 : frames_give(frames, n);

    if (done != n) {
        log_err("balloon: Xen took %ld of %u pages", done, n);
    }
    return n;
}

/* ---- larger ---- */

/* Have records and p2m entries for as many pages as the target wants. */
static int balloon_make_room(void)
{
    uint64_t limit = page_limit().n;

    if (target_pages <= limit) {
        return 0;
    }
    limit = MAX(target_pages, limit + limit / 2);
    int rc = p2m_grow(PFN(limit));
    return rc != 0 ? rc : pages_grow(p2m_limit());
}

/* List up to @want holes in `holes` and `frames`. */
static unsigned inflate_collect(uint64_t want)
{
    unsigned n = 0;
    pfn_t hole = PFN(0);

    while (n < MIN(want, BATCH) && page_find_hole(hole, &hole)) {
        holes[n] = frames[n] = hole.n;
        hole.n++;
        n++;
    }
    return n;
}

/* A hole got a frame: use it. False if there is no memory for a page table. */
static bool hole_fill(pfn_t pfn, mfn_t mfn)
{
    if (hat_kpm_map(pfn, mfn) != 0) {
        return false;
    }
    page_join(pfn);
    return true;
}

/* Take memory from Xen. Return: pages gained, 0 when it or we cannot now. */
static uint64_t balloon_grow(uint64_t want)
{
    uint64_t gained = 0;

    if (balloon_make_room() != 0) {
        return 0;
    }
    unsigned n = inflate_collect(want);
    long done = n == 0 ? 0 : frames_take(frames, n);
    for (long i = 0; i < done; i++) {
        if (hole_fill(PFN(holes[i]), MFN(frames[i]))) {
            gained++;
        } else if (frames_give(&frames[i], 1) != 1) {
            log_err("balloon: Xen did not take a frame back");
        }
    }
    return gained;
}

/* ---- the thread ---- */

/* One batch towards the target. Return: whether more can be done now. */
static bool balloon_step(void)
{
    uint64_t have = have_pages();

    frames_hold();
    bool moved =
        (target_pages < have ? shrink(have - target_pages) : balloon_grow(target_pages - have)) > 0;
    frames_release();
    return moved;
}

static void balloon(void *arg)
{
    (void)arg;
    for (;;) {
        nsec_t retry = have_pages() == target_pages ? NSEC_FOREVER : clock_now() + RETRY;
        uint64_t before = have_pages();

        (void)wait_event_until(&wake, READ_ONCE(changed), retry);
        WRITE_ONCE(changed, false);
        if (read_target(&target_pages) != 0) {
            continue;
        }
        while (target_pages != have_pages() && !READ_ONCE(changed) && balloon_step()) {
        }
        if (have_pages() != before) {
            log_info("balloon: %lu MiB, target %lu MiB", have_pages() >> 8, target_pages >> 8);
        }
    }
}

void balloon_get_stats(struct balloon_stats *stats)
{
    stats->target_pages = READ_ONCE(target_pages);
    stats->pages = have_pages();
}

void balloon_init(void)
{
    waitq_init(&wake, "balloon");
    target_pages = start_info->nr_pages;
    if (!xs_available()) {
        return; /* a dom0 stays as Xen made it */
    }
    if (thread_create("balloon", balloon, NULL, PRIO_HIGH) == NULL ||
        xs_watch_add(&target_watch) != 0) {
        log_err("balloon: memory/target is not followed");
    }
}
