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
#include "net_figures.h"
#include "estate.h"

#define BUSY_NS UINT64_C(100000000)

static int net_device_learn_vif(struct supervised *base, char *why, unsigned long why_size)
{
    struct net_device *dev = net_device_of(base);
    char path[STORE_PATH_MAX];
    const int err = net_device_xs_read_back(dev, why, why_size);

    dev->carrier_log = dev->counts_log = (struct log_limit){.burst = 4, .interval_ms = 5000};
    if (err != 0) {
        return err;
    }
    snprintf(path, sizeof(path), "%.*s/request-multicast-control", STORE_PATH_MAX - 64,
             base->front);
    return supervised_watch(base, &dev->mcast_watch, path, why, why_size);
}

/* Whether there is an interface of that name: 1 or 0. Or -errno: this host cannot tell. */
static int net_has_interface(const char *name)
{
    if (name[0] == '\0') {
        return 0;
    }
    errno = ENODEV;
    if (if_nametoindex(name) != 0) {
        return 1;
    }
    return lacks_for_now(-errno) ? -errno : 0;
}

/*
 * Which name the tap has: one that is in use already may have been renamed by the script. To make
 * another in its place would cut the guest off. Returns 0, or -errno with a sentence.
 */
static int net_device_find_tap(struct net_device *dev, char own[IFNAMSIZ], char name[IFNAMSIZ],
                               char *why, unsigned long why_size)
{
    char other[IFNAMSIZ];
    int there = net_device_xs_tap_names(dev, own, other, IFNAMSIZ, why, why_size);

    snprintf(name, IFNAMSIZ, "%s", own);
    if (there != 0 || !dev->base.adopted) {
        return there;
    }
    there = net_has_interface(other);
    if (there == 1) {
        snprintf(name, IFNAMSIZ, "%s", other);
    } else if (there == 0) {
        there = net_has_interface(own);
    }
    if (there < 0) {
        snprintf(why, why_size, "the interfaces cannot be looked at: %s", strerror(-there));
        return there;
    }
    if (there == 0) {
        log_msg(LOG_WARNING, &dev->base.id,
                "interface %s is gone; a new one is on no bridge until its script is run again",
                name);
    }
    return 0;
}

/* Opens the tap. The worker of the last daemon may not have let go of it yet. */
static int net_device_open_tap(struct supervised *base, char *why, unsigned long why_size)
{
    struct net_device *dev = net_device_of(base);
    char own[IFNAMSIZ], name[IFNAMSIZ];
    const char *stage = "";
    int err;

    if (tap_is_there(&dev->tap)) {
        return 0;
    }
    tap_close(&dev->tap, false); /* one that somebody has removed is of no use to the next life */
    err = net_device_find_tap(dev, own, name, why, why_size);
    if (err == 0) {
        err = tap_open(&dev->tap, name, own, dev->max_queues > 1, &stage);
        snprintf(why, why_size, "interface %s: %s: %s", name, stage, strerror(-err));
    }
    if (err == -EBUSY && base->in_use) {
        if (!dev->tap_busy) {
            log_msg(LOG_NOTICE, &base->id, "interface %s is still in use: waits", name);
        }
        dev->tap_busy = true;
        supervised_reconsider_later(base, BUSY_NS);
        return -EAGAIN;
    }
    dev->tap_busy = false;
    if (base->in_use && (lacks_for_now(err) || store_error_passes(err))) {
        return supervised_try_again(base, why);
    }
    return err;
}

static void net_device_offer_vif(struct supervised *base)
{
    struct net_device *dev = net_device_of(base);

    net_device_xs_publish_features(dev);
    log_limited(&base->guest_log, LOG_INFO, &base->id, "interface %s, up to %u queues",
                dev->tap.name, dev->max_queues);
}

static enum supervised_turn net_device_script_done(struct supervised *base)
{
    return net_device_xs_hotplug_done(net_device_of(base)) ? SUPERVISED_GO : SUPERVISED_WAIT;
}

/* What may change while connected: of the store and of the configuration. */
static int net_device_read_settings(struct net_device *dev, struct net_wire_settings *s, char *why,
                                    unsigned long why_size)
{
    int err = net_device_xs_read_settings(dev, s, why, why_size);

    s->stall_seconds =
        (uint32_t)supervised_conf(&dev->base, "stall", net_device_daemon(dev)->stall_seconds);
    return err;
}

static int net_device_add_tap(struct supervised *base, struct crew_orders *orders, char *why,
                              unsigned long why_size)
{
    struct net_device *dev = net_device_of(base);
    const char *stage = "";
    int err = net_device_read_settings(dev, &dev->config.settings, why, why_size);

    if (err != 0) {
        return err;
    }
    err = tap_set_queues(&dev->tap, dev->config.nr_queues, &stage);
    if (err == 0) {
        stage = "setting its offloads (TUNSETOFFLOAD)";
        err = tap_set_offload(&dev->tap, dev->offload);
    }
    if (err != 0) {
        snprintf(why, why_size, "interface %s: %s: %s", dev->tap.name, stage, strerror(-err));
        return err;
    }
    memcpy(orders->fds, dev->tap.fds, dev->config.nr_queues * sizeof(int));
    orders->log_at = (int)dev->config.nr_queues; /* behind the tap's */
    orders->nr_fds = dev->config.nr_queues + 1;
    snprintf(dev->nr_fds, sizeof(dev->nr_fds), "%u", orders->nr_fds);
    orders->args[0] = dev->nr_fds;
    orders->args[1] = dev->tap.name;
    return 0;
}

static void net_device_link_up(struct supervised *base)
{
    net_device_of(base)->link_down = false;
    net_device_xs_publish_carrier(net_device_of(base), base->view.back == XenbusStateClosing
                                                           ? XenbusStateUnknown
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
           a->headroom == b->headroom && a->stall_seconds == b->stall_seconds &&
           a->multicast_control == b->multicast_control;
}

/* What the worker does not know yet is not noted, and tried again. */
static void net_device_change_settings(struct net_device *dev, const struct net_wire_settings *s)
{
    const struct net_wire_settings known = dev->config.settings;

    dev->config.settings = *s;
    if (net_device_send(dev, NET_WIRE_SET) != 0) {
        dev->config.settings = known;
        log_limited(&dev->base.guest_log, LOG_WARNING, &dev->base.id,
                    "the worker does not take its new settings");
        supervised_reconsider_soon(&dev->base);
    }
}

/*
 * What may change while connected: `rate`, the stall, multicast control, the XDP headroom. A front
 * end that is at 7 (Reconfiguring) has changed some, and hears by 8 that they were seen.
 */
static void net_device_see_settings(struct supervised *base)
{
    struct net_device *dev = net_device_of(base);
    struct net_wire_settings s;
    char why[SUPERVISED_SENTENCE_MAX];

    if (net_device_read_settings(dev, &s, why, sizeof(why)) != 0) {
        log_limited(&base->guest_log, LOG_WARNING, &base->id, "looks again: %s", why);
        supervised_reconsider_soon(base);
        return;
    }
    if (!net_same_settings(&s, &dev->config.settings)) {
        net_device_change_settings(dev, &s);
    }
    if (base->life.phase == LIFE_CONNECTED && dev->carrier_due) {
        net_device_xs_publish_carrier(dev, XenbusStateUnknown);
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

/* On SIGUSR1: what the workers of the device have counted. */
static void net_device_tell_counts(struct supervised *base)
{
    struct net_device *dev = net_device_of(base);
    struct figures now;
    const uint64_t *n = now.value;

    figures_read(&base->crew.figures, &base->sup->bounds, &now);
    log_limited(&dev->counts_log, LOG_INFO, &dev->base.id,
                "from the guest: %" PRIu64 " packets, %" PRIu64 " bytes, %" PRIu64
                " refused, %" PRIu64 " dropped; to the guest: %" PRIu64 " packets, %" PRIu64
                " bytes, %" PRIu64 " dropped; %" PRIu64 " copies, %" PRIu64 " events, %" PRIu64
                " notifications, %" PRIu64 " stalls",
                n[NET_FIGURE_TX_PACKETS], n[NET_FIGURE_TX_BYTES], n[NET_FIGURE_TX_REFUSED],
                n[NET_FIGURE_TX_DROPPED], n[NET_FIGURE_RX_PACKETS], n[NET_FIGURE_RX_BYTES],
                n[NET_FIGURE_RX_DROPPED], n[NET_FIGURE_COPIES], n[NET_FIGURE_EVENTS],
                n[NET_FIGURE_NOTIFICATIONS], n[NET_FIGURE_STALLS]);
}

static bool net_device_hear(struct supervised *base, const struct wire_report *r, const void *msg,
                            unsigned long len)
{
    struct net_device *dev = net_device_of(base);

    (void)msg;
    if (r->kind == NET_WIRE_CARRIER && len == sizeof(*r)) {
        log_limited(&dev->carrier_log, r->err == 0 ? LOG_DEBUG : LOG_WARNING, &base->id, "%s",
                    r->text);
        dev->link_down = r->err != 0;
        net_device_xs_publish_carrier(dev, XenbusStateUnknown);
        return true;
    }
    return false;
}

/* Nobody serves the tap: its link is down, and only one queue stays open. */
static void net_device_link_down(struct supervised *base)
{
    struct net_device *dev = net_device_of(base);
    const char *stage;

    if (dev->tap.nr_fds != 0) {
        tap_set_link(&dev->tap, false);
        tap_set_queues(&dev->tap, 1, &stage);
    }
}

/* One that was closed already when this daemon found it has its tap still. */
static void net_device_remove_tap(struct supervised *base)
{
    struct net_device *dev = net_device_of(base);
    char why[SUPERVISED_SENTENCE_MAX];

    base->adopted = base->adopted || dev->tap.nr_fds == 0; /* whatever its name is by now */
    if (dev->tap.nr_fds == 0 && base->front != NULL &&
        net_device_open_tap(base, why, sizeof(why)) != 0) {
        log_msg(LOG_WARNING, &base->id, "%s", why);
    }
    tap_close(&dev->tap, true);
}

static void net_device_leave_tap(struct supervised *base)
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
static int net_sweep_taps(struct supervisor *sup)
{
    tap_remove_stale(((const struct netd *)sup)->tap_prefix, net_tap_wanted, sup);
    return 0;
}

const struct supervisor_ops netd_ops = {
    .noun = "network device",
    .classes = {{.name = "vif", .kernel_module = "xen-netback"}},
    .keys = (const char *const[]){"", "state", "online", "hotplug-status", "rate", NULL},
    .device_size = sizeof(struct net_device),
    .wire = &net_wire_format,
    .config_at = offsetof(struct net_device, config),
    .ready_states = 1U << XenbusStateConnected | 1U << XenbusStateReconfiguring,
    .create_log = net_estate_create,
    .log_magic = NET_ESTATE_MAGIC,
    .log_version = NET_ESTATE_VERSION,
    .forgives = true,
    .learn = net_device_learn_vif,
    .open = net_device_open_tap,
    .offer = net_device_offer_vif,
    .turn = net_device_script_done,
    .read_front = net_device_xs_read_front,
    .configure = net_device_add_tap,
    .serve = net_device_link_up,
    .update = net_device_see_settings,
    .report = net_device_hear,
    .rest = net_device_link_down,
    .gone = net_device_remove_tap,
    .release = net_device_leave_tap,
    .count = net_device_tell_counts,
    .metrics = &net_interface_metrics,
    .started = net_sweep_taps,
};
