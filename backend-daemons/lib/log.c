/*
 * Logging: see log.h. The formatted message passes through one escape function. The only state is
 * the level, the sink, and whether standard error is a terminal.
 */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static int level = LOG_INFO;
static int stderr_is_tty = -1; /* not asked yet */
static log_sink_fn *log_sink;

void log_prepare(void)
{
    if (stderr_is_tty < 0) {
        stderr_is_tty = isatty(STDERR_FILENO);
    }
}

void log_set_sink(log_sink_fn *sink)
{
    log_sink = sink;
}

void log_set_level(int priority)
{
    level = priority;
}

int log_level(void)
{
    return level;
}

int log_level_by_name(const char *name)
{
    static const struct {
        const char *name;
        int priority;
    } names[] = {{"error", LOG_ERR},
                 {"warning", LOG_WARNING},
                 {"notice", LOG_NOTICE},
                 {"info", LOG_INFO},
                 {"debug", LOG_DEBUG}};

    for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i].name) == 0) {
            return names[i].priority;
        }
    }
    return -EINVAL;
}

/* Decodes a sequence of two or three bytes at `s`. Returns its length, or 0 when it is none. */
static unsigned int decode_utf8(const unsigned char *s, unsigned int *code)
{
    unsigned int len = s[0] < 0xe0 ? 2 : 3;

    if (s[0] < 0xc2 || s[0] > 0xef) {
        return 0;
    }
    *code = s[0] & (len == 2 ? 0x1f : 0x0f);
    for (unsigned int i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
        *code = *code << 6 | (s[i] & 0x3f);
    }
    return len == 2 || *code >= 0x800 ? len : 0;
}

/*
 * Length of the printable character at `s`, or 0. Beyond ASCII only letters pass that stand alone
 * and read from left to right; what Unicode has of controls, marks without width, overrides of the
 * direction and combining characters is not on the list, nor is what it will have.
 */
static unsigned int printable_utf8(const unsigned char *s)
{
    static const struct {
        unsigned short first, last;
    } letters[] = {
        {0xc0, 0x2ff},    /* Latin */
        {0x370, 0x482},   /* Greek, Cyrillic */
        {0x48a, 0x52f},   /* Cyrillic */
        {0x1e00, 0x1fff}, /* more of Latin and Greek */
        {0x3041, 0x3096}, /* Hiragana */
        {0x30a1, 0x30fa}, /* Katakana */
        {0x4e00, 0x9fff}, /* Han */
        {0xac00, 0xd7a3}, /* Hangul */
    };
    unsigned int code, len;

    if (s[0] >= 0x20 && s[0] < 0x7f) {
        return 1;
    }
    len = decode_utf8(s, &code);
    for (unsigned int i = 0; len != 0 && i < sizeof(letters) / sizeof(letters[0]); i++) {
        if (code >= letters[i].first && code <= letters[i].last) {
            return len;
        }
    }
    return 0;
}

unsigned long log_escape(char *dst, unsigned long size, const char *src)
{
    const unsigned char *s = (const unsigned char *)src;
    unsigned long used = 0;

    while (*s != '\0') {
        unsigned int len = printable_utf8(s);

        if (used + (len != 0 ? len : 4) >= size) {
            break;
        }
        if (len != 0) {
            memcpy(dst + used, s, len);
            used += len;
            s += len;
        } else {
            snprintf(dst + used, 5, "\\x%02x", *s);
            used += 4;
            s++;
        }
    }
    dst[used] = '\0';
    return used;
}

unsigned long log_name(char *dst, unsigned long size, const struct log_id *id)
{
    int n = 0;

    dst[0] = '\0';
    if (id == NULL || id->class == NULL) {
        return 0;
    }
    n += snprintf(dst + n, size - n, "%s", id->class);
    if (id->domid >= 0) {
        n += snprintf(dst + n, size - n, " %d", id->domid);
        if (id->device >= 0) {
            n += snprintf(dst + n, size - n, "/%d", id->device);
        }
    }
    n += snprintf(dst + n, size - n, ": ");
    return n;
}

static void put_line(int priority, const struct log_id *id, const char *text)
{
    char shown[LINE_MAX_BYTES], line[LINE_MAX_BYTES];
    unsigned long n = 0, length;

    log_escape(shown, sizeof(shown), text);
    if (log_sink != NULL && log_sink(priority, id, shown)) {
        return;
    }
    log_prepare();
    if (stderr_is_tty == 0) {
        n = snprintf(line, sizeof(line), "<%d>", priority);
    }
    n += log_name(line + n, 256, id);
    length = strnlen(shown, sizeof(line) - n - 1);
    memcpy(line + n, shown, length);
    n += length;
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, n) < 0) {
        return; /* nobody is left to tell */
    }
}

void log_msg(int priority, const struct log_id *id, const char *fmt, ...)
{
    char text[LINE_MAX_BYTES];
    va_list ap;

    if (priority > level) {
        return;
    }
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    put_line(priority, id, text);
}

void log_limited(struct log_limit *limit, int priority, const struct log_id *id, const char *fmt,
                 ...)
{
    char text[LINE_MAX_BYTES];
    struct timespec ts;
    uint64_t now;
    va_list ap;
    int n;

    if (priority > level) {
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &ts);
    now = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
    if (limit->window_start_ms == 0 || now - limit->window_start_ms >= limit->interval_ms) {
        limit->window_start_ms = now;
        limit->used = 0;
    }
    if (limit->used >= limit->burst) {
        limit->suppressed++;
        return;
    }
    limit->used++;
    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (limit->suppressed != 0 && n >= 0 && (unsigned long)n < sizeof(text)) {
        snprintf(text + n, sizeof(text) - n, " (%u more like this were not logged)",
                 limit->suppressed);
        limit->suppressed = 0;
    }
    put_line(priority, id, text);
}
