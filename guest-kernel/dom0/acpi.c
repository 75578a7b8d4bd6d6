/*
 * acpi.c - finding the ACPI tables.
 *
 * Firmware with a BIOS puts the root pointer into the first KiB of its extended data area or into
 * the 128 KiB below 1 MiB, at a multiple of 16. It names the RSDT or XSDT, that names the others;
 * the FADT names two more, DSDT and FACS. Each is copied once and checked for length and sum; what
 * is not sound is listed as such and not used. Owns the list. Locks: none; constant after
 * acpi_init(). Suspend: a dom0 is not saved.
 */
#include "dom0/acpi.h"

#include "dom0/memmap.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"

#define MAX_TABLES   64u
#define TABLE_LIMIT  (2u << 20) /* bytes; a longer one is taken for damaged */
#define EBDA_POINTER 0x40eull   /* its segment, in the BIOS data area */
#define EBDA_SIZE    1024u
#define BIOS_START   0xe0000ull
#define BIOS_SIZE    0x20000u

static struct acpi_table tables[MAX_TABLES];
static unsigned count;

const struct acpi_table *acpi_table(unsigned index)
{
    return index < count ? &tables[index] : NULL;
}

const struct acpi_table *acpi_find(const char *signature)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(tables[i].header.signature, signature) == 0) {
            return &tables[i];
        }
    }
    return NULL;
}

const char *acpi_sum_name(enum acpi_sum sum)
{
    static const char *const names[] = {
        [ACPI_SUM_GOOD] = "good",
        [ACPI_SUM_BAD] = "bad",
        [ACPI_SUM_NONE] = "none",
        [ACPI_UNREADABLE] = "unreadable",
    };

    return names[sum];
}

/* A copy of @len bytes of firmware memory, or NULL. */
static uint8_t *copy_out(maddr_t from, size_t len)
{
    uint8_t *copy = kmalloc(len);

    if (copy != NULL && memmap_copy(copy, from, len) != 0) {
        kfree(copy);
        copy = NULL;
    }
    return copy;
}

uint8_t *acpi_copy(const struct acpi_table *table, size_t *len)
{
    uint8_t *copy = table->sum == ACPI_SUM_GOOD ? copy_out(table->at, table->header.length) : NULL;

    *len = table->header.length;
    if (copy != NULL && !acpi_sum_ok(copy, *len)) { /* it is not what it was at boot */
        kfree(copy);
        copy = NULL;
    }
    return copy;
}

void acpi_line(unsigned isa, struct acpi_line *line)
{
    const struct acpi_table *t = acpi_find("APIC");
    size_t len;
    uint8_t *copy = t != NULL ? acpi_copy(t, &len) : NULL;

    if (copy != NULL) {
        acpi_parse_line(copy, len, isa, line);
    }
    kfree(copy);
}

/* Adds the table at @at, if there is one and it is new. Return: it or NULL. */
static struct acpi_table *add_table(uint64_t at)
{
    uint8_t header[ACPI_HEADER_SIZE];
    struct acpi_table t = {.at = {at}, .sum = ACPI_UNREADABLE};

    if (at == 0 || count == MAX_TABLES) {
        return NULL;
    }
    for (unsigned i = 0; i < count; i++) {
        if (tables[i].at.a == at) {
            return &tables[i];
        }
    }
    if (memmap_copy(header, t.at, sizeof(header)) != 0 ||
        acpi_parse_header(header, sizeof(header), &t.header) != 0) {
        log_warn("acpi: no table at %#llx, where one should be", (unsigned long long)at);
        return NULL;
    }
    uint8_t *copy = t.header.length <= TABLE_LIMIT ? copy_out(t.at, t.header.length) : NULL;
    if (strcmp(t.header.signature, "FACS") == 0) {
        t.sum = ACPI_SUM_NONE; /* it changes while the machine runs */
        t.header.oem[0] = '\0';
        t.header.revision = 0;
    } else if (copy != NULL) {
        t.sum = acpi_sum_ok(copy, t.header.length) ? ACPI_SUM_GOOD : ACPI_SUM_BAD;
    }
    kfree(copy);
    tables[count] = t;
    return &tables[count++];
}

/* The tables that only the FADT names. */
static void add_fadt_tables(const struct acpi_table *table)
{
    struct acpi_fadt fadt;
    size_t len;
    uint8_t *copy = acpi_copy(table, &len);

    if (copy != NULL && acpi_parse_fadt(copy, len, &fadt) == 0) {
        (void)add_table(fadt.dsdt);
        (void)add_table(fadt.facs);
    }
    kfree(copy);
}

static int scan(uint64_t from, size_t len, struct acpi_rsdp *rsdp)
{
    uint8_t *area = copy_out((maddr_t){from}, len);
    ssize_t at = area == NULL ? -ENOMEM : acpi_scan_rsdp(area, len, rsdp);

    kfree(area);
    if (at < 0) {
        return (int)at;
    }
    log_info("acpi: revision %u, root pointer at %#llx", rsdp->revision,
             (unsigned long long)(from + (uint64_t)at));
    return 0;
}

static int find_rsdp(struct acpi_rsdp *rsdp)
{
    uint8_t segment[2];
    int rc = memmap_copy(segment, (maddr_t){EBDA_POINTER}, sizeof(segment));

    if (rc != 0) {
        return rc;
    }
    uint64_t ebda = (uint64_t)(segment[0] | segment[1] << 8) << 4;
    rc = ebda != 0 ? scan(ebda, EBDA_SIZE, rsdp) : -ENOENT;
    return rc == 0 ? 0 : scan(BIOS_START, BIOS_SIZE, rsdp);
}

void acpi_init(void)
{
    struct acpi_rsdp rsdp;
    size_t len;
    int rc = find_rsdp(&rsdp);

    if (rc != 0) {
        log_warn("acpi: no root pointer in the BIOS area: %s", errno_name(rc));
        return;
    }
    const struct acpi_table *root = add_table(rsdp.root);
    uint8_t *list = root == NULL ? NULL : acpi_copy(root, &len);
    if (list == NULL) {
        log_warn("acpi: the list of tables at %#llx is damaged", (unsigned long long)rsdp.root);
        return;
    }
    uint64_t at;
    for (unsigned i = 0; acpi_root_entry(list, len, rsdp.wide, i, &at); i++) {
        const struct acpi_table *t = add_table(at);

        if (t != NULL && strcmp(t->header.signature, "FACP") == 0) {
            add_fadt_tables(t);
        }
    }
    kfree(list);
    log_info("acpi: %u tables", count);
}
