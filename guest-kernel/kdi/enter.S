/*
 * enter.S - into the debugger, and onto its own stack.
 *
 * The stack that was interrupted may be the one that is broken, or may have little room left. The
 * limit that psm/stack.S checks changes together with the stack.
 */
#include "psm/offsets.h"

#define STACK_RESERVE 2048 /* the largest frame and a nested fault's */

    .text

/* kdi_break(rdi: why): kdi.c knows it by the address behind the int3. */
    .globl kdi_break, kdi_break_return
kdi_break:
    pushq %rbp
    movq %rsp, %rbp
    int3
kdi_break_return:
    popq %rbp
    ret

/* kdi_stack_call(rdi: function): call it on the debugger's stack. */
    .globl kdi_stack_call
kdi_stack_call:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq %gs:CPU_STACK_LIMIT
    movq %rsp, kdi_saved_sp
/* kdi_stack_restart(rdi: function): forget what runs on the debugger's stack, call this instead. */
    .globl kdi_stack_restart
kdi_stack_restart:
    movq $kdi_stack + STACK_RESERVE, %gs:CPU_STACK_LIMIT
    movq $kdi_stack_top, %rsp
    xorl %ebp, %ebp
    call *%rdi
    movq kdi_saved_sp, %rsp
    popq %gs:CPU_STACK_LIMIT
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret

    .section .bss.page_aligned, "aw", @nobits
    .balign 16
kdi_stack:
    .skip 16384
kdi_stack_top:
    .balign 8
kdi_saved_sp:
    .skip 8

    .section .note.GNU-stack, "", @progbits
