/*
 * proc.c - the life of processes: see proc.h.
 *
 * A process's thread is an ordinary thread whose function goes to ring 3 and does not come back.
 * Every later entry begins at the top of its stack. It ends where it is in the kernel: in a system
 * call, in a fault, or when it is about to leave the kernel and finds that it was killed.
 */
#include "proc/proc.h"

#include "kern/log.h"
#include "kern/mem.h"
#include "kern/sched.h"
#include "kern/string.h"
#include "os/panic.h"
#include "proc/deliver.h"
#include "psm/trap.h"

#define SIGNAL_STATUS(signal) ((int)(signal)) /* of one that a signal ended */

static struct mutex table_lock;
static struct proc *table[PROC_MAX];
static unsigned last_pid;

static struct waitq events = WAITQ(events, "process");
static uint64_t changes;

/* What a new thread of a process begins with. */
struct proc_start {
    struct proc *proc;
    struct trap_frame frame;
    void *fpu;
};

uint64_t proc_changes(void)
{
    return __atomic_load_n(&changes, __ATOMIC_ACQUIRE);
}

void proc_wake(void)
{
    __atomic_add_fetch(&changes, 1, __ATOMIC_ACQ_REL);
    waitq_wake_all(&events);
}

int proc_wait_change(const struct proc *p, uint64_t seen, nsec_t deadline)
{
    return wait_event_until(&events, proc_changes() != seen || proc_interrupted(p), deadline);
}

struct proc *proc_self(void)
{
    return thread_self()->proc;
}

bool proc_killed(const struct proc *p)
{
    return READ_ONCE(p->killed) != 0;
}

bool proc_interrupted(const struct proc *p)
{
    return proc_killed(p) || signal_ready(&p->signals) != 0;
}

bool proc_has_ended(const struct proc *p)
{
    return __atomic_load_n(&p->ended, __ATOMIC_ACQUIRE);
}

unsigned proc_parent_pid(const struct proc *p)
{
    mutex_lock(&table_lock);
    unsigned pid = p->parent != NULL ? p->parent->pid : 0;
    mutex_unlock(&table_lock);
    return pid;
}

/* ---- the table ---- */

static bool table_add(struct proc *p)
{
    bool found = false;

    mutex_lock(&table_lock);
    for (unsigned i = 0; i < PROC_MAX && !found; i++) {
        if (table[i] == NULL) {
            table[i] = p;
            p->pid = ++last_pid;
            found = true;
        }
    }
    p->group = p->parent != NULL ? p->parent->group : p->pid;
    mutex_unlock(&table_lock);
    return found;
}

/* The lock is held. */
static void table_remove(const struct proc *p)
{
    for (unsigned i = 0; i < PROC_MAX; i++) {
        if (table[i] == p) {
            table[i] = NULL;
        }
    }
}

struct proc *proc_create(const char *name, const struct personality *personality,
                         struct proc *parent)
{
    struct proc *p = kzalloc(sizeof(*p));

    if (p == NULL) {
        return NULL;
    }
    strlcpy(p->name, name, sizeof(p->name));
    p->personality = personality;
    p->parent = parent;
    signals_init(&p->signals);
    itimer_init(p);
    if (!table_add(p)) {
        kfree(p);
        return NULL;
    }
    return p;
}

void proc_discard(struct proc *p)
{
    mutex_lock(&table_lock);
    table_remove(p);
    mutex_unlock(&table_lock);
    if (p->space != NULL) {
        vm_destroy(p->space);
    }
    kfree(p);
}

/* ---- the beginning ---- */

/* The end of an entry from ring 3, or of a thread's beginning. Upcalls are masked. */
static void user_leaves(struct trap_frame *frame)
{
    struct proc *p = this_cpu()->current->proc;

    while (deliver_due(p, frame)) {
        upcalls_restore(false);
        if (proc_killed(p)) {
            proc_exit(SIGNAL_STATUS(p->killed));
        }
        deliver_signals(p, frame);
        (void)upcalls_save();
    }
}

static void proc_main(void *arg)
{
    struct proc_start *start = arg;
    struct proc *p = start->proc;
    struct trap_frame frame = start->frame;

    thread_fpu_load(start->fpu);
    kfree(start);
    thread_self()->proc = p;
    vm_enter(p->space);
    user_begin(&p->user);
    (void)upcalls_save();
    user_leaves(&frame); /* who sent a signal so far has kicked nobody */
    user_enter(&frame);
}

int proc_start(struct proc *p, const struct trap_frame *frame, void *fpu)
{
    struct proc_start *start = kmalloc(sizeof(*start));
    void *registers = fpu != NULL ? fpu : thread_fpu_fresh();

    if (start != NULL && registers != NULL) {
        *start = (struct proc_start){.proc = p, .frame = *frame, .fpu = registers};
        mutex_lock(&table_lock); /* its end waits until we know its thread */
        p->thread = thread_create(p->name, proc_main, start, PRIO_NORMAL);
        mutex_unlock(&table_lock);
    }
    if (p->thread == NULL) {
        kfree(registers != fpu ? registers : NULL);
        kfree(start);
        return -ENOMEM;
    }
    return 0;
}

/* ---- the end ---- */

/* A process that has ended and is nobody's any more. Its thread may still be on its way out. */
static int proc_free(struct proc *p)
{
    int status = p->status;

    thread_join(p->thread);
    kfree(p);
    return status;
}

int proc_reap(struct proc *p)
{
    mutex_lock(&table_lock);
    table_remove(p);
    mutex_unlock(&table_lock);
    return proc_free(p);
}

/* A child of one that ends. The lock is held. Return: it, if it has ended itself. */
static struct proc *child_leave(struct proc *child)
{
    child->parent = NULL;
    child->orphan = true;
    if (!child->ended) {
        return NULL;
    }
    table_remove(child);
    return child;
}

/* Children that have ended are freed here, the others by themselves. */
static void children_leave(const struct proc *p)
{
    struct proc *dead;

    do {
        dead = NULL;
        mutex_lock(&table_lock);
        for (unsigned i = 0; i < PROC_MAX && dead == NULL; i++) {
            if (table[i] != NULL && table[i]->parent == p) {
                dead = child_leave(table[i]);
            }
        }
        mutex_unlock(&table_lock);
        if (dead != NULL) {
            (void)proc_free(dead);
        }
    } while (dead != NULL);
}

/* SIGCHLD to the parent, if there is one. The lock is held. */
static void tell_parent(const struct proc *p)
{
    unsigned signal = (unsigned)p->status & 0x7f;
    const struct signal_info info = {
        .code = signal != 0 ? CLD_KILLED : CLD_EXITED,
        .pid = p->pid,
        .value = signal != 0 ? signal : (unsigned)p->status >> 8 & 0xff,
    };

    if (p->parent != NULL) {
        proc_post(p->parent, SIGNAL_CHILD, &info);
    }
}

/* Tell whoever waits; nobody looks at @p afterwards but who reaps it. */
static void tell_end(struct proc *p)
{
    void (*on_end)(void *arg) = p->on_end;
    void *arg = p->on_end_arg;

    mutex_lock(&table_lock);
    tell_parent(p);
    bool orphan = p->orphan || (p->parent != NULL && signal_no_zombies(&p->parent->signals));
    if (orphan) {
        table_remove(p);
        thread_detach(p->thread);
    }
    __atomic_store_n(&p->ended, true, __ATOMIC_RELEASE);
    mutex_unlock(&table_lock);
    if (orphan) {
        kfree(p);
    }
    proc_wake();
    if (on_end != NULL) {
        on_end(arg);
    }
}

void proc_exit(int status)
{
    struct thread *self = thread_self();
    struct proc *p = self->proc;

    itimer_set(p, 0, 0);
    p->personality->release(p);
    user_begin(NULL);
    vm_enter(NULL);
    vm_destroy(p->space);
    children_leave(p);
    p->status = status;
    self->proc = NULL;
    tell_end(p);
    thread_exit();
}

/* Those that run in ring 3 come by the kernel now. */
static void kick_all(void)
{
    for (unsigned id = 0; id < CPU_MAX; id++) {
        struct cpu *cpu = cpu_by_id(id);

        if (cpu != NULL && READ_ONCE(cpu->online)) {
            cpu_kick(cpu);
        }
    }
}

void proc_post(struct proc *p, unsigned number, const struct signal_info *info)
{
    if (number == SIGNAL_KILL) {
        WRITE_ONCE(p->killed, number);
    } else if (!signal_post(&p->signals, number, info)) {
        return;
    }
    proc_wake();
    p->personality->signalled();
    if (p != proc_self()) {
        kick_all();
    }
}

/* Whether kill() with @pid means a process. */
static bool is_meant(const struct proc *p, int pid, const struct proc *caller)
{
    if (pid > 0) {
        return p->pid == (unsigned)pid;
    }
    if (pid == -1) {
        return p != caller;
    }
    return p->group == (pid == 0 ? caller->group : 0u - (unsigned)pid);
}

int proc_signal(int pid, unsigned number, int32_t code)
{
    const struct proc *caller = proc_self();
    const struct signal_info info = {.code = code, .pid = caller->pid};
    int rc = -ESRCH;

    mutex_lock(&table_lock);
    for (unsigned i = 0; i < PROC_MAX; i++) {
        struct proc *p = table[i];

        if (p != NULL && is_meant(p, pid, caller)) {
            rc = 0;
            if (number != 0 && !p->ended) {
                proc_post(p, number, &info);
            }
        }
    }
    mutex_unlock(&table_lock);
    return rc;
}

void proc_kill_group(unsigned group, unsigned signal)
{
    mutex_lock(&table_lock);
    for (unsigned i = 0; i < PROC_MAX; i++) {
        struct proc *p = table[i];

        if (p != NULL && p->group == group && !p->ended && !proc_killed(p)) {
            WRITE_ONCE(p->killed, signal);
        }
    }
    mutex_unlock(&table_lock);
    proc_wake();
    kick_all();
}

/* A child that is meant by @pid and has ended, taken out of the table; NULL, and if there is any.
 */
static struct proc *take_ended(const struct proc *p, int pid, bool *any)
{
    struct proc *found = NULL;

    *any = false;
    mutex_lock(&table_lock);
    for (unsigned i = 0; i < PROC_MAX && found == NULL; i++) {
        struct proc *child = table[i];

        if (child != NULL && child->parent == p && (pid == -1 || child->pid == (unsigned)pid)) {
            *any = true;
            found = child->ended ? child : NULL;
        }
    }
    if (found != NULL) {
        table_remove(found);
    }
    mutex_unlock(&table_lock);
    return found;
}

int proc_wait_child(struct proc *p, int pid, bool nohang, int *status)
{
    struct proc *child;
    bool any;

    for (;;) {
        uint64_t seen = proc_changes();

        child = take_ended(p, pid, &any);
        if (child != NULL || !any || nohang) {
            break;
        }
        if (proc_interrupted(p)) {
            return -CALL_RESTARTS;
        }
        proc_wait_change(p, seen, NSEC_FOREVER);
    }
    if (child == NULL) {
        return any ? 0 : -ECHILD;
    }
    pid = (int)child->pid;
    *status = proc_free(child);
    return pid;
}

/* ---- entries from ring 3 ---- */

static void user_called(struct trap_frame *frame)
{
    struct proc *p = proc_self();

    p->personality->syscall(p, frame);
}

void proc_boot(void)
{
    static const struct user_traps traps = {
        .syscall = user_called, .exception = fault_of_user, .leave = user_leaves};

    mutex_init(&table_lock, "processes");
    trap_set_user(&traps);
}
