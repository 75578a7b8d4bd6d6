/*
 * p2m.c - the tables between pfns and mfns, and their announcement to the toolstack.
 *
 * The domain builder's linear array is used in place, first through the builder's mapping, then
 * through the direct map. p2m_publish() builds the three-level list that toolstacks
 * read at a save or a dump: a page of mfns of pages of mfns of the array's pages.
 * Locks: none; see p2m.h. Suspend: publish again, since all mfns in the lists have changed.
 */
#include "hat/p2m.h"

#include "hat/hat.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "os/panic.h"
#include "os/start_info.h"
#include "psm/trap.h"

#define MFNS_PER_PAGE (PAGE_SIZE / sizeof(xen_pfn_t))

extern char _image_start[], _image_end[];

static uint64_t *p2m; /* indexed by pfn */
static uint64_t p2m_entries;

void p2m_boot_early(void)
{
    p2m = (uint64_t *)start_info->mfn_list;
    p2m_entries = start_info->nr_pages;
}

void p2m_boot(void)
{
    p2m = pfn_to_virt(PFN((start_info->mfn_list - KERNEL_BASE) >> PAGE_SHIFT));
}

pfn_t virt_to_pfn(const void *address)
{
    uintptr_t va = (uintptr_t)address;

    if (va >= KPM_BASE && va < KPM_BASE + (p2m_entries << PAGE_SHIFT)) {
        return PFN((va - KPM_BASE) >> PAGE_SHIFT);
    }
    if (va >= (uintptr_t)_image_start && va < (uintptr_t)_image_end) {
        return PFN((va - KERNEL_BASE) >> PAGE_SHIFT);
    }
    panic("virt_to_pfn: %p is neither in the direct map nor in the image", address);
}

mfn_t p2m_get(pfn_t pfn)
{
    return pfn.n < p2m_entries ? MFN(READ_ONCE(p2m[pfn.n])) : MFN_INVALID;
}

void p2m_set(pfn_t pfn, mfn_t mfn)
{
    unsigned long *generation = &shared_info->arch.p2m_generation;

    ASSERT(pfn.n < p2m_entries);
    __atomic_fetch_add(generation, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&p2m[pfn.n], mfn.n, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(generation, 1, __ATOMIC_SEQ_CST);
}

pfn_t p2m_limit(void)
{
    return PFN(p2m_entries);
}

bool m2p_get(mfn_t mfn, pfn_t *pfn)
{
    const uint64_t *entry = &((const uint64_t *)MACH2PHYS_VIRT_START)[mfn.n];
    uint64_t candidate;

    if (mfn.n >= MACH2PHYS_NR_ENTRIES || safe_read64(entry, &candidate) != 0 ||
        candidate >= p2m_entries || p2m_get(PFN(candidate)).n != mfn.n) {
        return false;
    }
    *pfn = PFN(candidate);
    return true;
}

/* One level of the list: a page of the mfns of the pages that hold @count entries at @from. */
static void fill_list(uint64_t *list, const char *from, uint64_t pages_below)
{
    for (uint64_t i = 0; i < pages_below; i++) {
        list[i] = virt_to_mfn(from + i * PAGE_SIZE).n;
    }
}

void p2m_publish(void)
{
    static uint64_t *top, *middle;
    uint64_t leaves = DIV_ROUND_UP(p2m_entries, MFNS_PER_PAGE);
    uint64_t middles = DIV_ROUND_UP(leaves, MFNS_PER_PAGE);
    unsigned order = 0;

    while ((1ull << order) < middles) {
        order++;
    }
    if (top == NULL) {
        top = page_alloc_zeroed(0);
        middle = page_alloc_zeroed(order);
    }
    if (top == NULL || middle == NULL || middles > MFNS_PER_PAGE) {
        panic("no memory for the p2m frame list of %llu pages", (unsigned long long)p2m_entries);
    }
    fill_list(middle, (const char *)p2m, leaves);
    fill_list(top, (const char *)middle, middles);

    shared_info->arch.max_pfn = p2m_entries;
    shared_info->arch.pfn_to_mfn_frame_list_list = virt_to_mfn(top).n;
    shared_info->arch.p2m_vaddr = (unsigned long)p2m;
    shared_info->arch.p2m_generation = 0;
    wmb();
    shared_info->arch.p2m_cr3 = xen_pfn_to_cr3(hat_kernel_root().n);
}
