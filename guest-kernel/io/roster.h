/*
 * roster.h - devices that are found by name, held on to, and may vanish meanwhile.
 *
 * What disks (blk.h) and interfaces (net.h) have in common: a table in the order of their names,
 * and a count of those who hold on to a device. The device is its driver's memory. Locks: a
 * roster's own (spinlock), a leaf.
 */
#ifndef IO_ROSTER_H
#define IO_ROSTER_H

#include <xen_list.h>

#include "kern/lock.h"
#include "kern/types.h"

/* A device's part. All but @name belongs to roster.c. */
struct rostered {
    const char *name; /* lives as long as the device */
    unsigned refs;
    bool listed; /* read by anybody, with READ_ONCE() */
    XEN_TAILQ_ENTRY(struct rostered) link;
};

struct roster {
    spinlock_t lock;
    XEN_TAILQ_HEAD(rostered_list, struct rostered) devices;
};

#define ROSTER(self, label)                                                            \
    {                                                                                  \
        .lock = SPINLOCK(label), .devices = XEN_TAILQ_HEAD_INITIALIZER((self).devices) \
    }

/** rostered_init() - of a device that is not listed yet; the caller holds one reference. */
static inline void rostered_init(struct rostered *d, const char *name)
{
    *d = (struct rostered){.name = name, .refs = 1};
}

/** roster_add() - list it under its name. -EEXIST: that is taken. Any context. */
int roster_add(struct roster *r, struct rostered *d) __must_check;

/** roster_remove() - nobody finds it any more. Returns whether it was listed. Any context. */
bool roster_remove(struct roster *r, struct rostered *d);

/** roster_get() - find a device by name and hold on to it; NULL if there is none. Any context. */
struct rostered *roster_get(struct roster *r, const char *name);

/** roster_hold() - hold on to one that the caller knows to be there. Any context. */
void roster_hold(struct roster *r, struct rostered *d);

/** roster_put() - let go of it. Returns true to who was the last: to free it. Any context. */
bool roster_put(struct roster *r, struct rostered *d) __must_check;

/**
 * roster_next() - walk the devices by name
 * @prev: where the walk stands, which the caller still holds; NULL to begin
 *
 * Return: the next device, held on to; NULL at the end. Devices that come and go meanwhile are met
 * or not; none is met twice. Any context.
 */
struct rostered *roster_next(struct roster *r, const struct rostered *prev);

#endif /* IO_ROSTER_H */
