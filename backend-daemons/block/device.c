/*
 * One block device of one guest: see device.h. Functions are in the order of a device's life.
 */
#include "device.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "blk_figures.h"
#include "device_xs.h"
#include "domname.h"
#include "gate.h"
#include "inflight.h"
#include "limit.h"

/* Openers of one device that may be killed within a minute. */
#define LOST_MAX 5
#define LOST_NS  UINT64_C(60000000000)

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
    image_close(&dev->image);
    base->opened = false;
}

/* The guest has another name, which may have limits of its own, or say that it is moved away. */
static void blk_device_on_name(void *arg, const char *path)
{
    (void)path;
    supervised_look_anew(arg);
}

static int blk_device_watch_name(struct blk_device *dev, char *why, unsigned long why_size)
{
    struct store *st = dev->base.sup->store;
    char path[64];
    int err;

    snprintf(path, sizeof(path), DOMNAME_KEY, dev->base.id.domid);
    store_watch_del(st, &dev->name_watch);
    err = store_watch_add(st, &dev->name_watch, path, blk_device_on_name, &dev->base);
    if (err != 0) {
        snprintf(why, why_size, "%s", store_error(st));
    }
    return err;
}

static int blk_device_learn_disk(struct supervised *base, char *why, unsigned long why_size)
{
    struct blk_device *dev = blk_device_of(base);
    int err = blk_device_xs_read_back(dev, why, why_size);

    if (err == 0) {
        bucket_set(&dev->lost, LOST_MAX, LOST_NS, LOST_MAX, loop_now_ns());
        err = blk_device_watch_name(dev, why, why_size);
    }
    return err;
}

/* Has the image opened, if it is known by now. */
static int blk_device_open_image(struct supervised *base, char *why, unsigned long why_size)
{
    struct blk_device *dev = blk_device_of(base);
    char *path = NULL;
    int err;

    if (dev->image.stage != IMAGE_NONE) {
        return base->opened ? 0 : -EINPROGRESS;
    }
    err = blk_device_xs_image_path(dev, &path, why, why_size);
    if (err == 0 && path == NULL) {
        return -EAGAIN;
    }
    if (err == 0) {
        dev->image.id = base->id;
        dev->image.patient =
            base->in_use; /* the opener of the last daemon may not have ended yet */
        err = image_open(&blk_device_daemon(dev)->images, path, &dev->image, why, why_size);
        free(path);
    }
    if (lacks_for_now(err) || store_error_passes(err) || err == -EPIPE) {
        /* no process, or killed: nobody else asks again */
        return supervised_try_again(base, why);
    }
    return err != 0 ? err : -EINPROGRESS;
}

/*
 * A worker may not write past the size that its RLIMIT_FSIZE knows, which it cannot raise itself;
 * it lowers it.
 */
static void blk_device_announce_size(struct blk_device *dev)
{
    const struct blk_wire_order order = {.kind = BLK_WIRE_RESIZE,
                                         .sectors = dev->image.facts.sectors};
    struct blk_wire_config now = dev->config;
    struct rlimit limit;
    int err;

    now.sectors = dev->image.facts.sectors;
    limit.rlim_cur = limit.rlim_max = blk_wire_file_limit(&now);
    err = prlimit(dev->base.crew.child.pid, RLIMIT_FSIZE, &limit, NULL) < 0
              ? -errno
              : crew_order(&dev->base.crew, &order, sizeof(order));
    if (err != 0) {
        log_limited(&dev->base.guest_log, LOG_ERR, &dev->base.id,
                    "the worker cannot be told the new size: %s", strerror(-err));
        supervised_reconsider_soon(&dev->base);
        return;
    }
    dev->config.sectors = dev->image.facts.sectors;
    blk_device_xs_publish_size(dev);
}

/* The image has another size: first the worker knows, then the guest. */
static void blk_device_resized(struct blk_device *dev)
{
    log_msg(LOG_NOTICE, &dev->base.id, "image %s has %llu sectors now", image_path(&dev->image),
            (unsigned long long)dev->image.facts.sectors);
    if (dev->base.life.phase == LIFE_CONNECTED) {
        blk_device_announce_size(dev);
    }
}

/* A guest that goes on where it was, rather than boot, may have its file system ruined by this. */
static void blk_device_compare_times(struct blk_device *dev)
{
    const int64_t ns = image_written_since(&dev->image);

    if (ns > 0) {
        log_limited(&dev->base.guest_log, LOG_WARNING, &dev->base.id,
                    "image %s was written %lld ms after this virtual machine had let go of it: a "
                    "guest that was saved and is restored has another disk in its memory",
                    image_path(&dev->image), (long long)(ns / 1000000));
    }
}

/*
 * Its opener was killed. Another locks it, unless that happens again and again. A server may close
 * as often as it likes: who waits for one takes his time.
 */
static void blk_device_lost(struct blk_device *dev, int err, const char *why)
{
    if (dev->image.facts.nbd || bucket_take(&dev->lost, 1, loop_now_ns())) {
        supervised_open_anew(&dev->base, why);
    } else {
        supervised_lost(&dev->base, err, why);
    }
}

/* Its server has been away for as long as its guest is to wait. */
static void blk_device_take_for_dead(struct blk_device *dev)
{
    char why[IMAGE_PATH_MAX + 128];

    snprintf(why, sizeof(why),
             "image %s: the server has been away for %u s; until it is back every request is "
             "answered by an error",
             image_path(&dev->image), blk_device_daemon(dev)->images.server_wait_s);
    supervised_opened(&dev->base, 0, NULL);
    supervised_tell_error(&dev->base, -ETIMEDOUT, why);
}

static void blk_device_on_image(struct image_user *user, enum image_event event, int err,
                                const char *why)
{
    struct blk_device *dev = blk_device_of_image(user);

    switch (event) {
    case IMAGE_OPENED:
        if (user->facts.dead) {
            blk_device_take_for_dead(dev);
            break;
        }
        log_limited(&dev->base.guest_log, LOG_INFO, &dev->base.id, "image %s, %llu sectors, %s",
                    image_path(user), (unsigned long long)user->facts.sectors,
                    user->read_only ? "read-only" : "read-write");
        blk_device_compare_times(dev);
        supervised_opened(&dev->base, 0, NULL);
        break;
    case IMAGE_LATE:
        supervised_opening_late(&dev->base, err, why); /* and it is taken all the same */
        break;
    case IMAGE_LOST:
        blk_device_lost(dev, err, why);
        break;
    case IMAGE_FAILED:
        supervised_lost(&dev->base, err, why);
        break;
    case IMAGE_RESIZED:
        blk_device_resized(dev);
        break;
    }
}

static void blk_device_offer_disk(struct supervised *base)
{
    blk_device_xs_publish_features(blk_device_of(base));
}

/*
 * Whether xl calls the domain the old end of a migration, whose new end it is about to start: 1 or
 * 0. Or -errno: nobody knows, and it is looked at again.
 */
static int blk_device_is_away(struct supervised *base)
{
    char path[64];
    char *name;
    bool away;
    int err;

    snprintf(path, sizeof(path), DOMNAME_KEY, base->id.domid);
    err = store_read_str(base->sup->store, STORE_NO_TX, path, NULL, DOMNAME_MAX, &name);
    if (store_error_passes(err)) {
        supervised_reconsider_soon(base);
        return err;
    }
    if (err != 0) {
        return 0;
    }
    away = domname_is_away(name);
    free(name);
    return away ? 1 : 0;
}

/*
 * Whether this end may have the disk. When another device of the same virtual machine has taken the
 * image, it is the old end of a migration to this host, whose guest is suspended: it has to let go,
 * and wakes us when it has. One that has yielded does not ask for it back while another end is
 * there; and one whose guest was moved away, not even that of locks.
 */
static enum supervised_turn blk_device_claim(struct supervised *base)
{
    struct blk_device *dev = blk_device_of(base);
    bool yielded = base->life.phase == LIFE_YIELDED;
    struct image_user *holder = image_rival(&dev->image, !yielded);
    const int away = blk_device_is_away(base);
    char why[64];

    if (away < 0) {
        return SUPERVISED_WAIT;
    }
    if (away > 0) {
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

static int blk_device_add_image(struct supervised *base, struct crew_orders *orders, char *why,
                                unsigned long why_size)
{
    (void)why;
    (void)why_size;
    struct blk_device *dev = blk_device_of(base);

    blk_device_xs_describe_image(dev);
    blk_limit_begin(dev);
    orders->nr_fds = 1; /* the log: its opener puts the image and its lock before it */
    return 0;
}

static int blk_device_deliver(struct supervised *base, const struct crew_orders *orders, char *why,
                              unsigned long why_size)
{
    return image_take(&blk_device_of(base)->image, base->crew.child.socket.fd, orders->config,
                      orders->size, orders->fds, orders->nr_fds, why, why_size);
}

/* The worker is caged and listens: the guest may know how large its disk is. */
static void blk_device_tell_size(struct supervised *base)
{
    struct blk_device *dev = blk_device_of(base);

    if (base->view.back == XenbusStateInitWait) {
        blk_device_xs_publish_connected(dev);
    }
    if (dev->config.sectors != dev->image.facts.sectors) {
        blk_device_announce_size(dev); /* it changed while the worker started */
    } else {
        blk_device_xs_publish_size(dev); /* it may have changed during a restart */
    }
}

static void blk_device_see_changes(struct supervised *base)
{
    struct blk_device *dev = blk_device_of(base);

    if (base->life.phase == LIFE_CONNECTED && dev->config.sectors != dev->image.facts.sectors) {
        blk_device_announce_size(dev); /* the worker did not take it before */
    } else if (base->life.phase == LIFE_CONNECTED && dev->size_due) {
        blk_device_xs_publish_size(dev);
    }
    if (base->life.phase == LIFE_CONNECTED) {
        blk_limit_update(dev);
    }
    if (blk_device_is_away(base) > 0) {
        supervised_yield(base, "the guest was moved away");
    }
}

static void blk_device_let_go(struct supervised *base)
{
    store_watch_del(base->sup->store, &blk_device_of(base)->name_watch);
    blk_device_give_image_back(base);
}

static void blk_on_host_device(void *arg, dev_t rdev)
{
    image_device_changed(arg, rdev);
}

static int blk_watch_host(struct supervisor *sup)
{
    struct blockd *d = (struct blockd *)sup; /* its first member */
    int err;

    d->images.loop = sup->loop;
    d->images.on_event = blk_device_on_image;
    err = uevent_watch_start(&d->uevents, sup->loop, blk_on_host_device, &d->images);
    if (err != 0) {
        log_msg(LOG_WARNING, NULL, "block devices that change their size are not noticed: %s",
                strerror(-err));
    }
    if (lacks_for_now(err)) {
        return err; /* the daemon is started again, and then they are */
    }
    err = qdisk_watch_start(&d->qdisks, sup->loop, sup->store);
    if (err == 0) {
        return supervisor_find_program(d->images.opener_path, &d->images.opener_program);
    }
    log_msg(LOG_ERR, NULL, "cannot watch %s", store_error(sup->store));
    return err;
}

static void blk_leave_host(struct supervisor *sup)
{
    struct blockd *d = (struct blockd *)sup; /* its first member */

    uevent_watch_stop(&d->uevents);
    qdisk_watch_stop(&d->qdisks);
    blk_trail_free(&d->images.trail);
    if (d->images.opener_program > 0) {
        close(d->images.opener_program);
    }
}

const struct supervisor_ops blockd_ops = {
    .noun = "block device",
    .classes = {{.name = "vbd", .kernel_module = "xen-blkback"}, {.name = "vbd3"}},
    .keys = (const char *const[]){"", "state", "online", "hotplug-status", "physical-device-path",
                                  NULL},
    .device_size = sizeof(struct blk_device),
    .wire = &blk_wire_format,
    .config_at = offsetof(struct blk_device, config),
    .ready_states = 1U << XenbusStateInitialised | 1U << XenbusStateConnected,
    .offers_unusable = true,
    .refuses = true,
    .learn = blk_device_learn_disk,
    .open = blk_device_open_image,
    .offer = blk_device_offer_disk,
    .turn = blk_device_claim,
    .read_front = blk_device_xs_read_front,
    .configure = blk_device_add_image,
    .deliver = blk_device_deliver,
    .create_log = inflight_create,
    .log_magic = INFLIGHT_MAGIC,
    .log_version = INFLIGHT_VERSION,
    .metrics = &blk_disk_metrics,
    .serve = blk_device_tell_size,
    .update = blk_device_see_changes,
    .rest = blk_device_drop_image,
    .idle = blk_device_give_image_back,
    .release = blk_device_let_go,
    .started = blk_watch_host,
    .stopped = blk_leave_host,
};
