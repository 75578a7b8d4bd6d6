/*
 * The core file: finds its sections, checks them, and sorts the table of pages twice. See core.h.
 */
#include "core_source.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xen/elfnote.h>

#define SECTIONS_MAX 64
#define MAGIC_PV     0xf00febedu
#define MAGIC_HVM    0xf00febeeu
#define PADDING      UINT64_MAX /* the pfn of a page that went while it was dumped */

enum section { SEC_NOTE, SEC_PRSTATUS, SEC_SHARED, SEC_P2M, SEC_PAGES, SEC_COUNT };

static const char *const section_names[SEC_COUNT] = {
    [SEC_NOTE] = ".note.Xen", [SEC_PRSTATUS] = ".xen_prstatus", [SEC_SHARED] = ".xen_shared_info",
    [SEC_P2M] = ".xen_p2m",   [SEC_PAGES] = ".xen_pages",
};

/* A part of the file, which lies within it. */
struct range {
    uint64_t at, size;
    bool there;
};

/* One page's numbers and which of .xen_pages it is. */
struct entry {
    uint64_t pfn, mfn, index;
};

struct file {
    struct core core;
    const uint8_t *data;
    size_t size;
    bool mapped; /* by core_open() */
    struct range sections[SEC_COUNT];
    uint64_t npages; /* in the file; those with numbers are the core's */
    struct entry *by_pfn, *by_mfn;
};

/* Whom to tell what is wrong. */
struct reason {
    char *why;
    unsigned long size;
};

static int refuse(const struct reason *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int refuse(const struct reason *r, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(r->why, r->size, fmt, ap);
    va_end(ap);
    return -EINVAL;
}

/* ---- sections ---- */

static bool fits(const struct file *f, uint64_t at, uint64_t size)
{
    return at <= f->size && size <= f->size - at;
}

static int read_header(const struct file *f, Elf64_Ehdr *h, const struct reason *r)
{
    if (f->size < sizeof(*h)) {
        return refuse(r, "it is too short for an ELF file");
    }
    memcpy(h, f->data, sizeof(*h));
    if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0) {
        return refuse(r, "it is no ELF file (a compressed core must be unpacked first)");
    }
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB ||
        h->e_type != ET_CORE || h->e_machine != EM_X86_64) {
        return refuse(r, "it is an ELF file, but no core of an x86-64 domain");
    }
    if (h->e_shentsize != sizeof(Elf64_Shdr) || h->e_shnum == 0 || h->e_shnum > SECTIONS_MAX ||
        h->e_shstrndx >= h->e_shnum ||
        !fits(f, h->e_shoff, (uint64_t)h->e_shnum * sizeof(Elf64_Shdr))) {
        return refuse(r, "its table of sections makes no sense, or the file is cut short");
    }
    return 0;
}

static Elf64_Shdr section_header(const struct file *f, const Elf64_Ehdr *h, unsigned int i)
{
    Elf64_Shdr s;

    memcpy(&s, f->data + h->e_shoff + i * sizeof(s), sizeof(s));
    return s;
}

/* Whether the string at @at of the table of names is @name. */
static bool is_named(const struct file *f, const Elf64_Shdr *names, uint64_t at, const char *name)
{
    size_t len = strlen(name) + 1;

    return at <= names->sh_size && len <= names->sh_size - at &&
           memcmp(f->data + names->sh_offset + at, name, len) == 0;
}

static int note_section(struct file *f, enum section which, const Elf64_Shdr *s,
                        const struct reason *r)
{
    struct range *range = &f->sections[which];

    if (range->there) {
        return refuse(r, "it has two sections %s", section_names[which]);
    }
    if (s->sh_type == SHT_NOBITS || !fits(f, s->sh_offset, s->sh_size)) {
        return refuse(r, "section %s reaches beyond the file's end: it is cut short",
                      section_names[which]);
    }
    *range = (struct range){.at = s->sh_offset, .size = s->sh_size, .there = true};
    return 0;
}

static int check_overlaps(const struct file *f, const struct reason *r)
{
    for (unsigned int i = 0; i < SEC_COUNT; i++) {
        for (unsigned int j = 0; j < i; j++) {
            const struct range *a = &f->sections[i], *b = &f->sections[j];

            if (a->at < b->at + b->size && b->at < a->at + a->size) {
                return refuse(r, "sections %s and %s overlap", section_names[j], section_names[i]);
            }
        }
    }
    return 0;
}

static int find_sections(struct file *f, const struct reason *r)
{
    Elf64_Ehdr h = {0};
    int err = read_header(f, &h, r);

    if (err != 0) {
        return err;
    }
    Elf64_Shdr names = section_header(f, &h, h.e_shstrndx);
    if (!fits(f, names.sh_offset, names.sh_size)) {
        return refuse(r, "the sections' names lie beyond the file's end: it is cut short");
    }
    for (unsigned int i = 1; i < h.e_shnum; i++) {
        Elf64_Shdr s = section_header(f, &h, i);

        for (unsigned int which = 0; which < SEC_COUNT && err == 0; which++) {
            if (is_named(f, &names, s.sh_name, section_names[which])) {
                err = note_section(f, which, &s, r);
            }
        }
        if (err != 0) {
            return err;
        }
    }
    for (unsigned int which = 0; which < SEC_COUNT; which++) {
        if (!f->sections[which].there && which != SEC_SHARED) {
            return refuse(r, "it has no section %s: not a core of a PV domain",
                          section_names[which]);
        }
    }
    return check_overlaps(f, r);
}

/* ---- notes ---- */

struct header_desc {
    uint64_t magic, vcpus, pages, page_size;
};

static int check_header(struct file *f, const struct header_desc *d, const struct reason *r)
{
    if (d->magic == MAGIC_HVM) {
        return refuse(r, "it is the core of an HVM or PVH domain; only PV domains' are read");
    }
    if (d->magic != MAGIC_PV || d->page_size != CORE_PAGE_SIZE) {
        return refuse(r, "its header has a magic number or a page size that is not known");
    }
    if (d->vcpus == 0 || d->vcpus > CORE_VCPUS_MAX ||
        f->sections[SEC_PRSTATUS].size / sizeof(struct vcpu_guest_context) < d->vcpus) {
        return refuse(r, "its header tells of %llu vCPUs, for which there are no registers",
                      (unsigned long long)d->vcpus);
    }
    if (f->sections[SEC_P2M].size / (2 * sizeof(uint64_t)) < d->pages ||
        f->sections[SEC_PAGES].size / CORE_PAGE_SIZE < d->pages) {
        return refuse(r, "its header tells of %llu pages, which are not all there",
                      (unsigned long long)d->pages);
    }
    f->core.nvcpus = (uint32_t)d->vcpus;
    f->npages = d->pages;
    return 0;
}

/* One of Xen's notes. *@seen says whether it was the header. */
static int take_note(struct file *f, uint32_t type, const uint8_t *desc, uint32_t size, bool *seen,
                     const struct reason *r)
{
    struct header_desc header;
    uint64_t version[2];

    switch (type) {
    case XEN_ELFNOTE_DUMPCORE_HEADER:
        if (size < sizeof(header) || *seen) {
            return refuse(r, "its header note is too short, or there are two");
        }
        memcpy(&header, desc, sizeof(header));
        *seen = true;
        return check_header(f, &header, r);
    case XEN_ELFNOTE_DUMPCORE_XEN_VERSION:
        if (size >= sizeof(version)) {
            memcpy(version, desc, sizeof(version));
            f->core.xen_version = (uint32_t)((version[0] & 0xffff) << 16 | (version[1] & 0xffff));
        }
        return 0;
    case XEN_ELFNOTE_DUMPCORE_FORMAT_VERSION:
        if (size < sizeof(version[0])) {
            return refuse(r, "its note of the format's version is too short");
        }
        memcpy(version, desc, sizeof(version[0]));
        return version[0] >> 32 == 0 ? 0
                                     : refuse(r, "its format has the major version %llu, not 0",
                                              (unsigned long long)(version[0] >> 32));
    default:
        return 0;
    }
}

static int read_notes(struct file *f, const struct reason *r)
{
    const struct range *range = &f->sections[SEC_NOTE];
    const uint8_t *notes = f->data + range->at;
    uint64_t at = 0;
    bool seen = false;
    Elf64_Nhdr n;

    while (range->size - at >= sizeof(n)) {
        memcpy(&n, notes + at, sizeof(n));
        at += sizeof(n);
        uint64_t name = ((uint64_t)n.n_namesz + 3) & ~3ull;
        uint64_t desc = ((uint64_t)n.n_descsz + 3) & ~3ull;
        if (name > range->size - at || desc > range->size - at - name) {
            return refuse(r, "a note reaches beyond its section");
        }
        if (n.n_namesz == sizeof("Xen") && memcmp(notes + at, "Xen", sizeof("Xen")) == 0) {
            int err = take_note(f, n.n_type, notes + at + name, n.n_descsz, &seen, r);

            if (err != 0) {
                return err;
            }
        }
        at += name + desc;
    }
    return seen ? 0 : refuse(r, "it has no header note");
}

/* ---- pages and registers ---- */

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_pfn(const void *a, const void *b)
{
    return compare_numbers(((const struct entry *)a)->pfn, ((const struct entry *)b)->pfn);
}

static int compare_mfn(const void *a, const void *b)
{
    return compare_numbers(((const struct entry *)a)->mfn, ((const struct entry *)b)->mfn);
}

/* The table of pages, by pfn and by mfn: no number may be that of two pages. */
static int sort_pages(struct file *f, const struct reason *r)
{
    const uint8_t *table = f->data + f->sections[SEC_P2M].at;
    uint64_t pair[2];

    f->by_pfn = calloc(f->npages + 1, sizeof(*f->by_pfn));
    f->by_mfn = calloc(f->npages + 1, sizeof(*f->by_mfn));
    if (f->by_pfn == NULL || f->by_mfn == NULL) {
        (void)refuse(r, "there is no memory for its table of pages");
        return -ENOMEM;
    }
    for (uint64_t i = 0; i < f->npages; i++) {
        memcpy(pair, table + i * sizeof(pair), sizeof(pair));
        if (pair[0] != PADDING) {
            f->by_pfn[f->core.npages++] =
                (struct entry){.pfn = pair[0], .mfn = pair[1], .index = i};
        }
    }
    memcpy(f->by_mfn, f->by_pfn, f->core.npages * sizeof(*f->by_mfn));
    qsort(f->by_pfn, f->core.npages, sizeof(*f->by_pfn), compare_pfn);
    qsort(f->by_mfn, f->core.npages, sizeof(*f->by_mfn), compare_mfn);
    for (uint64_t i = 1; i < f->core.npages; i++) {
        if (f->by_pfn[i].pfn == f->by_pfn[i - 1].pfn || f->by_mfn[i].mfn == f->by_mfn[i - 1].mfn) {
            return refuse(r, "two pages have the same pfn (%#llx) or mfn (%#llx)",
                          (unsigned long long)f->by_pfn[i].pfn,
                          (unsigned long long)f->by_mfn[i].mfn);
        }
    }
    return 0;
}

/* Copied, since nothing says that the file aligns them. */
static int copy_registers(struct file *f, const struct reason *r)
{
    const struct range *shared = &f->sections[SEC_SHARED];
    size_t size = f->core.nvcpus * sizeof(*f->core.vcpus);

    f->core.vcpus = f->core.nvcpus > 0 ? calloc(f->core.nvcpus, sizeof(*f->core.vcpus)) : NULL;
    if (f->core.vcpus != NULL) {
        memcpy(f->core.vcpus, f->data + f->sections[SEC_PRSTATUS].at, size);
    }
    if (shared->there && shared->size >= sizeof(*f->core.shared)) {
        f->core.shared = malloc(sizeof(*f->core.shared));
        if (f->core.shared != NULL) {
            memcpy(f->core.shared, f->data + shared->at, sizeof(*f->core.shared));
        }
    }
    if (f->core.vcpus == NULL) {
        (void)refuse(r, "there is no memory for its registers");
        return -ENOMEM;
    }
    return 0;
}

static int give(const struct file *f, const struct entry *e, struct core_page *page)
{
    if (e == NULL) {
        return -ENOENT;
    }
    page->pfn = e->pfn;
    page->mfn = e->mfn;
    page->bytes = f->data + f->sections[SEC_PAGES].at + e->index * CORE_PAGE_SIZE;
    return 0;
}

static int file_by_pfn(void *arg, uint64_t pfn, struct core_page *page)
{
    const struct file *f = arg;
    const struct entry wanted = {.pfn = pfn};

    return give(f, bsearch(&wanted, f->by_pfn, f->core.npages, sizeof(wanted), compare_pfn), page);
}

static int file_by_mfn(void *arg, uint64_t mfn, struct core_page *page)
{
    const struct file *f = arg;
    const struct entry wanted = {.mfn = mfn};

    return give(f, bsearch(&wanted, f->by_mfn, f->core.npages, sizeof(wanted), compare_mfn), page);
}

static void file_close(void *arg)
{
    struct file *f = arg;

    if (f->mapped) {
        munmap((void *)(uintptr_t)f->data, f->size);
    }
    free(f->by_pfn);
    free(f->by_mfn);
    free(f);
}

static const struct core_source file_source = {
    .noun = "core",
    .by_pfn = file_by_pfn,
    .by_mfn = file_by_mfn,
    .close = file_close,
};

int core_parse(const uint8_t *data, size_t size, struct core **out, char *why,
               unsigned long why_size)
{
    const struct reason r = {.why = why, .size = why_size};
    struct file *f = calloc(1, sizeof(*f));

    if (f == NULL) {
        (void)refuse(&r, "out of memory");
        return -ENOMEM;
    }
    f->core.source = &file_source;
    f->core.arg = f;
    f->data = data;
    f->size = size;
    int err = find_sections(f, &r);
    if (err == 0) {
        err = read_notes(f, &r);
    }
    if (err == 0) {
        err = copy_registers(f, &r);
    }
    if (err == 0) {
        err = sort_pages(f, &r);
    }
    if (err != 0) {
        core_close(&f->core);
        return err;
    }
    *out = &f->core;
    return 0;
}

/* Maps the file. Returns NULL with errno set. */
static const uint8_t *map_file(const char *path, size_t *size)
{
    struct stat st;
    void *data = MAP_FAILED;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        return NULL;
    }
    if (fstat(fd, &st) == 0) {
        errno = S_ISREG(st.st_mode) && st.st_size > 0 ? 0 : ENOEXEC;
        if (errno == 0) {
            data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
            *size = (size_t)st.st_size;
        }
    }
    int err = errno;
    close(fd);
    errno = err;
    return data != MAP_FAILED ? data : NULL;
}

int core_open(const char *path, struct core **out, char *why, unsigned long why_size)
{
    size_t size = 0;
    const uint8_t *data = map_file(path, &size);

    if (data == NULL) {
        int err = errno;

        snprintf(why, why_size, "%s",
                 err == ENOEXEC ? "no file with anything in it" : strerror(err));
        return -err;
    }
    int err = core_parse(data, size, out, why, why_size);
    if (err != 0) {
        munmap((void *)(uintptr_t)data, size);
        return err;
    }
    struct file *f = (*out)->arg;
    f->mapped = true;
    return 0;
}
