/*
 * sockets.c - what a program with sockets may expect.
 *
 * usage: sockets tcp        streams: birth, connections, data, ends, blocking and not
 *        sockets udp        datagrams: addresses, sizes, truncation
 *        sockets six        the same by IPv6, and IPv4 by its sockets
 *        sockets options    those that servers set, and those that nobody knows
 *        sockets polls      poll, select, epoll, eventfd, timerfd: of pipes, sockets
 *        sockets signals    what a signal does to a call that waits
 *        sockets ends       what becomes of connections of a process that ends, or runs another
 *        sockets lies       bad addresses, sizes, flags and descriptors
 *        sockets hog        who opens, and fills, without end
 *        sockets serve PORT  echo what connections to a port send, for ever, if timers run out
 * still sockets flood PORT  once told by a connection to a port, write to the console for ever, be
 *                            killed in it, and say so to the connection
 *        sockets link ADDRESS PORT  send a number every 100 ms and say what comes back, for ever
 *
 * It says what is wrong, and exits with 1; or "sockets WHAT: right", and exits with 0. All but hog
 * are right on Linux as well, where the test runs them, too: that tells what is right.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM "sockets"
#define BIG     300000
#include "peers.h"

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void pause_for(long msec)
{
    const struct timespec t = {.tv_sec = msec / 1000, .tv_nsec = msec % 1000 * MSEC};

    nanosleep(&t, NULL);
}

static long msec_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / MSEC;
}

/* A listener at the loopback's address, and its port. */
static int listener(int *port)
{
    struct sockaddr_in at = loopback(0);
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 8) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0) {
        return -1;
    }
    *port = ntohs(at.sin_port);
    return fd;
}

static int dial(int port)
{
    struct sockaddr_in to = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    return connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 ? fd : -1;
}

/* Both ends of a connection. */
static int connection(int ends[2])
{
    int port = 0, fd = listener(&port);

    ends[0] = fd < 0 ? -1 : dial(port);
    ends[1] = ends[0] < 0 ? -1 : accept(fd, NULL, NULL);
    close(fd);
    return ends[1] < 0 ? -1 : 0;
}

static int number(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);

    return getsockopt(fd, level, name, &value, &len) == 0 && len == sizeof(value) ? value : -1;
}

static int set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value));
}

/* What poll() says of it now. */
static int is_set(int fd, int flag)
{
    return (fcntl(fd, F_GETFL) & flag) != 0;
}

/* ---- tcp ---- */

static int try_birth(void)
{
    struct stat st;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    RIGHT("socket", fd >= 0, 1);
    RIGHT("nonblocking", is_set(fd, O_NONBLOCK), 1);
    RIGHT("close on exec", fcntl(fd, F_GETFD), FD_CLOEXEC);
    RIGHT("fstat", fstat(fd, &st), 0);
    RIGHT("a socket", S_ISSOCK(st.st_mode), 1);
    RIGHT("lseek", lseek(fd, 0, SEEK_SET) == -1 && errno == ESPIPE, 1);
    RIGHT("read unconnected", read(fd, &st, 1) == -1 && errno == ENOTCONN, 1);
    RIGHT("send unconnected", send(fd, "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE, 1);
    RIGHT("shutdown unconnected", shutdown(fd, SHUT_RDWR) == -1 && errno == ENOTCONN, 1);
    RIGHT("accept without listen", accept(fd, NULL, NULL) == -1 && errno == EINVAL, 1);
    RIGHT("close", close(fd), 0);
    RIGHT("udp with tcp",
          socket(AF_INET, SOCK_STREAM, IPPROTO_UDP) == -1 && errno == EPROTONOSUPPORT, 1);
    return 0;
}

static int try_names(void)
{
    struct sockaddr_in a = {0}, b = {0};
    socklen_t len = sizeof(a);
    int port = 0, fd = listener(&port), from, at;

    RIGHT("listener", fd >= 0, 1);
    RIGHT("bound twice", bind(fd, (struct sockaddr *)&a, sizeof(a)) == -1, 1);
    from = dial(port);
    at = accept4(fd, (struct sockaddr *)&a, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    RIGHT("accept4", at >= 0, 1);
    RIGHT("its length", len, sizeof(a));
    RIGHT("its flags", is_set(at, O_NONBLOCK) && fcntl(at, F_GETFD) == FD_CLOEXEC, 1);
    RIGHT("getsockname", getsockname(from, (struct sockaddr *)&b, &len), 0);
    RIGHT("who it is", a.sin_port == b.sin_port && a.sin_addr.s_addr == b.sin_addr.s_addr, 1);
    RIGHT("getpeername", getpeername(from, (struct sockaddr *)&b, &len), 0);
    RIGHT("the peer's port", ntohs(b.sin_port), port);
    RIGHT("getpeername", getpeername(fd, (struct sockaddr *)&b, &len) == -1 && errno == ENOTCONN,
          1);
    len = 4;
    b.sin_addr.s_addr = 7;
    RIGHT("cut", getsockname(from, (struct sockaddr *)&b, &len), 0);
    RIGHT("how long it is", len, sizeof(b));
    RIGHT("what is behind", b.sin_addr.s_addr, 7);
    RIGHT("connect again",
          connect(from, (struct sockaddr *)&a, sizeof(a)) == -1 && errno == EISCONN, 1);
    close(from);
    close(at);
    close(fd);
    RIGHT("refused", dial(port) == -1 && errno == ECONNREFUSED, 1);
    return 0;
}

static int try_data(void)
{
    char out[] = "seven words, and not one too many", in[64];
    struct iovec iov[] = {{out, 5}, {out + 5, 0}, {out + 5, 10}};
    struct msghdr h = {.msg_iov = iov, .msg_iovlen = 3};
    int ends[2], n;

    RIGHT("connection", connection(ends), 0);
    RIGHT("write", write(ends[0], out, 5), 5);
    RIGHT("peek", recv(ends[1], in, 3, MSG_PEEK), 3);
    RIGHT("FIONREAD", ioctl(ends[1], FIONREAD, &n), 0);
    RIGHT("how many", n, 5);
    RIGHT("read", read(ends[1], in, sizeof(in)), 5);
    RIGHT("what", memcmp(in, out, 5), 0);
    RIGHT("nothing", recv(ends[1], in, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN, 1);
    RIGHT("writev", writev(ends[0], iov, 3), 15);
    RIGHT("all", recv(ends[1], in, 15, MSG_WAITALL), 15);
    RIGHT("what", memcmp(in, out, 15), 0);
    RIGHT("sendmsg", sendmsg(ends[1], &h, MSG_NOSIGNAL), 15);
    RIGHT("poll", polled(ends[0], POLLIN, 5000), POLLIN);
    iov[0] = (struct iovec){in, 2};
    iov[1] = (struct iovec){in + 2, 1};
    iov[2] = (struct iovec){in + 3, 50};
    RIGHT("readv", readv(ends[0], iov, 3), 15);
    RIGHT("what", memcmp(in, out, 15), 0);
    RIGHT("send 0", send(ends[0], out, 0, 0), 0);
    RIGHT("read 0", read(ends[1], in, 0), 0);
    n = 1;
    RIGHT("FIONBIO", ioctl(ends[1], FIONBIO, &n), 0);
    RIGHT("nonblocking", is_set(ends[1], O_NONBLOCK), 1);
    RIGHT("nothing", read(ends[1], in, 1) == -1 && errno == EAGAIN, 1);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* More than any buffer holds. */
static int try_much(void)
{
    static char in[BIG];
    int ends[2];

    RIGHT("connection", connection(ends), 0);
    if (much_passes(ends)) {
        return 1;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    long sent = 0, n;
    do { /* until nothing is under way to the other end any more */
        while ((n = write(ends[0], big, sizeof(big))) > 0) {
            sent += n;
        }
        RIGHT("full", errno, EAGAIN);
    } while (polled(ends[0], POLLOUT, 500) != 0);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    while (sent > 0 && polled(ends[1], POLLIN, 5000) == POLLIN) {
        sent -= read(ends[1], in, sizeof(in));
    }
    RIGHT("all of it", sent, 0);
    RIGHT("writable", polled(ends[0], POLLOUT, 5000), POLLOUT);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static int try_shutdown(void)
{
    char in[8];
    int ends[2];

    signal(SIGPIPE, SIG_IGN);
    RIGHT("connection", connection(ends), 0);
    RIGHT("write", write(ends[0], "bye", 3), 3);
    RIGHT("shutdown", shutdown(ends[0], SHUT_WR), 0);
    RIGHT("shutdown again", shutdown(ends[0], SHUT_WR), 0);
    RIGHT("write", write(ends[0], "x", 1) == -1 && errno == EPIPE, 1);
    RIGHT("hang-up", polled(ends[1], POLLRDHUP, 5000), POLLRDHUP);
    RIGHT("read", read(ends[1], in, sizeof(in)), 3);
    RIGHT("end", read(ends[1], in, sizeof(in)), 0);
    RIGHT("end", read(ends[1], in, sizeof(in)), 0);
    RIGHT("the other way", write(ends[1], "so long", 7), 7);
    RIGHT("read", recv(ends[0], in, 7, MSG_WAITALL), 7);
    RIGHT("shutdown", shutdown(ends[1], SHUT_RDWR), 0);
    RIGHT("hang-up", polled(ends[0], POLLIN, 5000) & (POLLIN | POLLHUP), POLLIN | POLLHUP);
    RIGHT("end", read(ends[0], in, 1), 0);
    RIGHT("end", read(ends[1], in, 1), 0);
    pause_for(50);
    RIGHT("and still", write(ends[0], "x", 1) == -1 && errno == EPIPE, 1);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* The peer closes with data unread: a reset. */
static int try_reset(void)
{
    const struct linger now = {.l_onoff = 1};
    char in[8];
    int ends[2], error = 7;
    socklen_t len = sizeof(error);

    RIGHT("connection", connection(ends), 0);
    RIGHT("linger", setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    close(ends[0]);
    RIGHT("poll", polled(ends[1], POLLIN, 5000), POLLIN | POLLERR | POLLHUP);
    RIGHT("SO_ERROR", getsockopt(ends[1], SOL_SOCKET, SO_ERROR, &error, &len), 0);
    RIGHT("error", error, ECONNRESET);
    RIGHT("read", read(ends[1], in, 1), 0);
    RIGHT("write", write(ends[1], in, 1) == -1 && errno == EPIPE, 1);
    close(ends[1]);
    RIGHT("connection", connection(ends), 0);
    RIGHT("write", write(ends[0], "unread", 6), 6);
    RIGHT("poll", polled(ends[1], POLLIN, 5000), POLLIN);
    close(ends[1]);
    RIGHT("reset", polled(ends[0], POLLIN, 5000) & POLLERR, POLLERR);
    RIGHT("read", read(ends[0], in, 1) == -1 && errno == ECONNRESET, 1);
    close(ends[0]);
    return 0;
}

static int try_nonblocking(void)
{
    struct sockaddr_in to;
    int error = 7, port = 0, fd = listener(&port), s;
    socklen_t len = sizeof(error);

    to = loopback(port);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    RIGHT("nobody", accept(fd, NULL, NULL) == -1 && errno == EAGAIN, 1);
    RIGHT("nobody", polled(fd, POLLIN, 0), 0);
    s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    error = connect(s, (struct sockaddr *)&to, sizeof(to));
    RIGHT("connect", error == 0 || errno == EINPROGRESS, 1);
    RIGHT("connected", polled(s, POLLOUT, 5000), POLLOUT);
    RIGHT("SO_ERROR", getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &len), 0);
    RIGHT("error", error, 0);
    RIGHT("somebody", polled(fd, POLLIN, 5000), POLLIN);
    int at = accept(fd, NULL, NULL);
    RIGHT("accept", at >= 0, 1);
    RIGHT("blocks", is_set(at, O_NONBLOCK), 0);
    close(at);
    close(s);
    close(fd);
    s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    RIGHT("connect", connect(s, (struct sockaddr *)&to, sizeof(to)) == -1, 1);
    if (errno == EINPROGRESS) {
        RIGHT("poll", polled(s, POLLOUT, 5000), POLLOUT | POLLERR | POLLHUP);
        RIGHT("SO_ERROR", getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &len), 0);
        RIGHT("error", error, ECONNREFUSED);
    }
    close(s);
    return 0;
}

static int try_ports(void)
{
    struct sockaddr_in at;
    int port = 0, fd = listener(&port), other = socket(AF_INET, SOCK_STREAM, 0);
    int ends[2];

    at = loopback(port);
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    RIGHT("taken", bind(other, (struct sockaddr *)&at, sizeof(at)) == -1 && errno == EADDRINUSE, 1);
    ends[0] = dial(port);
    ends[1] = accept(fd, NULL, NULL);
    close(fd);
    close(ends[1]);
    close(ends[0]);
    RIGHT("SO_REUSEADDR", set(other, SOL_SOCKET, SO_REUSEADDR, 1), 0);
    RIGHT("free again", bind(other, (struct sockaddr *)&at, sizeof(at)), 0);
    RIGHT("listen", listen(other, 1), 0);
    RIGHT("listen", listen(other, 5), 0);
    close(other);
    at.sin_addr.s_addr = htonl(0xc0000201);
    other = socket(AF_INET, SOCK_STREAM, 0);
    RIGHT("nobody's",
          bind(other, (struct sockaddr *)&at, sizeof(at)) == -1 && errno == EADDRNOTAVAIL, 1);
    close(other);
    return 0;
}

static int tcp(void)
{
    return try_birth() || try_names() || try_data() || try_much() || try_shutdown() ||
           try_reset() || try_nonblocking() || try_ports();
}

/* ---- udp ---- */

static int bound(struct sockaddr_in *at)
{
    socklen_t len = sizeof(*at);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    *at = loopback(0);
    return bind(fd, (struct sockaddr *)at, len) == 0 &&
                   getsockname(fd, (struct sockaddr *)at, &len) == 0
               ? fd
               : -1;
}

/* Who has shut his own direction is told so, and gets no signal. */
static int try_shut(void)
{
    struct sockaddr_in a;
    int fd = bound(&a);

    act(SIGPIPE, note, 0);
    seen = 0;
    RIGHT("connect", connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    RIGHT("shutdown", shutdown(fd, SHUT_WR), 0);
    RIGHT("write", write(fd, "x", 1) == -1 && errno == EPIPE, 1);
    RIGHT("send", send(fd, "x", 1, 0) == -1 && errno == EPIPE, 1);
    RIGHT("no signal", seen, 0);
    close(fd);
    return 0;
}

/* A read of nothing takes no datagram; and of an end there is no sender. */
static int try_nothing(void)
{
    struct sockaddr_in a, from;
    struct msghdr h = {.msg_name = &from, .msg_namelen = sizeof(from)};
    socklen_t len = sizeof(from);
    int fd = bound(&a);
    char in[8];

    RIGHT("connect", connect(fd, (struct sockaddr *)&a, sizeof(a)), 0); /* itself */
    RIGHT("send", send(fd, "one", 3, 0), 3);
    RIGHT("poll", polled(fd, POLLIN, 5000), POLLIN);
    RIGHT("read 0", read(fd, in, 0), 0);
    RIGHT("it is there still", recv(fd, in, sizeof(in), MSG_DONTWAIT), 3);
    RIGHT("shutdown", shutdown(fd, SHUT_RD), 0);
    memset(&from, 0x77, sizeof(from));
    RIGHT("recvfrom", recvfrom(fd, in, 8, MSG_TRUNC, (struct sockaddr *)&from, &len), 0);
    RIGHT("from nobody", len == 0 && from.sin_port == 0x7777, 1);
    RIGHT("recvmsg", recvmsg(fd, &h, MSG_TRUNC), 0);
    RIGHT("from nobody", h.msg_namelen == 0 && h.msg_flags == 0 && from.sin_port == 0x7777, 1);
    close(fd);
    return 0;
}

static int udp(void)
{
    struct sockaddr_in a = {0}, b = {0}, from = {0}, none = {.sin_family = AF_UNSPEC};
    struct iovec iov[2];
    struct msghdr h = {
        .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = iov, .msg_iovlen = 2};
    static char in[70000];
    int fa = bound(&a), fb = bound(&b), n;
    socklen_t len = sizeof(from);

    RIGHT("bound", fa >= 0 && fb >= 0, 1);
    RIGHT("writable", polled(fa, POLLIN | POLLOUT, 0), POLLOUT);
    RIGHT("to nobody", send(fa, "x", 1, 0) == -1 && errno == EDESTADDRREQ, 1);
    RIGHT("sendto", sendto(fa, "one", 3, 0, (struct sockaddr *)&b, sizeof(b)), 3);
    RIGHT("sendto", sendto(fa, "", 0, 0, (struct sockaddr *)&b, sizeof(b)), 0);
    RIGHT("sendto", sendto(fa, "three", 5, 0, (struct sockaddr *)&b, sizeof(b)), 5);
    RIGHT("poll", polled(fb, POLLIN, 5000), POLLIN);
    RIGHT("FIONREAD", ioctl(fb, FIONREAD, &n), 0);
    RIGHT("how many", n, 3);
    RIGHT("peek", recvfrom(fb, in, 2, MSG_PEEK | MSG_TRUNC, NULL, NULL), 3);
    RIGHT("recvfrom", recvfrom(fb, in, sizeof(in), 0, (struct sockaddr *)&from, &len), 3);
    RIGHT("from", from.sin_port == a.sin_port && len == sizeof(from), 1);
    RIGHT("nothing in it", recv(fb, in, sizeof(in), 0), 0);
    iov[0] = (struct iovec){in, 1};
    iov[1] = (struct iovec){in + 1, 2};
    RIGHT("recvmsg", recvmsg(fb, &h, 0), 3);
    RIGHT("cut", h.msg_flags, MSG_TRUNC);
    RIGHT("from", from.sin_port == a.sin_port && h.msg_namelen == sizeof(from), 1);
    RIGHT("no more", recv(fb, in, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN, 1);
    RIGHT("connect", connect(fa, (struct sockaddr *)&b, sizeof(b)), 0);
    RIGHT("connect again", connect(fa, (struct sockaddr *)&b, sizeof(b)), 0);
    RIGHT("big", send(fa, in, 60000, 0), 60000);
    RIGHT("big", read(fb, in, sizeof(in)), 60000);
    RIGHT("too big", send(fa, in, 66000, 0) == -1 && errno == EMSGSIZE, 1);
    RIGHT("getpeername", getpeername(fa, (struct sockaddr *)&from, &len), 0);
    RIGHT("peer", from.sin_port, b.sin_port);
    RIGHT("of nobody", getpeername(fb, (struct sockaddr *)&from, &len) == -1 && errno == ENOTCONN,
          1);
    RIGHT("disconnect", connect(fa, (struct sockaddr *)&none, sizeof(none)), 0);
    RIGHT("to nobody", write(fa, "x", 1) == -1 && errno == EDESTADDRREQ, 1);
    RIGHT("listen", listen(fa, 1) == -1 && errno == EOPNOTSUPP, 1);
    RIGHT("accept", accept(fa, NULL, NULL) == -1 && errno == EOPNOTSUPP, 1);
    b.sin_addr.s_addr = htonl(INADDR_BROADCAST);
    RIGHT("to all", sendto(fa, "x", 1, 0, (struct sockaddr *)&b, sizeof(b)) == -1, 1);
    RIGHT("not allowed", errno == EACCES || errno == ENETUNREACH, 1);
    close(fa);
    close(fb);
    return try_shut() || try_nothing();
}

/* ---- six ---- */

/* All addresses are those of IPv4, too: who listens at them has the port, reused or not. */
static int try_both(void)
{
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 all = {.sin6_family = AF_INET6};
    int port = 0;

    for (int reuse = 0; reuse < 2; reuse++) {
        int fd = listener(&port), other = socket(AF_INET6, SOCK_STREAM, 0);

        all.sin6_port = htons((uint16_t)port);
        set(fd, SOL_SOCKET, SO_REUSEADDR, reuse);
        set(other, SOL_SOCKET, SO_REUSEADDR, reuse);
        RIGHT("taken by IPv4",
              bind(other, (struct sockaddr *)&all, sizeof(all)) == -1 && errno == EADDRINUSE, 1);
        close(fd);
        RIGHT("free", bind(other, (struct sockaddr *)&all, sizeof(all)), 0);
        RIGHT("listen", listen(other, 1), 0);
        fd = socket(AF_INET, SOCK_STREAM, 0);
        set(fd, SOL_SOCKET, SO_REUSEADDR, reuse);
        four.sin_port = all.sin6_port;
        RIGHT("taken by both",
              bind(fd, (struct sockaddr *)&four, sizeof(four)) == -1 && errno == EADDRINUSE, 1);
        close(other);
        close(fd);
    }
    return 0;
}

static int try_six(void)
{
    struct sockaddr_in6 at = {.sin6_family = AF_INET6}, from = {0};
    socklen_t len = sizeof(at);
    char in[8];
    int fd = socket(AF_INET6, SOCK_STREAM, 0), s, peer;

    RIGHT("bind", bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    RIGHT("listen", listen(fd, 4), 0);
    RIGHT("getsockname", getsockname(fd, (struct sockaddr *)&at, &len), 0);
    RIGHT("any", IN6_IS_ADDR_UNSPECIFIED(&at.sin6_addr), 1);
    at.sin6_addr = in6addr_loopback;
    s = socket(AF_INET6, SOCK_STREAM, 0);
    RIGHT("connect", connect(s, (struct sockaddr *)&at, sizeof(at)), 0);
    len = sizeof(from);
    peer = accept(fd, (struct sockaddr *)&from, &len);
    RIGHT("accept", peer >= 0 && len == sizeof(from), 1);
    RIGHT("from", IN6_IS_ADDR_LOOPBACK(&from.sin6_addr), 1);
    RIGHT("write", write(s, "six", 3), 3);
    RIGHT("read", read(peer, in, sizeof(in)), 3);
    close(s);
    close(peer);
    s = dial(ntohs(at.sin6_port));
    RIGHT("by IPv4", s >= 0, 1);
    peer = accept(fd, (struct sockaddr *)&from, &len);
    RIGHT("mapped", IN6_IS_ADDR_V4MAPPED(&from.sin6_addr), 1);
    RIGHT("write", write(s, "four", 4), 4);
    RIGHT("read", read(peer, in, sizeof(in)), 4);
    close(s);
    close(peer);
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &at.sin6_addr);
    s = socket(AF_INET6, SOCK_STREAM, 0);
    RIGHT("connect mapped", connect(s, (struct sockaddr *)&at, sizeof(at)), 0);
    close(s);
    close(fd);
    return 0;
}

static int six(void)
{
    return try_six() || try_both();
}

/* ---- options ---- */

static int options(void)
{
    static const struct {
        int level, name, start;
    } flags[] = {{SOL_SOCKET, SO_REUSEADDR, 0},
                 {SOL_SOCKET, SO_KEEPALIVE, 0},
                 {SOL_SOCKET, SO_BROADCAST, 0},
                 {IPPROTO_TCP, TCP_NODELAY, 0}};
    const struct timeval soon = {.tv_usec = 60000};
    struct timeval tv;
    struct linger linger = {.l_onoff = 1, .l_linger = 5};
    int fd = socket(AF_INET, SOCK_STREAM, 0), ends[2];
    socklen_t len = sizeof(tv);
    char in[1];

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        RIGHT("at first", number(fd, flags[i].level, flags[i].name), flags[i].start);
        RIGHT("set", set(fd, flags[i].level, flags[i].name, 7), 0);
        RIGHT("then", number(fd, flags[i].level, flags[i].name), 1);
    }
    RIGHT("type", number(fd, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
    RIGHT("domain", number(fd, SOL_SOCKET, SO_DOMAIN), AF_INET);
    RIGHT("protocol", number(fd, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
    RIGHT("listens", number(fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
    RIGHT("send buffer", set(fd, SOL_SOCKET, SO_SNDBUF, 20000), 0);
    RIGHT("send buffer", number(fd, SOL_SOCKET, SO_SNDBUF), 40000);
    RIGHT("receive buffer", set(fd, SOL_SOCKET, SO_RCVBUF, 20000), 0);
    RIGHT("receive buffer", number(fd, SOL_SOCKET, SO_RCVBUF), 40000);
    RIGHT("idle", set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60), 0);
    RIGHT("idle", number(fd, IPPROTO_TCP, TCP_KEEPIDLE), 60);
    RIGHT("idle", set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 0) == -1 && errno == EINVAL, 1);
    RIGHT("linger", setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    linger.l_linger = 0;
    len = sizeof(linger);
    RIGHT("linger", getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len), 0);
    RIGHT("linger", linger.l_onoff == 1 && linger.l_linger == 5, 1);
    RIGHT("set", set(fd, SOL_SOCKET, SO_TYPE, 1) == -1 && errno == ENOPROTOOPT, 1);
    RIGHT("set", set(fd, SOL_SOCKET, 4000, 1) == -1 && errno == ENOPROTOOPT, 1);
    RIGHT("get", number(fd, SOL_SOCKET, 4000) == -1 && errno == ENOPROTOOPT, 1);
    RIGHT("short", setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &ends, 1) == -1 && errno == EINVAL, 1);
    close(fd);
    RIGHT("connection", connection(ends), 0);
    RIGHT("timeout", setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)), 0);
    len = sizeof(tv);
    RIGHT("timeout", getsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &tv, &len), 0);
    RIGHT("timeout", tv.tv_usec, soon.tv_usec);
    long before = msec_now();
    RIGHT("read", read(ends[0], in, 1) == -1 && errno == EAGAIN, 1);
    RIGHT("it waited", msec_now() - before >= 60, 1);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* ---- polls ---- */

static int try_eventfd(void)
{
    uint64_t value = 5;
    int fd = eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC), one = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);

    RIGHT("ready", polled(fd, POLLIN | POLLOUT, 0), POLLIN | POLLOUT);
    RIGHT("write", write(fd, &value, 8), 8);
    RIGHT("read", read(fd, &value, 8), 8);
    RIGHT("sum", value, 8);
    RIGHT("empty", read(fd, &value, 8) == -1 && errno == EAGAIN, 1);
    RIGHT("not ready", polled(fd, POLLIN | POLLOUT, 0), POLLOUT);
    RIGHT("short", read(fd, &value, 7) == -1 && errno == EINVAL, 1);
    value = UINT64_MAX;
    RIGHT("most", write(fd, &value, 8) == -1 && errno == EINVAL, 1);
    value = UINT64_MAX - 1;
    RIGHT("full", write(fd, &value, 8), 8);
    RIGHT("not writable", polled(fd, POLLIN | POLLOUT, 0), POLLIN);
    RIGHT("over", write(fd, &value, 8) == -1 && errno == EAGAIN, 1);
    RIGHT("read", read(one, &value, 8), 8);
    RIGHT("one", value, 1);
    RIGHT("read", read(one, &value, 8), 8);
    RIGHT("no more", read(one, &value, 8) == -1 && errno == EAGAIN, 1);
    close(fd);
    close(one);
    return 0;
}

static int try_select(void)
{
    struct timeval tv = {.tv_usec = 30000};
    struct timespec soon = {.tv_nsec = 30 * MSEC};
    struct pollfd p = {.events = POLLIN};
    fd_set in, out;
    int fds[2];

    RIGHT("pipe", pipe(fds), 0);
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(fds[0], &in);
    FD_SET(fds[1], &out);
    RIGHT("select", select(fds[1] + 1, &in, &out, NULL, NULL), 1);
    RIGHT("who", !FD_ISSET(fds[0], &in) && FD_ISSET(fds[1], &out), 1);
    FD_SET(fds[0], &in);
    long before = msec_now();
    RIGHT("nobody", select(fds[1] + 1, &in, NULL, NULL, &tv), 0);
    RIGHT("it waited", msec_now() - before >= 30, 1);
    RIGHT("nothing left", tv.tv_sec + tv.tv_usec, 0);
    RIGHT("nobody", FD_ISSET(fds[0], &in), 0);
    p.fd = fds[0];
    RIGHT("ppoll", ppoll(&p, 1, &soon, NULL), 0);
    RIGHT("write", write(fds[1], "x", 1), 1);
    RIGHT("ppoll", ppoll(&p, 1, NULL, NULL), 1);
    FD_SET(fds[0], &in);
    RIGHT("pselect", pselect(fds[1] + 1, &in, NULL, NULL, NULL, NULL), 1);
    close(fds[1]);
    RIGHT("read", read(fds[0], &p, 1), 1);
    FD_SET(fds[0], &in);
    RIGHT("its end", select(fds[1] + 1, &in, NULL, NULL, NULL), 1);
    close(fds[0]);
    FD_SET(fds[0], &in);
    RIGHT("closed", select(fds[1] + 1, &in, NULL, NULL, NULL) == -1 && errno == EBADF, 1);
    RIGHT("closed", polled(fds[0], POLLIN, 0), POLLNVAL);
    return 0;
}

/* What an epoll tells now: the one event's data, 0: nothing; -1: more. */
static int told(int epoll, uint32_t *events)
{
    struct epoll_event e[4];
    int n = epoll_wait(epoll, e, 4, 0);

    *events = n == 1 ? e[0].events : 0;
    return n == 1 ? e[0].data.fd : n == 0 ? 0 : -1;
}

static int watch(int epoll, int what, int fd, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.fd = fd};

    return epoll_ctl(epoll, what, fd, &e);
}

static int try_epoll(void)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC), fds[2], other;
    uint32_t events;
    char in[4];

    RIGHT("pipe", pipe(fds), 0);
    RIGHT("add", watch(epoll, EPOLL_CTL_ADD, fds[0], EPOLLIN), 0);
    RIGHT("again", watch(epoll, EPOLL_CTL_ADD, fds[0], EPOLLIN) == -1 && errno == EEXIST, 1);
    RIGHT("nothing", told(epoll, &events), 0);
    RIGHT("write", write(fds[1], "ab", 2), 2);
    RIGHT("told", told(epoll, &events), fds[0]);
    RIGHT("of", events, EPOLLIN);
    RIGHT("told again", told(epoll, &events), fds[0]);
    RIGHT("itself", polled(epoll, POLLIN, 0), POLLIN);
    RIGHT("edge", watch(epoll, EPOLL_CTL_MOD, fds[0], EPOLLIN | EPOLLET), 0);
    RIGHT("told", told(epoll, &events), fds[0]);
    RIGHT("only once", told(epoll, &events), 0);
    RIGHT("write", write(fds[1], "c", 1), 1);
    RIGHT("told of more", told(epoll, &events), fds[0]);
    RIGHT("only once", told(epoll, &events), 0);
    RIGHT("one shot", watch(epoll, EPOLL_CTL_MOD, fds[0], EPOLLIN | EPOLLONESHOT), 0);
    RIGHT("told", told(epoll, &events), fds[0]);
    RIGHT("write", write(fds[1], "d", 1), 1);
    RIGHT("only once", told(epoll, &events), 0);
    RIGHT("once more", watch(epoll, EPOLL_CTL_MOD, fds[0], EPOLLIN | EPOLLONESHOT), 0);
    RIGHT("told", told(epoll, &events), fds[0]);
    RIGHT("remove", watch(epoll, EPOLL_CTL_DEL, fds[0], 0), 0);
    RIGHT("again", watch(epoll, EPOLL_CTL_DEL, fds[0], 0) == -1 && errno == ENOENT, 1);
    RIGHT("add", watch(epoll, EPOLL_CTL_ADD, fds[0], EPOLLIN), 0);
    other = dup(fds[0]);
    close(fds[0]);
    RIGHT("its file is open", told(epoll, &events), fds[0]);
    close(other);
    RIGHT("its file is gone", told(epoll, &events), 0);
    RIGHT("itself", watch(epoll, EPOLL_CTL_ADD, epoll, EPOLLIN) == -1 && errno == EINVAL, 1);
    RIGHT("no epoll", watch(fds[1], EPOLL_CTL_ADD, epoll, EPOLLIN) == -1 && errno == EINVAL, 1);
    RIGHT("none", watch(epoll, EPOLL_CTL_ADD, 200, EPOLLIN) == -1 && errno == EBADF, 1);
    RIGHT("what", watch(epoll, 9, fds[1], EPOLLIN) == -1 && errno == EINVAL, 1);
    RIGHT("room", epoll_wait(epoll, (void *)in, 0, 0) == -1 && errno == EINVAL, 1);
    close(fds[1]);
    close(epoll);
    return 0;
}

static void *write_later(void *fd)
{
    pause_for(100);
    return (void *)write((int)(intptr_t)fd, "x", 1);
}

static int try_epoll_sockets(void)
{
    int epoll = epoll_create1(0), ends[2], port = 0, fd = listener(&port), s;
    struct epoll_event e;
    uint32_t events;
    pthread_t t;
    char in[8];

    RIGHT("add", watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET), 0);
    RIGHT("nobody", told(epoll, &events), 0);
    s = dial(port);
    RIGHT("somebody", epoll_wait(epoll, &e, 1, 5000), 1);
    RIGHT("once", told(epoll, &events), 0);
    close(accept(fd, NULL, NULL));
    close(fd);
    close(s);
    RIGHT("connection", connection(ends), 0);
    RIGHT("add", watch(epoll, EPOLL_CTL_ADD, ends[0], EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP),
          0);
    RIGHT("writable", told(epoll, &events), ends[0]);
    RIGHT("of", events, EPOLLOUT);
    pause_for(1200);
    RIGHT("no more", told(epoll, &events), 0);
    pthread_create(&t, NULL, write_later, (void *)(intptr_t)ends[1]);
    RIGHT("wait", epoll_wait(epoll, &e, 1, 5000), 1);
    RIGHT("of", e.events, EPOLLIN | EPOLLOUT);
    pthread_join(t, NULL);
    RIGHT("read", read(ends[0], in, sizeof(in)), 1);
    RIGHT("nothing new", told(epoll, &events), 0);
    close(ends[1]);
    RIGHT("wait", epoll_wait(epoll, &e, 1, 5000), 1);
    RIGHT("of", e.events, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
    close(ends[0]);
    long before = msec_now();
    RIGHT("in time", epoll_wait(epoll, &e, 1, 50), 0);
    RIGHT("it waited", msec_now() - before >= 50, 1);
    close(epoll);
    return 0;
}

/* A signal that is blocked but while one waits. */
static int try_masks(void)
{
    struct pollfd p = {.events = POLLIN};
    struct epoll_event e;
    int fds[2], epoll = epoll_create1(0);
    sigset_t none;

    sigemptyset(&none);
    act(SIGUSR1, note, SA_RESTART);
    block(SIG_BLOCK, SIGUSR1);
    RIGHT("pipe", pipe(fds), 0);
    p.fd = fds[0];
    raise(SIGUSR1);
    seen = 0;
    RIGHT("ppoll", ppoll(&p, 1, NULL, &none) == -1 && errno == EINTR, 1);
    RIGHT("handler", seen, SIGUSR1);
    seen = 0;
    raise(SIGUSR1);
    RIGHT("blocked again", seen, 0);
    RIGHT("epoll", epoll_pwait(epoll, &e, 1, -1, &none) == -1 && errno == EINTR, 1);
    RIGHT("handler", seen, SIGUSR1);
    block(SIG_UNBLOCK, SIGUSR1);
    close(fds[0]);
    close(fds[1]);
    close(epoll);
    return 0;
}

static int try_bad_polls(void)
{
    void *volatile nowhere = (void *)8;
    int epoll = epoll_create1(0), fds[2];
    struct epoll_event e = {.events = EPOLLIN};

    RIGHT("pipe", pipe(fds), 0);
    RIGHT("poll", poll(nowhere, 1, 0) == -1 && errno == EFAULT, 1);
    RIGHT("poll", poll(nowhere, 5000, 0) == -1, 1);
    RIGHT("select", select(5, nowhere, NULL, NULL, NULL) == -1 && errno == EFAULT, 1);
    RIGHT("select", select(-1, NULL, NULL, NULL, NULL) == -1 && errno == EINVAL, 1);
    RIGHT("select", syscall(SYS_select, 0, NULL, NULL, NULL, nowhere) == -1 && errno == EFAULT, 1);
    RIGHT("epoll_ctl", epoll_ctl(epoll, EPOLL_CTL_ADD, fds[0], nowhere) == -1 && errno == EFAULT,
          1);
    RIGHT("epoll_ctl", epoll_ctl(epoll, EPOLL_CTL_ADD, fds[1], &e), 0);
    e.events = EPOLLOUT;
    RIGHT("epoll_ctl", epoll_ctl(epoll, EPOLL_CTL_MOD, fds[1], &e), 0);
    RIGHT("epoll_wait", epoll_wait(epoll, nowhere, 1, 0) == -1 && errno == EFAULT, 1);
    RIGHT("epoll_wait", epoll_wait(fds[0], &e, 1, 0) == -1 && errno == EINVAL, 1);
    RIGHT("epoll_create1", epoll_create1(1) == -1 && errno == EINVAL, 1);
    RIGHT("eventfd", eventfd(0, 0x1000000) == -1 && errno == EINVAL, 1);
    close(fds[0]);
    close(fds[1]);
    close(epoll);
    return 0;
}

static const int clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME};

#define CLOCKS (sizeof(clocks) / sizeof(clocks[0]))

/* One that runs out after @first, and then every @interval nanoseconds. */
static int timer(int clock, long first, long interval)
{
    const struct itimerspec t = {.it_value = {.tv_nsec = first},
                                 .it_interval = {.tv_nsec = interval}};
    int fd = timerfd_create(clock, TFD_CLOEXEC);

    return fd >= 0 && timerfd_settime(fd, 0, &t, NULL) == 0 ? fd : -1;
}

static int try_timer(int clock)
{
    const struct itimerspec none = {.it_value = {0}};
    struct itimerspec t = {.it_value = {0}};
    struct epoll_event e = {.events = EPOLLIN};
    int fd = timer(clock, 50 * MSEC, 0), epoll = epoll_create1(0);
    uint64_t n = 0;

    RIGHT("timer", fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC, 1);
    RIGHT("not yet", polled(fd, POLLIN, 0), 0);
    RIGHT("left",
          timerfd_gettime(fd, &t) == 0 && t.it_value.tv_nsec > 0 &&
              t.it_value.tv_nsec <= 50 * MSEC && t.it_interval.tv_nsec == 0,
          1);
    RIGHT("add", epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e), 0);
    RIGHT("runs out", epoll_wait(epoll, &e, 1, 5000), 1);
    RIGHT("once", read(fd, &n, 8) == 8 && n == 1, 1);
    RIGHT("nothing left", timerfd_gettime(fd, &t) == 0 && t.it_value.tv_nsec == 0, 1);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    RIGHT("no more", read(fd, &n, 8) == -1 && errno == EAGAIN, 1);
    fcntl(fd, F_SETFL, 0);
    close(fd);
    /* Short ones cost no more than they are asked. */
    fd = timer(clock, MSEC, 1);
    pause_for(20);
    RIGHT("often", read(fd, &n, 8) == 8 && n > 10 * MSEC, 1);
    RIGHT("stop", timerfd_settime(fd, 0, &none, &t) == 0 && t.it_interval.tv_nsec == 1, 1);
    pause_for(5);
    RIGHT("stopped", polled(fd, POLLIN, 0), 0);
    /* A time that is over. */
    RIGHT("now", clock_gettime(clock, &t.it_value), 0);
    t.it_value.tv_sec--;
    t.it_interval.tv_nsec = 100 * MSEC;
    RIGHT("set", timerfd_settime(fd, TFD_TIMER_ABSTIME, &t, NULL), 0);
    RIGHT("since then", read(fd, &n, 8) == 8 && n >= 11 && n < 100, 1);
    close(fd);
    close(epoll);
    return 0;
}

static int try_bad_timers(void)
{
    void *volatile nowhere = (void *)8;
    struct itimerspec t = {.it_value = {.tv_nsec = 2000 * MSEC}};
    int fd = timerfd_create(CLOCK_MONOTONIC, 0), fds[2];
    uint32_t n;

    RIGHT("pipe", pipe(fds), 0);
    RIGHT("clock", timerfd_create(77, 0) == -1 && errno == EINVAL, 1);
    RIGHT("flags", timerfd_create(CLOCK_MONOTONIC, 1) == -1 && errno == EINVAL, 1);
    RIGHT("time", timerfd_settime(fd, 0, &t, NULL) == -1 && errno == EINVAL, 1);
    t.it_value.tv_nsec = 1;
    RIGHT("flags", timerfd_settime(fd, 77, &t, NULL) == -1 && errno == EINVAL, 1);
    RIGHT("no timer", timerfd_settime(fds[0], 0, &t, NULL) == -1 && errno == EINVAL, 1);
    RIGHT("no file", timerfd_settime(-1, 0, &t, NULL) == -1 && errno == EBADF, 1);
    RIGHT("nowhere", timerfd_settime(fd, 0, nowhere, NULL) == -1 && errno == EFAULT, 1);
    RIGHT("nowhere", timerfd_gettime(fd, nowhere) == -1 && errno == EFAULT, 1);
    RIGHT("too short", read(fd, &n, 4) == -1 && errno == EINVAL, 1);
    RIGHT("write", write(fd, "12345678", 8) == -1 && errno == EINVAL, 1);
    t.it_value.tv_sec = INT64_MAX;
    RIGHT("far", timerfd_settime(fd, 0, &t, NULL) == 0 && timerfd_gettime(fd, &t) == 0, 1);
    RIGHT("far", t.it_value.tv_sec > 1000000000, 1);
    close(fd);
    close(fds[0]);
    close(fds[1]);
    return 0;
}

static int try_timers(void)
{
    for (size_t i = 0; i < CLOCKS; i++) {
        if (try_timer(clocks[i])) {
            return 1;
        }
    }
    return try_bad_timers();
}

static int polls(void)
{
    return try_timers() || try_eventfd() || try_select() || try_epoll() || try_epoll_sockets() ||
           try_masks() || try_bad_polls();
}

/* ---- signals ---- */

/* A child that sends us a signal, and then a byte. */
static pid_t nudge(int fd, int number)
{
    pid_t child = fork();

    if (child == 0) {
        pause_for(100);
        kill(getppid(), number);
        pause_for(100);
        _exit(write(fd, "x", 1) == 1 ? 0 : 1);
    }
    return child;
}

static int signals(void)
{
    const struct timeval later = {.tv_sec = 5};
    char in[4];
    int ends[2], status, port = 0, fd;

    RIGHT("connection", connection(ends), 0);
    act(SIGUSR1, note, SA_RESTART);
    act(SIGUSR2, note, 0);
    pid_t child = nudge(ends[1], SIGUSR1);
    RIGHT("made again", read(ends[0], in, 1), 1);
    RIGHT("handler", seen, SIGUSR1);
    RIGHT("child", waitpid(child, &status, 0) == child && status == 0, 1);
    child = nudge(ends[1], SIGUSR2);
    RIGHT("interrupted", read(ends[0], in, 1) == -1 && errno == EINTR, 1);
    RIGHT("handler", seen, SIGUSR2);
    RIGHT("and then", read(ends[0], in, 1), 1);
    RIGHT("child", waitpid(child, &status, 0) == child && status == 0, 1);
    RIGHT("timeout", setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &later, sizeof(later)), 0);
    child = nudge(ends[1], SIGUSR1);
    RIGHT("interrupted", read(ends[0], in, 1) == -1 && errno == EINTR, 1);
    RIGHT("and then", read(ends[0], in, 1), 1);
    RIGHT("child", waitpid(child, &status, 0) == child && status == 0, 1);
    fd = listener(&port);
    child = nudge(ends[1], SIGUSR2);
    RIGHT("accept", accept(fd, NULL, NULL) == -1 && errno == EINTR, 1);
    RIGHT("child", waitpid(child, &status, 0) == child && status == 0, 1);
    close(fd);
    act(SIGPIPE, note, 0);
    RIGHT("shutdown", shutdown(ends[0], SHUT_WR), 0);
    RIGHT("write", write(ends[0], "x", 1) == -1 && errno == EPIPE, 1);
    RIGHT("SIGPIPE", seen, SIGPIPE);
    seen = 0;
    RIGHT("send", send(ends[0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE, 1);
    RIGHT("none", seen, 0);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* ---- ends ---- */

static void *read_one(void *fd)
{
    char in;

    return (void *)read((int)(intptr_t)fd, &in, 1);
}

static int ends(void)
{
    int pair[2], status;
    pthread_t t;
    void *rc;
    char in[4];

    RIGHT("connection", connection(pair), 0);
    pid_t child = fork();
    if (child == 0) {
        close(pair[0]);
        _exit(write(pair[1], "hi", 2) == 2 ? 0 : 1);
    }
    close(pair[1]);
    RIGHT("read", recv(pair[0], in, 2, MSG_WAITALL), 2);
    RIGHT("its end", read(pair[0], in, 1), 0);
    RIGHT("child", waitpid(child, &status, 0) == child && status == 0, 1);
    close(pair[0]);
    RIGHT("connection", connection(pair), 0);
    child = fork();
    if (child == 0) {
        (void)!read(pair[1], in, 1);
        _exit(0);
    }
    close(pair[1]);
    pause_for(50);
    kill(child, SIGKILL);
    RIGHT("killed", waitpid(child, &status, 0) == child && WIFSIGNALED(status), 1);
    RIGHT("its end", read(pair[0], in, 1), 0);
    close(pair[0]);
    RIGHT("connection", connection(pair), 0);
    pthread_create(&t, NULL, read_one, (void *)(intptr_t)pair[0]);
    pause_for(50);
    close(pair[0]);
    RIGHT("write", write(pair[1], "x", 1), 1);
    pthread_join(t, &rc);
    RIGHT("goes on with its file", (long)rc, 1);
    close(pair[1]);
    return 0;
}

/* ---- lies ---- */

/* Bytes behind a hole in a program's memory are not put beyond it. */
static int try_hole(void)
{
    void *volatile nowhere = (void *)8;
    char in[2][4] = {"", ""}, rest[8];
    struct iovec iov[] = {{in[0], 4}, {nowhere, 4}, {in[1], 4}};
    struct msghdr h = {.msg_iov = iov, .msg_iovlen = 3};
    int ends[2], there = 0;

    RIGHT("connection", connection(ends), 0);
    RIGHT("TCP_NODELAY", set(ends[0], IPPROTO_TCP, TCP_NODELAY, 1), 0);
    RIGHT("write", write(ends[0], "abcd", 4) == 4 && write(ends[0], "efgh", 4) == 4, 1);
    for (int i = 0; i < 500 && there < 8; i++) {
        pause_for(10);
        RIGHT("FIONREAD", ioctl(ends[1], FIONREAD, &there), 0);
    }
    RIGHT("shutdown", shutdown(ends[0], SHUT_WR), 0);
    long n = recvmsg(ends[1], &h, MSG_WAITALL);
    RIGHT("up to the hole", n == 4 || (n == -1 && errno == EFAULT), 1);
    RIGHT("nothing behind it", in[1][0], 0);
    n = n < 0 ? 0 : n;
    RIGHT("the rest", recv(ends[1], rest, 8, MSG_WAITALL), 8 - n);
    RIGHT("what", memcmp(rest, "abcdefgh" + n, 8 - (size_t)n), 0);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static int lies(void)
{
    void *volatile nowhere = (void *)8;
    void *bad = nowhere;
    struct sockaddr_in at = loopback(0);
    struct sockaddr unknown = {.sa_family = 77};
    struct iovec iov = {bad, 8}, huge[2] = {{bad, INT64_MAX}, {bad, INT64_MAX}};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1},
                  wide = {.msg_iov = &iov, .msg_iovlen = 5000},
                  far = {.msg_iov = huge, .msg_iovlen = 2},
                  lost = {.msg_iov = bad, .msg_iovlen = 1};
    socklen_t len = sizeof(at), minus = (socklen_t)-1;
    int fds[2], value = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

    RIGHT("family", socket(77, SOCK_STREAM, 0) == -1 && errno == EAFNOSUPPORT, 1);
    RIGHT("type", socket(AF_INET, 9, 0) == -1, 1);
    RIGHT("flags", socket(AF_INET, SOCK_STREAM | 0x100000, 0) == -1 && errno == EINVAL, 1);
    RIGHT("bind", bind(fd, bad, sizeof(at)) == -1 && errno == EFAULT, 1);
    RIGHT("bind", bind(fd, (struct sockaddr *)&at, 3) == -1 && errno == EINVAL, 1);
    RIGHT("bind", bind(fd, (struct sockaddr *)&at, 5000) == -1 && errno == EINVAL, 1);
    RIGHT("bind", bind(fd, &unknown, sizeof(unknown)) == -1 && errno == EAFNOSUPPORT, 1);
    RIGHT("bind", bind(0, (struct sockaddr *)&at, sizeof(at)) == -1 && errno == ENOTSOCK, 1);
    RIGHT("bind", bind(-1, (struct sockaddr *)&at, sizeof(at)) == -1 && errno == EBADF, 1);
    RIGHT("connect", connect(fd, bad, sizeof(at)) == -1 && errno == EFAULT, 1);
    RIGHT("getsockname", getsockname(fd, bad, &len) == -1 && errno == EFAULT, 1);
    RIGHT("getsockname", getsockname(fd, (struct sockaddr *)&at, bad) == -1 && errno == EFAULT, 1);
    RIGHT("getsockname", getsockname(fd, (struct sockaddr *)&at, &minus) == -1 && errno == EINVAL,
          1);
    RIGHT("accept4", accept4(fd, NULL, NULL, 0x40000000) == -1 && errno == EINVAL, 1);
    RIGHT("shutdown", shutdown(fd, 9) == -1, 1);
    RIGHT("setsockopt", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, bad, 4) == -1 && errno == EFAULT,
          1);
    RIGHT("getsockopt",
          getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, bad, &len) == -1 && errno == EFAULT, 1);
    RIGHT("getsockopt",
          getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, bad) == -1 && errno == EFAULT, 1);
    RIGHT("getsockopt", getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &minus) == -1, 1);
    close(fd);
    RIGHT("connection", connection(fds), 0);
    RIGHT("write", write(fds[0], bad, 8) == -1 && errno == EFAULT, 1);
    RIGHT("sendmsg", sendmsg(fds[0], &h, 0) == -1 && errno == EFAULT, 1);
    RIGHT("sendmsg", sendmsg(fds[0], &wide, 0) == -1 && errno == EMSGSIZE, 1);
    RIGHT("sendmsg", sendmsg(fds[0], &far, 0) == -1, 1);
    RIGHT("sendmsg", sendmsg(fds[0], &lost, 0) == -1 && errno == EFAULT, 1);
    RIGHT("sendmsg", sendmsg(fds[0], bad, 0) == -1 && errno == EFAULT, 1);
    RIGHT("recvmsg", recvmsg(fds[0], bad, MSG_DONTWAIT) == -1 && errno == EFAULT, 1);
    RIGHT("write", write(fds[0], "data", 4), 4);
    RIGHT("poll", polled(fds[1], POLLIN, 5000), POLLIN);
    RIGHT("read", read(fds[1], bad, 4) == -1 && errno == EFAULT, 1);
    RIGHT("recvmsg", recvmsg(fds[1], &h, MSG_DONTWAIT) == -1 && errno == EFAULT, 1);
    RIGHT("it is there still", read(fds[1], &value, 4), 4);
    close(fds[0]);
    close(fds[1]);
    return try_hole();
}

/* ---- hog ---- */

/* As many as there are, each filled as far as it can be. Nobody reads. */
static void fill_all(void)
{
    int port = 0, fd = listener(&port);

    for (;;) {
        struct sockaddr_in to = loopback(port);
        int s = socket(AF_INET, SOCK_STREAM, 0);

        if (s < 0 || connect(s, (struct sockaddr *)&to, sizeof(to)) != 0) {
            break;
        }
        fcntl(s, F_SETFL, O_NONBLOCK);
        while (write(s, big, sizeof(big)) > 0) {
        }
        if (accept(fd, NULL, NULL) < 0) {
            break;
        }
    }
    for (int i = 0; i < 1000; i++) {
        struct sockaddr_in at;
        int u = bound(&at);

        for (int k = 0; k < 1000 && u >= 0; k++) {
            if (sendto(u, big, 8000, 0, (struct sockaddr *)&at, sizeof(at)) < 0) {
                break;
            }
        }
        if (u < 0) {
            break;
        }
    }
}

static int hog(void)
{
    int pair[2], status;

    if (all_take(fill_all)) {
        return 1;
    }
    for (int tries = 0; connection(pair) != 0; tries++) {
        RIGHT("a connection, after all that", tries < 50, 1);
        pause_for(200);
    }
    RIGHT("write", write(pair[0], "x", 1), 1);
    RIGHT("read", read(pair[1], &status, 1), 1);
    return 0;
}

/* ---- for others ---- */

static int timers[CLOCKS];

/* Each has gone on if it runs out once more. */
static void await_timers(void)
{
    uint64_t n;

    for (size_t i = 0; i < CLOCKS; i++) {
        (void)!read(timers[i], &n, sizeof(n));
    }
}

static void *echo(void *fd)
{
    static __thread char in[4096];
    int s = (int)(intptr_t)fd;
    ssize_t n;

    while ((n = read(s, in, sizeof(in))) > 0 && send(s, in, (size_t)n, MSG_NOSIGNAL) == n) {
        await_timers();
        await_timers(); /* what ran out before counts once */
    }
    close(s);
    return NULL;
}

static int listens(int port)
{
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);

    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 16) != 0) {
        return -1;
    }
    printf("sockets: serves\n");
    return fd;
}

static int flood(int port)
{
    char text[512], go;
    int fd = listens(port), s = accept(fd, NULL, NULL), status;

    memset(text, 'f', sizeof(text));
    text[sizeof(text) - 1] = '\n';
    RIGHT("told", recv(s, &go, 1, 0), 1);
    pid_t child = fork();
    if (child == 0) {
        for (;;) {
            (void)!write(1, text, sizeof(text));
        }
    }
    pause_for(1000); /* by then it has written all that anybody takes */
    kill(child, SIGKILL);
    RIGHT("killed", waitpid(child, &status, 0) == child && WIFSIGNALED(status), 1);
    RIGHT("say so", send(s, "killed\n", 7, 0), 7);
    return 0;
}

static int serve(int port)
{
    int fd = listens(port);
    pthread_attr_t attr;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 32768);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    RIGHT("listens", fd >= 0, 1);
    for (size_t i = 0; i < CLOCKS; i++) {
        timers[i] = timer(clocks[i], 20 * MSEC, 20 * MSEC);
    }
    for (;;) {
        pthread_t t;
        int s = accept(fd, NULL, NULL);

        RIGHT("accept", s >= 0, 1);
        pthread_create(&t, &attr, echo, (void *)(intptr_t)s);
    }
}

static int link_to(const char *address, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char in[64];

    inet_pton(AF_INET, address, &to.sin_addr);
    RIGHT("connect", connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    for (int i = 0;; i++) {
        int n = snprintf(in, sizeof(in), "%d", i);

        RIGHT("send", send(fd, in, (size_t)n, 0), n);
        RIGHT("receive", recv(fd, in, (size_t)n, MSG_WAITALL), n);
        in[n] = '\0';
        printf("link %s\n", in);
        pause_for(100);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*fn)(void);
    } kinds[] = {{"tcp", tcp},         {"udp", udp},     {"six", six},
                 {"options", options}, {"polls", polls}, {"signals", signals},
                 {"ends", ends},       {"lies", lies},   {"hog", hog}};

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && argc == 2; i++) {
        if (strcmp(argv[1], kinds[i].name) == 0) {
            int rc = kinds[i].fn();

            printf("sockets %s: %s\n", argv[1], rc == 0 ? "right" : "wrong");
            return rc;
        }
    }
    if (argc == 3 && strcmp(argv[1], "serve") == 0) {
        return serve((int)strtol(argv[2], NULL, 10));
    }
    if (argc == 3 && strcmp(argv[1], "flood") == 0) {
        return flood((int)strtol(argv[2], NULL, 10));
    }
    if (argc == 4 && strcmp(argv[1], "link") == 0) {
        return link_to(argv[2], (int)strtol(argv[3], NULL, 10));
    }
    printf("sockets: tcp, udp, six, options, polls, signals, ends, lies, hog, serve PORT, "
           "flood PORT, link ADDRESS PORT\n");
    return 2;
}
