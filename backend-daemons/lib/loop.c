/*
 * The event loop: see loop.h.
 *
 * Timers are a pairing heap by deadline. Its links are in the timers themselves: setting one needs
 * no memory, so no deadline is lost for want of it, and cancelling needs no search. A batch of
 * epoll events is kept in the loop while its callbacks run. Removing a descriptor wipes its
 * remaining entries there, which is what makes removal from any callback safe.
 */
#include "loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_PER_WAIT 64
#define NS_PER_MS       1000000ULL

struct loop {
    int epfd;
    bool stopped;
    int status;
    struct epoll_event batch[EVENTS_PER_WAIT];
    int batch_len;
    struct loop_timer *timers; /* the root: the earliest */
    XEN_TAILQ_HEAD(loop_work_list, struct loop_work) work;
    uint32_t turn; /* of run_work(): tells old work from work queued meanwhile */
    struct loop_fd signal_watch;
    sigset_t signals;
    struct {
        loop_signal_fn *fn;
        void *arg;
    } on_signal[NSIG];
};

struct loop *loop_new(void)
{
    struct loop *loop = calloc(1, sizeof(*loop));

    if (loop == NULL) {
        return NULL;
    }
    loop->epfd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epfd < 0) {
        free(loop);
        return NULL;
    }
    loop->signal_watch.fd = -1;
    sigemptyset(&loop->signals);
    XEN_TAILQ_INIT(&loop->work);
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    if (loop->signal_watch.fd >= 0) {
        close(loop->signal_watch.fd);
    }
    close(loop->epfd);
    free(loop);
}

uint64_t loop_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

void loop_stop(struct loop *loop, int status)
{
    loop->stopped = true;
    loop->status = status;
}

int loop_fd_add(struct loop *loop, struct loop_fd *w, int fd, uint32_t events, loop_fd_fn *fn,
                void *arg)
{
    struct epoll_event ev = {.events = events, .data.ptr = w};

    if (w->added) {
        return -EEXIST;
    }
    if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
        return -errno;
    }
    *w = (struct loop_fd){.fd = fd, .fn = fn, .arg = arg, .added = true};
    return 0;
}

int loop_fd_events(struct loop *loop, struct loop_fd *w, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = w};

    return epoll_ctl(loop->epfd, EPOLL_CTL_MOD, w->fd, &ev) < 0 ? -errno : 0;
}

void loop_fd_del(struct loop *loop, struct loop_fd *w)
{
    if (!w->added) {
        return;
    }
    epoll_ctl(loop->epfd, EPOLL_CTL_DEL, w->fd, NULL);
    w->added = false;
    for (int i = 0; i < loop->batch_len; i++) {
        if (loop->batch[i].data.ptr == w) {
            loop->batch[i].data.ptr = NULL;
        }
    }
}

/* The earlier of two heaps' roots takes the other as its first child. */
static struct loop_timer *heap_meld(struct loop_timer *a, struct loop_timer *b)
{
    struct loop_timer *child = b;

    if (a == NULL || b == NULL) {
        return a != NULL ? a : b;
    }
    if (b->deadline_ns < a->deadline_ns) {
        child = a;
        a = b;
    }
    child->before = a;
    child->next = a->child;
    if (a->child != NULL) {
        a->child->before = child;
    }
    a->child = child;
    return a;
}

/* Makes one heap of siblings: by pairs first, which is what keeps the cost logarithmic. */
static struct loop_timer *heap_meld_all(struct loop_timer *first)
{
    struct loop_timer *pairs = NULL, *root = NULL;

    while (first != NULL) {
        struct loop_timer *a = first, *b = first->next;

        first = b != NULL ? b->next : NULL;
        a->next = a->before = NULL;
        if (b != NULL) {
            b->next = b->before = NULL;
        }
        a = heap_meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs != NULL) {
        struct loop_timer *a = pairs;

        pairs = a->next;
        a->next = NULL;
        root = heap_meld(root, a);
    }
    return root;
}

void loop_timer_set(struct loop *loop, struct loop_timer *t, uint64_t delay_ns, loop_fn *fn,
                    void *arg)
{
    loop_timer_cancel(loop, t);
    *t = (struct loop_timer){
        .deadline_ns = loop_now_ns() + delay_ns, .fn = fn, .arg = arg, .armed = true};
    loop->timers = heap_meld(loop->timers, t);
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *t)
{
    struct loop_timer *children;

    if (!t->armed) {
        return;
    }
    t->armed = false;
    children = heap_meld_all(t->child);
    if (t == loop->timers) {
        loop->timers = children;
        return;
    }
    if (t->before->child == t) {
        t->before->child = t->next;
    } else {
        t->before->next = t->next;
    }
    if (t->next != NULL) {
        t->next->before = t->before;
    }
    loop->timers = heap_meld(loop->timers, children);
}

void loop_defer(struct loop *loop, struct loop_work *w, loop_fn *fn, void *arg)
{
    if (w->queued) {
        return;
    }
    w->fn = fn;
    w->arg = arg;
    w->queued = true;
    w->turn = loop->turn;
    XEN_TAILQ_INSERT_TAIL(&loop->work, w, link);
}

void loop_defer_cancel(struct loop *loop, struct loop_work *w)
{
    if (w->queued) {
        XEN_TAILQ_REMOVE(&loop->work, w, link);
        w->queued = false;
    }
}

static void on_signalfd(void *arg, uint32_t events)
{
    struct loop *loop = arg;
    struct signalfd_siginfo si;

    (void)events;
    while (read(loop->signal_watch.fd, &si, sizeof(si)) == sizeof(si)) {
        if (si.ssi_signo < NSIG && loop->on_signal[si.ssi_signo].fn != NULL) {
            loop->on_signal[si.ssi_signo].fn(loop->on_signal[si.ssi_signo].arg, (int)si.ssi_signo);
        }
    }
}

int loop_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *arg)
{
    int fd;

    if (signo <= 0 || signo >= NSIG) {
        return -EINVAL;
    }
    sigaddset(&loop->signals, signo);
    if (sigprocmask(SIG_BLOCK, &loop->signals, NULL) < 0) {
        return -errno;
    }
    loop->on_signal[signo].fn = fn;
    loop->on_signal[signo].arg = arg;
    fd = signalfd(loop->signal_watch.fd, &loop->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) {
        return -errno;
    }
    if (loop->signal_watch.added) {
        return 0;
    }
    return loop_fd_add(loop, &loop->signal_watch, fd, EPOLLIN, on_signalfd, loop);
}

int loop_signals(struct loop *loop, const struct loop_signal_rule *rules, unsigned int nr,
                 void *arg)
{
    int err = 0;

    for (unsigned int i = 0; err == 0 && i < nr; i++) {
        err = loop_signal(loop, rules[i].signo, rules[i].fn, arg);
    }
    return err;
}

/* Milliseconds that epoll may wait, rounded up so that a timer never fires early. */
static int wait_ms(const struct loop *loop)
{
    uint64_t now;

    if (XEN_TAILQ_EMPTY(&loop->work) == 0) {
        return 0;
    }
    if (loop->timers == NULL) {
        return -1;
    }
    now = loop_now_ns();
    if (loop->timers->deadline_ns <= now) {
        return 0;
    }
    now = (loop->timers->deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS;
    return now > 60000 ? 60000 : (int)now;
}

/* Runs what was queued before this call; work queued meanwhile waits for the next turn. */
static void run_work(struct loop *loop)
{
    struct loop_work *w;

    loop->turn++;
    while (!loop->stopped && (w = XEN_TAILQ_FIRST(&loop->work)) != NULL && w->turn != loop->turn) {
        loop_defer_cancel(loop, w);
        w->fn(w->arg);
    }
}

static void run_timers(struct loop *loop)
{
    uint64_t now = loop_now_ns();

    while (loop->timers != NULL && !loop->stopped && loop->timers->deadline_ns <= now) {
        struct loop_timer *t = loop->timers;

        loop_timer_cancel(loop, t);
        t->fn(t->arg);
    }
}

int loop_run(struct loop *loop)
{
    loop->stopped = false;
    while (!loop->stopped) {
        int n = epoll_wait(loop->epfd, loop->batch, EVENTS_PER_WAIT, wait_ms(loop));

        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        loop->batch_len = n > 0 ? n : 0;
        for (int i = 0; i < loop->batch_len && !loop->stopped; i++) {
            struct loop_fd *w = loop->batch[i].data.ptr;

            if (w != NULL) {
                w->fn(w->arg, loop->batch[i].events);
            }
        }
        loop->batch_len = 0;
        run_timers(loop);
        run_work(loop);
    }
    return loop->status;
}
