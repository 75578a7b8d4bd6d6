/*
 * pipe.c - pipes: a page of bytes between processes.
 *
 * Locks: a pipe's mutex, over all of it but who still has it: the ends are counted apart, since the
 * last to see both closed may still be giving the mutex up. Who waits for the other end does so in
 * proc_wait_change(), with no lock held.
 */
#include "kern/mem.h"
#include "kern/page.h"
#include "kern/string.h"
#include "syscall/file.h"

#define PIPE_SIZE 4096u /* as much as is written in one piece: PIPE_BUF */

struct pipe {
    struct mutex lock;
    unsigned refs; /* ends that are not done with it; atomic */
    unsigned readers, writers;
    uint32_t prod, cons;  /* free-running */
    char *ring;           /* PIPE_SIZE bytes */
    struct file *ends[2]; /* while they are there: to read from, and to write to */
};

/* What is done with a pipe that is locked. -EAGAIN: nothing yet. */
typedef ssize_t pipe_fn(struct pipe *pipe, void *buf, size_t n);

static ssize_t pipe_take(struct pipe *pipe, void *buf, size_t n)
{
    uint32_t there = pipe->prod - pipe->cons;

    if (there == 0) {
        return pipe->writers == 0 ? 0 : -EAGAIN;
    }
    n = MIN(n, there);
    for (size_t i = 0; i < n; i++) {
        ((char *)buf)[i] = pipe->ring[pipe->cons++ % PIPE_SIZE];
    }
    return (ssize_t)n;
}

/* All or nothing: no caller has more than a page. */
static ssize_t pipe_give(struct pipe *pipe, void *buf, size_t n)
{
    if (pipe->readers == 0) {
        return -LINUX_EPIPE;
    }
    if (PIPE_SIZE - (pipe->prod - pipe->cons) < n) {
        return -EAGAIN;
    }
    for (size_t i = 0; i < n; i++) {
        pipe->ring[pipe->prod++ % PIPE_SIZE] = ((const char *)buf)[i];
    }
    return (ssize_t)n;
}

/* Who waits at the other end shall look. The pipe is locked. */
static void tell_other(const struct file *f)
{
    struct file *other = f->pipe->ends[(f->flags & O_ACCMODE) == O_RDONLY];

    if (other != NULL) {
        file_changed(other);
    }
}

static ssize_t pipe_do(struct file *f, pipe_fn *fn, void *buf, size_t n)
{
    for (;;) {
        uint64_t seen = proc_changes();

        mutex_lock(&f->pipe->lock);
        ssize_t rc = fn(f->pipe, buf, n);
        if (rc > 0) {
            tell_other(f);
        }
        mutex_unlock(&f->pipe->lock);
        if (rc != -EAGAIN) {
            return rc;
        }
        rc = file_wait(f, seen);
        if (rc != 0) {
            return rc;
        }
    }
}

static ssize_t pipe_read(struct file *f, uint64_t pos __unused, void *buf, size_t n)
{
    return n == 0 ? 0 : pipe_do(f, pipe_take, buf, n);
}

int broken_pipe(void)
{
    struct uthread *t = uthread_self();
    const struct signal_info info = {.code = SI_USER, .pid = t->proc->pid};

    (void)signal_post_thread(&t->signals, SIGNAL_PIPE, &info);
    return -LINUX_EPIPE;
}

static ssize_t pipe_write(struct file *f, const void *buf, size_t n)
{
    ssize_t rc = pipe_do(f, pipe_give, (void *)(uintptr_t)buf, n);

    return rc == -LINUX_EPIPE ? broken_pipe() : rc;
}

static unsigned pipe_ready(const struct file *f)
{
    struct pipe *pipe = f->pipe;
    unsigned ready = 0;

    mutex_lock(&pipe->lock);
    uint32_t there = pipe->prod - pipe->cons;
    if ((f->flags & O_ACCMODE) == O_RDONLY) {
        ready |= there != 0 ? POLLIN : 0;
        ready |= pipe->writers == 0 ? POLLHUP : 0;
    } else {
        ready |= there == 0 ? POLLOUT : 0; /* a page fits */
        ready |= pipe->readers == 0 ? POLLERR : 0;
    }
    mutex_unlock(&pipe->lock);
    return ready;
}

static void pipe_stat(const struct file *f __unused, struct abi_stat *st)
{
    *st = (struct abi_stat){.mode = S_IFIFO | 0600, .nlink = 1, .blksize = PIPE_SIZE};
}

static void pipe_free(struct pipe *pipe)
{
    if (pipe->ring != NULL) {
        page_free(pipe->ring, 0);
    }
    kfree(pipe);
}

static void pipe_close(struct file *f)
{
    struct pipe *pipe = f->pipe;

    mutex_lock(&pipe->lock);
    pipe->readers -= (f->flags & O_ACCMODE) == O_RDONLY;
    pipe->writers -= (f->flags & O_ACCMODE) == O_WRONLY;
    pipe->ends[(f->flags & O_ACCMODE) != O_RDONLY] = NULL;
    tell_other(f);
    mutex_unlock(&pipe->lock);
    if (__atomic_sub_fetch(&pipe->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        pipe_free(pipe);
    }
}

static const struct file_ops pipe_ops = {.read = pipe_read,
                                         .write = pipe_write,
                                         .stat = pipe_stat,
                                         .close = pipe_close,
                                         .ready = pipe_ready};

int pipe_create(struct file *ends[2], unsigned flags)
{
    struct pipe *pipe = page_users_may_take() ? kzalloc(sizeof(*pipe)) : NULL;

    if (pipe == NULL) {
        return -ENOMEM;
    }
    pipe->ring = page_alloc(0);
    ends[0] = file_new(&pipe_ops, O_RDONLY | flags);
    ends[1] = file_new(&pipe_ops, O_WRONLY | flags);
    if (pipe->ring == NULL || ends[0] == NULL || ends[1] == NULL) {
        kfree(ends[0]);
        kfree(ends[1]);
        pipe_free(pipe);
        return -ENOMEM;
    }
    mutex_init(&pipe->lock, "pipe");
    pipe->readers = pipe->writers = 1;
    pipe->refs = 2;
    ends[0]->pipe = ends[1]->pipe = pipe;
    pipe->ends[0] = ends[0];
    pipe->ends[1] = ends[1];
    return 0;
}
