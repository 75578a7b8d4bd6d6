/*
 * One block device of one guest, as its back end sees it: what is a disk's own in the life that all
 * devices share (lib/life.h), namely its image, and which of a migration's two ends has it.
 *
 * In a migration the guest is suspended at the old end, and its disk has to be let go there before
 * the guest runs at the new end. There are two signs of that. xl renames the old end to
 * NAME--migratedaway before it permits the new one to start, and renames it back if that fails. And
 * if both ends are on this host, the new one's front end connects, which takes a guest that runs.
 *
 *   CONNECTED --renamed, or another end of the same disk connects--> STOPPING --> YIELDED (4 still)
 *   YIELDED --has its name back, and no other end is there: the migration failed--> CALLED
 *
 * A worker for the new end starts after that of the old one has finished, flushed and closed the
 * image.
 *
 * Stock libxl waits for state 2, then runs the script named by the key `script`, and shows
 * `hotplug-error` if the script fails. The image is found and locked before state 2, so the stock
 * script is replaced by our own, which only looks at our verdict: a bad image makes `xl` fail at
 * once and with our sentence, and no loop device is made. Other scripts (iSCSI, DRBD, ...) run as
 * they are, and what they leave in `physical-device-path` is used.
 *
 * Types: struct blockd, struct blk_device.
 */
#ifndef DUET_BLOCK_DEVICE_H
#define DUET_BLOCK_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "bucket.h"
#include "image.h"
#include "qdisk.h"
#include "supervisor.h"
#include "uevent.h"
#include "wire.h"

/* The daemon: what all devices share. */
struct blockd {
    struct supervisor sup; /* first */
    struct image_table images;
    struct uevent_watch uevents;
    struct qdisk_watch qdisks;
    /* configuration */
    const char *hotplug_script;
    unsigned int iops, burst_s;
    uint64_t bytes_per_second;
};

struct blk_device {
    struct supervised base; /* first */
    bool own_script;
    bool cdrom, removable, discard_wanted;
    struct image_user image;
    struct blk_wire_config config; /* that the worker has; with the size that it knows */
    bool size_due;                 /* the store does not say yet what the worker knows */
    struct store_watch name_watch;
    struct bucket lost; /* images whose openers were killed */
};

/* What the supervisor does with block devices: it is the one user of device.c. */
extern const struct supervisor_ops blockd_ops;

static inline struct blk_device *blk_device_of(struct supervised *base)
{
    return (struct blk_device *)base; /* its first member */
}

/* The daemon that a device belongs to. */
static inline struct blockd *blk_device_daemon(const struct blk_device *dev)
{
    return (struct blockd *)dev->base.sup; /* its first member */
}

#endif
