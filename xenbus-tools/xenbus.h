/*
 * What the sub-commands of xenbus share: exit codes, the table entry, small helpers on the store.
 * Another program that has sub-commands (duet-console) has them alike.
 *
 * Types: struct command; struct program, its table.
 */
#ifndef DUET_XENBUS_H
#define DUET_XENBUS_H

#include <cjson/cJSON.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <xenstore.h>

/* Exit codes, as docs/man/xenbus.1 documents them. */
enum {
    EXIT_FOUND = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    /* Of the commands whose answer is yes or no (exists, diff, doctor): there is no answer. */
    EXIT_TROUBLE = 2,
    EXIT_TIMEOUT = 124,
};

struct command {
    const char *name;
    const char *summary;
    /* Everything after the name on the usage line. */
    const char *synopsis;
    /* The option lines of --help, ready to print. */
    const char *options;
    /* For getopt_long(); --help is in each list, and so is --json (COMMON_OPTIONS) where there is
     * something to print so. */
    const char *shorts;
    const struct option *longs;
    /* How many arguments may stand behind the options; negative @max_args: any number. */
    int min_args, max_args;
    /* argv[0] is the sub-command's name; returns an exit code. */
    int (*run)(const struct command *self, int argc, char **argv);
};

/* A program of sub-commands. */
struct program {
    const char *name;
    const char *summary; /* a line of --help */
    const char *note;    /* its end */
    const struct command *const *commands;
    size_t nr_commands;
};

/* The main() of such a program: finds the sub-command, and hands over to it. */
int command_main(const struct program *program, int argc, char **argv);

/* The name of the program that runs. */
const char *command_program(void);

#define COMMON_SHORTS "jh"
/* The comma of the last entry belongs to it: this stands inside an initialiser. */
#define COMMON_OPTIONS                                                  \
    {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, \
    {                                                                   \
        0                                                               \
    }

#define HELP_OPTION                   \
    {"help", no_argument, NULL, 'h'}, \
    {                                 \
        0                             \
    }

extern const struct command cmd_ls, cmd_read, cmd_write, cmd_rm, cmd_watch, cmd_wait, cmd_devices,
    cmd_exists, cmd_chmod, cmd_transaction, cmd_export, cmd_import, cmd_diff, cmd_doctor, cmd_trace,
    cmd_graph, cmd_top, cmd_bundle;

/* Prints the sub-command's help to @out. */
void command_help(const struct command *self, FILE *out);

/*
 * Reads the options of a sub-command. --json sets *@json, --help prints the help; every other goes
 * to
 * @handle (its letter and argument), which returns false when the argument is not acceptable; it is
 * NULL where there is no other. Checks the number of arguments. Returns -1 to go on, with optind at
 * the first argument, or the exit code to end with.
 */
int command_options(const struct command *self, int argc, char **argv, bool *json,
                    bool (*handle)(int option, const char *arg, void *context), void *context);

/*
 * Has @look answer for each argument: it returns an exit code, and adds to @all what --json prints.
 * Returns the largest of the codes.
 */
int command_each(int argc, char **argv, bool json,
                 int (*look)(void *context, const char *arg, cJSON *all), void *context);

/* Says that the command line is wrong (@fmt) and how to get help; returns EXIT_USAGE. */
int command_usage(const struct command *self, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints the program's and the command's name and the message to stderr; returns EXIT_FAILED. */
int command_failed(const struct command *self, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Opens the connection to xenstored, or says why that failed.
 * Returns NULL on failure; the caller closes it with xs_close().
 */
struct xs_handle *store_open(const struct command *self);

/* What an error of the store means, in words that name what to do; static or of strerror(). */
const char *store_error(int err);

/* Whether @path can be a path of the store at all (xenstore.txt: absolute or relative, no empty
 * part, no trailing slash except in "/"). */
bool store_path_valid(const char *path);

/* @dir and @name joined by exactly one slash; the caller frees. Never NULL: exits when out of
 * memory. */
char *store_join(const char *dir, const char *name);

/*
 * Waits for the next watch event until @deadline (CLOCK_MONOTONIC milliseconds, negative: for
 * ever), or until @stop_fd can be read (negative: there is none). Returns 1 and the event in @event
 * (the caller frees it), 0 when the waiting is over, -errno on failure.
 */
int store_next_event(struct xs_handle *xs, long long deadline, int stop_fd, char ***event);

/* CLOCK_MONOTONIC in milliseconds. */
long long now_ms(void);

/* CLOCK_MONOTONIC now plus @seconds, in milliseconds. */
long long deadline_after(double seconds);

/* Reads a non-negative number of seconds ("2", "0.5") into @seconds; false if @text is not one. */
bool parse_seconds(const char *text, double *seconds);

/* Reads a whole number of @least or more into @number; false if @text is not one. */
bool parse_count(const char *text, long least, long *number);

/*
 * Waits until @fd has one of poll()'s @events, until @stop can be read (negative: there is none),
 * or until @deadline, as now_ms(). Returns 1, 0 when it is late, -EINTR when it was stopped, or
 * another -errno.
 */
int wait_for(int fd, short events, int stop, long long deadline);

/* Ends the program with a message. */
void out_of_memory(void) __attribute__((noreturn));

/* Like malloc/strdup, but end the program with a message when memory is out. */
void *must_alloc(size_t size);
char *must_strdup(const char *text);

#endif
