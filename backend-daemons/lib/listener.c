/*
 * A daemon's socket: see listener.h.
 */
#include "listener.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A socket at the path that nobody listens at any more is removed. Returns 0 or -errno. */
static int clear_path(const struct address *a, int type)
{
    const char *path = ((const struct sockaddr_un *)&a->name)->sun_path;
    struct stat st;
    int fd, err = 0;

    if (lstat(path, &st) < 0) {
        return errno == ENOENT ? 0 : -errno;
    }
    if (!S_ISSOCK(st.st_mode)) {
        return -EEXIST;
    }
    fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    /* EPROTOTYPE: somebody listens by a socket of another type. */
    if (connect(fd, (const struct sockaddr *)&a->name, a->len) == 0 || errno == EAGAIN ||
        errno == EPROTOTYPE) {
        err = -EADDRINUSE;
    } else if (errno != ECONNREFUSED || unlink(path) < 0) {
        err = -errno;
    }
    close(fd);
    return err;
}

int listener_open(const struct address *a, int type, int backlog)
{
    const mode_t mask = umask(0177); /* a socket in the file system is root's alone */
    const int on = 1;
    int err = address_is_path(a) ? clear_path(a, type) : 0;
    int fd = -1;

    if (err == 0) {
        fd = socket(a->name.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        err = fd < 0 ? -errno : 0;
    }
    if (err == 0 && !address_is_path(a) &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0) {
        err = -errno;
    }
    if (err == 0 &&
        (bind(fd, (const struct sockaddr *)&a->name, a->len) < 0 || listen(fd, backlog) < 0)) {
        err = -errno;
    }
    umask(mask);
    if (err != 0 && fd >= 0) {
        close(fd);
    }
    return err != 0 ? err : fd;
}
