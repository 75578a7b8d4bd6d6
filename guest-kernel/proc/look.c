/*
 * look.c - what others may see of a process: for /proc.
 *
 * Locks: "processes" throughout, so that no process goes away while it is looked at.
 */
#include "proc/proc.h"
#include "proc/table.h"

#include "kern/thread.h"

/* The lock is held. */
static struct proc *pid_lookup(unsigned pid)
{
    for (unsigned i = 0; i < PROC_MAX; i++) {
        if (proc_table[i] != NULL && proc_table[i]->pid == pid) {
            return proc_table[i];
        }
    }
    return NULL;
}

bool proc_visit(unsigned pid, void (*fn)(const struct proc *p, void *arg), void *arg)
{
    mutex_lock(&proc_table_lock);
    const struct proc *p = pid_lookup(pid);
    if (p != NULL && fn != NULL) {
        fn(p, arg);
    }
    mutex_unlock(&proc_table_lock);
    return p != NULL;
}

unsigned proc_next(unsigned pid)
{
    unsigned found = 0;

    mutex_lock(&proc_table_lock);
    for (unsigned i = 0; i < PROC_MAX; i++) {
        const struct proc *p = proc_table[i];

        if (p != NULL && p->pid >= pid && (found == 0 || p->pid < found)) {
            found = p->pid;
        }
    }
    mutex_unlock(&proc_table_lock);
    return found;
}

unsigned proc_count(void)
{
    unsigned count = 0;

    mutex_lock(&proc_table_lock);
    for (unsigned i = 0; i < PROC_MAX; i++) {
        count += proc_table[i] != NULL;
    }
    mutex_unlock(&proc_table_lock);
    return count;
}

nsec_t proc_usage(const struct proc *p, bool *runs)
{
    nsec_t used = p->cpu_time;
    const struct thread_signals *s;

    *runs = false;
    XEN_TAILQ_FOREACH (s, &p->signals.threads, link) {
        const struct thread *t = READ_ONCE(CONTAINER_OF(s, struct uthread, signals)->thread);

        if (t != NULL) {
            used += thread_cpu_time(t);
            *runs = *runs || thread_runs(t);
        }
    }
    return used;
}

struct vm_space *proc_set_space(struct proc *p, struct vm_space *space)
{
    mutex_lock(&proc_table_lock);
    struct vm_space *old = p->space;
    p->space = space;
    mutex_unlock(&proc_table_lock);
    return old;
}
