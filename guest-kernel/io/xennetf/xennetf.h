/*
 * xennetf.h - the network front end: what the nexus needs to know of it.
 */
#ifndef IO_XENNETF_XENNETF_H
#define IO_XENNETF_XENNETF_H

#include "xendev/xendev.h"

extern const struct xendev_driver xennetf_driver;

#endif /* IO_XENNETF_XENNETF_H */
