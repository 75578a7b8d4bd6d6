/*
 * sock_tcp.c - stream sockets, on lwIP's callbacks; see sock_impl.h.
 *
 * lwIP frees a connection by itself when it has failed (on_error()), and when both sides have
 * closed it: a socket lets go of it as soon as both have said so, and lwIP sees to the rest.
 * Locks: lwIP's is held throughout.
 */
#include "lwip/priv/tcp_priv.h"
#include "net/heap.h"
#include "net/sock_impl.h"

#define POLL_INTERVAL 1 /* of TCP's slow timer: how soon to look again for memory */
#define KEEP_MSEC     1000

/* ---- lwIP's connection ---- */

/* From here on lwIP has it alone. */
static struct tcp_pcb *pcb_release(struct sock *s)
{
    struct tcp_pcb *pcb = s->tcp;

    s->tcp = NULL;
    tcp_arg(pcb, NULL);
    if (s->state == SOCK_LISTENING) {
        tcp_accept(pcb, NULL);
        return pcb;
    }
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_err(pcb, NULL);
    tcp_poll(pcb, NULL, 0);
    return pcb;
}

static void end(struct sock *s, bool abort)
{
    struct tcp_pcb *pcb = pcb_release(s);

    if (s->state == SOCK_LISTENING) {
        (void)tcp_close(pcb);
    } else if (abort || tcp_close(pcb) != ERR_OK) {
        tcp_abort(pcb);
    }
}

/* Whether the peer's end is here: what it came with is all that will ever come. */
static bool peer_has_ended(const struct tcp_pcb *pcb)
{
    return pcb->state == CLOSE_WAIT || pcb->state == LAST_ACK || pcb->state == CLOSING ||
           pcb->state == TIME_WAIT;
}

/* There is no memory for the last bytes, not even what is others': a hole is not a stream. */
static err_t lose(struct sock *s, struct pbuf *p)
{
    (void)pbuf_free(p);
    end(s, true);
    s->state = SOCK_OVER;
    s->ended = true;
    s->error = ENOBUFS;
    sock_changed(s);
    return ERR_ABRT;
}

/*
 * What is not taken lwIP keeps, and offers again: but not when it has said the peer's end to itself
 * already. In TIME_WAIT it would forget bytes and socket without a word.
 */
static err_t on_data(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    struct sock *s = arg;

    (void)err;
    if (p != NULL) {
        bool last = peer_has_ended(pcb);

        if (sock_queue(s, p, &pcb->remote_ip, pcb->remote_port, last) == NULL) {
            return last ? lose(s, p) : ERR_MEM;
        }
    } else {
        s->ended = true;
        if (s->write_shut) {
            (void)pcb_release(s);
        }
    }
    sock_changed(s);
    return ERR_OK;
}

/* Bytes that can be written now. */
static size_t room(const struct sock *s)
{
    size_t queued = TCP_SND_BUF - tcp_sndbuf(s->tcp);
    size_t limit = (size_t)s->options[SOCK_SEND_ROOM];

    return tcp_sndqueuelen(s->tcp) >= TCP_SNDQUEUELOWAT || !heap_users_may_take() || queued >= limit
               ? 0
               : MIN(limit - queued, tcp_sndbuf(s->tcp));
}

/* Whether it is worth while to wake somebody who writes. */
static bool has_room(const struct sock *s)
{
    return room(s) >= MIN((size_t)s->options[SOCK_SEND_ROOM] / 3, TCP_SNDLOWAT);
}

static void tell_of_room(struct sock *s)
{
    if (s->wants_room && has_room(s)) {
        s->wants_room = false;
        sock_changed(s);
    }
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
    (void)pcb;
    (void)len;
    tell_of_room(arg);
    return ERR_OK;
}

/* Who could not write for want of memory: others may have given some back. */
static err_t on_poll(void *arg, struct tcp_pcb *pcb)
{
    (void)pcb;
    tell_of_room(arg);
    return ERR_OK;
}

/* The connection is gone already. */
static void on_error(void *arg, err_t err)
{
    struct sock *s = arg;

    s->tcp = NULL;
    s->ended = true;
    if (s->state == SOCK_CONNECTING) {
        s->error = err == ERR_RST ? ECONNREFUSED : -sock_errno(err);
        s->state = SOCK_IDLE;
        s->local.port = 0;
    } else {
        s->error = err == ERR_CLSD ? 0 : -sock_errno(err);
        s->state = SOCK_OVER;
    }
    sock_changed(s);
}

static void serve(struct sock *s, struct tcp_pcb *pcb)
{
    s->tcp = pcb;
    tcp_arg(pcb, s);
    tcp_recv(pcb, on_data);
    tcp_sent(pcb, on_sent);
    tcp_err(pcb, on_error);
    tcp_poll(pcb, on_poll, POLL_INTERVAL);
    for (unsigned i = 0; i < SOCK_OPTIONS; i++) {
        tcp_sock_set(s, (enum sock_option)i);
    }
}

/* It is made when it is needed: also again, after a connection that did not come about. */
static int tcp_have_pcb(struct sock *s)
{
    if (s->tcp == NULL) {
        struct tcp_pcb *pcb =
            heap_users_may_take()
                ? tcp_new_ip_type(!s->v6                          ? IPADDR_TYPE_V4
                                  : s->options[SOCK_ONLY_V6] != 0 ? IPADDR_TYPE_V6
                                                                  : IPADDR_TYPE_ANY)
                : NULL;

        if (pcb == NULL) {
            return -ENOBUFS;
        }
        serve(s, pcb);
    }
    return 0;
}

static void remember_names(struct sock *s)
{
    s->local = (struct sock_addr){.ip = s->tcp->local_ip, .port = s->tcp->local_port};
    s->peer = (struct sock_addr){.ip = s->tcp->remote_ip, .port = s->tcp->remote_port};
}

/* Whether a connection to the one may be one to the other. */
static bool meet(const ip_addr_t *a, const ip_addr_t *b)
{
    return IP_IS_ANY_TYPE_VAL(*a) || IP_IS_ANY_TYPE_VAL(*b) ||
           (IP_IS_V6(a) == IP_IS_V6(b) &&
            (ip_addr_isany(a) || ip_addr_isany(b) || ip_addr_cmp(a, b)));
}

/*
 * Whether somebody has the port. lwIP takes "all addresses, of both versions" for one of IPv4, and
 * lets two listen that both have SOCK_REUSE.
 */
static bool is_taken(const struct tcp_pcb *pcb, const ip_addr_t *ip, u16_t port)
{
    const struct tcp_pcb_listen *l;
    const struct tcp_pcb *bound;

    for (l = tcp_listen_pcbs.listen_pcbs; l != NULL; l = l->next) {
        if (l->local_port == port && meet(&l->local_ip, ip)) {
            return true;
        }
    }
    for (bound = tcp_bound_pcbs; bound != NULL; bound = bound->next) {
        bool both = ip_get_option(pcb, SOF_REUSEADDR) && ip_get_option(bound, SOF_REUSEADDR);

        if (bound != pcb && bound->local_port == port && !both && meet(&bound->local_ip, ip)) {
            return true;
        }
    }
    return false;
}

int tcp_sock_bind(struct sock *s, const struct sock_addr *addr)
{
    int rc = tcp_have_pcb(s);

    if (rc != 0) {
        return rc;
    }
    /* All addresses, of both versions: lwIP's connection has the type for that already. */
    bool both = s->v6 && s->options[SOCK_ONLY_V6] == 0 && IP_IS_V6_VAL(addr->ip) &&
                ip_addr_isany_val(addr->ip);
    const ip_addr_t *ip = both ? IP_ANY_TYPE : &addr->ip;
    rc = addr->port != 0 && is_taken(s->tcp, ip, addr->port)
             ? -EADDRINUSE
             : sock_errno(tcp_bind(s->tcp, ip, addr->port));
    if (rc == 0) {
        s->local = (struct sock_addr){.ip = addr->ip, .port = s->tcp->local_port};
    }
    return rc;
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct sock *s = arg;

    (void)pcb;
    (void)err;
    s->state = SOCK_CONNECTED;
    remember_names(s);
    sock_changed(s);
    return ERR_OK;
}

/* Who began a connection may ask again until it was told. */
static int connect_again(struct sock *s)
{
    switch (s->state) {
    case SOCK_CONNECTING:
        return -LINUX_EALREADY;
    case SOCK_CONNECTED:
        if (!s->connect_told) {
            s->connect_told = true;
            return 0;
        }
        return -EISCONN;
    default:
        return s->state == SOCK_LISTENING ? -EISCONN : -EINVAL;
    }
}

int tcp_sock_connect(struct sock *s, const struct sock_addr *addr)
{
    if (s->state != SOCK_IDLE) {
        return connect_again(s);
    }
    if (addr == NULL) {
        return 0;
    }
    int rc = tcp_have_pcb(s);
    rc = rc == 0 && !sock_reaches(s, &s->tcp->local_ip, &addr->ip) ? -LINUX_ENETUNREACH : rc;
    rc = rc == 0 ? sock_errno(tcp_connect(s->tcp, &addr->ip, addr->port, on_connected)) : rc;
    if (rc == 0) {
        s->state = SOCK_CONNECTING;
        s->ended = false;
        s->error = 0;
        remember_names(s);
        rc = -LINUX_EINPROGRESS;
    }
    return rc;
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct sock *listener = arg;
    bool taken = listener != NULL && err == ERR_OK && listener->waiting < listener->backlog;
    struct sock *s = taken ? sock_new(true, listener->v6) : NULL;

    if (s == NULL) {
        return ERR_MEM; /* lwIP ends the connection */
    }
    for (unsigned i = 0; i < SOCK_OPTIONS; i++) {
        s->options[i] = listener->options[i];
    }
    s->state = SOCK_CONNECTED;
    s->connect_told = true;
    serve(s, pcb);
    remember_names(s);
    tcp_backlog_delayed(pcb);
    XEN_TAILQ_INSERT_TAIL(&listener->arrived, s, link);
    listener->waiting++;
    sock_changed(listener);
    return ERR_OK;
}

int tcp_sock_listen(struct sock *s, unsigned backlog)
{
    const struct sock_addr any = {.ip = s->v6 ? *IP6_ADDR_ANY : *IP4_ADDR_ANY};
    u8_t n = (u8_t)MIN(MAX(backlog, 1u), BACKLOG_MAX);
    err_t err;

    if (s->state == SOCK_LISTENING) {
        tcp_backlog_set(s->tcp, n);
        s->backlog = n;
        return 0;
    }
    int rc = s->state != SOCK_IDLE ? -EINVAL : s->local.port == 0 ? tcp_sock_bind(s, &any) : 0;
    if (rc == 0 && is_taken(s->tcp, &s->tcp->local_ip, s->tcp->local_port)) {
        rc = -EADDRINUSE;
    }
    if (rc != 0) {
        return rc;
    }
    struct tcp_pcb *pcb = tcp_listen_with_backlog_and_err(s->tcp, n, &err);
    if (pcb == NULL) {
        return sock_errno(err);
    }
    s->tcp = pcb;
    s->backlog = n;
    s->state = SOCK_LISTENING;
    tcp_arg(pcb, s);
    tcp_accept(pcb, on_accept);
    return 0;
}

/* ---- the end ---- */

void tcp_sock_close(struct sock *s, bool abort)
{
    if (s->tcp != NULL) {
        end(s, abort);
    }
    sock_forget_arrived(s);
}

static int shut_writing(struct sock *s)
{
    if (s->write_shut || s->tcp == NULL) {
        return 0;
    }
    int rc = sock_errno(tcp_shutdown(s->tcp, 0, 1));
    if (rc == 0 && s->ended && s->tcp != NULL) {
        (void)pcb_release(s);
    }
    return rc;
}

int tcp_sock_shutdown(struct sock *s, bool reading, bool writing)
{
    if (s->state == SOCK_LISTENING) {
        if (reading) {
            end(s, false);
            sock_forget_arrived(s);
            s->state = SOCK_IDLE;
            s->local.port = 0;
        }
        return 0;
    }
    return writing ? shut_writing(s) : 0;
}

/* ---- data ---- */

unsigned tcp_sock_ready(struct sock *s)
{
    switch (s->state) {
    case SOCK_LISTENING:
        return XEN_TAILQ_EMPTY(&s->arrived) ? 0 : SOCK_CAN_READ;
    case SOCK_CONNECTING:
        return 0;
    case SOCK_CONNECTED:
        break;
    default:
        return SOCK_CAN_WRITE | SOCK_HUNG_UP |
               (s->ended ? (unsigned)(SOCK_CAN_READ | SOCK_ENDED) : 0);
    }
    unsigned ready = sock_ends(s);
    if (s->write_shut || s->tcp == NULL || has_room(s)) {
        ready |= SOCK_CAN_WRITE;
    } else {
        s->wants_room = true;
    }
    return ready;
}

ssize_t tcp_sock_write(struct sock *s, const void *data, size_t n, bool more)
{
    if (s->state == SOCK_CONNECTING) {
        return -EAGAIN;
    }
    if (s->state != SOCK_CONNECTED || s->write_shut || s->tcp == NULL) {
        return -LINUX_EPIPE;
    }
    size_t part = MIN(MIN(n, room(s)), UINT16_MAX);
    err_t err = part == 0 ? ERR_MEM
                          : tcp_write(s->tcp, data, (u16_t)part,
                                      TCP_WRITE_FLAG_COPY | (more ? TCP_WRITE_FLAG_MORE : 0));
    if (err != ERR_OK || part < n || !more) {
        (void)tcp_output(s->tcp);
    }
    s->wants_room = s->wants_room || err == ERR_MEM;
    return err == ERR_MEM ? -EAGAIN : err != ERR_OK ? sock_errno(err) : (ssize_t)part;
}

void tcp_sock_read(struct sock *s, size_t n)
{
    while (s->tcp != NULL && n != 0) {
        size_t part = MIN(n, UINT16_MAX);

        tcp_recved(s->tcp, (u16_t)part);
        n -= part;
    }
}

/* ---- options ---- */

static void set_flag(struct tcp_pcb *pcb, u8_t flag, bool on)
{
    if (on) {
        ip_set_option(pcb, flag);
    } else {
        ip_reset_option(pcb, flag);
    }
}

/* One that listens has few: its connections get the others. */
void tcp_sock_set(struct sock *s, enum sock_option option)
{
    struct tcp_pcb *pcb = s->tcp;
    int value = s->options[option];

    if (option == SOCK_REUSE) {
        set_flag(pcb, SOF_REUSEADDR, value != 0);
    } else if (option == SOCK_KEEPALIVE) {
        set_flag(pcb, SOF_KEEPALIVE, value != 0);
    } else if (s->state == SOCK_LISTENING) {
        return;
    } else if (option == SOCK_NODELAY) {
        if (value != 0) {
            tcp_nagle_disable(pcb);
            (void)tcp_output(pcb);
        } else {
            tcp_nagle_enable(pcb);
        }
    } else if (option == SOCK_KEEP_IDLE) {
        pcb->keep_idle = (u32_t)value * KEEP_MSEC;
    } else if (option == SOCK_KEEP_EVERY) {
        pcb->keep_intvl = (u32_t)value * KEEP_MSEC;
    } else if (option == SOCK_KEEP_COUNT) {
        pcb->keep_cnt = (u32_t)value;
    }
}
