/*
 * xvb_requests.h - requests to try a block back end with, most of them broken, as entries of its
 * ring: the rules of xen/io/blkif.h, and what back ends have been caught with.
 *
 * Each case says which ends are right; a back end may choose among them. What a case may write lies
 * in the sectors from XVB_SCRATCH on; all else of the disk has to stay as it is, whatever happens.
 * For `blkabuse` and for tests/unit, which show the same requests to the gate of duet-blockd. Pure:
 * no state, no locks, nothing to suspend.
 */
#ifndef HOSTILE_XVB_REQUESTS_H
#define HOSTILE_XVB_REQUESTS_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/io/blkif.h>

#define XVB_RING            32u /* entries; of one page */
#define XVB_PAGES           BLKIF_MAX_SEGMENTS_PER_REQUEST
#define XVB_SCRATCH         512u
#define XVB_SCRATCH_SECTORS 256u
#define XVB_SECTORS_MIN     2048u /* of a disk to try this with */
#define XVB_SECTOR          512u
#define XVB_PAGE_SECTORS    8u
#define XVB_LIST            64u /* segments that an indirect page of ours describes */

/* An entry of the ring, whatever is in it. */
union xvb_raw {
    struct blkif_request rw;
    struct blkif_request_discard discard;
    struct blkif_request_indirect indirect;
    uint8_t bytes[sizeof(union blkif_sring_entry)];
};

/* What the back end offers, and what is granted to it. */
struct xvb_disk {
    uint64_t sectors;
    uint16_t handle;
    bool readonly, discard;
    uint32_t indirect; /* the most segments; 0: not offered */
    uint32_t data[XVB_PAGES];
    uint32_t guard;  /* a page that it may not write */
    uint32_t ended;  /* a reference that grants nothing any more */
    uint32_t listed; /* the page of @list, that it may not write */
    struct blkif_request_segment *list;
};

struct xvb_batch {
    const struct xvb_disk *disk;
    union xvb_raw entries[XVB_RING];
    unsigned n;
};

/*
 * What may become of a request, as bits: carried out, answered with an error or as unsupported; the
 * ring is closed; or it is not served any more.
 */
enum { XVB_OKAY = 1, XVB_ERROR = 2, XVB_UNSUPPORTED = 4, XVB_CLOSED = 8, XVB_STOPPED = 16 };

/* What a case does. */
enum xvb_how {
    XVB_BATCH,  /* @build's entries */
    XVB_INDEX,  /* the producer's index moves by @arg */
    XVB_KICKS,  /* notifications without requests */
    XVB_ALTER,  /* good writes that are changed all the while, as xvb_alter(@arg) says */
    XVB_REVOKE, /* reads whose pages are taken back meanwhile */
    XVB_LEAVE,  /* reads, and the front end announces the state @arg */
};

/* What it needs of the disk. */
enum { XVB_READONLY = 1, XVB_DISCARD = 2, XVB_NO_DISCARD = 4, XVB_INDIRECT = 8, XVB_DIRECT = 16 };

/**
 * struct xvb_case - one rule
 * @origin: who says so: the header, or an advisory
 * @build: for XVB_BATCH: fill a batch that has no entries
 */
struct xvb_case {
    const char *name, *what, *origin;
    enum xvb_how how;
    void (*build)(struct xvb_batch *b, unsigned arg);
    unsigned arg, needs, right;
};

/* All of them, ending with one without a name. */
extern const struct xvb_case xvb_cases[];

/** xvb_applies() - NULL if a case can be tried with the disk, else what stands against it. */
const char *xvb_applies(const struct xvb_case *c, const struct xvb_disk *disk);

/* What xvb_alter() changes: what every back end has to read once. */
enum { XVB_ALTER_HEADER, XVB_ALTER_SEGMENTS, XVB_ALTER_SECTOR, XVB_ALTER_LIST };

/** xvb_alter_base() - a batch of one entry to begin with, and the list, if it has one. */
void xvb_alter_base(struct xvb_batch *b, unsigned what);

/**
 * xvb_alter() - the next change of an entry, or of the list; @turn counts on
 *
 * Whichever fields a back end reads in which turn: all requests that can come of it are broken, or
 * stay within the scratch sectors.
 */
void xvb_alter(union xvb_raw *entry, struct blkif_request_segment *list, unsigned what,
               unsigned turn);

#endif /* HOSTILE_XVB_REQUESTS_H */
