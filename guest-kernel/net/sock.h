/*
 * sock.h - sockets: TCP and UDP as programs use them, without their descriptors.
 *
 * Made of lwIP's callbacks: what arrives is queued here, and whoever owns a socket is told that
 * something changed. Nothing here waits for the network: what cannot be done yet is -EAGAIN, and
 * who asked tries again when it was told.
 * A socket of IPv6 that is bound to all addresses serves IPv4, too, unless SOCK_ONLY_V6 is set.
 * Limits: SOCKETS_MAX sockets; bytes within what heap_users_may_take() leaves.
 * Locks, in order: a socket's "socket reader" (a mutex) over what is being read; lwIP's over all
 * else. All functions are for thread context and take what they need. Suspend: all is memory.
 */
#ifndef NET_SOCK_H
#define NET_SOCK_H

#include "kern/types.h"
#include "lwip/ip_addr.h"

#define SOCKETS_MAX 2048

struct sock;

struct sock_addr {
    ip_addr_t ip;
    uint16_t port;
};

/* What is so now. */
#define SOCK_CAN_READ  1u /* or will be told of an end, an error, a connection */
#define SOCK_CAN_WRITE 2u
#define SOCK_FAILED    4u /* sock_error() tells how */
#define SOCK_ENDED     8u /* the peer sends no more */
#define SOCK_HUNG_UP   16u

/* Each has a number; those that are on or off are 1 or 0. */
enum sock_option {
    SOCK_REUSE,
    SOCK_KEEPALIVE,
    SOCK_NODELAY,
    SOCK_BROADCAST,
    SOCK_ONLY_V6,
    SOCK_LINGER,     /* seconds, -1: off. 0: what is not sent yet is forgotten at the end */
    SOCK_SEND_ROOM,  /* bytes */
    SOCK_READ_ROOM,  /* bytes; of datagrams. TCP's window is the same for all */
    SOCK_KEEP_IDLE,  /* seconds without a word until the peer is asked */
    SOCK_KEEP_EVERY, /* seconds between questions */
    SOCK_KEEP_COUNT, /* questions without an answer: the connection is over */
    SOCK_OPTIONS,
};

/** sock_create() - 0; -ENFILE: there are too many; -ENOBUFS. */
int sock_create(bool stream, bool v6, struct sock **out) __must_check;

/**
 * sock_tell() - whom to tell when something changes: NULL: nobody
 *
 * @changed is called with lwIP's lock held, and not any more when this has come back.
 */
void sock_tell(struct sock *s, void (*changed)(void *arg), void *arg);

/** sock_close() - nobody uses it any more. What was written is sent, unless SOCK_LINGER is 0. */
void sock_close(struct sock *s);

bool sock_is_stream(const struct sock *s);
bool sock_is_v6(const struct sock *s);

/**
 * sock_bind() - 0, -EADDRINUSE, -EADDRNOTAVAIL, -ENOBUFS
 *
 * -EINVAL: it is bound already, or it is of IPv6 alone and @addr is not.
 */
int sock_bind(struct sock *s, const struct sock_addr *addr) __must_check;

/**
 * sock_listen() - of a stream. 0, -EADDRINUSE, -EINVAL, -ENOBUFS
 * @backlog: how many may wait to be accepted, those included that have gone again; beyond, who
 * comes is reset
 */
int sock_listen(struct sock *s, unsigned backlog) __must_check;

/** sock_accept() - a connection that somebody made. 0, -EAGAIN, -EINVAL: it does not listen. */
int sock_accept(struct sock *s, struct sock **out) __must_check;

/**
 * sock_connect() - begin a connection, or of a datagram socket set whom it talks to
 * @addr: NULL: nobody any more, of a datagram socket
 *
 * Return: 0; -LINUX_EINPROGRESS: it begins, sock_connected() will tell; -LINUX_EALREADY: it began
 * before; -EISCONN and what lwIP says.
 */
int sock_connect(struct sock *s, const struct sock_addr *addr) __must_check;

/**
 * sock_connected() - of one that begins: -EAGAIN, 0, or why not
 *
 * Why not is told once, by whatever tells of errors; later it is -LINUX_ECONNABORTED.
 */
int sock_connected(struct sock *s) __must_check;

/**
 * sock_write() - send a part of a stream
 * @more: the rest will be there in a moment
 *
 * Return: bytes; -EAGAIN, -LINUX_EPIPE, or what became of the connection.
 */
ssize_t sock_write(struct sock *s, const void *data, size_t n, bool more);

/** sock_send_to() - send a datagram. @to: NULL: whom it is connected to. @n or -errno. */
ssize_t sock_send_to(struct sock *s, const void *data, size_t n, const struct sock_addr *to);

/* What was read. */
struct sock_read {
    bool any;              /* there was something: else it is the end, and the rest is zero */
    struct sock_addr from; /* of a datagram */
    size_t whole;          /* of which only the beginning was asked for */
};

/**
 * sock_read() - take what arrived: at most @n bytes, or a datagram's beginning
 * @peek: leave it there
 * @put: called with one piece after the other. Return: 0 or -errno. May sleep
 * @info: NULL: nobody asks
 *
 * Return: bytes, 0 at the end; -EAGAIN, -ENOTCONN, what @put said, or what became of it.
 */
ssize_t sock_read(struct sock *s, size_t n, bool peek, int (*put)(void *arg, const void *, size_t),
                  void *arg, struct sock_read *info);

/** sock_shutdown() - no more of one or both directions. 0 or -ENOTCONN. */
int sock_shutdown(struct sock *s, bool reading, bool writing) __must_check;

/** sock_ready() - SOCK_CAN_READ and so on. */
unsigned sock_ready(struct sock *s);

/** sock_available() - bytes that can be read now, of the first datagram. */
size_t sock_available(struct sock *s);

/** sock_error() - what became of it, positive, told once; 0: nothing. */
int sock_error(struct sock *s);

/**
 * sock_name(), sock_peer() - its addresses
 *
 * The second is whom it was connected to, also where it is not any more: -ENOTCONN; else 0.
 */
void sock_name(struct sock *s, struct sock_addr *addr);
int sock_peer(struct sock *s, struct sock_addr *addr);

/** sock_listens() - whether it waits for connections. */
bool sock_listens(struct sock *s);

/** sock_set(), sock_get() - its options; @value is one that the option can have. */
void sock_set(struct sock *s, enum sock_option option, int value);
int sock_get(const struct sock *s, enum sock_option option);

#endif /* NET_SOCK_H */
