/*
 * The only daemon of its kind: see single.h.
 */
#include "single.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* Says who has it. */
static void single_explain(int fd, const char *path, const char *name, char *why,
                           unsigned long why_size)
{
    char pid[16];
    ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

    pid[n > 0 ? n : 0] = '\0';
    pid[strspn(pid, "0123456789")] = '\0';
    snprintf(why, why_size, "%s runs already, as process %s (%s is locked)", name,
             pid[0] != '\0' ? pid : "?", path);
}

int single_claim(const char *dir, const char *name, char *why, unsigned long why_size)
{
    char path[256];
    int err = 0;
    int fd;

    snprintf(path, sizeof(path), "%s/%s.lock", dir, name);
    fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0) {
        err = -errno;
        snprintf(why, why_size, "%s: %s", path, strerror(-err));
        return err;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        err = errno == EWOULDBLOCK ? -EBUSY : -errno;
        single_explain(fd, path, name, why, why_size);
    } else if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0) {
        err = -errno;
        snprintf(why, why_size, "%s: %s", path, strerror(-err));
    }
    if (err != 0) {
        close(fd);
    }
    return err;
}
