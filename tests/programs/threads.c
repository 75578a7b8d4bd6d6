/*
 * threads.c - what a program with threads may expect.
 *
 * usage: threads basics     birth, thread-local variables, registers, ends, many at once
 *        threads locks      mutexes, conditions, semaphores, robust locks, timeouts, bare futexes
 *        threads signals    to a thread or to all, masks, cancellation, a fault in a thread
 *        threads processes  fork, execve and exit where there are threads; how all of them end
 *        threads memory     unmapping, protecting and copying under other threads; system calls,
 * too threads lies       calls that nobody should make It says what is wrong, and exits with 1; or
 * "threads WHAT: right", and exits with 0. All but the last are right on Linux as well, where the
 * test runs them, too: that tells what is right.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM "threads"
#include "right.h"

#define SEC 1000000000L

typedef void *thread_fn(void *arg);

/* Stacks are small: there may be many. */
static pthread_t start(thread_fn *fn, void *arg)
{
    pthread_attr_t attr;
    pthread_t t;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 32768);
    int rc = pthread_create(&t, &attr, fn, arg);
    if (rc != 0) {
        printf("threads: no thread: %d\n", rc);
        exit(1);
    }
    pthread_attr_destroy(&attr);
    return t;
}

static void *join(pthread_t t)
{
    void *result = NULL;

    pthread_join(t, &result);
    return result;
}

static long futex(volatile uint32_t *word, int op, uint32_t value, const void *timeout,
                  volatile uint32_t *other, uint32_t value3)
{
    return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, timeout, other, value3);
}

static void pause_for(long nsec)
{
    const struct timespec t = {.tv_sec = nsec / SEC, .tv_nsec = nsec % SEC};

    nanosleep(&t, NULL);
}

static long now(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec * SEC + t.tv_nsec;
}

static struct timespec in(clockid_t clock, long nsec)
{
    long t = now(clock) + nsec;

    return (struct timespec){.tv_sec = t / SEC, .tv_nsec = t % SEC};
}

/* ---- basics ---- */

#define CREW 16

static __thread long own = 42;
static long tids[CREW];

static void *first_steps(void *arg)
{
    long n = (long)arg;
    long before = own;

    own = n;
    tids[n] = syscall(SYS_gettid);
    sched_yield();
    return (void *)(before == 42 && own == n && getpid() != tids[n] ? n + 1 : -1);
}

/* Numbers in registers, while others have theirs there. */
static void *sums(void *arg)
{
    double x = (double)(long)arg, y = 1.0 / x;
    long wrong = 0;

    for (int i = 0; i < 200; i++) {
        double back = 0;
        __asm__ volatile("movsd %1, %%xmm9\n\tmovsd %2, %%xmm10\n\t"
                         "movl $24, %%eax\n\tsyscall\n\t" /* sched_yield */
                         "mulsd %%xmm9, %%xmm10\n\tmovsd %%xmm10, %0"
                         : "=m"(back)
                         : "m"(x), "m"(y)
                         : "rax", "rcx", "r11", "xmm9", "xmm10", "memory");
        wrong += back != x * y;
    }
    return (void *)wrong;
}

static void *nothing(void *arg)
{
    return arg;
}

static sem_t gate;

static void *wait_at_gate(void *arg)
{
    sem_wait(&gate);
    return arg;
}

static int many(void)
{
    enum { MANY = 250 };
    static pthread_t t[MANY];

    sem_init(&gate, 0, 0);
    for (long i = 0; i < MANY; i++) {
        t[i] = start(wait_at_gate, (void *)i);
    }
    for (long i = 0; i < MANY; i++) {
        sem_post(&gate);
    }
    for (long i = 0; i < MANY; i++) {
        RIGHT("one of many", join(t[i]), i);
    }
    for (long i = 0; i < 500; i++) {
        RIGHT("one after the other", join(start(nothing, (void *)i)), i);
    }
    return 0;
}

static int basics(void)
{
    pthread_t t[CREW];
    cpu_set_t cpus;

    for (long i = 0; i < CREW; i++) {
        t[i] = start(first_steps, (void *)i);
    }
    for (long i = 0; i < CREW; i++) {
        RIGHT("a thread's own", join(t[i]), i + 1);
        for (long j = 0; j < i; j++) {
            RIGHT("a number of its own", tids[i] != tids[j], 1);
        }
    }
    RIGHT("ours", own, 42);
    RIGHT("the first one's number", syscall(SYS_gettid), getpid());
    RIGHT("of one that has ended", syscall(SYS_tkill, tids[0], 0) == -1 && errno == ESRCH, 1);
    for (long i = 0; i < CREW; i++) {
        t[i] = start(sums, (void *)(i + 3));
    }
    for (long i = 0; i < CREW; i++) {
        RIGHT("registers of SSE", join(t[i]), 0);
    }
    CPU_ZERO(&cpus);
    RIGHT("vCPUs", sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) >= 1, 1);
    return many();
}

/* ---- locks ---- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static volatile long counter, turn;
static volatile uint32_t word, other;

static void *count_up(void *arg)
{
    for (long i = 0; i < (long)arg; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

/* Two take turns; neither may miss a signal. */
static void *ping(void *arg)
{
    long me = (long)arg;

    for (int i = 0; i < 300; i++) {
        pthread_mutex_lock(&mutex);
        while (turn % 2 != me) {
            pthread_cond_wait(&cond, &mutex);
        }
        turn++;
        pthread_cond_broadcast(&cond);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void *meet(void *arg)
{
    return pthread_barrier_wait(arg) != 0 ? arg : NULL;
}

static int everyday(void)
{
    pthread_barrier_t barrier;
    pthread_t t[8];

    counter = 0;
    for (int i = 0; i < 8; i++) {
        t[i] = start(count_up, (void *)1000);
    }
    for (int i = 0; i < 8; i++) {
        join(t[i]);
    }
    RIGHT("a counter", counter, 8000);
    t[0] = start(ping, (void *)0);
    t[1] = start(ping, (void *)1);
    join(t[0]);
    join(t[1]);
    RIGHT("turns", turn, 600);
    pthread_barrier_init(&barrier, NULL, 3);
    t[0] = start(meet, &barrier);
    t[1] = start(meet, &barrier);
    long serial = meet(&barrier) != NULL;
    serial += join(t[0]) != NULL;
    serial += join(t[1]) != NULL;
    RIGHT("of three that meet, one", serial, 1);
    return 0;
}

static pthread_mutex_t robust, robust2;

static void *die_with_locks(void *arg)
{
    pthread_mutex_lock(&robust);
    pthread_mutex_lock(&robust2);
    sem_post(&gate);
    pause_for((long)arg);
    return NULL;
}

static void robust_init(pthread_mutex_t *m)
{
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(m, &attr);
}

static int robusts(void)
{
    robust_init(&robust);
    robust_init(&robust2);
    sem_init(&gate, 0, 0);
    /* We sleep for it when its holder ends. */
    pthread_t t = start(die_with_locks, (void *)(50 * MSEC));
    sem_wait(&gate);
    RIGHT("a lock whose holder ended", pthread_mutex_lock(&robust), EOWNERDEAD);
    RIGHT("made usable", pthread_mutex_consistent(&robust), 0);
    pthread_mutex_unlock(&robust);
    join(t);
    RIGHT("the other one", pthread_mutex_lock(&robust2), EOWNERDEAD);
    pthread_mutex_unlock(&robust2); /* not made usable */
    RIGHT("lost", pthread_mutex_lock(&robust2), ENOTRECOVERABLE);
    RIGHT("as any other", pthread_mutex_lock(&robust), 0);
    pthread_mutex_unlock(&robust);
    return 0;
}

static void *hold(void *arg)
{
    pthread_mutex_lock(&mutex);
    sem_post(&gate);
    sem_wait(arg);
    pthread_mutex_unlock(&mutex);
    return NULL;
}

static int timeouts(void)
{
    pthread_condattr_t attr;
    pthread_cond_t monotonic;
    struct timespec t;
    sem_t let_go;
    long began;

    sem_init(&gate, 0, 0);
    began = now(CLOCK_MONOTONIC); /* first: we may be kept waiting between the two */
    t = in(CLOCK_REALTIME, 30 * MSEC);
    RIGHT("sem_timedwait", sem_timedwait(&gate, &t) == -1 && errno == ETIMEDOUT, 1);
    RIGHT("its time", now(CLOCK_MONOTONIC) - began >= 25 * MSEC, 1);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&monotonic, &attr);
    t = in(CLOCK_MONOTONIC, 30 * MSEC);
    pthread_mutex_lock(&mutex);
    RIGHT("pthread_cond_timedwait", pthread_cond_timedwait(&monotonic, &mutex, &t), ETIMEDOUT);
    RIGHT("its time", now(CLOCK_MONOTONIC) >= t.tv_sec * SEC + t.tv_nsec, 1);
    t = in(CLOCK_REALTIME, -SEC);
    RIGHT("one that is over", pthread_cond_timedwait(&cond, &mutex, &t), ETIMEDOUT);
    pthread_mutex_unlock(&mutex);
    sem_init(&let_go, 0, 0);
    pthread_t holder = start(hold, &let_go);
    sem_wait(&gate);
    t = in(CLOCK_REALTIME, 20 * MSEC);
    RIGHT("pthread_mutex_timedlock", pthread_mutex_timedlock(&mutex, &t), ETIMEDOUT);
    sem_post(&let_go);
    t = in(CLOCK_REALTIME, 60 * SEC);
    RIGHT("the same in time", pthread_mutex_timedlock(&mutex, &t), 0);
    pthread_mutex_unlock(&mutex);
    join(holder);
    return 0;
}

static volatile long woken;

static void *sleep_on_word(void *arg)
{
    long rc = futex(&word, FUTEX_WAIT_BITSET, 7, NULL, NULL, (uint32_t)(long)arg);

    __atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
    return (void *)(rc == 0 ? 0L : (long)errno);
}

/* Move all that sleep at a word away and back until as many are there: nobody tells that else. */
static int until_asleep(long n)
{
    long rc = 0;

    while (rc < n) {
        sched_yield();
        rc = futex(&word, FUTEX_CMP_REQUEUE, 0, (void *)1000L, &other, 7);
        if (futex(&other, FUTEX_REQUEUE, 0, (void *)1000L, &word, 0) != rc) {
            return 1;
        }
    }
    return 0;
}

static int bare(void)
{
    const struct timespec soon = {.tv_nsec = 20 * MSEC}, bad = {.tv_nsec = SEC};
    struct timespec t;
    pthread_t sleepers[4];

    word = 7;
    RIGHT("another value", futex(&word, FUTEX_WAIT, 8, NULL, NULL, 0) == -1 && errno == EAGAIN, 1);
    RIGHT("no time", futex(&word, FUTEX_WAIT, 7, &bad, NULL, 0) == -1 && errno == EINVAL, 1);
    RIGHT("a timeout", futex(&word, FUTEX_WAIT, 7, &soon, NULL, 0) == -1 && errno == ETIMEDOUT, 1);
    t = in(CLOCK_MONOTONIC, 20 * MSEC);
    RIGHT("until a time",
          futex(&word, FUTEX_WAIT_BITSET, 7, &t, NULL, 1) == -1 && errno == ETIMEDOUT, 1);
    t = in(CLOCK_REALTIME, 20 * MSEC);
    RIGHT("by the wall clock",
          futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 7, &t, NULL, 1) == -1 &&
              errno == ETIMEDOUT,
          1);
    RIGHT("no bits", futex(&word, FUTEX_WAIT_BITSET, 7, NULL, NULL, 0) == -1 && errno == EINVAL, 1);
    RIGHT("none to wake", futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
    RIGHT("a word that is none",
          futex((volatile uint32_t *)((uintptr_t)&word + 1), FUTEX_WAKE, 1, NULL, NULL, 0) == -1 &&
              errno == EINVAL,
          1);
    RIGHT("nowhere",
          futex((volatile uint32_t *)0xffffffff80000000, FUTEX_WAIT, 0, NULL, NULL, 0) == -1 &&
              errno == EFAULT,
          1);
    RIGHT("not mapped",
          futex((volatile uint32_t *)64, FUTEX_WAIT, 0, NULL, NULL, 0) == -1 && errno == EFAULT, 1);
    woken = 0;
    for (long i = 0; i < 4; i++) {
        sleepers[i] = start(sleep_on_word, (void *)(1L << i));
    }
    RIGHT("four asleep", until_asleep(4), 0);
    RIGHT("another value", futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, &other, 8), -1);
    RIGHT("its error", errno, EAGAIN);
    RIGHT("nobody woke", woken, 0);
    RIGHT("bits that nobody has", futex(&word, FUTEX_WAKE_BITSET, 9, NULL, NULL, 0x100), 0);
    RIGHT("bits of one", futex(&word, FUTEX_WAKE_BITSET, 9, NULL, NULL, 4), 1);
    RIGHT("it", join(sleepers[2]), 0);
    RIGHT("one woken, one moved", futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, &other, 7), 2);
    RIGHT("one is left", futex(&word, FUTEX_WAKE, 9, NULL, NULL, 0), 1);
    RIGHT("the one that was moved", futex(&other, FUTEX_WAKE, 9, NULL, NULL, 0), 1);
    join(sleepers[0]);
    join(sleepers[1]);
    join(sleepers[3]);
    RIGHT("all woken", woken, 4);
    return 0;
}

static int locks(void)
{
    return everyday() || robusts() || timeouts() || bare();
}

/* ---- signals ---- */

static volatile long got_tid, got_count, got_code;
static volatile int stop;
static int never[2]; /* a pipe in which nothing ever comes */

static void note(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    got_code = info->si_code;
    got_tid = syscall(SYS_gettid);
    __atomic_add_fetch(&got_count, 1, __ATOMIC_SEQ_CST);
}

static volatile long its_tid;

/* A thread in a call that ends by a signal only. */
static void *read_nothing(void *arg)
{
    char c;

    (void)arg;
    its_tid = syscall(SYS_gettid);
    sem_post(&gate);
    return (void *)(read(never[0], &c, 1) == -1 ? (long)errno : 0L);
}

/* So long that what the kernel reckons the end to be must not run over. */
static void *sleep_long(void *arg)
{
    const struct timespec t = {.tv_sec = INT64_MAX};

    its_tid = syscall(SYS_gettid);
    sem_post(&gate);
    return (void *)(futex((volatile uint32_t *)arg, FUTEX_WAIT, 7, &t, NULL, 0) == -1 ? (long)errno
                                                                                      : 0L);
}

static void *spin(void *arg)
{
    (void)arg;
    its_tid = syscall(SYS_gettid);
    sem_post(&gate);
    while (stop == 0) {
    }
    return NULL;
}

/* Send until it was had: it may come before the call that it is to interrupt. */
static void *pester(pthread_t t, int number)
{
    void *result = NULL;

    while (pthread_tryjoin_np(t, &result) != 0) {
        pthread_kill(t, number);
        pause_for(5 * MSEC);
    }
    return result;
}

static int directed(void)
{
    act(SIGUSR1, note, 0);
    pthread_t t = start(read_nothing, NULL);
    sem_wait(&gate);
    RIGHT("a read of a certain thread", pester(t, SIGUSR1), EINTR);
    RIGHT("its handler, there", got_tid, its_tid);
    RIGHT("its code", got_code, SI_TKILL);
    word = 7;
    t = start(sleep_long, (void *)&word);
    sem_wait(&gate);
    RIGHT("a futex of a certain thread", pester(t, SIGUSR1), EINTR);
    RIGHT("its handler, there", got_tid, its_tid);
    stop = 0;
    t = start(spin, NULL);
    sem_wait(&gate);
    got_tid = 0;
    pthread_kill(t, SIGUSR1);
    while (got_tid == 0) {
        sched_yield();
    }
    RIGHT("one that is never in the kernel", got_tid, its_tid);
    RIGHT("tgkill of another process's",
          syscall(SYS_tgkill, its_tid, its_tid, 0) == -1 && errno == ESRCH, 1);
    /* To the process: whoever does not block it has it. */
    block(SIG_BLOCK, SIGUSR1);
    got_tid = 0;
    kill(getpid(), SIGUSR1);
    while (got_tid == 0) {
        sched_yield();
    }
    RIGHT("the one that does not block it", got_tid, its_tid);
    stop = 1;
    join(t);
    return 0;
}

static void *wait_for_usr2(void *arg)
{
    sigset_t set;
    int number = 0;

    (void)arg;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sem_post(&gate);
    sigwait(&set, &number);
    return (void *)(long)number;
}

static int masks(void)
{
    sigset_t set;

    /* A thread begins with the mask of the one that made it, and has nothing pending of it. */
    block(SIG_BLOCK, SIGUSR2);
    RIGHT("raise", raise(SIGUSR2), 0);
    pthread_t t = start(wait_for_usr2, NULL);
    sem_wait(&gate);
    pause_for(20 * MSEC);
    RIGHT("what is ours is not its", pthread_tryjoin_np(t, NULL), EBUSY);
    kill(getpid(), SIGUSR2);
    RIGHT("what is everybody's", join(t), SIGUSR2);
    sigpending(&set);
    RIGHT("ours still", sigismember(&set, SIGUSR2), 1);
    act(SIGUSR2, note, 0);
    got_tid = 0;
    block(SIG_UNBLOCK, SIGUSR2);
    RIGHT("and now not", got_tid, getpid());
    return 0;
}

static void give_back(void *m)
{
    pthread_mutex_unlock(m);
}

static void *wait_on_cond(void *arg)
{
    pthread_mutex_lock(&mutex);
    pthread_cleanup_push(give_back, &mutex);
    sem_post(&gate);
    pthread_cond_wait(&cond, &mutex);
    pthread_cleanup_pop(1);
    return arg;
}

static int cancels(void)
{
    pthread_t t = start(read_nothing, NULL);

    sem_wait(&gate);
    RIGHT("cancel", pthread_cancel(t), 0);
    RIGHT("a read", join(t) == PTHREAD_CANCELED, 1);
    t = start(wait_on_cond, NULL);
    sem_wait(&gate);
    pthread_cancel(t);
    RIGHT("a condition", join(t) == PTHREAD_CANCELED, 1);
    RIGHT("its mutex, given back", pthread_mutex_trylock(&mutex), 0);
    pthread_mutex_unlock(&mutex);
    return 0;
}

static __thread sigjmp_buf away;
static char *zero;

static void leave(int number, siginfo_t *info, void *context)
{
    (void)info;
    (void)context;
    siglongjmp(away, number);
}

static void *fault(void *arg)
{
    char *stack = malloc(32768);
    stack_t ss = {.ss_sp = stack, .ss_size = 32768}, old;
    volatile long wrong = sigaltstack(&ss, &old) != 0 || (old.ss_flags & SS_DISABLE) == 0;

    for (int i = 0; i < 50; i++) {
        if (sigsetjmp(away, 1) == 0) {
            *(volatile char *)zero = 1;
            wrong++;
        }
    }
    ss.ss_flags = SS_DISABLE;
    sigaltstack(&ss, NULL);
    free(stack);
    return (void *)(arg == NULL ? wrong : -1);
}

static int faults(void)
{
    pthread_t t[4];

    act(SIGSEGV, leave, SA_ONSTACK);
    for (int i = 0; i < 4; i++) {
        t[i] = start(fault, NULL);
    }
    for (int i = 0; i < 4; i++) {
        RIGHT("faults of a thread's own", join(t[i]), 0);
    }
    return 0;
}

static int signals(void)
{
    RIGHT("pipe", pipe(never), 0);
    sem_init(&gate, 0, 0);
    return directed() || masks() || cancels() || faults();
}

/* ---- processes ---- */

static void *poll_long(void *arg)
{
    sem_post(&gate);
    poll(NULL, 0, 1000000);
    return arg;
}

static void *lock_long(void *arg)
{
    sem_post(&gate);
    pthread_mutex_lock(&mutex);
    return arg;
}

static void *nap_long(void *arg)
{
    sem_post(&gate);
    pause_for(1000 * SEC);
    return arg;
}

static void *wait_long(void *arg)
{
    int ends[2];
    char c;

    if (pipe(ends) != 0) {
        return NULL;
    }
    pid_t child = fork();
    if (child == 0) { /* it lives as long as we do */
        close(ends[1]);
        _exit(read(ends[0], &c, 1) != 0);
    }
    sem_post(&gate);
    waitpid(child, NULL, 0);
    return arg;
}

/* Threads in all that a thread can be in. */
static void begin_all(void)
{
    static thread_fn *const fns[] = {read_nothing, sleep_long, spin,         poll_long,
                                     lock_long,    nap_long,   wait_for_usr2};

    stop = 0;
    word = 7;
    sem_init(&gate, 0, 0);
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < sizeof(fns) / sizeof(fns[0]); i++) {
        start(fns[i], (void *)&word);
        sem_wait(&gate);
    }
}

/* When the first thread has ended: what exit() takes down, a thread's end walks its stack by. */
static void *leave_all(void *arg)
{
    pthread_join(*(pthread_t *)arg, NULL);
    exit(7);
}

static void *crash(void *arg)
{
    (void)arg;
    *(volatile char *)zero = 1;
    return NULL;
}

static void *run_again(void *arg)
{
    char *argv[] = {arg, "again", NULL};

    execv(arg, argv);
    return NULL;
}

enum end { END_MAIN, END_THREAD, END_CRASH, END_KILLED, END_EXEC };

static const char *program;

static void end_by(enum end how)
{
    static pthread_t first;

    begin_all();
    first = pthread_self();
    signal(SIGSEGV, SIG_DFL);
    switch (how) {
    case END_MAIN:
        exit(5);
    case END_THREAD:
        start(leave_all, &first);
        pthread_exit(NULL);
    case END_CRASH:
        start(crash, NULL);
        break;
    case END_EXEC:
        start(run_again, (void *)program);
        break;
    default:
        break;
    }
    pause_for(1000 * SEC);
}

/* What a child with many threads ends with. */
static int status_of(enum end how)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        end_by(how);
        _exit(99);
    }
    if (how == END_KILLED) {
        pause_for(100 * MSEC);
        kill(child, SIGKILL);
    }
    waitpid(child, &status, 0);
    return status;
}

static int forks(void)
{
    int status = -1;
    pthread_t t = start(wait_at_gate, NULL);
    pid_t child = fork();

    if (child == 0) {
        /* It has one thread, which has the process's number, and can have more. */
        long right = syscall(SYS_gettid) == getpid() && join(start(nothing, &status)) == &status;
        _exit(right ? 3 : 4);
    }
    waitpid(child, &status, 0);
    RIGHT("a child of a process with threads", status, 3 << 8);
    sem_post(&gate);
    join(t);
    return 0;
}

static void *fork_and_wait(void *arg)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        _exit((int)(long)arg);
    }
    waitpid(child, &status, 0);
    return (void *)(long)(status >> 8);
}

/* ---- a child in its parent's memory ---- */

static volatile int left_by_child;
static volatile long turns;

static void *turn_on(void *arg)
{
    while (*(volatile int *)arg == 0) {
        turns++;
        sched_yield();
    }
    return NULL;
}

static volatile long turns_before, turns_after;

static int write_and_watch(void *arg)
{
    (void)arg;
    left_by_child = 4711;
    turns_before = turns;
    while (turns < turns_before + 100) {
        sched_yield();
    }
    turns_after = turns;
    return 9;
}

/* As vfork() and posix_spawn() do it. */
static pid_t lend_to(int (*fn)(void *arg), void *arg)
{
    static _Alignas(16) char stack[32768];

    return clone(fn, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, arg);
}

/* Of all threads the one that called sleeps; what the child writes is there. */
static int lends(void)
{
    volatile int over = 0;
    int status = -1;
    pthread_t t = start(turn_on, (void *)&over);
    pid_t child = lend_to(write_and_watch, NULL);

    RIGHT("a child", child > 0, 1);
    RIGHT("it ran to its end first", left_by_child, 4711);
    RIGHT("the other thread went on", turns_after >= turns_before + 100, 1);
    RIGHT("its end", waitpid(child, &status, 0) == child && status == 9 << 8, 1);
    over = 1;
    join(t);
    return 0;
}

static int spawns(void)
{
    char *again[] = {(char *)program, "again", NULL};
    int status = -1;
    pid_t child;

    RIGHT("posix_spawn", posix_spawn(&child, program, NULL, NULL, again, NULL), 0);
    RIGHT("its end", waitpid(child, &status, 0) == child && status == 6 << 8, 1);
    RIGHT("of nothing", posix_spawn(&child, "/nothing", NULL, NULL, again, NULL), ENOENT);
    RIGHT("system", system("exit 3"), 3 << 8);
    return 0;
}

static int tell_and_stay(void *arg)
{
    const int *fds = arg;
    pid_t own = getpid();

    (void)!write(fds[1], &own, sizeof(own));
    pause_for(1000 * MSEC);
    left_by_child = 1;
    (void)!write(fds[1], "x", 1);
    return 0;
}

/* A parent that a signal ends while it sleeps leaves the memory to the child. */
static int lender_ends(int by)
{
    struct pollfd more = {.events = POLLIN};
    int fds[2], status = -1;
    pid_t child, grandchild = 0;
    char in;

    RIGHT("pipe", pipe(fds), 0);
    child = fork();
    if (child == 0) {
        (void)lend_to(tell_and_stay, fds);
        _exit(1);
    }
    RIGHT("grandchild", read(fds[0], &grandchild, sizeof(grandchild)), sizeof(grandchild));
    kill(child, by);
    RIGHT("killed", waitpid(child, &status, 0) == child && status == by, 1);
    more.fd = fds[0];
    RIGHT("before the child ends", poll(&more, 1, 0), 0);
    RIGHT("it goes on", read(fds[0], &in, 1), 1);
    close(fds[0]);
    close(fds[1]);
    return 0;
}

static int processes(void)
{
    pthread_t t[4];

    RIGHT("pipe", pipe(never), 0);
    block(SIG_BLOCK, SIGUSR2);
    sem_init(&gate, 0, 0);
    if (forks() != 0) {
        return 1;
    }
    for (long i = 0; i < 4; i++) {
        t[i] = start(fork_and_wait, (void *)(i + 10));
    }
    for (long i = 0; i < 4; i++) {
        RIGHT("children of threads", join(t[i]), i + 10);
    }
    RIGHT("the first thread ends all", status_of(END_MAIN), 5 << 8);
    RIGHT("another one does", status_of(END_THREAD), 7 << 8);
    RIGHT("a fault does", status_of(END_CRASH) & 0x7f, SIGSEGV);
    RIGHT("SIGKILL does", status_of(END_KILLED), SIGKILL);
    RIGHT("another program instead of all", status_of(END_EXEC), 6 << 8);
    /* A thread that waits for a child, while all end: the child is somebody else's then. */
    sem_init(&gate, 0, 0);
    pid_t child = fork();
    int status = -1;
    if (child == 0) {
        start(wait_long, NULL);
        sem_wait(&gate);
        kill(0, SIGTERM == 0); /* asks only */
        _exit(8);
    }
    waitpid(child, &status, 0);
    RIGHT("while one waits for a child", status, 8 << 8);
    return lends() || spawns() || lender_ends(SIGKILL) || lender_ends(SIGTERM);
}

/* ---- memory ---- */

static volatile long *volatile page;
static volatile long writes, ready;

static void *write_on(void *arg)
{
    (void)arg;
    if (sigsetjmp(away, 1) == 0) {
        sem_post(&gate);
        for (;;) {
            page[0]++;
            writes++;
        }
    }
    return (void *)SIGSEGV;
}

/* After the call has come back, no other vCPU may write there any more. */
static int protects(void)
{
    for (int i = 0; i < 30; i++) {
        page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        pthread_t t = start(write_on, NULL);
        sem_wait(&gate);
        long before = writes;
        while (writes - before < 1000) {
            sched_yield();
        }
        RIGHT("mprotect", mprotect((void *)page, PAGE, PROT_READ), 0);
        long is = page[0];
        for (int j = 0; j < 20; j++) {
            RIGHT("nobody writes", page[0], is);
            sched_yield();
        }
        RIGHT("its fault", join(t), SIGSEGV);
        RIGHT("munmap", munmap((void *)page, PAGE), 0);
    }
    return 0;
}

#define FIELD_PAGES 8

/* Read what main maps anew all the time: it is the last round's or this one's, or zero. */
static void *read_on(void *arg)
{
    volatile long *const *at = arg;
    volatile long wrong = 0;

    sem_post(&gate);
    while (stop == 0) {
        long round = ready;
        if (sigsetjmp(away, 1) != 0) {
            continue;
        }
        for (size_t i = 0; i < FIELD_PAGES; i++) {
            long seen = (*at)[i * PAGE / sizeof(long)];

            wrong += seen != 0 && seen < round;
        }
    }
    return (void *)wrong;
}

static int unmaps(void)
{
    pthread_t t[3];
    void *field =
        mmap(NULL, FIELD_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    page = field;
    stop = 0;
    ready = 0;
    for (int i = 0; i < 3; i++) {
        t[i] = start(read_on, (void *)&page);
        sem_wait(&gate);
    }
    for (long round = 1; round <= 300; round++) {
        if (round % 2 == 0) {
            munmap(field, FIELD_PAGES * PAGE);
        }
        (void)mmap(field, FIELD_PAGES * PAGE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        ready = round; /* whatever was there before is gone for everybody */
        for (size_t i = 0; i < FIELD_PAGES; i++) {
            page[i * PAGE / sizeof(long)] = round;
        }
    }
    stop = 1;
    for (int i = 0; i < 3; i++) {
        RIGHT("a page that was unmapped", join(t[i]), 0);
    }
    munmap(field, FIELD_PAGES * PAGE);
    return 0;
}

static void *scribble(void *arg)
{
    volatile long *at = arg;

    sem_post(&gate);
    while (stop == 0) {
        for (size_t i = 0; i < FIELD_PAGES; i++) {
            at[i * PAGE / sizeof(long)]++;
        }
    }
    return NULL;
}

/* A child's memory is as it was at its birth, though the parent's threads go on writing. */
static int copies(void)
{
    volatile long *field =
        mmap(NULL, FIELD_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_t t[2];

    stop = 0;
    for (int i = 0; i < 2; i++) {
        t[i] = start(scribble, (void *)field);
        sem_wait(&gate);
    }
    for (int i = 0; i < 10; i++) {
        int status = -1;
        pid_t child = fork();

        if (child == 0) {
            long is[FIELD_PAGES], changed = 0;

            for (size_t n = 0; n < FIELD_PAGES; n++) {
                is[n] = field[n * PAGE / sizeof(long)];
            }
            for (int j = 0; j < 20; j++) {
                sched_yield();
                for (size_t n = 0; n < FIELD_PAGES; n++) {
                    changed += field[n * PAGE / sizeof(long)] != is[n];
                }
            }
            _exit(changed != 0);
        }
        waitpid(child, &status, 0);
        RIGHT("a child's memory", status, 0);
    }
    stop = 1;
    join(t[0]);
    join(t[1]);
    munmap((void *)field, FIELD_PAGES * PAGE);
    return 0;
}

static void *call_on(void *arg)
{
    int ends[2], null = open("/dev/null", O_WRONLY), zeroes = open("/dev/zero", O_RDONLY);
    struct timespec *ts = arg;
    long wrong = pipe(ends) != 0;

    sem_post(&gate);
    while (stop == 0) {
        ssize_t n = write(null, arg, PAGE);
        wrong += n < 0 && errno != EFAULT;
        n = read(zeroes, arg, PAGE);
        wrong += n < 0 && errno != EFAULT;
        wrong += syscall(SYS_clock_gettime, CLOCK_MONOTONIC, ts) != 0 && errno != EFAULT;
        n = futex(arg, FUTEX_WAIT, 1, NULL, NULL, 0); /* nobody ever writes a one there */
        wrong += n != -1 || (errno != EFAULT && errno != EAGAIN);
    }
    close(ends[0]);
    close(ends[1]);
    close(null);
    close(zeroes);
    return (void *)wrong;
}

/* A system call that is under way may find its memory gone: an error, or what it wanted. */
static int races(void)
{
    pthread_t t[3];
    void *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    stop = 0;
    for (int i = 0; i < 3; i++) {
        t[i] = start(call_on, at);
        sem_wait(&gate);
    }
    for (int i = 0; i < 200; i++) {
        munmap(at, PAGE);
        sched_yield();
        (void)mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                   0);
        mprotect(at, PAGE, PROT_READ);
        sched_yield();
        mprotect(at, PAGE, PROT_READ | PROT_WRITE);
    }
    stop = 1;
    for (int i = 0; i < 3; i++) {
        RIGHT("calls on memory that comes and goes", join(t[i]), 0);
    }
    munmap(at, PAGE);
    return 0;
}

static void *open_and_close(void *arg)
{
    char c;

    sem_post(&gate);
    while (stop == 0) {
        int fd = dup(never[0]);

        for (int i = never[1] + 1; i < never[1] + 6; i++) {
            if (fcntl(i, F_GETFL) >= 0) {
                (void)!read(i, &c, 0);
            }
        }
        close(fd);
        close(never[1] + 1); /* somebody else's */
    }
    return arg;
}

/* Descriptors that others close: an error, never another thread's harm. */
static int descriptors(void)
{
    pthread_t t[3];

    RIGHT("pipe", pipe(never), 0);
    stop = 0;
    for (int i = 0; i < 3; i++) {
        t[i] = start(open_and_close, NULL);
        sem_wait(&gate);
    }
    pause_for(300 * MSEC);
    stop = 1;
    for (int i = 0; i < 3; i++) {
        join(t[i]);
    }
    return 0;
}

static int memory(void)
{
    sem_init(&gate, 0, 0);
    act(SIGSEGV, leave, SA_NODEFER);
    return protects() || unmaps() || copies() || races() || descriptors();
}

/* ---- lies ---- */

#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define KERNEL       0xffff880000000000ul

static long clone_raw(unsigned long flags, unsigned long stack, void *parent, unsigned long tls)
{
    return syscall(SYS_clone, flags, stack, parent, NULL, tls);
}

static void *end_with_list(void *arg)
{
    syscall(SYS_set_robust_list, arg, 24);
    return NULL;
}

static void *end_with_address(void *arg)
{
    syscall(SYS_set_tid_address, arg);
    syscall(SYS_exit, 0);
    return NULL;
}

static int lies(void)
{
    static unsigned long ring[3], stray[3] = {8, 0, 0}, far[3] = {KERNEL, 0, KERNEL};
    unsigned long head, size;

    RIGHT("memory of somebody who goes on", clone_raw(CLONE_VM | SIGCHLD, 4096, NULL, 0) == -1, 1);
    RIGHT("its error", errno, EINVAL);
    RIGHT("half a thread", clone_raw(CLONE_THREAD | CLONE_VM, 4096, NULL, 0) == -1, 1);
    RIGHT("its error", errno, EINVAL);
    RIGHT("unknown flags", clone_raw(THREAD_FLAGS | CLONE_NEWPID, 4096, NULL, 0) == -1, 1);
    RIGHT("its error", errno, EINVAL);
    RIGHT("a stack of the kernel's", clone_raw(THREAD_FLAGS, KERNEL, NULL, 0) == -1, 1);
    RIGHT("its error", errno, EINVAL);
    RIGHT("a base of the kernel's",
          clone_raw(THREAD_FLAGS | CLONE_SETTLS, 4096, NULL, KERNEL) == -1, 1);
    RIGHT("its error", errno, EPERM);
    RIGHT("nowhere to tell",
          clone_raw(THREAD_FLAGS | CLONE_PARENT_SETTID, 4096, (void *)KERNEL, 0) == -1, 1);
    RIGHT("its error", errno, EFAULT);
    RIGHT("a list of another size", syscall(SYS_set_robust_list, ring, 8) == -1, 1);
    RIGHT("our list", syscall(SYS_get_robust_list, 0, &head, &size) == 0 && size == 24, 1);
    RIGHT("nowhere to tell of it", syscall(SYS_get_robust_list, 0, KERNEL, &size) == -1, 1);
    /* Lists of locks that are none; one of them has no end. */
    ring[0] = (unsigned long)&ring[1];
    ring[1] = (unsigned long)&ring[1];
    join(start(end_with_list, ring));
    join(start(end_with_list, stray));
    join(start(end_with_list, far));
    join(start(end_with_list, (void *)KERNEL));
    join(start(end_with_list, (void *)8));
    /* What is zeroed at the end: nobody joins them. */
    start(end_with_address, (void *)KERNEL);
    start(end_with_address, (void *)8);
    start(end_with_address, (void *)((uintptr_t)&ring[2] + 1));
    RIGHT("a signal to no thread", syscall(SYS_tkill, -1, 0) == -1 && errno == EINVAL, 1);
    pause_for(50 * MSEC);
    return 0;
}

/* ---- hog and count ---- */

static int hog(void)
{
    enum { MOST = 5000 };
    static pthread_t t[MOST];
    pthread_attr_t attr;
    int n = 0, rc = 0;

    sem_init(&gate, 0, 0);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 16384);
    while (n < MOST && rc == 0) {
        rc = pthread_create(&t[n], &attr, wait_at_gate, NULL);
        n += rc == 0;
    }
    RIGHT("no more threads", rc, EAGAIN);
    RIGHT("many there are", n >= 500, 1);
    for (int i = 0; i < n; i++) {
        sem_post(&gate);
    }
    for (int i = 0; i < n; i++) {
        join(t[i]);
    }
    /* All have told their end; what the kernel had for the last ones comes back a little later. */
    for (int i = 0; i < 1000 && pthread_create(&t[0], &attr, nothing, t) != 0; i++) {
        pause_for(10 * MSEC);
    }
    RIGHT("and again one", join(t[0]) == t, 1);
    return 0;
}

static void *take_turns(void *arg)
{
    long me = (long)arg;

    pthread_mutex_lock(&mutex);
    while (stop == 0) {
        struct timespec t = in(CLOCK_REALTIME, 50 * MSEC);

        while (turn % 2 != me) {
            pthread_cond_wait(&cond, &mutex);
        }
        printf("count %ld\n", turn);
        while (pthread_cond_timedwait(&cond, &mutex, &t) != ETIMEDOUT) {
        }
        turn++;
        pthread_cond_broadcast(&cond);
    }
    pthread_mutex_unlock(&mutex);
    return NULL;
}

static int count(void)
{
    start(take_turns, (void *)0);
    return join(start(take_turns, (void *)1)) != NULL;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*fn)(void);
    } kinds[] = {
        {"basics", basics}, {"locks", locks}, {"signals", signals}, {"processes", processes},
        {"memory", memory}, {"lies", lies},   {"hog", hog},         {"count", count}};
    const char *what = argc > 1 ? argv[1] : "";
    int rc = 2;

    program = argv[0];
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(what, "again") == 0) { /* what a thread ran instead of all */
        return syscall(SYS_gettid) == getpid() ? 6 : 1;
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(what, kinds[i].name) == 0) {
            rc = kinds[i].fn();
        }
    }
    if (rc == 0) {
        printf("threads %s: right\n", what);
    }
    return rc;
}
