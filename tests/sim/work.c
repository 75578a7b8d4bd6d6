/*
 * The guest's requests and the oracle: see work.h.
 */
#include "work.h"

#include <stdio.h>
#include <string.h>

#include "disk.h"
#include "sim.h"
#include "xen.h"

#include "io/blk.h"

#define REQUESTS     40U
#define VALUES       8U
#define MOST_PAGES   16U
#define PAGE_SECTORS (XEN_PAGE / DISK_SECTOR_BYTES)

/* What a sector may hold. */
struct values {
    uint64_t of[VALUES];
    unsigned int nr;
};

static struct {
    struct values allowed; /* what a read may give */
    struct values history; /* what it may fall back to: all since the last good flush */
    unsigned int readers;
    bool writer;
    uint32_t acked; /* when the last write was answered well; 0: not, or not to be trusted */
    uint32_t begun; /* when the last write began */
    bool doubtful;  /* a flush failed while a write was under way */
} sectors[DISK_SECTORS];

static struct request {
    struct blk_req req;
    bool used;
    uint32_t began;
    uint64_t stamp; /* of its first sector; the next has the next */
    unsigned int pages;
} requests[REQUESTS];

static struct blk_dev *disk;
static uint32_t moment; /* counts beginnings and ends */
static uint64_t next_stamp;
bool work_may_fail, work_may_go;
unsigned int work_failed, work_done;

static void add(struct values *v, uint64_t value)
{
    for (unsigned int i = 0; i < v->nr; i++) {
        if (v->of[i] == value) {
            return;
        }
    }
    sim_require(v->nr < VALUES);
    v->of[v->nr++] = value;
}

static void add_all(struct values *v, const struct values *others)
{
    for (unsigned int i = 0; i < others->nr; i++) {
        add(v, others->of[i]);
    }
}

static bool has(const struct values *v, uint64_t value)
{
    for (unsigned int i = 0; i < v->nr; i++) {
        if (v->of[i] == value) {
            return true;
        }
    }
    return false;
}

static void set_only(struct values *v, uint64_t value)
{
    v->of[0] = value;
    v->nr = 1;
}

static bool is_writing(const struct request *r)
{
    return r->req.op == BLK_WRITE || r->req.op == BLK_DISCARD;
}

static uint64_t stamp_at(const struct request *r, uint32_t i)
{
    return r->req.op == BLK_DISCARD ? 0 : r->stamp + i;
}

/* What a write leaves in a sector, as far as its answer tells. */
static void wrote(const struct request *r, uint32_t i, int rc)
{
    uint32_t s = (uint32_t)r->req.sector + i;
    uint64_t stamp = stamp_at(r, i), found;

    sectors[s].writer = false;
    add(&sectors[s].history, stamp);
    if (rc != 0) {
        add(&sectors[s].allowed, stamp);
        sectors[s].acked = 0;
        return;
    }
    set_only(&sectors[s].allowed, stamp);
    if (disk_is_lost(s)) {
        work_lost(s);
    }
    if (!disk_stamp(s, &found) || !has(&sectors[s].allowed, found)) {
        sim_found("a write to sector %u was answered, and is not on the disk", s);
    }
    sectors[s].acked = sectors[s].doubtful ? 0 : moment;
    if (sectors[s].doubtful) {
        work_lost(s);
    }
}

static void was_read(const struct request *r, uint32_t i, int rc)
{
    uint32_t s = (uint32_t)r->req.sector + i;
    const uint8_t *at = (const uint8_t *)r->req.buf + (size_t)i * DISK_SECTOR_BYTES;
    uint64_t found;

    sectors[s].readers--;
    if (rc != 0) {
        return;
    }
    memcpy(&found, at, sizeof(found));
    if (memcmp(at, at + 8, DISK_SECTOR_BYTES - 8) != 0) {
        sim_found("sector %u is torn", s);
    }
    if (!has(&sectors[s].allowed, found)) {
        sim_found("sector %u reads as %llu, which is none of what was written last", s,
                  (unsigned long long)found);
    }
}

static void flushed(const struct request *r, int rc)
{
    for (uint32_t s = 0; s < DISK_SECTORS; s++) {
        if (rc != 0) {
            add_all(&sectors[s].allowed, &sectors[s].history);
            sectors[s].acked = 0;
            sectors[s].doubtful = sectors[s].writer;
        } else if (sectors[s].acked != 0 && sectors[s].acked <= r->began &&
                   sectors[s].begun <= r->began && !sectors[s].writer) {
            if (!disk_is_stable(s)) {
                sim_found("a flush was answered, and sector %u is not durable", s);
            }
            sectors[s].history = sectors[s].allowed;
        }
    }
}

static void done(struct blk_req *req, int rc)
{
    struct request *r = req->arg;

    sim_require(r->used);
    moment++;
    work_done++;
    sim_trace("guest: request %u ends: %d", (unsigned int)(r - requests), rc);
    if (rc != 0) {
        work_failed++;
        if (!(rc == -ENODEV && work_may_go) && !(rc == -EIO && work_may_fail)) {
            sim_found("a request fails with %d, and nothing has failed", rc);
        }
    }
    for (uint32_t i = 0; i < req->nsectors && req->op != BLK_FLUSH; i++) {
        if (is_writing(r)) {
            wrote(r, i, rc);
        } else {
            was_read(r, i, rc);
        }
    }
    if (req->op == BLK_FLUSH) {
        flushed(r, rc);
    }
    if (r->pages != 0) {
        xen_page_free(req->buf, r->pages);
    }
    r->used = false;
}

static bool is_open(uint32_t first, uint32_t nr, bool writing)
{
    for (uint32_t s = first; s < first + nr; s++) {
        if (sectors[s].writer || (writing && sectors[s].readers != 0) ||
            (writing &&
             (sectors[s].history.nr >= VALUES - 2 || sectors[s].allowed.nr >= VALUES - 2))) {
            return false;
        }
    }
    return true;
}

static void fill(struct request *r)
{
    uint8_t *at = r->req.buf;

    for (uint32_t i = 0; i < r->req.nsectors; i++) {
        for (unsigned int j = 0; j < DISK_SECTOR_BYTES; j += 8, at += 8) {
            uint64_t stamp = r->req.op == BLK_WRITE ? stamp_at(r, i) : UINT64_MAX - j;

            memcpy(at, &stamp, sizeof(stamp));
        }
    }
}

static void claim(const struct request *r)
{
    for (uint32_t i = 0; i < r->req.nsectors; i++) {
        uint32_t s = (uint32_t)r->req.sector + i;

        if (is_writing(r)) {
            sectors[s].writer = true;
            sectors[s].doubtful = false;
            sectors[s].begun = moment;
        } else {
            sectors[s].readers++;
        }
    }
}

/* Chooses what it is. Returns false when there is no room for it now. */
static bool choose(struct request *r)
{
    uint32_t what = sim_below(100), nr = 1 + sim_below(sim_chance(100) ? 96 : 10);
    struct blk_info info;

    blk_get_info(disk, &info);
    *r = (struct request){.req = {.done = done, .arg = r}};
    r->req.op = what < 50 ? BLK_WRITE : what < 80 ? BLK_READ : what < 94 ? BLK_FLUSH : BLK_DISCARD;
    if (r->req.op == BLK_DISCARD && !info.discard) {
        r->req.op = BLK_FLUSH;
    }
    if (r->req.op == BLK_FLUSH) {
        return true;
    }
    r->req.nsectors = nr;
    r->req.sector = sim_below(DISK_SECTORS - nr + 1);
    if (!is_open((uint32_t)r->req.sector, nr, is_writing(r))) {
        return false;
    }
    if (r->req.op != BLK_DISCARD) {
        r->pages = (nr + PAGE_SECTORS - 1) / PAGE_SECTORS;
        r->req.buf = xen_page_alloc(r->pages);
        if (r->req.buf == NULL) {
            return false;
        }
        r->stamp = next_stamp;
        next_stamp += nr;
        fill(r);
    }
    return true;
}

bool work_submit(void)
{
    struct request *r = requests;
    int rc;

    if (disk == NULL) {
        disk = blk_get("xvda");
    }
    while (r < requests + REQUESTS && r->used) {
        r++;
    }
    if (disk == NULL || !disk->entry.listed || r == requests + REQUESTS || !choose(r)) {
        return false;
    }
    r->used = true;
    r->began = moment++;
    claim(r);
    sim_trace("guest: request %u, operation %d of sector %u, %u sectors",
              (unsigned int)(r - requests), r->req.op, (unsigned int)r->req.sector,
              (unsigned int)r->req.nsectors);
    rc = blk_submit(disk, &r->req);
    sim_require(rc == 0);
    return true;
}

unsigned int work_under_way(void)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < REQUESTS; i++) {
        n += requests[i].used ? 1 : 0;
    }
    return n;
}

bool work_has_disk(void)
{
    struct blk_dev *dev = blk_get("xvda");

    if (dev == NULL) {
        return false;
    }
    blk_put(dev);
    return true;
}

void work_let_go(void)
{
    if (disk != NULL && !disk->entry.listed && work_under_way() == 0) {
        blk_put(disk);
        disk = NULL;
    }
}

void work_lost(uint32_t sector)
{
    add_all(&sectors[sector].allowed, &sectors[sector].history);
}

void work_check(void)
{
    for (uint32_t s = 0; s < DISK_SECTORS; s++) {
        uint64_t found;

        if (!disk_stamp(s, &found)) {
            sim_found("at the end sector %u is torn", s);
        }
        if (!sectors[s].writer && !has(&sectors[s].allowed, found)) {
            sim_found("at the end sector %u is %llu, which is none of what was written last", s,
                      (unsigned long long)found);
        }
    }
}

void work_abandon(void)
{
    for (unsigned int i = 0; i < REQUESTS; i++) {
        if (requests[i].used && requests[i].pages != 0) {
            xen_page_free(requests[i].req.buf, requests[i].pages);
        }
        requests[i].used = false;
    }
    disk = NULL;
}

void work_reset(void)
{
    memset(sectors, 0, sizeof(sectors));
    for (uint32_t s = 0; s < DISK_SECTORS; s++) {
        set_only(&sectors[s].allowed, 0);
        set_only(&sectors[s].history, 0);
    }
    memset(requests, 0, sizeof(requests));
    disk = NULL;
    moment = 1;
    next_stamp = 1000;
    work_may_fail = work_may_go = false;
    work_failed = work_done = 0;
}
