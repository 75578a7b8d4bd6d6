/*
 * trial.c - what a program may try with the kernel, the forbidden things included.
 *
 * usage: trial pointers   every call with bad addresses: each must be -EFAULT
 *        trial memory     mappings, protections and the heap do what they promise
 *        trial registers  SSE registers and %fs survive calls, preemption and fork()
 *        trial hog        memory until it is refused; then it is given back
 *        trial forks      children until they are refused; all are waited for
 *        trial fault KIND  one of the faults below: the kernel ends the program
 *        trial spin       for ever
 * It says what is wrong, and exits with 1; or "trial WHAT: right", and exits with 0.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul

static int wrong(const char *what, long is, long should)
{
    printf("trial: %s: is %ld (errno %d), should be %ld\n", what, is, errno, should);
    return 1;
}

/* ---- pointers ---- */

/* A call that takes an address as its argument `at`; the others are such that it gets that far. */
struct pointer_call {
    const char *name;
    long number;
    int at;
    long a[6];
};

static int dir;
static const uint64_t no_signals;
static const struct itimerspec no_time;
static uint32_t room = 16;
static char name[64];

static const struct pointer_call calls[] = {
    {"write", SYS_write, 1, {1, 0, 16}},
    {"read", SYS_read, 1, {3, 0, 1}},
    {"pread64", SYS_pread64, 1, {3, 0, 1, 0}},
    {"writev", SYS_writev, 1, {1, 0, 1}},
    {"readv", SYS_readv, 1, {3, 0, 1}},
    {"open", SYS_open, 0, {0, 0}},
    {"openat", SYS_openat, 1, {-100, 0, 0}},
    {"stat path", SYS_stat, 0, {0, 0}},
    {"stat buffer", SYS_stat, 1, {(long)"/", 0}},
    {"lstat", SYS_lstat, 1, {(long)"/", 0}},
    {"fstat", SYS_fstat, 1, {1, 0}},
    {"newfstatat path", SYS_newfstatat, 1, {-100, 0, 0, 0}},
    {"newfstatat buffer", SYS_newfstatat, 2, {-100, (long)"/", 0, 0}},
    {"newfstatat empty", SYS_newfstatat, 2, {1, (long)"", 0, 0x1000}},
    {"access", SYS_access, 0, {0, 0}},
    {"faccessat", SYS_faccessat, 1, {-100, 0, 0}},
    {"readlink", SYS_readlink, 0, {0, (long)&name, 1}},
    {"poll", SYS_poll, 0, {0, 1, 0}},
    {"readlink buffer", SYS_readlink, 1, {(long)"/link", 0, 4}},
    {"readlinkat", SYS_readlinkat, 1, {-100, 0, 0, 4}},
    {"getcwd", SYS_getcwd, 0, {0, 100}},
    {"chdir", SYS_chdir, 0, {0}},
    {"getdents64", SYS_getdents64, 1, {4, 0, 1024}},
    {"ioctl TCGETS", SYS_ioctl, 2, {1, 0x5401, 0}},
    {"ioctl TIOCGWINSZ", SYS_ioctl, 2, {1, 0x5413, 0}},
    {"pipe", SYS_pipe, 0, {0}},
    {"pipe2", SYS_pipe2, 0, {0, 0}},
    {"execve path", SYS_execve, 0, {0, 0, 0}},
    {"execve argv", SYS_execve, 1, {(long)"/", 0, 0}},
    {"execve envp", SYS_execve, 2, {(long)"/", 0, 0}},
    {"rt_sigaction", SYS_rt_sigaction, 1, {10, 0, 0, 8}},
    {"rt_sigaction old", SYS_rt_sigaction, 2, {10, 0, 0, 8}},
    {"rt_sigprocmask", SYS_rt_sigprocmask, 1, {0, 0, 0, 8}},
    {"rt_sigprocmask old", SYS_rt_sigprocmask, 2, {0, 0, 0, 8}},
    {"rt_sigpending", SYS_rt_sigpending, 0, {0, 8}},
    {"rt_sigsuspend", SYS_rt_sigsuspend, 0, {0, 8}},
    {"rt_sigtimedwait", SYS_rt_sigtimedwait, 0, {0, 0, 0, 8}},
    {"rt_sigtimedwait timeout", SYS_rt_sigtimedwait, 2, {(long)&no_signals, 0, 0, 8}},
    {"sigaltstack", SYS_sigaltstack, 0, {0, 0}},
    {"sigaltstack old", SYS_sigaltstack, 1, {0, 0}},
    {"getitimer", SYS_getitimer, 1, {0, 0}},
    {"setitimer", SYS_setitimer, 1, {0, 0, 0}},
    {"setitimer old", SYS_setitimer, 2, {0, 0, 0}},
    {"arch_prctl", SYS_arch_prctl, 1, {0x1003, 0}},
    {"uname", SYS_uname, 0, {0}},
    {"getrandom", SYS_getrandom, 0, {0, 16, 0}},
    {"clock_gettime", SYS_clock_gettime, 1, {1, 0}},
    {"clock_getres", SYS_clock_getres, 1, {1, 0}},
    {"gettimeofday", SYS_gettimeofday, 0, {0, 0}},
    {"gettimeofday zone", SYS_gettimeofday, 1, {0, 0}},
    {"time", SYS_time, 0, {0}},
    {"nanosleep", SYS_nanosleep, 0, {0, 0}},
    {"clock_nanosleep", SYS_clock_nanosleep, 2, {1, 0, 0, 0}},
    {"prlimit64", SYS_prlimit64, 3, {0, 3, 0, 0}},
    {"getrlimit", SYS_getrlimit, 1, {3, 0}},
    {"ppoll", SYS_ppoll, 0, {0, 1, 0, 0, 8}},
    {"ppoll timeout", SYS_ppoll, 2, {0, 0, 0, 0, 8}},
    {"ppoll mask", SYS_ppoll, 3, {0, 0, 0, 0, 8}},
    {"select", SYS_select, 1, {1, 0, 0, 0, 0}},
    {"select timeout", SYS_select, 4, {1, 0, 0, 0, 0}},
    {"pselect6 mask", SYS_pselect6, 5, {0, 0, 0, 0, 0, 0}},
    {"ioctl FIONBIO", SYS_ioctl, 2, {1, 0x5421, 0}},
    {"ioctl FIONREAD", SYS_ioctl, 2, {5, 0x541b, 0}},
    {"bind", SYS_bind, 1, {5, 0, 16}},
    {"connect", SYS_connect, 1, {5, 0, 16}},
    {"getsockname", SYS_getsockname, 1, {5, 0, (long)&room}},
    {"getsockname room", SYS_getsockname, 2, {5, (long)&name, 0}},
    {"getpeername", SYS_getpeername, 1, {6, 0, (long)&room}},
    {"setsockopt", SYS_setsockopt, 3, {5, 1, 2, 0, 4}},
    {"setsockopt timeout", SYS_setsockopt, 3, {5, 1, 20, 0, 16}},
    {"setsockopt linger", SYS_setsockopt, 3, {5, 1, 13, 0, 8}},
    {"getsockopt", SYS_getsockopt, 3, {5, 1, 2, 0, (long)&room}},
    {"getsockopt room", SYS_getsockopt, 4, {5, 1, 2, (long)&name, 0}},
    {"sendto", SYS_sendto, 1, {6, 0, 16, 0, 0, 0}},
    {"sendto address", SYS_sendto, 4, {6, (long)&name, 1, 0, 0, 16}},
    {"sendmsg", SYS_sendmsg, 1, {6, 0, 0}},
    {"recvmsg", SYS_recvmsg, 1, {6, 0, 0x40}},
    {"epoll_ctl", SYS_epoll_ctl, 3, {7, 1, 5, 0}},
    {"epoll_pwait mask", SYS_epoll_pwait, 4, {7, (long)&name, 1, 0, 0, 8}},
    {"timerfd_settime", SYS_timerfd_settime, 2, {8, 0, 0, 0}},
    {"timerfd_settime old", SYS_timerfd_settime, 3, {8, 0, (long)&no_time, 0}},
    {"timerfd_gettime", SYS_timerfd_gettime, 1, {8, 0}},
    {"socketpair", SYS_socketpair, 3, {AF_UNIX, SOCK_STREAM, 0, 0}},
    {"bind by name", SYS_bind, 1, {9, 0, 16}},
    {"connect by name", SYS_connect, 1, {9, 0, 16}},
    {"unlink", SYS_unlink, 0, {0}},
    {"unlinkat", SYS_unlinkat, 1, {-100, 0, 0}},
    {"mkdir", SYS_mkdir, 0, {0}},
    {"rmdir", SYS_rmdir, 0, {0}},
    {"rename", SYS_rename, 0, {0}},
    {"link", SYS_link, 0, {0}},
    {"symlink", SYS_symlink, 0, {0}},
    {"truncate", SYS_truncate, 0, {0}},
    {"chmod", SYS_chmod, 0, {0}},
    {"chown", SYS_chown, 0, {0}},
    {"statfs", SYS_statfs, 0, {0}},
    {"utimensat", SYS_utimensat, 1, {-100, 0}},
    {"sysinfo", SYS_sysinfo, 0, {0}},
};

static int try_pointer(const struct pointer_call *c, uint64_t address)
{
    long a[6];

    memcpy(a, c->a, sizeof(a));
    a[c->at] = (long)address;
    errno = 0;
    long rc = syscall(c->number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (rc != -1 || errno != EFAULT) {
        printf("with %#lx, ", (unsigned long)address);
        return wrong(c->name, rc, -1);
    }
    return 0;
}

static int pointers(void)
{
    char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *none = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const uint64_t bad[] = {
        8,                  /* nothing there */
        (uint64_t)none,     /* nobody may */
        0x00007ffffffffffc, /* across the end of the lower half */
        0x0000800000000000, /* the first that is not canonical */
        0xffff800000000000, /* Xen's table of frames, which is readable */
        0xffff880000000000, /* the kernel's direct map */
        0xffffffff80000000, /* its text */
        0xfffffffffffffff8, /* would wrap */
    };
    int failed = 0;

    struct sockaddr_in self = {
        .sin_family = AF_INET, .sin_port = htons(7), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    if (open("/etc/greeting", 0) != 3 || (dir = open("/", 0)) != 4 || pages == MAP_FAILED ||
        none == MAP_FAILED || socket(AF_INET, SOCK_STREAM, 0) != 5 ||
        socket(AF_INET, SOCK_DGRAM, 0) != 6 || epoll_create1(0) != 7 ||
        timerfd_create(CLOCK_MONOTONIC, 0) != 8 || socket(AF_UNIX, SOCK_DGRAM, 0) != 9 ||
        connect(6, (struct sockaddr *)&self, sizeof(self)) != 0) {
        return wrong("preparation", 0, 1);
    }
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        for (size_t j = 0; j < sizeof(bad) / sizeof(bad[0]); j++) {
            failed += try_pointer(&calls[i], bad[j]);
        }
    }
    /* A status, when there is a child to tell of. */
    pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    if (syscall(SYS_wait4, child, 8L, 0, NULL) != -1 || errno != EFAULT) {
        failed += wrong("wait4", 0, -1);
    }
    /* Half there: a string that ends before the page that is missing is right, one that does not is
     * not. */
    munmap(pages + PAGE, PAGE);
    memcpy(pages + PAGE - 2, "/", 2);
    if (access(pages + PAGE - 2, 0) != 0) {
        failed += wrong("access to a string at the end of a page", -1, 0);
    }
    pages[PAGE - 1] = '/';
    if (access(pages + PAGE - 2, 0) != -1 || errno != EFAULT) {
        failed += wrong("access to a string without an end", 0, -1);
    }
    return failed != 0;
}

/* ---- memory ---- */

static int memory(void)
{
    char *p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        return wrong("mmap", -1, 0);
    }
    for (unsigned i = 0; i < 16; i++) {
        if (p[i * PAGE] != 0) {
            return wrong("fresh memory", p[i * PAGE], 0);
        }
        p[i * PAGE] = (char)(i + 1);
    }
    /* Hidden and shown again, it is still there; read-only, a call cannot write to it. */
    if (mprotect(p + 4 * PAGE, 4 * PAGE, PROT_NONE) != 0 || write(1, p + 5 * PAGE, 1) != -1 ||
        mprotect(p + 4 * PAGE, 4 * PAGE, PROT_READ) != 0 || p[5 * PAGE] != 6) {
        return wrong("mprotect", p[5 * PAGE], 6);
    }
    if (syscall(SYS_getrandom, p + 5 * PAGE, 8, 0) != -1 || errno != EFAULT) {
        return wrong("a call that writes to read-only memory", 0, -1);
    }
    if (mprotect(p + 4 * PAGE, PAGE, PROT_READ | PROT_WRITE) != 0) {
        return wrong("mprotect back", -1, 0);
    }
    p[4 * PAGE] = 99;
    if (munmap(p + 8 * PAGE, 4 * PAGE) != 0 || p[7 * PAGE] != 8 || p[12 * PAGE] != 13) {
        return wrong("a hole", p[12 * PAGE], 13);
    }
    if (mprotect(p, 16 * PAGE, PROT_READ) != -1 || errno != ENOMEM) {
        return wrong("mprotect across a hole", 0, -1);
    }
    if (mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
            MAP_FAILED ||
        mprotect(p, PAGE, PROT_WRITE | PROT_EXEC) != -1) {
        return wrong("writable and executable memory", 0, -1);
    }
    if (mmap((void *)PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
        MAP_FAILED) {
        return wrong("a mapping where null pointers point", 0, -1);
    }
    /* A child writes to its copy. */
    pid_t child = fork();
    if (child == 0) {
        p[0] = 77;
        _exit(p[0] == 77 && p[4 * PAGE] == 99 ? 5 : 6);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 5 << 8 || p[0] != 1) {
        return wrong("what a child writes", p[0], 1);
    }
    char *heap = sbrk(64 * PAGE);
    heap[63 * PAGE] = 1;
    if (sbrk(-64 * (long)PAGE) != heap + 64 * PAGE) {
        return wrong("the heap", 0, 1);
    }
    return 0;
}

/* ---- registers ---- */

static _Thread_local int mine = 4711;

static int registers_hold(unsigned salt, unsigned rounds)
{
    uint64_t in[2] = {salt * 0x0123456789abcdefull, ~(uint64_t)salt}, out[2];

    for (unsigned i = 0; i < rounds; i++) {
        long rc;

        __asm__ volatile("movdqu %2, %%xmm7\n\t"
                         "syscall\n\t"
                         "movdqu %%xmm7, %1"
                         : "=a"(rc), "=m"(out)
                         : "m"(in), "a"(i % 16 == 0 ? SYS_sched_yield : SYS_getpid)
                         : "rcx", "r11", "xmm7", "memory");
        if (rc < 0 || memcmp(in, out, sizeof(in)) != 0 || mine != 4711) {
            return wrong("registers", (long)out[0], (long)in[0]);
        }
    }
    return 0;
}

static int registers(void)
{
    int failed = 0;
    uint64_t start;

    /* A new program begins with none of another's. */
    __asm__ volatile("movq %%xmm15, %0" : "=r"(start));
    if (start != 0) {
        failed += wrong("xmm15 at the start", (long)start, 0);
    }
    for (unsigned i = 1; i <= 3; i++) {
        if (fork() == 0) {
            _exit(registers_hold(i, 20000));
        }
    }
    failed += registers_hold(99, 20000);
    for (unsigned i = 1; i <= 3; i++) {
        int status = 1;

        wait(&status);
        failed += status != 0;
    }
    return failed != 0;
}

/* ---- hogs ---- */

static int hog(void)
{
    size_t chunks = 0;
    pid_t child = fork();

    if (child == 0) {
        for (;;) {
            char *p =
                mmap(NULL, 256 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

            if (p == MAP_FAILED) {
                _exit(3);
            }
            memset(p, 1, 256 * PAGE); /* ends where there is no page left */
            chunks++;
        }
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 11) {
        return wrong("the end of a hog", status, 11);
    }
    return 0;
}

static int forks(void)
{
    unsigned n = 0;
    int hold[2];
    char c;

    if (pipe(hold) != 0) {
        return wrong("pipe", -1, 0);
    }
    for (;; n++) {
        pid_t child = fork();

        if (child < 0) {
            break;
        }
        if (child == 0) {
            close(hold[1]);
            _exit(read(hold[0], &c, 1) == 0 ? 0 : 1);
        }
    }
    if (n == 0 || (errno != EAGAIN && errno != ENOMEM)) {
        return wrong("fork", n, 1);
    }
    close(hold[1]); /* now they go on, and end */
    for (unsigned i = 0; i < n; i++) {
        int status = 1;

        if (wait(&status) <= 0 || status != 0) {
            return wrong("a child's status", status, 0);
        }
    }
    return wait(NULL) == -1 && errno == ECHILD ? 0 : wrong("more children", 0, -1);
}

/* ---- faults ---- */

static const char text_of[] = "constant";

static volatile long zero; /* which nobody knows */

static void fault(const char *kind)
{
    if (strcmp(kind, "null") == 0) {
        *(volatile int *)zero = 1;
    } else if (strcmp(kind, "kernel") == 0) {
        (void)*(volatile long *)0xffffffff80000000;
    } else if (strcmp(kind, "direct-map") == 0) {
        *(volatile long *)0xffff880000000000 = 1;
    } else if (strcmp(kind, "constant") == 0) {
        *(volatile char *)(uintptr_t)text_of = 1;
    } else if (strcmp(kind, "data") == 0) {
        char code[] = {(char)0xc3};

        ((void (*)(void))(uintptr_t)code)();
    } else if (strcmp(kind, "canonical") == 0) {
        (void)*(volatile long *)0x1234567890abcdef;
    } else if (strcmp(kind, "divide") == 0) {
        __asm__ volatile("xorl %%ecx, %%ecx\n\tdivl %%ecx" ::: "rax", "rcx", "rdx", "cc");
    } else if (strcmp(kind, "opcode") == 0) {
        __asm__ volatile("ud2");
    } else if (strcmp(kind, "int3") == 0) {
        __asm__ volatile("int3");
    } else if (strcmp(kind, "privileged") == 0) {
        __asm__ volatile("hlt");
    } else if (strcmp(kind, "stack") == 0) {
        __asm__ volatile("xorl %%esp, %%esp\n\tpushq %%rax" ::: "memory");
    } else if (strcmp(kind, "step") == 0) {
        __asm__ volatile("pushfq\n\torl $0x100, (%%rsp)\n\tpopfq\n\tnop" ::: "memory", "cc");
    } else if (strcmp(kind, "selector") == 0) {
        __asm__ volatile("movl $0x43, %%eax\n\tmovl %%eax, %%fs\n\tmovl %%fs:0, %%eax" ::: "rax");
    } else if (strcmp(kind, "abort") == 0) {
        abort();
    }
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    int rc = 2;

    if (strcmp(what, "pointers") == 0) {
        rc = pointers();
    } else if (strcmp(what, "memory") == 0) {
        rc = memory();
    } else if (strcmp(what, "registers") == 0) {
        rc = registers();
    } else if (strcmp(what, "hog") == 0) {
        rc = hog();
    } else if (strcmp(what, "forks") == 0) {
        rc = forks();
    } else if (strcmp(what, "fault") == 0 && argc > 2) {
        fault(argv[2]);
        rc = wrong("a fault of which nothing came", 0, 1);
    } else if (strcmp(what, "spin") == 0) {
        printf("trial: spins\n");
        fflush(stdout);
        for (volatile unsigned long i = 0;; i++) {
        }
    }
    if (rc == 0) {
        printf("trial %s: right\n", what);
    }
    return rc;
}
