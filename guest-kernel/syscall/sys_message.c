/*
 * sys_message.c - calls that send and receive; what messages of AF_UNIX carry.
 *
 * A program names files by their descriptors, and gets new ones. What is under way is a cargo (see
 * net/sock.h) that has a reference of each file. Locks: none.
 */
#include "kern/mem.h"
#include "kern/page.h"
#include "kern/string.h"
#include "syscall/calls.h"
#include "syscall/socket.h"

#define CONTROL_MAX 2048u /* bytes beside the data; it is looked at in the thread's page */
#define FILES_MAX   253u  /* of one message, as Linux */

_Static_assert(CONTROL_MAX <= PAGE_SIZE, "fits the thread's page");
_Static_assert(sizeof(struct abi_cmsghdr) + FILES_MAX * sizeof(int32_t) <= PAGE_SIZE, "likewise");

/* ---- what is carried ---- */

/* A program's headers, copied: a way through them. */
struct headers {
    char *control;
    size_t size, at;
    int rc; /* what is wrong with them */
};

/* The next one that names descriptors; NULL: there is none, or something is wrong. */
static const struct abi_cmsghdr *next_header(struct headers *k)
{
    while (k->rc == 0 && k->size - k->at >= sizeof(struct abi_cmsghdr)) {
        const struct abi_cmsghdr *h = (struct abi_cmsghdr *)(k->control + k->at);

        if (h->len < sizeof(*h) || h->len > k->size - k->at) {
            k->rc = -EINVAL;
            break;
        }
        k->at = MIN(k->size, k->at + ROUND_UP(h->len, CMSG_ALIGN));
        if (h->level == SOL_SOCKET && h->type == SCM_RIGHTS) {
            return h;
        }
        k->rc = h->level == SOL_SOCKET ? -EINVAL : 0; /* other levels' are not for us */
    }
    return NULL;
}

static size_t files_of(const struct abi_cmsghdr *h)
{
    return (h->len - sizeof(*h)) / sizeof(h->fds[0]);
}

/* Whoever has the cargo last. */
static void cargo_end(struct sock_cargo *cargo)
{
    for (unsigned i = 0; i < cargo->n; i++) {
        file_put(cargo->items[i].file);
    }
    kfree(cargo);
}

/* Take a reference of each file. 0 or -EBADF. */
static int load_files(struct fd_table *t, struct headers k, struct sock_cargo *cargo)
{
    const struct abi_cmsghdr *h;

    while ((h = next_header(&k)) != NULL) {
        for (size_t i = 0; i < files_of(h); i++) {
            struct file *f = fd_get(t, (uint64_t)h->fds[i]);

            if (f == NULL) {
                return -EBADF;
            }
            cargo->items[cargo->n].file = f;
            cargo->items[cargo->n++].sock = socket_unix(f);
        }
    }
    return 0;
}

/* Make a cargo of what a program's headers say. *@cargo: NULL if that is nothing. */
static int make_cargo(struct call *c, const struct abi_msghdr *m, struct sock_cargo **cargo)
{
    struct headers all = {.control = c->u->page, .size = m->control_len};
    const struct abi_cmsghdr *h;
    size_t n = 0;

    *cargo = NULL;
    if (m->control_len > CONTROL_MAX) {
        return -ENOBUFS;
    }
    int rc = copy_from_user(all.control, UADDR(m->control), all.size);
    if (rc != 0) {
        return rc;
    }
    struct headers k = all;
    while ((h = next_header(&k)) != NULL) {
        n += files_of(h);
    }
    if (k.rc != 0 || n == 0 || n > FILES_MAX) {
        return k.rc != 0 || n == 0 ? k.rc : -EINVAL;
    }
    struct sock_cargo *new =
        page_users_may_take() ? kzalloc(sizeof(*new) + n * sizeof(new->items[0])) : NULL;
    if (new == NULL) {
        return -ENOMEM;
    }
    new->free = cargo_end;
    rc = load_files(&c->t->fds, all, new);
    if (rc != 0) {
        cargo_end(new);
        return rc;
    }
    *cargo = new;
    return 0;
}

/* Give the program descriptors, as many as it has room for, or can be told of. See @m. */
static void give_files(struct call *c, const struct sock_cargo *cargo, struct abi_msghdr *m)
{
    bool cloexec = c->a[2] & MSG_CMSG_CLOEXEC;
    struct abi_cmsghdr *h = c->u->page;
    uint64_t room = m->control_len, most = room / sizeof(h->fds[0]);
    uint64_t head = sizeof(*h) / sizeof(h->fds[0]);
    unsigned n = 0;

    while (n < cargo->n && head + n < most) {
        int fd = fd_install(&c->t->fds, file_get(cargo->items[n].file), cloexec, 0);

        if (fd < 0) {
            file_put(cargo->items[n].file);
            break;
        }
        h->fds[n++] = fd;
    }
    h->len = sizeof(*h) + n * sizeof(h->fds[0]);
    h->level = SOL_SOCKET;
    h->type = SCM_RIGHTS;
    if (n != 0 && copy_to_user(UADDR(m->control), h, h->len) != 0) {
        for (; n != 0; n--) {
            fd_close_if(&c->t->fds, (uint64_t)h->fds[n - 1], cargo->items[n - 1].file);
        }
    }
    m->flags |= n < cargo->n ? MSG_CTRUNC : 0;
    m->control_len = n == 0 ? 0 : MIN(room, ROUND_UP(h->len, CMSG_ALIGN));
}

/* ---- sending ---- */

/* A stream of AF_UNIX takes no address: why not. */
static int refuse_address(struct sock *s)
{
    struct sock_path peer;

    return sock_name_unix(s, true, &peer) == 0 ? -EISCONN : -EOPNOTSUPP;
}

/* What sendto() and sendmsg() have in common. @at: address of a name; 0: there is none. */
static int64_t send_from(struct call *c, struct file *f, struct umem *m, unsigned flags,
                         uint64_t at, uint64_t at_len, struct sock_cargo **cargo)
{
    struct sock *s = socket_of(f)->sock;
    struct socket_name to;
    bool named = at != 0 && !sock_connects(s) && (at_len != 0 || !sock_is_unix(s)), none = false;

    if (at != 0 && at_len != 0 && sock_is_unix(s) && sock_is_stream(s)) {
        return refuse_address(s);
    }
    if (named) {
        int rc = sockaddr_get(c, s, at, at_len, false, &to, &none);

        if (rc == 0 && none) {
            rc = sock_is_unix(s) ? -EINVAL : -LINUX_EAFNOSUPPORT;
        }
        if (rc != 0) {
            return rc;
        }
        if (!sock_is_unix(s)) {
            sockaddr_any_is_here(&to.ip);
        }
    }
    return socket_send(f, m, flags, named ? &to : NULL, cargo);
}

static int64_t do_sendto(struct call *c, struct file *f)
{
    struct sock_cargo *none = NULL;
    struct umem m;

    umem_one(&m, c->a[1], c->a[2]);
    return send_from(c, f, &m, (unsigned)c->a[3], c->a[4], c->a[5], &none);
}

int64_t sys_sendto(struct call *c)
{
    return socket_call(c, do_sendto);
}

/* Sockets of the network have no data beside the data. */
static int64_t do_sendmsg(struct call *c, struct file *f)
{
    bool unix_one = sock_is_unix(socket_of(f)->sock);
    struct sock_cargo *cargo = NULL;
    struct abi_msghdr h;
    struct umem m;
    int64_t rc = copy_from_user(&h, UADDR(c->a[1]), sizeof(h));

    rc = rc == 0 && h.control_len != 0 && !unix_one ? -EOPNOTSUPP : rc;
    rc = rc == 0 && h.iov_len > IOV_MAX ? -EMSGSIZE : rc;
    rc = rc == 0 ? umem_vector(&m, h.iov, h.iov_len) : rc;
    if (rc != 0) {
        return rc;
    }
    rc = h.control_len != 0 ? make_cargo(c, &h, &cargo) : 0;
    rc = rc == 0 ? send_from(c, f, &m, (unsigned)c->a[2], h.name_len != 0 ? h.name : 0, h.name_len,
                             &cargo)
                 : rc;
    socket_cargo_free(cargo);
    umem_free(&m);
    return rc;
}

int64_t sys_sendmsg(struct call *c)
{
    return socket_call(c, do_sendmsg);
}

/* ---- receiving ---- */

/* Who sent what was read, in @name; NULL: nobody, or nobody with a name, or that is known. */
static const struct socket_name *sender_of(const struct sock *s, const struct sock_read *info,
                                           struct socket_name *name)
{
    bool known = !sock_is_stream(s) && info->any && (!sock_is_unix(s) || info->path.len != 0);

    *name = (struct socket_name){.ip = info->from, .path = info->path};
    return known ? name : NULL;
}

/* What a call that received @n bytes tells of them. */
static int64_t told_size(const struct sock *s, const struct sock_read *info, int64_t n,
                         uint64_t flags)
{
    return !sock_is_stream(s) && (flags & MSG_TRUNC) ? (int64_t)info->whole : n;
}

static int64_t do_recvfrom(struct call *c, struct file *f)
{
    const struct sock *s = socket_of(f)->sock;
    struct sock_read info = {.any = false};
    struct socket_name name;
    struct umem m;

    umem_one(&m, c->a[1], c->a[2]);
    int64_t n = socket_receive(f, &m, (unsigned)c->a[3], &info);
    socket_cargo_free(info.cargo);
    if (n < 0) {
        return n;
    }
    int rc = sockaddr_put(s, c->a[4], c->a[5], sender_of(s, &info, &name));
    return rc != 0 ? rc : told_size(s, &info, n, c->a[3]);
}

int64_t sys_recvfrom(struct call *c)
{
    return socket_call(c, do_recvfrom);
}

/* What recvmsg() says beside the data. */
static int put_header(struct call *c, const struct sock *s, struct abi_msghdr *h, int64_t n,
                      const struct sock_read *info)
{
    struct socket_name name;
    const struct socket_name *from = sender_of(s, info, &name);
    int rc = 0;

    h->flags = !sock_is_stream(s) && (size_t)n < info->whole ? MSG_TRUNC : 0;
    if (info->cargo != NULL) {
        give_files(c, info->cargo, h);
    } else {
        h->control_len = 0;
    }
    if (from == NULL || h->name == 0) {
        h->name_len = 0;
    } else {
        rc = sockaddr_cut(s, h->name, &h->name_len, from);
    }
    return rc == 0 ? copy_to_user(UADDR(c->a[1]), h, sizeof(*h)) : rc;
}

static int64_t do_recvmsg(struct call *c, struct file *f)
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
        int rc = put_header(c, s, &h, n, &info);

        n = rc != 0 ? rc : told_size(s, &info, n, c->a[2]);
    }
    socket_cargo_free(info.cargo);
    return n;
}

int64_t sys_recvmsg(struct call *c)
{
    return socket_call(c, do_recvmsg);
}
