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

#define NET_MAX_TEXT     1024
#define NET_MAX_HEADROOM 2048 /* half a page must be left for the packet */
#define NET_NR(table)    (sizeof(table) / sizeof((table)[0]))

/* What the guest can do with the packets that it receives. */
struct net_front_features {
    bool rx_copy, rx_notify, sg, gso_v4, gso_v6, no_csum, csum_v6;
};

#define NET_FEATURE(name, field, what)                                                        \
    {                                                                                         \
        .key = (name), .type = KEY_BOOL, .where = offsetof(struct net_front_features, field), \
        .meaning = (what)                                                                     \
    }
static const struct key_rule net_feature_keys[] = {
    NET_FEATURE("request-rx-copy", rx_copy, "packets are copied to it: needed"),
    NET_FEATURE("feature-rx-notify", rx_notify, "it says when it has made room"),
    NET_FEATURE("feature-sg", sg, "it takes packets of several slots"),
    NET_FEATURE("feature-gso-tcpv4", gso_v4, "it takes packets yet to be segmented"),
    NET_FEATURE("feature-gso-tcpv6", gso_v6, "likewise"),
    NET_FEATURE("feature-no-csum-offload", no_csum, "IPv4 checksums are to be complete"),
    NET_FEATURE("feature-ipv6-csum-offload", csum_v6, "IPv6's need not be"),
};

#define NET_NUMBER(name, of, field, what)                                    \
    {                                                                        \
        .key = (name), .type = KEY_U32, .max = UINT32_MAX, .required = true, \
        .where = offsetof(of, field), .meaning = (what)                      \
    }
static const struct key_rule net_ring_keys[] = {
    NET_NUMBER("tx-ring-ref", struct net_wire_queue, tx_ref, "grant of the ring from the guest"),
    NET_NUMBER("rx-ring-ref", struct net_wire_queue, rx_ref, "grant of the ring to the guest"),
};
static const struct key_rule net_split_port_keys[] = {
    NET_NUMBER("event-channel-tx", struct net_wire_queue, tx_port, "port of one direction"),
    NET_NUMBER("event-channel-rx", struct net_wire_queue, rx_port, "port of the other"),
};
static const struct key_rule net_port_key[] = {
    NET_NUMBER("event-channel", struct net_wire_queue, tx_port, "one port for both"),
};
static const struct key_rule net_ctrl_keys[] = {
    NET_NUMBER("ctrl-ring-ref", struct net_wire_config, ctrl_ref, "grant of the control ring"),
    NET_NUMBER("event-channel-ctrl", struct net_wire_config, ctrl_port, "its port"),
};

static const struct key_rule net_setting_keys[] = {
    {.key = "xdp-headroom",
     .type = KEY_U32,
     .max = NET_MAX_HEADROOM,
     .where = offsetof(struct net_wire_settings, headroom),
     .meaning = "bytes left free before each packet"},
    {.key = "request-multicast-control",
     .type = KEY_BOOL,
     .where = offsetof(struct net_wire_settings, multicast_control),
     .meaning = "only the groups that it lists"},
};

/* What the store did not answer, as -errno with a sentence; any other error is an answer: 0. */
static int net_unanswered(const struct net_device *dev, int err, char *why, unsigned long why_size)
{
    if (!store_error_passes(err)) {
        return 0;
    }
    snprintf(why, why_size, "%s", store_error(dev->base.sup->store));
    return err;
}

/*
 * How many queues the guest may have by what an earlier daemon offered, which may be more than this
 * one allows: one that is found connected goes on with what it has. 0: nothing was offered.
 */
static int net_read_offered(const struct net_device *dev, unsigned int *offered)
{
    uint64_t nr = 0;
    int err = dev->base.life.phase != LIFE_NEW
                  ? 0
                  : store_read_uint_def(dev->base.sup->store, STORE_NO_TX, dev->base.back,
                                        "multi-queue-max-queues", NET_WIRE_MAX_QUEUES, 0, &nr);

    *offered = (unsigned int)nr;
    return err;
}

int net_device_xs_read_back(struct net_device *dev, char *why, unsigned long why_size)
{
    struct store *st = dev->base.sup->store;
    const struct netd *netd = net_device_daemon(dev);
    const int script = store_has(st, STORE_NO_TX, dev->base.back, "script");
    int err = net_unanswered(dev, script, why, why_size);
    unsigned int vcpus = 0, most, offered = 0;
    char dir[64];
    char **names;

    if (err != 0) {
        return err;
    }
    dev->has_script = script == 1;
    snprintf(dir, sizeof(dir), "/local/domain/%d/cpu", dev->base.id.domid);
    names = store_list(st, STORE_NO_TX, dir, &vcpus);
    if (names == NULL) {
        err = net_unanswered(dev, -errno, why, why_size);
    }
    free(names);
    if (err == 0) {
        err = net_unanswered(dev, net_read_offered(dev, &offered), why, why_size);
    }
    vcpus = vcpus != 0 ? vcpus : netd->own_vcpus;
    most = (unsigned int)supervised_conf(&dev->base, "max-queues", netd->max_queues);
    dev->max_queues = vcpus < most ? vcpus : most;
    dev->max_queues = offered > dev->max_queues ? offered : dev->max_queues;
    return err;
}

int net_device_xs_tap_names(struct net_device *dev, char *own, char *other, unsigned long size,
                            char *why, unsigned long why_size)
{
    char *name = NULL;
    int err;

    snprintf(own, size, "%s%d.%d", net_device_daemon(dev)->tap_prefix, dev->base.id.domid,
             dev->base.id.device);
    err = store_read_str(dev->base.sup->store, STORE_NO_TX, dev->base.back, "vifname",
                         (unsigned int)size - 1, &name);
    snprintf(other, size, "%s", name != NULL ? name : "");
    free(name);
    return net_unanswered(dev, err, why, why_size);
}

void net_device_xs_publish_features(struct net_device *dev)
{
    const struct key_value values[] = {
        {.key = "feature-sg", .number = 1},
        {.key = "feature-gso-tcpv4", .number = 1},
        {.key = "feature-gso-tcpv6", .number = 1},
        {.key = "feature-ipv6-csum-offload", .number = 1},
        {.key = "feature-rx-copy", .number = 1},
        {.key = "feature-rx-flip", .number = 0},
        {.key = "feature-xdp-headroom", .number = 1},
        {.key = "feature-multicast-control", .number = 1},
        {.key = "feature-dynamic-multicast-control", .number = 1},
        {.key = "feature-split-event-channels", .number = 1},
        {.key = "feature-ctrl-ring", .number = 1},
        {.key = "multi-queue-max-queues", .number = dev->max_queues}};

    supervised_publish(&dev->base, values, NET_NR(values), XenbusStateInitWait);
}

bool net_device_xs_hotplug_done(struct net_device *dev)
{
    char *status = NULL;
    bool done;

    if (store_error_passes(store_read_str(dev->base.sup->store, STORE_NO_TX, dev->base.back,
                                          "hotplug-status", NET_MAX_TEXT, &status))) {
        supervised_reconsider_soon(&dev->base);
    }
    done = !dev->has_script || (status != NULL && strcmp(status, "connected") == 0);
    free(status);
    return done;
}

/* The rings and event channels of one queue, which are in `dir`. */
static int net_read_queue(const struct supervised_front *f, const char *dir,
                          struct net_wire_queue *q)
{
    int err = supervised_front_keys(f, dir, net_ring_keys, NET_NR(net_ring_keys), q);

    if (err != 0) {
        return err;
    }
    if (store_exists(f->st, f->t, dir, "event-channel-tx")) {
        return supervised_front_keys(f, dir, net_split_port_keys, NET_NR(net_split_port_keys), q);
    }
    err = supervised_front_keys(f, dir, net_port_key, NET_NR(net_port_key), q);
    q->rx_port = q->tx_port;
    return err;
}

static int net_read_queues(const struct supervised_front *f, struct net_device *dev)
{
    struct net_wire_config *c = &dev->config;
    const char *front = dev->base.front;
    const struct key_rule nr_queues = {.key = "multi-queue-num-queues",
                                       .type = KEY_U32,
                                       .min = 1,
                                       .max = dev->max_queues,
                                       .def = 1,
                                       .meaning = "queues of the guest"};
    int err = supervised_front_keys(f, front, &nr_queues, 1, &c->nr_queues);

    for (unsigned int i = 0; i < c->nr_queues && err == 0; i++) {
        char dir[STORE_PATH_MAX];

        if (c->nr_queues == 1 && !supervised_front_has(f, "queue-0/tx-ring-ref")) {
            snprintf(dir, sizeof(dir), "%s", front);
        } else {
            snprintf(dir, sizeof(dir), "%.*s/queue-%u", STORE_PATH_MAX - 32, front, i);
        }
        err = net_read_queue(f, dir, &c->queues[i]);
    }
    return err;
}

static int net_read_ctrl(const struct supervised_front *f, struct net_wire_config *c)
{
    c->has_ctrl = supervised_front_has(f, "ctrl-ring-ref");
    return c->has_ctrl
               ? supervised_front_keys(f, f->dev->front, net_ctrl_keys, NET_NR(net_ctrl_keys), c)
               : 0;
}

static int net_read_features(const struct supervised_front *f, struct net_device *dev)
{
    struct net_wire_config *c = &dev->config;
    struct net_front_features guest = {.rx_copy = false};
    int err = supervised_front_keys(f, dev->base.front, net_feature_keys, NET_NR(net_feature_keys),
                                    &guest);

    if (err == 0 && !guest.rx_copy) {
        snprintf(f->why, f->why_size,
                 "%s/request-rx-copy is not 1: the guest wants page flipping, which no current "
                 "back end offers",
                 dev->base.front);
        return -EOPNOTSUPP;
    }
    c->rx_notify = guest.rx_notify;
    c->can_sg = guest.sg;
    c->csum_v4 = !guest.no_csum;
    c->csum_v6 = guest.csum_v6;
    c->gso_v4 = c->csum_v4 && guest.sg && guest.gso_v4;
    c->gso_v6 = c->csum_v6 && guest.sg && guest.gso_v6;
    dev->offload = (c->csum_v4 || c->csum_v6 ? TUN_F_CSUM : 0U) | (c->gso_v4 ? TUN_F_TSO4 : 0U) |
                   (c->gso_v6 ? TUN_F_TSO6 : 0U);
    return err;
}

int net_device_xs_read_front(const struct supervised_front *front)
{
    struct net_device *dev = net_device_of(front->dev);
    int err = net_read_features(front, dev);

    if (err == 0) {
        err = net_read_queues(front, dev);
    }
    return err != 0 ? err : net_read_ctrl(front, &dev->config);
}

/* A decimal number up to `max` that ends with `stop`; *rest is what follows. */
static bool net_take_number(const char *s, char stop, uint64_t max, uint64_t *out,
                            const char **rest)
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
static int net_read_rate(struct net_device *dev, struct net_wire_settings *s, char *why,
                         unsigned long why_size)
{
    char *rate = NULL;
    const char *rest;
    uint64_t bytes = 0, us = 0;
    const int err =
        store_read_str(dev->base.sup->store, STORE_NO_TX, dev->base.back, "rate", 64, &rate);

    if (rate == NULL) {
        return net_unanswered(dev, err, why, why_size);
    }
    if (!net_take_number(rate, ',', UINT32_MAX, &bytes, &rest) ||
        !net_take_number(rest, '\0', UINT32_MAX, &us, &rest)) {
        log_limited(&dev->base.guest_log, LOG_WARNING, &dev->base.id,
                    "%s/rate = \"%s\": not BYTES,MICROSECONDS; not limited", dev->base.back, rate);
    } else if (bytes < UINT32_MAX) {
        s->rate_bytes = bytes;
        s->rate_us = us;
    }
    free(rate);
    return 0;
}

int net_device_xs_read_settings(struct net_device *dev, struct net_wire_settings *s, char *why,
                                unsigned long why_size)
{
    int err;

    memset(s, 0, sizeof(*s));
    err = net_read_rate(dev, s, why, why_size);
    for (unsigned int i = 0; err == 0 && i < NET_NR(net_setting_keys); i++) {
        err = keys_read(dev->base.sup->store, STORE_NO_TX, dev->base.front, &net_setting_keys[i], 1,
                        s, why, why_size);
        if (err != 0 && !store_error_passes(err)) {
            log_limited(&dev->base.guest_log, LOG_WARNING, &dev->base.id, "%s", why);
            err = 0;
        }
    }
    return err;
}

void net_device_xs_publish_carrier(struct net_device *dev, enum xenbus_state state)
{
    const struct key_value carrier = {.key = "carrier", .number = dev->link_down ? 0 : 1};

    dev->carrier_due = !supervised_publish(&dev->base, &carrier, 1, state);
}
