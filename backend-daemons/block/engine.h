/*
 * The worker's way to the disk: what of its io_uring (lib/uring.h) is a disk's. File I/O completes
 * where events and the supervisor's orders do, so that a batch of requests costs one system call to
 * submit and to wait.
 *
 * The ring is restricted to the few operations below before the worker takes its guest's first
 * request, because seccomp does not see what travels through it.
 */
#ifndef DUET_BLOCK_ENGINE_H
#define DUET_BLOCK_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "uring.h"

#define BLK_ENGINE_PINS 64U

/* What the ring works on, and what it holds until its last operation has ended. -1: none. */
struct blk_engine_files {
    int image;
    int lock; /* the image again, by the description that its opener has locked */
    int log;  /* the locked log of requests in flight */
};

/*
 * Sets `ring` up for `depth` operations in flight on the image, with the restrictions in force. If
 * the process is killed, the kernel goes on with its operations, and holds image, lock and log for
 * as long as that takes: nobody else gets the image, and no other worker the log or the claim,
 * while a late write may still reach the storage. Space of the image is given back only with
 * `discard`: what allows that allows every mode of fallocate(2), and no limit holds some of those.
 * Tags below BLK_ENGINE_PINS may have a pinned buffer. Must be called by the thread that uses the
 * ring. Returns 0 or -errno.
 */
int blk_engine_open(struct io_uring *ring, unsigned int depth, const struct blk_engine_files *files,
                    bool discard);

/*
 * Claims the image for what goes through the description `image` from now on. If operations of an
 * earlier worker may still reach the storage, one of another device included, calls *waits and
 * waits until they have ended, however long that takes. Readers do not wait for readers. Returns 0
 * or -errno. See BLK_WIRE_WORKER_BYTE.
 */
int blk_engine_claim(int image, bool read_only, void (*waits)(void));

/*
 * Keeps the `bytes` bytes at `buf` in memory for operations whose tag is `tag`, none of which is
 * under way; what the tag had before is let go. Returns 0 or -errno: those are not pinned.
 */
int blk_engine_pin(struct io_uring *ring, uint64_t tag, void *buf, uint32_t bytes);

/*
 * Reads from or writes to the image. `buf` must stay until `tag` is reported. It is `pinned` if it
 * lies within what blk_engine_pin() was told for the tag.
 */
void blk_engine_read(struct io_uring *ring, void *buf, uint32_t bytes, uint64_t offset, bool pinned,
                     uint64_t tag);
void blk_engine_write(struct io_uring *ring, const void *buf, uint32_t bytes, uint64_t offset,
                      bool pinned, uint64_t tag);

/*
 * Makes all completed writes durable (fdatasync). The kernel tells a write-back error to each open
 * description once. `of_all` asks the lock's, which is older than any worker: it tells also what an
 * earlier worker was told, who may have been killed with the news.
 */
void blk_engine_flush(struct io_uring *ring, bool of_all, uint64_t tag);

/* Gives a range back to the storage; it reads as zeros afterwards. */
void blk_engine_discard(struct io_uring *ring, uint64_t offset, uint64_t bytes, uint64_t tag);

#endif
