/*
 * Checks of the handshake: two ends that stand still, do not fit, or are alone. XB1xx.
 */
#include <stdlib.h>
#include <string.h>
#include <xen/io/xenbus.h>

#include "doctor.h"
#include "xenbus.h"

static void check_not_taken(struct diagnosis *diagnosis, const struct device *device)
{
    struct finding *finding;

    /* Disks for QEMU have a check of their own. */
    if (!has_states(device) || device->back.state != XenbusStateInitialising ||
        strcmp(device->kind, "qdisk") == 0) {
        return;
    }
    finding = found(diagnosis, device->back_path,
                    "no back end in domain %u has taken this %s of domain %u",
                    device->backend_domid, device->kind, device->domid);
    advise_restart(diagnosis, finding, device);
}

static void check_not_begun(struct diagnosis *diagnosis, const struct device *device)
{
    struct finding *finding;
    char domid[16];

    if (!has_states(device) || device->back.state != XenbusStateInitWait ||
        device->front.state == XenbusStateUnknown || device->front.state > XenbusStateInitWait) {
        return;
    }
    snprintf(domid, sizeof(domid), "%u", device->domid);
    finding = found(diagnosis, device->front_path,
                    "domain %u has not begun to connect: its driver is missing, or it still boots",
                    device->domid);
    advise(finding, "xl", "console", domid);
}

static void check_not_answered(struct diagnosis *diagnosis, const struct device *device)
{
    const char *hotplug = node_key(back_of(diagnosis, device), "hotplug-status");
    struct finding *finding;

    if (!has_states(device) || device->front.state < XenbusStateInitialised ||
        device->front.state > XenbusStateConnected || device->back.state < XenbusStateInitWait ||
        device->back.state > XenbusStateInitialised) {
        return;
    }
    finding = found(diagnosis, device->back_path,
                    "the guest is ready (state %d) and the back end does not connect (state %d)%s",
                    device->front.state, device->back.state,
                    strcmp(device->class, "vif") == 0 &&
                            (hotplug == NULL || strcmp(hotplug, "connected") != 0)
                        ? "; the hotplug script has not said 'connected'"
                        : "");
    advise_restart(diagnosis, finding, device);
}

static void check_not_finished(struct diagnosis *diagnosis, const struct device *device)
{
    struct finding *finding;

    if (!has_states(device) || device->front.state != XenbusStateInitialised ||
        device->back.state != XenbusStateConnected) {
        return;
    }
    finding = found(diagnosis, device->front_path,
                    "the back end is connected, and domain %u does not go on from state 3",
                    device->domid);
    advise_detach(diagnosis, finding, device);
}

static void check_not_closed(struct diagnosis *diagnosis, const struct device *device)
{
    bool guest;
    struct finding *finding;

    if (!has_states(device) || device->fit != FIT_MOVING ||
        (device->front.state != XenbusStateClosing && device->back.state != XenbusStateClosing)) {
        return;
    }
    /* Who has to move is who is not yet as far. */
    guest = device->front.state < device->back.state ||
            (device->front.state == XenbusStateClosing && device->back.state == XenbusStateClosed);
    finding = found(diagnosis, guest ? device->front_path : device->back_path,
                    "closing stands still (guest %d, back end %d): %s does not go on",
                    device->front.state, device->back.state, guest ? "the guest" : "the back end");
    if (guest) {
        advise_detach(diagnosis, finding, device);
    } else {
        advise_restart(diagnosis, finding, device);
    }
}

static void check_mismatch(struct diagnosis *diagnosis, const struct device *device)
{
    if (has_states(device) && device->fit == FIT_BROKEN) {
        advise_detach(diagnosis,
                      found(diagnosis, device->back_path, "%s (guest %d, back end %d)", device->why,
                            device->front.state, device->back.state),
                      device);
    }
}

/* Whether the frontend that @device's back end names is there, and only names another back end. */
static bool front_strays(const struct diagnosis *diagnosis, const struct device *device)
{
    return node_key(front_of(diagnosis, device), "backend") != NULL;
}

static void check_orphaned_back(struct diagnosis *diagnosis, const struct device *device)
{
    char home[32];
    struct finding *finding;

    if (!device->back.there || device->front.there || front_strays(diagnosis, device)) {
        return;
    }
    snprintf(home, sizeof(home), "/local/domain/%u", device->domid);
    finding = found(diagnosis, device->back_path, "nobody is at the other end: %s",
                    snapshot_find(diagnosis->snapshot, home) == NULL
                        ? "the domain is gone"
                        : "the domain's directory of this device is gone");
    advise(finding, "xenbus", "rm", device->back_path);
}

/* The back end that names the frontend of @device as its own, NULL if none does. */
static const struct device *rightful_back(const struct diagnosis *diagnosis,
                                          const struct device *device)
{
    struct device *other, *next;

    HASH_ITER (hh, diagnosis->devices, other, next) {
        if (other->back.there && other->front_path != NULL &&
            strcmp(other->front_path, device->front_path) == 0) {
            return other;
        }
    }
    return NULL;
}

static void check_orphaned_front(struct diagnosis *diagnosis, const struct device *device)
{
    const struct device *back;
    struct finding *finding;
    char *key;

    if (!device->front.there || device->back.there) {
        return;
    }
    back = rightful_back(diagnosis, device);
    if (back == NULL) {
        finding = found(diagnosis, device->front_path, "its back end's directory is not there");
        advise_detach(diagnosis, finding, device);
        return;
    }
    finding = found(diagnosis, device->front_path,
                    "the key 'backend' names another directory than the back end that serves it");
    key = store_join(device->front_path, "backend");
    advise(finding, "xenbus", "write", key, back->back_path);
    free(key);
}

static void check_bad_state(struct diagnosis *diagnosis, const struct device *device)
{
    const struct device_end *ends[] = {&device->front, &device->back};
    const char *paths[] = {device->front_path, device->back_path};

    if (device->stateless || !device->front.there || !device->back.there) {
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        const struct node *dir = snapshot_find(diagnosis->snapshot, paths[i]);

        if (ends[i]->state < 0 && dir != NULL && !dir->unreadable) {
            advise_detach(
                diagnosis,
                found(diagnosis, paths[i], "the key 'state' is %s",
                      ends[i]->state == STATE_ABSENT ? "missing" : "no number from 0 to 8"),
                device);
        }
    }
}

static void check_errors_left(struct diagnosis *diagnosis, const struct device *device)
{
    const char *errors[] = {device->front_error, device->back_error};
    const char *paths[] = {device->front_error_path, device->back_error_path};

    for (size_t i = 0; i < 2; i++) {
        if (errors[i] != NULL) {
            advise(found(diagnosis, paths[i], "the %s has said: %.400s",
                         i == 0 ? "guest's driver" : "back end", errors[i]),
                   "xenbus", "rm", paths[i]);
        }
    }
}

static void check_console_untaken(struct diagnosis *diagnosis, const struct device *device)
{
    const char *type = node_key(front_of(diagnosis, device), "type");
    struct finding *finding;

    if (!device->stateless || device->fit == FIT_SETTLED || type == NULL ||
        strcmp(type, "xenconsoled") != 0) {
        return;
    }
    finding = found(diagnosis, device->front_path,
                    "no console daemon has taken it: there is no 'tty', so 'xl console' fails");
    advise_restart(diagnosis, finding, device);
}

const struct check pair_checks[] = {
    {"XB101", SEVERITY_ERROR, true, false, "no back end takes the device",
     .device = check_not_taken},
    {"XB102", SEVERITY_WARNING, true, false, "the guest does not begin to connect",
     .device = check_not_begun},
    {"XB103", SEVERITY_ERROR, true, false, "the back end does not answer the guest",
     .device = check_not_answered},
    {"XB104", SEVERITY_ERROR, true, false, "the guest does not finish connecting",
     .device = check_not_finished},
    {"XB105", SEVERITY_ERROR, true, false, "closing stands still", .device = check_not_closed},
    {"XB106", SEVERITY_ERROR, true, false, "the states of the two ends do not fit",
     .device = check_mismatch},
    {"XB107", SEVERITY_ERROR, true, false, "a back end without a frontend",
     .device = check_orphaned_back},
    {"XB108", SEVERITY_ERROR, true, false, "a frontend without its back end",
     .device = check_orphaned_front},
    {"XB109", SEVERITY_ERROR, true, false, "a state that is none", .device = check_bad_state},
    {"XB110", SEVERITY_WARNING, false, false, "a driver has left an error",
     .device = check_errors_left},
    {"XB111", SEVERITY_ERROR, true, false, "no console daemon takes the console",
     .device = check_console_untaken},
    {.code = ""},
};
