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

/*
 * Sets `ring` up for `depth` operations in flight on `image_fd`, with the restrictions in force.
 * The ring holds `log_fd` (-1: none), so that it stays open until the last operation has ended,
 * even if the process is killed before. Must be called by the thread that uses the ring. Returns 0
 * or -errno.
 */
int blk_engine_open(struct io_uring *ring, unsigned int depth, int image_fd, int log_fd);

/* Reads from or writes to the image. `buf` must stay until `tag` is reported. */
void blk_engine_read(struct io_uring *ring, void *buf, uint32_t bytes, uint64_t offset,
                     uint64_t tag);
void blk_engine_write(struct io_uring *ring, const void *buf, uint32_t bytes, uint64_t offset,
                      uint64_t tag);

/* Makes all completed writes durable (fdatasync). */
void blk_engine_flush(struct io_uring *ring, uint64_t tag);

/* Gives a range back to the storage; it reads as zeros afterwards. */
void blk_engine_discard(struct io_uring *ring, uint64_t offset, uint64_t bytes, uint64_t tag);

#endif
