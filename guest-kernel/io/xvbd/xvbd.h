/*
 * xvbd.h - the block front end: what the nexus needs to know of it.
 */
#ifndef IO_XVBD_XVBD_H
#define IO_XVBD_XVBD_H

#include "xendev/xendev.h"

extern const struct xendev_driver xvbd_driver;

#endif /* IO_XVBD_XVBD_H */
