/*
 * One block device of one guest: see device.h for the phases. evaluate() reads the three
 * things that decide (our state, the front end's state, online) and calls the function of the phase
 * the device is in.
 */
#include "device.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device_xs.h"
#include "gate.h"
#include "xenbus.h"

#define SENTENCE_MAX          1024
#define MAX_NAME              4096
#define MIN_START_INTERVAL_NS 250000000ULL
#define GUEST_LOG_MS          5000

/* What the store says at the moment of an evaluation. */
struct view {
    enum xenbus_state back;
    enum xenbus_state front;
    bool online;
    bool away; /* xl has moved the guest to another end, and is about to start it there */
};

static void evaluate(void *arg);

/* Asks for an evaluation before the loop waits again. */
static void reconsider(struct device *dev)
{
    loop_defer(dev->sup->loop, &dev->work, evaluate, dev);
}

/* The front end has closed its side, or is not there any more. */
static bool front_is_closed(const struct view *v)
{
    return v->front == XenbusStateClosed || v->front == XenbusStateUnknown;
}

/* The toolstack wants the device back, and the guest still needs it, to write what it has cached.
 */
static bool is_used_while_closing(const struct view *v)
{
    return v->back == XenbusStateClosing && v->front == XenbusStateConnected;
}

/* The front end has published its ring. */
static bool front_is_ready(const struct view *v)
{
    return v->front == XenbusStateInitialised || v->front == XenbusStateConnected;
}

static void set_state(struct device *dev, enum xenbus_state state)
{
    int err = xenbus_write_state(dev->sup->store, dev->back, state);

    if (err != 0 && err != -ENOENT) {
        log_msg(LOG_ERR, &dev->id, "cannot write state %s: %s", xenbus_state_name(state),
                store_error(dev->sup->store));
    }
    log_msg(LOG_DEBUG, &dev->id, "state %s", xenbus_state_name(state));
}

/* Says in all the places where people look that something went wrong. */
static void tell_error(struct device *dev, int err, const char *sentence)
{
    log_msg(LOG_ERR, &dev->id, "%s", sentence);
    xenbus_write_error(dev->sup->store, dev->back, -err, sentence);
}

static struct device *device_of_image(struct image_user *user)
{
    return (struct device *)((char *)user - offsetof(struct device, image));
}

static void wake(struct image_user *user)
{
    reconsider(device_of_image(user));
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
    set_state(dev, XenbusStateClosed);
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
    dev->image.id = dev->id;
    err = image_open(&device_blockd(dev)->images, path, &dev->image, why, why_size);
    if (err == 0) {
        log_msg(LOG_INFO, &dev->id, "image %s, %llu sectors, %s", path,
                (unsigned long long)dev->image.sectors,
                dev->image.read_only ? "read-only" : "read-write");
    }
    free(path);
    return err;
}

static void on_event(void *arg, const char *path)
{
    (void)path;
    reconsider(arg);
}

#define NAME_KEY "/local/domain/%d/name"

static int watch_name(struct device *dev)
{
    char path[64];

    snprintf(path, sizeof(path), NAME_KEY, dev->id.domid);
    store_watch_del(dev->sup->store, &dev->name_watch);
    return store_watch_add(dev->sup->store, &dev->name_watch, path, on_event, dev);
}

/* Whether xl calls the domain the old end of a migration that is about to succeed. */
static bool is_away(struct device *dev)
{
    static const char suffix[] = "--migratedaway";
    char path[64];
    char *name;
    bool away;

    snprintf(path, sizeof(path), NAME_KEY, dev->id.domid);
    if (store_read_str(dev->sup->store, STORE_NO_TX, path, NULL, MAX_NAME, &name) != 0) {
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
    char path[STORE_PATH_MAX];
    char why[SENTENCE_MAX];
    int err = device_xs_read_back(dev, why, sizeof(why));

    if (err == 0) {
        snprintf(path, sizeof(path), "%.*s/state", STORE_PATH_MAX - 16, dev->front);
        store_watch_del(dev->sup->store, &dev->front_watch);
        err = store_watch_add(dev->sup->store, &dev->front_watch, path, on_event, dev);
        if (err == 0) {
            err = watch_name(dev);
        }
        snprintf(why, sizeof(why), "%s", store_error(dev->sup->store));
    }
    if (err != 0) {
        tell_error(dev, err, why);
        dev->unusable = true;
        enter_closed(dev);
    }
    return err;
}

/* Reads what decides. Returns false when the back end's directory is gone. */
static bool look(struct device *dev, struct view *v)
{
    struct store *st = dev->sup->store;
    uint64_t online = 0;

    v->front = XenbusStateUnknown;
    if (xenbus_read_state(st, STORE_NO_TX, dev->back, &v->back) != 0) {
        log_msg(LOG_ERR, &dev->id, "%s", store_error(st));
    }
    if (v->back == XenbusStateUnknown && !store_exists(st, STORE_NO_TX, dev->back, "state")) {
        return false;
    }
    if (dev->front != NULL && xenbus_read_state(st, STORE_NO_TX, dev->front, &v->front) != 0) {
        log_limited(&dev->guest_log, LOG_WARNING, &dev->id, "%s", store_error(st));
        v->front = XenbusStateClosing; /* the guest writes nonsense: nothing to go on with */
    }
    store_read_uint_def(st, STORE_NO_TX, dev->back, "online", 1, 0, &online);
    v->online = online != 0;
    v->away = is_away(dev);
    return true;
}

/*
 * Opens the image and offers the device, for the first time or (`again`) after an earlier life. A
 * new device that is further already belongs to a guest that we served before a restart: it keeps
 * its state, and the ring is taken up where it was left.
 */
static void start_life(struct device *dev, bool again)
{
    char why[SENTENCE_MAX];
    struct view v;
    bool adopt;
    int err;

    if (learn(dev) != 0 || !look(dev, &v)) {
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
        tell_error(dev, err, why);
    } else {
        xenbus_clear_error(dev->sup->store, dev->back);
    }
    dev->phase = DEVICE_WAITING;
    if (adopt) {
        log_msg(LOG_INFO, &dev->id, "taken over in state %s", xenbus_state_name(v.back));
    } else if (device_xs_publish_features(dev, err != 0 ? why : NULL) != 0) {
        log_msg(LOG_ERR, &dev->id, "cannot publish features: %s", store_error(dev->sup->store));
    }
    reconsider(dev);
}

/* The worker has stopped in good order, or its guest has no use for it any more. */
static void worker_finished(struct device *dev)
{
    if (dev->sup->stopping) {
        supervisor_remove(dev->sup, &dev->base);
        return;
    }
    if (dev->yielding) {
        dev->yielding = false;
        dev->phase = DEVICE_YIELDED;
        drop_image(dev);
        reconsider(dev);
        return;
    }
    log_msg(LOG_INFO, &dev->id, "disconnected");
    enter_closed(dev);
    reconsider(dev);
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
        log_msg(LOG_WARNING, &dev->id, "worker %s while it was stopping", text);
    } else {
        char sentence[SENTENCE_MAX];

        snprintf(sentence, sizeof(sentence), "worker %s; the device is closed", text);
        tell_error(dev, -EIO, sentence);
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
    xenbus_read_state(dev->sup->store, STORE_NO_TX, dev->back, &back);
    if (back == XenbusStateInitWait && device_xs_publish_connected(dev) != 0) {
        log_msg(LOG_ERR, &dev->id, "cannot publish the connection: %s",
                store_error(dev->sup->store));
    }
    log_msg(LOG_INFO, &dev->id, "connected");
    reconsider(dev);
}

static void on_worker_message(void *arg, const void *msg, unsigned long len)
{
    struct device *dev = arg;
    struct wire_report r;
    char sentence[SENTENCE_MAX];

    if (len != sizeof(r)) {
        log_msg(LOG_ERR, &dev->id, "worker sent %lu bytes that are no report", len);
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
        snprintf(sentence, sizeof(sentence), "%s: %s", dev->front, r.text);
        tell_error(dev, -r.err, sentence);
        dev->reported = true;
        dev->phase = DEVICE_STOPPING;
        break;
    default:
        log_msg(LOG_ERR, &dev->id, "worker sent report %u, which does not exist", r.kind);
        child_signal(&dev->worker, SIGKILL);
        break;
    }
}

static void retry(void *arg)
{
    reconsider(arg);
}

/* A guest that comes and goes without end must not keep us busy: it waits its turn. */
static bool too_soon(struct device *dev)
{
    uint64_t now = loop_now_ns();
    uint64_t next = dev->last_start_ns + MIN_START_INTERVAL_NS;

    if (dev->last_start_ns != 0 && now < next) {
        return loop_timer_set(dev->sup->loop, &dev->retry, next - now, retry, dev) == 0;
    }
    dev->last_start_ns = now;
    return false;
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
    log_msg(LOG_INFO, &dev->id, "lets go of its disk: %s", why);
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

        snprintf(why, sizeof(why), "%s %d/%d is the same virtual machine's", dev->id.class,
                 dev->id.domid, dev->id.device);
        yield_disk(old, why);
    }
    return true;
}

/* The front end has published its ring: a worker takes over. */
static void connect_front(struct device *dev)
{
    char name[64];
    char *argv[] = {(char *)dev->sup->worker_path, NULL};
    char why[SENTENCE_MAX];
    struct wire_config config;
    int fds[WIRE_NR_FDS];
    int err;

    if (must_wait_for_image(dev) || too_soon(dev)) {
        return;
    }
    dev->reported = false;
    err = image_take(&dev->image, why, sizeof(why));
    if (err == 0) {
        err = device_xs_read_front(dev, &config, why, sizeof(why));
    }
    if (err == 0) {
        err =
            child_start(&dev->worker, dev->sup->loop, argv, on_worker_message, on_worker_exit, dev);
        if (err != 0) {
            snprintf(why, sizeof(why), "cannot start %s: %s", argv[0], strerror(-err));
        }
    }
    if (err != 0) {
        tell_error(dev, err, why);
        enter_closed(dev);
        return;
    }
    dev->phase = DEVICE_STARTING;
    fds[WIRE_FD_IMAGE] = dev->image.fd;
    err = child_send(&dev->worker, &config, sizeof(config), fds, WIRE_NR_FDS);
    if (err != 0) {
        snprintf(name, sizeof(name), "cannot configure the worker: %s", strerror(-err));
        tell_error(dev, err, name);
        child_signal(&dev->worker, SIGKILL);
    }
}

static void evaluate_waiting(struct device *dev, const struct view *v)
{
    char why[SENTENCE_MAX];
    int err;

    if ((v->back == XenbusStateClosing && !is_used_while_closing(v)) ||
        v->front == XenbusStateClosing || front_is_closed(v)) {
        enter_closed(dev);
        return;
    }
    if (!dev->unusable) {
        err = try_open(dev, why, sizeof(why));
        if (err != 0) {
            tell_error(dev, err, why);
            dev->unusable = true;
        }
    }
    if (!front_is_ready(v)) {
        return;
    }
    if (v->away) {
        log_msg(LOG_INFO, &dev->id, "not connected: by its name the guest was moved away");
        dev->phase = DEVICE_YIELDED;
        reconsider(dev);
        return;
    }
    if (dev->unusable) {
        enter_closed(dev); /* why was told when it became unusable */
    } else if (dev->image.image != NULL) {
        connect_front(dev);
    }
}

/* Both with a worker that starts and with one that serves. */
static void evaluate_connected(struct device *dev, const struct view *v)
{
    if (front_is_ready(v) && v->away) {
        yield_disk(dev, "the guest was moved away");
        return;
    }
    if (front_is_ready(v)) {
        return; /* also while we are asked to close: the guest still needs its disk to do so */
    }
    if (v->front == XenbusStateClosing) {
        if (v->back != XenbusStateClosing) {
            set_state(dev, XenbusStateClosing);
        }
        return;
    }
    stop_worker(dev);
}

/*
 * The disk went to the other end of a migration. When that one is gone again, and our guest still
 * has its ring, the migration has failed, and the guest goes on here.
 */
static void evaluate_yielded(struct device *dev, const struct view *v)
{
    char why[SENTENCE_MAX];
    int err;

    if (!front_is_ready(v)) {
        enter_closed(dev);
        return;
    }
    if (v->away) {
        give_image_back(dev);
        return;
    }
    if (image_rival(&dev->image, false) != NULL) {
        return;
    }
    err = try_open(dev, why, sizeof(why));
    if (err != 0) {
        tell_error(dev, err, why);
        enter_closed(dev);
    } else if (dev->image.image != NULL) {
        connect_front(dev);
    }
}

static void evaluate_closed(struct device *dev, const struct view *v)
{
    if (v->back == XenbusStateClosing) {
        set_state(dev, XenbusStateClosed);
    }
    if (!v->online || v->front == XenbusStateUnknown) {
        give_image_back(dev);
        return;
    }
    if (!dev->unusable && v->front == XenbusStateInitialising && v->back == XenbusStateClosed) {
        start_life(dev, true);
    }
}

/* The back end's directory is gone: so is the device, once no worker is left. */
static void evaluate_gone(struct device *dev)
{
    dev->gone = true;
    if (dev->worker.pid != 0) {
        if (dev->phase != DEVICE_STOPPING) {
            stop_worker(dev);
        }
        return;
    }
    log_msg(LOG_INFO, &dev->id, "removed");
    supervisor_remove(dev->sup, &dev->base);
}

static void evaluate(void *arg)
{
    struct device *dev = arg;
    struct view v;

    if (dev->sup->stopping) {
        return;
    }
    if (!look(dev, &v)) {
        evaluate_gone(dev);
        return;
    }
    switch (dev->phase) {
    case DEVICE_NEW:
        start_life(dev, false);
        break;
    case DEVICE_WAITING:
        evaluate_waiting(dev, &v);
        break;
    case DEVICE_STARTING:
    case DEVICE_CONNECTED:
        evaluate_connected(dev, &v);
        break;
    case DEVICE_STOPPING:
        break; /* on_worker_exit() goes on */
    case DEVICE_YIELDED:
        evaluate_yielded(dev, &v);
        break;
    case DEVICE_CLOSED:
        evaluate_closed(dev, &v);
        break;
    }
}

static struct device *device_of(struct supervised *base)
{
    return (struct device *)base; /* its first member */
}

static void changed(struct supervised *base)
{
    reconsider(device_of(base));
}

static struct supervised *create(struct supervisor *sup, const struct device_key *key)
{
    struct device *dev = calloc(1, sizeof(*dev));

    if (dev == NULL || (dev->back = supervisor_back(sup, key)) == NULL) {
        free(dev);
        return NULL;
    }
    dev->sup = sup;
    dev->id = (struct log_id){
        .class = supervisor_class_name(sup, key), .domid = key->domid, .device = key->device};
    dev->guest_log = (struct log_limit){.burst = 1, .interval_ms = GUEST_LOG_MS};
    return &dev->base;
}

/* The store is left as it is. */
static void stop(struct supervised *base)
{
    struct device *dev = device_of(base);

    if (dev->worker.pid == 0) {
        supervisor_remove(dev->sup, base);
    } else if (dev->phase != DEVICE_STOPPING) {
        stop_worker(dev);
    }
}

static void destroy(struct supervised *base)
{
    struct device *dev = device_of(base);

    loop_defer_cancel(dev->sup->loop, &dev->work);
    loop_timer_cancel(dev->sup->loop, &dev->retry);
    store_watch_del(dev->sup->store, &dev->front_watch);
    store_watch_del(dev->sup->store, &dev->name_watch);
    give_image_back(dev);
    free(dev->back);
    free(dev->front);
    free(dev);
}

const struct supervisor_ops blockd_ops = {
    .noun = "block device",
    .classes = {{.name = "vbd",
                 .kernel_driver = "/sys/bus/xen-backend/drivers/vbd",
                 .kernel_module = "xen-blkback"},
                {.name = "vbd3"}},
    .keys = (const char *const[]){"", "state", "online", "hotplug-status", "physical-device-path",
                                  NULL},
    .create = create,
    .changed = changed,
    .stop = stop,
    .free = destroy,
};
