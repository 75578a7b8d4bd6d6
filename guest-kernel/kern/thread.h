/*
 * thread.h - kernel threads.
 *
 * Threads are preemptive, with fixed priorities and one run queue per vCPU. A thread has a
 * stack of THREAD_STACK_SIZE with an unmapped guard page below. Sleeping is done with
 * wait.h; this header makes and ends threads.
 * Locks: each run queue has one; see thread.c for the order. Suspend: threads stay as they are,
 * the vCPUs but 0 are taken down and their threads moved.
 */
#ifndef KERN_THREAD_H
#define KERN_THREAD_H

#include "kern/types.h"

#define THREAD_STACK_SIZE (4 * PAGE_SIZE)
#define THREAD_NAME_MAX   24

enum thread_prio { PRIO_IDLE, PRIO_LOW, PRIO_NORMAL, PRIO_HIGH, PRIO_COUNT };

struct thread;

/**
 * thread_create() - make a thread and let it run
 * @name: copied, cut to THREAD_NAME_MAX - 1
 * @fn: what it does; its return ends the thread
 *
 * Return: the thread, owned by the caller until thread_join() or thread_detach(); NULL when
 * memory ran out (logged). Thread context.
 */
struct thread *thread_create(const char *name, void (*fn)(void *arg), void *arg,
                             enum thread_prio prio);

/** thread_join() - wait for its end and free it. May sleep. */
void thread_join(struct thread *t);

/** thread_detach() - let it free itself when it ends. */
void thread_detach(struct thread *t);

/** thread_self() - the running thread. */
struct thread *thread_self(void);

/** thread_name() - for messages; valid as long as the thread. */
const char *thread_name(const struct thread *t);

/**
 * thread_may_wait() - whether the caller is a thread that may sleep or wait for handlers
 *
 * False in handlers, and with upcalls masked, as they are while a spinlock is held. Any context.
 */
bool thread_may_wait(void);

/** thread_yield() - let others of the same priority run. Thread context. */
void thread_yield(void);

/** thread_sleep_until() - sleep until system time reaches @deadline (nanoseconds). May sleep. */
void thread_sleep_until(nsec_t deadline);

/** thread_sleep_until_wall() - the same by clock_wall(): time while saved counts. May sleep. */
void thread_sleep_until_wall(nsec_t deadline);

/** thread_cpu_time() - how long it has run, its turn under way included. Any context. */
nsec_t thread_cpu_time(const struct thread *t);

/** thread_runs() - whether it runs, or waits for a vCPU only. Any context. */
bool thread_runs(const struct thread *t);

/** thread_idle_time() - how long a vCPU had nothing to do. Any context. */
nsec_t thread_idle_time(unsigned cpu);

/**
 * thread_use_fpu() - let the calling thread use x87 and SSE registers from here on
 *
 * The kernel itself is compiled without them; they are saved and restored at every switch of a
 * thread that asked for it. Return: 0 or -ENOMEM.
 */
int thread_use_fpu(void) __must_check;

/** thread_fpu_reset() - the same, and the registers are as at the start of a program. */
int thread_fpu_reset(void) __must_check;

/** thread_fpu_fresh() - registers as at the start of a program; otherwise as thread_fpu_copy(). */
void *thread_fpu_fresh(void);

/**
 * thread_fpu_copy() - the calling thread's registers, as another thread can load them
 *
 * Return: memory to be passed to thread_fpu_load() or kfree()d; NULL if there is none.
 */
void *thread_fpu_copy(void);

/** thread_fpu_exceptions() - those of x87 and SSE that are raised and not masked: FXSAVE's bits. */
unsigned thread_fpu_exceptions(void);

/** thread_fpu_load() - let the calling thread use such registers, and own the memory. */
void thread_fpu_load(void *area);

/**
 * frames_hold(), frames_release() - between them a suspend waits
 *
 * For the stretch in which a thread holds machine frame numbers (in variables, in an array for a
 * hypercall, on a walk through page tables) and may be preempted: a restore changes all of them.
 * They nest, cost an increment each, and need no care where upcalls are masked: nobody suspends
 * then. The store must not be asked in between: requests wait for the end of a suspend.
 */
void frames_hold(void);
void frames_release(void);

/** frames_held() - whether a thread other than the caller holds frames now. */
bool frames_held(void);

/** thread_exit() - end the calling thread. */
__noreturn void thread_exit(void);

/**
 * thread_foreach() - visit every thread, for `ps` and the debugger
 * @fn: called with the thread list locked: must not sleep
 */
struct thread_info {
    char name[THREAD_NAME_MAX];
    unsigned id;
    unsigned cpu;
    enum thread_prio prio;
    const char *state; /* "running", "ready", "blocked", "dead" */
    nsec_t cpu_time;
};
void thread_foreach(void (*fn)(const struct thread_info *info, void *arg), void *arg);

#endif /* KERN_THREAD_H */
