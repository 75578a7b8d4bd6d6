/*
 * ready.h - waiting until a descriptor is ready: what poll, select and epoll have in common.
 *
 * There is one mechanism for all kinds of files. Who makes one ready calls file_changed(); who
 * waits looks, and sleeps until something changed since. Locks: none.
 */
#ifndef SYSCALL_READY_H
#define SYSCALL_READY_H

#include "syscall/task.h"

/* Until when: NSEC_FOREVER; 0: not at all. */
struct ready_until {
    nsec_t deadline;
    uint64_t left; /* where a program wants to know what was left; 0: it does not */
    bool left_is_timeval;
};

/** ready_in_msec() - as poll() and epoll_wait() have it: negative for ever. */
struct ready_until ready_in_msec(int msec);

/**
 * ready_wait() - look until there is something to tell
 * @look: how much there is, or -errno; 0: nothing yet
 *
 * A call that is made again, no handler having run, ends when it was to end. Return: what @look
 * says, 0 when the time is over; -CALL_RESTARTS_UNHANDLED.
 */
int64_t ready_wait(struct call *c, const struct ready_until *until, int64_t (*look)(void *arg),
                   void *arg);

/**
 * ready_masked() - the same with other signals blocked meanwhile
 * @mask: address of a set of signals, 0: none; @size: of the set
 */
int64_t ready_masked(struct call *c, uint64_t mask, uint64_t size, const struct ready_until *until,
                     int64_t (*look)(void *arg), void *arg);

#endif /* SYSCALL_READY_H */
