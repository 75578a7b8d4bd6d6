/*
 * The worker of a block device: see blk_worker.h.
 */
#include "blk_worker.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "loop.h"

/* The tag of the last flush, beside the slots' numbers. An NBD server knows it by one more slot. */
#define BLK_TAG_LAST_FLUSH 0x10000ULL

static bool blk_worker_ring_fits(const struct worker *base)
{
    const struct blk_wire_config *c = &((const struct blk_worker *)base)->config;

    return c->nr_pages != 0 && c->nr_pages <= BLK_WIRE_MAX_PAGES;
}

int blk_worker_limit(const struct blk_wire_config *config)
{
    const rlim_t bytes = blk_wire_file_limit(config);
    const struct rlimit limit = {bytes, bytes};

    return setrlimit(RLIMIT_FSIZE, &limit) < 0 ? -errno : 0;
}

/* The log first: its lock says that an earlier worker has let go of all else. */
static int blk_worker_open_log(struct blk_worker *b)
{
    int fd = inflight_open(b->base.fds[BLK_WIRE_FD_LOG], worker_waits, &b->queue.log);

    if (fd == -EPROTO) {
        worker_report(&b->base, WIRE_FAILED, EPROTO,
                      "the ring cannot be taken over: the log of requests in flight is of another "
                      "version");
    } else if (fd < 0) {
        worker_report(&b->base, WIRE_FAILED, -fd, "the log of requests in flight: %s",
                      strerror(-fd));
    } else {
        b->base.kept = &b->queue.log->head;
    }
    return fd;
}

/* Then the image: the next device of it has another log. Returns 0, or -errno after a report. */
static int blk_worker_claim_image(struct blk_worker *b)
{
    const int image = b->base.fds[BLK_WIRE_FD_IMAGE];
    int claimed = 0;

    if (!b->config.shared && !b->config.nbd) {
        claimed = blk_engine_claim(image, b->config.read_only, worker_waits);
    }
    if (claimed < 0) {
        worker_report(&b->base, WIRE_FAILED, -claimed, "the image cannot be locked: %s",
                      strerror(-claimed));
    }
    return claimed;
}

/* Returns 0, or -errno after a report. */
static int blk_worker_connect_ring(struct blk_worker *b)
{
    const struct blk_wire_config *c = &b->config;
    void *ring = worker_map(&b->base, "ring-ref", c->ring_refs, c->nr_pages);

    if (ring == NULL) {
        return -errno;
    }
    b->queue.layout = c->protocol == BLK_WIRE_X86_32 ? &blk_layout_x86_32 : &blk_layout_x86_64;
    ring_attach(&b->queue.ring, ring, c->nr_pages * GRANT_PAGE_BYTES, b->queue.layout->entry_bytes);
    return worker_bind(&b->base, "event-channel", c->event_channel, &b->port);
}

static void blk_worker_end_operation(struct blk_worker *b, uint64_t tag, int res);

static void blk_worker_on_reply(void *arg, uint64_t tag, int res)
{
    blk_worker_end_operation(arg, tag == BLK_QUEUE_MAX_SLOTS ? BLK_TAG_LAST_FLUSH : tag, res);
}

/* The engine. Returns 0 or -errno. */
static int blk_worker_open_engine(struct blk_worker *b, int log_fd)
{
    const struct blk_engine_files files = {.image = b->base.fds[BLK_WIRE_FD_IMAGE],
                                           .lock = b->base.fds[BLK_WIRE_FD_LOCK],
                                           .log = log_fd};
    const unsigned int depth = BLK_QUEUE_MAX_SLOTS + 8;

    if (!b->config.nbd) {
        return blk_engine_open(&b->base.uring, depth, &files, b->config.discard);
    }
    b->nbd = (struct blk_nbd){.ring = &b->base.uring,
                              .id = &b->base.id,
                              .done = blk_worker_on_reply,
                              .arg = b,
                              .can_flush = b->config.nbd_flush,
                              .can_fua = b->config.nbd_fua};
    b->queue.nbd = &b->nbd;
    return blk_nbd_open(&b->nbd, depth, files.image, log_fd);
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
    blk_throttle_set(&b->queue.throttle, &c->pace, loop_now_ns());
    b->queue.uring = &b->base.uring;
    b->queue.id = &b->base.id;
    b->queue.figures = b->base.figures;
    b->queue.watch = &b->base.watch;
    err = blk_queue_init(&b->queue, b->base.xgt, c->head.domid);
    if (err == 0) {
        err = blk_worker_open_engine(b, log_fd);
    }
    return err != 0 ? err : blk_worker_limit(c);
}

static int blk_worker_map_ring(struct worker *base)
{
    struct blk_worker *b = blk_worker_of(base);
    int log_fd = blk_worker_open_log(b);
    int err = log_fd < 0 ? log_fd : blk_worker_claim_image(b);

    err = err != 0 ? err : blk_worker_connect_ring(b);
    if (err != 0) {
        return err;
    }
    return worker_set_up(base, blk_worker_set_up(b, log_fd), "I/O");
}

static unsigned int blk_worker_rules(const struct worker *base, struct sandbox_rule *rules)
{
    /* blk_engine_pin() */
    rules[0] = (struct sandbox_rule){SYS_io_uring_register, base->uring.ring_fd,
                                     IORING_REGISTER_BUFFERS_UPDATE};
    return 1;
}

/* What an earlier worker left in the log is a guest's, if that one was taken over. */
static int blk_worker_take_over(struct worker *base)
{
    struct blk_worker *b = blk_worker_of(base);
    struct inflight_ring ring = {.entry_bytes = b->queue.layout->entry_bytes,
                                 .event_channel = b->config.event_channel,
                                 .nr_pages = b->config.nr_pages};
    const bool was_open = b->queue.log->head.state == KEPT_OPEN;
    const char *why = "";
    int err;

    memcpy(ring.refs, b->config.ring_refs, b->config.nr_pages * sizeof(ring.refs[0]));
    err = blk_queue_take_over(&b->queue, &ring, &why);
    if (err != 0) {
        worker_report(base, WIRE_FAILED, -err, "the ring cannot be taken over: %s", why);
    } else if (was_open && b->config.nbd && !b->config.nbd_fua && !b->config.read_only) {
        blk_queue_lose(&b->queue); /* the server may have ended with what it had answered */
    }
    return err;
}

static void blk_worker_take_order(struct worker *base, const void *msg)
{
    struct blk_queue *q = &blk_worker_of(base)->queue;
    const struct blk_wire_order *order = msg;

    if (order->kind == BLK_WIRE_RESIZE) {
        log_msg(LOG_INFO, &base->id, "the disk has %llu sectors now, after %llu",
                (unsigned long long)order->sectors, (unsigned long long)q->limits.sectors);
        q->limits.sectors = order->sectors;
    } else if (order->kind == BLK_WIRE_PACE) {
        blk_throttle_set(&q->throttle, &order->pace, loop_now_ns());
    }
}

static void blk_worker_end_operation(struct blk_worker *b, uint64_t tag, int res)
{
    if (tag != BLK_TAG_LAST_FLUSH) {
        blk_queue_complete(&b->queue, tag, res);
        return;
    }
    if (res == -EAGAIN || res == -EINTR) {
        b->last_flush = BLK_FLUSH_DUE;
        return;
    }
    b->last_flush = BLK_FLUSHED;
    if (res < 0) {
        blk_queue_lose(&b->queue);
        log_msg(LOG_ERR, &b->base.id, "the last flush of the image failed: %s", strerror(-res));
    }
}

static void blk_worker_operation_done(struct worker *base, const struct uring_event *event)
{
    struct blk_worker *b = blk_worker_of(base);

    if ((event->tag & BLK_NBD_TAGS) != 0) {
        blk_nbd_event(&b->nbd, event);
    } else {
        blk_worker_end_operation(b, event->tag, event->res);
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
    if (blk_queue_waits_for_time(&b->queue)) {
        /* what the guest adds changes nothing */
        return blk_throttle_wait_ns(&b->queue.throttle, loop_now_ns());
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
        b->last_flush = BLK_FLUSH_UNDER_WAY;
        if (b->config.nbd) {
            blk_nbd_submit(&b->nbd, BLK_FLUSH, NULL, 0, 0, BLK_QUEUE_MAX_SLOTS);
        } else {
            blk_engine_flush(&b->base.uring, false, BLK_TAG_LAST_FLUSH);
        }
    }
    return b->last_flush == BLK_FLUSHED;
}

/* Without a connection: what had ended is answered, and the rest is the next worker's. */
static int blk_worker_wait_for_end(struct blk_worker *b, uint64_t *wait_ns)
{
    if (blk_queue_answer(&b->queue)) {
        worker_notify(&b->base, b->port);
    }
    *wait_ns = UINT64_MAX;
    return b->base.stopping ? -ENOTCONN : 0;
}

static int blk_worker_serve(struct worker *base, uint64_t *wait_ns)
{
    struct blk_worker *b = blk_worker_of(base);
    const struct ring_back *r = &b->queue.ring;
    int n = 0;

    if (b->nbd.lost) {
        return blk_worker_wait_for_end(b, wait_ns);
    }
    if (base->stopping) {
        blk_queue_replay(&b->queue);
    } else {
        if (b->queue.throttle.on) {
            blk_throttle_clock(&b->queue.throttle, loop_now_ns());
        }
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
    if (b->config.nbd) {
        blk_nbd_push(&b->nbd);
    }
    return 0;
}

static void blk_worker_beat(struct worker *base)
{
    blk_queue_beat(&blk_worker_of(base)->queue);
}

static void blk_worker_close_log(struct worker *base, int err)
{
    if (err == 0) {
        blk_queue_end(&blk_worker_of(base)->queue);
    }
}

const struct worker_class blk_worker_class = {
    .wire = &blk_wire_format,
    .nr_fds = BLK_WIRE_NR_FDS,
    .accept = blk_worker_ring_fits,
    .connect = blk_worker_map_ring,
    .rules = blk_worker_rules,
    .begin = blk_worker_take_over,
    .turn = blk_worker_serve,
    .complete = blk_worker_operation_done,
    .order = blk_worker_take_order,
    .beat = blk_worker_beat,
    .end = blk_worker_close_log,
};
