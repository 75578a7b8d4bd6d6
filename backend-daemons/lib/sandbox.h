/*
 * The cage of a worker. Entered after everything it needs is open and mapped and before it reads
 * the first byte that a guest wrote; there is no way out.
 *
 * Stages: (1) the file system is replaced by an empty directory, (2) all groups and the user are
 * given up for one unprivileged uid per guest, (3) all capabilities are cleared, no_new_privs is
 * set, core dumps and new descriptors are ruled out, (4) a seccomp filter lets pass only the calls
 * that the worker listed, each next to the code that needs it. Any other call kills the process,
 * and its supervisor reports that.
 *
 * Types: struct sandbox_rule. No locks. Nothing to suspend.
 */
#ifndef DUET_LIB_SANDBOX_H
#define DUET_LIB_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A permitted system call. With `fd` >= 0 only on that descriptor, with `cmd` != 0 only as that
 * ioctl. */
struct sandbox_rule {
    int nr;       /* SYS_… */
    int fd;       /* first argument, or -1: any */
    uint64_t cmd; /* second argument, or 0: any */
};

/*
 * Enters the cage as user and group `id` (not 0) with `root` as the root directory, which must be
 * an empty directory. Returns 0 or -errno with *stage set to what failed; after a failure the
 * process must exit.
 */
int sandbox_enter(uid_t id, const char *root, const struct sandbox_rule *rules, unsigned int nr,
                  const char **stage);

/*
 * The last stage alone, for a daemon that keeps its files: lets all threads of the process make
 * only the calls of `rules`, any other kills it. Returns 0 or -errno.
 */
int sandbox_filter(const struct sandbox_rule *rules, unsigned int nr);

#endif
