/*
 * What supervisor and worker say to each other over their socket (lib/child.h). Both are built from
 * the same tree and started together; the worker is the less trusted side, so the supervisor checks
 * the length and kind of what it gets and treats texts as untrusted.
 *
 * The worker receives everything it needs in the first message, descriptors included, so that one
 * can be started for a device that is in use already. Plain data: no locks, nothing to suspend.
 */
#ifndef DUET_BLOCK_WIRE_H
#define DUET_BLOCK_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#define WIRE_MAGIC          0x6b6c6231U /* "blk1": changes with these structures */
#define WIRE_MAX_PAGE_ORDER 4
#define WIRE_MAX_PAGES      (1U << WIRE_MAX_PAGE_ORDER)

/* Descriptors of the first message, in this order. */
enum wire_fd {
    WIRE_FD_IMAGE, /* open for what the device may do, and no more */
    WIRE_NR_FDS,
};

enum wire_protocol {
    WIRE_X86_64,
    WIRE_X86_32,
};

/* First message, supervisor to worker. */
struct wire_config {
    uint32_t magic;
    char class[8]; /* "vbd", "vbd3" */
    uint16_t domid;
    int32_t device;
    uint32_t uid; /* to become */
    int32_t log_level;
    uint32_t protocol; /* enum wire_protocol */
    uint32_t event_channel;
    uint32_t nr_pages;
    uint32_t ring_refs[WIRE_MAX_PAGES];
    uint64_t sectors;
    bool read_only;
    bool discard;
    bool block_device; /* the image is one, not a regular file */
};

/* Later messages, supervisor to worker. */
enum wire_order {
    WIRE_STOP = 1, /* finish what was taken from the ring, then exit with status 0 */
};

/* Worker to supervisor. */
enum wire_report_kind {
    WIRE_READY = 1, /* serving: connected, caged */
    WIRE_FAILED,    /* could not start; exits */
    WIRE_BROKEN,    /* the guest broke the protocol; exits */
};

struct wire_report {
    uint32_t kind;
    int32_t err; /* positive errno */
    char text[240];
};

#endif
