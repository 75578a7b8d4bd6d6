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

#define BLK_MAX_TEXT  1024
#define BLK_NR(table) (sizeof(table) / sizeof((table)[0]))

static const struct key_rule blk_back_keys[] = {
    {.key = "removable",
     .type = KEY_BOOL,
     .where = offsetof(struct blk_device, removable),
     .meaning = "the medium can be taken out"},
    {.key = "discard-enable",
     .type = KEY_BOOL,
     .def = 1,
     .where = offsetof(struct blk_device, discard_wanted),
     .meaning = "the guest may give space back"},
};

static const struct key_rule blk_front_keys[] = {
    {.key = "ring-page-order",
     .type = KEY_U32,
     .max = BLK_WIRE_MAX_PAGE_ORDER,
     .where = offsetof(struct blk_wire_config, nr_pages),
     .meaning = "the ring has 1 << N pages"},
    {.key = "event-channel",
     .type = KEY_U32,
     .max = UINT32_MAX,
     .required = true,
     .where = offsetof(struct blk_wire_config, event_channel),
     .meaning = "the guest's port, to be bound"},
};

/* There is one queue; what the guest writes is checked, and not needed. */
static const struct key_rule blk_queue_key = {
    .key = "multi-queue-num-queues", .type = KEY_U32, .min = 1, .max = 1, .def = 1};

static int blk_read_back_text(struct blk_device *dev, const char *key, char **out, char *why,
                              unsigned long why_size)
{
    return keys_read_text(dev->base.sup->store, STORE_NO_TX, dev->base.back, key, BLK_MAX_TEXT, out,
                          why, why_size);
}

/* Whether a script only finds and checks a local file or device, which we do better ourselves. */
static bool blk_is_plain_script(const struct blk_device *dev, const char *script)
{
    static const char *const plain[] = {"block", "block-tap"};
    const char *base = strrchr(script, '/');

    base = base != NULL ? base + 1 : script;
    for (unsigned int i = 0; i < BLK_NR(plain); i++) {
        if (strcmp(base, plain[i]) == 0) {
            return true;
        }
    }
    return strcmp(script, blk_device_daemon(dev)->hotplug_script) == 0;
}

/* The virtual machine that the domain is (its UUID's path), by which two ends of a migration know
 * each other; left empty when it has none. Returns 0, or -errno with a sentence. */
static int blk_read_vm(struct blk_device *dev, char *why, unsigned long why_size)
{
    char key[64];
    char *vm;
    int err;

    snprintf(key, sizeof(key), "/local/domain/%d/vm", dev->base.id.domid);
    err = store_read_str(dev->base.sup->store, STORE_NO_TX, key, NULL, sizeof(dev->image.vm) - 1,
                         &vm);
    if (err == 0) {
        snprintf(dev->image.vm, sizeof(dev->image.vm), "%s", vm);
        free(vm);
    }
    snprintf(why, why_size, "%s", store_error(dev->base.sup->store));
    return store_error_passes(err) ? err : 0;
}

/* Whether our script has a server of its own for the image, whose export is then the disk. */
static bool blk_is_served(const struct blk_device *dev, const char *script, const char *params)
{
    return script != NULL && strcmp(script, blk_device_daemon(dev)->hotplug_script) == 0 &&
           params != NULL && image_is_served(params);
}

int blk_device_xs_read_back(struct blk_device *dev, char *why, unsigned long why_size)
{
    char *text[4] = {NULL};
    const char *const keys[] = {"mode", "device-type", "script", "params"};
    int err = blk_read_vm(dev, why, why_size);

    for (unsigned int i = 0; i < BLK_NR(keys) && err == 0; i++) {
        err = blk_read_back_text(dev, keys[i], &text[i], why, why_size);
    }
    if (err == 0) {
        err = keys_read(dev->base.sup->store, STORE_NO_TX, dev->base.back, blk_back_keys,
                        BLK_NR(blk_back_keys), dev, why, why_size);
    }
    dev->image.read_only = text[0] == NULL || strchr(text[0], 'w') == NULL;
    dev->image.forced = text[0] != NULL && strchr(text[0], '!') != NULL;
    dev->cdrom = text[1] != NULL && strcmp(text[1], "cdrom") == 0;
    dev->own_script = (text[2] == NULL || blk_is_plain_script(dev, text[2])) &&
                      !blk_is_served(dev, text[2], text[3]);
    for (unsigned int i = 0; i < BLK_NR(keys); i++) {
        free(text[i]);
    }
    return err;
}

/* `params` as libxl writes it: a path, for vbd3 with the format before it. */
static int blk_path_of_params(const char *params, char **path, char *why, unsigned long why_size)
{
    static const char *const raw[] = {"aio:", "raw:"};
    const char *colon = strchr(params, ':');

    snprintf(why, why_size, "out of memory");
    for (unsigned int i = 0; i < BLK_NR(raw); i++) {
        if (strncmp(params, raw[i], strlen(raw[i])) == 0) {
            *path = strdup(params + strlen(raw[i]));
            return *path != NULL ? 0 : -ENOMEM;
        }
    }
    if (image_is_remote(params)) {
        *path = strdup(params);
        return *path != NULL ? 0 : -ENOMEM;
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

int blk_device_xs_image_path(struct blk_device *dev, char **path, char *why, unsigned long why_size)
{
    char *text = NULL;
    int err;

    *path = NULL;
    if (dev->own_script) {
        err = blk_read_back_text(dev, "params", &text, why, why_size);
        if (err == 0) {
            err = blk_path_of_params(text != NULL ? text : "", path, why, why_size);
        }
    } else {
        err = blk_read_back_text(dev, "hotplug-status", &text, why, why_size);
        if (err == 0 && text != NULL && strcmp(text, "connected") == 0) {
            err = blk_read_back_text(dev, "physical-device-path", path, why, why_size);
        }
    }
    free(text);
    return err;
}

static bool blk_discard_offered(const struct blk_device *dev)
{
    return dev->discard_wanted && !dev->image.read_only &&
           dev->image.facts.discard_granularity != 0;
}

void blk_device_xs_publish_features(struct blk_device *dev)
{
    const char *verdict = dev->base.verdict;
    bool no_discard = !dev->base.opened || !blk_discard_offered(dev);
    char device[32];
    /* from "script" on: what stands in for the stock script is its result, before it is run */
    const struct key_value values[] = {
        {.key = "feature-flush-cache", .number = 1},
        {.key = "feature-max-indirect-segments", .number = BLK_MAX_SEGMENTS},
        {.key = "max-ring-page-order", .number = BLK_WIRE_MAX_PAGE_ORDER},
        {.key = "multi-queue-max-queues", .number = 1},
        {.key = "discard-granularity",
         .number = dev->image.facts.discard_granularity,
         .omitted = no_discard},
        {.key = "discard-alignment", .number = 0, .omitted = no_discard},
        {.key = "discard-secure", .number = 0, .omitted = no_discard},
        {.key = "feature-discard", .number = 1, .omitted = no_discard},
        {.key = "script",
         .text = blk_device_daemon(dev)->hotplug_script,
         .omitted = !dev->own_script},
        {.key = "hotplug-error",
         .text = verdict,
         .removed = verdict == NULL,
         .omitted = !dev->own_script},
        {.key = "hotplug-status",
         .text = verdict != NULL ? "error" : "connected",
         .omitted = !dev->own_script},
        {.key = "physical-device",
         .text = device,
         .omitted = !dev->own_script || verdict != NULL || !dev->image.facts.block_device},
    };

    snprintf(device, sizeof(device), "%x:%x", major(dev->image.facts.rdev),
             minor(dev->image.facts.rdev));
    supervised_publish(&dev->base, values, BLK_NR(values), XenbusStateInitWait);
}

static int blk_read_protocol(const struct supervised_front *f, struct blk_wire_config *c)
{
    char *protocol = NULL;
    int err =
        keys_read_text(f->st, f->t, f->dev->front, "protocol", 64, &protocol, f->why, f->why_size);

    if (err != 0) {
        return err;
    }
    if (protocol == NULL || strcmp(protocol, XEN_IO_PROTO_ABI_X86_32) == 0) {
        c->protocol = BLK_WIRE_X86_32; /* without the key: what blkback and tapdisk assume */
    } else if (strcmp(protocol, XEN_IO_PROTO_ABI_X86_64) == 0) {
        c->protocol = BLK_WIRE_X86_64;
    } else {
        char shown[128];

        log_escape(shown, sizeof(shown), protocol);
        snprintf(f->why, f->why_size,
                 "%s/protocol = \"%s\": not one of " XEN_IO_PROTO_ABI_X86_64
                 ", " XEN_IO_PROTO_ABI_X86_32,
                 f->dev->front, shown);
        err = -EINVAL;
    }
    free(protocol);
    return err;
}

/* One page goes by `ring-ref`, several (and with some front ends also one) by `ring-refN`. */
static int blk_read_ring_refs(const struct supervised_front *f, struct blk_wire_config *c)
{
    int err = 0;

    for (unsigned int i = 0; i < c->nr_pages && err == 0; i++) {
        char key[24];
        const struct key_rule ref = {
            .key = key, .type = KEY_U32, .max = UINT32_MAX, .required = true};

        snprintf(key, sizeof(key), "ring-ref%u", i);
        if (c->nr_pages == 1 && !supervised_front_has(f, key)) {
            snprintf(key, sizeof(key), "ring-ref");
        }
        err = supervised_front_keys(f, f->dev->front, &ref, 1, &c->ring_refs[i]);
    }
    return err;
}

int blk_device_xs_read_front(const struct supervised_front *front)
{
    struct blk_wire_config *c = &blk_device_of(front->dev)->config;
    const char *dir = front->dev->front;
    uint32_t queues;
    int err = supervised_front_keys(front, dir, blk_front_keys, BLK_NR(blk_front_keys), c);

    c->nr_pages = 1U << c->nr_pages;
    if (err == 0) {
        err = supervised_front_keys(front, dir, &blk_queue_key, 1, &queues);
    }
    if (err == 0) {
        err = blk_read_ring_refs(front, c);
    }
    return err != 0 ? err : blk_read_protocol(front, c);
}

void blk_device_xs_describe_image(struct blk_device *dev)
{
    struct blk_wire_config *c = &dev->config;

    c->sectors = dev->image.facts.sectors;
    c->nbd = dev->image.facts.nbd;
    c->nbd_flush = dev->image.facts.nbd_flush;
    c->nbd_fua = dev->image.facts.nbd_fua;
    c->read_only = dev->image.read_only;
    c->discard = blk_discard_offered(dev);
    c->block_device = dev->image.facts.block_device;
    c->shared = dev->image.forced;
    c->refuse = dev->base.crew.refusing || dev->image.facts.dead;
}

void blk_device_xs_publish_connected(struct blk_device *dev)
{
    const struct key_value values[] = {
        {.key = "sectors", .number = dev->image.facts.sectors},
        {.key = "info",
         .number = (dev->cdrom ? VDISK_CDROM : 0U) | (dev->removable ? VDISK_REMOVABLE : 0U) |
                   (dev->image.read_only ? VDISK_READONLY : 0U)},
        {.key = "sector-size", .number = BLK_SECTOR_BYTES},
        {.key = "physical-sector-size", .number = dev->image.facts.physical_sector_bytes},
    };

    supervised_publish(&dev->base, values, BLK_NR(values), XenbusStateConnected);
}

void blk_device_xs_publish_size(struct blk_device *dev)
{
    const struct key_value size = {.key = "sectors", .number = dev->image.facts.sectors};
    uint64_t known = 0;
    int err;

    dev->size_due = false;
    if (dev->base.view.back != XenbusStateConnected) {
        return;
    }
    err = store_read_uint(dev->base.sup->store, STORE_NO_TX, dev->base.back, "sectors", UINT64_MAX,
                          &known);
    if (store_error_passes(err)) {
        dev->size_due = true;
        supervised_reconsider_soon(&dev->base);
    } else if (err == 0 && known != dev->image.facts.sectors) {
        dev->size_due = !supervised_publish_again(&dev->base, &size, 1);
    }
}
