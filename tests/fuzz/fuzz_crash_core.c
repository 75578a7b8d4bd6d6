/*
 * Fuzzes duet-crash's reader of core files and its page walks. What is accepted lies in the file:
 * each page that has a number is found by both of its numbers and is 4096 bytes of it; each walk
 * ends, within four tables; a refusal says why. Input: either the file itself, or where to cut a
 * good core short and which of its words to change.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "tests/unit/fake_core.h"
#include "walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PAGES 6
#define VA    0xffffffff80001000ull

/* One change: the word at @at, in bytes from the file's beginning. */
struct change {
    uint16_t at;
    uint64_t value;
} __attribute__((packed));

static void require(int condition)
{
    if (!condition) {
        abort();
    }
}

static void try_walk(const struct space *space, uint64_t va, const uint8_t *data, size_t size)
{
    struct walk walk;
    char text[64];

    walk_address(space, va, &walk);
    require(walk.nsteps <= WALK_LEVELS);
    if (walk.end == WALK_MAPPED) {
        require(walk.page.bytes >= data && walk.page.bytes + CORE_PAGE_SIZE <= data + size);
        require(walk.page.mfn == walk.mfn);
        require(space_read(space, va, text, 1) == 0);
    } else {
        require(space_read(space, va, text, 1) != 0);
    }
    (void)space_read_string(space, va, text, sizeof(text));
    require(memchr(text, '\0', sizeof(text)) != NULL);
}

static void try_core(const uint8_t *data, size_t size)
{
    char why[128] = "";
    struct core *core = NULL;
    struct space space;
    uint64_t found = 0;

    if (core_parse(data, size, &core, why, sizeof(why)) != 0) {
        require(why[0] != '\0');
        return;
    }
    for (uint64_t pfn = 0; pfn < 256; pfn++) {
        struct core_page page, again;

        if (core_page_by_pfn(core, pfn, &page) != 0) {
            continue;
        }
        found++;
        require(page.pfn == pfn);
        require(page.bytes >= data && page.bytes + CORE_PAGE_SIZE <= data + size);
        require(core_page_by_mfn(core, page.mfn, &again) == 0 && again.bytes == page.bytes);
    }
    require(found <= core_page_count(core));
    for (unsigned int i = 0; i < core_vcpu_count(core); i++) {
        require(core_vcpu(core, i) != NULL);
        if (space_of_vcpu(core, i, &space) == 0) {
            try_walk(&space, VA + 4000, data, size);
            try_walk(&space, 0, data, size);
            try_walk(&space, core_vcpu(core, i)->user_regs.rip, data, size);
        }
    }
    core_close(core);
}

static void try_changes(const uint8_t *data, size_t size)
{
    struct fake_core f;
    uint16_t cut = 0;

    fake_core_make(&f, 1, PAGES);
    fake_core_map(&f, VA, fake_core_mfn(&f, 4), PTE_PRESENT);
    fake_core_map(&f, VA + 4096, fake_core_mfn(&f, 5), PTE_PRESENT);
    if (size >= sizeof(cut)) {
        memcpy(&cut, data, sizeof(cut));
        data += sizeof(cut);
        size -= sizeof(cut);
    }
    for (; size >= sizeof(struct change); size -= sizeof(struct change)) {
        struct change change;

        memcpy(&change, data, sizeof(change));
        data += sizeof(change);
        memcpy(f.data + change.at % (f.size - sizeof(change.value)), &change.value,
               sizeof(change.value));
    }
    size_t left = cut < f.size ? f.size - cut : 0;
    uint8_t *copy = malloc(left + 1);
    require(copy != NULL);
    memcpy(copy, f.data, left);
    try_core(copy, left);
    free(copy);
    fake_core_free(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0 && data[0] == 0x7f) {
        uint8_t *copy = malloc(size);

        require(copy != NULL);
        memcpy(copy, data, size);
        try_core(copy, size);
        free(copy);
    } else {
        try_changes(data + (size > 0), size - (size > 0));
    }
    return 0;
}
