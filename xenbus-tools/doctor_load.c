/*
 * Reading what the checks look at, see doctor_load.h.
 */
#include "doctor_load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices.h"
#include "walk.h"
#include "xenbus.h"

static const char homes[] = "/local/domain";

/* All at and below @dir/@name, if it is there and may be read. */
static int load_part(struct snapshot *snapshot, struct xs_handle *xs, const char *dir,
                     const char *name)
{
    char *path = store_join(dir, name);
    int err = snapshot_load(snapshot, xs, XBT_NULL, path);

    free(path);
    return err == -ENOENT || err == -EACCES ? 0 : err;
}

static int load_domain(struct snapshot *snapshot, struct xs_handle *xs, const char *home)
{
    static const char *const parts[] = {"name", "device", "backend", "console", "error", "image"};
    int err = 0;

    snapshot_add(snapshot, home, "", 0, NULL, 0);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && err == 0; i++) {
        err = load_part(snapshot, xs, home, parts[i]);
    }
    return err;
}

/* Which devices libxl knows of a domain: their paths say all. */
static void load_records(struct snapshot *snapshot, struct xs_handle *xs, const char *domid)
{
    char *domain = store_join("/libxl", domid), *dir = store_join(domain, "device");
    unsigned int n_classes = 0;
    char **classes = xs_directory(xs, XBT_NULL, dir, &n_classes);

    for (unsigned int c = 0; classes != NULL && c < n_classes; c++) {
        char *class = store_join(dir, classes[c]);
        unsigned int n = 0;
        char **devices = xs_directory(xs, XBT_NULL, class, &n);

        for (unsigned int i = 0; devices != NULL && i < n; i++) {
            char *record = store_join(class, devices[i]);

            snapshot_add(snapshot, record, "", 0, NULL, 0);
            free(record);
        }
        free(devices);
        free(class);
    }
    free(classes);
    free(dir);
    free(domain);
}

/* In a driver domain: its own home, and the frontends that its back ends name. */
static int load_own(struct snapshot *snapshot, struct xs_handle *xs, unsigned int domid)
{
    static const struct device_filter all;
    struct device *devices, *device, *next;
    struct snapshot *own = snapshot_new(homes);
    char home[32];
    int err;

    /* The back ends are read from a copy of their own: only one that is finished can be looked
     * into. */
    snprintf(home, sizeof(home), "%s/%u", homes, domid);
    snapshot_add(own, homes, "", 0, NULL, 0);
    err = load_domain(own, xs, home);
    snapshot_finish(own);
    devices = devices_read(&(struct store_view){.snapshot = own}, &all);
    if (err == 0) {
        err = load_domain(snapshot, xs, home);
    }
    HASH_ITER (hh, devices, device, next) {
        if (device->front_path != NULL && err == 0) {
            int one = snapshot_load(snapshot, xs, XBT_NULL, device->front_path);

            err = one == -ENOENT || one == -EACCES ? 0 : one;
        }
    }
    devices_free(devices);
    snapshot_free(own);
    return err;
}

int doctor_load(struct snapshot *snapshot, struct xs_handle *xs, unsigned int domid)
{
    unsigned int n = 0;
    char **domains = xs_directory(xs, XBT_NULL, homes, &n);
    int err = domains == NULL ? -errno : 0;

    snapshot_add(snapshot, homes, "", 0, NULL, 0);
    if (err == -EACCES) {
        return load_own(snapshot, xs, domid);
    }
    for (unsigned int i = 0; domains != NULL && i < n && err == 0; i++) {
        char *home = store_join(homes, domains[i]);

        err = load_domain(snapshot, xs, home);
        load_records(snapshot, xs, domains[i]);
        free(home);
    }
    free(domains);
    return err;
}
