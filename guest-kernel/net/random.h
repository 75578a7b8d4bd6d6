/*
 * random.h - numbers that a peer cannot guess: sequence numbers, ports, ids of DNS and DHCP.
 *
 * A keyed hash (SipHash-2-4) of a counter and the time stamp counter; the key is made at start of
 * the processor's random numbers, where it has the instruction, and of the clocks. Not for keys of
 * ciphers. Locks: none; any context. Suspend: the key stays; the time stamp counter is another
 * in each copy of a saved domain, and so are the numbers.
 */
#ifndef NET_RANDOM_H
#define NET_RANDOM_H

#include "kern/types.h"

/** random_boot() - make the key. Once. */
void random_boot(void);

/** random_u32() - a number. */
uint32_t random_u32(void);

#endif /* NET_RANDOM_H */
