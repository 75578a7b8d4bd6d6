/*
 * The file or block device of an image: see imagefile.h.
 */
#include "imagefile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "gate.h"
#include "inuse.h"
#include "wire.h"

static int say(char *why, unsigned long size, int err, const char *path, const char *text)
{
    snprintf(why, size, "image %s: %s", path, text);
    return -err;
}

static const char *file_type(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "is a directory, not a disk image";
    case S_IFCHR:
        return "is a character device, not a disk image";
    case S_IFIFO:
        return "is a FIFO, not a disk image";
    case S_IFSOCK:
        return "is a socket, not a disk image";
    default:
        return "is neither a regular file nor a block device";
    }
}

/* Opens what `path_fd` refers to. Returns a descriptor or -errno. */
static int reopen(int path_fd, int flags)
{
    char name[32];
    int fd;

    snprintf(name, sizeof(name), "/proc/self/fd/%d", path_fd);
    fd = open(name, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int imagefile_find(struct imagefile *f, struct image_key *key, char *why, unsigned long why_size)
{
    bool block;

    f->lock_fd = -1;
    f->path_fd = open(f->path, O_PATH | O_CLOEXEC);
    if (f->path_fd < 0 || fstat(f->path_fd, &f->st) < 0) {
        return say(why, why_size, errno, f->path, strerror(errno));
    }
    block = S_ISBLK(f->st.st_mode);
    if (!S_ISREG(f->st.st_mode) && !block) {
        return say(why, why_size, S_ISDIR(f->st.st_mode) ? EISDIR : EINVAL, f->path,
                   file_type(f->st.st_mode));
    }
    key->dev = block ? f->st.st_rdev : f->st.st_dev;
    key->ino = block ? 0 : f->st.st_ino;
    return 0;
}

/* The lock itself. A block device that is to be written is also claimed. Returns 0 or -errno. */
static int claim(struct imagefile *f)
{
    const bool write = !f->read_only;
    const bool exclusive = write && S_ISBLK(f->st.st_mode) && !f->forced;
    struct flock fl = {
        .l_type = write ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET, .l_len = BLK_WIRE_WORKER_BYTE};
    int fd = reopen(f->path_fd, write ? O_RDWR | (exclusive ? O_EXCL : 0) : O_RDONLY);

    if (fd < 0) {
        return fd;
    }
    if (fcntl(fd, F_OFD_SETLK, &fl) < 0 && !f->forced) {
        int err = errno;

        close(fd);
        return err == EACCES || err == EAGAIN ? -EBUSY : -err;
    }
    f->lock_fd = fd;
    return 0;
}

int imagefile_lock(struct imagefile *f, char *why, unsigned long why_size)
{
    char by[INUSE_TEXT_MAX];
    int err;

    if (!f->forced && inuse(&f->st, f->read_only, by, sizeof(by))) {
        snprintf(why, why_size, "image %s: in use by this host: %s", f->path, by);
        return -EBUSY;
    }
    err = claim(f);
    if (err != 0) {
        return say(why, why_size, -err, f->path,
                   err == -EBUSY ? "in use by another program of this host" : strerror(-err));
    }
    return 0;
}

static uint32_t block_discard_granularity(dev_t rdev)
{
    char path[96];
    char text[32];
    unsigned long bytes = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/queue/discard_granularity", major(rdev),
             minor(rdev));
    f = fopen(path, "re");
    if (f == NULL) {
        return 0; /* a partition, for example */
    }
    if (fgets(text, sizeof(text), f) != NULL) {
        bytes = strtoul(text, NULL, 10);
    }
    fclose(f);
    return bytes <= UINT32_MAX ? (uint32_t)bytes : 0;
}

int imagefile_measure(const struct imagefile *f, struct image_facts *facts, char *why,
                      unsigned long why_size)
{
    unsigned int physical = BLK_SECTOR_BYTES;
    uint64_t bytes;
    struct stat st;

    if (fstat(f->lock_fd, &st) < 0) {
        return say(why, why_size, errno, f->path, strerror(errno));
    }
    bytes = (uint64_t)st.st_size;
    facts->block_device = S_ISBLK(st.st_mode);
    facts->rdev = st.st_rdev;
    facts->discard_granularity = st.st_blksize > 0 ? (uint32_t)st.st_blksize : 4096;
    if (facts->block_device) {
        if (ioctl(f->lock_fd, BLKGETSIZE64, &bytes) < 0 ||
            ioctl(f->lock_fd, BLKPBSZGET, &physical) < 0) {
            return say(why, why_size, errno, f->path, strerror(errno));
        }
        facts->discard_granularity = block_discard_granularity(st.st_rdev);
    }
    facts->changed_ns =
        facts->block_device ? 0 : (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    facts->sectors = bytes / BLK_SECTOR_BYTES;
    facts->physical_sector_bytes = physical;
    return 0;
}

/*
 * Whether O_DIRECT takes single sectors here: then there is no second cache, and nothing stale
 * after a migration. File systems that do not say (statx(2), STATX_DIOALIGN) are used through the
 * cache.
 */
static bool direct_possible(int fd)
{
    struct statx sx;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) < 0 ||
        (sx.stx_mask & STATX_DIOALIGN) == 0) {
        return false;
    }
    return sx.stx_dio_offset_align != 0 && sx.stx_dio_offset_align <= BLK_SECTOR_BYTES &&
           sx.stx_dio_mem_align <= BLK_SECTOR_BYTES;
}

int imagefile_open(const struct imagefile *f, char *why, unsigned long why_size)
{
    int access = f->read_only ? O_RDONLY : O_RDWR;
    int fd = -EINVAL;

    if (direct_possible(f->lock_fd)) {
        fd = reopen(f->lock_fd, access | O_DIRECT);
    }
    if (fd == -EINVAL) {
        fd = reopen(f->lock_fd, access);
    }
    return fd < 0 ? say(why, why_size, -fd, f->path, strerror(-fd)) : fd;
}

void imagefile_close(struct imagefile *f)
{
    if (f->lock_fd >= 0) {
        close(f->lock_fd);
    }
    if (f->path_fd >= 0) {
        close(f->path_fd);
    }
}
