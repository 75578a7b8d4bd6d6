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

/* What a socket's file has behind `own`. */
struct socket {
    struct sock *sock;
    nsec_t read_timeout, write_timeout; /* 0: none */
};

/** socket_new() - a file of a socket, which passes to it also on an error; NULL: no memory. */
struct file *socket_new(struct sock *s, unsigned flags);

/** socket_get() - a descriptor's socket, @f with a reference. -EBADF, -ENOTSOCK. */
int socket_get(struct call *c, uint64_t fd, struct file **f) __must_check;

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

/**
 * socket_receive() - read as recvmsg() does
 * @info: NULL: nobody asks
 */
ssize_t socket_receive(struct file *f, struct umem *to, unsigned flags, struct sock_read *info);

/** socket_send() - write as sendmsg() does, but for the signal. @to: NULL: whom it is connected to.
 */
ssize_t socket_send(struct file *f, struct umem *from, unsigned flags, const struct sock_addr *to);

/**
 * sockaddr_get() - an address of a program's, for a socket
 * @none: it says that there is none (AF_UNSPEC)
 *
 * Return: 0, -EFAULT, -EINVAL: it is too short, -LINUX_EAFNOSUPPORT.
 */
int sockaddr_get(const struct sock *s, uint64_t from, uint64_t len, struct sock_addr *addr,
                 bool *none) __must_check;

/**
 * sockaddr_put() - tell a program an address
 * @to: 0: it does not ask
 * @len: where its room is written, and then how much an address takes
 * @addr: NULL: there is none, which takes nothing
 */
int sockaddr_put(const struct sock *s, uint64_t to, uint64_t len,
                 const struct sock_addr *addr) __must_check;

/** sockaddr_cut() - the same, with its room as a number, which becomes what an address takes. */
int sockaddr_cut(const struct sock *s, uint64_t to, uint32_t *len,
                 const struct sock_addr *addr) __must_check;

#endif /* SYSCALL_SOCKET_H */
