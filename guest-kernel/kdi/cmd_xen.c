/*
 * cmd_xen.c - evtchn, grants, devices, ring, dmesg, and the ends of the machine.
 *
 * No state, no locks of its own.
 */
#include "kdi/kdi_impl.h"

#include "kern/log.h"
#include "kern/string.h"
#include "os/evtchn.h"
#include "os/gnttab.h"
#include "os/hypercall.h"
#include "os/panic.h"
#include "xendev/xendev.h"

static void port_line(const struct evtchn_info *i, void *arg __unused)
{
    kdi_printf("%4u  %3u  %5d  %10llu  %-14s%s%s", i->port, i->vcpu, i->ipl, (ull)i->count, i->name,
               i->masked ? " masked" : "", i->pending ? " pending" : "");
    if (i->rests != 0) {
        kdi_printf(" rested %u times", i->rests);
    }
    kdi_printf("\n");
}

static int cmd_evtchn(int argc, char **argv __unused)
{
    if (argc != 1) {
        return -EINVAL;
    }
    kdi_printf("port  cpu  level       count  name\n");
    evtchn_foreach(port_line, NULL);
    return 0;
}

static void grant_line(const struct gnttab_entry *e, void *arg __unused)
{
    kdi_printf("%4u  domain %-5u  mfn %#llx  %s%s%s\n", e->ref, e->domid, (ull)e->mfn.n,
               e->flags & GTF_readonly ? "read-only" : "read-write",
               e->flags & GTF_reading ? ", mapped" : "",
               e->flags & GTF_writing ? ", mapped writable" : "");
}

static int cmd_grants(int argc, char **argv __unused)
{
    struct gnttab_stats s;

    if (argc != 1) {
        return -EINVAL;
    }
    gnttab_get_stats(&s);
    kdi_printf("%u of %u entries free, %u of %u frames, %u waiting for their peer, %llu mapped\n",
               s.entries_free, s.entries, s.frames, s.frames_max, s.deferred, (ull)s.mapped);
    gnttab_foreach(grant_line, NULL);
    return 0;
}

static void device_line(const struct xendev_info *i, void *arg __unused)
{
    kdi_printf("%-24s driver %-8s domain %u, states %d %d  %s\n", i->node,
               i->driver != NULL ? i->driver : "(none)", i->otherend_id, i->state,
               i->otherend_state, i->text);
}

static int cmd_devices(int argc, char **argv __unused)
{
    if (argc != 1) {
        return -EINVAL;
    }
    xendev_foreach(device_line, NULL);
    return 0;
}

static int cmd_ring(int argc, char **argv)
{
    if (argc != 2) {
        return -EINVAL;
    }
    int rc = xendev_show_rings(argv[1], kdi_printf);
    if (rc == -ENOENT) {
        kdi_printf("there is no device \"%s\": see `devices`\n", argv[1]);
    } else if (rc != 0) {
        kdi_printf("device \"%s\": nothing is known about its rings\n", argv[1]);
    }
    return 0;
}

static int kdi_cmd_dmesg(int argc, char **argv __unused)
{
    char text[200];
    uint64_t at = 0;
    size_t n;

    if (argc != 1) {
        return -EINVAL;
    }
    while ((n = log_read(&at, text, sizeof(text) - 1)) > 0) {
        text[n] = '\0';
        /* Line by line, for the pager. */
        for (char *line = text; *line != '\0';) {
            char *end = strchr(line, '\n');
            size_t len = end != NULL ? (size_t)(end - line) + 1 : strlen(line);

            kdi_printf("%.*s", (int)len, line);
            line += len;
        }
    }
    return 0;
}

static int kdi_cmd_end(int argc, char **argv)
{
    if (argc != 1) {
        return -EINVAL;
    }
    panic_shutdown(strcmp(argv[0], "reboot") == 0     ? SHUTDOWN_reboot
                   : strcmp(argv[0], "poweroff") == 0 ? SHUTDOWN_poweroff
                                                      : SHUTDOWN_crash);
}

static int kdi_cmd_help(int argc, char **argv)
{
    for (size_t g = 0; kdi_commands[g] != NULL; g++) {
        for (const struct kdi_command *c = kdi_commands[g]; c->name != NULL; c++) {
            if (argc == 1 || strcmp(argv[1], c->name) == 0) {
                kdi_printf("  %-26s %s\n", c->usage, c->summary);
            }
        }
    }
    return 0;
}

const struct kdi_command kdi_xen_commands[] = {
    {"evtchn", "evtchn", "event channels: level, count, mask", cmd_evtchn, false},
    {"grants", "grants", "what we grant to whom", cmd_grants, false},
    {"devices", "devices", "devices and their states", cmd_devices, false},
    {"ring", "ring DEVICE", "indices of a device's ring", cmd_ring, true},
    {"dmesg", "dmesg", "the log", kdi_cmd_dmesg, false},
    {"reboot", "reboot", "have the domain started again, without flushing disks", kdi_cmd_end,
     true},
    {"poweroff", "poweroff", "end the domain, without flushing disks", kdi_cmd_end, true},
    {"crash", "crash", "end the domain as crashed", kdi_cmd_end, true},
    {"help", "help [COMMAND]", "this list", kdi_cmd_help, false},
    {0},
};
