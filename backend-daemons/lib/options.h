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

/* A number from `min` to `max`, in C's notation. Returns false after the sentence. */
bool options_number(const char *option, const char *text, uint64_t min, uint64_t max,
                    uint64_t *out);

/* --uid-base: room for every domain id above it, and never root. As options_number(). */
bool options_uid_base(const char *text, uid_t *out);

/* --log-level, which takes effect. Returns false after the sentence. */
bool options_log_level(const char *text);

/* How an option's value is read, and into what. */
enum option_type {
    OPTION_TEXT,   /* a const char * */
    OPTION_NUMBER, /* an unsigned int, from `min` to `max` */
    OPTION_UID,    /* a uid_t: options_uid_base() */
    OPTION_LEVEL,  /* nothing: options_log_level() */
};

struct option_rule {
    char letter;
    const char *name;
    const char *argument; /* as --help shows it */
    const char *help;     /* lines after the first begin under it */
    enum option_type type;
    void *to;
    uint64_t min, max;
};

/* Rows that a table begins or ends with. */
#define OPTION_LOG_LEVEL                                                                \
    {                                                                                   \
        .letter = 'l', .name = "log-level", .argument = "LEVEL",                        \
        .help = "error, warning, notice, info (default) or debug", .type = OPTION_LEVEL \
    }
#define OPTION_UID_BASE(where)                                                           \
    {                                                                                    \
        .letter = 'u', .name = "uid-base", .argument = "UID",                            \
        .help = "a worker runs as UID plus its guest's domain id\n(default 0x70000000)", \
        .type = OPTION_UID, .to = (where)                                                \
    }
#define OPTION_WORKER(where, path)                                                         \
    {                                                                                      \
        .letter = 'w', .name = "worker", .argument = "PATH",                               \
        .help = "program that serves one device\n(default " path ")", .type = OPTION_TEXT, \
        .to = (where)                                                                      \
    }

#define OPTIONS_UID_BASE 0x70000000U

/*
 * Reads the command line of `program`, of which --help says `what`. --help and --version are every
 * program's. Returns -1 to go on, or the exit status.
 */
int options_parse(const char *program, const char *what, const struct option_rule *rules,
                  unsigned int nr, int argc, char **argv);

#endif
