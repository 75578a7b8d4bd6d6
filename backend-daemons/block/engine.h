/*
 * The worker's one place to wait and its way to the disk: an io_uring. File I/O, the event channel
 * and the supervisor's socket all complete here, so that a batch of requests costs one system call
 * to submit and to wait together.
 *
 * The ring is restricted (IORING_REGISTER_RESTRICTIONS) to the few operations below before the
 * first guest byte is read, because seccomp does not see what travels through it.
 *
 * Types: struct blk_engine. One owner, no locks. Nothing to suspend.
 */
#ifndef DUET_BLOCK_ENGINE_H
#define DUET_BLOCK_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "uring.h"

struct blk_engine {
    struct io_uring ring;
};

/*
 * Sets up for `depth` operations in flight on `image_fd`, with the restrictions in force. Must be
 * called by the thread that uses it. Returns 0 or -errno.
 */
int blk_engine_init(struct blk_engine *e, unsigned int depth, int image_fd);

/* Reports `tag` every time `fd` becomes readable, until an event has `more` false. */
void blk_engine_poll(struct blk_engine *e, int fd, uint64_t tag);

/*
 * The event channel device, which must be non-blocking: blk_engine_next_port() reports `tag` once
 * an event has come in; its port, which the device has masked, is in *port then.
 * blk_engine_unmask_port() unmasks it, silently. *port must stay. An event that comes in while the
 * port is masked is not lost: it is pending, and delivered when the port is unmasked.
 */
void blk_engine_next_port(struct blk_engine *e, int fd, uint32_t *port, uint64_t tag);
void blk_engine_unmask_port(struct blk_engine *e, int fd, const uint32_t *port);

/* Reads from or writes to the image. `buf` must stay until `tag` is reported. */
void blk_engine_read(struct blk_engine *e, void *buf, uint32_t bytes, uint64_t offset,
                     uint64_t tag);
void blk_engine_write(struct blk_engine *e, const void *buf, uint32_t bytes, uint64_t offset,
                      uint64_t tag);

/* Makes all completed writes durable (fdatasync). */
void blk_engine_flush(struct blk_engine *e, uint64_t tag);

/* Gives a range back to the storage; it reads as zeros afterwards. */
void blk_engine_discard(struct blk_engine *e, uint64_t offset, uint64_t bytes, uint64_t tag);

/*
 * Submits what was queued; with `block` waits until something completes or a signal comes. Nothing
 * queued and nothing to wait for: no system call. Returns 0 or -errno (-EINTR: a signal).
 */
int blk_engine_submit(struct blk_engine *e, bool block);

/* Takes the next completed operation. Returns false when there is none. */
bool blk_engine_next(struct blk_engine *e, struct uring_event *event);

#endif
