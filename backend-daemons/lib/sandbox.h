/*
 * The cage of a worker. A worker enters it after everything it needs is open and mapped, and before
 * it takes the first request of its guest. There is no way out.
 *
 * Stages: (1) The file system is replaced by an empty directory. (2) All groups and the user are
 * given up for one unprivileged uid per guest. (3) All capabilities are cleared, no_new_privs is
 * set, core dumps and new descriptors are ruled out. (4) A seccomp filter passes only the calls
 * that the worker listed, each next to the code that needs it. Any other call kills the process,
 * and its supervisor reports that.
 *
 * Types: struct sandbox_rule, sandbox_bounds, sandbox_call, sandbox_filter.
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

/* What a process gives up for good, short of its system calls. */
struct sandbox_bounds {
    uid_t uid; /* the user and the group to become, neither of them 0 */
    gid_t gid;
    const char *root;         /* becomes the root directory; NULL: the file system stays */
    unsigned int descriptors; /* how many may be open; 0: no new one */
};

/*
 * Stages 1 to 3, for a process that needs more than a worker of one device: see struct
 * sandbox_bounds. Returns and fails as sandbox_enter().
 */
int sandbox_drop(const struct sandbox_bounds *bounds, const char **stage);

#define SANDBOX_ARGS_MAX 3U

/*
 * A system call that is permitted if its arguments are as they should be: each of `args` with a
 * mask that is not 0 must hold `value` in the bits of its mask.
 */
struct sandbox_call {
    int nr; /* SYS_… */
    struct {
        unsigned int arg; /* from 0 */
        uint64_t mask, value;
    } args[SANDBOX_ARGS_MAX];
};

/* A filter: what stands in either list passes. */
struct sandbox_filter {
    const struct sandbox_rule *rules;
    unsigned int nr_rules;
    const struct sandbox_call *calls;
    unsigned int nr_calls;
};

/*
 * Stage 4 alone, for all threads of the process, which needs no_new_privs for it (sandbox_drop())
 * or to be root. Returns 0 or -errno.
 */
int sandbox_load(const struct sandbox_filter *filter);

#endif
