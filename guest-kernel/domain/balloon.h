/*
 * balloon.h - giving memory back to Xen and taking it again, as memory/target says.
 *
 * One thread does it all, without a lock. A suspend comes between two of its batches.
 */
#ifndef DOMAIN_BALLOON_H
#define DOMAIN_BALLOON_H

#include "kern/types.h"

/** balloon_init() - follow memory/target of xenstore. Thread context, after xenbus_init(). */
void balloon_init(void);

struct balloon_stats {
    uint64_t target_pages; /* what the toolstack asks for */
    uint64_t pages;        /* what the domain has */
};
/** balloon_get_stats() - a consistent copy. Any context. */
void balloon_get_stats(struct balloon_stats *stats);

#endif /* DOMAIN_BALLOON_H */
