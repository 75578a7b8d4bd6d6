/*
 * Whether this host itself uses an image: mounted, swapped on, or through a loop device. Files are
 * not protected from that by any lock, and block devices only from a second writer.
 *
 * The rules are those of Xen's own `block` script, and stricter in one point: a loop device counts
 * although nothing is mounted from it, since somebody made it to use the file. For writing an image
 * may not be used at all; for reading it may be used read-only.
 *
 * No types, no locks. A guest's suspend is not seen here.
 */
#ifndef DUET_BLOCK_INUSE_H
#define DUET_BLOCK_INUSE_H

#include <stdbool.h>
#include <sys/stat.h>

#define INUSE_TEXT_MAX 512

/*
 * Whether the file or block device that `st` describes is used in a way that forbids to use it,
 * read-only or not. Fills `by` then: "loop device /dev/loop0, mounted on /mnt".
 */
bool inuse(const struct stat *st, bool read_only, char *by, unsigned long by_size);

/*
 * Whether a table in the format of /proc/self/mountinfo has the block device `dev` mounted (with
 * `writable`: read-write). Fills `where` with the mount point then.
 */
bool inuse_mounted(const char *mountinfo, dev_t dev, bool writable, char *where,
                   unsigned long where_size);

/* Whether a table in the format of /proc/swaps has the block device `dev`. */
bool inuse_swap(const char *swaps, dev_t dev);

#endif
