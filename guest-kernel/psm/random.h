/*
 * random.h - numbers that a peer cannot guess: sequence numbers, ports, ids, addresses of programs.
 *
 * A keyed hash (SipHash-2-4) of a counter and the time stamp counter; the key is made at start of
 * the processor's random numbers, where it has the instruction, and of the clocks. Not for keys of
 * ciphers. Locks: none; any context. Suspend: the key stays; the time stamp counter is another
 * in each copy of a saved domain, and so are the numbers.
 */
#ifndef PSM_RANDOM_H
#define PSM_RANDOM_H

#include "kern/types.h"

/** random_boot() - make the key. Once. */
void random_boot(void);

/** random_u32(), random_u64() - a number. */
uint32_t random_u32(void);
uint64_t random_u64(void);

/** random_fill() - bytes, each word mixed with one of the processor's own where it has them. */
void random_fill(void *buf, size_t n);

/** random_hash() - the keyed hash of @n words. */
uint64_t random_hash(const uint64_t *words, size_t n);

#endif /* PSM_RANDOM_H */
