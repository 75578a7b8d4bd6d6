/*
 * deadlock.c - circles: a thread waits for a mutex whose owner waits for a mutex whose owner ...
 *
 * Follows struct thread's `wants` and struct mutex's `owner`, and for spinlocks struct cpu's
 * `wants_lock` and the lock's owner, which is a CPU. Each circle is reported once, from its member
 * with the lowest number. On a running machine (kdi_report) what is read may change meanwhile; only
 * what is read twice the same is reported. Locks: thread_list_lock by sched_foreach().
 */
#include "kdi/kdi_impl.h"

#include "kern/sched.h"

#define CIRCLE_MAX 64

/* Whether @first is in a circle and has the lowest id of it. */
static bool thread_closes(const struct thread *first)
{
    const struct thread *t = first;

    for (unsigned i = 0; i < CIRCLE_MAX; i++) {
        const struct mutex *m = READ_ONCE(t->wants);

        t = m != NULL ? READ_ONCE(m->owner) : NULL;
        if (t == NULL || t->id < first->id) {
            return false;
        }
        if (t == first) {
            return true;
        }
    }
    return false;
}

static void check_thread(const struct thread *first, void *arg)
{
    unsigned *found = arg;
    const struct thread *t = first;

    bool closed = thread_closes(first);
    barrier();
    if (!closed || !thread_closes(first)) {
        return;
    }
    ++*found;
    kdi_printf("deadlock:\n");
    for (unsigned i = 0; i < CIRCLE_MAX && t->wants != NULL && t->wants->owner != NULL; i++) {
        const struct thread *owner = t->wants->owner;

        kdi_printf("  thread \"%s\" waits for mutex \"%s\", held by thread \"%s\"\n", t->name,
                   t->wants->waiters.lock.name, owner->name);
        t = owner;
        if (t == first) {
            break;
        }
    }
}

/* The CPU that holds the lock which @cpu spins for, or NULL; one that just got it spins no more. */
static const struct cpu *blocker_of(const struct cpu *cpu, const char **name)
{
    const spinlock_t *lock = READ_ONCE(cpu->wants_lock);
    int owner = lock != NULL ? READ_ONCE(lock->owner) : -1;

    if (owner < 0 || owner == (int)cpu->id) {
        return NULL;
    }
    *name = lock->name;
    return cpu_by_id((unsigned)owner);
}

static bool cpu_closes(const struct cpu *first)
{
    const struct cpu *cpu = first;
    const char *name;

    for (unsigned i = 0; i < CPU_MAX; i++) {
        cpu = blocker_of(cpu, &name);
        if (cpu == NULL || cpu->id < first->id) {
            return false;
        }
        if (cpu == first) {
            return true;
        }
    }
    return false;
}

static unsigned check_cpus(void)
{
    unsigned found = 0;

    for (unsigned id = 0; id < CPU_MAX; id++) {
        const struct cpu *first = cpu_by_id(id);
        const struct cpu *cpu = first;

        bool closed = first != NULL && cpu_closes(first);
        barrier();
        if (!closed || !cpu_closes(first)) {
            continue;
        }
        found++;
        kdi_printf("deadlock:\n");
        do {
            const char *name;
            const struct cpu *owner = blocker_of(cpu, &name);

            if (owner == NULL) {
                break;
            }
            kdi_printf("  vCPU %u waits for spinlock \"%s\", held by vCPU %u\n", cpu->id, name,
                       owner->id);
            cpu = owner;
        } while (cpu != first);
    }
    return found;
}

unsigned kdi_deadlocks(void)
{
    unsigned found = 0;

    sched_foreach(check_thread, &found);
    return found + check_cpus();
}
