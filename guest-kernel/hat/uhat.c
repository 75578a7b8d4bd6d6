/*
 * uhat.c - the page tables of one address space.
 *
 * The reference count of a table's struct page counts its present entries, so that an unmap
 * knows when a table is empty. All changes go through the queue of mmuq.h; the points where it
 * must be flushed are the ends of the batches: before a table is used (map), and before a table or
 * a page is given back (unmap: entries, TLB, then the parent's entry, then the page). Locks and
 * suspend: see uhat.h.
 */
#include "hat/uhat.h"

#include "hat/hat.h"
#include "hat/layout.h"
#include "hat/mmuq.h"
#include "hat/p2m.h"
#include "kern/mem.h"
#include "kern/page.h"
#include "kern/thread.h"
#include "os/hypercall.h"
#include "os/panic.h"
#include "psm/cpu.h"

#define TOP_LEVEL  4
#define BATCH      256 /* pages per queue: upcalls are masked that long */
#define INDEX_USER pte_index(USER_END, TOP_LEVEL)

struct uhat {
    void *kernel_root; /* level 4, with the kernel's slots */
    void *user_root;   /* level 4, without */
    unsigned tables;
};

unsigned uhat_tables(const struct uhat *h)
{
    return h->tables;
}

mfn_t uhat_root(const struct uhat *h)
{
    return virt_to_mfn(h->kernel_root);
}

static struct page *table_page(const void *table)
{
    return page_of(virt_to_pfn(table));
}

static const void *entry_table(const pte_t *entry)
{
    return (const void *)((uintptr_t)entry & PAGE_MASK);
}

static uint64_t uhat_prot_flags(enum hat_prot prot)
{
    uint64_t flags = PTE_PRESENT | PTE_USER | PTE_ACCESSED;

    flags |= prot & HAT_WRITE ? PTE_WRITE : 0;
    flags |= prot & HAT_EXEC ? 0 : PTE_NX;
    return flags;
}

static const pte_t *uhat_find(const struct uhat *h, uint64_t va, unsigned level)
{
    return hat_table_entry_of(uhat_root(h), va, level);
}

/* ---- birth and death ---- */

static int pin(void *table, unsigned cmd)
{
    struct mmuq *q = mmuq_begin();
    struct mmuext_op op = {.cmd = cmd, .arg1.mfn = virt_to_mfn(table).n};

    mmuq_ext(q, &op);
    return mmuq_end(q);
}

/* The kernel's own slots, shared by every address space: copied once, they do not change. */
static void fill_kernel_slots(void *root)
{
    struct mmuq *q = mmuq_begin();
    const pte_t *kernel = hat_table_entry(KPM_BASE, TOP_LEVEL);
    unsigned first = pte_index(KPM_BASE, TOP_LEVEL);

    for (unsigned i = first; i < PTES_PER_TABLE; i++) {
        if (pte_present(kernel[i - first])) {
            mmuq_set_pte(q, hat_entry_maddr((const pte_t *)root + i), kernel[i - first]);
        }
    }
    int rc = mmuq_end(q);
    ASSERT(rc == 0);
}

struct uhat *uhat_create(void)
{
    struct uhat *h = kzalloc(sizeof(*h));

    if (h == NULL) {
        return NULL;
    }
    h->kernel_root = hat_table_alloc();
    h->user_root = h->kernel_root == NULL ? NULL : hat_table_alloc();
    if (h->user_root == NULL) {
        if (h->kernel_root != NULL) {
            hat_table_free(h->kernel_root);
        }
        kfree(h);
        return NULL;
    }
    h->tables = 2;
    int rc = pin(h->kernel_root, MMUEXT_PIN_L4_TABLE);
    rc = rc == 0 ? pin(h->user_root, MMUEXT_PIN_L4_TABLE) : rc;
    ASSERT(rc == 0);
    fill_kernel_slots(h->kernel_root);
    return h;
}

void uhat_destroy(struct uhat *h)
{
    ASSERT(h->tables == 2);
    int rc = pin(h->kernel_root, MMUEXT_UNPIN_TABLE);
    rc = rc == 0 ? pin(h->user_root, MMUEXT_UNPIN_TABLE) : rc;
    ASSERT(rc == 0);
    hat_table_free(h->kernel_root);
    hat_table_free(h->user_root);
    kfree(h);
}

/* ---- tables ---- */

/* Write a table's entry; a level-4 entry goes into both roots. */
static void queue_table_entry(const struct uhat *h, struct mmuq *q, const pte_t *entry, pte_t value)
{
    mmuq_set_pte(q, hat_entry_maddr(entry), value);
    if (entry_table(entry) == h->kernel_root) {
        const pte_t *twin = (const pte_t *)h->user_root + (entry - (const pte_t *)h->kernel_root);

        mmuq_set_pte(q, hat_entry_maddr(twin), value);
    }
}

static int write_table_entry(const struct uhat *h, const pte_t *entry, pte_t value)
{
    struct mmuq *q = mmuq_begin();

    queue_table_entry(h, q, entry, value);
    return mmuq_end(q);
}

/* The level-1 entry for @va, its tables made if need be; NULL when memory ran out. */
static const pte_t *make_tables(struct uhat *h, uint64_t va)
{
    for (unsigned level = TOP_LEVEL; level > 1; level--) {
        const pte_t *entry = uhat_find(h, va, level);

        if (pte_present(*entry)) {
            continue;
        }
        void *table = hat_table_alloc();
        if (table == NULL) {
            return NULL;
        }
        table_page(table)->refs = 0;
        if (write_table_entry(h, entry, pte_make(virt_to_mfn(table), PTE_TABLE_FLAGS)) != 0) {
            hat_table_free(table);
            return NULL;
        }
        h->tables++;
        table_page(entry_table(entry))->refs += entry_table(entry) != h->kernel_root;
    }
    return uhat_find(h, va, 1);
}

/* Give back the tables on the way to @va that have become empty. */
static void drop_tables(struct uhat *h, uint64_t va)
{
    for (unsigned level = 2; level <= TOP_LEVEL; level++) {
        const pte_t *entry = uhat_find(h, va, level);
        pfn_t pfn;

        if (entry == NULL || !pte_present(*entry)) {
            continue;
        }
        bool ours = m2p_get(pte_mfn(*entry), &pfn);
        ASSERT(ours);
        if (page_of(pfn)->refs > 0) {
            return;
        }
        int rc = write_table_entry(h, entry, PTE_NONE);
        ASSERT(rc == 0);
        hat_table_free(pfn_to_virt(pfn));
        h->tables--;
        table_page(entry_table(entry))->refs -= entry_table(entry) != h->kernel_root;
    }
}

/* ---- TLB ---- */

/*
 * Have the CPUs that are on the space forget translations: all, or one page's. The entries are
 * written first. Then a CPU that comes to the space either has said so before we look, and is
 * flushed, or says so after, and finds the new entries: uhat_switch() says it before it loads the
 * tables, and both sides have a barrier between what they write and what they read. One that leaves
 * says so before its TLB is flushed by the load of other tables, but does not use the space any
 * more.
 */
static void write_and_flush(const struct uhat *h, struct mmuq *q, uint64_t va, size_t n,
                            uint64_t cpus[CPU_MAX / 64])
{
    struct mmuext_op op = {.cmd = MMUEXT_TLB_FLUSH_MULTI};
    bool any = false;

    mmuq_send(q);
    mb();
    for (unsigned id = 0; id < CPU_MAX; id++) {
        const struct cpu *cpu = cpu_by_id(id);

        if (cpu != NULL && READ_ONCE(cpu->uhat) == h) {
            cpus[id / 64] |= 1ull << (id % 64);
            any = true;
        }
    }
    if (!any) {
        return;
    }
    if (n == 1) {
        op.cmd = MMUEXT_INVLPG_MULTI;
        op.arg1.linear_addr = va;
    }
    set_xen_guest_handle(op.arg2.vcpumask, cpus);
    mmuq_ext(q, &op);
}

/* ---- entries ---- */

static bool range_ok(uint64_t va, size_t n)
{
    return va % PAGE_SIZE == 0 && va < USER_END && n <= (USER_END - va) / PAGE_SIZE;
}

/* Map at most BATCH pages, all tables of which exist by then. */
static int map_batch(struct uhat *h, uint64_t va, const mfn_t *mfns, size_t n, enum hat_prot prot)
{
    uint64_t cpus[CPU_MAX / 64] = {0};
    const pte_t *entry = NULL;
    bool replaced = false;

    for (size_t i = 0; i < n; i++) {
        if (make_tables(h, va + i * PAGE_SIZE) == NULL) {
            for (size_t j = 0; j <= i; j++) {
                drop_tables(h, va + j * PAGE_SIZE);
            }
            return -ENOMEM;
        }
    }
    struct mmuq *q = mmuq_begin();
    for (size_t i = 0; i < n; i++) {
        uint64_t at = va + i * PAGE_SIZE;

        entry = entry == NULL || pte_index(at, 1) == 0 ? uhat_find(h, at, 1) : entry + 1;
        replaced |= pte_present(*entry);
        table_page(entry_table(entry))->refs += !pte_present(*entry);
        mmuq_set_pte(q, hat_entry_maddr(entry), pte_make(mfns[i], uhat_prot_flags(prot)));
    }
    if (replaced) {
        write_and_flush(h, q, va, n, cpus);
    }
    return mmuq_end(q);
}

int uhat_map(struct uhat *h, uint64_t va, const mfn_t *mfns, size_t n, enum hat_prot prot)
{
    int rc = range_ok(va, n) ? 0 : -EINVAL;

    frames_hold();
    for (size_t done = 0; done < n && rc == 0; done += BATCH) {
        rc = map_batch(h, va + done * PAGE_SIZE, mfns + done, MIN(n - done, BATCH), prot);
    }
    frames_release();
    return rc;
}

static void unmap_batch(struct uhat *h, uint64_t va, size_t n)
{
    uint64_t cpus[CPU_MAX / 64] = {0};
    struct mmuq *q = mmuq_begin();

    for (size_t i = 0; i < n; i++) {
        const pte_t *entry = uhat_find(h, va + i * PAGE_SIZE, 1);

        if (entry != NULL && pte_present(*entry)) {
            table_page(entry_table(entry))->refs--;
            mmuq_set_pte(q, hat_entry_maddr(entry), PTE_NONE);
        }
    }
    write_and_flush(h, q, va, n, cpus);
    int rc = mmuq_end(q);
    ASSERT(rc == 0);
}

void uhat_unmap(struct uhat *h, uint64_t va, size_t n)
{
    ASSERT(range_ok(va, n));
    frames_hold();
    for (size_t done = 0; done < n; done += BATCH) {
        unmap_batch(h, va + done * PAGE_SIZE, MIN(n - done, BATCH));
    }
    for (uint64_t at = va & ~(LEVEL_SPAN(2) - 1); at < va + n * PAGE_SIZE; at += LEVEL_SPAN(2)) {
        drop_tables(h, at);
    }
    frames_release();
}

static int protect_batch(struct uhat *h, uint64_t va, size_t n, enum hat_prot prot)
{
    uint64_t cpus[CPU_MAX / 64] = {0};
    struct mmuq *q = mmuq_begin();

    for (size_t i = 0; i < n; i++) {
        const pte_t *entry = uhat_find(h, va + i * PAGE_SIZE, 1);

        if (entry != NULL && pte_present(*entry)) {
            mmuq_set_pte_keep_ad(q, hat_entry_maddr(entry),
                                 pte_make(pte_mfn(*entry), uhat_prot_flags(prot)));
        }
    }
    write_and_flush(h, q, va, n, cpus);
    return mmuq_end(q);
}

int uhat_protect(struct uhat *h, uint64_t va, size_t n, enum hat_prot prot)
{
    int rc = range_ok(va, n) ? 0 : -EINVAL;

    frames_hold();
    for (size_t done = 0; done < n && rc == 0; done += BATCH) {
        rc = protect_batch(h, va + done * PAGE_SIZE, MIN(n - done, BATCH), prot);
    }
    frames_release();
    return rc;
}

bool uhat_query(const struct uhat *h, uint64_t va, struct uhat_entry *out)
{
    frames_hold();
    const pte_t *entry = va < USER_END ? uhat_find(h, va, 1) : NULL;
    pte_t pte = entry == NULL ? PTE_NONE : *entry;
    frames_release();

    if (!pte_present(pte)) {
        return false;
    }
    *out = (struct uhat_entry){.mfn = pte_mfn(pte),
                               .prot = (pte.v & PTE_WRITE ? HAT_WRITE : HAT_READ) |
                                       (pte.v & PTE_NX ? HAT_READ : HAT_EXEC),
                               .accessed = pte.v & PTE_ACCESSED,
                               .dirty = pte.v & PTE_DIRTY};
    return true;
}

uint64_t uhat_next(const struct uhat *h, uint64_t va, uint64_t end)
{
    frames_hold();
    while (va < end) {
        unsigned level = TOP_LEVEL;
        const pte_t *entry = uhat_find(h, va, level);

        while (pte_present(*entry) && level > 1) {
            entry = uhat_find(h, va, --level);
        }
        if (pte_present(*entry)) {
            break;
        }
        va = (va | (LEVEL_SPAN(level) - 1)) + 1;
    }
    frames_release();
    return MIN(va, end);
}

void uhat_switch(struct cpu *cpu, struct uhat *h)
{
    mfn_t kernel = h == NULL ? hat_kernel_root() : virt_to_mfn(h->kernel_root);
    mfn_t user = h == NULL ? MFN(0) : virt_to_mfn(h->user_root);
    struct mmuext_op ops[] = {
        {.cmd = MMUEXT_NEW_BASEPTR, .arg1.mfn = kernel.n},
        {.cmd = MMUEXT_NEW_USER_BASEPTR, .arg1.mfn = user.n},
    };

    WRITE_ONCE(cpu->uhat, h);
    mb(); /* see write_and_flush() */
    long rc = HYPERVISOR_mmuext_op(ops, ARRAY_SIZE(ops), NULL, DOMID_SELF);
    ASSERT(rc == 0);
}
