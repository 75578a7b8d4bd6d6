/*
 * The way up a stack: see unwind.h. Functions are told of by .debug_frame, also traps and whatever
 * else is assembly. The core's memory is hostile: whatever it holds, the walk ends, and so does the
 * search for an argument, of which each caller may know only that its own caller had it.
 */
#include "unwind.h"

#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "expr.h"

#define ENTRIES_MAX 64 /* arguments of callers that are looked for, for one value */

static const struct {
    const char *name; /* and the member of struct trap_frame */
} registers[REG_COUNT] = {
    [REG_RAX] = {"rax"}, [REG_RDX] = {"rdx"}, [REG_RCX] = {"rcx"}, [REG_RBX] = {"rbx"},
    [REG_RSI] = {"rsi"}, [REG_RDI] = {"rdi"}, [REG_RBP] = {"rbp"}, [REG_RSP] = {"rsp"},
    [REG_R8] = {"r8"},   [REG_R9] = {"r9"},   [REG_R10] = {"r10"}, [REG_R11] = {"r11"},
    [REG_R12] = {"r12"}, [REG_R13] = {"r13"}, [REG_R14] = {"r14"}, [REG_R15] = {"r15"},
    [REG_RIP] = {"rip"},
};

const char *reg_name(enum reg reg)
{
    return registers[reg].name;
}

void regs_of_vcpu(const struct vcpu_guest_context *vcpu, struct regs *regs)
{
    const struct cpu_user_regs *u = &vcpu->user_regs;

    *regs = (struct regs){
        .value = {[REG_RAX] = u->rax,
                  [REG_RDX] = u->rdx,
                  [REG_RCX] = u->rcx,
                  [REG_RBX] = u->rbx,
                  [REG_RSI] = u->rsi,
                  [REG_RDI] = u->rdi,
                  [REG_RBP] = u->rbp,
                  [REG_RSP] = u->rsp,
                  [REG_R8] = u->r8,
                  [REG_R9] = u->r9,
                  [REG_R10] = u->r10,
                  [REG_R11] = u->r11,
                  [REG_R12] = u->r12,
                  [REG_R13] = u->r13,
                  [REG_R14] = u->r14,
                  [REG_R15] = u->r15,
                  [REG_RIP] = u->rip},
        .known = (1u << REG_COUNT) - 1,
    };
}

uint64_t frame_pc(const struct frame *frame)
{
    return frame->regs.value[REG_RIP] - (frame->exact ? 0 : 1);
}

static bool knows(const struct regs *r, enum reg reg)
{
    return (r->known & 1u << reg) != 0;
}

static void set(struct regs *r, enum reg reg, uint64_t value)
{
    r->value[reg] = value;
    r->known |= 1u << reg;
}

static bool read64(const struct unwinder *u, uint64_t address, uint64_t *value)
{
    return space_read(u->space, address, value, sizeof(*value)) == 0;
}

/* ---- C functions ---- */

/* The compiled function around, whose frame base counts, of all that are inlined at a frame. */
static bool function_of(const struct unwinder *u, const struct frame *f, Dwarf_Die *function)
{
    struct image_function functions[IMAGE_INLINES_MAX];
    unsigned int count = image_functions(u->image, frame_pc(f), functions);

    if (count == 0) {
        return false;
    }
    *function = functions[count - 1].die;
    return true;
}

/* A function that never returns does not save what its caller might want back. */
static bool forgets(const struct unwinder *u, const struct frame *f)
{
    Dwarf_Attribute attribute;
    Dwarf_Die function;

    return function_of(u, f, &function) &&
           dwarf_attr_integrate(&function, DW_AT_noreturn, &attribute) != NULL;
}

static bool callee_keeps(enum reg reg)
{
    return reg == REG_RBX || reg == REG_RBP || (reg >= REG_R12 && reg <= REG_R15);
}

/* Where the caller's register @reg is kept, into @next. @kept: it is, if nothing is said of it. */
static void restore(const struct expr_context *c, Dwarf_Frame *cfi, enum reg reg, bool kept,
                    struct regs *next)
{
    Dwarf_Op mem[3], *ops;
    size_t nops;
    enum expr_kind kind;
    uint64_t value;

    if (dwarf_frame_register(cfi, (int)reg, mem, &ops, &nops) != 0) {
        return;
    }
    if (nops == 0 && ops == NULL) { /* not changed */
        if (kept && callee_keeps(reg) && knows(c->regs, reg)) {
            set(next, reg, c->regs->value[reg]);
        }
        return;
    }
    if (nops > 0 && expr_eval(c, ops, nops, &kind, &value) == 0 &&
        (kind == EXPR_VALUE || read64(c->unwinder, value, &value))) {
        set(next, reg, value);
    }
}

/* Whether the rules say that nobody called this function. */
static bool is_outermost(Dwarf_Frame *rules)
{
    Dwarf_Op mem[3], *ops;
    size_t nops;

    return dwarf_frame_register(rules, REG_RIP, mem, &ops, &nops) == 0 && nops == 0 && ops != NULL;
}

/*
 * A "signal frame", after which the stack may be another one. If all registers are restored, a
 * struct trap_frame, which ends at the CFA, told of them; else it is __fentry__, on a stack that
 * ran over.
 */
static void note_signal(const struct unwinder *u, const struct frame *f, struct frame *next)
{
    Dwarf_Die type;
    Dwarf_Word size;

    next->exact = true;
    next->trap = knows(&next->regs, REG_RAX);
    if (next->trap && image_type(u->image, "trap_frame", &type) == 0 &&
        dwarf_aggregate_size(&type, &size) == 0) {
        next->trap_frame = f->cfa - size;
    }
}

/* A frame's caller by CFI. False if there is none for it; *@first: nobody called it. */
static bool step_cfi(const struct unwinder *u, struct frame *f, struct frame *next, bool *first)
{
    struct expr_context c = {.unwinder = u, .regs = &f->regs};
    Dwarf_CFI *cfi = dwarf_getcfi(image_dwarf(u->image));
    Dwarf_Frame *rules = NULL;
    Dwarf_Op *ops;
    size_t nops;
    enum expr_kind kind;
    bool signal = false;

    if (cfi == NULL || dwarf_cfi_addrframe(cfi, frame_pc(f), &rules) != 0) {
        return false;
    }
    *first = is_outermost(rules);
    if (dwarf_frame_cfa(rules, &ops, &nops) == 0 && nops > 0 &&
        expr_eval(&c, ops, nops, &kind, &f->cfa) == 0) {
        f->has_cfa = c.has_cfa = true;
        c.cfa = f->cfa;
        bool kept = !forgets(u, f);
        for (enum reg reg = 0; reg < REG_COUNT; reg++) {
            restore(&c, rules, reg, kept, &next->regs);
        }
        if (dwarf_frame_info(rules, NULL, NULL, &signal) >= 0 && signal) {
            note_signal(u, f, next);
        }
    }
    free(rules);
    return f->has_cfa;
}

/* ---- the rest ---- */

/* Into a function that has no frame yet: what it returns to is on top of the stack. */
static bool step_leaf(const struct unwinder *u, const struct frame *f, struct frame *next)
{
    uint64_t sp = f->regs.value[REG_RSP], rip;

    if (!knows(&f->regs, REG_RSP) || !read64(u, sp, &rip)) {
        return false;
    }
    next->regs = f->regs;
    set(&next->regs, REG_RIP, rip);
    set(&next->regs, REG_RSP, sp + sizeof(rip));
    return true;
}

/* By the frame pointer. */
static bool step_pointer(const struct unwinder *u, const struct frame *f, struct frame *next)
{
    uint64_t rbp = f->regs.value[REG_RBP], caller, rip;

    if (!knows(&f->regs, REG_RBP) || rbp == 0 || !read64(u, rbp, &caller) ||
        !read64(u, rbp + sizeof(caller), &rip)) {
        return false;
    }
    set(&next->regs, REG_RBP, caller);
    set(&next->regs, REG_RIP, rip);
    set(&next->regs, REG_RSP, rbp + sizeof(caller) + sizeof(rip));
    return true;
}

/* From a place without CFI. */
static bool step_blind(const struct unwinder *u, const struct frame *f, struct frame *next,
                       const char **end)
{
    *end = "nothing tells what called this";
    if (!image_is_text(u->image, frame_pc(f))) {
        *end = "it is no code of the kernel's";
        return f->exact && step_leaf(u, f, next);
    }
    return f->exact ? step_leaf(u, f, next) : step_pointer(u, f, next);
}

/* Whether what was interrupted is a program. */
static bool is_program(const struct unwinder *u, const struct frame *f)
{
    uint64_t cs, offset = 0;
    Dwarf_Die type, member;

    return f->trap && (image_type(u->image, "trap_frame", &type) != 0 ||
                       image_member(&type, "cs", &offset, &member) != 0 ||
                       !read64(u, f->trap_frame + offset, &cs) ||
                       (cs & 0xffff & ~3u) != (FLAT_KERNEL_CS & ~3u));
}

/* Whether the caller's stack pointer lies above, or may be anywhere. */
static bool advances(const struct frame *f, const struct frame *next)
{
    return next->exact || !knows(&f->regs, REG_RSP) ||
           next->regs.value[REG_RSP] > f->regs.value[REG_RSP];
}

/* The caller of the last frame, at which the walk may have to end: then false, with stack->end. */
static bool step(const struct unwinder *u, unsigned int most, struct stack *stack,
                 struct frame *next)
{
    struct frame *f = &stack->frames[stack->count - 1];
    bool first = false;

    if (!image_is_text(u->image, frame_pc(f)) || !step_cfi(u, f, next, &first)) {
        *next = (struct frame){0};
        if (!first && !step_blind(u, f, next, &stack->end)) {
            return false;
        }
    }
    stack->end = NULL;
    if (first) {
        return false;
    }
    if (!knows(&next->regs, REG_RIP)) {
        stack->end = "what it returns to cannot be read";
    } else if (next->regs.value[REG_RIP] == 0) {
        return false; /* called by nobody */
    } else if (stack->count >= most) {
        stack->end = "there are more";
    } else if (!advances(f, next)) {
        stack->end = "the stack is damaged";
    } else if (is_program(u, next)) {
        stack->end = "a program was interrupted";
    } else if (!next->exact && !image_is_text(u->image, frame_pc(next))) {
        stack->end = "it returns to no code of the kernel's";
    }
    return stack->end == NULL;
}

int unwind(const struct unwinder *u, const struct regs *regs, unsigned int most,
           struct stack *stack)
{
    struct frame next = {0};

    *stack = (struct stack){.frames = calloc(most > 0 ? most : 1, sizeof(*stack->frames))};
    if (stack->frames == NULL) {
        return -ENOMEM;
    }
    stack->frames[stack->count++] = (struct frame){.regs = *regs, .exact = true};
    while (step(u, most, stack, &next)) {
        stack->frames[stack->count++] = next;
        next = (struct frame){0};
    }
    return 0;
}

/* ---- values ---- */

struct entry_arg {
    const struct unwinder *u;
    const struct stack *stack;
    unsigned int n;
    unsigned int *left; /* of ENTRIES_MAX */
    Dwarf_Attribute *attribute;
};

/* The call to what frame @n - 1 runs, as the compiler told of it. */
static bool find_call(Dwarf_Die *die, uint64_t returns_to, Dwarf_Die *call, unsigned int depth)
{
    Dwarf_Die child;

    if (depth > IMAGE_INLINES_MAX || dwarf_child(die, &child) != 0) {
        return false;
    }
    do {
        Dwarf_Attribute attribute;
        Dwarf_Addr address;

        if (dwarf_tag(&child) == DW_TAG_call_site) {
            if (dwarf_formaddr(dwarf_attr(&child, DW_AT_call_return_pc, &attribute), &address) ==
                    0 &&
                address == returns_to) {
                *call = child;
                return true;
            }
        } else if (find_call(&child, returns_to, call, depth + 1)) {
            return true;
        }
    } while (dwarf_siblingof(&child, &child) == 0);
    return false;
}

static int eval_in_frame(const struct entry_arg *e, Dwarf_Op *ops, size_t nops,
                         enum expr_kind *kind, uint64_t *value);

/* What the register of @wanted held when the function of frame e->n was called. */
static int entry_register(const struct entry_arg *e, unsigned int wanted, uint64_t *value)
{
    struct entry_arg caller = {.u = e->u, .stack = e->stack, .n = e->n + 1, .left = e->left};
    Dwarf_Attribute location, call_value;
    Dwarf_Die function, call, parameter;
    Dwarf_Op *ops;
    size_t nops;
    enum expr_kind kind;

    if (*e->left == 0) {
        return -ENODATA;
    }
    --*e->left;
    if (caller.n >= e->stack->count || e->stack->frames[caller.n].exact || /* not calling */
        !function_of(e->u, &e->stack->frames[caller.n], &function) ||
        !find_call(&function, e->stack->frames[caller.n].regs.value[REG_RIP], &call, 0) ||
        dwarf_child(&call, &parameter) != 0) {
        return -ENODATA;
    }
    do {
        if (dwarf_tag(&parameter) == DW_TAG_call_site_parameter &&
            dwarf_getlocation(dwarf_attr(&parameter, DW_AT_location, &location), &ops, &nops) ==
                0 &&
            nops == 1 && ops[0].atom == wanted &&
            dwarf_getlocation(dwarf_attr(&parameter, DW_AT_call_value, &call_value), &ops, &nops) ==
                0) {
            caller.attribute = &call_value;
            return eval_in_frame(&caller, ops, nops, &kind, value);
        }
    } while (dwarf_siblingof(&parameter, &parameter) == 0);
    return -ENODATA;
}

/* The expression's DW_OP_entry_value. */
static int entry_value(void *arg, const Dwarf_Op *op, uint64_t *value)
{
    const struct entry_arg *e = arg;
    Dwarf_Attribute inner;
    Dwarf_Op *ops;
    size_t nops;

    if (e->attribute == NULL || dwarf_getlocation_attr(e->attribute, op, &inner) != 0 ||
        dwarf_getlocation(&inner, &ops, &nops) != 0 || nops != 1) {
        return -ENODATA;
    }
    return entry_register(e, ops[0].atom, value);
}

int unwind_entry(const struct unwinder *u, const struct stack *stack, unsigned int n,
                 unsigned int index, uint64_t *value)
{
    static const enum reg order[] = {REG_RDI, REG_RSI, REG_RDX, REG_RCX, REG_R8, REG_R9};
    unsigned int left = ENTRIES_MAX;
    const struct entry_arg e = {.u = u, .stack = stack, .n = n, .left = &left};

    return index < sizeof(order) / sizeof(order[0])
               ? entry_register(&e, DW_OP_reg0 + order[index], value)
               : -ENODATA;
}

static int eval_in_frame(const struct entry_arg *e, Dwarf_Op *ops, size_t nops,
                         enum expr_kind *kind, uint64_t *value)
{
    const struct frame *f = &e->stack->frames[e->n];
    struct entry_arg copy = *e;
    struct expr_context c = {.unwinder = e->u,
                             .regs = &f->regs,
                             .has_cfa = f->has_cfa,
                             .cfa = f->cfa,
                             .entry = entry_value,
                             .arg = &copy};
    Dwarf_Attribute attribute;
    Dwarf_Die function;
    Dwarf_Op *base;
    size_t nbase;

    if (function_of(e->u, f, &function) &&
        dwarf_getlocation(dwarf_attr(&function, DW_AT_frame_base, &attribute), &base, &nbase) ==
            0) {
        c.base = base;
        c.nbase = nbase;
    }
    return expr_eval(&c, ops, nops, kind, value);
}

int unwind_value(const struct unwinder *u, const struct stack *stack, unsigned int n,
                 Dwarf_Die *die, unsigned int size, uint64_t *value)
{
    const struct frame *f = &stack->frames[n];
    unsigned int left = ENTRIES_MAX;
    Dwarf_Attribute attribute;
    Dwarf_Word constant;
    Dwarf_Op *ops;
    size_t nops;
    enum expr_kind kind;

    *value = 0;
    if (size == 0 || size > sizeof(*value)) {
        return -ENODATA;
    }
    if (dwarf_formudata(dwarf_attr_integrate(die, DW_AT_const_value, &attribute), &constant) == 0) {
        *value = constant;
        return 0;
    }
    if (dwarf_attr_integrate(die, DW_AT_location, &attribute) == NULL ||
        dwarf_getlocation_addr(&attribute, frame_pc(f), &ops, &nops, 1) != 1) {
        return -ENODATA;
    }
    const struct entry_arg e = {
        .u = u, .stack = stack, .n = n, .left = &left, .attribute = &attribute};
    uint64_t got;
    if (eval_in_frame(&e, ops, nops, &kind, &got) != 0) {
        return -ENODATA;
    }
    if (kind == EXPR_ADDRESS) {
        return space_read(u->space, got, value, size) == 0 ? 0 : -ENODATA;
    }
    memcpy(value, &got, size);
    return 0;
}
