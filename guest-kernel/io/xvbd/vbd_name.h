/*
 * vbd_name.h - what a virtual disk is called, by Xen's numbering of them.
 *
 * Pure; compiles on the host for tests/unit. See xen-vbd-interface(7).
 */
#ifndef IO_XVBD_VBD_NAME_H
#define IO_XVBD_VBD_NAME_H

#include "kern/types.h"

/**
 * vbd_name() - the name of a virtual device number
 * @vdev: the front end's "virtual-device"
 * @buf: at least 16 bytes
 *
 *   1 << 28 | disk << 8 | partition     xvd, disks or partitions from 16 on
 *   202 << 8 | disk << 4 | partition    xvd
 *     8 << 8 | disk << 4 | partition    sd
 *     3 << 8 | disk << 6 | partition    hd, disks 0 and 1
 *    22 << 8 | (disk - 2) << 6 | part.  hd, disks 2 and 3
 *
 * Return: 0; -EINVAL for a number of none of these forms.
 */
int vbd_name(uint32_t vdev, char *buf, size_t size) __must_check;

#endif /* IO_XVBD_VBD_NAME_H */
