/*
 * debugger.c - see debugger.h.
 *
 * Without a debugger an int3 is a panic like any other exception, and a panic ends the domain.
 */
#include "psm/debugger.h"

#include "kern/lock.h"
#include "os/hypercall.h"
#include "os/panic.h"

static bool no_trap(struct trap_frame *frame __unused)
{
    return false;
}

static void no_nmi(struct trap_frame *frame __unused)
{
}

static void no_stop(const struct cpu *cpu __unused)
{
}

static bool no(void)
{
    return false;
}

static void no_panic_begin(const struct trap_frame *frame __unused)
{
}

static void no_panic(const struct trap_frame *frame __unused, uint64_t rip __unused,
                     uint64_t rbp __unused)
{
}

/* Nobody is ever in a debugger that is not there. */
static __noreturn void no_abandon(uint64_t rip __unused, const char *fmt __unused,
                                  va_list ap __unused)
{
    panic_shutdown(SHUTDOWN_crash);
}

static const struct debugger nobody = {.trap = no_trap,
                                       .nmi = no_nmi,
                                       .stop = no_stop,
                                       .on_panic = no,
                                       .panic_begin = no_panic_begin,
                                       .panic = no_panic,
                                       .active_here = no,
                                       .abandon = no_abandon};

static const struct debugger *registered = &nobody;

void debugger_register(const struct debugger *new_debugger)
{
    registered = new_debugger;
}

const struct debugger *debugger(void)
{
    return registered;
}

void debugger_stop_interrupt(evtchn_port_t port __unused, void *cpu)
{
    upcall_state_t state = upcalls_save();

    registered->stop(cpu);
    upcalls_restore(state);
}
