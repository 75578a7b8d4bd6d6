/*
 * What of a worker (lib/worker.h) is a disk's.
 *
 * On the way out everything that was taken from the ring is finished and answered, the image is
 * flushed, because the next worker may be another host's, and the in-flight log is closed. A worker
 * that is killed leaves the log open, and the next one goes on from it (lib/inflight.h).
 *
 * A worker whose connection to an NBD server is lost takes and ends nothing any more. It waits for
 * its supervisor, whom the opener tells, and ends as one that was killed.
 *
 * Types: struct blk_worker.
 */
#ifndef DUET_BLOCK_WORKER_H
#define DUET_BLOCK_WORKER_H

#include "queue.h"
#include "wire.h"
#include "../lib/worker.h"

struct blk_worker {
    struct worker base; /* first */
    struct blk_wire_config config;
    evtchn_port_t port;
    enum { BLK_FLUSH_DUE, BLK_FLUSH_UNDER_WAY, BLK_FLUSHED } last_flush;
    struct blk_queue queue;
    struct blk_nbd nbd; /* if that is where the image is */
};

static inline struct blk_worker *blk_worker_of(struct worker *base)
{
    return (struct blk_worker *)base; /* its first member */
}

extern const struct worker_class blk_worker_class;

/* Forbids files to grow beyond the image's size: beyond `sectors`. Returns 0 or -errno. */
int blk_worker_limit(const struct blk_wire_config *config);

#endif
