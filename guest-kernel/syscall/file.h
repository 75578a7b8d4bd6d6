/*
 * file.h - what is behind a descriptor: open files, and the table of a process's descriptors.
 *
 * A file is shared by the descriptors that were duplicated from it, also across fork(). Reading and
 * writing goes through kernel buffers; the calls in sys_file.c bring them to the program.
 * Who uses a file has a reference: another thread may close the descriptor meanwhile.
 * Locks: "descriptors" (a mutex) over a table. A file has none but a pipe's; `refs` is atomic, and
 * two that read one file at once may get the same bytes. Suspend: contents are memory.
 */
#ifndef SYSCALL_FILE_H
#define SYSCALL_FILE_H

#include "fs/node.h"
#include "proc/proc.h"
#include "syscall/abi.h"

#define FD_MAX 256

struct file;
struct pipe;
struct umem;

/**
 * struct file_ops - what can be done with a kind of file
 * @read, @write: at most a page. Return: bytes, 0 at the end, or -errno; NULL: -EINVAL
 * @write_at: in the place of @write: writes at *@pos, or wherever it belongs, and moves it
 * @transfer: in the place of both: to or from a program's memory, in one piece if it matters; NULL:
 * there are only those
 * @stat: fill in what is known; the rest is zero
 * @ioctl: NULL: -ENOTTY
 * @close: the last descriptor is gone; NULL: nothing to do
 * @ready: what of POLL* is so now; who makes it so calls file_changed(). NULL: reads and writes
 * never wait
 * @changes: of a device that all its files stand for: how often any of them became ready
 * @seekable: has a position
 */
struct file_ops {
    ssize_t (*read)(struct file *f, uint64_t pos, void *buf, size_t n);
    ssize_t (*write)(struct file *f, const void *buf, size_t n);
    ssize_t (*write_at)(struct file *f, uint64_t *pos, const void *buf, size_t n);
    ssize_t (*transfer)(struct file *f, struct umem *m, bool writes);
    void (*stat)(const struct file *f, struct abi_stat *st);
    int (*ioctl)(struct file *f, unsigned cmd, uaddr_t arg);
    void (*close)(struct file *f);
    unsigned (*ready)(const struct file *f);
    unsigned *changes;
    bool seekable;
};

struct file {
    unsigned refs;
    const struct file_ops *ops;
    uint64_t pos;
    unsigned flags;    /* O_* */
    struct node *node; /* of the tree, with a reference; NULL: none */
    struct pipe *pipe;
    void *own;        /* of the kinds that have more: socket.c */
    unsigned changes; /* see file_changes() */
    unsigned watched; /* by how many epolls; under their lock */
};

/** file_new() - one reference, the caller's; NULL: no memory that programs may take. */
struct file *file_new(const struct file_ops *ops, unsigned flags);

/** file_get(), file_put() - one reference more, one less. Thread context. */
struct file *file_get(struct file *f);
void file_put(struct file *f);

/** file_changed() - it may be ready for more than before: who waits shall look. Any context. */
void file_changed(struct file *f);

/**
 * file_wait() - sleep until something changed after @seen, which was asked before looking
 *
 * Return: 0; -EAGAIN: the file does not wait; -CALL_RESTARTS: the thread is interrupted. Thread
 * context, of a program.
 */
int file_wait(const struct file *f, uint64_t seen) __must_check;

/** file_wait_until() - the same, or -ETIMEDOUT at @deadline. */
int file_wait_until(const struct file *f, uint64_t seen, nsec_t deadline) __must_check;

/** file_changes() - how often that was. */
unsigned file_changes(const struct file *f);

struct fd {
    struct file *file;
    bool cloexec;
};

struct fd_table {
    struct mutex lock; /* "descriptors" */
    struct fd fds[FD_MAX];
};

void fd_table_init(struct fd_table *t);

/** fd_get() - the file of a descriptor, with a reference for the caller; NULL: none. */
struct file *fd_get(struct fd_table *t, uint64_t fd);

/** fd_install() - a descriptor from @from on; the reference passes to it. -EMFILE: not. */
int fd_install(struct fd_table *t, struct file *f, bool cloexec, uint64_t from) __must_check;

/** fd_give() - the same of a new file, which is closed if there is none. @f: NULL: -ENOMEM. */
int fd_give(struct fd_table *t, struct file *f, bool cloexec) __must_check;

/**
 * fd_give_two() - the same of two, whose numbers are written to a program's memory
 *
 * Return: 0, -EMFILE, -EFAULT: both are closed.
 */
int fd_give_two(struct fd_table *t, struct file *files[2], bool cloexec, uaddr_t to) __must_check;

/**
 * fd_node() - the node of a descriptor's file
 * @node: with a reference; NULL: it is none of the tree's
 *
 * Return: whether there is such a descriptor.
 */
bool fd_node(struct fd_table *t, uint64_t fd, struct node **node);

/** fd_has_room() - whether fd_install() would find a descriptor now. */
bool fd_has_room(struct fd_table *t);

/** fd_replace() - let @fd be of @f, the reference of which passes to it. What it was is closed. */
void fd_replace(struct fd_table *t, uint64_t fd, struct file *f, bool cloexec);

/** fd_close() - 0 or -EBADF. */
int fd_close(struct fd_table *t, uint64_t fd);

/**
 * fd_close_if() - take back a descriptor that the program was not told of
 * @f: what it was given to, of which the caller has a reference: another thread may have closed it,
 * and opened something else
 */
void fd_close_if(struct fd_table *t, uint64_t fd, struct file *f);

/** fd_close_all(), fd_close_exec() - all of them, or those that a new program does not get. */
void fd_close_all(struct fd_table *t);
void fd_close_exec(struct fd_table *t);

/** fd_cloexec() - change whether a new program does not get it (NULL: not). What it was, -EBADF. */
int fd_cloexec(struct fd_table *t, uint64_t fd, const bool *cloexec);

/** fd_copy() - the table of a child, which is empty. */
void fd_copy(struct fd_table *to, struct fd_table *from);

/** dev_at() - the devices, one after the other, and their paths without '/'; NULL: no more. */
const struct file_ops *dev_at(size_t i, const char **path);

/** device_stat() - of a device. */
void device_stat(const struct file *f, struct abi_stat *st);

/** console_ops - the console, as descriptors 0 to 2 have it. */
extern const struct file_ops console_ops;

/** file_ready() - what of POLL* is so now. */
unsigned file_ready(const struct file *f);

/** eventfd_create() - NULL: no memory. */
struct file *eventfd_create(uint64_t count, bool semaphore, unsigned flags);

/** epoll_forget() - a watched file is about to be freed. */
void epoll_forget(struct file *f);

/** broken_pipe() - the calling thread writes where nobody reads: a signal tells so. -LINUX_EPIPE.
 */
int broken_pipe(void);

/** pipe_create() - both ends, a reference each. 0 or -ENOMEM. */
int pipe_create(struct file *ends[2], unsigned flags) __must_check;

#endif /* SYSCALL_FILE_H */
