/*
 * A guest's memory: a few pages, of which a grant reference is the number, in place of
 * libxengnttab. References beyond them are refused by "Xen". Copies are required to stay within
 * their page.
 */
#ifndef DUET_FUZZ_GUEST_H
#define DUET_FUZZ_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#define GUEST_PAGES 16U
#define GUEST_BYTES 4096U

struct guest_copy {
    bool from_guest;
    uint8_t *local;
    uint32_t ref;
    uint16_t offset, bytes;
};

extern uint8_t guest_pages[GUEST_PAGES][GUEST_BYTES];

/* The next calls fail altogether. */
extern bool guest_calls_fail;

/* Called for each copy that succeeds, after it. NULL: nobody. */
extern void (*guest_on_copy)(const struct guest_copy *copy);

/* Called once before the copies of a call: a second vCPU of the guest is at work. NULL: none. */
extern void (*guest_on_call)(void);

#endif
