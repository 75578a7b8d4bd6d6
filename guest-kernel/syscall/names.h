/*
 * names.h - names of system calls by their numbers.
 */
#ifndef SYSCALL_NAMES_H
#define SYSCALL_NAMES_H

#include "kern/types.h"

/** call_name() - of a call that table.c does not have; "?" if nobody knows it. Any context. */
const char *call_name(uint64_t number);

#endif /* SYSCALL_NAMES_H */
