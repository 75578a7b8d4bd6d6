/*
 * kdi.h - the in-kernel debugger, as the rest of the kernel sees it.
 *
 * One CPU runs the debugger, on a stack of its own, upcalls masked; all others stand still, and
 * spinlocks and mutexes are bypassed (kern/lock.h). A fault or panic in the debugger itself ends
 * the command that ran, not the session.
 * Locks: none; `owner` in kdi.c says which CPU runs it. Suspend: nothing to do; breakpoints are
 * bytes of the text, which is saved with them.
 */
#ifndef KDI_KDI_H
#define KDI_KDI_H

#include "os/evtchn.h"

struct trap_frame;

/** kdi_boot() - reserve what the debugger needs later. Boot, when kvm works; once. */
void kdi_boot(void);

/**
 * kdi_break() - enter the debugger here; returns when the one at the console continues
 * @why: what the debugger says about it
 *
 * Any context.
 */
void kdi_break(const char *why);

/** breakpoint() - the same, to be put into code that is looked at. */
static inline void breakpoint(void)
{
    kdi_break("breakpoint()");
}

/**
 * kdi_report() - run one command of the debugger while the kernel runs on
 * @line: "threads"
 * @write: gets the output in pieces; must not sleep
 *
 * For sysrq and the shell. Commands that need a stopped machine say so. Thread context.
 */
void kdi_report(const char *line, void (*write)(const char *text, size_t len));

/** kdi_on_panic() - whether a panic shall end in the debugger (`kdi` on the command line). */
bool kdi_on_panic(void);

/* ---- for panic.c ---- */

/** kdi_panic_begin() - stop the other CPUs; waits for a session of another CPU to end first. */
void kdi_panic_begin(const struct trap_frame *frame);

/** kdi_panic() - the debugger, after the last words are said. Returns when it is left. */
void kdi_panic(const struct trap_frame *frame, uint64_t rip, uint64_t rbp);

/** kdi_active_here() - whether this CPU is in the debugger now. Any context. */
bool kdi_active_here(void);

/** kdi_abandon() - a command of the debugger panicked: back to the prompt. */
__noreturn void kdi_abandon(uint64_t rip, const char *fmt, va_list ap) __printf_like(2, 0);

/* ---- for trap.c and cpu.c ---- */

/** kdi_trap() - int3 or a debug exception. Return: whether it was the debugger's. */
bool kdi_trap(struct trap_frame *frame);

/** kdi_nmi() - an NMI: the debugger stops this CPU, or somebody outside asks for the debugger. */
void kdi_nmi(struct trap_frame *frame);

/** kdi_stop_interrupt() - handler of a CPU's debug port: stand still until told otherwise. */
void kdi_stop_interrupt(evtchn_port_t port, void *cpu);

#endif /* KDI_KDI_H */
