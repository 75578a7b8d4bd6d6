/*
 * A daemon's options as one table, so that what --help shows and what the command line and the
 * configuration file (conf.h) may say cannot come apart; and the options that several daemons have.
 * A value is read, or refused with a sentence that names the program, the option and the value.
 *
 * Types: struct option_rule (a row), struct options (a program's table, and what was said).
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
    OPTION_LISTEN, /* a const char *: where to listen (address.h) */
    OPTION_BYTES,  /* a uint64_t of bytes, from `min` to `max`; K, M or G behind it multiplies */
    OPTION_LEVEL,  /* nothing: the level of the log, which takes effect */
};

/* Where it may stand beside the command line. Only numbers, levels and where to listen may. */
enum option_scope {
    OPTION_NOT_IN_FILE,
    OPTION_OF_CLASS, /* in the section of the daemon's class */
    OPTION_OF_GUEST, /* there, and in a guest's */
};

struct option_rule {
    char letter; /* '\0': it has only its name */
    const char *name;
    const char *argument; /* as --help shows it */
    const char *help;     /* lines after the first begin under it */
    enum option_type type;
    void *to;
    uint64_t min, max;
    enum option_scope scope;
};

struct options {
    const char *program;
    const char *what; /* that --help says of it */
    struct option_rule rules[OPTIONS_MAX];
    unsigned int nr;
    bool given[OPTIONS_MAX];        /* by the command line */
    uint64_t defaults[OPTIONS_MAX]; /* of those that may stand in the file */
};

/* The row that is every daemon's. */
#define OPTION_LOG_LEVEL                                                                 \
    {                                                                                    \
        .letter = 'l', .name = "log-level", .argument = "LEVEL",                         \
        .help = "error, warning, notice, info (default) or debug", .type = OPTION_LEVEL, \
        .scope = OPTION_OF_CLASS                                                         \
    }

/* The row of a daemon that tells its figures. */
#define OPTION_METRICS(at)                                                                      \
    {                                                                                           \
        .name = "metrics", .argument = "WHERE",                                                 \
        .help = "tell figures by HTTP at a socket's path, or at\n127.0.0.1:PORT or [::1]:PORT", \
        .type = OPTION_LISTEN, .to = &(at), .scope = OPTION_OF_CLASS                            \
    }

/* Adds rows to a table that starts as zeros. More than OPTIONS_MAX are a fault of the program. */
void options_add(struct options *o, const struct option_rule *rules, unsigned int nr);

/*
 * Reads the command line. --help and --version are every program's. Returns -1 to go on, or the
 * exit status.
 */
int options_parse(struct options *o, int argc, char **argv);

/*
 * Reads the value of a number (in bytes, if it counts KiB), of a level (a priority) or of where to
 * listen (the text's address, which is to stay). Returns false with the reason in `why`.
 */
bool option_value(const struct option_rule *r, const char *text, uint64_t *value, char *why,
                  unsigned long why_size);

/* Sets what such an option is for. */
void option_set(const struct option_rule *r, uint64_t value);

#endif
