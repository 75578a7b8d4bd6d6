/*
 * sys_signal.c - calls on signals. What they mean is in proc/signal.h; what comes of a signal on
 * the way back to the program in proc/deliver.c.
 *
 * A set of signals is eight bytes, which the program says as well.
 */
#include "kern/log.h"
#include "proc/deliver.h"
#include "proc/sigframe.h"
#include "psm/clock.h"
#include "syscall/calls.h"
#include "syscall/times.h"

#define SET_SIZE sizeof(uint64_t)

#define ITIMER_REAL 0

enum { SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK };

/* ---- actions, masks and stacks ---- */

int64_t sys_rt_sigaction(struct call *c)
{
    struct signal_action action, old;
    unsigned number = (unsigned)MIN(c->a[0], SIGNALS + 1u);

    if (c->a[3] != SET_SIZE) {
        return -EINVAL;
    }
    int rc = c->a[1] == 0 ? 0 : copy_from_user(&action, UADDR(c->a[1]), sizeof(action));
    rc = rc == 0 ? signal_set_action(&c->p->signals, number, c->a[1] == 0 ? NULL : &action, &old)
                 : rc;
    return rc == 0 && c->a[2] != 0 ? copy_to_user(UADDR(c->a[2]), &old, sizeof(old)) : rc;
}

static int change_mask(uint64_t *mask, uint64_t how, uint64_t set)
{
    switch (how) {
    case SIG_BLOCK:
        *mask |= set;
        return 0;
    case SIG_UNBLOCK:
        *mask &= ~set;
        return 0;
    case SIG_SETMASK:
        *mask = set;
        return 0;
    default:
        return -EINVAL;
    }
}

int64_t sys_rt_sigprocmask(struct call *c)
{
    uint64_t old = c->u->signals.blocked, mask = old, set;

    if (c->a[3] != SET_SIZE) {
        return -EINVAL;
    }
    if (c->a[1] != 0) {
        int rc = copy_from_user(&set, UADDR(c->a[1]), sizeof(set));

        rc = rc == 0 ? change_mask(&mask, c->a[0], set) : rc;
        if (rc != 0) {
            return rc;
        }
    }
    signal_set_blocked(&c->u->signals, mask);
    return c->a[2] == 0 ? 0 : copy_to_user(UADDR(c->a[2]), &old, sizeof(old));
}

int64_t sys_rt_sigpending(struct call *c)
{
    uint64_t pending = signal_pending(&c->u->signals) & c->u->signals.blocked;

    return c->a[1] > SET_SIZE ? -EINVAL : copy_to_user(UADDR(c->a[0]), &pending, c->a[1]);
}

int64_t sys_sigaltstack(struct call *c)
{
    struct signal_stack stack, old;
    int rc = c->a[0] == 0 ? 0 : copy_from_user(&stack, UADDR(c->a[0]), sizeof(stack));

    rc = rc == 0
             ? signal_set_stack(&c->u->signals, c->frame->rsp, c->a[0] == 0 ? NULL : &stack, &old)
             : rc;
    return rc == 0 && c->a[1] != 0 ? copy_to_user(UADDR(c->a[1]), &old, sizeof(old)) : rc;
}

/* A frame that lies is a fault of the program's, which may go on from that: so the log has an end.
 */
#define LIES_TOLD 16

int64_t sys_rt_sigreturn(struct call *c)
{
    const struct signal_info info = {.code = SI_KERNEL};
    const char *why = NULL;

    if (deliver_return(c->u, c->frame, &why) != 0) {
        if (__atomic_fetch_add(&c->p->lies, 1, __ATOMIC_RELAXED) < LIES_TOLD) {
            log_warn("%s[%u]: the frame that it returns from a signal by: %s", c->p->name,
                     c->p->pid, why);
        }
        if (!deliver_fault(c->u, c->frame, SIGNAL_SEGV, &info, 0)) {
            proc_exit(SIGNAL_SEGV);
        }
    }
    return (int64_t)c->frame->rax;
}

/* ---- sending ---- */

static int64_t send_to(int pid, uint64_t number, int32_t code)
{
    return number > SIGNALS ? -EINVAL : proc_signal(pid, (unsigned)number, code);
}

int64_t sys_kill(struct call *c)
{
    return send_to((int)c->a[0], c->a[1], SI_USER);
}

/* To a thread. @pid: of its process, 0: any. */
static int64_t send_to_thread(unsigned pid, unsigned tid, uint64_t number)
{
    return number > SIGNALS ? -EINVAL : uthread_signal(pid, tid, (unsigned)number, SI_TKILL);
}

int64_t sys_tkill(struct call *c)
{
    return (int)c->a[0] <= 0 ? -EINVAL : send_to_thread(0, (unsigned)c->a[0], c->a[1]);
}

int64_t sys_tgkill(struct call *c)
{
    return (int)c->a[0] <= 0 || (int)c->a[1] <= 0
               ? -EINVAL
               : send_to_thread((unsigned)c->a[0], (unsigned)c->a[1], c->a[2]);
}

/* ---- waiting ---- */

static int64_t wait_interrupted(const struct uthread *t)
{
    while (!uthread_interrupted(t)) {
        (void)proc_wait_change(t, proc_changes(), NSEC_FOREVER);
    }
    return -CALL_RESTARTS_UNHANDLED;
}

int64_t sys_pause(struct call *c)
{
    return wait_interrupted(c->u);
}

int64_t sys_rt_sigsuspend(struct call *c)
{
    uint64_t mask;

    if (c->a[1] != SET_SIZE) {
        return -EINVAL;
    }
    int rc = copy_from_user(&mask, UADDR(c->a[0]), sizeof(mask));
    if (rc != 0) {
        return rc;
    }
    signal_suspend(&c->u->signals, mask);
    return wait_interrupted(c->u);
}

/*
 * Have one of a set, at the latest by @deadline. Return: its number, -EAGAIN, or it is made again
 * unless a handler runs: another thread may be the one that takes what interrupts.
 */
static int64_t await_signal(struct uthread *t, uint64_t set, nsec_t deadline,
                            struct signal_info *info)
{
    int rc = 0;

    deadline = t->nap_until != 0 ? t->nap_until : deadline;
    t->nap_until = 0;
    for (;;) {
        uint64_t seen = proc_changes();
        unsigned number = signal_take(&t->signals, set, info);

        if (number != 0) {
            return number;
        }
        if (rc != 0) {
            return -EAGAIN;
        }
        if (uthread_interrupted(t)) {
            t->nap_until = deadline;
            return -CALL_RESTARTS_UNHANDLED;
        }
        rc = proc_wait_change(t, seen, deadline);
    }
}

int64_t sys_rt_sigtimedwait(struct call *c)
{
    struct sig_siginfo told;
    struct signal_info info;
    nsec_t deadline = NSEC_FOREVER;
    uint64_t set;

    if (c->a[3] != SET_SIZE) {
        return -EINVAL;
    }
    int rc = copy_from_user(&set, UADDR(c->a[0]), sizeof(set));
    if (rc == 0 && c->a[2] != 0) {
        rc = get_timespec(c->a[2], &deadline);
        deadline += clock_now();
    }
    if (rc != 0) {
        return rc;
    }
    int64_t number = await_signal(c->u, set, deadline, &info);
    if (number > 0 && c->a[1] != 0) {
        siginfo_fill(&told, (unsigned)number, &info);
        rc = copy_to_user(UADDR(c->a[1]), &told, sizeof(told));
    }
    return rc != 0 ? rc : number;
}

/* ---- the timer ---- */

int64_t sys_alarm(struct call *c)
{
    nsec_t left, interval;

    mutex_lock(&c->p->lock);
    itimer_read(c->p, &left, &interval);
    itimer_set(c->p, (uint32_t)c->a[0] * NSEC_PER_SEC, 0);
    mutex_unlock(&c->p->lock);
    return (int64_t)DIV_ROUND_UP(left, NSEC_PER_SEC);
}

static int64_t put_itimer(struct call *c, uint64_t to)
{
    nsec_t left, interval;

    itimer_read(c->p, &left, &interval);
    const struct abi_itimerval value = {.interval = timeval_of(interval),
                                        .value = timeval_of(left)};
    return copy_to_user(UADDR(to), &value, sizeof(value));
}

/* Those of processor time are not offered: nobody counts it by process. */
int64_t sys_getitimer(struct call *c)
{
    return c->a[0] != ITIMER_REAL ? -EINVAL : put_itimer(c, c->a[1]);
}

int64_t sys_setitimer(struct call *c)
{
    struct abi_itimerval value = {.value = {0}};
    nsec_t left, interval;
    int64_t rc = c->a[0] != ITIMER_REAL ? -EINVAL : 0;

    rc = rc == 0 && c->a[1] != 0 ? copy_from_user(&value, UADDR(c->a[1]), sizeof(value)) : rc;
    if (rc == 0 &&
        (!nsec_of_timeval(&value.value, &left) || !nsec_of_timeval(&value.interval, &interval))) {
        rc = -EINVAL;
    }
    rc = rc == 0 && c->a[2] != 0 ? put_itimer(c, c->a[2]) : rc;
    if (rc == 0) {
        mutex_lock(&c->p->lock);
        itimer_set(c->p, left, interval);
        mutex_unlock(&c->p->lock);
    }
    return rc;
}
