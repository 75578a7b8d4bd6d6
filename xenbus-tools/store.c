/*
 * Small helpers of the sub-commands on a libxenstore connection (xenbus.h): opening with a clear
 * message, the rules of paths, waiting for an event with a deadline.
 */
#include "xenbus.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xen/io/xs_wire.h>

void out_of_memory(void)
{
    fprintf(stderr, "%s: out of memory\n", command_program());
    exit(EXIT_FAILED);
}

void *must_alloc(size_t size)
{
    void *memory = calloc(1, size);

    if (memory == NULL) {
        out_of_memory();
    }
    return memory;
}

char *must_strdup(const char *text)
{
    size_t size = strlen(text) + 1;

    return memcpy(must_alloc(size), text, size);
}

struct xs_handle *store_open(const struct command *self)
{
    struct xs_handle *xs = xs_open(0);

    if (xs == NULL) {
        command_failed(self,
                       "cannot connect to xenstored (%s: %s); is this a Xen domain with xenstored "
                       "running, and are you root?",
                       xs_daemon_socket(), strerror(errno));
    }
    return xs;
}

const char *store_error(int err)
{
    switch (err) {
    case ENOENT:
        return "there is no such node";
    case EACCES:
        return "permission denied ('xenbus ls -d 0 -p' shows who may)";
    case ENOSPC:
        return "the quota of the domain in the store is used up";
    case E2BIG:
        return "too long: path and value together are limited to 4096 bytes, and a guest's value "
               "to "
               "2048";
    case EINVAL:
        return "xenstored does not take this path, value or permission";
    case EIO:
    case EPIPE:
    case ECONNRESET:
        return "xenstored does not answer any more";
    default:
        return strerror(err);
    }
}

bool store_path_valid(const char *path)
{
    size_t len = strlen(path);

    if (len == 0 || len >= (path[0] == '/' ? XENSTORE_ABS_PATH_MAX : XENSTORE_REL_PATH_MAX)) {
        return false;
    }
    if (strcmp(path, "/") == 0) {
        return true;
    }
    if (path[len - 1] == '/' || strstr(path, "//") != NULL) {
        return false;
    }
    for (const char *p = path; *p != '\0'; p++) {
        /* The alphabet of docs/misc/xenstore.txt; '@' only opens a special name. */
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-/_@", *p) ==
                NULL ||
            (*p == '@' && p != path)) {
            return false;
        }
    }
    return true;
}

char *store_join(const char *dir, const char *name)
{
    size_t size = strlen(dir) + strlen(name) + 2;
    char *path = must_alloc(size);

    snprintf(path, size, "%s%s%s", dir, strcmp(dir, "/") == 0 ? "" : "/", name);
    return path;
}

long long now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

long long deadline_after(double seconds)
{
    return now_ms() + (long long)ceil(seconds * 1000);
}

bool parse_seconds(const char *text, double *seconds)
{
    char *end;

    errno = 0;
    *seconds = strtod(text, &end);
    return errno == 0 && end != text && *end == '\0' && isfinite(*seconds) && *seconds >= 0 &&
           *seconds <= 1e9;
}

bool parse_count(const char *text, long least, long *number)
{
    char *end;

    errno = 0;
    *number = strtol(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *number >= least;
}

int wait_for(int fd, short events, int stop, long long deadline)
{
    struct pollfd fds[] = {{.fd = fd, .events = events}, {.fd = stop, .events = POLLIN}};
    long long left;
    int n;

    do {
        left = deadline - now_ms();
        n = poll(fds, 2, left > 0 ? (int)left : 0);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : fds[1].revents != 0 ? -EINTR : n;
}

int store_next_event(struct xs_handle *xs, long long deadline, int stop_fd, char ***event)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = xs_fileno(xs), .events = POLLIN},
                               {.fd = stop_fd, .events = POLLIN}};
        int timeout = -1;

        *event = xs_check_watch(xs);
        if (*event != NULL) {
            return 1;
        }
        if (errno != EAGAIN && errno != EINTR) {
            return -errno;
        }
        if (deadline >= 0) {
            long long left = deadline - now_ms();

            if (left <= 0) {
                return 0;
            }
            timeout = left > 60000 ? 60000 : (int)left;
        }
        if (poll(fds, 2, timeout) < 0 && errno != EINTR) {
            return -errno;
        }
        if (fds[1].revents != 0) {
            return 0;
        }
    }
}
