/*
 * Logs of consoles: DIR/NAME.log, shared by all consoles whose guests have that name (a guest that
 * reboots or is restored comes back under a new id, and two ids may overlap for a moment).
 *
 * Types owned: struct log_dir (one per daemon), struct logfile (counted, handed out by log_dir). No
 * locks. Writing goes through the page cache and may wait for the disk.
 */
#ifndef DUET_CONSOLE_LOGFILE_H
#define DUET_CONSOLE_LOGFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "log.h"
#include "name.h"

struct logfile {
    char name[NAME_FILE_MAX + 8];
    int fd;
    uint64_t size;
    unsigned int users;
    struct log_limit complaints;
    UT_hash_handle hh;
};

struct log_dir {
    int fd;
    char *path;
    /* A log of this many bytes is rotated; 0: never. */
    uint64_t max_size;
    /* How many rotated ones are kept, as NAME.log.1 and on. */
    unsigned int keep;
    struct logfile *open;
};

/*
 * Makes the directory with its parents if they are missing and opens it.
 * Returns 0 or -errno. @path is copied.
 */
int log_dir_open(struct log_dir *dir, const char *path, uint64_t max_size, unsigned int keep);

/* Closes the directory and every log that is still open. */
void log_dir_close(struct log_dir *dir);

/*
 * The log of the guest called @guest, for one more user. A log that cannot be opened complains and
 * tries again at the next rotation or reopening: a guest's console does not depend on it. NULL when
 * out of memory.
 */
struct logfile *logfile_get(struct log_dir *dir, const char *guest);

/* One user less; the last one closes it. NULL is fine. */
void logfile_put(struct log_dir *dir, struct logfile *log);

/* Appends, rotating first when the log is full. Returns 0 or -errno (complained about already). */
int logfile_write(struct log_dir *dir, struct logfile *log, const char *data, size_t len);

/* Reads the last bytes, at most @size. Returns their number. */
size_t logfile_tail(const struct logfile *log, char *data, size_t size);

/* Opens every log anew by its name: whoever renamed them (logrotate) is done. */
void log_dir_reopen(struct log_dir *dir);

#endif
