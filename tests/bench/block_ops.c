/*
 * block_ops.c - `block-ops DEVICE read|write BYTES DEPTH OPERATIONS ROW TASKS`: direct operations
 * on a block device, at places that are the same in each run, so many under way; between two marks
 * for the ruler (lab.d/ruler). It prepares everything before the first and begins with some
 * operations that do not count, so that what is in between are operations and nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mark.h"

#define SPAN       (48u << 20) /* bytes of the device that are used */
#define MOST_DEPTH 64
#define WARM_UP    2 /* times the depth */

struct load {
    int fd;
    unsigned short opcode;
    unsigned long bytes, depth;
    uint32_t seed;
    aio_context_t context;
    char *buffer; /* depth times bytes */
    struct iocb requests[MOST_DEPTH];
};

static void die(const char *what)
{
    fprintf(stderr, "block-ops: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Sends a request to the next place. */
static void submit(struct load *load, unsigned long slot)
{
    struct iocb *request = &load->requests[slot];

    load->seed = load->seed * 1664525u + 1013904223u;
    *request = (struct iocb){
        .aio_data = slot,
        .aio_lio_opcode = load->opcode,
        .aio_fildes = (uint32_t)load->fd,
        .aio_buf = (uint64_t)(uintptr_t)(load->buffer + slot * load->bytes),
        .aio_nbytes = load->bytes,
        .aio_offset = (int64_t)((load->seed >> 8) % (SPAN / load->bytes) * load->bytes),
    };
    if (syscall(SYS_io_submit, load->context, 1, &request) != 1) {
        die("io_submit");
    }
}

/* So many operations, as many of them under way as there may be. */
static void run(struct load *load, unsigned long operations)
{
    struct io_event events[MOST_DEPTH];
    unsigned long sent = 0;
    unsigned long done = 0;

    while (sent < load->depth && sent < operations) {
        submit(load, sent++);
    }
    while (done < operations) {
        long got = syscall(SYS_io_getevents, load->context, 1, load->depth, events, NULL);

        if (got <= 0) {
            die("io_getevents");
        }
        for (long i = 0; i < got; i++) {
            if (events[i].res != (int64_t)load->bytes) {
                errno = events[i].res < 0 ? (int)-events[i].res : EIO;
                die("operation");
            }
            done++;
            if (sent < operations) {
                submit(load, events[i].data);
                sent++;
            }
        }
    }
}

static void prepare(struct load *load, const char *device, bool writes)
{
    void *buffer;

    if (load->depth == 0 || load->depth > MOST_DEPTH || load->bytes == 0 || load->bytes > SPAN) {
        errno = EINVAL;
        die("bytes or depth");
    }
    load->fd = open(device, (writes ? O_RDWR : O_RDONLY) | O_DIRECT | O_CLOEXEC);
    if (load->fd < 0) {
        die(device);
    }
    if (posix_memalign(&buffer, 4096, load->depth * load->bytes) != 0 ||
        syscall(SYS_io_setup, MOST_DEPTH, &load->context) != 0) {
        die("memory");
    }
    load->buffer = buffer;
    memset(buffer, 0x5a, load->depth * load->bytes);
    load->opcode = writes ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
}

int main(int argc, char **argv)
{
    struct load load = {.seed = 7};
    char begin[MARK_SIZE];
    char end[MARK_SIZE];

    if (argc != 8) {
        fprintf(stderr, "usage: block-ops DEVICE read|write BYTES DEPTH OPERATIONS ROW TASKS\n");
        return 2;
    }
    unsigned long operations = strtoul(argv[5], NULL, 10);
    load.bytes = strtoul(argv[3], NULL, 10);
    load.depth = strtoul(argv[4], NULL, 10);
    prepare(&load, argv[1], strcmp(argv[2], "write") == 0);
    snprintf(begin, sizeof(begin), "note begin %s ops=%lu tasks=%s", argv[6], operations, argv[7]);
    snprintf(end, sizeof(end), "note end %s", argv[6]);
    run(&load, WARM_UP * load.depth);
    ruler_mark(begin);
    run(&load, operations);
    ruler_mark(end);
    return 0;
}
