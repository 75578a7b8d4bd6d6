/*
 * rootfs.h - the tree of files that programs see, and open files of it.
 *
 * It begins as what is in the cpio archive that the domain was started with (the ramdisk of its
 * configuration), with the devices in /dev, and /proc (procfs.h). Locks: fs/tree.h's.
 */
#ifndef SYSCALL_ROOTFS_H
#define SYSCALL_ROOTFS_H

#include "fs/tree.h"
#include "syscall/file.h"

/** rootfs_boot() - make the tree of the ramdisk, if there is one. Once. */
void rootfs_boot(void);

/**
 * rootfs_open() - open what a path leads to, or create it
 * @from, @path: as in tree_walk()
 * @mode: of a new file, as the process's mask leaves it
 *
 * Return: 0, or as open(). The tree is not locked.
 */
int rootfs_open(struct node *from, char *path, unsigned flags, unsigned mode,
                struct file **out) __must_check;

/** rootfs_stat() - what a node is; @st is filled whole. */
void rootfs_stat(const struct node *node, struct abi_stat *st);

/** rootfs_dirents() - records of a folder from *@pos on. Return: bytes, 0 at the end, -EINVAL. */
ssize_t rootfs_dirents(struct node *dir, uint64_t *pos, char *buf, size_t size);

/** rootfs_source() - a file's bytes as pages; NULL: no memory. */
struct vm_source *rootfs_source(struct node *node);

/** node_is_plain() - whether it is a file whose bytes are its own. */
bool node_is_plain(const struct node *node);

#endif /* SYSCALL_ROOTFS_H */
