/*
 * A live domain as a core: see live.h. A page is asked of Xen by its mfn, and Xen gives none that
 * is not the domain's; its pfn is what Xen's own table says. The way from pfn to mfn is the
 * domain's own table, which it may fill with anything: a number found there is looked up like any
 * other. The most recent pages stay mapped, no more than LIVE_MAPPED_MAX.
 */
#include "live.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core_source.h"
#include "walk.h"

#define NUMBERS         (CORE_PAGE_SIZE / sizeof(uint64_t)) /* in a page */
#define P2M_NO_PAGE     (3ull << 62) /* Linux marks identities and others' pages by these bits */
#define P2M_LIST_ABSENT UINT64_MAX

/* A page that is mapped; each has one slot in which it may be. */
struct slot {
    uint64_t pfn, mfn;
    const uint8_t *bytes; /* NULL: the slot is free */
};

struct live {
    struct core core;
    const struct live_hyper *hyper;
    void *arg;
    struct slot slots[LIVE_MAPPED_MAX];
};

static void drop(const struct live *l, struct slot *slot)
{
    if (slot->bytes != NULL) {
        l->hyper->unmap(l->arg, slot->bytes);
        slot->bytes = NULL;
    }
}

static int live_by_mfn(void *arg, uint64_t mfn, struct core_page *page)
{
    struct live *l = arg;
    struct slot *slot = &l->slots[mfn % LIVE_MAPPED_MAX];

    if (slot->bytes == NULL || slot->mfn != mfn) {
        drop(l, slot);
        slot->bytes = l->hyper->map(l->arg, mfn);
        if (slot->bytes == NULL) {
            return -ENOENT;
        }
        slot->mfn = mfn;
        if (l->hyper->pfn_of(l->arg, mfn, &slot->pfn) != 0) {
            drop(l, slot);
            return -ENOENT;
        }
    }
    *page = (struct core_page){.pfn = slot->pfn, .mfn = mfn, .bytes = slot->bytes};
    return 0;
}

/* The @index-th number of a page. */
static int number_of(struct live *l, uint64_t mfn, uint64_t index, uint64_t *number)
{
    struct core_page page;
    int err = live_by_mfn(l, mfn, &page);

    if (err == 0) {
        memcpy(number, page.bytes + index % NUMBERS * sizeof(*number), sizeof(*number));
    }
    return err;
}

/* By the tree of three levels, which is as deep as it gets. */
static int p2m_by_tree(struct live *l, uint64_t top, uint64_t pfn, uint64_t *mfn)
{
    uint64_t table;

    if (top == 0 || top == P2M_LIST_ABSENT || pfn >= NUMBERS * NUMBERS * NUMBERS ||
        number_of(l, top, pfn / NUMBERS / NUMBERS, &table) != 0 ||
        number_of(l, table, pfn / NUMBERS, &table) != 0) {
        return -ENOENT;
    }
    return number_of(l, table, pfn, mfn);
}

static int live_by_pfn(void *arg, uint64_t pfn, struct core_page *page)
{
    struct live *l = arg;
    uint64_t mfn = P2M_NO_PAGE;
    struct space space = {.core = &l->core};
    int err = -ENOENT;

    if (l->core.shared == NULL || pfn >= l->core.shared->arch.max_pfn) {
        return -ENOENT;
    }
    const struct arch_shared_info *arch = &l->core.shared->arch;
    if (arch->p2m_cr3 != 0) {
        space.root = space_root(arch->p2m_cr3);
        err = space_read(&space, arch->p2m_vaddr + pfn * sizeof(mfn), &mfn, sizeof(mfn));
    } else {
        err = p2m_by_tree(l, arch->pfn_to_mfn_frame_list_list, pfn, &mfn);
    }
    if (err != 0 || (mfn & P2M_NO_PAGE) != 0 || live_by_mfn(l, mfn, page) != 0) {
        return -ENOENT;
    }
    page->pfn = pfn;
    return 0;
}

static int read_vcpus(struct live *l)
{
    for (unsigned int id = 0; id < l->core.nvcpus; id++) {
        struct vcpu_guest_context *v = &l->core.vcpus[id];
        int err = l->hyper->vcpu(l->arg, id, v);

        if (err == -ENODATA) {
            memset(v, 0, sizeof(*v));
        } else if (err != 0) {
            return err;
        }
    }
    return 0;
}

static int live_refresh(void *arg)
{
    struct live *l = arg;
    int err = read_vcpus(l);

    return err == 0 ? l->hyper->shared_info(l->arg, l->core.shared) : err;
}

static void live_close(void *arg)
{
    struct live *l = arg;

    for (unsigned int i = 0; i < LIVE_MAPPED_MAX; i++) {
        drop(l, &l->slots[i]);
    }
    l->hyper->close(l->arg);
    free(l);
}

static const struct core_source live_source = {
    .noun = "domain",
    .by_pfn = live_by_pfn,
    .by_mfn = live_by_mfn,
    .refresh = live_refresh,
    .close = live_close,
};

/* Trailing vCPUs that the domain never started are none: a core has no registers of them. */
static int begin(struct live *l)
{
    struct live_info info;
    int err = l->hyper->info(l->arg, &info);

    if (err != 0) {
        return err;
    }
    if (info.vcpus == 0 || info.vcpus > CORE_VCPUS_MAX) {
        return -ENODATA;
    }
    l->core.moves = !info.still;
    l->core.npages = info.pages;
    l->core.xen_version = info.xen_version;
    l->core.nvcpus = info.vcpus;
    l->core.vcpus = calloc(info.vcpus, sizeof(*l->core.vcpus));
    l->core.shared = calloc(1, sizeof(*l->core.shared));
    if (l->core.vcpus == NULL || l->core.shared == NULL) {
        return -ENOMEM;
    }
    err = live_refresh(l);
    while (err == 0 && l->core.nvcpus > 1 && l->core.vcpus[l->core.nvcpus - 1].ctrlreg[3] == 0) {
        l->core.nvcpus--;
    }
    return err;
}

int live_open(const struct live_hyper *hyper, void *arg, struct core **out, char *why,
              unsigned long why_size)
{
    struct live *l = calloc(1, sizeof(*l));

    if (l == NULL) {
        hyper->close(arg);
        snprintf(why, why_size, "out of memory");
        return -ENOMEM;
    }
    l->core.source = &live_source;
    l->core.arg = l;
    l->hyper = hyper;
    l->arg = arg;
    int err = begin(l);
    if (err != 0) {
        snprintf(why, why_size, "%s",
                 err == -ESRCH     ? "the domain has gone"
                 : err == -ENODATA ? "the domain has no vCPUs yet"
                                   : strerror(-err));
        core_close(&l->core);
        return err;
    }
    *out = &l->core;
    return 0;
}
