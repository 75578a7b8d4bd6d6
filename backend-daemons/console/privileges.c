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
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/gntdev.h>
#include <xen/sys/privcmd.h>

#include "sandbox.h"

/* The logs of an earlier run, perhaps under another user. Only regular files of the directory
 * itself. */
static int give_logs(int log_dir, uid_t uid, gid_t gid)
{
    int copy = openat(log_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *entry;
    struct stat st;
    int err = 0;

    if (dir == NULL || fchown(log_dir, uid, gid) < 0) {
        err = -errno;
    }
    while (dir != NULL && err == 0 && (entry = readdir(dir))) {
        /* A second name might be somebody else's file, linked to here by who had the directory. */
        if (fstatat(log_dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
            st.st_nlink != 1) {
            continue;
        }
        if (fchownat(log_dir, entry->d_name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0) {
            err = -errno;
        }
    }
    if (dir != NULL) {
        closedir(dir);
    } else if (copy >= 0) {
        close(copy);
    }
    return err;
}

static int become(const char *user, int log_dir, const char **stage)
{
    const struct passwd *entry;
    int err;

    *stage = "finding the user";
    errno = 0;
    entry = getpwnam(user);
    if (entry == NULL) {
        return errno ? -errno : -ENOENT;
    }
    *stage = "giving the log directory to the user";
    err = give_logs(log_dir, entry->pw_uid, entry->pw_gid);
    if (err != 0) {
        return err;
    }
    *stage = "changing the user";
    if (setgroups(0, NULL) < 0 || setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) < 0 ||
        setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) < 0) {
        return -errno;
    }
    return 0;
}

int privileges_drop(const char *user, int log_dir, const char **stage)
{
    int err = 0;

    *stage = "dropping the capability bounding set";
    capng_clear(CAPNG_SELECT_ALL);
    if (capng_apply(CAPNG_SELECT_BOUNDS) < 0) {
        return -EPERM;
    }
    if (user != NULL) {
        err = become(user, log_dir, stage);
    }
    if (err != 0) {
        return err;
    }
    *stage = "dropping capabilities";
    capng_clear(CAPNG_SELECT_ALL);
    if (capng_apply(CAPNG_SELECT_CAPS) < 0) {
        return -EPERM;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        return -errno;
    }
    return 0;
}

/* Any descriptor, any argument. */
#define CALL(name)                 \
    {                              \
        .nr = SYS_##name, .fd = -1 \
    }
#define IOCTL(name)                              \
    {                                            \
        .nr = SYS_ioctl, .fd = -1, .cmd = (name) \
    }

static const struct sandbox_rule rules[] = {
    /* The C library: memory, threads' locks, signals, time, who we are, the end. */
    CALL(brk),
    CALL(mmap),
    CALL(munmap),
    CALL(mremap),
    CALL(mprotect),
    CALL(madvise),
    CALL(futex),
    CALL(sched_yield),
    CALL(rt_sigreturn),
    CALL(rt_sigprocmask),
    CALL(rt_sigaction),
    CALL(restart_syscall),
    CALL(clock_gettime),
    CALL(getrandom),
    CALL(getpid),
    CALL(getuid),
    CALL(geteuid),
    CALL(getgid),
    CALL(getegid),
    CALL(gettid),
    CALL(tgkill),
    CALL(set_robust_list),
    CALL(exit),
    CALL(exit_group),
    /* Loop, logs, terminals, inotify; the sockets of xenstored and of the service manager. */
    CALL(epoll_wait),
    CALL(epoll_pwait),
    CALL(epoll_ctl),
    CALL(poll),
    CALL(ppoll),
    CALL(read),
    CALL(write),
    CALL(writev),
    CALL(pread64),
    CALL(close),
    CALL(fcntl),
    CALL(openat),
    CALL(fstat),
    CALL(newfstatat),
    CALL(lseek),
    CALL(renameat),
    CALL(renameat2),
    CALL(unlinkat),
    CALL(inotify_add_watch),
    CALL(inotify_rm_watch),
    CALL(socket),
    CALL(connect),
    CALL(sendmsg),
    CALL(sendto),
    CALL(recvmsg),
    CALL(setsockopt),
    CALL(getsockopt),
    /* Terminals, event channels, grants; the mapping of --foreign-map, if its device is open. */
    IOCTL(TCGETS),
    IOCTL(TCSETS),
    IOCTL(TCFLSH),
    IOCTL(TIOCGPTN),
    IOCTL(TIOCSPTLCK),
    IOCTL(TIOCGPTPEER),
    IOCTL(IOCTL_EVTCHN_BIND_INTERDOMAIN),
    IOCTL(IOCTL_EVTCHN_UNBIND),
    IOCTL(IOCTL_EVTCHN_NOTIFY),
    IOCTL(IOCTL_GNTDEV_MAP_GRANT_REF),
    IOCTL(IOCTL_GNTDEV_UNMAP_GRANT_REF),
    IOCTL(IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR),
    IOCTL(IOCTL_PRIVCMD_MMAPBATCH),
    IOCTL(IOCTL_PRIVCMD_MMAPBATCH_V2),
};

int privileges_filter(void)
{
    return sandbox_filter(rules, sizeof(rules) / sizeof(rules[0]));
}
