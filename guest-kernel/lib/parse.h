/*
 * parse.h - a line of commands into words.
 *
 * Words are separated by blanks, commands by ';'. 'single' and "double" quotes and a backslash take
 * the meaning from the characters in them or behind it; # at a word's start begins a comment. Plain
 * C; compiles on the host for tests/unit.
 */
#ifndef LIB_PARSE_H
#define LIB_PARSE_H

#include "kern/types.h"

#define PARSE_WORDS 32
#define PARSE_TEXT  512

/* One command: its words, terminated by NULL, standing in text[]. */
struct parsed {
    int argc;
    char *argv[PARSE_WORDS + 1];
    char text[PARSE_TEXT];
};

/**
 * parse_command() - take the next command off a line
 * @line: where to read; on return behind the command and its ';'
 *
 * Return: 0 with @out filled in (argc 0 for an empty command), -ENOENT at the end of the line,
 * -EINVAL for a quote that is not closed, -E2BIG for too many or too long words: the rest of the
 * line is skipped then.
 */
int parse_command(const char **line, struct parsed *out);

#endif /* LIB_PARSE_H */
