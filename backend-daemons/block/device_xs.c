/*
 * A block device's store nodes: see device_xs.h. What belongs together is read or written in one
 * transaction, so that nobody sees half of it.
 */
#include "device_xs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <xen/io/blkif.h>
#include <xen/io/protocols.h>

#include "gate.h"
#include "xenbus.h"

#define MAX_STRING 1024

/* Reads a toolstack key that may be missing. Returns 0 with *out NULL then. */
static int read_optional(struct device *dev, const char *key, char **out)
{
    int err =
        store_read_str(dev->base.sup->store, STORE_NO_TX, dev->base.back, key, MAX_STRING, out);

    return err == -ENOENT ? 0 : err;
}

/* Whether a script only finds and checks a local file or device, which we do better ourselves. */
static bool is_plain_script(const struct device *dev, const char *script)
{
    static const char *const plain[] = {"block", "block-tap"};
    const char *base = strrchr(script, '/');

    base = base != NULL ? base + 1 : script;
    for (unsigned int i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        if (strcmp(base, plain[i]) == 0) {
            return true;
        }
    }
    return strcmp(script, device_blockd(dev)->hotplug_script) == 0;
}

/* The virtual machine that the domain is (its UUID's path), by which two ends of a migration know
 * each other; left empty when it has none. */
static void read_vm(struct device *dev)
{
    char key[64];
    char *vm;

    snprintf(key, sizeof(key), "/local/domain/%d/vm", dev->base.id.domid);
    if (store_read_str(dev->base.sup->store, STORE_NO_TX, key, NULL, sizeof(dev->image.vm) - 1,
                       &vm) == 0) {
        snprintf(dev->image.vm, sizeof(dev->image.vm), "%s", vm);
        free(vm);
    }
}

int device_xs_read_back(struct device *dev, char *why, unsigned long why_size)
{
    struct store *st = dev->base.sup->store;
    char *mode = NULL, *kind = NULL, *script = NULL;
    uint64_t removable = 0, discard = 0;
    int err;

    err = supervised_read_front(&dev->base, why, why_size);
    if (err != 0) {
        return err;
    }
    read_vm(dev);
    err = read_optional(dev, "mode", &mode);
    if (err == 0) {
        err = read_optional(dev, "device-type", &kind);
    }
    if (err == 0) {
        err = read_optional(dev, "script", &script);
    }
    if (err == 0) {
        err = store_read_uint_def(st, STORE_NO_TX, dev->base.back, "removable", 1, 0, &removable);
    }
    if (err == 0) {
        err =
            store_read_uint_def(st, STORE_NO_TX, dev->base.back, "discard-enable", 1, 1, &discard);
    }
    if (err != 0) {
        snprintf(why, why_size, "%s", store_error(st));
    }
    dev->image.read_only = mode == NULL || strchr(mode, 'w') == NULL;
    dev->image.forced = mode != NULL && strchr(mode, '!') != NULL;
    dev->cdrom = kind != NULL && strcmp(kind, "cdrom") == 0;
    dev->own_script = script == NULL || is_plain_script(dev, script);
    dev->removable = removable != 0;
    dev->discard_wanted = discard != 0;
    free(mode);
    free(kind);
    free(script);
    return err;
}

/* `params` as libxl writes it: a path, for vbd3 with the format before it. */
static int path_of_params(char *params, char **path, char *why, unsigned long why_size)
{
    static const char *const raw[] = {"aio:", "raw:"};
    char *colon = strchr(params, ':');

    for (unsigned int i = 0; i < sizeof(raw) / sizeof(raw[0]); i++) {
        if (strncmp(params, raw[i], strlen(raw[i])) == 0) {
            *path = strdup(params + strlen(raw[i]));
            return *path != NULL ? 0 : -ENOMEM;
        }
    }
    if (params[0] == '\0') {
        snprintf(why, why_size, "params is empty: no image is configured");
        return -ENOENT;
    }
    if (params[0] != '/' && colon != NULL) {
        snprintf(why, why_size,
                 "params = \"%s\": format %.*s is not supported, only raw images are", params,
                 (int)(colon - params), params);
        return -EINVAL;
    }
    if (params[0] != '/') {
        return asprintf(path, "/dev/%s", params) < 0 ? -ENOMEM : 0; /* as the stock script does */
    }
    *path = strdup(params);
    return *path != NULL ? 0 : -ENOMEM;
}

int device_xs_image_path(struct device *dev, char **path, char *why, unsigned long why_size)
{
    char *params = NULL;
    int err;

    *path = NULL;
    if (!dev->own_script) {
        char *status = NULL;

        err = read_optional(dev, "hotplug-status", &status);
        if (err == 0 && status != NULL && strcmp(status, "connected") == 0) {
            err = read_optional(dev, "physical-device-path", path);
        }
        free(status);
        if (err != 0) {
            snprintf(why, why_size, "%s", store_error(dev->base.sup->store));
        }
        return err;
    }
    err = read_optional(dev, "params", &params);
    if (err != 0) {
        snprintf(why, why_size, "%s", store_error(dev->base.sup->store));
        return err;
    }
    err = path_of_params(params != NULL ? params : "", path, why, why_size);
    free(params);
    return err;
}

struct publish {
    struct device *dev;
    const char *why;
};

/* What stands in for the stock script: its result, before it is run. */
static int write_hotplug(struct store *st, xs_transaction_t t, struct device *dev, const char *why)
{
    int err =
        store_write(st, t, dev->base.back, "script", "%s", device_blockd(dev)->hotplug_script);

    if (err == 0) {
        err = why != NULL ? store_write(st, t, dev->base.back, "hotplug-error", "%s", why)
                          : store_rm(st, t, dev->base.back, "hotplug-error");
    }
    if (err == 0) {
        err = store_write(st, t, dev->base.back, "hotplug-status", "%s",
                          why != NULL ? "error" : "connected");
    }
    if (err == 0 && why == NULL && dev->image.facts.block_device) {
        err = store_write(st, t, dev->base.back, "physical-device", "%x:%x",
                          major(dev->image.facts.rdev), minor(dev->image.facts.rdev));
    }
    return err;
}

static bool discard_offered(const struct device *dev)
{
    return dev->discard_wanted && !dev->image.read_only &&
           dev->image.facts.discard_granularity != 0;
}

static int write_discard(struct store *st, xs_transaction_t t, struct device *dev)
{
    int err = store_write(st, t, dev->base.back, "discard-granularity", "%u",
                          dev->image.facts.discard_granularity);

    if (err == 0) {
        err = store_write(st, t, dev->base.back, "discard-alignment", "0");
    }
    if (err == 0) {
        err = store_write(st, t, dev->base.back, "discard-secure", "0");
    }
    return err != 0 ? err : store_write(st, t, dev->base.back, "feature-discard", "1");
}

static int publish_features_tx(struct store *st, xs_transaction_t t, void *arg)
{
    const struct publish *p = arg;
    struct device *dev = p->dev;
    const struct {
        const char *key;
        unsigned int value;
    } features[] = {{"feature-flush-cache", 1},
                    {"feature-max-indirect-segments", BLK_MAX_SEGMENTS},
                    {"max-ring-page-order", BLK_WIRE_MAX_PAGE_ORDER},
                    {"multi-queue-max-queues", 1}};
    int err = 0;

    if (!store_exists(st, t, dev->base.back, "state")) {
        return -ENOENT;
    }
    for (unsigned int i = 0; i < sizeof(features) / sizeof(features[0]) && err == 0; i++) {
        err = store_write(st, t, dev->base.back, features[i].key, "%u", features[i].value);
    }
    if (err == 0 && dev->image.stage == IMAGE_OPEN && discard_offered(dev)) {
        err = write_discard(st, t, dev);
    }
    if (err == 0 && dev->own_script) {
        err = write_hotplug(st, t, dev, p->why);
    }
    return err != 0 ? err : store_write(st, t, dev->base.back, "state", "%d", XenbusStateInitWait);
}

int device_xs_publish_features(struct device *dev, const char *why)
{
    struct publish p = {.dev = dev, .why = why};

    return store_transaction(dev->base.sup->store, publish_features_tx, &p);
}

struct front_read {
    struct device *dev;
    struct blk_wire_config *config;
    char *why;
    unsigned long why_size;
};

static int read_protocol(struct store *st, xs_transaction_t t, struct front_read *r)
{
    struct blk_wire_config *c = r->config;
    char *protocol;
    int err = store_read_str(st, t, r->dev->base.front, "protocol", 64, &protocol);

    if (err == -ENOENT) {
        c->protocol = BLK_WIRE_X86_32; /* what blkback and tapdisk assume */
        return 0;
    }
    if (err != 0) {
        return err;
    }
    if (strcmp(protocol, XEN_IO_PROTO_ABI_X86_64) == 0) {
        c->protocol = BLK_WIRE_X86_64;
    } else if (strcmp(protocol, XEN_IO_PROTO_ABI_X86_32) == 0) {
        c->protocol = BLK_WIRE_X86_32;
    } else {
        char shown[128];

        log_escape(shown, sizeof(shown), protocol);
        snprintf(r->why, r->why_size,
                 "%s/protocol = \"%s\": not one of " XEN_IO_PROTO_ABI_X86_64
                 ", " XEN_IO_PROTO_ABI_X86_32,
                 r->dev->base.front, shown);
        err = -EINVAL;
    }
    free(protocol);
    return err;
}

/* One page goes by `ring-ref`, several (and with some front ends also one) by `ring-refN`. */
static int read_ring_refs(struct store *st, xs_transaction_t t, struct front_read *r)
{
    struct blk_wire_config *c = r->config;
    const char *front = r->dev->base.front;
    uint64_t n = 0;
    int err = store_read_uint_def(st, t, front, "ring-page-order", BLK_WIRE_MAX_PAGE_ORDER, 0, &n);

    c->nr_pages = 1U << n;
    for (unsigned int i = 0; i < c->nr_pages && err == 0; i++) {
        char key[24];

        snprintf(key, sizeof(key), "ring-ref%u", i);
        if (c->nr_pages == 1 && !store_exists(st, t, front, key)) {
            snprintf(key, sizeof(key), "ring-ref");
        }
        err = store_read_uint(st, t, front, key, UINT32_MAX, &n);
        c->ring_refs[i] = (uint32_t)n;
    }
    return err;
}

static int read_front_tx(struct store *st, xs_transaction_t t, void *arg)
{
    struct front_read *r = arg;
    uint64_t n = 0;
    int err;

    r->why[0] = '\0';
    err = read_ring_refs(st, t, r);
    if (err == 0) {
        err = store_read_uint(st, t, r->dev->base.front, "event-channel", UINT32_MAX, &n);
        r->config->event_channel = (uint32_t)n;
    }
    if (err == 0) {
        err = store_read_uint_def(st, t, r->dev->base.front, "multi-queue-num-queues", 1, 1, &n);
    }
    if (err == 0) {
        err = read_protocol(st, t, r);
    }
    if (err != 0 && r->why[0] == '\0') {
        snprintf(r->why, r->why_size, "%s", store_error(st));
    }
    return err;
}

int device_xs_read_front(struct device *dev, struct blk_wire_config *config, char *why,
                         unsigned long why_size)
{
    struct front_read r = {.dev = dev, .config = config, .why = why, .why_size = why_size};

    memset(config, 0, sizeof(*config));
    supervised_wire_head(&dev->base, BLK_WIRE_MAGIC, &config->head);
    config->sectors = dev->image.facts.sectors;
    config->read_only = dev->image.read_only;
    config->discard = discard_offered(dev);
    config->block_device = dev->image.facts.block_device;
    return store_transaction(dev->base.sup->store, read_front_tx, &r);
}

static int publish_connected_tx(struct store *st, xs_transaction_t t, void *arg)
{
    struct device *dev = arg;
    unsigned int info = 0;
    int err;

    if (!store_exists(st, t, dev->base.back, "state")) {
        return -ENOENT;
    }
    info |= dev->cdrom ? VDISK_CDROM : 0;
    info |= dev->removable ? VDISK_REMOVABLE : 0;
    info |= dev->image.read_only ? VDISK_READONLY : 0;
    err = store_write(st, t, dev->base.back, "sectors", "%llu",
                      (unsigned long long)dev->image.facts.sectors);
    if (err == 0) {
        err = store_write(st, t, dev->base.back, "info", "%u", info);
    }
    if (err == 0) {
        err = store_write(st, t, dev->base.back, "sector-size", "%u", BLK_SECTOR_BYTES);
    }
    if (err == 0) {
        err = store_write(st, t, dev->base.back, "physical-sector-size", "%u",
                          dev->image.facts.physical_sector_bytes);
    }
    return err != 0 ? err : store_write(st, t, dev->base.back, "state", "%d", XenbusStateConnected);
}

int device_xs_publish_connected(struct device *dev)
{
    return store_transaction(dev->base.sup->store, publish_connected_tx, dev);
}

static int publish_size_tx(struct store *st, xs_transaction_t t, void *arg)
{
    const struct device *dev = arg;
    enum xenbus_state state;
    uint64_t known = 0;
    int err = xenbus_read_state(st, t, dev->base.back, &state);

    if (err == 0 && state == XenbusStateConnected) {
        err = store_read_uint(st, t, dev->base.back, "sectors", UINT64_MAX, &known);
    }
    if (err != 0 || state != XenbusStateConnected || known == dev->image.facts.sectors) {
        return err;
    }
    err = store_write(st, t, dev->base.back, "sectors", "%llu",
                      (unsigned long long)dev->image.facts.sectors);
    return err != 0 ? err : store_write(st, t, dev->base.back, "state", "%d", XenbusStateConnected);
}

int device_xs_publish_size(struct device *dev)
{
    return store_transaction(dev->base.sup->store, publish_size_tx, dev);
}
