/*
 * selftest.h - running the kernel's own tests.
 *
 * A test returns false, or uses CHECK(), when something is not as promised; it has said what then.
 */
#ifndef SELFTEST_SELFTEST_H
#define SELFTEST_SELFTEST_H

#include "kern/types.h"

struct selftest {
    const char *name; /* what it proves */
    bool (*fn)(void);
    bool slow;        /* runs only when it is asked for by its whole name */
    bool needs_store; /* left out where there is none */
};

/* Where results go: the shell that asked, or the log. */
typedef void (*selftest_say_t)(void *arg, const char *fmt, ...) __printf_like(2, 3);

/**
 * selftest_run() - run the tests whose name contains @pattern, all but the slow for NULL
 *
 * Prints a line for each, "ok NAME (N us)", "FAIL NAME: why" or "skip NAME: why", and one that
 * counts them.
 * Return: how many failed; -ENOENT if no name matched. Thread context.
 */
int selftest_run(const char *pattern, selftest_say_t say, void *arg);

/** selftest_foreach() - visit the names, for completion and lists. */
void selftest_foreach(void (*fn)(const char *name, void *arg), void *arg);

/** selftest_fail() - remember why the running test fails; the first reason counts. */
void selftest_fail(const char *fmt, ...) __printf_like(1, 2);

#define CHECK(cond)                                                     \
    do {                                                                \
        if (!(cond)) {                                                  \
            selftest_fail("%s:%d: %s", __FILE_NAME__, __LINE__, #cond); \
            return false;                                               \
        }                                                               \
    } while (0)

/* The tests of each room. */
extern const struct selftest selftests_mem[], selftests_hat[], selftests_psm[], selftests_smp[],
    selftests_kern[], selftests_xen[], selftests_blk[], selftests_net[], selftests_tcpip[];

#endif /* SELFTEST_SELFTEST_H */
