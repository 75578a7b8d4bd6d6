/*
 * sys_name.c - calls on names.
 */
#include "kern/mem.h"
#include "kern/string.h"
#include "syscall/calls.h"
#include "syscall/rootfs.h"
#include "syscall/socket.h"

#define W_OK 2u

/* A path of the program's, copied; NULL and the error in *@rc. To be kfree()d. */
static char *get_path(uint64_t address, int64_t *rc)
{
    char *path = kmalloc(PATH_SIZE);

    *rc = path == NULL ? -ENOMEM : string_from_user(path, UADDR(address), PATH_SIZE);
    if (*rc < 0) {
        kfree(path);
        return NULL;
    }
    *rc = 0;
    return path;
}

/* Only the current folder is offered as the one that a path begins in. */
static int check_dirfd(uint64_t dirfd, const char *path)
{
    return (int)dirfd == AT_FDCWD || path[0] == '/' ? 0 : -EBADF;
}

static int64_t open_path(struct call *c, uint64_t dirfd, uint64_t address, unsigned flags)
{
    int64_t rc;
    char *path = get_path(address, &rc);
    struct file *f = NULL;

    if (path == NULL) {
        return rc;
    }
    rc = check_dirfd(dirfd, path);
    mutex_lock(&c->t->folder);
    rc = rc == 0 ? rootfs_open(c->t->cwd, path, flags, &f) : rc;
    mutex_unlock(&c->t->folder);
    kfree(path);
    if (rc != 0) {
        return rc;
    }
    rc = fd_install(&c->t->fds, f, flags & O_CLOEXEC, 0);
    if (rc < 0) {
        file_put(f);
    }
    return rc;
}

int64_t sys_open(struct call *c)
{
    return open_path(c, (uint64_t)AT_FDCWD, c->a[0], (unsigned)c->a[1]);
}

int64_t sys_openat(struct call *c)
{
    return open_path(c, c->a[0], c->a[1], (unsigned)c->a[2]);
}

/* Follow a path of the program's. */
static int64_t find_path(struct call *c, uint64_t dirfd, uint64_t address, bool follow,
                         struct node *node)
{
    int64_t rc;
    char *path = get_path(address, &rc);

    if (path != NULL) {
        rc = check_dirfd(dirfd, path);
        mutex_lock(&c->t->folder);
        rc = rc == 0 ? rootfs_find(c->t->cwd, path, follow, node, NULL) : rc;
        mutex_unlock(&c->t->folder);
        kfree(path);
    }
    return rc;
}

static int64_t stat_path(struct call *c, uint64_t dirfd, uint64_t address, uint64_t to, bool follow)
{
    struct node node;
    struct abi_stat st;
    int64_t rc = find_path(c, dirfd, address, follow, &node);

    if (rc == 0) {
        rootfs_stat(&node, &st);
        rc = copy_to_user(UADDR(to), &st, sizeof(st));
    }
    return rc;
}

int64_t sys_stat(struct call *c)
{
    return stat_path(c, (uint64_t)AT_FDCWD, c->a[0], c->a[1], true);
}

int64_t sys_lstat(struct call *c)
{
    return stat_path(c, (uint64_t)AT_FDCWD, c->a[0], c->a[1], false);
}

int64_t sys_newfstatat(struct call *c)
{
    char first;

    if (c->a[3] & AT_EMPTY_PATH) {
        int rc = copy_from_user(&first, UADDR(c->a[1]), 1);

        if (rc != 0) {
            return rc;
        }
        if (first == '\0') {
            c->a[1] = c->a[2];
            return sys_fstat(c);
        }
    }
    return stat_path(c, c->a[0], c->a[1], c->a[2], (c->a[3] & AT_SYMLINK_NOFOLLOW) == 0);
}

static int64_t access_path(struct call *c, uint64_t dirfd, uint64_t address, uint64_t mode)
{
    struct node node;
    int64_t rc = find_path(c, dirfd, address, true, &node);

    return rc == 0 && (mode & W_OK) && node.entry != NULL ? -EROFS : rc;
}

int64_t sys_access(struct call *c)
{
    return access_path(c, (uint64_t)AT_FDCWD, c->a[0], c->a[1]);
}

int64_t sys_faccessat(struct call *c)
{
    return access_path(c, c->a[0], c->a[1], c->a[2]);
}

static int64_t read_link(struct call *c, uint64_t dirfd, uint64_t address, uint64_t to,
                         uint64_t size)
{
    struct node node;
    int64_t rc = find_path(c, dirfd, address, false, &node);

    if (rc != 0) {
        return rc;
    }
    if ((int64_t)size <= 0 || node.entry == NULL ||
        (node.entry->mode & CPIO_TYPE) != CPIO_SYMLINK) {
        return -EINVAL;
    }
    size = MIN(size, node.entry->size);
    rc = copy_to_user(UADDR(to), node.entry->data, size);
    return rc == 0 ? (int64_t)size : rc;
}

int64_t sys_readlink(struct call *c)
{
    return read_link(c, (uint64_t)AT_FDCWD, c->a[0], c->a[1], c->a[2]);
}

int64_t sys_readlinkat(struct call *c)
{
    return read_link(c, c->a[0], c->a[1], c->a[2], c->a[3]);
}

/* What can be removed is the name of a socket, which has no file. */
static int64_t unlink_path(struct call *c, uint64_t dirfd, uint64_t address)
{
    struct sock_path name;
    int64_t rc;
    char *path = get_path(address, &rc);

    if (path != NULL) {
        rc = check_dirfd(dirfd, path);
        rc = rc == 0 ? socket_path(c->t, path, -EROFS, &name) : rc;
        rc = rc == -ENAMETOOLONG || (rc == 0 && !sock_unlink(&name)) ? -ENOENT : rc;
        kfree(path);
    }
    return rc;
}

int64_t sys_unlink(struct call *c)
{
    return unlink_path(c, (uint64_t)AT_FDCWD, c->a[0]);
}

int64_t sys_unlinkat(struct call *c)
{
    return c->a[2] != 0 ? -EINVAL : unlink_path(c, c->a[0], c->a[1]);
}

int64_t sys_getcwd(struct call *c)
{
    mutex_lock(&c->t->folder);
    size_t size = strlen(c->t->cwd) + 1;
    int rc = c->a[1] < size ? -ERANGE : copy_to_user(UADDR(c->a[0]), c->t->cwd, size);
    mutex_unlock(&c->t->folder);
    return rc == 0 ? (int64_t)size : rc;
}

int64_t sys_chdir(struct call *c)
{
    int64_t rc;
    char *path = get_path(c->a[0], &rc);
    char *canonical = path == NULL ? NULL : kmalloc(PATH_SIZE);
    struct node node;

    if (canonical == NULL) {
        kfree(path);
        return path == NULL ? rc : -ENOMEM;
    }
    mutex_lock(&c->t->folder);
    rc = rootfs_find(c->t->cwd, path, true, &node, canonical);
    if (rc == 0 && (node.entry == NULL || (node.entry->mode & CPIO_TYPE) != CPIO_DIR)) {
        rc = -ENOTDIR;
    }
    if (rc == 0) {
        strlcpy(c->t->cwd, canonical, sizeof(c->t->cwd));
    }
    mutex_unlock(&c->t->folder);
    kfree(canonical);
    kfree(path);
    return rc;
}
