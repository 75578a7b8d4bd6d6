/*
 * memmap.h - where the machine has memory, and a look into it.
 *
 * The map is the firmware's, as Xen found it (XENMEM_machine_memory_map); it is read once at boot
 * and constant afterwards. Any context, but memmap_copy(). Suspend: a dom0 is not saved.
 */
#ifndef DOM0_MEMMAP_H
#define DOM0_MEMMAP_H

#include "hat/addr.h"

/* One range, laid out as the BIOS call 0xe820 and Xen have it. */
struct memmap_range {
    uint64_t start; /* machine address */
    uint64_t size;  /* bytes */
    uint32_t type;  /* MEMMAP_* or another number of the firmware's */
} __packed;

enum { MEMMAP_RAM = 1, MEMMAP_RESERVED, MEMMAP_ACPI, MEMMAP_NVS, MEMMAP_UNUSABLE };

/** memmap_init() - ask Xen for the map; the log says what is in it. Thread context, once. */
void memmap_init(void);

/** memmap_range() - the @index'th range in order of addresses, NULL past the last. */
const struct memmap_range *memmap_range(unsigned index);

/** memmap_type_name() - "usable", "reserved", ...; "other" for a type that has no name here. */
const char *memmap_type_name(uint32_t type);

/**
 * memmap_copy() - copy machine memory that the firmware keeps: tables, not memory of domains
 * @from: machine address, need not be aligned
 *
 * What is copied must lie in the first MiB or within one range of the map that is not usable
 * memory. Return: 0, -ERANGE if it does not, -ENOMEM, or Xen's refusal. Thread context.
 */
int memmap_copy(void *to, maddr_t from, size_t len) __must_check;

#endif /* DOM0_MEMMAP_H */
