/*
 * What is kept of a worker when it dies: see kept.h.
 */
#include "kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEPT_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

int kept_create(const char *name, unsigned long size)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int err = 0;

    if (fd < 0) {
        return -errno;
    }
    if (ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, KEPT_SEALS | F_SEAL_SEAL) < 0) {
        err = -errno;
        close(fd);
    }
    return err != 0 ? err : fd;
}

/* Its size, which it keeps, or -1. */
static off_t kept_size(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && (fcntl(fd, F_GET_SEALS) & KEPT_SEALS) == KEPT_SEALS ? st.st_size
                                                                                      : -1;
}

bool kept_is_sealed(int fd, unsigned long size)
{
    return kept_size(fd) == (off_t)size;
}

const struct kept_head *kept_look(int fd)
{
    void *mem = MAP_FAILED;

    if (kept_size(fd) >= (off_t)sizeof(struct kept_head)) {
        mem = mmap(NULL, sizeof(struct kept_head), PROT_READ, MAP_SHARED, fd, 0);
    }
    return mem == MAP_FAILED ? NULL : mem;
}

void kept_look_away(const struct kept_head *head)
{
    if (head != NULL) {
        munmap((void *)head, sizeof(*head));
    }
}

void *kept_map(int fd, unsigned long size)
{
    void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    return mem == MAP_FAILED ? NULL : mem;
}

/* Returns 0 or -errno. */
static int kept_lock(int own, void (*waits)(void))
{
    if (flock(own, LOCK_EX | LOCK_NB) == 0) {
        return 0;
    }
    waits();
    return flock(own, LOCK_EX) < 0 ? -errno : 0;
}

int kept_open(int fd, unsigned long size, void (*waits)(void), void **mem)
{
    char path[40];
    int own, err;

    if (!kept_is_sealed(fd, size)) {
        return -EPROTO;
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    own = open(path, O_RDWR | O_CLOEXEC);
    if (own < 0) {
        return -errno;
    }
    err = kept_lock(own, waits);
    if (err == 0) {
        *mem = kept_map(own, size);
        err = *mem == NULL ? -errno : 0;
    }
    if (err != 0) {
        close(own);
        return err;
    }
    return own;
}
