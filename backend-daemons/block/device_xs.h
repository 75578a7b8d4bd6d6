/*
 * What a block device reads from the store and publishes there: the negotiation, apart from the
 * life that decides when to negotiate (device.c). An error in the guest's keys comes back as a
 * sentence that names path and value. Follows xen/io/blkif.h, "XenBus nodes".
 */
#ifndef DUET_BLOCK_DEVICE_XS_H
#define DUET_BLOCK_DEVICE_XS_H

#include "device.h"

/*
 * Reads what the toolstack wrote about the device: mode, kind, script.
 * Returns 0, or -errno with a sentence in `why`.
 */
int blk_device_xs_read_back(struct blk_device *dev, char *why, unsigned long why_size);

/*
 * Finds out which file is to be opened. Returns 0 with *path malloc()ed, or with NULL when a
 * foreign script has not said it yet; -errno with a sentence in `why` when it can never be opened.
 */
int blk_device_xs_image_path(struct blk_device *dev, char **path, char *why,
                             unsigned long why_size);

/*
 * Publishes features and state 2; when we stand in for the script, also our verdict about the
 * image, for `xl` to read.
 */
void blk_device_xs_publish_features(struct blk_device *dev);

/*
 * Reads the front end's side of the connection into the worker's configuration. Returns 0, or
 * -errno with a sentence.
 */
int blk_device_xs_read_front(const struct supervised_front *front);

/* Adds what the worker has to know about the image. */
void blk_device_xs_describe_image(struct blk_device *dev);

/* Publishes size and properties together with state 4. */
void blk_device_xs_publish_connected(struct blk_device *dev);

/*
 * Publishes another size together with state 4, at which front ends look at the size again; nothing
 * when the device is not connected (any more) or the store has the size already.
 */
void blk_device_xs_publish_size(struct blk_device *dev);

#endif
