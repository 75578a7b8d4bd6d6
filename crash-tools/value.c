/*
 * Values by type: see value.h.
 */
#include "value.h"

#include <dwarf.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ELEMENTS_MAX 64
#define DEPTH_MAX    6

void json_add_hex(cJSON *object, const char *key, uint64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "0x%" PRIx64, number);
    cJSON_AddStringToObject(object, key, text);
}

unsigned int value_size(Dwarf_Die *type)
{
    Dwarf_Word size;

    return dwarf_aggregate_size(type, &size) == 0 && size <= UINT32_MAX ? (unsigned int)size : 0;
}

void value_address(const struct session *s, uint64_t address, char *to, size_t size)
{
    uint64_t offset;
    const char *name = image_symbol(s->image, address, &offset);

    if (name == NULL) {
        snprintf(to, size, "0x%" PRIx64, address);
    } else if (offset == 0) {
        snprintf(to, size, "%s", name);
    } else {
        snprintf(to, size, "%s+0x%" PRIx64, name, offset);
    }
}

static bool is_char(Dwarf_Die *type)
{
    Dwarf_Attribute attribute;
    Dwarf_Word encoding;

    return dwarf_tag(type) == DW_TAG_base_type && value_size(type) == 1 &&
           dwarf_formudata(dwarf_attr(type, DW_AT_encoding, &attribute), &encoding) == 0 &&
           (encoding == DW_ATE_signed_char || encoding == DW_ATE_unsigned_char) &&
           dwarf_diename(type) != NULL && strcmp(dwarf_diename(type), "char") == 0;
}

static int64_t sign_extended(uint64_t value, unsigned int size)
{
    unsigned int unused = size < 8 ? 64 - 8 * size : 0;

    return (int64_t)(value << unused) >> unused;
}

static void base_text(Dwarf_Die *type, uint64_t value, char *to, size_t size)
{
    Dwarf_Attribute attribute;
    Dwarf_Word encoding = DW_ATE_unsigned;
    unsigned int bytes = value_size(type);

    (void)dwarf_formudata(dwarf_attr(type, DW_AT_encoding, &attribute), &encoding);
    if (encoding == DW_ATE_boolean) {
        snprintf(to, size, "%s", value != 0 ? "true" : "false");
    } else if (encoding == DW_ATE_signed || encoding == DW_ATE_signed_char) {
        snprintf(to, size, "%" PRId64, sign_extended(value, bytes));
    } else if (value > 0xffffffff) {
        snprintf(to, size, "0x%" PRIx64, value);
    } else {
        snprintf(to, size, "%" PRIu64, value);
    }
}

static void enum_text(Dwarf_Die *type, uint64_t value, char *to, size_t size)
{
    Dwarf_Die child;

    snprintf(to, size, "%" PRIu64, value);
    if (dwarf_child(type, &child) != 0) {
        return;
    }
    do {
        Dwarf_Attribute attribute;
        Dwarf_Sword its;

        if (dwarf_tag(&child) == DW_TAG_enumerator &&
            dwarf_formsdata(dwarf_attr(&child, DW_AT_const_value, &attribute), &its) == 0 &&
            its == sign_extended(value, value_size(type)) && dwarf_diename(&child) != NULL) {
            snprintf(to, size, "%s", dwarf_diename(&child));
            return;
        }
    } while (dwarf_siblingof(&child, &child) == 0);
}

static void pointer_text(const struct session *s, Dwarf_Die *type, uint64_t value, char *to,
                         size_t size)
{
    char what[256];
    Dwarf_Die target;
    uint64_t offset;

    if (value == 0) {
        snprintf(to, size, "NULL");
    } else if (image_type_of(type, &target) == 0 && is_char(&target) &&
               kernel_string(s, value, what, sizeof(what))) {
        snprintf(to, size, "0x%" PRIx64 " \"%s\"", value, what);
    } else if (image_symbol(s->image, value, &offset) != NULL) {
        value_address(s, value, what, sizeof(what));
        snprintf(to, size, "0x%" PRIx64 " <%s>", value, what);
    } else {
        snprintf(to, size, "0x%" PRIx64, value);
    }
}

void value_scalar(const struct session *s, Dwarf_Die *type, uint64_t value, char *to, size_t size)
{
    switch (dwarf_tag(type)) {
    case DW_TAG_pointer_type:
        pointer_text(s, type, value, to, size);
        break;
    case DW_TAG_enumeration_type:
        enum_text(type, value, to, size);
        break;
    case DW_TAG_base_type:
        base_text(type, value, to, size);
        break;
    default:
        snprintf(to, size, "0x%" PRIx64, value);
    }
}

static cJSON *scalar_tree(const struct session *s, Dwarf_Die *type, uint64_t address)
{
    char text[VALUE_TEXT_MAX];
    uint64_t value = 0;
    unsigned int size = value_size(type);

    if (size == 0 || size > sizeof(value) || space_read(&s->space, address, &value, size) != 0) {
        return cJSON_CreateString(size > sizeof(value) ? "(too large)" : "(cannot be read)");
    }
    value_scalar(s, type, value, text, sizeof(text));
    return cJSON_CreateString(text);
}

static cJSON *tree_at(const struct session *s, Dwarf_Die *type, uint64_t address,
                      unsigned int depth);

/* Text in an array, which may fill it: what lies behind is another member's. */
static cJSON *chars_tree(const struct session *s, uint64_t address, size_t size)
{
    char raw[VALUE_TEXT_MAX / 4], text[VALUE_TEXT_MAX], quoted[VALUE_TEXT_MAX + 2];

    size = size < sizeof(raw) ? size : sizeof(raw);
    if (space_read(&s->space, address, raw, size) != 0) {
        return cJSON_CreateString("(cannot be read)");
    }
    kernel_escape(raw, strnlen(raw, size), text, sizeof(text));
    snprintf(quoted, sizeof(quoted), "\"%s\"", text);
    return cJSON_CreateString(quoted);
}

static cJSON *array_tree(const struct session *s, Dwarf_Die *type, uint64_t address,
                         unsigned int depth)
{
    Dwarf_Die element;
    unsigned int total = value_size(type);

    unsigned int each = image_type_of(type, &element) == 0 ? value_size(&element) : 0;
    if (each == 0) {
        return cJSON_CreateString("(an array of unknown elements)");
    }
    if (is_char(&element)) {
        return chars_tree(s, address, total);
    }
    unsigned int count = total / each;
    cJSON *array = cJSON_CreateArray();
    for (unsigned int i = 0; i < count && i < ELEMENTS_MAX; i++) {
        cJSON_AddItemToArray(array, tree_at(s, &element, address + (uint64_t)i * each, depth + 1));
    }
    if (count > ELEMENTS_MAX) {
        cJSON_AddItemToArray(array, cJSON_CreateString("..."));
    }
    return array;
}

/* A member of some bits, which lie in eight bytes. */
static cJSON *bits_tree(const struct session *s, Dwarf_Die *member, uint64_t address, uint64_t bits)
{
    Dwarf_Attribute attribute;
    Dwarf_Word at = 0;
    uint64_t value = 0;
    char text[32];

    (void)dwarf_formudata(dwarf_attr(member, DW_AT_data_bit_offset, &attribute), &at);
    size_t bytes = (at % 8 + bits + 7) / 8;
    if (bytes > sizeof(value) || space_read(&s->space, address + at / 8, &value, bytes) != 0) {
        return cJSON_CreateString("(cannot be read)");
    }
    value = value >> (at % 8) & (bits < 64 ? (1ull << bits) - 1 : UINT64_MAX);
    snprintf(text, sizeof(text), "%" PRIu64, value);
    return cJSON_CreateString(text);
}

static cJSON *struct_tree(const struct session *s, Dwarf_Die *type, uint64_t address,
                          unsigned int depth)
{
    cJSON *object = cJSON_CreateObject();
    Dwarf_Die child, inner;

    if (dwarf_child(type, &child) != 0) {
        return object;
    }
    do {
        Dwarf_Attribute attribute;
        Dwarf_Word at = 0, bits;
        const char *name = dwarf_diename(&child);

        if (dwarf_tag(&child) != DW_TAG_member || image_type_of(&child, &inner) != 0) {
            continue;
        }
        (void)dwarf_formudata(dwarf_attr(&child, DW_AT_data_member_location, &attribute), &at);
        bool some = dwarf_formudata(dwarf_attr(&child, DW_AT_bit_size, &attribute), &bits) == 0;
        cJSON_AddItemToObject(object, name != NULL ? name : "",
                              some ? bits_tree(s, &child, address, bits)
                                   : tree_at(s, &inner, address + at, depth + 1));
    } while (dwarf_siblingof(&child, &child) == 0);
    return object;
}

static cJSON *tree_at(const struct session *s, Dwarf_Die *type, uint64_t address,
                      unsigned int depth)
{
    int tag = dwarf_tag(type);

    if (depth > DEPTH_MAX) {
        return cJSON_CreateString("...");
    }
    if (tag == DW_TAG_array_type) {
        return array_tree(s, type, address, depth);
    }
    if (tag == DW_TAG_structure_type || tag == DW_TAG_union_type) {
        return struct_tree(s, type, address, depth);
    }
    return scalar_tree(s, type, address);
}

cJSON *value_tree(const struct session *s, Dwarf_Die *type, uint64_t address)
{
    return tree_at(s, type, address, 0);
}

void value_show(const cJSON *tree, unsigned int indent)
{
    const cJSON *item;

    if (cJSON_IsString(tree)) {
        printf("%s\n", tree->valuestring);
        return;
    }
    printf("%s\n", cJSON_IsArray(tree) ? "[" : "{");
    cJSON_ArrayForEach (item, tree) {
        printf("%*s", (int)(4 * (indent + 1)), "");
        if (item->string != NULL && item->string[0] != '\0') {
            printf("%s = ", item->string);
        }
        value_show(item, indent + 1);
    }
    printf("%*s%s\n", (int)(4 * indent), "", cJSON_IsArray(tree) ? "]" : "}");
}
