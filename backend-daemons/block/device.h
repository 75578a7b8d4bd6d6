/*
 * One block device of one guest, as its back end sees it: the XenBus state machine.
 *
 * Phases, and the `state` that the store shows meanwhile:
 *
 *   NEW ──find and lock image, publish features──▶ WAITING (2)
 *   WAITING ──front end at 3 or 4: take image, start worker──▶ STARTING
 *   STARTING ──worker is ready: publish size──▶ CONNECTED (4)
 *   CONNECTED ──front end closed or gone──▶ STOPPING (5)
 *   STOPPING ──worker has finished and is gone: drop image──▶ CLOSED (6)
 *   CLOSED ──online=1 and the front end starts anew──▶ WAITING
 *   CLOSED ──directory removed──▶ freed
 *
 * In a migration the guest is suspended at the old end, and its disk has to be let go there before
 * the guest runs at the new end. Two things tell: xl renames the old end to NAME--migratedaway
 * before it permits the new one to start (and back if that fails); and when both ends are on this
 * host, the new one's front end connects, which is the work of a guest that runs.
 *
 *   CONNECTED ──renamed, or another end of the same disk connects──▶ STOPPING ──▶ YIELDED (4 still)
 *   YIELDED ──named as before, and no other end is there: the migration failed──▶ STARTING
 *
 * A worker for the new end starts after that of the old one has finished, flushed and closed the
 * image.
 *
 * evaluate() is the only place where phases change by what the store says; every event just
 * asks for it to run, and it reads afresh what it needs. So no order of events is assumed. The
 * directory of the front end belongs to the guest and everything in it is checked; that of the back
 * end is written by the toolstack.
 *
 * Stock libxl waits for state 2, then runs the key `script`, and shows `hotplug-error` when the
 * script fails. We find and lock the image before state 2, so we replace the stock script by our
 * own, which only looks at our verdict: a bad image makes `xl` fail at once and with our sentence,
 * and no loop device is made. Other scripts (iSCSI, DRBD, …) run as they are, and we use what they
 * leave in `physical-device-path`.
 *
 * Types: struct blockd, struct device. One thread, no locks. At suspend the toolstack removes
 * the device; after the restore there is a new one under a new domain id.
 */
#ifndef DUET_BLOCK_DEVICE_H
#define DUET_BLOCK_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "child.h"
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
    const char *hotplug_script; /* configuration */
};

enum device_phase {
    DEVICE_NEW,
    DEVICE_OPENING,
    DEVICE_WAITING,
    DEVICE_STARTING,
    DEVICE_CONNECTED,
    DEVICE_STOPPING,
    DEVICE_YIELDED,
    DEVICE_CLOSED,
};

struct device {
    struct supervised base; /* first */
    enum device_phase phase;
    bool unusable; /* the image cannot be opened: nothing to wait for but removal */
    bool own_script;
    bool adopt;    /* the front end was served before a restart: the state stays as it is */
    bool reported; /* the worker has said why it ends */
    bool yielding; /* it ends because the guest goes on at another end */
    bool cdrom, removable, discard_wanted;
    struct image_user image;
    uint64_t told_sectors; /* the size that the worker knows */
    struct child worker;
    struct store_watch name_watch;
};

/* What the supervisor does with block devices: it is the one user of device.c. */
extern const struct supervisor_ops blockd_ops;

/* The daemon that a device belongs to. */
static inline struct blockd *device_blockd(const struct device *dev)
{
    return (struct blockd *)dev->base.sup; /* its first member */
}

#endif
