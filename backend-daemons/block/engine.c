/*
 * The worker's io_uring: see engine.h. The image is a registered file (index 0): its reference is
 * taken once and not for each request.
 */
#include "engine.h"

#include <fcntl.h>

#define IMAGE_INDEX   0
#define ENGINE_NO_TAG UINT64_MAX

int blk_engine_init(struct blk_engine *e, unsigned int depth, int image_fd)
{
    static const uint8_t operations[] = {IORING_OP_POLL_ADD, IORING_OP_READ, IORING_OP_WRITE,
                                         IORING_OP_FSYNC, IORING_OP_FALLOCATE};
    const struct uring_limits limits = {.operations = operations,
                                        .nr_operations = sizeof(operations),
                                        .flags = IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS,
                                        .files = &image_fd,
                                        .nr_files = 1};

    return uring_open(&e->ring, depth, &limits);
}

static void blk_engine_on_image(struct io_uring_sqe *sqe, uint64_t tag)
{
    sqe->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(sqe, tag);
}

void blk_engine_poll(struct blk_engine *e, int fd, uint64_t tag)
{
    uring_poll(&e->ring, fd, tag);
}

void blk_engine_next_port(struct blk_engine *e, int fd, uint32_t *port, uint64_t tag)
{
    struct io_uring_sqe *sqe = uring_sqe(&e->ring);

    io_uring_prep_read(sqe, fd, port, sizeof(*port), 0);
    io_uring_sqe_set_data64(sqe, tag);
}

void blk_engine_unmask_port(struct blk_engine *e, int fd, const uint32_t *port)
{
    struct io_uring_sqe *sqe = uring_sqe(&e->ring);

    io_uring_prep_write(sqe, fd, port, sizeof(*port), 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, ENGINE_NO_TAG);
}

void blk_engine_read(struct blk_engine *e, void *buf, uint32_t bytes, uint64_t offset, uint64_t tag)
{
    struct io_uring_sqe *sqe = uring_sqe(&e->ring);

    io_uring_prep_read(sqe, IMAGE_INDEX, buf, bytes, offset);
    blk_engine_on_image(sqe, tag);
}

void blk_engine_write(struct blk_engine *e, const void *buf, uint32_t bytes, uint64_t offset,
                      uint64_t tag)
{
    struct io_uring_sqe *sqe = uring_sqe(&e->ring);

    io_uring_prep_write(sqe, IMAGE_INDEX, buf, bytes, offset);
    blk_engine_on_image(sqe, tag);
}

void blk_engine_flush(struct blk_engine *e, uint64_t tag)
{
    struct io_uring_sqe *sqe = uring_sqe(&e->ring);

    io_uring_prep_fsync(sqe, IMAGE_INDEX, IORING_FSYNC_DATASYNC);
    blk_engine_on_image(sqe, tag);
}

void blk_engine_discard(struct blk_engine *e, uint64_t offset, uint64_t bytes, uint64_t tag)
{
    struct io_uring_sqe *sqe = uring_sqe(&e->ring);

    io_uring_prep_fallocate(sqe, IMAGE_INDEX, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                            (off_t)offset, (off_t)bytes);
    blk_engine_on_image(sqe, tag);
}

int blk_engine_submit(struct blk_engine *e, bool block)
{
    return uring_submit(&e->ring, block);
}

bool blk_engine_next(struct blk_engine *e, struct uring_event *event)
{
    do {
        if (!uring_next(&e->ring, event)) {
            return false;
        }
    } while (event->tag == ENGINE_NO_TAG); /* an unmasking that failed: the port is closed */
    return true;
}
