/*
 * futex.h - sleeping on a word of the program's memory.
 *
 * All locks of a C library are made of this: a thread that finds such a word taken sleeps if the
 * word still has the value that it saw, and who gives it back wakes sleepers by the word's address.
 * No wake-up is lost: the word is compared, and the sleeper put on the list, with the same lock
 * held under which wakers look. Each process has a table of its own: what a word in memory that
 * processes share (a file's, mapped by both) would need is not offered, and nobody is woken across
 * processes.
 *
 * A thread that ends holding a lock of a "robust" list marks it, so that the next one learns of it.
 * Values and layout are Linux' (uapi/linux/futex.h).
 * Locks: "futex" (a mutex) of each process, over its table; the word is read with it held, which
 * may fault and sleep. Suspend: memory like any; deadlines by the wall clock count the time saved.
 */
#ifndef PROC_FUTEX_H
#define PROC_FUTEX_H

#include "kern/types.h"
#include "kern/wait.h"

#define FUTEX_LISTS 32
#define FUTEX_ALL   UINT32_MAX /* of the bits by which sleepers can be told apart */

/* Of a lock's word: who has it, and whether somebody waits. */
#define FUTEX_WAITERS    0x80000000u
#define FUTEX_OWNER_DIED 0x40000000u
#define FUTEX_TID        0x3fffffffu

#define FUTEX_ROBUST_MAX 2048 /* locks that are looked at: a program's list may be a ring */

struct proc;
struct uthread;

/* A sleeper, on its own stack. */
struct futex_sleeper {
    XEN_TAILQ_ENTRY(struct futex_sleeper) link;
    uint64_t at;
    uint32_t bits;
    bool queued; /* nobody woke it */
    struct waitq *wait;
};

XEN_TAILQ_HEAD(futex_list, struct futex_sleeper);

struct futexes {
    struct mutex lock;
    struct futex_list lists[FUTEX_LISTS]; /* in the order in which sleepers came */
};

/* Until when: system time, or the wall clock's. NSEC_FOREVER: without end. */
struct futex_until {
    nsec_t deadline;
    bool wall;
};

void futexes_init(struct futexes *f);

/**
 * futex_wait() - sleep while nobody wakes, if the word at @at is @value
 * @t: the calling thread
 * @bits: who wakes names some of them
 *
 * Return: 0 when woken, -EAGAIN: it has another value, -ETIMEDOUT, -EFAULT, -CALL_RESTARTS: @t was
 * interrupted. Thread context.
 */
int futex_wait(struct uthread *t, uint64_t at, uint32_t value, uint32_t bits,
               const struct futex_until *until);

/** futex_wake() - wake at most @n, but one at least, of those that sleep with one of @bits.
 *
 * Return: how many. Thread context.
 */
int futex_wake(struct proc *p, uint64_t at, unsigned n, uint32_t bits);

/**
 * futex_requeue() - wake at most @n, and let at most @more others sleep at @to from now on
 * @expected: only if the word at @at has this value; NULL: whatever it is
 *
 * Return: how many of both; -EAGAIN, -EFAULT. Thread context.
 */
int futex_requeue(struct proc *p, uint64_t at, unsigned n, uint64_t to, unsigned more,
                  const uint32_t *expected);

/** futex_thread_ends() - the calling thread's robust locks, and whoever joins it. */
void futex_thread_ends(struct uthread *t);

#endif /* PROC_FUTEX_H */
