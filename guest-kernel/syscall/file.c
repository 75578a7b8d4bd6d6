/*
 * file.c - open files and tables of descriptors: see file.h.
 */
#include "syscall/file.h"

#include "kern/mem.h"
#include "kern/page.h"

struct file *file_new(const struct file_ops *ops, unsigned flags)
{
    struct file *f = page_users_may_take() ? kzalloc(sizeof(*f)) : NULL;

    if (f != NULL) {
        f->refs = 1;
        f->ops = ops;
        f->flags = flags;
    }
    return f;
}

struct file *file_get(struct file *f)
{
    __atomic_add_fetch(&f->refs, 1, __ATOMIC_RELAXED);
    return f;
}

void file_put(struct file *f)
{
    if (__atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        if (READ_ONCE(f->watched) != 0) {
            epoll_forget(f);
        }
        if (f->ops->close != NULL) {
            f->ops->close(f);
        }
        kfree(f);
    }
}

void file_changed(struct file *f)
{
    unsigned *changes = f->ops->changes == NULL ? &f->changes : f->ops->changes;

    __atomic_add_fetch(changes, 1, __ATOMIC_RELAXED);
    proc_wake();
}

int file_wait_until(const struct file *f, uint64_t seen, nsec_t deadline)
{
    struct uthread *t = uthread_self();

    if (f->flags & O_NONBLOCK) {
        return -EAGAIN;
    }
    int rc = proc_wait_change(t, seen, deadline);
    return uthread_interrupted(t) ? -CALL_RESTARTS : rc;
}

int file_wait(const struct file *f, uint64_t seen)
{
    return file_wait_until(f, seen, NSEC_FOREVER);
}

unsigned file_changes(const struct file *f)
{
    const unsigned *changes = f->ops->changes == NULL ? &f->changes : f->ops->changes;

    return __atomic_load_n(changes, __ATOMIC_ACQUIRE);
}

unsigned file_ready(const struct file *f)
{
    unsigned ready = f->ops->ready == NULL ? POLLIN | POLLOUT : f->ops->ready(f);

    return ready | (ready & POLLIN ? POLLRDNORM : 0) | (ready & POLLOUT ? POLLWRNORM : 0);
}

void fd_table_init(struct fd_table *t)
{
    mutex_init(&t->lock, "descriptors");
}

struct file *fd_get(struct fd_table *t, uint64_t fd)
{
    mutex_lock(&t->lock);
    struct file *f = fd < FD_MAX ? t->fds[fd].file : NULL;
    if (f != NULL) {
        (void)file_get(f);
    }
    mutex_unlock(&t->lock);
    return f;
}

int fd_install(struct fd_table *t, struct file *f, bool cloexec, uint64_t from)
{
    int found = -EMFILE;

    mutex_lock(&t->lock);
    for (uint64_t fd = from; fd < FD_MAX && found < 0; fd++) {
        if (t->fds[fd].file == NULL) {
            t->fds[fd] = (struct fd){.file = f, .cloexec = cloexec};
            found = (int)fd;
        }
    }
    mutex_unlock(&t->lock);
    return found;
}

int fd_give(struct fd_table *t, struct file *f, bool cloexec)
{
    int fd = f == NULL ? -ENOMEM : fd_install(t, f, cloexec, 0);

    if (f != NULL && fd < 0) {
        file_put(f);
    }
    return fd;
}

int fd_give_two(struct fd_table *t, struct file *files[2], bool cloexec, uaddr_t to)
{
    int fds[2] = {-1, -1};
    int rc = 0;

    for (unsigned i = 0; i < 2 && rc == 0; i++) {
        fds[i] = fd_give(t, file_get(files[i]), cloexec);
        rc = MIN(fds[i], 0);
    }
    rc = rc == 0 ? copy_to_user(to, fds, sizeof(fds)) : rc;
    for (unsigned i = 0; i < 2; i++) {
        if (rc != 0 && fds[i] >= 0) {
            /* Two references: the analyzer does not count.
             * NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
            fd_close_if(t, (uint64_t)fds[i], files[i]);
        }
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        file_put(files[i]);
    }
    return rc;
}

bool fd_node(struct fd_table *t, uint64_t fd, struct node **node)
{
    mutex_lock(&t->lock);
    const struct file *f = fd < FD_MAX ? t->fds[fd].file : NULL;
    *node = f != NULL && f->node != NULL ? node_get(f->node) : NULL;
    mutex_unlock(&t->lock);
    return f != NULL;
}

bool fd_has_room(struct fd_table *t)
{
    bool room = false;

    mutex_lock(&t->lock);
    for (unsigned fd = 0; fd < FD_MAX && !room; fd++) {
        room = t->fds[fd].file == NULL;
    }
    mutex_unlock(&t->lock);
    return room;
}

/* Put another file, or none, in a descriptor's place. Return: what was there, the caller's. */
static struct file *fd_swap(struct fd_table *t, uint64_t fd, struct fd with)
{
    mutex_lock(&t->lock);
    struct file *old = t->fds[fd].file;
    t->fds[fd] = with;
    mutex_unlock(&t->lock);
    return old;
}

void fd_replace(struct fd_table *t, uint64_t fd, struct file *f, bool cloexec)
{
    struct file *old = fd_swap(t, fd, (struct fd){.file = f, .cloexec = cloexec});

    if (old != NULL) {
        file_put(old);
    }
}

int fd_close(struct fd_table *t, uint64_t fd)
{
    struct file *old = fd < FD_MAX ? fd_swap(t, fd, (struct fd){0}) : NULL;

    if (old == NULL) {
        return -EBADF;
    }
    file_put(old);
    return 0;
}

void fd_close_if(struct fd_table *t, uint64_t fd, struct file *f)
{
    mutex_lock(&t->lock);
    bool still = t->fds[fd].file == f;
    if (still) {
        t->fds[fd] = (struct fd){0};
    }
    mutex_unlock(&t->lock);
    if (still) {
        file_put(f);
    }
}

void fd_close_all(struct fd_table *t)
{
    for (uint64_t fd = 0; fd < FD_MAX; fd++) {
        (void)fd_close(t, fd);
    }
}

void fd_close_exec(struct fd_table *t)
{
    for (uint64_t fd = 0; fd < FD_MAX; fd++) {
        if (t->fds[fd].cloexec) {
            (void)fd_close(t, fd);
        }
    }
}

int fd_cloexec(struct fd_table *t, uint64_t fd, const bool *cloexec)
{
    int was = -EBADF;

    mutex_lock(&t->lock);
    if (fd < FD_MAX && t->fds[fd].file != NULL) {
        was = t->fds[fd].cloexec;
        t->fds[fd].cloexec = cloexec != NULL ? *cloexec : was;
    }
    mutex_unlock(&t->lock);
    return was;
}

void fd_copy(struct fd_table *to, struct fd_table *from)
{
    mutex_lock(&from->lock);
    for (unsigned fd = 0; fd < FD_MAX; fd++) {
        to->fds[fd] = from->fds[fd];
        if (to->fds[fd].file != NULL) {
            (void)file_get(to->fds[fd].file);
        }
    }
    mutex_unlock(&from->lock);
}
