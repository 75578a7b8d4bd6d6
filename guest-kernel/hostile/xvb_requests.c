/*
 * xvb_requests.c - see xvb_requests.h.
 */
#include "hostile/xvb_requests.h"

#include "kern/string.h"

#define NEVER 0x00ffffffu  /* a reference that nobody granted */
#define WRAPS (1ull << 55) /* the first sector whose place in bytes does not fit 64 bits */

/* ---- entries ---- */

/* A good request of @n whole pages. */
static struct blkif_request *xvb_add(struct xvb_batch *b, uint8_t operation, unsigned n)
{
    struct blkif_request *r = &b->entries[b->n].rw;

    memset(&b->entries[b->n], 0, sizeof(b->entries[b->n]));
    r->operation = operation;
    r->nr_segments = (uint8_t)n;
    r->handle = b->disk->handle;
    r->id = 0x4455455400000000ull + b->n;
    r->sector_number = XVB_SCRATCH;
    for (unsigned i = 0; i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++) {
        r->seg[i] = (struct blkif_request_segment){
            .gref = b->disk->data[i], .first_sect = 0, .last_sect = XVB_PAGE_SECTORS - 1};
    }
    b->n++;
    return r;
}

static struct blkif_request_discard *add_discard(struct xvb_batch *b, uint64_t sector, uint64_t n)
{
    struct blkif_request_discard *d = &b->entries[b->n].discard;

    memset(&b->entries[b->n], 0, sizeof(b->entries[b->n]));
    *d = (struct blkif_request_discard){.operation = BLKIF_OP_DISCARD,
                                        .handle = b->disk->handle,
                                        .id = 0x4455455400000100ull + b->n,
                                        .sector_number = sector,
                                        .nr_sectors = n};
    b->n++;
    return d;
}

/* A good indirect request of @n whole pages, which its list names in turn. */
static struct blkif_request_indirect *add_indirect(struct xvb_batch *b, uint8_t op, unsigned n)
{
    struct blkif_request_indirect *r = &b->entries[b->n].indirect;

    memset(&b->entries[b->n], 0, sizeof(b->entries[b->n]));
    *r = (struct blkif_request_indirect){.operation = BLKIF_OP_INDIRECT,
                                         .indirect_op = op,
                                         .nr_segments = (uint16_t)n,
                                         .id = 0x4455455400000200ull + b->n,
                                         .sector_number = XVB_SCRATCH,
                                         .handle = b->disk->handle,
                                         .indirect_grefs = {b->disk->listed}};
    for (unsigned i = 0; i < XVB_LIST; i++) {
        b->disk->list[i] = (struct blkif_request_segment){.gref = b->disk->data[i % XVB_PAGES],
                                                          .last_sect = XVB_PAGE_SECTORS - 1};
    }
    b->n++;
    return r;
}

static struct blkif_request_segment *page_with(struct xvb_batch *b, uint8_t operation)
{
    return &xvb_add(b, operation, 1)->seg[0];
}

/* ---- batches; what @arg is, is in their names ---- */

static void good(struct xvb_batch *b, unsigned segments)
{
    (void)xvb_add(b, BLKIF_OP_WRITE, segments);
    (void)xvb_add(b, BLKIF_OP_READ, segments);
}

static void whole_ring(struct xvb_batch *b, unsigned segments)
{
    for (unsigned i = 0; i < XVB_RING; i++) {
        (void)xvb_add(b, i % 2 == 0 ? BLKIF_OP_WRITE : BLKIF_OP_READ, segments);
    }
}

/* Reads of a sector each, of all that are in the page, so that the rest of it has to stay. */
static void single_sectors(struct xvb_batch *b, unsigned of)
{
    for (unsigned i = 0; i < of; i++) {
        struct blkif_request_segment *s = page_with(b, BLKIF_OP_READ);

        *s = (struct blkif_request_segment){
            .gref = b->disk->data[i], .first_sect = (uint8_t)i, .last_sect = (uint8_t)i};
    }
}

static void unknown_operations(struct xvb_batch *b, unsigned from)
{
    for (unsigned i = 0; i < XVB_RING; i++) {
        (void)xvb_add(b, (uint8_t)(i + 1 < XVB_RING ? from + i : UINT8_MAX), 1);
    }
}

static void operation(struct xvb_batch *b, unsigned op)
{
    (void)xvb_add(b, (uint8_t)op, 1);
}

static void read_of(struct xvb_batch *b, unsigned segments)
{
    (void)xvb_add(b, BLKIF_OP_READ, segments);
}

static void write_of(struct xvb_batch *b, unsigned segments)
{
    (void)xvb_add(b, BLKIF_OP_WRITE, segments);
}

static void ends_before_it_begins(struct xvb_batch *b, unsigned last)
{
    struct blkif_request_segment *s = page_with(b, BLKIF_OP_WRITE);

    s->first_sect = (uint8_t)(last + 1);
    s->last_sect = (uint8_t)last;
}

static void read_to(struct xvb_batch *b, unsigned last)
{
    page_with(b, BLKIF_OP_READ)->last_sect = (uint8_t)last;
}

static void write_to(struct xvb_batch *b, unsigned last)
{
    page_with(b, BLKIF_OP_WRITE)->last_sect = (uint8_t)last;
}

static void last_of_many_to(struct xvb_batch *b, unsigned last)
{
    xvb_add(b, BLKIF_OP_WRITE, XVB_PAGES)->seg[XVB_PAGES - 1].last_sect = (uint8_t)last;
}

/* Behind the end, by as many sectors as @less makes it lack to a page. */
static void past_the_end(struct xvb_batch *b, unsigned less)
{
    xvb_add(b, BLKIF_OP_WRITE, 1)->sector_number = b->disk->sectors - less;
    xvb_add(b, BLKIF_OP_READ, 1)->sector_number = b->disk->sectors - less;
}

/* Sums and products that wrap around to the disk's beginning. */
static void wraps(struct xvb_batch *b, unsigned operation)
{
    static const uint64_t sectors[] = {UINT64_MAX - 3, UINT64_MAX - 7, 1ull << 63, WRAPS,
                                       WRAPS + 8};

    for (unsigned i = 0; i < sizeof(sectors) / sizeof(sectors[0]); i++) {
        xvb_add(b, (uint8_t)operation, 1)->sector_number = sectors[i];
    }
}

static void at_the_beginning(struct xvb_batch *b, unsigned operation)
{
    xvb_add(b, (uint8_t)operation, 1)->sector_number = 0;
}

static void other_handle(struct xvb_batch *b, unsigned by)
{
    xvb_add(b, BLKIF_OP_WRITE, 1)->handle ^= (uint16_t)by;
}

static void never_granted(struct xvb_batch *b, unsigned operation)
{
    page_with(b, (uint8_t)operation)->gref = NEVER;
}

static void one_never_granted(struct xvb_batch *b, unsigned operation)
{
    xvb_add(b, (uint8_t)operation, XVB_PAGES)->seg[XVB_PAGES / 2].gref = NEVER;
}

static void ended_grant(struct xvb_batch *b, unsigned operation)
{
    page_with(b, (uint8_t)operation)->gref = b->disk->ended;
}

static void into_guarded_page(struct xvb_batch *b, unsigned segments)
{
    xvb_add(b, BLKIF_OP_READ, segments)->seg[segments - 1].gref = b->disk->guard;
}

static void same_page_twice(struct xvb_batch *b, unsigned operation)
{
    struct blkif_request *r = xvb_add(b, (uint8_t)operation, 2);

    r->seg[1].gref = r->seg[0].gref;
}

static void indirect(struct xvb_batch *b, unsigned segments)
{
    (void)add_indirect(b, BLKIF_OP_WRITE, segments);
}

static void indirect_beyond(struct xvb_batch *b, unsigned by)
{
    (void)add_indirect(b, BLKIF_OP_WRITE, b->disk->indirect + by);
}

static void indirect_operation(struct xvb_batch *b, unsigned op)
{
    (void)add_indirect(b, (uint8_t)op, 1);
}

static void indirect_list_never_granted(struct xvb_batch *b, unsigned gref)
{
    add_indirect(b, BLKIF_OP_READ, 4)->indirect_grefs[0] = gref;
}

static void indirect_to(struct xvb_batch *b, unsigned last)
{
    (void)add_indirect(b, BLKIF_OP_WRITE, 4);
    b->disk->list[3].last_sect = (uint8_t)last;
}

static void indirect_backwards(struct xvb_batch *b, unsigned last)
{
    indirect_to(b, last);
    b->disk->list[3].first_sect = (uint8_t)(last + 1);
}

static void indirect_never_granted(struct xvb_batch *b, unsigned gref)
{
    (void)add_indirect(b, BLKIF_OP_READ, 4);
    b->disk->list[2].gref = gref;
}

static void discard_past_the_end(struct xvb_batch *b, unsigned less)
{
    (void)add_discard(b, b->disk->sectors - less, 8);
}

static void discard_wraps(struct xvb_batch *b, unsigned by)
{
    (void)add_discard(b, by, UINT64_MAX - by + 1);
    (void)add_discard(b, UINT64_MAX - 7, 16);
    (void)add_discard(b, WRAPS, 8);
    (void)add_discard(b, 8, WRAPS);
    (void)add_discard(b, 8, 1ull << 63);
}

static void discard_scratch(struct xvb_batch *b, unsigned sectors)
{
    (void)add_discard(b, XVB_SCRATCH, sectors);
}

static void discard_flags(struct xvb_batch *b, unsigned flags)
{
    add_discard(b, XVB_SCRATCH, 8)->flag = (uint8_t)flags;
}

static void flush_with(struct xvb_batch *b, unsigned segments)
{
    (void)xvb_add(b, BLKIF_OP_FLUSH_DISKCACHE, segments);
}

static void same_id(struct xvb_batch *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        xvb_add(b, BLKIF_OP_READ, 1)->id = 0x4455455400000042ull;
    }
}

static void odd_ids(struct xvb_batch *b, unsigned operation)
{
    static const uint64_t ids[] = {0, UINT64_MAX, UINT32_MAX, 1ull << 32, 1ull << 63};

    for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        xvb_add(b, (uint8_t)operation, 1)->id = ids[i];
    }
}

/* ---- the table ---- */

#define REFUSED (XVB_ERROR | XVB_UNSUPPORTED)
#define EITHER  (XVB_OKAY | REFUSED)
#define GIVEUP  (XVB_CLOSED | XVB_STOPPED)

#define H "blkif.h"

const struct xvb_case xvb_cases[] = {
    {"good-page", "a write and a read of a page are carried out", H, XVB_BATCH, good, 1, 0,
     XVB_OKAY},
    {"good-most", "a write and a read of eleven pages are carried out", H, XVB_BATCH, good,
     XVB_PAGES, 0, XVB_OKAY},
    {"good-ring", "a ring full of good requests is carried out", H, XVB_BATCH, whole_ring, 2, 0,
     XVB_OKAY},
    {"good-sectors", "a read changes the sectors that it names, and nothing beside them",
     "XSA-155, 216", XVB_BATCH, single_sectors, XVB_PAGE_SECTORS, 0, XVB_OKAY},
    {"op-unknown", "operations that nobody defined are refused", H, XVB_BATCH, unknown_operations,
     7, 0, REFUSED},
    {"op-reserved", "the reserved operation is refused", H, XVB_BATCH, operation,
     BLKIF_OP_RESERVED_1, 0, REFUSED},
    {"op-barrier", "a barrier is carried out or refused", H, XVB_BATCH, operation,
     BLKIF_OP_WRITE_BARRIER, 0, EITHER},
    {"seg-none", "a read of no segments is carried out or refused", H, XVB_BATCH, read_of, 0, 0,
     EITHER},
    {"seg-12", "a read of more segments than an entry holds is refused", H, XVB_BATCH, read_of, 12,
     0, REFUSED},
    {"seg-255", "a write of 255 segments is refused", H, XVB_BATCH, write_of, 255, 0, REFUSED},
    {"seg-backwards", "a segment that ends before it begins is refused", H, XVB_BATCH,
     ends_before_it_begins, 2, 0, REFUSED},
    {"seg-read-8", "a read past the end of the page is refused", H, XVB_BATCH, read_to, 8, 0,
     REFUSED},
    {"seg-read-255", "a read of 256 sectors into a page is refused", H, XVB_BATCH, read_to, 255, 0,
     REFUSED},
    {"seg-write-8", "a write from past the end of the page is refused", H, XVB_BATCH, write_to, 8,
     0, REFUSED},
    {"seg-write-255", "a write of 256 sectors out of a page is refused", H, XVB_BATCH, write_to,
     255, 0, REFUSED},
    {"seg-late", "a write whose last segment alone is broken is refused", H, XVB_BATCH,
     last_of_many_to, 255, 0, REFUSED},
    {"end-past", "what lies past the end of the disk is refused", H, XVB_BATCH, past_the_end, 0, 0,
     REFUSED},
    {"end-across", "what begins before the end of the disk and ends behind it is refused", H,
     XVB_BATCH, past_the_end, 7, 0, REFUSED},
    {"end-wrap-write", "writes to where sums or products wrap around are refused", H, XVB_BATCH,
     wraps, BLKIF_OP_WRITE, 0, REFUSED},
    {"end-wrap-read", "reads from where sums or products wrap around are refused", H, XVB_BATCH,
     wraps, BLKIF_OP_READ, 0, REFUSED},
    {"handle-other", "the handle of another device reaches no other device", H, XVB_BATCH,
     other_handle, 16, 0, EITHER},
    {"gref-never-read", "a read into a page that was not granted is refused", H, XVB_BATCH,
     never_granted, BLKIF_OP_READ, 0, REFUSED},
    {"gref-never-write", "a write from a page that was not granted is refused", H, XVB_BATCH,
     never_granted, BLKIF_OP_WRITE, 0, REFUSED},
    {"gref-one-read", "a read with one page among many that was not granted is refused",
     "XSA-361, 365, 367", XVB_BATCH, one_never_granted, BLKIF_OP_READ, 0, REFUSED},
    {"gref-one-write", "a write with one page among many that was not granted is refused",
     "XSA-361, 365, 367", XVB_BATCH, one_never_granted, BLKIF_OP_WRITE, 0, REFUSED},
    {"gref-ended", "a page whose grant has ended is not used", H, XVB_BATCH, ended_grant,
     BLKIF_OP_READ, 0, REFUSED},
    {"gref-guarded", "nothing is read into a page that may not be written", H, XVB_BATCH,
     into_guarded_page, 1, 0, REFUSED},
    {"gref-guarded-last", "nor is it if that page is the last of many", H, XVB_BATCH,
     into_guarded_page, XVB_PAGES, 0, REFUSED},
    {"gref-twice-read", "a page twice in a read harms nothing", H, XVB_BATCH, same_page_twice,
     BLKIF_OP_READ, 0, EITHER},
    {"gref-twice-write", "a page twice in a write harms nothing", H, XVB_BATCH, same_page_twice,
     BLKIF_OP_WRITE, 0, EITHER},
    {"gref-revoked",
     "reads whose pages are taken back meanwhile are answered, and let go of the pages", "XSA-350",
     XVB_REVOKE, NULL, 0, 0, EITHER},
    {"ind-good", "an indirect write is carried out", H, XVB_BATCH, indirect, 22, XVB_INDIRECT,
     XVB_OKAY},
    {"ind-not-offered", "an indirect write that was not offered is refused", H, XVB_BATCH, indirect,
     22, XVB_DIRECT, REFUSED},
    {"ind-none", "an indirect write of no segments is carried out or refused", H, XVB_BATCH,
     indirect, 0, XVB_INDIRECT, EITHER},
    {"ind-beyond", "an indirect write of more segments than offered is refused", H, XVB_BATCH,
     indirect_beyond, 1, XVB_INDIRECT, REFUSED},
    {"ind-65535", "an indirect write of 65535 segments is refused", H, XVB_BATCH, indirect, 65535,
     XVB_INDIRECT, REFUSED},
    {"ind-op-flush", "an indirect flush is refused", H, XVB_BATCH, indirect_operation,
     BLKIF_OP_FLUSH_DISKCACHE, XVB_INDIRECT, REFUSED},
    {"ind-op-discard", "an indirect discard is refused", H, XVB_BATCH, indirect_operation,
     BLKIF_OP_DISCARD, XVB_INDIRECT, REFUSED},
    {"ind-op-indirect", "an indirect request within an indirect one is refused", H, XVB_BATCH,
     indirect_operation, BLKIF_OP_INDIRECT, XVB_INDIRECT, REFUSED},
    {"ind-op-unknown", "an indirect operation that nobody defined is refused", H, XVB_BATCH,
     indirect_operation, 77, XVB_INDIRECT, REFUSED},
    {"ind-gref-never", "a list of segments in a page that was not granted is refused", H, XVB_BATCH,
     indirect_list_never_granted, NEVER, XVB_INDIRECT, REFUSED},
    {"ind-seg-8", "a listed segment past the end of its page is refused", H, XVB_BATCH, indirect_to,
     8, XVB_INDIRECT, REFUSED},
    {"ind-seg-255", "a listed segment of 256 sectors is refused", H, XVB_BATCH, indirect_to, 255,
     XVB_INDIRECT, REFUSED},
    {"ind-seg-backwards", "a listed segment that ends before it begins is refused", H, XVB_BATCH,
     indirect_backwards, 2, XVB_INDIRECT, REFUSED},
    {"ind-seg-never", "a listed segment whose page was not granted is refused", H, XVB_BATCH,
     indirect_never_granted, NEVER, XVB_INDIRECT, REFUSED},
    {"discard-good", "a discard is carried out", H, XVB_BATCH, discard_scratch, 64, XVB_DISCARD,
     XVB_OKAY},
    {"discard-not-offered", "a discard that was not offered is refused", H, XVB_BATCH,
     discard_scratch, 64, XVB_NO_DISCARD, REFUSED},
    {"discard-none", "a discard of no sectors is carried out or refused", H, XVB_BATCH,
     discard_scratch, 0, XVB_DISCARD, EITHER},
    {"discard-past", "a discard past the end of the disk is refused", H, XVB_BATCH,
     discard_past_the_end, 0, XVB_DISCARD, REFUSED},
    {"discard-across", "a discard across the end of the disk is refused", H, XVB_BATCH,
     discard_past_the_end, 4, XVB_DISCARD, REFUSED},
    {"discard-wrap", "discards whose sums or products wrap around are refused", H, XVB_BATCH,
     discard_wraps, 16, XVB_DISCARD, REFUSED},
    {"discard-flags", "unknown flags of a discard change nothing outside of its sectors", H,
     XVB_BATCH, discard_flags, 0xfe, XVB_DISCARD, EITHER},
    {"discard-secure", "a secure discard is carried out or refused", H, XVB_BATCH, discard_flags,
     BLKIF_DISCARD_SECURE, XVB_DISCARD, EITHER},
    {"flush", "a flush is carried out, or refused if it was not offered", H, XVB_BATCH, flush_with,
     0, 0, EITHER},
    {"flush-3", "a flush with segments is carried out or refused", H, XVB_BATCH, flush_with, 3, 0,
     EITHER},
    {"flush-255", "a flush of more segments than an entry holds is refused", H, XVB_BATCH,
     flush_with, 255, 0, REFUSED},
    {"id-same", "requests with one id are answered one by one", H, XVB_BATCH, same_id, 4, 0,
     XVB_OKAY},
    {"id-odd", "an id is returned as it was", H, XVB_BATCH, odd_ids, BLKIF_OP_READ, 0, XVB_OKAY},
    {"ro-read", "a disk that may not be written can be read", H, XVB_BATCH, at_the_beginning,
     BLKIF_OP_READ, XVB_READONLY, XVB_OKAY},
    {"ro-write", "a write to a disk that may only be read is refused", H, XVB_BATCH,
     at_the_beginning, BLKIF_OP_WRITE, XVB_READONLY, REFUSED},
    {"ro-barrier", "a barrier does not write to such a disk", H, XVB_BATCH, at_the_beginning,
     BLKIF_OP_WRITE_BARRIER, XVB_READONLY, EITHER},
    {"ro-flush", "a flush with segments does not write to such a disk", H, XVB_BATCH,
     at_the_beginning, BLKIF_OP_FLUSH_DISKCACHE, XVB_READONLY, EITHER},
    {"ro-indirect", "an indirect write to such a disk is refused", H, XVB_BATCH, indirect, 4,
     XVB_READONLY | XVB_INDIRECT, REFUSED},
    {"ro-discard", "a discard on such a disk is refused", H, XVB_BATCH, discard_scratch, 64,
     XVB_READONLY, REFUSED},
    {"kicks", "notifications without requests are borne", "XSA-332", XVB_KICKS, NULL, 0, 0,
     XVB_OKAY},
    {"twice-header", "operation and number of segments are read once", "XSA-155", XVB_ALTER, NULL,
     XVB_ALTER_HEADER, 0, EITHER},
    {"twice-segments", "first and last sector of a segment are read once", "XSA-155", XVB_ALTER,
     NULL, XVB_ALTER_SEGMENTS, 0, EITHER},
    {"twice-sector", "the sector on the disk is read once", "XSA-155", XVB_ALTER, NULL,
     XVB_ALTER_SECTOR, 0, EITHER},
    {"twice-list", "the list of an indirect request is read once", "XSA-155", XVB_ALTER, NULL,
     XVB_ALTER_LIST, XVB_INDIRECT, EITHER},
    {"leave-closing", "a front end that leaves in mid-request is let go, and can come back",
     "XSA-350, 374", XVB_LEAVE, NULL, 5, 0, XVB_CLOSED},
    {"leave-closed", "a front end that is gone at once is let go, and can come back",
     "XSA-350, 374", XVB_LEAVE, NULL, 6, 0, XVB_CLOSED},
    {"index-33", "an index past the ring ends the service of the ring, and nothing else", "XSA-39",
     XVB_INDEX, NULL, XVB_RING + 1, 0, GIVEUP},
    {"index-far", "an index far past the ring ends the service of the ring, and nothing else",
     "XSA-39", XVB_INDEX, NULL, 100000, 0, GIVEUP},
    {"index-back", "an index that goes back ends the service of the ring, and nothing else",
     "XSA-39", XVB_INDEX, NULL, UINT32_MAX, 0, GIVEUP},
    {0},
};

const char *xvb_applies(const struct xvb_case *c, const struct xvb_disk *disk)
{
    return ((c->needs & XVB_READONLY) != 0) != disk->readonly
               ? disk->readonly ? "the disk is read-only" : "the disk is not read-only"
           : (c->needs & XVB_DISCARD) != 0 && !disk->discard       ? "discard is not offered"
           : (c->needs & XVB_NO_DISCARD) != 0 && disk->discard     ? "discard is offered"
           : (c->needs & XVB_INDIRECT) != 0 && disk->indirect < 22 ? "indirect is not offered"
           : (c->needs & XVB_DIRECT) != 0 && disk->indirect != 0   ? "indirect is offered"
                                                                   : NULL;
}

/* ---- changes while they are read ---- */

void xvb_alter_base(struct xvb_batch *b, unsigned what)
{
    if (what == XVB_ALTER_LIST) {
        (void)add_indirect(b, BLKIF_OP_WRITE, 22);
    } else {
        (void)xvb_add(b, BLKIF_OP_WRITE, 1);
    }
}

static void alter_header(struct blkif_request *r, unsigned turn)
{
    /* No discard: the bytes of the segments would be its length. */
    static const uint8_t operations[] = {
        BLKIF_OP_WRITE,   BLKIF_OP_READ, BLKIF_OP_FLUSH_DISKCACHE, BLKIF_OP_WRITE, 77,
        BLKIF_OP_INDIRECT};
    static const uint8_t segments[] = {1, 255, XVB_PAGES, 12, 0};

    *(volatile uint8_t *)&r->operation = operations[turn % sizeof(operations)];
    *(volatile uint8_t *)&r->nr_segments = segments[turn % sizeof(segments)];
}

static void alter_segment(struct blkif_request_segment *s, unsigned turn)
{
    static const uint8_t first[] = {0, 5, 0, 9, 255};
    static const uint8_t last[] = {7, 255, 8, 7, 2, 254, 7};

    *(volatile uint8_t *)&s->first_sect = first[turn % sizeof(first)];
    *(volatile uint8_t *)&s->last_sect = last[turn % sizeof(last)];
}

static void alter_sector(struct blkif_request *r, unsigned turn)
{
    static const uint64_t sectors[] = {XVB_SCRATCH, UINT64_MAX - 7, XVB_SCRATCH, WRAPS, 1ull << 63};

    *(volatile uint64_t *)&r->sector_number = sectors[turn % 5];
}

void xvb_alter(union xvb_raw *entry, struct blkif_request_segment *list, unsigned what,
               unsigned turn)
{
    switch (what) {
    case XVB_ALTER_HEADER:
        alter_header(&entry->rw, turn);
        break;
    case XVB_ALTER_SEGMENTS:
        alter_segment(&entry->rw.seg[0], turn);
        break;
    case XVB_ALTER_SECTOR:
        alter_sector(&entry->rw, turn);
        break;
    default:
        alter_segment(&list[turn % 22], turn / 22);
        break;
    }
}
