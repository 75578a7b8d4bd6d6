/*
 * ksyms.h - names for addresses in the kernel's image.
 *
 * The table is made by boot/mksymtab.py of a link before the last. Read-only; any context.
 */
#ifndef OS_KSYMS_H
#define OS_KSYMS_H

#include "kern/types.h"

/**
 * ksym_find() - the function or object that an address lies in
 * @offset: bytes from its start
 *
 * Return: its name, or NULL if the address is not in the image.
 */
const char *ksym_find(uint64_t address, uint64_t *offset);

/** ksym_address() - where a function or object begins, 0 if there is none. */
uint64_t ksym_address(const char *name);

/**
 * backtrace() - walk the frame pointers from @rbp
 * @fn: called with each return address, nearest first
 *
 * Stops at a frame that is not readable or does not lie above the one before.
 */
void backtrace(uint64_t rbp, void (*fn)(uint64_t address, void *arg), void *arg);

struct trap_frame;

/**
 * backtrace_frame() - the same from an exception: first its rip, then the callers
 *
 * Knows that at the very start of a function, and where a wild call led, no frame exists yet.
 */
void backtrace_frame(const struct trap_frame *frame, void (*fn)(uint64_t address, void *arg),
                     void *arg);

#endif /* OS_KSYMS_H */
