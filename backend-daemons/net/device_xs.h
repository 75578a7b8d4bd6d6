/*
 * What a network device reads from the store and writes to it. Every value below the front end's
 * directory is the guest's and is checked here. A refusal is a sentence in `why` that names path
 * and value.
 */
#ifndef DUET_NET_DEVICE_XS_H
#define DUET_NET_DEVICE_XS_H

#include "device.h"

/* Reads what the toolstack wrote: script, number of vCPUs. Returns 0, or -errno with a sentence. */
int net_device_xs_read_back(struct net_device *dev, char *why, unsigned long why_size);

/*
 * Names the tap may have: its own, and `vifname`. `other` may be empty. Returns 0, or -errno with a
 * sentence: the store does not tell.
 */
int net_device_xs_tap_names(struct net_device *dev, char *own, char *other, unsigned long size,
                            char *why, unsigned long why_size);

/* Publishes what is offered, and state 2. */
void net_device_xs_publish_features(struct net_device *dev);

/* True when the script has done its work, or there is none. What the store does not tell is asked
 * again. */
bool net_device_xs_hotplug_done(struct net_device *dev);

/*
 * Fills the worker's configuration from the front end's directory, and `offload`.
 * Returns 0, or -errno with a sentence.
 */
int net_device_xs_read_front(const struct supervised_front *front);

/*
 * Reads what may change while connected; values that make no sense are logged and left out. Returns
 * 0, or -errno with a sentence: the store does not tell.
 */
int net_device_xs_read_settings(struct net_device *dev, struct net_wire_settings *settings,
                                char *why, unsigned long why_size);

/*
 * Publishes the link's state, and with it ours (Unknown: as it is), if the device still exists.
 * What the store did not take is due.
 */
void net_device_xs_publish_carrier(struct net_device *dev, enum xenbus_state state);

#endif
