/*
 * What the supervisor and the opener of an image (opener.c) say to each other over their socket
 * (lib/child.h). Descriptors of images travel from opener to opener and from opener to worker. The
 * supervisor never has one, because opening, looking at and closing a file may take for ever.
 *
 *   supervisor                       opener
 *   OPEN path ------------------->   looks it up
 *                                    FOUND (which image it is) or FAILED
 *   LOCK or JOIN ---------------->   checks, locks, measures
 *                                    OPENED or FAILED; BUSY first, if it was told to be patient
 *   GIVE to a worker, SHARE with another opener, MEASURE: as often as needed
 *                                    SIZE whenever it has changed
 *                                    LOST when an NBD server has closed, or one that was dead is
 *                                    back, or a second worker wants the connection: ends, and
 *                                    another opener connects
 *   end of file ----------------->   closes and unlocks all and ends
 */
#ifndef DUET_BLOCK_IMAGE_WIRE_H
#define DUET_BLOCK_IMAGE_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "child.h"

/* Identifies an image. No padding: it is hashed as a whole. */
struct image_key {
    uint64_t dev; /* of the file system; of the block device; no such number: of an NBD export */
    uint64_t ino; /* 0 for a block device; an export's name's hash */
};

/* What was found. */
struct image_facts {
    uint64_t sectors;   /* of 512 bytes */
    uint64_t rdev;      /* of a block device */
    int64_t changed_ns; /* when a file was last written, by the wall clock; 0: not known */
    uint32_t physical_sector_bytes;
    uint32_t discard_granularity; /* bytes; 0: no discard */
    bool block_device;
    bool nbd;                /* an NBD server's export (remote.h) */
    bool nbd_flush, nbd_fua; /* which the server knows */
    bool dead;               /* its server has been away for too long: the rest is not filled */
};

enum image_order_kind {
    IMAGE_ORDER_OPEN = 1, /* followed by the path and its NUL */
    IMAGE_ORDER_LOCK,
    IMAGE_ORDER_JOIN,    /* with a socket, on which the lock comes from another opener */
    IMAGE_ORDER_SHARE,   /* with a socket, for which the lock is */
    IMAGE_ORDER_GIVE,    /* followed by a message, with a worker's socket and descriptors: the
                            message is for the worker, the image and its lock come before the
                            descriptors */
    IMAGE_ORDER_MEASURE, /* the size may have changed */
};

struct image_order {
    uint32_t kind;
    bool read_only;  /* with OPEN */
    bool forced;     /* with OPEN: do not ask who else uses the image */
    bool patient;    /* with OPEN: wait for whoever has it locked, or for the server */
    uint32_t wait_s; /* with OPEN: for the server, until it is told as dead; 0: for ever */
};

/* Whether a target names an export: nbd://HOST[:PORT]/EXPORT, nbd+unix:///EXPORT?socket=PATH. */
static inline bool image_is_remote(const char *target)
{
    return strncmp(target, "nbd://", 6) == 0 || strncmp(target, "nbd+unix://", 11) == 0;
}

/* Whether a target names an image that our hotplug script starts a server for: FORMAT:/PATH. */
static inline bool image_is_served(const char *target)
{
    return strncmp(target, "qcow2:/", 7) == 0 || strncmp(target, "vhd:/", 5) == 0 ||
           strncmp(target, "vmdk:/", 6) == 0;
}

#define IMAGE_GIVEN_FDS 2U /* that GIVE adds */

#define IMAGE_PATH_MAX 1100 /* with the NUL; more than the store's key may have */
#define IMAGE_REST_MAX (CHILD_MESSAGE_MAX - sizeof(struct image_order))

enum image_report_kind {
    IMAGE_REPORT_FOUND = 1, /* key; again when JOIN failed: decide anew */
    IMAGE_REPORT_OPENED,    /* facts */
    IMAGE_REPORT_FAILED,    /* err, text; the opener ends */
    IMAGE_REPORT_SIZE,      /* facts.sectors */
    IMAGE_REPORT_BUSY,      /* text; it is tried again, until the lock or the server is there */
    IMAGE_REPORT_LOST,      /* text; the opener ends */
};

#define IMAGE_TEXT_MAX (IMAGE_PATH_MAX + 512)

struct image_report {
    uint32_t kind;
    int32_t err; /* positive errno */
    struct image_key key;
    struct image_facts facts;
    char text[IMAGE_TEXT_MAX];
};

#endif
