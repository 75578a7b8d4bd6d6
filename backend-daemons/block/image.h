/*
 * Disk images: opening them safely and knowing who uses which.
 *
 * An image is identified by what it is (device and inode, or the block device's number), not by its
 * name. It may be used read-write by one guest, or read-only by any number. Against other programs
 * an open-file-description lock is held for as long as somebody uses the image (QEMU understands
 * those), and a block device is claimed exclusively, so that neither mount(8) nor another claim
 * works on it.
 *
 * Using an image has two steps. image_open() finds, checks, locks and measures it: then it is
 * promised to the user. image_take() gives him the descriptor that a worker reads and writes with.
 * Domains that are the same virtual machine (same `vm` path in the store: the two ends of a
 * migration) may both have the promise, as the stock block script allows; but only one of them can
 * have taken it, and the other waits until it was dropped (image_rival()).
 *
 * Types: struct image_table (all images in use), struct image_user (one device's use of one image;
 * lives in the device). One thread, no locks. A device that goes away with a saved guest gives its
 * image back; the restored guest opens it anew.
 */
#ifndef DUET_BLOCK_IMAGE_H
#define DUET_BLOCK_IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <xen_list.h>

#include "log.h"

struct image;

/* Zero-initialise an empty one. */
struct image_table {
    struct image *images; /* uthash by identity */
};

struct image_user {
    struct image *image; /* NULL: none */
    bool taken;
    int fd; /* valid while taken */
    bool read_only;
    struct log_id id;
    char vm[64];
    XEN_TAILQ_ENTRY(struct image_user) link;
    /* what was found */
    uint64_t sectors; /* of 512 bytes */
    uint32_t physical_sector_bytes;
    bool block_device;
    dev_t rdev;
    uint32_t discard_granularity; /* bytes; 0: no discard */
};

/*
 * Opens `path` for `user`, whose id, vm and read_only are set. Returns 0 with the rest filled, or
 * -errno with a sentence for people in `why`.
 */
int image_open(struct image_table *table, const char *path, struct image_user *user, char *why,
               unsigned long why_size);

/*
 * Another user who may not have taken the image while `user` has; with `holding` one who has. Only
 * the same virtual machine's: all others were refused by image_open(). NULL when there is none.
 */
struct image_user *image_rival(const struct image_user *user, bool holding);

/* Calls fn for all of them. */
void image_each_rival(const struct image_user *user, void (*fn)(struct image_user *rival));

/*
 * Opens the image's descriptor `user->fd`: no rival may have taken it. Harmless when it is taken
 * already. Returns 0, or -errno with a sentence in `why`.
 */
int image_take(struct image_user *user, char *why, unsigned long why_size);

/* Closes the descriptor; the image stays promised to `user`. Harmless when it is not taken. */
void image_drop(struct image_user *user);

/* Gives the image back, dropping it first. Harmless when none is open. */
void image_close(struct image_table *table, struct image_user *user);

#endif
