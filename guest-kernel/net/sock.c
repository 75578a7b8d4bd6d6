/*
 * sock.c - sockets: what all kinds have; see sock.h.
 *
 * Who reads copies out of packets without lwIP's lock, since copying to a program may sleep: only
 * the holder of "socket reader" takes packets off the queue, and new ones join at its end.
 * What packets carry is freed with no lock held, for it may be sockets: who frees packets puts them
 * on a list, and whoever gives lwIP's lock up then frees those. What ends by that, and carried
 * something itself, is left to the thread's outermost end, for a chain of them may be long, and a
 * stack is not.
 */
#include "net/sock.h"

#include "kern/string.h"
#include "kern/thread.h"
#include "lwip/netif.h"
#include "lwip/tcpip.h"
#include "net/heap.h"
#include "net/sock_impl.h"
#include "net/stack.h"

static const int defaults[SOCK_OPTIONS] = {
    [SOCK_LINGER] = -1,      [SOCK_SEND_ROOM] = TCP_SND_BUF, [SOCK_READ_ROOM] = 212992,
    [SOCK_KEEP_IDLE] = 7200, [SOCK_KEEP_EVERY] = 75,         [SOCK_KEEP_COUNT] = 9,
};

/* A thread that ends what packets carried. */
struct ending {
    XEN_TAILQ_ENTRY(struct ending) link;
    const struct thread *by;
    struct sock_packet *laden; /* `by` alone looks at it */
};

XEN_TAILQ_HEAD(ending_list, struct ending);

/* Under lwIP's lock: */
static unsigned sockets;
static struct sock_packet *doomed;
static struct ending_list endings = XEN_TAILQ_HEAD_INITIALIZER(endings);

struct sock *sock_new(bool stream, bool v6)
{
    struct sock *s =
        sockets < SOCKETS_MAX && heap_users_may_take() ? heap_calloc(1, sizeof(*s)) : NULL;

    if (s != NULL) {
        sockets++;
        s->stream = s->connects = stream;
        s->v6 = v6;
        s->last = &s->first;
        s->local.ip = s->peer.ip = v6 ? *IP6_ADDR_ANY : *IP4_ADDR_ANY;
        memcpy(s->options, defaults, sizeof(defaults));
        XEN_TAILQ_INIT(&s->arrived);
        mutex_init(&s->reader, "socket reader");
    }
    return s;
}

static void cargo_free(struct sock_cargo *cargo)
{
    if (cargo != NULL) {
        cargo->free(cargo);
    }
}

static void packet_free(struct sock_packet *packet)
{
    (void)pbuf_free(packet->p);
    unix_name_put(packet->name);
    cargo_free(packet->cargo);
    heap_free(packet);
}

/* The ending that the calling thread is in already; else @new, which is one from here on. */
static struct ending *ending_of_mine(struct ending *new)
{
    struct ending *e;

    LOCK_TCPIP_CORE();
    XEN_TAILQ_FOREACH (e, &endings, link) {
        if (e->by == new->by) {
            break;
        }
    }
    if (e == NULL) {
        XEN_TAILQ_INSERT_TAIL(&endings, new, link);
        e = new;
    }
    UNLOCK_TCPIP_CORE();
    return e;
}

/*
 * Free packets that carry something. That may close sockets in whose queues there are more such:
 * then this is called again below itself, and only leaves them to the call above.
 */
static void laden_free(struct sock_packet *packets)
{
    struct ending new = {.by = thread_self()}, *e = ending_of_mine(&new);
    struct sock_packet *packet;

    while ((packet = packets) != NULL) {
        packets = packet->next;
        packet->next = e->laden;
        e->laden = packet;
    }
    if (e != &new) {
        return;
    }
    while ((packet = new.laden) != NULL) {
        new.laden = packet->next;
        packet_free(packet);
    }
    LOCK_TCPIP_CORE();
    XEN_TAILQ_REMOVE(&endings, &new, link);
    UNLOCK_TCPIP_CORE();
}

/* No lock is held. */
static void packets_free(struct sock_packet *packet)
{
    struct sock_packet *laden = NULL, *next;

    for (; packet != NULL; packet = next) {
        next = packet->next;
        if (packet->cargo == NULL) {
            packet_free(packet);
        } else {
            packet->next = laden;
            laden = packet;
        }
    }
    if (laden != NULL) {
        laden_free(laden);
    }
}

/* Give lwIP's lock up after sockets may have been freed. */
static void unlock_and_free(void)
{
    struct sock_packet *packets = doomed;

    doomed = NULL;
    UNLOCK_TCPIP_CORE();
    packets_free(packets);
}

void sock_free(struct sock *s)
{
    for (struct sock_packet *p = s->first; p != NULL && s->un != NULL; p = p->next) {
        struct sock_cargo *cargo = unix_sock_unload(s, p);

        p->cargo = cargo;
    }
    *s->last = doomed;
    doomed = s->first;
    if (s->un != NULL) {
        unix_sock_free(s);
    }
    sockets--;
    heap_free(s);
}

void sock_forget_arrived(struct sock *listener)
{
    struct sock *s;

    while ((s = XEN_TAILQ_FIRST(&listener->arrived)) != NULL) {
        XEN_TAILQ_REMOVE(&listener->arrived, s, link);
        if (s->un != NULL) {
            unix_sock_close(s);
        } else {
            tcp_sock_close(s, true);
        }
        sock_free(s);
    }
    listener->waiting = 0;
}

/* lwIP's lock is held, and given up. @s: one that was made, or NULL. */
static int created(struct sock *s, struct sock **out)
{
    int rc = s != NULL ? 0 : sockets >= SOCKETS_MAX ? -ENFILE : -ENOBUFS;

    *out = s;
    UNLOCK_TCPIP_CORE();
    return rc;
}

int sock_create(bool stream, bool v6, struct sock **out)
{
    int rc = net_stack_start();

    if (rc != 0) {
        return -ENOBUFS;
    }
    LOCK_TCPIP_CORE();
    return created(sock_new(stream, v6), out);
}

int sock_create_unix(bool stream, bool connects, struct sock **out)
{
    if (net_stack_start() != 0) {
        return -ENOBUFS;
    }
    LOCK_TCPIP_CORE();
    return created(unix_sock_new(stream, connects), out);
}

void sock_pair(struct sock *a, struct sock *b, unsigned pid)
{
    LOCK_TCPIP_CORE();
    unix_sock_pair(a, b, pid);
    UNLOCK_TCPIP_CORE();
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
    if (s->un != NULL) {
        unix_sock_close(s);
    } else if (s->stream) {
        tcp_sock_close(s, s->options[SOCK_LINGER] == 0);
    } else {
        udp_sock_close(s);
    }
    sock_free(s);
    unlock_and_free();
}

bool sock_is_stream(const struct sock *s)
{
    return s->stream;
}

bool sock_is_v6(const struct sock *s)
{
    return s->v6;
}

bool sock_is_unix(const struct sock *s)
{
    return s->un != NULL;
}

bool sock_connects(const struct sock *s)
{
    return s->connects;
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

int sock_bind_unix(struct sock *s, const struct sock_path *path)
{
    LOCK_TCPIP_CORE();
    int rc = unix_sock_bind(s, path);
    UNLOCK_TCPIP_CORE();
    return rc;
}

int sock_connect_unix(struct sock *s, const struct sock_path *path, unsigned pid)
{
    LOCK_TCPIP_CORE();
    int rc = unix_sock_connect(s, path, pid);
    UNLOCK_TCPIP_CORE();
    return rc;
}

int sock_take_error(struct sock *s)
{
    int error = s->error;

    s->error = 0;
    return error;
}

int sock_connected(struct sock *s)
{
    LOCK_TCPIP_CORE();
    int rc = s->state == SOCK_CONNECTING  ? -EAGAIN
             : s->error != 0              ? -sock_take_error(s)
             : s->state != SOCK_CONNECTED ? -LINUX_ECONNABORTED /* somebody else was told why */
                                          : 0;
    s->connect_told = s->connect_told || s->state == SOCK_CONNECTED;
    UNLOCK_TCPIP_CORE();
    return rc;
}

int sock_listen(struct sock *s, unsigned backlog, unsigned pid)
{
    LOCK_TCPIP_CORE();
    int rc = s->un != NULL ? unix_sock_listen(s, backlog, pid) : tcp_sock_listen(s, backlog);
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
        } else if (first->un != NULL) {
            unix_sock_accepted(s, first);
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

int sock_name_unix(struct sock *s, bool of_peer, struct sock_path *path)
{
    LOCK_TCPIP_CORE();
    int rc = unix_sock_name(s, of_peer, path);
    UNLOCK_TCPIP_CORE();
    return rc;
}

int sock_peer_pid(struct sock *s)
{
    LOCK_TCPIP_CORE();
    int pid = unix_sock_peer_pid(s);
    UNLOCK_TCPIP_CORE();
    return pid;
}

/* ---- state ---- */

unsigned sock_ends(const struct sock *s)
{
    bool over = s->ended || s->read_shut;

    return (s->ended ? SOCK_CAN_READ : 0) | (over ? SOCK_ENDED : 0) |
           (over && s->write_shut ? SOCK_HUNG_UP : 0);
}

unsigned sock_ready(struct sock *s)
{
    LOCK_TCPIP_CORE();
    unsigned ready = s->un != NULL ? unix_sock_ready(s)
                     : s->stream   ? tcp_sock_ready(s)
                                   : SOCK_CAN_WRITE;
    ready |= s->first != NULL || s->read_shut ? SOCK_CAN_READ : 0;
    ready |= s->error != 0 ? SOCK_FAILED : 0;
    UNLOCK_TCPIP_CORE();
    return ready;
}

size_t sock_available(struct sock *s)
{
    LOCK_TCPIP_CORE();
    size_t n = s->connects ? s->bytes : s->first != NULL ? s->first->p->tot_len : 0;
    UNLOCK_TCPIP_CORE();
    return n;
}

int sock_error(struct sock *s)
{
    LOCK_TCPIP_CORE();
    int error = sock_take_error(s);
    UNLOCK_TCPIP_CORE();
    return error;
}

int sock_shutdown(struct sock *s, bool reading, bool writing)
{
    LOCK_TCPIP_CORE();
    int rc = s->un != NULL ? unix_sock_shutdown(s, reading, writing)
             : s->state != SOCK_CONNECTED && s->state != SOCK_LISTENING ? -ENOTCONN
             : s->stream ? tcp_sock_shutdown(s, reading, writing)
                         : 0;
    if (rc == 0) {
        s->read_shut = s->read_shut || reading;
        s->write_shut = s->write_shut || writing;
        sock_changed(s);
    }
    unlock_and_free();
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
    } else if (s->un != NULL) {
        sock_changed(s); /* there may be more room */
    }
    UNLOCK_TCPIP_CORE();
}

int sock_get(const struct sock *s, enum sock_option option)
{
    return READ_ONCE(s->options[option]);
}

/* ---- data ---- */

struct sock_packet *sock_queue(struct sock *s, struct pbuf *p, const ip_addr_t *from, u16_t port,
                               bool must)
{
    bool may = must || (s->packets < PACKETS_MAX && heap_users_may_take());
    struct sock_packet *packet = may ? heap_alloc(sizeof(*packet)) : NULL;

    if (packet == NULL) {
        return NULL;
    }
    *packet = (struct sock_packet){.p = p, .from = {.ip = *from, .port = port}};
    *s->last = packet;
    s->last = &packet->next;
    s->packets++;
    s->bytes += p->tot_len;
    return packet;
}

ssize_t sock_write(struct sock *s, const void *data, size_t n, bool more)
{
    LOCK_TCPIP_CORE();
    ssize_t rc = s->error != 0 ? -sock_take_error(s) : tcp_sock_write(s, data, n, more);
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

ssize_t sock_send_unix(struct sock *s, const void *data, size_t n, const struct sock_path *path,
                       struct sock_cargo **cargo)
{
    LOCK_TCPIP_CORE();
    ssize_t rc = unix_sock_send(s, data, n, path, cargo);
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

/* What can be read in one with @packet: nothing that carries something. */
static struct sock_packet *next_of(const struct sock_packet *packet)
{
    LOCK_TCPIP_CORE();
    struct sock_packet *next = packet->next;
    bool apart = packet->cargo != NULL || (next != NULL && next->cargo != NULL);
    UNLOCK_TCPIP_CORE();
    return apart ? NULL : next;
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
        return -sock_take_error(s);
    }
    if (s->read_shut || s->ended) {
        return 0;
    }
    if (!s->connects || (s->state != SOCK_IDLE && s->state != SOCK_LISTENING)) {
        return -EAGAIN;
    }
    return s->un != NULL && s->stream ? -EINVAL : -ENOTCONN;
}

/* Take what was read off the queue: packets for packets_free(), and what the first carried. */
static struct sock_packet *take_read(struct sock *s, size_t n, struct sock_cargo **cargo)
{
    LOCK_TCPIP_CORE();
    if (s->un != NULL && (n != 0 || !s->stream)) {
        *cargo = unix_sock_unload(s, s->first);
    }
    struct sock_packet *taken = take_packets(s, n);
    if (s->un != NULL) {
        unix_sock_read(s);
    } else {
        tcp_sock_read(s, n);
    }
    UNLOCK_TCPIP_CORE();
    return taken;
}

/* With "socket reader" held. *@taken: packets for packets_free(). */
static ssize_t read_locked(struct sock *s, struct reading *r, bool peek, struct sock_read *info,
                           struct sock_packet **taken)
{
    LOCK_TCPIP_CORE();
    struct sock_packet *first = s->first;
    ssize_t rc = first == NULL ? read_nothing(s) : 0;
    UNLOCK_TCPIP_CORE();

    *info = (struct sock_read){.any = first != NULL}; /* programs are told of what is here */
    if (first == NULL) {
        return rc;
    }
    info->from = first->from;
    unix_name_read(first->name, &info->path);
    info->whole = first->p->tot_len;
    rc = put_packets(s, r, first);
    if (!peek) { /* of a stream it is nothing if nothing could be put */
        *taken = take_read(s, r->done, &info->cargo);
    }
    return rc;
}

ssize_t sock_read(struct sock *s, size_t n, bool peek, int (*put)(void *arg, const void *, size_t),
                  void *arg, struct sock_read *info)
{
    struct reading r = {.left = n, .put = put, .arg = arg};
    struct sock_packet *taken = NULL;
    struct sock_read unasked;

    mutex_lock(&s->reader);
    ssize_t rc = read_locked(s, &r, peek, info != NULL ? info : &unasked, &taken);
    mutex_unlock(&s->reader);
    packets_free(taken);
    if (info == NULL) {
        cargo_free(unasked.cargo);
    }
    return rc;
}
