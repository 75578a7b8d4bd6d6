/*
 * The worker's one place to wait and its way to the disk: an io_uring. File I/O, the event channel
 * and the supervisor's socket all complete here, so that a batch of requests costs one system call
 * to submit and to wait together.
 *
 * The ring is restricted (IORING_REGISTER_RESTRICTIONS) to the few operations below before the
 * first guest byte is read, because seccomp does not see what travels through it.
 *
 * Types: struct engine. One owner, no locks. Nothing to suspend.
 */
#ifndef DUET_BLOCK_ENGINE_H
#define DUET_BLOCK_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "uring.h"

struct engine {
    struct io_uring ring;
};

/*
 * Sets up for `depth` operations in flight on `image_fd`, with the restrictions in force. Must be
 * called by the thread that uses it. Returns 0 or -errno.
 */
int engine_init(struct engine *e, unsigned int depth, int image_fd);

/* Reports `tag` every time `fd` becomes readable, until an event has `more` false. */
void engine_poll(struct engine *e, int fd, uint64_t tag);

/*
 * The event channel device, which must be non-blocking: engine_next_port() reports `tag` once an
 * event has come in; its port, which the device has masked, is in *port then. engine_unmask_port()
 * unmasks it, silently. *port must stay. An event that comes in while the port is masked is not
 * lost: it is pending, and delivered when the port is unmasked.
 */
void engine_next_port(struct engine *e, int fd, uint32_t *port, uint64_t tag);
void engine_unmask_port(struct engine *e, int fd, const uint32_t *port);

/* Reads from or writes to the image. `buf` must stay until `tag` is reported. */
void engine_read(struct engine *e, void *buf, uint32_t bytes, uint64_t offset, uint64_t tag);
void engine_write(struct engine *e, const void *buf, uint32_t bytes, uint64_t offset, uint64_t tag);

/* Makes all completed writes durable (fdatasync). */
void engine_flush(struct engine *e, uint64_t tag);

/* Gives a range back to the storage; it reads as zeros afterwards. */
void engine_discard(struct engine *e, uint64_t offset, uint64_t bytes, uint64_t tag);

/*
 * Submits what was queued; with `block` waits until something completes or a signal comes. Nothing
 * queued and nothing to wait for: no system call. Returns 0 or -errno (-EINTR: a signal).
 */
int engine_submit(struct engine *e, bool block);

/* Takes the next completed operation. Returns false when there is none. */
bool engine_next(struct engine *e, struct uring_event *event);

#endif
