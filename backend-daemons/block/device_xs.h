/*
 * What a block device reads from the store and publishes there; the negotiation, apart from the
 * state machine that decides when (device.c). Stateless, no types. Errors of the guest's keys come
 * back as a sentence that names path and value. Follows xen/io/blkif.h, "XenBus nodes".
 */
#ifndef DUET_BLOCK_DEVICE_XS_H
#define DUET_BLOCK_DEVICE_XS_H

#include "device.h"

/*
 * Reads what the toolstack wrote about the device: front end, mode, kind, script.
 * Returns 0, or -errno with a sentence in `why`.
 */
int device_xs_read_back(struct device *dev, char *why, unsigned long why_size);

/*
 * Finds out which file is to be opened. Returns 0 with *path malloc()ed, or with NULL when a
 * foreign script has not said it yet; -errno with a sentence in `why` when it can never be opened.
 */
int device_xs_image_path(struct device *dev, char **path, char *why, unsigned long why_size);

/*
 * Publishes features and state 2. When we stand in for the script, also our verdict about the image
 * (`why` is NULL, or the sentence that says why it cannot be used), for `xl` to read. Returns 0 or
 * -errno.
 */
int device_xs_publish_features(struct device *dev, const char *why);

/*
 * Reads the front end's side of the connection into `config`. Returns 0, or -errno with a sentence
 * in `why`.
 */
int device_xs_read_front(struct device *dev, struct blk_wire_config *config, char *why,
                         unsigned long why_size);

/* Publishes size and properties together with state 4. Returns 0 or -errno. */
int device_xs_publish_connected(struct device *dev);

/*
 * Publishes another size together with state 4, at which front ends look at the size again; nothing
 * when the device is not connected (any more) or the store has the size already. Returns 0 or
 * -errno.
 */
int device_xs_publish_size(struct device *dev);

#endif
