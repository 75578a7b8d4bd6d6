/*
 * stack.S - the check that no stack runs over.
 *
 * Xen delivers a fault on the stack that is in use, so touching a guard page with the stack pointer
 * would not give a page fault but the end of the domain without a word. Therefore the compiler calls
 * __fentry__ (-pg -mfentry) at the start of every function, which compares the stack
 * pointer with the running thread's limit. The limit leaves room below it for the largest frame
 * (-Wframe-larger-than) and for an upcall's. Past the limit, the panic runs on a stack of its own,
 * on top of which the old stack pointer lies: .debug_frame tells debuggers the way back.
 */
#include "psm/offsets.h"

    .cfi_sections .debug_frame
    .text
    .globl __fentry__
__fentry__:
    .cfi_startproc
    .cfi_signal_frame /* the stack may lie anywhere from here on */
    cmpq %gs:CPU_STACK_LIMIT, %rsp
    jb 1f
    ret
1:  movb $1, %gs:1 /* vcpu_info.evtchn_upcall_mask: nothing may run on this stack any more */
    movq $0, %gs:CPU_STACK_LIMIT
    movq (%rsp), %rdi
    movq %rbp, %rsi
    movq %rsp, %rdx
    movq $emergency_stack_top, %rsp
    pushq $0 /* keeps the stack aligned */
    pushq %rdx
    .cfi_escape 0x0f, 5, 0x77, 0, 0x06, 0x23, 8 /* CFA: what %rsp points to, and 8 */
    call stack_overflow
    ud2
    .cfi_endproc

    .section .bss.page_aligned, "aw", @nobits
    .balign 16
    .skip 8192
emergency_stack_top:

    .section .note.GNU-stack, "", @progbits
