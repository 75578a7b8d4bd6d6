/*
 * local.c - what a program with sockets of AF_UNIX may expect.
 *
 * usage: local streams      pairs: data, ends, waiting
 *        local names        names of both kinds, connections, whose they are
 *        local messages     datagrams and records: sizes, senders, ends, waiting
 *        local files        files that messages carry
 *        local lies         bad addresses, sizes, flags and descriptors
 *        local hog          who opens, fills and sends files without end; sockets that hold each
 * other
 *
 * It says what is wrong, and exits with 1; or "local WHAT: right", and exits with 0. All but hog
 * are right on Linux as well, where the test runs them, too: that tells what is right.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "local"
#define BIG     100000
#include "peers.h"

#define PATH "/tmp/duet-local"

static int nonblocking(int fd)
{
    return fcntl(fd, F_SETFL, O_NONBLOCK);
}

/* ---- streams ---- */

static int try_data(void)
{
    char in[64];
    int ends[2], n;
    socklen_t len = sizeof(n);

    RIGHT("pair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    RIGHT("close on exec", fcntl(ends[1], F_GETFD), FD_CLOEXEC);
    RIGHT("type", getsockopt(ends[0], SOL_SOCKET, SO_TYPE, &n, &len) == 0 && n == SOCK_STREAM, 1);
    RIGHT("domain", getsockopt(ends[0], SOL_SOCKET, SO_DOMAIN, &n, &len) == 0 && n == AF_UNIX, 1);
    RIGHT("nothing", polled(ends[0], POLLIN | POLLOUT, 0), POLLOUT);
    RIGHT("nothing", recv(ends[0], in, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN, 1);
    RIGHT("write", write(ends[0], "hello ", 6) == 6 && write(ends[0], "there", 5) == 5, 1);
    RIGHT("poll", polled(ends[1], POLLIN, 5000), POLLIN);
    RIGHT("FIONREAD", ioctl(ends[1], FIONREAD, &n) == 0 && n == 11, 1);
    RIGHT("peek", recv(ends[1], in, 3, MSG_PEEK), 3);
    RIGHT("all", recv(ends[1], in, 11, MSG_WAITALL), 11);
    RIGHT("what", memcmp(in, "hello there", 11), 0);
    RIGHT("the other way", write(ends[1], "x", 1) == 1 && read(ends[0], in, 64) == 1, 1);
    close(ends[0]);
    RIGHT("hang-up", polled(ends[1], POLLIN | POLLRDHUP, 5000), POLLIN | POLLRDHUP | POLLHUP);
    RIGHT("end", read(ends[1], in, 1), 0);
    close(ends[1]);
    return 0;
}

static int try_ends(void)
{
    char in[8];
    int ends[2];

    act(SIGPIPE, note, 0);
    RIGHT("pair", socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    RIGHT("write", write(ends[0], "bye", 3), 3);
    RIGHT("shutdown", shutdown(ends[0], SHUT_WR), 0);
    seen = 0;
    RIGHT("send", send(ends[0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE, 1);
    RIGHT("no signal", seen, 0);
    RIGHT("write", write(ends[0], "x", 1) == -1 && errno == EPIPE, 1);
    RIGHT("SIGPIPE", seen, SIGPIPE);
    RIGHT("hang-up", polled(ends[1], POLLIN | POLLRDHUP, 0), POLLIN | POLLRDHUP);
    RIGHT("read", read(ends[1], in, 8), 3);
    RIGHT("end", read(ends[1], in, 8), 0);
    RIGHT("the other way", write(ends[1], "y", 1), 1);
    RIGHT("shutdown", shutdown(ends[0], SHUT_RD), 0);
    RIGHT("nobody reads", write(ends[1], "y", 1) == -1 && errno == EPIPE, 1);
    RIGHT("what was there", read(ends[0], in, 8), 1);
    RIGHT("end", read(ends[0], in, 8), 0);
    close(ends[0]);
    close(ends[1]);
    RIGHT("pair", socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    RIGHT("write", write(ends[0], "unread", 6), 6);
    close(ends[1]);
    RIGHT("reset", read(ends[0], in, 8) == -1 && errno == ECONNRESET, 1);
    RIGHT("told once", read(ends[0], in, 8), 0);
    close(ends[0]);
    return 0;
}

/* What does not fit waits; who waits hears of room, by edge, too. */
static int try_much(void)
{
    static char in[BIG];
    struct epoll_event e = {.events = EPOLLOUT | EPOLLET};
    int ends[2], epoll = epoll_create1(0);
    long sent = 0, n;

    RIGHT("pair", socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    if (much_passes(ends)) {
        return 1;
    }
    nonblocking(ends[0]);
    nonblocking(ends[1]);
    RIGHT("add", epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &e), 0);
    RIGHT("room", epoll_wait(epoll, &e, 1, 0), 1);
    while ((n = write(ends[0], big, sizeof(big))) > 0) {
        sent += n;
    }
    RIGHT("full", n == -1 && errno == EAGAIN, 1);
    RIGHT("full", polled(ends[0], POLLOUT, 0), 0);
    (void)epoll_wait(epoll, &e, 1, 0);
    while ((n = read(ends[1], in, sizeof(in))) > 0) {
        sent -= n;
    }
    RIGHT("all of it", sent, 0);
    RIGHT("room", polled(ends[0], POLLOUT, 0), POLLOUT);
    RIGHT("room, by edge", epoll_wait(epoll, &e, 1, 5000), 1);
    close(ends[0]);
    close(ends[1]);
    close(epoll);
    return 0;
}

static int streams(void)
{
    return try_data() || try_ends() || try_much();
}

/* ---- names ---- */

/* A name, as an address: of a path, or of the bytes behind a 0. */
static socklen_t name(struct sockaddr_un *at, const char *text, int hidden)
{
    memset(at, 0, sizeof(*at));
    at->sun_family = AF_UNIX;
    memcpy(at->sun_path + hidden, text, strlen(text));
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(text) + 1);
}

static int named(int type, const char *text, int hidden)
{
    struct sockaddr_un at;
    socklen_t len = name(&at, text, hidden);
    int fd = socket(AF_UNIX, type, 0);

    return bind(fd, (struct sockaddr *)&at, len) == 0 ? fd : -1;
}

static int dial(int type, const char *text, int hidden, int flags)
{
    struct sockaddr_un to;
    socklen_t len = name(&to, text, hidden);
    int fd = socket(AF_UNIX, type | flags, 0);

    if (connect(fd, (struct sockaddr *)&to, len) != 0) {
        int error = errno;

        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static pid_t peer_pid(int fd)
{
    struct ucred cred = {.pid = -1};
    socklen_t len = sizeof(cred);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 && cred.uid == getuid()
               ? cred.pid
               : -1;
}

static int try_connections(int type, int hidden)
{
    struct sockaddr_un at, to;
    socklen_t len = name(&to, PATH, hidden), got = sizeof(at);
    char in[8];
    int status;

    unlink(PATH);
    RIGHT("nobody", dial(type, PATH, hidden, 0) == -1 && errno == (hidden ? ECONNREFUSED : ENOENT),
          1);
    int fd = named(type, PATH, hidden);
    RIGHT("bind", fd >= 0, 1);
    RIGHT("taken", named(type, PATH, hidden) == -1 && errno == EADDRINUSE, 1);
    RIGHT("nobody listens", dial(type, PATH, hidden, 0) == -1 && errno == ECONNREFUSED, 1);
    RIGHT("listen", listen(fd, 8), 0);
    RIGHT("of another kind",
          dial(SOCK_DGRAM, PATH, hidden, 0) == -1 && errno == (hidden ? ECONNREFUSED : EPROTOTYPE),
          1);
    pid_t child = fork();
    if (child == 0) {
        int s = dial(type, PATH, hidden, 0);

        _exit(write(s, "hi", 2) == 2 && read(s, in, 8) == 1 && peer_pid(s) == getppid() ? 0 : 1);
    }
    int s = accept4(fd, (struct sockaddr *)&at, &got, SOCK_CLOEXEC);
    RIGHT("accept", s >= 0 && fcntl(s, F_GETFD) == FD_CLOEXEC, 1);
    RIGHT("whose it is", peer_pid(s), child);
    RIGHT("a name of nothing", got, sizeof(sa_family_t));
    RIGHT("read", read(s, in, 8), 2);
    got = sizeof(at);
    RIGHT("getsockname", getsockname(s, (struct sockaddr *)&at, &got), 0);
    RIGHT("the listener's", got == len && memcmp(&at, &to, got) == 0, 1);
    RIGHT("write", write(s, "x", 1), 1);
    RIGHT("child", waitpid(child, &status, 0) == child && status == 0, 1);
    close(s);
    s = dial(type, PATH, hidden, 0);
    got = sizeof(at);
    RIGHT("getpeername", getpeername(s, (struct sockaddr *)&at, &got), 0);
    RIGHT("the listener's", got == len && memcmp(&at, &to, got) == 0, 1);
    RIGHT("again", connect(s, (struct sockaddr *)&to, len) == -1 && errno == EISCONN, 1);
    close(fd);
    RIGHT("nobody took it", read(s, in, 1) == -1 && errno == ECONNRESET, 1);
    close(s);
    RIGHT("unlink", hidden || unlink(PATH) == 0 || errno == ENOENT, 1);
    return 0;
}

static void *accept_one(void *fd)
{
    close(accept((int)(intptr_t)fd, NULL, NULL));
    return NULL;
}

/* Who finds no place waits for one. */
static int try_places(void)
{
    int fd = named(SOCK_STREAM, "places", 1), s[8], n = 0;
    pthread_t t;

    RIGHT("listen", fd >= 0 && listen(fd, 2) == 0, 1);
    while (n < 8 && (s[n] = dial(SOCK_STREAM, "places", 1, SOCK_NONBLOCK)) >= 0) {
        n++;
    }
    RIGHT("full", errno, EAGAIN);
    RIGHT("as many as it said", n == 2 || n == 3, 1);
    pthread_create(&t, NULL, accept_one, (void *)(intptr_t)fd);
    s[n] = dial(SOCK_STREAM, "places", 1, 0);
    RIGHT("and then one", s[n] >= 0, 1);
    pthread_join(t, NULL);
    for (int i = 0; i <= n; i++) {
        close(s[i]);
    }
    close(fd);
    return 0;
}

static int names(void)
{
    return try_connections(SOCK_STREAM, 0) || try_connections(SOCK_SEQPACKET, 0) ||
           try_connections(SOCK_STREAM, 1) || try_places();
}

/* ---- messages ---- */

static int try_records(int type)
{
    struct iovec iov;
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
    char in[16];
    int ends[2];

    RIGHT("pair", socketpair(AF_UNIX, type, 0, ends), 0);
    RIGHT("send", send(ends[0], "first", 5, 0) == 5 && send(ends[0], "second", 6, 0) == 6, 1);
    RIGHT("send nothing", send(ends[0], "", 0, 0), 0);
    RIGHT("cut", recv(ends[1], in, 3, MSG_TRUNC), 5);
    iov = (struct iovec){in, 4};
    RIGHT("cut", recvmsg(ends[1], &h, 0), 4);
    RIGHT("said", h.msg_flags & MSG_TRUNC, MSG_TRUNC);
    RIGHT("nothing", recv(ends[1], in, 4, 0), 0);
    RIGHT("no more", recv(ends[1], in, 4, MSG_DONTWAIT) == -1 && errno == EAGAIN, 1);
    RIGHT("long", send(ends[0], big, 50000, 0), 50000);
    RIGHT("long", recv(ends[1], in, 4, MSG_TRUNC), 50000);
    close(ends[0]);
    if (type == SOCK_SEQPACKET) {
        RIGHT("end", recv(ends[1], in, 4, 0), 0);
        seen = 0;
        RIGHT("nobody", send(ends[1], "x", 1, 0) == -1 && errno == EPIPE, 1);
        RIGHT("no signal", seen, 0);
    } else {
        RIGHT("nobody", send(ends[1], "x", 1, 0) == -1 && errno == ECONNREFUSED, 1);
        RIGHT("nobody", send(ends[1], "x", 1, 0) == -1 && errno == ENOTCONN, 1);
    }
    close(ends[1]);
    return 0;
}

static int try_senders(void)
{
    struct sockaddr_un at, a, b;
    socklen_t len_a = name(&a, "a", 1), len_b = name(&b, "b", 1), got = sizeof(at);
    int one = named(SOCK_DGRAM, "a", 1), two = named(SOCK_DGRAM, "b", 1), other;
    char in[8];

    RIGHT("names", one >= 0 && two >= 0, 1);
    RIGHT("sendto", sendto(one, "x", 1, 0, (struct sockaddr *)&b, len_b), 1);
    RIGHT("recvfrom", recvfrom(two, in, 8, 0, (struct sockaddr *)&at, &got), 1);
    RIGHT("from", got == len_a && memcmp(&at, &a, got) == 0, 1);
    other = socket(AF_UNIX, SOCK_DGRAM, 0);
    RIGHT("unconnected", send(other, "x", 1, 0) == -1 && errno == ENOTCONN, 1);
    RIGHT("sendto", sendto(other, "x", 1, 0, (struct sockaddr *)&b, len_b), 1);
    got = sizeof(at);
    RIGHT("recvfrom", recvfrom(two, in, 8, 0, (struct sockaddr *)&at, &got), 1);
    RIGHT("from nobody", got, 0);
    RIGHT("connect", connect(two, (struct sockaddr *)&a, len_a), 0);
    RIGHT("only from it",
          sendto(other, "x", 1, 0, (struct sockaddr *)&b, len_b) == -1 && errno == EPERM, 1);
    RIGHT("send", send(two, "y", 1, 0), 1);
    RIGHT("recv", recv(one, in, 8, 0), 1);
    at.sun_family = AF_UNSPEC;
    RIGHT("to nobody", connect(two, (struct sockaddr *)&at, sizeof(sa_family_t)), 0);
    RIGHT("unconnected", send(two, "x", 1, 0) == -1 && errno == ENOTCONN, 1);
    close(one);
    close(two);
    RIGHT("gone",
          sendto(other, "x", 1, 0, (struct sockaddr *)&b, len_b) == -1 && errno == ECONNREFUSED, 1);
    close(other);
    return 0;
}

static void *send_one(void *fd)
{
    struct sockaddr_un to;
    socklen_t len = name(&to, "full", 1);

    return (void *)sendto((int)(intptr_t)fd, "last", 4, 0, (struct sockaddr *)&to, len);
}

/* Who finds no room waits for it, connected or not. */
static int try_full(void)
{
    int to = named(SOCK_DGRAM, "full", 1), from = dial(SOCK_DGRAM, "full", 1, SOCK_NONBLOCK);
    int other = socket(AF_UNIX, SOCK_DGRAM, 0), sent = 0;
    char in[8];
    pthread_t t;
    void *rc;

    RIGHT("sockets", to >= 0 && from >= 0, 1);
    while (send(from, "x", 1, 0) == 1) {
        sent++;
    }
    RIGHT("full", errno == EAGAIN && sent > 5, 1);
    RIGHT("full", polled(from, POLLOUT, 0), 0);
    pthread_create(&t, NULL, send_one, (void *)(intptr_t)other);
    while (recv(to, in, 8, 0) == 1) {
        sent--;
    }
    RIGHT("the last", in[0] == 'l' && sent == 0, 1);
    pthread_join(t, &rc);
    RIGHT("sender", (long)rc, 4);
    RIGHT("room", polled(from, POLLOUT, 5000), POLLOUT);
    close(to);
    close(from);
    close(other);
    return 0;
}

static int messages(void)
{
    act(SIGPIPE, note, 0);
    return try_records(SOCK_DGRAM) || try_records(SOCK_SEQPACKET) || try_senders() || try_full();
}

/* ---- files ---- */

#define FILES_MAX 253 /* of one message */

union control {
    struct cmsghdr h;
    char bytes[CMSG_SPACE((FILES_MAX + 1) * sizeof(int))];
};

/* Send a byte and descriptors. */
static ssize_t send_files(int to, const int *fds, unsigned n)
{
    union control c = {.h = {.cmsg_len = CMSG_LEN(n * sizeof(int)),
                             .cmsg_level = SOL_SOCKET,
                             .cmsg_type = SCM_RIGHTS}};
    struct iovec iov = {(char[]){"f"}, 1};
    struct msghdr h = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &c,
                       .msg_controllen = CMSG_SPACE(n * sizeof(int))};

    memcpy(CMSG_DATA(&c.h), fds, n * sizeof(int));
    return sendmsg(to, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Receive a byte and descriptors: how many, with room for @room of them; *@flags: what was said. */
static int receive_files(int from, int *fds, unsigned room, int flags, int *said)
{
    union control c = {.bytes = {0}};
    char in[8];
    struct iovec iov = {in, sizeof(in)};
    struct msghdr h = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &c,
                       .msg_controllen = room == 0 ? 0 : CMSG_LEN(room * sizeof(int))};

    if (recvmsg(from, &h, flags) <= 0) {
        return -1;
    }
    *said = h.msg_flags;
    if (h.msg_controllen < sizeof(c.h)) {
        return 0;
    }
    int n = (int)((c.h.cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(fds, CMSG_DATA(&c.h), (size_t)n * sizeof(int));
    return c.h.cmsg_level == SOL_SOCKET && c.h.cmsg_type == SCM_RIGHTS ? n : -1;
}

static int try_passing(int type)
{
    int ends[2], pipes[2], in[4], said;
    char c[8];

    RIGHT("pair", socketpair(AF_UNIX, type, 0, ends), 0);
    RIGHT("pipe", pipe(pipes), 0);
    RIGHT("before", send(ends[0], "b", 1, 0), 1);
    RIGHT("send", send_files(ends[0], pipes, 2), 1);
    close(pipes[0]);
    close(pipes[1]);
    RIGHT("none with the first", recv(ends[1], c, 1, 0), 1);
    RIGHT("receive", receive_files(ends[1], in, 2, MSG_CMSG_CLOEXEC, &said), 2);
    RIGHT("said", said & MSG_CTRUNC, 0);
    RIGHT("close on exec", fcntl(in[0], F_GETFD), FD_CLOEXEC);
    RIGHT("the pipe", write(in[1], "pipe", 4) == 4 && read(in[0], c, 8) == 4, 1);
    /* As many as there is room for; the others are closed. */
    RIGHT("send", send_files(ends[0], (int[]){in[0], in[1]}, 2), 1);
    close(in[1]);
    RIGHT("receive", receive_files(ends[1], in + 1, 1, 0, &said), 1);
    RIGHT("said", said & MSG_CTRUNC, MSG_CTRUNC);
    RIGHT("the other end is closed", read(in[0], c, 1), 0);
    close(in[0]);
    close(in[1]);
    /* Who does not ask closes them, as does who reads nothing. */
    for (int reads = 0; reads < 2; reads++) {
        RIGHT("pipe", pipe(pipes), 0);
        RIGHT("send", send_files(ends[0], &pipes[1], 1), 1);
        close(pipes[1]);
        if (reads) {
            RIGHT("read", read(ends[1], c, 1), 1);
        } else {
            close(ends[1]);
            close(ends[0]);
        }
        RIGHT("closed", polled(pipes[0], POLLIN, 5000), POLLHUP);
        close(pipes[0]);
        if (!reads) {
            RIGHT("pair", socketpair(AF_UNIX, type, 0, ends), 0);
        }
    }
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* Sockets themselves, to another process, which goes on with them. */
static int try_sockets(void)
{
    int ends[2], pair[2], fd, said, status;
    char c[8];

    RIGHT("pairs",
          socketpair(AF_UNIX, SOCK_STREAM, 0, ends) + socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        close(pair[0]);
        close(pair[1]);
        _exit(receive_files(ends[1], &fd, 1, 0, &said) == 1 && write(fd, "child", 5) == 5 ? 0 : 1);
    }
    close(ends[1]);
    RIGHT("send", send_files(ends[0], &pair[1], 1), 1);
    close(pair[1]);
    RIGHT("what it says", recv(pair[0], c, 5, MSG_WAITALL), 5);
    RIGHT("its end", read(pair[0], c, 1), 0);
    RIGHT("child", waitpid(child, &status, 0) == child && status == 0, 1);
    close(ends[0]);
    close(pair[0]);
    return 0;
}

static int try_many(void)
{
    int ends[2], pipes[2], many[FILES_MAX + 1], said;

    RIGHT("pair", socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    RIGHT("pipe", pipe(pipes), 0);
    for (int i = 0; i <= FILES_MAX; i++) {
        many[i] = pipes[0];
    }
    RIGHT("too many", send_files(ends[0], many, FILES_MAX + 1) == -1 && errno == EINVAL, 1);
    RIGHT("as many as may be", send_files(ends[0], many, FILES_MAX), 1);
    int n = receive_files(ends[1], many, FILES_MAX, 0, &said);
    RIGHT("as many", n > 200 && (n == FILES_MAX || (said & MSG_CTRUNC)), 1);
    for (int i = 0; i < n; i++) {
        close(many[i]);
    }
    many[0] = 999;
    RIGHT("none", send_files(ends[0], many, 1) == -1 && errno == EBADF, 1);
    close(pipes[0]);
    close(pipes[1]);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static int files(void)
{
    return try_passing(SOCK_STREAM) || try_passing(SOCK_SEQPACKET) || try_passing(SOCK_DGRAM) ||
           try_sockets() || try_many();
}

/* ---- lies ---- */

static int send_control(int fd, void *control, size_t len)
{
    struct iovec iov = {(char[]){"c"}, 1};
    struct msghdr h = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = len};

    return (int)sendmsg(fd, &h, MSG_DONTWAIT);
}

static int lies(void)
{
    void *volatile nowhere = (void *)8;
    void *bad = nowhere;
    struct sockaddr_un at;
    socklen_t len = name(&at, "lies", 1);
    struct iovec iov = {(char[8]){""}, 8};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = bad, .msg_controllen = 64};
    union control c = {.h = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET}};
    int ends[2], next = dup(0), fd = socket(AF_UNIX, SOCK_STREAM, 0);

    close(next);
    RIGHT("pair", socketpair(AF_UNIX, SOCK_STREAM, 0, bad) == -1 && errno == EFAULT, 1);
    RIGHT("pair", socketpair(AF_UNIX, SOCK_STREAM, 7, ends) == -1 && errno == EPROTONOSUPPORT, 1);
    RIGHT("pair", socketpair(AF_UNIX, 77, 0, ends) == -1, 1);
    RIGHT("pair", socketpair(AF_INET, SOCK_STREAM, 0, ends) == -1 && errno == EOPNOTSUPP, 1);
    RIGHT("pair", socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    RIGHT("none was left open", ends[0], next + (next == fd));
    RIGHT("bind", bind(fd, bad, len) == -1 && errno == EFAULT, 1);
    RIGHT("bind", bind(fd, (struct sockaddr *)&at, sizeof(at) + 1) == -1 && errno == EINVAL, 1);
    RIGHT("bind", bind(fd, (struct sockaddr *)&at, 1) == -1 && errno == EINVAL, 1);
    at.sun_family = AF_INET;
    RIGHT("bind", bind(fd, (struct sockaddr *)&at, sizeof(at)) == -1 && errno == EINVAL, 1);
    name(&at, "/nowhere/at/all", 0);
    RIGHT("bind", bind(fd, (struct sockaddr *)&at, sizeof(at)) == -1 && errno == ENOENT, 1);
    name(&at, "/", 0);
    RIGHT("bind", bind(fd, (struct sockaddr *)&at, sizeof(at)) == -1 && errno == EADDRINUSE, 1);
    RIGHT("connect", connect(fd, (struct sockaddr *)&at, sizeof(at)) == -1 && errno == ECONNREFUSED,
          1);
    RIGHT("listen", listen(fd, 1) == -1 && errno == EINVAL, 1);
    RIGHT("send", send(fd, "x", 1, MSG_NOSIGNAL) == -1 && errno == ENOTCONN, 1);
    RIGHT("control", send_control(ends[0], bad, 64) == -1 && errno == EFAULT, 1);
    RIGHT("control", send_control(ends[0], &c, 1ul << 40) == -1 && errno == ENOBUFS, 1);
    c.h.cmsg_type = 99;
    RIGHT("of no kind", send_control(ends[0], &c, sizeof(c)) == -1 && errno == EINVAL, 1);
    c.h.cmsg_type = SCM_RIGHTS;
    c.h.cmsg_len = 3;
    RIGHT("too short", send_control(ends[0], &c, sizeof(c)) == -1 && errno == EINVAL, 1);
    c.h.cmsg_len = (size_t)-8;
    RIGHT("too long", send_control(ends[0], &c, sizeof(c)) == -1 && errno == EINVAL, 1);
    c.h.cmsg_len = CMSG_LEN(sizeof(int));
    *(int *)(void *)CMSG_DATA(&c.h) = -1;
    RIGHT("no file", send_control(ends[0], &c, CMSG_SPACE(sizeof(int))) == -1 && errno == EBADF, 1);
    c.h.cmsg_level = 77; /* not for us */
    RIGHT("of others", send_control(ends[0], &c, CMSG_SPACE(sizeof(int))), 1);
    RIGHT("nowhere to put it", recvmsg(ends[1], &h, 0), 1); /* where there is nothing to put */
    RIGHT("nothing came", h.msg_controllen, 0);
    int last = dup(0);
    close(last);
    RIGHT("a file", send_files(ends[0], ends, 1), 1);
    h.msg_controllen = 64;
    RIGHT("nowhere to tell of it", recvmsg(ends[1], &h, 0), 1);
    RIGHT("cut", h.msg_controllen == 0 && (h.msg_flags & MSG_CTRUNC), 1);
    RIGHT("none was left open", last == dup(0) && close(last) == 0, 1);
    RIGHT("a name",
          sendto(ends[0], "x", 1, 0, (struct sockaddr *)&at, len) == -1 && errno == EISCONN, 1);
    RIGHT("a name", sendto(fd, "x", 1, 0, (struct sockaddr *)&at, len) == -1 && errno == EOPNOTSUPP,
          1);
    RIGHT("recv", recv(fd, big, 1, 0) == -1 && errno == EINVAL, 1);
    h = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1, .msg_name = bad};
    RIGHT("no name", sendmsg(ends[0], &h, 0), 8);
    RIGHT("unlink", unlink("/bin/sh/x") == -1, 1);
    RIGHT("unlink", unlink(bad) == -1 && errno == EFAULT, 1);
    close(fd);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* ---- hog ---- */

/* As many as there are, filled, with files under way; sockets in sockets. Nobody reads. */
static void fill_all(void)
{
    for (;;) {
        int ends[2], fds[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0) {
            break;
        }
        memcpy(fds, ends, sizeof(fds));
        (void)!send_files(ends[0], ends, 1);
        (void)!send_files(ends[1], ends, 1);
        (void)!send_files(ends[0], fds, 2);
        while (write(ends[0], big, sizeof(big)) > 0) {
        }
    }
    for (int i = 3; i < 256; i++) {
        for (int k = 3; k < 256; k++) {
            (void)!send_files(i, &k, 1);
        }
    }
}

/* Sockets that hold each other, whose descriptors are closed: nobody can ever receive them. */
static int try_rings(void)
{
    for (int i = 0; i < 3000; i++) {
        int a[2], b[2];

        RIGHT("pairs",
              socketpair(AF_UNIX, SOCK_DGRAM, 0, a) + socketpair(AF_UNIX, SOCK_DGRAM, 0, b), 0);
        (void)!send_files(a[0], &a[1], 1);
        (void)!send_files(a[0], &b[1], 1);
        (void)!send_files(b[0], &a[1], 1);
        for (int k = 0; k < 2; k++) {
            close(a[k]);
            close(b[k]);
        }
    }
    return 0;
}

static int hog(void)
{
    int pair[2], status, said, fd;

    if (try_rings() || all_take(fill_all)) {
        return 1;
    }
    RIGHT("a pair, after all that", socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    RIGHT("write", write(pair[0], "x", 1), 1);
    RIGHT("read", read(pair[1], &status, 1), 1);
    RIGHT("send", send_files(pair[0], pair, 1), 1);
    RIGHT("receive", receive_files(pair[1], &fd, 1, 0, &said), 1);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*fn)(void);
    } kinds[] = {{"streams", streams}, {"names", names}, {"messages", messages},
                 {"files", files},     {"lies", lies},   {"hog", hog}};

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && argc == 2; i++) {
        if (strcmp(argv[1], kinds[i].name) == 0) {
            int rc = kinds[i].fn();

            printf("local %s: %s\n", argv[1], rc == 0 ? "right" : "wrong");
            return rc;
        }
    }
    printf("local: streams, names, messages, files, lies, hog\n");
    return 2;
}
