/*
 * Command-line options as one table, so that what --help shows and what is accepted cannot come
 * apart; and the options that several daemons have. A value is read, or refused with a sentence on
 * standard error that names the program, the option and the value.
 */
#ifndef DUET_LIB_OPTIONS_H
#define DUET_LIB_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define OPTIONS_EXIT_USAGE 2 /* exit status for wrong usage */

#define OPTIONS_MAX 24U /* rows of a table, with those of every program */

/* How an option's value is read, and into what. */
enum option_type {
    OPTION_TEXT,   /* a const char * */
    OPTION_DIR,    /* the same: an absolute path of less than `max` bytes */
    OPTION_SWITCH, /* a bool, which becomes true; there is no argument */
    OPTION_NUMBER, /* an unsigned int (or uid_t), from `min` to `max`, in C's notation */
    OPTION_KIB,    /* a uint64_t of bytes; the argument, from `min` to `max`, counts KiB */
    OPTION_LEVEL,  /* nothing: the level of the log, which takes effect */
};

struct option_rule {
    char letter; /* '\0': it has only its name */
    const char *name;
    const char *argument; /* as --help shows it */
    const char *help;     /* lines after the first begin under it */
    enum option_type type;
    void *to;
    uint64_t min, max;
};

/* The row that is every daemon's. */
#define OPTION_LOG_LEVEL                                                                \
    {                                                                                   \
        .letter = 'l', .name = "log-level", .argument = "LEVEL",                        \
        .help = "error, warning, notice, info (default) or debug", .type = OPTION_LEVEL \
    }
/*
 * Reads the command line of `program`, of which --help says `what`. --help and --version are every
 * program's. Returns -1 to go on, or the exit status.
 */
int options_parse(const char *program, const char *what, const struct option_rule *rules,
                  unsigned int nr, int argc, char **argv);

#endif
