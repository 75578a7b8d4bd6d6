/*
 * push.h - for assembly: pushes and pops of registers that .debug_frame tells of, so that debuggers
 * find a caller's registers.
 */
#ifndef PSM_PUSH_H
#define PSM_PUSH_H

/* clang-format off */
    .cfi_sections .debug_frame

    .macro save reg
    pushq %\reg
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %\reg, 0
    .endm

    .macro restore reg
    popq %\reg
    .cfi_adjust_cfa_offset -8
    .cfi_restore %\reg
    .endm
/* clang-format on */

#endif /* PSM_PUSH_H */
