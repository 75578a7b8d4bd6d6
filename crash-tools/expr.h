/*
 * DWARF expressions, as far as they are used for integers, pointers and frames: where something is,
 * or its value.
 */
#ifndef DUET_CRASH_EXPR_H
#define DUET_CRASH_EXPR_H

#include "unwind.h"

struct expr_context {
    const struct unwinder *unwinder;
    const struct regs *regs;
    bool has_cfa;
    uint64_t cfa;
    /* The frame base's own expression; none: NULL. */
    const Dwarf_Op *base;
    size_t nbase;
    /* Evaluates what had that value when the function was entered; may be NULL. 0 or -errno. */
    int (*entry)(void *arg, const Dwarf_Op *op, uint64_t *value);
    void *arg;
};

enum expr_kind { EXPR_ADDRESS, EXPR_VALUE };

/* Returns 0, or -ENODATA if a part of it is not known. */
int expr_eval(const struct expr_context *c, const Dwarf_Op *ops, size_t nops, enum expr_kind *kind,
              uint64_t *result);

#endif
