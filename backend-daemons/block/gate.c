/*
 * The gate for guest-written requests: see gate.h. Fields are taken from the private copy by offset
 * (memcpy: an entry of the 32-bit layout is not aligned for 64-bit loads).
 */
#include "gate.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <xen/xen.h>
#include <xen/io/blkif.h>

const struct blk_layout blk_layout_x86_64 = {.entry_bytes = 112, .id = 8, .sector = 16, .tail = 24};
const struct blk_layout blk_layout_x86_32 = {.entry_bytes = 108, .id = 4, .sector = 12, .tail = 20};

/* We are compiled for x86-64, so the header shows that layout, and the table must agree with it. */
_Static_assert(sizeof(union blkif_sring_entry) == 112, "x86_64 entry");
_Static_assert(offsetof(struct blkif_request, id) == 8, "x86_64 id");
_Static_assert(offsetof(struct blkif_request, sector_number) == 16, "x86_64 sector");
_Static_assert(offsetof(struct blkif_request, seg) == 24, "x86_64 segments");
_Static_assert(offsetof(struct blkif_request_discard, nr_sectors) == 24, "x86_64 nr_sectors");
_Static_assert(offsetof(struct blkif_request_indirect, handle) == 24, "x86_64 indirect handle");
_Static_assert(offsetof(struct blkif_request_indirect, indirect_grefs) == 28, "x86_64 grefs");
_Static_assert(sizeof(struct blkif_request_segment) == BLK_SEGMENT_BYTES, "segment");
_Static_assert(BLK_DIRECT_SEGMENTS == BLKIF_MAX_SEGMENTS_PER_REQUEST, "segments per request");
_Static_assert(BLK_MAX_SEGMENTS *BLK_SEGMENT_BYTES <= 4096, "one indirect page is enough");

/* Offsets that both layouts share, and those below the tail. */
#define OFF_OPERATION       0
#define OFF_NR_SEGMENTS     1 /* direct: 8 bits */
#define OFF_DISCARD_FLAG    1
#define OFF_INDIRECT_OP     1
#define OFF_INDIRECT_NR     2 /* indirect: 16 bits */
#define OFF_HANDLE          2
#define TAIL_INDIRECT_GREFS 4

static uint16_t blk_gate_get16(const uint8_t *raw, unsigned int off)
{
    uint16_t v;

    memcpy(&v, raw + off, sizeof(v));
    return v;
}

static uint32_t blk_gate_get32(const uint8_t *raw, unsigned int off)
{
    uint32_t v;

    memcpy(&v, raw + off, sizeof(v));
    return v;
}

static uint64_t blk_gate_get64(const uint8_t *raw, unsigned int off)
{
    uint64_t v;

    memcpy(&v, raw + off, sizeof(v));
    return v;
}

/* Sector numbers are chosen by the guest: no sum of them is formed that could overflow. */
static int blk_gate_check_range(const struct blk_limits *limits, uint64_t sector, uint64_t count)
{
    if (count > limits->sectors || sector > limits->sectors - count) {
        return -ERANGE;
    }
    return 0;
}

/* Checks `req->nr_segments` segments at `raw`, then the range that they add up to. */
static int blk_gate_take_segments(const struct blk_limits *limits, const uint8_t *raw,
                                  struct blk_request *req)
{
    req->nr_sectors = 0;
    for (unsigned int i = 0; i < req->nr_segments; i++) {
        const uint8_t *s = raw + i * BLK_SEGMENT_BYTES;
        uint8_t first = s[4];
        uint8_t last = s[5];

        if (first > last || last >= BLK_SECTORS_PER_PAGE) {
            return -EDOM;
        }
        req->segments[i] = (struct blk_segment){
            .ref = blk_gate_get32(s, 0), .first = first, .sectors = (uint8_t)(last - first + 1)};
        req->nr_sectors += req->segments[i].sectors;
    }
    return blk_gate_check_range(limits, req->sector, req->nr_sectors);
}

/* The part that reads and writes have in common, direct or indirect. */
static int blk_gate_check_transfer(const struct blk_limits *limits, uint8_t op, uint16_t handle,
                                   uint32_t max_segments, struct blk_request *out)
{
    if (op != BLKIF_OP_READ && op != BLKIF_OP_WRITE) {
        return -EINVAL;
    }
    if (out->nr_segments == 0 || out->nr_segments > max_segments) {
        return -EINVAL;
    }
    if (handle != limits->handle) {
        return -ENODEV;
    }
    out->op = op == BLKIF_OP_READ ? BLK_READ : BLK_WRITE;
    return out->op == BLK_WRITE && limits->read_only ? -EROFS : 0;
}

static int blk_gate_take_direct(const struct blk_layout *layout, const struct blk_limits *limits,
                                const uint8_t *raw, struct blk_request *out)
{
    int err;

    out->nr_segments = raw[OFF_NR_SEGMENTS];
    err = blk_gate_check_transfer(limits, out->wire_op, blk_gate_get16(raw, OFF_HANDLE),
                                  BLK_DIRECT_SEGMENTS, out);
    return err != 0 ? err : blk_gate_take_segments(limits, raw + layout->tail, out);
}

static int blk_gate_take_indirect(const struct blk_layout *layout, const struct blk_limits *limits,
                                  const uint8_t *raw, struct blk_request *out)
{
    out->indirect = true;
    out->wire_op = raw[OFF_INDIRECT_OP]; /* front ends expect this one back */
    out->nr_segments = blk_gate_get16(raw, OFF_INDIRECT_NR);
    out->indirect_ref = blk_gate_get32(raw, layout->tail + TAIL_INDIRECT_GREFS);
    return blk_gate_check_transfer(limits, out->wire_op, blk_gate_get16(raw, layout->tail),
                                   BLK_MAX_SEGMENTS, out);
}

static int blk_gate_take_discard(const struct blk_layout *layout, const struct blk_limits *limits,
                                 const uint8_t *raw, struct blk_request *out)
{
    if (!limits->discard) {
        return -EOPNOTSUPP;
    }
    if (limits->read_only) {
        return -EROFS;
    }
    out->op = BLK_DISCARD;
    out->nr_sectors = blk_gate_get64(raw, layout->tail);
    if (out->nr_sectors == 0 || (raw[OFF_DISCARD_FLAG] & ~BLKIF_DISCARD_SECURE) != 0) {
        return -EINVAL;
    }
    if ((raw[OFF_DISCARD_FLAG] & BLKIF_DISCARD_SECURE) != 0) {
        return -EOPNOTSUPP;
    }
    return blk_gate_check_range(limits, out->sector, out->nr_sectors);
}

/* blk_gate_request(), but for what is refused altogether. */
static int blk_gate_take(const struct blk_layout *layout, const struct blk_limits *limits,
                         const uint8_t *r, struct blk_request *out)
{
    out->id = blk_gate_get64(r, layout->id);
    out->sector = blk_gate_get64(r, layout->sector);
    out->wire_op = r[OFF_OPERATION];
    out->indirect = false;
    out->nr_segments = 0;
    out->nr_sectors = 0;
    switch (out->wire_op) {
    case BLKIF_OP_READ:
    case BLKIF_OP_WRITE:
        return blk_gate_take_direct(layout, limits, r, out);
    case BLKIF_OP_INDIRECT:
        return blk_gate_take_indirect(layout, limits, r, out);
    case BLKIF_OP_FLUSH_DISKCACHE:
        out->op = BLK_FLUSH;
        return r[OFF_NR_SEGMENTS] == 0 ? 0 : -EINVAL;
    case BLKIF_OP_DISCARD:
        return blk_gate_take_discard(layout, limits, r, out);
    default:
        return -EOPNOTSUPP;
    }
}

int blk_gate_request(const struct blk_layout *layout, const struct blk_limits *limits,
                     const void *raw, struct blk_request *out)
{
    int err = blk_gate_take(layout, limits, raw, out);

    return err == 0 && limits->refuse ? -EIO : err;
}

int blk_gate_indirect_segments(const struct blk_limits *limits, const void *raw,
                               struct blk_request *req)
{
    return blk_gate_take_segments(limits, raw, req);
}

uint32_t blk_gate_response(uint64_t id, uint8_t wire_op, int16_t status, void *out)
{
    uint8_t *o = out;

    /* The same offsets in both layouts. Padding is written, lest old memory leak (XSA-216). */
    memset(o, 0, sizeof(struct blkif_response));
    memcpy(o + offsetof(struct blkif_response, id), &id, sizeof(id));
    o[offsetof(struct blkif_response, operation)] = wire_op;
    memcpy(o + offsetof(struct blkif_response, status), &status, sizeof(status));
    return sizeof(struct blkif_response);
}

const char *blk_gate_strerror(int err)
{
    switch (-err) {
    case EOPNOTSUPP:
        return "operation not offered";
    case EINVAL:
        return "number of segments or flags not allowed";
    case ENODEV:
        return "handle of another device";
    case EDOM:
        return "segment outside its page";
    case EIO:
        return "nothing is served any more";
    case EROFS:
        return "write to a read-only disk";
    case ERANGE:
        return "sectors beyond the end of the disk";
    default:
        return strerror(-err);
    }
}
