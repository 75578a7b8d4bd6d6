/*
 * sigframe.c - frames of handlers: see sigframe.h.
 */
#include "proc/sigframe.h"

#include "hat/layout.h"
#include "kern/string.h"

#include <xen/xen.h>

#define RED_ZONE   128
#define FPU_ALIGN  64
#define CALL_ALIGN 16 /* of the stack pointer before a call */

#define UC_SIGCONTEXT_SS     2u /* `ss` is saved... */
#define UC_STRICT_RESTORE_SS 4u /* ... and restored */

/* Flags that are a program's own: CF PF AF ZF SF TF DF OF RF AC. */
#define RFLAGS_USER   0x50dd5ull
#define RFLAGS_ALWAYS 0x202ull /* bit 1, and upcalls open */
#define RFLAGS_TF     0x100ull
#define RFLAGS_DF     0x400ull
#define RFLAGS_RF     0x10000ull

/* In what FXSAVE writes. */
#define FX_MXCSR          24
#define FX_MXCSR_MASK     28
#define FX_MXCSR_STANDARD 0xffbfu /* if the mask is 0 */
#define FX_RESERVED       416     /* the processor loads nothing from here on */

#define EXCEPTIONS 32 /* vectors below are */

bool sigframe_place(const struct signal_due *due, const struct signal_stack *stack, uint64_t sp,
                    struct sigframe_place *place)
{
    bool switches =
        (due->action.flags & SA_ONSTACK) && stack->size != 0 && !signal_on_stack(stack, sp);
    uint64_t top = switches ? stack->sp + stack->size : sp - RED_ZONE;
    uint64_t room = FXSAVE_SIZE + FPU_ALIGN + sizeof(struct sigframe) + 2 * CALL_ALIGN;

    if (top < room || top > USER_END) {
        return false;
    }
    place->fpu = (top - FXSAVE_SIZE) & ~(uint64_t)(FPU_ALIGN - 1);
    place->frame =
        ((place->fpu - sizeof(struct sigframe)) & ~(uint64_t)(CALL_ALIGN - 1)) - sizeof(uint64_t);
    /* A stack that is the handlers' is not left at its lower end. */
    return !(switches || signal_on_stack(stack, sp)) || place->frame >= stack->sp;
}

/* Whether what is told of a signal is an address. */
static bool is_fault(unsigned number, const struct signal_info *info)
{
    uint64_t faults = SIGNAL_BIT(SIGNAL_SEGV) | SIGNAL_BIT(SIGNAL_BUS) | SIGNAL_BIT(SIGNAL_FPE) |
                      SIGNAL_BIT(SIGNAL_ILLEGAL) | SIGNAL_BIT(SIGNAL_TRAP);

    return info->code > SI_USER && (faults & SIGNAL_BIT(number)) != 0;
}

void siginfo_fill(struct sig_siginfo *to, unsigned number, const struct signal_info *info)
{
    *to = (struct sig_siginfo){.signo = (int32_t)number, .code = info->code};
    if (is_fault(number, info)) {
        to->u.address = info->value;
    } else {
        to->u.from.pid = info->pid;
        to->u.from.status = (int64_t)info->value;
    }
}

static void fill_context(struct sig_context *to, const struct trap_frame *regs)
{
    bool fault = regs->vector < EXCEPTIONS;

    *to = (struct sig_context){.r8 = regs->r8,
                               .r9 = regs->r9,
                               .r10 = regs->r10,
                               .r11 = regs->r11,
                               .r12 = regs->r12,
                               .r13 = regs->r13,
                               .r14 = regs->r14,
                               .r15 = regs->r15,
                               .rdi = regs->rdi,
                               .rsi = regs->rsi,
                               .rbp = regs->rbp,
                               .rbx = regs->rbx,
                               .rdx = regs->rdx,
                               .rax = regs->rax,
                               .rcx = regs->rcx,
                               .rsp = regs->rsp,
                               .rip = regs->rip,
                               .rflags = regs->rflags,
                               .cs = (uint16_t)regs->cs,
                               .ss = (uint16_t)regs->ss,
                               .error = fault ? regs->error : 0,
                               .vector = fault ? regs->vector : 0};
}

void sigframe_fill(struct sigframe *to, const struct signal_due *due, const struct trap_frame *regs,
                   uint64_t cr2, uint64_t mask, const struct signal_stack *stack,
                   const struct sigframe_place *place)
{
    memset(to, 0, sizeof(*to));
    to->restorer = due->action.restorer;
    to->uc.flags = UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
    to->uc.stack = *stack;
    fill_context(&to->uc.regs, regs);
    to->uc.regs.oldmask = to->uc.mask = mask;
    to->uc.regs.cr2 = cr2;
    to->uc.regs.fpu = place->fpu;
    siginfo_fill(&to->info, due->number, &due->info);
}

int sigframe_enter(struct trap_frame *regs, const struct signal_due *due,
                   const struct sigframe_place *place)
{
    if (due->action.handler >= USER_END || (due->action.flags & SA_RESTORER) == 0) {
        return -EFAULT; /* the handler could not be called, or not return */
    }
    regs->rdi = due->number;
    regs->rsi = place->frame + offsetof(struct sigframe, info);
    regs->rdx = place->frame + offsetof(struct sigframe, uc);
    regs->rax = 0;
    regs->rip = due->action.handler;
    regs->rsp = place->frame;
    regs->cs = FLAT_USER_CS64;
    regs->ss = FLAT_USER_SS64;
    regs->rflags &= ~(RFLAGS_TF | RFLAGS_DF | RFLAGS_RF);
    return 0;
}

/* ---- the gate ---- */

static int lie(const char **why, const char *what)
{
    *why = what;
    return -EINVAL;
}

int sigframe_check(const struct sig_context *from, struct trap_frame *regs, const char **why)
{
    if (from->cs != FLAT_USER_CS64) {
        return lie(why, "its code segment is not a program's");
    }
    if (from->ss != FLAT_USER_SS64) {
        return lie(why, "its stack segment is not a program's");
    }
    if (from->rip >= USER_END) {
        return lie(why, "it goes on at no user address");
    }
    if (from->rsp > USER_END) {
        return lie(why, "its stack is at no user address");
    }
    *regs = (struct trap_frame){.r8 = from->r8,
                                .r9 = from->r9,
                                .r10 = from->r10,
                                .r11 = from->r11,
                                .r12 = from->r12,
                                .r13 = from->r13,
                                .r14 = from->r14,
                                .r15 = from->r15,
                                .rdi = from->rdi,
                                .rsi = from->rsi,
                                .rbp = from->rbp,
                                .rbx = from->rbx,
                                .rdx = from->rdx,
                                .rax = from->rax,
                                .rcx = from->rcx,
                                .rsp = from->rsp,
                                .rip = from->rip,
                                .rflags = (from->rflags & RFLAGS_USER) | RFLAGS_ALWAYS,
                                .cs = FLAT_USER_CS64,
                                .ss = FLAT_USER_SS64};
    return 0;
}

int sigframe_check_fpu(void *area, const void *own, const char **why)
{
    uint32_t mxcsr, mask;

    memcpy(&mxcsr, (const char *)area + FX_MXCSR, sizeof(mxcsr));
    memcpy(&mask, (const char *)own + FX_MXCSR_MASK, sizeof(mask));
    mask = mask == 0 ? FX_MXCSR_STANDARD : mask;
    if ((mxcsr & ~mask) != 0) {
        return lie(why, "its MXCSR has bits that this processor does not know");
    }
    memset((char *)area + FX_RESERVED, 0, FXSAVE_SIZE - FX_RESERVED);
    return 0;
}
