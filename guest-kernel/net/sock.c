/*
 * sock.c - sockets: what both kinds have; see sock.h.
 *
 * Who reads copies out of packets without lwIP's lock, since copying to a program may sleep: only
 * the holder of "socket reader" takes packets off the queue, and new ones join at its end.
 */
#include "net/sock.h"

#include "kern/string.h"
#include "lwip/netif.h"
#include "lwip/tcpip.h"
#include "net/heap.h"
#include "net/sock_impl.h"
#include "net/stack.h"

#define PACKETS_MAX 1024 /* unread, of one socket: small ones cost more than their bytes */

static const int defaults[SOCK_OPTIONS] = {
    [SOCK_LINGER] = -1,      [SOCK_SEND_ROOM] = TCP_SND_BUF, [SOCK_READ_ROOM] = 212992,
    [SOCK_KEEP_IDLE] = 7200, [SOCK_KEEP_EVERY] = 75,         [SOCK_KEEP_COUNT] = 9,
};

static unsigned sockets; /* under lwIP's lock */

struct sock *sock_new(bool stream, bool v6)
{
    struct sock *s =
        sockets < SOCKETS_MAX && heap_users_may_take() ? heap_calloc(1, sizeof(*s)) : NULL;

    if (s != NULL) {
        sockets++;
        s->stream = stream;
        s->v6 = v6;
        s->last = &s->first;
        s->local.ip = s->peer.ip = v6 ? *IP6_ADDR_ANY : *IP4_ADDR_ANY;
        memcpy(s->options, defaults, sizeof(defaults));
        XEN_TAILQ_INIT(&s->arrived);
        mutex_init(&s->reader, "socket reader");
    }
    return s;
}

static void packets_free(struct sock_packet *packet)
{
    while (packet != NULL) {
        struct sock_packet *next = packet->next;

        (void)pbuf_free(packet->p);
        heap_free(packet);
        packet = next;
    }
}

void sock_free(struct sock *s)
{
    packets_free(s->first);
    sockets--;
    heap_free(s);
}

int sock_create(bool stream, bool v6, struct sock **out)
{
    int rc = net_stack_start();

    if (rc != 0) {
        return -ENOBUFS;
    }
    LOCK_TCPIP_CORE();
    *out = sock_new(stream, v6);
    rc = *out != NULL ? 0 : sockets >= SOCKETS_MAX ? -ENFILE : -ENOBUFS;
    UNLOCK_TCPIP_CORE();
    return rc;
}

void sock_tell(struct sock *s, void (*changed)(void *arg), void *arg)
{
    LOCK_TCPIP_CORE();
    s->changed = changed;
    s->arg = arg;
    UNLOCK_TCPIP_CORE();
}

void sock_changed(struct sock *s)
{
    if (s->changed != NULL) {
        s->changed(s->arg);
    }
}

void sock_close(struct sock *s)
{
    LOCK_TCPIP_CORE();
    if (s->stream) {
        tcp_sock_close(s, s->options[SOCK_LINGER] == 0);
    } else {
        udp_sock_close(s);
    }
    sock_free(s);
    UNLOCK_TCPIP_CORE();
}

bool sock_is_stream(const struct sock *s)
{
    return s->stream;
}

bool sock_is_v6(const struct sock *s)
{
    return s->v6;
}

int sock_errno(err_t err)
{
    static const int numbers[] = {
        [0] = 0,
        [-ERR_MEM] = ENOBUFS,
        [-ERR_BUF] = ENOBUFS,
        [-ERR_TIMEOUT] = ETIMEDOUT,
        [-ERR_RTE] = LINUX_ENETUNREACH,
        [-ERR_INPROGRESS] = LINUX_EINPROGRESS,
        [-ERR_VAL] = EINVAL,
        [-ERR_WOULDBLOCK] = EAGAIN,
        [-ERR_USE] = EADDRINUSE,
        [-ERR_ALREADY] = LINUX_EALREADY,
        [-ERR_ISCONN] = EISCONN,
        [-ERR_CONN] = ENOTCONN,
        [-ERR_IF] = LINUX_ENETUNREACH,
        [-ERR_ABRT] = ETIMEDOUT, /* lwIP gave up: the peer does not answer */
        [-ERR_RST] = LINUX_ECONNRESET,
        [-ERR_CLSD] = LINUX_EPIPE,
        [-ERR_ARG] = EINVAL,
    };
    unsigned index = (unsigned)-err;

    return index < ARRAY_SIZE(numbers) ? -numbers[index] : -EINVAL;
}

/* ---- addresses ---- */

/* Whether packets to @ip would come here. lwIP's lock is held. */
static bool is_own(const ip_addr_t *ip)
{
    const struct netif *netif;

    if (ip_addr_isany(ip) || ip_addr_ismulticast(ip) || ip_addr_isloopback(ip)) {
        return true;
    }
    NETIF_FOREACH(netif)
    {
        if (IP_IS_V4(ip)
                ? ip4_addr_cmp(ip_2_ip4(ip), netif_ip4_addr(netif))
                : netif_get_ip6_addr_match((struct netif *)(uintptr_t)netif, ip_2_ip6(ip)) >= 0) {
            return true;
        }
    }
    return false;
}

static bool is_closed_to(const struct sock *s, const ip_addr_t *ip)
{
    return s->v6 && s->options[SOCK_ONLY_V6] != 0 && IP_IS_V4(ip);
}

/* lwIP would take an address of one version for one of the other. */
bool sock_reaches(const struct sock *s, const ip_addr_t *local, const ip_addr_t *to)
{
    return !is_closed_to(s, to) && (ip_addr_isany(local) || IP_IS_V4(local) == IP_IS_V4(to));
}

int sock_bind(struct sock *s, const struct sock_addr *addr)
{
    LOCK_TCPIP_CORE();
    int rc = !is_own(&addr->ip)                            ? -EADDRNOTAVAIL
             : is_closed_to(s, &addr->ip)                  ? -EINVAL
             : s->local.port != 0 || s->state != SOCK_IDLE ? -EINVAL
             : s->stream                                   ? tcp_sock_bind(s, addr)
                                                           : udp_sock_bind(s, addr);
    UNLOCK_TCPIP_CORE();
    return rc;
}

int sock_connect(struct sock *s, const struct sock_addr *addr)
{
    LOCK_TCPIP_CORE();
    int rc = s->stream ? tcp_sock_connect(s, addr) : udp_sock_connect(s, addr);
    UNLOCK_TCPIP_CORE();
    return rc;
}

static int take_error(struct sock *s)
{
    int error = s->error;

    s->error = 0;
    return error;
}

int sock_connected(struct sock *s)
{
    LOCK_TCPIP_CORE();
    int rc = s->state == SOCK_CONNECTING  ? -EAGAIN
             : s->error != 0              ? -take_error(s)
             : s->state != SOCK_CONNECTED ? -LINUX_ECONNABORTED /* somebody else was told why */
                                          : 0;
    s->connect_told = s->connect_told || s->state == SOCK_CONNECTED;
    UNLOCK_TCPIP_CORE();
    return rc;
}

int sock_listen(struct sock *s, unsigned backlog)
{
    LOCK_TCPIP_CORE();
    int rc = tcp_sock_listen(s, backlog);
    UNLOCK_TCPIP_CORE();
    return rc;
}

int sock_accept(struct sock *s, struct sock **out)
{
    int rc = -EAGAIN;

    LOCK_TCPIP_CORE();
    struct sock *first = XEN_TAILQ_FIRST(&s->arrived);
    if (s->state != SOCK_LISTENING) {
        rc = -EINVAL;
    } else if (first != NULL) {
        XEN_TAILQ_REMOVE(&s->arrived, first, link);
        s->waiting--;
        if (first->tcp != NULL) {
            tcp_backlog_accepted(first->tcp);
        }
        *out = first;
        rc = 0;
    }
    UNLOCK_TCPIP_CORE();
    return rc;
}

bool sock_listens(struct sock *s)
{
    LOCK_TCPIP_CORE();
    bool listens = s->state == SOCK_LISTENING;
    UNLOCK_TCPIP_CORE();
    return listens;
}

/* Of a datagram socket that is connected, and not bound to one: what its packets will have. */
static void name_by_route(const struct sock *s, struct sock_addr *addr)
{
    struct netif *netif = ip_route(&s->peer.ip, &s->peer.ip);
    const ip_addr_t *ip = netif == NULL ? NULL : ip_netif_get_local_ip(netif, &s->peer.ip);

    if (ip != NULL) {
        addr->ip = *ip;
    }
}

void sock_name(struct sock *s, struct sock_addr *addr)
{
    LOCK_TCPIP_CORE();
    *addr = s->local;
    if (!s->stream && s->state == SOCK_CONNECTED && ip_addr_isany_val(addr->ip)) {
        name_by_route(s, addr);
    }
    UNLOCK_TCPIP_CORE();
}

int sock_peer(struct sock *s, struct sock_addr *addr)
{
    LOCK_TCPIP_CORE();
    int rc = s->state == SOCK_CONNECTED ? 0 : -ENOTCONN;
    *addr = s->peer;
    UNLOCK_TCPIP_CORE();
    return rc;
}

/* ---- state ---- */

unsigned sock_ready(struct sock *s)
{
    LOCK_TCPIP_CORE();
    unsigned ready = s->stream ? tcp_sock_ready(s) : SOCK_CAN_WRITE;
    ready |= s->first != NULL || s->read_shut ? SOCK_CAN_READ : 0;
    ready |= s->error != 0 ? SOCK_FAILED : 0;
    UNLOCK_TCPIP_CORE();
    return ready;
}

size_t sock_available(struct sock *s)
{
    LOCK_TCPIP_CORE();
    size_t n = s->stream ? s->bytes : s->first != NULL ? s->first->p->tot_len : 0;
    UNLOCK_TCPIP_CORE();
    return n;
}

int sock_error(struct sock *s)
{
    LOCK_TCPIP_CORE();
    int error = take_error(s);
    UNLOCK_TCPIP_CORE();
    return error;
}

int sock_shutdown(struct sock *s, bool reading, bool writing)
{
    LOCK_TCPIP_CORE();
    int rc = s->state != SOCK_CONNECTED && s->state != SOCK_LISTENING ? -ENOTCONN
             : s->stream ? tcp_sock_shutdown(s, reading, writing)
                         : 0;
    if (rc == 0) {
        s->read_shut = s->read_shut || reading;
        s->write_shut = s->write_shut || writing;
        sock_changed(s);
    }
    UNLOCK_TCPIP_CORE();
    return rc;
}

void sock_set(struct sock *s, enum sock_option option, int value)
{
    LOCK_TCPIP_CORE();
    s->options[option] = value;
    if (s->tcp != NULL) {
        tcp_sock_set(s, option);
    } else if (s->udp != NULL) {
        udp_sock_set(s, option);
    }
    UNLOCK_TCPIP_CORE();
}

int sock_get(const struct sock *s, enum sock_option option)
{
    return READ_ONCE(s->options[option]);
}

/* ---- data ---- */

bool sock_queue(struct sock *s, struct pbuf *p, const ip_addr_t *from, u16_t port, bool must)
{
    bool may = must || (s->packets < PACKETS_MAX && heap_users_may_take());
    struct sock_packet *packet = may ? heap_alloc(sizeof(*packet)) : NULL;

    if (packet == NULL) {
        return false;
    }
    *packet = (struct sock_packet){.p = p, .from = {.ip = *from, .port = port}};
    *s->last = packet;
    s->last = &packet->next;
    s->packets++;
    s->bytes += p->tot_len;
    return true;
}

ssize_t sock_write(struct sock *s, const void *data, size_t n, bool more)
{
    LOCK_TCPIP_CORE();
    ssize_t rc = s->error != 0 ? -take_error(s) : tcp_sock_write(s, data, n, more);
    UNLOCK_TCPIP_CORE();
    return rc;
}

ssize_t sock_send_to(struct sock *s, const void *data, size_t n, const struct sock_addr *to)
{
    LOCK_TCPIP_CORE();
    ssize_t rc = udp_sock_send(s, data, n, to);
    UNLOCK_TCPIP_CORE();
    return rc;
}

/* A reader's way through the packets. */
struct reading {
    size_t left; /* bytes that it still wants */
    size_t done;
    int (*put)(void *arg, const void *data, size_t n);
    void *arg;
};

/* A packet's bytes from @used on, one piece after the other. Return: how many, or -errno. */
static ssize_t put_packet(struct reading *r, const struct pbuf *p, size_t used)
{
    size_t done = 0;

    for (; p != NULL && r->left != 0; p = p->next) {
        size_t n = used < p->len ? MIN(p->len - used, r->left) : 0;
        int rc = n == 0 ? 0 : r->put(r->arg, (const char *)p->payload + used, n);

        if (rc != 0) {
            return done != 0 ? (ssize_t)done : rc;
        }
        used -= MIN(used, p->len);
        r->left -= n;
        done += n;
    }
    return (ssize_t)done;
}

static struct sock_packet *next_of(const struct sock_packet *packet)
{
    LOCK_TCPIP_CORE();
    struct sock_packet *next = packet->next;
    UNLOCK_TCPIP_CORE();
    return next;
}

/* Copy from @packet on. A datagram is one packet. Return: as sock_read(). */
static ssize_t put_packets(const struct sock *s, struct reading *r, struct sock_packet *packet)
{
    ssize_t rc = 0;

    while (packet != NULL && r->left != 0) {
        rc = put_packet(r, packet->p, packet->used);
        if (rc <= 0) {
            break;
        }
        r->done += (size_t)rc;
        packet = s->stream ? next_of(packet) : NULL;
    }
    return r->done != 0 ? (ssize_t)r->done : rc;
}

/* Take what was read off the queue: @n bytes, or a datagram. Return: packets for packets_free(). */
static struct sock_packet *take_packets(struct sock *s, size_t n)
{
    struct sock_packet *taken = NULL, **to = &taken, *first;

    while ((first = s->first) != NULL && (n != 0 || !s->stream)) {
        size_t whole = first->p->tot_len;
        size_t used = s->stream ? MIN(n, whole - first->used) : whole;

        first->used += used;
        s->bytes -= used;
        n -= MIN(n, used);
        if (first->used < whole) {
            break;
        }
        s->first = first->next;
        s->last = s->first == NULL ? &s->first : s->last;
        s->packets--;
        first->next = NULL;
        *to = first;
        to = &first->next;
        if (!s->stream) {
            break;
        }
    }
    return taken;
}

/* Nothing is there. lwIP's lock is held. */
static ssize_t read_nothing(struct sock *s)
{
    if (s->error != 0) {
        return -take_error(s);
    }
    if (s->read_shut || s->ended) {
        return 0;
    }
    return s->stream && (s->state == SOCK_IDLE || s->state == SOCK_LISTENING) ? -ENOTCONN : -EAGAIN;
}

/* With "socket reader" held. */
static ssize_t read_locked(struct sock *s, struct reading *r, bool peek, struct sock_read *info)
{
    LOCK_TCPIP_CORE();
    struct sock_packet *first = s->first, *taken = NULL;
    ssize_t rc = first == NULL ? read_nothing(s) : 0;
    UNLOCK_TCPIP_CORE();

    if (info != NULL) { /* programs are told of what is here */
        *info = (struct sock_read){.any = first != NULL};
    }
    if (first == NULL) {
        return rc;
    }
    if (info != NULL) {
        info->from = first->from;
        info->whole = first->p->tot_len;
    }
    rc = put_packets(s, r, first);
    if (!peek) { /* of a stream it is nothing if nothing could be put */
        LOCK_TCPIP_CORE();
        taken = take_packets(s, r->done);
        tcp_sock_read(s, r->done);
        UNLOCK_TCPIP_CORE();
    }
    packets_free(taken);
    return rc;
}

ssize_t sock_read(struct sock *s, size_t n, bool peek, int (*put)(void *arg, const void *, size_t),
                  void *arg, struct sock_read *info)
{
    struct reading r = {.left = n, .put = put, .arg = arg};

    mutex_lock(&s->reader);
    ssize_t rc = read_locked(s, &r, peek, info);
    mutex_unlock(&s->reader);
    return rc;
}
