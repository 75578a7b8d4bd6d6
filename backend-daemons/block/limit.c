/*
 * What a guest may have of its disks: see limit.h.
 */
#include "limit.h"

#include <string.h>

/* What this guest may have of each of its disks, as the configuration says now. */
static struct blk_wire_pace blk_limit_now(const struct blk_device *dev)
{
    const struct blockd *d = blk_device_daemon(dev);
    struct blk_wire_pace pace = {
        .bytes = supervised_conf(&dev->base, "bytes-per-second", d->bytes_per_second),
        .iops = (uint32_t)supervised_conf(&dev->base, "iops", d->iops)};

    if (pace.bytes != 0 || pace.iops != 0) {
        pace.burst_s = (uint32_t)supervised_conf(&dev->base, "burst", d->burst_s);
    }
    return pace;
}

static void blk_limit_tell(struct blk_device *dev, const struct blk_wire_pace *pace)
{
    if (pace->bytes == 0 && pace->iops == 0) {
        log_limited(&dev->base.guest_log, LOG_NOTICE, &dev->base.id, "no limit any more");
        return;
    }
    log_limited(
        &dev->base.guest_log, LOG_NOTICE, &dev->base.id,
        "limited to %u requests and %llu bytes a second, 0 being no limit, with %u s saved up",
        pace->iops, (unsigned long long)pace->bytes, pace->burst_s);
}

void blk_limit_begin(struct blk_device *dev)
{
    dev->config.pace = blk_limit_now(dev);
    if (dev->config.pace.burst_s != 0) {
        blk_limit_tell(dev, &dev->config.pace);
    }
}

void blk_limit_update(struct blk_device *dev)
{
    const struct blk_wire_order order = {.kind = BLK_WIRE_PACE, .pace = blk_limit_now(dev)};

    if (memcmp(&order.pace, &dev->config.pace, sizeof(order.pace)) == 0) {
        return;
    }
    if (crew_order(&dev->base.crew, &order, sizeof(order)) != 0) {
        supervised_reconsider_soon(&dev->base);
        return;
    }
    dev->config.pace = order.pace;
    blk_limit_tell(dev, &order.pace);
}
