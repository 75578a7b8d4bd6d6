/*
 * A console's log as text that a terminal can be given: a guest wrote it.
 */
#ifndef DUET_CONSOLE_TOOL_LOGVIEW_H
#define DUET_CONSOLE_TOOL_LOGVIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#define LOGVIEW_LINE_MAX 4096U

/* What was read of a line that is not whole yet. */
struct logview {
    bool raw; /* bytes as they are */
    char line[LOGVIEW_LINE_MAX + 1];
    size_t len;
};

/*
 * Prints @len more bytes of a log: ends of lines and tabs as they are, a carriage return before the
 * end of a line not at all, the letters of common scripts as they are, and every other byte as
 * \xNN. A line that is not whole is kept until it is, or logview_flush().
 */
void logview_print(struct logview *view, FILE *out, const char *data, size_t len);

/* Prints what was kept. */
void logview_flush(struct logview *view, FILE *out);

/* The offset at which the last @lines lines of a file of @size bytes begin; an unfinished one
 * counts. Returns it, or -errno. */
off_t logview_last(int fd, off_t size, long lines);

#endif
