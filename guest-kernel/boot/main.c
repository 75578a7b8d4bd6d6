/*
 * main.c - the kernel's table of contents, in boot order.
 *
 * dboot.c has given us memory and traps. Each line below brings up one room, using only those
 * above it. Suspend and resume walk the same list (os/suspend.c) in their own written order.
 */
#include "boot/main.h"

#include "kern/log.h"
#include "kern/mem.h"
#include "kern/sched.h"
#include "kern/thread.h"
#include "os/panic.h"
#include "os/start_info.h"
#include "psm/cpu.h"

static void say_hello(void)
{
    struct mem_stats mem;

    mem_get_stats(&mem);
    log_info("Duet " DUET_VERSION ": %llu MiB, %llu MiB free, %s",
             (unsigned long long)(start_info->nr_pages >> 8),
             (unsigned long long)(mem.pages_free >> 8), start_info->magic);
}

void kernel_main(void)
{
    int rc = cpu_interrupts_init(this_cpu()); /* timer and IPI ports */
    if (rc != 0) {
        panic("no timer interrupt: %s", errno_name(rc));
    }
    sched_boot();           /* this is now a thread */
    cpu_hotplug_boot();     /* vCPUs can come and go */
    upcalls_restore(false); /* events arrive from here on */
    say_hello();
    thread_exit();
}
