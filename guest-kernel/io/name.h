/*
 * name.h - the order in which devices are listed.
 *
 * No state; suspend does not touch it.
 */
#ifndef IO_NAME_H
#define IO_NAME_H

#include "kern/string.h"
#include "kern/types.h"

/** name_sorts_before() - xvdb before xvdaa, eth2 before eth10. Any context. */
static inline bool name_sorts_before(const char *a, const char *b)
{
    size_t la = strlen(a);
    size_t lb = strlen(b);

    return la != lb ? la < lb : strcmp(a, b) < 0;
}

#endif /* IO_NAME_H */
