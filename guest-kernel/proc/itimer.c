/*
 * itimer.c - the timer of alarm() and setitimer(): see proc.h.
 *
 * Its callback posts SIGALRM and arms it again. Who sets it anew takes it out first and waits for
 * the callback, so what belongs to it needs no lock.
 */
#include "proc/proc.h"

#include "psm/clock.h"

#define INTERVAL_MIN NSEC_PER_MSEC /* shorter ones would keep a vCPU from anything else */

static void itimer_rings(struct timer *t)
{
    struct proc *p = CONTAINER_OF(t, struct proc, itimer);
    const struct signal_info info = {.code = SI_KERNEL};

    if (p->itimer_interval != 0) {
        timer_arm(t, MAX(t->deadline, clock_now()) + p->itimer_interval);
    }
    proc_post(p, SIGNAL_ALARM, &info);
}

void itimer_init(struct proc *p)
{
    timer_init(&p->itimer, itimer_rings);
}

void itimer_read(const struct proc *p, nsec_t *left, nsec_t *interval)
{
    nsec_t deadline = READ_ONCE(p->itimer.deadline), now = clock_now();

    *interval = p->itimer_interval;
    /* That which is due this moment is not over yet. */
    *left = !timer_armed(&p->itimer) ? 0 : deadline > now ? deadline - now : 1;
}

void itimer_set(struct proc *p, nsec_t left, nsec_t interval)
{
    (void)timer_cancel_wait(&p->itimer);
    p->itimer_interval = interval == 0 ? 0 : MAX(interval, INTERVAL_MIN);
    if (left != 0) {
        timer_arm(&p->itimer, clock_now() + left);
    }
}
