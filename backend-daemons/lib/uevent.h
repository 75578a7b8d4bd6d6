/*
 * What the kernel tells about its devices (uevents, the same that udev hears), for those who want
 * to know when a block device has changed, for example its size.
 *
 * Types: struct uevent_watch.
 */
#ifndef DUET_LIB_UEVENT_H
#define DUET_LIB_UEVENT_H

#include <sys/types.h>

#include "loop.h"

/* A block device of this host has changed. */
typedef void uevent_changed_fn(void *arg, dev_t dev);

/* Zero-initialise. */
struct uevent_watch {
    struct loop *loop;
    struct loop_fd socket;
    uevent_changed_fn *changed;
    void *arg;
};

/* Starts to listen. Returns 0 or -errno. */
int uevent_watch_start(struct uevent_watch *w, struct loop *loop, uevent_changed_fn *changed,
                       void *arg);

/* Ends it. Harmless when it was not started. */
void uevent_watch_stop(struct uevent_watch *w);

/*
 * Whether the `len` bytes at `message` say that a block device has changed, and which. The first
 * string is ACTION@PATH, the others are KEY=VALUE.
 */
bool uevent_is_change(const char *message, unsigned long len, dev_t *dev);

#endif
