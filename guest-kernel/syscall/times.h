/*
 * times.h - times as programs write them. Far ones are cut to what the kernel can count.
 */
#ifndef SYSCALL_TIMES_H
#define SYSCALL_TIMES_H

#include "syscall/abi.h"

/** get_timespec() - one of a program's. 0, -EFAULT, -EINVAL. */
int get_timespec(uint64_t from, nsec_t *t) __must_check;

/* Of clocks. */
#define CLOCK_REALTIME  0u
#define CLOCK_MONOTONIC 1u
#define CLOCK_BOOTTIME  7u

/** clock_read() - 0, or -EINVAL: no such clock here. */
int clock_read(uint64_t clock, nsec_t *now) __must_check;

/** timespec_of() - the reverse. */
struct abi_timespec timespec_of(nsec_t t);

/** nsec_of_timeval() - false: it is none. */
bool nsec_of_timeval(const struct abi_timeval *tv, nsec_t *t) __must_check;

/** timeval_of() - the reverse, rounded up: what is not over is not nothing. */
struct abi_timeval timeval_of(nsec_t t);

#endif /* SYSCALL_TIMES_H */
