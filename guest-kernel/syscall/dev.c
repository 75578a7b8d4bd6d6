/*
 * dev.c - devices: null, zero, random numbers, and the names of all. The console is console.c's.
 */
#include "kern/string.h"
#include "psm/random.h"
#include "syscall/file.h"

void device_stat(const struct file *f __unused, struct abi_stat *st)
{
    *st = (struct abi_stat){.mode = S_IFCHR | 0666, .nlink = 1, .blksize = PAGE_SIZE};
}

static ssize_t null_read(struct file *f __unused, uint64_t pos __unused, void *buf __unused,
                         size_t n __unused)
{
    return 0;
}

static ssize_t swallow(struct file *f __unused, const void *buf __unused, size_t n)
{
    return (ssize_t)n;
}

static ssize_t zero_read(struct file *f __unused, uint64_t pos __unused, void *buf, size_t n)
{
    memset(buf, 0, n);
    return (ssize_t)n;
}

static ssize_t random_read(struct file *f __unused, uint64_t pos __unused, void *buf, size_t n)
{
    random_fill(buf, n);
    return (ssize_t)n;
}

static const struct file_ops null_ops = {.read = null_read, .write = swallow, .stat = device_stat};
static const struct file_ops zero_ops = {.read = zero_read, .write = swallow, .stat = device_stat};
static const struct file_ops random_ops = {
    .read = random_read, .write = swallow, .stat = device_stat};

const struct file_ops *dev_at(size_t i, const char **path)
{
    static const struct {
        const char *path;
        const struct file_ops *ops;
    } devices[] = {
        {"dev/console", &console_ops}, {"dev/tty", &console_ops},   {"dev/null", &null_ops},
        {"dev/zero", &zero_ops},       {"dev/random", &random_ops}, {"dev/urandom", &random_ops},
    };

    if (i >= ARRAY_SIZE(devices)) {
        return NULL;
    }
    *path = devices[i].path;
    return devices[i].ops;
}
