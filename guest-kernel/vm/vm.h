/*
 * vm.h - address spaces: regions of memory, filled on demand, shared until written.
 *
 * A space is a list of regions and the page tables of hat/uhat.h. A page appears at its first use,
 * zeroed or filled by the region's source; a clone of a space shares all pages read-only, and
 * whoever writes first gets a copy. A thread that has entered a space may use its addresses like
 * any others; faults are resolved in its context.
 * Locks: a space's mutex, over page_lock. Suspend: waits until no space is being changed.
 */
#ifndef VM_VM_H
#define VM_VM_H

#include "hat/kvm.h"
#include "kern/types.h"

struct vm_space;

/* With a region's protection: nobody may touch it. */
#define VM_NONE 4u

/* What else is so of a region, whatever its protection. */
#define VM_SHARED   1u /* its pages are the source's own, and stay shared with clones */
#define VM_READONLY 2u /* it never becomes writable */

/**
 * struct vm_source - what the pages of a region begin with
 * @read: fill @buf (at most a page, zeroed) from @offset. Return: 0 or -errno: -ENXIO behind its
 * end. May sleep, with the space locked
 * @page: the page at @offset itself, of which the region has a share (page_share()); as @read.
 * NULL: it has none to give
 * @free: nobody refers to it any more
 */
struct vm_source {
    unsigned refs; /* atomic; its maker has the first */
    int (*read)(struct vm_source *source, uint64_t offset, void *buf, size_t len);
    int (*page)(struct vm_source *source, uint64_t offset, void **page);
    void (*free)(struct vm_source *source);
};

/** vm_source_get() - one more refers to it; NULL is passed through. Any context. */
struct vm_source *vm_source_get(struct vm_source *source);

/** vm_source_put() - one less; NULL does nothing. Thread context. */
void vm_source_put(struct vm_source *source);

/**
 * struct vm_piece - a region that is to be made
 * @va, @len: page-aligned, below USER_END
 * @prot: HAT_READ with HAT_WRITE or HAT_EXEC, or VM_NONE
 * @source: of the first @bytes, from @offset on, a multiple of the page size; what follows is zero.
 * NULL: all is zero. The region refers to it by itself
 * @flags: VM_SHARED, which needs a source; VM_READONLY
 */
struct vm_piece {
    uint64_t va, len;
    unsigned prot;
    struct vm_source *source;
    uint64_t offset, bytes;
    unsigned flags;
};

/** vm_boot() - from here on faults at user addresses are resolved. Once. */
void vm_boot(void);

/** vm_create() - an empty space; NULL when memory ran out. Thread context. */
struct vm_space *vm_create(void);

/** vm_share() - one more has it, and will destroy it. Any context. */
struct vm_space *vm_share(struct vm_space *s);

/**
 * vm_destroy() - whoever has it does not any more
 *
 * The last one unmaps all and frees it: no thread may be in it then. Thread context.
 */
void vm_destroy(struct vm_space *s);

/**
 * vm_map() - make a region of zeroes
 *
 * Return: as vm_map_piece().
 */
int vm_map(struct vm_space *s, uint64_t va, uint64_t len, unsigned prot) __must_check;

/**
 * vm_map_piece() - make a region
 *
 * Return: 0, -EINVAL for a bad range, -EEXIST if it overlaps a region, -EACCES if it should be
 * writable and executable, -ENOMEM, also if a space has too many regions. Thread context.
 */
int vm_map_piece(struct vm_space *s, const struct vm_piece *piece) __must_check;

/**
 * vm_place_piece() - the same at the highest free place between @low and @high
 *
 * @piece->va is set. Return: as vm_map_piece(); -ENOMEM if there is no such place.
 */
int vm_place_piece(struct vm_space *s, struct vm_piece *piece, uint64_t low,
                   uint64_t high) __must_check;

/**
 * vm_unmap() - remove what is in a range, with its pages
 * @va, @len: page-aligned; need not be a region's
 *
 * Return: 0, -EINVAL for a bad range, -ENOMEM if a region could not be split; then all is as it
 * was. Thread context.
 */
int vm_unmap(struct vm_space *s, uint64_t va, uint64_t len) __must_check;

/**
 * vm_protect() - change the protection of a range
 *
 * Return: 0, -EINVAL, -EACCES as in vm_map_piece() or of VM_READONLY, -ENOMEM if a part of it is in
 * no region, or memory ran out; a part may be changed then. Thread context.
 */
int vm_protect(struct vm_space *s, uint64_t va, uint64_t len, unsigned prot) __must_check;

/**
 * vm_resize() - make a range longer or shorter
 * @va, @had, @wants: page-aligned; all that it had is in one region
 * @low, @high: it may be moved, to a free place between them; @high 0: it may not
 * @to: where it is now
 *
 * Return: 0, -EINVAL for a bad range, -EFAULT: not in one region, -ENOMEM. Thread context.
 */
int vm_resize(struct vm_space *s, uint64_t va, uint64_t had, uint64_t wants, uint64_t low,
              uint64_t high, uint64_t *to) __must_check;

/**
 * vm_discard() - give the pages of a range back: who touches them gets what the region begins with
 *
 * Return: 0, -EINVAL, -ENOMEM: a part of it is in no region; the others' are given back all the
 * same. Thread context.
 */
int vm_discard(struct vm_space *s, uint64_t va, uint64_t len) __must_check;

/** vm_is_mapped() - whether all of a range is in regions. Thread context. */
bool vm_is_mapped(struct vm_space *s, uint64_t va, uint64_t len);

/** vm_clone() - a copy of a space, sharing its pages until one side writes; NULL: no memory. */
struct vm_space *vm_clone(struct vm_space *s);

/** vm_enter() - let the calling thread use @s's addresses; NULL: no more. Thread context. */
void vm_enter(struct vm_space *s);

/** vm_has() - whether an address is in a region, whatever its protection. Thread context. */
bool vm_has(struct vm_space *s, uint64_t va);

/** vm_each() - tell of all regions, in the order of addresses; @fn: until false. Thread context. */
void vm_each(struct vm_space *s, bool (*fn)(const struct vm_piece *piece, void *arg), void *arg);

/** vm_size() - bytes of all regions. Any context. */
uint64_t vm_size(const struct vm_space *s);

/** vm_resident() - pages that a space has now, shared ones included. Thread context. */
uint64_t vm_resident(struct vm_space *s);

#endif /* VM_VM_H */
