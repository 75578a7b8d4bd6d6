/*
 * Fetching figures: see scrape.h.
 */
#include "scrape.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "xenbus.h"

#define PATIENCE_S 2.0
#define ANSWER_MAX (16UL << 20)
#define PIECE      65536UL

static const char question[] = "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n";

/* Waits until the socket is ready. Returns 0 or -1 with errno set. */
static int await(int fd, short events, long long deadline)
{
    struct pollfd p = {.fd = fd, .events = events};
    long long left = deadline - now_ms();
    int n;

    do {
        n = left > 0 ? poll(&p, 1, (int)left) : 0;
        left = deadline - now_ms();
    } while (n < 0 && errno == EINTR);
    if (n == 0) {
        errno = ETIMEDOUT;
    }
    return n > 0 ? 0 : -1;
}

static int begin(const char *path, long long deadline)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd, err;

    if (strlen(path) >= sizeof(name.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(name.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    if (connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0 &&
        await(fd, POLLOUT, deadline) == 0 &&
        send(fd, question, strlen(question), MSG_NOSIGNAL) == (ssize_t)strlen(question)) {
        return fd;
    }
    err = errno;
    close(fd);
    errno = err;
    return -1;
}

/* Reads to the end. Returns the text, or NULL with errno set. */
static char *read_all(int fd, long long deadline)
{
    size_t used = 0, size = 0;
    char *text = NULL;
    ssize_t n = 1;

    while (n > 0) {
        if (size - used < PIECE) {
            size += PIECE + size / 2;
            text = realloc(text, size + 1);
            if (text == NULL) {
                abort();
            }
        }
        n = await(fd, POLLIN, deadline) == 0 ? read(fd, text + used, size - used) : -1;
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            n = 1;
            continue;
        }
        used += n > 0 ? (size_t)n : 0;
        if (used > ANSWER_MAX) {
            errno = EMSGSIZE;
            n = -1;
        }
    }
    if (n < 0) {
        free(text);
        return NULL;
    }
    text[used] = '\0';
    return text;
}

char *scrape(const char *path)
{
    const long long deadline = deadline_after(PATIENCE_S);
    int fd = begin(path, deadline);
    char *text, *body;

    if (fd < 0) {
        return NULL;
    }
    text = read_all(fd, deadline);
    close(fd);
    if (text == NULL) {
        return NULL;
    }
    body = strstr(text, "\r\n\r\n");
    if (strncmp(text, "HTTP/1.", 7) != 0 || strncmp(text + 8, " 200 ", 5) != 0 || body == NULL) {
        free(text);
        errno = EPROTO;
        return NULL;
    }
    memmove(text, body + 4, strlen(body + 4) + 1);
    return text;
}
