/*
 * What differs between two copies of the store: a walk through both in step. Pure.
 */
#ifndef DUET_XENBUS_COMPARE_H
#define DUET_XENBUS_COMPARE_H

#include "snapshot.h"

/* What two nodes of one path have to do with each other. */
struct difference {
    /* NULL where the path is missing. */
    const struct node *before, *after;
    /* With both there: what differs. */
    bool value, perms;
};

/* Calls @visit with each difference, in the order of the tree. Returns how many there are. */
unsigned long compare_snapshots(const struct snapshot *before, const struct snapshot *after,
                                void (*visit)(void *context, const struct difference *difference),
                                void *context);

#endif
