/*
 * xennetf_xs.c - the network front end's side of the store: what it publishes, and what it believes
 * of the back end's words. When which step is due is told in xendev/frontend.c.
 *
 * All of it runs in the watch thread with the xendev's lock held. Every value is the back end's:
 * checked here, once. Suspend: frames stand still; in another domain the queues are thrown away
 * with all in them; users see the carrier go and come.
 * Format of the keys: xen/io/netif.h. A "feature-" key says what its writer can receive.
 */
#include "io/xennetf/xennetf.h"
#include "io/xennetf/xennetf_impl.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "os/panic.h"
#include "psm/cpu.h"

#define MTU_MIN    68u /* RFC 791 */
#define MTU_MAX    (NET_FRAME_MAX - NET_HEADER_LEN - 4u)
#define BUFS_MIN   32u
#define POOL_SHARE 16 /* of the memory: what all receive buffers may take */
#define DEV_ID_MAX 9999u
#define MAC_TEXT   18

/* What we can do, and want; the last one only of a back end that can do it. */
static const struct xs_value offers[] = {
    {.key = "request-rx-copy", .number = 1},
    {.key = "feature-rx-notify", .number = 1},
    {.key = "feature-sg", .number = 1},
    {.key = "feature-gso-tcpv4", .number = 1},
    {.key = "feature-gso-tcpv6", .number = 1},
    {.key = "feature-ipv6-csum-offload", .number = 1},
    {.key = "request-multicast-control", .number = 1},
};

static struct xnf *interface_of(struct frontend *fe)
{
    return CONTAINER_OF(fe, struct xnf, fe);
}

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
        rc = drop_key(t, x->fe.dev->node, keys[i]);
    }
    for (unsigned i = 0; i < XNF_QUEUES_MAX && x->queues[i] != NULL && rc == 0; i++) {
        char key[16];

        snprintf(key, sizeof(key), "queue-%u", i);
        rc = drop_key(t, x->fe.dev->node, key);
    }
    return rc;
}

static int write_queue(xs_txn_t t, const struct xnf_queue *q, const char *dir)
{
    bool split = q->tx_port != q->rx_port;
    const struct xs_value values[] = {
        {.key = "tx-ring-ref", .number = q->tx_gref},
        {.key = "rx-ring-ref", .number = q->rx_gref},
        {.key = split ? "event-channel-tx" : "event-channel", .number = q->tx_port},
        {.key = "event-channel-rx", .number = q->rx_port},
    };

    return xs_scatter(t, dir, values, split ? 4 : 3);
}

static int write_queues(xs_txn_t t, const struct xnf *x)
{
    const char *node = x->fe.dev->node;

    if (x->nqueues == 1) {
        return write_queue(t, x->queues[0], node);
    }
    int rc = xs_writef(t, node, "multi-queue-num-queues", "%u", x->nqueues);
    for (unsigned i = 0; i < x->nqueues && rc == 0; i++) {
        char dir[sizeof(x->fe.dev->node) + 16];

        snprintf(dir, sizeof(dir), "%s/queue-%u", node, i);
        rc = write_queue(t, x->queues[i], dir);
    }
    return rc;
}

static int xnf_publish(struct frontend *fe, xs_txn_t t)
{
    const struct xnf *x = interface_of(fe);
    int rc = drop_stale(t, x);

    if (rc == 0) {
        rc = write_queues(t, x);
    }
    size_t n = ARRAY_SIZE(offers) - (x->features.mcast ? 0 : 1);

    return rc != 0 ? rc : xs_scatter(t, fe->dev->node, offers, n);
}

/* What the back end can do. */
static int read_features(struct xnf *x)
{
    struct xnf_features f = {.max_queues = 1};
    bool copy = false;
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
    int rc = frontend_gather(&x->fe, fields, ARRAY_SIZE(fields));

    if (rc != 0) {
        return rc;
    }
    if (!copy) {
        return frontend_refuse(&x->fe, -EOPNOTSUPP, "back end has no feature-rx-copy");
    }
    /* Segments are cut out of several pages, and each gets a checksum. */
    f.gso_v4 = f.gso_v4 && f.sg && !f.no_csum;
    f.gso_v6 = f.gso_v6 && f.sg && f.csum_v6;
    x->features = f;
    return 0;
}

/* The MTU: the toolstack's word in our directory, else the back end's, else the usual. */
static int read_mtu(struct xnf *x)
{
    uint32_t mtu = XNF_MTU;
    const struct xs_field field = {"mtu", XS_U32, &mtu, false};
    const char *dir = x->fe.dev->node;
    int rc = xs_gather(XS_NO_TXN, dir, &field, 1, NULL);

    if (rc == -ENOENT) {
        dir = x->fe.dev->otherend;
        rc = xs_gather(XS_NO_TXN, dir, &field, 1, NULL);
    }
    if (xs_error_passes(rc)) {
        return frontend_refuse(&x->fe, rc, "the MTU cannot be read");
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
    return 0;
}

static int read_ip(struct xnf *x)
{
    char *ip = NULL;
    const struct xs_field field = {"ip", XS_STRING, &ip, true};

    int rc = frontend_gather(&x->fe, &field, 1);
    if (rc != 0) {
        return xs_error_passes(rc) ? rc : 0;
    }
    upcall_state_t s = spin_lock(&x->lock);
    x->ip[0] = '\0';
    if (ip != NULL && strlen(ip) < sizeof(x->ip)) {
        strlcpy(x->ip, ip, sizeof(x->ip));
    }
    spin_unlock(&x->lock, s);
    kfree(ip);
    return 0;
}

/*
 * The back end's word on the carrier; if it says nothing, there is one, and what is no number means
 * none. *@changed: it is another. Nonzero: it is as it was, since it cannot be read now.
 */
static int read_carrier(struct xnf *x, bool *changed)
{
    bool up = true;
    const struct xs_field field = {"carrier", XS_BOOL, &up, true};
    int rc = frontend_gather(&x->fe, &field, 1);

    *changed = false;
    if (xs_error_passes(rc)) {
        return rc;
    }
    up = up && rc == 0;
    *changed = up != x->carrier;
    WRITE_ONCE(x->carrier, up);
    return 0;
}

/* Watch callback: the same look as when the back end's state changes. */
static void carrier_event(struct xs_watch *w, const char *path __unused)
{
    struct xnf *x = w->arg;

    xendev_poke(x->fe.dev);
}

/* Nothing if it is watched already. */
static int watch_carrier(struct xnf *x)
{
    size_t size = strlen(x->fe.dev->otherend) + sizeof("/carrier");

    if (x->carrier_path != NULL) {
        return 0;
    }
    x->carrier_path = kmalloc(size);
    if (x->carrier_path == NULL) {
        return frontend_refuse(&x->fe, -ENOMEM, "no memory to watch the carrier");
    }
    snprintf(x->carrier_path, size, "%s/carrier", x->fe.dev->otherend);
    x->carrier_watch = (struct xs_watch){.path = x->carrier_path, .fn = carrier_event, .arg = x};
    int rc = xs_watch_add(&x->carrier_watch);
    if (rc != 0) {
        kfree(x->carrier_path);
        x->carrier_path = NULL;
        return frontend_refuse(&x->fe, rc, "the carrier cannot be watched");
    }
    return 0;
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
static void xnf_close(struct frontend *fe, bool lost)
{
    struct xnf *x = interface_of(fe);

    ASSERT(READ_ONCE(x->state) != PATH_UP); /* or another vCPU might be writing to a ring */
    unwatch_carrier(x);
    for (unsigned i = 0; i < x->nqueues; i++) {
        xnf_queue_close(x->queues[i], lost);
    }
    net_changed(&x->net);
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

static int xnf_open(struct frontend *fe)
{
    struct xnf *x = interface_of(fe);
    int rc = read_features(x);

    if (rc == 0) {
        rc = read_mtu(x);
    }
    if (rc == 0) {
        rc = read_ip(x);
    }
    if (rc != 0) {
        return rc;
    }
    rc = open_queues(x);
    if (rc != 0) {
        return frontend_refuse(fe, rc, "no queues");
    }
    return 0;
}

static void mac_text(const struct xnf *x, char *buf)
{
    const uint8_t *m = x->mac;

    snprintf(buf, MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

static int xnf_refresh(struct frontend *fe)
{
    struct xnf *x = interface_of(fe);

    bool changed = false;
    int rc = watch_carrier(x);

    if (rc == 0) {
        rc = read_carrier(x, &changed);
    }
    if (changed && READ_ONCE(x->state) == PATH_UP) {
        log_info("%s: carrier %s", x->net.name, x->carrier ? "on" : "off");
        net_changed(&x->net);
    }
    return rc;
}

/* The interface can be used. */
static int xnf_up(struct frontend *fe)
{
    struct xnf *x = interface_of(fe);
    char mac[MAC_TEXT];

    /* Up before it is listed: who is told of it finds that frames can be sent. */
    xnf_start(x);
    if (x->net.entry.listed) {
        net_changed(&x->net);
    } else if (net_register(&x->net) != 0) {
        xnf_stop(x, PATH_DOWN);
        return frontend_refuse(fe, -EEXIST, "the name is taken");
    }
    mac_text(x, mac);
    log_info("%s: %s, MTU %u, %u queue%s, served by domain %u", x->net.name, mac, x->mtu,
             x->nqueues, x->nqueues == 1 ? "" : "s", fe->otherend_id);
    return 0;
}

static void xnf_down(struct frontend *fe, enum frontend_path path)
{
    xnf_stop(interface_of(fe), path);
}

static void xnf_gone(struct frontend *fe)
{
    net_withdraw(&interface_of(fe)->net);
}

static void xnf_hold_still(struct frontend *fe)
{
    struct xnf *x = interface_of(fe);

    xnf_pause(x);
    net_changed(&x->net);
}

static void xnf_go_on(struct frontend *fe)
{
    struct xnf *x = interface_of(fe);

    xnf_unpause(x);
    net_changed(&x->net);
}

static void xnf_release(struct frontend *fe)
{
    net_put(&interface_of(fe)->net);
}

static const struct frontend_ops xnf_frontend = {
    .offered = XenbusStateConnected,
    .open = xnf_open,
    .publish = xnf_publish,
    .refresh = xnf_refresh,
    .start = xnf_up,
    .stop = xnf_down,
    .close = xnf_close,
    .gone = xnf_gone,
    .pause = xnf_hold_still,
    .unpause = xnf_go_on,
    .release = xnf_release,
};

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
    struct xnf *x = frontend_alloc(dev, name, sizeof(*x));
    if (x == NULL) {
        return -ENOMEM;
    }
    xnf_init(x, name);
    int rc = read_mac(dev, x->mac);
    if (rc != 0) {
        xenbus_dev_error(dev->node, rc, "%s: mac is missing or no station's address", name);
        kfree(x);
        return rc;
    }
    frontend_init(&x->fe, &xnf_frontend, dev, x->net.name);
    return 0;
}

static void xennetf_describe(struct xendev *dev, char *buf, size_t size)
{
    struct xnf *x = interface_of(dev->fe);
    struct net_info info;
    char mac[MAC_TEXT];

    mac_text(x, mac);
    xnf_info(&x->net, &info);
    snprintf(buf, size, "%s %s %s, carrier %s, %u queues, %lu received, %lu sent, %lu errors",
             x->net.name, mac, frontend_path_name(x->state), info.carrier ? "on" : "off",
             info.queues, (unsigned long)info.rx_frames, (unsigned long)info.tx_frames,
             (unsigned long)(info.rx_errors + info.tx_errors));
    if (x->features.mcast) {
        size_t used = strlen(buf);

        snprintf(buf + used, size - used, ", %u multicast addresses", x->mcast.ntold);
    }
}

static void show_queue(const struct xnf_queue *q, void (*say)(const char *fmt, ...))
{
    frontend_show_ring(say, &FRONTEND_RING(q->tx_name, q->tx, q->tx_gref, q->tx_port));
    say("  %u buffers free, %u extras%s\n", q->tx_nfree, q->tx_extras,
        q->tx_blocked ? ", full" : "");
    frontend_show_ring(say, &FRONTEND_RING(q->rx_name, q->rx, q->rx_gref, q->rx_port));
    say("  %s\n", q->rx_draining ? "draining" : "receiving");
}

static void xennetf_show_rings(const struct xendev *dev, void (*say)(const char *fmt, ...))
{
    const struct xnf *x = interface_of(dev->fe);

    for (unsigned i = 0; i < x->nqueues; i++) {
        show_queue(x->queues[i], say);
    }
}

const struct xendev_driver xennetf_driver = {
    .class = "vif",
    .rank = 20,
    .probe = xennetf_probe,
    .describe = xennetf_describe,
    .show_rings = xennetf_show_rings,
};
