/*
 * sys_poll.c - poll and select. Sets of descriptors are looked at in the thread's page.
 */
#include "kern/string.h"
#include "psm/clock.h"
#include "syscall/calls.h"
#include "syscall/ready.h"
#include "syscall/times.h"

#define POLL_MAX (PAGE_SIZE / sizeof(struct abi_pollfd))

_Static_assert(POLL_MAX >= FD_MAX, "all descriptors can be polled");

/* ---- poll ---- */

struct polled {
    struct task *t;
    struct abi_pollfd *fds;
    uint64_t n;
};

/* What is so now of what was asked for. */
static uint16_t poll_one(struct task *t, const struct abi_pollfd *pfd)
{
    struct file *f = pfd->fd < 0 ? NULL : fd_get(&t->fds, (uint64_t)pfd->fd);

    if (f == NULL) {
        return pfd->fd < 0 ? 0 : POLLNVAL;
    }
    unsigned ready = file_ready(f);
    file_put(f);
    return (uint16_t)(ready & (pfd->events | POLLERR | POLLHUP));
}

static int64_t poll_look(void *arg)
{
    const struct polled *p = arg;
    int64_t count = 0;

    for (uint64_t i = 0; i < p->n; i++) {
        p->fds[i].revents = poll_one(p->t, &p->fds[i]);
        count += p->fds[i].revents != 0;
    }
    return count;
}

static int64_t do_poll(struct call *c, const struct ready_until *until, uint64_t mask,
                       uint64_t size)
{
    struct polled p = {.t = c->t, .fds = c->u->page, .n = c->a[1]};

    if (p.n > POLL_MAX) {
        return -EINVAL;
    }
    int rc = copy_from_user(p.fds, UADDR(c->a[0]), p.n * sizeof(p.fds[0]));
    if (rc != 0) {
        return rc;
    }
    int64_t count = ready_masked(c, mask, size, until, poll_look, &p);
    if (count >= 0) {
        rc = copy_to_user(UADDR(c->a[0]), p.fds, p.n * sizeof(p.fds[0]));
    }
    return rc == 0 ? count : rc;
}

int64_t sys_poll(struct call *c)
{
    struct ready_until until = ready_in_msec((int)c->a[2]);

    return do_poll(c, &until, 0, 0);
}

/* A relative time of the program's as a deadline; no address: for ever. */
static int until_timespec(uint64_t from, struct ready_until *until)
{
    nsec_t t;

    *until = (struct ready_until){.deadline = NSEC_FOREVER};
    if (from == 0) {
        return 0;
    }
    int rc = get_timespec(from, &t);
    if (rc == 0) {
        *until = (struct ready_until){.deadline = t == 0 ? 0 : clock_now() + t, .left = from};
    }
    return rc;
}

int64_t sys_ppoll(struct call *c)
{
    struct ready_until until;
    int rc = until_timespec(c->a[2], &until);

    return rc == 0 ? do_poll(c, &until, c->a[3], c->a[4]) : rc;
}

/* ---- select ---- */

#define SETS      3 /* to read, to write, and what is extraordinary: errors of sockets are not */
#define SET_BITS  1024u
#define SET_WORDS (SET_BITS / 64)

/* For each of the three what is so for who asks. */
static const unsigned set_events[SETS] = {POLLIN | POLLHUP | POLLERR, POLLOUT | POLLERR, 0};

struct selected {
    struct task *t;
    unsigned n;
    uint64_t asked[SETS][SET_WORDS], so[SETS][SET_WORDS];
};

static bool has(const uint64_t set[SET_WORDS], unsigned fd)
{
    return set[fd / 64] >> (fd % 64) & 1;
}

/* One descriptor, in all sets. Return: in how many it is ready, -EBADF. */
static int64_t select_one(struct selected *s, unsigned fd)
{
    struct file *f = fd_get(&s->t->fds, fd);
    int64_t count = 0;

    if (f == NULL) {
        return -EBADF;
    }
    unsigned ready = file_ready(f);
    file_put(f);
    for (unsigned i = 0; i < SETS; i++) {
        if (has(s->asked[i], fd) && (ready & set_events[i])) {
            s->so[i][fd / 64] |= 1ull << (fd % 64);
            count++;
        }
    }
    return count;
}

static int64_t select_look(void *arg)
{
    struct selected *s = arg;
    int64_t count = 0;

    memset(s->so, 0, sizeof(s->so));
    for (unsigned fd = 0; fd < s->n; fd++) {
        if (has(s->asked[0], fd) || has(s->asked[1], fd) || has(s->asked[2], fd)) {
            int64_t rc = select_one(s, fd);

            if (rc < 0) {
                return rc;
            }
            count += rc;
        }
    }
    return count;
}

static int64_t do_select(struct call *c, const struct ready_until *until, uint64_t mask,
                         uint64_t size)
{
    struct selected *s = c->u->page;
    size_t bytes = DIV_ROUND_UP(MIN((unsigned)c->a[0], SET_BITS), 64) * sizeof(uint64_t);
    int rc = (int)c->a[0] < 0 ? -EINVAL : 0;

    _Static_assert(sizeof(*s) <= PAGE_SIZE, "fits the thread's page");
    *s = (struct selected){.t = c->t, .n = MIN((unsigned)c->a[0], SET_BITS)};
    for (unsigned i = 0; i < SETS && rc == 0; i++) {
        rc = c->a[1 + i] == 0 ? 0 : copy_from_user(s->asked[i], UADDR(c->a[1 + i]), bytes);
    }
    int64_t count = rc == 0 ? ready_masked(c, mask, size, until, select_look, s) : rc;
    for (unsigned i = 0; i < SETS && count >= 0; i++) {
        rc = c->a[1 + i] == 0 ? 0 : copy_to_user(UADDR(c->a[1 + i]), s->so[i], bytes);
        count = rc == 0 ? count : rc;
    }
    return count;
}

int64_t sys_select(struct call *c)
{
    struct ready_until until = {.deadline = NSEC_FOREVER};
    struct abi_timeval tv;
    nsec_t t;

    if (c->a[4] != 0) {
        int rc = copy_from_user(&tv, UADDR(c->a[4]), sizeof(tv));

        rc = rc == 0 && !nsec_of_timeval(&tv, &t) ? -EINVAL : rc;
        if (rc != 0) {
            return rc;
        }
        until = (struct ready_until){
            .deadline = t == 0 ? 0 : clock_now() + t, .left = c->a[4], .left_is_timeval = true};
    }
    return do_select(c, &until, 0, 0);
}

/* Its last argument is where a set of signals and its size are. */
int64_t sys_pselect6(struct call *c)
{
    struct ready_until until;
    uint64_t signals[2] = {0, 0};
    int rc = until_timespec(c->a[4], &until);

    if (rc == 0 && c->a[5] != 0) {
        rc = copy_from_user(signals, UADDR(c->a[5]), sizeof(signals));
    }
    return rc == 0 ? do_select(c, &until, signals[0], signals[1]) : rc;
}
