/*
 * The envelope of what any supervisor and any worker say to each other over their socket (child.h).
 * A class puts its own fields behind it.
 *
 * The worker is the less trusted side. The supervisor checks the length and the kind of what it
 * gets, limits how much of it is logged, and treats texts as if a guest had written them. The
 * worker receives everything it needs in the first message, descriptors included, so that a worker
 * can be started for a device that is in use already. Both sides are built from the same tree;
 * `magic` is for an upgrade under way.
 *
 * Plain data, and one function that reads it.
 */
#ifndef DUET_LIB_WIRE_H
#define DUET_LIB_WIRE_H

#include <errno.h>
#include <stdint.h>

/* How a class's messages look, to both sides. */
struct wire_format {
    const char *daemon; /* the supervisor's name */
    uint32_t magic;
    unsigned long config_bytes; /* of the first message */
    unsigned long order_bytes;  /* of a later one of the class's own */
};

/* The head of the first message, supervisor to worker. */
struct wire_head {
    uint32_t magic; /* the class's; changes with its structures */
    char class[8];  /* "vbd", "vif" */
    uint16_t domid;
    int32_t device;
    uint32_t uid; /* to become */
    int32_t log_level;
};

/* Later messages, supervisor to worker, begin with one of these. */
enum wire_order_kind {
    WIRE_STOP = 1,         /* finish what was taken from the rings, then exit with status 0 */
    WIRE_BEAT,             /* turn once: a worker that moves counts it (kept.h) */
    WIRE_CLASS_ORDER = 16, /* the first that is a class's own */
};

/* Worker to supervisor. */
enum wire_report_kind {
    WIRE_READY = 1,         /* serving: connected, caged */
    WIRE_FAILED,            /* could not start; exits */
    WIRE_BROKEN,            /* the guest broke the protocol; exits */
    WIRE_SAYS,              /* a message for the log; `err` is its priority */
    WIRE_CLASS_REPORT = 16, /* the first that is a class's own; those may be longer */
};

/* Descriptors that come behind the class's own with the first message: of struct figures. */
#define WIRE_OWN_FDS 1U

#define WIRE_TEXT_MAX  240
#define WIRE_ERRNO_MAX 4095

struct wire_report {
    uint32_t kind;
    int32_t err; /* positive errno; of WIRE_SAYS a priority of <syslog.h> */
    char text[WIRE_TEXT_MAX];
};

/* The error of a report as -errno. A number that is none, and 0 too, is -EIO: a failure stays one.
 */
static inline int wire_errno(int32_t err)
{
    return err > 0 && err <= WIRE_ERRNO_MAX ? -err : -EIO;
}

#endif
