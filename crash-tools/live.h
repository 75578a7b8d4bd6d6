/*
 * A live domain as a core: read-only, while it runs or while it is paused. What it has in memory
 * may change under the reader, by chance or on purpose, between any two reads.
 */
#ifndef DUET_CRASH_LIVE_H
#define DUET_CRASH_LIVE_H

#include "core.h"

#define LIVE_MAPPED_MAX 256 /* pages of the domain that are held at once */

struct live_info {
    uint64_t pages;
    unsigned int vcpus; /* its highest vCPU's number, and 1 */
    uint32_t xen_version;
    bool still; /* paused, or it has ended */
};

/* By which a domain is read: Xen (live_xen.c), or a test's fake. Errors are -errno. */
struct live_hyper {
    int (*info)(void *arg, struct live_info *info);

    /* Copies a vCPU's registers. -ENODATA: it was never started. */
    int (*vcpu)(void *arg, unsigned int id, struct vcpu_guest_context *to);
    int (*shared_info)(void *arg, struct shared_info *to);

    /* Maps a page, if it is the domain's, for reading. NULL if it is not. */
    const uint8_t *(*map)(void *arg, uint64_t mfn);
    void (*unmap)(void *arg, const uint8_t *page);

    /* The pfn that Xen's table has for a page. */
    int (*pfn_of)(void *arg, uint64_t mfn, uint64_t *pfn);
    void (*close)(void *arg);
};

/*
 * Opens the domain behind @hyper, whose @arg is closed with the core, or at once if this fails.
 * Returns 0, or -errno with a sentence in @why.
 */
int live_open(const struct live_hyper *hyper, void *arg, struct core **out, char *why,
              unsigned long why_size);

#endif
