/*
 * The way up a stack, by the compiler's description of each function's frame (DWARF CFI), across
 * the kernel's trap frames to the code that was interrupted, and arguments of the functions on it.
 */
#ifndef DUET_CRASH_UNWIND_H
#define DUET_CRASH_UNWIND_H

#include "image.h"

#define FRAMES_MAX 1024

/* DWARF's numbers of x86-64's registers. */
enum reg {
    REG_RAX,
    REG_RDX,
    REG_RCX,
    REG_RBX,
    REG_RSI,
    REG_RDI,
    REG_RBP,
    REG_RSP,
    REG_R8,
    REG_R9,
    REG_R10,
    REG_R11,
    REG_R12,
    REG_R13,
    REG_R14,
    REG_R15,
    REG_RIP,
    REG_COUNT
};

/* Registers, of which some are not known any more (bits of @known). */
struct regs {
    uint64_t value[REG_COUNT];
    uint32_t known;
};

/* One function's turn on a stack. */
struct frame {
    struct regs regs; /* as they are, or will be when what it called returns */
    uint64_t cfa;     /* of its caller's stack; valid if has_cfa */
    bool has_cfa;
    bool exact; /* rip is an instruction, not what a call returns to */
    bool trap;  /* it was interrupted: the frame before it is a trap's, whose registers lie at... */
    uint64_t trap_frame; /* ...this address */
};

struct stack {
    struct frame *frames;
    unsigned int count;
    const char *end; /* why there are no more: NULL, it is the stack's beginning */
};

struct unwinder {
    const struct image *image;
    const struct space *space;
};

/*
 * Walks up from @regs, of which rip is the next instruction, @most frames at most but at least one.
 * The frames are the caller's to free(). 0 or -ENOMEM.
 */
int unwind(const struct unwinder *u, const struct regs *regs, unsigned int most,
           struct stack *stack);

/* The address by which a frame's function and line are to be found. */
uint64_t frame_pc(const struct frame *frame);

/*
 * The value of a variable or argument @die of the @n-th frame's function, of @size bytes at most 8.
 * Returns 0, or -ENODATA if it is nowhere at this point.
 */
int unwind_value(const struct unwinder *u, const struct stack *stack, unsigned int n,
                 Dwarf_Die *die, unsigned int size, uint64_t *value);

/*
 * What the @index-th argument, an integer or a pointer, was when the @n-th frame's function was
 * called: the caller's DWARF may tell even if the function has forgotten it. 0 or -ENODATA.
 */
int unwind_entry(const struct unwinder *u, const struct stack *stack, unsigned int n,
                 unsigned int index, uint64_t *value);

/* A vCPU's registers. */
void regs_of_vcpu(const struct vcpu_guest_context *vcpu, struct regs *regs);

/* The name of a register: "rip". */
const char *reg_name(enum reg reg);

#endif
