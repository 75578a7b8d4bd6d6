/*
 * The kernel's own file, with what the compiler told of it: symbols, lines, variables and types, by
 * libelf and libdw. Nothing of the kernel's layout is known here but by its names.
 */
#ifndef DUET_CRASH_IMAGE_H
#define DUET_CRASH_IMAGE_H

#include <stdbool.h>
#include <elfutils/libdw.h>

#include "walk.h"

#define IMAGE_INLINES_MAX 16

struct image;

/* A function at an address: the compiled one, or one that was inlined there. */
struct image_function {
    Dwarf_Die die;
    const char *name;
    const char *file; /* of the address, or in an outer function of the call */
    int line;         /* 0: not known */
};

/* Opens the kernel at @path. Returns 0 or -errno with a sentence in @why. */
int image_open(const char *path, struct image **out, char *why, unsigned long why_size);
void image_close(struct image *image);

/*
 * Whether this kernel runs in that memory: by its build id, or for a kernel without one by all of
 * its constants. Returns 0, or -errno with a sentence in @why.
 */
int image_agrees(const struct image *image, const struct space *space, char *why,
                 unsigned long why_size);

/* The image's build id in hexadecimal digits; empty if it has none. */
const char *image_build_id(const struct image *image);

/* Whether code of the kernel lies at @address. */
bool image_is_text(const struct image *image, uint64_t address);

/* The symbol at or before @address, and how far; NULL if it is not the kernel's. */
const char *image_symbol(const struct image *image, uint64_t address, uint64_t *offset);

/* Returns 0, or -ENOENT if there is no symbol @name. */
int image_address(const struct image *image, const char *name, uint64_t *address);

/* The functions at @pc, innermost first. Returns how many, 0 if the compiler told of none. */
unsigned int image_functions(const struct image *image, uint64_t pc,
                             struct image_function functions[IMAGE_INLINES_MAX]);

Dwarf *image_dwarf(const struct image *image);

/*
 * A variable of a file or a function: its address and its type. "kern/log.c:ring" is the one in
 * that file. Returns 0 or -ENOENT.
 */
int image_variable(struct image *image, const char *name, uint64_t *address, Dwarf_Die *type);

/* A variable that has an address. */
struct image_variable {
    const char *name, *file;
    const char *function; /* NULL: the file's own */
    uint64_t address;
    Dwarf_Die type;
};

void image_each_variable(struct image *image,
                         void (*fn)(void *context, const struct image_variable *v), void *context);

/* The type of that name: of a struct, or a typedef. Returns 0 or -ENOENT. */
int image_type(const struct image *image, const char *name, Dwarf_Die *type);

/* What the DIE's DW_AT_type names, typedefs and qualifiers taken off. Returns 0 or -ENOENT. */
int image_type_of(Dwarf_Die *die, Dwarf_Die *type);

/*
 * Follows a path like "info.arch.cr2" or "ready[2]" from a type. *@offset is added to. Returns 0,
 * or -ENOENT if there is no such member.
 */
int image_member(Dwarf_Die *type, const char *path, uint64_t *offset, Dwarf_Die *member_type);

#endif
