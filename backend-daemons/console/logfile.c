/*
 * Logs by name, see logfile.h. All names are relative to the directory's descriptor, and none
 * contains a slash (name.h), so nothing outside of the directory can be reached.
 */
#include "logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_dirs(const char *path)
{
    char *copy = strdup(path);
    int err = copy != NULL ? 0 : -ENOMEM;

    for (char *slash = copy; err == 0 && slash != NULL;) {
        slash = strchr(slash + 1, '/');
        if (slash != NULL) {
            *slash = '\0';
        }
        if (mkdir(copy, 0750) < 0 && errno != EEXIST) {
            err = -errno;
        }
        if (slash != NULL) {
            *slash = '/';
        }
    }
    free(copy);
    return err;
}

int log_dir_open(struct log_dir *dir, const char *path, uint64_t max_size, unsigned int keep)
{
    int err = make_dirs(path);

    *dir = (struct log_dir){.fd = -1, .max_size = max_size, .keep = keep};
    if (err != 0) {
        return err;
    }
    dir->path = strdup(path);
    if (dir->path == NULL) {
        return -ENOMEM;
    }
    dir->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir->fd < 0 ? -errno : 0;
}

static void open_log(struct log_dir *dir, struct logfile *log)
{
    struct stat st;

    log->fd =
        openat(dir->fd, log->name, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
    log->size = 0;
    if (log->fd < 0) {
        log_limited(&log->complaints, LOG_ERR, NULL,
                    "%s/%s: cannot open the log: %s; output goes on without it", dir->path,
                    log->name, strerror(errno));
    } else if (fstat(log->fd, &st) == 0) {
        log->size = (uint64_t)st.st_size;
    }
}

static void close_log(struct logfile *log)
{
    if (log->fd >= 0) {
        close(log->fd);
    }
    log->fd = -1;
}

struct logfile *logfile_get(struct log_dir *dir, const char *guest)
{
    char file[NAME_FILE_MAX], name[sizeof(((struct logfile *)0)->name)];
    struct logfile *log = NULL;

    name_to_file(guest, file);
    snprintf(name, sizeof(name), "%s.log", file);
    HASH_FIND_STR(dir->open, name, log);
    if (log == NULL) {
        log = calloc(1, sizeof(*log));
        if (log == NULL) {
            return NULL;
        }
        log->complaints = (struct log_limit){.burst = 3, .interval_ms = 60000};
        memcpy(log->name, name, sizeof(name));
        open_log(dir, log);
        HASH_ADD_STR(dir->open, name, log);
    }
    log->users++;
    return log;
}

void logfile_put(struct log_dir *dir, struct logfile *log)
{
    if (log == NULL || --log->users > 0) {
        return;
    }
    HASH_DEL(dir->open, log);
    close_log(log);
    free(log);
}

static void numbered(const struct logfile *log, unsigned int number, char name[NAME_MAX + 1])
{
    snprintf(name, NAME_MAX + 1, number > 0 ? "%s.%u" : "%s", log->name, number);
}

/* NAME.log becomes NAME.log.1, that one .2, and so on; the last one goes. */
static void rotate(struct log_dir *dir, struct logfile *log)
{
    char from[NAME_MAX + 1], to[NAME_MAX + 1];

    close_log(log);
    numbered(log, dir->keep, to);
    unlinkat(dir->fd, to, 0);
    for (unsigned int number = dir->keep; number > 0; number--) {
        numbered(log, number - 1, from);
        numbered(log, number, to);
        if (renameat(dir->fd, from, dir->fd, to) < 0 && errno != ENOENT) {
            log_limited(&log->complaints, LOG_ERR, NULL, "%s/%s: cannot rename to %s: %s",
                        dir->path, from, to, strerror(errno));
        }
    }
    open_log(dir, log);
}

int logfile_write(struct log_dir *dir, struct logfile *log, const char *data, size_t len)
{
    if (dir->max_size > 0 && log->size > 0 && log->size + len > dir->max_size) {
        rotate(dir, log);
    }
    if (log->fd < 0) {
        return -EBADF;
    }
    while (len > 0) {
        ssize_t written = write(log->fd, data, len);

        if (written < 0) {
            int err = -errno;

            if (err == -EINTR) {
                continue;
            }
            log_limited(&log->complaints, LOG_ERR, NULL,
                        "%s/%s: cannot write: %s; output is lost to it", dir->path, log->name,
                        strerror(-err));
            return err;
        }
        log->size += (uint64_t)written;
        data += written;
        len -= (size_t)written;
    }
    return 0;
}

size_t logfile_tail(const struct logfile *log, char *data, size_t size)
{
    size_t wanted = log->size < size ? (size_t)log->size : size, got = 0;

    while (log->fd >= 0 && got < wanted) {
        ssize_t n = pread(log->fd, data + got, wanted - got, (off_t)(log->size - wanted + got));

        if (n <= 0) {
            break;
        }
        got += (size_t)n;
    }
    return got;
}

void log_dir_reopen(struct log_dir *dir)
{
    struct logfile *log, *next;

    HASH_ITER (hh, dir->open, log, next) {
        close_log(log);
        open_log(dir, log);
    }
}

void log_dir_close(struct log_dir *dir)
{
    struct logfile *next = dir->open;

    HASH_CLEAR(hh, dir->open);
    while (next != NULL) {
        struct logfile *log = next;

        next = log->hh.next;
        close_log(log);
        free(log);
    }
    if (dir->fd >= 0) {
        close(dir->fd);
    }
    dir->fd = -1;
    free(dir->path);
    dir->path = NULL;
}
