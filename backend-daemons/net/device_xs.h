/*
 * What a network device reads from the store and writes to it. Every value below the front end's
 * directory is the guest's and is checked here. A refusal is a sentence in `why` that names path
 * and value.
 *
 * No types of its own, no locks. After a suspend all of this happens again for a new device.
 */
#ifndef DUET_NET_DEVICE_XS_H
#define DUET_NET_DEVICE_XS_H

#include "device.h"
#include "wire.h"

/* Reads what the toolstack wrote: front end, script, number of vCPUs. Returns 0 or -errno. */
int device_xs_read_back(struct device *dev, char *why, unsigned long why_size);

/* Names the tap may have, the likelier one first: `vifname`, and its own. `other` may be empty. */
void device_xs_tap_names(struct device *dev, char *own, char *other, unsigned long size);

/* Publishes what we offer, and state 2, in one transaction. Returns 0 or -errno. */
int device_xs_publish_features(struct device *dev);

/* True when the script has done its work, or there is none. */
bool device_xs_hotplug_done(struct device *dev);

/*
 * Fills the worker's configuration from the front end's directory, and `*offload` with the TUN_F_*
 * flags for what the guest can receive. Returns 0 or -errno.
 */
int device_xs_read_front(struct device *dev, struct net_wire_config *config, unsigned int *offload,
                         char *why, unsigned long why_size);

/* Reads what may change while connected; values that make no sense are logged and left out. */
void device_xs_read_settings(struct device *dev, struct net_wire_settings *settings);

/* Publishes the link's state, if the device still exists. */
void device_xs_publish_carrier(struct device *dev, bool up);

#endif
