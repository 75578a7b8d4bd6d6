/*
 * The only daemon of its kind: see single.h. Who has a lock is in /proc/locks: a number in the file
 * would be a dead process's for a moment after each restart.
 */
#include "single.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* The process that the line of /proc/locks is about, if it tells of an flock() of `id`; or 0. */
static int single_process(char *line, const char *id)
{
    char *end = strstr(line, id);
    const char *pid;

    if (end == NULL || strstr(line, ": FLOCK ") == NULL) {
        return 0;
    }
    *end = '\0';
    pid = strrchr(line, ' ');
    return pid != NULL ? (int)strtol(pid, NULL, 10) : 0;
}

/* The process that has locked it, or 0. */
static int single_holder(int fd)
{
    FILE *locks = fopen("/proc/locks", "re");
    char line[256], id[64];
    struct stat st;
    int found = 0;

    if (locks == NULL) {
        return 0;
    }
    if (fstat(fd, &st) == 0) {
        snprintf(id, sizeof(id), " %02x:%02x:%lu ", major(st.st_dev), minor(st.st_dev),
                 (unsigned long)st.st_ino);
        while (found == 0 && fgets(line, sizeof(line), locks) != NULL) {
            found = single_process(line, id);
        }
    }
    fclose(locks);
    return found;
}

static int single_lock(int fd, const char *name, char *why, unsigned long why_size)
{
    int err;

    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        return 0;
    }
    err = errno;
    if (err != EWOULDBLOCK) {
        snprintf(why, why_size, "%s: cannot be locked: %s", name, strerror(err));
        return -err;
    }
    snprintf(why, why_size, "%s runs already, as process %d", name, single_holder(fd));
    return -EBUSY;
}

int single_claim(const char *dir, const char *name, char *why, unsigned long why_size)
{
    char path[256];
    int fd, err;

    snprintf(path, sizeof(path), "%s/%s.lock", dir, name);
    fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        err = -errno;
        snprintf(why, why_size, "%s: %s", path, strerror(-err));
        return err;
    }
    err = single_lock(fd, name, why, why_size);
    if (err != 0) {
        close(fd);
    }
    return err;
}

int single_claim_folder(int folder, const char *name, char *why, unsigned long why_size)
{
    /* a description of its own: whoever is given `folder` would have the lock, too */
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err;

    if (fd < 0) {
        err = -errno;
        snprintf(why, why_size, "%s: its folder cannot be opened: %s", name, strerror(-err));
        return err;
    }
    err = single_lock(fd, name, why, why_size);
    if (err != 0) {
        close(fd);
    }
    return err;
}
