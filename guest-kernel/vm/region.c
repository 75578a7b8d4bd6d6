/*
 * region.c - the list of a space's regions: see region.h.
 */
#include "vm/region.h"

#include "hat/layout.h"
#include "kern/mem.h"

struct vm_source *vm_source_get(struct vm_source *source)
{
    if (source != NULL) {
        __atomic_add_fetch(&source->refs, 1, __ATOMIC_RELAXED);
    }
    return source;
}

void vm_source_put(struct vm_source *source)
{
    if (source != NULL && __atomic_sub_fetch(&source->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        source->free(source);
    }
}

void regions_init(struct regions *rs)
{
    XEN_TAILQ_INIT(&rs->list);
}

struct region *region_from(const struct regions *rs, uint64_t va)
{
    struct region *r;

    XEN_TAILQ_FOREACH (r, &rs->list, link) {
        if (r->end > va) {
            return r;
        }
    }
    return NULL;
}

struct region *region_at(const struct regions *rs, uint64_t va)
{
    struct region *r = region_from(rs, va);

    return r != NULL && r->start <= va ? r : NULL;
}

/* Put a region in its place. */
static void insert(struct regions *rs, struct region *r)
{
    struct region *next = region_from(rs, r->start);

    if (next != NULL) {
        XEN_TAILQ_INSERT_BEFORE(next, r, link);
    } else {
        XEN_TAILQ_INSERT_TAIL(&rs->list, r, link);
    }
    rs->count++;
}

/* Zeroes behind zeroes are one region: a heap that grows by pages has one, not thousands. */
static bool extend(const struct regions *rs, const struct vm_piece *piece)
{
    struct region *before = piece->va == 0 ? NULL : region_at(rs, piece->va - 1);

    if (before == NULL || piece->source != NULL || before->source != NULL ||
        before->prot != piece->prot) {
        return false;
    }
    before->end += piece->len;
    return true;
}

int region_add(struct regions *rs, const struct vm_piece *piece)
{
    if (extend(rs, piece)) {
        return 0;
    }
    struct region *r = rs->count < REGIONS_MAX ? kmalloc(sizeof(*r)) : NULL;
    if (r == NULL) {
        return -ENOMEM;
    }
    *r = (struct region){.start = piece->va,
                         .end = piece->va + piece->len,
                         .prot = piece->prot,
                         .source = vm_source_get(piece->source),
                         .offset = piece->offset,
                         .bytes = piece->bytes,
                         .flags = piece->flags};
    insert(rs, r);
    return 0;
}

struct vm_piece region_piece(const struct region *r)
{
    return (struct vm_piece){.va = r->start,
                             .len = r->end - r->start,
                             .prot = r->prot,
                             .source = r->source,
                             .offset = r->offset,
                             .bytes = r->bytes,
                             .flags = r->flags};
}

void region_remove(struct regions *rs, struct region *r)
{
    XEN_TAILQ_REMOVE(&rs->list, r, link);
    rs->count--;
    vm_source_put(r->source);
    kfree(r);
}

int region_split_at(struct regions *rs, uint64_t va)
{
    struct region *r = region_at(rs, va);

    if (r == NULL || r->start == va) {
        return 0;
    }
    struct region *upper = rs->count < REGIONS_MAX ? kmalloc(sizeof(*upper)) : NULL;
    if (upper == NULL) {
        return -ENOMEM;
    }
    uint64_t head = va - r->start;

    *upper = (struct region){.start = va,
                             .end = r->end,
                             .prot = r->prot,
                             .source = vm_source_get(r->source),
                             .offset = r->offset + head,
                             .bytes = r->bytes - MIN(r->bytes, head),
                             .flags = r->flags};
    r->end = va;
    r->bytes = MIN(r->bytes, head);
    insert(rs, upper);
    return 0;
}

uint64_t region_place(const struct regions *rs, uint64_t len, uint64_t low, uint64_t high)
{
    uint64_t gap = low, found = 0;
    const struct region *r;

    XEN_TAILQ_FOREACH (r, &rs->list, link) {
        if (r->start > gap && MIN(r->start, high) > gap && MIN(r->start, high) - gap >= len) {
            found = MIN(r->start, high) - len;
        }
        gap = MAX(gap, r->end);
    }
    return high > gap && high - gap >= len ? high - len : found;
}
