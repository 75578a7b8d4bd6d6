/*
 * The in-flight log of a ring: what a worker has taken from it and not yet answered, in memory that
 * outlives the worker.
 */
#ifndef DUET_LIB_INFLIGHT_H
#define DUET_LIB_INFLIGHT_H

/*
 * Makes a fresh log for a new ring: a memfd of the right size, of zeros, whose size is sealed. The
 * supervisor keeps it as long as the ring is in use and hands it to each worker of that ring.
 * Returns the descriptor or -errno.
 */
int inflight_create(void);

#endif
