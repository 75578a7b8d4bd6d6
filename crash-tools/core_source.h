/*
 * What is behind a core: who makes one (core_file.c, live.c) fills this in.
 */
#ifndef DUET_CRASH_CORE_SOURCE_H
#define DUET_CRASH_CORE_SOURCE_H

#include "core.h"

struct core_source {
    const char *noun;
    /* As core_page_by_pfn() and core_page_by_mfn(). */
    int (*by_pfn)(void *arg, uint64_t pfn, struct core_page *page);
    int (*by_mfn)(void *arg, uint64_t mfn, struct core_page *page);
    /* As core_refresh(); NULL: it is no live domain. */
    int (*refresh)(void *arg);
    /* Frees @arg, of which the core may be a part. */
    void (*close)(void *arg);
};

struct core {
    const struct core_source *source;
    void *arg;  /* the source's */
    bool moves; /* only a live domain may */
    uint32_t nvcpus, xen_version;
    uint64_t npages;
    struct vcpu_guest_context *vcpus; /* both are freed by core_close() */
    struct shared_info *shared;       /* NULL: none */
};

#endif
