/*
 * What the two halves of the console daemon say to each other, behind the envelope that all classes
 * share (lib/wire.h).
 *
 * The supervisor follows the store and hands out a terminal's master, an event channel that it has
 * bound, a grant that it has named. The worker has the guests' bytes. Each order is about the
 * console of one domain, so both sides keep a table of consoles. Orders for one console are carried
 * out in the order in which they were given.
 */
#ifndef DUET_CONSOLE_CONS_WIRE_H
#define DUET_CONSOLE_CONS_WIRE_H

#include <stdint.h>

#include "name.h"
#include "wire.h"

#define CONS_WIRE_MAGIC  0x346e6364U /* "dcn4": changes with these structures */
#define CONS_WIRE_CLASS  "console"
#define CONS_LOG_DIR_MAX 512

/* The descriptors of the first message. */
enum cons_wire_fd {
    CONS_FD_EVENTS,  /* /dev/xen/evtchn: the supervisor binds, the worker listens and kicks */
    CONS_FD_GRANTS,  /* /dev/xen/gntdev: the supervisor names grants, the worker maps those */
    CONS_FD_READERS, /* inotify: the supervisor adds terminals, the worker listens */
    CONS_FD_LOGS,    /* the directory of the logs, the worker's root */
    CONS_FD_LEDGER,  /* in which the worker counts (ledger.h) */
    CONS_NR_FDS,
};

/* What may be another for a guest. */
struct cons_terms {
    uint64_t history; /* bytes of output kept for later readers, from its start on; at least 1 */
    uint64_t rate;    /* bytes per second that it may print; 0: no limit */
};

/* What the logs have in common. */
struct cons_log_limits {
    uint64_t size;   /* a log of so many bytes is rotated; 0: never */
    uint32_t keep;   /* how many rotated ones are kept */
    uint32_t stamps; /* 1: each line begins with the time */
};

/* First message, supervisor to worker. */
struct cons_wire_config {
    struct wire_head head; /* domid and device mean nothing */
    uint32_t gid;          /* to become */
    uint32_t foreign;      /* 1: pages without a grant are mapped by their frame */
    struct cons_log_limits limits;
    char log_dir[CONS_LOG_DIR_MAX]; /* for messages */
};

/* Later messages, supervisor to worker, beside WIRE_STOP. */
enum cons_order_kind {
    CONS_OPEN =
        WIRE_CLASS_ORDER, /* a terminal, its master comes along: wd, seed, seat, log, terms */
    CONS_LOG,             /* another log, or other terms: log, terms */
    CONS_ATTACH,          /* a ring and a channel: serial, index, frame, port. Answered. */
    CONS_DETACH,          /* take what is left in the ring and let go of it */
    CONS_CLOSE,           /* forget the console */
    CONS_REOPEN,          /* all: open the logs anew */
    CONS_LIMIT,           /* all: limits of the logs */
    CONS_COUNT,           /* all: statistics into the journal */
    CONS_VISIT,           /* all: somebody at the socket (cons_talk.h), who comes along: pid */
    CONS_PING,            /* all: answer. Answered. */
};

struct cons_order {
    uint32_t kind;
    uint32_t domid;
    uint32_t serial; /* comes back with the answer */
    int32_t wd;      /* the terminal's in CONS_FD_READERS */
    uint32_t port;   /* bound in CONS_FD_EVENTS */
    uint32_t seed;   /* 1: the history begins with the end of the log */
    uint32_t seat;   /* in the ledger */
    uint32_t pid;    /* whose connection it is */
    uint64_t index;  /* the grant's in CONS_FD_GRANTS, an offset to map */
    uint64_t frame;  /* of the ring's page, for what has no grant */
    struct cons_terms terms;
    struct cons_log_limits limits;
    char log[CONS_FILE_MAX];
};

/* Worker to supervisor, beside the reports of lib/wire.h. */
enum cons_report_kind {
    CONS_ATTACHED = WIRE_CLASS_REPORT, /* err 0; or err, and text says what failed */
    CONS_PONG,
    CONS_SAYS, /* a message for the log about a console; err is its priority */
};

/* Every report of the worker. */
struct cons_report {
    struct wire_report report;
    uint32_t domid;
    uint32_t serial;
};

#endif
