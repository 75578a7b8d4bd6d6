/*
 * drivers.c - the table of drivers: one line for each class that this kernel serves.
 */
#include "xendev/drivers.h"

#include "io/xennetf/xennetf.h"
#include "io/xvbd/xvbd.h"

const struct xendev_driver *const xendev_drivers[] = {
    &xvbd_driver,
    &xennetf_driver,
    NULL,
};
