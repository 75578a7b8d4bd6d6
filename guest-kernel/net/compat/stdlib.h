/*
 * stdlib.h - what lwIP takes from ISO C's header of this name.
 */
#ifndef COMPAT_STDLIB_H
#define COMPAT_STDLIB_H

/** atoi() - the decimal digits at the start of a text; 0 if there are none. */
static inline int atoi(const char *s)
{
    int value = 0;

    for (; *s >= '0' && *s <= '9' && value < 100000000; s++) {
        value = value * 10 + (*s - '0');
    }
    return value;
}

#endif /* COMPAT_STDLIB_H */
