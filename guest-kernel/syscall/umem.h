/*
 * umem.h - where in a program's memory a call puts or takes bytes: one range, or several.
 *
 * The vector that tells of the ranges is copied once. Locks: none; a call has its own.
 */
#ifndef SYSCALL_UMEM_H
#define SYSCALL_UMEM_H

#include "proc/user.h"
#include "syscall/abi.h"

#define COUNT_MAX 0x7ffff000u /* bytes of one call */
#define IOV_MAX   1024u
#define IOV_FEW   8 /* as many need no memory */

struct umem {
    struct abi_iovec few[IOV_FEW];
    struct abi_iovec *iov; /* the range where it is, and those behind it */
    struct abi_iovec *all; /* NULL: they are few */
    size_t left;           /* bytes, of all */
};

/** umem_one() - one range; nothing has to be given back. */
void umem_one(struct umem *m, uint64_t base, uint64_t len);

/** umem_vector() - a vector of ranges. 0, -EFAULT, -EINVAL: too many, or too long; -ENOMEM. */
int umem_vector(struct umem *m, uint64_t vector, uint64_t n) __must_check;

/** umem_free() - after umem_vector(). */
void umem_free(struct umem *m);

/**
 * umem_put(), umem_get() - the next @n bytes, which are no more than @left
 *
 * Return: 0 or -EFAULT: nothing is left then, since what comes next belongs where this failed.
 */
int umem_put(void *arg, const void *data, size_t n) __must_check;
int umem_get(struct umem *m, void *data, size_t n) __must_check;

#endif /* SYSCALL_UMEM_H */
