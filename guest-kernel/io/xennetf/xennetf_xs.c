/*
 * xennetf_xs.c - the network front end's negotiation with its back end, through the store.
 *
 *   back end's state         what we do
 *   InitWait, or later       read its features; make queues, write their references, ports and our
 *                            features; Connected
 *   Connected                list the interface, let frames move
 *   Connected again          look at the carrier
 *   Closing, Closed, and     unlist, stop; Closed
 *     online=0, or gone
 *   Closing, Closed, and     it may come again: stop, stay listed; Closed, and once it is Closed as
 *     online=1               well, Initialising, which asks it to offer itself again
 *   InitWait while we move   it went and came, and may be at work on the old rings: Closed, so that
 *                            it starts over
 *
 * All of it runs in the watch thread with the xendev's lock held. Every value is the back end's:
 * checked here, once. Suspend: frames stand still; in another domain the queues are thrown away
 * with all in them, and the rest is as after probe; users see the carrier go and come.
 * Format of the keys: xen/io/netif.h. A "feature-" key says what its writer can receive.
 */
#include "io/xennetf/xennetf.h"
#include "io/xennetf/xennetf_impl.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "psm/cpu.h"

#define MTU_MIN    68u /* RFC 791 */
#define MTU_MAX    (NET_FRAME_MAX - NET_HEADER_LEN - 4u)
#define BUFS_MIN   32u
#define POOL_SHARE 16 /* of the memory: what all receive buffers may take */
#define DEV_ID_MAX 9999u
#define MAC_TEXT   18

static const char *const feature_keys[] = {"request-rx-copy",   "feature-rx-notify",
                                           "feature-sg",        "feature-gso-tcpv4",
                                           "feature-gso-tcpv6", "feature-ipv6-csum-offload"};

/* A key that may not be there. */
static int drop_key(xs_txn_t t, const char *node, const char *key)
{
    int rc = xs_rm(t, node, key);

    return rc == -ENOENT ? 0 : rc;
}

/* What an earlier connection may have written and this one does not. */
static int drop_stale(xs_txn_t t, const struct xnf *x)
{
    static const char *const keys[] = {"multi-queue-num-queues",
                                       "tx-ring-ref",
                                       "rx-ring-ref",
                                       "event-channel",
                                       "event-channel-tx",
                                       "event-channel-rx",
                                       "request-multicast-control"};
    int rc = 0;

    for (size_t i = 0; i < ARRAY_SIZE(keys) && rc == 0; i++) {
        rc = drop_key(t, x->xdev->node, keys[i]);
    }
    for (unsigned i = 0; i < XNF_QUEUES_MAX && x->queues[i] != NULL && rc == 0; i++) {
        char key[16];

        snprintf(key, sizeof(key), "queue-%u", i);
        rc = drop_key(t, x->xdev->node, key);
    }
    return rc;
}

static int write_queue(xs_txn_t t, const struct xnf_queue *q, const char *dir)
{
    int rc = xs_writef(t, dir, "tx-ring-ref", "%u", q->tx_gref);

    if (rc == 0) {
        rc = xs_writef(t, dir, "rx-ring-ref", "%u", q->rx_gref);
    }
    if (rc != 0) {
        return rc;
    }
    if (q->tx_port == q->rx_port) {
        return xs_writef(t, dir, "event-channel", "%u", q->tx_port);
    }
    rc = xs_writef(t, dir, "event-channel-tx", "%u", q->tx_port);
    return rc != 0 ? rc : xs_writef(t, dir, "event-channel-rx", "%u", q->rx_port);
}

static int write_queues(xs_txn_t t, const struct xnf *x)
{
    const char *node = x->xdev->node;

    if (x->nqueues == 1) {
        return write_queue(t, x->queues[0], node);
    }
    int rc = xs_writef(t, node, "multi-queue-num-queues", "%u", x->nqueues);
    for (unsigned i = 0; i < x->nqueues && rc == 0; i++) {
        char dir[sizeof(x->xdev->node) + 16];

        snprintf(dir, sizeof(dir), "%s/queue-%u", node, i);
        rc = write_queue(t, x->queues[i], dir);
    }
    return rc;
}

/* Nothing is written for a device whose directory is gone: that would make it anew. */
static int write_keys(xs_txn_t t, void *arg)
{
    const struct xnf *x = arg;
    char *state;
    int rc = xs_read(t, x->xdev->node, "state", &state, NULL);

    if (rc != 0) {
        return rc;
    }
    kfree(state);
    rc = drop_stale(t, x);
    if (rc == 0) {
        rc = write_queues(t, x);
    }
    for (size_t i = 0; i < ARRAY_SIZE(feature_keys) && rc == 0; i++) {
        rc = xs_write(t, x->xdev->node, feature_keys[i], "1");
    }
    if (rc == 0 && x->features.mcast) {
        rc = xs_write(t, x->xdev->node, "request-multicast-control", "1");
    }
    return rc;
}

/* What the back end can do. */
static int read_features(struct xnf *x)
{
    struct xnf_features f = {.max_queues = 1};
    bool copy = false;
    const char *bad = "";
    const struct xs_field fields[] = {
        {"feature-rx-copy", XS_BOOL, &copy, true},
        {"feature-sg", XS_BOOL, &f.sg, true},
        {"feature-gso-tcpv4", XS_BOOL, &f.gso_v4, true},
        {"feature-gso-tcpv6", XS_BOOL, &f.gso_v6, true},
        {"feature-no-csum-offload", XS_BOOL, &f.no_csum, true},
        {"feature-ipv6-csum-offload", XS_BOOL, &f.csum_v6, true},
        {"feature-split-event-channels", XS_BOOL, &f.split, true},
        {"feature-multicast-control", XS_BOOL, &f.mcast, true},
        {"multi-queue-max-queues", XS_U32, &f.max_queues, true},
    };
    int rc = xs_gather(XS_NO_TXN, x->xdev->otherend, fields, ARRAY_SIZE(fields), &bad);

    if (rc == 0 && !copy) {
        bad = "feature-rx-copy";
        rc = -EOPNOTSUPP;
    }
    if (rc != 0) {
        xendev_fatal(x->xdev, rc, "%s: back end's %s/%s is missing or makes no sense", x->net.name,
                     x->xdev->otherend, bad);
        return rc;
    }
    /* Segments are cut out of several pages, and each gets a checksum. */
    f.gso_v4 = f.gso_v4 && f.sg && !f.no_csum;
    f.gso_v6 = f.gso_v6 && f.sg && f.csum_v6;
    x->features = f;
    return 0;
}

/* The MTU: the toolstack's word in our directory, else the back end's, else the usual. */
static void read_mtu(struct xnf *x)
{
    uint32_t mtu = XNF_MTU;
    const struct xs_field field = {"mtu", XS_U32, &mtu, false};
    const char *dir = x->xdev->node;
    int rc = xs_gather(XS_NO_TXN, dir, &field, 1, NULL);

    if (rc == -ENOENT) {
        dir = x->xdev->otherend;
        rc = xs_gather(XS_NO_TXN, dir, &field, 1, NULL);
    }
    if (rc == 0 && (mtu < MTU_MIN || mtu > MTU_MAX)) {
        rc = -ERANGE;
    }
    if (rc != 0 && rc != -ENOENT) {
        log_warn("%s: %s/mtu is not a number from %u to %u, %u it is", x->net.name, dir, MTU_MIN,
                 MTU_MAX, XNF_MTU);
        mtu = XNF_MTU;
    }
    if (!x->features.sg && mtu > XNF_MTU) {
        log_warn("%s: an MTU of %u needs a back end that can gather pages, %u it is", x->net.name,
                 mtu, XNF_MTU);
        mtu = XNF_MTU;
    }
    WRITE_ONCE(x->mtu, (uint16_t)mtu);
}

static void read_ip(struct xnf *x)
{
    char *ip = NULL;
    const struct xs_field field = {"ip", XS_STRING, &ip, true};

    if (xs_gather(XS_NO_TXN, x->xdev->otherend, &field, 1, NULL) != 0) {
        return;
    }
    upcall_state_t s = spin_lock(&x->lock);
    x->ip[0] = '\0';
    if (ip != NULL && strlen(ip) < sizeof(x->ip)) {
        strlcpy(x->ip, ip, sizeof(x->ip));
    }
    spin_unlock(&x->lock, s);
    kfree(ip);
}

/* The back end's word on the carrier; if it says nothing, there is one. True: it changed. */
static bool read_carrier(struct xnf *x)
{
    bool up = true;
    const struct xs_field field = {"carrier", XS_BOOL, &up, true};

    if (xs_gather(XS_NO_TXN, x->xdev->otherend, &field, 1, NULL) != 0) {
        up = false;
    }
    bool changed = up != x->carrier;
    WRITE_ONCE(x->carrier, up);
    return changed;
}

/* Watch callback: the same look as when the back end's state changes. */
static void carrier_event(struct xs_watch *w, const char *path __unused)
{
    struct xnf *x = w->arg;

    xendev_poke(x->xdev);
}

static void watch_carrier(struct xnf *x)
{
    size_t size = strlen(x->xdev->otherend) + sizeof("/carrier");

    x->carrier_path = kmalloc(size);
    if (x->carrier_path != NULL) {
        snprintf(x->carrier_path, size, "%s/carrier", x->xdev->otherend);
        x->carrier_watch =
            (struct xs_watch){.path = x->carrier_path, .fn = carrier_event, .arg = x};
        if (xs_watch_add(&x->carrier_watch) == 0) {
            return;
        }
        kfree(x->carrier_path);
        x->carrier_path = NULL;
    }
    log_warn("%s: %s/carrier cannot be watched", x->net.name, x->xdev->otherend);
}

static void unwatch_carrier(struct xnf *x)
{
    if (x->carrier_path != NULL) {
        xs_watch_remove(&x->carrier_watch);
        kfree(x->carrier_path);
        x->carrier_path = NULL;
    }
}

/* Throws the queues away. */
static void unpublish(struct xnf *x, enum xnf_state state, bool lost)
{
    xnf_stop(x, state);
    if (x->published) {
        x->published = false;
        unwatch_carrier(x);
        for (unsigned i = 0; i < x->nqueues; i++) {
            xnf_queue_close(x->queues[i], lost);
        }
    }
}

/* How many buffers a queue gets in each direction: what memory allows. */
static unsigned bufs_per_queue(unsigned nqueues)
{
    struct mem_stats mem;

    mem_get_stats(&mem);
    uint64_t share = mem.pages_total / POOL_SHARE / nqueues;
    return (unsigned)MIN(MAX(share, BUFS_MIN), XNF_RING_SIZE);
}

/* All queues, or none. */
static int open_queues(struct xnf *x)
{
    unsigned want = MIN(MIN(cpu_count_online(), x->features.max_queues), XNF_QUEUES_MAX);
    int rc = 0;

    x->otherend_id = x->xdev->otherend_id;
    x->nqueues = 0;
    want = MAX(want, 1u);
    while (x->nqueues < want && rc == 0) {
        struct xnf_queue **q = &x->queues[x->nqueues];

        *q = *q != NULL ? *q : xnf_queue_new(x, x->nqueues);
        rc = *q != NULL ? xnf_queue_open(*q, bufs_per_queue(want), x->features.split) : -ENOMEM;
        x->nqueues += rc != 0 ? 0 : 1;
    }
    if (rc != 0) {
        for (unsigned i = 0; i < x->nqueues; i++) {
            xnf_queue_close(x->queues[i], false);
        }
        x->nqueues = 0;
    }
    return rc;
}

static void publish(struct xnf *x)
{
    if (read_features(x) != 0) {
        return;
    }
    read_mtu(x);
    read_ip(x);
    int rc = open_queues(x);
    if (rc != 0) {
        xendev_fatal(x->xdev, rc, "%s: no queues", x->net.name);
        return;
    }
    x->published = true;
    x->was_up = false;
    rc = xs_transaction(write_keys, x);
    if (rc != 0) {
        unpublish(x, XNF_DOWN, false);
        xendev_fatal(x->xdev, rc, "%s: the queues cannot be published", x->net.name);
        return;
    }
    watch_carrier(x);
    (void)xendev_set_state(x->xdev, XenbusStateConnected);
}

static void mac_text(const struct xnf *x, char *buf)
{
    const uint8_t *m = x->mac;

    snprintf(buf, MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

/* The back end is connected: the interface can be used. */
static void connect(struct xnf *x)
{
    bool changed = read_carrier(x);

    if (x->state == XNF_UP) {
        if (changed) {
            log_info("%s: carrier %s", x->net.name, x->carrier ? "on" : "off");
            net_changed(&x->net);
        }
        return;
    }
    char mac[MAC_TEXT];
    mac_text(x, mac);
    log_info("%s: %s, MTU %u, %u queue%s, served by domain %u", x->net.name, mac, x->mtu,
             x->nqueues, x->nqueues == 1 ? "" : "s", x->otherend_id);
    x->was_up = true;
    xnf_start(x);
    if (!x->net.entry.listed) {
        int rc = net_register(&x->net);
        if (rc != 0) {
            unpublish(x, XNF_GONE, false);
            xendev_fatal(x->xdev, rc, "the name %s is taken", x->net.name);
        }
        return;
    }
    net_changed(&x->net);
}

static void close_for_good(struct xnf *x)
{
    x->closing = true;
    unpublish(x, XNF_GONE, false);
    net_withdraw(&x->net);
    if (x->xdev->state != XenbusStateClosed) {
        log_info("%s: detached", x->net.name);
        (void)xendev_set_state(x->xdev, XenbusStateClosed);
    }
}

/* The back end has gone and may come again. */
static void lose_backend(struct xnf *x)
{
    log_warn("%s: back end of domain %u went away, waiting for another", x->net.name,
             x->otherend_id);
    unpublish(x, XNF_DOWN, false);
    net_changed(&x->net);
    (void)xendev_set_state(x->xdev, XenbusStateClosed);
}

/* Whether the toolstack means the device to stay. */
static bool online(const struct xnf *x)
{
    bool on = false;
    const struct xs_field field = {"online", XS_BOOL, &on, false};

    return xs_gather(XS_NO_TXN, x->xdev->otherend, &field, 1, NULL) == 0 && on;
}

static void backend_leaves(struct xnf *x, enum xenbus_state state)
{
    if (x->state == XNF_BROKEN || !online(x)) {
        close_for_good(x);
        return;
    }
    if (x->published) {
        lose_backend(x);
    }
    /* One that never was connected may be closed because of us: no second attempt then. */
    if (state == XenbusStateClosed && x->was_up) {
        x->was_up = false;
        (void)xendev_set_state(x->xdev, XenbusStateInitialising);
    }
}

/* The data path gave the back end up: tell the store, once, and take everything away from it. */
static void report_broken(struct xnf *x)
{
    if (READ_ONCE(x->report)) {
        x->report = false;
        unpublish(x, XNF_BROKEN, false);
        net_changed(&x->net);
        xendev_fatal(x->xdev, -EIO, "%s: back end broke the protocol: %s", x->net.name, x->why);
    }
}

static void xennetf_otherend_changed(struct xendev *dev, enum xenbus_state state)
{
    struct xnf *x = dev->priv;

    report_broken(x);
    switch (state) {
    case XenbusStateInitWait:
    case XenbusStateInitialised:
    case XenbusStateConnected:
        if (x->closing || x->state == XNF_BROKEN) {
            break;
        }
        if (state == XenbusStateInitWait && x->state == XNF_UP) {
            lose_backend(x);
            break;
        }
        if (!x->published && !x->was_up) {
            publish(x);
        }
        if (state == XenbusStateConnected && x->published) {
            connect(x);
        }
        break;
    case XenbusStateClosing:
    case XenbusStateClosed:
        backend_leaves(x, state);
        break;
    case XenbusStateUnknown:
        if (x->published) {
            close_for_good(x);
        }
        break;
    default:
        break;
    }
}

/* "00:16:3e:..." and nothing else, of one station. */
static int parse_mac(const char *text, uint8_t mac[NET_MAC_LEN])
{
    uint8_t any = 0;

    if (strlen(text) != MAC_TEXT - 1) {
        return -EINVAL;
    }
    for (unsigned i = 0; i < NET_MAC_LEN; i++) {
        const char hex[] = {'0', 'x', text[3 * i], text[3 * i + 1], '\0'};
        uint64_t value;

        if (text[3 * i] == '\0' || (i + 1 < NET_MAC_LEN && text[3 * i + 2] != ':') ||
            parse_u64(hex, &value) != 0) {
            return -EINVAL;
        }
        mac[i] = (uint8_t)value;
        any |= mac[i];
    }
    return any == 0 || (mac[0] & 1) ? -EINVAL : 0;
}

static int read_mac(const struct xendev *dev, uint8_t mac[NET_MAC_LEN])
{
    char *text = NULL;
    const struct xs_field field = {"mac", XS_STRING, &text, false};
    int rc = xs_gather(XS_NO_TXN, dev->node, &field, 1, NULL);

    if (rc == 0) {
        rc = parse_mac(text, mac);
        kfree(text);
    }
    return rc;
}

static int xennetf_probe(struct xendev *dev)
{
    char name[NET_NAME_MAX];
    uint64_t id;

    if (parse_u64(dev->id, &id) != 0 || id > DEV_ID_MAX) {
        xenbus_dev_error(dev->node, -EINVAL, "the device's name is no number up to %u", DEV_ID_MAX);
        return -EINVAL;
    }
    snprintf(name, sizeof(name), "eth%u", (unsigned)id);
    struct xnf *x = kzalloc(sizeof(*x));
    if (x == NULL) {
        xenbus_dev_error(dev->node, -ENOMEM, "%s: no memory", name);
        return -ENOMEM;
    }
    xnf_init(x, name);
    x->xdev = dev;
    int rc = read_mac(dev, x->mac);
    if (rc != 0) {
        xenbus_dev_error(dev->node, rc, "%s: mac is missing or no station's address", name);
        kfree(x);
        return rc;
    }
    dev->priv = x;
    return 0;
}

static void xennetf_remove(struct xendev *dev)
{
    struct xnf *x = dev->priv;

    close_for_good(x);
    x->xdev = NULL;
    net_put(&x->net);
}

static void xennetf_suspend(struct xendev *dev)
{
    struct xnf *x = dev->priv;

    xnf_pause(x);
    net_changed(&x->net);
}

static void xennetf_cancel(struct xendev *dev)
{
    struct xnf *x = dev->priv;

    xnf_unpause(x);
    net_changed(&x->net);
}

/* Another domain has another back end: what the old one broke does not count. */
static void xennetf_resume(struct xendev *dev)
{
    struct xnf *x = dev->priv;

    unpublish(x, x->closing ? XNF_GONE : XNF_DOWN, true);
    x->report = false;
    x->was_up = false;
    xnf_unpause(x);
    (void)xendev_set_state(dev, XenbusStateInitialising);
}

static void xennetf_describe(struct xendev *dev, char *buf, size_t size)
{
    static const char *const states[] = {"waiting", "up", "broken", "gone"};
    struct xnf *x = dev->priv;
    struct net_info info;
    char mac[MAC_TEXT];

    mac_text(x, mac);
    xnf_info(&x->net, &info);
    snprintf(buf, size, "%s %s %s, carrier %s, %u queues, %lu received, %lu sent, %lu errors",
             x->net.name, mac, states[x->state], info.carrier ? "on" : "off", info.queues,
             (unsigned long)info.rx_frames, (unsigned long)info.tx_frames,
             (unsigned long)(info.rx_errors + info.tx_errors));
    if (x->features.mcast) {
        size_t used = strlen(buf);

        snprintf(buf + used, size - used, ", %u multicast addresses", x->mcast.ntold);
    }
}

static void show_queue(const struct xnf_queue *q, void (*say)(const char *fmt, ...))
{
    const struct netif_tx_sring *tx = q->tx.sring;
    const struct netif_rx_sring *rx = q->rx.sring;

    say("%s: ring of %u at %p, grant %u, port %u%s\n", q->tx_name, q->tx.nr_ents, q->tx_page,
        q->tx_gref, q->tx_port, q->tx_blocked ? ", full" : "");
    say("  ours    req_prod_pvt %u  rsp_cons %u  free buffers %u  extras %u\n", q->tx.req_prod_pvt,
        q->tx.rsp_cons, q->tx_nfree, q->tx_extras);
    say("  shared  req_prod %u  req_event %u  rsp_prod %u  rsp_event %u\n", tx->req_prod,
        tx->req_event, tx->rsp_prod, tx->rsp_event);
    say("%s: ring of %u at %p, grant %u, port %u%s\n", q->rx_name, q->rx.nr_ents, q->rx_page,
        q->rx_gref, q->rx_port, q->rx_draining ? ", draining" : "");
    say("  ours    req_prod_pvt %u  rsp_cons %u\n", q->rx.req_prod_pvt, q->rx.rsp_cons);
    say("  shared  req_prod %u  req_event %u  rsp_prod %u  rsp_event %u\n", rx->req_prod,
        rx->req_event, rx->rsp_prod, rx->rsp_event);
}

static void xennetf_show_rings(const struct xendev *dev, void (*say)(const char *fmt, ...))
{
    const struct xnf *x = dev->priv;

    if (!x->published) {
        say("no rings: the back end is not connected\n");
        return;
    }
    for (unsigned i = 0; i < x->nqueues; i++) {
        show_queue(x->queues[i], say);
    }
}

const struct xendev_driver xennetf_driver = {
    .class = "vif",
    .rank = 20,
    .probe = xennetf_probe,
    .otherend_changed = xennetf_otherend_changed,
    .remove = xennetf_remove,
    .suspend = xennetf_suspend,
    .cancel = xennetf_cancel,
    .resume = xennetf_resume,
    .describe = xennetf_describe,
    .show_rings = xennetf_show_rings,
};
