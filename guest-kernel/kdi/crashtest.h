/*
 * crashtest.h - bugs on purpose, one of each kind, to see what the kernel says about them.
 */
#ifndef KDI_CRASHTEST_H
#define KDI_CRASHTEST_H

/** struct crashtest - a kind of bug, and what is expected to be said about it. */
struct crashtest {
    const char *kind;
    const char *expected;
    void (*commit)(void);
};
extern const struct crashtest crashtests[]; /* ends with an entry without a kind */

/** crashtest_find() - a kind by its name, or NULL. */
const struct crashtest *crashtest_find(const char *kind);

/** crashtest_boot() - commit the bug that `crashtest=KIND` names, if any. Thread context. */
void crashtest_boot(void);

#endif /* KDI_CRASHTEST_H */
