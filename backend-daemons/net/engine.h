/*
 * The worker's way to the tap: what of its io_uring (lib/uring.h) is an interface's. In a PV dom0
 * every system call passes through Xen, so a batch of packets costs one call, which submits and
 * waits.
 *
 * Packets from the tap are read by a chain of hard-linked reads, one after the other, so that they
 * stay in order and only the first that finds the tap empty waits.
 *
 * The ring is restricted to the few operations that are needed before the worker takes its guest's
 * first packet, because seccomp does not see what travels through it.
 */
#ifndef DUET_NET_ENGINE_H
#define DUET_NET_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "uring.h"

/*
 * Sets `ring` up, with the restrictions in force. Must be called by the thread that uses it.
 * Returns 0 or -errno.
 */
int net_engine_open(struct io_uring *ring);

/*
 * Reads from a non-blocking descriptor when there is something. `buf` must stay until `tag` is
 * reported. With `linked` the next net_engine_read() begins only when this one has ended.
 */
void net_engine_read(struct io_uring *ring, int fd, void *buf, uint32_t bytes, bool linked,
                     uint64_t tag);

#endif
