/*
 * xendev.h - split devices and their drivers.
 *
 * A device is a directory device/CLASS/ID in the store. The nexus makes a struct xendev of each,
 * watches its back end's state, and tells it to the front end (frontend.h) that the driver of CLASS
 * made. Calls for one device never overlap: they come from the watch thread, or from the suspending
 * thread, with the device's lock held. Locks, in order: list_lock (mutex: the list of devices),
 * dev->lock (mutex: one device's driver calls and its fields), then the driver's own. Drivers may
 * use the store in any call. Suspend: xendev_suspend() calls front ends by falling rank,
 * xendev_resume() or xendev_cancel() by rising rank, after the store is there again.
 */
#ifndef XENDEV_XENDEV_H
#define XENDEV_XENDEV_H

#include <xen_list.h>

#include "kern/wait.h"
#include "psm/timer.h"
#include "xenbus/xenbus.h"
#include "xendev/frontend.h"

struct xendev;

/**
 * struct xendev_driver - what serves the devices of one class
 * @class: the directory's name: "vbd"
 * @rank: order at suspend (high first) and resume (low first)
 * @probe: a device appeared, its back end is known: make the driver's structure and hand its life
 *         over by frontend_init(). Nonzero: not served (logged by the driver)
 * @describe: a line for `lsdev`, without a newline
 * @show_rings: the state of its rings, if there are any, for the debugger: lines with newlines,
 *              through @say; takes no lock. May be NULL
 */
struct xendev_driver {
    const char *class;
    int rank;
    int (*probe)(struct xendev *dev);
    void (*describe)(struct xendev *dev, char *buf, size_t size);
    void (*show_rings)(const struct xendev *dev, void (*say)(const char *fmt, ...));
};

struct xendev {
    char class[24];
    char id[24];
    char node[56];  /* "device/vbd/51712" */
    char *otherend; /* the back end's directory */
    uint16_t otherend_id;
    enum xenbus_state state;            /* ours, as announced */
    enum xenbus_state otherend_state;   /* as last seen */
    enum xenbus_state otherend_told;    /* the last one that the driver has dealt with */
    const struct xendev_driver *driver; /* NULL: nobody serves it */
    struct frontend *fe;                /* within the driver's structure */

    struct mutex lock; /* the rest belongs to xendev.c */
    struct xs_watch watch;
    char *watch_path;
    bool peer_unread; /* @otherend is another domain's: not read since a restore */
    bool removed;     /* the directory is gone, or another device's: nothing is said there */
    bool unsaid;      /* @to_say has not reached the store */
    enum xenbus_state to_say;
    struct timer again; /* looks at the back end once more */
    XEN_TAILQ_ENTRY(struct xendev) link;
};

/** xendev_init() - look for devices and go on looking, if there is a store. Thread context, once.
 */
void xendev_init(void);

/** xendev_wait_settled() - sleep until the devices found at boot are connected, or @deadline. */
void xendev_wait_settled(nsec_t deadline);

/**
 * xendev_set_state() - announce our end's state. Called with the device's lock held
 *
 * With an error that passes it is announced later, unless another follows. Return: 0 or -errno.
 */
int xendev_set_state(struct xendev *dev, enum xenbus_state state);

/**
 * xendev_fatal() - report an error, announce Closing: the device is of no use any more
 *
 * Called with the device's lock held; the driver still gets its calls until remove.
 */
void xendev_fatal(struct xendev *dev, int err, const char *fmt, ...) __printf_like(3, 4);

/**
 * xendev_poke() - have frontend_event() called again soon, in the watch thread
 *
 * For a driver's event handler that found something to tell the store. Any context.
 */
void xendev_poke(struct xendev *dev);

/** xendev_look_again() - the same, after a moment: something stood in the way that may pass. */
void xendev_look_again(struct xendev *dev);

/**
 * xendev_suspend() - have all drivers hold still; the store's watches are held. May sleep
 *
 * Then one of: xendev_cancel(), to let them go on; or, in a new domain, xendev_forget(), before
 * xenbus_resume(), to drop the watches on the old back ends, and xendev_resume() after it.
 */
void xendev_suspend(void);
void xendev_cancel(void);
void xendev_forget(void);
void xendev_resume(void);

/* What `lsdev` shows of one device. */
struct xendev_info {
    char node[56];
    const char *driver; /* NULL: none */
    uint16_t otherend_id;
    enum xenbus_state state, otherend_state;
    char text[96]; /* the driver's description */
};

/**
 * xendev_show_rings() - have a device's driver tell about its rings
 * @name: the whole node, "device/vbd/51712", or the end of it, "51712"
 * @say: printf-like
 *
 * For the debugger: takes no lock, so the devices must not change. Return: 0, -ENOENT if there is
 * no such device, -EOPNOTSUPP if its driver has nothing to tell.
 */
int xendev_show_rings(const char *name, void (*say)(const char *fmt, ...));

/** xendev_foreach() - visit every device, in the order in which they were found. May sleep. */
void xendev_foreach(void (*fn)(const struct xendev_info *info, void *arg), void *arg);

#endif /* XENDEV_XENDEV_H */
