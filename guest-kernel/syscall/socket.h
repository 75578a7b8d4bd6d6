/*
 * socket.h - a socket as a file, and addresses as programs write them.
 *
 * Locks: none of its own; net/sock.h says what a socket has. Thread context.
 */
#ifndef SYSCALL_SOCKET_H
#define SYSCALL_SOCKET_H

#include "net/sock.h"
#include "syscall/task.h"
#include "syscall/umem.h"

/* A socket's address, whatever its family. */
struct socket_name {
    struct sock_addr ip;
    struct sock_path path;
};

/* What a socket's file has behind `own`. */
struct socket {
    struct sock *sock;
    nsec_t read_timeout, write_timeout; /* 0: none */
};

/** socket_new() - a file of a socket, which passes to it also on an error; NULL: no memory. */
struct file *socket_new(struct sock *s, unsigned flags);

/** socket_call() - @fn of the socket of the descriptor c->a[0]; -EBADF, -ENOTSOCK. */
int64_t socket_call(struct call *c, int64_t (*fn)(struct call *c, struct file *f));

static inline struct socket *socket_of(const struct file *f)
{
    return f->own;
}

/**
 * socket_wait() - sleep until something changed after @seen
 * @timeout: of the call, as a deadline
 *
 * Return: 0, -EAGAIN: it is over, -CALL_RESTARTS or -LINUX_EINTR: a signal came.
 */
int socket_wait(uint64_t seen, nsec_t deadline) __must_check;

/** socket_deadline() - of a call that begins now, by the timeout that the program set. */
nsec_t socket_deadline(nsec_t timeout);

/** socket_unix() - the socket that a file is of, if it is of AF_UNIX; NULL: it is none. */
struct sock *socket_unix(const struct file *f);

/** socket_cargo_free() - close what a message carries. NULL does nothing. */
void socket_cargo_free(struct sock_cargo *cargo);

/** socket_receive() - read as recvmsg() does. @info: NULL: nobody asks, nor for what came along. */
ssize_t socket_receive(struct file *f, struct umem *to, unsigned flags, struct sock_read *info);

/**
 * socket_send() - write as sendmsg() does
 * @to: NULL: whom it is connected to
 * @cargo: *@cargo is what it carries, or NULL; it becomes NULL when it went
 */
ssize_t socket_send(struct file *f, struct umem *from, unsigned flags, const struct socket_name *to,
                    struct sock_cargo **cargo);

/* ---- addresses: sockaddr.c ---- */

/**
 * sockaddr_get() - an address of a program's, for a socket
 * @binds: of AF_UNIX: the file that a path names is not looked for: socket_bind_path() makes it
 * @none: it says that there is none (AF_UNSPEC)
 *
 * Return: 0, -EFAULT, -EINVAL: its length is none, -LINUX_EAFNOSUPPORT, -ECONNREFUSED: it
 * names a file that is no socket, or what following the path gave.
 */
int sockaddr_get(struct call *c, const struct sock *s, uint64_t from, uint64_t len, bool binds,
                 struct socket_name *name, bool *none) __must_check;

/**
 * sockaddr_put() - tell a program an address
 * @to: 0: it does not ask
 * @len: where its room is written, and then how much an address takes
 * @name: NULL: there is none, which takes nothing
 */
int sockaddr_put(const struct sock *s, uint64_t to, uint64_t len,
                 const struct socket_name *name) __must_check;

/** sockaddr_cut() - the same, with its room as a number, which becomes what an address takes. */
int sockaddr_cut(const struct sock *s, uint64_t to, uint32_t *len,
                 const struct socket_name *name) __must_check;

/** sockaddr_any_is_here() - who connects to all addresses means his own. */
void sockaddr_any_is_here(struct sock_addr *addr);

/** socket_bind_unix() - give a socket a name, and if it is a path make its file. 0 or -errno. */
int socket_bind_unix(struct call *c, struct sock *s, struct sock_path *path) __must_check;

#endif /* SYSCALL_SOCKET_H */
