/*
 * ready.c - waiting until a descriptor is ready: see ready.h.
 */
#include "syscall/ready.h"

#include "psm/clock.h"
#include "syscall/times.h"

struct ready_until ready_in_msec(int msec)
{
    return (struct ready_until){.deadline = msec < 0 ? NSEC_FOREVER
                                            : msec == 0
                                                ? 0
                                                : clock_now() + (unsigned)msec * NSEC_PER_MSEC};
}

int64_t ready_wait(struct call *c, const struct ready_until *until, int64_t (*look)(void *arg),
                   void *arg)
{
    nsec_t deadline = c->u->nap_until != 0 ? c->u->nap_until : until->deadline;
    int rc = 0;

    c->u->nap_until = 0;
    for (;;) {
        uint64_t seen = proc_changes();
        int64_t count = look(arg);

        if (count != 0 || rc != 0 || deadline == 0) {
            return count;
        }
        if (uthread_interrupted(c->u)) {
            c->u->nap_until = deadline;
            return -CALL_RESTARTS_UNHANDLED;
        }
        rc = proc_wait_change(c->u, seen, deadline);
    }
}

/* What is left, for who wants to know. That it cannot be told is no error, says Linux. */
static void put_left(const struct ready_until *until)
{
    nsec_t now = clock_now();
    nsec_t left = until->deadline > now ? until->deadline - now : 0;
    struct abi_timespec ts = timespec_of(left);
    struct abi_timeval tv = timeval_of(left);

    (void)!(until->left_is_timeval ? copy_to_user(UADDR(until->left), &tv, sizeof(tv))
                                   : copy_to_user(UADDR(until->left), &ts, sizeof(ts)));
}

int64_t ready_masked(struct call *c, uint64_t mask, uint64_t size, const struct ready_until *until,
                     int64_t (*look)(void *arg), void *arg)
{
    uint64_t set;

    if (mask != 0) {
        int rc = size != sizeof(set) ? -EINVAL : copy_from_user(&set, UADDR(mask), sizeof(set));

        if (rc != 0) {
            return rc;
        }
        signal_suspend(&c->u->signals, set);
    }
    int64_t rc = ready_wait(c, until, look, arg);
    if (rc != -CALL_RESTARTS_UNHANDLED) {
        signal_resume(&c->u->signals);
    }
    if (until->left != 0) {
        put_left(until);
    }
    return rc;
}
