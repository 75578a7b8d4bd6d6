/*
 * cmd_memory.c - x, w, pte, pfn2mfn, mfn2pfn, mem: memory as bytes, and how it is translated.
 */
#include "kdi/kdi_impl.h"

#include "hat/layout.h"
#include "hat/p2m.h"
#include "kern/mem.h"
#include "kern/page.h"
#include "kern/string.h"

#define ROW 16 /* bytes in a line of a dump */

/* The size that a letter b, w, d, q stands for; 0: none. */
static size_t unit_size(const char *letter)
{
    static const char letters[] = "bwdq";
    const char *at = letter[0] != '\0' && letter[1] == '\0' ? strchr(letters, letter[0]) : NULL;

    return at != NULL ? 1ul << (at - letters) : 0;
}

/* One line: address, units, and for bytes the characters. */
static void dump_row(uint64_t address, const uint8_t *bytes, size_t n, size_t unit)
{
    char text[ROW + 1];

    kdi_printf("%016llx ", (ull)address);
    for (size_t i = 0; i < n; i += unit) {
        uint64_t value = 0;

        memcpy(&value, bytes + i, unit);
        kdi_printf(" %0*llx", (int)(2 * unit), (ull)value);
    }
    for (size_t i = 0; i < n; i++) {
        text[i] = (char)(bytes[i] >= ' ' && bytes[i] < 0x7f ? bytes[i] : '.');
    }
    text[n] = '\0';
    kdi_printf("%*s  %s\n", unit == 1 ? (int)(3 * (ROW - n)) : 0, "", text);
}

static int cmd_dump(int argc, char **argv)
{
    uint64_t address, count = 0;
    size_t unit = argc > 2 ? unit_size(argv[argc - 1]) : 0;

    if (unit != 0) {
        argc--;
    } else {
        unit = 8;
    }
    if (argc < 2 || argc > 3) {
        return -EINVAL;
    }
    if (kdi_eval(argv[1], &address) != 0 || kdi_count(argc, argv, 2, 64 / unit, &count) != 0) {
        return 0;
    }
    for (uint64_t left = count * unit; left > 0;) {
        uint8_t bytes[ROW];
        size_t want = MIN(left, ROW);
        size_t got = kdi_peek(address, bytes, want) / unit * unit;

        if (got > 0) {
            dump_row(address, bytes, got, unit);
        }
        address += got;
        left -= got;
        if (got < want) {
            kdi_printf("%016llx  cannot be read\n", (ull)address);
            return 0;
        }
    }
    return 0;
}

static int cmd_write(int argc, char **argv)
{
    uint64_t address, value;
    size_t unit = 8;

    if (argc == 4) {
        unit = unit_size(argv[--argc]);
    }
    if (argc != 3 || unit == 0) {
        return -EINVAL;
    }
    if (kdi_eval(argv[1], &address) != 0 || kdi_eval(argv[2], &value) != 0) {
        return 0;
    }
    int rc = kdi_poke(address, &value, unit);
    if (rc == -EFAULT) {
        kdi_printf("%016llx is not mapped\n", (ull)address);
    } else if (rc != 0) {
        kdi_printf("%016llx cannot be written, Xen says %s (a page table?)\n", (ull)address,
                   errno_name(rc));
    }
    return 0;
}

/* ---- translation ---- */

static void say_flags(uint64_t pte)
{
    static const struct {
        uint64_t bit;
        const char *name;
    } flags[] = {{PTE_PRESENT, "present"},     {PTE_WRITE, "writable"}, {PTE_USER, "user"},
                 {1ull << 3, "write-through"}, {1ull << 4, "uncached"}, {PTE_ACCESSED, "accessed"},
                 {PTE_DIRTY, "dirty"},         {1ull << 7, "large"},    {1ull << 8, "global"},
                 {PTE_NX, "no-execute"}};

    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        if ((pte & flags[i].bit) != 0) {
            kdi_printf(" %s", flags[i].name);
        }
    }
    kdi_printf("\n");
}

static void say_step(uint64_t va, const struct kdi_walk *step)
{
    mfn_t mfn = pte_mfn(step->pte);
    pfn_t pfn;

    kdi_printf("L%u[%3u] at %016llx: %016llx", step->level, pte_index(va, step->level),
               (ull)step->entry_va, (ull)step->pte.v);
    if (!pte_present(step->pte)) {
        kdi_printf(" not present\n");
        return;
    }
    kdi_printf(" mfn %#llx", (ull)mfn.n);
    if (m2p_get(mfn, &pfn)) {
        kdi_printf(" pfn %#llx", (ull)pfn.n);
    } else {
        kdi_printf(" (not ours)");
    }
    say_flags(step->pte.v);
}

static int cmd_pte(int argc, char **argv)
{
    struct kdi_walk steps[4];
    uint64_t va;

    if (argc != 2) {
        return -EINVAL;
    }
    if (kdi_eval(argv[1], &va) != 0) {
        return 0;
    }
    if (va >= USER_END && va < XEN_BASE) {
        kdi_printf("%016llx is not canonical\n", (ull)va);
        return 0;
    }
    unsigned n = kdi_walk(va, steps);
    for (unsigned i = 0; i < n; i++) {
        say_step(va, &steps[i]);
    }
    if (n > 0 && n < 4 && pte_present(steps[n - 1].pte)) {
        kdi_printf("the table below is not ours to read\n");
    }
    return 0;
}

static int cmd_pfn2mfn(int argc, char **argv)
{
    uint64_t n;

    if (argc != 2) {
        return -EINVAL;
    }
    if (kdi_eval(argv[1], &n) != 0) {
        return 0;
    }
    mfn_t mfn = p2m_get(PFN(n));
    if (!mfn_is_valid(mfn)) {
        kdi_printf("pfn %#llx: no frame behind it (pfns end at %#llx)\n", (ull)n,
                   (ull)p2m_limit().n);
        return 0;
    }
    kdi_printf("pfn %#llx: mfn %#llx, direct map %p\n", (ull)n, (ull)mfn.n, pfn_to_virt(PFN(n)));
    return 0;
}

static int cmd_mfn2pfn(int argc, char **argv)
{
    uint64_t n;
    pfn_t pfn;

    if (argc != 2) {
        return -EINVAL;
    }
    if (kdi_eval(argv[1], &n) != 0) {
        return 0;
    }
    if (m2p_get(MFN(n), &pfn)) {
        kdi_printf("mfn %#llx: pfn %#llx, direct map %p\n", (ull)n, (ull)pfn.n, pfn_to_virt(pfn));
    } else {
        kdi_printf("mfn %#llx: not ours\n", (ull)n);
    }
    return 0;
}

static int kdi_cmd_mem(int argc, char **argv __unused)
{
    struct mem_stats m;

    if (argc != 1) {
        return -EINVAL;
    }
    mem_get_stats(&m);
    kdi_printf("pages: %llu, %llu free, %llu page tables, %llu in slabs (%llu bytes used)\n",
               (ull)m.pages_total, (ull)m.pages_free, (ull)m.pages_pagetable, (ull)m.pages_slab,
               (ull)m.slab_bytes_used);
    kdi_printf("requests refused: %llu; free blocks by order:", (ull)m.alloc_failures);
    for (unsigned i = 0; i <= PAGE_ORDER_MAX; i++) {
        kdi_printf(" %llu", (ull)m.free_blocks[i]);
    }
    kdi_printf("\n");
    return 0;
}

const struct kdi_command kdi_memory_commands[] = {
    {"x", "x ADDR [COUNT] [b|w|d|q]", "show memory in units of 1, 2, 4 or 8 bytes", cmd_dump,
     false},
    {"w", "w ADDR VALUE [b|w|d|q]", "write memory, read-only pages too", cmd_write, true},
    {"pte", "pte ADDR", "walk the page tables, pfn and mfn at each level", cmd_pte, false},
    {"pfn2mfn", "pfn2mfn PFN", "the machine's frame behind a page of ours", cmd_pfn2mfn, false},
    {"mfn2pfn", "mfn2pfn MFN", "the page of ours that a frame is", cmd_mfn2pfn, false},
    {"mem", "mem", "the allocators' figures", kdi_cmd_mem, false},
    {0},
};
