/*
 * cmd_thread.c - threads, locks, timers: who waits for what.
 *
 * No state; lists are walked under their locks, which a session bypasses.
 */
#include "kdi/kdi_impl.h"

#include "kern/lockorder.h"
#include "kern/sched.h"
#include "kern/string.h"
#include "os/ksyms.h"
#include "psm/clock.h"

/* What a sleeper's stack begins with, of no interest to who asks where it sleeps. */
static const char *const sleep_functions[] = {"schedule",    "sched_block",  "sleep_until",
                                              "waitq_sleep", "thread_yield", "mutex_lock"};

struct sleeper {
    uint64_t address; /* the first that is none of those */
    bool found;
};

static void note_caller(uint64_t address, void *arg)
{
    struct sleeper *s = arg;
    uint64_t offset;
    const char *name = ksym_find(address, &offset);

    for (size_t i = 0; name != NULL && i < ARRAY_SIZE(sleep_functions); i++) {
        size_t len = strlen(sleep_functions[i]);

        /* The compiler's variants of a function have names like schedule.part.0. */
        if (strncmp(name, sleep_functions[i], len) == 0 &&
            (name[len] == '\0' || name[len] == '.')) {
            return;
        }
    }
    if (!s->found) {
        *s = (struct sleeper){.address = address, .found = true};
    }
}

static void kdi_say_where(const struct thread *t)
{
    struct sleeper s = {0};
    struct kdi_place place;
    char text[KDI_SYMBOL_MAX];

    if (!kdi_place_of(t, &place)) {
        kdi_printf("running");
        return;
    }
    kdi_backtrace(&place, note_caller, &s);
    kdi_printf("%s", kdi_symbol(s.address, text));
}

static void thread_line(const struct thread *t, void *arg __unused)
{
    static const char *const states[] = {"ready", "running", "blocked", "dead"};
    static const char *const prios[PRIO_COUNT] = {"idle", "low", "normal", "high"};
    const struct mutex *m = t->wants;
    unsigned state = t->state;

    if (state == THREAD_RUNNING && !kdi_runs(t)) {
        state = THREAD_READY; /* an idle thread that gave way */
    }
    kdi_printf("%4u  %3u  %-7s  %-6s  %-23s ", t->id, t->cpu, state < 4 ? states[state] : "?",
               t->prio < PRIO_COUNT ? prios[t->prio] : "?", t->name);
    kdi_say_where(t);
    if (m != NULL) {
        kdi_printf(", for mutex \"%s\" of \"%s\"", m->waiters.lock.name,
                   m->owner != NULL ? m->owner->name : "(nobody)");
    } else if (t->waits_for != NULL) {
        kdi_printf(", for \"%s\"", t->waits_for->lock.name);
    }
    kdi_printf("\n");
}

static int cmd_threads(int argc, char **argv __unused)
{
    if (argc != 1) {
        return -EINVAL;
    }
    kdi_printf("  id  cpu  state    prio    name                    where\n");
    sched_foreach(thread_line, NULL);
    return 0;
}

/* A lock's rank in lockorder.def: those with higher ones may be taken while it is held. */
static unsigned rank_of(enum lock_kind kind, const spinlock_t *lock)
{
    return lock->class != LOCK_UNKNOWN && kind == LOCK_KIND_SPIN ? lock->class
                                                                 : lock_class_of(kind, lock->name);
}

static void lock_line(const struct thread *t, void *arg)
{
    unsigned *count = arg;
    const struct mutex *m = t->wants;

    if (m != NULL) {
        ++*count;
        kdi_printf("mutex \"%s\" held by \"%s\", wanted by \"%s\", rank %u\n", m->waiters.lock.name,
                   m->owner != NULL ? m->owner->name : "(nobody)", t->name,
                   rank_of(LOCK_KIND_MUTEX, &m->waiters.lock));
    }
}

/* All classes of locks in their order. */
static void list_classes(void)
{
    static const char *const kinds[] = {"mutex", "callback", "spinlock"};

    kdi_printf("rank  kind      name              where\n");
    for (enum lock_class c = LOCK_UNKNOWN + 1; c < LOCK_CLASSES; c++) {
        const struct lock_class_info *info = lock_class_info(c);

        kdi_printf("%4u  %-8s  %-16s  %s: %s\n", c, kinds[info->kind], info->name, info->where,
                   info->covers);
    }
}

static int cmd_locks(int argc, char **argv)
{
    unsigned count = 0;

    if (argc == 2 && strcmp(argv[1], "all") == 0) {
        list_classes();
        return 0;
    }
    if (argc != 1) {
        return -EINVAL;
    }
    sched_foreach(lock_line, &count);
    for (unsigned id = 0; id < CPU_MAX; id++) {
        const struct cpu *cpu = cpu_by_id(id);
        const spinlock_t *lock = cpu != NULL ? READ_ONCE(cpu->wants_lock) : NULL;

        if (lock != NULL) {
            count++;
            kdi_printf("spinlock \"%s\" held by vCPU %d, wanted by vCPU %u, rank %u\n", lock->name,
                       lock->owner, id, rank_of(LOCK_KIND_SPIN, lock));
        }
    }
    if (count == 0) {
        kdi_printf("nobody waits for a lock\n");
    }
    if (kdi_deadlocks() == 0) {
        kdi_printf("no deadlock\n");
    }
    return 0;
}

/* ---- timers ---- */

#define PENDING_MAX 64

/* Timers of a heap that are still to be visited. */
struct timer_walk {
    const struct timer *pending[PENDING_MAX];
    unsigned n;
    bool cut;
};

static void walk_later(struct timer_walk *w, const struct timer *t)
{
    if (t == NULL) {
        return;
    }
    if (w->n < PENDING_MAX) {
        w->pending[w->n++] = t;
    } else {
        w->cut = true;
    }
}

static void cpu_timers(const struct cpu *cpu)
{
    struct timer_walk walk = {0};
    nsec_t now = clock_now();
    char text[KDI_SYMBOL_MAX];

    kdi_printf("vCPU %u: Xen's timer %s\n", cpu->id,
               cpu->timers->programmed == NSEC_FOREVER ? "is off" : "is set");
    walk_later(&walk, cpu->timers->root);
    while (walk.n > 0) {
        const struct timer *t = walk.pending[--walk.n];
        int64_t left = (int64_t)(t->deadline - now);

        kdi_printf("  %p  in %lld.%06lld s  %s\n", (const void *)t, (long long)(left / 1000000000),
                   (long long)((left < 0 ? -left : left) / 1000 % 1000000),
                   kdi_symbol((uint64_t)t->fn, text));
        walk_later(&walk, t->sibling);
        walk_later(&walk, t->child);
    }
    if (walk.cut) {
        kdi_printf("  ... and more\n");
    }
}

static int cmd_timers(int argc, char **argv __unused)
{
    if (argc != 1) {
        return -EINVAL;
    }
    for (unsigned id = 0; id < CPU_MAX; id++) {
        const struct cpu *cpu = cpu_by_id(id);

        if (cpu != NULL) {
            cpu_timers(cpu);
        }
    }
    return 0;
}

const struct kdi_command kdi_thread_commands[] = {
    {"threads", "threads", "all threads and where they sleep", cmd_threads, false},
    {"locks", "locks [all]", "who waits for which lock, and circles of waiters; or their order",
     cmd_locks, false},
    {"timers", "timers", "the armed timers of each vCPU", cmd_timers, true},
    {0},
};
