/*
 * proc.h - processes: programs in ring 3.
 *
 * A process has one thread, which is in the kernel only in a system call, a fault or an upcall of
 * its own. A personality gives system calls their meaning and keeps what it needs behind `own`.
 * A process belongs to its parent, or to the kernel thread that began it: they wait for its end and
 * free it. If the parent ends first, it frees itself.
 *
 * Everything that a system call waits for is waited for with proc_wait_change() and told by
 * proc_wake(), so that who ends a process finds it asleep.
 * Locks: "processes" (a mutex) over the table and who belongs to whom, over each one's "signals".
 * Suspend: threads and timers like any.
 */
#ifndef PROC_PROC_H
#define PROC_PROC_H

#include "kern/types.h"
#include "kern/wait.h"
#include "proc/signal.h"
#include "proc/user.h"
#include "psm/timer.h"
#include "psm/user.h"
#include "vm/vm.h"

#define PROC_MAX      128
#define PROC_NAME_MAX 16

/*
 * Results of a system call that a signal interrupted, which no program sees: it is made again, or
 * is -LINUX_EINTR. The first is made again also after a handler that has SA_RESTART.
 */
#define LINUX_EINTR             4 /* not in Xen's list of errors */
#define CALL_RESTARTS           512
#define CALL_RESTARTS_UNHANDLED 514

struct proc;
struct thread;
struct trap_frame;

/**
 * struct personality - what system calls mean
 * @syscall: one was made; its result goes into the frame. May end the process
 * @release: the process ends: give back what `own` holds
 * @signalled: some process has a signal: what sleeps elsewhere than in proc_wait_change() shall ask
 * proc_interrupted(). Any context
 */
struct personality {
    void (*syscall)(struct proc *p, struct trap_frame *frame);
    void (*release)(struct proc *p);
    void (*signalled)(void);
};

struct proc {
    unsigned pid;
    char name[PROC_NAME_MAX]; /* the program's, for messages */
    struct proc *parent;      /* NULL: a kernel thread's, or nobody's; under the lock */
    bool orphan;              /* nobody's; under the lock */
    unsigned group;           /* pid of the one that a kernel thread began */
    struct thread *thread;
    struct vm_space *space;
    struct user_cpu user;
    uint64_t brk_start, brk; /* the heap's bounds, in bytes */
    uint64_t map_top;        /* mappings are placed below */
    const struct personality *personality;
    void *own;       /* the personality's */
    unsigned killed; /* by this signal; acts when the thread leaves the kernel */
    struct signals signals;
    nsec_t nap_until;    /* of a sleep that is to be gone on with, no handler having run; else 0 */
    struct timer itimer; /* sends SIGALRM; itimer.c */
    nsec_t itimer_interval;
    int status;                /* as wait4() tells it; set before `ended` */
    bool ended;                /* may be reaped */
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
 * proc_create() - a process without a program; proc_start() or proc_discard() is next
 * @parent: whose it is; NULL: the calling kernel thread's
 *
 * Return: NULL when memory ran out or there are too many. Thread context.
 */
struct proc *proc_create(const char *name, const struct personality *personality,
                         struct proc *parent);

/** proc_discard() - free one that was not started. */
void proc_discard(struct proc *p);

/**
 * proc_load() - give a process a space with a program in it
 * @frame: is set to where it begins
 * @why: what is wrong, on -ENOEXEC; else NULL
 *
 * The calling thread may be the process's own, running another program: then it goes on in the new
 * space, and the old one is gone. On an error all is as it was. Return: 0, -ENOEXEC, -E2BIG,
 * -ENOMEM or what reading the file gave. Thread context.
 */
int proc_load(struct proc *p, const char *name, const struct program *program,
              const struct exec_args *args, struct trap_frame *frame, const char **why);

/**
 * proc_start() - let a process run from @frame on
 * @fpu: registers from thread_fpu_copy(), owned by the process from here on; NULL: fresh ones
 *
 * Return: 0, or -ENOMEM: then it is as before and @fpu the caller's. Thread context.
 */
int proc_start(struct proc *p, const struct trap_frame *frame, void *fpu) __must_check;

/** proc_self() - the calling thread's process, or NULL. */
struct proc *proc_self(void);

/** proc_exit() - end the calling process. @status: as wait4() tells it. */
__noreturn void proc_exit(int status);

/** proc_kill_group() - end a process that a kernel thread began, and all that came of it. */
void proc_kill_group(unsigned group, unsigned signal);

/** proc_killed() - whether the process shall end. Any context. */
bool proc_killed(const struct proc *p);

/** proc_interrupted() - that, or it has a signal to act on: its sleepers give up. Any context. */
bool proc_interrupted(const struct proc *p);

/** proc_post() - send a signal to a process that cannot go away meanwhile. Any context. */
void proc_post(struct proc *p, unsigned number, const struct signal_info *info);

/**
 * proc_signal() - send a signal as kill() does
 * @pid: of a process; 0: all that came of the one the caller's came of; -1: all but the caller;
 * below: all that came of the process -@pid
 * @number: 0: only see whether there is one
 *
 * Return: 0 or -ESRCH. Thread context.
 */
int proc_signal(int pid, unsigned number, int32_t code);

/** itimer_init() - a process's timer, not set. */
void itimer_init(struct proc *p);

/** itimer_read(), itimer_set() - by its own thread: nanoseconds; 0: not. An interval is 1 ms or
 * more.
 */
void itimer_read(const struct proc *p, nsec_t *left, nsec_t *interval);
void itimer_set(struct proc *p, nsec_t left, nsec_t interval);

/** proc_has_ended() - whether one that was begun by the caller's kernel thread has ended. */
bool proc_has_ended(const struct proc *p);

/** proc_reap() - free one that has ended and is the caller's. Return: its status. */
int proc_reap(struct proc *p);

/**
 * proc_wait_child() - sleep until a child has ended, and free it
 * @pid: of the child, or -1 for any
 * @nohang: do not sleep
 *
 * Return: its pid; 0 if none has ended and @nohang; -CALL_RESTARTS if @p is interrupted; -ECHILD.
 * Thread context.
 */
int proc_wait_child(struct proc *p, int pid, bool nohang, int *status);

/** proc_parent_pid() - 0 if there is none. */
unsigned proc_parent_pid(const struct proc *p);

/** proc_wake() - something changed that a system call may wait for. Any context. */
void proc_wake(void);

/** proc_changes() - how often; to be asked before looking whether it is there. Any context. */
uint64_t proc_changes(void);

/**
 * proc_wait_change() - sleep until something changed after @seen, @p is interrupted, or @deadline
 *
 * Return: 0 or -ETIMEDOUT. Thread context.
 */
int proc_wait_change(const struct proc *p, uint64_t seen, nsec_t deadline);

#endif /* PROC_PROC_H */
