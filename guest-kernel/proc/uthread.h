/*
 * uthread.h - the threads of a program.
 *
 * Each is a kernel thread that goes to ring 3, with what the program's other threads do not share:
 * its number, %fs base, blocked signals, what it sleeps on. It is made by uthread_create(), and
 * then started or discarded; it frees itself at its end. The last one of a process takes the
 * process with it.
 *
 * A thread ends by itself (exit), or because its process shall end (exit_group, a signal), or since
 * another one runs a new program (execve). In the last two cases it is told, as of a signal: it
 * gives up what it sleeps for and ends where it would go back to ring 3.
 * Locks: who belongs to a process is changed with both "processes" and the process's "signals"
 * held, so either will do for who looks.
 */
#ifndef PROC_UTHREAD_H
#define PROC_UTHREAD_H

#include "kern/types.h"
#include "kern/wait.h"
#include "proc/signal.h"
#include "psm/user.h"

#define UTHREADS_MAX      4096 /* of all processes */
#define UTHREADS_OF_ONE   2048 /* of one: no process takes them all */
#define UTHREADS_RESERVED 64   /* for what the shell starts, to look and to kill */

struct proc;
struct trap_frame;

struct uthread {
    unsigned tid; /* of a process's first one: its pid */
    struct proc *proc;
    struct thread *thread; /* the kernel's; NULL: not started */
    struct thread_signals signals;
    struct user_cpu user;
    void *page;           /* a page for what a call moves: it takes none while it waits */
    struct waitq wait;    /* it sleeps here in futex_wait(); signals wake it */
    nsec_t nap_until;     /* of a sleep that is to be gone on with, no handler having run; else 0 */
    uint64_t clear_tid;   /* address that is zeroed, and woken, at its end; 0: none */
    uint64_t robust_list; /* address of its locks, see proc/futex.h; 0: none */
};

/**
 * uthread_create() - one more thread of a process, not started
 * @tid: its number, 0: a new one
 *
 * Return: NULL if memory ran out or there are too many. Thread context.
 */
struct uthread *uthread_create(struct proc *p, unsigned tid);

/** uthread_discard() - free one that was not started. */
void uthread_discard(struct uthread *t);

/**
 * uthread_start() - let it run from @frame on
 * @fpu: registers from thread_fpu_copy(), owned by the thread from here on; NULL: fresh ones
 *
 * From here on it may be gone at any time. Return: 0, or -ENOMEM: then it is as before and @fpu
 * the caller's. Thread context.
 */
int uthread_start(struct uthread *t, const struct trap_frame *frame, void *fpu) __must_check;

/** uthread_self() - the calling one, or NULL. */
struct uthread *uthread_self(void);

/** uthread_exit() - end the calling one. @status: the process's, if it is the first one's end. */
__noreturn void uthread_exit(int status);

/** uthread_must_end() - its process ends, or another thread runs a new program. Any context. */
bool uthread_must_end(const struct uthread *t);

/**
 * uthread_interrupted() - that, or it has a signal to act on, or its process is stopped
 *
 * Sleepers give up. Any context.
 */
bool uthread_interrupted(const struct uthread *t);

/**
 * uthread_alone() - end all other threads of the caller's process, and wait for that
 *
 * The caller has its process's number then. Return: 0, or -LINUX_EINTR: it shall end itself.
 */
int uthread_alone(struct uthread *t) __must_check;

/**
 * uthread_signal() - send a signal as tgkill() does
 * @pid: of its process, 0: any
 * @number: 0: only see whether there is one
 *
 * Return: 0 or -ESRCH. Thread context.
 */
int uthread_signal(unsigned pid, unsigned tid, unsigned number, int32_t code);

#endif /* PROC_UTHREAD_H */
