/*
 * kvm.h - the kernel's own virtual space: mappings that are not the direct map.
 *
 * Thread stacks, grant-table frames, foreign pages and guarded objects live here. A region is
 * reserved, then pages are mapped into it by frame; an unmapped page is left before each region.
 * Locks: kvm_lock, over page_lock. Suspend: regions of foreign or Xen-owned frames must be unmapped
 * by their owner before, and mapped again after.
 */
#ifndef HAT_KVM_H
#define HAT_KVM_H

#include "hat/addr.h"

enum hat_prot {
    HAT_READ = 0,
    HAT_WRITE = 1,
    HAT_EXEC = 2,
};

/**
 * kvm_reserve() - reserve address space, nothing mapped, with an unmapped page below it
 * @npages: how many pages
 *
 * Page tables down to the last level exist afterwards. Return: the address, NULL when address
 * space or memory for page tables ran out. Thread context.
 */
void *kvm_reserve(size_t npages);

/** kvm_release() - give a region back; everything in it must be unmapped. Thread context. */
void kvm_release(void *va, size_t npages);

/**
 * kvm_map() - map frames into a reserved region
 * @va: page-aligned address inside a region
 * @mfns: the frames; need not be ours
 * @prot: HAT_READ or with HAT_WRITE
 *
 * Return: 0 or what Xen answered (-EINVAL: not a frame this domain may map). Thread context.
 */
int kvm_map(void *va, const mfn_t *mfns, size_t n, enum hat_prot prot);

/** kvm_unmap() - remove the mappings and flush every vCPU's TLB of them. Thread context. */
void kvm_unmap(void *va, size_t n);

/**
 * kvm_alloc() - memory that is contiguous in virtual address only, with a guard page below
 *
 * Return: the address of @npages writable pages, contents undefined, owned by the caller until
 * kvm_free(); NULL when memory or address space ran out. Thread context.
 */
void *kvm_alloc(size_t npages);

/** kvm_free() - give back what kvm_alloc() returned. NULL does nothing. Thread context. */
void kvm_free(void *va, size_t npages);

/** kvm_to_mfn() - the frame mapped at an address of a region. Any context. */
mfn_t kvm_to_mfn(const void *va);

/**
 * kvm_pte_maddr() - machine address of the last-level entry that maps @va
 *
 * For hypercalls that write it themselves (GNTTABOP_map_grant_ref with GNTMAP_contains_pte).
 */
maddr_t kvm_pte_maddr(const void *va);

#endif /* HAT_KVM_H */
