/*
 * The worker's way to an NBD server: requests over a connected socket, through the io_uring that
 * the worker has anyway. The peer of engine.h, which is the way to a file.
 *
 * Whoever opened the image has connected and shaken hands (nbd_connect.c), so what is left is the
 * part of the protocol that moves data, with simple replies: a header of 28 bytes and the data of a
 * write there, one of 16 bytes and the data of a read back, in any order. The cage needs no call of
 * its own for that.
 *
 * The server is not trusted: a reply counts if it is to a request that is under way, once, and no
 * more than the request's own buffer is written. One that breaks the rules, closes, or says that it
 * shuts down loses the connection: `lost`. What was under way has no answer then, and stays in the
 * in-flight log for the next worker, which has another connection. The socket is shut down, which
 * the opener sees.
 *
 * Without a connection nobody knows what the server has made durable of what it answered. So each
 * write asks for that by itself (FUA) where the server can; where it cannot, blk_worker.h has the
 * guest's next flush fail.
 *
 * Types: struct blk_nbd. One thread.
 */
#ifndef DUET_BLOCK_NBD_H
#define DUET_BLOCK_NBD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "gate.h"
#include "log.h"
#include "uring.h"

#define BLK_NBD_OPS           65U /* one for each slot, and one more for the last flush */
#define BLK_NBD_REQUEST_BYTES 28U
#define BLK_NBD_BATCH         32U /* requests that one system call sends */
#define BLK_NBD_IN_BYTES      1024U

/* Tags of the io_uring that are this file's. */
#define BLK_NBD_TAGS 0x20000ULL

enum blk_nbd_state {
    BLK_NBD_IDLE,
    BLK_NBD_QUEUED, /* to be sent, or being sent */
    BLK_NBD_SENT,
};

struct blk_nbd_op {
    enum blk_nbd_state state;
    enum blk_operation op;
    bool replied; /* before we know that all of it was sent */
    int err;      /* ... with this */
    uint8_t *buf;
    uint32_t bytes; /* of the data, or of this piece of a discard */
    uint32_t sent;  /* of header and data */
    uint64_t offset;
    uint64_t left; /* of a discard, behind this piece */
    uint8_t header[BLK_NBD_REQUEST_BYTES];
    struct blk_nbd_op *next;
};

/* An operation has ended: bytes, 0 or -errno. */
typedef void blk_nbd_done_fn(void *arg, uint64_t tag, int res);

/* Zero-initialise, and set the first six. */
struct blk_nbd {
    struct io_uring *ring;
    const struct log_id *id;
    blk_nbd_done_fn *done;
    void *arg;
    bool can_flush, can_fua;
    bool lost; /* nothing ends any more */
    /* private */
    struct blk_nbd_op ops[BLK_NBD_OPS];
    struct blk_nbd_op *first, **last; /* to be sent, in order */
    struct iovec out[2 * BLK_NBD_BATCH];
    bool sending;
    uint8_t in[BLK_NBD_IN_BYTES];
    uint32_t in_bytes;
    struct blk_nbd_op *into; /* whose data comes next */
    uint32_t into_bytes;     /* of it that has come */
};

/*
 * Sets `n->ring` up for the connection `socket`, with restrictions in force as blk_engine_open()
 * has them; `log` is held until the last operation has ended. Returns 0 or -errno.
 */
int blk_nbd_open(struct blk_nbd *n, unsigned int depth, int socket, int log);

/*
 * Carries out `op` on `bytes` bytes from `offset` on. done() is called with `tag`, which is below
 * BLK_NBD_OPS and not in use; a flush that the server does not know ends at once. `buf`, of which a
 * discard has none, must stay until then, or until the connection is lost.
 */
void blk_nbd_submit(struct blk_nbd *n, enum blk_operation op, uint8_t *buf, uint64_t bytes,
                    uint64_t offset, unsigned int tag);

/* Sends what was submitted. To be called before each wait. */
void blk_nbd_push(struct blk_nbd *n);

/* An operation of the io_uring whose tag has BLK_NBD_TAGS has ended. */
void blk_nbd_event(struct blk_nbd *n, const struct uring_event *event);

#endif
