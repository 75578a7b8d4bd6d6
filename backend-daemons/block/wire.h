/*
 * What the supervisor and the worker of a block device say to each other, behind the envelope that
 * all classes share (lib/wire.h). A report of this class is a plain struct wire_report.
 */
#ifndef DUET_BLOCK_WIRE_H
#define DUET_BLOCK_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

#include "../lib/wire.h"

#define BLK_WIRE_MAX_PAGE_ORDER 4
#define BLK_WIRE_MAX_PAGES      (1U << BLK_WIRE_MAX_PAGE_ORDER)

/* Descriptors of the first message, in this order. */
enum blk_wire_fd {
    BLK_WIRE_FD_IMAGE, /* open for what the device may do, and no more */
    BLK_WIRE_FD_LOCK,  /* the image again, locked by its opener (image.h) */
    BLK_WIRE_FD_LOG,   /* the in-flight log (lib/inflight.h) of the guest's ring */
    BLK_WIRE_NR_FDS,
};

/*
 * Locks on the image, each by an open file description (OFD), as QEMU takes them. Its opener holds
 * all bytes below this one, against other programs. Each worker holds this one, which no image has,
 * by the description that its operations go through: it is free when the last of them has ended,
 * whoever has died meanwhile.
 */
#define BLK_WIRE_WORKER_BYTE (INT64_C(1) << 62)

enum blk_wire_protocol {
    BLK_WIRE_X86_64,
    BLK_WIRE_X86_32,
};

/*
 * How much the guest may have of its disk (throttle.h), all zeros for no limit. No padding: it is
 * compared as a whole.
 */
struct blk_wire_pace {
    uint64_t bytes;   /* of reads and writes in a second; 0: no limit */
    uint32_t iops;    /* requests in a second; 0: no limit */
    uint32_t burst_s; /* the most that is saved up, in seconds of the limit */
};

/* First message, supervisor to worker. */
struct blk_wire_config {
    struct wire_head head;
    uint32_t protocol; /* enum blk_wire_protocol */
    uint32_t event_channel;
    uint32_t nr_pages;
    uint32_t ring_refs[BLK_WIRE_MAX_PAGES];
    uint64_t sectors;
    struct blk_wire_pace pace;
    bool read_only;
    bool discard;
    bool refuse;             /* answer every request by an error: earlier workers died of one */
    bool block_device;       /* the image is one, not a regular file */
    bool shared;             /* others may write it meanwhile: the toolstack has said so */
    bool nbd;                /* the image is a connection to an NBD server (nbd.h) */
    bool nbd_flush, nbd_fua; /* which knows these */
};

/* How long the worker may make a file (RLIMIT_FSIZE). What is no file has an end of its own. */
static inline rlim_t blk_wire_file_limit(const struct blk_wire_config *config)
{
    return config->block_device || config->nbd ? RLIM_INFINITY : config->sectors * 512;
}

/* Later messages, supervisor to worker, beside WIRE_STOP. */
enum blk_wire_order_kind {
    /*
     * The disk has another size. The supervisor raises the worker's RLIMIT_FSIZE before, for the
     * worker itself may not.
     */
    BLK_WIRE_RESIZE = WIRE_CLASS_ORDER,
    /* The guest may have more or less of it from now on. */
    BLK_WIRE_PACE,
};

struct blk_wire_order {
    uint32_t kind;
    uint64_t sectors;          /* BLK_WIRE_RESIZE */
    struct blk_wire_pace pace; /* BLK_WIRE_PACE */
};

static const struct wire_format blk_wire_format = {
    .daemon = "duet-blockd",
    .magic = 0x376b6c62U, /* "blk7": changes with these structures */
    .config_bytes = sizeof(struct blk_wire_config),
    .order_bytes = sizeof(struct blk_wire_order),
};

#endif
