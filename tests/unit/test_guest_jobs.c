/*
 * Process groups, sessions and who is stopped (proc/jobs.c), over a table of processes that this
 * test fills: who may change whose group, who is an orphan, when a parent is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "kern/lock.h"
#include "proc/jobs.h"
#include "proc/table.h"

/* ---- what is played ---- */

struct mutex proc_table_lock;
struct proc *proc_table[PROC_MAX];
static bool locked;

void spin_init(spinlock_t *lock, const char *name)
{
    *lock = (spinlock_t){.owner = -1, .name = name};
}

void mutex_lock(struct mutex *m)
{
    assert_ptr_equal(m, &proc_table_lock);
    assert_false(locked);
    locked = true;
}

void mutex_unlock(struct mutex *m)
{
    assert_ptr_equal(m, &proc_table_lock);
    assert_true(locked);
    locked = false;
}

static unsigned posted[16][SIGNALS + 1]; /* to whom, what, how often */

void proc_post(struct proc *p, unsigned number, const struct signal_info *info)
{
    posted[p->pid][number]++;
    (void)signal_post(&p->signals, number, info);
}

static unsigned told;
static int told_status;

void tell_parent(const struct proc *p, int status)
{
    assert_true(locked);
    assert_non_null(p);
    told++;
    told_status = status;
}

void proc_wake(void)
{
}

static unsigned roused;

void proc_rouse(struct proc *p)
{
    (void)p;
    roused++;
}

bool proc_killed(const struct proc *p)
{
    return p->ending;
}

bool uthread_must_end(const struct uthread *t)
{
    return t->proc->ending;
}

/* A thread that sleeps: something happens, and it looks again. */
static void (*while_asleep)(void);

void waitq_prepare(struct waitq *wq, struct waiter *w)
{
    (void)wq;
    (void)w;
}

int waitq_sleep(struct waitq *wq, struct waiter *w, nsec_t deadline)
{
    (void)wq;
    (void)w;
    (void)deadline;
    assert_false(locked);
    assert_non_null(while_asleep);
    while_asleep();
    return 0;
}

void waitq_finish(struct waitq *wq, struct waiter *w)
{
    (void)wq;
    (void)w;
}

/* ---- a shell (1) of the kernel's, its job (2) with a child (3), and another process (4) ---- */

static struct proc procs[8];
static struct uthread threads[8][2];

static struct proc *begins(unsigned pid, struct proc *parent, unsigned n)
{
    struct proc *p = &procs[pid];

    *p = (struct proc){.pid = pid,
                       .parent = parent,
                       .group = parent != NULL ? parent->group : pid,
                       .session = parent != NULL ? parent->session : SESSION_OF_SHELL,
                       .origin = parent != NULL ? parent->origin : pid,
                       .live = n};
    signals_init(&p->signals);
    for (unsigned i = 0; i < n; i++) {
        threads[pid][i] = (struct uthread){.proc = p};
        signals_join(&p->signals, &threads[pid][i].signals);
    }
    proc_table[pid] = p;
    return p;
}

static struct proc *sh, *job, *child, *other;

static int begin(void **state)
{
    (void)state;
    memset(proc_table, 0, sizeof(proc_table));
    memset(posted, 0, sizeof(posted));
    sh = begins(1, NULL, 1);
    job = begins(2, sh, 2);
    child = begins(3, job, 1);
    other = begins(4, sh, 1);
    told = roused = 0;
    locked = false;
    while_asleep = NULL;
    return 0;
}

/* A thread of a process takes a signal that stops it. */
static void takes(struct proc *p, unsigned number)
{
    const struct signal_info info = {.code = SI_USER};
    struct signal_due due;

    (void)signal_post(&p->signals, number, &info);
    assert_true(signal_next(&threads[p->pid][0].signals, &due));
    assert_true(due.stops);
    job_stop(p, number);
}

/* ---- groups ---- */

static void groups_are_of_children_and_of_one_session(void **state)
{
    (void)state;
    assert_int_equal(job_of(job, 0, false), 1);
    assert_int_equal(job_set_group(job, 0, 0), 0);
    assert_int_equal(job_of(sh, 2, false), 2);
    assert_int_equal(job_set_group(job, 3, 2), 0);
    assert_int_equal(job_of(sh, 3, false), 2);
    assert_int_equal(job_set_group(sh, 3, 0), -ESRCH); /* no child of its */
    assert_int_equal(job_set_group(sh, 7, 0), -ESRCH);
    assert_int_equal(job_set_group(sh, 4, 7), -EPERM); /* no such group */
    assert_int_equal(job_set_group(sh, 4, -1), -EINVAL);
    other->execed = true;
    assert_int_equal(job_set_group(sh, 4, 0), -EACCES);
    assert_int_equal(job_of(sh, 7, true), -ESRCH);
    assert_int_equal(job_in_session(2, SESSION_OF_SHELL), 0);
    assert_int_equal(job_in_session(7, SESSION_OF_SHELL), -ESRCH);
}

static void a_session_is_left_for_good(void **state)
{
    (void)state;
    assert_int_equal(job_new_session(sh), -EPERM); /* it leads its group */
    assert_int_equal(job_new_session(other), 4);
    assert_int_equal(job_of(other, 0, true), 4);
    assert_int_equal(job_of(other, 0, false), 4);
    assert_int_equal(job_set_group(other, 0, 0), -EPERM);
    assert_int_equal(job_set_group(sh, 4, 1), -EPERM);
    assert_int_equal(job_set_group(job, 0, 4), -EPERM);
    assert_int_equal(job_in_session(4, SESSION_OF_SHELL), -EPERM);
    job_signal(1, SIGNAL_INTERRUPT);
    assert_int_equal(posted[1][SIGNAL_INTERRUPT] + posted[3][SIGNAL_INTERRUPT], 2);
    assert_int_equal(posted[4][SIGNAL_INTERRUPT], 0);
}

/* ---- the background ---- */

static void the_background_is_told_or_refused(void **state)
{
    const struct uthread *t = &threads[2][0];

    (void)state;
    assert_int_equal(job_background(t, SIGNAL_TTY_IN), -EIO); /* its group is an orphan */
    assert_int_equal(job_set_group(job, 0, 0), 0);
    assert_int_equal(job_background(t, SIGNAL_TTY_IN), -CALL_RESTARTS);
    assert_int_equal(posted[2][SIGNAL_TTY_IN], 1);
    signal_set_blocked(&threads[2][0].signals,
                       SIGNAL_BIT(SIGNAL_TTY_IN) | SIGNAL_BIT(SIGNAL_TTY_OUT));
    assert_int_equal(job_background(t, SIGNAL_TTY_IN), -EIO);
    assert_int_equal(job_background(t, SIGNAL_TTY_OUT), 0);
    assert_int_equal(posted[2][SIGNAL_TTY_OUT], 0);
}

/* Who is never stopped would ask again for ever. */
static void who_is_never_stopped_is_refused(void **state)
{
    (void)state;
    assert_int_equal(job_set_group(job, 0, 0), 0);
    assert_int_equal(job_set_group(job, 3, 3), 0);
    sh->group = child->group; /* no orphan: the job is its child's parent */
    assert_int_equal(job_background(&threads[1][0], SIGNAL_TTY_IN), -EIO);
    assert_int_equal(job_background(&threads[1][0], SIGNAL_TTY_OUT), -EIO);
    assert_int_equal(posted[3][SIGNAL_TTY_IN] + posted[1][SIGNAL_TTY_IN], 0);
    assert_int_equal(job_background(&threads[3][0], SIGNAL_TTY_IN), -CALL_RESTARTS);
}

/* ---- stops ---- */

static void an_orphan_is_stopped_by_sigstop_alone(void **state)
{
    (void)state;
    takes(job, SIGNAL_TTY_STOP);
    assert_int_equal(signals_stopped(&job->signals), 0);
    takes(job, SIGNAL_STOP);
    assert_int_equal(signals_stopped(&job->signals), SIGNAL_STOP);
    assert_int_equal(roused, 1);
    takes(sh, SIGNAL_STOP); /* nobody would let it go on */
    assert_int_equal(signals_stopped(&sh->signals), 0);
    assert_int_equal(job_set_group(sh, 4, 4), 0);
    takes(other, SIGNAL_TTY_STOP);
    assert_int_equal(signals_stopped(&other->signals), SIGNAL_TTY_STOP);
}

static void goes_on(void)
{
    const struct signal_info info = {.code = SI_USER};

    assert_int_equal(told, 1);
    assert_int_equal(told_status, SIGNAL_STOP << 8 | 0x7f);
    assert_int_equal(job->news, told_status);
    assert_true(signal_post(&job->signals, SIGNAL_CONTINUE, &info));
}

static void the_other_sleeps(void)
{
    assert_int_equal(told, 0); /* not all of them sleep yet */
    while_asleep = goes_on;
    job_sleep(&threads[2][1]);
}

static void a_parent_is_told_when_all_threads_sleep(void **state)
{
    (void)state;
    job_sleep(&threads[2][0]); /* it is not stopped */
    takes(job, SIGNAL_STOP);
    while_asleep = the_other_sleeps;
    job_sleep(&threads[2][0]);
    assert_int_equal(told, 2); /* once of each */
    assert_int_equal(told_status, STATUS_GOES_ON);
    assert_int_equal(job->parked, 0);
}

/* The last thread that ran ends: then all that are left sleep. */
static void one_ends(void)
{
    assert_int_equal(told, 0);
    mutex_lock(&proc_table_lock);
    job->live--;
    job_settle(job);
    job_settle(job);
    mutex_unlock(&proc_table_lock);
    assert_int_equal(told, 1);
    job->ending = true;
}

static void who_is_stopped_can_be_killed(void **state)
{
    (void)state;
    takes(job, SIGNAL_STOP);
    while_asleep = one_ends;
    job_sleep(&threads[2][0]);
    assert_int_equal(told, 1); /* it does not go on */
    job_sleep(&threads[2][0]);
    assert_int_equal(told, 1);
}

/* Who was stopped in a group that becomes an orphan is hung up, and goes on. */
static void the_last_who_could_let_it_go_on_leaves(void **state)
{
    (void)state;
    assert_int_equal(job_set_group(sh, 2, 2), 0);
    assert_int_equal(job_set_group(job, 3, 3), 0);
    takes(child, SIGNAL_TTY_STOP);
    job_orphans(job, sh); /* not stopped itself */
    assert_int_equal(posted[2][SIGNAL_HANGUP], 0);
    child->parent = NULL;
    job_orphans(child, job);
    assert_int_equal(posted[3][SIGNAL_HANGUP], 1);
    assert_int_equal(posted[3][SIGNAL_CONTINUE], 1);
    assert_int_equal(signals_stopped(&child->signals), 0);
    /* One that was an orphan before is left alone. */
    child->group = job->group;
    child->signals.pending.set = 0;
    takes(child, SIGNAL_STOP);
    job_orphans(child, job);
    assert_int_equal(posted[3][SIGNAL_HANGUP], 1);
}

#define TEST(fn) cmocka_unit_test_setup(fn, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(groups_are_of_children_and_of_one_session),
        TEST(a_session_is_left_for_good),
        TEST(the_background_is_told_or_refused),
        TEST(who_is_never_stopped_is_refused),
        TEST(an_orphan_is_stopped_by_sigstop_alone),
        TEST(a_parent_is_told_when_all_threads_sleep),
        TEST(who_is_stopped_can_be_killed),
        TEST(the_last_who_could_let_it_go_on_leaves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
