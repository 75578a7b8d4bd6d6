/*
 * cpu.c - the vCPUs: their structures, their start, and interrupts between them.
 *
 * The boot CPU's structure is static, since it is needed before memory is; the others' are pages.
 * A secondary CPU is started by giving Xen a whole register context (VCPUOP_initialise); it begins
 * in cpu_entry() on its idle thread's stack. Locks: none; `cpus` entries are set once, before the
 * CPU runs. Suspend: see cpu.h.
 */
#include "psm/cpu.h"

#include "hat/hat.h"
#include "hat/mmuq.h"
#include "hat/p2m.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/sched.h"
#include "kern/string.h"
#include "os/hypercall.h"
#include "os/panic.h"
#include "os/start_info.h"
#include "psm/trap.h"

static struct cpu boot_cpu __aligned(PAGE_SIZE);
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

/* The interrupt's only message is that need_resched may be set: the upcall's exit looks. */
static void ipi_interrupt(evtchn_port_t port, void *arg)
{
    (void)port;
    WRITE_ONCE(((struct cpu *)arg)->need_resched, true);
}

void cpu_boot_early(void)
{
    boot_cpu.self = &boot_cpu;
    boot_cpu.info.evtchn_upcall_mask = 1;
    (void)HYPERVISOR_set_segment_base(SEGBASE_GS_KERNEL, (unsigned long)&boot_cpu);
    evtchn_cpu_init(&boot_cpu);
}

/* Tell Xen where this vCPU's shared areas are. */
static void register_areas(struct cpu *cpu)
{
    struct vcpu_register_vcpu_info info = {.mfn = virt_to_mfn(cpu).n,
                                           .offset = (uintptr_t)&cpu->info & ~PAGE_MASK};
    struct vcpu_register_runstate_memory_area runstate = {.addr.v = &cpu->runstate};
    long rc = HYPERVISOR_vcpu_op(VCPUOP_register_vcpu_info, cpu->id, &info);

    if (rc != 0) {
        panic("vCPU %u: Xen refuses its vcpu_info: %ld", cpu->id, rc);
    }
    rc = HYPERVISOR_vcpu_op(VCPUOP_register_runstate_memory_area, cpu->id, &runstate);
    if (rc != 0) {
        log_warn("vCPU %u: no steal time: %ld", cpu->id, rc);
    }
}

void cpu_boot(void)
{
    register_areas(&boot_cpu);
    boot_cpu.online = true;
}

int cpu_interrupts_init(struct cpu *cpu)
{
    int port = evtchn_bind_ipi(cpu->id, "reschedule", IPL_IPI, ipi_interrupt, cpu);

    if (port < 0) {
        return port;
    }
    cpu->ipi = (evtchn_port_t)port;
    return timer_cpu_init(cpu);
}
