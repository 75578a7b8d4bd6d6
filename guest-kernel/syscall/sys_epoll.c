/*
 * sys_epoll.c - calls on epoll and eventfd. Events are collected in the thread's page.
 */
#include "psm/clock.h"
#include "syscall/calls.h"
#include "syscall/epoll.h"
#include "syscall/ready.h"
#include "syscall/times.h"

#define EVENTS_ONCE   (PAGE_SIZE / sizeof(struct abi_epoll_event))
#define EVENTS_MAX    (INT32_MAX / sizeof(struct abi_epoll_event))
#define EFD_SEMAPHORE 1u

/* ---- eventfd ---- */

static int64_t make_eventfd(struct call *c, uint64_t flags)
{
    if ((flags & ~(uint64_t)(O_CLOEXEC | O_NONBLOCK | EFD_SEMAPHORE)) != 0) {
        return -EINVAL;
    }
    return fd_give(
        &c->t->fds,
        eventfd_create((uint32_t)c->a[0], flags & EFD_SEMAPHORE, (unsigned)flags & O_NONBLOCK),
        flags & O_CLOEXEC);
}

int64_t sys_eventfd(struct call *c)
{
    return make_eventfd(c, 0);
}

int64_t sys_eventfd2(struct call *c)
{
    return make_eventfd(c, (uint32_t)c->a[1]);
}

/* ---- epoll ---- */

int64_t sys_epoll_create(struct call *c)
{
    return (int)c->a[0] <= 0 ? -EINVAL : fd_give(&c->t->fds, epoll_create(), false);
}

int64_t sys_epoll_create1(struct call *c)
{
    return (c->a[0] & ~(uint64_t)O_CLOEXEC) != 0
               ? -EINVAL
               : fd_give(&c->t->fds, epoll_create(), c->a[0] & O_CLOEXEC);
}

/* @epoll and @f have a reference. */
static int control(struct call *c, struct file *epoll, struct file *f)
{
    struct abi_epoll_event event = {0};
    enum epoll_do what = (enum epoll_do)c->a[1];
    int rc = 0;

    if (c->a[1] != EPOLL_DEL) {
        rc = copy_from_user(&event, UADDR(c->a[3]), sizeof(event));
    }
    if (rc == 0 &&
        (!epoll_is(epoll) || epoll_is(f) || c->a[1] < EPOLL_ADD || c->a[1] > EPOLL_MOD)) {
        rc = -EINVAL;
    }
    /* Of what is always ready: files of the tree, and its folders. */
    if (rc == 0 && f->node != NULL) {
        rc = -EPERM;
    }
    return rc == 0 ? epoll_control(epoll, what, (int)c->a[2], f, &event) : rc;
}

int64_t sys_epoll_ctl(struct call *c)
{
    struct file *epoll = fd_get(&c->t->fds, c->a[0]);
    struct file *f = fd_get(&c->t->fds, c->a[2]);
    int rc = epoll == NULL || f == NULL ? -EBADF : control(c, epoll, f);

    if (epoll != NULL) {
        file_put(epoll);
    }
    if (f != NULL) {
        file_put(f);
    }
    return rc;
}

struct collecting {
    struct file *epoll;
    struct abi_epoll_event *events;
    unsigned max;
};

static int64_t collect_look(void *arg)
{
    const struct collecting *k = arg;

    return epoll_collect(k->epoll, k->events, k->max);
}

static int64_t do_wait(struct call *c, const struct ready_until *until, uint64_t mask,
                       uint64_t size)
{
    struct collecting k = {.epoll = fd_get(&c->t->fds, c->a[0]),
                           .events = c->u->page,
                           .max = (unsigned)MIN((uint32_t)c->a[2], EVENTS_ONCE)};
    int64_t n = -EBADF;

    if (k.epoll != NULL) {
        n = !epoll_is(k.epoll) || (int)c->a[2] <= 0 || (uint32_t)c->a[2] > EVENTS_MAX
                ? -EINVAL
                : ready_masked(c, mask, size, until, collect_look, &k);
        file_put(k.epoll);
    }
    if (n > 0) {
        int rc = copy_to_user(UADDR(c->a[1]), k.events, (uint64_t)n * sizeof(*k.events));

        n = rc == 0 ? n : rc;
    }
    if (n == -CALL_RESTARTS_UNHANDLED) { /* it is not made again, whatever comes of the signal */
        c->u->nap_until = 0;
        return -LINUX_EINTR;
    }
    return n;
}

int64_t sys_epoll_wait(struct call *c)
{
    struct ready_until until = ready_in_msec((int)c->a[3]);

    return do_wait(c, &until, 0, 0);
}

int64_t sys_epoll_pwait(struct call *c)
{
    struct ready_until until = ready_in_msec((int)c->a[3]);

    return do_wait(c, &until, c->a[4], c->a[5]);
}

int64_t sys_epoll_pwait2(struct call *c)
{
    struct ready_until until = {.deadline = NSEC_FOREVER};
    nsec_t t;
    int rc = c->a[3] == 0 ? 0 : get_timespec(c->a[3], &t);

    if (rc == 0 && c->a[3] != 0) {
        until.deadline = t == 0 ? 0 : clock_now() + t;
    }
    return rc == 0 ? do_wait(c, &until, c->a[4], c->a[5]) : rc;
}
