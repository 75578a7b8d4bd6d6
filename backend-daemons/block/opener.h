/*
 * The opener of one image: a process that finds, checks, locks and measures the image for one
 * device, keeps the lock, and hands the image on to the device's workers. Whatever the storage does
 * (an NFS server that is away, a FUSE daemon that hangs, a lease that nobody gives up), only this
 * process waits for it. image_wire.h has what it is told and what it tells.
 *
 * It runs as root, like the supervisor, and never sees a byte of a guest: only paths that the
 * toolstack wrote.
 */
#ifndef DUET_BLOCK_OPENER_H
#define DUET_BLOCK_OPENER_H

/* Serves the orders that come over `sock` until its end of file. Returns the exit status. */
int opener_run(int sock);

#endif
