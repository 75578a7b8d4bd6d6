/*
 * socket.c - a socket as a file: see socket.h.
 *
 * net/sock.h never waits; what cannot be done yet is waited for here, as pipes do it. A stream's
 * bytes go from a program through its thread's page, and to it straight out of what arrived.
 */
#include "syscall/socket.h"

#include "kern/mem.h"
#include "kern/page.h"
#include "psm/clock.h"

#define FIONREAD     0x541bu
#define DATAGRAM_MAX 65536u

static void socket_changed(void *f)
{
    file_changed(f);
}

static void socket_close(struct file *f)
{
    struct socket *socket = socket_of(f);

    sock_close(socket->sock);
    kfree(socket);
}

static void socket_stat(const struct file *f __unused, struct abi_stat *st)
{
    *st = (struct abi_stat){.mode = S_IFSOCK | 0777, .nlink = 1, .blksize = PAGE_SIZE};
}

static unsigned socket_ready(const struct file *f)
{
    unsigned ready = sock_ready(socket_of(f)->sock);

    return (ready & SOCK_CAN_READ ? POLLIN : 0) | (ready & SOCK_CAN_WRITE ? POLLOUT : 0) |
           (ready & SOCK_FAILED ? POLLERR : 0) | (ready & SOCK_ENDED ? POLLRDHUP : 0) |
           (ready & SOCK_HUNG_UP ? POLLHUP : 0);
}

static int socket_ioctl(struct file *f, unsigned cmd, uaddr_t arg)
{
    if (cmd != FIONREAD) {
        return -LINUX_ENOTTY;
    }
    if (sock_listens(socket_of(f)->sock)) {
        return -EINVAL;
    }
    int n = (int)MIN(sock_available(socket_of(f)->sock), (size_t)INT32_MAX);
    return copy_to_user(arg, &n, sizeof(n));
}

/* read() of nothing takes no datagram, as recv() of nothing does. */
static ssize_t socket_transfer(struct file *f, struct umem *m, bool writes)
{
    struct sock_cargo *none = NULL;

    if (!writes && m->left == 0) {
        return 0;
    }
    return writes ? socket_send(f, m, 0, NULL, &none) : socket_receive(f, m, 0, NULL);
}

static const struct file_ops socket_ops = {.transfer = socket_transfer,
                                           .stat = socket_stat,
                                           .ioctl = socket_ioctl,
                                           .close = socket_close,
                                           .ready = socket_ready};

struct file *socket_new(struct sock *s, unsigned flags)
{
    struct socket *socket = kzalloc(sizeof(*socket));
    struct file *f = socket == NULL ? NULL : file_new(&socket_ops, O_RDWR | flags);

    if (f == NULL) {
        kfree(socket);
        sock_close(s);
        return NULL;
    }
    socket->sock = s;
    f->own = socket;
    sock_tell(s, socket_changed, f);
    return f;
}

int64_t socket_call(struct call *c, int64_t (*fn)(struct call *c, struct file *f))
{
    struct file *f = fd_get(&c->t->fds, c->a[0]);

    if (f == NULL) {
        return -EBADF;
    }
    int64_t rc = f->ops == &socket_ops ? fn(c, f) : -ENOTSOCK;
    file_put(f);
    return rc;
}

struct sock *socket_unix(const struct file *f)
{
    bool is = f->ops == &socket_ops && sock_is_unix(socket_of(f)->sock);

    return is ? socket_of(f)->sock : NULL;
}

nsec_t socket_deadline(nsec_t timeout)
{
    return timeout == 0 ? NSEC_FOREVER : clock_now() + timeout;
}

/* With a deadline the call is not made again: it would begin anew. */
int socket_wait(uint64_t seen, nsec_t deadline)
{
    struct uthread *t = uthread_self();
    int rc = proc_wait_change(t, seen, deadline);

    if (uthread_interrupted(t)) {
        return deadline == NSEC_FOREVER ? -CALL_RESTARTS : -LINUX_EINTR;
    }
    return rc == 0 ? 0 : -EAGAIN;
}

static bool must_not_wait(const struct file *f, unsigned flags)
{
    return (f->flags & O_NONBLOCK) || (flags & MSG_DONTWAIT);
}

/* ---- reading ---- */

void socket_cargo_free(struct sock_cargo *cargo)
{
    if (cargo != NULL) {
        cargo->free(cargo);
    }
}

/* Once, waiting for what there is nothing of. */
static ssize_t receive_part(struct file *f, struct umem *to, unsigned flags, nsec_t deadline,
                            struct sock_read *info)
{
    for (;;) {
        uint64_t seen = proc_changes();
        ssize_t rc = sock_read(socket_of(f)->sock, to->left, flags & MSG_PEEK, umem_put, to, info);

        if (rc != -EAGAIN || must_not_wait(f, flags)) {
            return rc;
        }
        int woken = socket_wait(seen, deadline);
        if (woken != 0) {
            return woken;
        }
    }
}

ssize_t socket_receive(struct file *f, struct umem *to, unsigned flags, struct sock_read *info)
{
    nsec_t deadline = socket_deadline(socket_of(f)->read_timeout);
    bool stream = sock_is_stream(socket_of(f)->sock);
    bool all = stream && (flags & MSG_WAITALL) && (flags & MSG_PEEK) == 0;
    ssize_t done = 0;

    if (flags & MSG_OOB) {
        return -EINVAL;
    }
    if (stream && to->left == 0) {
        return 0;
    }
    for (;;) {
        ssize_t rc = receive_part(f, to, flags, deadline, info);

        if (rc <= 0) {
            return done != 0 ? done : rc;
        }
        done += rc;
        if (!all || to->left == 0 || (info != NULL && info->cargo != NULL)) {
            return done;
        }
    }
}

/* ---- writing ---- */

struct sending {
    struct file *f;
    unsigned flags;
    const struct socket_name *to; /* NULL: whom it is connected to */
    struct sock_cargo **cargo;    /* NULL behind it: there is none, or it went */
    nsec_t deadline;
};

/* Without waiting. @more: the rest of a stream will be there in a moment. */
static ssize_t send_now(const struct sending *x, const void *data, size_t n, bool more)
{
    struct sock *s = socket_of(x->f)->sock;

    if (sock_is_unix(s)) {
        return sock_send_unix(s, data, n, x->to == NULL ? NULL : &x->to->path, x->cargo);
    }
    return sock_is_stream(s) ? sock_write(s, data, n, more)
                             : sock_send_to(s, data, n, x->to == NULL ? NULL : &x->to->ip);
}

/* Waiting for room. */
static ssize_t send_waiting(const struct sending *x, const void *data, size_t n, bool more)
{
    for (;;) {
        uint64_t seen = proc_changes();
        ssize_t sent = send_now(x, data, n, more);

        if (sent != -EAGAIN || must_not_wait(x->f, x->flags)) {
            return sent;
        }
        int rc = socket_wait(seen, x->deadline);
        if (rc != 0) {
            return rc;
        }
    }
}

static ssize_t send_stream(const struct sending *x, struct umem *from)
{
    char *page = uthread_self()->page;
    size_t done = 0;
    ssize_t rc = 0;

    while (from->left != 0 && rc >= 0) {
        size_t part = MIN(from->left, PAGE_SIZE);

        rc = umem_get(from, page, part);
        for (size_t at = 0; at < part && rc >= 0;) {
            rc = send_waiting(x, page + at, part - at, from->left != 0);
            at += rc > 0 ? (size_t)rc : 0;
            done += rc > 0 ? (size_t)rc : 0;
        }
    }
    return done != 0 ? (ssize_t)done : rc;
}

static ssize_t send_datagram(const struct sending *x, struct umem *from)
{
    size_t n = from->left;
    char *page = uthread_self()->page, *data = page;

    if (n >= DATAGRAM_MAX) {
        return -EMSGSIZE;
    }
    if (n > PAGE_SIZE) {
        data = page_users_may_take() ? kmalloc(n) : NULL;
        if (data == NULL) {
            return -ENOBUFS;
        }
    }
    ssize_t rc = umem_get(from, data, n);
    rc = rc == 0 ? send_waiting(x, data, n, false) : rc;
    kfree(data != page ? data : NULL);
    return rc;
}

ssize_t socket_send(struct file *f, struct umem *from, unsigned flags, const struct socket_name *to,
                    struct sock_cargo **cargo)
{
    const struct sending x = {.f = f,
                              .flags = flags,
                              .to = to,
                              .cargo = cargo,
                              .deadline = socket_deadline(socket_of(f)->write_timeout)};
    bool stream = sock_is_stream(socket_of(f)->sock);

    if (flags & MSG_OOB) {
        return -EOPNOTSUPP;
    }
    ssize_t rc = stream ? send_stream(&x, from) : send_datagram(&x, from);
    return rc == -LINUX_EPIPE && stream && (flags & MSG_NOSIGNAL) == 0 ? broken_pipe() : rc;
}
