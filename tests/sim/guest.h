/*
 * The guest: its real kernel's nexus, store client, block layer and block front end
 * (guest-kernel/xendev, xenbus, io), on a kernel that is played here: threads, timers, event
 * channels, grants, memory.
 */
#ifndef DUET_SIM_GUEST_H
#define DUET_SIM_GUEST_H

#include <stdbool.h>
#include <stdint.h>

/* A kernel boots in the domain that Xen has now. */
void guest_boot(void);

/* It is no more. */
void guest_drop(void);
bool guest_runs(void);

/* An event that waits, a timer that is due, what the store says. */
bool guest_has_timer(void);
uint64_t guest_next(void);
void guest_interrupt(void);
void guest_timer(void);
void guest_hear(void);
void guest_retry(void);

/* Ask it to hold still for a suspend; then it does; then it goes on here, or in another domain. */
bool guest_may_suspend(void);
void guest_suspend(void);
bool guest_is_suspended(void);
void guest_go_on(bool elsewhere);

extern uint32_t guest_memory_fails; /* chance in thousands */
extern bool guest_was_refused_memory;

/* Pieces of memory that were not given back. */
unsigned int guest_memory_live(void);

void guest_reset(void);

#endif
