/*
 * Logs for terminals: see logview.h.
 */
#include "logview.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

/* Prints what has neither tabs nor zeros in it. */
static void print_piece(FILE *out, const char *text)
{
    char shown[4 * LOGVIEW_LINE_MAX + 1];

    log_escape(shown, sizeof(shown), text);
    fputs(shown, out);
}

void logview_flush(struct logview *view, FILE *out)
{
    char *at = view->line, *end = view->line + view->len;

    while (at < end) {
        size_t n = strcspn(at, "\t");

        /* Text ends at a zero, too, the one behind the line among them. */
        if (at[n] == '\t' || at + n < end) {
            const char *between = at[n] == '\t' ? "\t" : "\\x00";

            at[n] = '\0';
            print_piece(out, at);
            fputs(between, out);
            n++;
        } else {
            print_piece(out, at);
        }
        at += n;
    }
    view->len = 0;
    view->line[0] = '\0';
}

static void end_line(struct logview *view, FILE *out)
{
    while (view->len > 0 && view->line[view->len - 1] == '\r') {
        view->line[--view->len] = '\0';
    }
    logview_flush(view, out);
    fputc('\n', out);
}

void logview_print(struct logview *view, FILE *out, const char *data, size_t len)
{
    if (view->raw) {
        fwrite(data, 1, len, out);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        if (data[i] == '\n') {
            end_line(view, out);
            continue;
        }
        if (view->len == LOGVIEW_LINE_MAX) {
            logview_flush(view, out);
        }
        view->line[view->len++] = data[i];
        view->line[view->len] = '\0';
    }
}

off_t logview_last(int fd, off_t size, long lines)
{
    char data[4096];
    off_t end = size;

    if (lines == 0) {
        return size;
    }
    while (end > 0) {
        off_t begin = end > (off_t)sizeof(data) ? end - (off_t)sizeof(data) : 0;
        ssize_t n = pread(fd, data, (size_t)(end - begin), begin);

        if (n != end - begin) {
            return n < 0 ? -errno : -EIO;
        }
        while (n-- > 0) {
            /* The end of the last line does not begin another. */
            if (data[n] == '\n' && begin + n != size - 1 && --lines == 0) {
                return begin + n + 1;
            }
        }
        end = begin;
    }
    return 0;
}
