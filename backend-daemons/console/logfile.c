/*
 * Logs by name: see logfile.h. All names are relative to the directory's descriptor, and none
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
#include <time.h>
#include <unistd.h>

#include "loop.h"
#include "stamp.h"

#define AGAIN_NS UINT64_C(1000000000)

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

int cons_logs_make(const char *path)
{
    int err = make_dirs(path), fd;

    if (err != 0) {
        return err;
    }
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int cons_logs_open(struct cons_logs *logs, int fd, const char *path, uint64_t max_size,
                   unsigned int keep)
{
    *logs = (struct cons_logs){.fd = fd, .max_size = max_size, .keep = keep};
    logs->path = strdup(path);
    return logs->path != NULL ? 0 : -ENOMEM;
}

/* Whether the log ends within a line. */
static bool ends_in_line(const struct cons_log *log)
{
    char last;

    return log->size > 0 && pread(log->fd, &last, 1, (off_t)(log->size - 1)) == 1 && last != '\n';
}

static void open_log(struct cons_logs *logs, struct cons_log *log)
{
    struct stat st;

    log->fd =
        openat(logs->fd, log->name, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
    log->size = 0;
    log->in_line = false;
    if (log->fd < 0) {
        log->again_ns = loop_now_ns() + AGAIN_NS;
        log_limited(&log->complaints, LOG_ERR, NULL,
                    "%s/%s: cannot open the log: %s; output goes on without it", logs->path,
                    log->name, strerror(errno));
    } else if (fstat(log->fd, &st) == 0) {
        log->size = (uint64_t)st.st_size;
        log->in_line = ends_in_line(log);
    }
}

static void close_log(struct cons_log *log)
{
    if (log->fd >= 0) {
        close(log->fd);
    }
    log->fd = -1;
}

struct cons_log *cons_log_get(struct cons_logs *logs, const char *file)
{
    char name[sizeof(((struct cons_log *)0)->name)];
    struct cons_log *log = NULL;

    snprintf(name, sizeof(name), "%s.log", file);
    HASH_FIND_STR(logs->open, name, log);
    if (log == NULL) {
        log = calloc(1, sizeof(*log));
        if (log == NULL) {
            return NULL;
        }
        log->complaints = (struct log_limit){.burst = 3, .interval_ms = 60000};
        log->recoveries = log->complaints;
        memcpy(log->name, name, sizeof(name));
        open_log(logs, log);
        HASH_ADD_STR(logs->open, name, log);
    }
    log->users++;
    return log;
}

void cons_log_put(struct cons_logs *logs, struct cons_log *log)
{
    if (log == NULL || --log->users > 0) {
        return;
    }
    HASH_DEL(logs->open, log);
    close_log(log);
    free(log);
}

static void numbered(const struct cons_log *log, unsigned int number, char name[NAME_MAX + 1])
{
    snprintf(name, NAME_MAX + 1, number > 0 ? "%s.%u" : "%s", log->name, number);
}

/* NAME.log becomes NAME.log.1, that one .2, and so on; the last one goes. */
static void rotate(struct cons_logs *logs, struct cons_log *log)
{
    char from[NAME_MAX + 1], to[NAME_MAX + 1];

    close_log(log);
    numbered(log, logs->keep, to);
    unlinkat(logs->fd, to, 0);
    for (unsigned int number = logs->keep; number > 0; number--) {
        numbered(log, number - 1, from);
        numbered(log, number, to);
        if (renameat(logs->fd, from, logs->fd, to) < 0 && errno != ENOENT) {
            log_limited(&log->complaints, LOG_ERR, NULL, "%s/%s: cannot rename to %s: %s",
                        logs->path, from, to, strerror(errno));
        }
    }
    open_log(logs, log);
}

/* Appends; *@len is what is left. Returns 0 or -errno. */
static int append(struct cons_log *log, const char *data, size_t *len)
{
    while (*len > 0) {
        ssize_t written = write(log->fd, data, *len);

        if (written < 0 && errno != EINTR) {
            return -errno;
        }
        if (written > 0) {
            log->size += (uint64_t)written;
            log->written += (uint64_t)written;
            data += written;
            *len -= (size_t)written;
        }
    }
    return 0;
}

/* The same with the time in front of each line that begins; *@len is what is left of @data. */
static int append_stamped(struct cons_log *log, const char *data, size_t *len)
{
    char out[4096], stamp[CONS_STAMP_LEN];
    struct timespec now;
    int err = 0;

    clock_gettime(CLOCK_REALTIME, &now);
    cons_stamp_put(stamp, (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
    while (*len > 0 && err == 0) {
        size_t used = 0, taken = 0;

        while (taken < *len && used + CONS_STAMP_LEN < sizeof(out)) {
            if (!log->in_line) {
                memcpy(out + used, stamp, CONS_STAMP_LEN);
                used += CONS_STAMP_LEN;
            }
            log->in_line = data[taken] != '\n';
            out[used++] = data[taken++];
        }
        err = append(log, out, &used);
        data += taken;
        *len -= err == 0 ? taken : 0;
    }
    return err;
}

/* Appends with or without times, and keeps in mind whether a line is unfinished: that may change.
 */
static int append_as_wanted(const struct cons_logs *logs, struct cons_log *log, const char *data,
                            size_t *len)
{
    const char *end = data + *len;
    int err;

    if (logs->stamps) {
        return append_stamped(log, data, len);
    }
    err = append(log, data, len);
    if (end != data) {
        log->in_line = end[-1] != '\n';
    }
    return err;
}

/* The log is written again: says what is not in it. */
static void recover(const struct cons_logs *logs, struct cons_log *log)
{
    log_limited(&log->recoveries, LOG_NOTICE, NULL,
                "%s/%s: is written again; %llu bytes of output are not in it", logs->path,
                log->name, (unsigned long long)log->lost);
    log->lost = 0;
}

int cons_log_write(struct cons_logs *logs, struct cons_log *log, const char *data, size_t len)
{
    int err;

    if (logs->max_size > 0 && log->size > 0 && log->size + len > logs->max_size) {
        rotate(logs, log);
    }
    if (log->fd < 0 && loop_now_ns() >= log->again_ns) {
        open_log(logs, log);
    }
    err = log->fd < 0 ? -EBADF : append_as_wanted(logs, log, data, &len);
    if (err == 0 && log->lost != 0) {
        recover(logs, log);
    } else if (err != 0 && err != -EBADF && log->lost == 0) { /* that one was told */
        log_limited(&log->complaints, LOG_ERR, NULL,
                    "%s/%s: cannot write: %s; output is lost to it", logs->path, log->name,
                    strerror(-err));
    }
    log->lost += len;
    return err;
}

size_t cons_log_tail(const struct cons_logs *logs, const struct cons_log *log, char *data,
                     size_t size)
{
    size_t wanted = log->size < size ? (size_t)log->size : size, got = 0;

    while (log->fd >= 0 && got < wanted) {
        ssize_t n = pread(log->fd, data + got, wanted - got, (off_t)(log->size - wanted + got));

        if (n <= 0) {
            break;
        }
        got += (size_t)n;
    }
    return logs->stamps ? cons_stamp_strip(data, got, got == log->size) : got;
}

void cons_logs_reopen(struct cons_logs *logs)
{
    struct cons_log *log, *next;

    HASH_ITER (hh, logs->open, log, next) {
        close_log(log);
        open_log(logs, log);
    }
}

void cons_logs_close(struct cons_logs *logs)
{
    struct cons_log *next = logs->open;

    HASH_CLEAR(hh, logs->open);
    while (next != NULL) {
        struct cons_log *log = next;

        next = log->hh.next;
        close_log(log);
        free(log);
    }
    if (logs->fd >= 0) {
        close(logs->fd);
    }
    logs->fd = -1;
    free(logs->path);
    logs->path = NULL;
}
