/*
 * Fuzzes what the guest kernel reads before a program runs: an archive, and a program's headers.
 * All that an archive's entries name lies inside of it; segments lie in the file, below the kernel,
 * and do not overlap. Input: the archive, and again the file.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fs/cpio.h"
#include "hat/layout.h"
#include "kern/mem.h"
#include "proc/elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void *kmalloc(size_t size)
{
    return malloc(size);
}

void kfree(void *p)
{
    free(p);
}

static void require(int condition)
{
    if (!condition) {
        abort();
    }
}

static void try_archive(const uint8_t *data, size_t size)
{
    const char *why = NULL;
    struct cpio c;

    if (cpio_open(data, size, &c, &why) != 0) {
        require(why != NULL);
        return;
    }
    for (size_t i = 0; i < c.count; i++) {
        const struct cpio_entry *e = &c.entries[i];

        require((const uint8_t *)e->name >= data && e->name_len <= size);
        require((const uint8_t *)e->name + e->name_len <= data + size);
        require(e->data >= data && e->data <= data + size);
        require(e->size <= (size_t)(data + size - e->data));
        require(cpio_find(&c, e->name, e->name_len) != NULL);
    }
    cpio_close(&c);
}

static void try_headers(const uint8_t *data, size_t size)
{
    static struct elf_image image;
    const char *why = NULL;
    uint64_t end = 0, file = size * 3;

    if (elf_parse(data, size, file, &image, &why) != 0) {
        require(why != NULL);
        return;
    }
    require(image.nsegments >= 1 && image.nsegments <= ELF_SEGMENTS_MAX);
    for (unsigned i = 0; i < image.nsegments; i++) {
        const struct elf_segment *s = &image.segments[i];

        require(s->offset <= file && s->filesz <= file - s->offset && s->filesz <= s->memsz);
        require(!(s->writable && s->executable));
        require((s->vaddr & PAGE_MASK) >= end && s->vaddr + s->memsz > s->vaddr);
        end = ROUND_UP(s->vaddr + s->memsz, PAGE_SIZE);
        require(end <= USER_END / 2 + PAGE_SIZE);
    }
    require(image.high == end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + (size == 0));

    require(copy != NULL);
    memcpy(copy, data, size);
    try_archive(copy, size);
    try_headers(copy, size);
    free(copy);
    return 0;
}
