/*
 * cpu.c - the vCPUs: their structures, their start, and interrupts between them.
 *
 * The boot CPU's structure is static, since it is needed before memory is; the others' are pages.
 * A secondary CPU is started by giving Xen a whole register context (VCPUOP_initialise); it begins
 * in cpu_entry() on its idle thread's stack. Locks: none; `cpus` entries are set once, before the
 * CPU runs. Suspend: see cpu.h.
 */
#include "psm/cpu.h"

#include "hat/p2m.h"
#include "kern/sched.h"
#include "os/hypercall.h"
#include "os/panic.h"
#include "psm/debugger.h"

struct cpu boot_cpu __aligned(PAGE_SIZE); /* named by head.S */
static struct cpu *cpus[CPU_MAX] = {&boot_cpu};

struct cpu *cpu_by_id(unsigned id)
{
    return id < CPU_MAX ? READ_ONCE(cpus[id]) : NULL;
}

unsigned cpu_count_online(void)
{
    unsigned count = 0;

    for (unsigned id = 0; id < CPU_MAX; id++) {
        count += cpus[id] != NULL && READ_ONCE(cpus[id]->online);
    }
    return count;
}

struct cpu *cpu_find_idle(void)
{
    for (unsigned id = 0; id < CPU_MAX; id++) {
        struct cpu *cpu = cpu_by_id(id);

        if (cpu != NULL && READ_ONCE(cpu->online) && READ_ONCE(cpu->idling) && cpu != this_cpu()) {
            return cpu;
        }
    }
    return NULL;
}

void cpu_kick(struct cpu *cpu)
{
    if (cpu->ipi != EVTCHN_NONE) {
        evtchn_notify(cpu->ipi);
    }
}

/* Somebody put a thread or timers into this CPU's queues: have it look at both. */
static void ipi_interrupt(evtchn_port_t port, void *arg)
{
    struct cpu *cpu = arg;

    (void)port;
    timer_reprogram(cpu);
    sched_kicked(cpu);
}

void cpu_boot_early(void)
{
    boot_cpu.self = &boot_cpu;
    boot_cpu.info.evtchn_upcall_mask = 1;
    (void)timer_cpu_create(&boot_cpu); /* cannot fail, nor can... */
    (void)evtchn_cpu_init(&boot_cpu);  /* ...2-level events */
}

int cpu_register(struct cpu *cpu)
{
    struct vcpu_register_vcpu_info info = {.mfn = virt_to_mfn(cpu).n,
                                           .offset = (uintptr_t)&cpu->info & ~PAGE_MASK};
    struct vcpu_register_runstate_memory_area runstate = {.addr.v = &cpu->runstate};
    /* The first may be said again, the second once only. */
    long rc = HYPERVISOR_vcpu_op(VCPUOP_register_runstate_memory_area, cpu->id, &runstate);

    if (rc == 0) {
        rc = HYPERVISOR_vcpu_op(VCPUOP_register_vcpu_info, cpu->id, &info);
    }
    cpu->registered = rc == 0;
    return (int)rc;
}

void cpu_enter(struct cpu *cpu)
{
    WRITE_ONCE(cpus[cpu->id], cpu);
}

void cpu_boot(void)
{
    int rc = cpu_register(&boot_cpu);

    if (rc != 0) {
        panic("vCPU 0: Xen refuses its shared areas: %s", errno_name(rc));
    }
    boot_cpu.online = true;
}

void cpus_resume(void)
{
    for (unsigned id = 0; id < CPU_MAX; id++) {
        struct cpu *cpu = cpus[id];
        int rc = cpu == NULL ? 0 : cpu_register(cpu);

        if (rc != 0) {
            panic("vCPU %u: Xen refuses its shared areas after a restore: %s", id, errno_name(rc));
        }
        if (cpu != NULL) {
            cpu->has_context = id == 0; /* the toolstack saves those that run */
        }
    }
}

/* ---- a CPU's own ports ---- */

static int bind_ipi(struct cpu *cpu)
{
    int port = evtchn_bind_ipi(cpu->id, "reschedule", IPL_IPI, ipi_interrupt, cpu);

    if (port > 0) {
        WRITE_ONCE(cpu->ipi, (evtchn_port_t)port);
    }
    return MIN(port, 0);
}

static int bind_debug(struct cpu *cpu)
{
    int port = evtchn_bind_ipi(cpu->id, "debugger", IPL_DEBUG, debugger_stop_interrupt, cpu);

    if (port > 0) {
        WRITE_ONCE(cpu->debug_port, (evtchn_port_t)port);
    }
    return MIN(port, 0);
}

/* Nobody may use the number any more when it is closed. */
static void close_port(evtchn_port_t *port)
{
    evtchn_port_t old = *port;

    WRITE_ONCE(*port, EVTCHN_NONE);
    evtchn_close(old);
}

static void close_ipi(struct cpu *cpu)
{
    close_port(&cpu->ipi);
}

static void close_debug(struct cpu *cpu)
{
    close_port(&cpu->debug_port);
}

static const struct cpu_step interrupt_steps[] = {
    {bind_ipi, close_ipi},
    {bind_debug, close_debug},
    {timer_cpu_init, timer_cpu_close},
};

int cpu_interrupts_init(struct cpu *cpu)
{
    return cpu_do_steps(interrupt_steps, ARRAY_SIZE(interrupt_steps), cpu);
}

void cpu_interrupts_close(struct cpu *cpu)
{
    cpu_undo_steps(interrupt_steps, ARRAY_SIZE(interrupt_steps), cpu);
}

/* ---- steps that may fail ---- */

static unsigned steps_to_failure; /* see cpu_fail_step(); 0: none fails */

void cpu_fail_step(unsigned n)
{
    WRITE_ONCE(steps_to_failure, n);
}

static int do_step(const struct cpu_step *step, struct cpu *cpu)
{
    unsigned left = READ_ONCE(steps_to_failure);

    if (left != 0) {
        WRITE_ONCE(steps_to_failure, left - 1);
    }
    return left == 1 ? -EIO : step->make(cpu);
}

int cpu_do_steps(const struct cpu_step *steps, size_t n, struct cpu *cpu)
{
    for (size_t i = 0; i < n; i++) {
        int rc = do_step(&steps[i], cpu);

        if (rc != 0) {
            cpu_undo_steps(steps, i, cpu);
            return rc;
        }
    }
    return 0;
}

void cpu_undo_steps(const struct cpu_step *steps, size_t n, struct cpu *cpu)
{
    while (n-- > 0) {
        if (steps[n].undo != NULL) {
            steps[n].undo(cpu);
        }
    }
}

#define CPUID_BRAND 0x80000002u /* and the two behind it */

void cpu_brand(unsigned part, uint32_t text[4])
{
    text[0] = CPUID_BRAND + part;
    text[2] = 0;
    __asm__("cpuid" : "+a"(text[0]), "=b"(text[1]), "+c"(text[2]), "=d"(text[3]));
}
