/*
 * cpu_start.c - bringing vCPUs up and taking them down.
 *
 * A vCPU that never ran is given a whole register context (VCPUOP_initialise) that begins in
 * cpu_begin() on its idle thread's stack. To go down, a CPU is marked `leaving`, which makes its
 * scheduler pick the idle thread; that gives threads and timers to CPU 0 and stops itself
 * (VCPUOP_down) inside cpu_leave(). Starting it again continues there: its structure, stack and
 * registered areas stay for ever. Only its ports are closed and bound anew, from outside.
 *
 * Locks: hotplug_lock makes starts and stops one after the other; the outermost lock, held from
 * cpus_park() to cpus_unpark().
 * Suspend: all CPUs but 0 are parked. The toolstack saves no context of a CPU that is down, so
 * after a restore they are given one as if they had never run, on the idle thread's emptied stack.
 */
#include "psm/cpu.h"

#include "hat/hat.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/sched.h"
#include "kern/string.h"
#include "os/hypercall.h"
#include "psm/trap.h"

_Static_assert(sizeof(struct cpu) <= PAGE_SIZE, "vcpu_info must be registered within one page");

static struct mutex hotplug_lock;
static struct waitq changed; /* some CPU went online or offline */

bool cpu_exists(unsigned id)
{
    return id < CPU_MAX && HYPERVISOR_vcpu_op(VCPUOP_is_up, id, NULL) >= 0;
}

/* The first C code of a secondary CPU, on its idle thread's stack, upcalls masked. */
static __noreturn void cpu_begin(void)
{
    sched_adopt_idle(this_cpu());
    waitq_wake_all(&changed);
    upcalls_restore(false);
    sched_idle();
}

/* The state in which Xen shall start a vCPU. */
static int cpu_set_context(struct cpu *cpu)
{
    struct vcpu_guest_context *context = kzalloc(sizeof(*context));

    if (context == NULL) {
        return -ENOMEM;
    }
    context->flags = VGCF_in_kernel | VGCF_failsafe_disables_events | VGCF_syscall_disables_events;
    context->user_regs.rip = (uint64_t)cpu_begin;
    /* As if called: the ABI wants the stack 8 off a multiple of 16 at a function's entry. */
    context->user_regs.rsp = (uint64_t)cpu->idle->stack + THREAD_STACK_SIZE - 8;
    context->user_regs.cs = FLAT_KERNEL_CS;
    context->user_regs.ss = FLAT_KERNEL_SS;
    context->kernel_ss = FLAT_KERNEL_SS;
    context->kernel_sp = context->user_regs.rsp;
    for (const struct trap_info *t = trap_table(); t->address != 0; t++) {
        context->trap_ctxt[t->vector] = *t;
    }
    context->event_callback_eip = (uint64_t)evtchn_entry;
    context->failsafe_callback_eip = (uint64_t)failsafe_entry;
    context->syscall_callback_eip = (uint64_t)syscall_entry;
    context->gs_base_kernel = (uint64_t)cpu;
    context->ctrlreg[3] = xen_pfn_to_cr3(hat_kernel_root().n);
    int rc = (int)HYPERVISOR_vcpu_op(VCPUOP_initialise, cpu->id, context);
    cpu->has_context = rc == 0;
    kfree(context);
    return rc;
}

/* ---- making a CPU's structure ---- */

static int make_mmuq(struct cpu *cpu)
{
    cpu->mmuq = mmuq_create();
    return cpu->mmuq != NULL ? 0 : -ENOMEM;
}

static void free_mmuq(struct cpu *cpu)
{
    mmuq_destroy(cpu->mmuq);
}

/* Memory of our own first, which can be taken back. */
static const struct cpu_step memory_steps[] = {
    {make_mmuq, free_mmuq},
    {timer_cpu_create, timer_cpu_free},
    {sched_cpu_init, sched_cpu_fini},
    {evtchn_cpu_init, NULL},
};

/*
 * Make the structure of a CPU that never ran. Once Xen knows its event queues it stays, whatever
 * happens next.
 */
static int cpu_create(unsigned id)
{
    struct cpu *cpu = page_alloc_zeroed(0);

    if (cpu == NULL) {
        return -ENOMEM;
    }
    cpu->self = cpu;
    cpu->id = id;
    cpu->info.evtchn_upcall_mask = 1;
    int rc = cpu_do_steps(memory_steps, ARRAY_SIZE(memory_steps), cpu);
    if (rc != 0) {
        log_err("vCPU %u: cannot be set up: %s", id, errno_name(rc));
        page_free(cpu, 0);
        return rc;
    }
    cpu_enter(cpu);
    return 0;
}

/* ---- start and stop ---- */

static int register_once(struct cpu *cpu)
{
    return cpu->registered ? 0 : cpu_register(cpu);
}

/* A context that Xen has stays with it: that of a CPU that never ran, or where it stopped. */
static int give_context(struct cpu *cpu)
{
    return cpu->has_context ? 0 : cpu_set_context(cpu);
}

static int cpu_up(struct cpu *cpu)
{
    return (int)HYPERVISOR_vcpu_op(VCPUOP_up, cpu->id, NULL);
}

/* Events may have come for the ports: as in cpu_stop_locked(). */
static void close_and_drain(struct cpu *cpu)
{
    cpu_interrupts_close(cpu);
    evtchn_cpu_drain(cpu);
}

static const struct cpu_step start_steps[] = {
    {register_once, NULL},
    {give_context, NULL},
    {cpu_interrupts_init, close_and_drain},
    {cpu_up, NULL},
};

static int cpu_start_locked(unsigned id)
{
    struct cpu *cpu = cpu_by_id(id);
    int rc = 0;

    if (cpu != NULL && cpu->online) {
        return 0;
    }
    if (cpu == NULL && (rc = cpu_create(id)) != 0) {
        return rc;
    }
    cpu = cpu_by_id(id);
    rc = cpu_do_steps(start_steps, ARRAY_SIZE(start_steps), cpu);
    if (rc != 0) {
        log_err("vCPU %u: cannot be started: %s", id, errno_name(rc));
        return rc;
    }
    wait_event(&changed, READ_ONCE(cpu->online));
    evtchn_cpu_joins(cpu);
    return 0;
}

int cpu_start(unsigned id)
{
    if (!cpu_exists(id)) {
        return -ENOENT;
    }
    mutex_lock(&hotplug_lock);
    int rc = cpu_start_locked(id);
    mutex_unlock(&hotplug_lock);
    return rc;
}

void cpu_leave(struct cpu *cpu)
{
    waitq_wake_all(&changed);
    (void)HYPERVISOR_vcpu_op(VCPUOP_down, cpu->id, NULL);
    sched_adopt_idle(cpu);
    waitq_wake_all(&changed);
}

static void cpu_stop_locked(struct cpu *cpu)
{
    evtchn_cpu_leaves(cpu);
    WRITE_ONCE(cpu->leaving, true);
    WRITE_ONCE(cpu->need_resched, true);
    cpu_kick(cpu);
    wait_event(&changed, !READ_ONCE(cpu->online));
    while (HYPERVISOR_vcpu_op(VCPUOP_is_up, cpu->id, NULL) > 0) {
        thread_yield(); /* between its last words and VCPUOP_down: a few instructions */
    }
    close_and_drain(cpu);
}

int cpu_stop(unsigned id)
{
    struct cpu *cpu = cpu_by_id(id);

    if (id == 0) {
        return -EINVAL;
    }
    mutex_lock(&hotplug_lock);
    if (cpu != NULL && cpu->online) {
        cpu_stop_locked(cpu);
    }
    mutex_unlock(&hotplug_lock);
    return 0;
}

void cpus_park(void)
{
    mutex_lock(&hotplug_lock);
    for (unsigned id = 1; id < CPU_MAX; id++) {
        struct cpu *cpu = cpu_by_id(id);

        if (cpu != NULL && cpu->online) {
            cpu->parked = true;
            cpu_stop_locked(cpu);
        }
    }
}

void cpus_unpark(void)
{
    for (unsigned id = 1; id < CPU_MAX; id++) {
        struct cpu *cpu = cpu_by_id(id);

        if (cpu != NULL && cpu->parked) {
            cpu->parked = false;
            (void)cpu_start_locked(id); /* says so if it cannot */
        }
    }
    mutex_unlock(&hotplug_lock);
}

void cpu_hotplug_boot(void)
{
    mutex_init(&hotplug_lock, "cpu hotplug");
    waitq_init(&changed, "cpu state");
}
