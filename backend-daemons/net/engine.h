/*
 * The worker's one place to wait and its way to the tap: an io_uring. Packets, event channels and
 * the supervisor's socket all complete here. In a PV dom0 every system call passes through Xen, so
 * a batch of packets costs one call to submit, and waiting comes with it.
 *
 * Packets from the tap are read by a chain of hard-linked reads: one after the other, so that they
 * stay in order and only the first that finds the tap empty waits.
 *
 * The ring is restricted (IORING_REGISTER_RESTRICTIONS) to the few operations below before the
 * first guest byte is read, because seccomp does not see what travels through it.
 *
 * Types: struct engine. One owner, no locks. Nothing to suspend.
 */
#ifndef DUET_NET_ENGINE_H
#define DUET_NET_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "uring.h"

#define ENGINE_DEPTH 256U

struct engine {
    struct io_uring ring;
};

/*
 * Sets up, with the restrictions in force. Must be called by the thread that uses it.
 * Returns 0 or -errno.
 */
int engine_init(struct engine *e);

/* Reports `tag` every time `fd` becomes readable, until an event has `more` false. */
void engine_poll(struct engine *e, int fd, uint64_t tag);

/*
 * Reads from a non-blocking descriptor when there is something. `buf` must stay until `tag` is
 * reported. With `linked` the next engine_read() begins only when this one has ended.
 */
void engine_read(struct engine *e, int fd, void *buf, uint32_t bytes, bool linked, uint64_t tag);

/* Writes to a non-blocking descriptor. `buf` must stay until `tag` is reported. */
void engine_write(struct engine *e, int fd, const void *buf, uint32_t bytes, uint64_t tag);

/* As engine_write(), but success is not reported. */
void engine_write_silently(struct engine *e, int fd, const void *buf, uint32_t bytes, uint64_t tag);

/*
 * Submits what was queued. With `wait_ns` other than 0 waits until something completes, a signal
 * comes, or so much time has passed (UINT64_MAX: no limit). Returns 0 or -errno (-EINTR: a signal).
 */
int engine_submit(struct engine *e, uint64_t wait_ns);

/* Takes the next completed operation. Returns false when there is none. */
bool engine_next(struct engine *e, struct uring_event *event);

#endif
