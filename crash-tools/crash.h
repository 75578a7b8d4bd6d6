/*
 * duet-crash's commands: each makes an answer as JSON, and prints one as text.
 */
#ifndef DUET_CRASH_CRASH_H
#define DUET_CRASH_CRASH_H

#include <cjson/cJSON.h>

#include "kernel.h"

enum { CRASH_DONE = 0, CRASH_FAILED = 1, CRASH_USAGE = 2 };

/* Where a command says why it failed. Printable only. */
struct excuse {
    char text[512];
};

struct command {
    const char *name, *synopsis, *summary;
    int min_args, max_args;
    bool needs_kernel; /* symbols and types; otherwise s->image may be NULL */
    /* Fills @answer. Returns CRASH_*, and unless CRASH_DONE has written @why. */
    int (*run)(struct session *s, int argc, char **argv, cJSON *answer, struct excuse *why);
    void (*show)(const cJSON *answer);
};

extern const struct command cmd_info, cmd_vcpus, cmd_bt, cmd_threads, cmd_log, cmd_vtop, cmd_pte,
    cmd_pfn2mfn, cmd_mfn2pfn, cmd_x, cmd_print, cmd_locks, cmd_analyze;

/* Writes the excuse, escaped, and returns @status. */
int crash_fail(struct excuse *why, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A command's status after kernel_load() has returned @err. */
int crash_loaded(int err, struct excuse *why);

/* Reads "0x12", "symbol" or "symbol+0x12". Returns CRASH_DONE or the status of an excuse. */
int crash_address(const struct session *s, const char *text, uint64_t *address, struct excuse *why);

/* Reads a whole number. Returns false if it is none. */
bool crash_number(const char *text, uint64_t *number);

/* The string under @key of an answer; "" if there is none. */
const char *crash_text(const cJSON *object, const char *key);

/* What the console shows last: @size bytes at most, NUL after them. Returns how many. */
size_t console_tail(struct session *s, char *to, size_t size);

#endif
