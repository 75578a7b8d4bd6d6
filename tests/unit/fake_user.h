/*
 * fake_user.h - a program's memory for tests of what the kernel does with it: proc/user.h's gate in
 * front of an array.
 */
#ifndef TESTS_UNIT_FAKE_USER_H
#define TESTS_UNIT_FAKE_USER_H

#include "proc/user.h"

/** fake_user_is() - the program's memory: @size bytes at @memory, which it has at @address. */
void fake_user_is(uint64_t address, void *memory, size_t size);

/** users() - where @n bytes of the program's are here; NULL: it has no such memory. */
void *users(uaddr_t u, size_t n);

#endif /* TESTS_UNIT_FAKE_USER_H */
