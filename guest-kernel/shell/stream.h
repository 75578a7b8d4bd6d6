/*
 * stream.h - going through a disk from one end to the other with several requests in flight: a
 * stream reads ahead of its user, a sink writes behind it.
 *
 * One thread uses a stream or sink. Locks: none; completions touch their own chunk only and wake a
 * queue. Suspend: requests under way are the block layer's business.
 */
#ifndef SHELL_STREAM_H
#define SHELL_STREAM_H

#include "io/blk.h"

#define STREAM_DEPTH     4
#define STREAM_CHUNK_MAX (128 * 1024u)

struct stream_chunk {
    struct blk_req req;
    void *buf;
    bool busy; /* under way */
    int rc;
};

struct stream {
    struct blk_dev *dev;
    uint64_t next, end;     /* sectors: to be asked for */
    uint32_t chunk_sectors; /* per request */
    unsigned order;         /* of the buffers */
    unsigned head, count;   /* chunks asked for, oldest first */
    bool taken;             /* the oldest is in the reader's hands */
    struct stream_chunk chunks[STREAM_DEPTH];
};

/**
 * stream_open() - begin to read
 * @s: zeroed by this call; the caller's
 * @first, @count: sectors, aligned to the disk's sector size
 * @chunk: bytes per request, a multiple of the disk's sector size, at most STREAM_CHUNK_MAX
 *
 * Return: 0 or -ENOMEM. The disk's reference stays the caller's.
 */
int stream_open(struct stream *s, struct blk_dev *dev, uint64_t first, uint64_t count,
                uint32_t chunk) __must_check;

/**
 * stream_next() - the next piece, in order; it stays valid until the next call
 *
 * Return: bytes at *@data, 0 at the end, or -errno with *@sector saying where. May sleep.
 */
ssize_t stream_next(struct stream *s, void **data, uint64_t *sector);

/** stream_close() - wait for what is under way and free the buffers. */
void stream_close(struct stream *s);

struct sink {
    struct blk_dev *dev;
    unsigned order; /* of the buffers */
    unsigned next;  /* chunk that is filled or will be */
    struct stream_chunk chunks[STREAM_DEPTH];
};

/** sink_open() - get ready to write pieces of up to @chunk bytes. -ENOMEM. See stream_open(). */
int sink_open(struct sink *s, struct blk_dev *dev, uint32_t chunk) __must_check;

/**
 * sink_buffer() - memory for the next piece
 *
 * Waits until an older piece is written. Return: 0 with *@buf; -errno if that piece was not, with
 * *@sector saying where. May sleep.
 */
int sink_buffer(struct sink *s, void **buf, uint64_t *sector);

/** sink_write() - start to write the buffer's first @bytes at @sector. -errno as blk_submit(). */
int sink_write(struct sink *s, uint64_t sector, size_t bytes);

/** sink_drain() - wait for all pieces. Return: as sink_buffer(). */
int sink_drain(struct sink *s, uint64_t *sector);

/** sink_close() - wait for what is under way and free the buffers. */
void sink_close(struct sink *s);

#endif /* SHELL_STREAM_H */
