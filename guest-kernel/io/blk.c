/*
 * blk.c - the table of disks, the checks every request passes, and the calls that wait.
 *
 * Owns the table (roster.h); a struct blk_dev is its driver's memory and lives until its last
 * reference is gone. Locks: the table's and info_lock (spinlock), leaves.
 */
#include "io/blk.h"

#include "kern/lock.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/page.h"
#include "kern/string.h"
#include "kern/wait.h"

static struct roster disks = ROSTER(disks, "blk");
static spinlock_t info_lock = SPINLOCK("blk info");

static struct blk_dev *blk_of(struct rostered *d)
{
    return d != NULL ? CONTAINER_OF(d, struct blk_dev, entry) : NULL;
}

void blk_init(struct blk_dev *dev, const char *name, const struct blk_ops *ops)
{
    *dev = (struct blk_dev){.ops = ops};
    strlcpy(dev->name, name, sizeof(dev->name));
    rostered_init(&dev->entry, dev->name);
}

int blk_register(struct blk_dev *dev)
{
    return roster_add(&disks, &dev->entry);
}

void blk_withdraw(struct blk_dev *dev)
{
    (void)roster_remove(&disks, &dev->entry);
}

void blk_update_info(struct blk_dev *dev, const struct blk_info *info)
{
    upcall_state_t s = spin_lock(&info_lock);

    dev->info = *info;
    spin_unlock(&info_lock, s);
}

void blk_get_info(struct blk_dev *dev, struct blk_info *info)
{
    upcall_state_t s = spin_lock(&info_lock);

    *info = dev->info;
    spin_unlock(&info_lock, s);
}

struct blk_dev *blk_get(const char *name)
{
    return blk_of(roster_get(&disks, name));
}

void blk_put(struct blk_dev *dev)
{
    if (roster_put(&disks, &dev->entry)) {
        dev->ops->release(dev);
    }
}

/* The back end sees every page of the buffer: there must be nothing in it but the caller's data. */
static int check_buffer(const struct blk_req *req)
{
    uint64_t bytes = req->nsectors << BLK_SECTOR_SHIFT;

    if (((uintptr_t)req->buf & ~PAGE_MASK) != 0 || req->buf == NULL) {
        return -EINVAL;
    }
    for (uint64_t at = 0; at < bytes; at += PAGE_SIZE) {
        if (!page_is_cleared((const char *)req->buf + at)) {
            return -EFAULT;
        }
    }
    return 0;
}

/* Whether the part of the disk that @req names exists and may be used in its way. */
static int check_range(const struct blk_info *info, const struct blk_req *req)
{
    uint64_t unit = info->sector_size >> BLK_SECTOR_SHIFT;

    if (req->nsectors == 0 || (req->sector % unit) != 0 || (req->nsectors % unit) != 0) {
        return -EINVAL;
    }
    if (req->sector >= info->sectors || req->nsectors > info->sectors - req->sector) {
        return -ENXIO;
    }
    if (req->op == BLK_DISCARD) {
        return info->discard ? 0 : -EOPNOTSUPP;
    }
    return check_buffer(req);
}

int blk_submit(struct blk_dev *dev, struct blk_req *req)
{
    struct blk_info info;

    if (!READ_ONCE(dev->entry.listed)) {
        return -ENODEV;
    }
    blk_get_info(dev, &info);
    if (info.readonly && (req->op == BLK_WRITE || req->op == BLK_DISCARD)) {
        return -EROFS;
    }
    int rc = req->op == BLK_FLUSH ? 0 : check_range(&info, req);
    if (rc == 0) {
        req->issued = 0;
        req->parts = 0;
        req->rc = 0;
        dev->ops->submit(dev, req);
    }
    return rc;
}

/* A request whose caller waits for it, on the caller's stack. */
struct sync_req {
    struct blk_req req;
    bool done;
    int rc;
};

/*
 * All such callers share one queue: a queue on the waiter's stack could be gone while the
 * completion still wakes it.
 */
static struct waitq sync_wq = WAITQ(sync_wq, "blk-sync");

static void sync_done(struct blk_req *req, int rc)
{
    struct sync_req *r = CONTAINER_OF(req, struct sync_req, req);

    r->rc = rc;
    __atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
    waitq_wake_all(&sync_wq);
}

static int submit_and_wait(struct blk_dev *dev, struct sync_req *r)
{
    r->req.done = sync_done;
    int rc = blk_submit(dev, &r->req);
    if (rc == 0) {
        wait_event(&sync_wq, __atomic_load_n(&r->done, __ATOMIC_ACQUIRE));
        rc = r->rc;
    }
    return rc;
}

int blk_rw(struct blk_dev *dev, enum blk_op op, uint64_t sector, uint64_t nsectors, void *buf)
{
    struct sync_req r = {.req = {.op = op, .sector = sector, .nsectors = nsectors, .buf = buf}};

    return submit_and_wait(dev, &r);
}

/* A flush that its waiter may give up: who of the two is the last to let go frees it. */
struct flush {
    struct blk_req req;
    struct blk_dev *dev;
    struct flush *next;
    unsigned refs;
    bool done;
    int rc;
};

static void flush_put(struct flush *f)
{
    if (__atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        blk_put(f->dev);
        kfree(f);
    }
}

static void flush_done(struct blk_req *req, int rc)
{
    struct flush *f = CONTAINER_OF(req, struct flush, req);

    f->rc = rc;
    __atomic_store_n(&f->done, true, __ATOMIC_RELEASE);
    waitq_wake_all(&sync_wq);
    flush_put(f);
}

/* Starts to flush a disk, which the caller holds; NULL after a line in the log. */
static struct flush *flush_start(struct blk_dev *dev, struct flush *next)
{
    struct flush *f = kzalloc(sizeof(*f));
    int rc = f != NULL ? 0 : -ENOMEM;

    if (rc == 0) {
        roster_hold(&disks, &dev->entry);
        *f = (struct flush){
            .req = {.op = BLK_FLUSH, .done = flush_done}, .dev = dev, .next = next, .refs = 2};
        rc = blk_submit(dev, &f->req);
    }
    if (rc == 0) {
        return f;
    }
    log_err("%s: not flushed: %s", dev->name, errno_name(rc));
    if (f != NULL) {
        f->refs = 1;
        flush_put(f);
    }
    return NULL;
}

/* Waits for one, says how it went wrong if it did, lets go of it. Returns the next. */
static struct flush *flush_finish(struct flush *f, nsec_t deadline)
{
    struct flush *next = f->next;
    int rc = wait_event_until(&sync_wq, __atomic_load_n(&f->done, __ATOMIC_ACQUIRE), deadline);

    if (rc != 0) {
        log_err("%s: not flushed: its back end does not answer", f->dev->name);
    } else if (f->rc != 0) {
        log_err("%s: not flushed: %s", f->dev->name, errno_name(f->rc));
    }
    flush_put(f);
    return next;
}

void blk_flush_all(nsec_t deadline)
{
    struct flush *all = NULL;

    for (struct blk_dev *dev = NULL; (dev = blk_next(dev)) != NULL;) {
        struct flush *f = dev->info.readonly ? NULL : flush_start(dev, all);

        all = f != NULL ? f : all;
    }
    while (all != NULL) {
        all = flush_finish(all, deadline);
    }
}

int blk_flush(struct blk_dev *dev)
{
    struct sync_req r = {.req = {.op = BLK_FLUSH}};

    return submit_and_wait(dev, &r);
}

struct blk_dev *blk_next(struct blk_dev *prev)
{
    struct blk_dev *next = blk_of(roster_next(&disks, prev != NULL ? &prev->entry : NULL));

    if (prev != NULL) {
        blk_put(prev);
    }
    return next;
}
