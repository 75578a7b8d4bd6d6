/*
 * shell.h - the shell, as its commands and the boot sequence see it.
 *
 * One struct shell serves one terminal in one thread. Commands get it with their words, write with
 * sh_printf() and return an exit status. Locks: none of its own.
 */
#ifndef SHELL_SHELL_H
#define SHELL_SHELL_H

#include "kern/types.h"

/* Exit statuses, as shells have them. */
enum { SH_OK = 0, SH_FAIL = 1, SH_USAGE = 2, SH_UNKNOWN = 127, SH_INTERRUPTED = 130 };

struct shell {
    bool interactive;    /* somebody sits there: show progress */
    const char *running; /* the command, for its error messages */
    int status;          /* of the last command */
};

/* What the arguments of a command are, for completion. */
enum sh_args { ARGS_NONE, ARGS_COMMAND, ARGS_DISK, ARGS_XS, ARGS_DD };

/**
 * struct sh_command - a command
 * @usage: "dd if=SOURCE of=DISK ...", the whole line
 * @summary: one line for `help`
 * @detail: for `help CMD`: lines ending in newlines, NULL for none
 * @run: @argv[0] is the command; returns an exit status, SH_USAGE to have the usage shown
 */
struct sh_command {
    const char *name, *usage, *summary, *detail;
    enum sh_args args;
    int (*run)(struct shell *sh, int argc, char **argv);
};

/* The table: each file's group of commands, ending with an entry without a name. */
extern const struct sh_command *const sh_groups[];

/** sh_find() - the command of that name or NULL. */
const struct sh_command *sh_find(const char *name);

/** shell_start() - start the thread that runs run= and then prompts. Everything else is up. */
void shell_start(void);

/** sh_printf() - write to the terminal; lines of any length. May sleep. */
void sh_printf(struct shell *sh, const char *fmt, ...) __printf_like(2, 3);
void sh_write(struct shell *sh, const char *text, size_t len);

/** sh_error() - "COMMAND: what is wrong" and a newline. Return: SH_FAIL. */
int sh_error(struct shell *sh, const char *fmt, ...) __printf_like(2, 3);

/** sh_interrupted() - whether ^C was typed since the command began. */
bool sh_interrupted(struct shell *sh);

/*
 * Text that is collected where writing may not sleep (visitors that hold a lock), written later.
 */
struct sh_text {
    char *buf;
    size_t len, size;
    bool cut; /* memory ran out */
};
void sh_text_add(struct sh_text *t, const char *fmt, ...) __printf_like(2, 3);

/** sh_text_write() - write what was collected and free it. Return: SH_OK, SH_FAIL if cut. */
int sh_text_write(struct shell *sh, struct sh_text *t);

/* How far a long operation is, told on a terminal only. */
struct sh_progress {
    nsec_t start, shown;
    bool visible;
};
void sh_progress_begin(struct sh_progress *p);

/** sh_progress() - @done of @total bytes; shows something once in a while. */
void sh_progress(struct shell *sh, struct sh_progress *p, uint64_t done, uint64_t total);

/** sh_progress_end() - wipe it away. Return: nanoseconds since the beginning. */
nsec_t sh_progress_end(struct shell *sh, struct sh_progress *p);

/* A piece of a completion list goes here; see complete.c. */
struct edit;

/** sh_complete() - the Tab key: extend the word before the cursor, or list what it could be. */
void sh_complete(struct edit *e);

#endif /* SHELL_SHELL_H */
