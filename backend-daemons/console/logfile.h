/*
 * Logs of consoles: DIR/NAME.log, shared by all consoles whose guests have that name. A guest that
 * reboots or is restored comes back under a new id, and two ids may overlap for a moment.
 *
 * Types: struct cons_logs (one per daemon), struct cons_log (counted references, handed out by it).
 * Writing goes through the page cache and may wait for the disk.
 */
#ifndef DUET_CONSOLE_LOGFILE_H
#define DUET_CONSOLE_LOGFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "log.h"
#include "name.h"

struct cons_log {
    char name[CONS_LOG_NAME_MAX];
    int fd;
    uint64_t size;
    bool in_line; /* the last byte did not end a line */
    unsigned int users;
    uint64_t written;  /* bytes, with the times in front of lines */
    uint64_t lost;     /* bytes, since it could not be written; 0: it is written */
    uint64_t again_ns; /* not opened: when that is tried again */
    struct log_limit complaints, recoveries;
    UT_hash_handle hh;
};

struct cons_logs {
    int fd;
    char *path;
    /* A log of this many bytes is rotated; 0: never. */
    uint64_t max_size;
    /* How many rotated ones are kept, as NAME.log.1 and on. */
    unsigned int keep;
    /* Each line begins with the time (stamp.h). */
    bool stamps;
    struct cons_log *open;
};

/*
 * Makes the directory with its parents if they are missing and opens it. Returns the descriptor or
 * -errno.
 */
int cons_logs_make(const char *path);

/*
 * Logs to the directory @fd, which becomes the logs' to close; @path is for messages and copied.
 * Returns 0 or -ENOMEM. `stamps` is the caller's to set then, at any time.
 */
int cons_logs_open(struct cons_logs *logs, int fd, const char *path, uint64_t max_size,
                   unsigned int keep);

/* Closes the directory and every log that is still open. */
void cons_logs_close(struct cons_logs *logs);

/*
 * The log @file (a name of name.h), for one more user. A log that cannot be opened complains, and
 * is tried again once a second while there is output for it: a guest's console does not depend on
 * it. NULL when out of memory.
 */
struct cons_log *cons_log_get(struct cons_logs *logs, const char *file);

/* One user less; the last one closes it. NULL is fine. */
void cons_log_put(struct cons_logs *logs, struct cons_log *log);

/*
 * Appends, rotating first when the log is full. Returns 0 or -errno (complained about already):
 * what is lost is counted, and told when the log is written again.
 */
int cons_log_write(struct cons_logs *logs, struct cons_log *log, const char *data, size_t len);

/* Reads the last bytes, at most @size, without the times in front of lines. Returns their number.
 */
size_t cons_log_tail(const struct cons_logs *logs, const struct cons_log *log, char *data,
                     size_t size);

/* Opens every log anew by its name, after logrotate or somebody else has renamed them. */
void cons_logs_reopen(struct cons_logs *logs);

#endif
