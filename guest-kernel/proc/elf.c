/*
 * elf.c - reading the headers of a program: see elf.h. Format: the System V ABI's chapters 4 and 5,
 * and its AMD64 supplement.
 */
#include "proc/elf.h"

#include "hat/layout.h"
#include "kern/string.h"

#define ET_EXEC     2
#define ET_DYN      3
#define EM_X86_64   62
#define PT_LOAD     1
#define PT_INTERP   3
#define PF_X        1u
#define PF_W        2u
#define ADDRESS_MIN 0x10000 /* below it, null pointers point */

struct elf_header {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct program_header {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

static int bad(const char **why, const char *what)
{
    *why = what;
    return -ENOEXEC;
}

static int check_header(const struct elf_header *h, size_t len, const char **why)
{
    static const uint8_t magic[] = {0x7f, 'E', 'L', 'F', 2 /* 64 bits */, 1 /* little-endian */, 1};

    if (memcmp(h->ident, magic, sizeof(magic)) != 0) {
        return bad(why, "it is no ELF64 file");
    }
    if (h->machine != EM_X86_64 || (h->type != ET_EXEC && h->type != ET_DYN)) {
        return bad(why, "it is no program for x86-64");
    }
    if (h->phentsize != sizeof(struct program_header) || h->phnum == 0 || h->phoff > len ||
        h->phnum > (len - h->phoff) / sizeof(struct program_header)) {
        return bad(why, "its program headers are not in its first page");
    }
    return 0;
}

static int add_segment(const struct program_header *p, uint64_t size, struct elf_image *image,
                       const char **why)
{
    if (image->nsegments == ELF_SEGMENTS_MAX) {
        return bad(why, "it has too many segments");
    }
    if (p->filesz > p->memsz || p->offset > size || p->filesz > size - p->offset) {
        return bad(why, "a segment is not in the file");
    }
    if (p->vaddr >= USER_END || p->memsz > USER_END / 2 || p->vaddr + p->memsz > USER_END / 2 ||
        (p->vaddr - p->offset) % PAGE_SIZE != 0 || (!image->pie && p->vaddr < ADDRESS_MIN)) {
        return bad(why, "a segment's address is wrong");
    }
    if ((p->flags & PF_W) && (p->flags & PF_X)) {
        return bad(why, "a segment is writable and executable");
    }
    if ((p->vaddr & PAGE_MASK) < image->high) {
        return bad(why, "two segments share a page, or are not in the order of addresses");
    }
    image->segments[image->nsegments++] = (struct elf_segment){.vaddr = p->vaddr,
                                                               .memsz = p->memsz,
                                                               .offset = p->offset,
                                                               .filesz = p->filesz,
                                                               .writable = p->flags & PF_W,
                                                               .executable = p->flags & PF_X};
    image->low = image->nsegments == 1 ? p->vaddr & PAGE_MASK : image->low;
    image->high = ROUND_UP(p->vaddr + p->memsz, PAGE_SIZE);
    return 0;
}

/* Where the program headers come to lie, and whether the program begins in code. */
static int look_inside(const struct elf_header *h, struct elf_image *image, const char **why)
{
    bool entry_ok = false;

    for (unsigned i = 0; i < image->nsegments; i++) {
        const struct elf_segment *s = &image->segments[i];

        if (h->phoff >= s->offset &&
            h->phoff + h->phnum * sizeof(struct program_header) <= s->offset + s->filesz) {
            image->phdr = s->vaddr + (h->phoff - s->offset);
        }
        entry_ok |= s->executable && h->entry >= s->vaddr && h->entry - s->vaddr < s->filesz;
    }
    image->entry = h->entry;
    image->phnum = h->phnum;
    return entry_ok ? 0 : bad(why, "it begins outside of its code");
}

int elf_parse(const void *head, size_t len, uint64_t size, struct elf_image *image,
              const char **why)
{
    struct elf_header h;
    struct program_header p;

    *image = (struct elf_image){0};
    if (len < sizeof(h)) {
        return bad(why, "it is no ELF64 file");
    }
    memcpy(&h, head, sizeof(h));
    int rc = check_header(&h, len, why);
    image->pie = h.type == ET_DYN;
    for (unsigned i = 0; i < h.phnum && rc == 0; i++) {
        memcpy(&p, (const char *)head + h.phoff + i * sizeof(p), sizeof(p));
        if (p.type == PT_INTERP) {
            rc = bad(why, "it is linked dynamically");
        } else if (p.type == PT_LOAD && p.memsz != 0) {
            rc = add_segment(&p, size, image, why);
        }
    }
    return rc == 0 ? look_inside(&h, image, why) : rc;
}
