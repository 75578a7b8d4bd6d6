/*
 * eventfd.c - a counter as a file: who reads waits until it is not zero.
 *
 * Locks: "eventfd" (a mutex) over the counter. Who waits does so in proc_wait_change().
 */
#include "kern/mem.h"
#include "kern/string.h"
#include "syscall/file.h"

#define COUNT_FULL (UINT64_MAX - 1)

struct eventfd {
    struct mutex lock;
    uint64_t count;
    bool semaphore; /* reads take one at a time */
};

/* Take from the counter, or add to it. -EAGAIN: not yet. */
static int take(struct eventfd *e, uint64_t *value)
{
    if (e->count == 0) {
        return -EAGAIN;
    }
    *value = e->semaphore ? 1 : e->count;
    e->count -= *value;
    return 0;
}

static int add(struct eventfd *e, uint64_t *value)
{
    if (*value > COUNT_FULL - e->count) {
        return -EAGAIN;
    }
    e->count += *value;
    return 0;
}

static ssize_t eventfd_do(struct file *f, int (*fn)(struct eventfd *e, uint64_t *value),
                          uint64_t *value)
{
    struct eventfd *e = f->own;

    for (;;) {
        uint64_t seen = proc_changes();

        mutex_lock(&e->lock);
        int rc = fn(e, value);
        mutex_unlock(&e->lock);
        if (rc == 0) {
            file_changed(f);
            return sizeof(*value);
        }
        rc = file_wait(f, seen);
        if (rc != 0) {
            return rc;
        }
    }
}

static ssize_t eventfd_read(struct file *f, uint64_t pos __unused, void *buf, size_t n)
{
    uint64_t value;
    ssize_t rc = n < sizeof(value) ? -EINVAL : eventfd_do(f, take, &value);

    if (rc > 0) {
        memcpy(buf, &value, sizeof(value));
    }
    return rc;
}

static ssize_t eventfd_write(struct file *f, const void *buf, size_t n)
{
    uint64_t value;

    if (n < sizeof(value)) {
        return -EINVAL;
    }
    memcpy(&value, buf, sizeof(value));
    return value == UINT64_MAX ? -EINVAL : eventfd_do(f, add, &value);
}

static unsigned eventfd_ready(const struct file *f)
{
    struct eventfd *e = f->own;

    mutex_lock(&e->lock);
    unsigned ready = (e->count != 0 ? POLLIN : 0) | (e->count < COUNT_FULL ? POLLOUT : 0);
    mutex_unlock(&e->lock);
    return ready;
}

static void eventfd_stat(const struct file *f __unused, struct abi_stat *st)
{
    *st = (struct abi_stat){.mode = 0600, .nlink = 1, .blksize = PAGE_SIZE};
}

static void eventfd_close(struct file *f)
{
    kfree(f->own);
}

static const struct file_ops eventfd_ops = {.read = eventfd_read,
                                            .write = eventfd_write,
                                            .stat = eventfd_stat,
                                            .close = eventfd_close,
                                            .ready = eventfd_ready};

struct file *eventfd_create(uint64_t count, bool semaphore, unsigned flags)
{
    struct eventfd *e = kzalloc(sizeof(*e));
    struct file *f = e == NULL ? NULL : file_new(&eventfd_ops, O_RDWR | flags);

    if (f == NULL) {
        kfree(e);
        return NULL;
    }
    mutex_init(&e->lock, "eventfd");
    e->count = count;
    e->semaphore = semaphore;
    f->own = e;
    return f;
}
