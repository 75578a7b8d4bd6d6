/*
 * signals.c - what a program may expect of signals, and what it may try with them.
 *
 * usage: signals handlers  arguments, masks, nesting, the other stack, SSE registers, children
 *        signals faults    SIGSEGV, SIGFPE, SIGILL, SIGTRAP in handlers that go on elsewhere
 *        signals calls     interrupted calls: EINTR, or made again; timers; waiting for signals
 *        signals lies      frames that nobody should return by: each is a SIGSEGV
 *        signals end KIND  ends of a process whose handler cannot be called
 * It says what is wrong, and exits with 1; or "signals WHAT: right", and exits with 0. The first
 * three are right on Linux as well, where the test runs them, too: that tells what is right.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define PROGRAM "signals"
#include "right.h"

static volatile sig_atomic_t count, last, order[8], depth;
static volatile siginfo_t told; /* raise() is said not to come back to this file */
static volatile uintptr_t stack_at;
static sigset_t blocked_in_handler;

static void note(int number, siginfo_t *info, void *context)
{
    (void)context;
    stack_at = (uintptr_t)__builtin_frame_address(0);
    last = number;
    told = *info;
    if (count < 8) {
        order[count] = number;
    }
    count++;
    sigprocmask(SIG_BLOCK, NULL, &blocked_in_handler);
    /* Registers that the interrupted code has: it must not see this. */
    __asm__ volatile("pcmpeqd %%xmm3, %%xmm3\n\tpcmpeqd %%xmm15, %%xmm15" ::: "xmm3", "xmm15");
}

/* ---- handlers ---- */

static void raise_again(int number, siginfo_t *info, void *context)
{
    (void)info;
    (void)context;
    raise(number); /* blocked now: comes when this is over, and then its action is the default */
}

static int once(void)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        act(SIGUSR1, raise_again, SA_RESETHAND);
        raise(SIGUSR1);
        _exit(1);
    }
    waitpid(child, &status, 0);
    RIGHT("SA_RESETHAND", status, SIGUSR1);
    return 0;
}

static void deeper(int number, siginfo_t *info, void *context)
{
    (void)info;
    (void)context;
    if (++depth < 5) {
        raise(number);
    }
    count++;
}

static void interrupted_by_second(int number, siginfo_t *info, void *context)
{
    (void)info;
    (void)context;
    order[count++] = number;
    if (number == SIGUSR1) {
        raise(SIGUSR2);
    }
    order[count++] = -number;
}

static int masks(void)
{
    count = 0;
    act(SIGUSR1, interrupted_by_second, 0);
    act(SIGUSR2, interrupted_by_second, 0);
    raise(SIGUSR1);
    RIGHT("nested handlers",
          count == 4 && order[0] == SIGUSR1 && order[1] == SIGUSR2 && order[2] == -SIGUSR2 &&
              order[3] == -SIGUSR1,
          1);
    struct sigaction a = {.sa_sigaction = interrupted_by_second, .sa_flags = SA_SIGINFO};
    sigaddset(&a.sa_mask, SIGUSR2);
    sigaction(SIGUSR1, &a, NULL);
    count = 0;
    raise(SIGUSR1);
    RIGHT("sa_mask", count == 4 && order[1] == -SIGUSR1 && order[2] == SIGUSR2, 1);
    depth = count = 0;
    act(SIGUSR1, deeper, SA_NODEFER);
    raise(SIGUSR1);
    RIGHT("SA_NODEFER", count, 5);
    count = 0;
    act(SIGUSR1, note, 0);
    act(SIGRTMIN + 1, note, 0);
    block(SIG_BLOCK, SIGUSR1);
    block(SIG_BLOCK, SIGRTMIN + 1);
    raise(SIGRTMIN + 1);
    raise(SIGUSR1);
    sigset_t set;
    sigpending(&set);
    RIGHT("sigpending",
          sigismember(&set, SIGUSR1) && sigismember(&set, SIGRTMIN + 1) &&
              !sigismember(&set, SIGUSR2),
          1);
    RIGHT("blocked", count, 0);
    sigfillset(&set);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    RIGHT("both, each in its handler", count, 2);
    return 0;
}

static int arguments(void)
{
    uint64_t in[2] = {0x1122334455667788, 0x99aabbccddeeff00}, out[2];
    long rc, red = 4711, red_after;

    count = 0;
    act(SIGUSR1, note, 0);
    /* SSE registers, and what is below the stack pointer, are as they were. */
    __asm__ volatile("movq %[red], -64(%%rsp)\n\t"
                     "movdqu %[in], %%xmm3\n\t"
                     "syscall\n\t"
                     "movdqu %%xmm3, %[out]\n\t"
                     "movq -64(%%rsp), %[after]"
                     : "=a"(rc), [out] "=m"(out), [after] "=&r"(red_after)
                     : [in] "m"(in), [red] "r"(red), "a"((long)SYS_kill), "D"((long)getpid()),
                       "S"((long)SIGUSR1)
                     : "rcx", "r11", "xmm3", "memory");
    RIGHT("kill", rc, 0);
    RIGHT("handlers called", count, 1);
    RIGHT("SSE", memcmp(in, out, sizeof(in)), 0);
    RIGHT("the red zone", red_after, red);
    RIGHT("its number", told.si_signo, SIGUSR1);
    RIGHT("its sender", told.si_pid, getpid());
    RIGHT("its code", told.si_code, SI_USER);
    RIGHT("itself is blocked", sigismember(&blocked_in_handler, SIGUSR1), 1);
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    RIGHT("and is not afterwards", sigismember(&now, SIGUSR1), 0);
    raise(SIGUSR1);
    RIGHT("raise()'s code", told.si_code, SI_TKILL);
    return 0;
}

static int other_stack(void)
{
    static char stack[64 * 1024] __attribute__((aligned(16)));
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)}, old;

    RIGHT("sigaltstack", sigaltstack(&ss, &old), 0);
    RIGHT("there was none", old.ss_flags, SS_DISABLE);
    act(SIGUSR1, note, SA_ONSTACK);
    raise(SIGUSR1);
    RIGHT("on it", stack_at >= (uintptr_t)stack && stack_at < (uintptr_t)stack + sizeof(stack), 1);
    act(SIGUSR1, note, 0);
    raise(SIGUSR1);
    RIGHT("not on it", stack_at >= (uintptr_t)stack && stack_at < (uintptr_t)stack + sizeof(stack),
          0);
    ss.ss_size = 1000;
    RIGHT("too small", sigaltstack(&ss, NULL) == -1 && errno == ENOMEM, 1);
    return 0;
}

static int children(void)
{
    int status = 0;

    count = 0;
    act(SIGCHLD, note, SA_RESTART);
    pid_t child = fork();
    if (child == 0) {
        _exit(3);
    }
    RIGHT("a child that is waited for", waitpid(child, &status, 0), child);
    RIGHT("SIGCHLD", count, 1);
    RIGHT("of it", told.si_pid, child);
    RIGHT("its status", told.si_status, 3);
    RIGHT("its code", told.si_code, CLD_EXITED);
    child = fork();
    if (child == 0) {
        for (;;) {
            pause();
        }
    }
    RIGHT("kill a child", kill(child, SIGTERM), 0);
    RIGHT("a child that is killed", waitpid(child, &status, 0), child);
    RIGHT("by that", WTERMSIG(status), SIGTERM);
    RIGHT("its code", told.si_code, CLD_KILLED);
    child = fork();
    if (child == 0) {
        for (volatile long i = 0;; i++) { /* never in the kernel */
        }
    }
    RIGHT("kill one that spins", kill(child, SIGKILL), 0);
    RIGHT("it is waited for", waitpid(child, &status, 0), child);
    RIGHT("by that", WTERMSIG(status), SIGKILL);
    RIGHT("it is gone", kill(child, 0) == -1 && errno == ESRCH, 1);
    signal(SIGCHLD, SIG_IGN);
    child = fork();
    if (child == 0) {
        _exit(0);
    }
    RIGHT("a child that is forgotten", waitpid(child, &status, 0) == -1 && errno == ECHILD, 1);
    return 0;
}

static int handlers(void)
{
    return arguments() || masks() || once() || other_stack() || children();
}

/* ---- faults ---- */

static sigjmp_buf away;
static char fault_stack[64 * 1024];

static void leave(int number, siginfo_t *info, void *context)
{
    (void)context;
    last = number;
    told = *info;
    siglongjmp(away, 1);
}

static void skip_two(int number, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;

    last = number;
    told = *info;
    uc->uc_mcontext.gregs[REG_RIP] += 2;
}

static volatile long zero;
static const char constant[] = "constant";

static long endless(volatile long n)
{
    volatile char page[PAGE];

    page[0] = (char)n;
    return n < 1L << 40 ? endless(n + 1) + page[0] : 0;
}

static int page_faults(void)
{
    char *none = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    act(SIGSEGV, leave, 0);
    for (int i = 0; i < 100; i++) { /* each leaves the mask as it was */
        if (sigsetjmp(away, 1) == 0) {
            *(volatile int *)(zero + 0x1230) = 1;
            RIGHT("a fault", 0, 1);
        }
        RIGHT("its address", (long)told.si_addr, 0x1230);
        RIGHT("its code", told.si_code, SEGV_MAPERR);
    }
    if (sigsetjmp(away, 1) == 0) {
        *(volatile char *)(uintptr_t)constant = 1;
        RIGHT("a write to a constant", 0, 1);
    }
    RIGHT("its address", (long)told.si_addr, (long)constant);
    RIGHT("its code", told.si_code, SEGV_ACCERR);
    if (sigsetjmp(away, 1) == 0) {
        (void)*(volatile char *)none;
        RIGHT("a read where nobody may", 0, 1);
    }
    RIGHT("its address", (long)told.si_addr, (long)none);
    RIGHT("its code", told.si_code, SEGV_ACCERR);
    if (sigsetjmp(away, 1) == 0) {
        (void)*(volatile long *)0x1234567890abcdef;
        RIGHT("an address that is not canonical", 0, 1);
    }
    RIGHT("its code", told.si_code, SI_KERNEL);
    act(SIGSEGV, leave, SA_ONSTACK);
    stack_t ss = {.ss_sp = fault_stack, .ss_size = sizeof(fault_stack)};
    RIGHT("sigaltstack", sigaltstack(&ss, NULL), 0);
    if (sigsetjmp(away, 1) == 0) {
        endless(zero);
        RIGHT("a stack without end", 0, 1);
    }
    RIGHT("a stack that is full", last, SIGSEGV);
    return 0;
}

static int faults(void)
{
    long rax = 5;

    if (page_faults() != 0) {
        return 1;
    }
    act(SIGFPE, leave, 0);
    if (sigsetjmp(away, 1) == 0) {
        __asm__ volatile("xorl %%ecx, %%ecx\n\tdivl %%ecx" ::: "rax", "rcx", "rdx", "cc");
        RIGHT("a division by zero", 0, 1);
    }
    RIGHT("its signal", last, SIGFPE);
    RIGHT("its code", told.si_code, FPE_INTDIV);
    if (sigsetjmp(away, 1) == 0) {
        const unsigned short traps = 0x037b; /* of all, the division by zero */

        __asm__ volatile("fldcw %0\n\tfld1\n\tfldz\n\tfdivrp\n\tfwait" : : "m"(traps));
        RIGHT("a division of numbers that float", 0, 1);
    }
    RIGHT("its signal", last, SIGFPE);
    RIGHT("its code", told.si_code, FPE_FLTDIV);
    /* It goes on behind the instruction, with all registers. */
    act(SIGILL, skip_two, 0);
    __asm__ volatile("ud2" : "+a"(rax));
    RIGHT("its signal", last, SIGILL);
    RIGHT("its code", told.si_code, ILL_ILLOPN);
    RIGHT("a register", rax, 5);
    act(SIGTRAP, note, 0);
    __asm__ volatile("int3");
    RIGHT("a breakpoint", last, SIGTRAP);
    act(SIGABRT, leave, 0);
    if (sigsetjmp(away, 1) == 0) {
        abort();
    }
    RIGHT("abort()", last, SIGABRT);
    return 0;
}

/* ---- calls ---- */

/* A child that sends @number to us, when we sleep, and then writes to @fd. */
static pid_t sender(int number, int fd)
{
    pid_t child = fork();

    if (child == 0) {
        const struct timespec while_ = {.tv_nsec = 100 * MSEC};

        nanosleep(&while_, NULL);
        kill(getppid(), number);
        nanosleep(&while_, NULL);
        _exit(fd >= 0 && write(fd, "x", 1) != 1);
    }
    return child;
}

static int restarts(void)
{
    int ends[2], status;
    char c = 0;

    RIGHT("pipe", pipe(ends), 0);
    signal(SIGCHLD, SIG_DFL);
    count = 0;
    act(SIGUSR1, note, 0);
    pid_t child = sender(SIGUSR1, -1);
    RIGHT("a read that is interrupted", read(ends[0], &c, 1) == -1 && errno == EINTR, 1);
    RIGHT("by a handler", count, 1);
    waitpid(child, &status, 0);
    act(SIGUSR1, note, SA_RESTART);
    child = sender(SIGUSR1, ends[1]);
    RIGHT("a read that is made again", read(ends[0], &c, 1), 1);
    RIGHT("its byte", c, 'x');
    RIGHT("by a handler", count, 2);
    RIGHT("a wait", waitpid(child, &status, 0), child);
    child = sender(SIGUSR1, -1);
    RIGHT("a wait that is made again", waitpid(child, &status, 0), child);
    RIGHT("by a handler", count, 3);
    /* poll() and sleeps are not made again, whatever the action says. */
    struct pollfd pfd = {.fd = ends[0], .events = POLLIN};
    child = sender(SIGUSR1, -1);
    RIGHT("a poll()", poll(&pfd, 1, 10000) == -1 && errno == EINTR, 1);
    waitpid(child, &status, 0);
    struct timespec t = {.tv_sec = 10}, left = {.tv_sec = 0};
    child = sender(SIGUSR1, -1);
    RIGHT("a sleep", nanosleep(&t, &left) == -1 && errno == EINTR, 1);
    RIGHT("what is left of it", left.tv_sec >= 5 && left.tv_sec < 10, 1);
    waitpid(child, &status, 0);
    /* What nobody wants interrupts nothing. */
    child = sender(SIGWINCH, ends[1]);
    RIGHT("a read while something harmless comes", read(ends[0], &c, 1), 1);
    waitpid(child, &status, 0);
    close(ends[0]);
    count = 0;
    act(SIGPIPE, note, 0);
    RIGHT("a write that nobody reads", write(ends[1], "x", 1) == -1 && errno == EPIPE, 1);
    RIGHT("its signal", count == 1 && last == SIGPIPE, 1);
    return 0;
}

static int waits(void)
{
    sigset_t set, now;
    siginfo_t info;
    struct timespec none = {.tv_nsec = MSEC};
    int status;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    RIGHT("no signal in time", sigtimedwait(&set, &info, &none) == -1 && errno == EAGAIN, 1);
    pid_t child = sender(SIGUSR2, -1);
    RIGHT("a signal that is waited for", sigwaitinfo(&set, &info), SIGUSR2);
    RIGHT("its sender", info.si_pid, child);
    waitpid(child, &status, 0);
    child = sender(SIGUSR1, -1);
    RIGHT("another one", sigwaitinfo(&set, &info) == -1 && errno == EINTR, 1);
    waitpid(child, &status, 0);
    /* Blocked but for the moment in which it is waited for. */
    count = 0;
    act(SIGUSR2, note, SA_RESTART);
    raise(SIGUSR2);
    RIGHT("blocked", count, 0);
    sigemptyset(&now);
    RIGHT("sigsuspend", sigsuspend(&now) == -1 && errno == EINTR, 1);
    RIGHT("its handler", count, 1);
    sigprocmask(SIG_BLOCK, NULL, &now);
    RIGHT("blocked again", sigismember(&now, SIGUSR2), 1);
    child = sender(SIGUSR1, -1);
    RIGHT("pause", pause() == -1 && errno == EINTR, 1);
    waitpid(child, &status, 0);
    return 0;
}

static int timers(void)
{
    struct itimerval often = {.it_interval = {.tv_usec = 2000}, .it_value = {.tv_usec = 1000}};
    struct itimerval never = {.it_value = {.tv_sec = 0}}, old;

    count = 0;
    act(SIGALRM, note, SA_RESTART);
    RIGHT("no alarm", alarm(100), 0);
    RIGHT("an alarm", alarm(0), 100);
    RIGHT("setitimer", setitimer(ITIMER_REAL, &often, NULL), 0);
    while (count < 5) { /* never in the kernel but by the timer */
    }
    RIGHT("no more", setitimer(ITIMER_REAL, &never, &old), 0);
    RIGHT("its interval", old.it_interval.tv_usec, 2000);
    RIGHT("bad times",
          (often.it_value.tv_usec = 1000000,
           setitimer(ITIMER_REAL, &often, NULL) == -1 && errno == EINVAL),
          1);
    RIGHT("kill with no such signal", kill(getpid(), 65) == -1 && errno == EINVAL, 1);
    return 0;
}

static int calls(void)
{
    return restarts() || waits() || timers();
}

/* ---- lies ---- */

enum lie {
    LIE_CS,
    LIE_CS_KERNEL,
    LIE_SS,
    LIE_RIP,
    LIE_RIP_HIGH,
    LIE_RIP_KERNEL,
    LIE_MXCSR,
    LIE_FPU,
    LIE_FPU_KERNEL,
    LIES
};

static volatile enum lie lie;

static void liar(int number, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    greg_t *g = uc->uc_mcontext.gregs;

    (void)number;
    (void)info;
    switch (lie) {
    case LIE_CS:
        g[REG_CSGSFS] &= ~0xffffLL;
        break;
    case LIE_CS_KERNEL:
        g[REG_CSGSFS] &= ~3LL;
        g[REG_CSGSFS] |= 0x10;
        break;
    case LIE_SS:
        g[REG_CSGSFS] |= 0x7000LL << 48;
        break;
    case LIE_RIP:
        g[REG_RIP] = 0x0000800000000000;
        break;
    case LIE_RIP_HIGH:
        g[REG_RIP] = 0x1234567890abcdef;
        break;
    case LIE_RIP_KERNEL:
        g[REG_RIP] = (greg_t)0xffffffff80000000;
        break;
    case LIE_MXCSR:
        uc->uc_mcontext.fpregs->mxcsr = 0xffffffff;
        break;
    case LIE_FPU:
        uc->uc_mcontext.fpregs = (void *)8;
        break;
    case LIE_FPU_KERNEL:
        uc->uc_mcontext.fpregs = (void *)0xffff880000000000;
        break;
    default:
        break;
    }
}

/* Flags that a program may not have are not refused: they have no effect. */
static void flagger(int number, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;

    (void)number;
    (void)info;
    uc->uc_mcontext.gregs[REG_EFL] |= 0x3000 | 0x4000 | 0x20000; /* IOPL, NT, VM */
    uc->uc_mcontext.gregs[REG_EFL] &= ~0x200LL;                  /* IF */
}

static int lies(void)
{
    uint64_t flags;

    stack_t ss = {.ss_sp = fault_stack, .ss_size = sizeof(fault_stack)};

    RIGHT("sigaltstack", sigaltstack(&ss, NULL), 0);
    act(SIGUSR1, liar, 0);
    act(SIGSEGV, leave, SA_ONSTACK);
    for (volatile int i = 0; i < LIES; i++) {
        lie = (enum lie)i;
        last = 0;
        if (sigsetjmp(away, 1) == 0) {
            raise(SIGUSR1);
        }
        if (last != SIGSEGV) {
            printf("signals: lie %d: signal %d\n", i, last);
            return 1;
        }
    }
    /* Without a frame: where the stack is, there is none. */
    if (sigsetjmp(away, 1) == 0) {
        __asm__ volatile("movq %%rsp, %%rbx\n\t"
                         "movl $16, %%esp\n\t"
                         "movl $15, %%eax\n\t"
                         "syscall\n\t"
                         "movq %%rbx, %%rsp" ::
                             : "rax", "rbx", "rcx", "r11", "memory");
    }
    act(SIGUSR1, flagger, 0);
    raise(SIGUSR1);
    __asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags));
    RIGHT("flags", flags & (0x3000 | 0x4000 | 0x20000 | 0x200), 0x200);
    return 0;
}

/* ---- ends ---- */

static void no_way_back(void)
{
    for (;;) {
    }
}

/* The kernel's structure, without SA_RESTORER, which the library always sets. */
static void act_raw(int number, uint64_t handler, uint64_t flags)
{
    uint64_t action[4] = {handler, flags, (uint64_t)no_way_back, 0};

    syscall(SYS_rt_sigaction, number, action, NULL, 8);
}

static void end(const char *kind)
{
    if (strcmp(kind, "no-restorer") == 0) {
        act_raw(SIGUSR1, (uint64_t)no_way_back, 0);
        raise(SIGUSR1);
    } else if (strcmp(kind, "no-stack") == 0) {
        act(SIGSEGV, leave, 0); /* on the stack that is not there */
        __asm__ volatile("movl $64, %%esp\n\tpushq %%rax" ::: "memory");
    } else if (strcmp(kind, "in-handler") == 0) {
        act(SIGSEGV, liar, 0); /* comes back to the fault, for which there is no handler then */
        lie = LIES;
        block(SIG_BLOCK, SIGSEGV);
        *(volatile int *)zero = 1;
    } else if (strcmp(kind, "high-handler") == 0) {
        act_raw(SIGUSR1, 0xffffffff80000000, 0x04000000);
        raise(SIGUSR1);
    } else if (strcmp(kind, "default") == 0) {
        raise(SIGRTMIN);
    }
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    int rc = 2;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(what, "handlers") == 0) {
        rc = handlers();
    } else if (strcmp(what, "faults") == 0) {
        rc = faults();
    } else if (strcmp(what, "calls") == 0) {
        rc = calls();
    } else if (strcmp(what, "lies") == 0) {
        rc = lies();
    } else if (strcmp(what, "end") == 0 && argc > 2) {
        end(argv[2]);
    }
    if (rc == 0) {
        printf("signals %s: right\n", what);
    }
    return rc;
}
