/*
 * calls.h - the system calls, by the names they have in Linux; table.c numbers them.
 */
#ifndef SYSCALL_CALLS_H
#define SYSCALL_CALLS_H

#include "syscall/task.h"

/* Flags of clone(). */
#define CLONE_SIGNAL_MASK    0x000000ffu
#define CLONE_VM             0x00000100u
#define CLONE_VFORK          0x00004000u
#define CLONE_FS             0x00000200u
#define CLONE_FILES          0x00000400u
#define CLONE_SIGHAND        0x00000800u
#define CLONE_THREAD         0x00010000u
#define CLONE_SYSVSEM        0x00040000u
#define CLONE_SETTLS         0x00080000u
#define CLONE_PARENT_SETTID  0x00100000u
#define CLONE_CHILD_CLEARTID 0x00200000u
#define CLONE_DETACHED       0x00400000u /* which means nothing, but musl says it */
#define CLONE_CHILD_SETTID   0x01000000u

/**
 * clone_process() - fork, with what of clone()'s flags says so
 * @stack: the child's, 0: where the caller's is
 *
 * With CLONE_VM the child has the caller's memory, and the caller sleeps until it leaves it.
 * Return: a call's result.
 */
int64_t clone_process(struct call *c, uint64_t flags, uint64_t stack);

/* sys_file.c, sys_name.c */
call_fn sys_read, sys_write, sys_readv, sys_writev, sys_pread64, sys_lseek, sys_ioctl, sys_fcntl,
    sys_dup, sys_dup2, sys_dup3, sys_close, sys_fstat, sys_getdents64, sys_pipe, sys_pipe2,
    sys_pwrite64, sys_ftruncate, sys_fallocate, sys_fsync, sys_sync, sys_fchmod, sys_fchown,
    sys_fstatfs;
call_fn sys_open, sys_openat, sys_creat, sys_stat, sys_lstat, sys_newfstatat, sys_access,
    sys_faccessat, sys_readlink, sys_readlinkat, sys_statfs, sys_mkdir, sys_mkdirat, sys_symlink,
    sys_symlinkat, sys_link, sys_linkat, sys_unlink, sys_unlinkat, sys_rmdir, sys_rename,
    sys_renameat, sys_renameat2, sys_chmod, sys_fchmodat, sys_chown, sys_lchown, sys_fchownat,
    sys_utimensat, sys_truncate, sys_umask, sys_getcwd, sys_chdir, sys_fchdir;

/* sys_mem.c */
call_fn sys_brk, sys_mmap, sys_munmap, sys_mprotect, sys_mremap, sys_madvise, sys_msync;

/* sys_proc.c */
call_fn sys_fork, sys_vfork, sys_execve, sys_wait4, sys_waitid, sys_exit_group, sys_arch_prctl,
    sys_getpid, sys_getppid, sys_getuid, sys_setpgid, sys_getpgid, sys_getpgrp, sys_setsid,
    sys_getsid;

/* sys_thread.c */
call_fn sys_clone, sys_exit, sys_gettid, sys_set_tid_address, sys_set_robust_list,
    sys_get_robust_list, sys_futex, sys_sched_yield, sys_sched_getaffinity;

/* sys_socket.c, sys_sockopt.c */
call_fn sys_socket, sys_socketpair, sys_bind, sys_listen, sys_accept, sys_accept4, sys_connect,
    sys_shutdown, sys_getsockname, sys_getpeername, sys_sendto, sys_recvfrom, sys_sendmsg,
    sys_recvmsg, sys_setsockopt, sys_getsockopt;

/* sys_poll.c, sys_epoll.c */
call_fn sys_poll, sys_ppoll, sys_select, sys_pselect6, sys_epoll_create, sys_epoll_create1,
    sys_epoll_ctl, sys_epoll_wait, sys_epoll_pwait, sys_epoll_pwait2, sys_eventfd, sys_eventfd2;

/* sys_timerfd.c */
call_fn sys_timerfd_create, sys_timerfd_settime, sys_timerfd_gettime;

/* sys_signal.c */
call_fn sys_rt_sigaction, sys_rt_sigprocmask, sys_rt_sigpending, sys_sigaltstack, sys_rt_sigreturn,
    sys_kill, sys_tkill, sys_tgkill, sys_pause, sys_rt_sigsuspend, sys_rt_sigtimedwait, sys_alarm,
    sys_getitimer, sys_setitimer;

/* sys_misc.c */
call_fn sys_uname, sys_getrandom, sys_clock_gettime, sys_clock_getres, sys_gettimeofday, sys_time,
    sys_nanosleep, sys_clock_nanosleep, sys_prlimit64, sys_getrlimit, sys_sysinfo;

#endif /* SYSCALL_CALLS_H */
