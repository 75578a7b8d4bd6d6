/*
 * xenbus.h - the states in which the two ends of a split device meet, and how to report an error.
 *
 * Each end writes its state below its own directory and watches the other's (xen/io/xenbus.h).
 * No state of its own, no locks; functions may sleep. Suspend: both ends start again at
 * Initialising after a restore, driven by xendev.
 */
#ifndef XENBUS_XENBUS_H
#define XENBUS_XENBUS_H

#include <xen/io/xenbus.h>

#include "xenbus/xs.h"

/** xenbus_state_name() - "Connected" and the like; "?" for a number that is no state. */
const char *xenbus_state_name(unsigned state);

/**
 * xenbus_read_state() - the state written in @dir
 * @state: XenbusStateUnknown when there is none; on an error as it was
 *
 * Return: 0; -EINVAL for what is no state; or what kept us from reading it.
 */
int xenbus_read_state(const char *dir, enum xenbus_state *state) __must_check;

/**
 * xenbus_write_state() - announce our end's state
 * @from: the one that stands there, as far as we know
 *
 * Return: 0; -ENOENT if the node is gone, or was made again meanwhile: then the state that every
 * device begins with stands there, and not @from; or what kept us from writing it.
 */
int xenbus_write_state(const char *dir, enum xenbus_state from, enum xenbus_state state);

/**
 * xenbus_dev_error() - report a device's trouble to the log and to error/DIR/error in the store
 * @dir: the device's directory, "device/vbd/51712"
 * @err: an error number, either sign
 */
void xenbus_dev_error(const char *dir, int err, const char *fmt, ...) __printf_like(3, 4);

#endif /* XENBUS_XENBUS_H */
