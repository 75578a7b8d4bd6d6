/*
 * head.S - what Xen's domain builder reads, and the first instructions.
 *
 * The notes say where the image wants to be and where the hypercall page is. _start leaves the
 * builder's stack for our own, points %gs at the boot CPU's structure and calls C. See
 * xen/elfnote.h, and "Start of day" in xen/xen.h.
 *
 * Xen fills the hypercall page with its own code: each call is push %rcx; push %r11; mov; syscall;
 * pop %r11; pop %rcx; ret. For debuggers .debug_frame tells what that has on the stack.
 */
#define __ASSEMBLY__
#include <xen/elfnote.h>

#include "hat/layout.h"

    .macro elfnote type, directive, value:vararg
    .pushsection .note.Xen, "a", @note
    .balign 4
    .long 2f - 1f, 4f - 3f, \type
1:  .asciz "Xen"
2:  .balign 4
3:  \directive \value
4:  .balign 4
    .popsection
    .endm

    elfnote XEN_ELFNOTE_GUEST_OS, .asciz, "Duet"
    elfnote XEN_ELFNOTE_GUEST_VERSION, .asciz, DUET_VERSION
    elfnote XEN_ELFNOTE_LOADER, .asciz, "generic"
    elfnote XEN_ELFNOTE_XEN_VERSION, .asciz, "xen-3.0"
    elfnote XEN_ELFNOTE_VIRT_BASE, .quad, KERNEL_BASE
    elfnote XEN_ELFNOTE_PADDR_OFFSET, .quad, 0
    elfnote XEN_ELFNOTE_ENTRY, .quad, _start
    elfnote XEN_ELFNOTE_HYPERCALL_PAGE, .quad, hypercall_page
    elfnote XEN_ELFNOTE_HV_START_LOW, .quad, XEN_BASE
    elfnote XEN_ELFNOTE_SUSPEND_CANCEL, .long, 1 /* a suspend may return 1: nothing happened */
    /* Mask, then value: an L1 entry names a frame if its present bit is set. */
    elfnote XEN_ELFNOTE_L1_MFN_VALID, .quad, 1, 1

/* From xen/xen.h and xen/arch-x86/xen-x86_64.h, which do not suit the assembler. */
#define SET_SEGMENT_BASE 25
#define SEGBASE_GS_KERNEL 2

    .cfi_sections .debug_frame
    .section .text.head, "ax", @progbits
    .code64

/* Entry: %rsi is start_info's address; upcalls are masked; the builder's stack is a lone page. */
    .globl _start
_start:
    .cfi_startproc
    .cfi_undefined %rip
    cld
    movq $boot_stack_top, %rsp
    xorl %ebp, %ebp
    movq %rsi, %rbx
    movl $SEGBASE_GS_KERNEL, %edi
    movq $boot_cpu, %rsi
    call hypercall_page + SET_SEGMENT_BASE * 32
    movq %rbx, %rdi
    call dboot
    ud2
    .cfi_endproc

    .balign 4096
    .globl hypercall_page
hypercall_page:
    .cfi_startproc
    .rept 4096 / 32
    .skip 1
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rcx, 0
    .skip 2
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r11, 0
    .skip 9
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r11
    .skip 1
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rcx
    .skip 19
    .endr
    .cfi_endproc

/* The boot thread's stack; hat_boot() unmaps the page below it. */
    .section .bss.page_aligned, "aw", @nobits
    .balign 4096
    .globl boot_stack_guard, boot_stack, boot_stack_top
boot_stack_guard:
    .skip 4096
boot_stack:
    .skip 16384
boot_stack_top:

    .section .note.GNU-stack, "", @progbits
