/*
 * One network device of one guest: see device.h for the phases. evaluate() calls the function of
 * the phase that the device is in, with what decides: our state, the front end's, and `online`.
 */
#include "device.h"

#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "device_xs.h"
#include "xenbus.h"

#define SENTENCE_MAX  1024
#define MAX_DEATHS    5
#define SHORT_LIFE_NS 10000000000ULL

static void enter_closed(struct device *dev)
{
    dev->phase = DEVICE_CLOSED;
    supervised_set_state(&dev->base, XenbusStateClosed);
}

/* Learns what the device is. Returns 0, or -errno with a sentence. */
static int learn(struct device *dev, char *why, unsigned long why_size)
{
    struct store *st = dev->base.sup->store;
    char path[STORE_PATH_MAX];
    int err = device_xs_read_back(dev, why, why_size);

    if (err != 0) {
        return err;
    }
    snprintf(path, sizeof(path), "%.*s/request-multicast-control", STORE_PATH_MAX - 64,
             dev->base.front);
    store_watch_del(st, &dev->mcast_watch);
    err = store_watch_add(st, &dev->mcast_watch, path, supervised_on_store, &dev->base);
    if (err != 0) {
        snprintf(why, why_size, "%s", store_error(st));
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
        log_msg(LOG_WARNING, &dev->base.id,
                "interface %s is gone; a new one is on no bridge until its script is run again",
                name);
    }
    err = tap_open(&dev->tap, name, dev->max_queues > 1, &stage);
    if (err != 0) {
        snprintf(why, why_size, "interface %s: %s: %s", name, stage, strerror(-err));
    }
    return err;
}

/*
 * Creates the tap and offers the device, for the first time or (`again`) after an earlier life. A
 * new device that is further already belongs to a guest that was served before a restart: it keeps
 * its state.
 */
static void start_life(struct device *dev, const struct supervised_view *v, bool again)
{
    bool adopt = !again && v->back != XenbusStateInitialising && v->back != XenbusStateUnknown;
    char why[SENTENCE_MAX];
    int err = learn(dev, why, sizeof(why));

    if (err == 0) {
        err = open_tap(dev, adopt || again, why, sizeof(why));
    }
    if (err != 0) {
        dev->unusable = true;
        supervised_tell_error(&dev->base, err, why);
        enter_closed(dev);
        return;
    }
    if (adopt && (v->back == XenbusStateClosing || v->back == XenbusStateClosed)) {
        enter_closed(dev);
        return;
    }
    xenbus_clear_error(dev->base.sup->store, dev->base.back);
    dev->phase = DEVICE_WAITING;
    if (adopt) {
        log_msg(LOG_INFO, &dev->base.id, "taken over in state %s", xenbus_state_name(v->back));
    } else if (device_xs_publish_features(dev) != 0) {
        log_msg(LOG_ERR, &dev->base.id, "features not published: %s",
                store_error(dev->base.sup->store));
    } else {
        log_msg(LOG_INFO, &dev->base.id, "interface %s, up to %u queues", dev->tap.name,
                dev->max_queues);
    }
    supervised_reconsider(&dev->base);
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

    dev->deaths = loop_now_ns() - dev->base.last_start_ns < SHORT_LIFE_NS ? dev->deaths + 1 : 1;
    if (dev->deaths < MAX_DEATHS) {
        log_msg(LOG_ERR, &dev->base.id, "worker %s; starting another", how);
        dev->phase = DEVICE_WAITING;
        return;
    }
    snprintf(sentence, sizeof(sentence), "worker %s, %u times in a row; the device is closed", how,
             dev->deaths);
    dev->deaths = 0;
    rest_tap(dev);
    supervised_tell_error(&dev->base, -EIO, sentence);
    enter_closed(dev);
}

static void on_worker_exit(void *arg, int status)
{
    struct device *dev = arg;
    char text[128];

    child_describe_status(status, text, sizeof(text));
    if (dev->base.sup->stopping) {
        supervisor_remove(dev->base.sup, &dev->base);
        return;
    }
    if (dev->phase != DEVICE_STOPPING) {
        worker_died(dev, text);
    } else {
        rest_tap(dev);
        log_msg(status == 0 || dev->reported ? LOG_INFO : LOG_WARNING, &dev->base.id,
                "disconnected (worker %s)", text);
        enter_closed(dev);
    }
    supervised_reconsider(&dev->base);
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
    xenbus_read_state(dev->base.sup->store, STORE_NO_TX, dev->base.back, &back);
    if (back != XenbusStateClosing && back != XenbusStateConnected) {
        supervised_set_state(&dev->base, XenbusStateConnected);
    }
    log_msg(LOG_INFO, &dev->base.id, "connected");
    supervised_reconsider(&dev->base);
}

static void log_statistics(struct device *dev, const struct net_wire_statistics *s)
{
    log_msg(LOG_INFO, &dev->base.id,
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

    snprintf(sentence, sizeof(sentence), "%s: %s", dev->base.front, r->text);
    dev->reported = true;
    dev->phase = DEVICE_STOPPING;
    supervised_tell_error(&dev->base, -r->err, sentence);
}

static void on_worker_message(void *arg, const void *msg, unsigned long len)
{
    struct device *dev = arg;
    struct wire_report r = {.kind = 0};
    struct net_wire_counts counts;

    if (len == sizeof(r) || len == sizeof(counts)) {
        memcpy(&r, msg, sizeof(r));
        r.text[sizeof(r.text) - 1] = '\0';
        if ((r.kind == NET_WIRE_COUNTS) != (len == sizeof(counts))) {
            r.kind = 0;
        }
    }
    switch (r.kind) {
    case WIRE_READY:
        worker_ready(dev);
        break;
    case WIRE_FAILED:
    case WIRE_BROKEN:
        worker_failed(dev, &r);
        break;
    case NET_WIRE_CARRIER:
        log_msg(r.err == 0 ? LOG_DEBUG : LOG_WARNING, &dev->base.id, "%s", r.text);
        device_xs_publish_carrier(dev, r.err == 0);
        break;
    case NET_WIRE_COUNTS:
        memcpy(&counts, msg, sizeof(counts));
        log_statistics(dev, &counts.statistics);
        break;
    default:
        log_msg(LOG_ERR, &dev->base.id, "worker sent %lu bytes that are no report; killed", len);
        child_signal(&dev->worker, SIGKILL);
        break;
    }
}

/* Starts the worker and hands it its configuration. Returns 0, or -errno with a sentence. */
static int start_worker(struct device *dev, const struct net_wire_config *config, char *why,
                        unsigned long why_size)
{
    char number[16];
    char *argv[] = {(char *)dev->base.sup->worker_path, number, dev->tap.name,
                    NULL}; /* for ps(1) */
    int err;

    snprintf(number, sizeof(number), "%u", config->nr_queues);
    err = child_start(&dev->worker, dev->base.sup->loop, argv, on_worker_message, on_worker_exit,
                      dev);
    if (err != 0) {
        snprintf(why, why_size, "%s: cannot be started: %s", argv[0], strerror(-err));
        return err;
    }
    dev->phase = DEVICE_STARTING;
    dev->settings = config->settings;
    err = child_send(&dev->worker, config, sizeof(*config), dev->tap.fds, config->nr_queues);
    if (err != 0) {
        /* its end is dealt with in on_worker_exit() */
        log_msg(LOG_ERR, &dev->base.id, "no configuration for the worker: %s", strerror(-err));
        child_signal(&dev->worker, SIGKILL);
    }
    return 0;
}

/* WAITING, and the front end has published its rings: a worker takes over. */
static void connect_front(struct device *dev)
{
    struct net_wire_config config;
    char why[SENTENCE_MAX];
    const char *stage = "";
    unsigned int offload;
    int err;

    if (supervised_too_soon(&dev->base)) {
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
        supervised_tell_error(&dev->base, err, why);
        enter_closed(dev);
    }
}

static int send_order(struct device *dev, uint32_t kind)
{
    const struct net_wire_order order = {.kind = kind, .settings = dev->settings};

    return child_send(&dev->worker, &order, sizeof(order), NULL, 0);
}

static void stop_worker(struct device *dev)
{
    dev->phase = DEVICE_STOPPING;
    if (send_order(dev, WIRE_STOP) != 0) {
        child_signal(&dev->worker, SIGTERM);
    }
}

static void evaluate_waiting(struct device *dev, const struct supervised_view *v)
{
    if (v->back == XenbusStateClosing || v->front == XenbusStateClosing ||
        supervised_front_is_closed(v)) {
        rest_tap(dev);
        enter_closed(dev);
    } else if (v->front == XenbusStateConnected && device_xs_hotplug_done(dev)) {
        connect_front(dev);
    }
}

static bool same_settings(const struct net_wire_settings *a, const struct net_wire_settings *b)
{
    return a->rate_bytes == b->rate_bytes && a->rate_us == b->rate_us &&
           a->headroom == b->headroom && a->multicast_control == b->multicast_control;
}

/* What may change while connected: `rate`, multicast control, the XDP headroom. */
static void update_settings(struct device *dev)
{
    struct net_wire_settings s;

    device_xs_read_settings(dev, &s);
    if (!same_settings(&s, &dev->settings)) {
        dev->settings = s;
        if (send_order(dev, NET_WIRE_SET) != 0) {
            log_msg(LOG_WARNING, &dev->base.id, "the worker does not take its new settings");
        }
    }
}

/* Both with a worker that starts and with one that serves. */
static void evaluate_connected(struct device *dev, const struct supervised_view *v)
{
    switch (v->front) {
    case XenbusStateConnected:
        update_settings(dev);
        if (v->back == XenbusStateReconfigured) {
            supervised_set_state(&dev->base, XenbusStateConnected);
        }
        break;
    case XenbusStateReconfiguring:
        update_settings(dev);
        supervised_set_state(&dev->base, XenbusStateReconfigured);
        break;
    case XenbusStateClosing:
        if (v->back != XenbusStateClosing) {
            supervised_set_state(&dev->base, XenbusStateClosing);
        }
        break;
    default:
        stop_worker(dev);
        break;
    }
}

static void evaluate_closed(struct device *dev, const struct supervised_view *v)
{
    if (v->back == XenbusStateClosing) {
        supervised_set_state(&dev->base, XenbusStateClosed);
    } else if (v->online && !dev->unusable && v->front == XenbusStateInitialising) {
        start_life(dev, v, true);
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
        start_life(dev, v, false);
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
    case DEVICE_CLOSED:
        evaluate_closed(dev, v);
        break;
    }
}

/* Store and tap are left as they are. */
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
        tap_close(&dev->tap, true);
        log_msg(LOG_INFO, &base->id, "removed");
    }
    stop(base);
}

static void count(struct supervised *base)
{
    struct device *dev = device_of(base);

    if (dev->worker.pid != 0 && send_order(dev, NET_WIRE_COUNT) != 0) {
        log_msg(LOG_WARNING, &dev->base.id, "the worker does not answer");
    }
}

static void release(struct supervised *base)
{
    struct device *dev = device_of(base);

    store_watch_del(base->sup->store, &dev->mcast_watch);
    tap_close(&dev->tap, false);
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
    .device_size = sizeof(struct device),
    .evaluate = evaluate,
    .gone = gone,
    .stop = stop,
    .release = release,
    .count = count,
    .started = started,
};
