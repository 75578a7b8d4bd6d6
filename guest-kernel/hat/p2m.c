/*
 * p2m.c - the tables between pfns and mfns, and their announcement to the toolstack.
 *
 * The domain builder's linear array is used in place, first through the builder's mapping, then
 * through the direct map, until the domain is to get larger: then it is copied into kvm, where it
 * has room. p2m_publish() builds the three-level list that toolstacks read at a save
 * or a dump: a page of mfns of pages of mfns of the array's pages.
 * Locks: p2m_lock over changes; readers take none. Suspend: publish again, since all mfns in the
 * lists have changed.
 */
#include "hat/p2m.h"

#include "hat/hat.h"
#include "hat/kvm.h"
#include "kern/lock.h"
#include "kern/mem.h"
#include "kern/page.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "os/panic.h"
#include "os/start_info.h"
#include "psm/trap.h"

#define MFNS_PER_PAGE (PAGE_SIZE / sizeof(xen_pfn_t))

extern char _image_start[], _image_end[];

static spinlock_t p2m_lock = SPINLOCK("p2m");
static uint64_t *p2m; /* indexed by pfn */
static uint64_t p2m_entries;
static uint64_t *list_top, *list_middle; /* the three-level list, in kvm */

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

    if (va >= KPM_BASE && va < KPM_BASE + (p2m_limit().n << PAGE_SHIFT)) {
        return PFN((va - KPM_BASE) >> PAGE_SHIFT);
    }
    if (va >= (uintptr_t)_image_start && va < (uintptr_t)_image_end) {
        return PFN((va - KERNEL_BASE) >> PAGE_SHIFT);
    }
    panic("virt_to_pfn: %p is neither in the direct map nor in the image", address);
}

mfn_t p2m_get(pfn_t pfn)
{
    uint64_t entries = p2m_limit().n; /* before the array, which may be replaced by a larger one */

    return pfn.n < entries ? MFN(READ_ONCE(READ_ONCE(p2m)[pfn.n])) : MFN_INVALID;
}

void p2m_set(pfn_t pfn, mfn_t mfn)
{
    unsigned long *generation = &shared_info->arch.p2m_generation;

    ASSERT(pfn.n < p2m_entries);
    upcall_state_t state = spin_lock(&p2m_lock);
    __atomic_fetch_add(generation, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&p2m[pfn.n], mfn.n, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(generation, 1, __ATOMIC_SEQ_CST);
    spin_unlock(&p2m_lock, state);
}

pfn_t p2m_limit(void)
{
    return PFN(__atomic_load_n(&p2m_entries, __ATOMIC_ACQUIRE));
}

bool m2p_get(mfn_t mfn, pfn_t *pfn)
{
    const uint64_t *entry = &((const uint64_t *)MACH2PHYS_VIRT_START)[mfn.n];
    uint64_t candidate;

    if (mfn.n >= MACH2PHYS_NR_ENTRIES || safe_read64(entry, &candidate) != 0 ||
        p2m_get(PFN(candidate)).n != mfn.n) {
        return false;
    }
    *pfn = PFN(candidate);
    return true;
}

/* The frame behind an address of the direct map, the image or kvm. */
static mfn_t kernel_to_mfn(const char *va)
{
    return (uintptr_t)va >= KVM_BASE && (uintptr_t)va < KVM_END ? kvm_to_mfn(va) : virt_to_mfn(va);
}

/* One level of the list: the mfns of the @count pages at @from. */
static void fill_list(uint64_t *list, const char *from, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        list[i] = kernel_to_mfn(from + i * PAGE_SIZE).n;
    }
}

/* Enter the frames of an array of @count entries, and of the middle pages, into the lists. */
static void fill_lists(const uint64_t *entries, uint64_t count, uint64_t *top, uint64_t *middle)
{
    uint64_t leaves = DIV_ROUND_UP(count, MFNS_PER_PAGE);

    fill_list(middle, (const char *)entries, leaves);
    fill_list(top, (const char *)middle, DIV_ROUND_UP(leaves, MFNS_PER_PAGE));
}

/* Make the lists for an array of @entries. 0 or -ENOMEM. */
static int make_lists(const uint64_t *entries, uint64_t count, uint64_t **top, uint64_t **middle)
{
    uint64_t leaves = DIV_ROUND_UP(count, MFNS_PER_PAGE);
    uint64_t middles = DIV_ROUND_UP(leaves, MFNS_PER_PAGE);

    *top = page_alloc_zeroed(0);
    *middle = kvm_alloc(middles);
    if (*top == NULL || *middle == NULL || middles > MFNS_PER_PAGE) {
        if (*top != NULL) {
            page_free(*top, 0);
        }
        kvm_free(*middle, middles);
        return -ENOMEM;
    }
    memset(*middle, 0, middles * PAGE_SIZE);
    fill_lists(entries, count, *top, *middle);
    return 0;
}

void p2m_publish(void)
{
    struct arch_shared_info *arch = &shared_info->arch;

    if (list_top == NULL && make_lists(p2m, p2m_entries, &list_top, &list_middle) != 0) {
        panic("no memory for the p2m frame list of %llu pages", (unsigned long long)p2m_entries);
    }
    arch->p2m_cr3 = 0; /* nobody shall follow it while the rest changes */
    wmb();
    arch->max_pfn = p2m_entries;
    arch->pfn_to_mfn_frame_list_list = virt_to_mfn(list_top).n;
    arch->p2m_vaddr = (unsigned long)p2m;
    arch->p2m_generation = 0;
    wmb();
    arch->p2m_cr3 = xen_pfn_to_cr3(hat_kernel_root().n);
}

void p2m_resume(void)
{
    fill_lists(p2m, p2m_entries, list_top, list_middle);
    p2m_publish();
}

/* p2m_grow() while the frames stay. */
static int grow_held(pfn_t limit)
{
    uint64_t npages = DIV_ROUND_UP(limit.n, MFNS_PER_PAGE);
    uint64_t *top, *middle, *larger = kvm_alloc(npages);

    if (larger == NULL) {
        return -ENOMEM;
    }
    memset(larger, 0xff, npages * PAGE_SIZE); /* MFN_INVALID */
    if (make_lists(larger, limit.n, &top, &middle) != 0) {
        kvm_free(larger, npages);
        return -ENOMEM;
    }
    /* The old array and lists stay: a reader, or the toolstack, may be on them still. */
    upcall_state_t state = spin_lock(&p2m_lock);
    memcpy(larger, p2m, p2m_entries * sizeof(*p2m));
    WRITE_ONCE(p2m, larger);
    __atomic_store_n(&p2m_entries, limit.n, __ATOMIC_RELEASE);
    list_top = top;
    list_middle = middle;
    p2m_publish();
    spin_unlock(&p2m_lock, state);
    page_account_map(npages + DIV_ROUND_UP(npages, MFNS_PER_PAGE) + 1);
    return 0;
}

int p2m_grow(pfn_t limit)
{
    if (limit.n <= p2m_entries) {
        return 0;
    }
    frames_hold();
    int rc = grow_held(limit);
    frames_release();
    return rc;
}
