/*
 * proc.c - the life of processes: see proc.h.
 *
 * A process ends with its last thread. Whoever wants its end says so (proc_doom()), and its threads
 * end one after the other.
 */
#include "proc/proc.h"

#include "kern/log.h"
#include "kern/mem.h"
#include "kern/sched.h"
#include "kern/string.h"
#include "os/panic.h"
#include "proc/deliver.h"
#include "proc/table.h"
#include "psm/clock.h"
#include "psm/trap.h"

struct mutex proc_table_lock;
struct proc *proc_table[PROC_MAX];
static unsigned last_id;
static bool ids_again; /* there were so many that they began anew */

static struct waitq events = WAITQ(events, "process");
static uint64_t changes;

uint64_t proc_changes(void)
{
    return __atomic_load_n(&changes, __ATOMIC_ACQUIRE);
}

void proc_wake(void)
{
    __atomic_add_fetch(&changes, 1, __ATOMIC_ACQ_REL);
    waitq_wake_all(&events);
}

int proc_wait_change(const struct uthread *t, uint64_t seen, nsec_t deadline)
{
    return wait_event_until(&events, proc_changes() != seen || uthread_interrupted(t), deadline);
}

bool proc_wait_alone(const struct proc *p)
{
    wait_event(&events, READ_ONCE(p->live) == 1 || proc_killed(p));
    return !proc_killed(p);
}

void proc_await_space(const struct uthread *t, const bool *back)
{
    unsigned fatal = 0;

    wait_event(&events, __atomic_load_n(back, __ATOMIC_ACQUIRE) || uthread_must_end(t) ||
                            (fatal = signal_fatal(&t->signals)) != 0);
    mutex_lock(&proc_table_lock);
    for (unsigned i = 0; i < PROC_MAX; i++) {
        if (proc_table[i] != NULL && proc_table[i]->lent == back) {
            proc_table[i]->lent = NULL; /* nobody is left to be told */
        }
    }
    mutex_unlock(&proc_table_lock);
    if (fatal != 0) {
        proc_exit((int)fatal);
    }
}

void proc_return_space(struct proc *p)
{
    mutex_lock(&proc_table_lock);
    if (p->lent != NULL) {
        __atomic_store_n(p->lent, true, __ATOMIC_RELEASE);
        p->lent = NULL;
    }
    mutex_unlock(&proc_table_lock);
    proc_wake();
}

struct proc *proc_self(void)
{
    struct uthread *t = uthread_self();

    return t == NULL ? NULL : t->proc;
}

bool proc_killed(const struct proc *p)
{
    return READ_ONCE(p->ending);
}

bool proc_has_ended(const struct proc *p)
{
    return __atomic_load_n(&p->ended, __ATOMIC_ACQUIRE);
}

unsigned proc_parent_pid(const struct proc *p)
{
    mutex_lock(&proc_table_lock);
    unsigned pid = p->parent != NULL ? p->parent->pid : 0;
    mutex_unlock(&proc_table_lock);
    return pid;
}

/* ---- the table ---- */

static bool id_taken(unsigned id)
{
    for (unsigned i = 0; i < PROC_MAX; i++) {
        const struct proc *p = proc_table[i];

        if (p != NULL && (p->pid == id || p->group == id || p->session == id || p->origin == id ||
                          uthread_find(p, id) != NULL)) {
            return true;
        }
    }
    return false;
}

unsigned proc_new_id(void)
{
    do {
        ids_again = ids_again || last_id == PROC_ID_MAX;
        last_id = last_id < PROC_ID_MAX ? last_id + 1 : 1;
    } while (ids_again && id_taken(last_id));
    return last_id;
}

unsigned proc_last_id(void)
{
    return READ_ONCE(last_id);
}

static bool table_add(struct proc *p)
{
    bool found = false;

    mutex_lock(&proc_table_lock);
    for (unsigned i = 0; i < PROC_MAX && !found; i++) {
        if (proc_table[i] == NULL) {
            proc_table[i] = p;
            p->pid = proc_new_id();
            found = true;
        }
    }
    p->group = p->parent != NULL ? p->parent->group : p->pid;
    p->session = p->parent != NULL ? p->parent->session : SESSION_OF_SHELL;
    p->origin = p->parent != NULL ? p->parent->origin : p->pid;
    mutex_unlock(&proc_table_lock);
    return found;
}

/* The lock is held. */
static void table_remove(const struct proc *p)
{
    for (unsigned i = 0; i < PROC_MAX; i++) {
        if (proc_table[i] == p) {
            proc_table[i] = NULL;
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
    p->began = clock_now();
    if (parent != NULL) { /* which changes it only by a call of its own */
        memcpy(p->args, parent->args, sizeof(p->args));
        p->args_len = parent->args_len;
    }
    mutex_init(&p->lock, "program");
    signals_init(&p->signals);
    futexes_init(&p->futexes);
    itimer_init(p);
    if (!table_add(p)) {
        kfree(p);
        return NULL;
    }
    if (uthread_create(p, p->pid) == NULL) {
        proc_discard(p);
        return NULL;
    }
    return p;
}

struct uthread *proc_leader(const struct proc *p)
{
    struct thread_signals *first = XEN_TAILQ_FIRST(&p->signals.threads);

    return first == NULL ? NULL : CONTAINER_OF(first, struct uthread, signals);
}

void proc_discard(struct proc *p)
{
    struct uthread *leader = proc_leader(p);

    if (leader != NULL) {
        uthread_discard(leader);
    }
    mutex_lock(&proc_table_lock);
    table_remove(p);
    mutex_unlock(&proc_table_lock);
    if (p->space != NULL) {
        vm_destroy(p->space);
    }
    kfree(p);
    proc_wake(); /* somebody may wait for a child */
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
    mutex_lock(&proc_table_lock);
    table_remove(p);
    mutex_unlock(&proc_table_lock);
    return proc_free(p);
}

/* A child of one that ends. The lock is held. Return: it, if it has ended itself. */
static struct proc *child_leave(struct proc *child)
{
    const struct proc *parent = child->parent;

    child->parent = NULL;
    child->orphan = true;
    job_orphans(child, parent);
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
        mutex_lock(&proc_table_lock);
        for (unsigned i = 0; i < PROC_MAX && dead == NULL; i++) {
            if (proc_table[i] != NULL && proc_table[i]->parent == p) {
                dead = child_leave(proc_table[i]);
            }
        }
        mutex_unlock(&proc_table_lock);
        if (dead != NULL) {
            (void)proc_free(dead);
        }
    } while (dead != NULL);
}

struct signal_info proc_child_info(unsigned pid, int status)
{
    unsigned low = (unsigned)status & 0x7f, high = (unsigned)status >> 8 & 0xff;

    if (status == STATUS_GOES_ON) {
        return (struct signal_info){.code = CLD_CONTINUED, .pid = pid, .value = SIGNAL_CONTINUE};
    }
    return (struct signal_info){.code = low == 0x7f ? CLD_STOPPED
                                        : low != 0  ? CLD_KILLED
                                                    : CLD_EXITED,
                                .pid = pid,
                                .value = low == 0 || low == 0x7f ? high : low};
}

void tell_parent(const struct proc *p, int status)
{
    const struct signal_info info = proc_child_info(p->pid, status);

    if (p->parent != NULL && (info.code == CLD_EXITED || info.code == CLD_KILLED ||
                              !signal_no_stops(&p->parent->signals))) {
        proc_post(p->parent, SIGNAL_CHILD, &info);
    }
}

/* Tell whoever waits; nobody looks at @p afterwards but who reaps it. */
static void tell_end(struct proc *p)
{
    void (*on_end)(void *arg) = p->on_end;
    void *arg = p->on_end_arg;

    mutex_lock(&proc_table_lock);
    tell_parent(p, p->status);
    job_orphans(p, p->parent);
    bool orphan = p->orphan || (p->parent != NULL && signal_no_zombies(&p->parent->signals));
    if (orphan) {
        table_remove(p);
        thread_detach(p->thread);
    }
    __atomic_store_n(&p->ended, true, __ATOMIC_RELEASE);
    mutex_unlock(&proc_table_lock);
    if (orphan) {
        kfree(p);
    }
    proc_wake();
    if (on_end != NULL) {
        on_end(arg);
    }
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

void proc_rouse(struct proc *p)
{
    struct thread_signals *s;
    upcall_state_t state = spin_lock(&p->signals.lock);

    XEN_TAILQ_FOREACH (s, &p->signals.threads, link) {
        waitq_wake_all(&CONTAINER_OF(s, struct uthread, signals)->wait);
    }
    spin_unlock(&p->signals.lock, state);
    proc_wake();
    if (p != proc_self() || READ_ONCE(p->live) > 1) {
        kick_all();
    }
}

static void set_status(struct proc *p, int status, bool ending)
{
    upcall_state_t state = spin_lock(&p->signals.lock);

    if (!p->ending) {
        p->status = status;
        WRITE_ONCE(p->ending, ending);
    }
    spin_unlock(&p->signals.lock, state);
}

/* Let a process end, with a status if it has none yet. Any context. */
static void proc_doom(struct proc *p, int status)
{
    set_status(p, status, true);
    proc_rouse(p);
}

void proc_set_status(struct proc *p, int status)
{
    set_status(p, status, false);
}

void proc_exit(int status)
{
    proc_doom(proc_self(), status);
    uthread_exit(status);
}

void proc_end(struct proc *p)
{
    itimer_set(p, 0, 0);
    p->personality->release(p);
    vm_destroy(proc_set_space(p, NULL));
    proc_return_space(p);
    children_leave(p);
    tell_end(p);
    thread_exit();
}

void proc_post(struct proc *p, unsigned number, const struct signal_info *info)
{
    if (number == SIGNAL_KILL) {
        proc_doom(p, (int)number);
    } else if (signal_post(&p->signals, number, info)) {
        proc_rouse(p);
    }
}

/* Whether kill() or wait4() with @pid means a process. */
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

    mutex_lock(&proc_table_lock);
    for (unsigned i = 0; i < PROC_MAX; i++) {
        struct proc *p = proc_table[i];

        if (p != NULL && is_meant(p, pid, caller)) {
            rc = 0;
            if (number != 0 && !p->ended) {
                proc_post(p, number, &info);
            }
        }
    }
    mutex_unlock(&proc_table_lock);
    return rc;
}

/* Whether there is news of a child, which is taken unless it stays. The table is locked. */
static bool child_has_news(struct proc *child, const struct child_wait *w, int *status)
{
    bool wanted = child->news == STATUS_GOES_ON ? w->goes_on : w->stops;

    if (child->ended || child->news == 0 || !wanted) {
        *status = child->status;
        return child->ended && w->ends;
    }
    *status = child->news;
    child->news = w->stays ? child->news : 0;
    return true;
}

/*
 * Look for a child that is waited for. Return: its pid, 0: none yet, -ECHILD: nor will there be.
 * @dead: is set to it if it has ended and was taken out of the table
 */
static int find_child(const struct proc *p, const struct child_wait *w, int *status,
                      struct proc **dead)
{
    int rc = -ECHILD;

    mutex_lock(&proc_table_lock);
    for (unsigned i = 0; i < PROC_MAX && rc <= 0; i++) {
        struct proc *child = proc_table[i];

        if (child != NULL && child->parent == p && is_meant(child, w->pid, p)) {
            rc = child_has_news(child, w, status) ? (int)child->pid : 0;
            if (rc != 0 && child->ended && !w->stays) {
                table_remove(child);
                *dead = child;
            }
        }
    }
    mutex_unlock(&proc_table_lock);
    return rc;
}

int proc_wait_child(struct uthread *t, const struct child_wait *w, int *status)
{
    struct proc *dead = NULL;

    for (;;) {
        uint64_t seen = proc_changes();
        int rc = find_child(t->proc, w, status, &dead);

        if (dead != NULL) {
            (void)proc_free(dead);
        }
        if (rc != 0 || w->nohang) {
            return rc;
        }
        if (uthread_interrupted(t)) {
            return -CALL_RESTARTS;
        }
        proc_wait_change(t, seen, NSEC_FOREVER);
    }
}

/* ---- entries from ring 3 ---- */

static void user_called(struct trap_frame *frame)
{
    struct uthread *t = uthread_self();

    t->proc->personality->syscall(t, frame);
}

void proc_boot(void)
{
    static const struct user_traps traps = {
        .syscall = user_called, .exception = fault_of_user, .leave = uthread_leaves};

    mutex_init(&proc_table_lock, "processes");
    trap_set_user(&traps);
}
