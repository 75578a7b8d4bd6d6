/*
 * A core of a real program, as if it had been a domain's kernel: what unwinders and readers of
 * types are tried on.
 */
#ifndef DUET_TEST_PROGRAM_CORE_H
#define DUET_TEST_PROGRAM_CORE_H

#include "fake_core.h"

#define PROGRAM_BASE  0x400000ull /* where programs that are not moved begin */
#define PROGRAM_PAGES 64

/* Runs the program at @path up to its breakpoint, and makes a core of its first PROGRAM_PAGES. */
void program_core_make(struct fake_core *c, const char *path);

/* Where the core has a byte of the program's. */
void *program_core_at(const struct fake_core *c, uint64_t address);

#endif
