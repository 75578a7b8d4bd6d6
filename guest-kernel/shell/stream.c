/*
 * stream.c - reading a disk with requests in flight ahead of the reader; see stream.h.
 */
#include "shell/stream.h"

#include "kern/mem.h"
#include "kern/string.h"
#include "kern/wait.h"

/* All streams share a queue: a completion may outlive the stream whose chunk it ends. */
static struct waitq stream_wq = WAITQ(stream_wq, "stream");

static void chunk_done(struct blk_req *req, int rc)
{
    struct stream_chunk *c = req->arg;

    c->rc = rc;
    __atomic_store_n(&c->busy, false, __ATOMIC_RELEASE);
    waitq_wake_all(&stream_wq);
}

static bool is_done(const struct stream_chunk *c)
{
    return !__atomic_load_n(&c->busy, __ATOMIC_ACQUIRE);
}

/* Asks for as much as there are free chunks. */
static void ask(struct stream *s)
{
    while (s->count < STREAM_DEPTH && s->next < s->end) {
        struct stream_chunk *c = &s->chunks[(s->head + s->count) % STREAM_DEPTH];

        c->req = (struct blk_req){.op = BLK_READ,
                                  .sector = s->next,
                                  .nsectors = MIN(s->end - s->next, s->chunk_sectors),
                                  .buf = c->buf,
                                  .done = chunk_done,
                                  .arg = c};
        c->busy = true;
        int rc = blk_submit(s->dev, &c->req);
        if (rc) {
            c->rc = rc;
            c->busy = false;
        }
        s->next += c->req.nsectors;
        s->count++;
    }
}

int stream_open(struct stream *s, struct blk_dev *dev, uint64_t first, uint64_t count,
                uint32_t chunk)
{
    memset(s, 0, sizeof(*s));
    s->dev = dev;
    s->next = first;
    s->end = first + count;
    s->chunk_sectors = chunk >> BLK_SECTOR_SHIFT;
    while ((PAGE_SIZE << s->order) < chunk) {
        s->order++;
    }
    for (unsigned i = 0; i < STREAM_DEPTH; i++) {
        s->chunks[i].buf = page_alloc(s->order);
        if (!s->chunks[i].buf) {
            stream_close(s);
            return -ENOMEM;
        }
    }
    return 0;
}

ssize_t stream_next(struct stream *s, void **data, uint64_t *sector)
{
    if (s->taken) {
        s->taken = false;
        s->head = (s->head + 1) % STREAM_DEPTH;
        s->count--;
    }
    ask(s);
    if (!s->count) {
        return 0;
    }
    struct stream_chunk *c = &s->chunks[s->head];
    wait_event(&stream_wq, is_done(c));
    s->taken = true;
    *data = c->buf;
    *sector = c->req.sector;
    return c->rc ? c->rc : (ssize_t)(c->req.nsectors << BLK_SECTOR_SHIFT);
}

void stream_close(struct stream *s)
{
    for (unsigned i = 0; i < STREAM_DEPTH; i++) {
        struct stream_chunk *c = &s->chunks[i];

        wait_event(&stream_wq, is_done(c));
        if (c->buf) {
            page_free(c->buf, s->order);
        }
    }
}
