/*
 * A worker's io_uring: see uring.h.
 */
#include "uring.h"

#include <errno.h>
#include <poll.h>

#define NS_PER_S 1000000000ULL

/* By the plain system call: liburing 2.3 does not export its own wrappers of some. */
static int register_ring(const struct io_uring *ring, unsigned int what, const void *arg,
                         unsigned int n)
{
    return io_uring_register((unsigned int)ring->ring_fd, what, arg, n);
}

static int restrict_ring(const struct io_uring *ring, const struct uring_limits *limits)
{
    struct io_uring_restriction r[URING_OPERATIONS_MAX + 2] = {
        {.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = limits->flags}};
    unsigned int nr = 1;

    if (limits->nr_operations > URING_OPERATIONS_MAX) {
        return -E2BIG;
    }
    for (unsigned int i = 0; i < limits->nr_operations; i++) {
        r[nr].opcode = IORING_RESTRICTION_SQE_OP;
        r[nr++].sqe_op = limits->operations[i];
    }
    if (limits->nr_buffers != 0) {
        r[nr].opcode = IORING_RESTRICTION_REGISTER_OP;
        r[nr++].register_op = IORING_REGISTER_BUFFERS_UPDATE;
    }
    return register_ring(ring, IORING_REGISTER_RESTRICTIONS, r, nr);
}

int uring_pin(struct io_uring *ring, unsigned int index, void *buf, uint32_t bytes)
{
    const struct iovec vec = {.iov_base = buf, .iov_len = bytes};
    const struct io_uring_rsrc_update2 update = {
        .offset = index, .data = (uint64_t)(uintptr_t)&vec, .nr = 1};
    int n = register_ring(ring, IORING_REGISTER_BUFFERS_UPDATE, &update, sizeof(update));

    return n < 0 ? n : 0;
}

int uring_open(struct io_uring *ring, unsigned int depth, const struct uring_limits *limits)
{
    struct io_uring_params p = {
        .flags = IORING_SETUP_R_DISABLED | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
                 IORING_SETUP_SINGLE_ISSUER,
    };
    int err = io_uring_queue_init_params(depth, ring, &p);

    if (err != 0) {
        return err;
    }
    if (limits->nr_files != 0) {
        err = io_uring_register_files(ring, limits->files, limits->nr_files);
    }
    if (err == 0 && limits->nr_buffers != 0) {
        err = io_uring_register_buffers_sparse(ring, limits->nr_buffers);
    }
    if (err == 0) {
        err = restrict_ring(ring, limits);
    }
    if (err == 0) {
        err = register_ring(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    }
    if (err != 0) {
        io_uring_queue_exit(ring);
    }
    return err;
}

struct io_uring_sqe *uring_sqe(struct io_uring *ring)
{
    struct io_uring_sqe *sqe;

    while ((sqe = io_uring_get_sqe(ring)) == NULL) {
        io_uring_submit(ring);
    }
    return sqe;
}

void uring_poll(struct io_uring *ring, int fd, uint64_t tag)
{
    struct io_uring_sqe *sqe = uring_sqe(ring);

    io_uring_prep_poll_multishot(sqe, fd, POLLIN);
    io_uring_sqe_set_data64(sqe, tag);
}

void uring_read(struct io_uring *ring, int fd, void *buf, uint32_t bytes, uint64_t tag)
{
    struct io_uring_sqe *sqe = uring_sqe(ring);

    io_uring_prep_read(sqe, fd, buf, bytes, 0);
    io_uring_sqe_set_data64(sqe, tag);
}

void uring_write(struct io_uring *ring, int fd, const void *buf, uint32_t bytes, uint64_t tag)
{
    struct io_uring_sqe *sqe = uring_sqe(ring);

    io_uring_prep_write(sqe, fd, buf, bytes, 0);
    io_uring_sqe_set_data64(sqe, tag);
}

void uring_write_silently(struct io_uring *ring, int fd, const void *buf, uint32_t bytes,
                          uint64_t tag)
{
    struct io_uring_sqe *sqe = uring_sqe(ring);

    io_uring_prep_write(sqe, fd, buf, bytes, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, tag);
}

int uring_submit(struct io_uring *ring, uint64_t wait_ns)
{
    struct __kernel_timespec ts = {.tv_sec = (long long)(wait_ns / NS_PER_S),
                                   .tv_nsec = (long long)(wait_ns % NS_PER_S)};
    struct io_uring_cqe *cqe;
    int n = 0;

    if (wait_ns == UINT64_MAX) {
        n = io_uring_submit_and_wait(ring, 1);
    } else if (wait_ns != 0) {
        n = io_uring_submit_and_wait_timeout(ring, &cqe, 1, &ts, NULL);
    } else if (io_uring_sq_ready(ring) != 0) {
        n = io_uring_submit(ring);
    }
    /* EBUSY and EAGAIN: take completions first, the entries stay queued. ETIME: time has passed. */
    return n >= 0 || n == -EBUSY || n == -EAGAIN || n == -ETIME ? 0 : n;
}

bool uring_next(struct io_uring *ring, struct uring_event *event)
{
    struct io_uring_cqe *cqe;

    if (io_uring_peek_cqe(ring, &cqe) != 0) {
        return false;
    }
    event->tag = io_uring_cqe_get_data64(cqe);
    event->res = cqe->res;
    event->more = (cqe->flags & IORING_CQE_F_MORE) != 0;
    io_uring_cqe_seen(ring, cqe);
    return true;
}
