/*
 * p2m.h - from pages of ours to frames of the machine and back.
 *
 * The p2m is a linear array that the domain builder made, one mfn per pfn. Xen's m2p gives the way
 * back, and is believed only where the p2m agrees. Toolstacks find the array through
 * arch_shared_info, by the three-level list and by p2m_vaddr (xen/arch-x86/xen.h).
 * Locks: entries are written atomically; p2m_set() bumps p2m_generation around the write.
 * Suspend: the toolstack rewrites the array; p2m_resume() announces it again.
 */
#ifndef HAT_P2M_H
#define HAT_P2M_H

#include "hat/addr.h"
#include "hat/layout.h"

/** pfn_to_virt() - a page's address in the direct map. Any context. */
static inline void *pfn_to_virt(pfn_t pfn)
{
    return (void *)(KPM_BASE + (pfn.n << PAGE_SHIFT));
}

/**
 * virt_to_pfn() - the page behind an address of the direct map or of the kernel image
 *
 * Panics on any other address: what kvm maps need not be a page of ours.
 */
pfn_t virt_to_pfn(const void *va);

/** p2m_get() - the frame behind a page; MFN_INVALID past the end or where a hole is. */
mfn_t p2m_get(pfn_t pfn);

/** p2m_set() - announce another frame (or MFN_INVALID) behind a page. */
void p2m_set(pfn_t pfn, mfn_t mfn);

/** p2m_limit() - one past the highest pfn that the table covers. */
pfn_t p2m_limit(void);

/**
 * p2m_grow() - cover pfns up to @limit, the new ones MFN_INVALID, and tell the toolstack
 *
 * Return: 0 or -ENOMEM. Thread context.
 */
int p2m_grow(pfn_t limit) __must_check;

/** p2m_resume() - announce the table again: the frames of its lists are others now. */
void p2m_resume(void);

/** m2p_get() - the page a frame is; false when the frame is not ours. Any context. */
bool m2p_get(mfn_t mfn, pfn_t *pfn);

/** virt_to_mfn() - the frame behind an address of the direct map or kernel image. */
static inline mfn_t virt_to_mfn(const void *va)
{
    return p2m_get(virt_to_pfn(va));
}

#endif /* HAT_P2M_H */
