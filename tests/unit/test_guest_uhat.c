/*
 * The order in which an address space's entries are written and vCPUs are told to forget them.
 *
 * Two vCPUs meet: one changes entries of a space, the other comes to that space at some moment and
 * keeps the translations that it finds then. When the change is over, what it keeps must be what
 * the tables say. That is tried for every moment there is: between the requests, while they are
 * carried out one by one, while the first looks who is on the space. The tables are memory of this
 * program, the queue of requests and the second vCPU's TLB are played here.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hat/hat.h"
#include "hat/layout.h"
#include "hat/mmuq.h"
#include "hat/p2m.h"
#include "hat/uhat.h"
#include "kern/mem.h"
#include "kern/page.h"
#include "kern/thread.h"
#include "os/panic.h"
#include "psm/cpu.h"

#define VA         0x400000ul
#define NPAGES     3
#define QUEUED_MAX 2048
#define OTHER      1 /* the second vCPU; the first is 0 */

/* ---- memory: a page's frame is its address, its record the page behind it ---- */

static unsigned tables_held;

void *hat_table_alloc(void)
{
    void *table = aligned_alloc(PAGE_SIZE, 2 * PAGE_SIZE);

    if (table != NULL) {
        memset(table, 0, 2 * PAGE_SIZE);
        tables_held++;
    }
    return table;
}

void hat_table_free(void *table)
{
    tables_held--;
    free(table);
}

pfn_t virt_to_pfn(const void *va)
{
    return PFN(((uintptr_t)va - KPM_BASE) >> PAGE_SHIFT);
}

mfn_t p2m_get(pfn_t pfn)
{
    return MFN((uintptr_t)pfn_to_virt(pfn) >> PAGE_SHIFT);
}

bool m2p_get(mfn_t mfn, pfn_t *pfn)
{
    *pfn = virt_to_pfn((const void *)(mfn.n << PAGE_SHIFT));
    return true;
}

struct page *page_of(pfn_t pfn)
{
    return (struct page *)((char *)pfn_to_virt(pfn) + PAGE_SIZE);
}

void *kzalloc(size_t size)
{
    return calloc(1, size);
}

void kfree(void *ptr)
{
    free(ptr);
}

/* ---- tables ---- */

static pte_t kernel_root[PTES_PER_TABLE];

const pte_t *hat_table_entry_of(mfn_t root, uint64_t va, unsigned level)
{
    const pte_t *table = (const pte_t *)(root.n << PAGE_SHIFT);

    for (unsigned at = 4; at > level; at--) {
        pte_t entry = table[pte_index(va, at)];

        if (!pte_present(entry)) {
            return NULL;
        }
        table = (const pte_t *)(pte_mfn(entry).n << PAGE_SHIFT);
    }
    return &table[pte_index(va, level)];
}

const pte_t *hat_table_entry(uint64_t va, unsigned level)
{
    assert_int_equal(level, 4);
    return &kernel_root[pte_index(va, level)];
}

mfn_t hat_kernel_root(void)
{
    return virt_to_mfn(kernel_root);
}

maddr_t hat_entry_maddr(const pte_t *entry)
{
    return (maddr_t){(uintptr_t)entry};
}

/* ---- the second vCPU ---- */

static struct cpu cpus[2];
static struct uhat *space;
static unsigned moment, comes_at;
static uint64_t kept[NPAGES]; /* its TLB: entries as it found them, 0 for none */

static void look_up(void)
{
    for (unsigned i = 0; i < NPAGES; i++) {
        const pte_t *entry = hat_table_entry_of(uhat_root(space), VA + i * PAGE_SIZE, 1);

        kept[i] = entry != NULL && pte_present(*entry) ? entry->v : 0;
    }
}

/* Another moment has passed. The vCPU says where it is, then loads the tables: uhat_switch(). */
static void tick(void)
{
    if (moment++ == comes_at) {
        cpus[OTHER].uhat = space;
        look_up();
    }
}

struct cpu *cpu_by_id(unsigned id)
{
    tick();
    return id < ARRAY_SIZE(cpus) ? &cpus[id] : NULL;
}

/* ---- the queue ---- */

static struct {
    bool open;
    unsigned n;
    struct {
        pte_t *entry; /* NULL: an operation */
        pte_t value;
        struct mmuext_op op;
    } at[QUEUED_MAX];
} queue;

struct mmuq *mmuq_begin(void)
{
    assert_false(queue.open);
    queue.open = true;
    return (struct mmuq *)&queue;
}

void mmuq_set_pte(struct mmuq *q __unused, maddr_t entry, pte_t value)
{
    assert_true(queue.n < QUEUED_MAX);
    queue.at[queue.n].entry = (pte_t *)entry.a;
    queue.at[queue.n++].value = value;
    tick();
}

void mmuq_set_pte_keep_ad(struct mmuq *q, maddr_t entry, pte_t value)
{
    mmuq_set_pte(q, entry, value);
}

void mmuq_ext(struct mmuq *q __unused, const struct mmuext_op *op)
{
    assert_true(queue.n < QUEUED_MAX);
    queue.at[queue.n].entry = NULL;
    queue.at[queue.n++].op = *op;
    tick();
}

/* The vCPUs of a flush look everything up again when they next need it. */
static void carry_out(const struct mmuext_op *op)
{
    const uint64_t *mask = op->arg2.vcpumask.p;

    if ((op->cmd == MMUEXT_TLB_FLUSH_MULTI || op->cmd == MMUEXT_INVLPG_MULTI) &&
        (mask[0] >> OTHER & 1) != 0) {
        look_up();
    }
}

void mmuq_send(struct mmuq *q __unused)
{
    for (unsigned i = 0; i < queue.n; i++) {
        if (queue.at[i].entry != NULL) {
            *queue.at[i].entry = queue.at[i].value;
        } else {
            carry_out(&queue.at[i].op);
        }
        tick();
    }
    queue.n = 0;
}

int mmuq_end(struct mmuq *q)
{
    mmuq_send(q);
    queue.open = false;
    return 0;
}

/* ---- the rest of the kernel ---- */

char hypercall_page[PAGE_SIZE]; /* named by uhat_switch(), which nothing here calls */

void frames_hold(void)
{
}

void frames_release(void)
{
}

void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    abort();
}

/* ---- the changes ---- */

static const mfn_t first[NPAGES] = {{0x100}, {0x101}, {0x102}};
static const mfn_t second[NPAGES] = {{0x200}, {0x201}, {0x202}};

static void unmap(size_t n)
{
    uhat_unmap(space, VA, n);
}

static void replace(size_t n)
{
    assert_int_equal(uhat_map(space, VA, second, n, HAT_READ), 0);
}

static void protect(size_t n)
{
    assert_int_equal(uhat_protect(space, VA, n, HAT_READ), 0);
}

/*
 * The other vCPU comes at moment @when. True: the change had fewer moments, so that there is none
 * left to try.
 */
static bool meet(void (*change)(size_t n), size_t n, unsigned when)
{
    memset(cpus, 0, sizeof(cpus));
    comes_at = UINT32_MAX;
    space = uhat_create();
    assert_non_null(space);
    assert_int_equal(uhat_map(space, VA, first, NPAGES, HAT_READ | HAT_WRITE), 0);
    moment = 0;
    comes_at = when;
    change(n);
    bool over = moment <= when;
    comes_at = UINT32_MAX;
    for (unsigned i = 0; i < NPAGES && !over; i++) {
        const pte_t *entry = hat_table_entry_of(uhat_root(space), VA + i * PAGE_SIZE, 1);
        uint64_t now = entry != NULL && pte_present(*entry) ? entry->v : 0;

        if (kept[i] != now && kept[i] != 0) {
            fail_msg("came at moment %u of %u: keeps %#lx of page %u, where now is %#lx", when,
                     moment, (unsigned long)kept[i], i, (unsigned long)now);
        }
    }
    cpus[OTHER].uhat = NULL;
    uhat_unmap(space, VA, NPAGES);
    uhat_destroy(space);
    assert_int_equal(tables_held, 0);
    return over;
}

static void at_every_moment(void (*change)(size_t n), size_t n)
{
    unsigned when = 0;

    while (!meet(change, n, when)) {
        when++;
    }
    assert_true(when > CPU_MAX); /* it was looked who is there */
}

static void who_comes_during_an_unmap(void **state)
{
    (void)state;
    at_every_moment(unmap, 1);
    at_every_moment(unmap, NPAGES);
}

static void who_comes_while_pages_are_replaced(void **state)
{
    (void)state;
    at_every_moment(replace, 1);
    at_every_moment(replace, NPAGES);
}

static void who_comes_while_protection_changes(void **state)
{
    (void)state;
    at_every_moment(protect, 1);
    at_every_moment(protect, NPAGES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_comes_during_an_unmap),
        cmocka_unit_test(who_comes_while_pages_are_replaced),
        cmocka_unit_test(who_comes_while_protection_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
