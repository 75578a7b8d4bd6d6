/*
 * switch.S - from one thread's stack to another's.
 *
 * thread_switch(&old->sp, new->sp): saves what the C ABI lets a function keep, exchanges stacks,
 * restores. A new thread's stack is laid out by thread.c so that this returns into thread_entry.
 */
    .text
    .globl thread_switch
thread_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret

/* The first return of a new thread: ends the chain of frames and enters C. */
    .globl thread_entry
thread_entry:
    xorl %ebp, %ebp
    call thread_start
    ud2

    .section .note.GNU-stack, "", @progbits
