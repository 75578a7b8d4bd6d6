/*
 * Logging of the daemons: one line per message on standard error, or where a sink puts it: a
 * supervisor's goes to the journal with fields (journal.h), a worker's to its supervisor.
 *
 * Each line names what it is about, `vbd 5/51712: ...` (class, domain, device). When standard error
 * is not a terminal, the line starts with the priority prefix `<n>` that the journal understands
 * (sd-daemon(3)). Bytes that come from a guest or from the store may be part of a message:
 * log_escape() makes them harmless to a terminal before they are written. A message is a single
 * write(2).
 *
 * Types: struct log_id (what a message is about) and struct log_limit (a rate limit), both owned by
 * the caller.
 */
#ifndef DUET_LIB_LOG_H
#define DUET_LIB_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

/* What a message is about. A negative domain or device is left out of the line. */
struct log_id {
    const char *class; /* "vbd", "console", …; NULL: the daemon itself */
    int domid;
    int device;
    const char *domain; /* the domain's name, which is not part of the line; NULL: not known */
};

/*
 * Takes a message in place of standard error: `text` has no prefix, and only bytes that are
 * harmless to a terminal; `id` may be NULL. Returns false to have it go to standard error after
 * all. Must neither wait nor log.
 */
typedef bool log_sink_fn(int priority, const struct log_id *id, const char *text);

/* Lets `burst` messages pass in each `interval_ms`, counts the others. Zero-initialise the rest. */
struct log_limit {
    unsigned int burst;
    unsigned int interval_ms;
    uint64_t window_start_ms;
    unsigned int used;
    unsigned int suppressed;
};

/*
 * Finds out now whether standard error is a terminal. Otherwise the first message would ask, which
 * ends a process in a sandbox that does not permit the call.
 */
void log_prepare(void);

/* Has every message go to `sink` first; NULL: to standard error, as at the start. */
void log_set_sink(log_sink_fn *sink);

/*
 * Writes "vbd 5/51712: ", as far as the parts of `id` are known, into `dst` (`size` at least 64).
 * Returns the length.
 */
unsigned long log_name(char *dst, unsigned long size, const struct log_id *id);

/* Sets the least urgent priority (LOG_ERR … LOG_DEBUG of <syslog.h>) that is still written. */
void log_set_level(int priority);

/* The level in force, for example to pass it on to a child process. */
int log_level(void);

/*
 * Translates "error", "warning", "notice", "info", "debug" into a priority.
 * Returns it, or -EINVAL.
 */
int log_level_by_name(const char *name);

/* Writes one message about `id` (NULL: about the daemon). Never fails, never blocks for long. */
void log_msg(int priority, const struct log_id *id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * As log_msg(), but not more often than `limit` allows. The first message that passes after some
 * were held back says how many they were.
 */
void log_limited(struct log_limit *limit, int priority, const struct log_id *id, const char *fmt,
                 ...) __attribute__((format(printf, 4, 5)));

/*
 * Copies `src` into `dst` (at most `size` bytes with the final NUL). Printable ASCII and the
 * letters of common scripts stay. Every other byte becomes \xNN: those of controls, overrides of
 * the direction, marks without width, and what is not UTF-8. Returns the length written. `size`
 * must be at least 1.
 */
unsigned long log_escape(char *dst, unsigned long size, const char *src);

#endif
