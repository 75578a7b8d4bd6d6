/*
 * The storage and the ring to it: see disk.h.
 */
#include "disk.h"

#include <errno.h>
#include <string.h>

#include "uring.h"
#include "workerside.h"
#include "xen.h"

#define SQES    160U
#define CQES    160U
#define FIXED   4U
#define OPS     192U
#define NR_POLL 4U
#define PINS    64U

/* ---- the storage ---- */

static uint8_t cache[DISK_SECTORS][DISK_SECTOR_BYTES];
static uint8_t stable[DISK_SECTORS][DISK_SECTOR_BYTES]; /* of those that are dirty or lost */
static enum { CLEAN, DIRTY, LOST } health[DISK_SECTORS];
static uint64_t wb_errors; /* counts them */
static bool wb_told;       /* the last one, to anybody */

bool disk_stalls;
uint32_t disk_errors, disk_shorts, disk_retries;
unsigned int disk_told_errors;

enum op_kind { OP_READ, OP_WRITE, OP_FSYNC, OP_DISCARD };

struct op {
    bool used;
    enum op_kind kind;
    struct disk_ring *ring; /* NULL: its worker is gone */
    uint8_t *buf;           /* of the worker; a copy of its own once that is gone */
    bool own_buf;
    uint64_t offset, bytes, tag;
    struct file *file;         /* that it is on */
    struct file *holds[FIXED]; /* with the ring */
    bool stuck;                /* does not end while others do */
};

static struct op ops[OPS];

struct disk_ring {
    struct process *process;
    struct io_uring_sqe sqes[SQES];
    unsigned int nr_sqes;
    struct uring_event cqes[CQES];
    unsigned int cq_head, cq_tail;
    struct file *fixed[FIXED];
    unsigned int nr_fixed;
    struct {
        uint8_t *buf;
        uint32_t bytes;
    } pins[PINS];
    /* polls and reads of descriptors that are none of the disk's */
    bool ports_armed, socket_armed, signal_armed;
    uint64_t ports_tag, socket_tag, signal_tag;
    uint32_t *ports_buf;
    unsigned int ports_max;
    unsigned int socket_seen; /* messages that were told of */
    bool socket_end_told;
};

static void put_stamp(uint8_t *sector, uint64_t stamp)
{
    for (unsigned int i = 0; i < DISK_SECTOR_BYTES; i += sizeof(stamp)) {
        memcpy(sector + i, &stamp, sizeof(stamp));
    }
}

bool disk_stamp(uint32_t sector, uint64_t *stamp)
{
    memcpy(stamp, cache[sector], sizeof(*stamp));
    return memcmp(cache[sector], cache[sector] + 8, DISK_SECTOR_BYTES - 8) == 0;
}

bool disk_is_stable(uint32_t sector)
{
    return health[sector] == CLEAN;
}

static void make_dirty(uint32_t sector)
{
    if (health[sector] == CLEAN) {
        memcpy(stable[sector], cache[sector], DISK_SECTOR_BYTES);
    }
    health[sector] = DIRTY;
}

bool disk_is_lost(uint32_t sector)
{
    return health[sector] == LOST;
}

int disk_lose_something(void)
{
    uint32_t first = sim_below(DISK_SECTORS);

    for (uint32_t n = 0; n < DISK_SECTORS; n++) {
        uint32_t s = (first + n) % DISK_SECTORS;

        if (health[s] == DIRTY) {
            health[s] = LOST;
            wb_errors++;
            wb_told = false;
            sim_trace("sector %u is not written back", s);
            return (int)s;
        }
    }
    return -1;
}

void disk_forget_something(void)
{
    uint32_t first = sim_below(DISK_SECTORS);

    for (uint32_t n = 0; n < DISK_SECTORS; n++) {
        uint32_t s = (first + n) % DISK_SECTORS;

        if (health[s] == LOST) {
            memcpy(cache[s], stable[s], DISK_SECTOR_BYTES);
            sim_trace("sector %u falls back", s);
            return;
        }
    }
}

struct file *disk_open(enum file_type type)
{
    struct file *f = file_new(type);

    /* errseq_sample(): an error that nobody was told yet is news to who opens now */
    f->wb_seen = wb_told || wb_errors == 0 ? wb_errors : wb_errors - 1;
    return f;
}

static int carry_out_fsync(struct op *o)
{
    for (uint32_t s = 0; s < DISK_SECTORS; s++) {
        if (health[s] == DIRTY) {
            health[s] = CLEAN;
        }
    }
    if (o->file->wb_seen != wb_errors) {
        o->file->wb_seen = wb_errors;
        wb_told = true;
        return -EIO;
    }
    return 0;
}

/* The first `bytes` bytes of it. */
static void carry_out(struct op *o, uint64_t bytes)
{
    uint32_t first = (uint32_t)(o->offset / DISK_SECTOR_BYTES);

    sim_require(o->offset % DISK_SECTOR_BYTES == 0 && bytes % DISK_SECTOR_BYTES == 0);
    sim_require(o->offset + o->bytes <= (uint64_t)DISK_SECTORS * DISK_SECTOR_BYTES);
    for (uint32_t i = 0; i < bytes / DISK_SECTOR_BYTES; i++) {
        if (o->kind == OP_READ) {
            memcpy(o->buf + (size_t)i * DISK_SECTOR_BYTES, cache[first + i], DISK_SECTOR_BYTES);
            continue;
        }
        make_dirty(first + i);
        if (o->kind == OP_WRITE) {
            memcpy(cache[first + i], o->buf + (size_t)i * DISK_SECTOR_BYTES, DISK_SECTOR_BYTES);
        } else {
            put_stamp(cache[first + i], 0);
        }
    }
}

static void post(struct disk_ring *r, uint64_t tag, int res, bool more)
{
    sim_require(r->cq_tail - r->cq_head < CQES);
    r->cqes[r->cq_tail++ % CQES] = (struct uring_event){.tag = tag, .res = res, .more = more};
}

static void op_free(struct op *o)
{
    for (unsigned int i = 0; i < FIXED; i++) {
        if (o->holds[i] != NULL) {
            file_put(o->holds[i]);
        }
    }
    if (o->own_buf) {
        host_memory_free(o->buf);
    }
    o->used = false;
}

static const char *op_name(const struct op *o)
{
    static const char *const names[] = {"read", "write", "fsync", "discard"};

    return names[o->kind];
}

/* Of a worker that lives. */
static void op_end(struct op *o)
{
    bool transfer = o->kind == OP_READ || o->kind == OP_WRITE;
    int res = 0;

    if (sim_chance(disk_retries)) {
        res = sim_chance(500) ? -EAGAIN : -EINTR;
    } else if (sim_chance(disk_errors)) {
        res = sim_chance(500) ? -EIO : -ENOSPC;
        disk_told_errors++;
        if (o->kind == OP_WRITE && sim_chance(500)) {
            carry_out(o, o->bytes / 2 / DISK_SECTOR_BYTES * DISK_SECTOR_BYTES);
        }
    } else if (o->kind == OP_FSYNC) {
        res = carry_out_fsync(o);
    } else {
        uint64_t bytes = o->bytes;

        if (transfer && bytes > DISK_SECTOR_BYTES && sim_chance(disk_shorts)) {
            bytes = DISK_SECTOR_BYTES * (1 + sim_below((uint32_t)(bytes / DISK_SECTOR_BYTES - 1)));
        }
        carry_out(o, bytes);
        res = transfer ? (int)bytes : 0;
    }
    sim_trace("disk: %s of sector %u, tag %u: %d", op_name(o),
              (unsigned int)(o->offset / DISK_SECTOR_BYTES), (unsigned int)o->tag, res);
    post(o->ring, o->tag, res, false);
    op_free(o);
}

/* Of one that is gone: in whole, in part, or not at all; nobody hears of it. */
static void op_end_late(struct op *o)
{
    uint64_t sectors = o->bytes / DISK_SECTOR_BYTES;

    sim_trace("disk: late %s of sector %u", op_name(o),
              (unsigned int)(o->offset / DISK_SECTOR_BYTES));
    if (o->kind == OP_FSYNC && sim_chance(500)) {
        carry_out_fsync(o);
    } else if (o->kind == OP_WRITE && sim_chance(700)) {
        carry_out(o, DISK_SECTOR_BYTES *
                         (sim_chance(600) ? sectors : sim_below((uint32_t)sectors + 1)));
    } else if (o->kind == OP_DISCARD && sim_chance(700)) {
        carry_out(o, o->bytes);
    }
    op_free(o);
}

unsigned int disk_under_way(void)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < OPS; i++) {
        n += ops[i].used ? 1 : 0;
    }
    return n;
}

bool disk_has_work(void)
{
    return !disk_stalls && disk_under_way() != 0;
}

void disk_step(void)
{
    uint32_t first = sim_below(OPS);

    for (uint32_t n = 0; n < OPS; n++) {
        struct op *o = &ops[(first + n) % OPS];

        if (o->used) {
            if (o->ring != NULL) {
                op_end(o);
            } else {
                op_end_late(o);
            }
            return;
        }
    }
}

/* ---- lib/uring.h ---- */

static struct disk_ring rings[PROCESSES];

static struct disk_ring *ring_current(void)
{
    struct process *p = process_current();

    sim_require(p != NULL && p->ring != NULL);
    return p->ring;
}

int uring_open(struct io_uring *ring, unsigned int depth, const struct uring_limits *limits)
{
    struct process *p = process_current();
    struct disk_ring *r = &rings[p - processes];

    (void)depth;
    ring->ring_fd = -1;
    memset(r, 0, sizeof(*r));
    r->process = p;
    r->nr_fixed = limits->nr_files;
    for (unsigned int i = 0; i < limits->nr_files; i++) {
        r->fixed[i] = fd_file(limits->files[i]);
        file_get(r->fixed[i]);
    }
    p->ring = r;
    return 0;
}

int uring_pin(struct io_uring *ring, unsigned int index, void *buf, uint32_t bytes)
{
    struct disk_ring *r = ring_current();

    (void)ring;
    sim_require(index < PINS);
    if (sim_chance(disk_errors)) {
        return -ENOMEM;
    }
    r->pins[index].buf = buf;
    r->pins[index].bytes = bytes;
    return 0;
}

/* Whether an operation with a pinned buffer stays within it. */
static bool is_pinned(const struct disk_ring *r, const struct io_uring_sqe *sqe)
{
    const uint8_t *buf = (const uint8_t *)(uintptr_t)sqe->addr;

    return sqe->buf_index < PINS && r->pins[sqe->buf_index].buf != NULL &&
           buf >= r->pins[sqe->buf_index].buf &&
           buf + sqe->len <= r->pins[sqe->buf_index].buf + r->pins[sqe->buf_index].bytes;
}

struct io_uring_sqe *uring_sqe(struct io_uring *ring)
{
    struct disk_ring *r = ring_current();

    (void)ring;
    sim_require(r->nr_sqes < SQES);
    memset(&r->sqes[r->nr_sqes], 0, sizeof(r->sqes[0]));
    return &r->sqes[r->nr_sqes++];
}

static void prep(struct io_uring *ring, uint8_t opcode, int fd, const void *buf, uint32_t bytes,
                 uint64_t tag)
{
    struct io_uring_sqe *sqe = uring_sqe(ring);

    sqe->opcode = opcode;
    sqe->fd = fd;
    sqe->addr = (uint64_t)(uintptr_t)buf;
    sqe->len = bytes;
    sqe->user_data = tag;
}

void uring_poll(struct io_uring *ring, int fd, uint64_t tag)
{
    prep(ring, IORING_OP_POLL_ADD, fd, NULL, 0, tag);
}

void uring_read(struct io_uring *ring, int fd, void *buf, uint32_t bytes, uint64_t tag)
{
    prep(ring, IORING_OP_READ, fd, buf, bytes, tag);
}

void uring_write_silently(struct io_uring *ring, int fd, const void *buf, uint32_t bytes,
                          uint64_t tag)
{
    prep(ring, IORING_OP_WRITE, fd, buf, bytes, tag);
}

static void submit_to_disk(struct disk_ring *r, const struct io_uring_sqe *sqe)
{
    struct op *o = ops;

    while (o->used) {
        o++;
        sim_require(o < ops + OPS);
    }
    sim_require((unsigned int)sqe->fd < r->nr_fixed);
    *o = (struct op){.used = true,
                     .ring = r,
                     .buf = (uint8_t *)(uintptr_t)sqe->addr,
                     .offset = sqe->off,
                     .bytes = sqe->len,
                     .tag = sqe->user_data,
                     .file = r->fixed[sqe->fd]};
    switch (sqe->opcode) {
    case IORING_OP_READ_FIXED:
        sim_require(is_pinned(r, sqe));
        o->kind = OP_READ;
        break;
    case IORING_OP_WRITE_FIXED:
        sim_require(is_pinned(r, sqe));
        o->kind = OP_WRITE;
        break;
    case IORING_OP_READ:
        o->kind = OP_READ;
        break;
    case IORING_OP_WRITE:
        o->kind = OP_WRITE;
        break;
    case IORING_OP_FSYNC:
        o->kind = OP_FSYNC;
        o->bytes = 0;
        break;
    default:
        sim_require(sqe->opcode == IORING_OP_FALLOCATE);
        o->kind = OP_DISCARD;
        o->bytes = sqe->addr; /* io_uring_prep_fallocate() puts the length there */
        break;
    }
    for (unsigned int i = 0; i < r->nr_fixed; i++) {
        o->holds[i] = r->fixed[i];
        file_get(r->fixed[i]);
    }
}

/* What is no disk's: the ports, the socket, the signals. */
static void submit_other(struct disk_ring *r, const struct io_uring_sqe *sqe)
{
    void *buf = (void *)(uintptr_t)sqe->addr;

    if (sqe->opcode == IORING_OP_WRITE) {
        xen_unmask(r->process, buf, sqe->len / sizeof(uint32_t));
    } else if (sqe->opcode == IORING_OP_READ) {
        r->ports_armed = true;
        r->ports_tag = sqe->user_data;
        r->ports_buf = buf;
        r->ports_max = sqe->len / sizeof(uint32_t);
    } else if (sqe->fd == CHILD_SOCKET_FD) {
        r->socket_armed = true;
        r->socket_tag = sqe->user_data;
    } else {
        r->signal_armed = true;
        r->signal_tag = sqe->user_data;
    }
}

static void submit_all(struct disk_ring *r)
{
    for (unsigned int i = 0; i < r->nr_sqes; i++) {
        const struct io_uring_sqe *sqe = &r->sqes[i];

        if ((sqe->flags & IOSQE_FIXED_FILE) != 0) {
            submit_to_disk(r, sqe);
        } else {
            submit_other(r, sqe);
        }
    }
    r->nr_sqes = 0;
}

void disk_ring_poll(struct process *p)
{
    struct disk_ring *r = p->ring;

    if (r == NULL) {
        return;
    }
    if (r->ports_armed) {
        unsigned int n = xen_read_ports(p, r->ports_buf, r->ports_max);

        if (n != 0) {
            r->ports_armed = false;
            post(r, r->ports_tag, (int)(n * sizeof(uint32_t)), false);
        }
    }
    if (r->socket_armed && p->peer->to_child.nr > r->socket_seen) {
        r->socket_seen = p->peer->to_child.nr;
        post(r, r->socket_tag, 1, true);
    } else if (r->socket_armed && p->peer->child == NULL && !r->socket_end_told) {
        r->socket_end_told = true;
        post(r, r->socket_tag, 1, true);
    }
    if (r->signal_armed && p->terminate) {
        r->signal_armed = false;
        post(r, r->signal_tag, 1, false);
    }
}

static bool something_completed(void *arg)
{
    struct disk_ring *r = arg;

    disk_ring_poll(r->process);
    return r->cq_head != r->cq_tail;
}

int uring_submit(struct io_uring *ring, uint64_t wait_ns)
{
    struct disk_ring *r = ring_current();

    (void)ring;
    submit_all(r);
    if (wait_ns != 0) {
        task_wait(something_completed, r, wait_ns == UINT64_MAX ? SIM_NEVER : sim_now + wait_ns);
    } else {
        task_give_way(200);
    }
    return 0;
}

bool uring_next(struct io_uring *ring, struct uring_event *event)
{
    struct disk_ring *r = ring_current();

    (void)ring;
    disk_ring_poll(r->process);
    if (r->cq_head == r->cq_tail) {
        return false;
    }
    *event = r->cqes[r->cq_head++ % CQES];
    if (event->tag == r->socket_tag) {
        r->socket_seen = 0; /* it reads all that is there now */
    }
    return true;
}

void disk_ring_orphan(struct process *p)
{
    struct disk_ring *r = p->ring;

    for (unsigned int i = 0; i < OPS; i++) {
        struct op *o = &ops[i];

        if (!o->used || o->ring != r) {
            continue;
        }
        o->ring = NULL;
        if (o->kind == OP_WRITE) {
            uint8_t *copy = host_memory(o->bytes); /* its pages are pinned for as long */

            memcpy(copy, o->buf, o->bytes);
            o->buf = copy;
            o->own_buf = true;
        } else {
            o->buf = NULL;
        }
    }
    for (unsigned int i = 0; i < r->nr_fixed; i++) {
        file_put(r->fixed[i]);
    }
    p->ring = NULL;
}

void disk_reset(void)
{
    for (unsigned int i = 0; i < OPS; i++) {
        if (ops[i].used && ops[i].own_buf) {
            host_memory_free(ops[i].buf);
        }
    }
    memset(ops, 0, sizeof(ops));
    memset(cache, 0, sizeof(cache));
    memset(health, 0, sizeof(health));
    wb_errors = 0;
    wb_told = true;
    disk_stalls = false;
    disk_errors = disk_shorts = disk_retries = 0;
    disk_told_errors = 0;
}
