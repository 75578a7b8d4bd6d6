/*
 * The file or block device of one image, in the hands of its opener: found, checked, locked and
 * measured. Every call may take as long as the storage likes.
 *
 * The path is looked up once (O_PATH). Type, identity and every later open refer to what was found
 * then, so that a path that changes meanwhile cannot show us two things.
 *
 * Types: struct imagefile.
 */
#ifndef DUET_BLOCK_IMAGEFILE_H
#define DUET_BLOCK_IMAGEFILE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "image_wire.h"

/* Set the first three; the rest is imagefile_find()'s. */
struct imagefile {
    const char *path;
    bool read_only;
    bool forced; /* nobody is asked who else uses it */
    int path_fd;
    int lock_fd; /* -1 until it is locked */
    struct stat st;
};

/* Finds what `path` names. Returns 0 with *key filled, or -errno with a sentence in `why`. */
int imagefile_find(struct imagefile *f, struct image_key *key, char *why, unsigned long why_size);

/*
 * Locks it against other programs of this host, unless it is in use by them. Returns 0 with
 * `lock_fd` open, or -errno with a sentence in `why`.
 */
int imagefile_lock(struct imagefile *f, char *why, unsigned long why_size);

/* Measures it, with `lock_fd` open. Returns 0, or -errno with a sentence in `why`. */
int imagefile_measure(const struct imagefile *f, struct image_facts *facts, char *why,
                      unsigned long why_size);

/*
 * Opens the descriptor for a worker: for what the device may do, and no more. Returns it, or -errno
 * with a sentence in `why`.
 */
int imagefile_open(const struct imagefile *f, char *why, unsigned long why_size);

/* Closes and unlocks it. */
void imagefile_close(struct imagefile *f);

#endif
