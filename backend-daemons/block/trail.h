/*
 * What virtual machines left behind: when each last let go of an image. A guest that was saved goes
 * on from a memory in which its file systems are mounted; if somebody has written to the image
 * meanwhile, the two do not match, and its next write may ruin the file system. The toolstack does
 * not look, so whoever opens the image for the same virtual machine again asks here.
 *
 * It is a warning and no guard: it knows nothing about block devices, which have no time of their
 * last change, nor what was let go on another host or before the daemon was started.
 *
 * Types: struct blk_trail, which holds the latest BLK_TRAIL_MAX marks. One thread.
 */
#ifndef DUET_BLOCK_TRAIL_H
#define DUET_BLOCK_TRAIL_H

#include <stdint.h>

#define BLK_TRAIL_MAX 1024U

struct blk_trail_mark;

/* Zero-initialise. */
struct blk_trail {
    struct blk_trail_mark *marks[BLK_TRAIL_MAX]; /* the oldest first */
    unsigned int nr;
};

/* The virtual machine (its path in the store; empty: unknown, nothing is noted) has let go of it.
 */
void blk_trail_leave(struct blk_trail *trail, const char *vm, const char *image);

/* It has the image again. */
void blk_trail_return(struct blk_trail *trail, const char *vm, const char *image);

/* When it let go of it, in nanoseconds of the wall clock; 0: never, as far as is known. */
int64_t blk_trail_left(const struct blk_trail *trail, const char *vm, const char *image);

void blk_trail_free(struct blk_trail *trail);

#endif
