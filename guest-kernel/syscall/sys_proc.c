/*
 * sys_proc.c - calls on processes.
 */
#include "hat/layout.h"
#include "kern/mem.h"
#include "kern/sched.h"
#include "kern/string.h"
#include "proc/jobs.h"
#include "proc/sigframe.h"
#include "psm/trap.h"
#include "syscall/calls.h"
#include "vm/vm.h"

#define ARCH_SET_GS 0x1001
#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003
#define ARCH_GET_GS 0x1004

/* Options of wait4() and waitid(); the kinds of children are all the same here. */
#define WNOHANG     0x00000001u
#define WUNTRACED   0x00000002u
#define WEXITED     0x00000004u
#define WCONTINUED  0x00000008u
#define WNOWAIT     0x01000000u
#define WAIT_KINDS  0xe0000000u
#define WAIT_NEWS   (WUNTRACED | WEXITED | WCONTINUED)
#define RUSAGE_SIZE 144

/* Whom waitid() waits for. */
#define P_ALL  0
#define P_PID  1
#define P_PGID 2

#define ARGS_MAX 4096 /* strings */

/* ---- who one is ---- */

int64_t sys_getpid(struct call *c)
{
    return c->p->pid;
}

int64_t sys_getppid(struct call *c)
{
    return proc_parent_pid(c->p);
}

/* All programs are root, as far as they are told. */
int64_t sys_getuid(struct call *c __unused)
{
    return 0;
}

static int64_t set_base(struct call *c, uint64_t *base)
{
    if (c->a[1] >= USER_END) {
        return -EPERM;
    }
    *base = c->a[1];
    user_begin(&c->u->user);
    return 0;
}

int64_t sys_arch_prctl(struct call *c)
{
    struct user_cpu *user = &c->u->user;

    switch (c->a[0]) {
    case ARCH_SET_FS:
        return set_base(c, &user->fs_base);
    case ARCH_SET_GS:
        return set_base(c, &user->gs_base);
    case ARCH_GET_FS:
        return copy_to_user(UADDR(c->a[1]), &user->fs_base, sizeof(user->fs_base));
    case ARCH_GET_GS:
        return copy_to_user(UADDR(c->a[1]), &user->gs_base, sizeof(user->gs_base));
    default:
        return -EINVAL;
    }
}

/* ---- birth ---- */

/* Its number, where the child's program looks for it: in the child's memory only. */
static int tell_child_its_pid(struct call *c, const struct proc *child, uint64_t address)
{
    uint32_t pid = child->pid;

    vm_enter(child->space);
    int rc = copy_to_user(UADDR(address), &pid, sizeof(pid));
    vm_enter(c->p->space);
    return rc;
}

/* All that a child has. On an error what is there stays for discard_child(). */
static int fill_child(struct call *c, struct proc *child, uint64_t flags)
{
    struct uthread *leader = proc_leader(child);
    struct proc *p = c->p;

    child->own = task_clone(c->t);
    mutex_lock(&p->lock); /* mappings and what is known of them belong together */
    leader->user = c->u->user;
    leader->clear_tid = flags & CLONE_CHILD_CLEARTID ? c->a[3] : 0;
    child->brk_start = p->brk_start;
    child->brk = p->brk;
    child->map_top = p->map_top;
    signals_fork(&leader->signals, &c->u->signals);
    if (child->own != NULL) {
        child->space = flags & CLONE_VM ? vm_share(p->space) : vm_clone(p->space);
    }
    mutex_unlock(&p->lock);
    if (child->space == NULL) {
        return -ENOMEM;
    }
    return flags & CLONE_CHILD_SETTID ? tell_child_its_pid(c, child, c->a[3]) : 0;
}

static void discard_child(struct proc *child)
{
    task_free(child->own);
    proc_discard(child);
}

int64_t clone_process(struct call *c, uint64_t flags, uint64_t stack)
{
    struct proc *child = proc_create(c->p->name, &task_personality, c->p);
    struct trap_frame frame = *c->frame;
    uint32_t pid = child == NULL ? 0 : child->pid;
    bool back = false;

    if (child == NULL) {
        return -EAGAIN;
    }
    int rc = fill_child(c, child, flags);
    if (rc == 0 && (flags & CLONE_PARENT_SETTID)) {
        rc = copy_to_user(UADDR(c->a[2]), &pid, sizeof(pid));
    }
    void *fpu = rc == 0 ? thread_fpu_copy() : NULL;
    frame.rax = 0;
    frame.rsp = stack != 0 ? stack : frame.rsp;
    child->lent = flags & CLONE_VM ? &back : NULL;
    rc = rc == 0 && fpu == NULL ? -ENOMEM : rc;
    rc = rc == 0 ? uthread_start(proc_leader(child), &frame, fpu) : rc;
    if (rc != 0) {
        kfree(fpu);
        discard_child(child);
        return rc;
    }
    if (flags & CLONE_VM) {
        proc_await_space(c->u, &back);
    }
    return pid;
}

int64_t sys_fork(struct call *c)
{
    return clone_process(c, 0, 0);
}

int64_t sys_vfork(struct call *c)
{
    return clone_process(c, CLONE_VM | CLONE_VFORK, 0);
}

/* ---- another program ---- */

/* One of the program's strings, behind those that are there already. */
static int add_string(struct exec_args *args, uint64_t address, bool env)
{
    /* Copied where it goes; exec_args_add() would do it from a second buffer. */
    ssize_t len =
        string_from_user(args->text + args->used, UADDR(address), EXEC_ARGS_SIZE - args->used);

    if (len < 0) {
        return len == -ENAMETOOLONG ? -E2BIG : (int)len;
    }
    args->used += (size_t)len + 1;
    args->argc += !env;
    args->envc += env;
    return 0;
}

static int add_strings(struct exec_args *args, uint64_t vector, bool env)
{
    uint64_t address = 0;

    for (unsigned i = 0; vector != 0 && i < ARGS_MAX; i++) {
        int rc = copy_from_user(&address, UADDR(vector + i * sizeof(address)), sizeof(address));

        if (rc != 0 || address == 0) {
            return rc;
        }
        rc = add_string(args, address, env);
        if (rc != 0) {
            return rc;
        }
    }
    return vector == 0 ? 0 : -E2BIG;
}

int64_t sys_execve(struct call *c)
{
    struct exec_args args;
    char *path = kmalloc(PATH_SIZE);
    const char *why;
    int64_t rc = exec_args_init(&args);

    rc = rc == 0 && path == NULL ? -ENOMEM : rc;
    rc = rc == 0 ? string_from_user(path, UADDR(c->a[0]), PATH_SIZE) : rc;
    rc = rc >= 0 ? add_strings(&args, c->a[1], false) : rc;
    rc = rc == 0 ? add_strings(&args, c->a[2], true) : rc;
    rc = rc == 0 ? task_exec(c->u, c->t, path, &args, c->frame, &why) : rc;
    exec_args_free(&args);
    kfree(path);
    return rc;
}

/* ---- death ---- */

int64_t sys_exit_group(struct call *c)
{
    proc_exit((int)(c->a[0] & 0xff) << 8);
}

/* ---- children ---- */

static int put_no_usage(uint64_t to)
{
    static const char no_usage[RUSAGE_SIZE];

    return to == 0 ? 0 : copy_to_user(UADDR(to), no_usage, sizeof(no_usage));
}

int64_t sys_wait4(struct call *c)
{
    const struct child_wait w = {.pid = (int)c->a[0],
                                 .ends = true,
                                 .stops = c->a[2] & WUNTRACED,
                                 .goes_on = c->a[2] & WCONTINUED,
                                 .nohang = c->a[2] & WNOHANG};
    int status = 0;

    if (((uint32_t)c->a[2] & ~(WNOHANG | WUNTRACED | WCONTINUED | WAIT_KINDS)) != 0) {
        return -EINVAL;
    }
    int pid = proc_wait_child(c->u, &w, &status);
    if (pid <= 0) {
        return pid;
    }
    int rc = c->a[1] == 0 ? 0 : copy_to_user(UADDR(c->a[1]), &status, sizeof(status));
    rc = rc == 0 ? put_no_usage(c->a[3]) : rc;
    return rc == 0 ? pid : rc;
}

/* Whom waitid() means, as wait4() would have it. */
static int waitid_pid(const struct call *c, int *pid)
{
    int id = (int)c->a[1];

    switch (c->a[0]) {
    case P_ALL:
        *pid = -1;
        return 0;
    case P_PID:
        *pid = id;
        return id > 0 ? 0 : -EINVAL;
    case P_PGID: /* of 0: the caller's */
        *pid = -id;
        return id == 0 || id > 1 ? 0 : id == 1 ? -ECHILD : -EINVAL;
    default:
        return -EINVAL;
    }
}

int64_t sys_waitid(struct call *c)
{
    uint32_t options = (uint32_t)c->a[3];
    struct child_wait w = {.ends = options & WEXITED,
                           .stops = options & WUNTRACED,
                           .goes_on = options & WCONTINUED,
                           .nohang = options & WNOHANG,
                           .stays = options & WNOWAIT};
    struct sig_siginfo told = {0};
    int status = 0;

    if ((options & ~(WNOHANG | WNOWAIT | WAIT_KINDS | WAIT_NEWS)) != 0 ||
        (options & WAIT_NEWS) == 0) {
        return -EINVAL;
    }
    int rc = waitid_pid(c, &w.pid);
    rc = rc == 0 ? proc_wait_child(c->u, &w, &status) : rc;
    if (rc < 0) {
        return rc;
    }
    if (rc > 0) {
        const struct signal_info info = proc_child_info((unsigned)rc, status);

        siginfo_fill(&told, SIGNAL_CHILD, &info);
    }
    rc = c->a[2] == 0 ? 0 : copy_to_user(UADDR(c->a[2]), &told, sizeof(told));
    return rc == 0 ? put_no_usage(c->a[4]) : rc;
}

/* ---- groups and sessions ---- */

int64_t sys_setpgid(struct call *c)
{
    return job_set_group(c->p, (int)c->a[0], (int)c->a[1]);
}

int64_t sys_getpgid(struct call *c)
{
    return job_of(c->p, (int)c->a[0], false);
}

int64_t sys_getpgrp(struct call *c)
{
    return job_of(c->p, 0, false);
}

int64_t sys_setsid(struct call *c)
{
    return job_new_session(c->p);
}

int64_t sys_getsid(struct call *c)
{
    return job_of(c->p, (int)c->a[0], true);
}
