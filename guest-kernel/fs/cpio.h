/*
 * cpio.h - files of an archive in memory: cpio's "newc" format, as an initramfs has it.
 *
 * The archive is somebody else's: every number is checked before it is used. It may be several
 * archives, one behind the other; of a name that stands twice the last one counts. What is
 * compressed is refused. Nothing is copied: names and contents stay where they are, so the archive
 * must. Read only, no locks. Format: cpio(5).
 */
#ifndef FS_CPIO_H
#define FS_CPIO_H

#include "kern/types.h"

/* Types in a mode, by their numbers in every Unix. */
#define CPIO_TYPE    0170000u
#define CPIO_DIR     0040000u
#define CPIO_FILE    0100000u
#define CPIO_SYMLINK 0120000u

struct cpio_entry {
    const char *name; /* from the root, without '/' in front; "" is the root. Not terminated */
    size_t name_len;
    const uint8_t *data;
    uint32_t size, ino, mode, uid, gid, nlink, mtime;
};

struct cpio {
    struct cpio_entry *entries;
    size_t count;
};

/**
 * cpio_open() - read an archive's table of contents
 * @data: @size bytes, which stay
 * @why: what is wrong, on -EINVAL
 *
 * Return: 0, -EINVAL or -ENOMEM.
 */
int cpio_open(const void *data, size_t size, struct cpio *archive, const char **why) __must_check;

/** cpio_close() - forget it. */
void cpio_close(struct cpio *archive);

/** cpio_find() - the entry of a path without '/' in front, "." and ".."; NULL: there is none. */
const struct cpio_entry *cpio_find(const struct cpio *archive, const char *path, size_t len);

#endif /* FS_CPIO_H */
