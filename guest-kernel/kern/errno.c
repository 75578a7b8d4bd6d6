/*
 * errno.c - the names of the error numbers, made from Xen's own list.
 */
#include "kern/types.h"

static const struct {
    int number;
    const char *name;
} names[] = {
#define XEN_ERRNO(name, value) {value, #name},
#include <xen/errno.h>
};

const char *errno_name(int err)
{
    int number = err < 0 ? -err : err;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (names[i].number == number) {
            return names[i].name;
        }
    }
    return "E?";
}
