/*
 * ext.h - files of an ext2, ext3 or ext4 file system, read only.
 *
 * A struct ext_fs does not change once it is open, but for its cache, and may be used by many
 * threads; a struct ext_file belongs to one. Who writes to the disk meanwhile may not be seen. The
 * disk is somebody else's: every number read from it is checked before it is used, and a walk's
 * length is bounded by what was checked. What the file system does not say, or says wrong, is
 * -EINVAL. Layout: the kernel's documentation of ext4's data structures. Locks: the cache's
 * (spinlock), a leaf. Suspend: requests under way are the block layer's business.
 */
#ifndef FS_EXT_H
#define FS_EXT_H

#include "io/blk.h"
#include "kern/lock.h"

#define EXT_NAME_MAX 255
#define EXT_LEVELS   5  /* of an extent tree, below the inode */
#define EXT_CACHED   64 /* blocks that are kept */

/* Blocks that were read one at a time: inodes, folders, small files. Under the lock. */
struct ext_cache {
    spinlock_t lock;
    struct {
        void *page;
        uint64_t block;
    } slots[EXT_CACHED];
};

struct ext_fs {
    struct blk_dev *dev; /* held by who opened it */
    uint32_t block_size; /* 1, 2 or 4 KiB */
    uint64_t blocks;
    uint32_t first_block; /* the superblock's */
    uint32_t inodes, inodes_per_group, inode_size, desc_size;
    struct ext_cache *cache;
};

enum ext_type { EXT_FILE, EXT_DIR, EXT_OTHER };

struct ext_file {
    const struct ext_fs *fs;
    uint32_t inode;
    enum ext_type type;
    uint64_t size;
    uint32_t mtime; /* seconds since 1970 */
    bool extents;
    uint32_t map[15]; /* i_block: where the blocks are */

    struct {
        void *page;
        uint64_t block; /* what is in it, 0 for nothing */
    } meta[EXT_LEVELS];
    void *bounce; /* a page for data that goes where no request may */
};

/**
 * ext_open() - look at a disk
 * @dev: held by the caller until after ext_close()
 * @why: what is wrong, for messages, on -EINVAL
 *
 * Return: 0, -EINVAL (no file system this can read), -ENOMEM or the disk's error. May sleep.
 */
int ext_open(struct blk_dev *dev, struct ext_fs *fs, const char **why);

/** ext_close() - free what was kept of the disk, which stays the caller's. No file is open. */
void ext_close(struct ext_fs *fs);

/**
 * ext_find() - open the file or folder of a path
 * @path: names with '/' between, seen from the root; "" and "/" are the root
 * @file: the caller's; to be given to ext_put() if this succeeds
 *
 * Symbolic links are not followed: they are EXT_OTHER. Return: 0, -ENOENT, -ENOTDIR, -EINVAL,
 * -ENOMEM or the disk's error. May sleep.
 */
int ext_find(const struct ext_fs *fs, const char *path, struct ext_file *file);

/** ext_put() - free what the file holds. */
void ext_put(struct ext_file *file);

/**
 * ext_read() - read a part of a file
 * @offset: a multiple of the block size
 * @buf: whole pages (page_alloc()), as many as @size needs
 * @size: a multiple of the block size
 *
 * Return: bytes of the file in @buf, 0 behind its end; -EINVAL, -ENOMEM or the disk's error.
 */
ssize_t ext_read(struct ext_file *file, uint64_t offset, void *buf, size_t size);

/**
 * ext_each() - visit a folder's entries
 * @fn: gets the name (not terminated) and the inode; nonzero ends the walk
 *
 * Return: what @fn returned last, or -errno. May sleep.
 */
int ext_each(struct ext_file *dir,
             int (*fn)(void *arg, const char *name, size_t len, uint32_t inode), void *arg);

/** ext_inode() - open a file by its number. As ext_find(). */
int ext_inode(const struct ext_fs *fs, uint32_t inode, struct ext_file *file);

/** ext_read_block() - read one block into a page, or find it kept. -EINVAL past the end. */
int ext_read_block(const struct ext_fs *fs, uint64_t block, void *page);

#endif /* FS_EXT_H */
