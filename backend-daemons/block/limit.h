/*
 * What a guest may have of each of its disks, as the supervisor knows it from the configuration:
 * told to a worker when it starts, and when it changes. What the worker makes of it is
 * throttle.h's.
 */
#ifndef DUET_BLOCK_LIMIT_H
#define DUET_BLOCK_LIMIT_H

#include "device.h"

/* Adds it to what a worker is told first. */
void blk_limit_begin(struct blk_device *dev);

/*
 * The configuration or the guest's name may have changed: the worker, which is connected, hears
 * what that means to it. One that does not read its orders is told later.
 */
void blk_limit_update(struct blk_device *dev);

#endif
