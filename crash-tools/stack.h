/*
 * Backtraces with names: the functions, lines and arguments on a stack, those that were inlined
 * among them.
 */
#ifndef DUET_CRASH_STACK_H
#define DUET_CRASH_STACK_H

#include <cjson/cJSON.h>

#include "kernel.h"

/* One line of a backtrace. Strings are the image's. */
struct call {
    uint64_t address;
    unsigned int frame;          /* which of the stack's */
    bool inlined;                /* into the next line's function */
    bool trap;                   /* was interrupted by the line before */
    const char *function, *file; /* NULL: not known */
    uint64_t offset;
    int line; /* 0: not known */
    bool has_die;
    Dwarf_Die die;
};

struct backtrace {
    struct stack stack;
    struct call *calls;
    unsigned int count;
};

/* The backtrace from @regs, cut after @most frames. backtrace_free() in any case. 0 or -ENOMEM. */
int backtrace_make(const struct session *s, const struct regs *regs, unsigned int most,
                   struct backtrace *b);
void backtrace_free(struct backtrace *b);

/* An argument of a call, by name. Returns 0 or -ENODATA. */
int backtrace_argument(const struct session *s, const struct backtrace *b, const struct call *call,
                       const char *name, uint64_t *value);

/* The first call that is not one of the scheduler's: where a thread waits. NULL if there is none.
 */
const struct call *backtrace_wait(const struct backtrace *b);

/* As JSON: an object with "frames", and "end" if the walk ended before the stack's beginning. */
cJSON *backtrace_json(const struct session *s, const struct backtrace *b);
void backtrace_show(const cJSON *json);

/* "function (file:line)" of a line. */
void call_place(const struct call *call, char *to, size_t size);

#endif
