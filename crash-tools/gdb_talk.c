/*
 * How GDB comes to a stub, and the talk: see gdb_talk.h.
 */
#include "gdb_talk.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- ways to it ---- */

/* Waits for one to connect to @fd, which is closed. Returns the connection, or -1 with errno. */
static int wait_for_one(int fd, const struct sockaddr *address, socklen_t size)
{
    int one = 1, connection = -1;

    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    mode_t mask = umask(0077);
    int bound = bind(fd, address, size);
    umask(mask);
    if (bound == 0 && listen(fd, 1) == 0) {
        connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    }
    int err = errno;
    close(fd);
    errno = err;
    return connection;
}

static int wait_at_port(uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    return wait_for_one(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
                        (const struct sockaddr *)&address, sizeof(address));
}

/* Whatever is at @path stays, and then there is no connection. */
static int wait_at_path(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int connection = wait_for_one(fd, (const struct sockaddr *)&address, sizeof(address));
    if (connection >= 0) {
        unlink(path);
    }
    return connection;
}

/* ---- the talk ---- */

struct talk {
    struct gdb_stub stub;
    struct gdb_reader reader;
    struct gdb_reply reply;
    char frame[GDB_FRAME_MAX];
    size_t frame_len; /* the last that was sent */
    int in, out;
};

/* Returns 0 or -errno. */
static int send_all(const struct talk *t, const char *from, size_t n)
{
    while (n > 0) {
        ssize_t sent = write(t->out, from, n);

        if (sent < 0 && errno != EINTR) {
            return -errno;
        }
        from += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
    }
    return 0;
}

static int send_reply(struct talk *t)
{
    t->frame_len = gdb_frame(t->reply.data, t->reply.len, t->frame);
    return send_all(t, t->frame, t->frame_len);
}

static int take_byte(struct talk *t, uint8_t byte)
{
    bool acknowledge = !t->stub.no_ack;
    int err;

    switch (gdb_feed(&t->reader, byte)) {
    case GDB_PACKET:
        err = acknowledge ? send_all(t, "+", 1) : 0;
        gdb_answer(&t->stub, t->reader.data, t->reader.len, &t->reply);
        return err == 0 ? send_reply(t) : err;
    case GDB_BAD:
        return acknowledge ? send_all(t, "-", 1) : 0;
    case GDB_AGAIN:
        return send_all(t, t->frame, t->frame_len);
    case GDB_BREAK:
        gdb_answer_stop(&t->stub, &t->reply);
        return send_reply(t);
    default:
        return 0;
    }
}

/* Until GDB goes. Returns 0 or -errno. */
static int talk(struct talk *t)
{
    uint8_t bytes[4096];
    int err = 0;

    while (err == 0 && !t->stub.ended) {
        ssize_t n = read(t->in, bytes, sizeof(bytes));

        if (n == 0) {
            return 0;
        }
        if (n < 0) {
            err = errno != EINTR ? -errno : 0;
        }
        for (ssize_t i = 0; i < n && err == 0 && !t->stub.ended; i++) {
            err = take_byte(t, bytes[i]);
        }
    }
    return err == -EPIPE || err == -ECONNRESET ? 0 : err;
}

static int connect_and_talk(struct talk *t, const char *where)
{
    unsigned long port =
        strspn(where, "0123456789") == strlen(where) ? strtoul(where, NULL, 10) : 0;

    if (strcmp(where, "stdio") == 0) {
        t->in = STDIN_FILENO;
        t->out = STDOUT_FILENO;
    } else if (port > 0 && port <= UINT16_MAX) {
        t->in = t->out = wait_at_port((uint16_t)port);
    } else {
        t->in = t->out = wait_at_path(where);
    }
    int err = t->in < 0 ? -errno : talk(t);
    if (t->in > STDERR_FILENO) {
        close(t->in);
    }
    return err;
}

int gdb_talk(const struct gdb_target *target, const char *where)
{
    struct talk *t = calloc(1, sizeof(*t));
    int err = t != NULL ? gdb_stub_init(&t->stub, target) : -ENOMEM;

    if (err == 0) {
        (void)signal(SIGPIPE, SIG_IGN);
        err = connect_and_talk(t, where);
        gdb_stub_free(&t->stub);
    }
    free(t);
    return err;
}
