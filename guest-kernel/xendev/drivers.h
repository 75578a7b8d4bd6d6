/*
 * drivers.h - the table of drivers, which boot/drivers.c fills and xendev.c reads.
 */
#ifndef XENDEV_DRIVERS_H
#define XENDEV_DRIVERS_H

#include "xendev/xendev.h"

/* Ends with NULL. */
extern const struct xendev_driver *const xendev_drivers[];

#endif /* XENDEV_DRIVERS_H */
