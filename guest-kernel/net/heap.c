/*
 * heap.c - the stack's memory; see heap.h.
 *
 * Each object has its size before it, so that what is in use is known without a list.
 */
#include "net/heap.h"

#include "kern/mem.h"
#include "kern/string.h"

struct header {
    uint64_t size;
} __aligned(16);

static size_t used, quota;

void heap_boot(void)
{
    struct mem_stats mem;

    mem_get_stats(&mem);
    quota = mem.pages_free / 4 * PAGE_SIZE;
}

void *heap_alloc(size_t size)
{
    size_t whole = size + sizeof(struct header);

    if (__atomic_add_fetch(&used, whole, __ATOMIC_RELAXED) <= quota) {
        struct header *h = kmalloc(whole);

        if (h != NULL) {
            h->size = whole;
            return h + 1;
        }
    }
    __atomic_sub_fetch(&used, whole, __ATOMIC_RELAXED);
    return NULL;
}

void *heap_calloc(size_t count, size_t size)
{
    size_t bytes;
    void *ptr = __builtin_mul_overflow(count, size, &bytes) ? NULL : heap_alloc(bytes);

    return ptr != NULL ? memset(ptr, 0, bytes) : NULL;
}

void heap_free(void *ptr)
{
    if (ptr != NULL) {
        struct header *h = (struct header *)ptr - 1;

        __atomic_sub_fetch(&used, h->size, __ATOMIC_RELAXED);
        kfree(h);
    }
}

size_t heap_used(void)
{
    return __atomic_load_n(&used, __ATOMIC_RELAXED);
}

size_t heap_quota(void)
{
    return quota;
}

bool heap_users_may_take(void)
{
    return heap_used() < quota / 4 * 3;
}
