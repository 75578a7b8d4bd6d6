/*
 * entry.S - where Xen enters the kernel, and the way back.
 *
 * Xen pushes ss, rsp, rflags, cs, rip, for some exceptions an error code, then r11 and rcx. Each
 * stub turns that into a struct trap_frame (trap.h) and calls C. The way back is the iret
 * hypercall, which restores registers and upcall mask in one step: the mask travels as the IF bit
 * of the saved rflags, so no window exists between unmasking and returning.
 *
 * For debuggers .debug_frame tells where enter_c's frame has the registers of what was interrupted.
 */
#include "psm/push.h"

#define HYPERCALL_IRET 23
#define VECTOR_UPCALL 0x100
#define VECTOR_FAILSAFE 0x101
#define VECTOR_SYSCALL 0x102

    .text

    .macro push_frame
    save rdi
    save rsi
    save rdx
    save rcx
    save rax
    save r8
    save r9
    save r10
    save r11
    save rbx
    save rbp
    save r12
    save r13
    save r14
    save r15
    cld
    .endm

    .macro pop_frame
    restore r15
    restore r14
    restore r13
    restore r12
    restore rbp
    restore rbx
    restore r11
    restore r10
    restore r9
    restore r8
    restore rax
    restore rcx
    restore rdx
    restore rsi
    restore rdi
    .endm

/* A stub: rcx and r11 are what Xen pushed last; then come error code (or a zero) and vector. */
    .macro entry name, vector, has_error
    .globl \name
\name:
    movq (%rsp), %rcx
    movq 8(%rsp), %r11
    .if \has_error
    addq $16, %rsp
    .else
    addq $8, %rsp
    movq $0, (%rsp)
    .endif
    pushq $\vector
    jmp enter_c
    .endm

/*
 * Vector and error code on top of what Xen pushed, which begins at a multiple of 16: so the frame
 * ends at one, too, and the stack is aligned as it is.
 */
enter_c:
    .cfi_startproc simple
    .cfi_signal_frame
    .cfi_def_cfa %rsp, 56
    .cfi_offset %rip, -40
    .cfi_offset %rsp, -16
    push_frame
    movq %rsp, %rdi
    call trap_dispatch
leave_by_frame:
    pop_frame
    addq $16, %rsp
    .cfi_adjust_cfa_offset -16
    pushq $0 /* iret_context.flags */
    .cfi_adjust_cfa_offset 8
    jmp hypercall_page + HYPERCALL_IRET * 32
    .cfi_endproc

/* user_enter(rdi: frame): as if the frame had been saved by a trap that is over. */
    .globl user_enter
user_enter:
    movq %rdi, %rsp
    jmp leave_by_frame

    entry trap_divide, 0, 0
    entry trap_debug, 1, 0
    entry trap_nmi, 2, 0
    entry trap_breakpoint, 3, 0
    entry trap_overflow, 4, 0
    entry trap_bounds, 5, 0
    entry trap_opcode, 6, 0
    entry trap_device, 7, 0
    entry trap_double_fault, 8, 1
    entry trap_tss, 10, 1
    entry trap_segment, 11, 1
    entry trap_stack, 12, 1
    entry trap_protection, 13, 1
    entry trap_page_fault, 14, 1
    entry trap_x87, 16, 0
    entry trap_alignment, 17, 1
    entry trap_machine, 18, 0
    entry trap_simd, 19, 0
    entry evtchn_entry, VECTOR_UPCALL, 0
    entry syscall_entry, VECTOR_SYSCALL, 0

/* Xen could not load our segments on its way back: it pushed them, and there is no going on. */
    .globl failsafe_entry
failsafe_entry:
    movq (%rsp), %rcx
    movq 8(%rsp), %r11
    addq $48, %rsp /* rcx, r11, ds, es, fs, gs */
    pushq $0
    pushq $VECTOR_FAILSAFE
    jmp enter_c

/* safe_read64(rdi: address, rsi: value) and safe_write64(rdi: address, rsi: value) */
    .macro fixup from, to
    .pushsection .fixups, "a"
    .quad \from, \to
    .popsection
    .endm

    .globl safe_read64, safe_write64
safe_read64:
1:  movq (%rdi), %rax
    movq %rax, (%rsi)
    xorl %eax, %eax
    ret
safe_write64:
2:  movq %rsi, (%rdi)
    xorl %eax, %eax
    ret
/* user_copy(rdi: to, rsi: from, rdx: bytes): one of the two is a user address. */
    .globl user_copy
user_copy:
    movq %rdx, %rcx
3:  rep movsb
    xorl %eax, %eax
    ret
/* user_load32(rdi: from, rsi: value), user_exchange32(rdi: to, esi: old, edx: value, rcx: seen) */
    .globl user_load32, user_exchange32
user_load32:
4:  movl (%rdi), %eax
    movl %eax, (%rsi)
    xorl %eax, %eax
    ret
user_exchange32:
    movl %esi, %eax
5:  lock cmpxchgl %edx, (%rdi)
    movl %eax, (%rcx)
    xorl %eax, %eax
    ret
safe_fault:
    movl $-14, %eax /* -EFAULT */
    ret
    fixup 1b, safe_fault
    fixup 2b, safe_fault
    fixup 3b, safe_fault
    fixup 4b, safe_fault
    fixup 5b, safe_fault

    .section .note.GNU-stack, "", @progbits
