/*
 * sys_socket.c - calls on sockets; their options are in sys_sockopt.c, messages in sys_message.c.
 */
#include "syscall/calls.h"
#include "syscall/socket.h"

#define TYPE_MASK   0xfu
#define IPPROTO_TCP 6u
#define IPPROTO_UDP 17u

enum { SHUT_RD, SHUT_WR, SHUT_RDWR };

/* ---- birth ---- */

static int install_socket(struct call *c, struct sock *s, uint64_t flags)
{
    return fd_give(&c->t->fds, socket_new(s, (unsigned)flags & O_NONBLOCK), flags & O_CLOEXEC);
}

static bool is_type(unsigned family, unsigned type)
{
    return type == SOCK_STREAM || type == SOCK_DGRAM ||
           (type == SOCK_SEQPACKET && family == AF_UNIX);
}

/* 0, or why there is no such socket. */
static int check_kind(unsigned family, unsigned type, unsigned protocol)
{
    if (family != AF_INET && family != AF_INET6 && family != AF_UNIX) {
        return -LINUX_EAFNOSUPPORT;
    }
    if (!is_type(family, type)) {
        return -LINUX_ESOCKTNOSUPPORT;
    }
    unsigned right = family == AF_UNIX ? AF_UNIX : type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
    return protocol != 0 && protocol != right ? -LINUX_EPROTONOSUPPORT : 0;
}

/* Make one of what the call says. */
static int make_socket(const struct call *c, struct sock **s)
{
    unsigned type = (unsigned)c->a[1] & TYPE_MASK;
    unsigned flags = (unsigned)c->a[1] & ~TYPE_MASK;

    if ((flags & ~(O_NONBLOCK | O_CLOEXEC)) != 0) {
        return -EINVAL;
    }
    int rc = check_kind((unsigned)c->a[0], type, (unsigned)c->a[2]);
    if (rc != 0) {
        return rc;
    }
    return (unsigned)c->a[0] == AF_UNIX
               ? sock_create_unix(type == SOCK_STREAM, type != SOCK_DGRAM, s)
               : sock_create(type == SOCK_STREAM, (unsigned)c->a[0] == AF_INET6, s);
}

int64_t sys_socket(struct call *c)
{
    struct sock *s;
    int rc = make_socket(c, &s);

    return rc == 0 ? install_socket(c, s, c->a[1] & ~(uint64_t)TYPE_MASK) : rc;
}

/* Both, or neither. */
static int make_pair(const struct call *c, struct file *files[2])
{
    struct sock *s[2];
    int rc = make_socket(c, &s[0]);

    if (rc != 0) {
        return rc;
    }
    rc = make_socket(c, &s[1]);
    if (rc != 0) {
        sock_close(s[0]);
        return rc;
    }
    sock_pair(s[0], s[1], c->p->pid);
    for (unsigned i = 0; i < 2; i++) {
        files[i] = socket_new(s[i], (unsigned)c->a[1] & O_NONBLOCK);
    }
    for (unsigned i = 0; i < 2 && (files[0] == NULL || files[1] == NULL); i++) {
        rc = -ENOMEM;
        if (files[i] != NULL) {
            file_put(files[i]);
        }
    }
    return rc;
}

int64_t sys_socketpair(struct call *c)
{
    struct file *files[2];

    if ((unsigned)c->a[0] == AF_INET || (unsigned)c->a[0] == AF_INET6) {
        return -EOPNOTSUPP;
    }
    int rc = make_pair(c, files);
    return rc == 0 ? fd_give_two(&c->t->fds, files, c->a[1] & O_CLOEXEC, UADDR(c->a[3])) : rc;
}

/* ---- addresses ---- */

static int64_t do_bind(struct call *c, struct file *f)
{
    struct sock *s = socket_of(f)->sock;
    struct socket_name name;
    bool none;
    int rc = sockaddr_get(c, s, c->a[1], c->a[2], true, &name, &none);

    if (rc == 0 && none) {
        rc = sock_is_unix(s) ? -EINVAL : -LINUX_EAFNOSUPPORT;
    }
    if (rc != 0) {
        return rc;
    }
    return sock_is_unix(s) ? socket_bind_unix(c, s, &name.path) : sock_bind(s, &name.ip);
}

int64_t sys_bind(struct call *c)
{
    return socket_call(c, do_bind);
}

/* @name: all of it is set. */
static int read_name(struct sock *s, bool of_peer, struct socket_name *name)
{
    *name = (struct socket_name){.path = {.len = 0}};
    if (sock_is_unix(s)) {
        return sock_name_unix(s, of_peer, &name->path);
    }
    if (of_peer) {
        return sock_peer(s, &name->ip);
    }
    sock_name(s, &name->ip);
    return 0;
}

static int64_t tell_name(struct call *c, const struct file *f, bool of_peer)
{
    struct sock *s = socket_of(f)->sock;
    struct socket_name name;
    int rc = read_name(s, of_peer, &name);

    if (rc == 0 && c->a[1] == 0) {
        rc = -EFAULT;
    }
    return rc == 0 ? sockaddr_put(s, c->a[1], c->a[2], &name) : rc;
}

static int64_t do_getsockname(struct call *c, struct file *f)
{
    return tell_name(c, f, false);
}

static int64_t do_getpeername(struct call *c, struct file *f)
{
    return tell_name(c, f, true);
}

int64_t sys_getsockname(struct call *c)
{
    return socket_call(c, do_getsockname);
}

int64_t sys_getpeername(struct call *c)
{
    return socket_call(c, do_getpeername);
}

/* ---- connections ---- */

/* Until it is there, or not. */
static int await_connection(const struct file *f)
{
    nsec_t deadline = socket_deadline(socket_of(f)->write_timeout);

    for (;;) {
        uint64_t seen = proc_changes();
        int rc = sock_connected(socket_of(f)->sock);

        if (rc != -EAGAIN) {
            return rc;
        }
        rc = socket_wait(seen, deadline);
        if (rc != 0) {
            return rc == -EAGAIN ? -LINUX_EINPROGRESS : rc;
        }
    }
}

/* Until there is a place among those that wait to be accepted. */
static int connect_unix(struct call *c, const struct file *f, const struct sock_path *path)
{
    nsec_t deadline = socket_deadline(socket_of(f)->write_timeout);

    for (;;) {
        uint64_t seen = proc_changes();
        int rc = sock_connect_unix(socket_of(f)->sock, path, c->p->pid);

        if (rc != -EAGAIN || (f->flags & O_NONBLOCK)) {
            return rc;
        }
        rc = socket_wait(seen, deadline);
        if (rc != 0) {
            return rc;
        }
    }
}

static int64_t do_connect(struct call *c, struct file *f)
{
    struct sock *s = socket_of(f)->sock;
    struct socket_name name;
    bool none;
    int rc = sockaddr_get(c, s, c->a[1], c->a[2], false, &name, &none);

    if (rc != 0) {
        return rc;
    }
    if (sock_is_unix(s)) {
        return connect_unix(c, f, none ? NULL : &name.path);
    }
    if (!none) {
        sockaddr_any_is_here(&name.ip);
    }
    rc = sock_connect(s, none ? NULL : &name.ip);
    bool begun = rc == -LINUX_EINPROGRESS || rc == -LINUX_EALREADY;
    return begun && (f->flags & O_NONBLOCK) == 0 ? await_connection(f) : rc;
}

int64_t sys_connect(struct call *c)
{
    return socket_call(c, do_connect);
}

static int64_t do_listen(struct call *c, struct file *f)
{
    struct sock *s = socket_of(f)->sock;

    return sock_connects(s) ? sock_listen(s, (unsigned)c->a[1], c->p->pid) : -EOPNOTSUPP;
}

int64_t sys_listen(struct call *c)
{
    return socket_call(c, do_listen);
}

static int await_arrival(const struct file *f, struct sock **out)
{
    nsec_t deadline = socket_deadline(socket_of(f)->read_timeout);

    for (;;) {
        uint64_t seen = proc_changes();
        int rc = sock_accept(socket_of(f)->sock, out);

        if (rc != -EAGAIN || (f->flags & O_NONBLOCK)) {
            return rc;
        }
        rc = socket_wait(seen, deadline);
        if (rc != 0) {
            return rc;
        }
    }
}

/* Flags of the new one are in c->a[3]. */
static int64_t do_accept(struct call *c, struct file *f)
{
    struct socket_name peer;
    struct sock *s;

    if (!sock_connects(socket_of(f)->sock)) {
        return -EOPNOTSUPP;
    }
    if (!fd_has_room(&c->t->fds)) {
        return -EMFILE;
    }
    int rc = await_arrival(f, &s);
    if (rc != 0) {
        return rc;
    }
    (void)read_name(s, true, &peer); /* it may be over already */
    rc = sockaddr_put(s, c->a[1], c->a[2], &peer);
    if (rc != 0) {
        sock_close(s);
        return rc;
    }
    return install_socket(c, s, c->a[3]);
}

int64_t sys_accept4(struct call *c)
{
    return (c->a[3] & ~(uint64_t)(O_NONBLOCK | O_CLOEXEC)) != 0 ? -EINVAL
                                                                : socket_call(c, do_accept);
}

int64_t sys_accept(struct call *c)
{
    c->a[3] = 0;
    return sys_accept4(c);
}

static int64_t do_shutdown(struct call *c, struct file *f)
{
    return c->a[1] > SHUT_RDWR
               ? -EINVAL
               : sock_shutdown(socket_of(f)->sock, c->a[1] != SHUT_WR, c->a[1] != SHUT_RD);
}

int64_t sys_shutdown(struct call *c)
{
    return socket_call(c, do_shutdown);
}
