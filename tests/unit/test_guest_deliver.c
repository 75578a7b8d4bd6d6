/*
 * From a pending signal to a handler and back, with the program's memory, the processor's registers
 * of x87 and SSE and the end of a process played by this program: what becomes of an interrupted
 * system call, in which order handlers run, what a frame that lies comes to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <xen/xen.h>

#include "kern/log.h"
#include "kern/mem.h"
#include "kern/thread.h"
#include "fake_user.h"
#include "proc/deliver.h"
#include "proc/jobs.h"
#include "proc/sigframe.h"

#define HUP  1
#define USR1 10
#define USR2 12

#define HANDLER1 0x401000
#define HANDLER2 0x402000
#define RESTORER 0x403000
#define CALL     0x400100 /* where the instruction ends */
#define NUMBER   35       /* of the call */

#define MEMORY    0x7fff00000000 /* of the program, so much */
#define SIZE      0x10000
#define STACK_TOP (MEMORY + 0x8000)

static struct proc p;
static struct uthread t;
static struct trap_frame regs;
static unsigned char memory[SIZE];
static unsigned char fpu[FXSAVE_SIZE]; /* what the processor has */
static unsigned held;
static unsigned refuse; /* the request for memory that is refused, counted from 1; 0: none */
static jmp_buf ended;
static int end_status;

/* ---- what is played ---- */

void spin_init(spinlock_t *lock, const char *name)
{
    *lock = (spinlock_t){.owner = -1, .name = name};
}

void *kmalloc(size_t size)
{
    if (refuse != 0 && --refuse == 0) {
        return NULL;
    }
    held++;
    return malloc(size);
}

void kfree(void *ptr)
{
    held -= ptr != NULL;
    free(ptr);
}

void *thread_fpu_fresh(void)
{
    void *area = kmalloc(FXSAVE_SIZE);

    return area == NULL ? NULL : memset(area, 0, FXSAVE_SIZE);
}

void *thread_fpu_copy(void)
{
    void *area = kmalloc(FXSAVE_SIZE);

    return area == NULL ? NULL : memcpy(area, fpu, FXSAVE_SIZE);
}

void thread_fpu_load(void *area)
{
    memcpy(fpu, area, FXSAVE_SIZE);
    kfree(area);
}

bool uthread_interrupted(const struct uthread *thread)
{
    return signal_ready(&thread->signals) != 0;
}

bool uthread_must_end(const struct uthread *thread)
{
    (void)thread;
    return false;
}

static unsigned stopped_by, slept;

void job_stop(struct proc *stopped, unsigned number)
{
    stopped_by = number;
    signals_stop(&stopped->signals, number);
}

/* Somebody lets it go on at once. */
void job_sleep(struct uthread *thread)
{
    const struct signal_info info = {.pid = 1};

    if (signals_stopped(&thread->proc->signals) != 0) {
        slept++;
        (void)signal_post(&thread->proc->signals, SIGNAL_CONTINUE, &info);
    }
}

void proc_exit(int status)
{
    end_status = status;
    longjmp(ended, 1);
}

void klog(enum log_level level, const char *fmt, ...)
{
    (void)level;
    (void)fmt;
}

/* ---- a thread, at the end of a system call ---- */

static int begin(void **state)
{
    static const uint32_t mxcsr_mask = 0xffff;

    (void)state;
    memset(&p, 0, sizeof(p));
    signals_init(&p.signals);
    t = (struct uthread){.proc = &p};
    signals_join(&p.signals, &t.signals);
    memset(memory, 0xee, sizeof(memory));
    fake_user_is(MEMORY, memory, sizeof(memory));
    memset(fpu, 0x11, sizeof(fpu));
    memset(fpu + 24, 0, 4);
    memcpy(fpu + 28, &mxcsr_mask, 4);
    memset(fpu + 416, 0, FXSAVE_SIZE - 416);
    held = 0;
    refuse = 0;
    end_status = -1;
    regs = (struct trap_frame){.rip = CALL,
                               .rsp = STACK_TOP,
                               .rbx = 42,
                               .cs = FLAT_USER_CS64,
                               .ss = FLAT_USER_SS64,
                               .rflags = 0x246,
                               .vector = TRAP_SYSCALL,
                               .error = NUMBER};
    return 0;
}

static int nothing_is_left(void **state)
{
    (void)state;
    assert_int_equal(held, 0);
    return 0;
}

static void act(unsigned number, uint64_t handler, uint64_t flags)
{
    const struct signal_action action = {
        .handler = handler, .flags = flags | SA_RESTORER, .restorer = RESTORER};

    assert_int_equal(signal_set_action(&p.signals, number, &action, NULL), 0);
}

static void post(unsigned number)
{
    const struct signal_info info = {.pid = 1};

    (void)signal_post(&p.signals, number, &info);
}

static void result(int64_t rax)
{
    regs.rax = (uint64_t)rax;
}

/* What the handler that runs would go back to. */
static struct sigframe *frame(void)
{
    return (struct sigframe *)users(UADDR(regs.rsp), sizeof(struct sigframe));
}

/* Return from the handler: what RET and the restorer do. */
static int go_back(void)
{
    const char *why;

    regs.rsp += 8;
    return deliver_return(&t, &regs, &why);
}

/* ---- stops ---- */

/* A thread that is stopped in a call sleeps, and the call is made again; nothing else happens. */
static void a_stop_lets_a_call_begin_again(void **state)
{
    (void)state;
    slept = stopped_by = 0;
    post(SIGNAL_TTY_STOP);
    result(-CALL_RESTARTS);
    assert_true(deliver_due(&t, &regs));
    deliver_signals(&t, &regs);
    assert_int_equal(stopped_by, SIGNAL_TTY_STOP);
    assert_int_equal(slept, 1);
    assert_int_equal(end_status, -1);
    assert_int_equal(regs.rip, CALL - 2);
    assert_int_equal(regs.rax, NUMBER);
    assert_false(deliver_due(&t, &regs));
}

/* SIGCONT's handler runs then, and it is what interrupted the call. */
static void what_goes_on_may_have_a_handler(void **state)
{
    (void)state;
    slept = 0;
    act(SIGNAL_CONTINUE, HANDLER1, 0);
    post(SIGNAL_STOP);
    result(-CALL_RESTARTS);
    deliver_signals(&t, &regs);
    assert_int_equal(slept, 1);
    assert_int_equal(regs.rip, HANDLER1);
    assert_int_equal(go_back(), 0);
    assert_int_equal((int64_t)regs.rax, -LINUX_EINTR);
    assert_int_equal(regs.rip, CALL);
}

/* ---- interrupted calls ---- */

/* What the program finds in %rax after a call that ended with @rax, and a handler with @flags. */
static int64_t after_handler(int64_t rax, uint64_t flags)
{
    assert_int_equal(begin(NULL), 0);
    act(USR1, HANDLER1, flags);
    post(USR1);
    t.nap_until = 1000;
    result(rax);
    assert_true(deliver_due(&t, &regs));
    deliver_signals(&t, &regs);
    assert_int_equal(regs.rip, HANDLER1);
    assert_false(deliver_due(&t, &regs));
    assert_int_equal(t.nap_until, 0); /* a handler ran: a sleep begins anew */
    assert_int_equal(go_back(), 0);
    assert_int_equal(regs.rbx, 42);
    assert_int_equal(regs.rsp, STACK_TOP);
    return (int64_t)regs.rax;
}

static void a_handler_decides_what_a_call_comes_to(void **state)
{
    (void)state;
    assert_int_equal(after_handler(-CALL_RESTARTS, 0), -LINUX_EINTR);
    assert_int_equal(regs.rip, CALL);
    assert_int_equal(after_handler(-CALL_RESTARTS, SA_RESTART), NUMBER);
    assert_int_equal(regs.rip, CALL - 2);
    assert_int_equal(after_handler(-CALL_RESTARTS_UNHANDLED, SA_RESTART), -LINUX_EINTR);
    assert_int_equal(regs.rip, CALL);
    /* Those that were not interrupted have their results, whatever they are. */
    assert_int_equal(after_handler(17, SA_RESTART), 17);
    assert_int_equal(after_handler(-EBADF, SA_RESTART), -EBADF);
    assert_int_equal(regs.rip, CALL);
}

static void without_a_handler_a_call_is_made_again(void **state)
{
    static const int64_t results[] = {-CALL_RESTARTS, -CALL_RESTARTS_UNHANDLED};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
        assert_int_equal(begin(NULL), 0);
        t.nap_until = 1000;
        result(results[i]);
        assert_true(deliver_due(&t, &regs));
        deliver_signals(&t, &regs);
        assert_int_equal(regs.rip, CALL - 2);
        assert_int_equal(regs.rax, NUMBER);
        assert_int_equal(t.nap_until, 1000); /* goes on with its sleep */
        assert_false(deliver_due(&t, &regs));
    }
    /* No call at all, but a number in %rax that looks like it. */
    assert_int_equal(begin(NULL), 0);
    regs.vector = TRAP_UPCALL;
    result(-CALL_RESTARTS);
    assert_false(deliver_due(&t, &regs));
    deliver_signals(&t, &regs);
    assert_int_equal(regs.rip, CALL);
}

static void sigsuspend_waits_again_or_gives_the_mask_back(void **state)
{
    (void)state;
    signal_set_blocked(&t.signals, SIGNAL_BIT(HUP));
    signal_suspend(&t.signals, 0);
    result(-CALL_RESTARTS_UNHANDLED);
    deliver_signals(&t, &regs); /* woken for nothing */
    assert_int_equal(t.signals.blocked, SIGNAL_BIT(HUP));
    assert_int_equal(regs.rip, CALL - 2);

    assert_int_equal(begin(NULL), 0);
    act(USR1, HANDLER1, 0);
    signal_set_blocked(&t.signals, SIGNAL_BIT(USR1));
    post(USR1);
    signal_suspend(&t.signals, 0);
    result(-CALL_RESTARTS_UNHANDLED);
    deliver_signals(&t, &regs);
    assert_int_equal(frame()->uc.mask, SIGNAL_BIT(USR1));
    assert_int_equal(go_back(), 0);
    assert_int_equal(t.signals.blocked, SIGNAL_BIT(USR1));
    assert_int_equal((int64_t)regs.rax, -LINUX_EINTR);
}

/* ---- handlers ---- */

static void what_is_ready_runs_one_on_top_of_the_other(void **state)
{
    (void)state;
    act(USR1, HANDLER1, SA_RESTART);
    act(USR2, HANDLER2, 0);
    post(USR1);
    post(USR2);
    result(-CALL_RESTARTS);
    deliver_signals(&t, &regs);
    assert_int_equal(regs.rip, HANDLER2); /* the second frame is on top */
    assert_int_equal(regs.rdi, USR2);
    assert_int_equal(t.signals.blocked, SIGNAL_BIT(USR1) | SIGNAL_BIT(USR2));
    assert_int_equal(go_back(), 0);
    assert_int_equal(regs.rip, HANDLER1);
    assert_int_equal(regs.rdi, USR1);
    assert_int_equal(t.signals.blocked, SIGNAL_BIT(USR1));
    assert_int_equal(go_back(), 0);
    /* Of the two, the first decided: its flag lets the call be made again. */
    assert_int_equal(regs.rip, CALL - 2);
    assert_int_equal(regs.rax, NUMBER);
    assert_int_equal(t.signals.blocked, 0);
}

static void registers_of_sse_are_kept(void **state)
{
    unsigned char before[FXSAVE_SIZE];

    (void)state;
    memcpy(before, fpu, sizeof(before));
    act(USR1, HANDLER1, 0);
    post(USR1);
    deliver_signals(&t, &regs);
    assert_int_equal(fpu[200], 0); /* a handler begins with fresh ones */
    memset(fpu + 100, 0x77, 100);
    assert_int_equal(go_back(), 0);
    assert_memory_equal(fpu, before, 416);
    /* Without any in the frame: as at a program's start. */
    post(USR1);
    deliver_signals(&t, &regs);
    memset(fpu + 100, 0x77, 100);
    frame()->uc.regs.fpu = 0;
    assert_int_equal(go_back(), 0);
    assert_int_equal(fpu[150], 0);
}

/* Deliver what is ready; what the process ends with, or -1. */
static int end_of_delivery(void)
{
    end_status = -1;
    if (setjmp(ended) == 0) {
        deliver_signals(&t, &regs);
    }
    return end_status;
}

static void ends_are_ends(void **state)
{
    (void)state;
    post(USR1);
    assert_int_equal(end_of_delivery(), USR1);
    /* A handler whose frame cannot be written, and nothing for that fault. */
    act(USR1, HANDLER1, 0);
    regs.rsp = 0x5000;
    post(USR1);
    assert_int_equal(end_of_delivery(), SIGNAL_SEGV);
    assert_int_equal(regs.rip, CALL);
    assert_int_equal(t.signals.blocked, 0);
    /* One for that fault, on another stack. */
    t.signals.stack = (struct signal_stack){.sp = MEMORY, .size = 0x4000};
    act(SIGNAL_SEGV, HANDLER2, SA_ONSTACK);
    post(USR1);
    assert_int_equal(end_of_delivery(), -1);
    assert_int_equal(regs.rip, HANDLER2);
    assert_true(regs.rsp >= MEMORY && regs.rsp < MEMORY + 0x4000);
    /* While it runs, the same again is the end. */
    regs.rsp = 0x5000;
    t.signals.stack.size = 0;
    post(USR1);
    assert_int_equal(end_of_delivery(), SIGNAL_SEGV);
    /* No memory for the registers, neither for those it has nor for the handler's. */
    for (unsigned n = 1; n <= 2; n++) {
        assert_int_equal(begin(NULL), 0);
        act(USR1, HANDLER1, 0);
        post(USR1);
        refuse = n;
        assert_int_equal(end_of_delivery(), SIGNAL_SEGV);
        assert_int_equal(regs.rip, CALL);
        assert_int_equal(held, 0);
    }
}

static void faults_go_to_handlers_at_once(void **state)
{
    const struct signal_info info = {.code = SEGV_NOTHING, .value = 0x1234};

    (void)state;
    regs.vector = TRAP_PAGE_FAULT;
    regs.error = 6;
    assert_false(deliver_fault(&t, &regs, SIGNAL_SEGV, &info, 0x1234));
    act(SIGNAL_SEGV, HANDLER1, SA_NODEFER);
    assert_true(deliver_fault(&t, &regs, SIGNAL_SEGV, &info, 0x1234));
    assert_int_equal(frame()->uc.regs.cr2, 0x1234);
    assert_int_equal(frame()->uc.regs.error, 6);
    assert_int_equal(frame()->info.u.address, 0x1234);
    assert_int_equal(go_back(), 0);
    assert_int_equal(regs.rip, CALL); /* to fault again */
}

/* ---- frames that lie ---- */

typedef void change_fn(struct sigframe *f);

static void lie_in_cs(struct sigframe *f)
{
    f->uc.regs.cs = FLAT_USER_CS64 & ~3u;
}

static void lie_in_rip(struct sigframe *f)
{
    f->uc.regs.rip = 0xffffffff80000000;
}

static void lie_in_mxcsr(struct sigframe *f)
{
    uint32_t all = UINT32_MAX;

    memcpy(users(UADDR(f->uc.regs.fpu + 24), 4), &all, sizeof(all));
}

static void lie_in_fpu(struct sigframe *f)
{
    f->uc.regs.fpu = MEMORY + SIZE - 100;
}

static void a_frame_that_lies_changes_nothing(void **state)
{
    static change_fn *const lies[] = {lie_in_cs, lie_in_rip, lie_in_mxcsr, lie_in_fpu};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
        unsigned char loaded[FXSAVE_SIZE];

        assert_int_equal(begin(NULL), 0);
        act(USR1, HANDLER1, 0);
        post(USR1);
        deliver_signals(&t, &regs);
        lies[i](frame());
        frame()->uc.mask = ~0ull;
        struct trap_frame before = regs;
        before.rsp += 8;
        memcpy(loaded, fpu, sizeof(loaded));
        assert_int_not_equal(go_back(), 0);
        assert_memory_equal(&regs, &before, sizeof(regs));
        assert_memory_equal(fpu, loaded, sizeof(loaded));
        assert_int_equal(t.signals.blocked, SIGNAL_BIT(USR1));
        assert_int_equal(held, 0);
    }
    /* No memory to look at it in. */
    for (unsigned n = 1; n <= 2; n++) {
        assert_int_equal(begin(NULL), 0);
        act(USR1, HANDLER1, 0);
        post(USR1);
        deliver_signals(&t, &regs);
        refuse = n;
        assert_int_equal(go_back(), -ENOMEM);
        assert_int_equal(held, 0);
    }
    /* No frame at all. */
    regs.rsp = 0;
    assert_int_equal(go_back(), -EFAULT);
    regs.rsp = MEMORY + SIZE - 64;
    assert_int_equal(go_back(), -EFAULT);
}

static void a_frame_blocks_neither_kill_nor_stop(void **state)
{
    (void)state;
    act(USR1, HANDLER1, 0);
    post(USR1);
    deliver_signals(&t, &regs);
    frame()->uc.mask = ~0ull;
    assert_int_equal(go_back(), 0);
    assert_int_equal(t.signals.blocked, ~(SIGNAL_BIT(SIGNAL_KILL) | SIGNAL_BIT(SIGNAL_STOP)));
}

/* What a call blocked ends with it, whoever took the signal that interrupted it. */
static void a_call_that_is_over_gives_the_mask_back(void **state)
{
    (void)state;
    signal_set_blocked(&t.signals, SIGNAL_BIT(USR1));
    signal_suspend(&t.signals, 0);
    regs.rax = (uint64_t)-LINUX_EINTR; /* of epoll_pwait() */
    assert_true(deliver_due(&t, &regs));
    deliver_signals(&t, &regs);
    assert_int_equal(t.signals.blocked, SIGNAL_BIT(USR1));
    assert_int_equal(regs.rax, (uint64_t)-LINUX_EINTR);
    assert_false(deliver_due(&t, &regs));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, nothing_is_left)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stop_lets_a_call_begin_again),
        TEST(what_goes_on_may_have_a_handler),
        TEST(a_handler_decides_what_a_call_comes_to),
        TEST(without_a_handler_a_call_is_made_again),
        TEST(sigsuspend_waits_again_or_gives_the_mask_back),
        TEST(a_call_that_is_over_gives_the_mask_back),
        TEST(what_is_ready_runs_one_on_top_of_the_other),
        TEST(registers_of_sse_are_kept),
        TEST(ends_are_ends),
        TEST(faults_go_to_handlers_at_once),
        TEST(a_frame_that_lies_changes_nothing),
        TEST(a_frame_blocks_neither_kill_nor_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
