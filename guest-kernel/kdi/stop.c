/*
 * stop.c - the other vCPUs stand still while the debugger runs.
 *
 * Asked in three ways, each after the last had its time: an event at IPL_DEBUG, which a CPU takes
 * wherever upcalls are open, so outside of spinlocks; an NMI (VCPUOP_send_nmi), which it takes
 * everywhere, so also while it spins for ever; and VCPUOP_down, which needs nothing of it but
 * leaves its registers unknown. A CPU that stops by itself leaves a pointer to its frame in stops[]
 * and waits in SCHEDOP_poll for its debug port.
 *
 * Owns stops[]: each entry is written by its own CPU, or by the debugger's where that did not
 * answer. Locks: none. Suspend: one CPU runs then.
 */
#include "kdi/kdi_impl.h"

#include "os/hypercall.h"
#include "psm/clock.h"
#include "psm/cpu.h"

#define IPI_TIME (300 * NSEC_PER_MSEC)
#define NMI_TIME NSEC_PER_SEC
#define NAP      (200 * NSEC_PER_MSEC) /* a parked CPU looks by itself this often */

static struct {
    const struct trap_frame *frame;
    enum kdi_stop how;
    bool nmi_sent; /* and not taken yet: it may come after all goes on again */
} stops[CPU_MAX];

static bool stopping; /* the machine stands still, or is about to */

enum kdi_stop kdi_stopped(unsigned id, const struct trap_frame **frame)
{
    *frame = stops[id].frame;
    return READ_ONCE(stops[id].how);
}

static void nap(const struct cpu *cpu)
{
    evtchn_port_t port = cpu->debug_port;
    struct sched_poll poll = {.nr_ports = port != EVTCHN_NONE, .timeout = clock_xen() + NAP};

    set_xen_guest_handle(poll.ports, &port);
    (void)HYPERVISOR_sched_op(SCHEDOP_poll, &poll);
}

void kdi_park(const struct trap_frame *frame, enum kdi_stop how)
{
    struct cpu *cpu = this_cpu();
    unsigned id = cpu->id;

    if (!READ_ONCE(stopping)) {
        return;
    }
    stops[id].frame = frame;
    wmb();
    WRITE_ONCE(stops[id].how, how);
    while (READ_ONCE(stopping)) {
        nap(cpu);
    }
    WRITE_ONCE(stops[id].how, KDI_RUNNING);
    stops[id].frame = NULL;
}

void kdi_stop(const struct cpu *cpu)
{
    kdi_park(cpu->frame, KDI_BY_IPI);
}

bool kdi_nmi_was_ours(const struct trap_frame *frame)
{
    bool ours = __atomic_exchange_n(&stops[this_cpu()->id].nmi_sent, false, __ATOMIC_SEQ_CST);

    if (READ_ONCE(stopping) && !kdi_active_here()) {
        kdi_park(frame, KDI_BY_NMI);
        return true;
    }
    return ours;
}

static bool is_loose(unsigned id)
{
    const struct cpu *cpu = cpu_by_id(id);

    return cpu != NULL && READ_ONCE(cpu->online) && cpu != this_cpu() &&
           READ_ONCE(stops[id].how) == KDI_RUNNING;
}

static void ask_by_ipi(unsigned id)
{
    struct evtchn_send op = {.port = cpu_by_id(id)->debug_port};

    if (op.port != EVTCHN_NONE) {
        (void)HYPERVISOR_event_channel_op(EVTCHNOP_send, &op);
    }
}

static void ask_by_nmi(unsigned id)
{
    WRITE_ONCE(stops[id].nmi_sent, true);
    (void)HYPERVISOR_vcpu_op(VCPUOP_send_nmi, id, NULL);
}

static void kdi_take_down(unsigned id)
{
    if (HYPERVISOR_vcpu_op(VCPUOP_down, id, NULL) == 0) {
        WRITE_ONCE(stops[id].how, KDI_DOWN);
    }
}

/* Do something to each CPU that still runs. Return: how many those were. */
static unsigned each_loose(void (*fn)(unsigned id))
{
    unsigned count = 0;

    for (unsigned id = 0; id < CPU_MAX; id++) {
        if (is_loose(id)) {
            fn(id);
            count++;
        }
    }
    return count;
}

static void leave_alone(unsigned id __unused)
{
}

static void wait_stopped(nsec_t time)
{
    nsec_t deadline = clock_now() + time;

    while (each_loose(leave_alone) > 0 && clock_now() < deadline) {
        (void)HYPERVISOR_sched_op(SCHEDOP_yield, NULL);
    }
}

void kdi_stop_others(void)
{
    WRITE_ONCE(stopping, true);
    mb();
    if (each_loose(ask_by_ipi) > 0) {
        wait_stopped(IPI_TIME);
    }
    if (each_loose(ask_by_nmi) > 0) {
        wait_stopped(NMI_TIME);
    }
    (void)each_loose(kdi_take_down);
}

void kdi_release_others(void)
{
    WRITE_ONCE(stopping, false);
    mb();
    for (unsigned id = 0; id < CPU_MAX; id++) {
        if (stops[id].how == KDI_DOWN) {
            stops[id].how = KDI_RUNNING;
            (void)HYPERVISOR_vcpu_op(VCPUOP_up, id, NULL);
        } else if (stops[id].how != KDI_RUNNING) {
            ask_by_ipi(id); /* ends its nap */
        }
    }
}
