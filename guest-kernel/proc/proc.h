/*
 * proc.h - processes: programs in ring 3.
 *
 * A process has threads (proc/uthread.h), each of which is in the kernel only in a system call, a
 * fault or an upcall of its own. A personality gives system calls their meaning and keeps what it
 * needs behind `own`.
 * A process belongs to its parent, or to the kernel thread that began it: they wait for its end and
 * free it. If the parent ends first, it frees itself.
 *
 * Everything that a system call waits for is waited for with proc_wait_change() and told by
 * proc_wake(), so that who ends a process finds it asleep.
 * Locks: "processes" (a mutex) over the table and who belongs to whom, over each one's "signals".
 * "program" (a mutex) over what system calls of several threads must not change at once: mappings,
 * the heap's end, the timer.
 * Suspend: threads and timers like any.
 */
#ifndef PROC_PROC_H
#define PROC_PROC_H

#include "kern/types.h"
#include "kern/wait.h"
#include "proc/futex.h"
#include "proc/signal.h"
#include "proc/user.h"
#include "proc/uthread.h"
#include "psm/timer.h"
#include "vm/vm.h"

#define PROC_MAX      128
#define PROC_ID_MAX   0x3fffffU /* of processes and threads; a futex's word has room for them */
#define PROC_NAME_MAX 16
#define PROC_ARGS_MAX 256 /* bytes of the arguments that others may read */

#define SESSION_OF_SHELL 0u /* which is no program */

/*
 * Results of a system call that a signal interrupted, which no program sees: it is made again, or
 * is -LINUX_EINTR. The first is made again also after a handler that has SA_RESTART.
 */
#define CALL_RESTARTS           512
#define CALL_RESTARTS_UNHANDLED 514

struct thread;

/**
 * struct personality - what system calls mean
 * @syscall: a thread made one; its result goes into the frame. May end the thread
 * @release: the process ends: give back what `own` holds
 */
struct personality {
    void (*syscall)(struct uthread *t, struct trap_frame *frame);
    void (*release)(struct proc *p);
};

struct proc {
    unsigned pid;
    char name[PROC_NAME_MAX]; /* the program's, for messages */
    char args[PROC_ARGS_MAX]; /* the first of its arguments, each with its NUL; under the lock */
    unsigned args_len;        /* likewise */
    nsec_t began;             /* clock_now() */
    nsec_t cpu_time;          /* of threads that have ended; under the lock */
    struct proc *parent;      /* NULL: a kernel thread's, or nobody's; under the lock */
    bool orphan;              /* nobody's; under the lock */
    unsigned group, session;  /* see proc/jobs.h; likewise */
    unsigned origin;          /* pid of the one that a kernel thread began */
    bool execed;              /* runs a program of its own */
    unsigned parked;          /* threads that sleep since it is stopped; likewise */
    unsigned stop_told;       /* which of its stops its parent knows of; likewise */
    int news;                 /* a status that is no end, for a parent that waits; 0; likewise */
    unsigned live;            /* threads; under the lock */
    struct uthread *alone;    /* ends all the others; likewise */
    struct thread *thread;    /* the last that ended, to be joined; likewise */
    struct vm_space *space;   /* changed under the lock once it runs; NULL: not yet, or no more */
    bool *lent;               /* to be set when it leaves the space that its parent lent it; NULL:
                                 it has its own. Under the lock */
    struct mutex lock;        /* "program" */
    uint64_t brk_start, brk;  /* the heap's bounds, in bytes */
    uint64_t map_top;         /* mappings are placed below */
    const struct personality *personality;
    void *own; /* the personality's */
    struct signals signals;
    struct futexes futexes;
    struct timer itimer; /* sends SIGALRM; itimer.c */
    nsec_t itimer_interval;
    bool ending;               /* its threads end when they leave the kernel; under "signals" */
    int status;                /* as wait4() tells it; likewise */
    bool ended;                /* may be reaped */
    unsigned lies;             /* frames that were not as they should be; atomic */
    void (*on_end)(void *arg); /* called in the ending thread; NULL: nobody wants to know */
    void *on_end_arg;
};

/* A program's arguments, one string behind the other. */
struct exec_args {
    char *text;
    size_t used;
    unsigned argc, envc;
};

#define EXEC_ARGS_ORDER 4 /* pages for the strings: 64 KiB */
#define EXEC_ARGS_SIZE  (PAGE_SIZE << EXEC_ARGS_ORDER)

/* A program: what its pages are filled from. */
struct program {
    struct vm_source *source;
    uint64_t size;
};

/** proc_boot() - from here on there can be processes. Once. */
void proc_boot(void);

/** exec_args_init(), exec_args_free() - no arguments yet; 0 or -ENOMEM. */
int exec_args_init(struct exec_args *args);
void exec_args_free(struct exec_args *args);

/** exec_args_add() - one more, of @len bytes without its NUL. 0 or -E2BIG. All of argv first. */
int exec_args_add(struct exec_args *args, const char *text, size_t len, bool env) __must_check;

/**
 * proc_create() - a process without a program, with one thread
 *
 * uthread_start() of its thread or proc_discard() is next.
 * @parent: whose it is; NULL: the calling kernel thread's
 *
 * Return: NULL when memory ran out or there are too many. Thread context.
 */
struct proc *proc_create(const char *name, const struct personality *personality,
                         struct proc *parent);

/** proc_leader() - the thread of one that was not started. */
struct uthread *proc_leader(const struct proc *p);

/** proc_discard() - free one that was not started. */
void proc_discard(struct proc *p);

/**
 * proc_load() - give a process a space with a program in it
 * @t: a thread of it: the calling one, or one that was not started
 * @frame: is set to where it begins
 * @why: what is wrong, on -ENOEXEC; else NULL
 *
 * The calling thread may be the process's own, running another program: then it goes on in the new
 * space, and the old one is gone, as are all other threads. On an error all is as it was. Return:
 * 0, -ENOEXEC, -E2BIG, -ENOMEM, -LINUX_EINTR, or what reading the file gave. Thread context.
 */
int proc_load(struct uthread *t, const char *name, const struct program *program,
              const struct exec_args *args, struct trap_frame *frame, const char **why);

/**
 * proc_await_space() - sleep until a child leaves the space that it was lent, or @t shall end
 * @back: the child's `lent`
 *
 * It does not come back where a signal ends the process: the program would run beside the child.
 */
void proc_await_space(const struct uthread *t, const bool *back);

/** proc_return_space() - the calling process has left it, if its space was lent to it. */
void proc_return_space(struct proc *p);

/** proc_self() - the calling thread's process, or NULL. */
struct proc *proc_self(void);

/** proc_exit() - end the calling process, all threads. @status: as wait4() tells it. */
__noreturn void proc_exit(int status);

/** proc_killed() - whether the process shall end. Any context. */
bool proc_killed(const struct proc *p);

/** proc_post() - send a signal to a process that cannot go away meanwhile. Any context. */
void proc_post(struct proc *p, unsigned number, const struct signal_info *info);

/**
 * proc_signal() - send a signal as kill() does
 * @pid: of a process; 0: the caller's group; -1: all but the caller; below: the group -@pid
 * @number: 0: only see whether there is one
 *
 * Return: 0 or -ESRCH. Thread context.
 */
int proc_signal(int pid, unsigned number, int32_t code);

/** itimer_init() - a process's timer, not set. */
void itimer_init(struct proc *p);

/** itimer_read(), itimer_set() - its lock is held, or nobody else is left: nanoseconds; 0: not. An
 * interval is 1 ms or more.
 */
void itimer_read(const struct proc *p, nsec_t *left, nsec_t *interval);
void itimer_set(struct proc *p, nsec_t left, nsec_t interval);

/** proc_has_ended() - whether one that was begun by the caller's kernel thread has ended. */
bool proc_has_ended(const struct proc *p);

/** proc_reap() - free one that has ended and is the caller's. Return: its status. */
int proc_reap(struct proc *p);

/* What one waits for. */
struct child_wait {
    int pid; /* as with proc_signal() */
    bool ends, stops, goes_on;
    bool nohang; /* do not sleep */
    bool stays;  /* leave it to be waited for again */
};

/**
 * proc_wait_child() - sleep until a child has ended, and free it, or was stopped, or goes on
 * @status: of it, as wait4() tells it: see proc_child_info()
 *
 * Return: its pid; 0 if there is none yet and `nohang`; -CALL_RESTARTS if @t is interrupted;
 * -ECHILD. Thread context.
 */
int proc_wait_child(struct uthread *t, const struct child_wait *w, int *status);

/** proc_child_info() - what is told of a child with a status of wait4()'s. */
struct signal_info proc_child_info(unsigned pid, int status);

/** proc_parent_pid() - 0 if there is none. */
unsigned proc_parent_pid(const struct proc *p);

/**
 * proc_visit() - look at a process that cannot go away meanwhile
 * @fn: called with "processes" held
 *
 * Return: whether there is one of that number. Thread context.
 */
bool proc_visit(unsigned pid, void (*fn)(const struct proc *p, void *arg), void *arg);

/** proc_next() - the lowest number of a process from @pid on; 0: none. Thread context. */
unsigned proc_next(unsigned pid);

/** proc_last_id(), proc_count() - the last number given out; how many there are. Thread context. */
unsigned proc_last_id(void);
unsigned proc_count(void);

/** proc_usage() - its processor time so far, and whether a thread of it runs or could: in fn. */
nsec_t proc_usage(const struct proc *p, bool *runs);

/** proc_wake() - something changed that a system call may wait for. Any context. */
void proc_wake(void);

/** proc_changes() - how often; to be asked before looking whether it is there. Any context. */
uint64_t proc_changes(void);

/**
 * proc_wait_change() - sleep until something changed after @seen, @t is interrupted, or @deadline
 *
 * Return: 0 or -ETIMEDOUT. Thread context.
 */
int proc_wait_change(const struct uthread *t, uint64_t seen, nsec_t deadline);

#endif /* PROC_PROC_H */
