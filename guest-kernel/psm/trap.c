/*
 * trap.c - what happens at an exception.
 *
 * Page faults at an address listed in .fixups (entry.S) resume at its fixup; everything else that
 * the kernel does to itself is a panic which says what, where, and what the address belongs to.
 * What code in ring 3 does is handed to the room that runs such code. The upcall passes through
 * here because it shares the frame.
 */
#include "psm/trap.h"

#include "hat/hat.h"
#include "hat/layout.h"
#include "hat/p2m.h"
#include "kern/sched.h"
#include "os/hypercall.h"
#include "os/ksyms.h"
#include "os/panic.h"
#include "psm/debugger.h"
#include "psm/upcall.h"

#define ENTRY_MASKED 4u /* trap_info.flags: mask upcalls on entry */
#define RFLAGS_IF    (1u << 9)
#define DPL(n)       (n)

extern const char trap_divide[], trap_debug[], trap_nmi[], trap_breakpoint[], trap_overflow[],
    trap_bounds[], trap_opcode[], trap_device[], trap_double_fault[], trap_tss[], trap_segment[],
    trap_stack[], trap_protection[], trap_page_fault[], trap_x87[], trap_alignment[],
    trap_machine[], trap_simd[];

static const struct {
    uint8_t vector, flags;
    const char *entry;
    const char *name;
} traps[] = {
    {0, ENTRY_MASKED, trap_divide, "division by zero"},
    {1, ENTRY_MASKED, trap_debug, "debug exception"},
    {2, ENTRY_MASKED, trap_nmi, "NMI"},
    {3, ENTRY_MASKED | DPL(3), trap_breakpoint, "breakpoint"},
    {4, ENTRY_MASKED | DPL(3), trap_overflow, "overflow"},
    {5, ENTRY_MASKED, trap_bounds, "bounds check"},
    {6, ENTRY_MASKED, trap_opcode, "invalid opcode"},
    {7, ENTRY_MASKED, trap_device, "FPU not available"},
    {8, ENTRY_MASKED, trap_double_fault, "double fault"},
    {10, ENTRY_MASKED, trap_tss, "invalid TSS"},
    {11, ENTRY_MASKED, trap_segment, "segment not present"},
    {12, ENTRY_MASKED, trap_stack, "stack fault"},
    {13, ENTRY_MASKED, trap_protection, "general protection fault"},
    {14, ENTRY_MASKED, trap_page_fault, "page fault"},
    {16, ENTRY_MASKED, trap_x87, "x87 error"},
    {17, ENTRY_MASKED, trap_alignment, "alignment check"},
    {18, ENTRY_MASKED, trap_machine, "machine check"},
    {19, ENTRY_MASKED, trap_simd, "SIMD error"},
};

extern const char _rodata_start[];

/* What resolves a fault at a user address; NULL: nothing does. */
static user_fault_fn *user_fault_handler;

/* What happens at entries from ring 3; NULL: nothing runs there. */
static const struct user_traps *user_traps;

static struct trap_info table[ARRAY_SIZE(traps) + 1];

void trap_set_user_fault(user_fault_fn *handler)
{
    user_fault_handler = handler;
}

void trap_set_user(const struct user_traps *traps_of_users)
{
    user_traps = traps_of_users;
}

const char *trap_name(unsigned vector)
{
    for (size_t i = 0; i < ARRAY_SIZE(traps); i++) {
        if (traps[i].vector == vector) {
            return traps[i].name;
        }
    }
    return vector == TRAP_FAILSAFE ? "failsafe callback" : "unknown exception";
}

const struct trap_info *trap_table(void)
{
    return table;
}

/* Where to go on after a fault at @rip, or 0. */
static uint64_t fixup_for(uint64_t rip)
{
    extern const struct {
        uint64_t at, resume;
    } _fixups_start[], _fixups_end[];

    for (size_t i = 0; &_fixups_start[i] < _fixups_end; i++) {
        if (_fixups_start[i].at == rip) {
            return _fixups_start[i].resume;
        }
    }
    return 0;
}

/* What a faulting address is, for the message. */
static const char *address_kind(uint64_t va)
{
    if (va < PAGE_SIZE) {
        return " (null pointer)";
    }
    if (va < USER_END) {
        return " (user address)";
    }
    if (va >= XEN_BASE && va < KPM_BASE) {
        return " (Xen's own)";
    }
    if (va >= KPM_BASE && va < KPM_END) {
        return hat_is_table(PFN((va - KPM_BASE) >> PAGE_SHIFT)) ? " (a page table)"
                                                                : " (direct map)";
    }
    if (va >= KVM_BASE && va < KVM_END) {
        return " (kvm)";
    }
    if (va >= KERNEL_BASE) {
        return va < (uint64_t)_rodata_start ? " (kernel text)" : " (kernel image)";
    }
    return "";
}

/* Go on at the fixup if the fault was expected: an access through safe_read64() or the like. */
static bool fixup(struct trap_frame *frame)
{
    uint64_t resume = fixup_for(frame->rip);

    if (resume != 0) {
        frame->rip = resume;
    }
    return resume != 0;
}

static __noreturn void page_fault_panic(const struct trap_frame *frame, uint64_t va)
{
    const struct thread *owner = sched_guard_owner((const void *)va);
    const char *what = frame->error & PF_FETCH   ? "execute"
                       : frame->error & PF_WRITE ? "write"
                                                 : "read";
    const char *why = frame->error & PF_PRESENT ? "not allowed" : "not mapped";

    if (owner != NULL) {
        panic_frame(frame, "stack overflow of thread \"%s\": guard page at %#llx", owner->name,
                    (unsigned long long)(va & PAGE_MASK));
    }
    panic_frame(frame, "page fault: cannot %s %#llx%s: %s", what, (unsigned long long)va,
                address_kind(va), why);
}

/* A thread touched its address space: with upcalls open, as that may sleep, if it had them open. */
static int user_fault(const struct trap_frame *frame, uint64_t va)
{
    if (va >= USER_END || user_fault_handler == NULL || (frame->rflags & RFLAGS_IF) == 0 ||
        this_cpu()->ipl != IPL_NONE) {
        return -EFAULT;
    }
    upcalls_restore(false);
    int rc = user_fault_handler(va, frame->error & PF_FETCH   ? HAT_EXEC
                                    : frame->error & PF_WRITE ? HAT_WRITE
                                                              : HAT_READ);
    (void)upcalls_save();
    return rc;
}

static void page_fault(struct trap_frame *frame)
{
    uint64_t va = this_cpu()->info.arch.cr2;

    if (user_fault(frame, va) == 0) {
        return;
    }
    if (!fixup(frame)) {
        page_fault_panic(frame, va);
    }
}

/* Whether somebody took care of an exception that is not in itself the end. */
static bool handled(struct trap_frame *frame)
{
    switch (frame->vector) {
    case TRAP_GENERAL_PROTECTION: /* an address that is not canonical, a port that Xen refuses */
        return fixup(frame);
    case TRAP_DEBUG:
    case TRAP_BREAKPOINT:
        return debugger()->trap(frame);
    case TRAP_NMI:
        debugger()->nmi(frame);
        return true;
    default:
        return false;
    }
}

/* With upcalls open, since it may sleep. */
static void user_syscall(struct trap_frame *frame)
{
    upcalls_restore(false);
    user_traps->syscall(frame);
    (void)upcalls_save();
}

static void user_exception(struct trap_frame *frame, uint64_t va, int why)
{
    upcalls_restore(false);
    user_traps->exception(frame, va, why);
    (void)upcalls_save();
}

/* An entry from ring 3, whatever it is, is no mistake of the kernel's. */
static void user_trap(struct trap_frame *frame)
{
    uint64_t va = this_cpu()->info.arch.cr2;
    int why;

    switch (frame->vector) {
    case TRAP_UPCALL:
        evtchn_upcall(frame);
        break;
    case TRAP_NMI:
        debugger()->nmi(frame);
        break;
    case TRAP_MACHINE_CHECK:
        panic_frame(frame, "%s", trap_name((unsigned)frame->vector));
    case TRAP_SYSCALL:
        user_syscall(frame);
        break;
    case TRAP_PAGE_FAULT:
        why = user_fault(frame, va);
        if (why != 0) {
            user_exception(frame, va, why);
        }
        break;
    default:
        user_exception(frame, 0, 0);
    }
    user_traps->leave(frame);
}

void trap_dispatch(struct trap_frame *frame)
{
    if (trap_from_user(frame)) {
        user_trap(frame);
        return;
    }
    switch (frame->vector) {
    case TRAP_UPCALL:
        evtchn_upcall(frame);
        break;
    case TRAP_PAGE_FAULT:
        page_fault(frame);
        break;
    default:
        if (!handled(frame)) {
            panic_frame(frame, "%s (error code %#llx)", trap_name((unsigned)frame->vector),
                        (unsigned long long)frame->error);
        }
    }
}

static void set_callback(uint16_t type, const char *entry)
{
    const struct callback_register callback = {
        .type = type, .flags = CALLBACKF_mask_events, .address = (unsigned long)entry};

    if (HYPERVISOR_callback_op(CALLBACKOP_register, &callback) != 0) {
        panic("Xen refuses our entry point %u", type);
    }
}

void trap_boot(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(traps); i++) {
        table[i] = (struct trap_info){.vector = traps[i].vector,
                                      .flags = traps[i].flags,
                                      .cs = FLAT_KERNEL_CS,
                                      .address = (unsigned long)traps[i].entry};
    }
    if (HYPERVISOR_set_trap_table(table) != 0) {
        panic("Xen refuses our table of traps");
    }
    set_callback(CALLBACKTYPE_event, evtchn_entry);
    set_callback(CALLBACKTYPE_failsafe, failsafe_entry);
    set_callback(CALLBACKTYPE_syscall, syscall_entry);
}
