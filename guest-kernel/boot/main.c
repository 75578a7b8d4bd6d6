/*
 * main.c - the kernel's table of contents, in boot order.
 *
 * dboot.c has given us memory and traps. Each line below brings up one room, using only those
 * above it. None of it runs again after a suspend: each room has its own resume.
 */
#include "boot/main.h"

#include "dom0/dom0.h"
#include "domain/balloon.h"
#include "domain/hotplug.h"
#include "domain/shutdown.h"
#include "domain/suspend.h"
#include "domain/sysrq.h"
#include "io/xencons/xencons.h"
#include "kdi/crashtest.h"
#include "kdi/kdi.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/sched.h"
#include "kern/thread.h"
#include "net/stack.h"
#include "os/gnttab.h"
#include "os/panic.h"
#include "os/start_info.h"
#include "proc/proc.h"
#include "psm/cpu.h"
#include "psm/random.h"
#include "shell/shell.h"
#include "syscall/run.h"
#include "vm/vm.h"
#include "xenbus/xs.h"
#include "xendev/xendev.h"

static void say_hello(void)
{
    struct mem_stats mem;

    mem_get_stats(&mem);
    log_info("Duet " DUET_VERSION "%s: %llu MiB, %llu MiB free, %s events, %s",
             is_dom0() ? " as dom0" : "", (unsigned long long)(start_info->nr_pages >> 8),
             (unsigned long long)(mem.pages_free >> 8), evtchn_abi(), start_info->magic);
}

static void interrupts_init(void)
{
    int rc = cpu_interrupts_init(this_cpu());

    if (rc != 0) {
        panic("vCPU 0: no timer interrupt: %s", errno_name(rc));
    }
}

void kernel_main(void)
{
    xencons_init(); /* what is said can be read */
    say_hello();
    random_boot();          /* numbers that nobody guesses */
    interrupts_init();      /* timer and IPI of this vCPU */
    gnttab_init();          /* pages can be shared */
    kdi_boot();             /* the debugger can be called */
    vm_boot();              /* user addresses can mean something */
    sched_boot();           /* this is now a thread */
    proc_boot();            /* and there can be programs */
    cpu_hotplug_boot();     /* vCPUs can come and go */
    upcalls_restore(false); /* events arrive from here on */
    xenbus_init();          /* the store answers */
    hotplug_init();         /* the other vCPUs start */
    balloon_init();         /* memory follows its target */
    net_stack_init();       /* interfaces will be served */
    xendev_init();          /* devices are looked for, drivers attach */
    shutdown_init();        /* the toolstack can end us */
    suspend_init();         /* save us, and bring us back */
    sysrq_init();           /* and ask for other things */
    dom0_init();            /* if Xen gave us the machine: look at it */
    syscall_boot();         /* programs, and the ramdisk that they are on */
    shell_start();          /* run= and the prompt */
    crashtest_boot();       /* crashtest= */
    thread_exit();
}
