/*
 * sys_thread.c - calls on threads: birth, end, what they sleep on, the vCPUs that they run on.
 *
 * clone() is offered as the C libraries call it: as fork(), as vfork() on another stack
 * (posix_spawn()), or for a thread that shares all that threads share.
 */
#include "hat/layout.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "psm/clock.h"
#include "psm/cpu.h"
#include "psm/trap.h"
#include "syscall/calls.h"
#include "syscall/times.h"

/* What all threads of a process share. */
#define CLONE_SHARED (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)

#define FORK_FLAGS \
    (CLONE_SIGNAL_MASK | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID)

/* With those of a thread; that semaphores of System V have undo lists here nobody says. */
#define THREAD_FLAGS                                                                            \
    (CLONE_SHARED | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | \
     CLONE_CHILD_SETTID | CLONE_DETACHED)

/* futex(): what it is to do, and two flags. That a word is private need not be said here. */
#define FUTEX_WAIT        0
#define FUTEX_WAKE        1
#define FUTEX_REQUEUE     3
#define FUTEX_CMP_REQUEUE 4
#define FUTEX_WAIT_BITSET 9
#define FUTEX_WAKE_BITSET 10
#define FUTEX_PRIVATE     128u
#define FUTEX_WALL_CLOCK  256u

#define ROBUST_HEAD_SIZE 24

/* ---- birth ---- */

/* All of a thread but its start. */
static int fill_thread(struct call *c, struct uthread *t, uint64_t flags, struct trap_frame *frame)
{
    uint32_t tid = t->tid;
    int rc = 0;

    *frame = *c->frame;
    frame->rax = 0;
    frame->rsp = c->a[1] != 0 ? c->a[1] : frame->rsp;
    t->user = c->u->user;
    t->user.fs_base = flags & CLONE_SETTLS ? c->a[4] : t->user.fs_base;
    t->clear_tid = flags & CLONE_CHILD_CLEARTID ? c->a[3] : 0;
    signal_set_blocked(&t->signals, c->u->signals.blocked);
    if (flags & CLONE_PARENT_SETTID) {
        rc = copy_to_user(UADDR(c->a[2]), &tid, sizeof(tid));
    }
    if (rc == 0 && (flags & CLONE_CHILD_SETTID)) {
        rc = copy_to_user(UADDR(c->a[3]), &tid, sizeof(tid));
    }
    return rc;
}

static int64_t clone_thread(struct call *c, uint64_t flags)
{
    struct uthread *t = uthread_create(c->p, 0);
    struct trap_frame frame;

    if (t == NULL) {
        return -EAGAIN;
    }
    unsigned tid = t->tid;
    int rc = fill_thread(c, t, flags, &frame);
    void *fpu = rc == 0 ? thread_fpu_copy() : NULL;
    rc = rc == 0 && fpu == NULL ? -ENOMEM : rc;
    rc = rc == 0 ? uthread_start(t, &frame, fpu) : rc;
    if (rc != 0) {
        kfree(fpu);
        uthread_discard(t);
        return rc == -ENOMEM ? -EAGAIN : rc;
    }
    return tid;
}

/* Memory is shared only while the parent sleeps. */
static bool is_fork(uint64_t flags)
{
    uint64_t sharing = flags & (CLONE_VM | CLONE_VFORK);

    return (flags & ~(uint64_t)(FORK_FLAGS | CLONE_VM | CLONE_VFORK)) == 0 &&
           (sharing == 0 || sharing == (CLONE_VM | CLONE_VFORK));
}

int64_t sys_clone(struct call *c)
{
    uint64_t flags = c->a[0];

    if ((flags & CLONE_THREAD) == 0) {
        return is_fork(flags) && c->a[1] <= USER_END ? clone_process(c, flags, c->a[1]) : -EINVAL;
    }
    if ((flags & CLONE_SHARED) != CLONE_SHARED || (flags & ~(uint64_t)THREAD_FLAGS) != 0 ||
        c->a[1] > USER_END) {
        return -EINVAL;
    }
    if ((flags & CLONE_SETTLS) && c->a[4] >= USER_END) {
        return -EPERM;
    }
    return clone_thread(c, flags);
}

int64_t sys_exit(struct call *c)
{
    uthread_exit((int)(c->a[0] & 0xff) << 8);
}

/* ---- what a thread is known by ---- */

int64_t sys_gettid(struct call *c)
{
    return c->u->tid;
}

int64_t sys_set_tid_address(struct call *c)
{
    c->u->clear_tid = c->a[0];
    return c->u->tid;
}

int64_t sys_set_robust_list(struct call *c)
{
    if (c->a[1] != ROBUST_HEAD_SIZE) {
        return -EINVAL;
    }
    c->u->robust_list = c->a[0];
    return 0;
}

/* One's own: another thread's may be gone. */
int64_t sys_get_robust_list(struct call *c)
{
    uint64_t head = c->u->robust_list, size = ROBUST_HEAD_SIZE;

    if (c->a[0] != 0 && (unsigned)c->a[0] != c->u->tid) {
        return -EPERM;
    }
    int rc = copy_to_user(UADDR(c->a[2]), &size, sizeof(size));
    return rc == 0 ? copy_to_user(UADDR(c->a[1]), &head, sizeof(head)) : rc;
}

/* ---- futex ---- */

/* Until when, of a call that waits. One that is made again, no handler having run, goes on. */
static int futex_deadline(struct call *c, bool absolute, bool wall, struct futex_until *until)
{
    nsec_t t;

    *until = (struct futex_until){.deadline = NSEC_FOREVER};
    if (c->a[3] == 0) {
        return 0;
    }
    int rc = get_timespec(c->a[3], &t);
    if (rc == 0) {
        until->wall = wall;
        until->deadline = absolute ? t : c->u->nap_until != 0 ? c->u->nap_until : clock_now() + t;
    }
    return rc;
}

static int64_t wait_on(struct call *c, uint32_t bits, bool absolute, bool wall)
{
    struct futex_until until;
    int rc = bits == 0 ? -EINVAL : futex_deadline(c, absolute, wall, &until);

    c->u->nap_until = 0;
    rc = rc == 0 ? futex_wait(c->u, c->a[0], (uint32_t)c->a[2], bits, &until) : rc;
    if (rc == -CALL_RESTARTS && until.deadline != NSEC_FOREVER) {
        c->u->nap_until = absolute ? 0 : until.deadline;
        rc = -CALL_RESTARTS_UNHANDLED;
    }
    return rc;
}

static int64_t requeue(struct call *c, bool compares)
{
    uint32_t expected = (uint32_t)c->a[5];

    if (c->a[4] % sizeof(uint32_t) != 0 || (int)c->a[2] < 0 || (int)c->a[3] < 0) {
        return -EINVAL;
    }
    if (c->a[4] >= USER_END) {
        return -EFAULT;
    }
    return futex_requeue(c->p, c->a[0], (unsigned)c->a[2], c->a[4], (unsigned)c->a[3],
                         compares ? &expected : NULL);
}

int64_t sys_futex(struct call *c)
{
    unsigned op = (unsigned)c->a[1] & ~(FUTEX_PRIVATE | FUTEX_WALL_CLOCK);
    bool wall = c->a[1] & FUTEX_WALL_CLOCK;

    if (wall && op != FUTEX_WAIT_BITSET) {
        return -ENOSYS;
    }
    if (c->a[0] % sizeof(uint32_t) != 0) {
        return -EINVAL;
    }
    if (c->a[0] >= USER_END) {
        return -EFAULT;
    }
    switch (op) {
    case FUTEX_WAIT:
        return wait_on(c, FUTEX_ALL, false, false);
    case FUTEX_WAIT_BITSET:
        return wait_on(c, (uint32_t)c->a[5], true, wall);
    case FUTEX_WAKE:
        return futex_wake(c->p, c->a[0], (unsigned)MAX((int)c->a[2], 0), FUTEX_ALL);
    case FUTEX_WAKE_BITSET:
        return (uint32_t)c->a[5] == 0
                   ? -EINVAL
                   : futex_wake(c->p, c->a[0], (unsigned)MAX((int)c->a[2], 0), (uint32_t)c->a[5]);
    case FUTEX_REQUEUE:
    case FUTEX_CMP_REQUEUE:
        return requeue(c, op == FUTEX_CMP_REQUEUE);
    default:
        return -ENOSYS;
    }
}

/* ---- vCPUs ---- */

int64_t sys_sched_yield(struct call *c __unused)
{
    thread_yield();
    return 0;
}

/* Every thread may run on every vCPU that is up. */
int64_t sys_sched_getaffinity(struct call *c)
{
    uint64_t mask[CPU_MAX / 64] = {0};
    uint64_t size = MIN(c->a[1], sizeof(mask));

    for (unsigned id = 0; id < CPU_MAX; id++) {
        const struct cpu *cpu = cpu_by_id(id);

        mask[id / 64] |= cpu != NULL && READ_ONCE(cpu->online) ? 1ull << (id % 64) : 0;
    }
    if (size == 0 || c->a[1] % sizeof(mask[0]) != 0 ||
        (size < sizeof(mask) && mask[ARRAY_SIZE(mask) - 1] != 0)) {
        return -EINVAL;
    }
    int rc = copy_to_user(UADDR(c->a[2]), mask, size);
    return rc == 0 ? (int64_t)size : rc;
}
