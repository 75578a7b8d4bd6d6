/*
 * The worker's way to the tap: see engine.h.
 */
#include "engine.h"

#define ENGINE_DEPTH 256U

int net_engine_open(struct io_uring *ring)
{
    static const uint8_t operations[] = {IORING_OP_POLL_ADD, IORING_OP_READ, IORING_OP_WRITE};
    const struct uring_limits limits = {.operations = operations,
                                        .nr_operations = sizeof(operations),
                                        .flags = IOSQE_IO_HARDLINK | IOSQE_CQE_SKIP_SUCCESS};

    return uring_open(ring, ENGINE_DEPTH, &limits);
}

void net_engine_read(struct io_uring *ring, int fd, void *buf, uint32_t bytes, bool linked,
                     uint64_t tag)
{
    struct io_uring_sqe *sqe = uring_sqe(ring);

    io_uring_prep_read(sqe, fd, buf, bytes, 0);
    sqe->flags |= linked ? IOSQE_IO_HARDLINK : 0;
    io_uring_sqe_set_data64(sqe, tag);
}
