/*
 * The worker's way to the disk: see engine.h. The image is a registered file: its reference is
 * taken once and not for each request.
 */
#include "engine.h"

#include <errno.h>
#include <fcntl.h>

#include "wire.h"

/* Of registered files. */
enum { IMAGE_INDEX, LOCK_INDEX, LOG_INDEX, NR_FILES };

int blk_engine_claim(int image, bool read_only, void (*waits)(void))
{
    struct flock lock = {.l_type = read_only ? F_RDLCK : F_WRLCK,
                         .l_whence = SEEK_SET,
                         .l_start = BLK_WIRE_WORKER_BYTE,
                         .l_len = 1};

    if (fcntl(image, F_OFD_SETLK, &lock) == 0) {
        return 0;
    }
    if (errno != EAGAIN && errno != EACCES) {
        return -errno;
    }
    waits();
    return fcntl(image, F_OFD_SETLKW, &lock) < 0 ? -errno : 0;
}

int blk_engine_open(struct io_uring *ring, unsigned int depth, const struct blk_engine_files *files,
                    bool discard)
{
    static const uint8_t operations[] = {
        IORING_OP_POLL_ADD,    IORING_OP_READ,  IORING_OP_WRITE,    IORING_OP_READ_FIXED,
        IORING_OP_WRITE_FIXED, IORING_OP_FSYNC, IORING_OP_FALLOCATE /* the last */};
    const unsigned int nr_operations = sizeof(operations) - (discard ? 0 : 1);
    const int fds[NR_FILES] = {
        [IMAGE_INDEX] = files->image, [LOCK_INDEX] = files->lock, [LOG_INDEX] = files->log};
    const struct uring_limits limits = {.operations = operations,
                                        .nr_operations = nr_operations,
                                        .flags = IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS,
                                        .files = fds,
                                        .nr_files = NR_FILES,
                                        .nr_buffers = BLK_ENGINE_PINS};

    return uring_open(ring, depth, &limits);
}

static void blk_engine_on_image(struct io_uring_sqe *sqe, uint64_t tag)
{
    sqe->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(sqe, tag);
}

int blk_engine_pin(struct io_uring *ring, uint64_t tag, void *buf, uint32_t bytes)
{
    return uring_pin(ring, (unsigned int)tag, buf, bytes);
}

void blk_engine_read(struct io_uring *ring, void *buf, uint32_t bytes, uint64_t offset, bool pinned,
                     uint64_t tag)
{
    struct io_uring_sqe *sqe = uring_sqe(ring);

    if (pinned) {
        io_uring_prep_read_fixed(sqe, IMAGE_INDEX, buf, bytes, offset, (int)tag);
    } else {
        io_uring_prep_read(sqe, IMAGE_INDEX, buf, bytes, offset);
    }
    blk_engine_on_image(sqe, tag);
}

void blk_engine_write(struct io_uring *ring, const void *buf, uint32_t bytes, uint64_t offset,
                      bool pinned, uint64_t tag)
{
    struct io_uring_sqe *sqe = uring_sqe(ring);

    if (pinned) {
        io_uring_prep_write_fixed(sqe, IMAGE_INDEX, buf, bytes, offset, (int)tag);
    } else {
        io_uring_prep_write(sqe, IMAGE_INDEX, buf, bytes, offset);
    }
    blk_engine_on_image(sqe, tag);
}

void blk_engine_flush(struct io_uring *ring, bool of_all, uint64_t tag)
{
    struct io_uring_sqe *sqe = uring_sqe(ring);

    io_uring_prep_fsync(sqe, of_all ? LOCK_INDEX : IMAGE_INDEX, IORING_FSYNC_DATASYNC);
    blk_engine_on_image(sqe, tag);
}

void blk_engine_discard(struct io_uring *ring, uint64_t offset, uint64_t bytes, uint64_t tag)
{
    struct io_uring_sqe *sqe = uring_sqe(ring);

    io_uring_prep_fallocate(sqe, IMAGE_INDEX, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                            (off_t)offset, (off_t)bytes);
    blk_engine_on_image(sqe, tag);
}
