/*
 * The worker's io_uring: see engine.h. The image is a registered file (index 0): its reference is
 * taken once and not for each request.
 */
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#define IMAGE_INDEX   0
#define ENGINE_NO_TAG UINT64_MAX

/* By the plain system call: liburing 2.3 does not export its own wrappers of these two. */
static int restrict_ring(struct io_uring *ring)
{
    static const uint8_t permitted[] = {IORING_OP_POLL_ADD, IORING_OP_READ, IORING_OP_WRITE,
                                        IORING_OP_FSYNC, IORING_OP_FALLOCATE};
    struct io_uring_restriction r[sizeof(permitted) + 1] = {0};
    unsigned int n;

    for (n = 0; n < sizeof(permitted); n++) {
        r[n].opcode = IORING_RESTRICTION_SQE_OP;
        r[n].sqe_op = permitted[n];
    }
    r[n].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    r[n++].sqe_flags = IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
    return io_uring_register((unsigned int)ring->ring_fd, IORING_REGISTER_RESTRICTIONS, r, n);
}

int engine_init(struct engine *e, unsigned int depth, int image_fd)
{
    struct io_uring_params p = {
        .flags = IORING_SETUP_R_DISABLED | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER,
    };
    int err = io_uring_queue_init_params(depth, &e->ring, &p);

    if (err != 0) {
        return err;
    }
    err = io_uring_register_files(&e->ring, &image_fd, 1);
    if (err == 0) {
        err = restrict_ring(&e->ring);
    }
    if (err == 0) {
        err =
            io_uring_register((unsigned int)e->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    }
    if (err != 0) {
        io_uring_queue_exit(&e->ring);
    }
    return err;
}

/* A free submission entry; a full queue is submitted to make room. */
static struct io_uring_sqe *get_sqe(struct engine *e)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&e->ring);

    while (sqe == NULL) {
        io_uring_submit(&e->ring);
        sqe = io_uring_get_sqe(&e->ring);
    }
    return sqe;
}

static void on_image(struct io_uring_sqe *sqe, uint64_t tag)
{
    sqe->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(sqe, tag);
}

void engine_poll(struct engine *e, int fd, uint64_t tag)
{
    struct io_uring_sqe *sqe = get_sqe(e);

    io_uring_prep_poll_multishot(sqe, fd, POLLIN);
    io_uring_sqe_set_data64(sqe, tag);
}

void engine_next_port(struct engine *e, int fd, uint32_t *port, uint64_t tag)
{
    struct io_uring_sqe *sqe = get_sqe(e);

    io_uring_prep_read(sqe, fd, port, sizeof(*port), 0);
    io_uring_sqe_set_data64(sqe, tag);
}

void engine_unmask_port(struct engine *e, int fd, const uint32_t *port)
{
    struct io_uring_sqe *sqe = get_sqe(e);

    io_uring_prep_write(sqe, fd, port, sizeof(*port), 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, ENGINE_NO_TAG);
}

void engine_read(struct engine *e, void *buf, uint32_t bytes, uint64_t offset, uint64_t tag)
{
    struct io_uring_sqe *sqe = get_sqe(e);

    io_uring_prep_read(sqe, IMAGE_INDEX, buf, bytes, offset);
    on_image(sqe, tag);
}

void engine_write(struct engine *e, const void *buf, uint32_t bytes, uint64_t offset, uint64_t tag)
{
    struct io_uring_sqe *sqe = get_sqe(e);

    io_uring_prep_write(sqe, IMAGE_INDEX, buf, bytes, offset);
    on_image(sqe, tag);
}

void engine_flush(struct engine *e, uint64_t tag)
{
    struct io_uring_sqe *sqe = get_sqe(e);

    io_uring_prep_fsync(sqe, IMAGE_INDEX, IORING_FSYNC_DATASYNC);
    on_image(sqe, tag);
}

void engine_discard(struct engine *e, uint64_t offset, uint64_t bytes, uint64_t tag)
{
    struct io_uring_sqe *sqe = get_sqe(e);

    io_uring_prep_fallocate(sqe, IMAGE_INDEX, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                            (off_t)offset, (off_t)bytes);
    on_image(sqe, tag);
}

int engine_submit(struct engine *e, bool block)
{
    int n;

    if (block) {
        n = io_uring_submit_and_wait(&e->ring, 1);
    } else if (io_uring_sq_ready(&e->ring) != 0) {
        n = io_uring_submit(&e->ring);
    } else {
        n = 0;
    }
    /* EBUSY and EAGAIN: take completions first, the entries stay queued. */
    return n >= 0 || n == -EBUSY || n == -EAGAIN ? 0 : n;
}

bool engine_next(struct engine *e, struct engine_event *event)
{
    struct io_uring_cqe *cqe;

    do {
        if (io_uring_peek_cqe(&e->ring, &cqe) != 0) {
            return false;
        }
        if (io_uring_cqe_get_data64(cqe) == ENGINE_NO_TAG) {
            io_uring_cqe_seen(&e->ring, cqe); /* an unmasking that failed: the port is closed */
            cqe = NULL;
        }
    } while (cqe == NULL);
    event->tag = io_uring_cqe_get_data64(cqe);
    event->res = cqe->res;
    event->more = (cqe->flags & IORING_CQE_F_MORE) != 0;
    io_uring_cqe_seen(&e->ring, cqe);
    return true;
}
