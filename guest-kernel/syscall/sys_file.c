/*
 * sys_file.c - calls on descriptors.
 *
 * Bytes go between program and file through one page of the kernel's, a page at a time.
 */
#include "kern/mem.h"
#include "kern/string.h"
#include "syscall/calls.h"
#include "syscall/paths.h"
#include "syscall/rootfs.h"
#include "syscall/umem.h"

enum { WHENCE_START, WHENCE_HERE, WHENCE_END };

#define F_DUPFD         0
#define F_GETFD         1
#define F_SETFD         2
#define F_GETFL         3
#define F_SETFL         4
#define F_DUPFD_CLOEXEC 1030
#define FD_CLOEXEC      1u

#define FIONBIO 0x5421u

#define FALLOC_KEEP_SIZE 1u

/* ---- reading and writing ---- */

/* Bytes on their way between a program and a file. */
struct transfer {
    struct file *f; /* with a reference */
    void *page;
    bool writes;
    bool at_pos;  /* move the file's position */
    uint64_t pos; /* otherwise it is here */
};

static uint64_t *position(struct transfer *x)
{
    return x->at_pos ? &x->f->pos : &x->pos;
}

static ssize_t read_part(struct transfer *x, uaddr_t user, size_t n)
{
    uint64_t *pos = position(x);
    ssize_t got = x->f->ops->read(x->f, *pos, x->page, n);

    if (got > 0) {
        int rc = copy_to_user(user, x->page, (size_t)got);

        if (rc != 0) {
            return rc;
        }
        *pos += (uint64_t)got;
    }
    return got;
}

static ssize_t write_part(struct transfer *x, uaddr_t user, size_t n)
{
    const struct file_ops *ops = x->f->ops;
    int rc = copy_from_user(x->page, user, n);

    if (rc != 0) {
        return rc;
    }
    return ops->write_at != NULL ? ops->write_at(x->f, position(x), x->page, n)
                                 : ops->write(x->f, x->page, n);
}

/* A range of the program's. A read ends with the first part that is not full. */
static ssize_t transfer_range(struct transfer *x, uaddr_t user, uint64_t n)
{
    size_t done = 0;

    n = MIN(n, COUNT_MAX);
    while (done < n) {
        size_t part = MIN(n - done, PAGE_SIZE);
        ssize_t rc = x->writes ? write_part(x, uaddr_add(user, done), part)
                               : read_part(x, uaddr_add(user, done), part);

        if (rc < 0) {
            return done != 0 ? (ssize_t)done : rc;
        }
        done += (size_t)rc;
        if ((size_t)rc < part || (!x->writes && !x->f->ops->seekable)) {
            break;
        }
    }
    return (ssize_t)done;
}

static int transfer_check(const struct file *f, bool writes)
{
    unsigned mode = f->flags & O_ACCMODE;

    if (writes ? mode == O_RDONLY : mode == O_WRONLY) {
        return -EBADF;
    }
    if (f->ops->transfer != NULL) {
        return 0;
    }
    bool can = writes ? f->ops->write != NULL || f->ops->write_at != NULL : f->ops->read != NULL;
    return can ? 0 : -EINVAL;
}

static int transfer_begin(struct call *c, bool writes, struct transfer *x)
{
    struct file *f = fd_get(&c->t->fds, c->a[0]);

    if (f == NULL) {
        return -EBADF;
    }
    *x = (struct transfer){.f = f, .writes = writes, .at_pos = true};
    x->page = c->u->page;
    int rc = transfer_check(f, writes);
    if (rc != 0) {
        file_put(f);
    }
    return rc;
}

static int64_t transfer_one(struct call *c, bool writes)
{
    struct transfer x;
    struct umem m;
    int64_t rc = transfer_begin(c, writes, &x);

    if (rc != 0) {
        return rc;
    }
    if (x.f->ops->transfer != NULL) {
        umem_one(&m, c->a[1], c->a[2]);
        rc = x.f->ops->transfer(x.f, &m, writes);
    } else {
        rc = transfer_range(&x, UADDR(c->a[1]), c->a[2]);
    }
    file_put(x.f);
    return rc;
}

int64_t sys_read(struct call *c)
{
    return transfer_one(c, false);
}

int64_t sys_write(struct call *c)
{
    return transfer_one(c, true);
}

static int64_t transfer_at(struct call *c, bool writes)
{
    struct transfer x;

    if ((int64_t)c->a[3] < 0) {
        return -EINVAL;
    }
    int64_t rc = transfer_begin(c, writes, &x);
    if (rc != 0) {
        return rc;
    }
    x.at_pos = false;
    x.pos = c->a[3];
    rc = x.f->ops->seekable ? transfer_range(&x, UADDR(c->a[1]), c->a[2]) : -LINUX_ESPIPE;
    file_put(x.f);
    return rc;
}

int64_t sys_pread64(struct call *c)
{
    return transfer_at(c, false);
}

int64_t sys_pwrite64(struct call *c)
{
    return transfer_at(c, true);
}

static int64_t transfer_vector(struct call *c, struct transfer *x)
{
    struct abi_iovec iov;
    int64_t done = 0;

    for (uint64_t i = 0; i < c->a[2]; i++) {
        int64_t rc = copy_from_user(&iov, UADDR(c->a[1] + i * sizeof(iov)), sizeof(iov));

        rc = rc == 0 ? transfer_range(x, UADDR(iov.base), MIN(iov.len, COUNT_MAX - (size_t)done))
                     : rc;
        if (rc < 0) {
            return done != 0 ? done : rc;
        }
        done += rc;
        if ((uint64_t)rc < iov.len) {
            break;
        }
    }
    return done;
}

static int64_t transfer_vectors(struct call *c, bool writes)
{
    struct transfer x;
    struct umem m;

    if (c->a[2] > IOV_MAX) {
        return -EINVAL;
    }
    int64_t rc = transfer_begin(c, writes, &x);
    if (rc != 0) {
        return rc;
    }
    if (x.f->ops->transfer != NULL) {
        rc = umem_vector(&m, c->a[1], c->a[2]);
        if (rc == 0) {
            rc = x.f->ops->transfer(x.f, &m, writes);
            umem_free(&m);
        }
    } else {
        rc = transfer_vector(c, &x);
    }
    file_put(x.f);
    return rc;
}

int64_t sys_readv(struct call *c)
{
    return transfer_vectors(c, false);
}

int64_t sys_writev(struct call *c)
{
    return transfer_vectors(c, true);
}

static int64_t seek(struct file *f, int64_t by, uint64_t whence)
{
    int64_t base, to;

    if (!f->ops->seekable) {
        return -LINUX_ESPIPE;
    }
    switch (whence) {
    case WHENCE_START:
        base = 0;
        break;
    case WHENCE_HERE:
        base = (int64_t)f->pos;
        break;
    case WHENCE_END:
        base = (int64_t)READ_ONCE(f->node->size);
        break;
    default:
        return -EINVAL;
    }
    if (__builtin_add_overflow(base, by, &to) || to < 0) {
        return -EINVAL;
    }
    f->pos = (uint64_t)to;
    return to;
}

int64_t sys_lseek(struct call *c)
{
    struct file *f = fd_get(&c->t->fds, c->a[0]);

    if (f == NULL) {
        return -EBADF;
    }
    int64_t rc = seek(f, (int64_t)c->a[1], c->a[2]);
    file_put(f);
    return rc;
}

/* ---- descriptors ---- */

int64_t sys_close(struct call *c)
{
    return fd_close(&c->t->fds, c->a[0]);
}

static int64_t dup_from(struct call *c, uint64_t from, bool cloexec)
{
    struct file *f = fd_get(&c->t->fds, c->a[0]);

    if (f == NULL) {
        return -EBADF;
    }
    int fd = from >= FD_MAX ? -EINVAL : fd_install(&c->t->fds, f, cloexec, from);
    if (fd < 0) {
        file_put(f);
    }
    return fd;
}

int64_t sys_dup(struct call *c)
{
    return dup_from(c, 0, false);
}

static int64_t dup_to(struct call *c, bool cloexec)
{
    struct file *f = c->a[1] < FD_MAX ? fd_get(&c->t->fds, c->a[0]) : NULL;

    if (f == NULL) {
        return -EBADF;
    }
    fd_replace(&c->t->fds, c->a[1], f, cloexec);
    return (int64_t)c->a[1];
}

int64_t sys_dup2(struct call *c)
{
    if (c->a[0] == c->a[1]) {
        int rc = fd_cloexec(&c->t->fds, c->a[0], NULL);

        return rc < 0 ? rc : (int64_t)c->a[1];
    }
    return dup_to(c, false);
}

int64_t sys_dup3(struct call *c)
{
    if (c->a[0] == c->a[1] || (c->a[2] & ~(uint64_t)O_CLOEXEC) != 0) {
        return -EINVAL;
    }
    return dup_to(c, c->a[2] & O_CLOEXEC);
}

/* What fcntl() does to a file, whatever the descriptor. */
static int64_t control_file(struct file *f, uint64_t command, uint64_t arg)
{
    switch (command) {
    case F_GETFL:
        return f->flags & ~(O_CLOEXEC | O_CREAT | O_TRUNC | O_EXCL);
    case F_SETFL:
        f->flags =
            (f->flags & ~(O_NONBLOCK | O_APPEND)) | ((unsigned)arg & (O_NONBLOCK | O_APPEND));
        return 0;
    default:
        return -EINVAL;
    }
}

int64_t sys_fcntl(struct call *c)
{
    bool cloexec = c->a[2] & FD_CLOEXEC;
    int rc;

    switch (c->a[1]) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        return dup_from(c, c->a[2], c->a[1] == F_DUPFD_CLOEXEC);
    case F_GETFD:
    case F_SETFD:
        rc = fd_cloexec(&c->t->fds, c->a[0], c->a[1] == F_SETFD ? &cloexec : NULL);
        return rc < 0 || c->a[1] == F_GETFD ? rc : 0; /* FD_CLOEXEC is 1 */
    default:
        break;
    }
    struct file *f = fd_get(&c->t->fds, c->a[0]);
    if (f == NULL) {
        return -EBADF;
    }
    int64_t result = control_file(f, c->a[1], c->a[2]);
    file_put(f);
    return result;
}

static int set_nonblock(struct file *f, uint64_t from)
{
    int on;
    int rc = copy_from_user(&on, UADDR(from), sizeof(on));

    if (rc == 0) {
        f->flags = (f->flags & ~O_NONBLOCK) | (on != 0 ? O_NONBLOCK : 0);
    }
    return rc;
}

int64_t sys_ioctl(struct call *c)
{
    struct file *f = fd_get(&c->t->fds, c->a[0]);

    if (f == NULL) {
        return -EBADF;
    }
    int rc = c->a[1] == FIONBIO      ? set_nonblock(f, c->a[2])
             : f->ops->ioctl == NULL ? -LINUX_ENOTTY
                                     : f->ops->ioctl(f, (unsigned)c->a[1], UADDR(c->a[2]));
    file_put(f);
    return rc;
}

int64_t sys_fstat(struct call *c)
{
    struct file *f = fd_get(&c->t->fds, c->a[0]);
    struct abi_stat st;

    if (f == NULL) {
        return -EBADF;
    }
    f->ops->stat(f, &st);
    file_put(f);
    return copy_to_user(UADDR(c->a[1]), &st, sizeof(st));
}

static int64_t read_folder(struct call *c, struct file *f, uint64_t to, uint64_t size)
{
    char *page = c->u->page;

    if (f->node == NULL || !node_is(f->node, NODE_DIR)) {
        return -ENOTDIR;
    }
    uint64_t pos = f->pos;
    ssize_t n = rootfs_dirents(f->node, &pos, page, MIN(size, PAGE_SIZE));
    if (n > 0) {
        int rc = copy_to_user(UADDR(to), page, (size_t)n);

        n = rc == 0 ? n : rc;
    }
    f->pos = n < 0 ? f->pos : pos;
    return n;
}

int64_t sys_getdents64(struct call *c)
{
    struct file *f = fd_get(&c->t->fds, c->a[0]);

    if (f == NULL) {
        return -EBADF;
    }
    int64_t rc = read_folder(c, f, c->a[1], c->a[2]);
    file_put(f);
    return rc;
}

/* ---- what is done with files of the tree ---- */

int64_t node_of_descriptor(struct call *c, int read_only, struct node **node)
{
    struct file *f = fd_get(&c->t->fds, c->a[0]);
    int64_t rc = f == NULL ? -EBADF : 0;

    if (rc == 0 && (f->flags & O_ACCMODE) == O_RDONLY) {
        rc = read_only;
    }
    if (rc == 0 && f->node == NULL) {
        rc = -EINVAL;
    }
    if (rc == 0) {
        *node = node_get(f->node);
    }
    if (f != NULL) {
        file_put(f);
    }
    return rc;
}

int64_t sys_ftruncate(struct call *c)
{
    struct node *n;
    int64_t rc = (int64_t)c->a[1] < 0 ? -EINVAL : node_of_descriptor(c, -EINVAL, &n);

    if (rc == 0) {
        rc = node_is_plain(n) ? node_resize(n, c->a[1]) : -EINVAL;
        node_put(n);
    }
    return rc;
}

static bool caller_must_end(void)
{
    return uthread_must_end(uthread_self());
}

int64_t sys_fallocate(struct call *c)
{
    struct node *n;

    if ((int64_t)c->a[2] < 0 || (int64_t)c->a[3] <= 0) {
        return -EINVAL;
    }
    if ((c->a[1] & ~(uint64_t)FALLOC_KEEP_SIZE) != 0) {
        return -EOPNOTSUPP;
    }
    int64_t rc = node_of_descriptor(c, -EBADF, &n);
    if (rc == 0) {
        bool keep_size = c->a[1] & FALLOC_KEEP_SIZE;

        rc = node_is_plain(n) ? node_reserve(n, c->a[2], c->a[3], keep_size, caller_must_end)
                              : -ENODEV;
        node_put(n);
    }
    return rc;
}

/* There is no disk behind it: all that was written is where it belongs. */
int64_t sys_fsync(struct call *c)
{
    struct node *n;
    int64_t rc = node_of_descriptor(c, 0, &n);

    if (rc == 0) {
        node_put(n);
    }
    return rc;
}

int64_t sys_sync(struct call *c __unused)
{
    return 0;
}

int64_t sys_fchmod(struct call *c)
{
    struct node *n;
    int64_t rc = node_of_descriptor(c, 0, &n);

    if (rc == 0) {
        rc = change_mode(n, c->a[1]);
        node_put(n);
    }
    return rc;
}

int64_t sys_fchown(struct call *c)
{
    struct node *n;
    int64_t rc = node_of_descriptor(c, 0, &n);

    if (rc == 0) {
        rc = change_owner(n, (uint32_t)c->a[1], (uint32_t)c->a[2]);
        node_put(n);
    }
    return rc;
}

int64_t sys_fstatfs(struct call *c)
{
    struct node *n;
    int64_t rc = node_of_descriptor(c, 0, &n);

    if (rc == 0) {
        rc = tell_statfs(n, c->a[1]);
        node_put(n);
    }
    return rc;
}

static int64_t make_pipe(struct call *c, uint64_t flags)
{
    struct file *ends[2];

    if ((flags & ~(uint64_t)(O_CLOEXEC | O_NONBLOCK)) != 0) {
        return -EINVAL;
    }
    int rc = pipe_create(ends, (unsigned)flags & O_NONBLOCK);
    return rc == 0 ? fd_give_two(&c->t->fds, ends, flags & O_CLOEXEC, UADDR(c->a[0])) : rc;
}

int64_t sys_pipe(struct call *c)
{
    return make_pipe(c, 0);
}

int64_t sys_pipe2(struct call *c)
{
    return make_pipe(c, c->a[1]);
}
