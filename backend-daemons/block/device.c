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
#include <unistd.h>

#include "device_xs.h"
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
    image_close(&device_blockd(dev)->images, &dev->image);
}

/* Ends a life of the device; the toolstack or a new front end may start another. */
static void enter_closed(struct device *dev)
{
    dev->phase = DEVICE_CLOSED;
    dev->yielding = false;
    drop_image(dev);
    supervised_set_state(&dev->base, XenbusStateClosed);
}

/* Opens the image if it is known by now. Returns 0 (perhaps still without one) or -errno. */
static int try_open(struct device *dev, char *why, unsigned long why_size)
{
    char *path;
    int err;

    if (dev->image.image != NULL) {
        return 0;
    }
    err = device_xs_image_path(dev, &path, why, why_size);
    if (err != 0 || path == NULL) {
        return err;
    }
    dev->image.id = dev->base.id;
    err = image_open(&device_blockd(dev)->images, path, &dev->image, why, why_size);
    if (err == 0) {
        log_msg(LOG_INFO, &dev->base.id, "image %s, %llu sectors, %s", path,
                (unsigned long long)dev->image.sectors,
                dev->image.read_only ? "read-only" : "read-write");
    }
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
 * Opens the image and offers the device, for the first time or (`again`) after an earlier life. A
 * new device that is further already belongs to a guest that we served before a restart: it keeps
 * its state, and the ring is taken up where it was left.
 */
static void start_life(struct device *dev, bool again)
{
    char why[SENTENCE_MAX];
    struct supervised_view v;
    bool adopt;
    int err;

    if (learn(dev) != 0 || !supervised_look(&dev->base, &v)) {
        return;
    }
    adopt = !again && (v.back == XenbusStateInitWait || v.back == XenbusStateConnected ||
                       is_used_while_closing(&v));
    if (!again && !adopt && (v.back == XenbusStateClosing || v.back == XenbusStateClosed)) {
        enter_closed(dev);
        return;
    }
    err = try_open(dev, why, sizeof(why));
    dev->unusable = err != 0;
    if (err != 0) {
        supervised_tell_error(&dev->base, err, why);
    } else {
        xenbus_clear_error(dev->base.sup->store, dev->base.back);
    }
    dev->phase = DEVICE_WAITING;
    if (adopt) {
        log_msg(LOG_INFO, &dev->base.id, "taken over in state %s", xenbus_state_name(v.back));
    } else if (device_xs_publish_features(dev, err != 0 ? why : NULL) != 0) {
        log_msg(LOG_ERR, &dev->base.id, "cannot publish features: %s",
                store_error(dev->base.sup->store));
    }
    supervised_reconsider(&dev->base);
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
    char name[64];
    char *argv[] = {(char *)dev->base.sup->worker_path, NULL};
    char why[SENTENCE_MAX];
    struct blk_wire_config config;
    int fds[BLK_WIRE_NR_FDS];
    int err, log_fd;

    if (must_wait_for_image(dev) || supervised_too_soon(&dev->base)) {
        return;
    }
    dev->reported = false;
    err = image_take(&dev->image, why, sizeof(why));
    if (err == 0) {
        err = device_xs_read_front(dev, &config, why, sizeof(why));
    }
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
    log_fd = inflight_create();
    fds[BLK_WIRE_FD_IMAGE] = dev->image.fd;
    fds[BLK_WIRE_FD_LOG] = log_fd;
    err = log_fd < 0 ? log_fd
                     : child_send(&dev->worker, &config, sizeof(config), fds, BLK_WIRE_NR_FDS);
    if (log_fd >= 0) {
        close(log_fd);
    }
    if (err != 0) {
        snprintf(name, sizeof(name), "cannot configure the worker: %s", strerror(-err));
        supervised_tell_error(&dev->base, err, name);
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
    } else if (dev->image.image != NULL) {
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
    } else if (dev->image.image != NULL) {
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
};
