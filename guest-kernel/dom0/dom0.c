/*
 * dom0.c - what a dom0 does beyond what every domain does, in the order in which it does it.
 *
 * Each step says what it found and is allowed to find nothing: a machine without ACPI has no soft
 * off, and still runs. Suspend: a dom0 is not saved.
 */
#include "dom0/dom0.h"

#include "dom0/acpi.h"
#include "dom0/ioport.h"
#include "dom0/memmap.h"
#include "dom0/pci.h"
#include "dom0/pirq.h"
#include "dom0/power.h"
#include "dom0/rtc.h"
#include "os/start_info.h"

void dom0_init(void)
{
    if (!is_dom0()) {
        return;
    }
    memmap_init(); /* where the machine has memory */
    acpi_init();   /* what its firmware says of it */
    ioport_init(); /* in and out work from here on */
    pci_init();    /* what is plugged in */
    pirq_init();   /* interrupts of the machine can be bound */
    rtc_init();
    power_init(); /* the machine can be turned off, by its button too */
}
