/*
 * One block device of one guest: see device.h. Functions are in the order of a device's life.
 */
#include "device.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device_xs.h"
#include "inflight.h"

#define NAME_KEY "/local/domain/%d/name"
#define MAX_NAME 4096

static struct blk_device *blk_device_of(struct supervised *base)
{
    return (struct blk_device *)base; /* its first member */
}

static struct blk_device *blk_device_of_image(struct image_user *user)
{
    return (struct blk_device *)((char *)user - offsetof(struct blk_device, image));
}

static void blk_device_wake(struct image_user *user)
{
    supervised_reconsider(&blk_device_of_image(user)->base);
}

/* No worker has the image any more: who waits for it may have it. */
static void blk_device_drop_image(struct supervised *base)
{
    struct blk_device *dev = blk_device_of(base);

    image_drop(&dev->image);
    image_each_rival(&dev->image, blk_device_wake);
}

static void blk_device_give_image_back(struct supervised *base)
{
    struct blk_device *dev = blk_device_of(base);

    image_each_rival(&dev->image, blk_device_wake);
    image_close(&blk_device_daemon(dev)->images, &dev->image);
    base->opened = false;
}

static int blk_device_learn(struct supervised *base, char *why, unsigned long why_size)
{
    struct blk_device *dev = blk_device_of(base);
    struct store *st = base->sup->store;
    char path[64];
    int err = blk_device_xs_read_back(dev, why, why_size);

    if (err != 0) {
        return err;
    }
    snprintf(path, sizeof(path), NAME_KEY, base->id.domid);
    store_watch_del(st, &dev->name_watch);
    err = store_watch_add(st, &dev->name_watch, path, supervised_on_store, base);
    if (err != 0) {
        snprintf(why, why_size, "%s", store_error(st));
    }
    return err;
}

/* Opens the image, if it is known by now. */
static int blk_device_open(struct supervised *base, char *why, unsigned long why_size)
{
    struct blk_device *dev = blk_device_of(base);
    char *path = NULL;
    int err;

    if (base->opened) {
        return 0;
    }
    err = blk_device_xs_image_path(dev, &path, why, why_size);
    if (err != 0 || path == NULL) {
        return err != 0 ? err : -EAGAIN;
    }
    dev->image.id = base->id;
    err = image_open(&blk_device_daemon(dev)->images, path, &dev->image, why, why_size);
    if (err == 0) {
        log_limited(&base->guest_log, LOG_INFO, &base->id, "image %s, %llu sectors, %s", path,
                    (unsigned long long)dev->image.sectors,
                    dev->image.read_only ? "read-only" : "read-write");
    }
    free(path);
    return err;
}

static void blk_device_offer(struct supervised *base)
{
    blk_device_xs_publish_features(blk_device_of(base));
}

/* Whether xl calls the domain the old end of a migration, whose new end it is about to start. */
static bool blk_device_is_away(const struct supervised *base)
{
    static const char suffix[] = "--migratedaway";
    char path[64];
    char *name;
    bool away;

    snprintf(path, sizeof(path), NAME_KEY, base->id.domid);
    if (store_read_str(base->sup->store, STORE_NO_TX, path, NULL, MAX_NAME, &name) != 0) {
        return false;
    }
    away =
        strlen(name) >= strlen(suffix) && strcmp(name + strlen(name) - strlen(suffix), suffix) == 0;
    free(name);
    return away;
}

/*
 * Whether this end may have the disk. When another device of the same virtual machine has taken the
 * image, it is the old end of a migration to this host, whose guest is suspended: it has to let go,
 * and wakes us when it has. One that has yielded does not ask for it back while another end is
 * there; and one whose guest was moved away, not even that of locks.
 */
static enum supervised_turn blk_device_turn(struct supervised *base)
{
    struct blk_device *dev = blk_device_of(base);
    bool yielded = base->life.phase == LIFE_YIELDED;
    struct image_user *holder = image_rival(&dev->image, !yielded);
    char why[64];

    if (blk_device_is_away(base)) {
        if (yielded) {
            blk_device_give_image_back(base);
        }
        return SUPERVISED_YIELD;
    }
    if (holder == NULL) {
        return SUPERVISED_GO;
    }
    if (!yielded) {
        snprintf(why, sizeof(why), "%s %d/%d is the same virtual machine's", base->id.class,
                 base->id.domid, base->id.device);
        supervised_yield(&blk_device_of_image(holder)->base, why);
    }
    return SUPERVISED_WAIT;
}

static int blk_device_configure(struct supervised *base, struct crew_orders *orders, char *why,
                                unsigned long why_size)
{
    struct blk_device *dev = blk_device_of(base);
    int err = image_take(&dev->image, why, why_size);

    if (err == 0) {
        err = blk_device_xs_read_front(dev, why, why_size);
    }
    orders->config = &dev->config;
    orders->size = sizeof(dev->config);
    orders->fds[BLK_WIRE_FD_IMAGE] = dev->image.fd;
    orders->log_at = BLK_WIRE_FD_LOG;
    orders->nr_fds = BLK_WIRE_NR_FDS;
    return err;
}

/* The worker is caged and listens: the guest may know how large its disk is. */
static void blk_device_serve(struct supervised *base)
{
    if (base->view.back == XenbusStateInitWait) {
        blk_device_xs_publish_connected(blk_device_of(base));
    }
}

static void blk_device_update(struct supervised *base)
{
    if (blk_device_is_away(base)) {
        supervised_yield(base, "the guest was moved away");
    }
}

static void blk_device_release(struct supervised *base)
{
    store_watch_del(base->sup->store, &blk_device_of(base)->name_watch);
    blk_device_give_image_back(base);
}

const struct supervisor_ops blockd_ops = {
    .noun = "block device",
    .classes = {{.name = "vbd",
                 .kernel_driver = "/sys/bus/xen-backend/drivers/vbd",
                 .kernel_module = "xen-blkback"},
                {.name = "vbd3"}},
    .keys = (const char *const[]){"", "state", "online", "hotplug-status", "physical-device-path",
                                  NULL},
    .device_size = sizeof(struct blk_device),
    .ready_states = 1U << XenbusStateInitialised | 1U << XenbusStateConnected,
    .order_size = sizeof(uint32_t),
    .offers_unusable = true,
    .learn = blk_device_learn,
    .open = blk_device_open,
    .offer = blk_device_offer,
    .turn = blk_device_turn,
    .configure = blk_device_configure,
    .create_log = inflight_create,
    .serve = blk_device_serve,
    .update = blk_device_update,
    .rest = blk_device_drop_image,
    .idle = blk_device_give_image_back,
    .release = blk_device_release,
};
