/*
 * sys_timerfd.c - timers as files: who reads waits until one has run out, and is told how often.
 *
 * The timer's callback only says that it ran out: how often is reckoned by who asks, and then it is
 * set for the next time, but not by who looks whether it can be read when it can. So a timer costs
 * at most one callback for each time that anybody reads it, however short its interval.
 * Locks: "timerfd" (a mutex) over all but `ran_out`, which is atomic. Suspend: monotonic timers
 * stand still, others go by the wall clock, and what became due meanwhile is due at once.
 */
#include "kern/mem.h"
#include "kern/string.h"
#include "psm/clock.h"
#include "psm/timer.h"
#include "syscall/calls.h"
#include "syscall/times.h"

#define TFD_TIMER_ABSTIME       1u
#define TFD_TIMER_CANCEL_ON_SET 2u /* nobody sets the clock */

struct timerfd {
    struct mutex lock;
    struct timer timer;
    struct file *f;
    uint64_t clock;
    nsec_t next, interval; /* by its clock; 0: not set, once */
    uint64_t times;        /* that it ran out and nobody was told of */
    bool ran_out;          /* at `next`, and it was not set for the next time yet */
};

static nsec_t now_of(const struct timerfd *t)
{
    nsec_t now;

    return clock_read(t->clock, &now) == 0 ? now : 0; /* it was one when the file was made */
}

static void timerfd_rings(struct timer *timer)
{
    struct timerfd *t = CONTAINER_OF(timer, struct timerfd, timer);

    __atomic_store_n(&t->ran_out, true, __ATOMIC_RELEASE);
    file_changed(t->f);
}

/* Time that the domain is saved for counts but for the monotonic clock. */
static void timerfd_arm(struct timerfd *t)
{
    nsec_t now = now_of(t), left = t->next > now ? t->next - now : 0;

    if (t->clock == CLOCK_MONOTONIC) {
        timer_arm(&t->timer, t->next);
    } else {
        timer_arm_wall(&t->timer, clock_wall() + left);
    }
}

/* Count what ran out up to now. */
static void timerfd_count(struct timerfd *t)
{
    nsec_t now = now_of(t);

    if (__atomic_load_n(&t->ran_out, __ATOMIC_ACQUIRE) && t->next != 0 && now >= t->next) {
        uint64_t times = t->interval == 0 ? 1 : (now - t->next) / t->interval + 1;

        t->times += times;
        t->next = t->interval == 0 ? 0 : t->next + times * t->interval;
    }
}

/* Set it for the next time, if it ran out, also by a wall clock that was set meanwhile. */
static void timerfd_go_on(struct timerfd *t)
{
    if (__atomic_exchange_n(&t->ran_out, false, __ATOMIC_ACQUIRE) && t->next != 0) {
        timerfd_arm(t);
    }
}

static void timerfd_stop(struct timerfd *t)
{
    (void)timer_cancel_wait(&t->timer);
    t->ran_out = false;
    t->next = t->times = 0;
}

/* ---- as a file ---- */

static ssize_t timerfd_read(struct file *f, uint64_t pos __unused, void *buf, size_t n)
{
    struct timerfd *t = f->own;

    if (n < sizeof(t->times)) {
        return -EINVAL;
    }
    for (;;) {
        uint64_t seen = proc_changes();

        mutex_lock(&t->lock);
        timerfd_count(t);
        uint64_t times = t->times;
        t->times = 0;
        timerfd_go_on(t);
        mutex_unlock(&t->lock);
        if (times != 0) {
            memcpy(buf, &times, sizeof(times));
            return sizeof(times);
        }
        int rc = file_wait(f, seen);
        if (rc != 0) {
            return rc;
        }
    }
}

static unsigned timerfd_ready(const struct file *f)
{
    struct timerfd *t = f->own;

    mutex_lock(&t->lock);
    timerfd_count(t);
    unsigned ready = t->times != 0 ? POLLIN : 0;
    if (ready == 0) { /* else whoever only looks would be woken by each interval */
        timerfd_go_on(t);
    }
    mutex_unlock(&t->lock);
    return ready;
}

static void timerfd_stat(const struct file *f __unused, struct abi_stat *st)
{
    *st = (struct abi_stat){.mode = 0600, .nlink = 1, .blksize = PAGE_SIZE};
}

static void timerfd_close(struct file *f)
{
    timerfd_stop(f->own);
    kfree(f->own);
}

static const struct file_ops timerfd_ops = {
    .read = timerfd_read, .stat = timerfd_stat, .close = timerfd_close, .ready = timerfd_ready};

/* ---- calls ---- */

static bool has_timers(uint64_t clock)
{
    return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME;
}

int64_t sys_timerfd_create(struct call *c)
{
    uint64_t clock = (uint32_t)c->a[0], flags = (uint32_t)c->a[1];

    if (!has_timers(clock) || (flags & ~(uint64_t)(O_CLOEXEC | O_NONBLOCK)) != 0) {
        return -EINVAL;
    }
    struct timerfd *t = kzalloc(sizeof(*t));
    struct file *f =
        t == NULL ? NULL : file_new(&timerfd_ops, O_RDWR | ((unsigned)flags & O_NONBLOCK));
    if (f == NULL) {
        kfree(t);
        return -ENOMEM;
    }
    mutex_init(&t->lock, "timerfd");
    timer_init(&t->timer, timerfd_rings);
    t->f = f;
    t->clock = clock;
    f->own = t;
    return fd_give(&c->t->fds, f, flags & O_CLOEXEC);
}

/* How long until it runs out, and its interval. */
static struct abi_itimerspec timerfd_left(struct timerfd *t)
{
    timerfd_count(t);
    timerfd_go_on(t);
    nsec_t now = now_of(t);
    /* That which is due this moment is not over yet. */
    nsec_t left = t->next == 0 ? 0 : t->next > now ? t->next - now : 1;
    return (struct abi_itimerspec){.interval = timespec_of(t->interval),
                                   .value = timespec_of(left)};
}

static int64_t do_timerfd(struct call *c, uint64_t to,
                          int64_t (*fn)(struct call *c, struct timerfd *,
                                        struct abi_itimerspec *old))
{
    struct file *f = fd_get(&c->t->fds, c->a[0]);
    struct abi_itimerspec old;

    if (f == NULL) {
        return -EBADF;
    }
    int64_t rc = f->ops == &timerfd_ops ? fn(c, f->own, &old) : -EINVAL;
    file_put(f);
    return rc == 0 && to != 0 ? copy_to_user(UADDR(to), &old, sizeof(old)) : rc;
}

static int64_t timerfd_get(struct call *c __unused, struct timerfd *t, struct abi_itimerspec *old)
{
    mutex_lock(&t->lock);
    *old = timerfd_left(t);
    mutex_unlock(&t->lock);
    return 0;
}

int64_t sys_timerfd_gettime(struct call *c)
{
    return c->a[1] == 0 ? -EFAULT : do_timerfd(c, c->a[1], timerfd_get);
}

static int64_t timerfd_set(struct call *c, struct timerfd *t, struct abi_itimerspec *old)
{
    nsec_t interval, value;
    int rc = get_timespec(c->a[2] + offsetof(struct abi_itimerspec, interval), &interval);

    rc = rc == 0 ? get_timespec(c->a[2] + offsetof(struct abi_itimerspec, value), &value) : rc;
    if (rc != 0) {
        return rc;
    }
    mutex_lock(&t->lock);
    *old = timerfd_left(t);
    timerfd_stop(t);
    t->interval = interval;
    if (value != 0) {
        t->next = c->a[1] & TFD_TIMER_ABSTIME ? value : now_of(t) + value;
        timerfd_arm(t);
    }
    mutex_unlock(&t->lock);
    return 0;
}

int64_t sys_timerfd_settime(struct call *c)
{
    return (c->a[1] & ~(uint64_t)(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) != 0
               ? -EINVAL
               : do_timerfd(c, c->a[3], timerfd_set);
}
