/*
 * rootfs.h - from a name to a file: the archive that the domain was started with, and devices.
 *
 * The ramdisk of the domain's configuration is a cpio archive, which is the root. It is read only.
 * Symbolic links are followed. No locks: the archive does not change.
 */
#ifndef SYSCALL_ROOTFS_H
#define SYSCALL_ROOTFS_H

#include "syscall/file.h"

/* What a path leads to: one of the two. */
struct node {
    const struct cpio_entry *entry;
    const struct file_ops *device;
};

/** rootfs_boot() - look at the ramdisk, if there is one. Once. */
void rootfs_boot(void);

/**
 * rootfs_find() - follow a path
 * @cwd: where it begins if it does not begin with '/'
 * @follow: also a link at its end
 * @canonical: PATH_SIZE bytes for the path without links, beginning with '/'; NULL: nobody asks
 *
 * Return: 0, -ENOENT, -ENOTDIR, -ELOOP, -ENAMETOOLONG, -ENOMEM.
 */
int rootfs_find(const char *cwd, const char *path, bool follow, struct node *node,
                char *canonical) __must_check;

/** rootfs_open() - open it. As rootfs_find(), and -EROFS, -EISDIR, -ENOTDIR, -EEXIST. */
int rootfs_open(const char *cwd, const char *path, unsigned flags, struct file **out) __must_check;

/** rootfs_stat() - what a node is; @st is filled whole. */
void rootfs_stat(const struct node *node, struct abi_stat *st);

/** rootfs_dirents() - records of a folder from *@pos on. Return: bytes, 0 at the end, -EINVAL. */
ssize_t rootfs_dirents(const struct cpio_entry *dir, uint64_t *pos, char *buf, size_t size);

/** file_is_dir() - whether it is a folder. */
bool file_is_dir(const struct file *f);

#endif /* SYSCALL_ROOTFS_H */
