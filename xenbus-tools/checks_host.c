/*
 * Checks of who serves (XB3xx) and of what a host must have for it (XB4xx).
 */
#include <stdlib.h>
#include <string.h>
#include <xen/io/xenbus.h>

#include "doctor.h"
#include "xenbus.h"

/* The classes that both the kernel and we can serve. */
static const struct {
    const char *kind;
    const char *module;
} kernel_kinds[] = {{"vbd", "xen-blkback"}, {"vif", "xen-netback"}};

#define N_KERNEL_KINDS (sizeof(kernel_kinds) / sizeof(kernel_kinds[0]))

static const char *const our_units[] = {"duet-console.service", "duet-block.service",
                                        "duet-net.service"};

#define N_UNITS (sizeof(our_units) / sizeof(our_units[0]))

static bool host_has(const struct diagnosis *diagnosis, enum host_fact fact, const char *name)
{
    return diagnosis->host->ask(diagnosis->host, fact, name);
}

static void check_qdisk(struct diagnosis *diagnosis, const struct device *device)
{
    char home[48];
    const char *pid;
    struct finding *finding;

    if (!has_states(device) || strcmp(device->kind, "qdisk") != 0 ||
        device->back.state != XenbusStateInitialising ||
        (diagnosis->host != NULL && !served_here(diagnosis, device))) {
        return;
    }
    snprintf(home, sizeof(home), "/local/domain/%u/image", device->domid);
    pid = node_key(snapshot_find(diagnosis->snapshot, home), "device-model-pid");
    if (pid != NULL && (diagnosis->host == NULL || host_has(diagnosis, HOST_PROCESS, pid))) {
        return;
    }
    finding =
        found(diagnosis, device->back_path,
              "this disk was given to QEMU, and no QEMU runs for domain %u; attach it again by "
              "block-duet (duet-blockd(8), images that are not raw), or as a raw image",
              device->domid);
    advise_detach(diagnosis, finding, device);
}

static void check_kernel_bound(struct diagnosis *diagnosis, const struct device *device)
{
    for (size_t i = 0; i < N_KERNEL_KINDS && served_here(diagnosis, device); i++) {
        char name[64];

        if (strcmp(device->kind, kernel_kinds[i].kind) != 0) {
            continue;
        }
        snprintf(name, sizeof(name), "%s-%u-%.24s", device->kind, device->domid, device->device);
        if (host_has(diagnosis, HOST_UNIT_ACTIVE, unit_of_kind(device->kind)) &&
            host_has(diagnosis, HOST_DRIVER_BOUND, name)) {
            advise_detach(diagnosis,
                          found(diagnosis, device->back_path,
                                "the kernel's %s serves it, although %s runs",
                                kernel_kinds[i].module, unit_of_kind(device->kind)),
                          device);
        }
    }
}

static void check_kernel_driver(struct diagnosis *diagnosis)
{
    for (size_t i = 0; i < N_KERNEL_KINDS; i++) {
        const char *unit = unit_of_kind(kernel_kinds[i].kind);
        struct finding *finding;
        char path[80];

        if (!host_has(diagnosis, HOST_UNIT_ACTIVE, unit) ||
            !host_has(diagnosis, HOST_DRIVER, kernel_kinds[i].kind)) {
            continue;
        }
        snprintf(path, sizeof(path), "/sys/bus/xen-backend/drivers/%s", kernel_kinds[i].kind);
        finding = found(diagnosis, path, "the kernel's %s is loaded and takes what %s should serve",
                        kernel_kinds[i].module, unit);
        advise(finding, "modprobe", "-r", kernel_kinds[i].module);
        advise(finding, "systemctl", "restart", unit);
    }
}

/* How many devices here are of the kinds that @unit serves. */
static unsigned int devices_of_unit(const struct diagnosis *diagnosis, const char *unit)
{
    struct device *device, *next;
    unsigned int n = 0;

    HASH_ITER (hh, diagnosis->devices, device, next) {
        const char *serves = unit_of_kind(device->kind);

        n += serves != NULL && strcmp(serves, unit) == 0 && served_here(diagnosis, device);
    }
    return n;
}

static void check_units(struct diagnosis *diagnosis)
{
    for (size_t i = 0; i < N_UNITS; i++) {
        unsigned int n = devices_of_unit(diagnosis, our_units[i]);
        bool failed = host_has(diagnosis, HOST_UNIT_FAILED, our_units[i]);
        struct finding *finding;

        if (!host_has(diagnosis, HOST_UNIT_KNOWN, our_units[i]) ||
            host_has(diagnosis, HOST_UNIT_ACTIVE, our_units[i]) ||
            (n == 0 && !failed && !host_has(diagnosis, HOST_UNIT_WANTED, our_units[i]))) {
            continue;
        }
        finding = found(diagnosis, our_units[i], "the daemon %s; %u devices of this host are its",
                        failed ? "has failed" : "does not run", n);
        if (failed) {
            /* systemd starts what failed too often only when it is told to forget that */
            advise(finding, "systemctl", "reset-failed", our_units[i]);
        }
        advise(finding, "systemctl", "start", our_units[i]);
    }
}

static void check_device_files(struct diagnosis *diagnosis)
{
    static const struct {
        const char *file;
        const char *module;
        const char *unit;
    } files[] = {{"/dev/xen/evtchn", "xen-evtchn", "duet-console.service"},
                 {"/dev/xen/gntdev", "xen-gntdev", "duet-console.service"},
                 {"/dev/net/tun", "tun", "duet-net.service"}};

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (host_has(diagnosis, HOST_UNIT_KNOWN, files[i].unit) &&
            !host_has(diagnosis, HOST_FILE, files[i].file)) {
            struct finding *finding =
                found(diagnosis, files[i].file, "the device file that our daemons need is missing");

            advise(finding, "modprobe", files[i].module);
        }
    }
}

/* Whether the check at work has told of @path already: one bridge or script has many devices. */
static bool told(const struct diagnosis *diagnosis, const char *path)
{
    const struct finding *finding = diagnosis->findings;

    while (finding != NULL &&
           (finding->check != diagnosis->check || strcmp(finding->path, path) != 0)) {
        finding = finding->next;
    }
    return finding != NULL;
}

static void check_script(struct diagnosis *diagnosis, const struct device *device)
{
    const char *script = node_key(back_of(diagnosis, device), "script");
    char *path;

    if (script == NULL || script[0] != '/' || !served_here(diagnosis, device) ||
        host_has(diagnosis, HOST_EXECUTABLE, script)) {
        return;
    }
    if (host_has(diagnosis, HOST_FILE, script)) {
        if (!told(diagnosis, script)) {
            advise(found(diagnosis, script, "the hotplug script may not be executed"), "chmod",
                   "+x", script);
        }
        return;
    }
    path = store_join(device->back_path, "script");
    advise_detach(diagnosis,
                  found(diagnosis, path,
                        "the hotplug script %.200s is missing; install it, then attach the device "
                        "again",
                        script),
                  device);
    free(path);
}

/* The bridge that @device is to join; NULL when it joins none by the stock script. */
static const char *bridge_of(const struct diagnosis *diagnosis, const struct device *device)
{
    const struct node *back = back_of(diagnosis, device);
    const char *script = node_key(back, "script"), *bridge = node_key(back, "bridge");
    const char *name = script != NULL ? strrchr(script, '/') : NULL;

    return bridge != NULL && bridge[0] != '\0' && name != NULL &&
                   strcmp(name, "/vif-bridge") == 0 && served_here(diagnosis, device)
               ? bridge
               : NULL;
}

static void check_bridge(struct diagnosis *diagnosis, const struct device *device)
{
    const char *bridge = bridge_of(diagnosis, device);
    struct finding *finding;

    if (bridge == NULL || host_has(diagnosis, HOST_BRIDGE, bridge) || told(diagnosis, bridge)) {
        return;
    }
    finding = found(diagnosis, bridge,
                    "this host has no such bridge; domain %u's interface %.24s "
                    "and maybe others want it",
                    device->domid, device->device);
    advise(finding, "ip", "link", "add", bridge, "type", "bridge");
    advise(finding, "ip", "link", "set", bridge, "up");
}

static void check_bridge_up(struct diagnosis *diagnosis, const struct device *device)
{
    const char *bridge = bridge_of(diagnosis, device);

    if (bridge != NULL && host_has(diagnosis, HOST_BRIDGE, bridge) &&
        !host_has(diagnosis, HOST_UP, bridge) && !told(diagnosis, bridge)) {
        advise(found(diagnosis, bridge,
                     "the bridge is down; domain %u's interface %.24s and maybe "
                     "others are in it",
                     device->domid, device->device),
               "ip", "link", "set", bridge, "up");
    }
}

/* What the interface of @device, a vif, is called on this host. */
static void interface_name(const struct diagnosis *diagnosis, const struct device *device,
                           char *name, size_t size)
{
    const char *given = node_key(back_of(diagnosis, device), "vifname");

    if (given != NULL && given[0] != '\0') {
        snprintf(name, size, "%.32s", given);
    } else {
        snprintf(name, size, "vif%u.%.24s", device->domid, device->device);
    }
}

static bool vif_connected_here(const struct diagnosis *diagnosis, const struct device *device)
{
    return has_states(device) && device->back.state == XenbusStateConnected &&
           served_here(diagnosis, device) && strcmp(device->kind, "vif") == 0;
}

static void check_interface(struct diagnosis *diagnosis, const struct device *device)
{
    char name[64];

    if (!vif_connected_here(diagnosis, device)) {
        return;
    }
    interface_name(diagnosis, device, name, sizeof(name));
    if (!host_has(diagnosis, HOST_INTERFACE, name)) {
        advise_restart(diagnosis,
                       found(diagnosis, device->back_path,
                             "it is connected, and this host has no interface %s", name),
                       device);
    }
}

static void check_port(struct diagnosis *diagnosis, const struct device *device)
{
    const char *bridge = bridge_of(diagnosis, device);
    char name[64];

    if (bridge == NULL || !vif_connected_here(diagnosis, device) ||
        !host_has(diagnosis, HOST_BRIDGE, bridge)) {
        return;
    }
    interface_name(diagnosis, device, name, sizeof(name));
    if (host_has(diagnosis, HOST_INTERFACE, name) && !host_has(diagnosis, HOST_BRIDGE_PORT, name)) {
        advise(found(diagnosis, device->back_path,
                     "its interface %s is in no bridge; it belongs into %.32s", name, bridge),
               "ip", "link", "set", name, "master", bridge);
    }
}

static void check_two_consoles(struct diagnosis *diagnosis)
{
    if (host_has(diagnosis, HOST_UNIT_ACTIVE, "duet-console.service") &&
        host_has(diagnosis, HOST_PROGRAM, "xenconsoled")) {
        struct finding *finding =
            found(diagnosis, "duet-console.service",
                  "xenconsoled runs, too: both read what the guests print, and each loses a part");

        advise(finding, "pkill", "-x", "xenconsoled");
        advise(finding, "systemctl", "restart", "duet-console.service");
    }
}

static void check_hotplug_error(struct diagnosis *diagnosis, const struct device *device)
{
    const char *status = node_key(back_of(diagnosis, device), "hotplug-status");
    const char *error = node_key(back_of(diagnosis, device), "hotplug-error");

    if ((status != NULL && strcmp(status, "error") == 0) || (error != NULL && error[0] != '\0')) {
        advise_detach(diagnosis,
                      found(diagnosis, device->back_path, "its setup has failed: %.400s",
                            error != NULL ? error : "hotplug-status is 'error'"),
                      device);
    }
}

/* Counts the nodes that one domain owns. */
struct owner {
    unsigned int domid;
    unsigned long nodes;
    UT_hash_handle hh;
};

static void report_owner(struct diagnosis *diagnosis, unsigned int domid, unsigned long nodes,
                         unsigned long quota)
{
    char home[32], limit[32];

    if (domid == 0 || nodes * 10 < quota * 9) {
        return;
    }
    snprintf(home, sizeof(home), "/local/domain/%u", domid);
    snprintf(limit, sizeof(limit), "%lu", quota * 2);
    advise(found(diagnosis, home,
                 "domain %u owns %lu nodes of the store, and from %lu on is refused any more",
                 domid, nodes, quota),
           "xenstore-control", "quota", "set", "nodes", limit);
}

/* Counts the nodes of an export by their owners. */
static void count_owners(struct diagnosis *diagnosis)
{
    struct owner *owners = NULL, *owner, *next;

    for (const struct node *node = diagnosis->snapshot->nodes; node != NULL; node = node->hh.next) {
        if (node->n_perms == 0) {
            continue;
        }
        HASH_FIND_INT(owners, &node->perms[0].id, owner);
        if (owner == NULL) {
            owner = must_alloc(sizeof(*owner));
            owner->domid = node->perms[0].id;
            HASH_ADD_INT(owners, domid, owner);
        }
        owner->nodes++;
    }
    next = owners;
    HASH_CLEAR(hh, owners);
    while (next != NULL) {
        owner = next;
        next = owner->hh.next;
        report_owner(diagnosis, owner->domid, owner->nodes, HOST_NODE_QUOTA);
        free(owner);
    }
}

static void check_quota(struct diagnosis *diagnosis)
{
    const struct host *host = diagnosis->host;
    const struct node *homes = snapshot_find(diagnosis->snapshot, "/local/domain");
    unsigned int domid;

    if (host == NULL) {
        count_owners(diagnosis);
        return;
    }
    for (const struct node *home = homes != NULL ? homes->children : NULL;
         home != NULL && host->node_quota != 0; home = home->next) {
        if (parse_domid(home->name, &domid)) {
            report_owner(diagnosis, domid, host->nodes(host, domid), host->node_quota);
        }
    }
}

const struct check host_checks[] = {
    {"XB301", SEVERITY_ERROR, true, false, "a disk for QEMU that nobody serves",
     .device = check_qdisk},
    {"XB302", SEVERITY_ERROR, false, true, "the kernel's back end has taken a device of ours",
     .device = check_kernel_bound},
    {"XB303", SEVERITY_ERROR, false, true, "the kernel's back end is loaded beside ours",
     .whole = check_kernel_driver},
    {"XB401", SEVERITY_ERROR, true, true, "a daemon does not run", .whole = check_units},
    {"XB402", SEVERITY_ERROR, false, true, "a device file is missing", .whole = check_device_files},
    {"XB403", SEVERITY_ERROR, false, true, "a hotplug script is missing or may not run",
     .device = check_script},
    {"XB404", SEVERITY_ERROR, true, true, "a bridge is missing", .device = check_bridge},
    {"XB405", SEVERITY_WARNING, true, true, "a bridge is down", .device = check_bridge_up},
    {"XB406", SEVERITY_ERROR, true, true, "an interface of a guest is missing",
     .device = check_interface},
    {"XB407", SEVERITY_ERROR, true, true, "two daemons serve the consoles",
     .whole = check_two_consoles},
    {"XB408", SEVERITY_ERROR, true, false, "the setup of a device has failed",
     .device = check_hotplug_error},
    {"XB409", SEVERITY_WARNING, false, false, "a guest's quota in the store is nearly used up",
     .whole = check_quota},
    {"XB410", SEVERITY_ERROR, true, true, "an interface of a guest is in no bridge",
     .device = check_port},
    {.code = ""},
};
