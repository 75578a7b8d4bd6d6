/*
 * Values of the kernel's types as text and as JSON. What a guest wrote comes out printable only.
 */
#ifndef DUET_CRASH_VALUE_H
#define DUET_CRASH_VALUE_H

#include <cjson/cJSON.h>

#include "kernel.h"

#define VALUE_TEXT_MAX 320

/* A number, enumerator or pointer (with what it points to, if that has a name or is text). */
void value_scalar(const struct session *s, Dwarf_Die *type, uint64_t value, char *to, size_t size);

/*
 * Whatever lies at @address: strings for scalars, arrays, objects by members' names. Large arrays
 * are cut.
 */
cJSON *value_tree(const struct session *s, Dwarf_Die *type, uint64_t address);

/* Prints such a tree. */
void value_show(const cJSON *tree, unsigned int indent);

/* "symbol+0x12", or only digits if it is not in the kernel's image. */
void value_address(const struct session *s, uint64_t address, char *to, size_t size);

/* The size of a type; 0 if that is not known. */
unsigned int value_size(Dwarf_Die *type);

/* Adds @number as a string of hexadecimal digits, which no parser of JSON rounds. */
void json_add_hex(cJSON *object, const char *key, uint64_t number);

#endif
