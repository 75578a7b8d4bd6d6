/*
 * The worker's io_uring: see engine.h.
 */
#include "engine.h"

#include <errno.h>
#include <poll.h>

#define NS_PER_S 1000000000ULL

/* By the plain system call: liburing 2.3 does not export its own wrappers of these two. */
static int restrict_ring(struct io_uring *ring)
{
    static const uint8_t operations[] = {IORING_OP_POLL_ADD, IORING_OP_READ, IORING_OP_WRITE};
    enum { NR = sizeof(operations) };
    struct io_uring_restriction r[NR + 1] = {
        [NR] = {.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
                .sqe_flags = IOSQE_IO_HARDLINK | IOSQE_CQE_SKIP_SUCCESS}};

    for (unsigned int i = 0; i < NR; i++) {
        r[i].opcode = IORING_RESTRICTION_SQE_OP;
        r[i].sqe_op = operations[i];
    }
    return io_uring_register((unsigned int)ring->ring_fd, IORING_REGISTER_RESTRICTIONS, r, NR + 1);
}

int engine_init(struct engine *e)
{
    struct io_uring_params p = {
        .flags = IORING_SETUP_R_DISABLED | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER,
    };
    int err = io_uring_queue_init_params(ENGINE_DEPTH, &e->ring, &p);

    if (err != 0) {
        return err;
    }
    err = restrict_ring(&e->ring);
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
    struct io_uring_sqe *sqe;

    while ((sqe = io_uring_get_sqe(&e->ring)) == NULL) {
        io_uring_submit(&e->ring);
    }
    return sqe;
}

void engine_poll(struct engine *e, int fd, uint64_t tag)
{
    struct io_uring_sqe *sqe = get_sqe(e);

    io_uring_prep_poll_multishot(sqe, fd, POLLIN);
    io_uring_sqe_set_data64(sqe, tag);
}

void engine_read(struct engine *e, int fd, void *buf, uint32_t bytes, bool linked, uint64_t tag)
{
    struct io_uring_sqe *sqe = get_sqe(e);

    io_uring_prep_read(sqe, fd, buf, bytes, 0);
    sqe->flags |= linked ? IOSQE_IO_HARDLINK : 0;
    io_uring_sqe_set_data64(sqe, tag);
}

void engine_write(struct engine *e, int fd, const void *buf, uint32_t bytes, uint64_t tag)
{
    struct io_uring_sqe *sqe = get_sqe(e);

    io_uring_prep_write(sqe, fd, buf, bytes, 0);
    io_uring_sqe_set_data64(sqe, tag);
}

void engine_write_silently(struct engine *e, int fd, const void *buf, uint32_t bytes, uint64_t tag)
{
    struct io_uring_sqe *sqe = get_sqe(e);

    io_uring_prep_write(sqe, fd, buf, bytes, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, tag);
}

int engine_submit(struct engine *e, uint64_t wait_ns)
{
    int n = 0;

    if (wait_ns == UINT64_MAX) {
        n = io_uring_submit_and_wait(&e->ring, 1);
    } else if (wait_ns != 0) {
        struct __kernel_timespec ts = {.tv_sec = (long long)(wait_ns / NS_PER_S),
                                       .tv_nsec = (long long)(wait_ns % NS_PER_S)};
        struct io_uring_cqe *cqe;

        n = io_uring_submit_and_wait_timeout(&e->ring, &cqe, 1, &ts, NULL);
    } else if (io_uring_sq_ready(&e->ring) != 0) {
        n = io_uring_submit(&e->ring);
    }
    /* EBUSY and EAGAIN: take completions first, the entries stay queued. */
    return n >= 0 || n == -EBUSY || n == -EAGAIN || n == -ETIME ? 0 : n;
}

bool engine_next(struct engine *e, struct engine_event *event)
{
    struct io_uring_cqe *cqe;

    if (io_uring_peek_cqe(&e->ring, &cqe) != 0) {
        return false;
    }
    event->tag = io_uring_cqe_get_data64(cqe);
    event->res = cqe->res;
    event->more = (cqe->flags & IORING_CQE_F_MORE) != 0;
    io_uring_cqe_seen(&e->ring, cqe);
    return true;
}
