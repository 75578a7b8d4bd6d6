/*
 * region.h - the regions of a space: what its addresses mean, whether or not there are pages.
 *
 * For vm.c alone. The list is in the order of addresses. No locks: the space is locked. No state of
 * the machine's.
 */
#ifndef VM_REGION_H
#define VM_REGION_H

#include "vm/vm.h"

#include <xen_list.h>

#define REGIONS_MAX 4096 /* of a space */

struct region {
    uint64_t start, end;
    unsigned prot;
    struct vm_source *source;
    uint64_t offset, bytes; /* see struct vm_piece */
    unsigned flags;         /* likewise */
    XEN_TAILQ_ENTRY(struct region) link;
};

XEN_TAILQ_HEAD(region_list, struct region);

struct regions {
    struct region_list list;
    unsigned count;
};

void regions_init(struct regions *rs);

/** region_at() - the region that an address is in, or NULL. */
struct region *region_at(const struct regions *rs, uint64_t va);

/** region_from() - the first region that ends above an address, or NULL. */
struct region *region_from(const struct regions *rs, uint64_t va);

/** region_add() - a new one, which overlaps none. 0 or -ENOMEM. */
int region_add(struct regions *rs, const struct vm_piece *piece);

/** region_remove() - forget one; its pages are gone already. */
void region_remove(struct regions *rs, struct region *r);

/** region_split_at() - see to it that none reaches across an address. 0 or -ENOMEM. */
int region_split_at(struct regions *rs, uint64_t va);

/** region_piece() - a region as it would be made again. */
struct vm_piece region_piece(const struct region *r);

/** region_place() - the highest free place for @len bytes; 0 if there is none. */
uint64_t region_place(const struct regions *rs, uint64_t len, uint64_t low, uint64_t high);

#endif /* VM_REGION_H */
