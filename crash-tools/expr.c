/*
 * The machine of DWARF expressions: a stack of numbers. See expr.h.
 */
#include "expr.h"

#include <dwarf.h>
#include <errno.h>

#define STACK_MAX 32
#define OPS_MAX   256

struct machine {
    const struct expr_context *c;
    uint64_t stack[STACK_MAX];
    unsigned int depth;
    enum expr_kind kind;
};

static int push(struct machine *m, uint64_t value)
{
    if (m->depth == STACK_MAX) {
        return -ENODATA;
    }
    m->stack[m->depth++] = value;
    return 0;
}

static int push_register(struct machine *m, unsigned int reg, uint64_t offset)
{
    if (reg >= REG_COUNT || (m->c->regs->known & 1u << reg) == 0) {
        return -ENODATA;
    }
    return push(m, m->c->regs->value[reg] + offset);
}

static int push_base(struct machine *m, uint64_t offset)
{
    struct expr_context inner = *m->c;
    enum expr_kind kind;
    uint64_t base;

    inner.base = NULL; /* a base in terms of itself would be none */
    if (m->c->base == NULL || expr_eval(&inner, m->c->base, m->c->nbase, &kind, &base) != 0) {
        return -ENODATA;
    }
    return push(m, base + offset);
}

static int unary(struct machine *m, const Dwarf_Op *op)
{
    uint64_t *top = &m->stack[m->depth - 1];

    switch (op->atom) {
    case DW_OP_plus_uconst:
        *top += op->number;
        return 0;
    case DW_OP_neg:
        *top = -*top;
        return 0;
    case DW_OP_not:
        *top = ~*top;
        return 0;
    case DW_OP_deref:
        return space_read(m->c->unwinder->space, *top, top, sizeof(*top)) == 0 ? 0 : -ENODATA;
    case DW_OP_dup:
        return push(m, *top);
    case DW_OP_stack_value:
        m->kind = EXPR_VALUE;
        return 0;
    default:
        return -ENODATA;
    }
}

static int binary(struct machine *m, const Dwarf_Op *op)
{
    uint64_t b = m->stack[--m->depth];
    uint64_t *a = &m->stack[m->depth - 1];

    switch (op->atom) {
    case DW_OP_plus:
        *a += b;
        return 0;
    case DW_OP_minus:
        *a -= b;
        return 0;
    case DW_OP_and:
        *a &= b;
        return 0;
    case DW_OP_or:
        *a |= b;
        return 0;
    case DW_OP_shl:
        *a = b < 64 ? *a << b : 0;
        return 0;
    case DW_OP_mul:
        *a *= b;
        return 0;
    default:
        return -ENODATA;
    }
}

static bool is_unary(unsigned int atom)
{
    return atom == DW_OP_plus_uconst || atom == DW_OP_neg || atom == DW_OP_not ||
           atom == DW_OP_deref || atom == DW_OP_dup || atom == DW_OP_stack_value;
}

static int step(struct machine *m, const Dwarf_Op *op)
{
    unsigned int atom = op->atom;
    uint64_t value;

    if (atom >= DW_OP_lit0 && atom <= DW_OP_lit31) {
        return push(m, atom - DW_OP_lit0);
    }
    if (atom >= DW_OP_breg0 && atom <= DW_OP_breg31) {
        return push_register(m, atom - DW_OP_breg0, op->number);
    }
    if (atom >= DW_OP_reg0 && atom <= DW_OP_reg31) {
        m->kind = EXPR_VALUE;
        return push_register(m, atom - DW_OP_reg0, 0);
    }
    switch (atom) {
    case DW_OP_bregx:
        return push_register(m, (unsigned int)op->number, op->number2);
    case DW_OP_regx:
        m->kind = EXPR_VALUE;
        return push_register(m, (unsigned int)op->number, 0);
    case DW_OP_addr:
    case DW_OP_const1u:
    case DW_OP_const1s:
    case DW_OP_const2u:
    case DW_OP_const2s:
    case DW_OP_const4u:
    case DW_OP_const4s:
    case DW_OP_const8u:
    case DW_OP_const8s:
    case DW_OP_constu:
    case DW_OP_consts:
        return push(m, op->number);
    case DW_OP_fbreg:
        return push_base(m, op->number);
    case DW_OP_call_frame_cfa:
        return m->c->has_cfa ? push(m, m->c->cfa) : -ENODATA;
    case DW_OP_entry_value:
    case DW_OP_GNU_entry_value:
        return m->c->entry != NULL && m->c->entry(m->c->arg, op, &value) == 0 ? push(m, value)
                                                                              : -ENODATA;
    default:
        break;
    }
    if (is_unary(atom)) {
        return m->depth >= 1 ? unary(m, op) : -ENODATA;
    }
    return m->depth >= 2 ? binary(m, op) : -ENODATA;
}

int expr_eval(const struct expr_context *c, const Dwarf_Op *ops, size_t nops, enum expr_kind *kind,
              uint64_t *result)
{
    struct machine m = {.c = c, .kind = EXPR_ADDRESS};

    if (nops > OPS_MAX) {
        return -ENODATA;
    }
    for (size_t i = 0; i < nops; i++) {
        if (step(&m, &ops[i]) != 0) {
            return -ENODATA;
        }
    }
    if (m.depth == 0) {
        return -ENODATA;
    }
    *kind = m.kind;
    *result = m.stack[m.depth - 1];
    return 0;
}
