/*
 * A domain to be read, whatever it is read from: see core.h.
 */
#include "core_source.h"

#include <stdlib.h>

void core_close(struct core *core)
{
    if (core != NULL) {
        free(core->vcpus);
        free(core->shared);
        core->source->close(core->arg);
    }
}

const char *core_noun(const struct core *core)
{
    return core->source->noun;
}

bool core_is_live(const struct core *core)
{
    return core->source->refresh != NULL;
}

bool core_moves(const struct core *core)
{
    return core->moves;
}

int core_refresh(struct core *core)
{
    return core->moves ? core->source->refresh(core->arg) : 0;
}

unsigned int core_vcpu_count(const struct core *core)
{
    return core->nvcpus;
}

uint64_t core_page_count(const struct core *core)
{
    return core->npages;
}

const struct vcpu_guest_context *core_vcpu(const struct core *core, unsigned int id)
{
    return id < core->nvcpus ? &core->vcpus[id] : NULL;
}

const struct shared_info *core_shared_info(const struct core *core)
{
    return core->shared;
}

uint32_t core_xen_version(const struct core *core)
{
    return core->xen_version;
}

int core_page_by_pfn(const struct core *core, uint64_t pfn, struct core_page *page)
{
    return core->source->by_pfn(core->arg, pfn, page);
}

int core_page_by_mfn(const struct core *core, uint64_t mfn, struct core_page *page)
{
    return core->source->by_mfn(core->arg, mfn, page);
}
