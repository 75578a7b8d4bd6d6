/*
 * The worker's io_uring: see engine.h.
 */
#include "engine.h"

#include <errno.h>

#define NS_PER_S 1000000000ULL

int net_engine_init(struct net_engine *e)
{
    static const uint8_t operations[] = {IORING_OP_POLL_ADD, IORING_OP_READ, IORING_OP_WRITE};
    const struct uring_limits limits = {.operations = operations,
                                        .nr_operations = sizeof(operations),
                                        .flags = IOSQE_IO_HARDLINK | IOSQE_CQE_SKIP_SUCCESS};

    return uring_open(&e->ring, NET_ENGINE_DEPTH, &limits);
}

void net_engine_poll(struct net_engine *e, int fd, uint64_t tag)
{
    uring_poll(&e->ring, fd, tag);
}

void net_engine_read(struct net_engine *e, int fd, void *buf, uint32_t bytes, bool linked,
                     uint64_t tag)
{
    struct io_uring_sqe *sqe = uring_sqe(&e->ring);

    io_uring_prep_read(sqe, fd, buf, bytes, 0);
    sqe->flags |= linked ? IOSQE_IO_HARDLINK : 0;
    io_uring_sqe_set_data64(sqe, tag);
}

void net_engine_write(struct net_engine *e, int fd, const void *buf, uint32_t bytes, uint64_t tag)
{
    struct io_uring_sqe *sqe = uring_sqe(&e->ring);

    io_uring_prep_write(sqe, fd, buf, bytes, 0);
    io_uring_sqe_set_data64(sqe, tag);
}

void net_engine_write_silently(struct net_engine *e, int fd, const void *buf, uint32_t bytes,
                               uint64_t tag)
{
    struct io_uring_sqe *sqe = uring_sqe(&e->ring);

    io_uring_prep_write(sqe, fd, buf, bytes, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, tag);
}

int net_engine_submit(struct net_engine *e, uint64_t wait_ns)
{
    struct __kernel_timespec ts = {.tv_sec = (long long)(wait_ns / NS_PER_S),
                                   .tv_nsec = (long long)(wait_ns % NS_PER_S)};
    struct io_uring_cqe *cqe;
    int n;

    if (wait_ns == 0 || wait_ns == UINT64_MAX) {
        return uring_submit(&e->ring, wait_ns != 0);
    }
    n = io_uring_submit_and_wait_timeout(&e->ring, &cqe, 1, &ts, NULL);
    return n >= 0 || n == -EBUSY || n == -EAGAIN || n == -ETIME ? 0 : n;
}

bool net_engine_next(struct net_engine *e, struct uring_event *event)
{
    return uring_next(&e->ring, event);
}
