/*
 * The kernel's file: see image.h. Symbols are sorted once; what DWARF tells is looked up when it is
 * asked for, since most commands ask for little of it.
 */
#include "image.h"

#include <dwarf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUILD_ID_MAX 64
#define DEPTH_MAX    64

struct symbol {
    uint64_t address;
    const char *name;
};

/* A section that the guest's memory should hold unchanged. */
struct part {
    uint64_t address, size;
    const uint8_t *bytes;
};

struct image {
    int fd;
    Elf *elf;
    Dwarf *dwarf;
    struct symbol *symbols;
    size_t nsymbols;
    struct image_variable *variables; /* as soon as one is asked for */
    size_t nvariables;
    struct part text, rodata, note;
    char build_id[2 * BUILD_ID_MAX + 1];
};

static int compare_symbols(const void *a, const void *b)
{
    const struct symbol *x = a, *y = b;

    return x->address < y->address ? -1 : x->address > y->address;
}

static int load_symbols(struct image *image, Elf_Scn *section, const GElf_Shdr *header)
{
    Elf_Data *data = elf_getdata(section, NULL);
    size_t count = header->sh_entsize != 0 ? header->sh_size / header->sh_entsize : 0;

    image->symbols = calloc(count + 1, sizeof(*image->symbols));
    if (data == NULL || image->symbols == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        GElf_Sym sym;

        if (gelf_getsym(data, (int)i, &sym) == NULL || sym.st_shndx == SHN_UNDEF ||
            GELF_ST_TYPE(sym.st_info) == STT_SECTION || GELF_ST_TYPE(sym.st_info) == STT_FILE) {
            continue;
        }
        const char *name = elf_strptr(image->elf, header->sh_link, sym.st_name);
        if (name != NULL && name[0] != '\0') {
            image->symbols[image->nsymbols++] =
                (struct symbol){.address = sym.st_value, .name = name};
        }
    }
    qsort(image->symbols, image->nsymbols, sizeof(*image->symbols), compare_symbols);
    return 0;
}

/* Of all notes only the build id's is kept: Linux has others in its section, too. */
static void take_build_id(struct image *image)
{
    struct part *notes = &image->note;
    struct part found = {0};
    uint64_t at = 0;
    GElf_Nhdr n;

    while (notes->bytes != NULL && notes->size - at >= sizeof(n)) {
        memcpy(&n, notes->bytes + at, sizeof(n));
        uint64_t desc = sizeof(n) + ((n.n_namesz + 3ull) & ~3ull);
        uint64_t whole = desc + ((n.n_descsz + 3ull) & ~3ull);
        if (whole > notes->size - at) {
            break;
        }
        if (n.n_type == NT_GNU_BUILD_ID && n.n_namesz == sizeof("GNU") &&
            memcmp(notes->bytes + at + sizeof(n), "GNU", sizeof("GNU")) == 0 &&
            n.n_descsz <= BUILD_ID_MAX) {
            found = (struct part){
                .address = notes->address + at, .size = whole, .bytes = notes->bytes + at};
            for (uint32_t i = 0; i < n.n_descsz; i++) {
                snprintf(image->build_id + 2ul * i, 3, "%02x", found.bytes[desc + i]);
            }
            break;
        }
        at += whole;
    }
    *notes = found;
}

static int load_sections(struct image *image)
{
    Elf_Scn *section = NULL;
    size_t names;
    int err = 0;

    if (elf_getshdrstrndx(image->elf, &names) != 0) {
        return -ENOEXEC;
    }
    while (err == 0 && (section = elf_nextscn(image->elf, section)) != NULL) {
        GElf_Shdr h;
        const char *name =
            gelf_getshdr(section, &h) != NULL ? elf_strptr(image->elf, names, h.sh_name) : NULL;

        if (name == NULL) {
            return -ENOEXEC;
        }
        struct part *part = strcmp(name, ".text") == 0     ? &image->text
                            : strcmp(name, ".rodata") == 0 ? &image->rodata
                            : strcmp(name, ".note.gnu.build-id") == 0 || strcmp(name, ".notes") == 0
                                ? &image->note
                                : NULL;
        if (part != NULL) {
            Elf_Data *data = elf_rawdata(section, NULL);

            part->address = h.sh_addr;
            part->size = data != NULL ? data->d_size : 0;
            part->bytes = data != NULL ? data->d_buf : NULL;
        } else if (h.sh_type == SHT_SYMTAB) {
            err = load_symbols(image, section, &h);
        }
    }
    take_build_id(image);
    return err;
}

int image_open(const char *path, struct image **out, char *why, unsigned long why_size)
{
    struct image *image = calloc(1, sizeof(*image));
    int err = -ENOMEM;

    if (image != NULL) {
        (void)elf_version(EV_CURRENT);
        image->fd = open(path, O_RDONLY | O_CLOEXEC);
        err = image->fd < 0 ? -errno : 0;
        snprintf(why, why_size, "%s", strerror(-err));
    }
    if (image != NULL && err == 0) {
        image->elf = elf_begin(image->fd, ELF_C_READ_MMAP, NULL);
        err = image->elf != NULL && elf_kind(image->elf) == ELF_K_ELF ? load_sections(image)
                                                                      : -ENOEXEC;
        snprintf(why, why_size, "it is no ELF file");
    }
    if (image != NULL && err == 0) {
        image->dwarf = dwarf_begin_elf(image->elf, DWARF_C_READ, NULL);
        err = image->dwarf != NULL && image->nsymbols > 0 ? 0 : -ENOEXEC;
        snprintf(why, why_size, "it has no symbols or nothing for a debugger (is it stripped?)");
    }
    if (err != 0) {
        image_close(image);
        return err;
    }
    *out = image;
    return 0;
}

void image_close(struct image *image)
{
    if (image == NULL) {
        return;
    }
    dwarf_end(image->dwarf);
    elf_end(image->elf);
    if (image->fd >= 0) {
        close(image->fd);
    }
    free(image->symbols);
    free(image->variables);
    free(image);
}

/* How many bytes of the part are in memory as they are in the file. */
static uint64_t equal_bytes(const struct part *part, const struct space *space)
{
    uint8_t buf[512];
    uint64_t at = 0;

    while (at < part->size) {
        size_t n = part->size - at < sizeof(buf) ? part->size - at : sizeof(buf);

        if (space_read(space, part->address + at, buf, n) != 0 ||
            memcmp(buf, part->bytes + at, n) != 0) {
            break;
        }
        at += n;
    }
    return at;
}

int image_agrees(const struct image *image, const struct space *space, char *why,
                 unsigned long why_size)
{
    bool has_id = image->build_id[0] != '\0';
    const struct part *part = has_id ? &image->note : &image->rodata;

    if (part->bytes == NULL || part->size == 0) {
        snprintf(why, why_size, "it has neither a build id nor constants to know it by");
        return -ENOEXEC;
    }
    uint64_t equal = equal_bytes(part, space), first = part->address + equal;
    if (equal < part->size) {
        snprintf(why, why_size, "the %s is of another kernel: its memory at %#llx does not hold %s",
                 core_noun(space->core), (unsigned long long)first,
                 has_id ? "this build id" : "this kernel's constants");
        return -ESTALE;
    }
    return 0;
}

const char *image_build_id(const struct image *image)
{
    return image->build_id;
}

bool image_is_text(const struct image *image, uint64_t address)
{
    return address - image->text.address < image->text.size;
}

const char *image_symbol(const struct image *image, uint64_t address, uint64_t *offset)
{
    size_t low = 0, high = image != NULL ? image->nsymbols : 0;

    if (high == 0 || address < image->symbols[0].address ||
        address >= image->symbols[high - 1].address + CORE_PAGE_SIZE) {
        return NULL;
    }
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (image->symbols[middle].address <= address) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *offset = address - image->symbols[low].address;
    return image->symbols[low].name;
}

int image_address(const struct image *image, const char *name, uint64_t *address)
{
    for (size_t i = 0; i < image->nsymbols; i++) {
        if (strcmp(image->symbols[i].name, name) == 0) {
            *address = image->symbols[i].address;
            return 0;
        }
    }
    return -ENOENT;
}

Dwarf *image_dwarf(const struct image *image)
{
    return image->dwarf;
}

/* ---- functions ---- */

/* Where a function that was inlined is called: the line that the one around it is at. */
static void call_place(Dwarf_Die *cu, Dwarf_Die *inlined, const char **file, int *line)
{
    Dwarf_Attribute attribute;
    Dwarf_Word number;
    Dwarf_Files *files;
    size_t nfiles;

    *line = 0;
    if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_line, &attribute), &number) == 0) {
        *line = (int)number;
    }
    if (dwarf_getsrcfiles(cu, &files, &nfiles) == 0 &&
        dwarf_formudata(dwarf_attr(inlined, DW_AT_call_file, &attribute), &number) == 0 &&
        number < nfiles) {
        *file = dwarf_filesrc(files, number, NULL, NULL);
    }
}

/* A source's path from the kernel's folder on, however the compiler was told of it. */
static const char *short_path(const char *path)
{
    static const char folder[] = "guest-kernel/";
    const char *at = path != NULL ? strstr(path, folder) : NULL;

    return at != NULL ? at + sizeof(folder) - 1 : path;
}

/* The DIEs around @pc, innermost first: not those around a function's definition, but its call. */
static int scopes_at(Dwarf_Die *cu, uint64_t pc, Dwarf_Die **scopes)
{
    Dwarf_Die *innermost = NULL;
    int n = dwarf_getscopes(cu, pc, &innermost);

    *scopes = NULL;
    if (n > 0) {
        n = dwarf_getscopes_die(&innermost[0], scopes);
    }
    free(innermost);
    return n;
}

unsigned int image_functions(const struct image *image, uint64_t pc,
                             struct image_function functions[IMAGE_INLINES_MAX])
{
    Dwarf_Die cu, *scopes;
    const char *file = NULL;
    int line = 0;
    unsigned int n = 0;

    if (dwarf_addrdie(image->dwarf, pc, &cu) == NULL) {
        return 0;
    }
    Dwarf_Line *at = dwarf_getsrc_die(&cu, pc);
    if (at != NULL) {
        file = dwarf_linesrc(at, NULL, NULL);
        (void)dwarf_lineno(at, &line);
    }
    int nscopes = scopes_at(&cu, pc, &scopes);
    for (int i = 0; i < nscopes && n < IMAGE_INLINES_MAX; i++) {
        int tag = dwarf_tag(&scopes[i]);

        if (tag != DW_TAG_subprogram && tag != DW_TAG_inlined_subroutine) {
            continue;
        }
        functions[n++] = (struct image_function){.die = scopes[i],
                                                 .name = dwarf_diename(&scopes[i]),
                                                 .file = short_path(file),
                                                 .line = line};
        if (tag == DW_TAG_subprogram) {
            break;
        }
        call_place(&cu, &scopes[i], &file, &line);
    }
    free(scopes);
    return n;
}

/* ---- variables ---- */

struct search {
    struct image *image;
    size_t room;
    const char *file;
};

static void keep_variable(struct search *s, const struct image_variable *v)
{
    struct image *image = s->image;

    if (image->variables == NULL || image->nvariables == s->room) {
        size_t room = 2 * s->room + 1024;
        void *more = reallocarray(image->variables, room, sizeof(*v));

        if (more == NULL) {
            return;
        }
        image->variables = more;
        s->room = room;
    }
    image->variables[image->nvariables++] = *v;
}

/* A variable's fixed address. */
static bool fixed_address(Dwarf_Die *die, uint64_t *address)
{
    Dwarf_Attribute attribute;
    Dwarf_Op *ops;
    size_t nops;

    if (dwarf_attr(die, DW_AT_location, &attribute) == NULL ||
        dwarf_getlocation(&attribute, &ops, &nops) != 0 || nops != 1 || ops[0].atom != DW_OP_addr) {
        return false;
    }
    *address = ops[0].number;
    return true;
}

static void visit(Dwarf_Die *die, const char *function, struct search *s, unsigned int depth)
{
    Dwarf_Die child;

    if (depth > DEPTH_MAX || dwarf_child(die, &child) != 0) {
        return;
    }
    do {
        int tag = dwarf_tag(&child);

        if (tag == DW_TAG_variable) {
            struct image_variable v = {
                .name = dwarf_diename(&child), .file = s->file, .function = function};

            if (v.name != NULL && fixed_address(&child, &v.address) &&
                image_type_of(&child, &v.type) == 0) {
                keep_variable(s, &v);
            }
        } else if (tag == DW_TAG_subprogram || tag == DW_TAG_lexical_block ||
                   tag == DW_TAG_inlined_subroutine) {
            const char *name = dwarf_diename(&child);

            visit(&child, name != NULL ? name : function, s, depth + 1);
        }
    } while (dwarf_siblingof(&child, &child) == 0);
}

/* Once for all: most commands ask for several, and the way there is long. What memory there is
 * none for is not there. */
static void load_variables(struct image *image)
{
    struct search s = {.image = image};
    Dwarf_CU *unit = NULL;
    Dwarf_Die cu;

    if (image->variables != NULL) {
        return;
    }
    while (dwarf_get_units(image->dwarf, unit, &unit, NULL, NULL, &cu, NULL) == 0) {
        s.file = dwarf_diename(&cu);
        s.file = s.file != NULL ? s.file : "";
        visit(&cu, NULL, &s, 0);
    }
}

void image_each_variable(struct image *image,
                         void (*fn)(void *context, const struct image_variable *v), void *context)
{
    load_variables(image);
    for (size_t i = 0; i < image->nvariables; i++) {
        fn(context, &image->variables[i]);
    }
}

struct wanted {
    const char *name, *file;
    size_t file_len; /* 0: any */
    bool found;
    struct image_variable variable;
};

static bool is_file(const char *path, const char *file, size_t len)
{
    size_t all = strlen(path);

    return len == 0 || (all >= len && strncmp(path + all - len, file, len) == 0 &&
                        (all == len || path[all - len - 1] == '/'));
}

/* A file's variable goes before one of a function. */
static void take_wanted(void *context, const struct image_variable *v)
{
    struct wanted *w = context;

    if (strcmp(v->name, w->name) != 0 || !is_file(v->file, w->file, w->file_len) ||
        (w->found && (v->function != NULL || w->variable.function == NULL))) {
        return;
    }
    w->found = true;
    w->variable = *v;
}

int image_variable(struct image *image, const char *name, uint64_t *address, Dwarf_Die *type)
{
    const char *colon = strchr(name, ':');
    struct wanted w = {.name = colon != NULL ? colon + 1 : name,
                       .file = name,
                       .file_len = colon != NULL ? (size_t)(colon - name) : 0};

    image_each_variable(image, take_wanted, &w);
    if (!w.found) {
        return -ENOENT;
    }
    *address = w.variable.address;
    *type = w.variable.type;
    return 0;
}

/* ---- types ---- */

int image_type_of(Dwarf_Die *die, Dwarf_Die *type)
{
    Dwarf_Attribute attribute;

    if (dwarf_formref_die(dwarf_attr_integrate(die, DW_AT_type, &attribute), type) == NULL) {
        return -ENOENT; /* void */
    }
    return dwarf_peel_type(type, type) == 0 ? 0 : -ENOENT;
}

static bool is_type(Dwarf_Die *die, const char *name)
{
    int tag = dwarf_tag(die);
    const char *its = dwarf_diename(die);

    return (tag == DW_TAG_structure_type || tag == DW_TAG_union_type || tag == DW_TAG_typedef) &&
           its != NULL && strcmp(its, name) == 0 && !dwarf_hasattr(die, DW_AT_declaration);
}

int image_type(const struct image *image, const char *name, Dwarf_Die *type)
{
    Dwarf_CU *unit = NULL;
    Dwarf_Die cu, child;

    while (dwarf_get_units(image->dwarf, unit, &unit, NULL, NULL, &cu, NULL) == 0) {
        if (dwarf_child(&cu, &child) != 0) {
            continue;
        }
        do {
            if (is_type(&child, name)) {
                return dwarf_peel_type(&child, type) == 0 ? 0 : -ENOENT;
            }
        } while (dwarf_siblingof(&child, &child) == 0);
    }
    return -ENOENT;
}

/* A member by name, also one of an anonymous struct or union inside. */
static int find_member(Dwarf_Die *type, const char *name, size_t len, uint64_t *offset,
                       Dwarf_Die *member_type, unsigned int depth)
{
    Dwarf_Die child, inner;

    if (depth > DEPTH_MAX || dwarf_child(type, &child) != 0) {
        return -ENOENT;
    }
    do {
        Dwarf_Attribute attribute;
        Dwarf_Word at = 0;
        const char *its = dwarf_diename(&child);

        if (dwarf_tag(&child) != DW_TAG_member || image_type_of(&child, &inner) != 0) {
            continue;
        }
        (void)dwarf_formudata(dwarf_attr(&child, DW_AT_data_member_location, &attribute), &at);
        if (its != NULL && strncmp(its, name, len) == 0 && its[len] == '\0') {
            *offset += at;
            *member_type = inner;
            return 0;
        }
        if (its == NULL && find_member(&inner, name, len, &at, member_type, depth + 1) == 0) {
            *offset += at;
            return 0;
        }
    } while (dwarf_siblingof(&child, &child) == 0);
    return -ENOENT;
}

/* "[N]": goes to that element of an array. */
static int find_element(const char **path, uint64_t *offset, Dwarf_Die *type)
{
    Dwarf_Die element;
    char *end;
    unsigned long index = strtoul(*path + 1, &end, 0);
    Dwarf_Word size;

    if (end == *path + 1 || *end != ']' || dwarf_tag(type) != DW_TAG_array_type ||
        image_type_of(type, &element) != 0 || dwarf_aggregate_size(&element, &size) != 0) {
        return -ENOENT;
    }
    *offset += index * size;
    *type = element;
    *path = end + 1;
    return 0;
}

int image_member(Dwarf_Die *type, const char *path, uint64_t *offset, Dwarf_Die *member_type)
{
    Dwarf_Die at = *type;

    while (*path != '\0') {
        int err;

        if (*path == '[') {
            err = find_element(&path, offset, &at);
        } else {
            path += *path == '.';
            size_t len = strcspn(path, ".[");
            Dwarf_Die inner;

            err = find_member(&at, path, len, offset, &inner, 0);
            at = err == 0 ? inner : at;
            path += len;
        }
        if (err != 0) {
            return err;
        }
    }
    *member_type = at;
    return 0;
}
