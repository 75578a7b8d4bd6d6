/*
 * The gate: the one place where bytes that a guest wrote become a request that we act on.
 *
 * blk_gate_request() takes a private copy of a ring entry, which ring_copy() made once, and checks
 * every field. What it returns is within all limits, and the code behind it checks nothing again
 * and looks at no shared memory. Follows xen/io/blkif.h. All lengths are in sectors of 512 bytes
 * (BLK_SECTOR_BYTES), because that is what we publish as `sector-size`.
 *
 * The guest chooses between two layouts of an entry (key `protocol`). Their difference is a table
 * of four offsets, struct blk_layout.
 *
 * Types: struct blk_layout, blk_segment, blk_request, blk_limits. Pure functions.
 */
#ifndef DUET_BLOCK_GATE_H
#define DUET_BLOCK_GATE_H

#include <stdbool.h>
#include <stdint.h>

#define BLK_SECTOR_BYTES     512U
#define BLK_SECTORS_PER_PAGE 8U
#define BLK_DIRECT_SEGMENTS  11U /* BLKIF_MAX_SEGMENTS_PER_REQUEST */
#define BLK_MAX_SEGMENTS     64U /* what we publish as feature-max-indirect-segments */
#define BLK_SEGMENT_BYTES    8U  /* struct blkif_request_segment, in an entry or an indirect page */
#define BLK_ENTRY_BYTES_MAX  112U

/* How a ring entry is laid out. Everything not named here is the same in both. */
struct blk_layout {
    uint16_t entry_bytes; /* distance between entries */
    uint16_t id;          /* offset of the 64-bit id */
    uint16_t sector;      /* offset of the 64-bit sector number */
    uint16_t tail;        /* offset of segments, nr_sectors or the indirect handle */
};

extern const struct blk_layout blk_layout_x86_64;
extern const struct blk_layout blk_layout_x86_32;

enum blk_operation {
    BLK_READ,
    BLK_WRITE,
    BLK_FLUSH,
    BLK_DISCARD,
};

/* A part of one guest page: `sectors` sectors from sector `first` on. Within the page for sure. */
struct blk_segment {
    uint32_t ref;
    uint8_t first;
    uint8_t sectors;
};

/* What the device is, and what the guest may ask of it. */
struct blk_limits {
    uint64_t sectors; /* size of the disk */
    uint16_t handle;  /* low half of the device number, which requests repeat */
    bool read_only;
    bool discard;
    bool refuse; /* everything */
};

/* A request that has passed the gate. */
struct blk_request {
    uint64_t id;
    uint64_t sector;
    uint64_t nr_sectors; /* sum of the segments, or what is to be discarded */
    uint8_t wire_op;     /* as the guest wrote it, for the response */
    enum blk_operation op;
    bool indirect; /* the segments are yet to be fetched from page `indirect_ref` */
    uint16_t nr_segments;
    uint32_t indirect_ref;
    struct blk_segment segments[BLK_MAX_SEGMENTS];
};

/*
 * Checks the entry `raw` (layout->entry_bytes long, a private copy) and fills `out`. `id` and
 * `wire_op` are set whatever the outcome, for the response. Returns 0, or:
 *   -EOPNOTSUPP  an operation that we do not offer
 *   -EINVAL      a number of segments or a flag that the protocol does not allow
 *   -ENODEV      the handle of another device
 *   -EDOM        a segment that leaves its page or ends before it begins
 *   -EROFS       a change to a read-only disk
 *   -ERANGE      sectors beyond the end of the disk (also where the sum overflows)
 * An indirect request is complete only after blk_gate_indirect_segments().
 */
int blk_gate_request(const struct blk_layout *layout, const struct blk_limits *limits,
                     const void *raw, struct blk_request *out);

/*
 * Second half of the gate for an indirect request: checks the private copy `raw` of its
 * req->nr_segments segments of BLK_SEGMENT_BYTES each. Returns 0, -EDOM or -ERANGE as above.
 */
int blk_gate_indirect_segments(const struct blk_limits *limits, const void *raw,
                               struct blk_request *req);

/* Writes the response to `id` in wire format. Returns its length in bytes (at most 16). */
uint32_t blk_gate_response(uint64_t id, uint8_t wire_op, int16_t status, void *out);

/* A sentence fragment for an error of the gate, for the log. */
const char *blk_gate_strerror(int err);

#endif
