/*
 * log.h - what the kernel says.
 *
 * Messages go into one ring of text in memory and from there to the console. The ring exists from
 * the first instruction on: what is said before the console is up appears when it comes.
 * Locks: log_lock (a leaf: nothing is taken inside it). Suspend: the ring stays.
 */
#ifndef KERN_LOG_H
#define KERN_LOG_H

#include "kern/types.h"

enum log_level { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/**
 * klog() - say something: one line, without the newline
 *
 * The line is prefixed with the time since boot. Any context, also inside an interrupt and with
 * spinlocks held; never sleeps. Lines above the current level are kept in the ring only.
 */
void klog(enum log_level level, const char *fmt, ...) __printf_like(2, 3);
void vklog(enum log_level level, const char *fmt, va_list ap) __printf_like(2, 0);

#define log_err(...)   klog(LOG_ERR, __VA_ARGS__)
#define log_warn(...)  klog(LOG_WARNING, __VA_ARGS__)
#define log_info(...)  klog(LOG_INFO, __VA_ARGS__)
#define log_debug(...) klog(LOG_DEBUG, __VA_ARGS__)

/**
 * struct log_sink - where lines go besides the ring
 * @write: takes bytes in any context and must not sleep; may drop what does not fit
 *
 * The structure belongs to the caller and must stay. There is one sink: the console.
 */
struct log_sink {
    void (*write)(const char *text, size_t len);
};

/** log_set_sink() - name the sink and send it what the ring holds. Thread context. */
void log_set_sink(const struct log_sink *sink);

/** log_set_level() - the highest level that reaches the sink (LOG_INFO at boot). Any context. */
void log_set_level(enum log_level level);

/**
 * log_read() - copy the ring's text, oldest first, for `dmesg`
 * @offset: position in the stream of all bytes ever logged; advanced past what was copied, and
 *          forward to the oldest byte still held if that part was overwritten
 *
 * Return: bytes copied to @buf, 0 at the end. Any context.
 */
size_t log_read(uint64_t *offset, char *buf, size_t size);

#endif /* KERN_LOG_H */
