/*
 * user.c - copying to and from a program's memory: see user.h.
 */
#include "proc/user.h"

#include "hat/layout.h"
#include "kern/string.h"
#include "psm/trap.h"

static bool range_is_users(uaddr_t u, size_t n)
{
    return n <= USER_END && u.a <= USER_END - n;
}

int copy_from_user(void *dst, uaddr_t src, size_t n)
{
    return range_is_users(src, n) ? user_copy(dst, (const void *)src.a, n) : -EFAULT;
}

int copy_to_user(uaddr_t dst, const void *src, size_t n)
{
    return range_is_users(dst, n) ? user_copy((void *)dst.a, src, n) : -EFAULT;
}

/* A word that lies across two lines of a cache could not be had in one piece. */
static bool word_is_users(uaddr_t u)
{
    return u.a % sizeof(uint32_t) == 0 && range_is_users(u, sizeof(uint32_t));
}

int load_user(uaddr_t src, uint32_t *value)
{
    return word_is_users(src) ? user_load32((const void *)src.a, value) : -EFAULT;
}

int exchange_user(uaddr_t dst, uint32_t old, uint32_t value, uint32_t *seen)
{
    return word_is_users(dst) ? user_exchange32((void *)dst.a, old, value, seen) : -EFAULT;
}

ssize_t string_from_user(char *dst, uaddr_t src, size_t size)
{
    size_t done = 0;

    while (done < size) {
        /* Not across a page: the next one need not be there if the string ends before it. */
        uaddr_t from = uaddr_add(src, done);
        size_t part = MIN(size - done, PAGE_SIZE - from.a % PAGE_SIZE);
        int rc = copy_from_user(dst + done, from, part);

        if (rc != 0) {
            return rc;
        }
        const char *end = memchr(dst + done, '\0', part);
        if (end != NULL) {
            return end - dst;
        }
        done += part;
    }
    return -ENAMETOOLONG;
}
