/*
 * log.c - the ring of messages and its way to the console.
 *
 * A line is formatted on the caller's stack, then copied into the ring and handed to the sink under
 * log_lock, so that lines of several vCPUs never mix. The sink must not sleep and must not log.
 * Words of a back end or of the toolstack may be in a line: it has printable characters only, so
 * that it is one line and no terminal obeys it.
 * Locks: log_lock, over the sink's own. Suspend: the ring stays; nothing to do.
 */
#include "kern/log.h"

#include "kern/lock.h"
#include "kern/string.h"
#include "psm/clock.h"

#define LOG_RING_SIZE 16384 /* a power of two */
#define LOG_LINE_MAX  256

static spinlock_t log_lock = SPINLOCK("log");
static char ring[LOG_RING_SIZE];
static uint64_t ring_end; /* bytes ever written */
static const struct log_sink *sink;
static enum log_level sink_level = LOG_INFO;

static void ring_put(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        ring[(ring_end + i) % LOG_RING_SIZE] = text[i];
    }
    ring_end += len;
}

static uint64_t ring_start(void)
{
    return ring_end > LOG_RING_SIZE ? ring_end - LOG_RING_SIZE : 0;
}

/* Appends @text as far as it fits, with what is not printable as \xHH. Return: the line's length.
 */
static size_t append_printable(char *line, size_t len, const char *text)
{
    for (; *text != '\0'; text++) {
        bool printable = *text >= ' ' && *text < '\x7f';
        size_t n = printable ? 1 : sizeof("\\xHH") - 1;

        if (len + n >= LOG_LINE_MAX) {
            break;
        }
        snprintf(line + len, LOG_LINE_MAX - len, printable ? "%c" : "\\x%02x",
                 (unsigned char)*text);
        len += n;
    }
    return len;
}

/* "[    1.234] text\n"; a text that is too long is cut, the newline stays. */
static size_t format_line(char *line, const char *fmt, va_list ap)
{
    char text[LOG_LINE_MAX];
    nsec_t now = clock_now();
    int stamp =
        snprintf(line, LOG_LINE_MAX, "[%5llu.%03llu] ", (unsigned long long)(now / NSEC_PER_SEC),
                 (unsigned long long)(now / NSEC_PER_MSEC % 1000));

    vsnprintf(text, sizeof(text), fmt, ap);
    size_t len = append_printable(line, (size_t)stamp, text);
    line[len] = '\n';
    return len + 1;
}

void vklog(enum log_level level, const char *fmt, va_list ap)
{
    char line[LOG_LINE_MAX + 1];
    size_t len = format_line(line, fmt, ap);

    upcall_state_t state = spin_lock(&log_lock);
    ring_put(line, len);
    if (sink != NULL && level <= sink_level) {
        sink->write(line, len);
    }
    spin_unlock(&log_lock, state);
}

void klog(enum log_level level, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vklog(level, fmt, ap);
    va_end(ap);
}

void log_set_sink(const struct log_sink *new_sink)
{
    upcall_state_t state = spin_lock(&log_lock);

    sink = new_sink;
    for (uint64_t at = ring_start(); sink != NULL && at < ring_end;) {
        size_t from = at % LOG_RING_SIZE;
        size_t len = MIN(ring_end - at, LOG_RING_SIZE - from);

        sink->write(ring + from, len);
        at += len;
    }
    spin_unlock(&log_lock, state);
}

void log_set_level(enum log_level level)
{
    WRITE_ONCE(sink_level, level);
}

size_t log_read(uint64_t *offset, char *buf, size_t size)
{
    upcall_state_t state = spin_lock(&log_lock);
    uint64_t at = MAX(*offset, ring_start());
    size_t n = MIN(size, ring_end - at);

    for (size_t i = 0; i < n; i++) {
        buf[i] = ring[(at + i) % LOG_RING_SIZE];
    }
    *offset = at + n;
    spin_unlock(&log_lock, state);
    return n;
}
