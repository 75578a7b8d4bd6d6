/*
 * kvm.c - the kernel's own virtual space.
 *
 * Address space is handed out from low to high; a released region goes into a list of holes by size
 * and is used again for the next request that fits exactly, which suits stacks and grant frames.
 * Every region has one page in front of it that is never mapped.
 * Locks: kvm_lock over the holes. Suspend: see kvm.h.
 */
#include "hat/kvm.h"

#include <xen_list.h>

#include "hat/hat.h"
#include "hat/layout.h"
#include "hat/mmuq.h"
#include "hat/p2m.h"
#include "kern/lock.h"
#include "kern/mem.h"
#include "kern/thread.h"
#include "os/panic.h"

struct hole {
    uint64_t va;
    size_t npages;
    XEN_LIST_ENTRY(struct hole) link;
};

static spinlock_t kvm_lock = SPINLOCK("kvm");
static XEN_LIST_HEAD(hole_list, struct hole) holes;
static uint64_t kvm_next = KVM_BASE;

/* A released region of exactly this size, or 0. */
static uint64_t hole_take(size_t npages)
{
    struct hole *hole;
    uint64_t va = 0;

    upcall_state_t state = spin_lock(&kvm_lock);
    XEN_LIST_FOREACH (hole, &holes, link) {
        if (hole->npages == npages) {
            XEN_LIST_REMOVE(hole, link);
            va = hole->va;
            break;
        }
    }
    spin_unlock(&kvm_lock, state);
    kfree(va != 0 ? hole : NULL);
    return va;
}

void *kvm_reserve(size_t npages)
{
    uint64_t va = hole_take(npages);

    if (va != 0) {
        return (void *)va;
    }
    upcall_state_t state = spin_lock(&kvm_lock);
    va = kvm_next + PAGE_SIZE;
    if (npages < (KVM_END - va) / PAGE_SIZE) {
        kvm_next = va + npages * PAGE_SIZE;
    } else {
        va = 0;
    }
    spin_unlock(&kvm_lock, state);
    frames_hold();
    bool populated = va != 0 && hat_populate(va - PAGE_SIZE, npages + 1) == 0;
    frames_release();
    return populated ? (void *)va : NULL;
}

void kvm_release(void *va, size_t npages)
{
    struct hole *hole = va == NULL ? NULL : kmalloc(sizeof(*hole));

    if (hole == NULL) {
        return; /* without a record the addresses are lost, not the memory */
    }
    *hole = (struct hole){.va = (uint64_t)va, .npages = npages};
    upcall_state_t state = spin_lock(&kvm_lock);
    XEN_LIST_INSERT_HEAD(&holes, hole, link);
    spin_unlock(&kvm_lock, state);
}

static uint64_t kvm_prot_flags(enum hat_prot prot)
{
    uint64_t flags = prot & HAT_WRITE ? PTE_KERNEL_RW : PTE_KERNEL_RO;

    return prot & HAT_EXEC ? flags & ~PTE_NX : flags;
}

maddr_t kvm_pte_maddr(const void *va)
{
    const pte_t *entry = hat_table_entry((uint64_t)va, 1);

    ASSERT(entry != NULL);
    return hat_entry_maddr(entry);
}

int kvm_map(void *va, const mfn_t *mfns, size_t n, enum hat_prot prot)
{
    struct mmuq *q = mmuq_begin(); /* upcalls are masked: nobody suspends */

    for (size_t i = 0; i < n; i++) {
        mmuq_set_pte(q, kvm_pte_maddr((char *)va + i * PAGE_SIZE),
                     pte_make(mfns[i], kvm_prot_flags(prot)));
    }
    return mmuq_end(q);
}

void kvm_unmap(void *va, size_t n)
{
    struct mmuq *q = mmuq_begin();

    for (size_t i = 0; i < n; i++) {
        mmuq_set_pte(q, kvm_pte_maddr((char *)va + i * PAGE_SIZE), PTE_NONE);
    }
    mmuq_flush_all(q, va, n);
    if (mmuq_end(q) != 0) {
        panic("kvm_unmap: %p is no mapping of ours", va);
    }
}

mfn_t kvm_to_mfn(const void *va)
{
    const pte_t *entry = hat_table_entry((uint64_t)va, 1);

    return entry != NULL && pte_present(*entry) ? pte_mfn(*entry) : MFN_INVALID;
}

/* Unmap and free the pages of a kvm_alloc() that got as far as @npages. */
static void free_pages(char *va, size_t npages)
{
    for (size_t i = 0; i < npages; i++) {
        pfn_t pfn;

        frames_hold();
        bool ours = m2p_get(kvm_to_mfn(va + i * PAGE_SIZE), &pfn);
        frames_release();
        ASSERT(ours);
        kvm_unmap(va + i * PAGE_SIZE, 1);
        page_free(pfn_to_virt(pfn), 0);
    }
}

/* Map a fresh page. 0, -ENOMEM or Xen's refusal. */
static int add_page(char *va)
{
    void *page = page_alloc(0);

    if (page == NULL) {
        return -ENOMEM;
    }
    frames_hold();
    mfn_t mfn = virt_to_mfn(page);
    int rc = kvm_map(va, &mfn, 1, HAT_WRITE);
    frames_release();
    if (rc != 0) {
        page_free(page, 0);
    }
    return rc;
}

void *kvm_alloc(size_t npages)
{
    char *va = kvm_reserve(npages);

    for (size_t i = 0; va != NULL && i < npages; i++) {
        if (add_page(va + i * PAGE_SIZE) != 0) {
            free_pages(va, i);
            kvm_release(va, npages);
            return NULL;
        }
    }
    return va;
}

void kvm_free(void *va, size_t npages)
{
    if (va != NULL) {
        free_pages(va, npages);
        kvm_release(va, npages);
    }
}
