/*
 * sys_socket.c - calls on sockets; their options are in sys_sockopt.c.
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

/* 0, or why there is no such socket. */
static int check_kind(unsigned family, unsigned type, unsigned protocol)
{
    if (family != AF_INET && family != AF_INET6) {
        return -LINUX_EAFNOSUPPORT;
    }
    if (type != SOCK_STREAM && type != SOCK_DGRAM) {
        return -LINUX_ESOCKTNOSUPPORT;
    }
    return protocol != 0 && protocol != (type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP)
               ? -LINUX_EPROTONOSUPPORT
               : 0;
}

int64_t sys_socket(struct call *c)
{
    unsigned type = (unsigned)c->a[1] & TYPE_MASK;
    unsigned flags = (unsigned)c->a[1] & ~TYPE_MASK;
    struct sock *s;

    if ((flags & ~(O_NONBLOCK | O_CLOEXEC)) != 0) {
        return -EINVAL;
    }
    int rc = check_kind((unsigned)c->a[0], type, (unsigned)c->a[2]);
    rc = rc == 0 ? sock_create(type == SOCK_STREAM, c->a[0] == AF_INET6, &s) : rc;
    return rc == 0 ? install_socket(c, s, flags) : rc;
}

/* ---- addresses ---- */

static int do_bind(struct call *c, struct file *f)
{
    struct sock *s = socket_of(f)->sock;
    struct sock_addr addr;
    bool none;
    int rc = sockaddr_get(s, c->a[1], c->a[2], &addr, &none);

    return rc == 0 && none ? -LINUX_EAFNOSUPPORT : rc == 0 ? sock_bind(s, &addr) : rc;
}

int64_t sys_bind(struct call *c)
{
    struct file *f;
    int rc = socket_get(c, c->a[0], &f);

    if (rc == 0) {
        rc = do_bind(c, f);
        file_put(f);
    }
    return rc;
}

static int tell_name(struct call *c, const struct file *f, bool of_peer)
{
    struct sock *s = socket_of(f)->sock;
    struct sock_addr addr;
    int rc = 0;

    if (of_peer) {
        rc = sock_peer(s, &addr);
    } else {
        sock_name(s, &addr);
    }
    if (rc == 0 && c->a[1] == 0) {
        rc = -EFAULT;
    }
    return rc == 0 ? sockaddr_put(s, c->a[1], c->a[2], &addr) : rc;
}

static int64_t name_call(struct call *c, bool of_peer)
{
    struct file *f;
    int rc = socket_get(c, c->a[0], &f);

    if (rc == 0) {
        rc = tell_name(c, f, of_peer);
        file_put(f);
    }
    return rc;
}

int64_t sys_getsockname(struct call *c)
{
    return name_call(c, false);
}

int64_t sys_getpeername(struct call *c)
{
    return name_call(c, true);
}

/* ---- connections ---- */

/* Whom programs mean that connect to all addresses: themselves. */
static void any_is_here(struct sock_addr *addr)
{
    if (ip_addr_isany_val(addr->ip)) {
        if (IP_IS_V4_VAL(addr->ip)) {
            ip_addr_set_loopback_val(false, addr->ip);
        } else {
            ip_addr_set_loopback_val(true, addr->ip);
        }
    }
}

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

static int do_connect(struct call *c, struct file *f)
{
    struct sock *s = socket_of(f)->sock;
    struct sock_addr addr;
    bool none;
    int rc = sockaddr_get(s, c->a[1], c->a[2], &addr, &none);

    if (rc != 0) {
        return rc;
    }
    if (!none) {
        any_is_here(&addr);
    }
    rc = sock_connect(s, none ? NULL : &addr);
    bool begun = rc == -LINUX_EINPROGRESS || rc == -LINUX_EALREADY;
    return begun && (f->flags & O_NONBLOCK) == 0 ? await_connection(f) : rc;
}

int64_t sys_connect(struct call *c)
{
    struct file *f;
    int rc = socket_get(c, c->a[0], &f);

    if (rc == 0) {
        rc = do_connect(c, f);
        file_put(f);
    }
    return rc;
}

int64_t sys_listen(struct call *c)
{
    struct file *f;
    int rc = socket_get(c, c->a[0], &f);

    if (rc == 0) {
        struct sock *s = socket_of(f)->sock;

        rc = !sock_is_stream(s) ? -EOPNOTSUPP : sock_listen(s, (unsigned)MAX((int)c->a[1], 0));
        file_put(f);
    }
    return rc;
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

static int do_accept(struct call *c, const struct file *f, unsigned flags)
{
    struct sock_addr peer;
    struct sock *s;

    if (!sock_is_stream(socket_of(f)->sock)) {
        return -EOPNOTSUPP;
    }
    if (!fd_has_room(&c->t->fds)) {
        return -EMFILE;
    }
    int rc = await_arrival(f, &s);
    if (rc != 0) {
        return rc;
    }
    (void)sock_peer(s, &peer); /* it may be over already */
    rc = sockaddr_put(s, c->a[1], c->a[2], &peer);
    if (rc != 0) {
        sock_close(s);
        return rc;
    }
    return install_socket(c, s, flags);
}

static int64_t accept_with(struct call *c, uint64_t flags)
{
    struct file *f;
    int rc =
        (flags & ~(uint64_t)(O_NONBLOCK | O_CLOEXEC)) != 0 ? -EINVAL : socket_get(c, c->a[0], &f);

    if (rc == 0) {
        rc = do_accept(c, f, (unsigned)flags);
        file_put(f);
    }
    return rc;
}

int64_t sys_accept(struct call *c)
{
    return accept_with(c, 0);
}

int64_t sys_accept4(struct call *c)
{
    return accept_with(c, c->a[3]);
}

int64_t sys_shutdown(struct call *c)
{
    struct file *f;
    int rc = socket_get(c, c->a[0], &f);

    if (rc == 0) {
        rc = c->a[1] > SHUT_RDWR
                 ? -EINVAL
                 : sock_shutdown(socket_of(f)->sock, c->a[1] != SHUT_WR, c->a[1] != SHUT_RD);
        file_put(f);
    }
    return rc;
}

/* ---- data ---- */

/* What sendto() and sendmsg() have in common. @name: 0: there is none. */
static int64_t send_from(struct call *c, struct file *f, struct umem *m, unsigned flags,
                         uint64_t name, uint64_t name_len)
{
    struct sock *s = socket_of(f)->sock;
    struct sock_addr to;
    bool none = true;
    int64_t rc = 0;

    if (name != 0 && !sock_is_stream(s)) {
        rc = sockaddr_get(s, name, name_len, &to, &none);
        rc = rc == 0 && none ? -LINUX_EAFNOSUPPORT : rc;
        if (rc == 0) {
            any_is_here(&to);
        }
    }
    rc = rc == 0 ? socket_send(f, m, flags, none ? NULL : &to) : rc;
    if (rc == -LINUX_EPIPE && sock_is_stream(s) && (flags & MSG_NOSIGNAL) == 0) {
        call_broken_pipe(c);
    }
    return rc;
}

int64_t sys_sendto(struct call *c)
{
    struct file *f;
    struct umem m;
    int64_t rc = socket_get(c, c->a[0], &f);

    if (rc == 0) {
        umem_one(&m, c->a[1], c->a[2]);
        rc = send_from(c, f, &m, (unsigned)c->a[3], c->a[4], c->a[5]);
        file_put(f);
    }
    return rc;
}

int64_t sys_recvfrom(struct call *c)
{
    struct sock_read info = {.any = false};
    struct file *f;
    struct umem m;
    int64_t n = socket_get(c, c->a[0], &f);

    if (n != 0) {
        return n;
    }
    const struct sock *s = socket_of(f)->sock;
    bool stream = sock_is_stream(s);
    umem_one(&m, c->a[1], c->a[2]);
    n = socket_receive(f, &m, (unsigned)c->a[3], &info);
    if (n >= 0) {
        int rc = sockaddr_put(s, c->a[4], c->a[5], !stream && info.any ? &info.from : NULL);

        n = rc != 0 ? rc : !stream && (c->a[3] & MSG_TRUNC) ? (int64_t)info.whole : n;
    }
    file_put(f);
    return n;
}

/* Data beside the data (control messages) is not offered. */
static int64_t send_message(struct call *c, struct file *f)
{
    struct abi_msghdr h;
    struct umem m;
    int64_t rc = copy_from_user(&h, UADDR(c->a[1]), sizeof(h));

    rc = rc == 0 && h.control_len != 0 ? -EOPNOTSUPP : rc;
    rc = rc == 0 && h.iov_len > IOV_MAX ? -EMSGSIZE : rc;
    rc = rc == 0 ? umem_vector(&m, h.iov, h.iov_len) : rc;
    if (rc == 0) {
        rc = send_from(c, f, &m, (unsigned)c->a[2], h.name, h.name_len);
        umem_free(&m);
    }
    return rc;
}

int64_t sys_sendmsg(struct call *c)
{
    struct file *f;
    int64_t rc = socket_get(c, c->a[0], &f);

    if (rc == 0) {
        rc = send_message(c, f);
        file_put(f);
    }
    return rc;
}

/* What recvmsg() says beside the data. */
static int put_header(uint64_t to, const struct sock *s, struct abi_msghdr *h, ssize_t n,
                      const struct sock_read *info)
{
    int rc = 0;

    h->flags = 0;
    h->control_len = 0;
    if (sock_is_stream(s) || !info->any || h->name == 0) {
        h->name_len = 0;
    } else {
        rc = sockaddr_cut(s, h->name, &h->name_len, &info->from);
    }
    if (!sock_is_stream(s)) {
        h->flags = (size_t)n < info->whole ? MSG_TRUNC : 0;
    }
    return rc == 0 ? copy_to_user(UADDR(to), h, sizeof(*h)) : rc;
}

static int64_t receive_message(struct call *c, struct file *f)
{
    const struct sock *s = socket_of(f)->sock;
    struct sock_read info = {.any = false};
    struct abi_msghdr h;
    struct umem m;
    int64_t n = copy_from_user(&h, UADDR(c->a[1]), sizeof(h));

    n = n == 0 && h.name != 0 && h.name_len > INT32_MAX ? -EINVAL : n;
    n = n == 0 && h.iov_len > IOV_MAX ? -EMSGSIZE : n;
    n = n == 0 ? umem_vector(&m, h.iov, h.iov_len) : n;
    if (n != 0) {
        return n;
    }
    n = socket_receive(f, &m, (unsigned)c->a[2], &info);
    umem_free(&m);
    if (n >= 0) {
        int rc = put_header(c->a[1], s, &h, n, &info);

        n = rc != 0 ? rc : !sock_is_stream(s) && (c->a[2] & MSG_TRUNC) ? (int64_t)info.whole : n;
    }
    return n;
}

int64_t sys_recvmsg(struct call *c)
{
    struct file *f;
    int64_t rc = socket_get(c, c->a[0], &f);

    if (rc == 0) {
        rc = receive_message(c, f);
        file_put(f);
    }
    return rc;
}
