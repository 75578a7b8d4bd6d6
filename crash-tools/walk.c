/*
 * Page walks: see walk.h. Entries are a guest's, so nothing in them is believed but by finding the
 * page that they name in the core.
 */
#include "walk.h"

#include <errno.h>
#include <string.h>

#define ENTRIES   512
#define ADDRESS   0x000ffffffffff000ull
#define TOP_LEVEL WALK_LEVELS

static unsigned int index_at(uint64_t va, unsigned int level)
{
    return (unsigned int)(va >> (CORE_PAGE_SHIFT + 9 * (level - 1))) % ENTRIES;
}

/* The page of 4 KiB that a present entry of @level maps at @va. */
static uint64_t target(uint64_t entry, uint64_t va, unsigned int level)
{
    uint64_t pages = 1ull << (9 * (level - 1));

    return ((entry & ADDRESS) >> CORE_PAGE_SHIFT & ~(pages - 1)) +
           (va >> CORE_PAGE_SHIFT & (pages - 1));
}

void walk_address(const struct space *space, uint64_t va, struct walk *walk)
{
    uint64_t table = space->root;

    *walk = (struct walk){.end = WALK_NOT_CANONICAL};
    if ((uint64_t)((int64_t)(va << 16) >> 16) != va) {
        return;
    }
    for (unsigned int level = TOP_LEVEL; level > 0; level--) {
        struct core_page page;
        uint64_t entry;
        unsigned int index = index_at(va, level);

        if (core_page_by_mfn(space->core, table, &page) != 0) {
            walk->end = WALK_NO_TABLE;
            return;
        }
        memcpy(&entry, page.bytes + index * sizeof(entry), sizeof(entry));
        walk->steps[walk->nsteps].table = table;
        walk->steps[walk->nsteps].index = index;
        walk->steps[walk->nsteps++].entry = entry;
        if ((entry & PTE_PRESENT) == 0) {
            walk->end = WALK_NOT_PRESENT;
            return;
        }
        if (level == 1 || (level < TOP_LEVEL && (entry & PTE_LARGE) != 0)) {
            walk->mfn = target(entry, va, level);
            walk->end = core_page_by_mfn(space->core, walk->mfn, &walk->page) == 0 ? WALK_MAPPED
                                                                                   : WALK_FOREIGN;
            return;
        }
        table = (entry & ADDRESS) >> CORE_PAGE_SHIFT;
    }
}

uint64_t space_root(uint64_t cr3)
{
    return (cr3 & ADDRESS) >> CORE_PAGE_SHIFT;
}

int space_of_vcpu(const struct core *core, unsigned int vcpu, struct space *space)
{
    const struct vcpu_guest_context *v = core_vcpu(core, vcpu);
    struct core_page page;

    if (v == NULL) {
        return -ENOENT;
    }
    *space = (struct space){.core = core, .root = space_root(v->ctrlreg[3])};
    return core_page_by_mfn(core, space->root, &page);
}

int space_of_kernel(const struct core *core, struct space *space)
{
    const struct shared_info *shared = core_shared_info(core);
    struct core_page page;

    if (shared != NULL && shared->arch.p2m_cr3 != 0) {
        *space = (struct space){.core = core, .root = space_root(shared->arch.p2m_cr3)};
        if (core_page_by_mfn(core, space->root, &page) == 0) {
            return 0;
        }
    }
    for (unsigned int i = 0; i < core_vcpu_count(core); i++) {
        if (space_of_vcpu(core, i, space) == 0) {
            return 0;
        }
    }
    return -ENOENT;
}

int space_read(const struct space *space, uint64_t va, void *to, size_t n)
{
    uint8_t *out = to;

    while (n > 0) {
        size_t offset = va % CORE_PAGE_SIZE;
        size_t part = n < CORE_PAGE_SIZE - offset ? n : CORE_PAGE_SIZE - offset;
        struct walk walk;

        walk_address(space, va, &walk);
        if (walk.end != WALK_MAPPED) {
            return -EFAULT;
        }
        memcpy(out, walk.page.bytes + offset, part);
        out += part;
        va += part;
        n -= part;
    }
    return 0;
}

int space_read_string(const struct space *space, uint64_t va, char *to, size_t size)
{
    to[0] = '\0';
    for (size_t i = 0; i + 1 < size; i++) {
        if (space_read(space, va + i, to + i, 1) != 0) {
            to[i] = '\0';
            return -EFAULT;
        }
        if (to[i] == '\0') {
            return 0;
        }
    }
    to[size - 1] = '\0';
    return 0;
}
