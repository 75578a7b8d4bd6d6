/*
 * file.c - open files and tables of descriptors: see file.h.
 */
#include "syscall/file.h"

#include "kern/mem.h"

struct file *file_new(const struct file_ops *ops, unsigned flags)
{
    struct file *f = kzalloc(sizeof(*f));

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
        if (f->ops->close != NULL) {
            f->ops->close(f);
        }
        kfree(f);
    }
}

struct file *fd_file(const struct fd_table *t, uint64_t fd)
{
    return fd < FD_MAX ? t->fds[fd].file : NULL;
}

int fd_install(struct fd_table *t, struct file *f, bool cloexec, uint64_t from)
{
    for (uint64_t fd = from; fd < FD_MAX; fd++) {
        if (t->fds[fd].file == NULL) {
            t->fds[fd] = (struct fd){.file = f, .cloexec = cloexec};
            return (int)fd;
        }
    }
    return -EMFILE;
}

int fd_close(struct fd_table *t, uint64_t fd)
{
    struct file *f = fd_file(t, fd);

    if (f == NULL) {
        return -EBADF;
    }
    t->fds[fd] = (struct fd){0};
    file_put(f);
    return 0;
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

void fd_copy(struct fd_table *to, const struct fd_table *from)
{
    for (unsigned fd = 0; fd < FD_MAX; fd++) {
        to->fds[fd] = from->fds[fd];
        if (to->fds[fd].file != NULL) {
            (void)file_get(to->fds[fd].file);
        }
    }
}
