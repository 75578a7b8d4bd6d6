/*
 * The supervisor, which is the root half of a back end daemon: finds the devices that this domain
 * serves, of one class or of several (backends.h), keeps them, and has each evaluated when the
 * store changed (supervised.h). What is to be done then is the business of the daemon's device.c,
 * whose struct device begins with a struct supervised.
 *
 * While the kernel's own driver of a class is loaded its devices are left to it.
 *
 * Types: struct supervisor, which a daemon embeds, supervisor_class, supervisor_ops.
 * One thread, no locks. Suspended guests simply lose their devices.
 */
#ifndef DUET_LIB_SUPERVISOR_H
#define DUET_LIB_SUPERVISOR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "backends.h"
#include "supervised.h"

#define SUPERVISOR_CLASSES_MAX 2U

/* What a daemon does with its devices. */
struct supervisor_ops {
    const char *noun; /* of what it serves: "block device" */
    struct {
        const char *name;          /* the directory below `backend/` */
        const char *kernel_driver; /* in sysfs, while the kernel serves the class; NULL: never */
        const char *kernel_module;
    } classes[SUPERVISOR_CLASSES_MAX]; /* name NULL: no more */
    const char *const *keys; /* of a back end's directory whose change means something; ends NULL */
    size_t device_size;      /* of its struct device, which starts as zeros */
    void (*evaluate)(struct supervised *dev, const struct supervised_view *v);
    void (*gone)(struct supervised *dev);    /* evaluated without a back end's directory */
    void (*stop)(struct supervised *dev);    /* the end: the store is left as it is */
    void (*release)(struct supervised *dev); /* gives up what it has; no worker of it runs */
    void (*count)(struct supervised *dev);   /* on SIGUSR1: statistics into the log; NULL: none */
    void (*started)(struct supervisor *sup); /* the store can be asked; NULL: nothing to do */
};

struct supervisor_class {
    struct supervisor *sup;
    struct log_limit kernel_log;
    struct backend_class watch;
};

struct supervisor {
    const struct supervisor_ops *ops;
    struct loop *loop;
    struct store *store;
    struct supervisor_class classes[SUPERVISOR_CLASSES_MAX];
    struct supervised *devices; /* uthash by struct device_key */
    unsigned int nr_devices;
    bool stopping;
    /* configuration */
    const char *worker_path;
    uid_t uid_base; /* a worker's uid is this plus the guest's domain id */
};

/* Whether the toolstack has such a device. */
bool supervisor_exists(const struct supervisor *sup, const struct device_key *key);

/* A device is gone: it is released and freed. */
void supervisor_remove(struct supervisor *sup, struct supervised *dev);

/* Connects to the store and starts to watch; `ops` and `loop` are set. Returns 0, or -errno after a
 * log line. */
int supervisor_start(struct supervisor *sup);

/* Stops all workers in good order; the loop ends when the last is gone. */
void supervisor_stop(struct supervisor *sup);

/* Gives up what supervisor_start() got. */
void supervisor_free(struct supervisor *sup);

/*
 * The daemon's life, from its options to its end: event loop, signals, readiness. SIGTERM and
 * SIGINT let the workers finish what they took from their rings; the store is left as it is, so
 * that the next daemon goes on with the same guests. Returns the exit status.
 */
int supervisor_run(struct supervisor *sup);

#endif
