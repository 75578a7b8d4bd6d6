/*
 * task.h - what a process has for its system calls, and how a call sees it.
 *
 * A task is shared by its process's threads. Locks: "descriptors" (a mutex) over the table.
 */
#ifndef SYSCALL_TASK_H
#define SYSCALL_TASK_H

#include "proc/proc.h"
#include "psm/trap.h"
#include "syscall/abi.h"
#include "syscall/file.h"

struct task {
    struct fd_table fds;
    struct node *cwd; /* with a reference; under "tree" */
    struct node *exe; /* the program's file, likewise; NULL: none yet. Its only thread changes it */
    unsigned umask;   /* atomic */
};

/* A system call under way. */
struct call {
    struct uthread *u; /* who makes it */
    struct proc *p;
    struct task *t;
    struct trap_frame *frame;
    uint64_t a[6];
};

/* A call: its result, or -errno. */
typedef int64_t call_fn(struct call *c);

/** task_cwd() - a reference to the current folder. Thread context. */
struct node *task_cwd(struct task *t);

/** task_create() - an empty one in "/"; task_clone() - a child's. NULL: no memory. */
struct task *task_create(void);
struct task *task_clone(struct task *t);

/** task_free() - close what is open. NULL does nothing. */
void task_free(struct task *t);

/** task_personality - that of the processes here. */
extern const struct personality task_personality;

/** task_exec() - load the program of a path: for a process that is new, or the caller's own. */
int task_exec(struct uthread *u, struct task *t, const char *path, const struct exec_args *args,
              struct trap_frame *frame, const char **why);

#endif /* SYSCALL_TASK_H */
