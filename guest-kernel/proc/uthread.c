/*
 * uthread.c - threads of programs: see uthread.h.
 *
 * Such a thread is an ordinary thread whose function goes to ring 3 and does not come back. Every
 * later entry begins at the top of its stack. It ends where it is in the kernel: in a system call,
 * in a fault, or when it is about to leave the kernel and finds that it shall end.
 */
#include "proc/uthread.h"

#include "kern/mem.h"
#include "kern/page.h"
#include "kern/sched.h"
#include "proc/deliver.h"
#include "proc/futex.h"
#include "proc/table.h"
#include "psm/trap.h"

static unsigned count; /* of all; under the table's lock */

/* What a new thread begins with. */
struct uthread_start {
    struct uthread *t;
    struct trap_frame frame;
    void *fpu;
};

struct uthread *uthread_self(void)
{
    return thread_self()->uthread;
}

bool uthread_must_end(const struct uthread *t)
{
    const struct uthread *alone = READ_ONCE(t->proc->alone);

    return proc_killed(t->proc) || (alone != NULL && alone != t);
}

bool uthread_interrupted(const struct uthread *t)
{
    return uthread_must_end(t) || signal_ready(&t->signals) != 0 ||
           signals_stopped(&t->proc->signals) != 0;
}

/* ---- the beginning ---- */

static void uthread_free(struct uthread *t)
{
    if (t->page != NULL) {
        page_free(t->page, 0);
    }
    kfree(t);
}

static bool uthread_add(struct uthread *t, unsigned tid)
{
    mutex_lock(&proc_table_lock);
    bool room = count < UTHREADS_MAX - (t->proc->parent != NULL ? UTHREADS_RESERVED : 0) &&
                t->proc->live < UTHREADS_OF_ONE;
    if (room) {
        count++;
        t->tid = tid != 0 ? tid : proc_new_id();
        t->proc->live++;
        signals_join(&t->proc->signals, &t->signals);
    }
    mutex_unlock(&proc_table_lock);
    return room;
}

struct uthread *uthread_create(struct proc *p, unsigned tid)
{
    struct uthread *t = page_users_may_take() ? kzalloc(sizeof(*t)) : NULL;

    if (t == NULL) {
        return NULL;
    }
    t->proc = p;
    waitq_init(&t->wait, "futex");
    t->page = page_alloc(0);
    if (t->page == NULL || !uthread_add(t, tid)) {
        uthread_free(t);
        return NULL;
    }
    return t;
}

/*
 * Take one out of its process, which nobody may touch then but the last.
 * @before: is set to the one that ended before, if the caller is the one that ends; else NULL
 * Return: it is the last.
 */
static bool uthread_remove(struct uthread *t, int status, struct thread **before)
{
    struct proc *p = t->proc;

    mutex_lock(&proc_table_lock);
    signals_leave(&t->signals);
    p->cpu_time += t->thread != NULL ? thread_cpu_time(t->thread) : 0;
    if (t->tid == p->pid) {
        proc_set_status(p, status);
    }
    if (before != NULL) {
        *before = p->thread;
        p->thread = thread_self();
    }
    count--;
    bool last = --p->live == 0;
    job_settle(p); /* all the others may be stopped */
    mutex_unlock(&proc_table_lock);
    uthread_free(t);
    return last;
}

void uthread_discard(struct uthread *t)
{
    (void)uthread_remove(t, 0, NULL);
    proc_wake(); /* somebody may wait to be alone */
}

/* The end of an entry from ring 3, or of a thread's beginning. Upcalls are masked. */
void uthread_leaves(struct trap_frame *frame)
{
    struct uthread *t = this_cpu()->current->uthread;

    while (deliver_due(t, frame)) {
        upcalls_restore(false);
        if (uthread_must_end(t)) {
            uthread_exit(0);
        }
        deliver_signals(t, frame);
        (void)upcalls_save();
    }
}

static void uthread_main(void *arg)
{
    struct uthread_start *start = arg;
    struct uthread *t = start->t;
    struct trap_frame frame = start->frame;

    thread_fpu_load(start->fpu);
    kfree(start);
    thread_self()->uthread = t;
    WRITE_ONCE(t->thread, thread_self());
    vm_enter(t->proc->space);
    user_begin(&t->user);
    (void)upcalls_save();
    uthread_leaves(&frame); /* who sent a signal so far has kicked nobody */
    user_enter(&frame);
}

int uthread_start(struct uthread *t, const struct trap_frame *frame, void *fpu)
{
    struct uthread_start *start = kmalloc(sizeof(*start));
    void *registers = fpu != NULL ? fpu : thread_fpu_fresh();
    struct thread *thread = NULL;

    if (start != NULL && registers != NULL) {
        *start = (struct uthread_start){.t = t, .frame = *frame, .fpu = registers};
        thread = thread_create(t->proc->name, uthread_main, start, PRIO_NORMAL);
    }
    if (thread == NULL) {
        kfree(registers != fpu ? registers : NULL);
        kfree(start);
        return -ENOMEM;
    }
    return 0; /* and by now it may have ended, and freed itself */
}

/* ---- the end ---- */

void uthread_exit(int status)
{
    struct uthread *t = uthread_self();
    struct proc *p = t->proc;
    struct thread *before;

    if (!proc_killed(p)) { /* else nobody is left to be told */
        futex_thread_ends(t);
    }
    user_begin(NULL);
    vm_enter(NULL);
    thread_self()->uthread = NULL;
    bool last = uthread_remove(t, status, &before);
    proc_wake();
    if (before != NULL) {
        thread_join(before); /* each frees the one before, and who reaps the process the last */
    }
    if (last) {
        proc_end(p);
    }
    thread_exit();
}

int uthread_alone(struct uthread *t)
{
    struct proc *p = t->proc;

    mutex_lock(&proc_table_lock);
    bool first = p->alone == NULL, others = p->live > 1;
    if (first) {
        WRITE_ONCE(p->alone, t);
    }
    mutex_unlock(&proc_table_lock);
    if (!first) {
        return -LINUX_EINTR;
    }
    if (others) {
        proc_rouse(p);
        if (!proc_wait_alone(p)) {
            return -LINUX_EINTR;
        }
    }
    mutex_lock(&proc_table_lock);
    t->tid = p->pid;
    WRITE_ONCE(p->alone, NULL);
    mutex_unlock(&proc_table_lock);
    return 0;
}

/* ---- signals ---- */

struct uthread *uthread_find(const struct proc *p, unsigned tid)
{
    struct thread_signals *s;

    XEN_TAILQ_FOREACH (s, &p->signals.threads, link) {
        struct uthread *t = CONTAINER_OF(s, struct uthread, signals);

        if (t->tid == tid) {
            return t;
        }
    }
    return NULL;
}

/* Nobody is stopped or killed alone: what ends or stops a thread does so to the process. */
static void uthread_post(struct uthread *t, unsigned number, const struct signal_info *info)
{
    if (number == SIGNAL_KILL) {
        proc_post(t->proc, number, info);
    } else if (signal_post_thread(&t->signals, number, info)) {
        proc_rouse(t->proc);
    }
}

int uthread_signal(unsigned pid, unsigned tid, unsigned number, int32_t code)
{
    const struct signal_info info = {.code = code, .pid = proc_self()->pid};
    struct uthread *t = NULL;

    mutex_lock(&proc_table_lock);
    for (unsigned i = 0; i < PROC_MAX && t == NULL; i++) {
        const struct proc *p = proc_table[i];

        t = p == NULL || (pid != 0 && p->pid != pid) ? NULL : uthread_find(p, tid);
    }
    if (t != NULL && number != 0) {
        uthread_post(t, number, &info);
    }
    mutex_unlock(&proc_table_lock);
    return t == NULL ? -ESRCH : 0;
}
