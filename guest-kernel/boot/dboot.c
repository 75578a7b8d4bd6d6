/*
 * dboot.c - from Xen's entry to a kernel with memory and traps.
 *
 * Runs once, on the boot CPU, on the boot stack, with upcalls masked. The order matters: each step
 * says what it needs. kernel_main() goes on from here.
 */
#include "boot/dboot.h"

#include "boot/main.h"
#include "hat/hat.h"
#include "hat/p2m.h"
#include "kern/page.h"
#include "os/cmdline.h"
#include "os/evtchn.h"
#include "os/start_info.h"
#include "psm/clock.h"
#include "psm/cpu.h"
#include "psm/trap.h"

void dboot(struct start_info *info)
{
    pfn_t first_free;

    start_info = info;
    cpu_boot_early();        /* %gs, so that locks and this_cpu() work */
    trap_boot();             /* from here on a mistake is a panic, not a silent crash */
    p2m_boot_early();        /* pfn to mfn, read through the builder's mapping */
    shared_info_map();       /* Xen's page: events, time */
    evtchn_boot();           /* every port masked */
    cpu_boot();              /* vcpu_info into struct cpu: upcall mask and time work */
    clock_boot();            /* clock_now() begins */
    first_free = hat_boot(); /* the direct map; text and constants read-only */
    page_boot(first_free, p2m_limit());
    slab_boot();
    hat_boot_finish(); /* the builder's other mappings go */
    cmdline_boot();
    evtchn_select(); /* FIFO events, now that there is memory for their arrays */
    p2m_publish();   /* the toolstack can read the p2m: dump-core, save */
    kernel_main();
}
