/*
 * mmu_bench.c - what mapping costs, with and without the queue.
 *
 * One page is mapped again and again at consecutive user addresses of a fresh address space:
 * "batched" in one uhat_map(), "single" one call per page. Times are the best of several rounds;
 * hypercalls are those of the queue, those that make page tables included.
 */
#include "hat/mmuq.h"
#include "hat/p2m.h"
#include "hat/uhat.h"
#include "kern/mem.h"
#include "psm/clock.h"
#include "selftest/stress.h"

#define BASE   0x40000000ull
#define MOST   4096
#define ROUNDS 5

struct cost {
    uint64_t hypercalls;
    nsec_t time;
};

/* Map @n pages in pieces of @piece. */
static int map_pieces(struct uhat *h, const mfn_t *mfns, size_t n, size_t piece)
{
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i += piece) {
        rc = uhat_map(h, BASE + i * PAGE_SIZE, mfns + i, piece, HAT_WRITE);
    }
    return rc;
}

static int measure(struct uhat *h, const mfn_t *mfns, size_t n, size_t piece, struct cost *best)
{
    best->time = NSEC_FOREVER;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t calls = mmuq_hypercalls();
        nsec_t start = clock_now();
        int rc = map_pieces(h, mfns, n, piece);
        nsec_t time = clock_now() - start;

        if (rc != 0) {
            return rc;
        }
        if (time < best->time) {
            *best = (struct cost){.hypercalls = mmuq_hypercalls() - calls, .time = time};
        }
        uhat_unmap(h, BASE, n);
    }
    return 0;
}

static int bench_table(struct uhat *h, const mfn_t *mfns, selftest_say_t say, void *arg)
{
    static const size_t counts[] = {1, 64, 4096};
    struct cost batched = {0}, single = {0};
    int rc = 0;

    say(arg, "%6s  %-24s  %-24s\n", "pages", "batched: calls, us", "single: calls, us");
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        rc = measure(h, mfns, counts[i], counts[i], &batched);
        rc = rc == 0 ? measure(h, mfns, counts[i], 1, &single) : rc;
        if (rc != 0) {
            break;
        }
        say(arg, "%6zu  %8lu %12lu     %8lu %12lu\n", counts[i], batched.hypercalls,
            (unsigned long)(batched.time / NSEC_PER_USEC), single.hypercalls,
            (unsigned long)(single.time / NSEC_PER_USEC));
    }
    return rc;
}

int mmu_bench(selftest_say_t say, void *arg)
{
    struct uhat *h = uhat_create();
    mfn_t *mfns = kmalloc(MOST * sizeof(*mfns));
    void *page = page_alloc(0);
    int rc = h == NULL || mfns == NULL || page == NULL ? -ENOMEM : 0;

    for (size_t i = 0; i < MOST && rc == 0; i++) {
        mfns[i] = virt_to_mfn(page);
    }
    rc = rc == 0 ? bench_table(h, mfns, say, arg) : rc;
    if (h != NULL) {
        uhat_destroy(h);
    }
    if (page != NULL) {
        page_free(page, 0);
    }
    kfree(mfns);
    return rc;
}
