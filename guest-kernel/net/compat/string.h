/*
 * string.h - what lwIP takes from ISO C's header of this name.
 */
#ifndef COMPAT_STRING_H
#define COMPAT_STRING_H

#include "kern/string.h"

/** strncpy() - ISO C's: copies up to @n bytes, fills up with zeros, may leave out the last one. */
static inline char *strncpy(char *dst, const char *src, size_t n)
{
    size_t len = strnlen(src, n);

    memcpy(dst, src, len);
    memset(dst + len, 0, n - len);
    return dst;
}

#endif /* COMPAT_STRING_H */
