/*
 * A loop without time: what is deferred runs when the target says so, a timer when it fires it, and
 * the clock stands where it was put. In place of lib/loop.c.
 */
#ifndef DUET_FUZZ_LOOP_H
#define DUET_FUZZ_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"

extern uint64_t fuzz_now_ns;

/* Forgets everything that was registered. */
void fuzz_loop_reset(void);

/* Does what was deferred, and what is deferred meanwhile. */
void fuzz_loop_turn(void);

/* Fires the armed timer `index` (modulo their number). Returns false when there is none. */
bool fuzz_loop_fire(unsigned int index);

/* For who moves the clock: when the first timer is due (UINT64_MAX: none is armed), and whether
 * something is deferred. Which timer that is, for fuzz_loop_fire(), is left in *index. */
uint64_t fuzz_loop_next(unsigned int *index);
bool fuzz_loop_has_work(void);

/* The descriptor that was added last. */
extern struct loop_fd *fuzz_loop_fd;

#endif
