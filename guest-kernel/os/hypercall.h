/*
 * hypercall.h - the calls into Xen, by the names of its headers.
 *
 * Each goes through the hypercall page that Xen fills in (ELF note HYPERCALL_PAGE). Arguments in
 * rdi, rsi, rdx, r10, r8; rcx and r11 are clobbered; the result is >= 0 or -errno.
 * No locks. Suspend: Xen fills the page anew on the host that resumes us.
 */
#ifndef OS_HYPERCALL_H
#define OS_HYPERCALL_H

#include "kern/types.h"

#include <xen/xen.h>
#include <xen/callback.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>

extern char hypercall_page[];

/* The stack pointer as an operand keeps the compiler from calling before a frame exists. */
register unsigned long hypercall_sp __asm__("rsp");

/**
 * hypercall() - call Xen; unused arguments are zero
 * @nr: __HYPERVISOR_*; a constant, which makes this one call instruction
 */
static inline __attribute__((always_inline)) long
hypercall(unsigned nr, unsigned long a1, unsigned long a2, unsigned long a3, unsigned long a4)
{
    register unsigned long r10 __asm__("r10") = a4;
    long res;

    __asm__ volatile("call hypercall_page + %c[offset]"
                     : "=a"(res), "+D"(a1), "+S"(a2), "+d"(a3), "+r"(r10), "+r"(hypercall_sp)
                     : [offset] "i"(nr * 32)
                     : "rcx", "r11", "r8", "r9", "memory");
    return res;
}

#define PTR_ARG(p) ((unsigned long)(p))

static inline long HYPERVISOR_set_trap_table(const struct trap_info *table)
{
    return hypercall(__HYPERVISOR_set_trap_table, PTR_ARG(table), 0, 0, 0);
}

static inline long HYPERVISOR_mmu_update(const struct mmu_update *req, unsigned count,
                                         unsigned *done, domid_t domid)
{
    return hypercall(__HYPERVISOR_mmu_update, PTR_ARG(req), count, PTR_ARG(done), domid);
}

static inline long HYPERVISOR_mmuext_op(const struct mmuext_op *op, unsigned count, unsigned *done,
                                        domid_t domid)
{
    return hypercall(__HYPERVISOR_mmuext_op, PTR_ARG(op), count, PTR_ARG(done), domid);
}

static inline long HYPERVISOR_update_va_mapping(unsigned long va, uint64_t pte, unsigned long flags)
{
    return hypercall(__HYPERVISOR_update_va_mapping, va, pte, flags, 0);
}

static inline long HYPERVISOR_multicall(struct multicall_entry *calls, unsigned count)
{
    return hypercall(__HYPERVISOR_multicall, PTR_ARG(calls), count, 0, 0);
}

static inline long HYPERVISOR_memory_op(unsigned cmd, void *arg)
{
    return hypercall(__HYPERVISOR_memory_op, cmd, PTR_ARG(arg), 0, 0);
}

static inline long HYPERVISOR_event_channel_op(unsigned cmd, void *arg)
{
    return hypercall(__HYPERVISOR_event_channel_op, cmd, PTR_ARG(arg), 0, 0);
}

static inline long HYPERVISOR_grant_table_op(unsigned cmd, void *args, unsigned count)
{
    return hypercall(__HYPERVISOR_grant_table_op, cmd, PTR_ARG(args), count, 0);
}

static inline long HYPERVISOR_sched_op(unsigned cmd, void *arg)
{
    return hypercall(__HYPERVISOR_sched_op, cmd, PTR_ARG(arg), 0, 0);
}

/* The toolstack finds start_info's frame in the third argument's register (xen/sched.h). */
static inline long HYPERVISOR_suspend(unsigned long start_info_mfn)
{
    struct sched_shutdown how = {.reason = SHUTDOWN_suspend};

    return hypercall(__HYPERVISOR_sched_op, SCHEDOP_shutdown, PTR_ARG(&how), start_info_mfn, 0);
}

static inline long HYPERVISOR_vcpu_op(unsigned cmd, unsigned vcpu, void *arg)
{
    return hypercall(__HYPERVISOR_vcpu_op, cmd, vcpu, PTR_ARG(arg), 0);
}

static inline long HYPERVISOR_xen_version(unsigned cmd, void *arg)
{
    return hypercall(__HYPERVISOR_xen_version, cmd, PTR_ARG(arg), 0, 0);
}

static inline long HYPERVISOR_console_io(unsigned cmd, unsigned count, const char *text)
{
    return hypercall(__HYPERVISOR_console_io, cmd, count, PTR_ARG(text), 0);
}

/* @op's interface_version is filled in. The initial domain only. */
static inline long HYPERVISOR_platform_op(struct xen_platform_op *op)
{
    op->interface_version = XENPF_INTERFACE_VERSION;
    return hypercall(__HYPERVISOR_platform_op, PTR_ARG(op), 0, 0, 0);
}

static inline long HYPERVISOR_physdev_op(unsigned cmd, void *arg)
{
    return hypercall(__HYPERVISOR_physdev_op, cmd, PTR_ARG(arg), 0, 0);
}

static inline long HYPERVISOR_callback_op(unsigned cmd, const void *arg)
{
    return hypercall(__HYPERVISOR_callback_op, cmd, PTR_ARG(arg), 0, 0);
}

static inline long HYPERVISOR_set_segment_base(unsigned which, unsigned long base)
{
    return hypercall(__HYPERVISOR_set_segment_base, which, base, 0, 0);
}

static inline long HYPERVISOR_set_gdt(const unsigned long *mfns, unsigned entries)
{
    return hypercall(__HYPERVISOR_set_gdt, PTR_ARG(mfns), entries, 0, 0);
}

static inline long HYPERVISOR_stack_switch(unsigned long ss, unsigned long esp)
{
    return hypercall(__HYPERVISOR_stack_switch, ss, esp, 0, 0);
}

static inline long HYPERVISOR_fpu_taskswitch(bool set)
{
    return hypercall(__HYPERVISOR_fpu_taskswitch, set, 0, 0, 0);
}

static inline long HYPERVISOR_set_debugreg(unsigned reg, unsigned long value)
{
    return hypercall(__HYPERVISOR_set_debugreg, reg, value, 0, 0);
}

static inline long HYPERVISOR_vm_assist(unsigned cmd, unsigned type)
{
    return hypercall(__HYPERVISOR_vm_assist, cmd, type, 0, 0);
}

#endif /* OS_HYPERCALL_H */
