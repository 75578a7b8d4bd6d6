/*
 * The two cages of the console daemon, entered by a forked child: what must be possible works, and
 * what must not be ends the process with SIGSYS. If the filter is taken out, every refusal turns
 * red. As root the worker's whole cage is entered, with user and root directory; otherwise only the
 * filter.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/gntdev.h>
#include <xen/sys/privcmd.h>

#include "cage_supervisor.h"
#include "cage_worker.h"
#include "child.h"
#include "log.h"
#include "logfile.h"
#include "loop.h"
#include "metrics_http.h"
#include "notify.h"
#include "pty.h"

#define DONE    0
#define FAILURE 9

/* Ordinary files stand for devices: the filter looks at numbers. */
static struct cons_cage cage;
static struct cons_office office;
static char logs_path[] = "/tmp/duet-cage-XXXXXX";

static int setup(void **state)
{
    (void)state;
    log_prepare();
    if (mkdtemp(logs_path) == NULL || chmod(logs_path, 0777) < 0) {
        return -1;
    }
    cage = (struct cons_cage){
        .uid = 65534,
        .gid = 65534,
        .events = open("/dev/null", O_RDWR),
        .grants = open("/dev/zero", O_RDWR),
        .readers = inotify_init1(IN_NONBLOCK),
        .logs = open(logs_path, O_RDONLY | O_DIRECTORY),
    };
    office = (struct cons_office){.events = cage.events,
                                  .grants = cage.grants,
                                  .readers = cage.readers,
                                  .worker = 0,
                                  .entrance = -1};
    return cage.logs < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    char command[64];

    (void)state;
    snprintf(command, sizeof(command), "rm -r %s", logs_path);
    return system(command);
}

static void enter_worker(void)
{
    const char *stage = "";
    int err;

    if (geteuid() == 0) {
        err = cons_cage_enter(&cage, &stage);
    } else {
        err = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? cons_cage_filter(&cage) : -errno;
    }
    if (err != 0) {
        dprintf(STDERR_FILENO, "cannot enter the cage: %s: %s\n", stage, strerror(-err));
        _exit(FAILURE);
    }
}

static void enter_supervisor(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || cons_office_filter(&office) != 0) {
        _exit(FAILURE);
    }
}

/* The wait status of a child that enters a cage and then calls act(arg). */
static int status_of(void (*enter)(void), void (*act)(const void *arg), const void *arg)
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        enter();
        act(arg);
        syscall(SYS_exit_group, DONE);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* A system call with its arguments; a descriptor is looked up in the child. */
struct attempt {
    const char *what;
    long nr;
    long args[6];
};

static void make_call(const void *arg)
{
    const struct attempt *a = arg;

    syscall(a->nr, a->args[0], a->args[1], a->args[2], a->args[3], a->args[4], a->args[5]);
}

static void expect_refused(void (*enter)(void), const struct attempt *a, size_t nr)
{
    for (size_t i = 0; i < nr; i++) {
        int status = status_of(enter, make_call, &a[i]);

        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS) {
            fail_msg("%s was not refused: wait status %#x", a[i].what, (unsigned int)status);
        }
    }
}

#define PATH(text) (long)(uintptr_t)(text)
#define MEMORY     (PROT_READ | PROT_WRITE)
#define PRIVATE    (MAP_PRIVATE | MAP_ANONYMOUS)

/* What nobody needs who was not taken over: for both halves. */
static const struct attempt nobody[] = {
    {"execve", SYS_execve, {PATH("/bin/true")}},
    {"execveat", SYS_execveat, {AT_FDCWD, PATH("/bin/true")}},
    {"fork", SYS_fork, {0}},
    {"clone", SYS_clone, {SIGCHLD}},
    {"clone3", SYS_clone3, {0}},
    {"ptrace", SYS_ptrace, {0}},
    {"process_vm_readv", SYS_process_vm_readv, {1}},
    {"process_vm_writev", SYS_process_vm_writev, {1}},
    {"kill", SYS_kill, {1, 0}},
    {"tgkill", SYS_tgkill, {1, 1, 0}},
    {"setuid", SYS_setuid, {0}},
    {"setresuid", SYS_setresuid, {0}},
    {"capset", SYS_capset, {0}},
    {"mount", SYS_mount, {0}},
    {"chroot", SYS_chroot, {PATH("/")}},
    {"pivot_root", SYS_pivot_root, {0}},
    {"unshare", SYS_unshare, {0}},
    {"bpf", SYS_bpf, {0}},
    {"io_uring_setup", SYS_io_uring_setup, {1}},
    {"perf_event_open", SYS_perf_event_open, {0}},
    {"keyctl", SYS_keyctl, {0}},
    {"userfaultfd", SYS_userfaultfd, {0}},
    {"an IPv4 socket", SYS_socket, {AF_INET, SOCK_STREAM, 0}},
    {"a netlink socket", SYS_socket, {AF_NETLINK, SOCK_RAW, 0}},
    {"connect", SYS_connect, {0}},
    {"bind", SYS_bind, {0}},
    {"open of /etc/shadow", SYS_open, {PATH("/etc/shadow"), O_RDONLY}},
    {"openat of /etc/shadow", SYS_openat, {AT_FDCWD, PATH("/etc/shadow"), O_RDONLY}},
    {"memory to execute", SYS_mmap, {0, 4096, MEMORY | PROT_EXEC, PRIVATE, -1}},
    {"a new file", SYS_openat, {AT_FDCWD, PATH("/tmp/x"), O_RDWR | O_CREAT, 0600}},
    {"typing into a terminal", SYS_ioctl, {0, TIOCSTI}},
    {"a hypercall", SYS_ioctl, {0, IOCTL_PRIVCMD_HYPERCALL}},
    {"memory of a guest by its frame", SYS_ioctl, {0, IOCTL_PRIVCMD_MMAPBATCH_V2}},
    {"a copy by grant", SYS_ioctl, {0, IOCTL_GNTDEV_GRANT_COPY}},
};

static void nobody_gets_out(void **state)
{
    (void)state;
    expect_refused(enter_worker, nobody, sizeof(nobody) / sizeof(nobody[0]));
    expect_refused(enter_supervisor, nobody, sizeof(nobody) / sizeof(nobody[0]));
}

static void the_worker_has_only_what_it_was_given(void **state)
{
    const struct attempt attempts[] = {
        {"a grant", SYS_ioctl, {cage.grants, IOCTL_GNTDEV_MAP_GRANT_REF}},
        {"a channel", SYS_ioctl, {cage.events, IOCTL_EVTCHN_BIND_INTERDOMAIN}},
        {"closing a channel", SYS_ioctl, {cage.events, IOCTL_EVTCHN_UNBIND}},
        {"a kick elsewhere", SYS_ioctl, {cage.grants, IOCTL_EVTCHN_NOTIFY}},
        {"a log to be cut", SYS_openat, {cage.logs, PATH("x"), O_RDWR | O_CREAT | O_TRUNC, 0600}},
        {"a link followed", SYS_openat, {cage.logs, PATH("x"), O_RDWR | O_CREAT | O_APPEND, 0600}},
        {"the parent's directory", SYS_openat, {AT_FDCWD, PATH(".."), O_RDONLY}},
        {"a file renamed away", SYS_renameat, {cage.logs, PATH("x"), AT_FDCWD, PATH("/tmp/x")}},
        {"a file removed elsewhere", SYS_unlinkat, {AT_FDCWD, PATH("/tmp/x"), 0}},
        {"memory of another file", SYS_mmap, {0, 4096, MEMORY, MAP_SHARED, cage.logs, 0}},
        {"memory made executable", SYS_mprotect, {0, 4096, PROT_READ | PROT_EXEC}},
        {"the ring to execute", SYS_mmap, {0, 4096, PROT_EXEC, MAP_SHARED, cage.grants, 0}},
        {"a unix socket", SYS_socket, {AF_UNIX, SOCK_DGRAM, 0}},
        {"a message to a socket by name", SYS_sendmsg, {CHILD_SOCKET_FD, 0, 0}},
        {"accepting who knocks", SYS_accept4, {CHILD_SOCKET_FD, 0, 0, 0}},
        {"who is at the other end", SYS_getsockopt, {CHILD_SOCKET_FD, SOL_SOCKET, SO_PEERCRED}},
        {"a terminal of its own", SYS_openat, {AT_FDCWD, PATH("/dev/ptmx"), O_RDWR}},
        {"a watch on a file", SYS_inotify_add_watch, {cage.readers, PATH("/"), IN_OPEN}},
        {"the mode of a file", SYS_fchmod, {cage.logs, 0777}},
    };

    (void)state;
    expect_refused(enter_worker, attempts, sizeof(attempts) / sizeof(attempts[0]));
}

static void the_supervisor_has_no_guest(void **state)
{
    const struct attempt attempts[] = {
        {"the memory of a grant", SYS_mmap, {0, 4096, MEMORY, MAP_SHARED, cage.grants, 0}},
        {"a grant elsewhere", SYS_ioctl, {cage.events, IOCTL_GNTDEV_MAP_GRANT_REF}},
        {"a log", SYS_openat, {cage.logs, PATH("x"), O_RDWR | O_CREAT | O_APPEND, 0600}},
        {"a file to be written", SYS_openat, {AT_FDCWD, PATH("/tmp/x"), O_WRONLY | O_CREAT, 0600}},
        {"memory made executable", SYS_mprotect, {0, 4096, PROT_READ | PROT_EXEC}},
        {"a rename", SYS_renameat, {cage.logs, PATH("x"), cage.logs, PATH("y")}},
        {"reading at an offset", SYS_pread64, {0}},
    };

    (void)state;
    expect_refused(enter_supervisor, attempts, sizeof(attempts) / sizeof(attempts[0]));
}

static void require(bool good)
{
    if (!good) {
        syscall(SYS_exit_group, FAILURE);
    }
}

/* All of a worker's life with a log that is rotated, a terminal, memory, the loop, a message. */
static void live_as_worker(const void *arg)
{
    const struct cons_pty *pty = arg;
    struct cons_pty own = *pty;
    struct cons_logs logs;
    struct cons_log *log;
    char *much = malloc(1 << 20), tail[64];

    require(cons_logs_open(&logs, cage.logs, "logs", 4, 1) == 0 && much != NULL);
    log = cons_log_get(&logs, "g1");
    require(log != NULL && cons_log_write(&logs, log, "1111", 4) == 0);
    logs.stamps = true;
    require(cons_log_write(&logs, log, "2222", 4) == 0);
    require(cons_log_tail(&logs, log, tail, sizeof(tail)) == 4);
    cons_logs_reopen(&logs);
    cons_log_put(&logs, log);
    free(much);
    require(cons_pty_reset(&own) == 0 && !cons_pty_has_reader(&own));
    require(write(own.master, "x", 1) == 1);
    require(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, cage.grants, 0) != MAP_FAILED);
    require(loop_now_ns() != 0);
    log_msg(LOG_INFO, NULL, "from inside of the cage");
}

static void the_worker_can_do_its_work(void **state)
{
    struct cons_pty pty;
    char path[CONS_TTY_MAX];

    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* its malloc() makes calls that the C library's does not */
#endif
    assert_int_equal(cons_pty_open(&pty, path), 0);
    assert_int_equal(status_of(enter_worker, live_as_worker, &pty), 0);
    cons_pty_close(&pty);
}

static void stop_at_once(void *arg)
{
    loop_stop(arg, 0);
}

/* A terminal, its watch, and what the service manager is told, watchdog and all. */
static void live_as_supervisor(const void *arg)
{
    struct loop *loop = (struct loop *)arg;
    struct loop_timer timer = {0};
    struct cons_pty pty;
    char path[CONS_TTY_MAX];

    require(cons_pty_open(&pty, path) == 0);
    require(inotify_add_watch(office.readers, path, IN_OPEN) >= 0);
    notify_ready(loop);
    loop_timer_set(loop, &timer, 1000000, stop_at_once, loop);
    require(loop_run(loop) == 0);
    notify_stopping();
    cons_pty_close(&pty);
    log_msg(LOG_INFO, NULL, "from inside of the office");
}

static void the_supervisor_can_do_its_work(void **state)
{
    struct loop *loop = loop_new();

    (void)state;
    assert_non_null(loop);
    setenv("NOTIFY_SOCKET", "@duet-test-nobody-listens", 1);
    setenv("WATCHDOG_USEC", "30000000", 1);
    assert_int_equal(status_of(enter_supervisor, live_as_supervisor, loop), 0);
    loop_free(loop);
}

static char *figures(void *arg, unsigned long *len)
{
    (void)arg;
    *len = 10;
    return strdup("figures 1\n");
}

/* Somebody has asked for figures before. */
static void tell_figures(const void *arg)
{
    struct loop *loop = (struct loop *)arg;
    struct loop_timer timer = {0};

    loop_timer_set(loop, &timer, 100000000, stop_at_once, loop);
    require(loop_run(loop) == 0);
}

static void figures_are_told_if_they_are_wanted(void **state)
{
    static const char question[] = "GET /metrics HTTP/1.0\r\n\r\n";
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct metrics_server server = {.http = NULL};
    struct loop *loop = loop_new();
    char answer[1024] = "", why[256];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)state;
    snprintf(name.sun_path, sizeof(name.sun_path), "%s/metrics", logs_path);
    assert_int_equal(metrics_open(&server, loop, name.sun_path, figures, NULL, why, sizeof(why)),
                     0);
    assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
    assert_int_equal(write(fd, question, strlen(question)), strlen(question));
    assert_int_equal(WTERMSIG(status_of(enter_supervisor, tell_figures, loop)), SIGSYS);
    office.metrics = true;
    assert_int_equal(status_of(enter_supervisor, tell_figures, loop), 0);
    office.metrics = false;
    assert_true(recv(fd, answer, sizeof(answer) - 1, MSG_WAITALL) > 0);
    assert_non_null(strstr(answer, "figures 1"));
    close(fd);
    metrics_close(&server);
    loop_free(loop);
}

/* Somebody has knocked before. */
static void let_in(const void *arg)
{
    (void)arg;
    require(accept4(office.entrance, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) >= 0);
}

/* The supervisor accepts at its own entrance only, and only if there is one. */
static void readers_are_let_in_at_the_entrance(void **state)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const struct attempt elsewhere = {"accepting elsewhere", SYS_accept4, {0, 0, 0, 0}};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0), entrance = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    (void)state;
    snprintf(name.sun_path, sizeof(name.sun_path), "%s/entrance", logs_path);
    assert_int_equal(bind(entrance, (struct sockaddr *)&name, sizeof(name)), 0);
    assert_int_equal(listen(entrance, 1), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
    expect_refused(enter_supervisor, &elsewhere, 1);
    office.entrance = entrance;
    expect_refused(enter_supervisor, &elsewhere, 1);
    assert_int_equal(status_of(enter_supervisor, let_in, NULL), 0);
    office.entrance = -1;
    close(entrance);
    close(fd);
}

/* With --foreign-map the worker may map frames of guests, and still nothing to execute. */
static void foreign_mapping_is_there_only_if_asked_for(void **state)
{
    const struct attempt to_execute[] = {
        {"memory to execute", SYS_mmap, {0, 4096, MEMORY | PROT_EXEC, PRIVATE, -1}},
        {"a hypercall", SYS_ioctl, {0, IOCTL_PRIVCMD_HYPERCALL}},
    };
    const struct attempt frame = {"a frame", SYS_ioctl, {0, IOCTL_PRIVCMD_MMAPBATCH_V2}};

    (void)state;
    cage.foreign = true;
    assert_int_equal(status_of(enter_worker, make_call, &frame), 0);
    expect_refused(enter_worker, to_execute, 2);
    cage.foreign = false;
    expect_refused(enter_worker, &frame, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_gets_out),
        cmocka_unit_test(the_worker_has_only_what_it_was_given),
        cmocka_unit_test(the_supervisor_has_no_guest),
        cmocka_unit_test(the_worker_can_do_its_work),
        cmocka_unit_test(the_supervisor_can_do_its_work),
        cmocka_unit_test(figures_are_told_if_they_are_wanted),
        cmocka_unit_test(readers_are_let_in_at_the_entrance),
        cmocka_unit_test(foreign_mapping_is_there_only_if_asked_for),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
