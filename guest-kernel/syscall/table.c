/*
 * table.c - the table of system calls, and the way from a trap to one of them.
 *
 * A number without a row is -ENOSYS, which is said once. Locks: none.
 */
#include "kern/log.h"
#include "os/cmdline.h"
#include "syscall/calls.h"
#include "syscall/console.h"
#include "syscall/names.h"

static const struct {
    const char *name;
    call_fn *fn;
} calls[] = {
    [0] = {"read", sys_read},
    [1] = {"write", sys_write},
    [2] = {"open", sys_open},
    [3] = {"close", sys_close},
    [4] = {"stat", sys_stat},
    [5] = {"fstat", sys_fstat},
    [6] = {"lstat", sys_lstat},
    [7] = {"poll", sys_poll},
    [8] = {"lseek", sys_lseek},
    [9] = {"mmap", sys_mmap},
    [10] = {"mprotect", sys_mprotect},
    [11] = {"munmap", sys_munmap},
    [12] = {"brk", sys_brk},
    [13] = {"rt_sigaction", sys_rt_sigaction},
    [14] = {"rt_sigprocmask", sys_rt_sigprocmask},
    [15] = {"rt_sigreturn", sys_rt_sigreturn},
    [16] = {"ioctl", sys_ioctl},
    [17] = {"pread64", sys_pread64},
    [18] = {"pwrite64", sys_pwrite64},
    [19] = {"readv", sys_readv},
    [20] = {"writev", sys_writev},
    [21] = {"access", sys_access},
    [22] = {"pipe", sys_pipe},
    [23] = {"select", sys_select},
    [24] = {"sched_yield", sys_sched_yield},
    [25] = {"mremap", sys_mremap},
    [26] = {"msync", sys_msync},
    [28] = {"madvise", sys_madvise},
    [32] = {"dup", sys_dup},
    [33] = {"dup2", sys_dup2},
    [34] = {"pause", sys_pause},
    [35] = {"nanosleep", sys_nanosleep},
    [36] = {"getitimer", sys_getitimer},
    [37] = {"alarm", sys_alarm},
    [38] = {"setitimer", sys_setitimer},
    [39] = {"getpid", sys_getpid},
    [41] = {"socket", sys_socket},
    [42] = {"connect", sys_connect},
    [43] = {"accept", sys_accept},
    [44] = {"sendto", sys_sendto},
    [45] = {"recvfrom", sys_recvfrom},
    [46] = {"sendmsg", sys_sendmsg},
    [47] = {"recvmsg", sys_recvmsg},
    [48] = {"shutdown", sys_shutdown},
    [49] = {"bind", sys_bind},
    [50] = {"listen", sys_listen},
    [51] = {"getsockname", sys_getsockname},
    [52] = {"getpeername", sys_getpeername},
    [53] = {"socketpair", sys_socketpair},
    [54] = {"setsockopt", sys_setsockopt},
    [55] = {"getsockopt", sys_getsockopt},
    [56] = {"clone", sys_clone},
    [57] = {"fork", sys_fork},
    [58] = {"vfork", sys_vfork},
    [59] = {"execve", sys_execve},
    [60] = {"exit", sys_exit},
    [61] = {"wait4", sys_wait4},
    [62] = {"kill", sys_kill},
    [63] = {"uname", sys_uname},
    [72] = {"fcntl", sys_fcntl},
    [74] = {"fsync", sys_fsync},
    [75] = {"fdatasync", sys_fsync},
    [76] = {"truncate", sys_truncate},
    [77] = {"ftruncate", sys_ftruncate},
    [79] = {"getcwd", sys_getcwd},
    [80] = {"chdir", sys_chdir},
    [81] = {"fchdir", sys_fchdir},
    [82] = {"rename", sys_rename},
    [83] = {"mkdir", sys_mkdir},
    [84] = {"rmdir", sys_rmdir},
    [85] = {"creat", sys_creat},
    [86] = {"link", sys_link},
    [87] = {"unlink", sys_unlink},
    [88] = {"symlink", sys_symlink},
    [89] = {"readlink", sys_readlink},
    [90] = {"chmod", sys_chmod},
    [91] = {"fchmod", sys_fchmod},
    [92] = {"chown", sys_chown},
    [93] = {"fchown", sys_fchown},
    [94] = {"lchown", sys_lchown},
    [95] = {"umask", sys_umask},
    [96] = {"gettimeofday", sys_gettimeofday},
    [97] = {"getrlimit", sys_getrlimit},
    [99] = {"sysinfo", sys_sysinfo},
    [102] = {"getuid", sys_getuid},
    [104] = {"getgid", sys_getuid},
    [107] = {"geteuid", sys_getuid},
    [108] = {"getegid", sys_getuid},
    [109] = {"setpgid", sys_setpgid},
    [110] = {"getppid", sys_getppid},
    [111] = {"getpgrp", sys_getpgrp},
    [112] = {"setsid", sys_setsid},
    [121] = {"getpgid", sys_getpgid},
    [124] = {"getsid", sys_getsid},
    [127] = {"rt_sigpending", sys_rt_sigpending},
    [128] = {"rt_sigtimedwait", sys_rt_sigtimedwait},
    [130] = {"rt_sigsuspend", sys_rt_sigsuspend},
    [131] = {"sigaltstack", sys_sigaltstack},
    [137] = {"statfs", sys_statfs},
    [138] = {"fstatfs", sys_fstatfs},
    [158] = {"arch_prctl", sys_arch_prctl},
    [162] = {"sync", sys_sync},
    [186] = {"gettid", sys_gettid},
    [200] = {"tkill", sys_tkill},
    [201] = {"time", sys_time},
    [202] = {"futex", sys_futex},
    [204] = {"sched_getaffinity", sys_sched_getaffinity},
    [213] = {"epoll_create", sys_epoll_create},
    [217] = {"getdents64", sys_getdents64},
    [218] = {"set_tid_address", sys_set_tid_address},
    [228] = {"clock_gettime", sys_clock_gettime},
    [229] = {"clock_getres", sys_clock_getres},
    [230] = {"clock_nanosleep", sys_clock_nanosleep},
    [231] = {"exit_group", sys_exit_group},
    [232] = {"epoll_wait", sys_epoll_wait},
    [233] = {"epoll_ctl", sys_epoll_ctl},
    [234] = {"tgkill", sys_tgkill},
    [247] = {"waitid", sys_waitid},
    [257] = {"openat", sys_openat},
    [258] = {"mkdirat", sys_mkdirat},
    [260] = {"fchownat", sys_fchownat},
    [262] = {"newfstatat", sys_newfstatat},
    [263] = {"unlinkat", sys_unlinkat},
    [264] = {"renameat", sys_renameat},
    [265] = {"linkat", sys_linkat},
    [266] = {"symlinkat", sys_symlinkat},
    [267] = {"readlinkat", sys_readlinkat},
    [268] = {"fchmodat", sys_fchmodat},
    [269] = {"faccessat", sys_faccessat},
    [270] = {"pselect6", sys_pselect6},
    [271] = {"ppoll", sys_ppoll},
    [273] = {"set_robust_list", sys_set_robust_list},
    [274] = {"get_robust_list", sys_get_robust_list},
    [280] = {"utimensat", sys_utimensat},
    [281] = {"epoll_pwait", sys_epoll_pwait},
    [283] = {"timerfd_create", sys_timerfd_create},
    [284] = {"eventfd", sys_eventfd},
    [285] = {"fallocate", sys_fallocate},
    [286] = {"timerfd_settime", sys_timerfd_settime},
    [287] = {"timerfd_gettime", sys_timerfd_gettime},
    [288] = {"accept4", sys_accept4},
    [290] = {"eventfd2", sys_eventfd2},
    [291] = {"epoll_create1", sys_epoll_create1},
    [292] = {"dup3", sys_dup3},
    [293] = {"pipe2", sys_pipe2},
    [302] = {"prlimit64", sys_prlimit64},
    [306] = {"syncfs", sys_fsync},
    [316] = {"renameat2", sys_renameat2},
    [318] = {"getrandom", sys_getrandom},
    [441] = {"epoll_pwait2", sys_epoll_pwait2},
};

#define NUMBERS_SAID 1024 /* numbers above are said as one */

static uint64_t said[NUMBERS_SAID / 64];

/* Say that a call is not offered: the first time anybody makes it. */
static void say_unknown(const struct proc *p, uint64_t number)
{
    uint64_t slot = MIN(number, NUMBERS_SAID - 1);
    uint64_t bit = 1ull << (slot % 64);

    if ((__atomic_fetch_or(&said[slot / 64], bit, __ATOMIC_RELAXED) & bit) == 0) {
        log_warn("%s[%u]: system call %lu (%s) is not offered", p->name, p->pid,
                 (unsigned long)number, call_name(number));
    }
}

static void trace_call(const struct call *c, const char *name, int64_t result)
{
    log_info("%s[%u]: %s(%#lx, %#lx, %#lx, %#lx, %#lx, %#lx) = %ld", c->p->name, c->u->tid, name,
             (unsigned long)c->a[0], (unsigned long)c->a[1], (unsigned long)c->a[2],
             (unsigned long)c->a[3], (unsigned long)c->a[4], (unsigned long)c->a[5], (long)result);
}

static void task_syscall(struct uthread *u, struct trap_frame *f)
{
    struct proc *p = u->proc;
    struct call c = {.u = u,
                     .p = p,
                     .t = p->own,
                     .frame = f,
                     .a = {f->rdi, f->rsi, f->rdx, f->r10, f->r8, f->r9}};
    uint64_t number = f->error = f->rax; /* if it is to be made again: proc/deliver.c */
    bool known = number < ARRAY_SIZE(calls) && calls[number].fn != NULL;
    int64_t result = -ENOSYS;

    if (known) {
        result = calls[number].fn(&c);
    } else {
        say_unknown(p, number);
    }
    if (cmdline_get("strace") != NULL) {
        trace_call(&c, known ? calls[number].name : call_name(number), result);
    }
    f->rax = (uint64_t)result;
}

static void task_release(struct proc *p)
{
    console_leave(p);
    task_free(p->own);
    p->own = NULL;
}

const struct personality task_personality = {.syscall = task_syscall, .release = task_release};
