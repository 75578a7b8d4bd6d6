/*
 * pci.c - the walk over the PCI buses.
 *
 * Begins at bus 0 and goes on behind each bridge, once per bus, whatever bridges claim. The size of
 * a register is found by writing ones to it while the function answers to nothing, which is safe
 * as long as nobody drives the device; Xen lets no write through to a device that it uses itself.
 * Owns the list of functions. Locks: config_lock (spinlock), a leaf: the address port and the data
 * port belong together. Suspend: a dom0 is not saved.
 */
#include "dom0/pci.h"

#include "dom0/ioport.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "kern/mem.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc
#define CONFIG_ENABLE  0x80000000u

#define MAX_FUNCTIONS 256u
#define SLOTS         32
#define FUNCTIONS     8

/* Configuration registers, by the double word they are in. */
enum {
    REG_ID = 0x00,
    REG_COMMAND = 0x04, /* status above it */
    REG_CLASS = 0x08,
    REG_HEADER = 0x0c, /* type in bits 16-23 */
    REG_BAR0 = 0x10,
    REG_BUSES = 0x18, /* of a bridge: primary, secondary, subordinate */
    REG_INTERRUPT = 0x3c,
};

enum { COMMAND_IO = 1, COMMAND_MEMORY = 2 };
enum { BAR_IO = 1, BAR_TYPE_MASK = 6, BAR_TYPE_64 = 4, BAR_PREFETCH = 8 };

#define HEADER_MULTIFUNCTION 0x80
#define CLASS_BRIDGE         6

static spinlock_t config_lock = SPINLOCK("pci-config");
static struct pci_function *found[MAX_FUNCTIONS];
static unsigned count;

static uint32_t config_address(const struct pci_function *f, unsigned reg)
{
    return CONFIG_ENABLE | (uint32_t)f->bus << 16 | (uint32_t)f->slot << 11 |
           (uint32_t)f->function << 8 | reg;
}

static uint32_t config_read(const struct pci_function *f, unsigned reg)
{
    upcall_state_t state = spin_lock(&config_lock);

    ioport_write32(CONFIG_ADDRESS, config_address(f, reg));
    uint32_t value = ioport_read32(CONFIG_DATA);
    spin_unlock(&config_lock, state);
    return value;
}

static void config_write(const struct pci_function *f, unsigned reg, uint32_t value)
{
    upcall_state_t state = spin_lock(&config_lock);

    ioport_write32(CONFIG_ADDRESS, config_address(f, reg));
    ioport_write32(CONFIG_DATA, value);
    spin_unlock(&config_lock, state);
}

/* The bits of a base address register that can be set, which tell its size. */
static uint32_t bar_writable_bits(const struct pci_function *f, unsigned reg, uint32_t original)
{
    config_write(f, reg, UINT32_MAX);
    uint32_t bits = config_read(f, reg);
    config_write(f, reg, original);
    return bits == original ? 0 : bits; /* unchanged: the write did not get through */
}

/* Reads the register at @index into the function's list. Return: how many registers it takes. */
static unsigned read_bar(struct pci_function *f, unsigned index, unsigned limit)
{
    unsigned reg = REG_BAR0 + 4 * index;
    uint32_t low = config_read(f, reg), bits = bar_writable_bits(f, reg, low);
    struct pci_bar *bar = &f->bars[index];

    bar->io = low & BAR_IO;
    uint32_t flags = bar->io ? 3 : 15;
    if (bar->io) {
        bits |= bits != 0 ? 0xffff0000u : 0; /* ports have 16 bits, and so may the register */
    } else {
        bar->prefetch = low & BAR_PREFETCH;
        bar->wide = (low & BAR_TYPE_MASK) == BAR_TYPE_64 && index + 1 < limit;
    }
    uint64_t mask = (int32_t)(bits & ~flags); /* with the bits above as they are */
    bar->at = low & ~flags;
    if (bar->wide) {
        uint32_t high = config_read(f, reg + 4);
        uint32_t high_bits = bar_writable_bits(f, reg + 4, high);

        bar->at |= (uint64_t)high << 32;
        mask = (uint32_t)mask | (uint64_t)high_bits << 32;
    }
    bar->size = mask & -mask;
    return bar->wide ? 2 : 1;
}

static void read_bars(struct pci_function *f, unsigned limit)
{
    uint32_t command = config_read(f, REG_COMMAND) & 0xffff; /* zeroes leave the status alone */

    config_write(f, REG_COMMAND, command & ~(uint32_t)(COMMAND_IO | COMMAND_MEMORY));
    for (unsigned i = 0; i < limit; i += read_bar(f, i, limit)) {
    }
    config_write(f, REG_COMMAND, command);
}

/* Fills in a function whose place is set. Return: the header's type, or -ENODEV. */
static int read_function(struct pci_function *f)
{
    uint32_t id = config_read(f, REG_ID), class = config_read(f, REG_CLASS);

    if ((id & 0xffff) == 0xffff) {
        return -ENODEV;
    }
    f->vendor = (uint16_t)id;
    f->device = (uint16_t)(id >> 16);
    f->revision = (uint8_t) class;
    f->interface = (uint8_t)(class >> 8);
    f->sub_class = (uint8_t)(class >> 16);
    f->base_class = (uint8_t)(class >> 24);
    uint32_t interrupt = config_read(f, REG_INTERRUPT);
    f->line = (uint8_t)interrupt;
    f->pin = (uint8_t)(interrupt >> 8);
    int type = (int)(config_read(f, REG_HEADER) >> 16 & 0xff);
    switch (type & ~HEADER_MULTIFUNCTION) {
    case 0:
        /* What bridges of the host and the chipset answer to stays on all the time. */
        if (f->base_class != CLASS_BRIDGE) {
            read_bars(f, PCI_BARS);
        }
        break;
    case 1:
        f->secondary = (uint8_t)(config_read(f, REG_BUSES) >> 8);
        break;
    default:
        break;
    }
    return type;
}

/* Looks at one place. Return: as read_function(). */
static int probe(uint8_t bus, unsigned slot, unsigned function)
{
    struct pci_function f = {.bus = bus, .slot = (uint8_t)slot, .function = (uint8_t)function};
    int type = read_function(&f);

    if (type < 0) {
        return type;
    }
    struct pci_function *kept = count < MAX_FUNCTIONS ? kmalloc(sizeof(f)) : NULL;
    if (kept == NULL) {
        log_warn("pci: no room for %02x:%02x.%x in the list", bus, slot, function);
        return type;
    }
    *kept = f;
    found[count++] = kept;
    return type;
}

static void scan_bus(uint8_t bus)
{
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        int type = probe(bus, slot, 0);

        for (unsigned i = 1; type >= 0 && (type & HEADER_MULTIFUNCTION) != 0 && i < FUNCTIONS;
             i++) {
            (void)probe(bus, slot, i);
        }
    }
}

void pci_init(void)
{
    static bool seen[256]; /* buses */

    seen[0] = true;
    scan_bus(0);
    for (unsigned i = 0; i < count; i++) { /* grows as buses are looked at */
        uint8_t behind = found[i]->secondary;

        if (!seen[behind]) {
            seen[behind] = true;
            scan_bus(behind);
        }
    }
    log_info("pci: %u functions", count);
}

const struct pci_function *pci_function(unsigned index)
{
    return index < count ? found[index] : NULL;
}
