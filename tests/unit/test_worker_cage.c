/*
 * From the inside of a worker's cage: a child enters it by the rules of a real worker and tries one
 * thing that it must not be able to do. If it can, the test fails. Needs root, as a worker does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xen/sys/gntdev.h>

#include "../../backend-daemons/block/blk_worker.h"
#include "../../backend-daemons/net/net_worker.h"

enum { CAGED_UID = 70001, CANNOT_ENTER = 90, NOT_AS_WANTED = 91 };

static const struct worker_class *const classes[] = {&blk_worker_class, &net_worker_class};
static struct worker worker; /* its descriptors are all /dev/null's */
static int gntdev_fd, other_fd;
static char empty[] = "/tmp/duet-test-cage-XXXXXX";

/* Each returns whether the cage is as it should be, if it returns at all. */
typedef bool attempt_fn(void);

static bool opens_a_file(void)
{
    return open("/", O_RDONLY) < 0;
}

static bool makes_a_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) < 0;
}

static bool starts_a_program(void)
{
    char *const none[] = {NULL};

    return execve("/bin/true", none, none) < 0;
}

static bool starts_a_process(void)
{
    return syscall(SYS_fork) < 0;
}

static bool kills(void)
{
    return kill(getppid(), 0) < 0;
}

static bool traces(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0;
}

static bool maps_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
           MAP_FAILED;
}

static bool makes_memory_executable(void)
{
    return mprotect((void *)((uintptr_t)&worker & ~4095UL), 4096, PROT_READ | PROT_EXEC) < 0;
}

static bool maps_a_grant(void)
{
    return ioctl(gntdev_fd, IOCTL_GNTDEV_MAP_GRANT_REF, NULL) < 0;
}

static bool writes_to_another_descriptor(void)
{
    return write(other_fd, "x", 1) < 0;
}

static bool becomes_root(void)
{
    return setuid(0) < 0;
}

static bool leaves_its_root(void)
{
    return chroot("..") < 0;
}

static bool takes_the_lid_off(void)
{
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0;
}

static bool raises_a_limit(void)
{
    const struct rlimit limit = {64, 64};

    return setrlimit(RLIMIT_NOFILE, &limit) < 0;
}

static bool sets_up_another_ring(void)
{
    return syscall(SYS_io_uring_setup, 8, NULL) < 0;
}

static bool registers_with_its_ring(void)
{
    return syscall(SYS_io_uring_register, worker.uring.ring_fd, 0, NULL, 0) < 0;
}

/* A disk's worker may pin its buffers, which is the one thing that it may register. */
static bool pins_a_buffer(void)
{
    const struct io_uring_rsrc_update2 update = {.nr = 1};

    return syscall(SYS_io_uring_register, worker.uring.ring_fd, IORING_REGISTER_BUFFERS_UPDATE,
                   &update, sizeof(update)) < 0;
}

static bool pins_a_buffer_elsewhere(void)
{
    return syscall(SYS_io_uring_register, other_fd, IORING_REGISTER_BUFFERS_UPDATE, NULL, 0) < 0;
}

/* What the filter lets pass works: it is no cage in which nothing can be done. */
static bool copies_a_grant(void)
{
    return ioctl(gntdev_fd, IOCTL_GNTDEV_GRANT_COPY, NULL) < 0 && errno == ENOTTY &&
           write(STDERR_FILENO, "", 0) == 0;
}

static int prepare(void **state)
{
    (void)state;
    if (mkdtemp(empty) == NULL) {
        return 1;
    }
    chmod(empty, 0555);
    gntdev_fd = open("/dev/null", O_RDWR);
    other_fd = open("/dev/null", O_RDWR);
    worker.gntdev_fd = gntdev_fd;
    worker.evtchn_fd = open("/dev/null", O_RDWR);
    worker.uring.ring_fd = open("/dev/null", O_RDWR);
    worker.fds[0] = open("/dev/null", O_RDWR);
    return other_fd < 0;
}

static int tidy(void **state)
{
    (void)state;
    return rmdir(empty);
}

/* A child enters the cage of a class and tries. Returns its wait status. */
static int in_cage(const struct worker_class *class, attempt_fn *attempt)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        struct sandbox_rule rules[WORKER_RULES_MAX];
        const char *stage;

        worker.class = class;
        if (sandbox_enter(CAGED_UID, empty, rules, worker_rules(&worker, rules), &stage) != 0) {
            _exit(CANNOT_ENTER);
        }
        syscall(SYS_exit_group, attempt() ? 0 : NOT_AS_WANTED);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void what_no_worker_needs_kills_it(void **state)
{
    static attempt_fn *const attempts[] = {opens_a_file,
                                           makes_a_socket,
                                           starts_a_program,
                                           starts_a_process,
                                           kills,
                                           traces,
                                           maps_code,
                                           makes_memory_executable,
                                           maps_a_grant,
                                           becomes_root,
                                           writes_to_another_descriptor,
                                           leaves_its_root,
                                           takes_the_lid_off,
                                           raises_a_limit,
                                           sets_up_another_ring,
                                           registers_with_its_ring,
                                           pins_a_buffer_elsewhere};

    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    for (unsigned int c = 0; c < 2; c++) {
        for (unsigned int i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
            int status = in_cage(classes[c], attempts[i]);

            if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS) {
                fail_msg("attempt %u in the cage of %s: wait status %#x", i,
                         classes[c]->wire->daemon, (unsigned int)status);
            }
        }
    }
}

static void what_a_worker_needs_works(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    for (unsigned int c = 0; c < 2; c++) {
        assert_int_equal(in_cage(classes[c], copies_a_grant), 0);
    }
    assert_int_equal(in_cage(&blk_worker_class, pins_a_buffer), 0);
    assert_int_equal(WTERMSIG(in_cage(&net_worker_class, pins_a_buffer)), SIGSYS);
}

/* The ring itself, too: it takes buffers, and no files, though the filter is not there. */
static void a_ring_takes_nothing_but_buffers(void **state)
{
    static _Alignas(4096) uint8_t page[4096];
    int fd = memfd_create("duet-test-image", 0);
    const struct blk_engine_files files = {.image = fd, .lock = fd, .log = -1};
    struct io_uring ring;

    (void)state;
    assert_int_equal(blk_engine_open(&ring, 8, &files, false), 0);
    assert_int_equal(blk_engine_pin(&ring, 0, page, sizeof(page)), 0);
    assert_int_equal(blk_engine_pin(&ring, BLK_ENGINE_PINS, page, sizeof(page)), -EINVAL);
    assert_int_equal(io_uring_register_files_update(&ring, 0, &fd, 1), -EACCES);
    assert_int_equal(io_uring_unregister_files(&ring), -EACCES);
    io_uring_queue_exit(&ring);
    close(fd);
}

/* The line of /proc/PID/FILE that begins with `key`, without it and the blanks behind it. */
static void proc_line(pid_t pid, const char *file, const char *key, char *out, int size)
{
    char path[32], line[256];
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
    f = fopen(path, "re");
    assert_non_null(f);
    out[0] = '\0';
    while (fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0) {
            snprintf(out, (size_t)size, "%s",
                     line + strlen(key) + strspn(line + strlen(key), " \t"));
            out[strcspn(out, "\n")] = '\0';
        }
    }
    fclose(f);
}

static void nothing_of_root_is_left(void **state)
{
    static const struct {
        const char *file, *key, *want;
    } lines[] = {{"status", "Seccomp:", "2"},
                 {"status", "NoNewPrivs:", "1"},
                 {"status", "Uid:", "70001\t70001\t70001\t70001"},
                 {"status", "Gid:", "70001\t70001\t70001\t70001"},
                 {"status", "CapInh:", "0000000000000000"},
                 {"status", "CapPrm:", "0000000000000000"},
                 {"status", "CapEff:", "0000000000000000"},
                 {"status", "CapBnd:", "0000000000000000"},
                 {"status", "CapAmb:", "0000000000000000"},
                 {"limits", "Max open files", "0 "},
                 {"limits", "Max core file size", "0 "}};
    char path[64], text[256];
    int waits_on[2];
    ssize_t n;
    pid_t pid;

    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, waits_on), 0);
    pid = fork();
    if (pid == 0) {
        struct sandbox_rule rules[WORKER_RULES_MAX];
        const char *stage;
        char c;

        worker.class = &blk_worker_class;
        if (waits_on[0] == CHILD_SOCKET_FD) {
            _exit(CANNOT_ENTER);
        }
        dup2(waits_on[1], CHILD_SOCKET_FD);
        close(waits_on[0]); /* so that it does not outlive a test that fails */
        close(waits_on[1]);
        if (sandbox_enter(CAGED_UID, empty, rules, worker_rules(&worker, rules), &stage) != 0) {
            _exit(CANNOT_ENTER);
        }
        send(CHILD_SOCKET_FD, "in", 2, 0);
        recv(CHILD_SOCKET_FD, &c, 1, 0); /* it may wait with that */
        syscall(SYS_exit_group, 0);
    }
    close(waits_on[1]);
    assert_int_equal(recv(waits_on[0], text, sizeof(text), 0), 2);
    for (unsigned int i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        proc_line(pid, lines[i].file, lines[i].key, text, sizeof(text));
        assert_memory_equal(text, lines[i].want, strlen(lines[i].want));
    }
    snprintf(path, sizeof(path), "/proc/%d/root", pid);
    n = readlink(path, text, sizeof(text) - 1);
    assert_true(n > 0);
    text[n] = '\0';
    assert_string_equal(text, empty);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(waits_on[0]);
}

/* D5, D11: what an administrator sends does nothing, and the image cannot be made longer. */
static void signals_and_sizes(void **state)
{
    static const int sent[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGUSR1, SIGUSR2,
                               SIGPIPE, SIGALRM, SIGXFSZ, SIGTSTP, SIGTERM};
    const struct blk_wire_config config = {.sectors = 8};
    int fd = memfd_create("duet-test-image", 0), status;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        char page[4096] = {0};

        if (worker_prepare_signals(&worker) != 0 || blk_worker_limit(&config) != 0) {
            _exit(CANNOT_ENTER);
        }
        for (unsigned int i = 0; i < sizeof(sent) / sizeof(sent[0]); i++) {
            raise(sent[i]);
        }
        _exit(pwrite(fd, page, sizeof(page), 0) == 4096 &&
                      pwrite(fd, page, sizeof(page), 4096) < 0 && errno == EFBIG
                  ? 0
                  : NOT_AS_WANTED);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(fd);
}

/* What the ring of a disk makes of a discard. */
static int discard(int fd, bool offered)
{
    const struct blk_engine_files files = {.image = fd, .lock = fd, .log = -1};
    struct uring_event event = {.res = 1};
    struct io_uring ring;

    assert_int_equal(blk_engine_open(&ring, 8, &files, offered), 0);
    blk_engine_discard(&ring, 0, 4096, 1);
    assert_int_equal(uring_submit(&ring, UINT64_MAX), 0);
    assert_true(uring_next(&ring, &event));
    io_uring_queue_exit(&ring);
    return event.res;
}

/* RLIMIT_FSIZE does not hold all that fallocate(2) can do. */
static void space_is_touched_only_where_discard_is_offered(void **state)
{
    int fd = memfd_create("duet-test-image", 0);

    (void)state;
    assert_int_equal(ftruncate(fd, 8192), 0);
    assert_int_equal(discard(fd, true), 0);
    assert_int_equal(discard(fd, false), -EACCES);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_no_worker_needs_kills_it),
        cmocka_unit_test(what_a_worker_needs_works),
        cmocka_unit_test(nothing_of_root_is_left),
        cmocka_unit_test(signals_and_sizes),
        cmocka_unit_test(a_ring_takes_nothing_but_buffers),
        cmocka_unit_test(space_is_touched_only_where_discard_is_offered),
    };

    return cmocka_run_group_tests(tests, prepare, tidy);
}
