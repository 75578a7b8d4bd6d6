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
 * Types: struct net_engine. One owner, no locks. Nothing to suspend.
 */
#ifndef DUET_NET_ENGINE_H
#define DUET_NET_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "uring.h"

#define NET_ENGINE_DEPTH 256U

struct net_engine {
    struct io_uring ring;
};

/*
 * Sets up, with the restrictions in force. Must be called by the thread that uses it.
 * Returns 0 or -errno.
 */
int net_engine_init(struct net_engine *e);

/* Reports `tag` every time `fd` becomes readable, until an event has `more` false. */
void net_engine_poll(struct net_engine *e, int fd, uint64_t tag);

/*
 * Reads from a non-blocking descriptor when there is something. `buf` must stay until `tag` is
 * reported. With `linked` the next net_engine_read() begins only when this one has ended.
 */
void net_engine_read(struct net_engine *e, int fd, void *buf, uint32_t bytes, bool linked,
                     uint64_t tag);

/* Writes to a non-blocking descriptor. `buf` must stay until `tag` is reported. */
void net_engine_write(struct net_engine *e, int fd, const void *buf, uint32_t bytes, uint64_t tag);

/* As net_engine_write(), but success is not reported. */
void net_engine_write_silently(struct net_engine *e, int fd, const void *buf, uint32_t bytes,
                               uint64_t tag);

/*
 * Submits what was queued. With `wait_ns` other than 0 waits until something completes, a signal
 * comes, or so much time has passed (UINT64_MAX: no limit). Returns 0 or -errno (-EINTR: a signal).
 */
int net_engine_submit(struct net_engine *e, uint64_t wait_ns);

/* Takes the next completed operation. Returns false when there is none. */
bool net_engine_next(struct net_engine *e, struct uring_event *event);

#endif
