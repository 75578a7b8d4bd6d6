/*
 * Giving up privileges, see privileges.h.
 */
#include "privileges.h"

#include <cap-ng.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/gntdev.h>
#include <xen/sys/privcmd.h>

/* The logs of an earlier run, perhaps under another user. Only regular files of the directory
 * itself. */
static int give_logs(int log_dir, uid_t uid, gid_t gid)
{
    int copy = openat(log_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *entry;
    struct stat st;
    int err = 0;

    if (!dir || fchown(log_dir, uid, gid) < 0)
        err = -errno;
    while (err == 0 && (entry = readdir(dir))) {
        if (fstatat(log_dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
            continue;
        if (fchownat(log_dir, entry->d_name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
            err = -errno;
    }
    if (dir)
        closedir(dir);
    else if (copy >= 0)
        close(copy);
    return err;
}

static int become(const char *user, int log_dir, const char **stage)
{
    const struct passwd *entry;
    int err;

    *stage = "finding the user";
    errno = 0;
    entry = getpwnam(user);
    if (!entry)
        return errno ? -errno : -ENOENT;
    *stage = "giving the log directory to the user";
    err = give_logs(log_dir, entry->pw_uid, entry->pw_gid);
    if (err != 0)
        return err;
    *stage = "changing the user";
    if (setgroups(0, NULL) < 0 || setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) < 0 ||
        setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) < 0)
        return -errno;
    return 0;
}

int privileges_drop(const char *user, int log_dir, const char **stage)
{
    int err = 0;

    *stage = "dropping the capability bounding set";
    capng_clear(CAPNG_SELECT_ALL);
    if (capng_apply(CAPNG_SELECT_BOUNDS) < 0)
        return -EPERM;
    if (user)
        err = become(user, log_dir, stage);
    if (err != 0)
        return err;
    *stage = "dropping capabilities";
    capng_clear(CAPNG_SELECT_ALL);
    if (capng_apply(CAPNG_SELECT_CAPS) < 0)
        return -EPERM;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return -errno;
    return 0;
}

/* Calls of the C library and of any program: memory, threads' locks, signals, time, the end. */
static const int basic_calls[] = {
    SCMP_SYS(brk),           SCMP_SYS(mmap),
    SCMP_SYS(munmap),        SCMP_SYS(mremap),
    SCMP_SYS(mprotect),      SCMP_SYS(madvise),
    SCMP_SYS(futex),         SCMP_SYS(sched_yield),
    SCMP_SYS(rt_sigreturn),  SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigaction),  SCMP_SYS(restart_syscall),
    SCMP_SYS(clock_gettime), SCMP_SYS(getrandom),
    SCMP_SYS(getpid),        SCMP_SYS(getuid),
    SCMP_SYS(geteuid),       SCMP_SYS(getgid),
    SCMP_SYS(getegid),       SCMP_SYS(gettid),
    SCMP_SYS(tgkill),        SCMP_SYS(set_robust_list),
    SCMP_SYS(exit),          SCMP_SYS(exit_group),
};

/* The loop, the logs, terminals, inotify, and the sockets of xenstored and of the service manager.
 */
static const int daemon_calls[] = {
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(close),
    SCMP_SYS(fcntl),
    SCMP_SYS(openat),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(lseek),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(unlinkat),
    SCMP_SYS(inotify_add_watch),
    SCMP_SYS(inotify_rm_watch),
    SCMP_SYS(socket),
    SCMP_SYS(connect),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(recvmsg),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockopt),
};

/* Terminals, event channels, grants, and the foreign mapping where --foreign-map opened its device.
 */
static const unsigned long ioctls[] = {
    TCGETS,
    TCSETS,
    TCFLSH,
    TIOCGPTN,
    TIOCSPTLCK,
    TIOCGPTPEER,
    IOCTL_EVTCHN_BIND_INTERDOMAIN,
    IOCTL_EVTCHN_UNBIND,
    IOCTL_EVTCHN_NOTIFY,
    IOCTL_GNTDEV_MAP_GRANT_REF,
    IOCTL_GNTDEV_UNMAP_GRANT_REF,
    IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR,
    IOCTL_PRIVCMD_MMAPBATCH,
    IOCTL_PRIVCMD_MMAPBATCH_V2,
};

static int allow(scmp_filter_ctx filter, const int *calls, size_t n)
{
    int err = 0;

    for (size_t i = 0; i < n && err == 0; i++)
        err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    return err;
}

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

int privileges_filter(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int err;

    if (!filter)
        return -ENOMEM;
    err = allow(filter, basic_calls, N_ELEMENTS(basic_calls));
    if (err == 0)
        err = allow(filter, daemon_calls, N_ELEMENTS(daemon_calls));
    for (size_t i = 0; i < N_ELEMENTS(ioctls) && err == 0; i++)
        err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                               SCMP_A1(SCMP_CMP_EQ, ioctls[i]));
    /* libxenstore reads the store in a thread of its own: all threads. */
    if (err == 0)
        err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    /* A search tree instead of a list: the filter runs at every call. */
    if (err == 0)
        err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (err == 0)
        err = seccomp_load(filter);
    seccomp_release(filter);
    return err;
}
