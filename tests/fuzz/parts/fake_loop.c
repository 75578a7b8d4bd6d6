/*
 * A loop without time: see fake_loop.h.
 */
#include "fake_loop.h"

#include <stddef.h>

#include "input.h"

enum { TIMERS = 64, TURNS = 1000 };

struct loop {
    int unused;
};

uint64_t fuzz_now_ns;
struct loop_fd *fuzz_loop_fd;
static XEN_TAILQ_HEAD(works, struct loop_work) works = XEN_TAILQ_HEAD_INITIALIZER(works);
static struct loop_timer *timers[TIMERS];
static unsigned int nr_timers;

void fuzz_loop_reset(void)
{
    XEN_TAILQ_INIT(&works);
    nr_timers = 0;
    fuzz_now_ns = 1000000;
}

void fuzz_loop_turn(void)
{
    struct loop_work *w;

    for (unsigned int i = 0; (w = XEN_TAILQ_FIRST(&works)) != NULL; i++) {
        require(i < TURNS); /* work that makes work without end */
        loop_defer_cancel(NULL, w);
        w->fn(w->arg);
    }
}

bool fuzz_loop_fire(unsigned int index)
{
    struct loop_timer *t;

    if (nr_timers == 0) {
        return false;
    }
    t = timers[index % nr_timers];
    if (fuzz_now_ns < t->deadline_ns) {
        fuzz_now_ns = t->deadline_ns;
    }
    loop_timer_cancel(NULL, t);
    t->fn(t->arg);
    return true;
}

uint64_t fuzz_loop_next(unsigned int *index)
{
    uint64_t first = UINT64_MAX;

    for (unsigned int i = 0; i < nr_timers; i++) {
        if (timers[i]->deadline_ns < first) {
            first = timers[i]->deadline_ns;
            *index = i;
        }
    }
    return first;
}

bool fuzz_loop_has_work(void)
{
    return !XEN_TAILQ_EMPTY(&works);
}

struct loop *loop_new(void)
{
    static struct loop loop;

    return &loop;
}

uint64_t loop_now_ns(void)
{
    return fuzz_now_ns;
}

int loop_fd_add(struct loop *loop, struct loop_fd *w, int fd, uint32_t events, loop_fd_fn *fn,
                void *arg)
{
    (void)loop;
    (void)events;
    w->fd = fd;
    w->fn = fn;
    w->arg = arg;
    w->added = true;
    fuzz_loop_fd = w;
    return 0;
}

int loop_fd_events(struct loop *loop, struct loop_fd *w, uint32_t events)
{
    (void)loop;
    (void)w;
    (void)events;
    return 0;
}

void loop_fd_del(struct loop *loop, struct loop_fd *w)
{
    (void)loop;
    w->added = false;
}

void loop_timer_set(struct loop *loop, struct loop_timer *t, uint64_t delay_ns, loop_fn *fn,
                    void *arg)
{
    loop_timer_cancel(loop, t);
    require(nr_timers < TIMERS);
    *t = (struct loop_timer){
        .deadline_ns = fuzz_now_ns + delay_ns, .fn = fn, .arg = arg, .armed = true};
    timers[nr_timers++] = t;
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *t)
{
    (void)loop;
    for (unsigned int i = 0; t->armed && i < nr_timers; i++) {
        if (timers[i] == t) {
            timers[i] = timers[--nr_timers];
            break;
        }
    }
    t->armed = false;
}

void loop_defer(struct loop *loop, struct loop_work *w, loop_fn *fn, void *arg)
{
    (void)loop;
    w->fn = fn;
    w->arg = arg;
    if (!w->queued) {
        w->queued = true;
        XEN_TAILQ_INSERT_TAIL(&works, w, link);
    }
}

void loop_defer_cancel(struct loop *loop, struct loop_work *w)
{
    (void)loop;
    if (w->queued) {
        w->queued = false;
        XEN_TAILQ_REMOVE(&works, w, link);
    }
}
