/*
 * acpi_parse.c - reading ACPI tables; see acpi_parse.h.
 */
#include "dom0/acpi_parse.h"

#include "kern/string.h"

#define RSDP_SIZE_V0 20
#define SLEEP_TYPES  7 /* the largest value that PM1 control has bits for */

#define MADT_ENTRIES       44
#define MADT_OVERRIDE      2 /* type of an interrupt source override */
#define MADT_OVERRIDE_SIZE 10

/* AML encodings. */
enum {
    AML_ZERO = 0x00,
    AML_ONE = 0x01,
    AML_NAME = 0x08,
    AML_BYTE = 0x0a,
    AML_WORD = 0x0b,
    AML_DWORD = 0x0c,
    AML_PACKAGE = 0x12,
    AML_ROOT = '\\',
};

static uint16_t get16(const uint8_t *b)
{
    return (uint16_t)(b[0] | b[1] << 8);
}

static uint32_t get32(const uint8_t *b)
{
    return get16(b) | (uint32_t)get16(b + 2) << 16;
}

static uint64_t get64(const uint8_t *b)
{
    return get32(b) | (uint64_t)get32(b + 4) << 32;
}

bool acpi_sum_ok(const uint8_t *bytes, size_t len)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < len; i++) {
        sum = (uint8_t)(sum + bytes[i]);
    }
    return sum == 0;
}

int acpi_parse_rsdp(const uint8_t *bytes, size_t len, struct acpi_rsdp *rsdp)
{
    if (len < RSDP_SIZE_V0 || memcmp(bytes, "RSD PTR ", 8) != 0) {
        return -ENOENT;
    }
    if (!acpi_sum_ok(bytes, RSDP_SIZE_V0)) {
        return -EBADMSG;
    }
    *rsdp = (struct acpi_rsdp){.root = get32(bytes + 16), .revision = bytes[15]};
    if (rsdp->revision >= 2) {
        uint32_t size = len < ACPI_RSDP_SIZE ? 0 : get32(bytes + 20);

        if (size < ACPI_RSDP_SIZE || size > len || !acpi_sum_ok(bytes, size)) {
            return -EBADMSG;
        }
        if (get64(bytes + 24) != 0) {
            rsdp->root = get64(bytes + 24);
            rsdp->wide = true;
        }
    }
    return rsdp->root == 0 ? -EBADMSG : 0;
}

ssize_t acpi_scan_rsdp(const uint8_t *area, size_t len, struct acpi_rsdp *rsdp)
{
    for (size_t at = 0; at < len; at += ACPI_RSDP_ALIGN) {
        if (acpi_parse_rsdp(area + at, len - at, rsdp) == 0) {
            return (ssize_t)at;
        }
    }
    return -ENOENT;
}

/* A fixed-size text field as a string that can be printed. */
static void get_text(const uint8_t *b, size_t n, char *text)
{
    for (size_t i = 0; i < n; i++) {
        text[i] = '?';
        if (b[i] >= ' ' && b[i] < 0x7f) {
            text[i] = (char)b[i];
        }
    }
    text[n] = '\0';
}

int acpi_parse_header(const uint8_t *bytes, size_t len, struct acpi_header *header)
{
    if (len < ACPI_HEADER_SIZE || get32(bytes + 4) < ACPI_HEADER_SIZE) {
        return -EBADMSG;
    }
    get_text(bytes, 4, header->signature);
    get_text(bytes + 10, 6, header->oem);
    header->length = get32(bytes + 4);
    header->revision = bytes[8];
    return 0;
}

bool acpi_root_entry(const uint8_t *table, size_t len, bool wide, unsigned index, uint64_t *at)
{
    size_t size = wide ? 8 : 4;

    if (len < ACPI_HEADER_SIZE || index >= (len - ACPI_HEADER_SIZE) / size) {
        return false;
    }
    const uint8_t *entry = table + ACPI_HEADER_SIZE + index * size;
    *at = wide ? get64(entry) : get32(entry);
    return true;
}

/* A field that later revisions have as eight bytes at @wide, earlier as four at @narrow. */
static uint64_t get_address(const uint8_t *table, size_t len, size_t narrow, size_t wide)
{
    uint64_t address = len >= wide + 8 ? get64(table + wide) : 0;

    return address != 0 ? address : get32(table + narrow);
}

int acpi_parse_fadt(const uint8_t *table, size_t len, struct acpi_fadt *fadt)
{
    if (len < 116) { /* revision 1 */
        return -EBADMSG;
    }
    uint32_t flags = get32(table + 112);

    *fadt = (struct acpi_fadt){
        .facs = get_address(table, len, 36, 132),
        .dsdt = get_address(table, len, 40, 140),
        .sci = get16(table + 46),
        .smi_port = get32(table + 48),
        .acpi_enable = table[52],
        .pm1a_event = get32(table + 56),
        .pm1b_event = get32(table + 60),
        .pm1a_control = get32(table + 64),
        .pm1b_control = get32(table + 68),
        .pm1_event_size = table[88],
        .power_button = (flags & 1u << 4) == 0,
        .hardware_reduced = (flags & 1u << 20) != 0,
    };
    return 0;
}

void acpi_parse_line(const uint8_t *madt, size_t len, unsigned isa, struct acpi_line *line)
{
    size_t size;

    for (size_t at = MADT_ENTRIES; at + 2 <= len; at += size) {
        const uint8_t *entry = madt + at;

        size = entry[1];
        if (size < 2 || size > len - at) {
            return;
        }
        if (entry[0] == MADT_OVERRIDE && size >= MADT_OVERRIDE_SIZE && entry[3] == isa) {
            unsigned polarity = entry[8] & 3, trigger = entry[8] >> 2 & 3;

            line->gsi = get32(entry + 4);
            line->active_low = polarity == 0 ? line->active_low : polarity == 3;
            line->level = trigger == 0 ? line->level : trigger == 3;
        }
    }
}

/* A constant at *@at; moves past it. Return: the value or -ENOENT. */
static int aml_constant(const uint8_t *aml, size_t len, size_t *at)
{
    size_t left = len - *at;
    const uint8_t *b = aml + *at;
    size_t size = left == 0           ? 0
                  : b[0] <= AML_ONE   ? 1
                  : b[0] == AML_BYTE  ? 2
                  : b[0] == AML_WORD  ? 3
                  : b[0] == AML_DWORD ? 5
                                      : 0;

    if (size == 0 || size > left) {
        return -ENOENT;
    }
    *at += size;
    uint32_t value = size == 1 ? b[0] : size == 2 ? b[1] : size == 3 ? get16(b + 1) : get32(b + 1);
    return value > SLEEP_TYPES ? -ENOENT : (int)value;
}

/* A package of at least two constants at @at: its first two. */
static int s5_package(const uint8_t *aml, size_t len, size_t at, uint8_t types[2])
{
    if (len - at < 4 || aml[at] != AML_PACKAGE) {
        return -ENOENT;
    }
    /* PkgLength: the lead byte's upper two bits count the bytes that follow it. */
    at += 2 + (aml[at + 1] >> 6);
    if (at >= len || aml[at] < 2) {
        return -ENOENT;
    }
    at++;
    for (unsigned i = 0; i < 2; i++) {
        int value = aml_constant(aml, len, &at);

        if (value < 0) {
            return value;
        }
        types[i] = (uint8_t)value;
    }
    return 0;
}

int acpi_find_s5(const uint8_t *table, size_t len, uint8_t types[2])
{
    for (size_t at = ACPI_HEADER_SIZE + 1; at + 4 < len; at++) {
        bool name =
            memcmp(table + at, "_S5_", 4) == 0 &&
            (table[at - 1] == AML_NAME || (table[at - 1] == AML_ROOT && table[at - 2] == AML_NAME));

        if (name && s5_package(table, len, at + 4, types) == 0) {
            return 0;
        }
    }
    return -ENOENT;
}
