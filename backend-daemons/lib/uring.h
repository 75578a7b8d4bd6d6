/*
 * A worker's io_uring in its cage. seccomp does not see what travels through the ring, so the ring
 * itself is restricted (IORING_REGISTER_RESTRICTIONS) before the worker takes its guest's first
 * request.
 *
 * Types: struct uring_limits, struct uring_event.
 */
#ifndef DUET_LIB_URING_H
#define DUET_LIB_URING_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#define URING_OPERATIONS_MAX 16U

/* What may be submitted. */
struct uring_limits {
    const uint8_t *operations; /* IORING_OP_* */
    unsigned int nr_operations;
    uint8_t flags;    /* IOSQE_* */
    const int *files; /* registered: their references are taken once and not for each operation */
    unsigned int nr_files;
    unsigned int nr_buffers; /* that uring_pin() may name, from 0 on */
};

/* A completed operation. */
struct uring_event {
    uint64_t tag;
    int res;   /* bytes, poll mask, or -errno */
    bool more; /* a poll that stays armed */
};

/*
 * Sets up for `depth` operations in flight, with the restrictions in force. Must be called by the
 * thread that uses it; io_uring_queue_exit() ends it. Returns 0 or -errno.
 */
int uring_open(struct io_uring *ring, unsigned int depth, const struct uring_limits *limits);

/*
 * Keeps the pages of `buf` in memory, as buffer `index`, for operations that name it
 * (IORING_OP_READ_FIXED, _WRITE_FIXED): these do not look for the pages each time, which in a PV
 * domain costs a thousand instructions per page. Takes the place of what the index had before,
 * with which no operation may be under way. For the cage as well. Returns 0 or -errno.
 */
int uring_pin(struct io_uring *ring, unsigned int index, void *buf, uint32_t bytes);

/* A free submission entry; a full queue is submitted to make room. */
struct io_uring_sqe *uring_sqe(struct io_uring *ring);

/* Reports `tag` every time `fd` becomes readable, until an event has `more` false. */
void uring_poll(struct io_uring *ring, int fd, uint64_t tag);

/* Reads from or writes to a non-blocking descriptor. `buf` must stay until `tag` is reported. */
void uring_read(struct io_uring *ring, int fd, void *buf, uint32_t bytes, uint64_t tag);
void uring_write(struct io_uring *ring, int fd, const void *buf, uint32_t bytes, uint64_t tag);

/* As uring_write(), but success is not reported. The limits must allow IOSQE_CQE_SKIP_SUCCESS. */
void uring_write_silently(struct io_uring *ring, int fd, const void *buf, uint32_t bytes,
                          uint64_t tag);

/*
 * Submits what was queued. With `wait_ns` other than 0 waits until something completes, a signal
 * comes, or so much time has passed (UINT64_MAX: no limit). Nothing queued and nothing to wait for:
 * no system call. Returns 0 or -errno (-EINTR: a signal).
 */
int uring_submit(struct io_uring *ring, uint64_t wait_ns);

/* Takes the next completed operation. Returns false when there is none. */
bool uring_next(struct io_uring *ring, struct uring_event *event);

#endif
