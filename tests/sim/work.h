/*
 * What the guest does with its disk, and what must be true of it: the oracle.
 *
 *   - a request is answered exactly once, with success unless the storage failed
 *   - a write that succeeded is on the disk, as a whole, and stays there until the next one
 *   - a read gives what was written last
 *   - a flush that succeeded made durable what was answered before it began; one that fails after
 *     the host lost something says so before any other succeeds, and puts all in doubt that was
 *     under way with it
 *   - a write that failed, or was never answered, may have been done in any part
 *
 * The guest does as a file system does: what is under way does not overlap, if one of the two
 * writes.
 */
#ifndef DUET_SIM_WORK_H
#define DUET_SIM_WORK_H

#include <stdbool.h>
#include <stdint.h>

/* Asks for something. Returns false when there is no disk, or too much under way. */
bool work_submit(void);

/* Requests that are not answered. */
unsigned int work_under_way(void);

/* Whether the guest has a disk that works now. */
bool work_has_disk(void);

/* Lets go of a disk that is gone, and has nothing under way. */
void work_let_go(void);

/* The host has lost a sector. */
void work_lost(uint32_t sector);

/* All that is known of the disk is true; nothing is under way. */
void work_check(void);

/* The guest is gone: what was under way may or may not have been done. */
void work_abandon(void);

/* What a request may end with, beside success. */
extern bool work_may_fail; /* the storage has failed */
extern bool work_may_go;   /* the toolstack takes the disk away */
extern unsigned int work_failed, work_done;

void work_reset(void);

#endif
