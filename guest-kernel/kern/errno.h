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

/* Those of Linux' that Xen's list lacks: what programs are told. */
#define LINUX_EINTR           4
#define LINUX_ENOTTY          25
#define LINUX_EFBIG           27
#define LINUX_ESPIPE          29
#define LINUX_EPIPE           32
#define LINUX_ELOOP           40
#define LINUX_EDESTADDRREQ    89
#define LINUX_EPROTOTYPE      91
#define LINUX_ENOPROTOOPT     92
#define LINUX_EPROTONOSUPPORT 93
#define LINUX_ESOCKTNOSUPPORT 94
#define LINUX_EAFNOSUPPORT    97
#define LINUX_ENETUNREACH     101
#define LINUX_ECONNABORTED    103
#define LINUX_ECONNRESET      104
#define LINUX_ETOOMANYREFS    109
#define LINUX_EALREADY        114
#define LINUX_EINPROGRESS     115

/**
 * errno_name() - the symbol of an error, for messages
 * @err: an error number, either sign
 *
 * Return: a static string such as "ENOENT"; "E?" for a number not in the list. Any context.
 */
const char *errno_name(int err);

#endif /* KERN_ERRNO_H */
