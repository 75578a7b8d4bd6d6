/*
 * fake_user.c - a program's memory: see fake_user.h.
 */
#include <string.h>

#include "fake_user.h"

static struct {
    uint64_t address;
    char *memory;
    size_t size;
} user;

void fake_user_is(uint64_t address, void *memory, size_t size)
{
    user.address = address;
    user.memory = memory;
    user.size = size;
}

void *users(uaddr_t u, size_t n)
{
    bool inside = u.a >= user.address && n <= user.size && u.a - user.address <= user.size - n;

    return inside ? user.memory + (u.a - user.address) : NULL;
}

int copy_from_user(void *dst, uaddr_t src, size_t n)
{
    const void *from = users(src, n);

    return from == NULL ? -EFAULT : (memcpy(dst, from, n), 0);
}

int copy_to_user(uaddr_t dst, const void *src, size_t n)
{
    void *to = users(dst, n);

    return to == NULL ? -EFAULT : (memcpy(to, src, n), 0);
}
