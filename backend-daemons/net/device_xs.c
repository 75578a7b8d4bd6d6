/*
 * A network device's store nodes: see device_xs.h. What belongs together is read or written in one
 * transaction, so that nobody sees half of it.
 */
#include "device_xs.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xenbus.h"

#define MAX_STRING   1024
#define MAX_HEADROOM 2048 /* half a page must be left for the packet */

int device_xs_read_back(struct device *dev, char *why, unsigned long why_size)
{
    struct store *st = dev->base.sup->store;
    char dir[64];
    unsigned int vcpus;
    int err = supervised_read_front(&dev->base, why, why_size);

    if (err != 0) {
        return err;
    }
    dev->has_script = store_exists(st, STORE_NO_TX, dev->base.back, "script");
    snprintf(dir, sizeof(dir), "/local/domain/%d/cpu", dev->base.id.domid);
    free(store_list(st, STORE_NO_TX, dir, &vcpus));
    vcpus = vcpus != 0 ? vcpus : 1;
    dev->max_queues = vcpus < device_netd(dev)->max_queues ? vcpus : device_netd(dev)->max_queues;
    return 0;
}

void device_xs_tap_names(struct device *dev, char *own, char *other, unsigned long size)
{
    char *name = NULL;

    snprintf(own, size, "%s%d.%d", device_netd(dev)->tap_prefix, dev->base.id.domid,
             dev->base.id.device);
    store_read_str(dev->base.sup->store, STORE_NO_TX, dev->base.back, "vifname",
                   (unsigned int)size - 1, &name);
    snprintf(other, size, "%s", name != NULL ? name : "");
    free(name);
}

static int publish_features_tx(struct store *st, xs_transaction_t t, void *arg)
{
    struct device *dev = arg;
    const struct {
        const char *key;
        unsigned int value;
    } features[] = {{"feature-sg", 1},
                    {"feature-gso-tcpv4", 1},
                    {"feature-gso-tcpv6", 1},
                    {"feature-ipv6-csum-offload", 1},
                    {"feature-rx-copy", 1},
                    {"feature-rx-flip", 0},
                    {"feature-xdp-headroom", 1},
                    {"feature-multicast-control", 1},
                    {"feature-dynamic-multicast-control", 1},
                    {"feature-split-event-channels", 1},
                    {"feature-ctrl-ring", 1},
                    {"multi-queue-max-queues", dev->max_queues}};
    int err = 0;

    if (!store_exists(st, t, dev->base.back, "state")) {
        return -ENOENT;
    }
    for (unsigned int i = 0; i < sizeof(features) / sizeof(features[0]) && err == 0; i++) {
        err = store_write(st, t, dev->base.back, features[i].key, "%u", features[i].value);
    }
    return err != 0 ? err : store_write(st, t, dev->base.back, "state", "%d", XenbusStateInitWait);
}

int device_xs_publish_features(struct device *dev)
{
    return store_transaction(dev->base.sup->store, publish_features_tx, dev);
}

bool device_xs_hotplug_done(struct device *dev)
{
    char *status = NULL;
    bool done;

    store_read_str(dev->base.sup->store, STORE_NO_TX, dev->base.back, "hotplug-status", MAX_STRING,
                   &status);
    done = !dev->has_script || (status != NULL && strcmp(status, "connected") == 0);
    free(status);
    return done;
}

struct front_read {
    struct device *dev;
    struct net_wire_config *config;
    unsigned int *offload;
    char *why;
    unsigned long why_size;
};

/* Reads a key of 0 or 1, `def` when it is missing. */
static int read_flag(struct store *st, xs_transaction_t t, const char *dir, const char *key,
                     bool def, bool *out)
{
    uint64_t n = 0;
    int err = store_read_uint_def(st, t, dir, key, 1, def, &n);

    *out = n != 0;
    return err;
}

static int read_u32(struct store *st, xs_transaction_t t, const char *dir, const char *key,
                    uint32_t *out)
{
    uint64_t n = 0;
    int err = store_read_uint(st, t, dir, key, UINT32_MAX, &n);

    *out = (uint32_t)n;
    return err;
}

/* The rings and event channels of one queue, which are in `dir`. */
static int read_queue(struct store *st, xs_transaction_t t, const char *dir,
                      struct net_wire_queue *q)
{
    int err = read_u32(st, t, dir, "tx-ring-ref", &q->tx_ref);

    if (err == 0) {
        err = read_u32(st, t, dir, "rx-ring-ref", &q->rx_ref);
    }
    if (err != 0) {
        return err;
    }
    err = read_u32(st, t, dir, "event-channel-tx", &q->tx_port);
    if (err == 0) {
        return read_u32(st, t, dir, "event-channel-rx", &q->rx_port);
    }
    if (err == -ENOENT) {
        err = read_u32(st, t, dir, "event-channel", &q->tx_port);
        q->rx_port = q->tx_port;
    }
    return err;
}

static int read_queues(struct store *st, xs_transaction_t t, struct front_read *r)
{
    struct net_wire_config *c = r->config;
    const char *front = r->dev->base.front;
    uint64_t nr = 1;
    int err =
        store_read_uint_def(st, t, front, "multi-queue-num-queues", r->dev->max_queues, 1, &nr);

    if (err == 0 && nr == 0) {
        snprintf(r->why, r->why_size, "%s/multi-queue-num-queues = \"0\": at least one is needed",
                 front);
        return -EINVAL;
    }
    c->nr_queues = (uint32_t)nr;
    for (unsigned int i = 0; i < c->nr_queues && err == 0; i++) {
        char dir[STORE_PATH_MAX];

        if (c->nr_queues == 1 && !store_exists(st, t, front, "queue-0/tx-ring-ref")) {
            snprintf(dir, sizeof(dir), "%s", front);
        } else {
            snprintf(dir, sizeof(dir), "%.*s/queue-%u", STORE_PATH_MAX - 32, front, i);
        }
        err = read_queue(st, t, dir, &c->queues[i]);
    }
    return err;
}

static int read_ctrl(struct store *st, xs_transaction_t t, struct front_read *r)
{
    struct net_wire_config *c = r->config;
    int err;

    c->has_ctrl = store_exists(st, t, r->dev->base.front, "ctrl-ring-ref");
    if (!c->has_ctrl) {
        return 0;
    }
    err = read_u32(st, t, r->dev->base.front, "ctrl-ring-ref", &c->ctrl_ref);
    return err != 0 ? err
                    : read_u32(st, t, r->dev->base.front, "event-channel-ctrl", &c->ctrl_port);
}

/* What the guest can do with the packets that it receives. */
static int read_features(struct store *st, xs_transaction_t t, struct front_read *r)
{
    struct net_wire_config *c = r->config;
    const char *front = r->dev->base.front;
    bool rx_copy, no_csum = false, gso_v4 = false, gso_v6 = false;
    int err = read_flag(st, t, front, "request-rx-copy", false, &rx_copy);

    if (err == 0 && !rx_copy) {
        snprintf(r->why, r->why_size,
                 "%s/request-rx-copy is not 1: the guest wants page flipping, which no current "
                 "back end offers",
                 front);
        return -EOPNOTSUPP;
    }
    if (err == 0) {
        err = read_flag(st, t, front, "feature-rx-notify", false, &c->rx_notify);
    }
    if (err == 0) {
        err = read_flag(st, t, front, "feature-sg", false, &c->can_sg);
    }
    if (err == 0) {
        err = read_flag(st, t, front, "feature-gso-tcpv4", false, &gso_v4);
    }
    if (err == 0) {
        err = read_flag(st, t, front, "feature-gso-tcpv6", false, &gso_v6);
    }
    if (err == 0) {
        err = read_flag(st, t, front, "feature-no-csum-offload", false, &no_csum);
    }
    if (err == 0) {
        err = read_flag(st, t, front, "feature-ipv6-csum-offload", false, &c->csum_v6);
    }
    c->csum_v4 = !no_csum;
    *r->offload = c->csum_v4 || c->csum_v6 ? TUN_F_CSUM : 0;
    c->gso_v4 = c->csum_v4 && c->can_sg && gso_v4;
    c->gso_v6 = c->csum_v6 && c->can_sg && gso_v6;
    *r->offload |= c->gso_v4 ? TUN_F_TSO4 : 0;
    *r->offload |= c->gso_v6 ? TUN_F_TSO6 : 0;
    return err;
}

static int read_front_tx(struct store *st, xs_transaction_t t, void *arg)
{
    struct front_read *r = arg;
    int err;

    r->why[0] = '\0';
    err = read_features(st, t, r);
    if (err == 0) {
        err = read_queues(st, t, r);
    }
    if (err == 0) {
        err = read_ctrl(st, t, r);
    }
    if (err != 0 && r->why[0] == '\0') {
        snprintf(r->why, r->why_size, "%s", store_error(st));
    }
    return err;
}

int device_xs_read_front(struct device *dev, struct net_wire_config *config, unsigned int *offload,
                         char *why, unsigned long why_size)
{
    struct front_read r = {
        .dev = dev, .config = config, .offload = offload, .why = why, .why_size = why_size};

    memset(config, 0, sizeof(*config));
    supervised_wire_head(&dev->base, NET_WIRE_MAGIC, &config->head);
    config->stall_seconds = device_netd(dev)->stall_seconds;
    device_xs_read_settings(dev, &config->settings);
    return store_transaction(dev->base.sup->store, read_front_tx, &r);
}

/* A decimal number up to `max` that ends with `stop`; *rest is what follows. */
static bool take_number(const char *s, char stop, uint64_t max, uint64_t *out, const char **rest)
{
    char *end;

    if (*s < '0' || *s > '9') {
        return false;
    }
    errno = 0;
    *out = strtoull(s, &end, 10);
    *rest = end + 1;
    return errno == 0 && *end == stop && *out <= max;
}

/* `rate` is "BYTES,MICROSECONDS"; 4294967295 bytes mean no limit. */
static void read_rate(struct device *dev, struct net_wire_settings *s)
{
    char *rate = NULL;
    const char *rest;
    uint64_t bytes = 0, us = 0;

    store_read_str(dev->base.sup->store, STORE_NO_TX, dev->base.back, "rate", 64, &rate);
    if (rate == NULL) {
        return;
    }
    if (!take_number(rate, ',', UINT32_MAX, &bytes, &rest) ||
        !take_number(rest, '\0', UINT32_MAX, &us, &rest)) {
        log_msg(LOG_WARNING, &dev->base.id, "%s/rate = \"%s\": not BYTES,MICROSECONDS; not limited",
                dev->base.back, rate);
    } else if (bytes < UINT32_MAX) {
        s->rate_bytes = bytes;
        s->rate_us = us;
    }
    free(rate);
}

void device_xs_read_settings(struct device *dev, struct net_wire_settings *s)
{
    struct store *st = dev->base.sup->store;
    uint64_t headroom = 0;

    memset(s, 0, sizeof(*s));
    read_rate(dev, s);
    if (dev->base.front == NULL) {
        return;
    }
    if (store_read_uint_def(st, STORE_NO_TX, dev->base.front, "xdp-headroom", MAX_HEADROOM, 0,
                            &headroom) != 0) {
        log_limited(&dev->base.guest_log, LOG_WARNING, &dev->base.id, "%s", store_error(st));
        headroom = 0;
    }
    s->headroom = (uint32_t)headroom;
    if (read_flag(st, STORE_NO_TX, dev->base.front, "request-multicast-control", false,
                  &s->multicast_control) != 0) {
        log_limited(&dev->base.guest_log, LOG_WARNING, &dev->base.id, "%s", store_error(st));
        s->multicast_control = false;
    }
}

struct carrier {
    struct device *dev;
    bool up;
};

static int publish_carrier_tx(struct store *st, xs_transaction_t t, void *arg)
{
    const struct carrier *c = arg;

    if (!store_exists(st, t, c->dev->base.back, "state")) {
        return -ENOENT;
    }
    return store_write(st, t, c->dev->base.back, "carrier", "%d", c->up ? 1 : 0);
}

void device_xs_publish_carrier(struct device *dev, bool up)
{
    struct carrier c = {.dev = dev, .up = up};
    int err = store_transaction(dev->base.sup->store, publish_carrier_tx, &c);

    if (err != 0 && err != -ENOENT) {
        log_msg(LOG_ERR, &dev->base.id, "cannot publish the carrier: %s",
                store_error(dev->base.sup->store));
    }
}
