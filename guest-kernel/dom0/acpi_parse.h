/*
 * acpi_parse.h - reading ACPI tables that are in memory already.
 *
 * Every function looks at a copy of known length and at nothing else. No state, no locks, nothing
 * of the kernel's: tested on the host. Layouts: ACPI specification 6.4, chapters 5.2 and 20.2.
 */
#ifndef DOM0_ACPI_PARSE_H
#define DOM0_ACPI_PARSE_H

#include "kern/types.h"

#define ACPI_RSDP_SIZE   36 /* of revision 2; revision 0 has 20 */
#define ACPI_HEADER_SIZE 36
#define ACPI_RSDP_ALIGN  16

/* Where the list of tables is. */
struct acpi_rsdp {
    uint64_t root; /* machine address of the XSDT or RSDT */
    bool wide;     /* its entries have eight bytes, not four */
    uint8_t revision;
};

/* The header that all tables but FACS share. */
struct acpi_header {
    char signature[5];
    char oem[7];
    uint32_t length; /* of the whole table */
    uint8_t revision;
};

/* What is used of the FADT. Ports are 0 where the machine has none. */
struct acpi_fadt {
    uint64_t dsdt, facs; /* machine addresses, 0: none */
    uint16_t sci;        /* interrupt, as a global number */
    uint8_t acpi_enable; /* value for smi_port that gives ACPI to the kernel; 0: it has it */
    uint32_t smi_port, pm1a_event, pm1b_event, pm1a_control, pm1b_control;
    uint8_t pm1_event_size; /* bytes: status, then enable, half of it each */
    bool power_button, hardware_reduced;
};

/** acpi_sum_ok() - whether all bytes add up to zero. */
bool acpi_sum_ok(const uint8_t *bytes, size_t len);

/**
 * acpi_parse_rsdp() - the root pointer that may be at @bytes
 *
 * Return: 0, -ENOENT if none is there, -EBADMSG if there is a damaged one.
 */
int acpi_parse_rsdp(const uint8_t *bytes, size_t len, struct acpi_rsdp *rsdp) __must_check;

/** acpi_scan_rsdp() - the first whole one in an area: the offset, or -ENOENT. */
ssize_t acpi_scan_rsdp(const uint8_t *area, size_t len, struct acpi_rsdp *rsdp) __must_check;

/** acpi_parse_header() - 0, or -EBADMSG if it is no header. What does not print becomes '?'. */
int acpi_parse_header(const uint8_t *bytes, size_t len, struct acpi_header *header) __must_check;

/** acpi_root_entry() - the @index'th address in a copy of the XSDT or RSDT; false past the last. */
bool acpi_root_entry(const uint8_t *table, size_t len, bool wide, unsigned index, uint64_t *at);

/** acpi_parse_fadt() - 0, or -EBADMSG if it is too short. */
int acpi_parse_fadt(const uint8_t *table, size_t len, struct acpi_fadt *fadt) __must_check;

/* How an interrupt line of the ISA bus is wired to the I/O APICs. */
struct acpi_line {
    unsigned gsi; /* global number */
    bool level, active_low;
};

/**
 * acpi_parse_line() - what a copy of the MADT says of an ISA interrupt
 * @line: how it is wired if the table has nothing to say of it; changed where it has
 */
void acpi_parse_line(const uint8_t *madt, size_t len, unsigned isa, struct acpi_line *line);

/**
 * acpi_find_s5() - the sleep types of soft off, from the name \_S5 in a DSDT or SSDT
 * @types: the values for PM1a and PM1b control
 *
 * The package is found by its bytes, without interpreting what surrounds it; it must hold two
 * constants. Return: 0 or -ENOENT.
 */
int acpi_find_s5(const uint8_t *table, size_t len, uint8_t types[2]) __must_check;

#endif /* DOM0_ACPI_PARSE_H */
