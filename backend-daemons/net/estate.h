/*
 * What a network device's worker leaves to the next one (lib/kept.h): the guest's multicast list
 * and hash settings, and of each ring the answers that it may not have seen yet (struct ring_log).
 * A packet that was on its way is lost, as on any wire.
 *
 * The next worker looks at it in its cage, as at something that a guest wrote: net_estate_begin()
 * checks every index in it.
 *
 * Types: struct net_estate, net_estate_rings. One worker at a time writes. At suspend the guest's
 * rings go away, and all of this with them.
 */
#ifndef DUET_NET_ESTATE_H
#define DUET_NET_ESTATE_H

#include "hash.h"
#include "kept.h"
#include "mcast.h"
#include "ring.h"
#include "wire.h"

#define NET_ESTATE_MAGIC   0x7465736eU /* "nset" */
#define NET_ESTATE_VERSION 1U          /* changes with these structures, and with their meaning */

/* Which rings it is about. No padding: compared as a whole. */
struct net_estate_rings {
    uint32_t nr_queues;
    uint32_t has_ctrl, ctrl_ref, ctrl_port;
    struct net_wire_queue queues[NET_WIRE_MAX_QUEUES];
};

struct net_estate {
    struct kept_head head; /* first */
    struct net_estate_rings rings;
    struct net_mcast mcast;
    struct net_hash hash;
    struct ring_log tx[NET_WIRE_MAX_QUEUES], rx[NET_WIRE_MAX_QUEUES], ctrl;
};

/* For the supervisor: makes a fresh one. Returns the descriptor or -errno. */
int net_estate_create(void);

/*
 * For the worker: kept_open(); the descriptor, and with it the lock, stays until the worker ends.
 * Returns 0 or -errno (-EPROTO: of another version).
 */
int net_estate_open(int fd, void (*waits)(void), struct net_estate **out);

/*
 * For the worker, in its cage: begins a fresh one, or takes an earlier worker's over. Returns 0, or
 * -errno with *why, a sentence, set: the rings cannot be served. What `hash` says of the queues is
 * true afterwards; the rings are gone on with by ring_inherit().
 */
int net_estate_begin(struct net_estate *e, const struct net_wire_config *config, const char **why);

/* The worker ends with nothing in flight. */
void net_estate_end(struct net_estate *e);

#endif
