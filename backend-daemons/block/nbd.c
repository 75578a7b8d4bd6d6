/*
 * The worker's way to an NBD server: see nbd.h. All numbers of the protocol are big-endian.
 */
#include "nbd.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { TAG_SENT, TAG_GOT, TAG_SHUT };

#define NBD_REQUEST_MAGIC 0x25609513U
#define NBD_REPLY_MAGIC   0x67446698U
#define NBD_REPLY_BYTES   16U
#define NBD_FLAG_FUA      1U
#define NBD_PIECE_BYTES   (UINT32_C(1) << 30) /* of a discard, whose length has 32 bits */

enum { NBD_CMD_READ = 0, NBD_CMD_WRITE = 1, NBD_CMD_FLUSH = 3, NBD_CMD_TRIM = 4 };

enum { SOCKET_INDEX, LOG_INDEX, NR_FILES };

static void nbd_mark(struct io_uring_sqe *sqe, unsigned int tag)
{
    sqe->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(sqe, BLK_NBD_TAGS | tag);
}

/* One read is always under way, so that the end of the connection is seen when it comes. */
static void nbd_read(struct blk_nbd *n)
{
    struct io_uring_sqe *sqe = uring_sqe(n->ring);

    if (n->into != NULL) {
        io_uring_prep_read(sqe, SOCKET_INDEX, n->into->buf + n->into_bytes,
                           n->into->bytes - n->into_bytes, 0);
    } else {
        io_uring_prep_read(sqe, SOCKET_INDEX, n->in + n->in_bytes,
                           (unsigned int)sizeof(n->in) - n->in_bytes, 0);
    }
    nbd_mark(sqe, TAG_GOT);
}

int blk_nbd_open(struct blk_nbd *n, unsigned int depth, int socket, int log)
{
    static const uint8_t operations[] = {IORING_OP_POLL_ADD, IORING_OP_READ, IORING_OP_WRITE,
                                         IORING_OP_WRITEV, IORING_OP_SHUTDOWN};
    const int fds[NR_FILES] = {[SOCKET_INDEX] = socket, [LOG_INDEX] = log};
    const struct uring_limits limits = {.operations = operations,
                                        .nr_operations = sizeof(operations),
                                        .flags = IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS,
                                        .files = fds,
                                        .nr_files = NR_FILES};
    int err = uring_open(n->ring, depth, &limits);

    n->last = &n->first;
    if (err == 0) {
        nbd_read(n);
    }
    return err;
}

static void nbd_lose(struct blk_nbd *n, const char *why)
{
    struct io_uring_sqe *sqe;

    if (n->lost) {
        return;
    }
    n->lost = true;
    log_msg(LOG_WARNING, n->id, "the connection to the NBD server is lost: %s", why);
    sqe = uring_sqe(n->ring);
    io_uring_prep_shutdown(sqe, SOCKET_INDEX, SHUT_RDWR);
    nbd_mark(sqe, TAG_SHUT);
}

static void nbd_put16(uint8_t *to, uint16_t value)
{
    value = htobe16(value);
    memcpy(to, &value, sizeof(value));
}

static void nbd_put32(uint8_t *to, uint32_t value)
{
    value = htobe32(value);
    memcpy(to, &value, sizeof(value));
}

static void nbd_put64(uint8_t *to, uint64_t value)
{
    value = htobe64(value);
    memcpy(to, &value, sizeof(value));
}

static uint16_t nbd_command(enum blk_operation op)
{
    static const uint16_t commands[] = {[BLK_READ] = NBD_CMD_READ,
                                        [BLK_WRITE] = NBD_CMD_WRITE,
                                        [BLK_FLUSH] = NBD_CMD_FLUSH,
                                        [BLK_DISCARD] = NBD_CMD_TRIM};

    return commands[op];
}

/* Puts the operation, or the next piece of it, behind those that are to be sent. */
static void nbd_queue(struct blk_nbd *n, struct blk_nbd_op *op)
{
    const bool changes = op->op == BLK_WRITE || op->op == BLK_DISCARD;

    nbd_put32(op->header, NBD_REQUEST_MAGIC);
    nbd_put16(op->header + 4, changes && n->can_fua ? NBD_FLAG_FUA : 0);
    nbd_put16(op->header + 6, nbd_command(op->op));
    nbd_put64(op->header + 8, (uint64_t)(op - n->ops));
    nbd_put64(op->header + 16, op->offset);
    nbd_put32(op->header + 24, op->bytes);
    op->state = BLK_NBD_QUEUED;
    op->replied = false;
    op->sent = 0;
    op->next = NULL;
    *n->last = op;
    n->last = &op->next;
}

void blk_nbd_submit(struct blk_nbd *n, enum blk_operation op, uint8_t *buf, uint64_t bytes,
                    uint64_t offset, unsigned int tag)
{
    struct blk_nbd_op *o = &n->ops[tag];

    if (op == BLK_FLUSH && !n->can_flush) {
        n->done(n->arg, tag, 0);
        return;
    }
    o->op = op;
    o->buf = buf;
    o->offset = offset;
    o->bytes = (uint32_t)(bytes < NBD_PIECE_BYTES ? bytes : NBD_PIECE_BYTES);
    o->left = bytes - o->bytes;
    nbd_queue(n, o);
}

/* How long the operation is on the wire. */
static uint32_t nbd_wire_bytes(const struct blk_nbd_op *op)
{
    return BLK_NBD_REQUEST_BYTES + (op->op == BLK_WRITE ? op->bytes : 0);
}

/* What is not sent yet of the operation, in at most two parts. Returns how many. */
static unsigned int nbd_parts(struct blk_nbd_op *op, struct iovec *parts)
{
    uint32_t from = op->sent;
    unsigned int nr = 0;

    if (from < BLK_NBD_REQUEST_BYTES) {
        parts[nr++] = (struct iovec){op->header + from, BLK_NBD_REQUEST_BYTES - from};
        from = BLK_NBD_REQUEST_BYTES;
    }
    if (from < nbd_wire_bytes(op)) {
        parts[nr++] =
            (struct iovec){op->buf + (from - BLK_NBD_REQUEST_BYTES), nbd_wire_bytes(op) - from};
    }
    return nr;
}

void blk_nbd_push(struct blk_nbd *n)
{
    struct io_uring_sqe *sqe;
    unsigned int nr = 0, requests = 0;

    if (n->lost || n->sending || n->first == NULL) {
        return;
    }
    for (struct blk_nbd_op *op = n->first; op != NULL && requests < BLK_NBD_BATCH; op = op->next) {
        nr += nbd_parts(op, &n->out[nr]);
        requests++;
    }
    sqe = uring_sqe(n->ring);
    io_uring_prep_writev(sqe, SOCKET_INDEX, n->out, nr, 0);
    nbd_mark(sqe, TAG_SENT);
    n->sending = true;
}

/* The server has done what was asked, or refused it; a long discard goes on. */
static void nbd_end(struct blk_nbd *n, struct blk_nbd_op *op, int err)
{
    const bool transfer = op->op == BLK_READ || op->op == BLK_WRITE;

    op->state = BLK_NBD_IDLE;
    if (err == 0 && op->left != 0) {
        op->offset += op->bytes;
        op->bytes = (uint32_t)(op->left < NBD_PIECE_BYTES ? op->left : NBD_PIECE_BYTES);
        op->left -= op->bytes;
        nbd_queue(n, op);
        return;
    }
    n->done(n->arg, (uint64_t)(op - n->ops), err != 0 ? err : transfer ? (int)op->bytes : 0);
}

static void nbd_sent(struct blk_nbd *n, int res)
{
    uint32_t bytes = (uint32_t)res;

    n->sending = false;
    if (res == -EAGAIN || res == -EINTR) {
        return; /* the next push sends it */
    }
    if (res <= 0) {
        nbd_lose(n, res == 0 ? "nothing can be sent" : strerror(-res));
        return;
    }
    while (bytes != 0 && n->first != NULL) {
        struct blk_nbd_op *op = n->first;
        uint32_t left = nbd_wire_bytes(op) - op->sent;

        if (bytes < left) {
            op->sent += bytes;
            return;
        }
        bytes -= left;
        n->first = op->next;
        if (n->first == NULL) {
            n->last = &n->first;
        }
        op->state = BLK_NBD_SENT;
        if (op->replied) {
            nbd_end(n, op, op->err);
        }
    }
}

/* Numbers of the protocol are Linux'; a few of them. */
static int nbd_errno(uint32_t error)
{
    switch (error) {
    case 0:
    case EPERM:
    case ENOMEM:
    case EINVAL:
    case ENOSPC:
    case EOVERFLOW:
    case EOPNOTSUPP:
    case ESHUTDOWN:
        return -(int)error;
    default:
        return -EIO;
    }
}

/*
 * The gate for a reply's header, which lies in `raw`. Returns the operation that it answers, with
 * *err set; or NULL, and the connection is lost.
 */
static struct blk_nbd_op *nbd_take_reply(struct blk_nbd *n, const uint8_t *raw, int *err)
{
    uint32_t magic, error;
    uint64_t cookie;
    struct blk_nbd_op *op;

    memcpy(&magic, raw, sizeof(magic));
    memcpy(&error, raw + 4, sizeof(error));
    memcpy(&cookie, raw + 8, sizeof(cookie));
    cookie = be64toh(cookie);
    if (be32toh(magic) != NBD_REPLY_MAGIC || cookie >= BLK_NBD_OPS) {
        nbd_lose(n, "what it sends is no reply");
        return NULL;
    }
    op = &n->ops[cookie];
    if (op->state == BLK_NBD_IDLE || op->replied || (op->state == BLK_NBD_QUEUED && !n->sending)) {
        nbd_lose(n, "it replies to what nobody asked");
        return NULL;
    }
    *err = nbd_errno(be32toh(error));
    if (*err == -ESHUTDOWN) {
        nbd_lose(n, "it shuts down");
        return NULL;
    }
    return op;
}

/* A reply is there, and the data of a read has come. What is still being sent ends afterwards. */
static void nbd_replied(struct blk_nbd *n, struct blk_nbd_op *op, int err)
{
    if (op->state == BLK_NBD_SENT) {
        nbd_end(n, op, err);
    } else {
        op->replied = true;
        op->err = err;
    }
}

/* Takes what has come, up to data that is still to come. */
static void nbd_parse(struct blk_nbd *n)
{
    uint32_t at = 0;

    while (n->in_bytes - at >= NBD_REPLY_BYTES && n->into == NULL) {
        int err;
        struct blk_nbd_op *op = nbd_take_reply(n, n->in + at, &err);
        uint32_t here;

        if (op == NULL) {
            return;
        }
        at += NBD_REPLY_BYTES;
        if (op->op != BLK_READ || err != 0) {
            nbd_replied(n, op, err);
            continue;
        }
        here = n->in_bytes - at < op->bytes ? n->in_bytes - at : op->bytes;
        memcpy(op->buf, n->in + at, here);
        at += here;
        if (here == op->bytes) {
            nbd_replied(n, op, 0);
        } else {
            n->into = op;
            n->into_bytes = here;
        }
    }
    n->in_bytes -= at;
    memmove(n->in, n->in + at, n->in_bytes);
}

static void nbd_got(struct blk_nbd *n, int res)
{
    if (res <= 0 && res != -EAGAIN && res != -EINTR) {
        nbd_lose(n, res == 0 ? "it has closed" : strerror(-res));
        return;
    }
    if (res > 0 && n->into != NULL) {
        n->into_bytes += (uint32_t)res;
        if (n->into_bytes == n->into->bytes) {
            struct blk_nbd_op *op = n->into;

            n->into = NULL;
            nbd_replied(n, op, 0);
        }
    } else if (res > 0) {
        n->in_bytes += (uint32_t)res;
        nbd_parse(n);
    }
    if (!n->lost) {
        nbd_read(n);
    }
}

void blk_nbd_event(struct blk_nbd *n, const struct uring_event *event)
{
    if (n->lost) {
        return;
    }
    switch (event->tag & ~BLK_NBD_TAGS) {
    case TAG_SENT:
        nbd_sent(n, event->res);
        break;
    case TAG_GOT:
        nbd_got(n, event->res);
        break;
    default:
        break;
    }
}
