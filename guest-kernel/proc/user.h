/*
 * user.h - the one gate to a program's memory.
 *
 * An address that a program gave is a uaddr_t, which cannot be dereferenced: it compiles only
 * through the functions below. They check that the range ends below the kernel's half, and what
 * faults inside is -EFAULT. Copied once: who has checked a copy uses the copy. Thread context, of
 * the process that gave the address, no spinlock held; may sleep.
 */
#ifndef PROC_USER_H
#define PROC_USER_H

#include "kern/types.h"

typedef struct {
    uint64_t a;
} uaddr_t;

#define UADDR(x) ((uaddr_t){(x)})

static inline uaddr_t uaddr_add(uaddr_t u, uint64_t n)
{
    return UADDR(u.a + n);
}

/** copy_from_user() - 0 or -EFAULT; a part of @dst may be written then. */
int copy_from_user(void *dst, uaddr_t src, size_t n) __must_check;

/** copy_to_user() - 0 or -EFAULT; a part may be written then. @src holds no kernel secrets. */
int copy_to_user(uaddr_t dst, const void *src, size_t n) __must_check;

/**
 * string_from_user() - copy a string with its NUL
 *
 * Return: its length, -EFAULT, -ENAMETOOLONG if it has no NUL within @size bytes.
 */
ssize_t string_from_user(char *dst, uaddr_t src, size_t size) __must_check;

/** load_user() - a word that other threads may be changing, in one piece. 0 or -EFAULT. */
int load_user(uaddr_t src, uint32_t *value) __must_check;

/**
 * exchange_user() - write @value to a word if it is @old, in one piece
 * @seen: what it was
 *
 * Return: 0, also if it was another; -EFAULT.
 */
int exchange_user(uaddr_t dst, uint32_t old, uint32_t value, uint32_t *seen) __must_check;

#endif /* PROC_USER_H */
