/*
 * sigframe.h - what lies on a program's stack while a handler runs, and the gate on the way back.
 *
 * The layout is Linux' on x86-64: struct rt_sigframe of arch/x86/include/asm/sigframe.h, its parts
 * as in uapi/asm/sigcontext.h, uapi/asm/ucontext.h and asm-generic/siginfo.h; the registers of x87
 * and SSE as FXSAVE writes them (the processor's manual), 64-byte aligned, above it. The
 * System V ABI's red zone lies between it and what the program had.
 *
 * A program hands its frame back with rt_sigreturn(), and may have written anything to it. The
 * functions that begin with sigframe_check are the gate: they get a copy, made once, and what they
 * let through neither faults in the kernel nor in Xen when it is loaded, nor gives the program what
 * it may not have: another code segment, masked upcalls, an address that is not canonical, control
 * bits that the processor does not know. Plain C, no state, any context.
 */
#ifndef PROC_SIGFRAME_H
#define PROC_SIGFRAME_H

#include "kern/types.h"
#include "proc/signal.h"
#include "psm/trap.h"

#define FXSAVE_SIZE 512

struct sig_context {
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
    uint16_t cs, gs, fs, ss;
    uint64_t error, vector, oldmask, cr2;
    uint64_t fpu; /* address; 0: the registers are to be as at a program's start */
    uint64_t reserved[8];
};

struct sig_ucontext {
    uint64_t flags, link;
    struct signal_stack stack;
    struct sig_context regs;
    uint64_t mask;
};

struct sig_siginfo {
    int32_t signo, error, code, pad;
    union {
        uint64_t address; /* of a fault */
        struct {
            uint32_t pid, uid;
            int64_t status; /* of a child */
        } from;
        uint64_t room[14];
    } u;
};

struct sigframe {
    uint64_t restorer; /* where the handler returns to */
    struct sig_ucontext uc;
    struct sig_siginfo info;
};

_Static_assert(sizeof(struct sig_context) == 256, "struct sigcontext");
_Static_assert(sizeof(struct sig_ucontext) == 304, "struct ucontext");
_Static_assert(sizeof(struct sig_siginfo) == 128, "siginfo_t");
_Static_assert(sizeof(struct sigframe) == 440, "struct rt_sigframe");

/* Where a frame goes. */
struct sigframe_place {
    uint64_t frame, fpu;
};

/** sigframe_place() - below the thread's stack pointer, or at the top of the other stack. False:
 * there is no room.
 */
bool sigframe_place(const struct signal_due *due, const struct signal_stack *stack, uint64_t sp,
                    struct sigframe_place *place);

/** siginfo_fill() - what a program is told of a signal. */
void siginfo_fill(struct sig_siginfo *to, unsigned number, const struct signal_info *info);

/**
 * sigframe_fill() - all of a frame
 * @regs: the thread's, as it goes on after the handler
 * @cr2: the address of a page fault
 * @mask: what is blocked then
 */
void sigframe_fill(struct sigframe *to, const struct signal_due *due, const struct trap_frame *regs,
                   uint64_t cr2, uint64_t mask, const struct signal_stack *stack,
                   const struct sigframe_place *place);

/** sigframe_enter() - let @regs be at the handler's start. -EFAULT: it is at no user address. */
int sigframe_enter(struct trap_frame *regs, const struct signal_due *due,
                   const struct sigframe_place *place) __must_check;

/**
 * sigframe_check() - the gate for the processor's registers
 * @why: what is wrong, on an error
 *
 * Return: 0, with @regs set; -EINVAL, and it is as it was.
 */
int sigframe_check(const struct sig_context *from, struct trap_frame *regs,
                   const char **why) __must_check;

/**
 * sigframe_check_fpu() - the gate for x87 and SSE
 * @area: FXSAVE_SIZE bytes of the program's; what the processor does not load is zeroed
 * @own: what this processor saved itself: the bits of MXCSR that it knows are in there
 *
 * Return: 0 or -EINVAL.
 */
int sigframe_check_fpu(void *area, const void *own, const char **why) __must_check;

#endif /* PROC_SIGFRAME_H */
