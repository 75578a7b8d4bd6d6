/*
 * trap.h - exceptions, and the frame that entry.S saves.
 *
 * Xen reflects exceptions to the handlers named in the trap table, on the running stack, with
 * upcalls masked. One C function gets them all. No locks; suspend: the table is kept by Xen
 * per vCPU and set again by the toolstack from the saved context.
 */
#ifndef PSM_TRAP_H
#define PSM_TRAP_H

#include "hat/kvm.h"
#include "kern/types.h"

/* As pushed by entry.S, lowest address first; from rip on by Xen. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

#define TRAP_DIVIDE             0
#define TRAP_DEBUG              1
#define TRAP_NMI                2
#define TRAP_BREAKPOINT         3
#define TRAP_OPCODE             6
#define TRAP_DOUBLE_FAULT       8
#define TRAP_GENERAL_PROTECTION 13
#define TRAP_PAGE_FAULT         14
#define TRAP_X87                16
#define TRAP_ALIGNMENT          17
#define TRAP_MACHINE_CHECK      18
#define TRAP_SIMD               19
#define TRAP_COUNT              20
#define TRAP_UPCALL             0x100 /* entry.S's own numbers, for what has no vector */
#define TRAP_FAILSAFE           0x101
#define TRAP_SYSCALL            0x102

/* Page-fault error code bits. */
#define PF_PRESENT 1u
#define PF_WRITE   2u
#define PF_USER    4u
#define PF_FETCH   16u

/** trap_boot() - set the trap table and the callbacks of the boot CPU. */
void trap_boot(void);

/* For cpu.c, which starts other vCPUs with the same. */
extern const char evtchn_entry[], failsafe_entry[], syscall_entry[];
struct trap_info;
const struct trap_info *trap_table(void);

/**
 * user_fault_fn - resolves a fault of the calling thread at a user address
 * @access: what the thread wanted: HAT_READ, HAT_WRITE or HAT_EXEC
 *
 * Return: 0 when the thread may go on. May sleep.
 */
typedef int user_fault_fn(uint64_t va, enum hat_prot access);

/** trap_set_user_fault() - from here on @handler is asked. Boot, once. */
void trap_set_user_fault(user_fault_fn *handler);

/*
 * Xen runs kernel and user code in the same ring, and tells the two apart by the page tables in
 * use. It clears the privilege level in the code selector of a frame that it saves from the kernel.
 */
static inline bool trap_from_user(const struct trap_frame *frame)
{
    return (frame->cs & 3) != 0;
}

/**
 * struct user_traps - what happens at entries from ring 3, in the thread that was there
 * @syscall: a system call. May sleep
 * @exception: a fault that nobody resolved, if it is a page fault at address @va and with @why,
 * which is -errno. May sleep
 * @leave: the last call of every entry; upcalls masked
 *
 * None has to return: each may end the thread. The thread goes on where the frame says then.
 */
struct user_traps {
    void (*syscall)(struct trap_frame *frame);
    void (*exception)(struct trap_frame *frame, uint64_t va, int why);
    void (*leave)(struct trap_frame *frame);
};

/** trap_set_user() - from here on @traps is called. Boot, once. */
void trap_set_user(const struct user_traps *traps);

/** trap_name() - "page fault" for 14. Any context. */
const char *trap_name(unsigned vector);

/**
 * safe_read64() - read eight bytes that may not be mapped
 *
 * Return: 0, or -EFAULT if the load faulted. Any context.
 */
int safe_read64(const uint64_t *address, uint64_t *value) __must_check;

/** safe_write64() - write eight bytes that may not be mapped or writable; else as above. */
int safe_write64(uint64_t *address, uint64_t value) __must_check;

/**
 * user_copy() - copy between the kernel and the space that the calling thread is in
 *
 * Only for proc/user.c, which has checked that the user's range ends below USER_END. Return: 0, or
 * -EFAULT if an address of it means nothing or forbids the access: a part may be copied then. May
 * sleep.
 */
int user_copy(void *to, const void *from, size_t n) __must_check;

/** user_load32(), user_exchange32() - likewise, of a word, in one piece: proc/user.h says how. */
int user_load32(const void *from, uint32_t *value) __must_check;
int user_exchange32(void *to, uint32_t old, uint32_t value, uint32_t *seen) __must_check;

/** user_enter() - go to ring 3, to what @frame says; the stack above is free for the next entry. */
__noreturn void user_enter(const struct trap_frame *frame);

#endif /* PSM_TRAP_H */
