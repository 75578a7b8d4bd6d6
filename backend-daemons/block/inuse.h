/*
 * Whether this host itself uses an image: mounted, as swap, or through a loop device. No lock
 * protects a file from that, and block devices are protected only from a second writer.
 *
 * The rules are those of Xen's own `block` script, and stricter in one point: a loop device counts
 * even if nothing is mounted from it, since somebody made it to use the file. An image that is to
 * be written may not be used at all; one that is to be read may be used read-only.
 */
#ifndef DUET_BLOCK_INUSE_H
#define DUET_BLOCK_INUSE_H

#include <stdbool.h>
#include <sys/stat.h>

#define INUSE_TEXT_MAX 512

/*
 * Whether the use that this host makes of the file or block device `st` forbids another use, for
 * reading or (`read_only` false) for writing. Fills `by` then: "loop device /dev/loop0, mounted on
 * /mnt".
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
