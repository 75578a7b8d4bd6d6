/*
 * page.h - what the kernel knows about each page of its memory.
 *
 * One struct page per pfn, in runs: the first made at boot, others as the domain grows. mem.h is
 * what most of the kernel needs; this is for the allocators themselves, the HAT and the balloon.
 */
#ifndef KERN_PAGE_H
#define KERN_PAGE_H

#include "hat/addr.h"

enum page_kind {
    PAGE_RESERVED, /* image, boot structures, holes: never given out */
    PAGE_FREE,     /* head of a free block of 2^order */
    PAGE_INNER,    /* inside a free block */
    PAGE_USED,     /* head of an allocated block of 2^order */
    PAGE_CLEARED,  /* each page of an allocated block that was zeroed for its owner */
    PAGE_SLAB,     /* part of a slab of 2^order pages */
    PAGE_LARGE,    /* head of a kmalloc() of whole pages */
    PAGE_BALLOON,  /* a hole: its frame was given back to Xen */
    PAGE_TABLE,    /* a page table, read-only in the direct map */
};

struct page {
    uint8_t kind;
    uint8_t order;
    uint16_t refs; /* for shared user pages */
};

/**
 * page_boot() - take over the memory of the machine
 * @first: first page that nobody uses; the array is placed there
 * @limit: one past the last page
 *
 * Everything below @first stays PAGE_RESERVED. Boot CPU only; the direct map must exist.
 */
void page_boot(pfn_t first, pfn_t limit);

/** page_of() - the record of a page. Panics past the end. */
struct page *page_of(pfn_t pfn);

/** page_limit() - one past the last pfn that has a record. Any context. */
pfn_t page_limit(void);

/**
 * pages_grow() - have records for pfns up to @limit, the new ones PAGE_BALLOON
 *
 * Return: 0 or -ENOMEM. Thread context; one caller at a time.
 */
int pages_grow(pfn_t limit) __must_check;

/** page_leave() - a page taken by page_alloc(0) leaves the kernel's memory: it is a hole now. */
void page_leave(pfn_t pfn);

/** page_join() - a hole that has a frame and a mapping again becomes free memory. */
void page_join(pfn_t pfn);

/** page_find_hole() - the first hole at or after @from, false if there is none. */
bool page_find_hole(pfn_t from, pfn_t *hole);

/**
 * page_users_may_take() - whether there is memory for programs
 *
 * The last pages are the kernel's, so that a program that takes all it gets ends nobody else. Any
 * context.
 */
bool page_users_may_take(void);

/** page_count() - pages under the allocator's care, free or not. Any context. */
uint64_t page_count(void);

/**
 * page_share(), page_drop() - one more has a page of page_alloc(0), which has one owner; one less
 *
 * The last one's end frees it. False: too many have it; who shares the same page at once sees to it
 * that this is counted right. Any context.
 */
bool page_share(void *page) __must_check;
void page_drop(void *page);

/** page_set_kind() - relabel the pages of an allocated block. The owner's business. */
void page_set_kind(void *page, unsigned order, enum page_kind kind);

/**
 * page_is_cleared() - whether an address is in memory from page_alloc_zeroed()
 *
 * Such a page holds nothing but what its owner put there, so another domain may be shown it.
 * Any context.
 */
bool page_is_cleared(const void *addr);

/** page_account_tables() - count page tables taken (+) or returned (-). Any context. */
void page_account_tables(long delta);

/** page_account_map() - count pages taken to describe memory, see mem_stats. Any context. */
void page_account_map(uint64_t count);

/** page_account_failure() - somebody's request found no memory: count it and say so. */
void page_account_failure(size_t bytes);

/** slab_get_stats() - pages and bytes that the slabs hold. */
void slab_get_stats(uint64_t *pages, uint64_t *bytes_used);

/** slab_boot() - make the size classes. After page_boot(). */
void slab_boot(void);

#endif /* KERN_PAGE_H */
