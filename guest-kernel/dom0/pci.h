/*
 * pci.h - what stands on the machine's PCI buses.
 *
 * Found once at boot through configuration mechanism 1 (ports 0xcf8 and 0xcfc; the first 256 bytes
 * of each function); the list is constant afterwards. Suspend: a dom0 is not saved.
 */
#ifndef DOM0_PCI_H
#define DOM0_PCI_H

#include "kern/types.h"

#define PCI_BARS 6

/* A base address register: memory or ports that a function answers to. */
struct pci_bar {
    uint64_t at;   /* 0 with size 0: not there */
    uint64_t size; /* 0 with an address: Xen lets nobody measure it */
    bool io, wide, prefetch;
};

struct pci_function {
    uint8_t bus, slot, function;
    uint16_t vendor, device;
    uint8_t base_class, sub_class, interface, revision;
    uint8_t secondary; /* of a bridge: the bus behind it, else 0 */
    uint8_t line, pin; /* interrupt line as the firmware set it; pin 1 is INTA, 0 none */
    struct pci_bar bars[PCI_BARS];
};

/** pci_init() - look through all buses that bridges lead to. Thread context, once. */
void pci_init(void);

/** pci_function() - the @index'th, in the order in which they were found; NULL past the last. */
const struct pci_function *pci_function(unsigned index);

/** pci_class_name() - what kind of device a class is, "?" if the table lacks it. */
const char *pci_class_name(uint8_t base_class, uint8_t sub_class);

#endif /* DOM0_PCI_H */
