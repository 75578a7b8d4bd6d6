/*
 * The supervisor: finds the block devices that this domain serves, of the classes vbd and vbd3
 * (lib/backends.h), and hands each to its state machine (device.h).
 *
 * Types: struct supervisor. One thread, no locks. Suspended guests simply lose their devices.
 */
#ifndef DUET_BLOCK_SUPERVISOR_H
#define DUET_BLOCK_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uthash.h>

#include "backends.h"
#include "image.h"
#include "loop.h"
#include "store.h"

struct device;

/* A class of back end that we serve: a directory below `backend/`. */
struct device_class {
    struct supervisor *sup;
    const char *name;
    const char *kernel_driver; /* in sysfs while the kernel serves this class itself; NULL: never */
    struct log_limit kernel_log;
    struct backend_class watch;
};

enum {
    NR_CLASSES = 2,
};

struct supervisor {
    struct loop *loop;
    struct store *store;
    struct image_table images;
    struct device_class classes[NR_CLASSES];
    struct device *devices; /* uthash by struct device_key */
    unsigned int nr_devices;
    bool stopping;
    /* configuration */
    const char *worker_path;
    const char *hotplug_script;
    uid_t uid_base; /* a worker's uid is this plus the guest's domain id */
};

/* Connects to the store and starts to watch. Returns 0, or -errno after a log line. */
int supervisor_start(struct supervisor *sup);

/* Stops all workers in good order; the loop ends when the last is gone. */
void supervisor_stop(struct supervisor *sup);

/* Gives up what supervisor_start() got. */
void supervisor_free(struct supervisor *sup);

/* A device is gone: called by device.c before it frees it. */
void supervisor_forget(struct supervisor *sup, struct device *dev);

#endif
