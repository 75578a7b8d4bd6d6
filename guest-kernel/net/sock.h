/*
 * sock.h - sockets: TCP, UDP and AF_UNIX as programs use them, without their descriptors.
 *
 * Those of the network are made of lwIP's callbacks; those of AF_UNIX (sock_unix.c) have only its
 * memory and lock. What arrives is queued here, and whoever owns a socket is told that something
 * changed. Nothing here waits for the network: what cannot be done yet is -EAGAIN, and
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

/*
 * A name of AF_UNIX: that of a file, and the path without its NUL by which it was given, or bytes
 * of which the first is 0; of no length: none.
 */
#define SOCK_PATH_MAX 108

struct sock_path {
    uint64_t file; /* its number, which no other file ever has; 0: it is of none */
    uint8_t len;
    char bytes[SOCK_PATH_MAX];
};

/**
 * struct sock_cargo - files that a message of AF_UNIX carries
 * @free: whoever has it last calls this, with no lock held
 * @items: `sock`: the socket of AF_UNIX that the file is of; NULL: none
 */
struct sock_cargo {
    void (*free)(struct sock_cargo *cargo);
    unsigned n;
    struct {
        void *file;
        struct sock *sock;
    } items[];
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
 * sock_create_unix() - the same of AF_UNIX
 * @stream: of bytes, not of messages
 * @connects: has connections: a stream does
 */
int sock_create_unix(bool stream, bool connects, struct sock **out) __must_check;

/** sock_pair() - connect two of AF_UNIX, that nobody else knows. @pid: the caller's. */
void sock_pair(struct sock *a, struct sock *b, unsigned pid);

/**
 * sock_tell() - whom to tell when something changes: NULL: nobody
 *
 * @changed is called with lwIP's lock held, and not any more when this has come back.
 */
void sock_tell(struct sock *s, void (*changed)(void *arg), void *arg);

/** sock_close() - nobody uses it any more. What was written is sent, unless SOCK_LINGER is 0. */
void sock_close(struct sock *s);

/* What kind it is: does not change. */
bool sock_is_stream(const struct sock *s);
bool sock_is_v6(const struct sock *s);
bool sock_is_unix(const struct sock *s);
bool sock_connects(const struct sock *s);

/**
 * sock_bind() - 0, -EADDRINUSE, -EADDRNOTAVAIL, -ENOBUFS
 *
 * -EINVAL: it is bound already, or it is of IPv6 alone and @addr is not.
 */
int sock_bind(struct sock *s, const struct sock_addr *addr) __must_check;

/** sock_bind_unix() - of AF_UNIX, which the functions before and after are not for. */
int sock_bind_unix(struct sock *s, const struct sock_path *path) __must_check;

/**
 * sock_listen() - of one that connects. 0, -EADDRINUSE, -EINVAL, -ENOBUFS
 * @backlog: how many may wait to be accepted, those included that have gone again; beyond, who
 * comes is reset, or, of AF_UNIX, waits
 * @pid: the caller's, which peers of AF_UNIX may ask for
 */
int sock_listen(struct sock *s, unsigned backlog, unsigned pid) __must_check;

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
 * sock_connect_unix() - connect one of AF_UNIX; a datagram socket to nobody: NULL
 *
 * Return: 0; -EAGAIN: too many wait there; -ECONNREFUSED, -ENOENT: nobody listens, or has that
 * name; -LINUX_EPROTOTYPE, -EPERM: he is of another kind, or talks to another; -EISCONN, -EINVAL.
 */
int sock_connect_unix(struct sock *s, const struct sock_path *path, unsigned pid) __must_check;

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

/**
 * sock_send_unix() - send a message, or a part of a stream, of AF_UNIX
 * @path: NULL: whom it is connected to, as who connects always does
 * @cargo: *@cargo is what it carries, or NULL; it becomes NULL when it went
 *
 * Return: bytes; -EAGAIN; -LINUX_EPIPE, -ENOTCONN, -EMSGSIZE, -ENOBUFS; as sock_connect_unix();
 * -LINUX_ETOOMANYREFS: it carries more than may be under way, or sockets that might never arrive.
 */
ssize_t sock_send_unix(struct sock *s, const void *data, size_t n, const struct sock_path *path,
                       struct sock_cargo **cargo);

/* What was read. */
struct sock_read {
    bool any;                 /* there was something: else it is the end, and the rest is zero */
    struct sock_addr from;    /* of a datagram */
    struct sock_path path;    /* the same of AF_UNIX */
    size_t whole;             /* of which only the beginning was asked for */
    struct sock_cargo *cargo; /* what came with it, the caller's from here on; NULL: nothing */
};

/**
 * sock_read() - take what arrived: at most @n bytes, or a datagram's beginning
 * @peek: leave it there, and what it carries
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

/** sock_available() - bytes that can be read now, of datagrams the first. */
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

/** sock_name_unix() - the same of AF_UNIX; @of_peer: the second. */
int sock_name_unix(struct sock *s, bool of_peer, struct sock_path *path);

/** sock_peer_pid() - of AF_UNIX: who made the peer's end; 0: there is none. */
int sock_peer_pid(struct sock *s);

/** sock_listens() - whether it waits for connections. */
bool sock_listens(struct sock *s);

/** sock_set(), sock_get() - its options; @value is one that the option can have. */
void sock_set(struct sock *s, enum sock_option option, int value);
int sock_get(const struct sock *s, enum sock_option option);

#endif /* NET_SOCK_H */
