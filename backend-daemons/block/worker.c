/*
 * The worker of a block device: see blk_worker.h.
 */
#include "blk_worker.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

/* The tag of the last flush, beside the slots' numbers. */
#define BLK_TAG_LAST_FLUSH 0x10000ULL

static struct blk_worker *blk_worker_of(struct worker *base)
{
    return (struct blk_worker *)base; /* its first member */
}

static bool blk_worker_accept(const struct worker *base)
{
    const struct blk_wire_config *c = &((const struct blk_worker *)base)->config;

    return c->nr_pages != 0 && c->nr_pages <= BLK_WIRE_MAX_PAGES;
}

int blk_worker_limit(const struct blk_wire_config *config)
{
    rlim_t bytes = config->sectors * BLK_SECTOR_BYTES;
    const struct rlimit limit = {bytes, bytes};

    if (config->block_device) {
        return 0;
    }
    return setrlimit(RLIMIT_FSIZE, &limit) < 0 ? -errno : 0;
}

static void blk_worker_waits_for_log(void)
{
    log_msg(LOG_INFO, NULL, "waits for the last disk operations of an earlier worker");
}

/*
 * Before anything of the ring: an earlier worker, whose supervisor has died, may still finish what
 * it took, and has the ring's event channel as long. Returns the descriptor, or -errno after a
 * report.
 */
static int blk_worker_open_log(struct blk_worker *b)
{
    int fd = inflight_open(b->base.fds[BLK_WIRE_FD_LOG], blk_worker_waits_for_log, &b->queue.log);

    if (fd < 0) {
        worker_report(&b->base, WIRE_FAILED, -fd,
                      "the ring cannot be taken over: the log of requests in flight %s",
                      fd == -EPROTO ? "is of another version" : strerror(-fd));
        return fd;
    }
    b->base.kept = &b->queue.log->head;
    return fd;
}

/* The engine and the slots. Returns 0 or -errno. */
static int blk_worker_set_up(struct blk_worker *b, int log_fd)
{
    const struct blk_wire_config *c = &b->config;
    int err;

    b->queue.limits = (struct blk_limits){.sectors = c->sectors,
                                          .handle = (uint16_t)c->head.device,
                                          .read_only = c->read_only,
                                          .discard = c->discard,
                                          .refuse = c->refuse};
    b->queue.uring = &b->base.uring;
    b->queue.id = &b->base.id;
    err = blk_queue_init(&b->queue, b->base.xgt, c->head.domid);
    if (err == 0) {
        err = blk_engine_open(&b->base.uring, BLK_QUEUE_MAX_SLOTS + 8,
                              b->base.fds[BLK_WIRE_FD_IMAGE], log_fd);
    }
    return err != 0 ? err : blk_worker_limit(c);
}

static int blk_worker_connect(struct worker *base)
{
    struct blk_worker *b = blk_worker_of(base);
    const struct blk_wire_config *c = &b->config;
    int log_fd = blk_worker_open_log(b), err;
    void *ring;

    if (log_fd < 0) {
        return log_fd;
    }
    ring = worker_map(base, "ring-ref", c->ring_refs, c->nr_pages);
    err = ring == NULL ? -errno : worker_bind(base, "event-channel", c->event_channel, &b->port);
    if (err != 0) {
        return err;
    }
    b->queue.layout = c->protocol == BLK_WIRE_X86_32 ? &blk_layout_x86_32 : &blk_layout_x86_64;
    ring_attach(&b->queue.ring, ring, c->nr_pages * GRANT_PAGE_BYTES, b->queue.layout->entry_bytes);
    err = blk_worker_set_up(b, log_fd);
    if (err != 0) {
        worker_report(base, WIRE_FAILED, -err, "cannot set up I/O: %s", strerror(-err));
    }
    return err;
}

/* What an earlier worker left in the log is a guest's, if that one was taken over. */
static int blk_worker_begin(struct worker *base)
{
    struct blk_worker *b = blk_worker_of(base);
    struct inflight_ring ring = {.entry_bytes = b->queue.layout->entry_bytes,
                                 .event_channel = b->config.event_channel,
                                 .nr_pages = b->config.nr_pages};
    const char *why = "";
    int err;

    memcpy(ring.refs, b->config.ring_refs, b->config.nr_pages * sizeof(ring.refs[0]));
    err = blk_queue_take_over(&b->queue, &ring, &why);
    if (err != 0) {
        worker_report(base, WIRE_FAILED, -err, "the ring cannot be taken over: %s", why);
    }
    return err;
}

static void blk_worker_order(struct worker *base, uint32_t kind, const void *msg,
                             unsigned long bytes)
{
    struct blk_worker *b = blk_worker_of(base);
    const struct blk_wire_order *order = msg;

    if (kind == BLK_WIRE_RESIZE && bytes == sizeof(*order)) {
        log_msg(LOG_INFO, &base->id, "the disk has %llu sectors now, after %llu",
                (unsigned long long)order->sectors, (unsigned long long)b->queue.limits.sectors);
        b->queue.limits.sectors = order->sectors;
    }
}

static void blk_worker_complete(struct worker *base, const struct uring_event *event)
{
    struct blk_worker *b = blk_worker_of(base);

    if (event->tag != BLK_TAG_LAST_FLUSH) {
        blk_queue_complete(&b->queue, event->tag, event->res);
        return;
    }
    b->last_flush = BLK_FLUSHED;
    if (event->res < 0) {
        log_msg(LOG_ERR, &base->id, "the last flush of the image failed: %s",
                strerror(-event->res));
    }
}

/*
 * How long to wait. The guest is asked for events before the ring is looked at for the last time;
 * an event that it sends from then on stays pending until the port is unmasked, which the
 * submission that begins the wait does.
 */
static uint64_t blk_worker_wait(struct blk_worker *b)
{
    if (b->base.stopping) {
        return b->last_flush == BLK_FLUSH_UNDER_WAY || blk_queue_busy(&b->queue) ? UINT64_MAX : 0;
    }
    if (blk_queue_waits_for_disk(&b->queue)) {
        return UINT64_MAX;
    }
    worker_listen(&b->base);
    return b->queue.replaying || ring_final_check(&b->queue.ring) ? 0 : UINT64_MAX;
}

/* Whether all is done that is to be done before the end: answers are, then the flush is due. */
static bool blk_worker_finished(struct blk_worker *b)
{
    if (!b->base.stopping || b->queue.in_flight > 0) {
        return false;
    }
    if (b->last_flush == BLK_FLUSH_DUE && b->config.read_only) {
        b->last_flush = BLK_FLUSHED;
    } else if (b->last_flush == BLK_FLUSH_DUE) {
        blk_engine_flush(&b->base.uring, BLK_TAG_LAST_FLUSH);
        b->last_flush = BLK_FLUSH_UNDER_WAY;
    }
    return b->last_flush == BLK_FLUSHED;
}

static int blk_worker_turn(struct worker *base, uint64_t *wait_ns)
{
    struct blk_worker *b = blk_worker_of(base);
    const struct ring_back *r = &b->queue.ring;
    int n = 0;

    if (base->stopping) {
        blk_queue_replay(&b->queue);
    } else {
        n = blk_queue_take(&b->queue);
    }
    if (n < 0) {
        worker_report(
            base, WIRE_BROKEN, -n,
            "the guest's ring indices are impossible: req_prod %u, taken %u, answered %u, "
            "ring of %u",
            r->shared->req_prod, r->req_cons, r->rsp_prod, r->nr_entries);
        return n;
    }
    if (blk_queue_answer(&b->queue)) {
        worker_notify(base, b->port);
    }
    if (blk_worker_finished(b)) {
        return WORKER_DONE;
    }
    *wait_ns = blk_worker_wait(b);
    return 0;
}

static void blk_worker_beat(struct worker *base)
{
    blk_queue_beat(&blk_worker_of(base)->queue);
}

static void blk_worker_end(struct worker *base, int err)
{
    if (err == 0) {
        blk_queue_end(&blk_worker_of(base)->queue);
    }
}

const struct worker_class blk_worker_class = {
    .daemon = "duet-blockd",
    .magic = BLK_WIRE_MAGIC,
    .config_bytes = sizeof(struct blk_wire_config),
    .nr_fds = BLK_WIRE_NR_FDS,
    .accept = blk_worker_accept,
    .connect = blk_worker_connect,
    .begin = blk_worker_begin,
    .turn = blk_worker_turn,
    .complete = blk_worker_complete,
    .order = blk_worker_order,
    .beat = blk_worker_beat,
    .end = blk_worker_end,
};
