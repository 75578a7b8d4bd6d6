/*
 * One block device of one guest: see device.h for the phases. evaluate() calls the function of the
 * phase that the device is in, with what decides: our state, the front end's, and `online`.
 */
#include "device.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <unistd.h>

#include "device_xs.h"
#include "gate.h"
#include "inflight.h"
#include "xenbus.h"

#define SENTENCE_MAX 1024
#define MAX_NAME     4096

/* The toolstack wants the device back, and the guest still needs it, to write what it has cached.
 */
static bool is_used_while_closing(const struct supervised_view *v)
{
    return v->back == XenbusStateClosing && v->front == XenbusStateConnected;
}

/* The front end has published its ring. */
static bool front_is_ready(const struct supervised_view *v)
{
    return v->front == XenbusStateInitialised || v->front == XenbusStateConnected;
}

static struct device *device_of_image(struct image_user *user)
{
    return (struct device *)((char *)user - offsetof(struct device, image));
}

static void wake(struct image_user *user)
{
    supervised_reconsider(&device_of_image(user)->base);
}

/* No worker has the image any more: who waits for it may have it. */
static void drop_image(struct device *dev)
{
    image_drop(&dev->image);
    image_each_rival(&dev->image, wake);
}

static void give_image_back(struct device *dev)
{
    image_each_rival(&dev->image, wake);
    image_close(&dev->image);
}

/* Ends a life of the device; the toolstack or a new front end may start another. */
static void enter_closed(struct device *dev)
{
    dev->phase = DEVICE_CLOSED;
    dev->yielding = false;
    drop_image(dev);
    supervised_set_state(&dev->base, XenbusStateClosed);
}

/* Has the image opened if it is known by now. Returns 0 (perhaps still without one) or -errno. */
static int try_open(struct device *dev, char *why, unsigned long why_size)
{
    char *path;
    int err;

    if (dev->image.stage != IMAGE_NONE) {
        return 0;
    }
    err = device_xs_image_path(dev, &path, why, why_size);
    if (err != 0 || path == NULL) {
        return err;
    }
    dev->image.id = dev->base.id;
    err = image_open(&device_blockd(dev)->images, path, &dev->image, why, why_size);
    free(path);
    return err;
}

#define NAME_KEY "/local/domain/%d/name"

static int watch_name(struct device *dev)
{
    char path[64];

    snprintf(path, sizeof(path), NAME_KEY, dev->base.id.domid);
    store_watch_del(dev->base.sup->store, &dev->name_watch);
    return store_watch_add(dev->base.sup->store, &dev->name_watch, path, supervised_on_store,
                           &dev->base);
}

/* Whether xl calls the domain the old end of a migration, whose new end it is about to start. */
static bool is_away(struct device *dev)
{
    static const char suffix[] = "--migratedaway";
    char path[64];
    char *name;
    bool away;

    snprintf(path, sizeof(path), NAME_KEY, dev->base.id.domid);
    if (store_read_str(dev->base.sup->store, STORE_NO_TX, path, NULL, MAX_NAME, &name) != 0) {
        return false;
    }
    away =
        strlen(name) >= strlen(suffix) && strcmp(name + strlen(name) - strlen(suffix), suffix) == 0;
    free(name);
    return away;
}

/* Learns what the device is. Returns 0, or -errno after telling. */
static int learn(struct device *dev)
{
    char why[SENTENCE_MAX];
    int err = device_xs_read_back(dev, why, sizeof(why));

    if (err == 0) {
        err = watch_name(dev);
        snprintf(why, sizeof(why), "%s", store_error(dev->base.sup->store));
    }
    if (err != 0) {
        supervised_tell_error(&dev->base, err, why);
        dev->unusable = true;
        enter_closed(dev);
    }
    return err;
}

/*
 * A worker may not write past the size that its RLIMIT_FSIZE knows, which it cannot raise itself;
 * it lowers it.
 */
static void announce_size(struct device *dev)
{
    const struct blk_wire_order order = {.kind = BLK_WIRE_RESIZE,
                                         .sectors = dev->image.facts.sectors};
    const rlim_t bytes = dev->image.facts.sectors * BLK_SECTOR_BYTES;
    const struct rlimit limit = {.rlim_cur = bytes, .rlim_max = bytes};
    int err = 0;

    dev->told_sectors = dev->image.facts.sectors;
    if (prlimit(dev->worker.pid, RLIMIT_FSIZE, &limit, NULL) < 0) {
        err = -errno;
    }
    if (err == 0) {
        err = child_send(&dev->worker, &order, sizeof(order), NULL, 0);
    }
    if (err != 0) {
        log_msg(LOG_ERR, &dev->base.id, "the worker cannot be told the new size: %s",
                strerror(-err));
    } else if (device_xs_publish_size(dev) != 0) {
        log_msg(LOG_ERR, &dev->base.id, "cannot publish the new size: %s",
                store_error(dev->base.sup->store));
    }
}

/*
 * Offers the device, or (`err`) tells why there is nothing to offer. One that was offered before a
 * restart keeps its state.
 */
static void offer(struct device *dev, int err, const char *why)
{
    if (err != 0) {
        supervised_tell_error(&dev->base, err, why);
    } else {
        xenbus_clear_error(dev->base.sup->store, dev->base.back);
    }
    dev->phase = DEVICE_WAITING;
    if (!dev->adopt && device_xs_publish_features(dev, err != 0 ? why : NULL) != 0) {
        log_msg(LOG_ERR, &dev->base.id, "cannot publish features: %s",
                store_error(dev->base.sup->store));
    }
    supervised_reconsider(&dev->base);
}

/*
 * Has the image opened, to offer the device then, for the first time or (`again`) after an earlier
 * life. A new device that is further already belongs to a guest that we served before a restart: it
 * keeps its state, and the ring is taken up where it was left.
 */
static void start_life(struct device *dev, bool again)
{
    char why[SENTENCE_MAX];
    struct supervised_view v;
    int err;

    if (learn(dev) != 0 || !supervised_look(&dev->base, &v)) {
        return;
    }
    dev->adopt = !again && (v.back == XenbusStateInitWait || v.back == XenbusStateConnected ||
                            is_used_while_closing(&v));
    if (!again && !dev->adopt && (v.back == XenbusStateClosing || v.back == XenbusStateClosed)) {
        enter_closed(dev);
        return;
    }
    if (dev->adopt) {
        log_msg(LOG_INFO, &dev->base.id, "taken over in state %s", xenbus_state_name(v.back));
    }
    err = try_open(dev, why, sizeof(why));
    dev->unusable = err != 0;
    dev->phase = DEVICE_OPENING;
    if (err != 0 || dev->image.stage == IMAGE_NONE || dev->image.stage == IMAGE_OPEN) {
        offer(dev, err, why);
    }
}

/* Waits for no other event than image_event(). */
static void evaluate_opening(struct device *dev, const struct supervised_view *v)
{
    if ((v->back == XenbusStateClosing && !is_used_while_closing(v)) ||
        v->front == XenbusStateClosing || supervised_front_is_closed(v)) {
        enter_closed(dev);
    }
}

/* The image is open; if it came late, those who were told that it does not are told again. */
static void image_opened(struct device *dev)
{
    enum xenbus_state back;

    log_msg(LOG_INFO, &dev->base.id, "image %s, %llu sectors, %s", image_path(&dev->image),
            (unsigned long long)dev->image.facts.sectors,
            dev->image.read_only ? "read-only" : "read-write");
    if (dev->phase == DEVICE_OPENING) {
        offer(dev, 0, NULL);
        return;
    }
    xenbus_clear_error(dev->base.sup->store, dev->base.back);
    if (dev->phase == DEVICE_WAITING &&
        xenbus_read_state(dev->base.sup->store, STORE_NO_TX, dev->base.back, &back) == 0 &&
        back == XenbusStateInitWait) {
        device_xs_publish_features(dev, NULL);
    }
    supervised_reconsider(&dev->base);
}

/* There is no image, or none any more. */
static void image_failed(struct device *dev, int err, const char *why)
{
    dev->unusable = true;
    if (dev->phase == DEVICE_OPENING) {
        offer(dev, err, why);
        return;
    }
    supervised_tell_error(&dev->base, err, why);
    if (dev->phase == DEVICE_STARTING || dev->phase == DEVICE_CONNECTED) {
        dev->reported = true;
        dev->phase = DEVICE_STOPPING;
        child_signal(&dev->worker, SIGTERM);
    }
    supervised_reconsider(&dev->base);
}

/* The image has another size: first the worker knows, then the guest. */
static void image_resized(struct device *dev)
{
    log_msg(LOG_NOTICE, &dev->base.id, "image %s has %llu sectors now", image_path(&dev->image),
            (unsigned long long)dev->image.facts.sectors);
    if (dev->phase == DEVICE_CONNECTED) {
        announce_size(dev);
    }
}

static void image_event(struct image_user *user, enum image_event event, int err, const char *why)
{
    struct device *dev = device_of_image(user);

    switch (event) {
    case IMAGE_OPENED:
        image_opened(dev);
        break;
    case IMAGE_LATE:
        if (dev->phase == DEVICE_OPENING) {
            offer(dev, err, why); /* and it is taken all the same if it comes */
        } else {
            supervised_tell_error(&dev->base, err, why);
        }
        break;
    case IMAGE_FAILED:
        image_failed(dev, err, why);
        break;
    case IMAGE_RESIZED:
        image_resized(dev);
        break;
    }
}

/* The worker has stopped in good order, or its guest has no use for it any more. */
static void worker_finished(struct device *dev)
{
    if (dev->base.sup->stopping) {
        supervisor_remove(dev->base.sup, &dev->base);
        return;
    }
    if (dev->yielding) {
        dev->yielding = false;
        dev->phase = DEVICE_YIELDED;
        drop_image(dev);
        supervised_reconsider(&dev->base);
        return;
    }
    log_msg(LOG_INFO, &dev->base.id, "disconnected");
    enter_closed(dev);
    supervised_reconsider(&dev->base);
}

static void on_worker_exit(void *arg, int status)
{
    struct device *dev = arg;
    char text[128];

    if (dev->phase == DEVICE_STOPPING && (status == 0 || dev->reported)) {
        worker_finished(dev);
        return;
    }
    dev->yielding = false; /* nobody knows what it left undone: no other worker may go on */
    child_describe_status(status, text, sizeof(text));
    if (dev->phase == DEVICE_STOPPING) {
        log_msg(LOG_WARNING, &dev->base.id, "worker %s while it was stopping", text);
    } else {
        char sentence[SENTENCE_MAX];

        snprintf(sentence, sizeof(sentence), "worker %s; the device is closed", text);
        supervised_tell_error(&dev->base, -EIO, sentence);
    }
    worker_finished(dev);
}

/* The worker is caged and listens: the guest may know how large its disk is. */
static void worker_ready(struct device *dev)
{
    enum xenbus_state back;

    if (dev->phase != DEVICE_STARTING) {
        return;
    }
    dev->phase = DEVICE_CONNECTED;
    xenbus_read_state(dev->base.sup->store, STORE_NO_TX, dev->base.back, &back);
    if (back == XenbusStateInitWait && device_xs_publish_connected(dev) != 0) {
        log_msg(LOG_ERR, &dev->base.id, "cannot publish the connection: %s",
                store_error(dev->base.sup->store));
    }
    log_msg(LOG_INFO, &dev->base.id, "connected");
    if (dev->told_sectors != dev->image.facts.sectors) {
        announce_size(dev); /* it changed while the worker started */
    } else if (back == XenbusStateConnected && device_xs_publish_size(dev) != 0) {
        /* it may have changed during a restart */
        log_msg(LOG_ERR, &dev->base.id, "cannot publish the size: %s",
                store_error(dev->base.sup->store));
    }
    supervised_reconsider(&dev->base);
}

static void on_worker_message(void *arg, const void *msg, unsigned long len)
{
    struct device *dev = arg;
    struct wire_report r;
    char sentence[SENTENCE_MAX];

    if (len != sizeof(r)) {
        log_msg(LOG_ERR, &dev->base.id, "worker sent %lu bytes that are no report", len);
        child_signal(&dev->worker, SIGKILL);
        return;
    }
    memcpy(&r, msg, sizeof(r));
    r.text[sizeof(r.text) - 1] = '\0';
    switch (r.kind) {
    case WIRE_READY:
        worker_ready(dev);
        break;
    case WIRE_FAILED:
    case WIRE_BROKEN:
        snprintf(sentence, sizeof(sentence), "%s: %s", dev->base.front, r.text);
        supervised_tell_error(&dev->base, -r.err, sentence);
        dev->reported = true;
        dev->phase = DEVICE_STOPPING;
        break;
    default:
        log_msg(LOG_ERR, &dev->base.id, "worker sent report %u, which does not exist", r.kind);
        child_signal(&dev->worker, SIGKILL);
        break;
    }
}

static void stop_worker(struct device *dev)
{
    const uint32_t order = WIRE_STOP;

    dev->phase = DEVICE_STOPPING;
    if (child_send(&dev->worker, &order, sizeof(order), NULL, 0) != 0) {
        child_signal(&dev->worker, SIGTERM);
    }
}

/* The guest goes on elsewhere, `why` tells where: its worker ends, without a word in the store. */
static void yield_disk(struct device *dev, const char *why)
{
    log_msg(LOG_INFO, &dev->base.id, "lets go of its disk: %s", why);
    dev->yielding = true;
    stop_worker(dev);
}

/*
 * Another device of the same virtual machine has the image taken: the old end of a migration to
 * this host, whose guest is suspended. It has to let go, and wakes us when it has.
 */
static bool must_wait_for_image(struct device *dev)
{
    struct image_user *holder = image_rival(&dev->image, true);
    struct device *old;

    if (holder == NULL) {
        return false;
    }
    old = device_of_image(holder);
    if (old->phase == DEVICE_STARTING || old->phase == DEVICE_CONNECTED) {
        char why[64];

        snprintf(why, sizeof(why), "%s %d/%d is the same virtual machine's", dev->base.id.class,
                 dev->base.id.domid, dev->base.id.device);
        yield_disk(old, why);
    }
    return true;
}

/* The front end has published its ring: a worker takes over. */
static void connect_front(struct device *dev)
{
    char *argv[] = {(char *)dev->base.sup->worker_path, NULL};
    char why[SENTENCE_MAX];
    struct blk_wire_config config;
    int err, log_fd;

    if (must_wait_for_image(dev) || supervised_too_soon(&dev->base)) {
        return;
    }
    dev->reported = false;
    err = device_xs_read_front(dev, &config, why, sizeof(why));
    if (err == 0) {
        err = child_start(&dev->worker, dev->base.sup->loop, argv, on_worker_message,
                          on_worker_exit, dev);
        if (err != 0) {
            snprintf(why, sizeof(why), "cannot start %s: %s", argv[0], strerror(-err));
        }
    }
    if (err != 0) {
        supervised_tell_error(&dev->base, err, why);
        enter_closed(dev);
        return;
    }
    dev->phase = DEVICE_STARTING;
    dev->told_sectors = config.sectors;
    log_fd = inflight_create();
    if (log_fd < 0) {
        err = log_fd;
        snprintf(why, sizeof(why), "cannot configure the worker: %s", strerror(-err));
    } else {
        err = image_take(&dev->image, dev->worker.socket.fd, &config, sizeof(config), &log_fd, 1,
                         why, sizeof(why));
        close(log_fd);
    }
    if (err != 0) {
        supervised_tell_error(&dev->base, err, why);
        child_signal(&dev->worker, SIGKILL);
    }
}

static void evaluate_waiting(struct device *dev, const struct supervised_view *v)
{
    char why[SENTENCE_MAX];
    int err;

    if ((v->back == XenbusStateClosing && !is_used_while_closing(v)) ||
        v->front == XenbusStateClosing || supervised_front_is_closed(v)) {
        enter_closed(dev);
        return;
    }
    if (!dev->unusable) {
        err = try_open(dev, why, sizeof(why));
        if (err != 0) {
            supervised_tell_error(&dev->base, err, why);
            dev->unusable = true;
        }
    }
    if (!front_is_ready(v)) {
        return;
    }
    if (is_away(dev)) {
        log_msg(LOG_INFO, &dev->base.id, "not connected: by its name the guest was moved away");
        dev->phase = DEVICE_YIELDED;
        supervised_reconsider(&dev->base);
        return;
    }
    if (dev->unusable) {
        enter_closed(dev); /* why was told when it became unusable */
    } else if (dev->image.stage == IMAGE_OPEN) {
        connect_front(dev);
    }
}

/* Both with a worker that starts and with one that serves. */
static void evaluate_connected(struct device *dev, const struct supervised_view *v)
{
    if (front_is_ready(v) && is_away(dev)) {
        yield_disk(dev, "the guest was moved away");
        return;
    }
    if (front_is_ready(v)) {
        return; /* also while we are asked to close: the guest still needs its disk to do so */
    }
    if (v->front == XenbusStateClosing) {
        if (v->back != XenbusStateClosing) {
            supervised_set_state(&dev->base, XenbusStateClosing);
        }
        return;
    }
    stop_worker(dev);
}

/*
 * The disk went to the other end of a migration. When that one is gone again, and our guest still
 * has its ring, the migration has failed, and the guest goes on here.
 */
static void evaluate_yielded(struct device *dev, const struct supervised_view *v)
{
    char why[SENTENCE_MAX];
    int err;

    if (!front_is_ready(v)) {
        enter_closed(dev);
        return;
    }
    if (is_away(dev)) {
        give_image_back(dev);
        return;
    }
    if (image_rival(&dev->image, false) != NULL) {
        return;
    }
    err = try_open(dev, why, sizeof(why));
    if (err != 0) {
        supervised_tell_error(&dev->base, err, why);
        enter_closed(dev);
    } else if (dev->image.stage == IMAGE_OPEN) {
        connect_front(dev);
    }
}

static void evaluate_closed(struct device *dev, const struct supervised_view *v)
{
    if (v->back == XenbusStateClosing) {
        supervised_set_state(&dev->base, XenbusStateClosed);
    }
    if (!v->online || v->front == XenbusStateUnknown) {
        give_image_back(dev);
        return;
    }
    if (!dev->unusable && v->front == XenbusStateInitialising && v->back == XenbusStateClosed) {
        start_life(dev, true);
    }
}

static struct device *device_of(struct supervised *base)
{
    return (struct device *)base; /* its first member */
}

static void evaluate(struct supervised *base, const struct supervised_view *v)
{
    struct device *dev = device_of(base);

    switch (dev->phase) {
    case DEVICE_NEW:
        start_life(dev, false);
        break;
    case DEVICE_OPENING:
        evaluate_opening(dev, v);
        break;
    case DEVICE_WAITING:
        evaluate_waiting(dev, v);
        break;
    case DEVICE_STARTING:
    case DEVICE_CONNECTED:
        evaluate_connected(dev, v);
        break;
    case DEVICE_STOPPING:
        break; /* on_worker_exit() goes on */
    case DEVICE_YIELDED:
        evaluate_yielded(dev, v);
        break;
    case DEVICE_CLOSED:
        evaluate_closed(dev, v);
        break;
    }
}

/* The store is left as it is. */
static void stop(struct supervised *base)
{
    struct device *dev = device_of(base);

    if (dev->worker.pid == 0) {
        supervisor_remove(dev->base.sup, base);
    } else if (dev->phase != DEVICE_STOPPING) {
        stop_worker(dev);
    }
}

/* The back end's directory is gone: so is the device, once no worker is left. */
static void gone(struct supervised *base)
{
    struct device *dev = device_of(base);

    if (dev->worker.pid == 0) {
        log_msg(LOG_INFO, &base->id, "removed");
    }
    stop(base);
}

static void release(struct supervised *base)
{
    struct device *dev = device_of(base);

    store_watch_del(base->sup->store, &dev->name_watch);
    give_image_back(dev);
}

static void on_block_device(void *arg, dev_t rdev)
{
    image_device_changed(arg, rdev);
}

static void started(struct supervisor *sup)
{
    struct blockd *d = (struct blockd *)sup; /* its first member */
    int err;

    d->images.loop = sup->loop;
    d->images.on_event = image_event;
    err = uevent_watch_start(&d->uevents, sup->loop, on_block_device, &d->images);
    if (err != 0) {
        log_msg(LOG_WARNING, NULL, "block devices that change their size are not noticed: %s",
                strerror(-err));
    }
    if (qdisk_watch_start(&d->qdisks, sup->loop, sup->store) != 0) {
        log_msg(LOG_ERR, NULL, "cannot watch %s", store_error(sup->store));
    }
}

const struct supervisor_ops blockd_ops = {
    .noun = "block device",
    .classes = {{.name = "vbd",
                 .kernel_driver = "/sys/bus/xen-backend/drivers/vbd",
                 .kernel_module = "xen-blkback"},
                {.name = "vbd3"}},
    .keys = (const char *const[]){"", "state", "online", "hotplug-status", "physical-device-path",
                                  NULL},
    .device_size = sizeof(struct device),
    .evaluate = evaluate,
    .gone = gone,
    .stop = stop,
    .release = release,
    .started = started,
};
