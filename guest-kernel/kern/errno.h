/*
 * errno.h - error numbers, as Xen numbers them.
 *
 * Functions return 0 or a negative number from this list. The values are those of xen/errno.h, so
 * that a hypercall's result passes through unchanged.
 */
#ifndef KERN_ERRNO_H
#define KERN_ERRNO_H

#define XEN_ERRNO(name, value) name = (value),
enum kern_errno {
#include <xen/errno.h>
};

/**
 * errno_name() - the symbol of an error, for messages
 * @err: an error number, either sign
 *
 * Return: a static string such as "ENOENT"; "E?" for a number not in the list. Any context.
 */
const char *errno_name(int err);

#endif /* KERN_ERRNO_H */
