/*
 * xvbd_xs.c - the block front end's negotiation with its back end, through the store.
 *
 *   back end InitWait (or later)    share a ring, write ring-ref, event-channel, protocol:
 * Initialised back end Connected              read sectors, sector-size, info: list the disk,
 * Connected back end Connected again        the size may have changed: read it anew back end
 * Closing or Closed, online=0, or its directory gone unlist, let what is under way end, stop:
 * Closed the same with online=1          the back end goes, and may come again: keep the disk
 * listed and its requests waiting, Closed, and start over at InitWait
 *
 * All of it runs in the watch thread with the xendev's lock held. Every value is the back end's:
 * checked here, once. Suspend: see xvbd.c.
 * Format of the keys: xen/io/blkif.h.
 */
#include <stdint.h>
#include <xen/xen.h>
#include <xen/io/protocols.h>

#include "io/xvbd/vbd_name.h"
#include "io/xvbd/xvbd.h"
#include "io/xvbd/xvbd_impl.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "psm/clock.h"

#define DRAIN_TIME   (5 * NSEC_PER_SEC) /* what a closing back end gets to end requests */
#define QUIESCE_TIME (2 * NSEC_PER_SEC) /* the same before a suspend */
#define MAX_SECTORS  (1ull << 55)       /* so that byte offsets fit 64 bits */

static void release(struct blk_dev *dev)
{
    struct xvbd *x = CONTAINER_OF(dev, struct xvbd, blk);

    (void)timer_cancel_wait(&x->held_timer);
    xvbd_fini(x);
    kfree(x);
}

static const struct blk_ops xvbd_blk_ops = {.submit = xvbd_submit, .release = release};

static int write_keys(xs_txn_t t, void *arg)
{
    const struct xvbd *x = arg;
    const char *node = x->xdev->node;

    int rc = xs_writef(t, node, "ring-ref", "%u", x->ring_gref);
    if (rc == 0) {
        rc = xs_writef(t, node, "event-channel", "%u", x->port);
    }
    if (rc == 0) {
        rc = xs_write(t, node, "protocol", XEN_IO_PROTO_ABI_X86_64);
    }
    return rc;
}

static void unpublish(struct xvbd *x)
{
    if (x->published) {
        x->published = false;
        evtchn_close(x->port);
        x->port = EVTCHN_NONE;
        gnttab_unshare_page(x->ring_gref, x->ring_page);
        x->ring_page = NULL;
    }
}

/* A fresh ring and the port that goes with it. */
static int make_ring(struct xvbd *x)
{
    x->ring_page = page_alloc_zeroed(0);
    if (x->ring_page == NULL) {
        return -ENOMEM;
    }
    x->otherend_id = x->xdev->otherend_id;
    int rc = gnttab_share_page(x->otherend_id, x->ring_page, false, &x->ring_gref);
    if (rc != 0) {
        page_free(x->ring_page, 0);
        return rc;
    }
    struct blkif_sring *sring = x->ring_page;
    SHARED_RING_INIT(sring);
    FRONT_RING_INIT(&x->ring, sring, PAGE_SIZE);
    rc = evtchn_alloc_unbound(x->otherend_id, x->blk.name, IPL_BLOCK, xvbd_event, x);
    if (rc < 0) {
        gnttab_unshare_page(x->ring_gref, x->ring_page);
        return rc;
    }
    x->port = (evtchn_port_t)rc;
    x->published = true;
    return 0;
}

static void publish(struct xvbd *x)
{
    int rc = make_ring(x);

    if (rc != 0) {
        xendev_fatal(x->xdev, rc, "%s: no ring", x->blk.name);
        return;
    }
    rc = xs_transaction(write_keys, x);
    if (rc != 0) {
        unpublish(x);
        xendev_fatal(x->xdev, rc, "%s: the ring cannot be published", x->blk.name);
        return;
    }
    (void)xendev_set_state(x->xdev, XenbusStateInitialised);
}

/* What the back end says of the disk, checked. */
static int read_info(struct xvbd *x, struct blk_info *info)
{
    uint64_t sectors = 0;
    uint32_t sector_size = BLK_SECTOR_SIZE;
    uint32_t flags = 0;
    bool flush = false;
    bool barrier = false;
    bool discard = false;
    const char *bad = "sectors";
    const struct xs_field fields[] = {
        {"sectors", XS_U64, &sectors, false},
        {"sector-size", XS_U32, &sector_size, true},
        {"info", XS_U32, &flags, true},
        {"feature-flush-cache", XS_BOOL, &flush, true},
        {"feature-barrier", XS_BOOL, &barrier, true},
        {"feature-discard", XS_BOOL, &discard, true},
    };

    int rc = xs_gather(XS_NO_TXN, x->xdev->otherend, fields, ARRAY_SIZE(fields), &bad);
    if (rc == 0 && (sectors == 0 || sectors > MAX_SECTORS)) {
        rc = -EINVAL;
    }
    if (rc == 0 && (sector_size < BLK_SECTOR_SIZE || sector_size > PAGE_SIZE ||
                    (sector_size & (sector_size - 1)))) {
        bad = "sector-size";
        rc = -EINVAL;
    }
    if (rc != 0) {
        xendev_fatal(x->xdev, rc, "%s: back end's %s/%s is missing or makes no sense", x->blk.name,
                     x->xdev->otherend, bad);
        return rc;
    }
    uint64_t unit = sector_size >> BLK_SECTOR_SHIFT;
    *info = (struct blk_info){
        .sectors = sectors - sectors % unit,
        .sector_size = sector_size,
        .readonly = flags & VDISK_READONLY,
        .removable = flags & VDISK_REMOVABLE,
        .cdrom = flags & VDISK_CDROM,
        .flush = flush || barrier,
        .discard = discard,
    };
    x->barrier_only = barrier && !flush;
    return 0;
}

/* "256 MiB" or, for odd sizes, a count of KiB. */
static void size_text(uint64_t sectors, char *buf, size_t size)
{
    if (sectors % 2048 == 0) {
        snprintf(buf, size, "%lu MiB", (unsigned long)(sectors / 2048));
    } else {
        snprintf(buf, size, "%lu KiB", (unsigned long)(sectors / 2));
    }
}

/* The back end is connected: the disk can be used. */
static void connect(struct xvbd *x)
{
    struct blk_info info;
    char size[32];

    if (read_info(x, &info) != 0) {
        return;
    }
    blk_update_info(&x->blk, &info);
    size_text(info.sectors, size, sizeof(size));
    if (x->xdev->state == XenbusStateConnected) {
        return;
    }
    if (!x->blk.entry.listed) {
        int rc = blk_register(&x->blk);
        if (rc != 0) {
            xendev_fatal(x->xdev, rc, "the name %s is taken", x->blk.name);
            return;
        }
    }
    log_info("%s: %s, %u-byte sectors, %s, served by domain %u", x->blk.name, size,
             info.sector_size, info.readonly ? "read-only" : "read-write", x->otherend_id);
    xvbd_start(x);
    (void)xendev_set_state(x->xdev, XenbusStateConnected);
}

static bool idle(struct xvbd *x)
{
    return READ_ONCE(x->busy_slots) == 0;
}

/* The disk goes for good: what is under way gets its time, what is left ends with -ENODEV. */
static void close_for_good(struct xvbd *x)
{
    x->closing = true;
    blk_withdraw(&x->blk);
    if (x->published && x->state == XVBD_UP &&
        wait_event_until(&x->idle_wq, idle(x), clock_now() + DRAIN_TIME)) {
        log_warn("%s: back end of domain %u did not end its requests, they fail", x->blk.name,
                 x->otherend_id);
    }
    unpublish(x);
    xvbd_stop(x, XVBD_GONE, -ENODEV);
    if (x->xdev->state != XenbusStateClosed) {
        log_info("%s: detached", x->blk.name);
        (void)xendev_set_state(x->xdev, XenbusStateClosed);
    }
}

/* The back end goes and may come again: requests wait for it. */
static void close_for_now(struct xvbd *x)
{
    if (!x->published) {
        return;
    }
    log_warn("%s: back end of domain %u went away, waiting for another", x->blk.name,
             x->otherend_id);
    unpublish(x);
    xvbd_stop(x, XVBD_DOWN, 0);
    (void)xendev_set_state(x->xdev, XenbusStateClosed);
}

/* Whether the toolstack means the device to stay. */
static bool online(const struct xvbd *x)
{
    bool on = false;
    const struct xs_field field = {"online", XS_BOOL, &on, false};

    return xs_gather(XS_NO_TXN, x->xdev->otherend, &field, 1, NULL) == 0 && on;
}

static void backend_leaves(struct xvbd *x)
{
    if (online(x) && x->state != XVBD_BROKEN) {
        close_for_now(x);
    } else {
        close_for_good(x);
    }
}

/* The data path gave the back end up: tell the store, once. */
static void report_broken(struct xvbd *x)
{
    if (READ_ONCE(x->report)) {
        x->report = false;
        xendev_fatal(x->xdev, -EIO, "%s: back end broke the protocol: %s", x->blk.name, x->why);
    }
}

static void xvbd_otherend_changed(struct xendev *dev, enum xenbus_state state)
{
    struct xvbd *x = dev->priv;

    report_broken(x);
    switch (state) {
    case XenbusStateInitWait:
    case XenbusStateInitialised:
    case XenbusStateConnected:
        if (x->closing || x->state == XVBD_BROKEN) {
            break;
        }
        if (!x->published) {
            publish(x);
        }
        if (state == XenbusStateConnected && x->published) {
            connect(x);
        }
        break;
    case XenbusStateClosing:
    case XenbusStateClosed:
        backend_leaves(x);
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

static int xvbd_probe(struct xendev *dev)
{
    uint32_t vdev;
    char name[BLK_NAME_MAX];
    const struct xs_field field = {"virtual-device", XS_U32, &vdev, false};

    int rc = xs_gather(XS_NO_TXN, dev->node, &field, 1, NULL);
    if (rc == 0) {
        rc = vbd_name(vdev, name, sizeof(name));
    }
    if (rc != 0) {
        xenbus_dev_error(dev->node, rc, "virtual-device is missing or names no disk");
        return rc;
    }
    struct xvbd *x = kzalloc(sizeof(*x));
    if (x == NULL) {
        xenbus_dev_error(dev->node, -ENOMEM, "%s: no memory", name);
        return -ENOMEM;
    }
    blk_init(&x->blk, name, &xvbd_blk_ops);
    x->xdev = dev;
    x->vdev = vdev;
    rc = xvbd_init(x);
    if (rc != 0) {
        xenbus_dev_error(dev->node, rc, "%s: no grant references", name);
        kfree(x);
        return rc;
    }
    dev->priv = x;
    return 0;
}

static void xvbd_remove(struct xendev *dev)
{
    struct xvbd *x = dev->priv;

    close_for_good(x);
    x->xdev = NULL;
    blk_put(&x->blk);
}

/* An old ring that is never read again must not have a write in it that comes late. */
static void xvbd_suspend(struct xendev *dev)
{
    struct xvbd *x = dev->priv;

    if (xvbd_pause(x, clock_now() + QUIESCE_TIME) != 0) {
        log_warn("%s: back end of domain %u has not ended %u requests, they are sent again if this "
                 "is a restore",
                 x->blk.name, x->otherend_id, READ_ONCE(x->busy_slots));
    }
}

static void xvbd_cancel(struct xendev *dev)
{
    xvbd_unpause(dev->priv);
}

static void xvbd_resume(struct xendev *dev)
{
    struct xvbd *x = dev->priv;

    if (x->published) {
        x->published = false;
        x->port = EVTCHN_NONE;
        gnttab_unshare_page(x->ring_gref, x->ring_page);
        x->ring_page = NULL;
    }
    if (x->state == XVBD_UP) {
        xvbd_stop(x, XVBD_DOWN, 0);
    }
    xvbd_unpause(x);
    (void)xendev_set_state(dev, XenbusStateInitialising);
}

static void xvbd_describe(struct xendev *dev, char *buf, size_t size)
{
    static const char *const states[] = {"waiting", "up", "broken", "gone"};
    struct xvbd *x = dev->priv;
    struct blk_info info;
    char text[32];

    blk_get_info(&x->blk, &info);
    size_text(info.sectors, text, sizeof(text));
    snprintf(buf, size, "%s %s %s %s, %lu reads, %lu writes, %lu errors", x->blk.name, text,
             info.readonly ? "ro" : "rw", states[x->state], (unsigned long)x->reads,
             (unsigned long)x->writes, (unsigned long)x->errors);
}

static void xvbd_show_rings(const struct xendev *dev, void (*say)(const char *fmt, ...))
{
    const struct xvbd *x = dev->priv;
    const struct blkif_front_ring *ring = &x->ring;

    if (ring->sring == NULL) {
        say("no ring: the back end is not connected\n");
        return;
    }
    say("%s: ring of %u at %p, grant %u, port %u\n", x->blk.name, ring->nr_ents, x->ring_page,
        x->ring_gref, x->port);
    say("  ours    req_prod_pvt %u  rsp_cons %u\n", ring->req_prod_pvt, ring->rsp_cons);
    say("  shared  req_prod %u  req_event %u  rsp_prod %u  rsp_event %u\n", ring->sring->req_prod,
        ring->sring->req_event, ring->sring->rsp_prod, ring->sring->rsp_event);
    say("  %u slots under way, %u of them held by the back end's mappings\n", x->busy_slots,
        x->held_slots);
    for (unsigned i = 0; i < XVBD_RING_SIZE; i++) {
        const struct xvbd_slot *slot = &x->slots[i];

        if (slot->state != SLOT_FREE) {
            say("  id %2u  state %d  operation %u  sector %llu+%llu\n", i, slot->state, slot->op,
                slot->req != NULL ? (unsigned long long)(slot->req->sector + slot->first) : 0ull,
                (unsigned long long)slot->count);
        }
    }
}

const struct xendev_driver xvbd_driver = {
    .class = "vbd",
    .rank = 10,
    .probe = xvbd_probe,
    .otherend_changed = xvbd_otherend_changed,
    .remove = xvbd_remove,
    .suspend = xvbd_suspend,
    .cancel = xvbd_cancel,
    .resume = xvbd_resume,
    .describe = xvbd_describe,
    .show_rings = xvbd_show_rings,
};
