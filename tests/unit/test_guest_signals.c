/*
 * Signals of the guest kernel: which are pending, blocked and dropped; what a handler's frame looks
 * like; and the gate through which a frame comes back that the program may have written itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <ucontext.h>

#include <xen/xen.h>

#include "hat/layout.h"
#include "proc/sigframe.h"
#include "proc/signal.h"

#define HUP  1
#define USR1 10
#define USR2 12
#define LAST SIGNALS

#define HANDLER 0x401000
#define STACK   0x7ffff0001238

static struct signals s;
static struct thread_signals t, other; /* of it */

void spin_init(spinlock_t *lock, const char *name)
{
    *lock = (spinlock_t){.owner = -1, .name = name};
}

static void act(unsigned number, uint64_t handler, uint64_t flags, uint64_t mask)
{
    const struct signal_action action = {.handler = handler, .flags = flags, .mask = mask};

    assert_int_equal(signal_set_action(&s, number, &action, NULL), 0);
}

static bool post(unsigned number, uint32_t pid)
{
    const struct signal_info info = {.pid = pid};

    return signal_post(&s, number, &info);
}

static int begin(void **state)
{
    (void)state;
    signals_init(&s);
    signals_join(&s, &t);
    return 0;
}

/* ---- pending and blocked ---- */

static void what_is_ignored_is_dropped(void **state)
{
    static const unsigned harmless[] = {17, 18, 23, 28};
    struct signal_due due;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(harmless); i++) {
        assert_false(post(harmless[i], 1));
    }
    act(USR1, HANDLER_IGNORE, 0, 0);
    assert_false(post(USR1, 1));
    assert_int_equal(signal_ready(&t), 0);
    assert_false(signal_next(&t, &due));
    /* One that is blocked waits, since its action may change before it is not. */
    signal_set_blocked(&t, SIGNAL_BIT(SIGNAL_CHILD) | SIGNAL_BIT(USR1));
    assert_true(post(SIGNAL_CHILD, 1));
    assert_true(post(USR1, 1));
    assert_int_equal(signal_ready(&t), 0);
    act(SIGNAL_CHILD, HANDLER, 0, 0);
    signal_set_blocked(&t, 0);
    assert_true(signal_next(&t, &due));
    assert_int_equal(due.number, SIGNAL_CHILD);
    assert_false(signal_next(&t, &due)); /* USR1 was forgotten on the way */
    assert_int_equal(s.pending.set, 0);
}

static void ignoring_forgets_what_is_pending(void **state)
{
    (void)state;
    signal_set_blocked(&t, ~0ull);
    assert_true(post(USR1, 1));
    assert_true(post(USR2, 1));
    act(USR1, HANDLER_IGNORE, 0, 0);
    assert_int_equal(s.pending.set, SIGNAL_BIT(USR2));
}

static void the_lowest_comes_first_and_none_twice(void **state)
{
    struct signal_due due;

    (void)state;
    act(USR1, HANDLER, 0, 0);
    act(LAST, HANDLER, 0, 0);
    assert_true(post(LAST, 3));
    assert_true(post(USR1, 1));
    assert_false(post(USR1, 2)); /* pending already: the first one stays */
    assert_true(signal_next(&t, &due));
    assert_int_equal(due.number, USR1);
    assert_int_equal(due.info.pid, 1);
    assert_false(due.ends);
    assert_true(signal_next(&t, &due));
    assert_int_equal(due.number, LAST);
    assert_int_equal(due.info.pid, 3);
    assert_false(signal_next(&t, &due));
}

/* What stops is taken like any, but neither ends the process nor waits for a handler. */
static void what_stops_is_acted_on(void **state)
{
    static const unsigned stops[] = {19, 20, 21, 22};
    struct signal_due due;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(stops); i++) {
        assert_true(post(stops[i], 1));
        assert_int_equal(signal_fatal(&t), 0);
        assert_true(signal_next(&t, &due));
        assert_true(due.stops);
        assert_false(due.ends);
        assert_int_equal(signals_stopped(&s), 0); /* that is for who asks whether it may be */
        signals_stop(&s, due.number);
        assert_int_equal(signals_stopped(&s), stops[i]);
        assert_true(post(SIGNAL_CONTINUE, 1)); /* ignored, and wakes all the same */
        assert_int_equal(signals_stopped(&s), 0);
        assert_false(post(SIGNAL_CONTINUE, 1));
    }
    assert_int_equal(s.stops, 4);
    act(20, HANDLER, 0, 0);
    assert_true(post(20, 1));
    assert_true(signal_next(&t, &due));
    assert_false(due.stops);
}

static void stops_and_sigcont_take_each_other_back(void **state)
{
    const struct signal_info info = {.pid = 1};
    struct signal_due due;

    (void)state;
    act(SIGNAL_CONTINUE, HANDLER, 0, 0);
    signal_set_blocked(&t, ~0ull);
    assert_true(post(20, 1));
    assert_true(signal_post_thread(&t, 21, &info));
    assert_true(post(SIGNAL_CONTINUE, 1));
    assert_int_equal(signal_pending(&t), SIGNAL_BIT(SIGNAL_CONTINUE));
    assert_true(signal_post_thread(&t, 22, &info));
    assert_int_equal(signal_pending(&t), SIGNAL_BIT(22));
    /* Also one that was taken, and has not stopped anybody yet. */
    signal_set_blocked(&t, 0);
    assert_true(signal_next(&t, &due));
    assert_int_equal(due.number, 22);
    assert_true(post(SIGNAL_CONTINUE, 1));
    signals_stop(&s, due.number);
    assert_int_equal(signals_stopped(&s), 0);
}

static void who_refuses_a_signal(void **state)
{
    (void)state;
    assert_false(signal_refused(&t, 22));
    signal_set_blocked(&t, SIGNAL_BIT(22));
    assert_true(signal_refused(&t, 22));
    signal_set_blocked(&t, 0);
    act(22, HANDLER_IGNORE, 0, 0);
    assert_true(signal_refused(&t, 22));
    assert_false(signal_no_stops(&s));
    act(SIGNAL_CHILD, HANDLER, SA_NOCLDSTOP, 0);
    assert_true(signal_no_stops(&s));
    act(SIGNAL_CHILD, HANDLER_IGNORE, 0, 0);
    assert_true(signal_no_stops(&s));
}

/* Who waits for something else may ask what will come of it, and changes nothing by that. */
static void what_ends_a_process_is_known_before(void **state)
{
    (void)state;
    assert_int_equal(signal_fatal(&t), 0);
    signal_set_blocked(&t, SIGNAL_BIT(HUP));
    act(USR2, HANDLER, 0, 0);
    assert_true(post(HUP, 1));
    assert_true(post(USR2, 1));
    assert_int_equal(signal_fatal(&t), 0);
    assert_true(post(USR1, 1));
    assert_int_equal(signal_fatal(&t), USR1);
    assert_int_equal(signal_fatal(&t), USR1);
    act(USR1, HANDLER_IGNORE, 0, 0);
    assert_int_equal(signal_fatal(&t), 0);
    signal_set_blocked(&t, 0);
    assert_int_equal(signal_fatal(&t), HUP);
}

static void kill_and_stop_are_beyond_reach(void **state)
{
    const struct signal_action action = {.handler = HANDLER};
    struct signal_action old;

    (void)state;
    signal_set_blocked(&t, ~0ull);
    assert_int_equal(t.blocked, ~(SIGNAL_BIT(9) | SIGNAL_BIT(19)));
    assert_int_equal(signal_set_action(&s, 9, &action, NULL), -EINVAL);
    assert_int_equal(signal_set_action(&s, 19, &action, NULL), -EINVAL);
    assert_int_equal(signal_set_action(&s, 9, NULL, &old), 0);
    assert_int_equal(signal_set_action(&s, 0, NULL, &old), -EINVAL);
    assert_int_equal(signal_set_action(&s, SIGNALS + 1, NULL, &old), -EINVAL);
    act(USR1, HANDLER, 0, ~0ull);
    signal_enter(&t, &(struct signal_due){.number = USR1, .action = s.actions[USR1 - 1]});
    assert_int_equal(t.blocked & (SIGNAL_BIT(9) | SIGNAL_BIT(19)), 0);
}

static void a_handler_blocks_itself_unless_told_otherwise(void **state)
{
    struct signal_due due;

    (void)state;
    signal_set_blocked(&t, SIGNAL_BIT(HUP));
    act(USR1, HANDLER, SA_RESETHAND, SIGNAL_BIT(USR2));
    assert_true(post(USR1, 1));
    assert_true(signal_next(&t, &due));
    assert_int_equal(signal_mask_before(&t), SIGNAL_BIT(HUP));
    signal_enter(&t, &due);
    assert_int_equal(t.blocked, SIGNAL_BIT(HUP) | SIGNAL_BIT(USR1) | SIGNAL_BIT(USR2));
    assert_int_equal(s.actions[USR1 - 1].handler, HANDLER_DEFAULT);

    signal_set_blocked(&t, 0);
    act(USR1, HANDLER, SA_NODEFER, 0);
    assert_true(post(USR1, 1));
    assert_true(signal_next(&t, &due));
    signal_enter(&t, &due);
    assert_int_equal(t.blocked, 0);
    assert_int_equal(s.actions[USR1 - 1].handler, HANDLER);
}

static void sigsuspend_gives_its_mask_back(void **state)
{
    struct signal_due due;

    (void)state;
    act(USR1, HANDLER, 0, 0);
    signal_set_blocked(&t, SIGNAL_BIT(USR1) | SIGNAL_BIT(USR2));
    assert_true(post(USR1, 1));
    assert_int_equal(signal_ready(&t), 0);
    signal_suspend(&t, SIGNAL_BIT(USR2));
    assert_int_equal(signal_ready(&t), SIGNAL_BIT(USR1));
    assert_true(signal_next(&t, &due));
    /* What the frame says is what was before, not what it waited with. */
    assert_int_equal(signal_mask_before(&t), SIGNAL_BIT(USR1) | SIGNAL_BIT(USR2));
    signal_enter(&t, &due);
    assert_int_equal(t.blocked, SIGNAL_BIT(USR1) | SIGNAL_BIT(USR2));
    signal_set_blocked(&t, SIGNAL_BIT(HUP));
    signal_resume(&t); /* a handler was called: nothing to do */
    assert_int_equal(t.blocked, SIGNAL_BIT(HUP));
    signal_suspend(&t, 0);
    signal_resume(&t);
    assert_int_equal(t.blocked, SIGNAL_BIT(HUP));
}

static void a_fault_does_not_wait(void **state)
{
    const struct signal_info info = {.code = SEGV_NOTHING, .value = 0x1234};
    struct signal_due due;

    (void)state;
    assert_false(signal_force(&t, SIGNAL_SEGV, &info, &due));
    act(SIGNAL_SEGV, HANDLER_IGNORE, 0, 0);
    assert_false(signal_force(&t, SIGNAL_SEGV, &info, &due));
    act(SIGNAL_SEGV, HANDLER, 0, 0);
    assert_true(signal_force(&t, SIGNAL_SEGV, &info, &due));
    assert_int_equal(due.info.value, 0x1234);
    signal_set_blocked(&t, SIGNAL_BIT(SIGNAL_SEGV));
    assert_false(signal_force(&t, SIGNAL_SEGV, &info, &due));
}

static void fork_and_exec_keep_what_they_should(void **state)
{
    struct signals family;
    struct thread_signals child;

    (void)state;
    act(USR1, HANDLER, 0, 0);
    act(USR2, HANDLER_IGNORE, SA_RESTART, 1);
    signal_set_blocked(&t, SIGNAL_BIT(HUP));
    assert_true(post(HUP, 1));
    t.stack = (struct signal_stack){.sp = 0x10000, .size = 8192};
    signals_init(&family);
    signals_join(&family, &child);
    signals_fork(&child, &t);
    assert_int_equal(signal_pending(&child), 0);
    assert_int_equal(child.blocked, SIGNAL_BIT(HUP));
    assert_int_equal(child.stack.size, 8192);
    assert_int_equal(family.actions[USR1 - 1].handler, HANDLER);
    signals_exec(&t);
    assert_int_equal(s.pending.set, SIGNAL_BIT(HUP));
    assert_int_equal(t.blocked, SIGNAL_BIT(HUP));
    assert_int_equal(t.stack.size, 0);
    assert_int_equal(s.actions[USR1 - 1].handler, HANDLER_DEFAULT);
    assert_int_equal(s.actions[USR2 - 1].handler, HANDLER_IGNORE);
    assert_int_equal(s.actions[USR2 - 1].flags, 0);
}

static void the_other_stack_is_checked(void **state)
{
    const uint64_t base = 0x10000;
    struct signal_stack stack = {.sp = base, .size = 8192}, old;

    (void)state;
    assert_int_equal(signal_set_stack(&t, STACK, NULL, &old), 0);
    assert_int_equal(old.flags, SS_DISABLE);
    stack.size = SIGNAL_STACK_MIN - 1;
    assert_int_equal(signal_set_stack(&t, STACK, &stack, NULL), -ENOMEM);
    stack.size = 8192;
    stack.flags = 4;
    assert_int_equal(signal_set_stack(&t, STACK, &stack, NULL), -EINVAL);
    stack.flags = 0;
    assert_int_equal(signal_set_stack(&t, STACK, &stack, NULL), 0);
    assert_int_equal(signal_set_stack(&t, base + 1, &stack, &old), -EPERM);
    assert_int_equal(old.flags, SS_ONSTACK);
    assert_int_equal(signal_set_stack(&t, base + 8192, &stack, NULL), -EPERM);
    assert_int_equal(signal_set_stack(&t, base, &stack, NULL), 0); /* below its lowest byte */
    stack.flags = SS_DISABLE;
    assert_int_equal(signal_set_stack(&t, STACK, &stack, NULL), 0);
    assert_int_equal(t.stack.size, 0);
}

/* ---- threads ---- */

static void whoever_does_not_block_it_takes_it(void **state)
{
    struct signal_due due;

    (void)state;
    signals_join(&s, &other);
    act(USR1, HANDLER, 0, 0);
    signal_set_blocked(&t, SIGNAL_BIT(USR1));
    assert_true(post(USR1, 1));
    assert_int_equal(signal_ready(&t), 0);
    assert_int_equal(signal_ready(&other), SIGNAL_BIT(USR1));
    assert_true(signal_next(&other, &due));
    assert_int_equal(due.number, USR1);
    /* Once: the other one finds nothing. */
    signal_set_blocked(&t, 0);
    assert_false(signal_next(&t, &due));
}

static void a_threads_own_is_nobody_elses(void **state)
{
    const struct signal_info info = {.pid = 5};
    struct signal_info got;
    struct signal_due due;

    (void)state;
    signals_join(&s, &other);
    act(USR1, HANDLER, 0, 0);
    act(USR2, HANDLER, 0, 0);
    assert_true(signal_post_thread(&t, USR2, &info));
    assert_int_equal(signal_pending(&other), 0);
    assert_int_equal(signal_take(&other, ~0ull, &got), 0);
    /* Its own come first, whatever their numbers. */
    assert_true(post(USR1, 1));
    assert_int_equal(signal_pending(&t), SIGNAL_BIT(USR1) | SIGNAL_BIT(USR2));
    assert_true(signal_next(&t, &due));
    assert_int_equal(due.number, USR2);
    assert_int_equal(due.info.pid, 5);
    assert_true(signal_next(&t, &due));
    assert_int_equal(due.number, USR1);
    /* The same may wait for a thread and for all. */
    assert_true(signal_post_thread(&t, USR1, &info));
    assert_true(post(USR1, 6));
    assert_int_equal(signal_take(&t, SIGNAL_BIT(USR1), &got), USR1);
    assert_int_equal(got.pid, 5);
    assert_int_equal(signal_take(&t, SIGNAL_BIT(USR1), &got), USR1);
    assert_int_equal(got.pid, 6);
}

static void what_is_ignored_is_so_for_all_threads(void **state)
{
    const struct signal_info info = {.pid = 1};

    (void)state;
    signals_join(&s, &other);
    act(USR1, HANDLER, 0, 0);
    assert_true(signal_post_thread(&t, USR1, &info));
    assert_true(signal_post_thread(&other, USR1, &info));
    act(USR1, HANDLER_IGNORE, 0, 0);
    assert_int_equal(signal_pending(&t) | signal_pending(&other), 0);
    assert_false(signal_post_thread(&t, USR1, &info));
    /* Kept if somebody blocks it: by the process for any, by a thread for its own. */
    signal_set_blocked(&other, SIGNAL_BIT(USR1));
    assert_false(signal_post_thread(&t, USR1, &info));
    assert_true(post(USR1, 1));
    signals_leave(&other);
    act(USR1, HANDLER_IGNORE, 0, 0);
    assert_false(post(USR1, 1));
}

static void a_handlers_mask_is_its_threads(void **state)
{
    struct signal_due due;

    (void)state;
    signals_join(&s, &other);
    act(USR1, HANDLER, 0, SIGNAL_BIT(USR2));
    assert_true(post(USR1, 1));
    assert_true(signal_next(&t, &due));
    signal_enter(&t, &due);
    assert_int_equal(t.blocked, SIGNAL_BIT(USR1) | SIGNAL_BIT(USR2));
    assert_int_equal(other.blocked, 0);
    assert_int_equal(other.stack.size, 0);
}

static void children_may_be_forgotten(void **state)
{
    (void)state;
    assert_false(signal_no_zombies(&s));
    act(SIGNAL_CHILD, HANDLER, SA_NOCLDWAIT, 0);
    assert_true(signal_no_zombies(&s));
    act(SIGNAL_CHILD, HANDLER_IGNORE, 0, 0);
    assert_true(signal_no_zombies(&s));
}

/* ---- frames ---- */

static struct trap_frame thread_at(uint64_t rip, uint64_t rsp)
{
    return (struct trap_frame){.rip = rip,
                               .rsp = rsp,
                               .rax = 1,
                               .rbx = 2,
                               .r15 = 15,
                               .cs = FLAT_USER_CS64,
                               .ss = FLAT_USER_SS64,
                               .rflags = 0x10746,
                               .vector = 14,
                               .error = 6};
}

static const struct signal_due due_segv = {
    .number = SIGNAL_SEGV,
    .info = {.code = SEGV_NOTHING, .value = 0xdead000},
    .action = {.handler = HANDLER, .flags = SA_RESTORER, .restorer = 0x402000}};

static void the_layout_is_the_hosts(void **state)
{
    (void)state;
#define SAME(ours, theirs) \
    assert_int_equal(offsetof(struct sig_ucontext, ours), offsetof(ucontext_t, theirs))
    SAME(stack, uc_stack);
    SAME(regs, uc_mcontext);
    SAME(regs.rip, uc_mcontext.gregs[REG_RIP]);
    SAME(regs.rsp, uc_mcontext.gregs[REG_RSP]);
    SAME(regs.rax, uc_mcontext.gregs[REG_RAX]);
    SAME(regs.rcx, uc_mcontext.gregs[REG_RCX]);
    SAME(regs.rflags, uc_mcontext.gregs[REG_EFL]);
    SAME(regs.cs, uc_mcontext.gregs[REG_CSGSFS]);
    SAME(regs.cr2, uc_mcontext.gregs[REG_CR2]);
    SAME(regs.vector, uc_mcontext.gregs[REG_TRAPNO]);
    SAME(regs.fpu, uc_mcontext.fpregs);
    SAME(mask, uc_sigmask);
}

static void a_handler_begins_as_if_called(void **state)
{
    struct trap_frame regs = thread_at(0x400123, STACK);
    struct trap_frame before = regs;
    struct signal_stack none = {.size = 0};
    struct sigframe_place place;
    struct sigframe f;

    (void)state;
    memset(&f, 0xa5, sizeof(f)); /* of which nothing may reach the program */
    assert_true(sigframe_place(&due_segv, &none, regs.rsp, &place));
    assert_int_equal(place.fpu % 64, 0);
    assert_int_equal((place.frame + 8) % 16, 0);
    assert_true(place.frame + sizeof(f) <= place.fpu);
    assert_true(place.fpu + FXSAVE_SIZE <= STACK - 128);
    sigframe_fill(&f, &due_segv, &regs, 0xdead000, 0x55, &none, &place);
    assert_int_equal(sigframe_enter(&regs, &due_segv, &place), 0);
    assert_int_equal(regs.rip, HANDLER);
    assert_int_equal(regs.rdi, SIGNAL_SEGV);
    assert_int_equal(regs.rsi, place.frame + offsetof(struct sigframe, info));
    assert_int_equal(regs.rdx, place.frame + offsetof(struct sigframe, uc));
    assert_int_equal(regs.rflags, 0x246); /* not TF, DF, RF */
    assert_int_equal(f.restorer, 0x402000);
    assert_int_equal(f.info.signo, SIGNAL_SEGV);
    assert_int_equal(f.info.u.address, 0xdead000);
    assert_int_equal(f.info.pad, 0);
    assert_int_equal(f.uc.mask, 0x55);
    assert_int_equal(f.uc.regs.cr2, 0xdead000);
    assert_int_equal(f.uc.regs.vector, 14);
    assert_int_equal(f.uc.regs.error, 6);
    assert_int_equal(f.uc.regs.reserved[7], 0);
    struct sigframe again;
    memset(&again, 0x5a, sizeof(again));
    sigframe_fill(&again, &due_segv, &before, 0xdead000, 0x55, &none, &place);
    assert_memory_equal(&f, &again, sizeof(f));
    /* And what comes back unchanged is what was. */
    const char *why;
    struct trap_frame back = {.rax = 99};
    before.vector = before.error = 0;
    assert_int_equal(sigframe_check(&f.uc.regs, &back, &why), 0);
    assert_memory_equal(&back, &before, sizeof(back));
}

static void who_sent_it_is_told(void **state)
{
    struct sig_siginfo info;

    (void)state;
    siginfo_fill(&info, SIGNAL_SEGV, &(struct signal_info){.code = SI_USER, .pid = 7});
    assert_int_equal(info.u.from.pid, 7);
    siginfo_fill(&info, SIGNAL_CHILD,
                 &(struct signal_info){.code = CLD_EXITED, .pid = 8, .value = 3});
    assert_int_equal(info.u.from.pid, 8);
    assert_int_equal(info.u.from.status, 3);
}

static void handlers_go_on_the_other_stack(void **state)
{
    struct signal_due due = due_segv;
    struct signal_stack stack = {.sp = 0x10000, .size = SIGNAL_STACK_MIN};
    struct sigframe_place place;

    (void)state;
    assert_true(sigframe_place(&due, &stack, STACK, &place));
    assert_true(place.frame > 0x100000); /* not asked for */
    due.action.flags |= SA_ONSTACK;
    assert_true(sigframe_place(&due, &stack, STACK, &place));
    assert_true(place.frame >= stack.sp && place.fpu + FXSAVE_SIZE <= stack.sp + stack.size);
    /* There already: below what is there, and never past its end. */
    assert_true(sigframe_place(&due, &stack, stack.sp + 2000, &place));
    assert_true(place.fpu + FXSAVE_SIZE <= stack.sp + 2000 - 128);
    assert_false(sigframe_place(&due, &stack, stack.sp + 1000, &place));
}

static void no_frame_where_none_can_be(void **state)
{
    static const uint64_t bad[] = {0, 8, 1000, USER_END + 4096, XEN_BASE, UINT64_MAX};
    struct signal_stack none = {.size = 0};
    struct sigframe_place place;
    struct signal_due due = due_segv;
    struct trap_frame regs = thread_at(0x400123, STACK);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(sigframe_place(&due, &none, bad[i], &place));
    }
    due.action.flags |= SA_ONSTACK;
    assert_false(sigframe_place(&due, &(struct signal_stack){.sp = UINT64_MAX - 100, .size = 8192},
                                STACK, &place) &&
                 place.frame >= USER_END);
    assert_true(sigframe_place(&due_segv, &none, STACK, &place));
    due.action.handler = USER_END;
    assert_int_equal(sigframe_enter(&regs, &due, &place), -EFAULT);
    due = due_segv;
    due.action.flags = 0; /* no SA_RESTORER: it could not return */
    assert_int_equal(sigframe_enter(&regs, &due, &place), -EFAULT);
    assert_int_equal(regs.rip, 0x400123);
}

/* ---- the gate ---- */

static struct sig_context good_context(void)
{
    return (struct sig_context){
        .rip = HANDLER, .rsp = STACK, .cs = FLAT_USER_CS64, .ss = FLAT_USER_SS64, .rflags = 0x246};
}

#define LIE(change, said)                                               \
    do {                                                                \
        struct sig_context c = good_context();                          \
        struct trap_frame regs = {.rip = 1};                            \
        const char *why = "";                                           \
        assert_int_equal(sigframe_check(&c, &regs, &why), 0);           \
        regs = (struct trap_frame){.rip = 1};                           \
        change;                                                         \
        assert_int_equal(sigframe_check(&c, &regs, &why), -EINVAL);     \
        assert_non_null(strstr(why, (said)));                           \
        assert_true(regs.rip == 1 && regs.cs == 0); /* all as it was */ \
    } while (0)

static void lies_are_refused(void **state)
{
    (void)state;
    LIE(c.cs = 0, "code segment");
    LIE(c.cs = FLAT_USER_CS64 & ~3u, "code segment"); /* which Xen takes for the kernel's */
    LIE(c.cs = FLAT_USER_CS32, "code segment");
    LIE(c.cs = 0xe008, "code segment"); /* Xen's own */
    LIE(c.ss = 0, "stack segment");
    LIE(c.ss = FLAT_USER_CS64, "stack segment");
    LIE(c.rip = USER_END, "user address");
    LIE(c.rip = 0x0000900000000000, "user address"); /* not canonical */
    LIE(c.rip = XEN_BASE, "user address");
    LIE(c.rip = KERNEL_BASE, "user address");
    LIE(c.rsp = USER_END + 1, "stack");
    LIE(c.rsp = 0x8000000000000000, "stack");
    LIE(c.rsp = KPM_BASE, "stack");
}

/* Whatever the flags say: upcalls are open, no I/O privilege, no virtual 8086 mode, no NT. */
static void flags_are_cleaned(void **state)
{
    struct sig_context c = good_context();
    struct trap_frame regs;
    const char *why;

    (void)state;
    c.rflags = ~0ull;
    assert_int_equal(sigframe_check(&c, &regs, &why), 0);
    assert_int_equal(regs.rflags, 0x50fd7);
    c.rflags = 0;
    assert_int_equal(sigframe_check(&c, &regs, &why), 0);
    assert_int_equal(regs.rflags, 0x202);
}

static void control_bits_of_sse_are_checked(void **state)
{
    unsigned char area[FXSAVE_SIZE], own[FXSAVE_SIZE] = {0};
    const char *why = NULL;
    uint32_t value;

    (void)state;
    for (unsigned bit = 0; bit < 32; bit++) {
        memset(area, 0xa5, sizeof(area));
        value = 1u << bit;
        memcpy(area + 24, &value, 4);
        /* What the program says of the mask does not matter: it is all ones there. */
        memset(area + 28, 0xff, 4);
        value = 0xffff;
        memcpy(own + 28, &value, 4);
        assert_int_equal(sigframe_check_fpu(area, own, &why), bit < 16 ? 0 : -EINVAL);
        memset(own + 28, 0, 4); /* a processor that says nothing does not know DAZ */
        assert_int_equal(sigframe_check_fpu(area, own, &why), bit < 16 && bit != 6 ? 0 : -EINVAL);
    }
    assert_non_null(strstr(why, "MXCSR"));
    memset(area, 0xa5, sizeof(area));
    value = 0x1f80;
    memcpy(area + 24, &value, 4);
    assert_int_equal(sigframe_check_fpu(area, own, &why), 0);
    assert_int_equal(area[415], 0xa5);
    for (unsigned i = 416; i < FXSAVE_SIZE; i++) {
        assert_int_equal(area[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_is_ignored_is_dropped, begin),
        cmocka_unit_test_setup(ignoring_forgets_what_is_pending, begin),
        cmocka_unit_test_setup(the_lowest_comes_first_and_none_twice, begin),
        cmocka_unit_test_setup(what_stops_is_acted_on, begin),
        cmocka_unit_test_setup(stops_and_sigcont_take_each_other_back, begin),
        cmocka_unit_test_setup(who_refuses_a_signal, begin),
        cmocka_unit_test_setup(what_ends_a_process_is_known_before, begin),
        cmocka_unit_test_setup(kill_and_stop_are_beyond_reach, begin),
        cmocka_unit_test_setup(a_handler_blocks_itself_unless_told_otherwise, begin),
        cmocka_unit_test_setup(sigsuspend_gives_its_mask_back, begin),
        cmocka_unit_test_setup(a_fault_does_not_wait, begin),
        cmocka_unit_test_setup(fork_and_exec_keep_what_they_should, begin),
        cmocka_unit_test_setup(the_other_stack_is_checked, begin),
        cmocka_unit_test_setup(whoever_does_not_block_it_takes_it, begin),
        cmocka_unit_test_setup(a_threads_own_is_nobody_elses, begin),
        cmocka_unit_test_setup(what_is_ignored_is_so_for_all_threads, begin),
        cmocka_unit_test_setup(a_handlers_mask_is_its_threads, begin),
        cmocka_unit_test_setup(children_may_be_forgotten, begin),
        cmocka_unit_test(the_layout_is_the_hosts),
        cmocka_unit_test(a_handler_begins_as_if_called),
        cmocka_unit_test(who_sent_it_is_told),
        cmocka_unit_test(handlers_go_on_the_other_stack),
        cmocka_unit_test(no_frame_where_none_can_be),
        cmocka_unit_test(lies_are_refused),
        cmocka_unit_test(flags_are_cleaned),
        cmocka_unit_test(control_bits_of_sse_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
