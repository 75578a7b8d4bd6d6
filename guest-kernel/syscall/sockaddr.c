/*
 * sockaddr.c - addresses of sockets as programs write them: see socket.h.
 *
 * A socket of IPv6 has addresses of IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). A path of AF_UNIX
 * is a file of the tree, and whoever finds that finds the socket.
 */
#include "kern/string.h"
#include "lwip/def.h"
#include "syscall/paths.h"
#include "syscall/socket.h"

#define SOCKADDR_MAX  128u
#define SOCKADDR_IN   sizeof(struct abi_sockaddr_in)
#define SOCKADDR_IN6  24u /* without the scope, as older programs have it */
#define MAPPED_PREFIX lwip_htonl(0xffffu)

union abi_sockaddr {
    uint16_t family;
    struct abi_sockaddr_in in;
    struct abi_sockaddr_in6 in6;
    struct abi_sockaddr_un un;
};

static void from_v6(const struct abi_sockaddr_in6 *in6, ip_addr_t *ip)
{
    if (in6->addr[0] == 0 && in6->addr[1] == 0 && in6->addr[2] == MAPPED_PREFIX) {
        ip_addr_set_ip4_u32(ip, in6->addr[3]);
        return;
    }
    IP_ADDR6(ip, in6->addr[0], in6->addr[1], in6->addr[2], in6->addr[3]);
    if (ip6_addr_has_scope(ip_2_ip6(ip), IP6_UNKNOWN)) {
        ip6_addr_set_zone(ip_2_ip6(ip), (uint8_t)in6->scope);
    }
}

/* The socket's file that a path leads to. */
static int socket_file_find(struct call *c, struct sock_path *path)
{
    struct path p;
    int rc = path_of(c, path->bytes, path->len, true, &p);

    if (rc != 0) {
        return rc;
    }
    const struct node *n = p.place.node;
    if (n == NULL) {
        rc = -ENOENT;
    } else if (node_is(n, NODE_SOCKET)) {
        path->file = n->ino;
    } else {
        rc = -ECONNREFUSED;
    }
    path_end(&p);
    return rc;
}

static bool has_name(struct sock *s)
{
    struct sock_path path;

    return sock_name_unix(s, false, &path) == 0 && path.len != 0;
}

/* A link that leads nowhere is there: no file is made where it points. */
int socket_bind_unix(struct call *c, struct sock *s, struct sock_path *path)
{
    struct path p;

    if (path->bytes[0] == '\0') {
        return sock_bind_unix(s, path);
    }
    if (has_name(s)) {
        return -EINVAL;
    }
    struct node *n = node_new(NODE_SOCKET | path_mode(c, 0777));
    int rc = n == NULL ? -ENOBUFS : path_of(c, path->bytes, path->len, false, &p);
    if (rc == 0) {
        rc = place_free(&p.place, false);
        rc = rc == 0 ? tree_link(&p.place, n) : rc == -EEXIST ? -EADDRINUSE : rc;
        path_end(&p);
    }
    if (rc == 0) {
        path->file = n->ino;
        rc = sock_bind_unix(s, path);
        if (rc != 0) {
            tree_unlink(n);
        }
    }
    node_put(n);
    return rc;
}

/* @size: of what the program gave, the family included. */
static int from_un(struct call *c, const struct abi_sockaddr_un *un, size_t size, bool binds,
                   struct sock_path *path)
{
    size_t len = size - offsetof(struct abi_sockaddr_un, path);

    if (size > sizeof(*un) || len == 0) {
        return -EINVAL;
    }
    *path = (struct sock_path){0};
    if (un->path[0] != '\0') {
        len = strnlen(un->path, len);
    }
    path->len = (uint8_t)len;
    memcpy(path->bytes, un->path, len);
    return binds || un->path[0] == '\0' ? 0 : socket_file_find(c, path);
}

static int from_in(const union abi_sockaddr *sa, size_t size, bool v6, struct sock_addr *addr)
{
    if (size < (v6 ? SOCKADDR_IN6 : SOCKADDR_IN)) {
        return -EINVAL;
    }
    *addr = (struct sock_addr){.port = lwip_ntohs(sa->in.port)}; /* at the same place in both */
    if (v6) {
        from_v6(&sa->in6, &addr->ip);
    } else {
        ip_addr_set_ip4_u32(&addr->ip, sa->in.addr);
    }
    return 0;
}

static unsigned family_of(const struct sock *s)
{
    return sock_is_unix(s) ? AF_UNIX : sock_is_v6(s) ? AF_INET6 : AF_INET;
}

int sockaddr_get(struct call *c, const struct sock *s, uint64_t from, uint64_t len, bool binds,
                 struct socket_name *name, bool *none)
{
    union abi_sockaddr sa = {.un = {.family = AF_UNSPEC}};
    uint32_t size = (uint32_t)len;

    if (size > SOCKADDR_MAX || size < sizeof(sa.family)) {
        return -EINVAL;
    }
    int rc = copy_from_user(&sa, UADDR(from), MIN(size, sizeof(sa)));
    if (rc != 0) {
        return rc;
    }
    *none = sa.family == AF_UNSPEC;
    if (*none) {
        return 0;
    }
    /* Too short is the first to be wrong. */
    if (!sock_is_unix(s)) {
        rc = from_in(&sa, size, sock_is_v6(s), &name->ip);
    }
    if (rc == 0 && sa.family != family_of(s)) {
        rc = sock_is_unix(s) ? -EINVAL : -LINUX_EAFNOSUPPORT;
    }
    return rc == 0 && sock_is_unix(s) ? from_un(c, &sa.un, size, binds, &name->path) : rc;
}

static void to_v6(const ip_addr_t *ip, struct abi_sockaddr_in6 *in6)
{
    if (IP_IS_V4(ip)) {
        in6->addr[2] = MAPPED_PREFIX;
        in6->addr[3] = ip4_addr_get_u32(ip_2_ip4(ip));
        return;
    }
    memcpy(in6->addr, ip_2_ip6(ip)->addr, sizeof(in6->addr));
    in6->scope = ip6_addr_zone(ip_2_ip6(ip));
}

/* Return: how much of it counts. */
static uint32_t to_in(const struct sock_addr *addr, bool v6, union abi_sockaddr *sa)
{
    sa->in.port = lwip_htons(addr->port);
    if (v6) {
        to_v6(&addr->ip, &sa->in6);
        return sizeof(sa->in6);
    }
    sa->in.addr = ip4_addr_get_u32(ip_2_ip4(&addr->ip));
    return sizeof(sa->in);
}

/* A path has a NUL behind it, which counts, if there is room. */
static uint32_t to_un(const struct sock_path *path, struct abi_sockaddr_un *un)
{
    bool nul = path->file != 0 && path->len < sizeof(un->path);

    memcpy(un->path, path->bytes, path->len);
    return (uint32_t)offsetof(struct abi_sockaddr_un, path) + path->len + nul;
}

int sockaddr_cut(const struct sock *s, uint64_t to, uint32_t *len, const struct socket_name *name)
{
    union abi_sockaddr sa;

    memset(&sa, 0, sizeof(sa));
    sa.family = (uint16_t)family_of(s);
    uint32_t size =
        sock_is_unix(s) ? to_un(&name->path, &sa.un) : to_in(&name->ip, sock_is_v6(s), &sa);
    uint32_t room = MIN(*len, size);
    *len = size;
    return copy_to_user(UADDR(to), &sa, room);
}

int sockaddr_put(const struct sock *s, uint64_t to, uint64_t len, const struct socket_name *name)
{
    uint32_t room;

    if (to == 0) {
        return 0;
    }
    int rc = copy_from_user(&room, UADDR(len), sizeof(room));
    if (rc == 0 && room > INT32_MAX) {
        rc = -EINVAL;
    }
    if (name == NULL) {
        room = 0;
    } else {
        rc = rc == 0 ? sockaddr_cut(s, to, &room, name) : rc;
    }
    return rc == 0 ? copy_to_user(UADDR(len), &room, sizeof(room)) : rc;
}

void sockaddr_any_is_here(struct sock_addr *addr)
{
    if (ip_addr_isany_val(addr->ip)) {
        if (IP_IS_V4_VAL(addr->ip)) {
            ip_addr_set_loopback_val(false, addr->ip);
        } else {
            ip_addr_set_loopback_val(true, addr->ip);
        }
    }
}
