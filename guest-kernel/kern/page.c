/*
 * page.c - the buddy allocator of pages.
 *
 * Free blocks of 2^order pages, aligned to their size in pfn space, hang in one list per order;
 * the links stand in the free pages themselves. A freed block merges with its buddy (the pfn with
 * bit `order` flipped) as long as that is free and as large. struct page tells what each page is,
 * so that freeing something twice, or something that was never handed out, is noticed. Records
 * never move, since their owners write them without a lock: a domain that gets larger gets another
 * run of them. Locks: page_lock, a leaf. Suspend: nothing to do, pfns do not change.
 */
#include "kern/page.h"

#include <xen_list.h>

#include "hat/kvm.h"
#include "hat/p2m.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "os/panic.h"
#include "psm/clock.h"

#define RUNS_MAX 32

/* Lies at the start of a free block. */
struct free_block {
    XEN_LIST_ENTRY(struct free_block) link;
};

XEN_LIST_HEAD(free_list, struct free_block);

static spinlock_t page_lock = SPINLOCK("page");
static struct free_list free_lists[PAGE_ORDER_MAX + 1];
static uint64_t free_counts[PAGE_ORDER_MAX + 1];
static struct mem_stats stats;
static bool refusing; /* a test's wish */

/* The records of pfns from @first on, up to the next run's or the limit. */
struct run {
    uint64_t first;
    struct page *records;
};

/* Run 0 is made at boot; each further one covers at least half of what is there (see balloon.c). */
static struct run runs[RUNS_MAX];
static unsigned run_count;
static uint64_t pages_limit; /* one past the last page that has a record */

static struct page *record_of(uint64_t pfn)
{
    unsigned i = __atomic_load_n(&run_count, __ATOMIC_ACQUIRE) - 1;

    while (pfn < runs[i].first) {
        i--;
    }
    return &runs[i].records[pfn - runs[i].first];
}

pfn_t page_limit(void)
{
    return PFN(__atomic_load_n(&pages_limit, __ATOMIC_ACQUIRE));
}

struct page *page_of(pfn_t pfn)
{
    ASSERT(pfn.n < page_limit().n);
    return record_of(pfn.n);
}

static void block_insert(pfn_t pfn, unsigned order)
{
    struct free_block *block = pfn_to_virt(pfn);

    *record_of(pfn.n) = (struct page){.kind = PAGE_FREE, .order = (uint8_t)order};
    XEN_LIST_INSERT_HEAD(&free_lists[order], block, link);
    free_counts[order]++;
}

static void block_remove(pfn_t pfn, unsigned order)
{
    struct free_block *block = pfn_to_virt(pfn);

    XEN_LIST_REMOVE(block, link);
    record_of(pfn.n)->kind = PAGE_INNER;
    free_counts[order]--;
}

static bool block_is_free(uint64_t pfn, unsigned order)
{
    if (pfn + (1ull << order) > pages_limit) {
        return false;
    }
    const struct page *record = record_of(pfn);

    return record->kind == PAGE_FREE && record->order == order;
}

/* Put a block into the lists, merged with its free buddies. page_lock held. */
static void block_release(uint64_t pfn, unsigned order)
{
    stats.pages_free += 1ull << order;
    while (order < PAGE_ORDER_MAX && block_is_free(pfn ^ (1ull << order), order)) {
        block_remove(PFN(pfn ^ (1ull << order)), order);
        record_of(pfn)->kind = PAGE_INNER;
        pfn &= ~(1ull << order);
        order++;
    }
    block_insert(PFN(pfn), order);
}

/* Take a block of exactly 2^order pages out of the lists. page_lock held. */
static bool block_take(unsigned order, pfn_t *out)
{
    unsigned have = order;

    while (have <= PAGE_ORDER_MAX && XEN_LIST_EMPTY(&free_lists[have])) {
        have++;
    }
    if (have > PAGE_ORDER_MAX) {
        return false;
    }
    pfn_t pfn = virt_to_pfn(XEN_LIST_FIRST(&free_lists[have]));
    block_remove(pfn, have);
    while (have > order) {
        have--;
        block_insert(PFN(pfn.n + (1ull << have)), have);
    }
    stats.pages_free -= 1ull << order;
    *record_of(pfn.n) = (struct page){.kind = PAGE_USED, .order = (uint8_t)order, .refs = 1};
    *out = pfn;
    return true;
}

void page_account_failure(size_t bytes)
{
    static nsec_t said; /* when the last line was written; 0: never */
    static uint64_t unsaid;
    nsec_t now = clock_now();
    upcall_state_t state = spin_lock(&page_lock);
    bool say = said == 0 || now - said >= NSEC_PER_SEC;
    uint64_t more = unsaid;

    stats.alloc_failures++;
    unsaid = say ? 0 : unsaid + 1;
    said = say ? MAX(now, (nsec_t)1) : said;
    spin_unlock(&page_lock, state);
    if (say) {
        log_warn("memory: no room for %zu bytes; %lu more failures since the last such line", bytes,
                 (unsigned long)more);
    }
}

/* Labels the pages of a block but the first. Its owner's or nobody's. */
static void label_inner(const void *page, unsigned order, enum page_kind kind)
{
    pfn_t pfn = virt_to_pfn(page);

    for (uint64_t i = 1; i < 1ull << order; i++) {
        page_of(PFN(pfn.n + i))->kind = (uint8_t)kind;
    }
}

void memory_refuse(bool refuse)
{
    WRITE_ONCE(refusing, refuse);
}

bool memory_refused(void)
{
    return READ_ONCE(refusing);
}

void *page_alloc(unsigned order)
{
    pfn_t pfn;

    ASSERT(order <= PAGE_ORDER_MAX);
    upcall_state_t state = spin_lock(&page_lock);
    bool found = !refusing && block_take(order, &pfn);
    spin_unlock(&page_lock, state);
    if (!found) {
        page_account_failure(PAGE_SIZE << order);
        return NULL;
    }
    return pfn_to_virt(pfn);
}

void *page_alloc_zeroed(unsigned order)
{
    void *page = page_alloc(order);

    if (page != NULL) {
        memset(page, 0, PAGE_SIZE << order);
        page_of(virt_to_pfn(page))->kind = PAGE_CLEARED;
        label_inner(page, order, PAGE_CLEARED);
    }
    return page;
}

bool page_is_cleared(const void *addr)
{
    return page_of(virt_to_pfn(addr))->kind == PAGE_CLEARED;
}

void page_free(void *page, unsigned order)
{
    pfn_t pfn = virt_to_pfn(page);
    const struct page *record = page_of(pfn);

    if (record->kind == PAGE_FREE || record->kind == PAGE_INNER) {
        panic("page_free: page %p (pfn %#llx) freed twice", page, (unsigned long long)pfn.n);
    }
    if ((record->kind != PAGE_USED && record->kind != PAGE_CLEARED) || record->order != order) {
        panic("page_free: page %p of order %u is kind %u, order %u", page, order, record->kind,
              record->order);
    }
    if (record->kind == PAGE_CLEARED) {
        label_inner(page, order, PAGE_INNER);
    }
    upcall_state_t state = spin_lock(&page_lock);
    block_release(pfn.n, order);
    spin_unlock(&page_lock, state);
}

void page_set_kind(void *page, unsigned order, enum page_kind kind)
{
    pfn_t pfn = virt_to_pfn(page);

    for (uint64_t i = 0; i < 1ull << order; i++) {
        *page_of(PFN(pfn.n + i)) = (struct page){.kind = (uint8_t)kind, .order = (uint8_t)order};
    }
}

void page_account_tables(long delta)
{
    upcall_state_t state = spin_lock(&page_lock);

    stats.pages_pagetable += (uint64_t)delta;
    spin_unlock(&page_lock, state);
}

void page_account_map(uint64_t count)
{
    upcall_state_t state = spin_lock(&page_lock);

    stats.pages_map += count;
    spin_unlock(&page_lock, state);
}

#define USERS_LEAVE_MIN   256 /* pages */
#define USERS_LEAVE_SHARE 32  /* of all */

bool page_users_may_take(void)
{
    uint64_t leave = MAX(READ_ONCE(stats.pages_total) / USERS_LEAVE_SHARE, USERS_LEAVE_MIN);

    return READ_ONCE(stats.pages_free) > leave;
}

uint64_t page_count(void)
{
    return READ_ONCE(stats.pages_total);
}

bool page_share(void *page)
{
    uint16_t *refs = &page_of(virt_to_pfn(page))->refs;

    if (__atomic_load_n(refs, __ATOMIC_RELAXED) == UINT16_MAX) {
        return false;
    }
    __atomic_add_fetch(refs, 1, __ATOMIC_RELAXED);
    return true;
}

void page_drop(void *page)
{
    if (__atomic_sub_fetch(&page_of(virt_to_pfn(page))->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        page_free(page, 0);
    }
}

void mem_get_stats(struct mem_stats *out)
{
    upcall_state_t state = spin_lock(&page_lock);

    *out = stats;
    for (unsigned i = 0; i <= PAGE_ORDER_MAX; i++) {
        out->free_blocks[i] = free_counts[i];
    }
    spin_unlock(&page_lock, state);
    slab_get_stats(&out->pages_slab, &out->slab_bytes_used);
}

int pages_grow(pfn_t limit)
{
    uint64_t count = limit.n - pages_limit;
    size_t size = ROUND_UP(count * sizeof(struct page), PAGE_SIZE);
    struct page *records;

    if (limit.n <= pages_limit) {
        return 0;
    }
    records = run_count == RUNS_MAX ? NULL : kvm_alloc(size / PAGE_SIZE);
    if (records == NULL) {
        return -ENOMEM;
    }
    for (uint64_t i = 0; i < count; i++) {
        records[i] = (struct page){.kind = PAGE_BALLOON};
    }
    upcall_state_t state = spin_lock(&page_lock);
    runs[run_count] = (struct run){.first = pages_limit, .records = records};
    __atomic_store_n(&run_count, run_count + 1, __ATOMIC_RELEASE);
    __atomic_store_n(&pages_limit, limit.n, __ATOMIC_RELEASE);
    stats.pages_ballooned += count;
    stats.pages_map += size / PAGE_SIZE;
    spin_unlock(&page_lock, state);
    return 0;
}

void page_leave(pfn_t pfn)
{
    upcall_state_t state = spin_lock(&page_lock);

    *page_of(pfn) = (struct page){.kind = PAGE_BALLOON};
    stats.pages_total--;
    stats.pages_ballooned++;
    spin_unlock(&page_lock, state);
}

void page_join(pfn_t pfn)
{
    upcall_state_t state = spin_lock(&page_lock);

    stats.pages_total++;
    stats.pages_ballooned--;
    block_release(pfn.n, 0);
    spin_unlock(&page_lock, state);
}

bool page_find_hole(pfn_t from, pfn_t *hole)
{
    for (uint64_t i = from.n; i < pages_limit; i++) {
        if (record_of(i)->kind == PAGE_BALLOON) {
            *hole = PFN(i);
            return true;
        }
    }
    return false;
}

void page_boot(pfn_t first, pfn_t limit)
{
    uint64_t array_pages = DIV_ROUND_UP(limit.n * sizeof(struct page), PAGE_SIZE);

    runs[0] = (struct run){.first = 0, .records = pfn_to_virt(first)};
    run_count = 1;
    pages_limit = limit.n;
    memset(runs[0].records, 0, limit.n * sizeof(struct page)); /* PAGE_RESERVED */
    for (unsigned i = 0; i <= PAGE_ORDER_MAX; i++) {
        XEN_LIST_INIT(&free_lists[i]);
    }
    for (uint64_t pfn = first.n + array_pages; pfn < limit.n;) {
        unsigned order = 0;

        while (order < PAGE_ORDER_MAX && (pfn & ((2ull << order) - 1)) == 0 &&
               pfn + (2ull << order) <= limit.n) {
            order++;
        }
        stats.pages_total += 1ull << order;
        block_release(pfn, order);
        pfn += 1ull << order;
    }
}
