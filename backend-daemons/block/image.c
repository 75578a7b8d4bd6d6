/*
 * Disk images: see image.h. The path is looked up once (O_PATH); type, identity and every later
 * open refer to what was found then, so that a path that changes meanwhile cannot show us two
 * things.
 */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <uthash.h>

#include "gate.h"

struct image_key {
    uint64_t dev;
    uint64_t ino; /* 0 for a block device, whose number is in dev */
};

struct image {
    struct image_key key;
    char *path; /* of the first user, for messages */
    int lock_fd;
    bool exclusive; /* locked and claimed for writing */
    XEN_TAILQ_HEAD(image_users, struct image_user) users;
    UT_hash_handle hh;
};

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

/* Whether two users may not have taken the same image at the same time. */
static bool exclude(const struct image_user *a, const struct image_user *b)
{
    return a != b && !(a->read_only && b->read_only);
}

/* Whether the image cannot even be promised to both: they are not two ends of a migration. */
static bool conflict(const struct image_user *a, const struct image_user *b)
{
    return exclude(a, b) &&
           (a->id.domid == b->id.domid || a->vm[0] == '\0' || strcmp(a->vm, b->vm) != 0);
}

static int check_users(struct image *image, const struct image_user *user, const char *path,
                       char *why, unsigned long size)
{
    struct image_user *other = NULL;

    XEN_TAILQ_FOREACH (other, &image->users, link) {
        if (conflict(user, other)) {
            snprintf(
                why, size, "image %s: in use %s by %s %d/%d, and so not available %s to %s %d/%d",
                path, other->read_only ? "read-only" : "read-write", other->id.class,
                other->id.domid, other->id.device, user->read_only ? "read-only" : "read-write",
                user->id.class, user->id.domid, user->id.device);
            return -EBUSY;
        }
    }
    return 0;
}

/* Locks the image against other programs, once for all its users. */
static int lock_image(struct image *image, int path_fd, bool block, bool write)
{
    struct flock fl = {.l_type = write ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
    int fd = reopen(path_fd, write ? O_RDWR | (block ? O_EXCL : 0) : O_RDONLY);

    if (fd < 0) {
        return fd;
    }
    if (fcntl(fd, F_OFD_SETLK, &fl) < 0) {
        int err = errno;

        close(fd);
        return err == EACCES || err == EAGAIN ? -EBUSY : -err;
    }
    image->lock_fd = fd;
    image->exclusive = write;
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

/* Fills in size and kind of the image, opened as `fd`. Returns 0 or -errno. */
static int measure(struct image_user *user, int fd, const struct stat *st)
{
    uint64_t bytes = (uint64_t)st->st_size;
    unsigned int physical = BLK_SECTOR_BYTES;

    user->block_device = S_ISBLK(st->st_mode);
    user->rdev = st->st_rdev;
    user->discard_granularity = st->st_blksize > 0 ? (uint32_t)st->st_blksize : 4096;
    if (user->block_device) {
        if (ioctl(fd, BLKGETSIZE64, &bytes) < 0 || ioctl(fd, BLKPBSZGET, &physical) < 0) {
            return -errno;
        }
        user->discard_granularity = block_discard_granularity(st->st_rdev);
    }
    user->sectors = bytes / BLK_SECTOR_BYTES;
    user->physical_sector_bytes = physical;
    return user->sectors != 0 ? 0 : -ENODATA;
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

/* The descriptor that the worker will have: what the device may do, and no more. */
static int open_user_fd(const struct image_user *user)
{
    int access = user->read_only ? O_RDONLY : O_RDWR;
    int lock_fd = user->image->lock_fd;
    int fd = -EINVAL;

    if (direct_possible(lock_fd)) {
        fd = reopen(lock_fd, access | O_DIRECT);
    }
    return fd == -EINVAL ? reopen(lock_fd, access) : fd;
}

static void release(struct image_table *table, struct image *image)
{
    if (XEN_TAILQ_EMPTY(&image->users)) {
        HASH_DEL(table->images, image);
        close(image->lock_fd);
        free(image->path);
        free(image);
    }
}

/* The image for this identity, locked; new in the table if nobody uses it yet. */
static int find_image(struct image_table *table, const struct image_key *key, int path_fd,
                      const char *path, const struct image_user *user, struct image **out)
{
    struct image *image;
    int err;

    HASH_FIND(hh, table->images, key, sizeof(*key), image);
    if (image == NULL) {
        image = calloc(1, sizeof(*image));
        if (image == NULL) {
            return -ENOMEM;
        }
        image->key = *key;
        image->path = strdup(path);
        XEN_TAILQ_INIT(&image->users);
        err = image->path == NULL ? -ENOMEM
                                  : lock_image(image, path_fd, key->ino == 0, !user->read_only);
        if (err != 0) {
            free(image->path);
            free(image);
            return err;
        }
        HASH_ADD(hh, table->images, key, sizeof(image->key), image);
    }
    *out = image;
    return 0;
}

/* image_open() once the path is resolved. */
static int open_resolved(struct image_table *table, int path_fd, const char *path,
                         struct image_user *user, char *why, unsigned long size)
{
    struct image *image;
    struct image_key key;
    struct stat st;
    int err;

    if (fstat(path_fd, &st) < 0) {
        return say(why, size, errno, path, strerror(errno));
    }
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
        return say(why, size, S_ISDIR(st.st_mode) ? EISDIR : EINVAL, path, file_type(st.st_mode));
    }
    memset(&key, 0, sizeof(key));
    key.dev = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
    key.ino = S_ISBLK(st.st_mode) ? 0 : st.st_ino;
    err = find_image(table, &key, path_fd, path, user, &image);
    if (err != 0) {
        return say(why, size, -err, path,
                   err == -EBUSY ? "in use by another program of this host" : strerror(-err));
    }
    err = check_users(image, user, path, why, size);
    if (err == 0) {
        err = measure(user, image->lock_fd, &st);
        if (err != 0) {
            say(why, size, -err, path,
                err == -ENODATA ? "is smaller than one sector of 512 bytes" : strerror(-err));
        }
    }
    if (err != 0) {
        release(table, image);
        return err;
    }
    user->image = image;
    user->taken = false;
    XEN_TAILQ_INSERT_TAIL(&image->users, user, link);
    return 0;
}

int image_open(struct image_table *table, const char *path, struct image_user *user, char *why,
               unsigned long why_size)
{
    int path_fd, err;

    if (path[0] != '/') {
        return say(why, why_size, EINVAL, path, "is not an absolute path");
    }
    path_fd = open(path, O_PATH | O_CLOEXEC);
    if (path_fd < 0) {
        return say(why, why_size, errno, path, strerror(errno));
    }
    err = open_resolved(table, path_fd, path, user, why, why_size);
    close(path_fd);
    return err;
}

struct image_user *image_rival(const struct image_user *user, bool holding)
{
    struct image_user *other = NULL;

    if (user->image == NULL) {
        return NULL;
    }
    XEN_TAILQ_FOREACH (other, &user->image->users, link) {
        if (exclude(user, other) && (other->taken || !holding)) {
            return other;
        }
    }
    return NULL;
}

void image_each_rival(const struct image_user *user, void (*fn)(struct image_user *rival))
{
    struct image_user *other = NULL;

    if (user->image == NULL) {
        return;
    }
    XEN_TAILQ_FOREACH (other, &user->image->users, link) {
        if (exclude(user, other)) {
            fn(other);
        }
    }
}

int image_take(struct image_user *user, char *why, unsigned long why_size)
{
    int fd;

    if (user->taken) {
        return 0;
    }
    fd = open_user_fd(user);
    if (fd < 0) {
        return say(why, why_size, -fd, user->image->path, strerror(-fd));
    }
    user->fd = fd;
    user->taken = true;
    return 0;
}

void image_drop(struct image_user *user)
{
    if (user->taken) {
        user->taken = false;
        close(user->fd);
    }
}

void image_close(struct image_table *table, struct image_user *user)
{
    struct image *image = user->image;

    if (image == NULL) {
        return;
    }
    image_drop(user);
    XEN_TAILQ_REMOVE(&image->users, user, link);
    user->image = NULL;
    release(table, image);
}
