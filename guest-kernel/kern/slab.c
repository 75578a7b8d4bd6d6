/*
 * slab.c - small objects.
 *
 * A slab is a block of pages, aligned to its size, that begins with struct slab and holds objects
 * of one size class. A bitmap in the header says which are in use, which makes a second kfree() of
 * the same object detectable; a free object begins with who freed it. A cache keeps its slabs with
 * room in a list; a slab that gets empty goes back to the page allocator unless it is the cache's
 * last. Larger requests are whole pages, labelled PAGE_LARGE. Locks: one per cache, over page_lock.
 */
#include "kern/mem.h"

#include <xen_list.h>

#include "hat/p2m.h"
#include "kern/lock.h"
#include "kern/page.h"
#include "kern/string.h"
#include "os/panic.h"
#include "psm/cpu.h"

#define SLAB_MAX_OBJECTS 256
#define BITS_PER_WORD    64

struct cache;

struct slab {
    struct cache *cache;
    XEN_LIST_ENTRY(struct slab) link; /* in cache->partial, while it has room */
    unsigned used;
    uint64_t bitmap[SLAB_MAX_OBJECTS / BITS_PER_WORD]; /* 1: in use */
};

XEN_LIST_HEAD(slab_list, struct slab);

struct cache {
    spinlock_t lock;
    unsigned object_size;
    unsigned order;   /* a slab's pages */
    unsigned objects; /* per slab */
    struct slab_list partial;
    uint64_t slabs, used; /* how many slabs, objects in use */
};

/* What a free object begins with: for duet-crash, which tells a double free's other party. */
struct freed {
    const void *by; /* where kfree() returned to */
    const struct thread *thread;
};

#define HEADER_SIZE ROUND_UP(sizeof(struct slab), 16)

static struct cache caches[] = {
    {.object_size = 16, .order = 0},   {.object_size = 32, .order = 0},
    {.object_size = 64, .order = 0},   {.object_size = 96, .order = 0},
    {.object_size = 128, .order = 0},  {.object_size = 192, .order = 0},
    {.object_size = 256, .order = 0},  {.object_size = 512, .order = 1},
    {.object_size = 1024, .order = 2}, {.object_size = 2048, .order = 2},
};

#define SLAB_MAX_SIZE 2048

static struct cache *cache_for(size_t size)
{
    for (size_t i = 0; i < ARRAY_SIZE(caches); i++) {
        if (size <= caches[i].object_size) {
            return &caches[i];
        }
    }
    return NULL;
}

static void *slab_object(struct slab *slab, unsigned index)
{
    return (char *)slab + HEADER_SIZE + (size_t)index * slab->cache->object_size;
}

/* Add a slab with room to the cache. The cache's lock is held. */
static struct slab *slab_create(struct cache *cache)
{
    struct slab *slab = page_alloc(cache->order);

    if (slab == NULL) {
        return NULL;
    }
    page_set_kind(slab, cache->order, PAGE_SLAB);
    memset(slab, 0, sizeof(*slab));
    slab->cache = cache;
    XEN_LIST_INSERT_HEAD(&cache->partial, slab, link);
    cache->slabs++;
    return slab;
}

static void slab_destroy(struct slab *slab)
{
    struct cache *cache = slab->cache;

    XEN_LIST_REMOVE(slab, link);
    cache->slabs--;
    page_set_kind(slab, cache->order, PAGE_USED);
    page_free(slab, cache->order);
}

/* Mark a free object of a slab that has room as used. */
static void *slab_take(struct slab *slab)
{
    for (unsigned w = 0; w < ARRAY_SIZE(slab->bitmap); w++) {
        if (slab->bitmap[w] != UINT64_MAX) {
            unsigned bit = (unsigned)__builtin_ctzll(~slab->bitmap[w]);

            slab->bitmap[w] |= 1ull << bit;
            slab->used++;
            return slab_object(slab, w * BITS_PER_WORD + bit);
        }
    }
    panic("slab %p: %u of %u used, but no free object", (void *)slab, slab->used,
          slab->cache->objects);
}

static void *cache_alloc(struct cache *cache)
{
    void *object = NULL;
    upcall_state_t state = spin_lock(&cache->lock);
    struct slab *slab = XEN_LIST_FIRST(&cache->partial);

    if (slab == NULL) {
        slab = slab_create(cache);
    }
    if (slab != NULL) {
        object = slab_take(slab);
        cache->used++;
        if (slab->used == cache->objects) {
            XEN_LIST_REMOVE(slab, link);
        }
    }
    spin_unlock(&cache->lock, state);
    return object;
}

static void *large_alloc(size_t size)
{
    unsigned order = 0;

    while ((PAGE_SIZE << order) < size) {
        if (++order > PAGE_ORDER_MAX) {
            page_account_failure(size);
            return NULL;
        }
    }
    void *page = page_alloc(order);
    if (page != NULL) {
        page_of(virt_to_pfn(page))->kind = PAGE_LARGE;
    }
    return page;
}

void *kmalloc(size_t size)
{
    if (memory_refused()) {
        page_account_failure(size);
        return NULL;
    }
    return size > SLAB_MAX_SIZE ? large_alloc(size) : cache_alloc(cache_for(size));
}

void *kzalloc(size_t size)
{
    void *ptr = kmalloc(size);

    return ptr == NULL ? NULL : memset(ptr, 0, size);
}

char *kstrdup(const char *s)
{
    size_t size = strlen(s) + 1;
    char *copy = kmalloc(size);

    return copy == NULL ? NULL : memcpy(copy, s, size);
}

/* The index of an object in its slab; panics where no object begins. */
static unsigned slab_index(struct slab *slab, const void *ptr)
{
    size_t offset = (size_t)((const char *)ptr - (const char *)slab) - HEADER_SIZE;
    size_t size = slab->cache->object_size;

    if ((const char *)ptr < (const char *)slab + HEADER_SIZE || offset % size != 0 ||
        offset / size >= slab->cache->objects) {
        panic("kfree: %p is inside a slab of %zu-byte objects, but no object begins there", ptr,
              size);
    }
    return (unsigned)(offset / size);
}

static void slab_free(struct slab *slab, void *ptr, const void *by)
{
    struct cache *cache = slab->cache;
    unsigned index = slab_index(slab, ptr);
    uint64_t bit = 1ull << (index % BITS_PER_WORD);
    uint64_t *word = &slab->bitmap[index / BITS_PER_WORD];

    upcall_state_t state = spin_lock(&cache->lock);
    if ((*word & bit) == 0) {
        panic("kfree: object %p of %u bytes freed twice", ptr, cache->object_size);
    }
    *word &= ~bit;
    *(struct freed *)ptr = (struct freed){.by = by, .thread = this_cpu()->current};
    cache->used--;
    if (slab->used-- == cache->objects) {
        XEN_LIST_INSERT_HEAD(&cache->partial, slab, link);
    }
    if (slab->used == 0 && cache->slabs > 1) {
        slab_destroy(slab);
    }
    spin_unlock(&cache->lock, state);
}

void kfree(void *ptr)
{
    if (ptr == NULL) {
        return;
    }
    struct page *page = page_of(virt_to_pfn(ptr));

    switch (page->kind) {
    case PAGE_SLAB:
        slab_free((struct slab *)((uintptr_t)ptr & ~((PAGE_SIZE << page->order) - 1)), ptr,
                  __builtin_return_address(0));
        break;
    case PAGE_LARGE:
        page->kind = PAGE_USED;
        page_free(ptr, page->order);
        break;
    case PAGE_FREE:
    case PAGE_INNER:
        panic("kfree: %p freed twice: its page is free already", ptr);
    default:
        panic("kfree: %p was not allocated by kmalloc", ptr);
    }
}

void slab_get_stats(uint64_t *slab_pages, uint64_t *bytes_used)
{
    *slab_pages = 0;
    *bytes_used = 0;
    for (size_t i = 0; i < ARRAY_SIZE(caches); i++) {
        upcall_state_t state = spin_lock(&caches[i].lock);

        *slab_pages += caches[i].slabs << caches[i].order;
        *bytes_used += caches[i].used * caches[i].object_size;
        spin_unlock(&caches[i].lock, state);
    }
}

void slab_boot(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(caches); i++) {
        struct cache *cache = &caches[i];
        size_t room = (PAGE_SIZE << cache->order) - HEADER_SIZE;

        spin_init(&cache->lock, "slab");
        cache->objects = (unsigned)MIN(room / cache->object_size, SLAB_MAX_OBJECTS);
        XEN_LIST_INIT(&cache->partial);
    }
}
