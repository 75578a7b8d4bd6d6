/*
 * fault.c - what a program does to itself: exceptions as signals, or as its end.
 *
 * Which signal an exception is, and what is told with it, is as Linux has it for x86-64.
 */
#include "kern/log.h"
#include "kern/thread.h"
#include "proc/deliver.h"

/* What a fault that nobody resolved is to a program. */
struct fault_signal {
    unsigned number;
    struct signal_info info;
};

/* si_code of SIGFPE, by the lowest of the exceptions in x87's status or MXCSR. */
static int32_t fpe_code(void)
{
    static const int32_t codes[] = {FPE_INVALID,  FPE_UNDERFLOW, FPE_DIVIDE,
                                    FPE_OVERFLOW, FPE_UNDERFLOW, FPE_INEXACT};
    unsigned raised = thread_fpu_exceptions();

    for (unsigned i = 0; i < ARRAY_SIZE(codes); i++) {
        if (raised & 1u << i) {
            return codes[i];
        }
    }
    return SI_KERNEL;
}

static struct fault_signal page_fault_signal(const struct proc *p, uint64_t va, int why)
{
    if (why != -EFAULT) {
        return (struct fault_signal){SIGNAL_BUS, {.code = BUS_NOTHING, .value = va}};
    }
    return (struct fault_signal){
        SIGNAL_SEGV, {.code = vm_has(p->space, va) ? SEGV_FORBIDDEN : SEGV_NOTHING, .value = va}};
}

static struct fault_signal signal_of(const struct proc *p, const struct trap_frame *frame,
                                     uint64_t va, int why)
{
    switch (frame->vector) {
    case TRAP_DIVIDE:
        return (struct fault_signal){SIGNAL_FPE, {.code = FPE_INTEGER, .value = frame->rip}};
    case TRAP_X87:
    case TRAP_SIMD:
        return (struct fault_signal){SIGNAL_FPE, {.code = fpe_code(), .value = frame->rip}};
    case TRAP_DEBUG:
        return (struct fault_signal){SIGNAL_TRAP, {.code = TRAP_STEPPED, .value = frame->rip}};
    case TRAP_BREAKPOINT:
        return (struct fault_signal){SIGNAL_TRAP, {.code = SI_KERNEL}};
    case TRAP_OPCODE:
        return (struct fault_signal){SIGNAL_ILLEGAL, {.code = ILL_OPERAND, .value = frame->rip}};
    case TRAP_ALIGNMENT:
        return (struct fault_signal){SIGNAL_BUS, {.code = BUS_UNALIGNED}};
    case TRAP_PAGE_FAULT:
        return page_fault_signal(p, va, why);
    default:
        return (struct fault_signal){SIGNAL_SEGV, {.code = SI_KERNEL}};
    }
}

static void say_end(const struct proc *p, const struct trap_frame *frame, uint64_t va, int why)
{
    unsigned long rip = frame->rip;

    if (frame->vector == TRAP_PAGE_FAULT) {
        log_err("%s[%u]: ended at %#lx: cannot %s %#lx%s", p->name, p->pid, rip,
                frame->error & PF_FETCH   ? "execute"
                : frame->error & PF_WRITE ? "write"
                                          : "read",
                (unsigned long)va,
                why == -ENOMEM   ? ": no memory is left"
                : why != -EFAULT ? ": its file cannot be read"
                : va < PAGE_SIZE ? " (null pointer)"
                                 : "");
    } else {
        log_err("%s[%u]: ended at %#lx: %s", p->name, p->pid, rip,
                trap_name((unsigned)frame->vector));
    }
}

/* Who finds no memory is ended without being asked: a handler would need some, too. */
void fault_of_user(struct trap_frame *frame, uint64_t va, int why)
{
    struct uthread *t = uthread_self();
    struct proc *p = t->proc;
    bool starved = frame->vector == TRAP_PAGE_FAULT && why == -ENOMEM;

    if (starved) {
        say_end(p, frame, va, why);
        proc_exit(SIGNAL_SEGV);
    }
    struct fault_signal fault = signal_of(p, frame, va, why);
    if (!deliver_fault(t, frame, fault.number, &fault.info, va)) {
        say_end(p, frame, va, why);
        proc_exit((int)fault.number);
    }
}
