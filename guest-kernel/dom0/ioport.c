/*
 * ioport.c - I/O ports, by the privilege level that Xen keeps for a PV kernel.
 *
 * The kernel runs in ring 3, and Xen judges its port accesses by a level of its own. With
 * VMASST_TYPE_architectural_iopl (Xen 4.7) it takes the kernel for ring 0, and nothing else
 * is needed. An older Xen takes it for ring 1, and each vCPU must raise its level to 1 by
 * PHYSDEVOP_set_iopl before its first access.
 * Locks: none; `raised` belongs to each vCPU with upcalls masked. Suspend: a dom0 is not saved.
 */
#include "dom0/ioport.h"

#include "kern/log.h"
#include "os/hypercall.h"
#include "psm/cpu.h"

static bool per_vcpu;        /* the old way */
static bool raised[CPU_MAX]; /* the old way: which vCPUs have the level */

void ioport_init(void)
{
    long rc = HYPERVISOR_vm_assist(VMASST_CMD_enable, VMASST_TYPE_architectural_iopl);

    per_vcpu = rc != 0;
    log_info("ioport: %s", per_vcpu ? "privilege level by set_iopl, as Xen is older than 4.7"
                                    : "privilege level of ring 0");
}

/* Give this vCPU the level if it needs to be asked for. Upcalls stay masked until leave(). */
static upcall_state_t ioport_enter(void)
{
    upcall_state_t state = upcalls_save();
    unsigned id = this_cpu()->id;

    if (per_vcpu && !raised[id]) {
        struct physdev_set_iopl op = {.iopl = 1};

        /* Refused, the accesses fault, and read as if nothing were there. */
        (void)HYPERVISOR_physdev_op(PHYSDEVOP_set_iopl, &op);
        raised[id] = true;
    }
    return state;
}

/* An instruction that goes on behind itself if Xen refuses it. */
#define FIXED_UP(instruction)                     \
    "1: " instruction "\n2:\n"                    \
    ".pushsection .fixups, \"a\"\n.quad 1b, 2b\n" \
    ".popsection\n"

#define DEFINE_PORT_ACCESS(bits, suffix, reg)                                                  \
    uint##bits##_t ioport_read##bits(uint16_t port)                                            \
    {                                                                                          \
        upcall_state_t state = ioport_enter();                                                 \
        uint##bits##_t value = (uint##bits##_t)UINT64_MAX;                                     \
                                                                                               \
        __asm__ volatile(FIXED_UP("in" suffix " %%dx, %%" reg) : "+a"(value) : "d"(port));     \
        upcalls_restore(state);                                                                \
        return value;                                                                          \
    }                                                                                          \
                                                                                               \
    void ioport_write##bits(uint16_t port, uint##bits##_t value)                               \
    {                                                                                          \
        upcall_state_t state = ioport_enter();                                                 \
                                                                                               \
        __asm__ volatile(FIXED_UP("out" suffix " %%" reg ", %%dx") : : "a"(value), "d"(port)); \
        upcalls_restore(state);                                                                \
    }

DEFINE_PORT_ACCESS(8, "b", "al")
DEFINE_PORT_ACCESS(16, "w", "ax")
DEFINE_PORT_ACCESS(32, "l", "eax")
