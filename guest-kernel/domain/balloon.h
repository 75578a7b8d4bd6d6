/*
 * balloon.h - giving memory back to Xen and taking it again, as memory/target says.
 *
 * Locks: one mutex over a change of size. Suspend: a change under way is finished first.
 */
#ifndef DOMAIN_BALLOON_H
#define DOMAIN_BALLOON_H

#include "kern/types.h"

#include <xen/xen.h>

/** balloon_init() - follow memory/target of xenstore. Thread context, after xenbus_init(). */
void balloon_init(void);

/**
 * balloon_give() - give frames that nothing maps any more to Xen
 *
 * Return: how many Xen took, from the first on, or what it refused with. Any context.
 */
long balloon_give(xen_pfn_t *frames, unsigned count) __must_check;

struct balloon_stats {
    uint64_t target_pages; /* what the toolstack asks for */
    uint64_t pages;        /* what the domain has */
};
/** balloon_get_stats() - a consistent copy. Any context. */
void balloon_get_stats(struct balloon_stats *stats);

#endif /* DOMAIN_BALLOON_H */
