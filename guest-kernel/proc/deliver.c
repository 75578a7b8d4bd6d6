/*
 * deliver.c - from a pending signal to a handler and back: see deliver.h.
 *
 * What a thread goes through:
 *
 *   - It runs in ring 3, or sleeps in a system call. Somebody posts a signal. If it is not dropped,
 *     sleepers are woken and vCPUs kicked: whatever the thread does, it comes to the end of an
 *     entry from ring 3 now, where upcalls are masked and nothing is missed.
 *   - A system call that slept gives up with one of two results that no program ever sees:
 *     CALL_RESTARTS or CALL_RESTARTS_UNHANDLED. The trap frame has the call's number in `error`,
 *     so that it can be made again: two bytes back, with that number in %rax.
 *   - What is ready is taken, the lowest first. What is ignored is forgotten. What ends the process
 *     ends it. What stops it lets this thread and then all others sleep here until SIGCONT; a call
 *     that this interrupted is not settled yet, for SIGCONT may have a handler. For a handler, the
 * interrupted call's result is settled (EINTR, or again), a frame is written to the program's
 * stack, and the trap frame is changed to be at the handler's start. If more is ready that the
 * handler does not block, its frame goes on top: it runs first.
 *   - If no handler was called, an interrupted call is made again, and what rt_sigsuspend() blocked
 *     is as before.
 *   - The handler returns to its restorer, which calls rt_sigreturn(): the frame comes back,
 *     through the gate in sigframe.h. If it lies, that is a SIGSEGV.
 *   - A fault does not wait: its handler is called at once, by the same way. If there is none, if
 * it is blocked, or if its frame cannot be written, the process ends.
 *
 * A frame that cannot be written is itself a fault, which may have a handler on another stack.
 */
#include "proc/deliver.h"

#include "kern/log.h"
#include "kern/mem.h"
#include "kern/thread.h"
#include "proc/jobs.h"
#include "proc/sigframe.h"

#define SYSCALL_BYTES 2 /* of the instruction */

/* Whether a system call was interrupted, and its result is not settled. */
static bool call_is_open(const struct trap_frame *regs)
{
    return regs->vector == TRAP_SYSCALL &&
           ((int64_t)regs->rax == -CALL_RESTARTS || (int64_t)regs->rax == -CALL_RESTARTS_UNHANDLED);
}

bool deliver_due(const struct uthread *t, const struct trap_frame *regs)
{
    /* A call that blocked others meanwhile, and is over: the signal may be another thread's now. */
    return uthread_interrupted(t) || call_is_open(regs) || t->signals.suspended;
}

static void call_again(struct trap_frame *regs)
{
    regs->rip -= SYSCALL_BYTES;
    regs->rax = regs->error;
}

/* A handler is called now. */
static void settle_call(struct uthread *t, struct trap_frame *regs, const struct signal_due *due)
{
    t->nap_until = 0;
    if (!call_is_open(regs)) {
        return;
    }
    if ((int64_t)regs->rax == -CALL_RESTARTS && (due->action.flags & SA_RESTART)) {
        call_again(regs);
    } else {
        regs->rax = (uint64_t)-LINUX_EINTR;
    }
}

/* The thread's registers, below what the handler will use. */
static int write_fpu(uint64_t address)
{
    void *area = thread_fpu_copy();

    if (area == NULL) {
        return -ENOMEM;
    }
    int rc = copy_to_user(UADDR(address), area, FXSAVE_SIZE);
    kfree(area);
    return rc;
}

/* Write a handler's frame, and let the thread be at its start. On an error all is as it was. */
static int enter_handler(struct uthread *t, const struct signal_due *due, struct trap_frame *regs,
                         uint64_t cr2)
{
    struct trap_frame after = *regs;
    void *fresh = thread_fpu_fresh();
    struct sigframe_place place;
    struct sigframe frame;
    int rc = 0;

    if (fresh == NULL || !sigframe_place(due, &t->signals.stack, regs->rsp, &place)) {
        kfree(fresh);
        return -EFAULT;
    }
    sigframe_fill(&frame, due, regs, cr2, signal_mask_before(&t->signals), &t->signals.stack,
                  &place);
    rc = sigframe_enter(&after, due, &place);
    rc = rc == 0 ? write_fpu(place.fpu) : rc;
    rc = rc == 0 ? copy_to_user(UADDR(place.frame), &frame, sizeof(frame)) : rc;
    if (rc != 0) {
        kfree(fresh);
        return rc;
    }
    signal_enter(&t->signals, due);
    t->nap_until = 0; /* a sleep is gone on with only where no handler ran */
    thread_fpu_load(fresh);
    *regs = after;
    return 0;
}

bool deliver_fault(struct uthread *t, struct trap_frame *regs, unsigned number,
                   const struct signal_info *info, uint64_t cr2)
{
    struct signal_due due;

    return signal_force(&t->signals, number, info, &due) && enter_handler(t, &due, regs, cr2) == 0;
}

/* No frame could be written for a signal. */
static void deliver_failed(struct uthread *t, struct trap_frame *regs, unsigned number)
{
    const struct signal_info info = {.code = SI_KERNEL};

    if (!deliver_fault(t, regs, SIGNAL_SEGV, &info, 0)) {
        log_err("%s[%u]: ended: its handler of signal %u cannot be called", t->proc->name,
                t->proc->pid, number);
        proc_exit(SIGNAL_SEGV);
    }
}

/* Take the next one that ends the process or has a handler. False: there is none. */
static bool next_due(struct uthread *t, struct signal_due *due)
{
    bool found;

    do {
        job_sleep(t);
        found = !uthread_must_end(t) && signal_next(&t->signals, due);
        if (found && due->stops) {
            job_stop(t->proc, due->number);
        }
    } while (found && due->stops);
    return found;
}

void deliver_signals(struct uthread *t, struct trap_frame *regs)
{
    struct signal_due due;

    while (next_due(t, &due)) {
        if (due.ends) {
            proc_exit((int)due.number);
        }
        settle_call(t, regs, &due);
        if (enter_handler(t, &due, regs, 0) != 0) {
            deliver_failed(t, regs, due.number);
        }
    }
    if (call_is_open(regs)) {
        call_again(regs);
    }
    signal_resume(&t->signals);
}

/* Load x87 and SSE registers from a frame; 0: as at a program's start. */
static int read_fpu(uint64_t address, const char **why)
{
    void *own = address == 0 ? NULL : thread_fpu_copy();
    void *area = address == 0 ? thread_fpu_fresh() : kmalloc(FXSAVE_SIZE);
    int rc = area == NULL || (address != 0 && own == NULL) ? -ENOMEM : 0;

    *why = rc == 0 ? *why : "no memory is left";
    if (rc == 0 && address != 0) {
        rc = copy_from_user(area, UADDR(address), FXSAVE_SIZE);
        rc = rc == 0 ? sigframe_check_fpu(area, own, why) : rc;
    }
    kfree(own);
    if (rc != 0) {
        kfree(area);
        return rc;
    }
    thread_fpu_load(area);
    return 0;
}

int deliver_return(struct uthread *t, struct trap_frame *regs, const char **why)
{
    uint64_t at = regs->rsp - sizeof(uint64_t) + offsetof(struct sigframe, uc);
    struct trap_frame back = *regs;
    struct sig_ucontext uc;

    *why = "it is not there";
    int rc = copy_from_user(&uc, UADDR(at), sizeof(uc));
    rc = rc == 0 ? sigframe_check(&uc.regs, &back, why) : rc;
    rc = rc == 0 ? read_fpu(uc.regs.fpu, why) : rc;
    if (rc != 0) {
        return rc;
    }
    *regs = back;
    signal_set_blocked(&t->signals, uc.mask);
    /* As Linux has it: a stack that is refused is left as it was. */
    (void)signal_set_stack(&t->signals, regs->rsp, &uc.stack, NULL);
    return 0;
}
