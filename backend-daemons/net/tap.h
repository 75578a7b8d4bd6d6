/*
 * The tap that stands for a guest's interface in this domain: a network device named vifD.N that
 * the toolstack's scripts put on a bridge, a router or a switch, with one descriptor for each
 * queue.
 *
 * It is persistent while the device exists, so that it keeps its name, its place on the bridge and
 * its settings while the daemon is restarted. Its link is down while nobody serves it. A script may
 * rename it, because it is held by its descriptor.
 *
 * Its alias (`ip link show`) says whose it is, "duet vifD.N", also when a script has renamed it: by
 * that one that was left behind is known.
 *
 * Types: struct tap.
 */
#ifndef DUET_NET_TAP_H
#define DUET_NET_TAP_H

#include <net/if.h>
#include <stdbool.h>

#include "wire.h"

struct tap {
    int fds[NET_WIRE_MAX_QUEUES]; /* non-blocking */
    unsigned int nr_fds;          /* 0: not open */
    bool multi_queue;
    char name[IFNAMSIZ]; /* when it was opened */
};

/*
 * Opens the tap `name`, creating it unless it exists, with its link down, and marks it as the one
 * of `own`, which is what its name was when it was made. `multi_queue`: it may get more than one
 * queue. Returns 0, or -errno with `*stage` set to what failed.
 */
int tap_open(struct tap *t, const char *name, const char *own, bool multi_queue,
             const char **stage);

/* Brings the number of open queues to `nr`. Returns 0 or -errno with `*stage` set. */
int tap_set_queues(struct tap *t, unsigned int nr, const char **stage);

/* What the guest can do with packets from the tap, TUN_F_* of linux/if_tun.h. Returns 0 or -errno.
 */
int tap_set_offload(struct tap *t, unsigned int offload);

/* Link up or down. Returns 0 or -errno. */
int tap_set_link(struct tap *t, bool up);

/* Whether it is open, and nobody has removed it since. */
bool tap_is_there(const struct tap *t);

/* Closes the descriptors; with `remove` the device ceases to exist. */
void tap_close(struct tap *t, bool remove);

/* Whether a device exists for the tap PREFIXdomid.device. */
typedef bool tap_wanted_fn(void *arg, int domid, int device);

/*
 * Removes taps named PREFIXdomid.device, or marked so, for which `wanted` is false: those of guests
 * that ended while no daemon ran. Interfaces of other kinds are left alone.
 */
void tap_remove_stale(const char *prefix, tap_wanted_fn *wanted, void *arg);

#endif
