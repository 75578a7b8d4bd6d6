/*
 * debugger.h - the door through which the core calls a debugger, if the kernel has one.
 *
 * Traps, panics and a port of each CPU lead into the debugger, which stands on nearly everything.
 * So that the core knows none of that, the debugger hands it a table of functions at boot; until
 * then, and in a kernel without one, each call below says that nobody is there. Locks: none; the
 * table is set once, before other CPUs run.
 */
#ifndef PSM_DEBUGGER_H
#define PSM_DEBUGGER_H

#include "kern/types.h"

#include <xen/xen.h>
#include <xen/event_channel.h>

struct cpu;
struct trap_frame;

/**
 * struct debugger - what a debugger does when the core calls it; all are there
 * @trap: int3 or a debug exception. Return: whether it was the debugger's
 * @nmi: the debugger stops this CPU, or somebody outside asks for the debugger
 * @stop: this CPU's debug port was notified: stand still until told otherwise
 * @on_panic: whether a panic shall end in the debugger
 * @panic_begin: stop the other CPUs; waits for a session of another CPU to end first
 * @panic: after the last words are said. Returns when the debugger is left
 * @active_here: whether this CPU is in the debugger now
 * @abandon: a command of the debugger panicked: back to its prompt
 *
 * Any context, upcalls masked.
 */
struct debugger {
    bool (*trap)(struct trap_frame *frame);
    void (*nmi)(struct trap_frame *frame);
    void (*stop)(const struct cpu *cpu);
    bool (*on_panic)(void);
    void (*panic_begin)(const struct trap_frame *frame);
    void (*panic)(const struct trap_frame *frame, uint64_t rip, uint64_t rbp);
    bool (*active_here)(void);
    __noreturn void (*abandon)(uint64_t rip, const char *fmt, va_list ap) __printf_like(2, 0);
};

/** debugger_register() - from here on the core calls @debugger. Boot, once. */
void debugger_register(const struct debugger *debugger);

/** debugger() - the registered one, or one that does nothing; never NULL. Any context. */
const struct debugger *debugger(void);

/** debugger_stop_interrupt() - handler of a CPU's debug port; @cpu is its struct cpu. */
void debugger_stop_interrupt(evtchn_port_t port, void *cpu);

#endif /* PSM_DEBUGGER_H */
