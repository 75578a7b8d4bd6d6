/*
 * types.h - the words every kernel file shares.
 *
 * Fixed-width integers, the compiler's attributes under short names, and the accessors for memory
 * that somebody else (Xen, another vCPU, another domain) changes behind the compiler's back.
 */
#ifndef KERN_TYPES_H
#define KERN_TYPES_H

#include <stdint.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdarg.h>

#include "kern/errno.h"

typedef int64_t ssize_t;

/* Nanoseconds: of Xen's system time, or since 1970 where a name says "wall". */
typedef uint64_t nsec_t;

#define NSEC_PER_SEC  1000000000ull
#define NSEC_PER_MSEC 1000000ull
#define NSEC_PER_USEC 1000ull
#define NSEC_FOREVER  UINT64_MAX

#define PAGE_SHIFT 12
#define PAGE_SIZE  (1ul << PAGE_SHIFT)
#define PAGE_MASK  (~(PAGE_SIZE - 1))

#define ARRAY_SIZE(a)                   (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define MIN(a, b)                       ((a) < (b) ? (a) : (b))
#define MAX(a, b)                       ((a) > (b) ? (a) : (b))
#define ROUND_UP(x, unit)               (((x) + (unit)-1) / (unit) * (unit))
#define DIV_ROUND_UP(x, unit)           (((x) + (unit)-1) / (unit))

#define __packed                 __attribute__((packed))
#define __aligned(n)             __attribute__((aligned(n)))
#define __noreturn               __attribute__((noreturn))
#define __printf_like(fmt, args) __attribute__((format(printf, fmt, args)))
#define __must_check             __attribute__((warn_unused_result))
#define __unused                 __attribute__((unused))
#define likely(x)                __builtin_expect(!!(x), 1)
#define unlikely(x)              __builtin_expect(!!(x), 0)

/* One load or store, exactly there and exactly once: for shared rings and cross-CPU flags. */
#define READ_ONCE(x)     (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

#define barrier() __asm__ volatile("" ::: "memory")
#define mb()      __asm__ volatile("mfence" ::: "memory")
#define rmb()     __asm__ volatile("lfence" ::: "memory")
#define wmb()     __asm__ volatile("sfence" ::: "memory")

/* The names under which Xen's ring headers ask for the same barriers. */
#define xen_mb()  mb()
#define xen_rmb() rmb()
#define xen_wmb() wmb()

#endif /* KERN_TYPES_H */
