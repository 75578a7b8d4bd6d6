/*
 * switch.S - from one thread's stack to another's.
 *
 * thread_switch(&old->sp, new->sp): saves what the C ABI lets a function keep, exchanges stacks,
 * restores. A new thread's stack is laid out by thread.c so that this returns into thread_entry.
 *
 * For debuggers the frames are told of in .debug_frame: a thread that does not run stands at
 * thread_switched, with the stack pointer that its structure has.
 */
#include "psm/push.h"

    .text

    .globl thread_switch
thread_switch:
    .cfi_startproc
    save rbp
    save rbx
    save r12
    save r13
    save r14
    save r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
thread_switched:
    restore r15
    restore r14
    restore r13
    restore r12
    restore rbx
    restore rbp
    ret
    .cfi_endproc

/*
 * The first return of a new thread: ends the chain of frames and enters C. Who asks for the caller
 * of a new thread looks up the address before the one that is returned to.
 */
thread_begin:
    .cfi_startproc
    .cfi_undefined %rip
    nop
    .globl thread_entry
thread_entry:
    xorl %ebp, %ebp
    call thread_start
    ud2
    .cfi_endproc

    .section .note.GNU-stack, "", @progbits
