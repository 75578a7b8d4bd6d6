/*
 * calls.h - the system calls, by the names they have in Linux; table.c numbers them.
 */
#ifndef SYSCALL_CALLS_H
#define SYSCALL_CALLS_H

#include "syscall/task.h"

/* sys_file.c, sys_name.c */
call_fn sys_read, sys_write, sys_readv, sys_writev, sys_pread64, sys_lseek, sys_ioctl, sys_fcntl,
    sys_dup, sys_dup2, sys_dup3, sys_close, sys_fstat, sys_getdents64, sys_pipe, sys_pipe2,
    sys_poll;
call_fn sys_open, sys_openat, sys_stat, sys_lstat, sys_newfstatat, sys_access, sys_faccessat,
    sys_readlink, sys_readlinkat, sys_getcwd, sys_chdir;

/* sys_mem.c */
call_fn sys_brk, sys_mmap, sys_munmap, sys_mprotect;

/* sys_proc.c */
call_fn sys_fork, sys_clone, sys_execve, sys_wait4, sys_exit, sys_arch_prctl, sys_set_tid_address,
    sys_getpid, sys_getppid, sys_getuid, sys_set_robust_list, sys_sched_yield;

/* sys_signal.c */
call_fn sys_rt_sigaction, sys_rt_sigprocmask, sys_rt_sigpending, sys_sigaltstack, sys_rt_sigreturn,
    sys_kill, sys_tkill, sys_tgkill, sys_pause, sys_rt_sigsuspend, sys_rt_sigtimedwait, sys_alarm,
    sys_getitimer, sys_setitimer;

/* sys_misc.c */
call_fn sys_uname, sys_getrandom, sys_clock_gettime, sys_clock_getres, sys_gettimeofday, sys_time,
    sys_nanosleep, sys_clock_nanosleep, sys_prlimit64, sys_getrlimit, sys_umask;

#endif /* SYSCALL_CALLS_H */
