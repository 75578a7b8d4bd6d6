/*
 * A disk of the guest kernel's that is memory of the test program, and the few functions of the
 * kernel that readers of file systems need besides.
 */
#ifndef FAKE_DISK_H
#define FAKE_DISK_H

#include <stddef.h>
#include <stdint.h>

#include "io/blk.h"

extern struct blk_dev fake_disk;

/* What the disk holds, the caller's, and how often it was read since. */
void fake_disk_set(uint8_t *bytes, size_t size);
unsigned fake_disk_reads(void);

/* Pages that the reader holds now. */
unsigned fake_pages_held(void);

/*
 * An image as `mke2fs OPTIONS -d FOLDER` makes it, of a folder with:
 * hello (6 bytes), big (100,000 bytes, byte i being i * 31 >> 3), hole (5,000,000 bytes, zeros but
 * for "end" at their end), dir/sub/deep (4 bytes), many/0 to many/299 (empty), link -> hello.
 * malloc()ed; NULL if there is no such program.
 */
uint8_t *fake_image(const char *options, size_t size);

#endif /* FAKE_DISK_H */
