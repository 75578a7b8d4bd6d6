/*
 * hat.c - the kernel's page tables.
 *
 * hat_boot() makes the direct map. Its tables are the first free pages after the builder's. The
 * builder maps only a little memory behind the image, so a new table cannot be written where it
 * lies. Each is mapped at a scratch address, given its 512 entries, unmapped, and hooked into the
 * level above.
 *
 * Xen lets nobody map a page table writable, so the pages that are tables (the builder's and ours)
 * get read-only entries. When the direct map stands, the builder's mappings behind the image are
 * removed: from then on only the image's pages have a second address.
 *
 * Locks: hat_lock, over page_lock. Suspend: see hat.h.
 */
#include "hat/hat.h"

#include "hat/kvm.h"
#include "hat/layout.h"
#include "hat/mmuq.h"
#include "hat/p2m.h"
#include "kern/mem.h"
#include "kern/page.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "os/hypercall.h"
#include "os/panic.h"
#include "os/start_info.h"
#include "psm/cpu.h"

#define TOP_LEVEL 4

extern char _image_start[], _rodata_start[], _data_start[], _image_end[], boot_stack_guard[];

static char scratch[PAGE_SIZE] __aligned(PAGE_SIZE);
static spinlock_t hat_lock = SPINLOCK("hat");
static bool kpm_ready; /* the direct map exists */

/* Pages that are page tables while the direct map is built: two ranges of pfns. */
static pfn_t builder_tables, builder_tables_end, own_tables, own_tables_next;

mfn_t hat_kernel_root(void)
{
    return p2m_get(PFN((start_info->pt_base - KERNEL_BASE) >> PAGE_SHIFT));
}

/* ---- walking ---- */

/* Where a page of ours can be read: before the direct map, the builder's mapping. */
static const pte_t *table_at(mfn_t mfn)
{
    pfn_t pfn;

    if (!m2p_get(mfn, &pfn)) {
        panic("hat: page table in frame %#llx, which is not ours", (unsigned long long)mfn.n);
    }
    return kpm_ready ? pfn_to_virt(pfn) : (const pte_t *)(KERNEL_BASE + (pfn.n << PAGE_SHIFT));
}

const pte_t *hat_table_entry_of(mfn_t root, uint64_t va, unsigned level)
{
    const pte_t *entry = &table_at(root)[pte_index(va, TOP_LEVEL)];

    for (unsigned l = TOP_LEVEL; l > level; l--) {
        if (!pte_present(*entry)) {
            return NULL;
        }
        entry = &table_at(pte_mfn(*entry))[pte_index(va, l - 1)];
    }
    return entry;
}

const pte_t *hat_table_entry(uint64_t va, unsigned level)
{
    return hat_table_entry_of(hat_kernel_root(), va, level);
}

maddr_t hat_entry_maddr(const pte_t *entry)
{
    uintptr_t va = (uintptr_t)entry;
    pfn_t pfn = kpm_ready ? virt_to_pfn(entry) : PFN((va - KERNEL_BASE) >> PAGE_SHIFT);

    return (maddr_t){(p2m_get(pfn).n << PAGE_SHIFT) | (va & ~PAGE_MASK)};
}

/* ---- building the direct map ---- */

static void set_va_or_die(const void *va, pte_t pte)
{
    long rc = HYPERVISOR_update_va_mapping((unsigned long)va, pte.v, UVMF_INVLPG);

    if (rc != 0) {
        panic("hat: cannot map %p as %#llx: %ld", va, (unsigned long long)pte.v, rc);
    }
}

static void set_pte_or_die(maddr_t entry, pte_t pte)
{
    struct mmu_update update = {.ptr = entry.a | MMU_NORMAL_PT_UPDATE, .val = pte.v};
    long rc = HYPERVISOR_mmu_update(&update, 1, NULL, DOMID_SELF);

    if (rc != 0) {
        panic("hat: cannot write entry %#llx as %#llx: %ld", (unsigned long long)entry.a,
              (unsigned long long)pte.v, rc);
    }
}

static bool in_range(pfn_t pfn, pfn_t from, pfn_t to)
{
    return pfn.n >= from.n && pfn.n < to.n;
}

bool hat_is_table(pfn_t pfn)
{
    return in_range(pfn, builder_tables, builder_tables_end) ||
           in_range(pfn, own_tables, own_tables_next) ||
           (pfn.n < page_limit().n && page_of(pfn)->kind == PAGE_TABLE);
}

/* The protection of a page in the direct map. */
static uint64_t kpm_flags(pfn_t pfn, pfn_t tables_end)
{
    uintptr_t image_va = KERNEL_BASE + (pfn.n << PAGE_SHIFT);
    bool constant = image_va >= (uintptr_t)_image_start && image_va < (uintptr_t)_data_start;
    bool table =
        in_range(pfn, builder_tables, builder_tables_end) || in_range(pfn, own_tables, tables_end);

    return constant || table ? PTE_KERNEL_RO : PTE_KERNEL_RW;
}

/* Take the next page for a table, make it writable at scratch and empty. */
static pfn_t table_open(void)
{
    pfn_t pfn = own_tables_next;

    own_tables_next.n++;
    set_va_or_die(scratch, pte_make(p2m_get(pfn), PTE_KERNEL_RW));
    memset(scratch, 0, PAGE_SIZE);
    return pfn;
}

/* Close the table at scratch and hook it into its parent's entry. */
static void table_hook(pfn_t table, maddr_t parent_entry)
{
    set_va_or_die(scratch, PTE_NONE);
    set_pte_or_die(parent_entry, pte_make(p2m_get(table), PTE_TABLE_FLAGS));
}

static maddr_t table_entry_maddr(pfn_t table, unsigned index)
{
    return (maddr_t){(p2m_get(table).n << PAGE_SHIFT) + index * sizeof(pte_t)};
}

/* Make the tables of one level-2 table's gigabyte of the direct map. */
static void kpm_build_level1(pfn_t level2, uint64_t first, uint64_t limit, pfn_t tables_end)
{
    for (uint64_t i = 0; i < PTES_PER_TABLE && first < limit; i++, first += PTES_PER_TABLE) {
        pfn_t level1 = table_open();
        pte_t *entries = (pte_t *)scratch;

        for (uint64_t j = 0; j < PTES_PER_TABLE && first + j < limit; j++) {
            pfn_t pfn = PFN(first + j);

            if (mfn_is_valid(p2m_get(pfn))) {
                entries[j] = pte_make(p2m_get(pfn), kpm_flags(pfn, tables_end));
            }
        }
        table_hook(level1, table_entry_maddr(level2, (unsigned)i));
    }
}

/* How many tables the direct map of @pages pages takes. */
static uint64_t kpm_table_count(uint64_t pages)
{
    uint64_t level1 = DIV_ROUND_UP(pages, PTES_PER_TABLE);
    uint64_t level2 = DIV_ROUND_UP(level1, PTES_PER_TABLE);
    uint64_t level3 = DIV_ROUND_UP(level2, PTES_PER_TABLE);

    return level1 + level2 + level3;
}

/* The builder mapped the pages behind the image writable; those that become tables must not be. */
static void unmap_builder_alias(pfn_t from, pfn_t to)
{
    for (uint64_t pfn = from.n; pfn < to.n; pfn++) {
        const pte_t *entry = hat_table_entry(KERNEL_BASE + (pfn << PAGE_SHIFT), 1);

        if (entry != NULL && pte_present(*entry)) {
            set_pte_or_die(hat_entry_maddr(entry), PTE_NONE);
        }
    }
}

static void kpm_build(uint64_t pages)
{
    pfn_t tables_end = PFN(own_tables.n + kpm_table_count(pages));
    const pte_t *root = table_at(hat_kernel_root());
    const uint64_t per_level2 = (uint64_t)PTES_PER_TABLE * PTES_PER_TABLE;
    const uint64_t per_level3 = per_level2 * PTES_PER_TABLE;

    unmap_builder_alias(own_tables, tables_end);
    for (uint64_t base = 0; base < pages; base += per_level3) {
        pfn_t level3 = table_open();
        unsigned slot = pte_index(KPM_BASE + (base << PAGE_SHIFT), TOP_LEVEL);

        table_hook(level3, hat_entry_maddr(&root[slot]));
        for (uint64_t i = 0; i < PTES_PER_TABLE && base + i * per_level2 < pages; i++) {
            pfn_t level2 = table_open();

            table_hook(level2, table_entry_maddr(level3, (unsigned)i));
            kpm_build_level1(level2, base + i * per_level2, pages, tables_end);
        }
    }
    ASSERT(own_tables_next.n == tables_end.n);
    kpm_ready = true;
}

/* ---- the image ---- */

static void protect(const char *from, const char *to, uint64_t flags)
{
    for (; from < to; from += PAGE_SIZE) {
        set_va_or_die(from, flags == 0 ? PTE_NONE : pte_make(virt_to_mfn(from), flags));
    }
}

/* Data stay mapped as they are (one page of them is Xen's shared_info), but not to be executed. */
static void forbid_execution(const char *from, const char *to)
{
    for (; from < to; from += PAGE_SIZE) {
        const pte_t *entry = hat_table_entry((uint64_t)from, 1);

        if (entry != NULL && pte_present(*entry)) {
            set_va_or_die(from, (pte_t){entry->v | PTE_NX});
        }
    }
}

static pfn_t boot_va_to_pfn(uintptr_t va)
{
    return PFN((va - KERNEL_BASE) >> PAGE_SHIFT);
}

pfn_t hat_boot(void)
{
    this_cpu()->mmuq = mmuq_boot_queue();
    builder_tables = boot_va_to_pfn(start_info->pt_base);
    builder_tables_end = PFN(builder_tables.n + start_info->nr_pt_frames);
    /* One page of builder's stack follows its tables, the last thing it placed. */
    own_tables = own_tables_next = PFN(builder_tables_end.n + 1);
    kpm_build(p2m_limit().n);
    p2m_boot();
    protect(_image_start, _rodata_start, PTE_KERNEL_RX);
    protect(_rodata_start, _data_start, PTE_KERNEL_RO);
    forbid_execution(_data_start, _image_end);
    protect(boot_stack_guard, boot_stack_guard + PAGE_SIZE, 0);
    return own_tables_next;
}

void hat_boot_finish(void)
{
    pfn_t end = boot_va_to_pfn((uintptr_t)_image_end);

    /* start_info lies in that part: from here on it is read through the direct map. */
    start_info = pfn_to_virt(boot_va_to_pfn((uintptr_t)start_info));
    for (uint64_t pfn = end.n; hat_table_entry(KERNEL_BASE + (pfn << PAGE_SHIFT), 1) != NULL;
         pfn++) {
        if (!in_range(PFN(pfn), builder_tables, builder_tables_end)) {
            unmap_builder_alias(PFN(pfn), PFN(pfn + 1));
        }
    }
    page_account_tables((long)(start_info->nr_pt_frames + own_tables_next.n - own_tables.n));
}

/* ---- tables on demand ---- */

static void kpm_protect(const void *page, uint64_t flags)
{
    frames_hold();
    set_va_or_die(page, pte_make(virt_to_mfn(page), flags));
    frames_release();
}

void *hat_table_alloc(void)
{
    void *page = page_alloc_zeroed(0);

    if (page != NULL) {
        page_set_kind(page, 0, PAGE_TABLE);
        kpm_protect(page, PTE_KERNEL_RO);
        page_account_tables(1);
    }
    return page;
}

void hat_table_free(void *table)
{
    kpm_protect(table, PTE_KERNEL_RW);
    page_set_kind(table, 0, PAGE_USED);
    page_account_tables(-1);
    page_free(table, 0);
}

/* Make the table below @va's entry of @level, if it is missing. hat_lock held. */
static int populate_level(uint64_t va, unsigned level)
{
    const pte_t *entry = hat_table_entry(va, level);

    if (pte_present(*entry)) {
        return 0;
    }
    void *table = hat_table_alloc();
    if (table == NULL) {
        return -ENOMEM;
    }
    set_pte_or_die(hat_entry_maddr(entry), pte_make(virt_to_mfn(table), PTE_TABLE_FLAGS));
    page_account_map(1);
    return 0;
}

int hat_populate(uint64_t va, size_t npages)
{
    uint64_t end = va + npages * PAGE_SIZE;
    int rc = 0;

    upcall_state_t state = spin_lock(&hat_lock);
    for (va &= ~(LEVEL_SPAN(2) - 1); va < end && rc == 0; va += LEVEL_SPAN(2)) {
        for (unsigned level = TOP_LEVEL; level > 1 && rc == 0; level--) {
            rc = populate_level(va, level);
        }
    }
    spin_unlock(&hat_lock, state);
    return rc;
}

void hat_kpm_unmap(const pfn_t *pfns, mfn_t *mfns, size_t n)
{
    struct mmuq *q = mmuq_begin();

    for (size_t i = 0; i < n; i++) {
        mmuq_set_pte(q, kvm_pte_maddr(pfn_to_virt(pfns[i])), PTE_NONE);
    }
    mmuq_flush_all(q, pfn_to_virt(pfns[0]), n);
    int rc = mmuq_end(q);

    ASSERT(rc == 0);
    for (size_t i = 0; i < n; i++) {
        mfns[i] = p2m_get(pfns[i]);
        p2m_set(pfns[i], MFN_INVALID);
    }
}

int hat_kpm_map(pfn_t pfn, mfn_t mfn)
{
    uint64_t va = (uint64_t)pfn_to_virt(pfn);

    frames_hold();
    /* A page that was mapped before has its tables still. */
    int rc = hat_table_entry(va, 1) != NULL ? 0 : hat_populate(va, 1);

    if (rc == 0) {
        p2m_set(pfn, mfn);
        set_va_or_die(pfn_to_virt(pfn), pte_make(mfn, PTE_KERNEL_RW));
    }
    frames_release();
    return rc;
}
