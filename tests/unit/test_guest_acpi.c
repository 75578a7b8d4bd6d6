/*
 * dom0's reading of ACPI tables. Firmware is taken as it comes, so every table cut at every length,
 * and every length field out of range, must be refused or answered from the bytes that are there.
 * Each case works on a copy of exact size, so that the sanitizer sees any byte too far.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "dom0/acpi_parse.h"

/* Makes all bytes add up to zero by the one at @at. */
static void fix_sum(uint8_t *bytes, size_t len, size_t at)
{
    uint8_t sum = 0;

    bytes[at] = 0;
    for (size_t i = 0; i < len; i++) {
        sum = (uint8_t)(sum + bytes[i]);
    }
    bytes[at] = (uint8_t)-sum;
}

static void put32(uint8_t *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        at[i] = (uint8_t)(value >> 8 * i);
    }
}

static uint8_t *exact_copy(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);

    assert_non_null(copy);
    memcpy(copy, bytes, len);
    return copy;
}

static void make_rsdp(uint8_t rsdp[ACPI_RSDP_SIZE], uint8_t revision)
{
    static const uint8_t signature[8] = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '};

    memset(rsdp, 0, ACPI_RSDP_SIZE);
    memcpy(rsdp, signature, sizeof(signature));
    rsdp[15] = revision;
    put32(rsdp + 16, 0x1000);
    put32(rsdp + 20, ACPI_RSDP_SIZE);
    put32(rsdp + 24, 0x2000);
    put32(rsdp + 28, 1);
    fix_sum(rsdp, 20, 8);
    fix_sum(rsdp, ACPI_RSDP_SIZE, 32);
}

static void root_pointer_of_each_revision(void **state)
{
    uint8_t bytes[ACPI_RSDP_SIZE];
    struct acpi_rsdp rsdp;

    (void)state;
    make_rsdp(bytes, 0);
    assert_int_equal(acpi_parse_rsdp(bytes, 20, &rsdp), 0);
    assert_int_equal(rsdp.root, 0x1000);
    assert_false(rsdp.wide);
    make_rsdp(bytes, 2);
    assert_int_equal(acpi_parse_rsdp(bytes, sizeof(bytes), &rsdp), 0);
    assert_int_equal(rsdp.root, 0x100002000);
    assert_true(rsdp.wide);
}

static void damaged_root_pointer_is_refused(void **state)
{
    uint8_t bytes[ACPI_RSDP_SIZE];
    struct acpi_rsdp rsdp;

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        make_rsdp(bytes, 2);
        bytes[i] ^= 0x10;
        assert_int_not_equal(acpi_parse_rsdp(bytes, sizeof(bytes), &rsdp), 0);
    }
    make_rsdp(bytes, 2);
    for (size_t len = 0; len < sizeof(bytes); len++) {
        uint8_t *copy = exact_copy(bytes, len);

        assert_int_not_equal(acpi_parse_rsdp(copy, len, &rsdp), 0);
        free(copy);
    }
}

static void scan_finds_aligned_pointers_only(void **state)
{
    uint8_t area[256] = {0}, bytes[ACPI_RSDP_SIZE];
    struct acpi_rsdp rsdp;

    (void)state;
    make_rsdp(bytes, 2);
    memcpy(area + 40, bytes, sizeof(bytes));
    assert_int_equal(acpi_scan_rsdp(area, sizeof(area), &rsdp), -ENOENT);
    memcpy(area + 208, bytes, sizeof(bytes));
    assert_int_equal(acpi_scan_rsdp(area, sizeof(area), &rsdp), 208);
    uint8_t *cut = exact_copy(area, 208 + 30);
    assert_int_equal(acpi_scan_rsdp(cut, 208 + 30, &rsdp), -ENOENT);
    free(cut);
}

static void header_text_is_printable(void **state)
{
    uint8_t bytes[ACPI_HEADER_SIZE] = {'A', 0x1b, 'I', 0xff};
    struct acpi_header header;

    (void)state;
    put32(bytes + 4, sizeof(bytes));
    assert_int_equal(acpi_parse_header(bytes, sizeof(bytes), &header), 0);
    assert_string_equal(header.signature, "A?I?");
    assert_int_equal(header.length, sizeof(bytes));
    put32(bytes + 4, sizeof(bytes) - 1);
    assert_int_equal(acpi_parse_header(bytes, sizeof(bytes), &header), -EBADMSG);
    assert_int_equal(acpi_parse_header(bytes, sizeof(bytes) - 1, &header), -EBADMSG);
}

static void root_entries_end_with_the_table(void **state)
{
    uint8_t table[ACPI_HEADER_SIZE + 13] = {0};
    uint64_t at;

    (void)state;
    put32(table + ACPI_HEADER_SIZE, 0x11);
    put32(table + ACPI_HEADER_SIZE + 4, 0x22);
    assert_true(acpi_root_entry(table, sizeof(table), false, 1, &at));
    assert_int_equal(at, 0x22);
    assert_true(acpi_root_entry(table, sizeof(table), true, 0, &at));
    assert_int_equal(at, 0x2200000011);
    assert_true(acpi_root_entry(table, sizeof(table), false, 2, &at));
    assert_false(acpi_root_entry(table, sizeof(table), false, 3, &at));
    assert_false(acpi_root_entry(table, sizeof(table), true, 1, &at));
    assert_false(acpi_root_entry(table, 10, true, 0, &at));
}

static void fadt_takes_the_wide_address_where_there_is_one(void **state)
{
    uint8_t table[148] = {0};
    struct acpi_fadt fadt;

    (void)state;
    put32(table + 40, 0x1000);
    put32(table + 64, 0x604);
    put32(table + 112, 1u << 4);
    assert_int_equal(acpi_parse_fadt(table, 115, &fadt), -EBADMSG);
    assert_int_equal(acpi_parse_fadt(table, 116, &fadt), 0);
    assert_int_equal(fadt.dsdt, 0x1000);
    assert_int_equal(fadt.pm1a_control, 0x604);
    assert_false(fadt.power_button);
    assert_int_equal(acpi_parse_fadt(table, sizeof(table), &fadt), 0);
    assert_int_equal(fadt.dsdt, 0x1000);
    put32(table + 140, 0x2000);
    assert_int_equal(acpi_parse_fadt(table, sizeof(table), &fadt), 0);
    assert_int_equal(fadt.dsdt, 0x2000);
}

static void lines_are_wired_as_the_madt_says(void **state)
{
    static const uint8_t entries[] = {
        0,    8,    0, 0, 1,  0, 0, 0,         /* a processor */
        2,    10,   0, 0, 2,  0, 0, 0, 0,   0, /* ISA 0 is line 2, wired as ISA is */
        2,    10,   0, 9, 20, 0, 0, 0, 0xf, 0, /* ISA 9 is line 20, level, active low */
        2,    4,    0, 5,                      /* too short: says nothing */
        0xff, 0xff,                            /* reaches past the end */
    };
    uint8_t madt[44 + sizeof(entries)] = {0};

    (void)state;
    memcpy(madt + 44, entries, sizeof(entries));
    for (size_t len = 0; len <= sizeof(madt); len++) {
        uint8_t *copy = exact_copy(madt, len);
        struct acpi_line timer = {.gsi = 0}, sci = {.gsi = 9}, other = {.gsi = 5};

        acpi_parse_line(copy, len, 0, &timer);
        acpi_parse_line(copy, len, 9, &sci);
        acpi_parse_line(copy, len, 5, &other);
        free(copy);
        assert_int_equal(timer.gsi, len >= 44 + 18 ? 2 : 0);
        assert_false(timer.level);
        assert_int_equal(sci.gsi, len >= 44 + 28 ? 20 : 9);
        assert_int_equal(sci.level, len >= 44 + 28);
        assert_int_equal(sci.active_low, len >= 44 + 28);
        assert_int_equal(other.gsi, 5);
    }
}

/* A table that holds @aml behind its header, and what is found in it. */
static int find_s5(const uint8_t *aml, size_t size, uint8_t types[2])
{
    uint8_t *table = calloc(1, ACPI_HEADER_SIZE + size);

    assert_non_null(table);
    memcpy(table + ACPI_HEADER_SIZE, aml, size);
    int rc = acpi_find_s5(table, ACPI_HEADER_SIZE + size, types);
    free(table);
    return rc;
}

static void soft_off_types_in_each_encoding(void **state)
{
    static const uint8_t bytes[] = {0, 0x08, '_', 'S',  '5', '_', 0x12, 6,
                                    4, 0x0a, 5,   0x0a, 7,   0,   0};
    static const uint8_t rooted[] = {0x08, '\\', '_',  'S', '5', '_', 0x12, 8,
                                     4,    1,    0x0b, 3,   0,   0,   0};
    static const uint8_t longer[] = {0x08, '_',  'S', '5', '_', 0x12, 0x4b, 0,
                                     2,    0x0c, 2,   0,   0,   0,    0x00};
    uint8_t types[2];

    (void)state;
    assert_int_equal(find_s5(bytes, sizeof(bytes), types), 0);
    assert_int_equal(types[0], 5);
    assert_int_equal(types[1], 7);
    assert_int_equal(find_s5(rooted, sizeof(rooted), types), 0);
    assert_int_equal(types[0], 1);
    assert_int_equal(types[1], 3);
    assert_int_equal(find_s5(longer, sizeof(longer), types), 0);
    assert_int_equal(types[0], 2);
    assert_int_equal(types[1], 0);
}

static void what_is_no_s5_package_is_passed_over(void **state)
{
    static const uint8_t reference[] = {0x10, '_', 'S', '5', '_', 0x12, 6, 4, 0, 0, 0, 0};
    static const uint8_t too_large[] = {0x08, '_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 8, 0, 0};
    static const uint8_t one_entry[] = {0x08, '_', 'S', '5', '_', 0x12, 4, 1, 0, 0};
    static const uint8_t whole[] = {0x08, '_', 'S',  '5', '_', 0x12, 0xc6, 0, 0,
                                    0,    4,   0x0c, 5,   0,   0,    0,    1};
    uint8_t types[2];

    (void)state;
    assert_int_equal(find_s5(reference, sizeof(reference), types), -ENOENT);
    assert_int_equal(find_s5(too_large, sizeof(too_large), types), -ENOENT);
    assert_int_equal(find_s5(one_entry, sizeof(one_entry), types), -ENOENT);
    for (size_t len = 0; len < sizeof(whole); len++) {
        assert_int_equal(find_s5(whole, len, types), -ENOENT);
    }
    assert_int_equal(find_s5(whole, sizeof(whole), types), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root_pointer_of_each_revision),
        cmocka_unit_test(damaged_root_pointer_is_refused),
        cmocka_unit_test(scan_finds_aligned_pointers_only),
        cmocka_unit_test(header_text_is_printable),
        cmocka_unit_test(root_entries_end_with_the_table),
        cmocka_unit_test(fadt_takes_the_wide_address_where_there_is_one),
        cmocka_unit_test(lines_are_wired_as_the_madt_says),
        cmocka_unit_test(soft_off_types_in_each_encoding),
        cmocka_unit_test(what_is_no_s5_package_is_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
