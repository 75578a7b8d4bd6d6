/*
 * The opener of one image: a process that finds, checks, locks and measures the image for one
 * device, keeps the lock, and hands the image on to the device's workers. Whatever the storage does
 * (an NFS server that is away, a FUSE daemon that hangs, a lease that nobody gives up), only this
 * process waits for it. What it is told and tells: image_wire.h.
 *
 * It runs as root, as the supervisor does, and never sees a byte of a guest: only paths that the
 * toolstack wrote.
 *
 * No types. One thread, no locks. A guest's suspend is not seen here.
 */
#ifndef DUET_BLOCK_OPENER_H
#define DUET_BLOCK_OPENER_H

/* Serves the orders that come over `sock` until its end of file. Returns the exit status. */
int opener_run(int sock);

#endif
