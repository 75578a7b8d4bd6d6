/*
 * xvbd_xs.c - the block front end's side of the store: what it publishes, and what it believes of
 * the back end's words. When which step is due is told in xendev/frontend.c.
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
#include "os/panic.h"
#include "psm/clock.h"

#define DRAIN_TIME   (5 * NSEC_PER_SEC) /* what a closing back end gets to end requests */
#define QUIESCE_TIME (2 * NSEC_PER_SEC) /* the same before a suspend */
#define MAX_SECTORS  (1ull << 55)       /* so that byte offsets fit 64 bits */

static void xvbd_xs_release(struct blk_dev *dev)
{
    struct xvbd *x = CONTAINER_OF(dev, struct xvbd, blk);

    xvbd_fini(x);
    kfree(x);
}

static const struct blk_ops xvbd_blk_ops = {.submit = xvbd_submit, .release = xvbd_xs_release};

static struct xvbd *disk_of(struct frontend *fe)
{
    return CONTAINER_OF(fe, struct xvbd, fe);
}

/* A fresh ring and the port that goes with it. */
static int xvbd_open(struct frontend *fe)
{
    struct xvbd *x = disk_of(fe);
    int rc = gnttab_share_new_page(fe->otherend_id, &x->ring_page, &x->ring_gref);

    if (rc != 0) {
        return frontend_refuse(fe, rc, "no ring");
    }
    struct blkif_sring *sring = x->ring_page;
    SHARED_RING_INIT(sring);
    FRONT_RING_INIT(&x->ring, sring, PAGE_SIZE);
    rc = evtchn_alloc_unbound(fe->otherend_id, x->blk.name, IPL_BLOCK, xvbd_event, x);
    if (rc < 0) {
        gnttab_unshare_page(x->ring_gref, x->ring_page);
        x->ring_page = NULL;
        return frontend_refuse(fe, rc, "no event channel");
    }
    x->port = (evtchn_port_t)rc;
    return 0;
}

static int xvbd_publish(struct frontend *fe, xs_txn_t t)
{
    const struct xvbd *x = disk_of(fe);
    const struct xs_value values[] = {
        {.key = "ring-ref", .number = x->ring_gref},
        {.key = "event-channel", .number = x->port},
        {.key = "protocol", .text = XEN_IO_PROTO_ABI_X86_64},
    };

    return xs_scatter(t, fe->dev->node, values, ARRAY_SIZE(values));
}

static void xvbd_close(struct frontend *fe, bool lost)
{
    struct xvbd *x = disk_of(fe);

    ASSERT(READ_ONCE(x->state) != PATH_UP); /* or another vCPU might be writing to the ring */
    if (!lost) {
        evtchn_close(x->port);
    }
    x->port = EVTCHN_NONE;
    gnttab_unshare_page(x->ring_gref, x->ring_page);
    x->ring_page = NULL;
    x->ring.sring = NULL;
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
    const struct xs_field fields[] = {
        {"sectors", XS_U64, &sectors, false},
        {"sector-size", XS_U32, &sector_size, true},
        {"info", XS_U32, &flags, true},
        {"feature-flush-cache", XS_BOOL, &flush, true},
        {"feature-barrier", XS_BOOL, &barrier, true},
        {"feature-discard", XS_BOOL, &discard, true},
    };
    int rc = frontend_gather(&x->fe, fields, ARRAY_SIZE(fields));

    if (rc != 0) {
        return rc;
    }
    if (sectors == 0 || sectors > MAX_SECTORS || sector_size < BLK_SECTOR_SIZE ||
        sector_size > PAGE_SIZE || (sector_size & (sector_size - 1)) != 0) {
        return frontend_refuse(&x->fe, -EINVAL, "no disk has %lu sectors of %u bytes",
                               (unsigned long)sectors, sector_size);
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

static int xvbd_refresh(struct frontend *fe)
{
    struct xvbd *x = disk_of(fe);
    struct blk_info info;
    int rc = read_info(x, &info);

    if (rc == 0) {
        blk_update_info(&x->blk, &info);
    }
    return rc;
}

/* The disk can be used. */
static int xvbd_up(struct frontend *fe)
{
    struct xvbd *x = disk_of(fe);
    struct blk_info info;
    char size[32];

    if (!x->blk.entry.listed && blk_register(&x->blk) != 0) {
        return frontend_refuse(fe, -EEXIST, "the name is taken");
    }
    blk_get_info(&x->blk, &info);
    size_text(info.sectors, size, sizeof(size));
    log_info("%s: %s, %u-byte sectors, %s, served by domain %u", x->blk.name, size,
             info.sector_size, info.readonly ? "read-only" : "read-write", fe->otherend_id);
    xvbd_start(x);
    return 0;
}

static void xvbd_down(struct frontend *fe, enum frontend_path path)
{
    xvbd_stop(disk_of(fe), path, path == PATH_GONE ? -ENODEV : -EIO);
}

/* What is under way gets its time; what is left ends with -ENODEV when the path is GONE. */
static void xvbd_leaving(struct frontend *fe)
{
    struct xvbd *x = disk_of(fe);

    blk_withdraw(&x->blk);
    if (READ_ONCE(x->state) == PATH_UP && xvbd_drain(x, clock_now() + DRAIN_TIME) != 0) {
        log_warn("%s: back end of domain %u did not end its requests, they fail", x->blk.name,
                 fe->otherend_id);
    }
}

/* An old ring that is never read again must not have a write in it that comes late. */
static void xvbd_hold_still(struct frontend *fe)
{
    struct xvbd *x = disk_of(fe);

    if (xvbd_pause(x, clock_now() + QUIESCE_TIME) != 0) {
        log_warn("%s: back end of domain %u has not ended %u requests, they are sent again if this "
                 "is a restore",
                 x->blk.name, fe->otherend_id, READ_ONCE(x->busy_slots));
    }
}

static void xvbd_go_on(struct frontend *fe)
{
    xvbd_unpause(disk_of(fe));
}

static void xvbd_release(struct frontend *fe)
{
    blk_put(&disk_of(fe)->blk);
}

static const struct frontend_ops xvbd_frontend = {
    .offered = XenbusStateInitialised,
    .open = xvbd_open,
    .publish = xvbd_publish,
    .refresh = xvbd_refresh,
    .start = xvbd_up,
    .stop = xvbd_down,
    .close = xvbd_close,
    .leaving = xvbd_leaving,
    .pause = xvbd_hold_still,
    .unpause = xvbd_go_on,
    .release = xvbd_release,
};

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
    struct xvbd *x = frontend_alloc(dev, name, sizeof(*x));
    if (x == NULL) {
        return -ENOMEM;
    }
    blk_init(&x->blk, name, &xvbd_blk_ops);
    x->vdev = vdev;
    rc = xvbd_init(x);
    if (rc != 0) {
        xenbus_dev_error(dev->node, rc, "%s: no grant references", name);
        kfree(x);
        return rc;
    }
    frontend_init(&x->fe, &xvbd_frontend, dev, x->blk.name);
    return 0;
}

static void xvbd_describe(struct xendev *dev, char *buf, size_t size)
{
    struct xvbd *x = disk_of(dev->fe);
    struct blk_info info;
    char text[32];

    blk_get_info(&x->blk, &info);
    size_text(info.sectors, text, sizeof(text));
    snprintf(buf, size, "%s %s %s %s, %lu reads, %lu writes, %lu errors", x->blk.name, text,
             info.readonly ? "ro" : "rw", frontend_path_name(x->state), (unsigned long)x->reads,
             (unsigned long)x->writes, (unsigned long)x->errors);
}

static void xvbd_show_rings(const struct xendev *dev, void (*say)(const char *fmt, ...))
{
    const struct xvbd *x = disk_of(dev->fe);

    frontend_show_ring(say, &FRONTEND_RING(x->blk.name, x->ring, x->ring_gref, x->port));
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
    .describe = xvbd_describe,
    .show_rings = xvbd_show_rings,
};
