/*
 * The real host, see host.h: systemd over D-Bus, the kernel by /sys and /proc, xenstored by its
 * control command. Only local and virtual file systems are looked at, so nothing here can hang on a
 * dead server.
 */
#include "host.h"

#include <ctype.h>
#include <dirent.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "devices.h"
#include "xenbus.h"

/* A manager that does not answer in this time is taken for one that is not there. */
#define BUS_TIMEOUT_US UINT64_C(5000000)

/* What host->context is here. */
struct real_host {
    sd_bus *bus;
    struct xs_handle *xs;
};

/* A property of a unit, a string; NULL when it cannot be had. The caller frees. */
static char *unit_property(sd_bus *bus, const char *unit, const char *interface,
                           const char *property)
{
    char *path = NULL, *value = NULL;

    if (bus == NULL || sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path) < 0) {
        return NULL;
    }
    if (sd_bus_get_property_string(bus, "org.freedesktop.systemd1", path, interface, property, NULL,
                                   &value) < 0) {
        value = NULL;
    }
    free(path);
    return value;
}

/* Whether a unit's property is one of up to two values. */
static bool unit_is(sd_bus *bus, const char *unit, const char *property, const char *one,
                    const char *other)
{
    char *value = unit_property(bus, unit, "org.freedesktop.systemd1.Unit", property);
    bool is = value != NULL && (strcmp(value, one) == 0 || strcmp(value, other) == 0);

    free(value);
    return is;
}

/* Whether @dir/@name@rest can be reached in @mode (as access(2)). */
static bool reachable(const char *dir, const char *name, const char *rest, int mode)
{
    char *path = NULL;
    bool is;

    /* Names come from the store: none may lead elsewhere. */
    if (name[0] == '\0' || (dir[0] != '\0' && (strchr(name, '/') != NULL || name[0] == '.')) ||
        asprintf(&path, "%s%s%s", dir, name, rest) < 0) {
        return false;
    }
    is = access(path, mode) == 0;
    free(path);
    return is;
}

/* Reads a file's first line without its end; an empty one where there is none. */
static void first_line(const char *path, char *line, int size)
{
    FILE *file = fopen(path, "re");

    if (file == NULL || fgets(line, size, file) == NULL) {
        line[0] = '\0';
    }
    line[strcspn(line, "\n")] = '\0';
    if (file != NULL) {
        fclose(file);
    }
}

static bool interface_up(const char *name)
{
    char *path = NULL, flags[32];

    if (strchr(name, '/') != NULL || asprintf(&path, "/sys/class/net/%s/flags", name) < 0) {
        return false;
    }
    first_line(path, flags, sizeof(flags));
    free(path);
    return (strtoul(flags, NULL, 16) & IFF_UP) != 0;
}

/* Whether the process @pid calls itself @name. */
static bool process_is(const char *pid, const char *name)
{
    char path[64], comm[32];

    snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
    first_line(path, comm, sizeof(comm));
    return comm[0] != '\0' && strcmp(comm, name) == 0;
}

static bool program_runs(const char *name)
{
    DIR *dir = opendir("/proc");
    const struct dirent *entry;
    bool runs = false;

    while (dir != NULL && !runs && (entry = readdir(dir)) != NULL) {
        runs = isdigit((unsigned char)entry->d_name[0]) && process_is(entry->d_name, name);
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return runs;
}

static bool ask_host(const struct host *host, enum host_fact fact, const char *name)
{
    const struct real_host *real = host->context;
    sd_bus *bus = real->bus;

    switch (fact) {
    case HOST_UNIT_KNOWN:
        return unit_is(bus, name, "LoadState", "loaded", "loaded");
    case HOST_UNIT_ACTIVE:
        return unit_is(bus, name, "ActiveState", "active", "reloading");
    case HOST_UNIT_WANTED:
        return unit_is(bus, name, "UnitFileState", "enabled", "enabled-runtime");
    case HOST_UNIT_FAILED:
        return unit_is(bus, name, "ActiveState", "failed", "failed");
    case HOST_DRIVER:
        return reachable("/sys/bus/xen-backend/drivers/", name, "", F_OK);
    case HOST_DRIVER_BOUND:
        return reachable("/sys/bus/xen-backend/devices/", name, "/driver", F_OK);
    case HOST_FILE:
        return reachable("", name, "", F_OK);
    case HOST_EXECUTABLE:
        return reachable("", name, "", X_OK);
    case HOST_INTERFACE:
        return reachable("/sys/class/net/", name, "", F_OK);
    case HOST_BRIDGE:
        return reachable("/sys/class/net/", name, "/bridge", F_OK);
    case HOST_BRIDGE_PORT:
        return reachable("/sys/class/net/", name, "/brport", F_OK);
    case HOST_UP:
        return interface_up(name);
    case HOST_PROCESS:
        return strspn(name, "0123456789") == strlen(name) && reachable("/proc/", name, "", F_OK);
    default:
        return program_runs(name);
    }
}

/* The number behind "nodes" in what the control command `quota @argument` prints; false if there is
 * none. */
static bool ask_quota(struct xs_handle *xs, char *argument, unsigned long *number)
{
    char command[] = "quota";
    unsigned int len = argument[0] != '\0' ? (unsigned int)strlen(argument) + 1 : 0;
    char *text = xs_control_command(xs, command, argument, len), *line, *rest = text;
    bool found = false;

    while (text != NULL && !found && (line = strsep(&rest, "\n")) != NULL) {
        line += strspn(line, " \t");
        if (strncmp(line, "nodes", 5) == 0 && strpbrk(line, "0123456789") != NULL) {
            *number = strtoul(strpbrk(line, "0123456789"), NULL, 10);
            found = true;
        }
    }
    free(text);
    return found;
}

static unsigned long nodes_of(const struct host *host, unsigned int domid)
{
    const struct real_host *real = host->context;
    unsigned long nodes = 0;
    char argument[16];

    snprintf(argument, sizeof(argument), "%u", domid);
    return ask_quota(real->xs, argument, &nodes) ? nodes : 0;
}

void host_open(struct host *host, struct xs_handle *xs)
{
    char *domid = xs_read(xs, XBT_NULL, "domid", NULL);
    struct real_host *real = must_alloc(sizeof(*real));
    char nothing[] = "";

    host->ask = ask_host;
    host->nodes = nodes_of;
    host->context = real;
    real->xs = xs;
    if (domid == NULL || !parse_domid(domid, &host->domid)) {
        host->domid = 0;
    }
    free(domid);
    if (!ask_quota(xs, nothing, &host->node_quota)) {
        host->node_quota = HOST_NODE_QUOTA;
    }
    if (sd_bus_open_system(&real->bus) < 0) {
        real->bus = NULL;
    } else {
        sd_bus_set_method_call_timeout(real->bus, BUS_TIMEOUT_US);
    }
}

void host_close(struct host *host)
{
    struct real_host *real = host->context;

    sd_bus_flush_close_unref(real->bus);
    free(real);
    host->context = NULL;
}
