/*
 * What the supervisor gives up: see cage_supervisor.h. Each system call stands beside what needs
 * it.
 */
#include "cage_supervisor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/gntdev.h>

#include "sandbox.h"

int cons_find_user(const char *name, uid_t *uid, gid_t *gid)
{
    const struct passwd *entry;

    errno = 0;
    entry = getpwnam(name);
    if (entry == NULL) {
        return errno != 0 ? -errno : -ENOENT;
    }
    *uid = entry->pw_uid;
    *gid = entry->pw_gid;
    return 0;
}

/* Only regular files of the directory itself. */
int cons_give_logs(int logs, uid_t uid, gid_t gid)
{
    int copy = openat(logs, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *entry;
    struct stat st;
    int err = 0;

    if (dir == NULL || fchown(logs, uid, gid) < 0) {
        err = -errno;
    }
    while (dir != NULL && err == 0 && (entry = readdir(dir))) {
        /* A second name might be somebody else's file, linked to here by who had the directory. */
        if (fstatat(logs, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
            st.st_nlink != 1) {
            continue;
        }
        if (fchownat(logs, entry->d_name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0) {
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

int cons_office_drop(uid_t uid, gid_t gid, const char **stage)
{
    struct sandbox_bounds bounds = {.uid = uid, .gid = gid};
    struct rlimit files;

    *stage = "reading the limit of descriptors";
    if (getrlimit(RLIMIT_NOFILE, &files) < 0) {
        return -errno;
    }
    bounds.descriptors = (unsigned int)files.rlim_cur;
    return sandbox_drop(&bounds, stage);
}

/* Any descriptor, any argument. */
#define ANY(name)         \
    {                     \
        SYS_##name, -1, 0 \
    }

#define NR_METRICS_RULES 4U

int cons_office_filter(const struct cons_office *office)
{
    const struct sandbox_rule rules[] = {
        /* The first, only with a socket for duet-console. */
        {SYS_accept4, office->entrance, 0},
        /* The C library: memory, libxenstore's locks and threads, time, the end. */
        ANY(brk),
        ANY(munmap),
        ANY(mremap),
        ANY(madvise),
        ANY(futex),
        ANY(rt_sigreturn),
        ANY(rt_sigprocmask),
        ANY(rt_sigaction),
        ANY(restart_syscall),
        ANY(clock_gettime),
        ANY(getrandom),
        ANY(setitimer), /* notify_ready() */
        ANY(getpid),    /* sd_watchdog_enabled(); sd_notify() says who we are */
        ANY(getuid),
        ANY(geteuid),
        ANY(getgid),
        ANY(getegid),
        ANY(set_robust_list),
        ANY(exit),
        ANY(exit_group),
        /* Loop; the sockets of xenstored, of the worker and of the service manager. */
        ANY(epoll_wait),
        ANY(epoll_ctl),
        ANY(poll),
        ANY(read),
        ANY(write),
        ANY(close),
        ANY(fcntl),
        ANY(sendmsg),
        ANY(setsockopt),
        ANY(getsockopt),
        {SYS_recvfrom, office->worker, 0}, /* reports */
        ANY(waitid),                       /* the worker's end */
        ANY(wait4),
        {SYS_inotify_add_watch, office->readers, 0}, /* a terminal's readers */
        {SYS_inotify_rm_watch, office->readers, 0},
        {SYS_ioctl, -1, TIOCSPTLCK}, /* cons_pty_open() */
        {SYS_ioctl, -1, TIOCGPTN},
        {SYS_ioctl, office->events, IOCTL_EVTCHN_BIND_INTERDOMAIN},
        {SYS_ioctl, office->events, IOCTL_EVTCHN_UNBIND},
        {SYS_ioctl, office->grants, IOCTL_GNTDEV_MAP_GRANT_REF},
        /* The last, only with metrics: who asks (lib/metrics_http.h). */
        ANY(accept4),
        ANY(recvfrom),
        ANY(sendto),
        ANY(shutdown),
    };
    const unsigned int first = office->entrance >= 0 ? 0 : 1;
    const unsigned int last =
        sizeof(rules) / sizeof(rules[0]) - (office->metrics ? 0 : NR_METRICS_RULES);
    const struct sandbox_call calls[] = {
        /* Memory that cannot be executed, and of no file or device: no guest's page. */
        {SYS_mmap,
         {{.arg = 2, .mask = PROT_EXEC, .value = 0},
          {.arg = 3, .mask = MAP_ANONYMOUS, .value = MAP_ANONYMOUS}}},
        {SYS_mprotect, {{.arg = 2, .mask = PROT_EXEC, .value = 0}}},
        /* cons_pty_open(): nothing can be created or cut short with these flags */
        {SYS_openat,
         {{.arg = 0, .mask = 0xffffffffU, .value = (uint32_t)AT_FDCWD},
          {.arg = 2, .mask = 0xffffffffU, .value = O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC}}},
        /* conf_reload(): what this user may read, and nothing is changed */
        {SYS_openat,
         {{.arg = 0, .mask = 0xffffffffU, .value = (uint32_t)AT_FDCWD},
          {.arg = 2, .mask = 0xffffffffU, .value = O_RDONLY | O_NONBLOCK | O_CLOEXEC}}},
        /* sd_notify(): a message of its own each time, over a socket that is not connected */
        {SYS_socket, {{.arg = 0, .mask = 0xffffffffU, .value = AF_UNIX}}},
    };
    const struct sandbox_filter filter = {
        .rules = rules + first,
        .nr_rules = last - first,
        .calls = calls,
        .nr_calls = sizeof(calls) / sizeof(calls[0]),
    };

    return sandbox_load(&filter);
}
