/*
 * xvb_trial.c - see xvb_trial.h.
 */
#include "hostile/xvb_trial.h"

#include "kern/mem.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "psm/clock.h"
#include "psm/cpu.h"

#define LOOK          NSEC_PER_MSEC
#define PATIENCE      (20 * NSEC_PER_SEC) /* for an answer */
#define COME_BACK     (60 * NSEC_PER_SEC) /* for the disk, after it was closed */
#define CHUNK_ORDER   4u
#define CHUNK_SECTORS ((PAGE_SIZE << CHUNK_ORDER) / XVB_SECTOR)
#define FILL          0xa5
#define ALTERED       8 /* requests that are published at once to be changed */
#define PAUSES        64
#define LEAVING       8 /* requests at once, while the front end leaves */

_Static_assert(XVB_SCRATCH % CHUNK_SECTORS == 0 && XVB_SCRATCH_SECTORS % CHUNK_SECTORS == 0,
               "the scratch sectors are whole chunks");

/* ---- what has to stay ---- */

/* FNV-1a, by words. */
static uint64_t xvb_trial_sum(const void *data, size_t bytes)
{
    uint64_t sum = 0xcbf29ce484222325ull;
    const uint64_t *words = data;

    for (size_t i = 0; i < bytes / sizeof(*words); i++) {
        sum = (sum ^ words[i]) * 0x100000001b3ull;
    }
    return sum;
}

static uint64_t chunks_of(const struct xvb_trial *t)
{
    return t->ring.disk.sectors / CHUNK_SECTORS;
}

/* The sum of a chunk of the disk, read as any user of the disk does; 0 or -errno. */
static int sum_chunk(struct xvb_trial *t, uint64_t chunk, uint64_t *sum)
{
    int rc = blk_rw(t->ring.dev, BLK_READ, chunk * CHUNK_SECTORS, CHUNK_SECTORS, t->chunk);

    *sum = xvb_trial_sum(t->chunk, CHUNK_SECTORS * XVB_SECTOR);
    return rc;
}

/* Whether nothing has changed but what may. NULL: so it is. */
static const char *look_at_the_rest(struct xvb_trial *t)
{
    for (uint64_t i = 0; i < chunks_of(t); i++) {
        bool scratch = !t->ring.disk.readonly && i >= XVB_SCRATCH / CHUNK_SECTORS &&
                       i < (XVB_SCRATCH + XVB_SCRATCH_SECTORS) / CHUNK_SECTORS;
        uint64_t sum;

        if (!scratch && sum_chunk(t, i, &sum) != 0) {
            return "the disk cannot be read any more";
        }
        if (!scratch && sum != t->before[i]) {
            t->before[i] = sum;
            return "the disk has changed where nothing may be written";
        }
    }
    return NULL;
}

static bool is_filled(const uint8_t *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (at[i] != FILL) {
            return false;
        }
    }
    return true;
}

/* The sectors of the data page @gref that a read may write to, as bits. */
static unsigned sectors_named(const struct blkif_request_segment *s, unsigned n, gref_t gref)
{
    unsigned bits = 0;

    for (unsigned i = 0; i < n; i++) {
        if (s[i].gref == gref && s[i].last_sect < XVB_PAGE_SECTORS) {
            for (unsigned j = s[i].first_sect; j <= s[i].last_sect; j++) {
                bits |= 1u << j;
            }
        }
    }
    return bits;
}

static unsigned xvb_trial_named_by(const struct xvb_trial *t, const union xvb_raw *raw, gref_t gref)
{
    if (raw->rw.operation == BLKIF_OP_READ) {
        return sectors_named(raw->rw.seg, MIN(raw->rw.nr_segments, XVB_PAGES), gref);
    }
    if (raw->rw.operation == BLKIF_OP_INDIRECT && raw->indirect.indirect_op == BLKIF_OP_READ) {
        return sectors_named(t->ring.disk.list, MIN(raw->indirect.nr_segments, XVB_LIST), gref);
    }
    return 0;
}

/* Our pages, where no read of the batch has named them. */
static const char *look_at_pages(const struct xvb_trial *t)
{
    for (unsigned i = 0; i < XVB_PAGES; i++) {
        unsigned bits = 0;

        for (unsigned j = 0; j < t->batch.n; j++) {
            bits |= xvb_trial_named_by(t, &t->batch.entries[j], t->ring.disk.data[i]);
        }
        for (unsigned j = 0; j < XVB_PAGE_SECTORS; j++) {
            if ((bits & (1u << j)) == 0 &&
                !is_filled(t->ring.data[i] + (size_t)j * XVB_SECTOR, XVB_SECTOR)) {
                return "our memory has changed where no read was to write";
            }
        }
    }
    return is_filled(t->ring.guard, PAGE_SIZE) ? NULL : "a page that may only be read was written";
}

/* ---- answers ---- */

static bool xvb_trial_over(const struct xvb_trial *t, nsec_t until)
{
    return clock_now() >= until || t->interrupted(t->arg);
}

/* Waits until the disk's ring is ours. */
static int xvb_trial_seize(struct xvb_trial *t)
{
    nsec_t deadline = clock_now() + COME_BACK;
    int rc;

    while ((rc = xvb_abuse_seize(&t->ring)) == -EAGAIN || rc == -ENOTCONN) {
        if (xvb_trial_over(t, deadline)) {
            break;
        }
        thread_sleep_until(clock_now() + LOOK);
    }
    return rc;
}

/* Waits until all is answered, the ring is closed, or patience ends. */
static void wait_for_answers(struct xvb_trial *t)
{
    nsec_t deadline = clock_now() + PATIENCE;
    int left;

    while ((left = xvb_abuse_take(&t->ring, &t->sum)) > 0 && clock_now() < deadline) {
        thread_sleep_until(clock_now() + LOOK);
    }
    t->outcome |= (t->sum.okay != 0 ? XVB_OKAY : 0) | (t->sum.error != 0 ? XVB_ERROR : 0) |
                  (t->sum.unsupported != 0 ? XVB_UNSUPPORTED : 0) |
                  (left == -ENOTCONN ? XVB_CLOSED : 0) | (left > 0 ? XVB_STOPPED : 0);
    if (left == -EBADMSG) {
        t->outcome |= XVB_STOPPED;
        t->wrong = "more answers than requests";
    }
}

static void put_and_wait(struct xvb_trial *t)
{
    int rc = xvb_abuse_put(&t->ring, t->batch.entries, t->batch.n);

    if (rc == 0) {
        wait_for_answers(t);
    } else {
        t->outcome |= rc == -ENOTCONN ? XVB_CLOSED : XVB_STOPPED;
    }
}

/* ---- the kinds of cases ---- */

static void try_batch(struct xvb_trial *t, const struct xvb_case *c)
{
    c->build(&t->batch, c->arg);
    put_and_wait(t);
    t->wrong = t->wrong != NULL ? t->wrong : look_at_pages(t);
}

static void try_index(struct xvb_trial *t, const struct xvb_case *c)
{
    if (xvb_abuse_index(&t->ring, c->arg) != 0) {
        t->outcome |= XVB_CLOSED;
        return;
    }
    wait_for_answers(t);
}

static void try_kicks(struct xvb_trial *t, const struct xvb_case *c)
{
    nsec_t until = clock_now() + t->duration;
    int rc = 0;

    while (!xvb_trial_over(t, until) && rc == 0) {
        rc = xvb_abuse_kick(&t->ring);
        t->kicks += rc == 0;
    }
    xvb_cases[0].build(&t->batch, xvb_cases[0].arg);
    put_and_wait(t);
    (void)c;
}

struct alterer {
    struct xvb_abuse *ring;
    unsigned what;
    bool stop;
};

static void alter_all_the_while(void *arg)
{
    struct alterer *alterer = arg;

    for (unsigned turn = 0; !READ_ONCE(alterer->stop); turn++) {
        if (xvb_abuse_alter(alterer->ring, alterer->what, turn) != 0 || cpu_count_online() == 1) {
            thread_yield();
        }
        for (unsigned i = turn % PAUSES; i > 0; i--) {
            __builtin_ia32_pause();
        }
    }
}

/* Publishes the same again and again, each with an id of its own. */
static void publish_for_alterer(struct xvb_trial *t, unsigned what)
{
    nsec_t until = clock_now() + t->duration;
    uint64_t id = 1;
    int rc = 0;

    while (!xvb_trial_over(t, until) && rc >= 0) {
        t->batch.n = 0;
        xvb_alter_base(&t->batch, what);
        for (unsigned i = 0; i < ALTERED; i++) {
            union xvb_raw *entry = &t->batch.entries[i];

            *entry = t->batch.entries[0];
            *(what == XVB_ALTER_LIST ? &entry->indirect.id : &entry->rw.id) = id++ << 16;
        }
        rc = xvb_abuse_put(&t->ring, t->batch.entries, ALTERED);
        if (rc == 0 || rc == -EAGAIN) {
            rc = xvb_abuse_take(&t->ring, &t->sum);
        }
        thread_yield();
    }
}

static void try_alter(struct xvb_trial *t, const struct xvb_case *c)
{
    struct alterer alterer = {.ring = &t->ring, .what = c->arg};
    struct thread *thread = NULL;

    /* Once with nothing there, so that the first answers are looked at as those of the others. */
    if (xvb_abuse_alter(&t->ring, c->arg, 0) == 0) {
        thread = thread_create("alterer", alter_all_the_while, &alterer, PRIO_NORMAL);
    }
    if (thread == NULL) {
        t->wrong = "no memory to try it";
        return;
    }
    publish_for_alterer(t, c->arg);
    WRITE_ONCE(alterer.stop, true);
    thread_join(thread);
    wait_for_answers(t);
    if (!is_filled(t->ring.guard, PAGE_SIZE)) {
        t->wrong = "a page that may only be read was written";
    }
}

/* Takes back what can be of the pages whose bits are set in *@ours; what was, must stay. */
static void revoke_pages(struct xvb_trial *t, unsigned *ours)
{
    for (unsigned i = 0; i < XVB_PAGES; i++) {
        if ((*ours & (1u << i)) != 0 && xvb_abuse_revoke(&t->ring, i) == 0) {
            *ours &= ~(1u << i);
            t->page_sums[i] = xvb_trial_sum(t->ring.data[i], PAGE_SIZE);
        }
    }
}

/* One round of reads whose pages are taken back once @answered of them are answered. */
static void revoke_round(struct xvb_trial *t, int answered)
{
    unsigned held = (1u << XVB_PAGES) - 1;
    nsec_t deadline = clock_now() + PATIENCE;
    int left = (int)t->batch.n;

    if (xvb_abuse_put(&t->ring, t->batch.entries, t->batch.n) != 0) {
        t->outcome |= XVB_CLOSED;
        return;
    }
    do {
        if (left <= (int)t->batch.n - answered) {
            revoke_pages(t, &held);
        }
        left = xvb_abuse_take(&t->ring, &t->sum);
    } while ((left > 0 || (left == 0 && held != 0)) && clock_now() < deadline);
    if (left != 0) {
        t->outcome |= left == -ENOTCONN ? XVB_CLOSED : XVB_STOPPED;
        return;
    }
    for (unsigned i = 0; i < XVB_PAGES; i++) {
        if ((held & (1u << i)) != 0) {
            t->wrong = "a page is kept after all was answered";
        } else if (t->page_sums[i] != xvb_trial_sum(t->ring.data[i], PAGE_SIZE)) {
            t->wrong = "a page was written after it was taken back";
        } else {
            xvb_abuse_grant(&t->ring, i);
        }
    }
}

/* So many of the largest reads. */
static void many_reads(struct xvb_trial *t, unsigned n)
{
    xvb_cases[1].build(&t->batch, XVB_PAGES);
    for (unsigned i = 0; i < n; i++) {
        t->batch.entries[i] = t->batch.entries[1];
        t->batch.entries[i].rw.id = i;
    }
    t->batch.n = n;
}

static void try_revoke(struct xvb_trial *t, const struct xvb_case *c)
{
    nsec_t until = clock_now() + t->duration;
    unsigned round = 0;

    (void)c;
    many_reads(t, XVB_RING);
    do {
        revoke_round(t, (int)(round++ % XVB_RING));
    } while (t->outcome == 0 && t->wrong == NULL && !xvb_trial_over(t, until));
    if ((t->outcome & XVB_CLOSED) == 0 && t->wrong == NULL) {
        wait_for_answers(t);
    }
}

static void try_leave(struct xvb_trial *t, const struct xvb_case *c)
{
    nsec_t deadline = clock_now() + PATIENCE;
    int left = 0;

    many_reads(t, LEAVING);
    if (xvb_abuse_put(&t->ring, t->batch.entries, t->batch.n) != 0 ||
        xvb_abuse_say(&t->ring, c->arg) != 0) {
        t->wrong = "the store does not take our state";
        return;
    }
    /* Requests are under way all the while. */
    while (left >= 0 && clock_now() < deadline) {
        int rc = xvb_abuse_put(&t->ring, t->batch.entries, t->batch.n);

        left = rc == 0 || rc == -EAGAIN ? xvb_abuse_take(&t->ring, &t->sum) : rc;
        thread_yield();
    }
    t->outcome |= left == -ENOTCONN ? XVB_CLOSED : XVB_STOPPED;
}

/* ---- the verdict ---- */

/* What is served after it: a request of each kind, the ring unused where it is, then the rest. */
static const char *look_after(struct xvb_trial *t)
{
    struct xvb_answers sum = {0};
    nsec_t deadline = clock_now() + PATIENCE;
    unsigned skip = t->ring.disk.readonly ? 1 : 0;
    int left = 0;

    t->batch.n = 0;
    xvb_cases[0].build(&t->batch, xvb_cases[0].arg);
    int rc = xvb_abuse_put(&t->ring, t->batch.entries + skip, t->batch.n - skip);
    while (rc == 0 && (left = xvb_abuse_take(&t->ring, &sum)) > 0 && clock_now() < deadline) {
        thread_sleep_until(clock_now() + LOOK);
    }
    if (rc != 0 || left != 0 || sum.okay != t->batch.n - skip) {
        return "a good request that follows is not served";
    }
    if (!xvb_abuse_clean(&t->ring)) {
        return "bytes of the ring's page that nobody writes have changed";
    }
    rc = xvb_abuse_release(&t->ring);
    t->usable = rc == 0;
    return rc != 0 ? "the ring cannot be used any more" : look_at_the_rest(t);
}

static const char *judge(struct xvb_trial *t, const struct xvb_case *c)
{
    if (t->sum.senseless != 0 || t->sum.leaking != 0) {
        return t->sum.why;
    }
    if (t->wrong != NULL) {
        return t->wrong;
    }
    return t->outcome == 0 || (t->outcome & ~c->right) != 0 ? "not what the rule says" : NULL;
}

void xvb_trial_run(struct xvb_trial *t, const struct xvb_case *c)
{
    static void (*const kinds[])(struct xvb_trial * t, const struct xvb_case *c) = {
        [XVB_BATCH] = try_batch, [XVB_INDEX] = try_index,   [XVB_KICKS] = try_kicks,
        [XVB_ALTER] = try_alter, [XVB_REVOKE] = try_revoke, [XVB_LEAVE] = try_leave,
    };
    t->sum = (struct xvb_answers){0};
    t->kicks = 0;
    t->outcome = 0;
    t->usable = false;
    t->wrong = NULL;
    t->after = NULL;
    t->batch.n = 0;
    for (unsigned i = 0; i < XVB_PAGES; i++) {
        memset(t->ring.data[i], FILL, PAGE_SIZE);
    }
    if (xvb_trial_seize(t) != 0) {
        t->wrong = "the disk is not served";
        return;
    }
    kinds[c->how](t, c);
    t->wrong = judge(t, c);
    if ((t->outcome & XVB_CLOSED) != 0 && xvb_trial_seize(t) != 0) {
        t->after = "the disk does not come back";
    } else if ((t->outcome & XVB_STOPPED) == 0) {
        t->after = look_after(t);
    }
}

/* ---- the session ---- */

int xvb_trial_open(struct xvb_trial *t, const char *disk)
{
    int rc = xvb_abuse_open(&t->ring, disk);

    if (rc != 0) {
        return rc;
    }
    t->batch.disk = &t->ring.disk;
    memset(t->ring.guard, FILL, PAGE_SIZE);
    t->before = kzalloc(chunks_of(t) * sizeof(*t->before));
    t->chunk = page_alloc_zeroed(CHUNK_ORDER);
    rc = t->before == NULL || t->chunk == NULL ? -ENOMEM : 0;
    for (uint64_t i = 0; i < chunks_of(t) && rc == 0; i++) {
        rc = sum_chunk(t, i, &t->before[i]);
    }
    if (rc != 0) {
        xvb_trial_close(t);
    }
    return rc;
}

void xvb_trial_close(struct xvb_trial *t)
{
    kfree(t->before);
    if (t->chunk != NULL) {
        page_free(t->chunk, CHUNK_ORDER);
    }
    xvb_abuse_close(&t->ring);
}
