/*
 * xendev.h - split devices and their drivers.
 *
 * A device is a directory device/CLASS/ID in the store. The nexus makes a struct xendev of each,
 * watches its back end's state, and calls the driver that registered for CLASS. Calls for one
 * device never overlap: they come from the watch thread, or from the suspending thread, with the
 * device's lock held.
 * Locks, in order: list_lock (mutex: the list of devices), dev->lock (mutex: one device's driver
 * calls and its fields), then the driver's own. Drivers may use the store in any call.
 * Suspend: xendev_suspend() calls drivers by falling rank, xendev_resume() or xendev_cancel() by
 * rising rank, after the store is there again.
 */
#ifndef XENDEV_XENDEV_H
#define XENDEV_XENDEV_H

#include <xen_list.h>

#include "kern/wait.h"
#include "xenbus/xenbus.h"

struct xendev;

/**
 * struct xendev_driver - what serves the devices of one class
 * @class: the directory's name: "vbd"
 * @rank: order at suspend (high first) and resume (low first)
 * @probe: a device appeared, its back end is known. Nonzero: not served (logged by the driver)
 * @otherend_changed: the back end's state is now @state; called once after probe, too. Equal
 *                    states may come twice
 * @remove: the device's directory is gone or its back end changed: free everything
 * @suspend: give the back end no more work, let it end what it has for a moment; tear nothing down
 * @cancel: the suspend did not happen: go on, nothing has changed
 * @resume: this is another domain: ring, port and grants that the back end had are gone (the port's
 *          number may be another's: not to be closed). dev->otherend is read anew; start over as
 *          after probe, keep what users hold
 * @describe: a line for `lsdev`, without a newline
 * @show_rings: the state of its rings, for the debugger: lines with newlines, through @say; takes
 *              no lock. May be NULL
 */
struct xendev_driver {
    const char *class;
    int rank;
    int (*probe)(struct xendev *dev);
    void (*otherend_changed)(struct xendev *dev, enum xenbus_state state);
    void (*remove)(struct xendev *dev);
    void (*suspend)(struct xendev *dev);
    void (*cancel)(struct xendev *dev);
    void (*resume)(struct xendev *dev);
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
    void *priv;                         /* the driver's */

    struct mutex lock; /* the rest belongs to xendev.c */
    struct xs_watch watch;
    char *watch_path;
    XEN_TAILQ_ENTRY(struct xendev) link;
};

/** xendev_init() - look for devices and go on looking, if there is a store. Thread context, once.
 */
void xendev_init(void);

/** xendev_wait_settled() - sleep until the devices found at boot are connected, or @deadline. */
void xendev_wait_settled(nsec_t deadline);

/** xendev_set_state() - announce our end's state. Called with the device's lock held. */
int xendev_set_state(struct xendev *dev, enum xenbus_state state);

/**
 * xendev_fatal() - report an error, announce Closing: the device is of no use any more
 *
 * Called with the device's lock held; the driver still gets its calls until remove.
 */
void xendev_fatal(struct xendev *dev, int err, const char *fmt, ...) __printf_like(3, 4);

/**
 * xendev_poke() - have otherend_changed called again soon, in the watch thread
 *
 * For a driver's event handler that found something to tell the store. Any context.
 */
void xendev_poke(struct xendev *dev);

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
