/*
 * blk.h - disks, as their users see them.
 *
 * A disk is found by its name ("xvda"), used by requests that complete later or by calls that wait,
 * and given back. It may vanish while in use: requests then fail with -ENODEV.
 * Sectors in this interface are 512 bytes, whatever the disk's own sector size; requests must be
 * aligned to that one.
 * Locks: spinlocks of blk.c (the table and reference counts; what is known of a disk), leaves.
 * Suspend: requests under way are issued again by the driver; users notice nothing but time.
 */
#ifndef IO_BLK_H
#define IO_BLK_H

#include <xen_list.h>

#include "io/roster.h"
#include "kern/types.h"

#define BLK_SECTOR_SHIFT 9
#define BLK_SECTOR_SIZE  (1u << BLK_SECTOR_SHIFT)
#define BLK_NAME_MAX     16

enum blk_op { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD };

/**
 * struct blk_req - one request; the caller's memory until @done is called
 * @buf: page-aligned memory from page_alloc_zeroed(), for reads and writes. The disk's back end
 * sees whole pages, also before a read has filled them: what its owner put there, and nothing of
 *       former owners
 * @done: called once, in any context: must not sleep. @rc is 0 or -errno
 */
struct blk_req {
    enum blk_op op;
    uint64_t sector;
    uint64_t nsectors;
    void *buf;
    void (*done)(struct blk_req *req, int rc);
    void *arg;

    uint64_t issued; /* the rest belongs to the driver */
    unsigned parts;
    int rc;
    XEN_TAILQ_ENTRY(struct blk_req) link;
};

/* What is known of a disk. */
struct blk_info {
    uint64_t sectors;
    uint32_t sector_size;
    bool readonly, removable, cdrom;
    bool flush, discard; /* whether the back end offers them */
};

struct blk_dev;

/**
 * struct blk_ops - the driver's side
 * @submit: start a checked request; @req->done will be called. Any context
 * @release: the last reference is gone; free the device. Thread context
 */
struct blk_ops {
    void (*submit)(struct blk_dev *dev, struct blk_req *req);
    void (*release)(struct blk_dev *dev);
};

struct blk_dev {
    char name[BLK_NAME_MAX];
    struct blk_info info; /* changed by blk_update_info() only */
    const struct blk_ops *ops;

    struct rostered entry; /* belongs to blk.c */
};

/** blk_init() - fill in a disk that is not listed yet; the caller holds one reference. */
void blk_init(struct blk_dev *dev, const char *name, const struct blk_ops *ops);

/** blk_register() - list the disk under its name. -EEXIST: the name is taken. Any context. */
int blk_register(struct blk_dev *dev) __must_check;

/** blk_withdraw() - nobody finds it or submits to it any more. Again: does nothing. Any context. */
void blk_withdraw(struct blk_dev *dev);

/** blk_update_info() - the disk's size or flags changed. Any context. */
void blk_update_info(struct blk_dev *dev, const struct blk_info *info);

/** blk_get_info() - a consistent copy. Any context. */
void blk_get_info(struct blk_dev *dev, struct blk_info *info);

/** blk_get() - find a disk by name and hold on to it; NULL if there is none. Any context. */
struct blk_dev *blk_get(const char *name);

/** blk_put() - let go of it, when no request of the caller's is under way. Thread context. */
void blk_put(struct blk_dev *dev);

/**
 * blk_submit() - start a request
 *
 * Return: 0, then @req->done is called once; or at once -ENODEV (disk is gone), -EROFS,
 * -EINVAL (alignment, empty), -EFAULT (not such a buffer), -ENXIO (past the end), -EOPNOTSUPP (no
 * discard). Any context.
 */
int blk_submit(struct blk_dev *dev, struct blk_req *req) __must_check;

/**
 * blk_rw() - read or write and wait
 * @buf: as in struct blk_req
 *
 * Return: 0 or -errno. May sleep.
 */
int blk_rw(struct blk_dev *dev, enum blk_op op, uint64_t sector, uint64_t nsectors, void *buf);

/** blk_flush() - wait until everything written so far is on stable storage. May sleep. */
int blk_flush(struct blk_dev *dev);

/**
 * blk_flush_all() - flush all disks that can be written, at once, and wait until @deadline
 *
 * A disk whose back end is gone does not answer before it is back, perhaps never. What failed and
 * what did not answer is said in the log. May sleep.
 */
void blk_flush_all(nsec_t deadline);

/**
 * blk_next() - walk the disks by name
 * @prev: where the walk stands, NULL to begin; this call lets go of it
 *
 * Return: the next disk, held on to for the caller; NULL at the end. Disks that come and go
 * meanwhile are met or not; none is met twice. Any context.
 */
struct blk_dev *blk_next(struct blk_dev *prev);

#endif /* IO_BLK_H */
