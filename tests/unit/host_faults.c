/*
 * Faults of the host: see host_faults.h. The table says which calls fail, and how.
 */
#include "host_faults.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xenstore.h>

enum {
    ERRORS_MAX = 6,
    SAMPLE = 130,      /* faults that are tried unless `all` are */
    TOGETHER = 6,      /* lives at once: most of one is waiting */
    TICKS_SHORT = 20,  /* milliseconds after which short timers fire, */
    TICKS_LONG = 4000, /* those of all kinds, */
    TICKS_MAX = 40000, /* and after which it is a wait without end */
    LIFE_SECONDS = 120,
    REACHED = 4711,
    FAILED = 99, /* exit status of a life */
};

/* name, and the errors */
#define FAULT_TABLE(X)                                       \
    X(socketpair, EMFILE, ENFILE, ENOMEM)                    \
    X(socket, EMFILE, ENOMEM)                                \
    X(bind, ENOMEM)                                          \
    X(posix_spawn, EAGAIN, ENOMEM)                           \
    X(posix_spawn_file_actions_init, ENOMEM)                 \
    X(posix_spawn_file_actions_adddup2, ENOMEM)              \
    X(posix_spawn_file_actions_addopen, ENOMEM)              \
    X(syscall, EMFILE, ENOMEM)                               \
    X(epoll_create1, EMFILE, ENOMEM)                         \
    X(epoll_ctl, ENOMEM, ENOSPC)                             \
    X(epoll_wait, EINTR)                                     \
    X(signalfd, EMFILE, ENOMEM)                              \
    X(memfd_create, EMFILE, ENFILE, ENOMEM)                  \
    X(ftruncate, EINTR, ENOMEM, ENOSPC)                      \
    X(fcntl, EMFILE, ENOMEM)                                 \
    X(mmap, ENOMEM, EAGAIN)                                  \
    X(sendmsg, EAGAIN, ENOMEM, ENOBUFS, ETOOMANYREFS, EINTR) \
    X(recv, EINTR, EAGAIN, ENOMEM)                           \
    X(waitid, EINTR)                                         \
    X(waitpid, EINTR)                                        \
    X(prlimit, EAGAIN, EPERM)                                \
    X(open, EMFILE, ENFILE, ENOMEM, EINTR, EIO)              \
    X(openat, EMFILE, ENOMEM)                                \
    X(fopen, EMFILE, ENOMEM)                                 \
    X(access, ENOMEM, EIO)                                   \
    X(ioctl, ENOMEM, EINTR, EIO)                             \
    X(if_nametoindex, EMFILE)                                \
    X(if_nameindex, EMFILE, ENOBUFS)                         \
    X(read, EINTR, EAGAIN, EIO)                              \
    X(calloc, ENOMEM)                                        \
    X(malloc, ENOMEM)                                        \
    X(strdup, ENOMEM)                                        \
    X(asprintf, ENOMEM)                                      \
    X(inotify_add_watch, ENOMEM, ENOSPC)                     \
    X(xs_read, ENOMEM)                                       \
    X(xs_write, ENOMEM, ENOSPC)                              \
    X(xs_rm, ENOMEM)                                         \
    X(xs_directory, ENOMEM)                                  \
    X(xs_transaction_start, ENOMEM, ENOSPC)                  \
    X(xs_transaction_end, ENOMEM, EAGAIN)                    \
    X(xs_watch, ENOMEM, ENOSPC)                              \
    X(xs_check_watch, ENOMEM, EINTR)

enum fault_call {
#define X(name, ...) CALL_##name,
    FAULT_TABLE(X)
#undef X
        NR_CALLS
};

static const struct {
    const char *name;
    int errors[ERRORS_MAX];
} calls[NR_CALLS] = {
#define X(name, ...) [CALL_##name] = {#name, {__VA_ARGS__}},
    FAULT_TABLE(X)
#undef X
};

struct fault {
    int call; /* -1: none */
    unsigned int nth;
    int error;
};

/* What the lives, each in its process, tell the program. */
static struct {
    unsigned int counts[NR_CALLS]; /* of the first life */
    bool struck[TOGETHER];
} * shared;

static struct fault fault = {.call = -1};
static unsigned int seen[NR_CALLS];
static unsigned int lane;
static bool live;

void faults_live(bool on)
{
    live = on;
}

bool faults_pass(void)
{
    return fault.error == EINTR || fault.error == EAGAIN || fault.error == ENOMEM ||
           fault.error == EMFILE || fault.error == ENFILE || fault.error == ENOBUFS ||
           fault.error == ETOOMANYREFS;
}

/* Whether this call is the one that fails; then errno is set. */
static bool strikes(enum fault_call call)
{
    if (!live) {
        return false;
    }
    seen[call]++;
    if ((int)call != fault.call || seen[call] != fault.nth) {
        return false;
    }
    shared->struck[lane] = true;
    errno = fault.error;
    return true;
}

/* A call that fails by a value, and sets errno. */
#define WRAP(type, bad, name, params, args)                       \
    type __real_##name params;                                    \
    type __wrap_##name params;                                    \
    type __wrap_##name params                                     \
    {                                                             \
        return strikes(CALL_##name) ? (bad) : __real_##name args; \
    }

/* The same for one that returns an error's number. */
#define WRAP_NUMBER(name, params, args)                                 \
    int __real_##name params;                                           \
    int __wrap_##name params;                                           \
    int __wrap_##name params                                            \
    {                                                                   \
        return strikes(CALL_##name) ? fault.error : __real_##name args; \
    }

/* The store inside the program, which has no faults of its own. */
#define WRAP_STORE(type, bad, name, params, args)  \
    type __real_##name params;                     \
    type __wrap_##name params;                     \
    type __wrap_##name params                      \
    {                                              \
        const bool was = live;                     \
        const bool hit = strikes(CALL_##name);     \
        type result;                               \
                                                   \
        live = false;                              \
        result = hit ? (bad) : __real_##name args; \
        live = was;                                \
        return result;                             \
    }

WRAP(int, -1, socketpair, (int domain, int type, int protocol, int sv[2]),
     (domain, type, protocol, sv))
WRAP(int, -1, socket, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, -1, bind, (int fd, const struct sockaddr *addr, socklen_t len), (fd, addr, len))
WRAP_NUMBER(posix_spawn,
            (pid_t * pid, const char *path, const posix_spawn_file_actions_t *fa,
             const posix_spawnattr_t *attr, char *const argv[], char *const envp[]),
            (pid, path, fa, attr, argv, envp))
WRAP_NUMBER(posix_spawn_file_actions_init, (posix_spawn_file_actions_t * fa), (fa))
WRAP_NUMBER(posix_spawn_file_actions_adddup2, (posix_spawn_file_actions_t * fa, int fd, int as),
            (fa, fd, as))
WRAP_NUMBER(posix_spawn_file_actions_addopen,
            (posix_spawn_file_actions_t * fa, int fd, const char *path, int flags, mode_t mode),
            (fa, fd, path, flags, mode))
WRAP(int, -1, epoll_create1, (int flags), (flags))
WRAP(int, -1, epoll_wait, (int fd, struct epoll_event *events, int max, int ms),
     (fd, events, max, ms))
WRAP(int, -1, signalfd, (int fd, const sigset_t *mask, int flags), (fd, mask, flags))
WRAP(int, -1, memfd_create, (const char *name, unsigned int flags), (name, flags))
WRAP(int, -1, ftruncate, (int fd, off_t size), (fd, size))
WRAP(void *, MAP_FAILED, mmap, (void *at, size_t size, int prot, int flags, int fd, off_t offset),
     (at, size, prot, flags, fd, offset))
WRAP(ssize_t, -1, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
WRAP(ssize_t, -1, recv, (int fd, void *buf, size_t size, int flags), (fd, buf, size, flags))
WRAP(int, -1, waitid, (idtype_t type, id_t id, siginfo_t *info, int options),
     (type, id, info, options))
WRAP(pid_t, -1, waitpid, (pid_t pid, int *status, int options), (pid, status, options))
WRAP(int, -1, prlimit,
     (pid_t pid, enum __rlimit_resource what, const struct rlimit *new, struct rlimit *old),
     (pid, what, new, old))
WRAP(FILE *, NULL, fopen, (const char *path, const char *mode), (path, mode))
WRAP(int, -1, access, (const char *path, int mode), (path, mode))
WRAP(unsigned int, 0, if_nametoindex, (const char *name), (name))
WRAP(struct if_nameindex *, NULL, if_nameindex, (void), ())
WRAP(ssize_t, -1, read, (int fd, void *buf, size_t size), (fd, buf, size))
WRAP(void *, NULL, calloc, (size_t nr, size_t size), (nr, size))
WRAP(void *, NULL, malloc, (size_t size), (size))
WRAP(char *, NULL, strdup, (const char *s), (s))
WRAP(int, -1, inotify_add_watch, (int fd, const char *path, uint32_t mask), (fd, path, mask))

WRAP_STORE(void *, NULL, xs_read,
           (struct xs_handle * h, xs_transaction_t t, const char *path, unsigned int *len),
           (h, t, path, len))
WRAP_STORE(bool, false, xs_write,
           (struct xs_handle * h, xs_transaction_t t, const char *path, const void *data,
            unsigned int len),
           (h, t, path, data, len))
WRAP_STORE(bool, false, xs_rm, (struct xs_handle * h, xs_transaction_t t, const char *path),
           (h, t, path))
WRAP_STORE(char **, NULL, xs_directory,
           (struct xs_handle * h, xs_transaction_t t, const char *path, unsigned int *num),
           (h, t, path, num))
WRAP_STORE(xs_transaction_t, XBT_NULL, xs_transaction_start, (struct xs_handle * h), (h))
WRAP_STORE(bool, false, xs_watch, (struct xs_handle * h, const char *path, const char *token),
           (h, path, token))
WRAP_STORE(char **, NULL, xs_check_watch, (struct xs_handle * h), (h))

/* One that fails has been given up. */
bool __real_xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abandon);
bool __wrap_xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abandon);
bool __wrap_xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abandon)
{
    const bool was = live, hit = !abandon && strikes(CALL_xs_transaction_end);
    bool result;

    live = false;
    result = __real_xs_transaction_end(h, t, abandon || hit) && !hit;
    live = was;
    if (hit) {
        errno = fault.error;
    }
    return result;
}

/* Those that fail for some of what they can do. */

int __real_epoll_ctl(int fd, int op, int of, struct epoll_event *event);
int __wrap_epoll_ctl(int fd, int op, int of, struct epoll_event *event);
int __wrap_epoll_ctl(int fd, int op, int of, struct epoll_event *event)
{
    return op != EPOLL_CTL_DEL && strikes(CALL_epoll_ctl) ? -1
                                                          : __real_epoll_ctl(fd, op, of, event);
}

int __real_fcntl(int fd, int cmd, ...);
int __wrap_fcntl(int fd, int cmd, ...);
int __wrap_fcntl(int fd, int cmd, ...)
{
    va_list ap;
    long arg;

    va_start(ap, cmd);
    arg = va_arg(ap, long);
    va_end(ap);
    return (cmd == F_DUPFD_CLOEXEC || cmd == F_ADD_SEALS) && strikes(CALL_fcntl)
               ? -1
               : __real_fcntl(fd, cmd, arg);
}

long __real_syscall(long nr, ...);
long __wrap_syscall(long nr, ...);
long __wrap_syscall(long nr, ...)
{
    va_list ap;
    long a, b;

    va_start(ap, nr);
    a = va_arg(ap, long);
    b = va_arg(ap, long);
    va_end(ap);
    return nr == SYS_pidfd_open && strikes(CALL_syscall) ? -1 : __real_syscall(nr, a, b);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list ap;
    mode_t mode;

    va_start(ap, flags);
    mode = va_arg(ap, mode_t);
    va_end(ap);
    return strikes(CALL_open) ? -1 : __real_open(path, flags, mode);
}

int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...)
{
    va_list ap;
    mode_t mode;

    va_start(ap, flags);
    mode = va_arg(ap, mode_t);
    va_end(ap);
    return strikes(CALL_openat) ? -1 : __real_openat(dir, path, flags, mode);
}

int __real_ioctl(int fd, unsigned long what, ...);
int __wrap_ioctl(int fd, unsigned long what, ...);
int __wrap_ioctl(int fd, unsigned long what, ...)
{
    va_list ap;
    void *arg;

    va_start(ap, what);
    arg = va_arg(ap, void *);
    va_end(ap);
    return strikes(CALL_ioctl) ? -1 : __real_ioctl(fd, what, arg);
}

int __wrap_asprintf(char **out, const char *fmt, ...);
int __wrap_asprintf(char **out, const char *fmt, ...)
{
    va_list ap;
    int n;

    if (strikes(CALL_asprintf)) {
        return -1;
    }
    va_start(ap, fmt);
    n = vasprintf(out, fmt, ap);
    va_end(ap);
    return n;
}

/* In place of the service manager's store, of one device. */

static struct {
    char name[32];
    int fd;
} kept = {.fd = -1};

void __wrap_notify_drop_fd(const char *name);
void __wrap_notify_drop_fd(const char *name)
{
    if (kept.fd >= 0 && strcmp(name, kept.name) == 0) {
        close(kept.fd);
        kept.fd = -1;
    }
}

void __wrap_notify_keep_fd(const char *name, int fd);
void __wrap_notify_keep_fd(const char *name, int fd)
{
    __wrap_notify_drop_fd(name);
    snprintf(kept.name, sizeof(kept.name), "%s", name);
    kept.fd = __real_fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

void __wrap_notify_kept_fds(void (*fn)(void *arg, const char *name, int fd), void *arg);
void __wrap_notify_kept_fds(void (*fn)(void *arg, const char *name, int fd), void *arg)
{
    if (kept.fd >= 0) {
        fn(arg, kept.name, __real_fcntl(kept.fd, F_DUPFD_CLOEXEC, 0));
    }
}

/* The life, and what it is judged by. */

static int open_at_start;

static int count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int nr = 0;

    if (dir == NULL) {
        faults_fail("no /proc/self/fd");
    }
    while (readdir(dir) != NULL) {
        nr++;
    }
    closedir(dir);
    return nr;
}

void faults_begin(void)
{
    open_at_start = count_descriptors();
}

void faults_fail(const char *fmt, ...)
{
    va_list ap;

    live = false;
    fprintf(stderr, "FAILED: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n");
    fflush(NULL);
    _exit(FAILED);
}

void faults_done(void)
{
    const int open_at_end = count_descriptors();

    live = false;
    if (kept.fd >= 0) {
        faults_fail("the service manager still keeps the log of %s", kept.name);
    }
    if (fault.call < 0) {
        memcpy(shared->counts, seen, sizeof(seen));
    }
    if (open_at_end != open_at_start) {
        faults_fail("%d descriptors were open at the start, %d are at the end", open_at_start,
                    open_at_end);
    }
    exit(0); /* LeakSanitizer may say otherwise */
}

static struct {
    struct loop *loop;
    struct loop_timer timer;
    bool (*reached)(void);
    void (*hurry)(bool all);
    unsigned int ticks;
} run;

static void on_tick(void *arg)
{
    (void)arg;
    run.ticks++;
    if (run.reached() || run.ticks == TICKS_MAX) {
        loop_stop(run.loop, REACHED);
        return;
    }
    if (run.ticks % TICKS_SHORT == 0) {
        run.hurry(run.ticks % TICKS_LONG == 0);
    }
    loop_timer_set(run.loop, &run.timer, 1000000, on_tick, NULL);
}

void faults_fire(struct loop *loop, struct loop_timer *t)
{
    if (t->armed) {
        loop_timer_set(loop, t, 0, t->fn, t->arg);
    }
}

void faults_run(struct loop *loop, bool (*reached)(void), void (*hurry)(bool all), const char *what)
{
    int status;

    run.loop = loop;
    run.reached = reached;
    run.hurry = hurry;
    run.ticks = 0;
    loop_timer_set(loop, &run.timer, 0, on_tick, NULL);
    live = true;
    status = loop_run(loop);
    live = false;
    loop_timer_cancel(loop, &run.timer);
    if (status == REACHED && run.ticks == TICKS_MAX) {
        faults_fail("waited without end: %s", what);
    }
    if (status != REACHED && (status != 0 || !reached())) {
        _exit(FAULTS_ENDED);
    }
}

/* The program. */

struct attempt {
    pid_t pid; /* 0: nobody */
    struct fault fault;
    int output;
};

static struct attempt attempts[TOGETHER];
static unsigned int tried[NR_CALLS], bad[NR_CALLS], missed[NR_CALLS], ended[NR_CALLS];
static faults_life_fn *play;

/* Plays one life in a process of its own. */
static void start_attempt(unsigned int at, const struct fault *f)
{
    struct attempt *a = &attempts[at];

    a->fault = *f;
    a->output = memfd_create("said", MFD_CLOEXEC);
    shared->struck[at] = false;
    fflush(NULL);
    a->pid = fork();
    if (a->pid < 0) {
        perror("fork");
        exit(1);
    }
    if (a->pid == 0) {
        dup2(a->output, STDERR_FILENO);
        dup2(a->output, STDOUT_FILENO);
        close(a->output);
        for (unsigned int i = 0; i < TOGETHER; i++) {
            if (attempts[i].pid != 0) {
                close(attempts[i].output);
            }
        }
        fault = *f;
        lane = at;
        alarm(LIFE_SECONDS);
        play();
        faults_fail("the life did not end");
    }
}

static void print_output(int fd)
{
    char text[4096];
    ssize_t n;
    off_t at = 0;

    while ((n = pread(fd, text, sizeof(text), at)) > 0) {
        fwrite(text, 1, (size_t)n, stdout);
        at += n;
    }
}

/*
 * Whether the daemon may end so: the service manager starts another. Its hash tables do it by
 * exit(-1) when there is no memory for them.
 */
static bool may_end_so(const struct fault *f, int status)
{
    return WIFEXITED(status) && (WEXITSTATUS(status) == FAULTS_ENDED ||
                                 (f->call == CALL_malloc && WEXITSTATUS(status) == 255));
}

/* Waits for one life's end. Returns its place. */
static unsigned int end_attempt(bool verbose)
{
    int status;
    const pid_t pid = wait(&status);
    unsigned int at = 0;
    struct attempt *a;

    while (attempts[at].pid != pid) {
        at++;
    }
    a = &attempts[at];
    a->pid = 0;
    if (a->fault.call >= 0) {
        tried[a->fault.call]++;
        missed[a->fault.call] += shared->struck[at] ? 0 : 1;
    }
    if (a->fault.call >= 0 && may_end_so(&a->fault, status)) {
        ended[a->fault.call]++;
        status = 0;
    }
    if (verbose || status != 0) {
        if (a->fault.call >= 0) {
            bad[a->fault.call] += status != 0 ? 1 : 0;
            printf("---- %s %u %s: status %#x\n", calls[a->fault.call].name, a->fault.nth,
                   strerrorname_np(a->fault.error), (unsigned int)status);
        } else {
            printf("---- without a fault: status %#x\n", (unsigned int)status);
        }
        print_output(a->output);
    }
    close(a->output);
    if (a->fault.call < 0 && status != 0) {
        exit(1);
    }
    return at;
}

static void try_fault(const struct fault *f, bool verbose)
{
    for (unsigned int at = 0; at < TOGETHER; at++) {
        if (attempts[at].pid == 0) {
            start_attempt(at, f);
            return;
        }
    }
    start_attempt(end_attempt(verbose), f);
}

static void finish_attempts(bool verbose)
{
    for (unsigned int at = 0; at < TOGETHER; at++) {
        while (attempts[at].pid != 0) {
            end_attempt(verbose);
        }
    }
}

/* All faults that the first life could have had, one after the other. Returns their number. */
static unsigned int list_faults(struct fault **list)
{
    unsigned int nr = 0;

    for (int pass = 0; pass < 2; pass++) {
        nr = 0;
        for (int call = 0; call < NR_CALLS; call++) {
            for (unsigned int nth = 1; nth <= shared->counts[call]; nth++) {
                for (int e = 0; e < ERRORS_MAX && calls[call].errors[e] != 0; e++, nr++) {
                    if (pass == 1) {
                        (*list)[nr] = (struct fault){call, nth, calls[call].errors[e]};
                    }
                }
            }
        }
        if (pass == 0) {
            *list = calloc(nr + 1, sizeof(**list));
        }
    }
    return nr;
}

/* A generator by which a seed means the same everywhere (xorshift32). */
static unsigned int next_number(unsigned int *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

/* The first of each kind of fault, then others by chance, until there are `nr`. */
static unsigned int sample_faults(struct fault *list, unsigned int all, unsigned int nr,
                                  unsigned int seed)
{
    unsigned int chosen = 0;

    for (unsigned int i = 0; i < all; i++) {
        if (list[i].nth == 1) {
            const struct fault f = list[i];

            list[i] = list[chosen];
            list[chosen++] = f;
        }
    }
    for (; chosen < nr && chosen < all; chosen++) {
        const unsigned int i = chosen + next_number(&seed) % (all - chosen);
        const struct fault f = list[i];

        list[i] = list[chosen];
        list[chosen] = f;
    }
    return chosen;
}

/* Returns the exit status. */
static int print_table(unsigned int all, unsigned int seed)
{
    unsigned int sum = 0, wrong = 0, not_met = 0;

    printf("%-34s %6s %6s %8s %8s %6s\n", "call", "in all", "tried", "not met", "restart", "wrong");
    for (int call = 0; call < NR_CALLS; call++) {
        if (shared->counts[call] != 0 || tried[call] != 0) {
            printf("%-34s %6u %6u %8u %8u %6u\n", calls[call].name, shared->counts[call],
                   tried[call], missed[call], ended[call], bad[call]);
        }
        sum += tried[call];
        wrong += bad[call];
        not_met += missed[call];
    }
    printf("%u faults of %u tried, seed %u; %u lives did not come to theirs; %u went wrong\n", sum,
           all, seed, not_met, wrong);
    return wrong == 0 && sum != 0 && not_met < sum ? 0 : 1;
}

/* The fault of `one CALL NTH ERRNO`. */
static struct fault named_fault(char **words)
{
    struct fault f = {.call = 0, .nth = (unsigned int)strtoul(words[1], NULL, 10)};

    while (f.call < NR_CALLS && strcmp(calls[f.call].name, words[0]) != 0) {
        f.call++;
    }
    for (int i = 1; i < 140 && f.error == 0; i++) {
        const char *name = strerrorname_np(i);

        f.error = name != NULL && strcmp(name, words[2]) == 0 ? i : 0;
    }
    if (f.call == NR_CALLS || f.error == 0) {
        fprintf(stderr, "no such fault\n");
        exit(1);
    }
    return f;
}

int faults_main(faults_life_fn *life, int argc, char **argv)
{
    const struct fault none = {.call = -1};
    const bool one = argc == 5 && strcmp(argv[1], "one") == 0;
    unsigned int seed = 1, nr, all;
    struct fault *list = NULL;

    play = life;
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        return 1;
    }
    try_fault(&none, one);
    finish_attempts(one);
    all = list_faults(&list);
    if (argc == 3 && strcmp(argv[1], "seed") == 0) {
        seed = (unsigned int)strtoul(argv[2], NULL, 10) | 1; /* 0 would stay 0 */
    }
    nr = argc == 2 && strcmp(argv[1], "all") == 0 ? all : sample_faults(list, all, SAMPLE, seed);
    if (one) {
        list[0] = named_fault(&argv[2]);
        nr = 1;
    }
    for (unsigned int i = 0; i < nr; i++) {
        try_fault(&list[i], one);
    }
    finish_attempts(one);
    free(list);
    return print_table(all, seed);
}
