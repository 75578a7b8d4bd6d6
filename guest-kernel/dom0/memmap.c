/*
 * memmap.c - the machine's memory map, and copying out of firmware memory.
 *
 * Owns the copy of the map. Firmware memory belongs to no domain; dom0 may map it by its frame
 * number, which is done one page at a time through a window in kvm space.
 * Locks: none; the map is constant after memmap_init(). Suspend: a dom0 is not saved.
 */
#include "dom0/memmap.h"

#include "hat/kvm.h"
#include "kern/log.h"
#include "kern/string.h"
#include "os/hypercall.h"

#define MAX_RANGES   128u /* what Xen itself keeps at most, by default */
#define LEGACY_LIMIT 0x100000ull

static struct memmap_range map[MAX_RANGES];
static unsigned count;

const struct memmap_range *memmap_range(unsigned index)
{
    return index < count ? &map[index] : NULL;
}

const char *memmap_type_name(uint32_t type)
{
    switch (type) {
    case MEMMAP_RAM:
        return "usable";
    case MEMMAP_RESERVED:
        return "reserved";
    case MEMMAP_ACPI:
        return "ACPI tables";
    case MEMMAP_NVS:
        return "ACPI NVS";
    case MEMMAP_UNUSABLE:
        return "unusable";
    default:
        return "other";
    }
}

void memmap_init(void)
{
    struct xen_memory_map op = {.nr_entries = MAX_RANGES};
    uint64_t usable = 0;

    set_xen_guest_handle(op.buffer, map);
    long rc = HYPERVISOR_memory_op(XENMEM_machine_memory_map, &op);
    if (rc < 0) {
        log_err("memmap: Xen does not give the machine's memory map: %s", errno_name((int)rc));
        return;
    }
    count = MIN(op.nr_entries, MAX_RANGES);
    for (unsigned i = 0; i < count; i++) {
        usable += map[i].type == MEMMAP_RAM ? map[i].size : 0;
    }
    log_info("memmap: %u ranges, %llu MiB usable by Xen and all domains", count,
             (unsigned long long)(usable >> 20));
}

/* Whether the firmware keeps all of it. Written so that no sum can overflow. */
static bool is_firmware_memory(uint64_t from, uint64_t len)
{
    if (from < LEGACY_LIMIT && len <= LEGACY_LIMIT - from) {
        return true;
    }
    for (unsigned i = 0; i < count; i++) {
        const struct memmap_range *r = &map[i];

        if (r->type != MEMMAP_RAM && from >= r->start && from - r->start <= r->size &&
            len <= r->size - (from - r->start)) {
            return true;
        }
    }
    return false;
}

int memmap_copy(void *to, maddr_t from, size_t len)
{
    char *at = to;
    int rc = 0;

    if (!is_firmware_memory(from.a, len)) {
        return -ERANGE;
    }
    char *window = kvm_reserve(1);
    if (window == NULL) {
        return -ENOMEM;
    }
    while (len > 0 && rc == 0) {
        size_t offset = from.a & ~PAGE_MASK;
        size_t n = MIN(len, PAGE_SIZE - offset);
        mfn_t mfn = maddr_to_mfn(from);

        rc = kvm_map(window, &mfn, 1, HAT_READ);
        if (rc == 0) {
            memcpy(at, window + offset, n);
            kvm_unmap(window, 1);
        }
        at += n;
        from.a += n;
        len -= n;
    }
    kvm_release(window, 1);
    return rc;
}
