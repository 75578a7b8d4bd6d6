/*
 * stream.c - streams and sinks, several requests in flight; see stream.h.
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
static void stream_ask(struct stream *s)
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
        if (rc != 0) {
            c->rc = rc;
            c->busy = false;
        }
        s->next += c->req.nsectors;
        s->count++;
    }
}

/* Waits for what is under way and frees the buffers. */
static void free_chunks(struct stream_chunk *chunks, unsigned order)
{
    for (unsigned i = 0; i < STREAM_DEPTH; i++) {
        wait_event(&stream_wq, is_done(&chunks[i]));
        if (chunks[i].buf != NULL) {
            page_free(chunks[i].buf, order);
            chunks[i].buf = NULL;
        }
    }
}

/* Buffers of @bytes for all chunks. */
static int alloc_chunks(struct stream_chunk *chunks, uint32_t bytes, unsigned *order)
{
    *order = 0;
    while ((PAGE_SIZE << *order) < bytes) {
        (*order)++;
    }
    for (unsigned i = 0; i < STREAM_DEPTH; i++) {
        chunks[i].buf = page_alloc_zeroed(*order);
        if (chunks[i].buf == NULL) {
            free_chunks(chunks, *order);
            return -ENOMEM;
        }
    }
    return 0;
}

int stream_open(struct stream *s, struct blk_dev *dev, uint64_t first, uint64_t count,
                uint32_t chunk)
{
    memset(s, 0, sizeof(*s));
    s->dev = dev;
    s->next = first;
    s->end = first + count;
    s->chunk_sectors = chunk >> BLK_SECTOR_SHIFT;
    return alloc_chunks(s->chunks, chunk, &s->order);
}

ssize_t stream_next(struct stream *s, void **data, uint64_t *sector)
{
    if (s->taken) {
        s->taken = false;
        s->head = (s->head + 1) % STREAM_DEPTH;
        s->count--;
    }
    stream_ask(s);
    if (s->count == 0) {
        return 0;
    }
    struct stream_chunk *c = &s->chunks[s->head];
    wait_event(&stream_wq, is_done(c));
    s->taken = true;
    *data = c->buf;
    *sector = c->req.sector;
    return c->rc != 0 ? c->rc : (ssize_t)(c->req.nsectors << BLK_SECTOR_SHIFT);
}

void stream_close(struct stream *s)
{
    free_chunks(s->chunks, s->order);
}

int sink_open(struct sink *s, struct blk_dev *dev, uint32_t chunk)
{
    memset(s, 0, sizeof(*s));
    s->dev = dev;
    return alloc_chunks(s->chunks, chunk, &s->order);
}

int sink_buffer(struct sink *s, void **buf, uint64_t *sector)
{
    struct stream_chunk *c = &s->chunks[s->next];

    wait_event(&stream_wq, is_done(c));
    *buf = c->buf;
    *sector = c->req.sector;
    return c->rc;
}

int sink_write(struct sink *s, uint64_t sector, size_t bytes)
{
    struct stream_chunk *c = &s->chunks[s->next];

    c->req = (struct blk_req){.op = BLK_WRITE,
                              .sector = sector,
                              .nsectors = bytes >> BLK_SECTOR_SHIFT,
                              .buf = c->buf,
                              .done = chunk_done,
                              .arg = c};
    c->busy = true;
    int rc = blk_submit(s->dev, &c->req);
    if (rc != 0) {
        c->busy = false;
    }
    s->next = (s->next + 1) % STREAM_DEPTH;
    return rc;
}

int sink_drain(struct sink *s, uint64_t *sector)
{
    int rc = 0;

    for (unsigned i = 0; i < STREAM_DEPTH && rc == 0; i++) {
        void *buf;

        rc = sink_buffer(s, &buf, sector);
        s->next = (s->next + 1) % STREAM_DEPTH;
    }
    return rc;
}

void sink_close(struct sink *s)
{
    free_chunks(s->chunks, s->order);
}
