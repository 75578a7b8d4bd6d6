/*
 * mem.h - the kernel's memory.
 *
 * Pages come from a buddy allocator, small objects from slabs on top of it. Both live in the
 * direct map (hat/layout.h), so a page's virtual address, pfn and mfn convert by arithmetic and one
 * table look-up. Running out is an error return, never a hang.
 * Locks: page_lock, a leaf, under each slab cache's. Suspend: contents stay, but the mfns behind
 * the pages change.
 */
#ifndef KERN_MEM_H
#define KERN_MEM_H

#include "kern/types.h"

#define PAGE_ORDER_MAX 10 /* largest block: 2^10 pages, 4 MiB */

/**
 * page_alloc() - take 2^order pages, contiguous in pfn and virtual address, not in mfn
 *
 * Return: the address in the direct map, owned by the caller; contents undefined. NULL when there
 * is no such block. Any context, handlers included, as its lock masks upcalls; never sleeps.
 */
void *page_alloc(unsigned order);

/**
 * page_alloc_zeroed() - the same, all zero
 *
 * The only memory that may be granted to another domain: see page_is_cleared() in page.h.
 */
void *page_alloc_zeroed(unsigned order);

/** page_free() - give back what page_alloc() returned, with the same order. */
void page_free(void *page, unsigned order);

/**
 * kmalloc() - take memory for an object, aligned to 16 bytes
 *
 * Sizes up to 2 KiB come from slabs, larger ones are whole pages. Return: NULL when memory ran
 * out. Never sleeps. kfree(NULL) does nothing; freeing twice panics and names the address.
 */
void *kmalloc(size_t size);
void *kzalloc(size_t size);
void kfree(void *ptr);

/** kstrdup() - a copy to be kfree()d, or NULL. */
char *kstrdup(const char *s);

/**
 * memory_refuse() - from now on nothing is handed out; or it is again
 *
 * For tests of what must do without new memory. Any context.
 */
void memory_refuse(bool refuse);

/** memory_refused() - whether that is so. Any context. */
bool memory_refused(void);

/* What `mem` shows: pages, and bytes handed out by the slabs. */
struct mem_stats {
    uint64_t pages_total; /* under the allocator's care */
    uint64_t pages_free;
    uint64_t pages_pagetable; /* in use as page tables */
    uint64_t pages_slab;
    uint64_t pages_map;       /* taken since boot for kernel tables, p2m and records: they stay */
    uint64_t pages_ballooned; /* holes that Xen may fill */
    uint64_t slab_bytes_used;
    uint64_t alloc_failures; /* requests that found no memory */
    uint64_t free_blocks[PAGE_ORDER_MAX + 1];
};
void mem_get_stats(struct mem_stats *stats);

#endif /* KERN_MEM_H */
