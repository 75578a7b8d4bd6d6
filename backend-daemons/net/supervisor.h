/*
 * The supervisor: finds the network devices that this domain serves (lib/backends.h) and hands each
 * to its state machine (device.h).
 *
 * Types: struct supervisor. One thread, no locks. Suspended guests simply lose their devices.
 */
#ifndef DUET_NET_SUPERVISOR_H
#define DUET_NET_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uthash.h>

#include "backends.h"
#include "log.h"
#include "loop.h"
#include "store.h"

struct device;

struct supervisor {
    struct loop *loop;
    struct store *store;
    struct backend_class class;
    struct log_limit kernel_log;
    struct device *devices; /* uthash by struct device_key */
    unsigned int nr_devices;
    bool stopping;
    /* configuration */
    const char *worker_path;
    const char *tap_prefix; /* what stands before D.N in the tap's name */
    uid_t uid_base;         /* a worker's uid is this plus the guest's domain id */
    unsigned int max_queues;
    unsigned int stall_seconds;
};

/* Connects to the store and starts to watch. Returns 0, or -errno after a log line. */
int supervisor_start(struct supervisor *sup);

/* Stops all workers in good order; the loop ends when the last is gone. The taps stay. */
void supervisor_stop(struct supervisor *sup);

/* Asks every worker for its statistics, which go to the log. */
void supervisor_count(struct supervisor *sup);

/* Gives up what supervisor_start() got. */
void supervisor_free(struct supervisor *sup);

/* A device is gone: called by device.c before it frees it. */
void supervisor_forget(struct supervisor *sup, struct device *dev);

#endif
