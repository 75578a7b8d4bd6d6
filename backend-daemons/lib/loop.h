/*
 * The event loop of a daemon: file descriptors (epoll), timers, deferred work and signals, all
 * delivered as callbacks on the one thread that calls loop_run().
 *
 * Every object (struct loop_fd, loop_timer, loop_work, loop_signal) lives inside its user's own
 * structure. The loop links it in while it is registered and never frees it. An object may be
 * removed, and its memory freed, from any callback, including its own: a removed object's callback
 * is not called any more, not even for an event that the kernel had already reported.
 *
 * An event costs O(1), a timer O(log timers). Time is CLOCK_MONOTONIC in nanoseconds.
 */
#ifndef DUET_LIB_LOOP_H
#define DUET_LIB_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <xen_list.h>

struct loop;

typedef void loop_fd_fn(void *arg, uint32_t events);
typedef void loop_fn(void *arg);
typedef void loop_signal_fn(void *arg, int signo);

/* What a signal does. */
struct loop_signal_rule {
    int signo;
    loop_signal_fn *fn;
};

/* A watched descriptor. Zero-initialise; the loop does not close `fd`. */
struct loop_fd {
    int fd;
    loop_fd_fn *fn;
    void *arg;
    bool added;
};

/* A one-shot timer. Zero-initialise. */
struct loop_timer {
    uint64_t deadline_ns;
    loop_fn *fn;
    void *arg;
    bool armed;
    /* private */
    struct loop_timer *child, *next, *before; /* the first child; siblings, or the parent */
};

/* Work to be done once, before the loop waits again. Zero-initialise. */
struct loop_work {
    loop_fn *fn;
    void *arg;
    bool queued;
    uint32_t turn;
    XEN_TAILQ_ENTRY(struct loop_work) link;
};

/* Creates a loop. Returns NULL with errno set when there is no memory or descriptor for it. */
struct loop *loop_new(void);

/* Frees the loop. Registered objects stay their owners' and are simply forgotten. */
void loop_free(struct loop *loop);

/* Runs callbacks until loop_stop(). Returns the status given to it, or -errno when epoll fails. */
int loop_run(struct loop *loop);

/* Makes loop_run() return `status` after the callback at hand. */
void loop_stop(struct loop *loop, int status);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t loop_now_ns(void);

/*
 * Calls fn(arg, events) whenever `fd` has one of `events` (EPOLLIN, EPOLLOUT; errors and hang-up
 * are always reported). Level-triggered. Returns 0 or -errno (-EEXIST: `w` is in use).
 */
int loop_fd_add(struct loop *loop, struct loop_fd *w, int fd, uint32_t events, loop_fd_fn *fn,
                void *arg);

/* Changes the events of a registered descriptor. Returns 0 or -errno. */
int loop_fd_events(struct loop *loop, struct loop_fd *w, uint32_t events);

/* Removes it; call this before the descriptor is closed. Harmless when it is not registered. */
void loop_fd_del(struct loop *loop, struct loop_fd *w);

/* Arms the timer (again) to call fn(arg) once, `delay_ns` from now. */
void loop_timer_set(struct loop *loop, struct loop_timer *t, uint64_t delay_ns, loop_fn *fn,
                    void *arg);

/* Disarms the timer. Harmless when it is not armed. */
void loop_timer_cancel(struct loop *loop, struct loop_timer *t);

/* Queues fn(arg) to run once before the loop waits again; queued already: nothing changes. */
void loop_defer(struct loop *loop, struct loop_work *w, loop_fn *fn, void *arg);

/* Takes queued work back. Harmless when it is not queued. */
void loop_defer_cancel(struct loop *loop, struct loop_work *w);

/*
 * Blocks `signo` for the process and delivers it as fn(arg, signo) from the loop. Call it before
 * any thread exists (libxenstore starts one), so that the thread inherits the mask. Children have
 * to unblock it themselves. Returns 0 or -errno.
 */
int loop_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *arg);

/* The same for `nr` signals. Returns 0 or -errno of the first that failed. */
int loop_signals(struct loop *loop, const struct loop_signal_rule *rules, unsigned int nr,
                 void *arg);

#endif
