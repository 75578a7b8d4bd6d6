/*
 * A worker's access to its guest's memory: the mapped ring pages, and batched grant copies.
 *
 * Data is copied by the hypervisor (GNTTABOP_copy) and not mapped. One system call moves the
 * segments of a whole batch, nothing has to be unmapped (no TLB flush), and the guest cannot change
 * data after it was checked or while a disk reads it. docs/block.md compares the two.
 *
 * Types: struct grant_copy_batch. Mappings go away with the process at the latest.
 */
#ifndef DUET_LIB_GRANT_H
#define DUET_LIB_GRANT_H

#include <stdint.h>
#include <xengnttab.h>

#define GRANT_PAGE_BYTES 4096U

/* Copies that are carried out by one system call. */
struct grant_copy_batch {
    xengnttab_handle *xgt;
    uint16_t domid;
    uint32_t nr, max;
    xengnttab_grant_copy_segment_t *segs;
    uint32_t *tags; /* the caller's number for each segment */
};

/* Called for each copy that failed: the caller's number and Xen's GNTST_ status. */
typedef void grant_failed_fn(void *arg, uint32_t tag, int status);

/*
 * Maps `nr` pages granted by `domid` in a row, writable. Returns the address, to be released with
 * xengnttab_unmap() or by the end of the process, or NULL with errno set.
 */
void *grant_map_ring(xengnttab_handle *xgt, uint16_t domid, const uint32_t *refs, uint32_t nr);

/* Makes room for `max` copies at a time. Returns 0 or -ENOMEM. */
int grant_batch_init(struct grant_copy_batch *b, xengnttab_handle *xgt, uint16_t domid,
                     uint32_t max);

/*
 * Adds a copy of `bytes` bytes between `local` and the guest's page `ref` from `offset` on. The
 * range must lie within the page; the batch must have room (nr < max).
 */
void grant_batch_from_guest(struct grant_copy_batch *b, void *local, uint32_t ref, uint16_t offset,
                            uint16_t bytes, uint32_t tag);
void grant_batch_to_guest(struct grant_copy_batch *b, const void *local, uint32_t ref,
                          uint16_t offset, uint16_t bytes, uint32_t tag);

/*
 * Carries the batch out and empties it. Each element has a status of its own: `failed` is called
 * for those that did not work. Returns 0, or -errno when nothing can be said about any of them.
 */
int grant_batch_run(struct grant_copy_batch *b, grant_failed_fn *failed, void *arg);

#endif
