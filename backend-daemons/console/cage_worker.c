/*
 * The worker's cage: see cage_worker.h. Each system call stands beside what needs it.
 */
#include "cage_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/gntdev.h>
#include <xen/sys/privcmd.h>

#include "child.h"
#include "sandbox.h"

/* An argument of type int: the upper half of its register means nothing. */
#define INT_MASK 0xffffffffULL
#define INT(number, is)                                            \
    {                                                              \
        .arg = (number), .mask = INT_MASK, .value = (uint32_t)(is) \
    }
/* No bit of `bits`. */
#define NONE_OF(number, bits)                       \
    {                                               \
        .arg = (number), .mask = (bits), .value = 0 \
    }
#define ALL_OF(number, bits)                             \
    {                                                    \
        .arg = (number), .mask = (bits), .value = (bits) \
    }

#define LOG_FLAGS (O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC)

#define RULES_MAX 40U

/* Appends rules to a list that is large enough. */
static unsigned int append(struct sandbox_rule *list, unsigned int nr,
                           const struct sandbox_rule *more, unsigned int nr_more)
{
    memcpy(list + nr, more, nr_more * sizeof(*more));
    return nr + nr_more;
}

/* What is permitted by descriptor and command. Returns how many rules there are. */
static unsigned int fill_rules(const struct cons_cage *cage, struct sandbox_rule list[RULES_MAX])
{
    const struct sandbox_rule rules[] = {
        {SYS_brk, -1, 0},                         /* malloc(): histories, replays, streams */
        {SYS_munmap, -1, 0},                      /* the same; cons_page_unmap() */
        {SYS_mremap, -1, 0},                      /* realloc(): the loop's timers */
        {SYS_clock_gettime, -1, 0},               /* loop_now_ns(), without vDSO */
        {SYS_epoll_wait, -1, 0},                  /* loop_run() */
        {SYS_epoll_ctl, -1, 0},                   /* loop_fd_add() and its like */
        {SYS_poll, -1, 0},                        /* cons_pty_has_reader() */
        {SYS_read, -1, 0},                        /* terminals, event channels, inotify */
        {SYS_write, -1, 0},                       /* terminals, logs, event channels, log_msg() */
        {SYS_pread64, -1, 0},                     /* cons_log_tail() */
        {SYS_close, -1, 0},                       /* terminals, logs */
        {SYS_unlinkat, cage->logs, 0},            /* rotate() */
        {SYS_inotify_rm_watch, cage->readers, 0}, /* cons_readers_del() */
        {SYS_recvmsg, CHILD_SOCKET_FD, 0},        /* on_supervisor() */
        {SYS_sendto, CHILD_SOCKET_FD, 0},         /* report() */
        {SYS_ioctl, cage->events, IOCTL_EVTCHN_NOTIFY},          /* cons_port_notify() */
        {SYS_ioctl, cage->grants, IOCTL_GNTDEV_UNMAP_GRANT_REF}, /* cons_page_unmap() */
        {SYS_ioctl, -1, TIOCGPTPEER},                            /* cons_pty_reset() */
        {SYS_ioctl, -1, TCFLSH},                                 /* the same */
        {SYS_ioctl, -1, TCGETS},                                 /* the same */
        {SYS_ioctl, -1, TCSETS},                                 /* the same */
        {SYS_restart_syscall, -1, 0},                            /* after a stop and a go */
        {SYS_exit_group, -1, 0},
    };
    const struct sandbox_rule foreign[] = {
        {SYS_ioctl, -1, IOCTL_PRIVCMD_MMAPBATCH},
        {SYS_ioctl, -1, IOCTL_PRIVCMD_MMAPBATCH_V2},
    };
    unsigned int nr = append(list, 0, rules, sizeof(rules) / sizeof(rules[0]));

    return cage->foreign ? append(list, nr, foreign, sizeof(foreign) / sizeof(foreign[0])) : nr;
}

int cons_cage_filter(const struct cons_cage *cage)
{
    struct sandbox_rule rules[RULES_MAX];
    const struct sandbox_call calls[] = {
        /* open_log() */
        {SYS_openat, {INT(0, cage->logs), INT(2, LOG_FLAGS)}},
        /* open_log(), whose fstat() this is: of a descriptor, whatever the path */
        {SYS_newfstatat, {INT(3, AT_EMPTY_PATH)}},
        /* rotate() */
        {SYS_renameat, {INT(0, cage->logs), INT(2, cage->logs)}},
        /* malloc() of much at once */
        {SYS_mmap, {NONE_OF(2, PROT_EXEC), ALL_OF(3, MAP_ANONYMOUS)}},
        /* cons_page_map() */
        {SYS_mmap, {NONE_OF(2, PROT_EXEC), INT(4, cage->grants)}},
        /* free() of much at once */
        {SYS_madvise, {INT(2, MADV_DONTNEED)}},
        /* xenforeignmemory_map(), the last: only with --foreign-map */
        {SYS_mmap, {NONE_OF(2, PROT_EXEC)}},
    };
    const unsigned int nr_calls = sizeof(calls) / sizeof(calls[0]);
    const struct sandbox_filter filter = {
        .rules = rules,
        .nr_rules = fill_rules(cage, rules),
        .calls = calls,
        .nr_calls = cage->foreign ? nr_calls : nr_calls - 1,
    };

    return sandbox_load(&filter);
}

int cons_cage_enter(const struct cons_cage *cage, const char **stage)
{
    struct rlimit files = {0, 0};
    struct sandbox_bounds bounds = {.uid = cage->uid, .gid = cage->gid, .root = "."};
    int err;

    *stage = "entering the directory of the logs";
    if (fchdir(cage->logs) < 0 || getrlimit(RLIMIT_NOFILE, &files) < 0) {
        return -errno;
    }
    bounds.descriptors = (unsigned int)files.rlim_max;
    err = sandbox_drop(&bounds, stage);
    if (err == 0) {
        *stage = "loading the system-call filter";
        err = cons_cage_filter(cage);
    }
    return err;
}
