/*
 * task.h - what a process has for its system calls, and how a call sees it.
 *
 * A task belongs to its process's thread alone: no locks.
 */
#ifndef SYSCALL_TASK_H
#define SYSCALL_TASK_H

#include "proc/proc.h"
#include "psm/trap.h"
#include "syscall/abi.h"
#include "syscall/file.h"

struct task {
    struct fd_table fds;
    char cwd[PATH_SIZE]; /* begins with '/' */
};

/* A system call under way. */
struct call {
    struct proc *p;
    struct task *t;
    struct trap_frame *frame;
    uint64_t a[6];
};

/* A call: its result, or -errno. */
typedef int64_t call_fn(struct call *c);

/** task_create() - an empty one in "/"; task_clone() - a child's. NULL: no memory. */
struct task *task_create(void);
struct task *task_clone(const struct task *t);

/** task_free() - close what is open. NULL does nothing. */
void task_free(struct task *t);

/** task_personality - that of the processes here. */
extern const struct personality task_personality;

/** task_exec() - load the program of a path into @p, which is new or the caller's own. */
int task_exec(struct proc *p, struct task *t, const char *path, const struct exec_args *args,
              struct trap_frame *frame, const char **why);

#endif /* SYSCALL_TASK_H */
