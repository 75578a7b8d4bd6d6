/*
 * jobs.c - process groups, sessions, and processes that are stopped: see jobs.h.
 */
#include "proc/jobs.h"

#include "kern/sched.h"
#include "proc/table.h"

/* ---- groups; the table is locked ---- */

static struct proc *job_find(int pid)
{
    for (unsigned i = 0; i < PROC_MAX; i++) {
        if (proc_table[i] != NULL && proc_table[i]->pid == (unsigned)pid) {
            return proc_table[i];
        }
    }
    return NULL;
}

/* Whether somebody outside of the group, but of its session, has a child in it. */
static bool job_is_orphan(unsigned group)
{
    for (unsigned i = 0; i < PROC_MAX; i++) {
        const struct proc *p = proc_table[i];

        if (p != NULL && p->group == group && p->live != 0 && p->parent != NULL &&
            p->parent->group != group && p->parent->session == p->session) {
            return false;
        }
    }
    return true;
}

static bool job_is_stopped(unsigned group)
{
    bool stopped = false;

    for (unsigned i = 0; i < PROC_MAX; i++) {
        const struct proc *p = proc_table[i];

        stopped = stopped || (p != NULL && p->group == group && p->live != 0 &&
                              signals_stopped(&p->signals) != 0);
    }
    return stopped;
}

static void job_post(unsigned group, unsigned number)
{
    const struct signal_info info = {.code = SI_KERNEL};

    for (unsigned i = 0; i < PROC_MAX; i++) {
        struct proc *p = proc_table[i];

        if (p != NULL && p->group == group && !p->ended) {
            proc_post(p, number, &info);
        }
    }
}

static int job_look(unsigned group, unsigned session)
{
    int rc = -ESRCH;

    for (unsigned i = 0; i < PROC_MAX && rc != 0; i++) {
        const struct proc *p = proc_table[i];

        if (p != NULL && p->group == group) {
            rc = p->session == session ? 0 : -EPERM;
        }
    }
    return rc;
}

void job_orphans(const struct proc *p, const struct proc *parent)
{
    if (parent != NULL && parent->group != p->group && parent->session == p->session &&
        job_is_orphan(p->group) && job_is_stopped(p->group)) {
        job_post(p->group, SIGNAL_HANGUP);
        job_post(p->group, SIGNAL_CONTINUE);
    }
}

/* ---- what programs ask for ---- */

static int set_group_locked(struct proc *p, int pid, int group)
{
    struct proc *target = pid == 0 ? p : job_find(pid);

    if (target == NULL || (target != p && target->parent != p)) {
        return -ESRCH;
    }
    if (target != p && target->execed) {
        return -EACCES;
    }
    unsigned to = group != 0 ? (unsigned)group : target->pid;
    if (target->session != p->session || target->session == target->pid ||
        (to != target->pid && job_look(to, p->session) != 0)) {
        return -EPERM;
    }
    target->group = to;
    return 0;
}

int job_set_group(struct proc *p, int pid, int group)
{
    if (group < 0) {
        return -EINVAL;
    }
    mutex_lock(&proc_table_lock);
    int rc = set_group_locked(p, pid, group);
    mutex_unlock(&proc_table_lock);
    return rc;
}

int job_new_session(struct proc *p)
{
    mutex_lock(&proc_table_lock);
    bool may = job_look(p->pid, 0) == -ESRCH;
    if (may) {
        p->session = p->group = p->pid;
    }
    mutex_unlock(&proc_table_lock);
    return may ? (int)p->pid : -EPERM;
}

int job_of(const struct proc *p, int pid, bool session)
{
    mutex_lock(&proc_table_lock);
    const struct proc *found = pid == 0 ? p : job_find(pid);
    int rc = found == NULL ? -ESRCH : (int)(session ? found->session : found->group);
    mutex_unlock(&proc_table_lock);
    return rc;
}

int job_in_session(unsigned group, unsigned session)
{
    mutex_lock(&proc_table_lock);
    int rc = job_look(group, session);
    mutex_unlock(&proc_table_lock);
    return rc;
}

void job_signal(unsigned group, unsigned number)
{
    mutex_lock(&proc_table_lock);
    job_post(group, number);
    mutex_unlock(&proc_table_lock);
}

/* Whoever the kernel began has nobody who would let it go on: it is never stopped. */
static bool may_stop(const struct proc *p)
{
    return p->pid != p->origin;
}

int job_background(const struct uthread *t, unsigned number)
{
    int rc = -EIO;

    if (signal_refused(&t->signals, number)) {
        return number == SIGNAL_TTY_OUT ? 0 : rc;
    }
    mutex_lock(&proc_table_lock);
    if (may_stop(t->proc) && !job_is_orphan(t->proc->group)) {
        job_post(t->proc->group, number);
        rc = -CALL_RESTARTS;
    }
    mutex_unlock(&proc_table_lock);
    return rc;
}

/* ---- stopping ---- */

void job_stop(struct proc *p, unsigned number)
{
    mutex_lock(&proc_table_lock);
    bool stops = may_stop(p) && (number == SIGNAL_STOP || !job_is_orphan(p->group));
    mutex_unlock(&proc_table_lock);
    if (stops) {
        signals_stop(&p->signals, number);
        proc_rouse(p);
    }
}

void job_settle(struct proc *p)
{
    unsigned number = signals_stopped(&p->signals);

    if (number != 0 && p->parked == p->live && p->live != 0 && p->stop_told != p->signals.stops) {
        p->stop_told = p->signals.stops;
        p->news = (int)(number << 8 | 0x7f);
        tell_parent(p, p->news);
        proc_wake();
    }
}

/* The first thread that goes on tells so, if the parent knows that they were stopped. */
static void job_goes_on(struct proc *p, unsigned which)
{
    if (p->stop_told == which && !proc_killed(p)) {
        p->stop_told = 0;
        p->news = STATUS_GOES_ON;
        tell_parent(p, p->news);
        proc_wake();
    }
}

void job_sleep(struct uthread *t)
{
    struct proc *p = t->proc;

    if (signals_stopped(&p->signals) == 0 || uthread_must_end(t)) {
        return;
    }
    unsigned which = READ_ONCE(p->signals.stops);
    mutex_lock(&proc_table_lock);
    p->parked++;
    job_settle(p);
    mutex_unlock(&proc_table_lock);
    wait_event(&t->wait, signals_stopped(&p->signals) == 0 ||
                             READ_ONCE(p->signals.stops) != which || uthread_must_end(t));
    mutex_lock(&proc_table_lock);
    p->parked--;
    job_goes_on(p, which);
    mutex_unlock(&proc_table_lock);
}
