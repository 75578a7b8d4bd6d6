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

#include "kern/types.h"

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

#endif /* KDI_KDI_H */
