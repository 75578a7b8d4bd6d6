/*
 * sys_misc.c - calls on clocks, limits, names of the system, random numbers.
 */
#include "kern/mem.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "psm/clock.h"
#include "psm/random.h"
#include "syscall/calls.h"
#include "syscall/times.h"

#define CLOCK_MONOTONIC_RAW    4
#define CLOCK_REALTIME_COARSE  5
#define CLOCK_MONOTONIC_COARSE 6
#define TIMER_ABSTIME          1u
#define USEC_PER_SEC           1000000

#define RLIMIT_STACK  3
#define RLIMIT_NOFILE 7
#define RLIMITS       16
#define RLIM_INFINITY UINT64_MAX
#define STACK_LIMIT   (8u << 20) /* proc/exec.c's */

#define GRND_FLAGS 7u /* there is one source, and it never blocks */
#define RANDOM_MAX (1u << 25)

/* What programs compare with the versions of Linux that they need. */
#define LINUX_RELEASE "6.1.0-duet"

int64_t sys_uname(struct call *c)
{
    static const struct abi_utsname name = {.sysname = "Linux",
                                            .nodename = "duet",
                                            .release = LINUX_RELEASE,
                                            .version = "Duet " DUET_VERSION,
                                            .machine = "x86_64",
                                            .domainname = "(none)"};

    return copy_to_user(UADDR(c->a[0]), &name, sizeof(name));
}

int64_t sys_sysinfo(struct call *c)
{
    struct abi_sysinfo info = {.uptime = (int64_t)(clock_since_boot() / NSEC_PER_SEC),
                               .mem_unit = PAGE_SIZE};
    struct mem_stats m;

    mem_get_stats(&m);
    info.totalram = m.pages_total;
    info.freeram = m.pages_free;
    info.procs = (uint16_t)proc_count();
    return copy_to_user(UADDR(c->a[0]), &info, sizeof(info));
}

int64_t sys_getrandom(struct call *c)
{
    char bytes[256];
    uint64_t n = MIN(c->a[1], RANDOM_MAX);

    if ((c->a[2] & ~(uint64_t)GRND_FLAGS) != 0) {
        return -EINVAL;
    }
    for (uint64_t done = 0; done < n;) {
        size_t part = MIN(n - done, sizeof(bytes));

        random_fill(bytes, part);
        int rc = copy_to_user(UADDR(c->a[0] + done), bytes, part);
        if (rc != 0) {
            return rc;
        }
        done += part;
    }
    return (int64_t)n;
}

/* ---- time ---- */

int clock_read(uint64_t clock, nsec_t *now)
{
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        *now = clock_wall();
        return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
        *now = clock_now();
        return 0;
    case CLOCK_BOOTTIME:
        *now = clock_since_boot();
        return 0;
    default:
        return -EINVAL;
    }
}

struct abi_timespec timespec_of(nsec_t t)
{
    return (struct abi_timespec){.sec = (int64_t)(t / NSEC_PER_SEC),
                                 .nsec = (int64_t)(t % NSEC_PER_SEC)};
}

static int64_t put_timespec(uint64_t to, nsec_t t)
{
    struct abi_timespec ts = timespec_of(t);

    return copy_to_user(UADDR(to), &ts, sizeof(ts));
}

int64_t sys_clock_gettime(struct call *c)
{
    nsec_t now;
    int rc = clock_read(c->a[0], &now);

    return rc == 0 ? put_timespec(c->a[1], now) : rc;
}

int64_t sys_clock_getres(struct call *c)
{
    nsec_t now;
    int rc = clock_read(c->a[0], &now);

    return rc == 0 && c->a[1] != 0 ? put_timespec(c->a[1], 1) : rc;
}

int64_t sys_gettimeofday(struct call *c)
{
    nsec_t now = clock_wall();
    struct abi_timeval tv = {.sec = (int64_t)(now / NSEC_PER_SEC),
                             .usec = (int64_t)(now % NSEC_PER_SEC / NSEC_PER_USEC)};
    static const uint32_t zone[2]; /* UTC */
    int rc = c->a[0] == 0 ? 0 : copy_to_user(UADDR(c->a[0]), &tv, sizeof(tv));

    return rc == 0 && c->a[1] != 0 ? copy_to_user(UADDR(c->a[1]), zone, sizeof(zone)) : rc;
}

int64_t sys_time(struct call *c)
{
    int64_t now = (int64_t)(clock_wall() / NSEC_PER_SEC);
    int rc = c->a[0] == 0 ? 0 : copy_to_user(UADDR(c->a[0]), &now, sizeof(now));

    return rc == 0 ? now : rc;
}

/* So much, and nobody lives to see it: two of them can be added, and the time that it is. */
#define NSEC_MOST ((uint64_t)INT64_MAX / 4)

/* @nsec is below a second. */
static nsec_t nsec_of(int64_t sec, int64_t nsec)
{
    return (uint64_t)sec >= NSEC_MOST / NSEC_PER_SEC
               ? NSEC_MOST
               : (uint64_t)sec * NSEC_PER_SEC + (uint64_t)nsec;
}

bool nsec_of_timeval(const struct abi_timeval *tv, nsec_t *t)
{
    bool is_one = tv->sec >= 0 && tv->usec >= 0 && tv->usec < USEC_PER_SEC;

    *t = is_one ? nsec_of(tv->sec, tv->usec * (int64_t)NSEC_PER_USEC) : 0;
    return is_one;
}

struct abi_timeval timeval_of(nsec_t t)
{
    nsec_t usec = DIV_ROUND_UP(t, NSEC_PER_USEC);

    return (struct abi_timeval){.sec = (int64_t)(usec / USEC_PER_SEC),
                                .usec = (int64_t)(usec % USEC_PER_SEC)};
}

int get_timespec(uint64_t from, nsec_t *t)
{
    struct abi_timespec ts;
    int rc = copy_from_user(&ts, UADDR(from), sizeof(ts));

    if (rc != 0) {
        return rc;
    }
    if (ts.sec < 0 || ts.nsec < 0 || ts.nsec >= (int64_t)NSEC_PER_SEC) {
        return -EINVAL;
    }
    *t = nsec_of(ts.sec, ts.nsec);
    return 0;
}

/*
 * Sleep; what is left of it goes to @left if it is cut short, 0: nobody asks. A sleep that is gone
 * on with, since no handler ran, ends when it was to end.
 */
static int64_t nap_until(struct uthread *t, nsec_t deadline, uint64_t left)
{
    int rc = 0;

    deadline = t->nap_until != 0 ? t->nap_until : deadline;
    t->nap_until = 0;
    while (rc == 0 && !uthread_interrupted(t)) {
        rc = proc_wait_change(t, proc_changes(), deadline);
    }
    nsec_t now = clock_now();
    if (rc != 0 || now >= deadline) {
        return 0;
    }
    int64_t told = left == 0 ? 0 : put_timespec(left, deadline - now);
    if (told != 0) {
        return told;
    }
    t->nap_until = deadline;
    return -CALL_RESTARTS_UNHANDLED;
}

int64_t sys_nanosleep(struct call *c)
{
    nsec_t t;
    int rc = get_timespec(c->a[0], &t);

    return rc == 0 ? nap_until(c->u, clock_now() + t, c->a[1]) : rc;
}

int64_t sys_clock_nanosleep(struct call *c)
{
    nsec_t now, t;
    int rc = clock_read(c->a[0], &now);

    rc = rc == 0 ? get_timespec(c->a[2], &t) : rc;
    if (rc != 0) {
        return rc;
    }
    if (c->a[1] & TIMER_ABSTIME) {
        t = t > now ? t - now : 0;
    }
    return nap_until(c->u, clock_now() + t, c->a[1] & TIMER_ABSTIME ? 0 : c->a[3]);
}

/* ---- limits ---- */

static struct abi_rlimit limit_of(uint64_t resource)
{
    uint64_t max = resource == RLIMIT_STACK    ? STACK_LIMIT
                   : resource == RLIMIT_NOFILE ? FD_MAX
                                               : RLIM_INFINITY;

    return (struct abi_rlimit){.cur = max, .max = max};
}

/* They are what they are: one's own can be read. */
int64_t sys_prlimit64(struct call *c)
{
    struct abi_rlimit limit = limit_of(c->a[1]);

    if (c->a[1] >= RLIMITS) {
        return -EINVAL;
    }
    if ((c->a[0] != 0 && c->a[0] != c->p->pid) || c->a[2] != 0) {
        return -EPERM;
    }
    return c->a[3] == 0 ? 0 : copy_to_user(UADDR(c->a[3]), &limit, sizeof(limit));
}

int64_t sys_getrlimit(struct call *c)
{
    struct abi_rlimit limit = limit_of(c->a[0]);

    return c->a[0] >= RLIMITS ? -EINVAL : copy_to_user(UADDR(c->a[1]), &limit, sizeof(limit));
}
