/*
 * signal.h - a process's signals: which are pending, which are blocked, what each does.
 *
 * What a signal does is the process's; which are blocked, and the stack for handlers, each
 * thread's. A signal is sent to a thread, or to the process: then any thread that does not block it
 * may take it. Numbers, flags and structure of an action are Linux' on x86-64 (uapi/asm/signal.h),
 * as programs hand them in. What happens on the way back to ring 3 is proc/deliver.h's.
 * Locks: "signals" (a spinlock) of each process, over all of its struct signals and those of its
 * threads; senders are other processes, threads and timers. The set of blocked ones is changed by
 * the thread itself only.
 * Suspend: memory like any.
 */
#ifndef PROC_SIGNAL_H
#define PROC_SIGNAL_H

#include "kern/lock.h"
#include "kern/types.h"

#include <xen_list.h>

#define SIGNALS       64
#define SIGNAL_BIT(n) (1ull << ((n)-1))

/* Those that the kernel itself knows. */
#define SIGNAL_HANGUP    1
#define SIGNAL_INTERRUPT 2
#define SIGNAL_QUIT      3
#define SIGNAL_ILLEGAL   4
#define SIGNAL_TRAP      5
#define SIGNAL_BUS       7
#define SIGNAL_FPE       8
#define SIGNAL_KILL      9
#define SIGNAL_SEGV      11
#define SIGNAL_PIPE      13
#define SIGNAL_ALARM     14
#define SIGNAL_CHILD     17
#define SIGNAL_CONTINUE  18
#define SIGNAL_STOP      19
#define SIGNAL_TTY_STOP  20
#define SIGNAL_TTY_IN    21
#define SIGNAL_TTY_OUT   22
#define SIGNAL_URGENT    23
#define SIGNAL_WINDOW    28

/* An action's handler, when it is none. */
#define HANDLER_DEFAULT 0
#define HANDLER_IGNORE  1

/* An action's flags. */
#define SA_NOCLDSTOP 0x00000001ull
#define SA_NOCLDWAIT 0x00000002ull
#define SA_RESTORER  0x04000000ull
#define SA_ONSTACK   0x08000000ull
#define SA_RESTART   0x10000000ull
#define SA_NODEFER   0x40000000ull
#define SA_RESETHAND 0x80000000ull

/* A stack's flags, and the least of its bytes. */
#define SS_ONSTACK       1u
#define SS_DISABLE       2u
#define SIGNAL_STACK_MIN 2048u

/* Where a signal comes from: si_code. */
#define SI_USER       0
#define SI_KERNEL     0x80
#define SI_TKILL      (-6)
#define CLD_EXITED    1
#define CLD_KILLED    2
#define CLD_STOPPED   5
#define CLD_CONTINUED 6

/* Likewise, of faults. */
#define SEGV_NOTHING   1 /* no mapping is there */
#define SEGV_FORBIDDEN 2
#define BUS_UNALIGNED  1
#define BUS_NOTHING    2 /* there is a mapping, but its file cannot be read */
#define ILL_OPERAND    2
#define TRAP_STEPPED   2
#define FPE_INTEGER    1
#define FPE_DIVIDE     3
#define FPE_OVERFLOW   4
#define FPE_UNDERFLOW  5
#define FPE_INEXACT    6
#define FPE_INVALID    7

/* What is told of a signal with it. */
struct signal_info {
    int32_t code;
    uint32_t pid;   /* who sent it, or the child that it tells of */
    uint64_t value; /* a fault's address, or a child's status */
};

/* As programs hand it in and get it back. */
struct signal_action {
    uint64_t handler, flags, restorer, mask;
};

/* Likewise: stack_t. */
struct signal_stack {
    uint64_t sp;
    uint32_t flags, pad;
    uint64_t size; /* 0: there is none */
};

/* Signals that came and were not taken. */
struct signal_queue {
    uint64_t set;
    struct signal_info info[SIGNALS];
};

struct thread_signals;
XEN_TAILQ_HEAD(thread_signals_list, struct thread_signals);

/* A process's. */
struct signals {
    spinlock_t lock;
    struct thread_signals_list threads;
    struct signal_queue pending; /* for whichever thread */
    struct signal_action actions[SIGNALS];
    unsigned stop;   /* the signal that stopped it; 0: it runs */
    unsigned stops;  /* how often it was stopped */
    bool stop_taken; /* a signal that stops was taken, and no SIGCONT came since */
};

/* A thread's. */
struct thread_signals {
    struct signals *process;
    XEN_TAILQ_ENTRY(struct thread_signals) link;
    struct signal_queue pending; /* for this thread only */
    uint64_t blocked;
    bool suspended; /* rt_sigsuspend() waits: `before` is what was blocked */
    uint64_t before;
    struct signal_stack stack;
};

/* A signal that was taken to be acted on. */
struct signal_due {
    unsigned number;
    bool ends;  /* the process, */
    bool stops; /* or stops it: signals_stop(); else its handler is to be called */
    struct signal_info info;
    struct signal_action action;
};

/** signals_init() - a process has no threads, none pending, all as by default. */
void signals_init(struct signals *s);

/** signals_join() - one more thread of a process: none pending, none blocked. */
void signals_join(struct signals *s, struct thread_signals *t);

/** signals_leave() - a thread is none any more; what is pending for it is forgotten. */
void signals_leave(struct thread_signals *t);

/** signals_fork() - a child's first thread: actions, mask and stack of the one that forks. */
void signals_fork(struct thread_signals *child, struct thread_signals *t);

/** signals_exec() - handlers and stack were the old program's; what was ignored stays so. */
void signals_exec(struct thread_signals *t);

/**
 * signal_post() - make one pending, for any thread of a process
 *
 * A signal that is pending already stays as it is. SIGCONT lets a process that is stopped go on and
 * takes back signals that would stop it, and those take it back, whoever blocks or ignores them.
 * Return: false if nobody has to be woken, since it is ignored, and so dropped, or was pending
 * before. Any context.
 */
bool signal_post(struct signals *s, unsigned number, const struct signal_info *info);

/** signal_post_thread() - likewise for a thread, which cannot go away meanwhile. */
bool signal_post_thread(struct thread_signals *t, unsigned number, const struct signal_info *info);

/** signal_pending() - those that wait for a thread, blocked or not. Any context, no lock. */
static inline uint64_t signal_pending(const struct thread_signals *t)
{
    return READ_ONCE(t->pending.set) | READ_ONCE(t->process->pending.set);
}

/** signal_ready() - those that are pending and not blocked. Any context, no lock. */
static inline uint64_t signal_ready(const struct thread_signals *t)
{
    return signal_pending(t) & ~READ_ONCE(t->blocked);
}

/**
 * signal_take() - take the lowest pending one of a set, of the thread's own if there is one
 *
 * Return: its number, 0 if there is none.
 */
unsigned signal_take(struct thread_signals *t, uint64_t set, struct signal_info *info);

/** signal_next() - take one that is ready and not ignored. False: there is none. */
bool signal_next(struct thread_signals *t, struct signal_due *due);

/** signals_stop() - stop the process by a signal that was taken, unless SIGCONT came since. */
void signals_stop(struct signals *s, unsigned number);

/** signals_stopped() - by which signal the process is stopped; 0: it is not. Any context, no lock.
 */
static inline unsigned signals_stopped(const struct signals *s)
{
    return READ_ONCE(s->stop);
}

/** signal_fatal() - one that is ready and will end the process, 0: none. It stays. */
unsigned signal_fatal(const struct thread_signals *t);

/**
 * signal_force() - one that the thread brought on itself, a fault, which cannot wait
 *
 * Return: false if it has no handler, or is blocked: the process must end.
 */
bool signal_force(struct thread_signals *t, unsigned number, const struct signal_info *info,
                  struct signal_due *due);

/** signal_mask_before() - what is blocked again when the handler that is called next returns. */
uint64_t signal_mask_before(struct thread_signals *t);

/** signal_enter() - the handler is called: what it blocks, and SA_RESETHAND. */
void signal_enter(struct thread_signals *t, const struct signal_due *due);

/** signal_resume() - rt_sigsuspend() is over and no handler was called. */
void signal_resume(struct thread_signals *t);

/** signal_suspend() - block @mask until signal_enter() or signal_resume(). */
void signal_suspend(struct thread_signals *t, uint64_t mask);

/** signal_set_blocked() - KILL and STOP never are. */
void signal_set_blocked(struct thread_signals *t, uint64_t mask);

/**
 * signal_set_action() - change and read an action; each of the two may be NULL
 *
 * Return: 0, or -EINVAL: no such signal, or one that cannot be changed.
 */
int signal_set_action(struct signals *s, unsigned number, const struct signal_action *action,
                      struct signal_action *old);

/**
 * signal_set_stack() - change and read the stack for handlers; each of the two may be NULL
 * @sp: the thread's stack pointer
 *
 * Return: 0, -EPERM if it is on that stack, -ENOMEM if it is too small, -EINVAL.
 */
int signal_set_stack(struct thread_signals *t, uint64_t sp, const struct signal_stack *stack,
                     struct signal_stack *old);

/** signal_on_stack() - whether a stack pointer is on the stack for handlers. */
bool signal_on_stack(const struct signal_stack *stack, uint64_t sp);

/** signal_refused() - whether a thread blocks one, or its process ignores it. */
bool signal_refused(const struct thread_signals *t, unsigned number);

/** signal_no_stops() - whether it does not want SIGCHLD for children that stop or go on. */
bool signal_no_stops(struct signals *s);

/** signal_no_zombies() - whether children that end shall be forgotten at once. */
bool signal_no_zombies(struct signals *s);

#endif /* PROC_SIGNAL_H */
