/*
 * One network device of one guest: see device.h for the phases. evaluate() reads the three things
 * that decide (our state, the front end's state, online) and calls the function of the phase the
 * device is in.
 */
#include "device.h"

#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device_xs.h"
#include "xenbus.h"

#define SENTENCE_MAX          1024
#define MIN_START_INTERVAL_NS 250000000ULL
#define GUEST_LOG_MS          5000
#define MAX_DEATHS            5
#define SHORT_LIFE_NS         10000000000ULL

/* What the store says at the moment of an evaluation. */
struct view {
    enum xenbus_state back;
    enum xenbus_state front;
    bool online;
};

static void evaluate(void *arg);

/* Asks for an evaluation before the loop waits again. */
static void reconsider(struct device *dev)
{
    loop_defer(dev->sup->loop, &dev->work, evaluate, dev);
}

static void set_state(struct device *dev, enum xenbus_state state)
{
    int err = xenbus_write_state(dev->sup->store, dev->back, state);

    log_msg(LOG_DEBUG, &dev->id, "state %s", xenbus_state_name(state));
    if (err != 0 && err != -ENOENT) {
        log_msg(LOG_ERR, &dev->id, "state %s cannot be written: %s", xenbus_state_name(state),
                store_error(dev->sup->store));
    }
}

/* Says in all the places where people look that something went wrong. */
static void tell_error(struct device *dev, int err, const char *sentence)
{
    xenbus_write_error(dev->sup->store, dev->back, -err, sentence);
    log_msg(LOG_ERR, &dev->id, "%s", sentence);
}

static void enter_closed(struct device *dev)
{
    dev->phase = DEVICE_CLOSED;
    set_state(dev, XenbusStateClosed);
}

static void on_store_event(void *arg, const char *path)
{
    (void)path;
    reconsider(arg);
}

static int watch_front(struct device *dev, struct store_watch *w, const char *key)
{
    char path[STORE_PATH_MAX];

    snprintf(path, sizeof(path), "%.*s/%s", STORE_PATH_MAX - 64, dev->front, key);
    store_watch_del(dev->sup->store, w);
    return store_watch_add(dev->sup->store, w, path, on_store_event, dev);
}

/* Learns what the device is. Returns 0, or -errno with a sentence. */
static int learn(struct device *dev, char *why, unsigned long why_size)
{
    int err = device_xs_read_back(dev, why, why_size);

    if (err != 0) {
        return err;
    }
    err = watch_front(dev, &dev->front_watch, "state");
    if (err == 0) {
        err = watch_front(dev, &dev->mcast_watch, "request-multicast-control");
    }
    if (err != 0) {
        snprintf(why, why_size, "%s", store_error(dev->sup->store));
    }
    return err;
}

/*
 * Opens the tap. One that is in use already (`adopt`) may have been renamed by the script.
 * Returns 0, or -errno with a sentence.
 */
static int open_tap(struct device *dev, bool adopt, char *why, unsigned long why_size)
{
    char own[IFNAMSIZ], other[IFNAMSIZ];
    const char *stage = "";
    const char *name = own;
    int err;

    if (dev->tap.nr_fds != 0) {
        return 0;
    }
    device_xs_tap_names(dev, own, other, IFNAMSIZ);
    if (adopt && other[0] != '\0' && if_nametoindex(other) != 0) {
        name = other;
    }
    if (adopt && if_nametoindex(name) == 0) {
        log_msg(LOG_WARNING, &dev->id,
                "interface %s is gone; a new one is on no bridge until its script is run again",
                name);
    }
    err = tap_open(&dev->tap, name, dev->max_queues > 1, &stage);
    if (err != 0) {
        snprintf(why, why_size, "interface %s: %s: %s", name, stage, strerror(-err));
    }
    return err;
}

/* Reads what decides. Returns false when the back end's directory is gone. */
static bool look(struct device *dev, struct view *v)
{
    struct store *st = dev->sup->store;
    uint64_t online = 0;

    *v = (struct view){.front = XenbusStateUnknown};
    if (xenbus_read_state(st, STORE_NO_TX, dev->back, &v->back) != 0) {
        log_msg(LOG_ERR, &dev->id, "%s", store_error(st));
    } else if (v->back == XenbusStateUnknown) {
        return store_exists(st, STORE_NO_TX, dev->back, "state");
    }
    if (dev->front != NULL && xenbus_read_state(st, STORE_NO_TX, dev->front, &v->front) != 0) {
        /* the guest writes nonsense: nothing to go on with */
        v->front = XenbusStateClosing;
        log_limited(&dev->guest_log, LOG_WARNING, &dev->id, "%s", store_error(st));
    }
    store_read_uint_def(st, STORE_NO_TX, dev->back, "online", 1, 0, &online);
    v->online = online != 0;
    return true;
}

/*
 * Creates the tap and offers the device, for the first time or (`again`) after an earlier life. A
 * new device that is further already belongs to a guest that was served before a restart: it keeps
 * its state.
 */
static void start_life(struct device *dev, const struct view *v, bool again)
{
    bool adopt = !again && v->back != XenbusStateInitialising && v->back != XenbusStateUnknown;
    char why[SENTENCE_MAX];
    int err = learn(dev, why, sizeof(why));

    if (err == 0) {
        err = open_tap(dev, adopt || again, why, sizeof(why));
    }
    if (err != 0) {
        dev->unusable = true;
        tell_error(dev, err, why);
        enter_closed(dev);
        return;
    }
    if (adopt && (v->back == XenbusStateClosing || v->back == XenbusStateClosed)) {
        enter_closed(dev);
        return;
    }
    xenbus_clear_error(dev->sup->store, dev->back);
    dev->phase = DEVICE_WAITING;
    if (adopt) {
        log_msg(LOG_INFO, &dev->id, "taken over in state %s", xenbus_state_name(v->back));
    } else if (device_xs_publish_features(dev) != 0) {
        log_msg(LOG_ERR, &dev->id, "features not published: %s", store_error(dev->sup->store));
    } else {
        log_msg(LOG_INFO, &dev->id, "interface %s, up to %u queues", dev->tap.name,
                dev->max_queues);
    }
    reconsider(dev);
}

/* Nobody serves the tap: its link is down, and only one queue stays open. */
static void rest_tap(struct device *dev)
{
    const char *stage;

    tap_set_link(&dev->tap, false);
    tap_set_queues(&dev->tap, 1, &stage);
}

/*
 * The worker died of itself. Another takes over, for the guest's rings are as good as before; but
 * not for ever, if it is the guest that brings them down.
 */
static void worker_died(struct device *dev, const char *how)
{
    char sentence[SENTENCE_MAX];

    dev->deaths = loop_now_ns() - dev->last_start_ns < SHORT_LIFE_NS ? dev->deaths + 1 : 1;
    if (dev->deaths < MAX_DEATHS) {
        log_msg(LOG_ERR, &dev->id, "worker %s; starting another", how);
        dev->phase = DEVICE_WAITING;
        return;
    }
    snprintf(sentence, sizeof(sentence), "worker %s, %u times in a row; the device is closed", how,
             dev->deaths);
    dev->deaths = 0;
    rest_tap(dev);
    tell_error(dev, -EIO, sentence);
    enter_closed(dev);
}

static void on_worker_exit(void *arg, int status)
{
    struct device *dev = arg;
    char text[128];

    child_describe_status(status, text, sizeof(text));
    if (dev->sup->stopping) {
        supervisor_remove(dev->sup, &dev->base);
        return;
    }
    if (dev->phase != DEVICE_STOPPING) {
        worker_died(dev, text);
    } else {
        rest_tap(dev);
        log_msg(status == 0 || dev->reported ? LOG_INFO : LOG_WARNING, &dev->id,
                "disconnected (worker %s)", text);
        enter_closed(dev);
    }
    reconsider(dev);
}

/* The worker is caged and listens. */
static void worker_ready(struct device *dev)
{
    enum xenbus_state back;

    if (dev->phase != DEVICE_STARTING) {
        return;
    }
    dev->phase = DEVICE_CONNECTED;
    device_xs_publish_carrier(dev, true);
    xenbus_read_state(dev->sup->store, STORE_NO_TX, dev->back, &back);
    if (back != XenbusStateClosing && back != XenbusStateConnected) {
        set_state(dev, XenbusStateConnected);
    }
    log_msg(LOG_INFO, &dev->id, "connected");
    reconsider(dev);
}

static void log_statistics(struct device *dev, const struct wire_statistics *s)
{
    log_msg(LOG_INFO, &dev->id,
            "from the guest: %" PRIu64 " packets, %" PRIu64 " bytes, %" PRIu64 " refused, %" PRIu64
            " dropped; to the guest: %" PRIu64 " packets, %" PRIu64 " bytes, %" PRIu64
            " dropped; %" PRIu64 " copies, %" PRIu64 " events, %" PRIu64 " notifications, %" PRIu64
            " stalls",
            s->tx_packets, s->tx_bytes, s->tx_refused, s->tx_dropped, s->rx_packets, s->rx_bytes,
            s->rx_dropped, s->copies, s->events, s->notifications, s->stalls);
}

static void worker_failed(struct device *dev, const struct wire_report *r)
{
    char sentence[SENTENCE_MAX];

    snprintf(sentence, sizeof(sentence), "%s: %s", dev->front, r->text);
    dev->reported = true;
    dev->phase = DEVICE_STOPPING;
    tell_error(dev, -r->err, sentence);
}

static void on_worker_message(void *arg, const void *msg, unsigned long len)
{
    struct device *dev = arg;
    struct wire_report r = {.kind = 0};

    if (len == sizeof(r)) {
        memcpy(&r, msg, sizeof(r));
        r.text[sizeof(r.text) - 1] = '\0';
    }
    switch (r.kind) {
    case WIRE_READY:
        worker_ready(dev);
        break;
    case WIRE_FAILED:
    case WIRE_BROKEN:
        worker_failed(dev, &r);
        break;
    case WIRE_CARRIER:
        log_msg(r.err == 0 ? LOG_DEBUG : LOG_WARNING, &dev->id, "%s", r.text);
        device_xs_publish_carrier(dev, r.err == 0);
        break;
    case WIRE_COUNTS:
        log_statistics(dev, &r.statistics);
        break;
    default:
        log_msg(LOG_ERR, &dev->id, "worker sent %lu bytes that are no report; killed", len);
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

/* Starts the worker and hands it its configuration. Returns 0, or -errno with a sentence. */
static int start_worker(struct device *dev, const struct wire_config *config, char *why,
                        unsigned long why_size)
{
    char number[16];
    char *argv[] = {(char *)dev->sup->worker_path, number, dev->tap.name, NULL}; /* for ps(1) */
    int err;

    snprintf(number, sizeof(number), "%u", config->nr_queues);
    err = child_start(&dev->worker, dev->sup->loop, argv, on_worker_message, on_worker_exit, dev);
    if (err != 0) {
        snprintf(why, why_size, "%s: cannot be started: %s", argv[0], strerror(-err));
        return err;
    }
    dev->phase = DEVICE_STARTING;
    dev->settings = config->settings;
    err = child_send(&dev->worker, config, sizeof(*config), dev->tap.fds, config->nr_queues);
    if (err != 0) {
        /* its end is dealt with in on_worker_exit() */
        log_msg(LOG_ERR, &dev->id, "no configuration for the worker: %s", strerror(-err));
        child_signal(&dev->worker, SIGKILL);
    }
    return 0;
}

/* WAITING, and the front end has published its rings: a worker takes over. */
static void connect_front(struct device *dev)
{
    struct wire_config config;
    char why[SENTENCE_MAX];
    const char *stage = "";
    unsigned int offload;
    int err;

    if (too_soon(dev)) {
        return;
    }
    dev->reported = false;
    err = device_xs_read_front(dev, &config, &offload, why, sizeof(why));
    if (err == 0) {
        err = tap_set_queues(&dev->tap, config.nr_queues, &stage);
        if (err == 0) {
            stage = "setting its offloads (TUNSETOFFLOAD)";
            err = tap_set_offload(&dev->tap, offload);
        }
        if (err != 0) {
            snprintf(why, sizeof(why), "interface %s: %s: %s", dev->tap.name, stage,
                     strerror(-err));
        }
    }
    if (err == 0) {
        err = start_worker(dev, &config, why, sizeof(why));
    }
    if (err != 0) {
        tell_error(dev, err, why);
        enter_closed(dev);
    }
}

static int send_order(struct device *dev, enum wire_order_kind kind)
{
    const struct wire_order order = {.kind = kind, .settings = dev->settings};

    return child_send(&dev->worker, &order, sizeof(order), NULL, 0);
}

static void stop_worker(struct device *dev)
{
    dev->phase = DEVICE_STOPPING;
    if (send_order(dev, WIRE_STOP) != 0) {
        child_signal(&dev->worker, SIGTERM);
    }
}

static bool front_is_closed(const struct view *v)
{
    return v->front == XenbusStateClosed || v->front == XenbusStateUnknown;
}

static void evaluate_waiting(struct device *dev, const struct view *v)
{
    if (v->back == XenbusStateClosing || v->front == XenbusStateClosing || front_is_closed(v)) {
        rest_tap(dev);
        enter_closed(dev);
    } else if (v->front == XenbusStateConnected && device_xs_hotplug_done(dev)) {
        connect_front(dev);
    }
}

static bool same_settings(const struct wire_settings *a, const struct wire_settings *b)
{
    return a->rate_bytes == b->rate_bytes && a->rate_us == b->rate_us &&
           a->headroom == b->headroom && a->multicast_control == b->multicast_control;
}

/* What may change while connected: `rate`, multicast control, the XDP headroom. */
static void update_settings(struct device *dev)
{
    struct wire_settings s;

    device_xs_read_settings(dev, &s);
    if (!same_settings(&s, &dev->settings)) {
        dev->settings = s;
        if (send_order(dev, WIRE_SET) != 0) {
            log_msg(LOG_WARNING, &dev->id, "the worker does not take its new settings");
        }
    }
}

/* Both with a worker that starts and with one that serves. */
static void evaluate_connected(struct device *dev, const struct view *v)
{
    switch (v->front) {
    case XenbusStateConnected:
        update_settings(dev);
        if (v->back == XenbusStateReconfigured) {
            set_state(dev, XenbusStateConnected);
        }
        break;
    case XenbusStateReconfiguring:
        update_settings(dev);
        set_state(dev, XenbusStateReconfigured);
        break;
    case XenbusStateClosing:
        if (v->back != XenbusStateClosing) {
            set_state(dev, XenbusStateClosing);
        }
        break;
    default:
        stop_worker(dev);
        break;
    }
}

static void evaluate_closed(struct device *dev, const struct view *v)
{
    if (v->back == XenbusStateClosing) {
        set_state(dev, XenbusStateClosed);
    } else if (v->online && !dev->unusable && v->front == XenbusStateInitialising) {
        start_life(dev, v, true);
    }
}

/* The back end's directory is gone: so is the device, once no worker is left. */
static void evaluate_gone(struct device *dev)
{
    if (dev->worker.pid == 0) {
        log_msg(LOG_INFO, &dev->id, "removed");
        tap_close(&dev->tap, true);
        supervisor_remove(dev->sup, &dev->base);
    } else if (dev->phase != DEVICE_STOPPING) {
        stop_worker(dev);
    }
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
        start_life(dev, &v, false);
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

/* Store and tap are left as they are. */
static void stop(struct supervised *base)
{
    struct device *dev = device_of(base);

    if (dev->worker.pid == 0) {
        supervisor_remove(dev->sup, base);
    } else if (dev->phase != DEVICE_STOPPING) {
        stop_worker(dev);
    }
}

static void count(struct supervised *base)
{
    struct device *dev = device_of(base);

    if (dev->worker.pid != 0 && send_order(dev, WIRE_COUNT) != 0) {
        log_msg(LOG_WARNING, &dev->id, "the worker does not answer");
    }
}

static void destroy(struct supervised *base)
{
    struct device *dev = device_of(base);

    store_watch_del(dev->sup->store, &dev->front_watch);
    store_watch_del(dev->sup->store, &dev->mcast_watch);
    loop_timer_cancel(dev->sup->loop, &dev->retry);
    loop_defer_cancel(dev->sup->loop, &dev->work);
    tap_close(&dev->tap, false);
    free(dev->front);
    free(dev->back);
    free(dev);
}

static bool tap_wanted(void *arg, int domid, int device)
{
    const struct device_key key = {.domid = domid, .device = device};

    return supervisor_exists(arg, &key);
}

/* Taps of devices that went while no daemon ran. */
static void started(struct supervisor *sup)
{
    tap_remove_stale(((const struct netd *)sup)->tap_prefix, tap_wanted, sup);
}

const struct supervisor_ops netd_ops = {
    .noun = "network device",
    .classes = {{.name = "vif",
                 .kernel_driver = "/sys/bus/xen-backend/drivers/vif",
                 .kernel_module = "xen-netback"}},
    .keys = (const char *const[]){"", "state", "online", "hotplug-status", "rate", NULL},
    .create = create,
    .changed = changed,
    .stop = stop,
    .free = destroy,
    .count = count,
    .started = started,
};
