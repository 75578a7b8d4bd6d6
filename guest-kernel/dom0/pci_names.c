/*
 * pci_names.c - names of PCI classes, as the PCI Code and ID Assignment Specification numbers them.
 */
#include "dom0/pci.h"

#define ANY 0xff /* matches every sub-class; stands last of its class */

static const struct {
    uint8_t base, sub;
    const char *name;
} names[] = {
    {0x00, 0x01, "VGA compatible device"},
    {0x00, ANY, "device of no class"},
    {0x01, 0x00, "SCSI controller"},
    {0x01, 0x01, "IDE controller"},
    {0x01, 0x04, "RAID controller"},
    {0x01, 0x06, "SATA controller"},
    {0x01, 0x07, "SAS controller"},
    {0x01, 0x08, "NVM controller"},
    {0x01, ANY, "storage controller"},
    {0x02, 0x00, "Ethernet controller"},
    {0x02, ANY, "network controller"},
    {0x03, 0x00, "VGA controller"},
    {0x03, ANY, "display controller"},
    {0x04, 0x03, "audio device"},
    {0x04, ANY, "multimedia controller"},
    {0x05, ANY, "memory controller"},
    {0x06, 0x00, "host bridge"},
    {0x06, 0x01, "ISA bridge"},
    {0x06, 0x04, "PCI bridge"},
    {0x06, ANY, "bridge"},
    {0x07, 0x00, "serial controller"},
    {0x07, ANY, "communication controller"},
    {0x08, ANY, "system peripheral"},
    {0x09, ANY, "input controller"},
    {0x0a, ANY, "docking station"},
    {0x0b, ANY, "processor"},
    {0x0c, 0x03, "USB controller"},
    {0x0c, 0x05, "SMBus controller"},
    {0x0c, ANY, "serial bus controller"},
    {0x0d, ANY, "wireless controller"},
    {0x0e, ANY, "intelligent controller"},
    {0x0f, ANY, "satellite controller"},
    {0x10, ANY, "encryption controller"},
    {0x11, ANY, "signal processing controller"},
    {0x12, ANY, "processing accelerator"},
    {0xff, ANY, "device of a class of its own"},
};

const char *pci_class_name(uint8_t base_class, uint8_t sub_class)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (names[i].base == base_class && (names[i].sub == sub_class || names[i].sub == ANY)) {
            return names[i].name;
        }
    }
    return "?";
}
