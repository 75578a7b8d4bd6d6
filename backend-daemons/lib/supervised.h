/*
 * What the back end of one device has whatever its class: who it is, its two directories in the
 * store and the states there, and when a worker may be started for it. A daemon's struct device
 * begins with a struct supervised, which the supervisor (supervisor.h) makes and fills in.
 *
 * Whatever happens only asks for an evaluation, supervised_reconsider(); that reads afresh what
 * decides and hands it to the daemon. So no order of events is assumed, and many events at once
 * cost one evaluation.
 *
 * Types: struct device_key, supervised, supervised_view. One thread, no locks. Suspended guests
 * simply lose their devices.
 */
#ifndef DUET_LIB_SUPERVISED_H
#define DUET_LIB_SUPERVISED_H

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "log.h"
#include "loop.h"
#include "store.h"
#include "wire.h"
#include "xenbus.h"

struct supervisor;

/* Identifies a device. No padding: it is hashed as a whole. */
struct device_key {
    int class; /* index in supervisor.classes */
    int domid;
    int device;
};

struct supervised {
    struct device_key key;
    UT_hash_handle hh;
    struct supervisor *sup;
    struct log_id id;
    char *back;                 /* absolute directory of the back end */
    char *front;                /* of the front end; NULL until supervised_read_front() */
    struct log_limit guest_log; /* for messages that a guest causes */
    uint64_t last_start_ns;     /* when a worker was last started; 0: never */
    /* private */
    struct store_watch front_watch;
    struct loop_work work;
    struct loop_timer retry;
    unsigned int hurry; /* how often a worker was started soon after the last one, up to a limit */
};

/* What the store says at the moment of an evaluation. */
struct supervised_view {
    enum xenbus_state back;
    enum xenbus_state front; /* Unknown: it is not there; Closing: nonsense stands there */
    bool online;             /* the toolstack wants the device to stay */
};

/* The front end has closed its side, or is not there any more. */
static inline bool supervised_front_is_closed(const struct supervised_view *v)
{
    return v->front == XenbusStateClosed || v->front == XenbusStateUnknown;
}

/* Asks for an evaluation before the loop waits again. */
void supervised_reconsider(struct supervised *dev);

/* A watch's callback, `arg` a struct supervised: reconsider. */
void supervised_on_store(void *arg, const char *path);

/* Reads what decides. Returns false when the back end's directory is gone. */
bool supervised_look(struct supervised *dev, struct supervised_view *v);

/*
 * Learns where the front end is, and watches its state from now on. Returns 0, or -errno with a
 * sentence in `why`.
 */
int supervised_read_front(struct supervised *dev, char *why, unsigned long why_size);

/* Writes our state, unless the directory is gone; an error becomes a log line. */
void supervised_set_state(struct supervised *dev, enum xenbus_state state);

/* Says in all the places where people look that something went wrong (`err` is -errno). */
void supervised_tell_error(struct supervised *dev, int err, const char *sentence);

/*
 * Whether a worker started now would follow too soon on the last: a guest that comes and goes
 * without end, or breaks its rings each time, must not keep the host busy. It waits a quarter of a
 * second, and twice as long each time, up to two seconds; ten seconds with one worker or without
 * any, and all is forgiven. If it is too soon the device is reconsidered in time. If not, the
 * caller starts a worker.
 */
bool supervised_too_soon(struct supervised *dev);

/* Fills in what a worker of any class is told first; `magic` is the class's. */
void supervised_wire_head(const struct supervised *dev, uint32_t magic, struct wire_head *head);

/* Gives up what the functions above got. */
void supervised_release(struct supervised *dev);

#endif
