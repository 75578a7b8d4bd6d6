/*
 * One network device of one guest: see device.h. Functions are in the order of a device's life.
 */
#include "device.h"

#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "device_xs.h"

static struct net_device *net_device_of(struct supervised *base)
{
    return (struct net_device *)base; /* its first member */
}

static int net_device_learn(struct supervised *base, char *why, unsigned long why_size)
{
    struct net_device *dev = net_device_of(base);
    struct store *st = base->sup->store;
    char path[STORE_PATH_MAX];
    int err;

    dev->carrier_log = dev->counts_log = (struct log_limit){.burst = 4, .interval_ms = 5000};
    net_device_xs_read_back(dev);
    snprintf(path, sizeof(path), "%.*s/request-multicast-control", STORE_PATH_MAX - 64,
             base->front);
    store_watch_del(st, &dev->mcast_watch);
    err = store_watch_add(st, &dev->mcast_watch, path, supervised_on_store, base);
    if (err != 0) {
        snprintf(why, why_size, "%s", store_error(st));
    }
    return err;
}

/* Opens the tap. One that is in use already may have been renamed by the script. */
static int net_device_open(struct supervised *base, char *why, unsigned long why_size)
{
    struct net_device *dev = net_device_of(base);
    char own[IFNAMSIZ], other[IFNAMSIZ];
    const char *stage = "";
    const char *name = own;
    int err;

    if (dev->tap.nr_fds != 0) {
        return 0;
    }
    net_device_xs_tap_names(dev, own, other, IFNAMSIZ);
    if (base->adopted && other[0] != '\0' && if_nametoindex(other) != 0) {
        name = other;
    }
    if (base->adopted && if_nametoindex(name) == 0) {
        log_msg(LOG_WARNING, &base->id,
                "interface %s is gone; a new one is on no bridge until its script is run again",
                name);
    }
    err = tap_open(&dev->tap, name, dev->max_queues > 1, &stage);
    if (err != 0) {
        snprintf(why, why_size, "interface %s: %s: %s", name, stage, strerror(-err));
    }
    return err;
}

static void net_device_offer(struct supervised *base)
{
    struct net_device *dev = net_device_of(base);

    net_device_xs_publish_features(dev);
    log_limited(&base->guest_log, LOG_INFO, &base->id, "interface %s, up to %u queues",
                dev->tap.name, dev->max_queues);
}

static enum supervised_turn net_device_turn(struct supervised *base)
{
    return net_device_xs_hotplug_done(net_device_of(base)) ? SUPERVISED_GO : SUPERVISED_WAIT;
}

static int net_device_configure(struct supervised *base, struct crew_orders *orders, char *why,
                                unsigned long why_size)
{
    struct net_device *dev = net_device_of(base);
    const char *stage = "";
    unsigned int offload = 0;
    int err = net_device_xs_read_front(dev, &offload, why, why_size);

    if (err != 0) {
        return err;
    }
    err = tap_set_queues(&dev->tap, dev->config.nr_queues, &stage);
    if (err == 0) {
        stage = "setting its offloads (TUNSETOFFLOAD)";
        err = tap_set_offload(&dev->tap, offload);
    }
    if (err != 0) {
        snprintf(why, why_size, "interface %s: %s: %s", dev->tap.name, stage, strerror(-err));
        return err;
    }
    snprintf(dev->nr_queues, sizeof(dev->nr_queues), "%u", dev->config.nr_queues);
    orders->config = &dev->config;
    orders->size = sizeof(dev->config);
    orders->nr_fds = dev->config.nr_queues;
    memcpy(orders->fds, dev->tap.fds, orders->nr_fds * sizeof(int));
    orders->args[0] = dev->nr_queues;
    orders->args[1] = dev->tap.name;
    return 0;
}

static void net_device_serve(struct supervised *base)
{
    net_device_xs_publish_carrier(net_device_of(base), true,
                                  base->view.back == XenbusStateClosing ? XenbusStateUnknown
                                                                        : XenbusStateConnected);
}

static int net_device_send(struct net_device *dev, enum net_wire_order_kind kind)
{
    const struct net_wire_order order = {.kind = kind, .settings = dev->config.settings};

    return crew_order(&dev->base.crew, &order, sizeof(order));
}

static bool net_same_settings(const struct net_wire_settings *a, const struct net_wire_settings *b)
{
    return a->rate_bytes == b->rate_bytes && a->rate_us == b->rate_us &&
           a->headroom == b->headroom && a->multicast_control == b->multicast_control;
}

/*
 * What may change while connected: `rate`, multicast control, the XDP headroom. A front end that is
 * at 7 (Reconfiguring) has changed some, and hears by 8 that they were seen.
 */
static void net_device_update(struct supervised *base)
{
    struct net_device *dev = net_device_of(base);
    struct net_wire_settings s;

    net_device_xs_read_settings(dev, &s);
    if (!net_same_settings(&s, &dev->config.settings)) {
        dev->config.settings = s;
        if (net_device_send(dev, NET_WIRE_SET) != 0) {
            log_limited(&base->guest_log, LOG_WARNING, &base->id,
                        "the worker does not take its new settings");
        }
    }
    if (base->life.phase != LIFE_CONNECTED) {
        return; /* a worker that only starts has seen nothing: 8 leads to 4 */
    }
    if (base->view.front == XenbusStateReconfiguring) {
        supervised_publish(base, NULL, 0, XenbusStateReconfigured);
    } else if (base->view.back == XenbusStateReconfigured) {
        supervised_publish(base, NULL, 0, XenbusStateConnected);
    }
}

static void net_log_statistics(struct net_device *dev, const struct net_wire_statistics *s)
{
    log_limited(&dev->counts_log, LOG_INFO, &dev->base.id,
                "from the guest: %" PRIu64 " packets, %" PRIu64 " bytes, %" PRIu64
                " refused, %" PRIu64 " dropped; to the guest: %" PRIu64 " packets, %" PRIu64
                " bytes, %" PRIu64 " dropped; %" PRIu64 " copies, %" PRIu64 " events, %" PRIu64
                " notifications, %" PRIu64 " stalls",
                s->tx_packets, s->tx_bytes, s->tx_refused, s->tx_dropped, s->rx_packets,
                s->rx_bytes, s->rx_dropped, s->copies, s->events, s->notifications, s->stalls);
}

static bool net_device_report(struct supervised *base, const struct wire_report *r, const void *msg,
                              unsigned long len)
{
    struct net_device *dev = net_device_of(base);
    struct net_wire_counts counts;

    if (r->kind == NET_WIRE_COUNTS && len == sizeof(counts)) {
        memcpy(&counts, msg, sizeof(counts));
        net_log_statistics(dev, &counts.statistics);
        return true;
    }
    if (r->kind == NET_WIRE_CARRIER && len == sizeof(*r)) {
        log_limited(&dev->carrier_log, r->err == 0 ? LOG_DEBUG : LOG_WARNING, &base->id, "%s",
                    r->text);
        net_device_xs_publish_carrier(dev, r->err == 0, XenbusStateUnknown);
        return true;
    }
    return false;
}

/* Nobody serves the tap: its link is down, and only one queue stays open. */
static void net_device_rest(struct supervised *base)
{
    struct net_device *dev = net_device_of(base);
    const char *stage;

    if (dev->tap.nr_fds != 0) {
        tap_set_link(&dev->tap, false);
        tap_set_queues(&dev->tap, 1, &stage);
    }
}

/* One that was closed already when this daemon found it has its tap still. */
static void net_device_gone(struct supervised *base)
{
    struct net_device *dev = net_device_of(base);
    char why[SUPERVISED_SENTENCE_MAX];

    if (dev->tap.nr_fds == 0 && base->front != NULL &&
        net_device_open(base, why, sizeof(why)) != 0) {
        log_msg(LOG_WARNING, &base->id, "%s", why);
    }
    tap_close(&dev->tap, true);
}

static void net_device_count(struct supervised *base)
{
    if (net_device_send(net_device_of(base), NET_WIRE_COUNT) != 0) {
        log_msg(LOG_WARNING, &base->id, "the worker does not answer");
    }
}

static void net_device_release(struct supervised *base)
{
    struct net_device *dev = net_device_of(base);

    store_watch_del(base->sup->store, &dev->mcast_watch);
    tap_close(&dev->tap, false);
}

static bool net_tap_wanted(void *arg, int domid, int device)
{
    const struct device_key key = {.domid = domid, .device = device};

    return supervisor_exists(arg, &key);
}

/* Taps of devices that went while no daemon ran. */
static void net_started(struct supervisor *sup)
{
    tap_remove_stale(((const struct netd *)sup)->tap_prefix, net_tap_wanted, sup);
}

const struct supervisor_ops netd_ops = {
    .noun = "network device",
    .classes = {{.name = "vif",
                 .kernel_driver = "/sys/bus/xen-backend/drivers/vif",
                 .kernel_module = "xen-netback"}},
    .keys = (const char *const[]){"", "state", "online", "hotplug-status", "rate", NULL},
    .device_size = sizeof(struct net_device),
    .ready_states = 1U << XenbusStateConnected | 1U << XenbusStateReconfiguring,
    .learn = net_device_learn,
    .open = net_device_open,
    .offer = net_device_offer,
    .turn = net_device_turn,
    .configure = net_device_configure,
    .serve = net_device_serve,
    .update = net_device_update,
    .report = net_device_report,
    .rest = net_device_rest,
    .gone = net_device_gone,
    .release = net_device_release,
    .count = net_device_count,
    .started = net_started,
};
