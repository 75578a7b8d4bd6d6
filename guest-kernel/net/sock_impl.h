/*
 * sock_impl.h - what sock.c, sock_tcp.c, sock_udp.c and sock_unix.c share. For these alone.
 *
 * Each of the kinds offers the same few functions; their first argument is a socket of their kind,
 * and lwIP's lock is held.
 */
#ifndef NET_SOCK_IMPL_H
#define NET_SOCK_IMPL_H

#include "kern/wait.h"
#include "lwip/pbuf.h"
#include "lwip/tcp.h"
#include "lwip/udp.h"
#include "net/sock.h"

#include <xen_list.h>

#define PACKETS_MAX 1024 /* unread, of one socket: small ones cost more than their bytes */
#define BACKLOG_MAX 255u

struct unix_name;
struct unix_sock;

enum sock_state { SOCK_IDLE, SOCK_LISTENING, SOCK_CONNECTING, SOCK_CONNECTED, SOCK_OVER };

/* What arrived and was not read. */
struct sock_packet {
    struct sock_packet *next;
    struct pbuf *p;
    size_t used; /* bytes of it that were read */
    struct sock_addr from;
    struct unix_name *name;   /* whom it is from, with a reference; NULL: nobody with a name */
    struct sock_cargo *cargo; /* what it carries; NULL: nothing */
};

XEN_TAILQ_HEAD(sock_list, struct sock);

struct sock {
    bool stream, v6;
    bool connects;         /* has connections: a stream does */
    enum sock_state state; /* of a datagram socket: SOCK_IDLE or SOCK_CONNECTED */
    struct tcp_pcb *tcp;   /* NULL: not needed yet, or gone */
    struct udp_pcb *udp;
    struct unix_sock *un; /* NULL: it is of the network */
    struct sock_addr local, peer;
    int error;                  /* to be told, positive */
    bool ended;                 /* the peer sends no more */
    bool read_shut, write_shut; /* by the owner */
    bool wants_room;            /* somebody found that he cannot write */
    bool connect_told;          /* connect() said that it is connected */
    int options[SOCK_OPTIONS];

    struct sock_packet *first, **last;
    unsigned packets;
    size_t bytes;

    struct sock_list arrived;  /* of one that listens: connections that nobody has taken */
    unsigned waiting, backlog; /* how many: those that are over already too, and how many may be */
    XEN_TAILQ_ENTRY(struct sock) link;

    void (*changed)(void *arg);
    void *arg;

    struct mutex reader; /* "socket reader": packets are freed by its holder only */
};

/** sock_new() - one more, or NULL. */
struct sock *sock_new(bool stream, bool v6);

/** sock_free() - the socket. What arrived is left to who gives lwIP's lock up: see sock.c. */
void sock_free(struct sock *s);

/** sock_forget_arrived() - end the connections that nobody took. */
void sock_forget_arrived(struct sock *listener);

/** sock_changed() - tell its owner. */
void sock_changed(struct sock *s);

/**
 * sock_queue() - keep what arrived
 * @must: it cannot come again: also out of what is left to others
 *
 * Return: it; NULL: there is no memory for it, and @p is the caller's.
 */
struct sock_packet *sock_queue(struct sock *s, struct pbuf *p, const ip_addr_t *from, u16_t port,
                               bool must);

/** sock_reaches() - whether a socket with the address @local of its own can send to @to. */
bool sock_reaches(const struct sock *s, const ip_addr_t *local, const ip_addr_t *to);

/** sock_ends() - SOCK_* of which directions are over: one that is connected, or was. */
unsigned sock_ends(const struct sock *s);

/** sock_take_error() - what is to be told, positive, which is told then. */
int sock_take_error(struct sock *s);

/** sock_errno() - an error of lwIP's as -errno. */
int sock_errno(err_t err);

/* ---- TCP ---- */
int tcp_sock_bind(struct sock *s, const struct sock_addr *addr);
int tcp_sock_connect(struct sock *s, const struct sock_addr *addr);
int tcp_sock_listen(struct sock *s, unsigned backlog);
int tcp_sock_shutdown(struct sock *s, bool reading, bool writing);
unsigned tcp_sock_ready(struct sock *s);
ssize_t tcp_sock_write(struct sock *s, const void *data, size_t n, bool more);
void tcp_sock_read(struct sock *s, size_t n);
void tcp_sock_set(struct sock *s, enum sock_option option);
void tcp_sock_close(struct sock *s, bool abort);

/* ---- UDP ---- */
int udp_sock_bind(struct sock *s, const struct sock_addr *addr);
int udp_sock_connect(struct sock *s, const struct sock_addr *addr);
ssize_t udp_sock_send(struct sock *s, const void *data, size_t n, const struct sock_addr *to);
void udp_sock_set(struct sock *s, enum sock_option option);
void udp_sock_close(struct sock *s);

/* ---- AF_UNIX ---- */
struct sock *unix_sock_new(bool stream, bool connects);
void unix_sock_free(struct sock *s);
void unix_sock_pair(struct sock *a, struct sock *b, unsigned pid);
int unix_sock_bind(struct sock *s, const struct sock_path *path);
int unix_sock_connect(struct sock *s, const struct sock_path *path, unsigned pid);
int unix_sock_listen(struct sock *s, unsigned backlog, unsigned pid);
void unix_sock_accepted(struct sock *listener, struct sock *s);
int unix_sock_name(const struct sock *s, bool of_peer, struct sock_path *path);
int unix_sock_peer_pid(const struct sock *s);
int unix_sock_shutdown(struct sock *s, bool reading, bool writing);
unsigned unix_sock_ready(struct sock *s);
ssize_t unix_sock_send(struct sock *s, const void *data, size_t n, const struct sock_path *path,
                       struct sock_cargo **cargo);
void unix_sock_close(struct sock *s);

/** unix_sock_read() - something of its queue was taken. */
void unix_sock_read(struct sock *s);

/** unix_sock_unload() - what a packet carries, the caller's from here on; NULL: nothing. */
struct sock_cargo *unix_sock_unload(struct sock *s, struct sock_packet *packet);

/** unix_name_read() - a name, or none of NULL. */
void unix_name_read(const struct unix_name *name, struct sock_path *path);

/** unix_name_put() - a packet's reference. NULL does nothing. Any context. */
void unix_name_put(struct unix_name *name);

#endif /* NET_SOCK_IMPL_H */
