/*
 * The time in front of a log's lines, and the same taken away again. Pure: in the worker's cage no
 * file of time zones can be read, so the time is UTC and reckoned here.
 */
#ifndef DUET_CONSOLE_STAMP_H
#define DUET_CONSOLE_STAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "[2026-11-28T14:38:15.123Z] " */
#define CONS_STAMP_LEN 27U

/* Writes the stamp of a time, in milliseconds since 1970, without a final NUL. Years from 1970 to
 * 9999. */
void cons_stamp_put(char out[CONS_STAMP_LEN], uint64_t ms);

/*
 * Takes the stamps from the beginnings of lines of @data, of which @line_begins says whether it
 * begins with one. What only looks like a stamp goes as well. Returns the new length.
 */
size_t cons_stamp_strip(char *data, size_t len, bool line_begins);

#endif
