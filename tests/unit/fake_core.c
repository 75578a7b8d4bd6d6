/*
 * A writer of core files: see fake_core.h. It follows Xen's docs/misc/dump-core-format.txt by
 * itself, and shares nothing with the reader.
 */
#include "fake_core.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 4096u

static const char *const names[FAKE_COUNT] = {
    "", ".shstrtab", ".note.Xen", ".xen_prstatus", ".xen_shared_info", ".xen_pages", ".xen_p2m"};

struct note {
    uint32_t namesz, descsz, type;
    char name[4];
};

uint64_t fake_core_mfn(const struct fake_core *c, unsigned int page)
{
    return 0x1000 + 7ull * (c->npages - page);
}

uint8_t *fake_core_page(const struct fake_core *c, unsigned int page)
{
    return c->pages + (size_t)page * PAGE;
}

/* The next section, of @size bytes, at the file's end so far. */
static size_t place(struct fake_core *c, enum fake_section which, size_t size, size_t align)
{
    size_t at = (c->size + align - 1) / align * align;

    c->sections[which] = (Elf64_Shdr){
        .sh_type = which == FAKE_NOTE ? SHT_NOTE : SHT_PROGBITS, .sh_offset = at, .sh_size = size};
    c->size = at + size;
    return at;
}

static size_t add_note(struct fake_core *c, size_t at, uint32_t type, size_t desc)
{
    const struct note note = {.namesz = 4, .descsz = (uint32_t)desc, .type = type, .name = "Xen"};

    memcpy(c->data + at, &note, sizeof(note));
    return at + sizeof(note);
}

static void fill_names(struct fake_core *c, size_t at)
{
    size_t offset = 0;

    for (unsigned int i = 0; i < FAKE_COUNT; i++) {
        c->sections[i].sh_name = (Elf64_Word)offset;
        memcpy(c->data + at + offset, names[i], strlen(names[i]) + 1);
        offset += strlen(names[i]) + 1;
    }
}

static void fill_header(struct fake_core *c, size_t sections)
{
    *c->header = (Elf64_Ehdr){.e_type = ET_CORE,
                              .e_machine = EM_X86_64,
                              .e_version = EV_CURRENT,
                              .e_shoff = sections,
                              .e_ehsize = sizeof(Elf64_Ehdr),
                              .e_shentsize = sizeof(Elf64_Shdr),
                              .e_shnum = FAKE_COUNT,
                              .e_shstrndx = FAKE_NAMES};
    memcpy(c->header->e_ident, ELFMAG, SELFMAG);
    c->header->e_ident[EI_CLASS] = ELFCLASS64;
    c->header->e_ident[EI_DATA] = ELFDATA2LSB;
    c->header->e_ident[EI_VERSION] = EV_CURRENT;
}

void fake_core_make(struct fake_core *c, unsigned int vcpus, unsigned int npages)
{
    const size_t header_desc = 4 * sizeof(uint64_t), version_desc = sizeof(uint64_t);
    const size_t notes = 2 * sizeof(struct note) + header_desc + version_desc;
    const size_t room = (npages + 4ul) * PAGE + vcpus * sizeof(*c->vcpus) + npages * 16ul;

    *c = (struct fake_core){.npages = npages, .data = calloc(1, room)};
    if (c->data == NULL) {
        abort();
    }
    c->header = (Elf64_Ehdr *)c->data;
    c->sections = (Elf64_Shdr *)(c->data + sizeof(Elf64_Ehdr));
    c->size = sizeof(Elf64_Ehdr) + FAKE_COUNT * sizeof(Elf64_Shdr);
    size_t names_at = place(c, FAKE_NAMES, 128, 1);
    size_t note_at = place(c, FAKE_NOTE, notes, 8);
    c->vcpus = (void *)(c->data + place(c, FAKE_PRSTATUS, vcpus * sizeof(*c->vcpus), 8));
    (void)place(c, FAKE_SHARED, sizeof(struct shared_info), 8);
    c->p2m = (void *)(c->data + place(c, FAKE_P2M, npages * 16ul, 8));
    c->pages = c->data + place(c, FAKE_PAGES, (size_t)npages * PAGE, PAGE);
    c->sections[FAKE_NULL] = (Elf64_Shdr){0};
    fill_names(c, names_at);
    fill_header(c, sizeof(Elf64_Ehdr));

    c->note = (void *)(c->data + add_note(c, note_at, 0x2000001, header_desc));
    c->note[0] = 0xf00febed;
    c->note[1] = vcpus;
    c->note[2] = npages;
    c->note[3] = PAGE;
    c->version = (void *)(c->data + add_note(c, note_at + sizeof(struct note) + header_desc,
                                             0x2000003, version_desc));
    *c->version = 1;
    for (unsigned int i = 0; i < npages; i++) {
        c->p2m[2 * i] = i;
        c->p2m[2 * i + 1] = fake_core_mfn(c, i);
    }
    for (unsigned int i = 0; i < vcpus; i++) {
        c->vcpus[i].ctrlreg[3] = fake_core_mfn(c, 0) * PAGE;
    }
}

void fake_core_free(struct fake_core *c)
{
    free(c->data);
    c->data = NULL;
}

void fake_core_map(const struct fake_core *c, uint64_t va, uint64_t mfn, uint64_t flags)
{
    for (unsigned int level = 4; level > 0; level--) {
        uint64_t *table = (void *)fake_core_page(c, 4 - level);

        table[va >> (12 + 9 * (level - 1)) & 511] =
            level > 1 ? fake_core_mfn(c, 5 - level) * PAGE | 7 : mfn * PAGE | flags;
    }
}
