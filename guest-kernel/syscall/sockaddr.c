/*
 * sockaddr.c - addresses of sockets as programs write them: see socket.h.
 *
 * A socket of IPv6 has addresses of IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2).
 */
#include "kern/string.h"
#include "lwip/def.h"
#include "syscall/socket.h"

#define SOCKADDR_MAX  128u
#define SOCKADDR_IN   sizeof(struct abi_sockaddr_in)
#define SOCKADDR_IN6  24u /* without the scope, as older programs have it */
#define MAPPED_PREFIX lwip_htonl(0xffffu)

union abi_sockaddr {
    uint16_t family;
    struct abi_sockaddr_in in;
    struct abi_sockaddr_in6 in6;
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

int sockaddr_get(const struct sock *s, uint64_t from, uint64_t len, struct sock_addr *addr,
                 bool *none)
{
    bool v6 = sock_is_v6(s);
    union abi_sockaddr sa = {.family = 0};

    if ((uint32_t)len > SOCKADDR_MAX || (uint32_t)len < sizeof(sa.family)) {
        return -EINVAL;
    }
    int rc = copy_from_user(&sa, UADDR(from), MIN((uint32_t)len, sizeof(sa)));
    if (rc != 0) {
        return rc;
    }
    *none = sa.family == AF_UNSPEC;
    if (*none) {
        return 0;
    }
    if ((uint32_t)len < (v6 ? SOCKADDR_IN6 : SOCKADDR_IN)) {
        return -EINVAL;
    }
    if (sa.family != (v6 ? AF_INET6 : AF_INET)) {
        return -LINUX_EAFNOSUPPORT;
    }
    *addr = (struct sock_addr){.port = lwip_ntohs(sa.in.port)}; /* at the same place in both */
    if (v6) {
        from_v6(&sa.in6, &addr->ip);
    } else {
        ip_addr_set_ip4_u32(&addr->ip, sa.in.addr);
    }
    return 0;
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

int sockaddr_cut(const struct sock *s, uint64_t to, uint32_t *len, const struct sock_addr *addr)
{
    bool v6 = sock_is_v6(s);
    union abi_sockaddr sa = {.in6 = {.family = v6 ? AF_INET6 : AF_INET}};
    uint32_t size = v6 ? sizeof(sa.in6) : sizeof(sa.in);

    sa.in.port = lwip_htons(addr->port);
    if (v6) {
        to_v6(&addr->ip, &sa.in6);
    } else {
        sa.in.addr = ip4_addr_get_u32(ip_2_ip4(&addr->ip));
    }
    uint32_t room = MIN(*len, size);
    *len = size;
    return copy_to_user(UADDR(to), &sa, room);
}

int sockaddr_put(const struct sock *s, uint64_t to, uint64_t len, const struct sock_addr *addr)
{
    uint32_t room;

    if (to == 0) {
        return 0;
    }
    int rc = copy_from_user(&room, UADDR(len), sizeof(room));
    if (rc == 0 && room > INT32_MAX) {
        rc = -EINVAL;
    }
    if (addr == NULL) {
        room = 0;
    } else {
        rc = rc == 0 ? sockaddr_cut(s, to, &room, addr) : rc;
    }
    return rc == 0 ? copy_to_user(UADDR(len), &room, sizeof(room)) : rc;
}
