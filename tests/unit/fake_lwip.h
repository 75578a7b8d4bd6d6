/*
 * fake_lwip.h - what lwIP and the sockets stand on in the kernel, for tests that are the thread and
 * the clock.
 */
#ifndef TESTS_UNIT_FAKE_LWIP_H
#define TESTS_UNIT_FAKE_LWIP_H

#include <stdbool.h>
#include <stddef.h>

extern size_t fake_used;          /* bytes of lwIP's memory */
extern bool fake_no_memory;       /* there is none */
extern bool fake_short_of_memory; /* there is none that programs may take */
extern bool fake_no_packets;      /* there is none for what a socket keeps of a packet */
extern bool fake_core_locked, fake_reader_locked;

/** fake_lwip_begin() - there is memory, and lwIP has started. */
void fake_lwip_begin(void);

/** fake_pump() - all that is under way arrives, and time passes: @ms. */
void fake_pump(unsigned ms);

#endif /* TESTS_UNIT_FAKE_LWIP_H */
