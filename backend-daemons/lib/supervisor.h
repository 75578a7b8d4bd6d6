/*
 * The supervisor, the half of a back end daemon that runs as root. It finds the devices that this
 * domain serves, of one class or of several (backends.h), keeps them, and has each evaluated when
 * the store has changed (supervised.h). What then has to be done is the business of the daemon's
 * device.c, whose own struct for a device begins with a struct supervised.
 *
 * While the kernel's own driver of a class is loaded, its devices are left to it.
 *
 * Types: struct supervisor, which a daemon embeds, supervisor_class, supervisor_ops.
 */
#ifndef DUET_LIB_SUPERVISOR_H
#define DUET_LIB_SUPERVISOR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "backends.h"
#include "conf.h"
#include "metrics.h"
#include "metrics_http.h"
#include "supervised.h"

#define SUPERVISOR_CLASSES_MAX 2U

/* What a class of devices is, and does in its devices' lives (life.h). NULL: nothing to do. */
struct supervisor_ops {
    const char *noun; /* what it serves: "block device" */
    struct {
        const char *name;              /* the directory below `backend/` */
        const char *kernel_module;     /* that may serve the class instead; NULL: none */
    } classes[SUPERVISOR_CLASSES_MAX]; /* name NULL: no more */
    const char *const *keys; /* of a back end's directory whose change means something; ends NULL */
    size_t device_size;      /* of its own device, which starts as zeros */
    const struct wire_format *wire;
    size_t config_at;          /* in its own device: what a worker is told first */
    unsigned int ready_states; /* 1 << state, of a front end whose rings are published */
    bool offers_unusable; /* what cannot be used is offered, with a verdict for the toolstack */
    bool refuses;         /* has workers that answer everything by an error */

    /* Reads what the toolstack wrote. Returns 0 or -errno with a sentence. */
    int (*learn)(struct supervised *dev, char *why, unsigned long why_size);
    /*
     * Opens what is served, if it is not yet. Returns 0, -errno with a sentence, -EAGAIN when it
     * is to be asked again, or -EINPROGRESS: then supervised_opened() follows.
     */
    int (*open)(struct supervised *dev, char *why, unsigned long why_size);
    void (*offer)(struct supervised *dev); /* publishes features, verdict and state 2 */
    enum supervised_turn (*turn)(struct supervised *dev); /* may a worker be started? */
    /*
     * Reads the front end's side into the configuration, which is zero but for its head. Every
     * value is the guest's. Returns 0 or -errno with a sentence.
     */
    int (*read_front)(const struct supervised_front *front);
    /* Adds our side, and what else a worker gets. Returns 0 or -errno with a sentence. */
    int (*configure)(struct supervised *dev, struct crew_orders *orders, char *why,
                     unsigned long why_size);
    /* Hands it over in another way than child_send(). 0 or -errno with a sentence. */
    int (*deliver)(struct supervised *dev, const struct crew_orders *orders, char *why,
                   unsigned long why_size);
    int (*create_log)(void);         /* of what is in flight (kept.h): a descriptor or -errno */
    uint32_t log_magic, log_version; /* that its workers can read */
    bool forgives;                   /* can go on without the log of a ring that is in use */
    void (*serve)(struct supervised *dev);  /* publishes size, carrier, ... and state 4 */
    void (*update)(struct supervised *dev); /* looks at what may change while connected */
    /* A report of the class's own. Returns false when it is none. */
    bool (*report)(struct supervised *dev, const struct wire_report *r, const void *msg,
                   unsigned long len);
    void (*rest)(struct supervised *dev); /* no worker is left: lets go what others want */
    void (*idle)(struct supervised *dev); /* closed, and the toolstack or the guest is done */
    void (*gone)(struct supervised *dev); /* removed by the toolstack: nothing may be left */
    void (*release)(struct supervised *dev);
    void (*count)(struct supervised *dev);   /* on SIGUSR1: logs what its workers have counted */
    const struct metric_table *metrics;      /* what is told of its devices */
    int (*started)(struct supervisor *sup);  /* the store can be asked; -errno after a log line */
    void (*stopped)(struct supervisor *sup); /* for the last time; also if it never started */
};

struct supervisor_class {
    struct supervisor *sup;
    struct log_limit kernel_log;
    struct backend_class watch;
};

/* The log of a device that an earlier daemon served (crew.h). */
struct supervisor_kept {
    char name[32];
    int fd;
    struct supervisor_kept *next;
};

struct supervisor {
    const struct supervisor_ops *ops;
    struct loop *loop;
    struct store *store;
    struct supervisor_class classes[SUPERVISOR_CLASSES_MAX];
    struct supervised *devices; /* uthash by struct device_key */
    unsigned int nr_devices;
    int worker_program;           /* found by supervisor_start(), child_find_program() */
    struct supervisor_kept *kept; /* that no device has asked for yet */
    bool stopping;
    struct loop_timer leave;
    struct metrics_server metrics;
    struct figures_bounds bounds; /* of ops->metrics */
    int64_t began_s;              /* by the wall clock */
    /* configuration */
    struct conf conf;    /* whose `class` names the section */
    const char *purpose; /* what --help says about the daemon */
    const char *worker_path;
    unsigned int beat_ms;   /* between two beats of a worker (crew.h); 0: as there */
    unsigned int leave_ms;  /* how long it waits for its workers at its end; 0: LEAVE_MS */
    const char *metrics_at; /* where its figures are told; NULL: nowhere */
    uid_t uid_base;         /* a worker's uid is this plus the guest's domain id */
};

/* Whether the toolstack has such a device. One that the store cannot tell of may be there: it is
 * looked at again. */
bool supervisor_exists(const struct supervisor *sup, const struct device_key *key);

/* A device is gone: it is released and freed. */
void supervisor_remove(struct supervisor *sup, struct supervised *dev);

/* Connects to the store and starts to watch; `ops` and `loop` are set. Returns 0, or -errno after a
 * log line. */
int supervisor_start(struct supervisor *sup);

/*
 * Finds a program of the daemon, to be started later by child_start() and closed by its owner.
 * Returns 0, or -errno after a log line.
 */
int supervisor_find_program(const char *path, int *program);

/* A descriptor that an earlier daemon had kept under a device's name; `arg` is the supervisor. */
void supervisor_keep(void *arg, const char *name, int fd);

/*
 * Stops all workers in good order. The loop ends when the last is gone; or two seconds later,
 * without those that are late, because all other guests wait for the next daemon. They end by
 * themselves, once their storage lets them, and the next worker of each waits for that (kept.h).
 */
void supervisor_stop(struct supervisor *sup);

/* Gives up what supervisor_start() got. */
void supervisor_free(struct supervisor *sup);

/*
 * The daemon's main(), from its options, of which `rules` are its own, to its end: event loop,
 * signals, readiness. SIGTERM and SIGINT let the workers finish what they took from their rings;
 * the store is left as it is, so that the next daemon goes on with the same guests. SIGUSR1 logs
 * how each device is, SIGHUP reads the configuration file anew, SIGUSR2 does nothing. Returns the
 * exit status.
 */
int supervisor_main(struct supervisor *sup, const struct option_rule *rules, unsigned int nr,
                    int argc, char **argv);

#endif
