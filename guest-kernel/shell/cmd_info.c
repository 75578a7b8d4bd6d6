/*
 * cmd_info.c - commands that show what the kernel knows: time, memory, threads, events, devices.
 *
 * They read other rooms' statistics through their headers.
 */
#include "domain/suspend.h"
#include "io/blk.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "os/cmdline.h"
#include "os/evtchn.h"
#include "os/gnttab.h"
#include "psm/clock.h"
#include "psm/cpu.h"
#include "shell/commands.h"
#include "xenbus/xs.h"
#include "xendev/xendev.h"

typedef unsigned long ul;

static int cmd_date(struct shell *sh, int argc, char **argv __unused)
{
    struct date d;

    if (argc != 1) {
        return SH_USAGE;
    }
    date_from_wall(clock_wall(), &d);
    sh_printf(sh, "%s %04d-%02u-%02u %02u:%02u:%02u UTC\n", d.weekday, d.year, d.month, d.day,
              d.hour, d.minute, d.second);
    return SH_OK;
}

static int cmd_uptime(struct shell *sh, int argc, char **argv __unused)
{
    uint64_t now = clock_now() / NSEC_PER_MSEC;
    uint64_t s = now / 1000;
    struct suspend_stats away;

    if (argc != 1) {
        return SH_USAGE;
    }
    sh_printf(sh, "up %lu days %02lu:%02lu:%02lu.%03lu\n", (ul)(s / 86400), (ul)(s / 3600 % 24),
              (ul)(s / 60 % 60), (ul)(s % 60), (ul)(now % 1000));
    suspend_get_stats(&away);
    if (away.resumed + away.cancelled > 0) {
        sh_printf(sh, "restored %u times, suspended in vain %u times, the last for %lu ms\n",
                  away.resumed, away.cancelled, (ul)(away.away / NSEC_PER_MSEC));
    }
    return SH_OK;
}

static ul kib(uint64_t pages)
{
    return (ul)(pages * (PAGE_SIZE / 1024));
}

static int cmd_mem(struct shell *sh, int argc, char **argv __unused)
{
    struct mem_stats m;
    struct gnttab_stats g;

    if (argc != 1) {
        return SH_USAGE;
    }
    mem_get_stats(&m);
    gnttab_get_stats(&g);
    sh_printf(sh, "memory   %8lu KiB\n", kib(m.pages_total));
    sh_printf(sh, "free     %8lu KiB\n", kib(m.pages_free));
    sh_printf(sh, "tables   %8lu KiB\n", kib(m.pages_pagetable));
    sh_printf(sh, "balloon  %8lu KiB given back to Xen\n", kib(m.pages_ballooned));
    sh_printf(sh, "slabs    %8lu KiB, %lu bytes of them in use\n", kib(m.pages_slab),
              (ul)m.slab_bytes_used);
    sh_printf(sh, "refused  %8lu requests\n", (ul)m.alloc_failures);
    sh_printf(sh, "blocks  ");
    for (unsigned i = 0; i <= PAGE_ORDER_MAX; i++) {
        sh_printf(sh, " %luK:%lu", kib(1ul << i), (ul)m.free_blocks[i]);
    }
    sh_printf(sh, "\ngrants   %8u of %u free, %u of %u frames, %u held by peers, %lu mapped\n",
              g.entries_free, g.entries, g.frames, g.frames_max, g.deferred, (ul)g.mapped);
    return SH_OK;
}

static void ps_line(const struct thread_info *t, void *arg)
{
    static const char *const prios[PRIO_COUNT] = {"idle", "low", "normal", "high"};

    sh_text_add(arg, "%4u  %3u  %-7s %-8s %8lu.%03lu  %s\n", t->id, t->cpu, prios[t->prio],
                t->state, (ul)(t->cpu_time / NSEC_PER_SEC),
                (ul)(t->cpu_time / NSEC_PER_MSEC % 1000), t->name);
}

static int cmd_ps(struct shell *sh, int argc, char **argv __unused)
{
    struct sh_text t = {0};

    if (argc != 1) {
        return SH_USAGE;
    }
    sh_text_add(&t, "  id  cpu  prio    state        time/s  name\n");
    thread_foreach(ps_line, &t);
    return sh_text_write(sh, &t);
}

static void lsevt_line(const struct evtchn_info *i, void *arg)
{
    sh_text_add(arg, "%4u  %3u  %3d  %10lu  %-14s%s%s", i->port, i->vcpu, i->ipl, (ul)i->count,
                i->name, i->masked ? " masked" : "", i->pending ? " pending" : "");
    if (i->rests != 0) {
        sh_text_add(arg, " rested %u times", i->rests);
    }
    sh_text_add(arg, "\n");
}

static int cmd_lsevt(struct shell *sh, int argc, char **argv __unused)
{
    struct sh_text t = {0};

    if (argc != 1) {
        return SH_USAGE;
    }
    sh_text_add(&t, "port  cpu  ipl       count  name\n");
    evtchn_foreach(lsevt_line, &t);
    return sh_text_write(sh, &t);
}

static void lsdev_line(const struct xendev_info *d, void *arg)
{
    sh_text_add(arg, "%-22s %-8s %-13s domain %u %-13s %s\n", d->node,
                d->driver != NULL ? d->driver : "-", xenbus_state_name(d->state), d->otherend_id,
                xenbus_state_name(d->otherend_state), d->text);
}

static int cmd_lsdev(struct shell *sh, int argc, char **argv __unused)
{
    struct sh_text t = {0};

    if (argc != 1) {
        return SH_USAGE;
    }
    sh_text_add(&t, "%-22s %-8s %-13s %s\n", "device", "driver", "state", "back end");
    xendev_foreach(lsdev_line, &t);
    return sh_text_write(sh, &t);
}

static int cmd_dmesg(struct shell *sh, int argc, char **argv __unused)
{
    uint64_t at = 0;
    char text[256];
    size_t n;

    if (argc != 1) {
        return SH_USAGE;
    }
    while ((n = log_read(&at, text, sizeof(text))) && !sh_interrupted(sh)) {
        sh_write(sh, text, n);
    }
    return n != 0 ? SH_INTERRUPTED : SH_OK;
}

static int cmd_echo(struct shell *sh, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        sh_printf(sh, "%s%s", i > 1 ? " " : "", argv[i]);
    }
    sh_printf(sh, "\n");
    return SH_OK;
}

static int cmd_cmdline(struct shell *sh, int argc, char **argv __unused)
{
    if (argc != 1) {
        return SH_USAGE;
    }
    sh_printf(sh, "%s\n", cmdline_text());
    return SH_OK;
}

/* How a vCPU has spent its life, as Xen accounts it. */
static int cmd_cpus(struct shell *sh, int argc, char **argv __unused)
{
    if (argc != 1) {
        return SH_USAGE;
    }
    sh_printf(sh,
              "vcpu  state       running ms    stolen ms   blocked ms    switches     upcalls\n");
    for (unsigned id = 0; id < CPU_MAX; id++) {
        const struct cpu *cpu = cpu_by_id(id);

        if (cpu == NULL) {
            continue;
        }
        const uint64_t *time = cpu->runstate.time;
        sh_printf(sh, "%4u  %-8s %13lu %12lu %12lu %11lu %11lu\n", id,
                  READ_ONCE(cpu->online) ? "online" : "offline",
                  (ul)(time[RUNSTATE_running] / NSEC_PER_MSEC),
                  (ul)(time[RUNSTATE_runnable] / NSEC_PER_MSEC),
                  (ul)(time[RUNSTATE_blocked] / NSEC_PER_MSEC), (ul)cpu->switches,
                  (ul)cpu->upcalls);
    }
    return SH_OK;
}

const struct sh_command info_commands[] = {
    {"lsdev", "lsdev", "list devices, their drivers and both ends' states", NULL, ARGS_NONE,
     cmd_lsdev},
    {"mem", "mem", "show memory and grant references in use", NULL, ARGS_NONE, cmd_mem},
    {"date", "date", "show the wall clock", NULL, ARGS_NONE, cmd_date},
    {"uptime", "uptime", "show the time since boot", NULL, ARGS_NONE, cmd_uptime},
    {"cpus", "cpus", "list vCPUs, with the time that Xen gave to others (stolen)", NULL, ARGS_NONE,
     cmd_cpus},
    {"ps", "ps", "list threads", NULL, ARGS_NONE, cmd_ps},
    {"lsevt", "lsevt", "list event channels", NULL, ARGS_NONE, cmd_lsevt},
    {"dmesg", "dmesg", "show the kernel's messages", NULL, ARGS_NONE, cmd_dmesg},
    {"echo", "echo [WORD]...", "write the words", NULL, ARGS_NONE, cmd_echo},
    {"cmdline", "cmdline", "show the kernel's command line", NULL, ARGS_NONE, cmd_cmdline},
    {0},
};
