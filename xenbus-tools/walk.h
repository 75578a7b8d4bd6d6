/*
 * A walk through the store: every node below a path with value and permissions, each read once,
 * parents first and siblings by name, so that two walks over the same store see the same order.
 *
 * Unless the caller gives a transaction the walk is not in one: xenstored copies each node that a
 * transaction reads, and a walk through a whole host would hold up everybody. A node that vanishes
 * meanwhile is left out. What is held in memory is the names on the way from the root to the node
 * at hand, whatever the size of the store.
 */
#ifndef DUET_XENBUS_WALK_H
#define DUET_XENBUS_WALK_H

#include <stdbool.h>
#include <xenstore.h>

#include "snapshot.h"

/* What the visitor sees; it is valid until it returns. */
struct walk_node {
    const char *path;
    const char *value;
    unsigned int len;
    const struct xs_permissions *perms;
    unsigned int n_perms;
    /* EACCES when the store does not let us read it, else 0. */
    int err;
};

/*
 * Walks through all that is at or below @root. @visit returns 0 to go on; anything else ends the
 * walk and is returned. Otherwise returns 0, or -errno: -ENOENT or -EACCES for @root itself,
 * anything else when the store stopped answering.
 */
int store_walk(struct xs_handle *xs, xs_transaction_t t, const char *root,
               int (*visit)(void *context, const struct walk_node *node), void *context);

/*
 * Copies what is at or below @root into @snapshot, which is not finished yet (snapshot_finish()).
 * Returns as store_walk(). Call it several times for several roots.
 */
int snapshot_load(struct snapshot *snapshot, struct xs_handle *xs, xs_transaction_t t,
                  const char *root);

#endif
