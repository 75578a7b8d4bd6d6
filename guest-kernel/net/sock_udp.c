/*
 * sock_udp.c - datagram sockets, on lwIP's callbacks; see sock_impl.h.
 *
 * What arrives and finds no room is lost, as UDP has it. Locks: lwIP's is held throughout.
 */
#include "kern/string.h"
#include "lwip/netif.h"
#include "net/heap.h"
#include "net/sock_impl.h"

#define DATAGRAM_MAX 65507u

static void sock_on_datagram(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *from,
                             u16_t port)
{
    struct sock *s = arg;

    (void)pcb;
    if (s->bytes + p->tot_len > (size_t)s->options[SOCK_READ_ROOM] ||
        sock_queue(s, p, from, port, false) == NULL) {
        (void)pbuf_free(p);
        return;
    }
    sock_changed(s);
}

static int udp_have_pcb(struct sock *s)
{
    if (s->udp == NULL) {
        s->udp = heap_users_may_take()
                     ? udp_new_ip_type(!s->v6                          ? IPADDR_TYPE_V4
                                       : s->options[SOCK_ONLY_V6] != 0 ? IPADDR_TYPE_V6
                                                                       : IPADDR_TYPE_ANY)
                     : NULL;
        if (s->udp == NULL) {
            return -ENOBUFS;
        }
        udp_recv(s->udp, sock_on_datagram, s);
        udp_sock_set(s, SOCK_REUSE);
        udp_sock_set(s, SOCK_BROADCAST);
    }
    return 0;
}

int udp_sock_bind(struct sock *s, const struct sock_addr *addr)
{
    int rc = udp_have_pcb(s);

    if (rc != 0) {
        return rc;
    }
    bool both = s->v6 && s->options[SOCK_ONLY_V6] == 0 && IP_IS_V6_VAL(addr->ip) &&
                ip_addr_isany_val(addr->ip);
    rc = sock_errno(udp_bind(s->udp, both ? IP_ANY_TYPE : &addr->ip, addr->port));
    if (rc == 0) {
        s->local = (struct sock_addr){.ip = addr->ip, .port = s->udp->local_port};
    }
    return rc;
}

int udp_sock_connect(struct sock *s, const struct sock_addr *addr)
{
    int rc = udp_have_pcb(s);

    if (rc != 0) {
        return rc;
    }
    if (addr == NULL) {
        udp_disconnect(s->udp);
        s->state = SOCK_IDLE;
        return 0;
    }
    if (!sock_reaches(s, &s->udp->local_ip, &addr->ip) ||
        ip_route(&s->udp->local_ip, &addr->ip) == NULL) {
        return -LINUX_ENETUNREACH;
    }
    rc = sock_errno(udp_connect(s->udp, &addr->ip, addr->port));
    if (rc == 0) {
        s->state = SOCK_CONNECTED;
        s->peer = *addr;
        s->local.port = s->udp->local_port;
    }
    return rc;
}

static bool is_broadcast(const ip_addr_t *ip)
{
    const struct netif *netif;

    if (!IP_IS_V4(ip)) {
        return false;
    }
    NETIF_FOREACH(netif)
    {
        if (ip4_addr_isbroadcast(ip_2_ip4(ip), netif)) {
            return true;
        }
    }
    return ip4_addr_get_u32(ip_2_ip4(ip)) == IPADDR_BROADCAST;
}

static ssize_t send_packet(struct sock *s, const void *data, size_t n, const struct sock_addr *to)
{
    struct pbuf *p = heap_users_may_take() ? pbuf_alloc(PBUF_TRANSPORT, (u16_t)n, PBUF_RAM) : NULL;

    if (p == NULL) {
        return -ENOBUFS;
    }
    memcpy(p->payload, data, n);
    int rc = sock_errno(udp_sendto(s->udp, p, &to->ip, to->port));
    (void)pbuf_free(p);
    s->local.port = s->udp->local_port;
    return rc == 0 ? (ssize_t)n : rc;
}

ssize_t udp_sock_send(struct sock *s, const void *data, size_t n, const struct sock_addr *to)
{
    if (s->write_shut) {
        return -LINUX_EPIPE;
    }
    if (to == NULL && s->state != SOCK_CONNECTED) {
        return -LINUX_EDESTADDRREQ;
    }
    to = to == NULL ? &s->peer : to;
    if (n > DATAGRAM_MAX) {
        return -EMSGSIZE;
    }
    if (to->port == 0) {
        return -EINVAL;
    }
    if (s->options[SOCK_BROADCAST] == 0 && is_broadcast(&to->ip)) {
        return -EACCES;
    }
    int rc = udp_have_pcb(s);
    rc = rc == 0 && !sock_reaches(s, &s->udp->local_ip, &to->ip) ? -LINUX_ENETUNREACH : rc;
    return rc == 0 ? send_packet(s, data, n, to) : rc;
}

void udp_sock_set(struct sock *s, enum sock_option option)
{
    u8_t flag = option == SOCK_REUSE ? SOF_REUSEADDR : option == SOCK_BROADCAST ? SOF_BROADCAST : 0;

    if (s->options[option] != 0) {
        ip_set_option(s->udp, flag);
    } else {
        ip_reset_option(s->udp, flag);
    }
}

void udp_sock_close(struct sock *s)
{
    if (s->udp != NULL) {
        udp_remove(s->udp);
    }
}
