/*
 * Fuzzes the way to an NBD server: whatever the server sends, in whatever pieces, and however much
 * of what is sent to it goes at a time, an operation ends at most once, after all of it was sent,
 * nothing is written but the buffer of a read that is under way, and nothing ends once the
 * connection is lost.
 *
 * Input: steps, each a byte and what it needs. The io_uring is a table here; buffers are the
 * heap's, as long as they have to be, for the sanitizer.
 */
#include <endian.h>

#include "nbd.h"
#include "parts/input.h"

enum { STEPS = 300, SQES = 8, BYTES_MAX = 2000 };

enum step { SUBMIT, PUSH, SEND, REPLY, ANYTHING, NR_STEPS };

static struct blk_nbd nbd;
static struct io_uring_sqe sqes[SQES];
static unsigned int nr_sqes;
static struct io_uring_sqe reading, sending;
static bool reads, sends, lost_before;
static struct {
    bool active;
    uint8_t *buf;
    uint32_t bytes, unsent;
    enum blk_operation op;
} held[BLK_NBD_OPS];

int uring_open(struct io_uring *ring, unsigned int depth, const struct uring_limits *limits)
{
    (void)ring;
    (void)depth;
    (void)limits;
    return 0;
}

struct io_uring_sqe *uring_sqe(struct io_uring *ring)
{
    (void)ring;
    require(nr_sqes < SQES);
    return &sqes[nr_sqes++];
}

/* What was queued is under way: at most one read and one write. */
static void take_sqes(void)
{
    for (unsigned int i = 0; i < nr_sqes; i++) {
        if (sqes[i].opcode == IORING_OP_READ) {
            require(!reads);
            reads = true;
            reading = sqes[i];
            require(reading.len > 0);
        } else if (sqes[i].opcode == IORING_OP_WRITEV) {
            require(!sends);
            sends = true;
            sending = sqes[i];
        } else {
            require(sqes[i].opcode == IORING_OP_SHUTDOWN && nbd.lost);
        }
    }
    nr_sqes = 0;
}

static void on_done(void *arg, uint64_t tag, int res)
{
    (void)arg;
    require(tag < BLK_NBD_OPS && held[tag].active && !lost_before);
    require(held[tag].unsent == 0);
    require(res < 0 ||
            res ==
                (held[tag].op == BLK_READ || held[tag].op == BLK_WRITE ? (int)held[tag].bytes : 0));
    held[tag].active = false;
    free(held[tag].buf);
    held[tag].buf = NULL;
}

static void submit(struct input *in)
{
    const enum blk_operation op = input_u8(in) % 4;
    const unsigned int tag = input_u8(in) % BLK_NBD_OPS;
    const uint32_t bytes = op == BLK_FLUSH ? 0 : 1 + input_u16(in) % BYTES_MAX;

    if (held[tag].active || nbd.lost) {
        return;
    }
    held[tag].active = true;
    held[tag].op = op;
    held[tag].bytes = bytes;
    held[tag].unsent = BLK_NBD_REQUEST_BYTES + (op == BLK_WRITE ? bytes : 0);
    held[tag].buf = op == BLK_READ || op == BLK_WRITE ? calloc(1, bytes) : NULL;
    blk_nbd_submit(&nbd, op, held[tag].buf, bytes, 0, tag);
}

/* So many bytes went out: whose they are is told by the headers' place. */
static void send_some(struct input *in)
{
    const struct iovec *out = (const struct iovec *)(uintptr_t)sending.addr;
    size_t all = 0, left;

    if (!sends) {
        return;
    }
    for (unsigned int i = 0; i < sending.len; i++) {
        volatile uint8_t last = ((const uint8_t *)out[i].iov_base)[out[i].iov_len - 1];

        (void)last; /* it is there */
        all += out[i].iov_len;
    }
    left = 1 + input_u16(in) % all;
    sends = false;
    {
        const struct uring_event event = {.tag = sending.user_data, .res = (int)left};

        for (unsigned int i = 0; i < sending.len && left != 0; i++) {
            size_t n = out[i].iov_len < left ? out[i].iov_len : left;

            for (unsigned int t = 0; t < BLK_NBD_OPS; t++) {
                const uint8_t *base = out[i].iov_base;
                const struct blk_nbd_op *o = &nbd.ops[t];

                if ((base >= o->header && base < o->header + BLK_NBD_REQUEST_BYTES) ||
                    (held[t].op == BLK_WRITE && held[t].active && base >= held[t].buf &&
                     base < held[t].buf + held[t].bytes)) {
                    require(held[t].active && held[t].unsent >= n);
                    held[t].unsent -= (uint32_t)n;
                }
            }
            left -= n;
        }
        blk_nbd_event(&nbd, &event);
    }
}

static void receive(const uint8_t *bytes, size_t nr)
{
    while (nr != 0 && reads && !nbd.lost) {
        const size_t n = nr < reading.len ? nr : reading.len;
        const struct uring_event event = {.tag = reading.user_data, .res = (int)n};

        memcpy((void *)(uintptr_t)reading.addr, bytes, n);
        reads = false;
        blk_nbd_event(&nbd, &event);
        take_sqes();
        bytes += n;
        nr -= n;
    }
}

/* What a server would say, for the most part, up to three times in one piece. */
static void reply(struct input *in)
{
    uint8_t wire[3 * (16 + BYTES_MAX)];
    size_t at = 0;

    for (unsigned int nr = 1 + input_u8(in) % 3; nr-- > 0;) {
        const uint8_t tag = input_u8(in);
        const uint8_t error = input_u8(in);
        const uint32_t head[4] = {htobe32(0x67446698), htobe32(error < 200 ? 0 : error), 0,
                                  htobe32(tag)};

        memcpy(wire + at, head, sizeof(head));
        at += sizeof(head);
        if (tag < BLK_NBD_OPS && held[tag].active && held[tag].op == BLK_READ && error < 200) {
            memset(wire + at, tag, held[tag].bytes);
            at += held[tag].bytes;
        }
    }
    receive(wire, at);
}

static void anything(struct input *in)
{
    uint8_t data[300];
    const size_t nr = input_u16(in) % sizeof(data);

    input_bytes(in, data, nr);
    receive(data, nr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};

    nbd = (struct blk_nbd){.done = on_done, .can_flush = true, .can_fua = true};
    memset(held, 0, sizeof(held));
    nr_sqes = 0;
    reads = sends = lost_before = false;
    log_set_level(LOG_ERR);
    require(blk_nbd_open(&nbd, 8, 0, 0) == 0);
    take_sqes();
    for (unsigned int i = 0; i < STEPS && in.left != 0; i++) {
        switch (input_u8(&in) % NR_STEPS) {
        case SUBMIT:
            submit(&in);
            break;
        case PUSH:
            blk_nbd_push(&nbd);
            break;
        case SEND:
            send_some(&in);
            break;
        case REPLY:
            reply(&in);
            break;
        default:
            anything(&in);
        }
        take_sqes();
        lost_before = nbd.lost;
    }
    for (unsigned int i = 0; i < BLK_NBD_OPS; i++) {
        free(held[i].buf);
    }
    return 0;
}
