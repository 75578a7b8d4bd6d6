/*
 * sched.h - what the scheduler shares with wait queues, timers, interrupts and CPU start.
 *
 * Not for drivers: those use thread.h and wait.h.
 */
#ifndef KERN_SCHED_H
#define KERN_SCHED_H

#include "kern/thread.h"
#include "kern/wait.h"
#include "psm/cpu.h"
#include "psm/timer.h"

#include <xen_list.h>

struct uhat;
struct user_cpu;
struct uthread;
struct vm_space;
XEN_TAILQ_HEAD(thread_queue, struct thread);

/* The threads that are ready to run on one CPU, and the turn of the one that runs. */
struct cpu_sched {
    spinlock_t lock; /* over the queues, from any CPU */
    struct thread_queue ready[PRIO_COUNT];
    unsigned nready;
    nsec_t switched_at; /* clock_now() when the running thread began to */
    struct timer slice; /* ends the running thread's turn */
};

enum thread_state { THREAD_READY, THREAD_RUNNING, THREAD_BLOCKED, THREAD_DEAD };

struct thread {
    uint64_t sp; /* saved by thread_switch() */
    char name[THREAD_NAME_MAX];
    unsigned id;
    enum thread_prio prio;
    enum thread_state state; /* under the lock of cpu's run queue */
    unsigned cpu;            /* whose run queue it belongs to; likewise */
    char *stack;             /* lowest address; a guard page lies below */
    void (*fn)(void *arg);
    void *arg;
    nsec_t cpu_time;
    struct vm_space *space; /* vm_enter()'s, and its tables; NULL: kernel addresses only */
    struct uhat *uhat;
    struct user_cpu *user;   /* psm/user.h; NULL: never goes to ring 3 */
    struct uthread *uthread; /* proc/uthread.h, likewise */
    void *fpu;               /* 512 bytes for FXSAVE, NULL: does not use it */
    unsigned frames;         /* frames_hold() depth; changed by itself only */
    bool detached, ended;    /* under thread_list_lock */
    /* For the debugger: what it sleeps on, and the mutex that it sleeps for. */
    const struct waitq *waits_for;
    const struct mutex *wants;
    struct waitq joiners;
#ifdef DUET_WITNESS
    struct held_locks mutexes;
#endif
    XEN_TAILQ_ENTRY(struct thread) run_link;
    XEN_TAILQ_ENTRY(struct thread) all_link;
};

/** sched_boot() - make the boot stack a thread and give the boot CPU an idle thread. */
void sched_boot(void);

/** sched_cpu_init() - a CPU's run queue and idle thread. Return: 0 or -ENOMEM. */
int sched_cpu_init(struct cpu *cpu);

/** sched_cpu_fini() - the reverse, of a CPU that never ran. Thread context. */
void sched_cpu_fini(struct cpu *cpu);

/** sched_idle() - what a CPU does when it has nothing to do; on its idle thread's stack. */
__noreturn void sched_idle(void);

/** sched_adopt_idle() - make the idle thread the running one: a CPU's start, upcalls masked. */
void sched_adopt_idle(struct cpu *cpu);

/**
 * sched_block() - sleep until thread_wake(), unless @still_waiting has become false
 *
 * The flag is tested under the run queue's lock; whoever clears it calls thread_wake() next.
 */
void sched_block(const bool *still_waiting);

/** thread_wake() - make a blocked thread ready; nothing if it is not blocked. Any context. */
void thread_wake(struct thread *t);

/**
 * sched_kicked() - another CPU may have queued a thread here: limit the running one's turn; or it
 * wants this CPU to leave
 */
void sched_kicked(struct cpu *cpu);

/** sched_interrupt_exit() - at the end of an upcall: switch if somebody better waits. */
void sched_interrupt_exit(struct cpu *cpu);

/**
 * sched_wanted() - whether a CPU that handles events has a thread to run
 *
 * One of its own, or another CPU's that waits for its turn. Any context.
 */
bool sched_wanted(const struct cpu *cpu);

/** sched_foreach() - visit every thread, with the thread list locked: @fn must not sleep. */
void sched_foreach(void (*fn)(const struct thread *t, void *arg), void *arg);

/** sched_guard_owner() - the thread on whose guard page @va lies, or NULL. Any context. */
struct thread *sched_guard_owner(const void *va);

#endif /* KERN_SCHED_H */
