/*
 * cmd_machine.c - commands about the machine that a dom0 runs on.
 */
#include "dom0/acpi.h"
#include "dom0/memmap.h"
#include "dom0/pci.h"
#include "dom0/pirq.h"
#include "dom0/power.h"
#include "dom0/rtc.h"
#include "kern/string.h"
#include "os/start_info.h"
#include "shell/commands.h"

typedef unsigned long ul;

/* Whether the command can do anything here; says why not. */
static bool has_machine(struct shell *sh)
{
    if (!is_dom0()) {
        sh_error(sh, "this domain is no dom0: the machine is not its own");
    }
    return is_dom0();
}

/* A size in the largest unit that is exact. */
static void print_size(struct shell *sh, uint64_t bytes)
{
    static const char units[] = "BKMGT";
    unsigned unit = 0;

    while (bytes != 0 && bytes % 1024 == 0 && units[unit + 1] != '\0') {
        bytes /= 1024;
        unit++;
    }
    sh_printf(sh, "%lu%c", (ul)bytes, units[unit]);
}

static int cmd_memmap(struct shell *sh, int argc, char **argv __unused)
{
    const struct memmap_range *r;

    if (argc != 1) {
        return SH_USAGE;
    }
    if (!has_machine(sh)) {
        return SH_FAIL;
    }
    sh_printf(sh, "%-33s %12s  type\n", "machine addresses", "KiB");
    for (unsigned i = 0; (r = memmap_range(i)) != NULL; i++) {
        sh_printf(sh, "%016lx-%016lx %12lu  %s\n", (ul)r->start, (ul)(r->start + r->size - 1),
                  (ul)(r->size / 1024), memmap_type_name(r->type));
    }
    return SH_OK;
}

static int cmd_acpi(struct shell *sh, int argc, char **argv __unused)
{
    const struct acpi_table *t;

    if (argc != 1) {
        return SH_USAGE;
    }
    if (!has_machine(sh)) {
        return SH_FAIL;
    }
    sh_printf(sh, "table  rev    length  machine address   checksum  maker\n");
    for (unsigned i = 0; (t = acpi_table(i)) != NULL; i++) {
        sh_printf(sh, "%-5s  %3u  %8u  %016lx  %-8s  %s\n", t->header.signature, t->header.revision,
                  t->header.length, (ul)t->at.a, acpi_sum_name(t->sum), t->header.oem);
    }
    return SH_OK;
}

static void print_bar(struct shell *sh, unsigned index, const struct pci_bar *bar)
{
    if (bar->at == 0 && bar->size == 0) {
        return;
    }
    sh_printf(sh, "         BAR %u: %s %#lx, ", index,
              bar->io         ? "ports"
              : bar->prefetch ? "memory, prefetchable,"
                              : "memory",
              (ul)bar->at);
    if (bar->size == 0) {
        sh_printf(sh, "size unknown");
    } else {
        print_size(sh, bar->size);
    }
    sh_printf(sh, "%s\n", bar->wide ? ", 64 bits" : "");
}

static int cmd_pci(struct shell *sh, int argc, char **argv __unused)
{
    const struct pci_function *f;

    if (argc != 1) {
        return SH_USAGE;
    }
    if (!has_machine(sh)) {
        return SH_FAIL;
    }
    for (unsigned i = 0; (f = pci_function(i)) != NULL; i++) {
        sh_printf(sh, "%02x:%02x.%x  %04x:%04x  %s", f->bus, f->slot, f->function, f->vendor,
                  f->device, pci_class_name(f->base_class, f->sub_class));
        if (f->secondary != 0) {
            sh_printf(sh, " to bus %02x", f->secondary);
        }
        if (f->pin >= 1 && f->pin <= 4) {
            sh_printf(sh, ", INT%c on line %u", 'A' + f->pin - 1, f->line);
        }
        sh_printf(sh, "\n");
        for (unsigned b = 0; b < PCI_BARS; b++) {
            print_bar(sh, b, &f->bars[b]);
        }
    }
    return SH_OK;
}

static void irq_line(const struct pirq *p, void *arg)
{
    sh_text_add(arg, "%4u  %4u  %4u  %-5s  %-3s  %10lu  %s\n", p->line.gsi, p->number, p->port,
                p->line.level ? "level" : "edge", p->needs_eoi ? "yes" : "no",
                (ul)READ_ONCE(p->count), p->name);
}

/* Interrupts that can be had for the asking. */
static const struct {
    const char *name;
    int (*start)(void);
    void (*stop)(void);
} sources[] = {
    {"rtc", rtc_start, rtc_stop},
    {"timer", power_timer_start, power_timer_stop},
};

/* irq SOURCE on|off */
static int switch_source(struct shell *sh, const char *name, const char *to)
{
    bool on = strcmp(to, "on") == 0;

    if (!on && strcmp(to, "off") != 0) {
        return SH_USAGE;
    }
    for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
        if (strcmp(sources[i].name, name) != 0) {
            continue;
        }
        if (on) {
            int rc = sources[i].start();

            return rc != 0 ? sh_error(sh, "%s: %s", name, errno_name(rc)) : SH_OK;
        }
        sources[i].stop();
        return SH_OK;
    }
    return SH_USAGE;
}

static int cmd_irq(struct shell *sh, int argc, char **argv)
{
    struct sh_text text = {0};

    if (argc != 1 && argc != 3) {
        return SH_USAGE;
    }
    if (!has_machine(sh)) {
        return SH_FAIL;
    }
    if (argc == 3) {
        return switch_source(sh, argv[1], argv[2]);
    }
    sh_text_add(&text, " gsi  pirq  port  wired  eoi       count  name\n");
    pirq_foreach(irq_line, &text);
    return sh_text_write(sh, &text);
}

const struct sh_command machine_commands[] = {
    {"memmap", "memmap", "dom0: the machine's memory map", NULL, ARGS_NONE, cmd_memmap},
    {"acpi", "acpi", "dom0: the machine's ACPI tables", NULL, ARGS_NONE, cmd_acpi},
    {"pci", "pci", "dom0: what stands on the PCI buses", NULL, ARGS_NONE, cmd_pci},
    {"irq", "irq [rtc|timer on|off]", "dom0: physical interrupts that are bound",
     "With `rtc on` the real-time clock interrupts 64 times a second, on an edge-triggered line;\n"
     "with `timer on` ACPI's timer does every 2.3 seconds, on the level-triggered one of ACPI.\n"
     "eoi: whether Xen waits to be told that an interrupt was served.\n",
     ARGS_NONE, cmd_irq},
    {0},
};
