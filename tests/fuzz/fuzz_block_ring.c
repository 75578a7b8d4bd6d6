/*
 * Fuzzes a block ring and its queue together: whatever a front end does to its page, whatever the
 * disk answers, and whenever the worker is killed, each request that was taken is answered once,
 * with its own id and operation; a good answer stands for exactly the bytes that the request names;
 * nothing outside of the disk, or that was not offered, reaches it. What was copied out of the ring
 * counts: a second vCPU rewrites it meanwhile. Another worker may find a log that the last one has
 * spoiled: it refuses that, or answers all that it took.
 *
 * With a limit what was taken is what may be by then, and the rest stays in the ring.
 *
 * Input: a byte of choices, another for where the indices begin, then steps, each a byte and what
 * it needs, with a limit after a byte of time. The disk and the guest are memory.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <xen/xen.h>
#include <xen/io/blkif.h>

#include "parts/guest.h"
#include "parts/input.h"
#include "queue.h"

enum { SECTORS = 256, HANDLE = 51712, STEPS = 400, RING_PAGES = 2, IOPS = 100 };

#define SECOND_NS UINT64_C(1000000000)

enum step {
    PUT_DIRECT,
    PUT_INDIRECT,
    PUT_RAW,
    FILL_SEGMENTS,
    MOVE_INDEX,
    SET_INDEX,
    SCRIBBLE,
    TAKE,
    COMPLETE,
    ANSWER,
    KILL,
    SPOIL_LOG,
    REWRITE,
    FAIL_COPIES,
    TURN,
    NR_STEPS,
};

/* An operation of the disk that has not ended. */
struct operation {
    bool active;
    enum blk_operation kind;
    uint8_t *buf;
    uint64_t bytes, offset;
};

/* What a slot holds, as the test knows it. */
struct held {
    bool open;
    uint64_t id;
    uint8_t op;        /* as the response repeats it */
    bool indirect;     /* and its page is yet to be copied */
    uint64_t sector;   /* where it begins */
    uint64_t bytes;    /* that it names */
    uint64_t moved;    /* to or from the disk */
    uint64_t copied;   /* to or from the guest */
    unsigned int done; /* flushes and discards that the disk has carried out */
};

static const struct log_id id = {.class = "vbd", .domid = 1, .device = HANDLE};
static struct inflight_ring which;
static struct blk_queue *q;
static struct figures figures;
static const struct stopwatch watch;
static struct inflight_log inflight;
static uint8_t *page; /* the ring's */
static uint8_t disk[SECTORS * BLK_SECTOR_BYTES];
static struct operation operations[BLK_QUEUE_MAX_SLOTS];
static struct held held[BLK_QUEUE_MAX_SLOTS];
static unsigned int free_before[BLK_QUEUE_MAX_SLOTS]; /* slots, as they would be filled */
static struct blk_limits limits;
static const struct blk_layout *layout;
static uint32_t seen;        /* responses that were looked at */
static uint32_t smeared;     /* those before it the guest may have overwritten before it saw them */
static bool wild;            /* a log was spoiled, and taken for a good one */
static bool throttled;       /* the guest may have so much and no more */
static uint64_t now_ns;      /* and it is so late */
static uint64_t began_ns;    /* this worker, */
static uint64_t taken;       /* which has taken so many */
static bool rewriting, over; /* the second vCPU is at work; nothing can follow */

/* Time passes as the input says. */
uint64_t loop_now_ns(void)
{
    return now_ns;
}

static uint8_t *entry_at(uint32_t index)
{
    return page + RING_HEADER_BYTES +
           (size_t)(index & (q->ring.nr_entries - 1)) * layout->entry_bytes;
}

static struct ring_shared *shared(void)
{
    return (struct ring_shared *)page;
}

/* The guest is about to write to its page. */
static uint8_t *guest_writes(uint8_t *where)
{
    smeared = q->ring.rsp_prod;
    return where;
}

static void submit(enum blk_operation kind, const void *buf, uint64_t bytes, uint64_t offset,
                   uint64_t tag)
{
    const uint8_t *b = buf;

    require(tag < q->nr_slots && !operations[tag].active && !limits.refuse);
    require(kind == BLK_FLUSH || (offset <= sizeof(disk) && bytes <= sizeof(disk) - offset));
    require(!limits.read_only || (kind != BLK_WRITE && kind != BLK_DISCARD));
    require(kind != BLK_DISCARD || limits.discard);
    if (kind == BLK_READ || kind == BLK_WRITE) {
        require(b >= q->slots[tag].buf && b + bytes <= q->slots[tag].buf + BLK_QUEUE_SLOT_BYTES);
    }
    if (!wild) {
        require(held[tag].open);
        require(kind == BLK_FLUSH ||
                offset == held[tag].sector * BLK_SECTOR_BYTES + held[tag].moved);
        require(kind == BLK_FLUSH || bytes == held[tag].bytes - held[tag].moved);
        require(kind != BLK_WRITE || held[tag].copied == held[tag].bytes);
    }
    operations[tag] = (struct operation){
        .active = true, .kind = kind, .buf = (uint8_t *)buf, .bytes = bytes, .offset = offset};
}

/* In place of engine.c. */
int blk_engine_pin(struct io_uring *ring, uint64_t tag, void *buf, uint32_t bytes)
{
    (void)ring;
    require(tag < q->nr_slots && !operations[tag].active);
    require(buf == q->slots[tag].buf && bytes <= BLK_QUEUE_SLOT_BYTES);
    return 0;
}

void blk_engine_read(struct io_uring *ring, void *buf, uint32_t bytes, uint64_t offset, bool pinned,
                     uint64_t tag)
{
    (void)ring;
    (void)pinned;
    submit(BLK_READ, buf, bytes, offset, tag);
}

void blk_engine_write(struct io_uring *ring, const void *buf, uint32_t bytes, uint64_t offset,
                      bool pinned, uint64_t tag)
{
    (void)ring;
    (void)pinned;
    submit(BLK_WRITE, buf, bytes, offset, tag);
}

void blk_engine_flush(struct io_uring *ring, bool of_all, uint64_t tag)
{
    (void)ring;
    (void)of_all;
    submit(BLK_FLUSH, NULL, 0, 0, tag);
}

/* There is no server. */
void blk_nbd_submit(struct blk_nbd *n, enum blk_operation op, uint8_t *buf, uint64_t bytes,
                    uint64_t offset, unsigned int tag)
{
    (void)n;
    (void)op;
    (void)buf;
    (void)bytes;
    (void)offset;
    (void)tag;
    abort();
}

void blk_engine_discard(struct io_uring *ring, uint64_t offset, uint64_t bytes, uint64_t tag)
{
    (void)ring;
    submit(BLK_DISCARD, NULL, bytes, offset, tag);
}

/* Carries `bytes` bytes of an operation out. */
static void carry_out(const struct operation *o, uint64_t bytes)
{
    if (o->kind == BLK_READ) {
        memcpy(o->buf, disk + o->offset, bytes);
    } else if (o->kind == BLK_WRITE) {
        memcpy(disk + o->offset, o->buf, bytes);
    } else if (o->kind == BLK_DISCARD) {
        memset(disk + o->offset, 0, bytes);
    }
}

/* The operation of a slot ends as `how` says. */
static void end_operation(unsigned int tag, uint8_t how)
{
    static const int errors[] = {EIO, EAGAIN, EINTR, ENOSPC};
    struct operation o = operations[tag];
    bool transfer = o.kind == BLK_READ || o.kind == BLK_WRITE;
    int res;

    if (!o.active) {
        return;
    }
    operations[tag].active = false;
    if (how < 4) {
        res = -errors[how];
    } else if (transfer) {
        res = (int)(how < 8 ? o.bytes * (how - 4U) / 4 : o.bytes);
        carry_out(&o, (uint64_t)res);
        held[tag].moved += (uint64_t)res;
    } else {
        carry_out(&o, o.bytes);
        held[tag].moved += o.bytes;
        held[tag].done++;
        res = 0;
    }
    blk_queue_complete(q, tag, res);
}

static void end_all_operations(void)
{
    for (unsigned int tag = 0; tag < BLK_QUEUE_MAX_SLOTS; tag++) {
        end_operation(tag, 0xff);
    }
}

static uint64_t named_by(const uint8_t *segments, unsigned int nr)
{
    uint64_t sectors = 0;

    for (unsigned int i = 0; i < nr; i++) {
        sectors += segments[i * BLK_SEGMENT_BYTES + 5] - segments[i * BLK_SEGMENT_BYTES + 4] + 1U;
    }
    return sectors * BLK_SECTOR_BYTES;
}

/* What was copied, and for which slot. */
static void on_copy(const struct guest_copy *c)
{
    uint64_t at = (uint64_t)(c->local - q->slots[0].buf);
    unsigned int slot = (unsigned int)(at / BLK_QUEUE_SLOT_BYTES);

    require(c->local >= q->slots[0].buf && slot < q->nr_slots);
    require(at % BLK_QUEUE_SLOT_BYTES + c->bytes <= BLK_QUEUE_SLOT_BYTES);
    if (held[slot].indirect) {
        held[slot].indirect = false;
        held[slot].bytes = named_by(c->local, c->bytes / BLK_SEGMENT_BYTES);
    } else {
        require(wild || held[slot].copied <= at % BLK_QUEUE_SLOT_BYTES);
        held[slot].copied += c->bytes;
    }
}

/* The guest rewrites requests that were taken and are not answered, and plays with its index. */
static void second_vcpu(void)
{
    if (!rewriting) {
        return;
    }
    shared()->req_prod += 0x1000;
    for (uint32_t i = q->ring.rsp_prod; i != q->ring.req_cons; i++) {
        memset(entry_at(i), 0xa5, layout->entry_bytes);
    }
}

/* A request that was taken into `slot`, as it stood in the ring. */
static void note_taken(unsigned int slot, const uint8_t *raw)
{
    struct held *h = &held[slot];

    require(!h->open);
    *h = (struct held){.open = true, .op = raw[0]};
    memcpy(&h->id, raw + layout->id, sizeof(h->id));
    memcpy(&h->sector, raw + layout->sector, sizeof(h->sector));
    if (h->op == BLKIF_OP_INDIRECT) {
        h->op = raw[1];
        h->indirect = true;
    } else if (h->op == BLKIF_OP_DISCARD) {
        memcpy(&h->bytes, raw + layout->tail, sizeof(h->bytes));
        h->bytes *= BLK_SECTOR_BYTES;
    } else if (raw[1] <= BLK_DIRECT_SEGMENTS) {
        h->bytes = named_by(raw + layout->tail, raw[1]);
    }
}

/* An answer that the guest was shown is that of a request which waited for one. */
static void look_at_answer(uint32_t index)
{
    const uint8_t *raw = entry_at(index);
    struct held *h = NULL;
    uint64_t its_id;
    int16_t status;

    for (unsigned int i = 0; i < q->nr_slots; i++) {
        if (held[i].open && inflight.slots[i].response == index &&
            inflight.slots[i].state == INFLIGHT_FREE) {
            h = &held[i];
        }
    }
    require(h != NULL);
    memcpy(&its_id, raw, sizeof(its_id));
    memcpy(&status, raw + offsetof(struct blkif_response, status), sizeof(status));
    if ((int32_t)(index - smeared) < 0) {
        h->open = false;
        return;
    }
    require(its_id == h->id && raw[offsetof(struct blkif_response, operation)] == h->op);
    require(status == BLKIF_RSP_OKAY || status == BLKIF_RSP_ERROR ||
            status == BLKIF_RSP_EOPNOTSUPP);
    if (status == BLKIF_RSP_OKAY) {
        bool transfer = h->op == BLKIF_OP_READ || h->op == BLKIF_OP_WRITE;

        require(transfer ? h->bytes != 0 && h->copied == h->bytes : h->done == 1);
        require(h->op == BLKIF_OP_FLUSH_DISKCACHE || h->moved == h->bytes);
    }
    h->open = false;
}

/* All that was published since. */
static void look_at_answers(void)
{
    require(shared()->rsp_prod == q->ring.published);
    require((int32_t)(q->ring.req_cons - q->ring.published) >= 0);
    if (wild) {
        seen = q->ring.published; /* the log says where the ring is */
    }
    require(q->ring.published - seen <= q->ring.nr_entries);
    for (; seen != q->ring.published; seen++) {
        look_at_answer(seen);
    }
}

static void answer(void)
{
    uint32_t before = q->ring.published, prod = shared()->req_prod;

    (void)blk_queue_answer(q);
    shared()->req_prod = prod;
    if (q->ring.published != before) {
        look_at_answers();
    }
}

/* Whether only what an earlier worker left is looked at. */
static bool replays(void)
{
    return q->replaying && (q->in_flight > q->nr_replay || q->replay != NULL);
}

/* Copies are made, and counted, before blk_queue_take() says what it took: this tells before. */
static unsigned int foresee(void)
{
    struct blk_queue_slot *slot = q->free;
    int pending = ring_pending(&q->ring);
    unsigned int n = 0;

    for (; (int)n < pending && slot != NULL && !replays(); n++, slot = slot->next) {
        free_before[n] = (unsigned int)(slot - q->slots);
        if (!wild) {
            note_taken((unsigned int)(slot - q->slots), entry_at(q->ring.req_cons + n));
        }
    }
    return n;
}

/* Those of the foreseen that the limit left in the ring. */
static void leave_behind(unsigned int n, unsigned int foreseen)
{
    for (; n < foreseen; n++) {
        held[free_before[n]].open = false;
    }
}

static void take(void)
{
    uint32_t first = q->ring.req_cons, prod = shared()->req_prod;
    bool broken = !replays() && (prod - q->ring.rsp_prod > q->ring.nr_entries ||
                                 prod - first > q->ring.nr_entries);
    unsigned int foreseen = foresee();
    int n = blk_queue_take(q);

    shared()->req_prod = prod;
    over = n < 0;
    require(over == broken);
    if (!over && throttled && (unsigned int)n < foreseen) {
        require(q->throttled); /* it may be open again, by what was given back */
        leave_behind((unsigned int)n, foreseen);
        foreseen = (unsigned int)n;
    }
    require(over || ((unsigned int)n == foreseen && q->ring.req_cons - first == foreseen));
    taken += over ? 0 : (unsigned int)n;
    require(!throttled || taken <= (now_ns - began_ns) * IOPS / SECOND_NS);
    require(q->in_flight <= q->nr_slots);
}

static void put_segments(struct input *in, uint8_t *to, unsigned int nr)
{
    for (unsigned int i = 0; i < nr; i++, to += BLK_SEGMENT_BYTES) {
        uint8_t where = input_u8(in), which_page = input_u8(in);
        const struct blkif_request_segment s = {.gref = which_page % (GUEST_PAGES + 1),
                                                .first_sect = where & 0xf,
                                                .last_sect = where >> 4};

        memcpy(to, &s, sizeof(s));
    }
}

/* A request that makes sense, more or less. */
static void put_request(struct input *in, bool indirect)
{
    uint8_t *raw = guest_writes(entry_at(shared()->req_prod++));
    uint8_t op = input_u8(in), nr = input_u8(in), where = input_u8(in);
    uint16_t handle = (op & 0x80) != 0 ? 1 : HANDLE;
    uint64_t sector = where, its_id = input_u8(in);
    uint32_t ref = nr % (GUEST_PAGES + 1);
    uint16_t count = nr;

    memset(raw, 0, layout->entry_bytes);
    memcpy(raw + layout->id, &its_id, sizeof(its_id));
    memcpy(raw + layout->sector, &sector, sizeof(sector));
    if (indirect) {
        raw[0] = BLKIF_OP_INDIRECT;
        raw[1] = op & 1;
        count = op >> 1 & 0x3f;
        memcpy(raw + 2, &count, sizeof(count));
        memcpy(raw + layout->tail, &handle, sizeof(handle));
        memcpy(raw + layout->tail + 4, &ref, sizeof(ref));
        return;
    }
    raw[0] = op & 7;
    raw[1] = nr & 0xf;
    memcpy(raw + 2, &handle, sizeof(handle));
    if (raw[0] == BLKIF_OP_DISCARD) {
        sector = nr;
        memcpy(raw + layout->tail, &sector, sizeof(sector));
        raw[1] = op >> 6 & 1;
    } else {
        put_segments(in, raw + layout->tail, raw[1] < BLK_DIRECT_SEGMENTS ? raw[1] : 0);
    }
}

/* A worker of its own process: it has nothing but the page and the log. Returns whether it goes
 * on. */
static bool start_worker(void)
{
    const struct blk_wire_pace pace = {.iops = IOPS, .bytes = UINT64_C(1) << 20, .burst_s = 1};
    const char *why = NULL;
    int err;

    memset(q, 0, sizeof(*q));
    q->layout = layout;
    q->limits = limits;
    q->log = &inflight;
    q->id = &id;
    q->figures = &figures;
    q->watch = &watch;
    if (throttled) {
        blk_throttle_set(&q->throttle, &pace, now_ns);
    }
    began_ns = now_ns;
    taken = 0;
    ring_attach(&q->ring, page, RING_PAGES * GUEST_BYTES, layout->entry_bytes);
    require(blk_queue_init(q, NULL, 1) == 0);
    err = blk_queue_take_over(q, &which, &why);
    require(err == 0 || why != NULL);
    return err == 0;
}

static void end_worker(void)
{
    munmap(q->slots[0].buf, (size_t)q->nr_slots * BLK_QUEUE_SLOT_BYTES);
    free(q->copies.segs);
    free(q->copies.tags);
}

/* Whether the guest has written over the counts of its ring, so that another is taken to be there.
 */
static bool is_foreign(void)
{
    uint32_t prod = shared()->req_prod, shown = shared()->rsp_prod, nr = q->ring.nr_entries;

    return (shown != inflight.written && shown != inflight.published) ||
           prod - inflight.written > nr || prod - inflight.taken > nr;
}

/* What the disk was told to do is done before another begins, or never. */
static void kill_worker(uint8_t how, bool spoiled)
{
    bool foreign = is_foreign();

    for (unsigned int i = 0; i < BLK_QUEUE_MAX_SLOTS; i++) {
        if (operations[i].active && (how & 1) != 0) {
            carry_out(&operations[i], operations[i].bytes);
        }
        operations[i].active = false;
        if (inflight.slots[i].state == INFLIGHT_TAKEN && held[i].open) {
            held[i].open = false;
            note_taken(i, inflight.slots[i].raw); /* from the beginning */
        }
    }
    end_worker();
    wild = wild || spoiled;
    over = !start_worker();
    require(spoiled || wild || over == foreign);
    if (!over) {
        look_at_answers();
    }
}

static void spoil_log(struct input *in)
{
    uint8_t *bytes = (uint8_t *)&inflight;
    uint16_t where = input_u16(in);
    uint8_t what = input_u8(in);

    bytes[where % sizeof(inflight)] ^= what;
    kill_worker(1, true);
}

static void scribble(struct input *in)
{
    uint16_t where = input_u16(in);
    uint8_t n = input_u8(in) % 32;

    for (unsigned int i = 0; i < n; i++) {
        *guest_writes(page + (where + i) % (RING_PAGES * GUEST_BYTES)) = input_u8(in);
    }
}

static void turn(void)
{
    end_all_operations();
    answer();
    take();
}

static void do_step(struct input *in, enum step step)
{
    uint8_t n;

    if (throttled) {
        now_ns += input_u8(in) * (SECOND_NS / 1000);
        blk_throttle_clock(&q->throttle, now_ns);
    }
    switch (step) {
    case PUT_DIRECT:
    case PUT_INDIRECT:
        put_request(in, step == PUT_INDIRECT);
        break;
    case PUT_RAW:
        input_bytes(in, guest_writes(entry_at(shared()->req_prod++)), layout->entry_bytes);
        break;
    case FILL_SEGMENTS:
        n = input_u8(in);
        put_segments(in, guest_pages[n % GUEST_PAGES], 1U + n / GUEST_PAGES);
        break;
    case MOVE_INDEX:
        shared()->req_prod += (uint32_t)(int8_t)input_u8(in);
        break;
    case SET_INDEX:
        shared()->req_prod = input_u32(in);
        break;
    case SCRIBBLE:
        scribble(in);
        break;
    case TAKE:
        take();
        break;
    case COMPLETE:
        n = input_u8(in);
        end_operation(n % BLK_QUEUE_MAX_SLOTS, input_u8(in));
        break;
    case ANSWER:
        answer();
        break;
    case KILL:
        kill_worker(input_u8(in), false);
        break;
    case SPOIL_LOG:
        spoil_log(in);
        break;
    case REWRITE:
        rewriting = !rewriting;
        break;
    case FAIL_COPIES:
        guest_calls_fail = !guest_calls_fail;
        break;
    default:
        turn();
        break;
    }
}

/* The guest asks for nothing more; all that was taken is answered. */
static void come_to_rest(void)
{
    for (unsigned int i = 0; q->in_flight != 0; i++) {
        require(i < 4 * BLK_QUEUE_MAX_SLOTS);
        blk_queue_replay(q);
        end_all_operations();
        answer();
    }
    require(q->ring.rsp_prod == q->ring.req_cons && q->ring.published == q->ring.rsp_prod);
    for (unsigned int i = 0; i < BLK_QUEUE_MAX_SLOTS && !wild; i++) {
        require(!held[i].open);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    uint8_t choice = input_u8(&in);
    uint32_t first = (uint32_t)(int8_t)input_u8(&in);

    log_set_level(-1);
    layout = (choice & 1) != 0 ? &blk_layout_x86_32 : &blk_layout_x86_64;
    limits = (struct blk_limits){.sectors = SECTORS,
                                 .handle = HANDLE,
                                 .read_only = (choice & 6) == 6,
                                 .discard = (choice & 8) == 0,
                                 .refuse = (choice & 0xf0) == 0xf0};
    throttled = (choice & 0x70) == 0x40;
    now_ns = SECOND_NS;
    which = (struct inflight_ring){.entry_bytes = layout->entry_bytes, .nr_pages = RING_PAGES};
    memset(&inflight, 0, sizeof(inflight));
    memset(operations, 0, sizeof(operations));
    memset(held, 0, sizeof(held));
    memset(guest_pages, 0, sizeof(guest_pages));
    page = calloc(RING_PAGES, GUEST_BYTES);
    q = malloc(sizeof(*q));
    require(page != NULL && q != NULL);
    shared()->req_prod = shared()->rsp_prod = seen = smeared = first;
    shared()->req_event = shared()->rsp_event = first + 1;
    wild = rewriting = over = guest_calls_fail = false;
    guest_on_copy = on_copy;
    guest_on_call = second_vcpu;
    require(start_worker());
    for (unsigned int i = 0; i < STEPS && in.left != 0 && !over; i++) {
        do_step(&in, input_u8(&in) % NR_STEPS);
    }
    if (!over) {
        come_to_rest();
    }
    end_worker();
    free(q);
    free(page);
    return 0;
}
