/*
 * sys_sockopt.c - options of sockets: those that servers and clients set.
 *
 * Most are a number that net/sock.h keeps; a table says which, and between what. Others are not
 * known, and programs are told so.
 */
#include "kern/string.h"
#include "syscall/calls.h"
#include "syscall/socket.h"
#include "syscall/times.h"

#define IPPROTO_TCP  6u
#define IPPROTO_UDP  17u
#define IPPROTO_IPV6 41u

#define SO_REUSEADDR   2u
#define SO_TYPE        3u
#define SO_ERROR       4u
#define SO_BROADCAST   6u
#define SO_SNDBUF      7u
#define SO_RCVBUF      8u
#define SO_KEEPALIVE   9u
#define SO_LINGER      13u
#define SO_PEERCRED    17u
#define SO_RCVTIMEO    20u
#define SO_SNDTIMEO    21u
#define SO_ACCEPTCONN  30u
#define SO_PROTOCOL    38u
#define SO_DOMAIN      39u
#define TCP_NODELAY    1u
#define TCP_KEEPIDLE   4u
#define TCP_KEEPINTVL  5u
#define TCP_KEEPCNT    6u
#define IPV6_V6ONLY    26u
#define BUFFER_MIN     2304
#define BUFFER_MAX     212992
#define KEEP_TIME_MAX  32767
#define KEEP_COUNT_MAX 127

enum kind { ON_OFF, NUMBER, BUFFER };

static const struct option {
    uint32_t level, name;
    enum sock_option option;
    enum kind kind;
    int low, high; /* of a number; outside: -EINVAL */
} options[] = {
    {SOL_SOCKET, SO_REUSEADDR, SOCK_REUSE, ON_OFF, 0, 1},
    {SOL_SOCKET, SO_BROADCAST, SOCK_BROADCAST, ON_OFF, 0, 1},
    {SOL_SOCKET, SO_KEEPALIVE, SOCK_KEEPALIVE, ON_OFF, 0, 1},
    {SOL_SOCKET, SO_SNDBUF, SOCK_SEND_ROOM, BUFFER, BUFFER_MIN, BUFFER_MAX},
    {SOL_SOCKET, SO_RCVBUF, SOCK_READ_ROOM, BUFFER, BUFFER_MIN, BUFFER_MAX},
    {IPPROTO_TCP, TCP_NODELAY, SOCK_NODELAY, ON_OFF, 0, 1},
    {IPPROTO_TCP, TCP_KEEPIDLE, SOCK_KEEP_IDLE, NUMBER, 1, KEEP_TIME_MAX},
    {IPPROTO_TCP, TCP_KEEPINTVL, SOCK_KEEP_EVERY, NUMBER, 1, KEEP_TIME_MAX},
    {IPPROTO_TCP, TCP_KEEPCNT, SOCK_KEEP_COUNT, NUMBER, 1, KEEP_COUNT_MAX},
    {IPPROTO_IPV6, IPV6_V6ONLY, SOCK_ONLY_V6, ON_OFF, 0, 1},
};

static const struct option *option_find(const struct sock *s, uint64_t level, uint64_t name)
{
    bool tcp = sock_is_stream(s) && !sock_is_unix(s);
    bool wrong = (level == IPPROTO_TCP && !tcp) || (level == IPPROTO_IPV6 && !sock_is_v6(s));

    for (size_t i = 0; i < ARRAY_SIZE(options) && !wrong; i++) {
        if (options[i].level == (uint32_t)level && options[i].name == (uint32_t)name) {
            return &options[i];
        }
    }
    return NULL;
}

/* ---- setting ---- */

static int set_number(struct sock *s, const struct option *o, int value)
{
    switch (o->kind) {
    case ON_OFF:
        value = value != 0;
        break;
    case NUMBER:
        if (value < o->low || value > o->high) {
            return -EINVAL;
        }
        break;
    case BUFFER: /* what the rest of the memory is for is counted as well, says Linux */
        value = 2 * MIN(MAX(value, o->low / 2), o->high);
        break;
    }
    if (o->option == SOCK_ONLY_V6) {
        struct sock_addr name;

        sock_name(s, &name);
        if (name.port != 0) {
            return -EINVAL;
        }
    }
    sock_set(s, o->option, value);
    return 0;
}

static int set_linger(struct sock *s, uint64_t from, uint32_t len)
{
    struct abi_linger linger;
    int rc = len < sizeof(linger) ? -EINVAL : copy_from_user(&linger, UADDR(from), sizeof(linger));

    if (rc == 0) {
        sock_set(s, SOCK_LINGER, linger.on != 0 ? MAX(linger.seconds, 0) : -1);
    }
    return rc;
}

static int set_timeout(nsec_t *timeout, uint64_t from, uint32_t len)
{
    struct abi_timeval tv;
    nsec_t t;
    int rc = len < sizeof(tv) ? -EINVAL : copy_from_user(&tv, UADDR(from), sizeof(tv));

    if (rc == 0 && !nsec_of_timeval(&tv, &t)) {
        return -EDOM;
    }
    if (rc == 0) {
        WRITE_ONCE(*timeout, t);
    }
    return rc;
}

static int64_t set_option(struct call *c, struct file *f)
{
    struct socket *socket = socket_of(f);
    const struct option *o = option_find(socket->sock, c->a[1], c->a[2]);
    uint32_t len = (uint32_t)c->a[4];
    int value;

    if (len > INT32_MAX) {
        return -EINVAL;
    }
    if (o != NULL) {
        int rc =
            len < sizeof(value) ? -EINVAL : copy_from_user(&value, UADDR(c->a[3]), sizeof(value));

        return rc == 0 ? set_number(socket->sock, o, value) : rc;
    }
    if (c->a[1] == SOL_SOCKET) {
        switch (c->a[2]) {
        case SO_LINGER:
            return set_linger(socket->sock, c->a[3], len);
        case SO_RCVTIMEO:
            return set_timeout(&socket->read_timeout, c->a[3], len);
        case SO_SNDTIMEO:
            return set_timeout(&socket->write_timeout, c->a[3], len);
        default:
            break;
        }
    }
    return -LINUX_ENOPROTOOPT;
}

int64_t sys_setsockopt(struct call *c)
{
    return socket_call(c, set_option);
}

/* ---- reading ---- */

/* An option's value: of one of these kinds, @size bytes. */
struct value {
    union {
        int number;
        struct abi_linger linger;
        struct abi_timeval tv;
        struct abi_ucred cred;
    };
    uint32_t size;
};

static unsigned socket_type(const struct sock *s)
{
    return sock_is_stream(s) ? SOCK_STREAM : sock_connects(s) ? SOCK_SEQPACKET : SOCK_DGRAM;
}

static unsigned protocol_of(const struct sock *s)
{
    return sock_is_unix(s) ? 0 : sock_is_stream(s) ? IPPROTO_TCP : IPPROTO_UDP;
}

/* Everybody is root; nobody is nobody. */
static struct abi_ucred peer_of(struct sock *s)
{
    int pid = sock_is_unix(s) ? sock_peer_pid(s) : 0;
    uint32_t id = pid != 0 ? 0 : UINT32_MAX;

    return (struct abi_ucred){.pid = pid, .uid = id, .gid = id};
}

/* Of SOL_SOCKET, and in no table. 0 or -LINUX_ENOPROTOOPT. */
static int get_special(const struct socket *socket, uint64_t name, struct value *v)
{
    struct sock *s = socket->sock;
    int linger = sock_get(s, SOCK_LINGER);

    switch (name) {
    case SO_TYPE:
        v->number = (int)socket_type(s);
        return 0;
    case SO_DOMAIN:
        v->number = sock_is_unix(s) ? AF_UNIX : sock_is_v6(s) ? AF_INET6 : AF_INET;
        return 0;
    case SO_PROTOCOL:
        v->number = (int)protocol_of(s);
        return 0;
    case SO_ACCEPTCONN:
        v->number = sock_listens(s);
        return 0;
    case SO_ERROR:
        v->number = sock_error(s);
        return 0;
    case SO_PEERCRED:
        v->cred = peer_of(s);
        v->size = sizeof(v->cred);
        return 0;
    case SO_LINGER:
        v->linger = (struct abi_linger){.on = linger >= 0, .seconds = MAX(linger, 0)};
        v->size = sizeof(v->linger);
        return 0;
    case SO_RCVTIMEO:
    case SO_SNDTIMEO:
        v->tv = timeval_of(name == SO_RCVTIMEO ? READ_ONCE(socket->read_timeout)
                                               : READ_ONCE(socket->write_timeout));
        v->size = sizeof(v->tv);
        return 0;
    default:
        return -LINUX_ENOPROTOOPT;
    }
}

static int64_t get_option(struct call *c, struct file *f)
{
    const struct socket *socket = socket_of(f);
    const struct option *o = option_find(socket->sock, c->a[1], c->a[2]);
    struct value v = {.size = sizeof(v.number)};
    uint32_t room;
    int rc = copy_from_user(&room, UADDR(c->a[4]), sizeof(room));

    if (rc == 0 && room > INT32_MAX) {
        rc = -EINVAL;
    }
    if (rc != 0) {
        return rc;
    }
    if (o != NULL) {
        v.number = sock_get(socket->sock, o->option);
    } else {
        rc = c->a[1] == SOL_SOCKET ? get_special(socket, c->a[2], &v) : -LINUX_ENOPROTOOPT;
    }
    room = MIN(room, v.size);
    rc = rc == 0 ? copy_to_user(UADDR(c->a[3]), &v, room) : rc;
    return rc == 0 ? copy_to_user(UADDR(c->a[4]), &room, sizeof(room)) : rc;
}

int64_t sys_getsockopt(struct call *c)
{
    return socket_call(c, get_option);
}
