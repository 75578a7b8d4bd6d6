/*
 * A worker: the process that serves the rings of one device of one guest, and can do nothing else.
 * This is its whole theory of operation. A class adds what its rings carry, by the functions of a
 * struct worker_class.
 *
 *   receive  as root: one message of the supervisor (lib/wire.h) with the descriptors of the device
 *   open     the grant and event-channel devices
 *   connect  the class opens what an earlier worker left (lib/kept.h), which waits until that one
 *            has ended, then maps its rings (worker_map()), binds its event channels
 *            (worker_bind()) and sets up its io_uring: the last moment at which anything can be
 *            opened or allocated
 *   cage     lib/sandbox.h: empty root directory, a uid per guest, no capabilities, and a filter
 *            that passes only the system calls of worker_rules()
 *   begin    in the cage: the class looks at what an earlier worker left (optional)
 *   ready    the supervisor is told, and the guest is kicked once for each event channel, because
 *            kicks that it sent while nobody listened are lost
 *   serve    turn after turn of the class, until it is done; between two turns the one system call
 *            that submits, waits and brings events. Each turn is counted where the supervisor sees
 *            it, and its beat (WIRE_BEAT) causes one: a worker that does not turn is replaced
 *   end      the class says its last words, and the event channels are unbound
 *
 * The order to stop (WIRE_STOP, SIGTERM, or the end of the supervisor) sets `stopping`. The class
 * then finishes what it took from its rings, so that they are at rest and another worker can go on.
 * All other signals that are not faults are ignored: an administrator sends them to the whole unit,
 * and means the supervisor.
 *
 * While there is work no event is asked for: the port of an event stays masked until the class
 * calls worker_listen(), and an event that comes in meanwhile stays pending.
 *
 * A mistake of the guest that leaves its ring usable is answered and logged by the class. One that
 * does not ends the worker (WIRE_BROKEN).
 *
 * Types: struct worker, which a class's own struct begins with, and worker_class. When the guest is
 * suspended its device goes from the store, and the supervisor stops the worker.
 */
#ifndef DUET_LIB_WORKER_H
#define DUET_LIB_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#include "child.h"
#include "figures.h"
#include "kept.h"
#include "log.h"
#include "sandbox.h"
#include "stopwatch.h"
#include "uring.h"
#include "wire.h"

#define WORKER_PORTS_MAX 17U
#define WORKER_RULES_MAX 16U
#define WORKER_EMPTY_DIR "/run/duet/empty"
#define WORKER_ORDER_MAX 256U

/* Tags of the io_uring from here on are this file's. */
#define WORKER_TAGS (UINT64_C(1) << 63)

/* What worker_class.turn() returns at the orderly end. */
#define WORKER_DONE 1

struct worker;

struct worker_class {
    const struct wire_format *wire;
    unsigned int nr_fds; /* that come with it; 0: the first argument of the program says how many */
    /* Whether the first message makes sense. */
    bool (*accept)(const struct worker *w);
    /* Maps, binds, opens `w->uring`. Returns 0, or -errno after a report. */
    int (*connect)(struct worker *w);
    /* Adds what the class needs in the cage. Returns how many rules; NULL: none. */
    unsigned int (*rules)(const struct worker *w, struct sandbox_rule *rules);
    /* In the cage, before the first turn. Returns 0, or -errno after a report. NULL: nothing. */
    int (*begin)(struct worker *w);
    /*
     * Does what there is to do. *wait_ns, 0 before, is how long may be waited then (UINT64_MAX: no
     * limit). Returns 0, WORKER_DONE, or -errno after a report.
     */
    int (*turn)(struct worker *w, uint64_t *wait_ns);
    /* An operation of the class has ended. */
    void (*complete)(struct worker *w, const struct uring_event *event);
    /* An order of the class (WIRE_CLASS_ORDER and above). */
    void (*order)(struct worker *w, const void *order);
    /* The supervisor's beat has come, every few seconds. NULL: nothing. */
    void (*beat)(struct worker *w);
    /* The last words; `err` is what turn() returned. NULL: none. */
    void (*end)(struct worker *w, int err);
};

struct worker {
    const struct worker_class *class;
    struct wire_head *head; /* of the class's first message: where it is to be put */
    int fds[CHILD_FDS_MAX]; /* that came with it */
    unsigned int nr_fds;
    struct log_id id;
    xengnttab_handle *xgt;
    xenevtchn_handle *xce;
    int gntdev_fd, evtchn_fd, signal_fd;
    struct io_uring uring;
    bool stopping;
    struct kept_head *kept; /* of what outlives it, from connect() on; NULL: nothing does */
    uint64_t nr_events, nr_notifications; /* statistics */
    struct figures *figures;              /* in which it counts, from open on */
    struct stopwatch watch;
    /* private */
    evtchn_port_t ports[WORKER_PORTS_MAX];
    unsigned int nr_ports;
    uint32_t events[WORKER_PORTS_MAX]; /* ports of the last read: the kernel's to write */
    uint32_t unmask[WORKER_PORTS_MAX]; /* masked by the device since they were read */
    unsigned int nr_unmask;
    bool reading;
};

/*
 * The life of a worker, from main() to its exit status. `w` is zero but for `class` and `head`.
 */
int worker_main(struct worker *w, int argc, char **argv);

/* Tells the supervisor; `err` is a positive errno or 0. */
void worker_report(struct worker *w, enum wire_report_kind kind, int err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Reports that `what` could not be set up, if `err` is not 0 but -errno. Returns `err`. */
int worker_set_up(struct worker *w, int err, const char *what);

/* The same for a report of the class, which begins with a struct wire_report. */
void worker_send(const void *report, unsigned long bytes);

/*
 * Maps `nr` pages that the guest granted. Returns the address, or NULL after a report about `what`
 * with errno set.
 */
void *worker_map(struct worker *w, const char *what, const uint32_t *refs, unsigned int nr);

/* For kept_open(): says that it waits for an earlier worker. */
void worker_waits(void);

/*
 * Binds an event channel of the guest; *port is ours. Where an earlier worker had it, that one's
 * end is waited for: not for ever, because the guest may just as well have named a wrong port.
 * Returns 0, or -errno after a report.
 */
int worker_bind(struct worker *w, const char *what, uint32_t remote, evtchn_port_t *port);

/* Kicks the guest. */
void worker_notify(struct worker *w, evtchn_port_t port);

/*
 * Listens to the event channels again, with the next submission. To be called before the last look
 * at the rings that precedes a wait.
 */
void worker_listen(struct worker *w);

/*
 * The system calls that the filter lets pass, in at most WORKER_RULES_MAX rules; the worker is
 * connected. Returns how many.
 */
unsigned int worker_rules(const struct worker *w, struct sandbox_rule *rules);

/* Prepares what becomes of signals. Part of worker_main(). Returns 0 or -errno. */
int worker_prepare_signals(struct worker *w);

#endif
