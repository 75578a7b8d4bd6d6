/*
 * The storage of dom0, and a worker's way to it, in place of lib/uring.c.
 *
 * Operations end when and in what order the schedule says. One that is done carries out all of
 * itself or a part; what a killed worker had under way is carried out, in whole, in part or not at
 * all, at some time after its death, and until then holds what the ring held (lib/inflight.h).
 *
 * What is written stands in a cache until a flush. The host may fail to write some of it back:
 * then the sector may fall back to what was stable, and every open description of the image is told
 * once, as by Linux' errseq_t.
 *
 * A sector is told by its stamp, 64 bits that fill it. Stamp 0 is a sector that was never written,
 * or discarded.
 *
 * Types: struct disk_ring, one for each worker.
 */
#ifndef DUET_SIM_DISK_H
#define DUET_SIM_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "host.h"

#define DISK_SECTORS      128U
#define DISK_SECTOR_BYTES 512U

extern bool disk_stalls; /* no operation ends */

/* How operations may end; chance in thousands. */
extern uint32_t disk_errors, disk_shorts, disk_retries;

void disk_reset(void);

/* Whether something is under way, and ends one operation of those. */
bool disk_has_work(void);
void disk_step(void);

/* The host fails to write something back. Returns which sector, or -1: there was none. */
int disk_lose_something(void);

/* Whether that has happened to this one, and it was not written since. */
bool disk_is_lost(uint32_t sector);

/* A sector that was lost falls back to what is stable. */
void disk_forget_something(void);

/* The stamp of a sector as it is read now; false when it is torn. */
bool disk_stamp(uint32_t sector, uint64_t *stamp);

/* Whether what is read now would survive the host. */
bool disk_is_stable(uint32_t sector);

/* How many operations ended with an error that the guest is to hear of. */
extern unsigned int disk_told_errors;

/* Its process is gone. */
void disk_ring_orphan(struct process *p);

/* An event came for one of its ports, a message, a signal. */
void disk_ring_poll(struct process *p);

/* A new open description of the image. */
struct file *disk_open(enum file_type type);

/* Whether an operation of any worker is under way, dead ones' included. */
unsigned int disk_under_way(void);

#endif
