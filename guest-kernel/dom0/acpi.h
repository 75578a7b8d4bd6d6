/*
 * acpi.h - the machine's ACPI tables.
 *
 * Found once at boot by way of the root pointer in the legacy BIOS area; the list is constant
 * afterwards, so that it is read in any context. Suspend: a dom0 is not saved.
 */
#ifndef DOM0_ACPI_H
#define DOM0_ACPI_H

#include "dom0/acpi_parse.h"
#include "hat/addr.h"

enum acpi_sum { ACPI_SUM_GOOD, ACPI_SUM_BAD, ACPI_SUM_NONE, ACPI_UNREADABLE };

struct acpi_table {
    struct acpi_header header;
    maddr_t at;
    enum acpi_sum sum;
};

/** acpi_init() - find the tables; the log says how many. Thread context, once. */
void acpi_init(void);

/** acpi_table() - the @index'th table in the order of the list, NULL past the last. */
const struct acpi_table *acpi_table(unsigned index);

/** acpi_sum_name() - "good", "bad", "none" (the table has no sum), "unreadable". */
const char *acpi_sum_name(enum acpi_sum sum);

/**
 * acpi_copy() - a copy of a table, to be kfree()d
 * @len: its bytes
 *
 * Return: NULL when it cannot be read, its sum is bad, or memory ran out. Thread context.
 */
uint8_t *acpi_copy(const struct acpi_table *table, size_t *len);

/** acpi_line() - how an ISA interrupt is wired; @line as of acpi_parse_line(). Thread context. */
void acpi_line(unsigned isa, struct acpi_line *line);

/** acpi_find() - the first table with this signature, or NULL. */
const struct acpi_table *acpi_find(const char *signature);

#endif /* DOM0_ACPI_H */
