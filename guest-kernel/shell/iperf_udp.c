/*
 * iperf_udp.c - iperf over UDP: sends a stream of datagrams, or counts those of others.
 *
 * Both use a protocol control block of lwIP's directly: datagrams come to a function in the tcpip
 * thread, which counts them there, and the command's thread only waits for news and writes. What a
 * stream's end is answered with is kept, for the peer asks again until it has it; a stream to a
 * group is answered by nobody. The messages are iperf_stream.h's.
 *
 * Sending in bursts, since each takes lwIP's lock; an interface that is full is waited for.
 * Locks: lwIP's covers struct sender and struct server. Suspend: a stream goes on, with a loss.
 */
#include "kern/mem.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "kern/wait.h"
#include "lwip/igmp.h"
#include "lwip/mld6.h"
#include "lwip/tcpip.h"
#include "lwip/udp.h"
#include "net/stack.h"
#include "psm/clock.h"
#include "shell/iperf.h"
#include "shell/iperf_stream.h"

#define LENGTH_V4  1470 /* of a datagram that fits the usual frame, as iperf has them */
#define LENGTH_V6  1450
#define BURST      32                     /* datagrams with the lock held */
#define LAG        (100 * NSEC_PER_MSEC)  /* what is late by more is not made up for */
#define RETRY      (20 * NSEC_PER_MSEC)   /* when there is no room and nobody says when */
#define ASK_AGAIN  (100 * NSEC_PER_MSEC)  /* for the report */
#define ASKS       50                     /* how often */
#define GROUP_ENDS 3                      /* how often a group is told that it was all */
#define STREAMS    16                     /* at the same time */
#define SILENCE    (5 * NSEC_PER_SEC)     /* after which a stream has ended without saying so */
#define LINGER     (1000 * NSEC_PER_MSEC) /* for a peer that did not get its report */

typedef unsigned long ul;

/* "..., 99 of 100 datagrams, 10 datagrams/s, 1 lost (1.00%), 0 out of order, jitter 0.010 ms" */
static void write_report(struct shell *sh, const char *what, const struct iperf_report *r)
{
    ul all = MAX(r->datagrams, 1u);
    ul came = r->datagrams - MIN(r->lost, r->datagrams);
    ul parts = MIN(r->lost, all) * 10000 / all;

    iperf_rate(sh, what, r->bytes, r->took_us);
    sh_printf(sh,
              ", %lu of %lu datagrams, %lu datagrams/s, %lu lost (%lu.%02lu%%), %lu out of order, "
              "jitter %lu.%03lu ms\n",
              came, (ul)r->datagrams, (ul)(came * 1000000 / MAX(r->took_us, 1u)), (ul)r->lost,
              parts / 100, parts % 100, (ul)r->out_of_order, (ul)r->jitter_us / 1000,
              (ul)r->jitter_us % 1000);
}

/* Has datagrams of @pcb go and come by one interface only, if there is a choice. */
static void stay_with(struct udp_pcb *pcb, const struct iperf_place *place)
{
    struct netif *netif = netif_get_by_index(place->interface);

    if (netif != NULL) {
        udp_bind_netif(pcb, netif);
    }
}

/* ---- sending ---- */

struct sender {
    struct iperf *o;
    struct iperf_place to;
    struct udp_pcb *pcb;
    struct pbuf *p; /* refers to @data: sent again and again */
    uint8_t *data;
    uint16_t len;
    uint64_t sent;     /* datagrams */
    nsec_t next, step; /* when the next one is due; 0: at once */
    struct waitq wq;
    struct iperf_report report;
    bool reported;
};

static void on_report(void *arg, struct udp_pcb *pcb __unused, struct pbuf *p,
                      const ip_addr_t *from __unused, u16_t port __unused)
{
    struct sender *s = arg;
    uint8_t text[IPERF_REPORT_BYTES];
    u16_t len = pbuf_copy_partial(p, text, sizeof(text), 0);

    pbuf_free(p);
    if (!s->reported && iperf_report_get(text, len, &s->report) == 0) {
        WRITE_ONCE(s->reported, true);
        waitq_wake_all(&s->wq);
    }
}

/* One datagram. lwIP's lock is held. */
static err_t send_one(struct sender *s, bool end)
{
    int64_t number = (int64_t)s->sent + 1;

    iperf_datagram_put(s->data, s->len, end ? -number : number, clock_wall());
    err_t err = udp_sendto(s->pcb, s->p, &s->to.addr, (u16_t)s->o->port);
    s->sent += err == ERR_OK;
    return err;
}

static bool all_sent(const struct sender *s, nsec_t end)
{
    return s->o->bytes != 0 ? s->sent * s->len >= s->o->bytes : clock_now() >= end;
}

/* Datagrams until it is time to wait for something, or for others to run. */
static err_t send_burst(struct sender *s, nsec_t end)
{
    err_t err = ERR_OK;

    LOCK_TCPIP_CORE();
    for (unsigned i = 0; i < BURST && err == 0 && !all_sent(s, end); i++) {
        nsec_t now = clock_now();

        if (s->step != 0 && now < s->next) {
            break;
        }
        err = send_one(s, false);
        s->next = MAX(s->next, now - MIN(now, LAG)) + (err != 0 ? 0 : s->step);
    }
    UNLOCK_TCPIP_CORE();
    return err;
}

/* An interface that is full, or without a carrier for the moment, is no failure. */
static bool may_pass(err_t err)
{
    return err == ERR_MEM || err == ERR_BUF || err == ERR_IF;
}

static err_t send_all(struct sender *s)
{
    nsec_t end = s->o->bytes != 0 ? NSEC_FOREVER : clock_now() + s->o->seconds * NSEC_PER_SEC;
    err_t err = ERR_OK;

    s->next = clock_now();
    while (err == 0 && !all_sent(s, end) && !sh_interrupted(s->o->sh)) {
        unsigned room = net_room();
        nsec_t now = clock_now();

        err = send_burst(s, end);
        if (may_pass(err)) {
            net_room_wait(room, now + RETRY);
            err = ERR_OK;
        } else if (s->step != 0 && s->next > now) {
            thread_sleep_until(MIN(s->next, now + IPERF_LOOK * NSEC_PER_MSEC));
        } else {
            thread_yield();
        }
    }
    return err;
}

/* Tells the end until the report has come; a group just a few times. */
static void send_end(struct sender *s)
{
    bool group = ip_addr_ismulticast(&s->to.addr);

    for (unsigned i = 0;
         i < (group ? GROUP_ENDS : ASKS) && !READ_ONCE(s->reported) && !sh_interrupted(s->o->sh);
         i++) {
        LOCK_TCPIP_CORE();
        (void)send_one(s, true);
        UNLOCK_TCPIP_CORE();
        (void)wait_event_until(&s->wq, READ_ONCE(s->reported), clock_now() + ASK_AGAIN);
    }
}

/* The whole of it, and what is to be said. */
static int iperf_udp_send_stream(struct sender *s)
{
    struct shell *sh = s->o->sh;
    nsec_t start = clock_now();
    err_t err = send_all(s);
    uint64_t us = MAX((clock_now() - start) / NSEC_PER_USEC, 1u);

    iperf_rate(sh, "sent", s->sent * s->len, us);
    sh_printf(sh, ", %lu datagrams, %lu datagrams/s\n", (ul)s->sent, (ul)(s->sent * 1000000 / us));
    if (err != 0) {
        return sh_error(sh, "%s: %s", s->o->host, net_strerror(err));
    }
    send_end(s);
    if (sh_interrupted(sh)) {
        return SH_INTERRUPTED;
    }
    if (!READ_ONCE(s->reported)) {
        return ip_addr_ismulticast(&s->to.addr)
                   ? SH_OK
                   : sh_error(sh, "%s does not say what came", s->o->host);
    }
    write_report(sh, "of these received", &s->report);
    return SH_OK;
}

/* lwIP's lock is held. False: no memory. */
static bool open_sender(struct sender *s)
{
    s->data = kzalloc(s->len);
    s->p = s->data != NULL ? pbuf_alloc_reference(s->data, s->len, PBUF_REF) : NULL;
    s->pcb = s->p != NULL ? udp_new_ip_type(IP_GET_TYPE(&s->to.addr)) : NULL;
    if (s->pcb != NULL) {
        stay_with(s->pcb, &s->to);
        udp_set_multicast_ttl(s->pcb, (u8_t)s->o->ttl);
        udp_recv(s->pcb, on_report, s);
    }
    return s->pcb != NULL;
}

static void close_sender(struct sender *s)
{
    LOCK_TCPIP_CORE();
    if (s->pcb != NULL) {
        udp_remove(s->pcb);
    }
    if (s->p != NULL) {
        pbuf_free(s->p);
    }
    UNLOCK_TCPIP_CORE();
    kfree(s->data);
}

int iperf_udp_send(struct iperf *o)
{
    struct sender s = {.o = o};
    int status = iperf_find(o, o->host, &s.to);

    if (status != 0) {
        return status;
    }
    s.len = (uint16_t)(o->length != 0 ? o->length : IP_IS_V6(&s.to.addr) ? LENGTH_V6 : LENGTH_V4);
    s.step = o->per_second != 0 ? NSEC_PER_SEC / o->per_second
             : o->rate != 0     ? s.len * 8 * NSEC_PER_SEC / o->rate
                                : 0;
    waitq_init(&s.wq, "iperf");
    LOCK_TCPIP_CORE();
    bool opened = open_sender(&s);
    UNLOCK_TCPIP_CORE();
    status = opened ? iperf_udp_send_stream(&s) : sh_error(o->sh, "no memory");
    close_sender(&s);
    return status;
}

/* ---- receiving ---- */

/* A place is free, or a stream that runs, or one that was told of and may ask for its report. */
struct peer {
    ip_addr_t addr;
    u16_t port;
    bool used, told;
    struct iperf_stream stream;
};

struct server {
    struct iperf *o;
    struct iperf_place group;
    struct udp_pcb *pcb;
    struct waitq wq;
    bool news; /* a stream began or ended */
    struct peer peers[STREAMS];
};

static void tell_news(struct server *v)
{
    WRITE_ONCE(v->news, true);
    waitq_wake_all(&v->wq);
}

static void iperf_udp_answer(struct server *v, const struct peer *peer)
{
    struct iperf_report report;
    struct pbuf *p = pbuf_alloc(PBUF_TRANSPORT, IPERF_REPORT_BYTES, PBUF_RAM);

    if (p != NULL) {
        iperf_stream_report(&peer->stream, &report);
        iperf_report_put(p->payload, &report);
        (void)udp_sendto(v->pcb, p, &peer->addr, peer->port);
        pbuf_free(p);
    }
}

/* Whose datagram it is; a new peer takes a free place, or that of one that was told of. */
static struct peer *find_peer(struct server *v, const ip_addr_t *addr, u16_t port)
{
    struct peer *place = NULL;

    for (unsigned i = 0; i < STREAMS; i++) {
        struct peer *peer = &v->peers[i];

        if (peer->used && peer->port == port && ip_addr_cmp(&peer->addr, addr)) {
            return peer;
        }
        if (!peer->used || (peer->told && (place == NULL || place->used))) {
            place = peer;
        }
    }
    if (place != NULL) {
        *place = (struct peer){.addr = *addr, .port = port};
    }
    return place;
}

static void on_datagram(void *arg, struct udp_pcb *pcb __unused, struct pbuf *p,
                        const ip_addr_t *from, u16_t port)
{
    struct server *v = arg;
    uint8_t head[IPERF_FLAGS_BYTES];
    u16_t len = p->tot_len;

    memset(head, 0, sizeof(head));
    (void)pbuf_copy_partial(p, head, sizeof(head), 0);
    pbuf_free(p);
    struct peer *peer = find_peer(v, from, port);
    if (peer == NULL) {
        return;
    }
    if (!peer->stream.ended) {
        if (iperf_stream_take(&peer->stream, head, len, clock_now(), clock_wall()) != 0) {
            return;
        }
        if (!peer->used || peer->stream.ended) {
            peer->used = true;
            tell_news(v);
        }
    }
    if (peer->stream.ended && v->o->group == NULL) {
        iperf_udp_answer(v, peer);
    }
}

/* What the lock's holder saw of a peer, for who may not write while holding it. */
struct news {
    ip_addr_t addr;
    u16_t port;
    bool silent;
    struct iperf_report report;
};

/* The next stream that has ended and was not told of. */
static bool next_ended(struct server *v, struct news *news)
{
    bool found = false;

    LOCK_TCPIP_CORE();
    nsec_t now = clock_now();
    for (unsigned i = 0; i < STREAMS && !found; i++) {
        struct peer *peer = &v->peers[i];
        bool silent = now > peer->stream.end + SILENCE;

        if (peer->used && !peer->told && (peer->stream.ended || silent)) {
            *news = (struct news){
                .addr = peer->addr, .port = peer->port, .silent = !peer->stream.ended};
            iperf_stream_report(&peer->stream, &news->report);
            peer->told = true;
            found = true;
        }
    }
    UNLOCK_TCPIP_CORE();
    return found;
}

static void write_news(struct server *v, const struct news *news)
{
    char name[NET_ADDR_TEXT];

    net_addr_text(&news->addr, name, sizeof(name));
    sh_printf(v->o->sh, "stream from %s port %u%s\n", name, news->port,
              news->silent ? ", whose end did not come" : "");
    write_report(v->o->sh, "received", &news->report);
}

/* Until @until streams have ended, or ^C; then for those that did not get their report. */
static int serve_streams(struct server *v)
{
    uint64_t done = 0;
    nsec_t leave = NSEC_FOREVER;
    struct news news;

    while (clock_now() < leave && !sh_interrupted(v->o->sh)) {
        WRITE_ONCE(v->news, false);
        while (next_ended(v, &news)) {
            write_news(v, &news);
            done++;
        }
        if (v->o->streams != 0 && done >= v->o->streams && leave == NSEC_FOREVER) {
            leave = clock_now() + (v->o->group != NULL ? 0 : LINGER);
        }
        nsec_t look = clock_now() + IPERF_LOOK * NSEC_PER_MSEC;
        (void)wait_event_until(&v->wq, READ_ONCE(v->news), MIN(look, leave));
    }
    return sh_interrupted(v->o->sh) ? SH_INTERRUPTED : SH_OK;
}

/* Joins or leaves the group. lwIP's lock is held. */
static err_t membership(const struct server *v, bool join)
{
    struct netif *netif = netif_get_by_index(v->group.interface);
    const ip_addr_t *addr = &v->group.addr;

    if (netif == NULL) {
        return ERR_IF;
    }
    if (IP_IS_V6(addr)) {
        return join ? mld6_joingroup_netif(netif, ip_2_ip6(addr))
                    : mld6_leavegroup_netif(netif, ip_2_ip6(addr));
    }
    return join ? igmp_joingroup_netif(netif, ip_2_ip4(addr))
                : igmp_leavegroup_netif(netif, ip_2_ip4(addr));
}

/* lwIP's lock is held. */
static err_t open_server(struct server *v)
{
    const ip_addr_t *addr = v->o->group != NULL ? &v->group.addr : IP_ANY_TYPE;

    v->pcb = udp_new_ip_type(IP_GET_TYPE(addr));
    if (v->pcb == NULL) {
        return ERR_MEM;
    }
    udp_recv(v->pcb, on_datagram, v);
    err_t err = udp_bind(v->pcb, addr, (u16_t)v->o->port);
    if (err == 0 && v->o->group != NULL) {
        stay_with(v->pcb, &v->group);
        err = membership(v, true);
    }
    if (err != 0) {
        udp_remove(v->pcb);
    }
    return err;
}

static int iperf_udp_run_server(struct server *v)
{
    LOCK_TCPIP_CORE();
    err_t err = open_server(v);
    UNLOCK_TCPIP_CORE();
    if (err != 0) {
        return sh_error(v->o->sh, "port %lu: %s", (ul)v->o->port, net_strerror(err));
    }
    sh_printf(v->o->sh, "serving port %lu\n", (ul)v->o->port);
    int status = serve_streams(v);
    LOCK_TCPIP_CORE();
    if (v->o->group != NULL) {
        (void)membership(v, false);
    }
    udp_remove(v->pcb);
    UNLOCK_TCPIP_CORE();
    return status;
}

int iperf_udp_serve(struct iperf *o)
{
    struct iperf_place group = {.interface = NETIF_NO_INDEX};
    int status = o->group != NULL ? iperf_find(o, o->group, &group) : SH_OK;

    if (status != 0) {
        return status;
    }
    if (o->group != NULL && ip_addr_ismulticast(&group.addr) == 0) {
        return sh_error(o->sh, "%s is no multicast address", o->group);
    }
    struct server *v = kzalloc(sizeof(*v));
    if (v == NULL) {
        return sh_error(o->sh, "no memory");
    }
    v->o = o;
    v->group = group;
    waitq_init(&v->wq, "iperf");
    status = iperf_udp_run_server(v);
    kfree(v);
    return status;
}
