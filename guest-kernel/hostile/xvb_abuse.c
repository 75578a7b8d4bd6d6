/*
 * xvb_abuse.c - see xvb_abuse.h.
 *
 * The ring belongs to xvbd.c; its flag `seized` keeps that from it while a session is at work, and
 * falls with the ring.
 */
#include "hostile/xvb_abuse.h"

#include "hat/p2m.h"
#include "io/xvbd/xvbd_impl.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "xenbus/xs.h"

#define RING_AT offsetof(struct blkif_sring, ring)

static struct xvbd *disk_under(const struct xvb_abuse *a)
{
    return CONTAINER_OF(a->dev, struct xvbd, blk);
}

/* ---- the session ---- */

static int share_pages(struct xvb_abuse *a)
{
    uint16_t domid = disk_under(a)->fe.otherend_id;
    void *list;
    int rc = 0;

    for (unsigned i = 0; i < XVB_PAGES && rc == 0; i++) {
        void *page;

        rc = gnttab_share_new_page(domid, &page, &a->disk.data[i]);
        a->data[i] = page;
    }
    a->guard = page_alloc_zeroed(0);
    list = page_alloc_zeroed(0);
    a->disk.list = list;
    if (rc == 0 && (a->guard == NULL || list == NULL)) {
        rc = -ENOMEM;
    }
    if (rc == 0) {
        rc = gnttab_share_page(domid, a->guard, true, &a->disk.guard);
    }
    if (rc == 0) {
        rc = gnttab_share_page(domid, list, true, &a->disk.listed);
    }
    return rc != 0 ? rc : gnttab_alloc(&a->disk.ended);
}

static void xvb_abuse_unshare(gref_t gref, void *page)
{
    if (gref != GREF_NONE) {
        gnttab_unshare_page(gref, page);
    } else if (page != NULL) {
        page_free(page, 0);
    }
}

static void unshare_pages(struct xvb_abuse *a)
{
    for (unsigned i = 0; i < XVB_PAGES; i++) {
        xvb_abuse_unshare(a->disk.data[i], a->data[i]);
    }
    xvb_abuse_unshare(a->disk.guard, a->guard);
    xvb_abuse_unshare(a->disk.listed, a->disk.list);
    if (a->disk.ended != GREF_NONE) {
        gnttab_free(a->disk.ended);
    }
}

/* How many segments an indirect request may have, which xvbd has no use for. */
static int read_indirect(struct xvb_abuse *a)
{
    const struct xs_field field = {"feature-max-indirect-segments", XS_U32, &a->disk.indirect,
                                   true};
    char *backend;
    int rc = xs_read(XS_NO_TXN, disk_under(a)->fe.dev->node, "backend", &backend, NULL);

    if (rc == 0) {
        rc = xs_gather(XS_NO_TXN, backend, &field, 1, NULL);
        kfree(backend);
    }
    return rc;
}

/* What the back end says of itself. */
static int look_at_disk(struct xvb_abuse *a)
{
    struct blk_info info;

    blk_get_info(a->dev, &info);
    a->disk.sectors = info.sectors;
    a->disk.readonly = info.readonly;
    a->disk.discard = info.discard;
    a->disk.handle = (uint16_t)disk_under(a)->vdev;
    return info.sectors < XVB_SECTORS_MIN || info.sector_size != XVB_SECTOR ? -EINVAL
                                                                            : read_indirect(a);
}

int xvb_abuse_open(struct xvb_abuse *a, const char *name)
{
    int rc = -EOPNOTSUPP;

    a->dev = blk_get(name);
    if (a->dev == NULL) {
        return -ENODEV;
    }
    for (unsigned i = 0; i < XVB_PAGES; i++) {
        a->disk.data[i] = GREF_NONE;
    }
    a->disk.guard = a->disk.listed = a->disk.ended = GREF_NONE;
    if (a->dev->ops->submit == xvbd_submit) {
        rc = look_at_disk(a);
        rc = rc != 0 ? rc : share_pages(a);
    }
    if (rc != 0) {
        xvb_abuse_close(a);
    }
    return rc;
}

void xvb_abuse_close(struct xvb_abuse *a)
{
    unshare_pages(a);
    blk_put(a->dev);
}

int xvb_abuse_seize(struct xvb_abuse *a)
{
    int rc = xvbd_seize(disk_under(a));

    if (rc == 0) {
        memset(a->sent, 0, sizeof(a->sent));
        memset(a->there, 0, sizeof(a->there));
        a->altered = false;
    }
    return rc;
}

int xvb_abuse_release(struct xvb_abuse *a)
{
    return xvbd_let_go(disk_under(a));
}

int xvb_abuse_revoke(struct xvb_abuse *a, unsigned i)
{
    return gnttab_end(a->disk.data[i]);
}

void xvb_abuse_grant(struct xvb_abuse *a, unsigned i)
{
    gnttab_grant(a->disk.data[i], disk_under(a)->fe.otherend_id, virt_to_mfn(a->data[i]), false);
}

int xvb_abuse_say(struct xvb_abuse *a, unsigned state)
{
    return xs_writef(XS_NO_TXN, disk_under(a)->fe.dev->node, "state", "%u", state);
}

/* ---- the ring ---- */

/* Takes the disk's lock if the ring is seized; NULL: it is not. */
static struct xvbd *lock_seized(struct xvb_abuse *a, upcall_state_t *s)
{
    struct xvbd *x = disk_under(a);

    *s = spin_lock(&x->lock);
    if (x->state == PATH_UP && x->seized) {
        return x;
    }
    spin_unlock(&x->lock, *s);
    return NULL;
}

static void xvb_abuse_publish(struct xvbd *x)
{
    int notify;

    RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&x->ring, notify);
    if (notify != 0) {
        evtchn_notify(x->port);
    }
}

/* The bytes of an entry that an answer has and that are no field of it. */
static bool is_unused(size_t at)
{
    return at == offsetof(struct blkif_response, operation) + 1 ||
           (at >= offsetof(struct blkif_response, status) + 2 &&
            at < sizeof(struct blkif_response));
}

/* There is a free place: no more requests are open than the ring has entries. */
static void xvb_abuse_note(struct xvb_abuse *a, const union xvb_raw *raw)
{
    bool indirect = raw->rw.operation == BLKIF_OP_INDIRECT;
    struct xvb_sent *sent = a->sent;

    while (sent->open && sent < &a->sent[XVB_RING - 1]) {
        sent++;
    }
    *sent = (struct xvb_sent){.open = true,
                              .operation = raw->rw.operation,
                              .inner = indirect ? raw->indirect.indirect_op : raw->rw.operation,
                              .id = indirect ? raw->indirect.id : raw->rw.id};
}

int xvb_abuse_put(struct xvb_abuse *a, const union xvb_raw *entries, unsigned n)
{
    upcall_state_t s;
    struct xvbd *x = lock_seized(a, &s);

    if (x == NULL) {
        return -ENOTCONN;
    }
    int rc = RING_FREE_REQUESTS(&x->ring) >= n ? 0 : -EAGAIN;
    for (unsigned i = 0; i < n && rc == 0; i++) {
        union xvb_raw *there = &a->there[x->ring.req_prod_pvt % XVB_RING];

        *there = entries[i];
        xvb_abuse_note(a, there);
        memcpy(RING_GET_REQUEST(&x->ring, x->ring.req_prod_pvt++), there, sizeof(*there));
    }
    if (rc == 0) {
        xvb_abuse_publish(x);
    }
    spin_unlock(&x->lock, s);
    return rc;
}

int xvb_abuse_index(struct xvb_abuse *a, uint32_t by)
{
    upcall_state_t s;
    struct xvbd *x = lock_seized(a, &s);

    if (x == NULL) {
        return -ENOTCONN;
    }
    x->ring.req_prod_pvt += by;
    xvb_abuse_publish(x);
    evtchn_notify(x->port);
    spin_unlock(&x->lock, s);
    return 0;
}

int xvb_abuse_kick(struct xvb_abuse *a)
{
    upcall_state_t s;
    struct xvbd *x = lock_seized(a, &s);

    if (x == NULL) {
        return -ENOTCONN;
    }
    evtchn_notify(x->port);
    spin_unlock(&x->lock, s);
    return 0;
}

int xvb_abuse_alter(struct xvb_abuse *a, unsigned what, unsigned turn)
{
    upcall_state_t s;
    struct xvbd *x = lock_seized(a, &s);

    if (x == NULL) {
        return -ENOTCONN;
    }
    a->altered = true;
    for (RING_IDX i = x->ring.rsp_cons; i != x->ring.req_prod_pvt; i++) {
        xvb_alter((union xvb_raw *)RING_GET_REQUEST(&x->ring, i), a->disk.list, what, turn);
    }
    spin_unlock(&x->lock, s);
    return 0;
}

/* ---- answers ---- */

/* Marks the entry that an answer belongs to as answered. NULL: all is well, else what is not. */
static const char *xvb_abuse_match(struct xvb_abuse *a, const struct blkif_response *rsp)
{
    /* What alters entries may have hit the first bytes of an answer. */
    unsigned shift = a->altered ? 16 : 0;

    for (unsigned i = 0; i < XVB_RING; i++) {
        struct xvb_sent *sent = &a->sent[i];

        if (sent->open && sent->id >> shift == rsp->id >> shift) {
            sent->open = false;
            return a->altered || rsp->operation == sent->inner || rsp->operation == sent->operation
                       ? NULL
                       : "an answer with another operation than its request";
        }
    }
    return "an answer to what was not asked";
}

static void xvb_abuse_count(struct xvb_answers *sum, int16_t status)
{
    switch (status) {
    case BLKIF_RSP_OKAY:
        sum->okay++;
        break;
    case BLKIF_RSP_ERROR:
        sum->error++;
        break;
    case BLKIF_RSP_EOPNOTSUPP:
        sum->unsupported++;
        break;
    default:
        sum->senseless++;
        sum->why = "an answer with an unknown status";
        break;
    }
}

/* Whether what lies behind an answer is as it was, or nothing: no memory of the back end's. */
static bool tells_nothing(const uint8_t *now, const union xvb_raw *before)
{
    for (size_t i = 0; i < sizeof(*before); i++) {
        if ((is_unused(i) || i >= sizeof(struct blkif_response)) && now[i] != 0 &&
            now[i] != before->bytes[i]) {
            return false;
        }
    }
    return true;
}

static void take_one(struct xvb_abuse *a, struct xvbd *x, struct xvb_answers *sum)
{
    const union xvb_raw *there = &a->there[x->ring.rsp_cons % XVB_RING];
    union xvb_raw now;
    struct blkif_response rsp;

    memcpy(&now, RING_GET_RESPONSE(&x->ring, x->ring.rsp_cons), sizeof(now));
    barrier();
    memcpy(&rsp, &now, sizeof(rsp));
    if (!a->altered && !tells_nothing(now.bytes, there)) {
        sum->leaking++;
        sum->why = "bytes beside an answer that the back end put there";
    }
    xvb_abuse_count(sum, rsp.status);
    const char *wrong = xvb_abuse_match(a, &rsp);
    if (wrong != NULL) {
        sum->senseless++;
        sum->why = wrong;
    }
    x->ring.rsp_cons++;
}

int xvb_abuse_take(struct xvb_abuse *a, struct xvb_answers *sum)
{
    upcall_state_t s;
    struct xvbd *x = lock_seized(a, &s);

    if (x == NULL) {
        return -ENOTCONN;
    }
    RING_IDX prod = READ_ONCE(x->ring.sring->rsp_prod);
    rmb();
    int rc = prod - x->ring.rsp_cons > x->ring.req_prod_pvt - x->ring.rsp_cons ? -EBADMSG : 0;
    while (rc == 0 && x->ring.rsp_cons != prod) {
        take_one(a, x, sum);
    }
    RING_IDX left = x->ring.req_prod_pvt - x->ring.rsp_cons;
    spin_unlock(&x->lock, s);
    return rc != 0 ? rc : (int)MIN(left, (RING_IDX)INT32_MAX);
}

bool xvb_abuse_clean(struct xvb_abuse *a)
{
    const size_t end = RING_AT + XVB_RING * sizeof(union xvb_raw);
    upcall_state_t s;
    struct xvbd *x = lock_seized(a, &s);
    bool clean = true;

    if (x == NULL) {
        return true;
    }
    const uint8_t *page = x->ring_page;
    for (size_t i = offsetof(struct blkif_sring, pvt); i < PAGE_SIZE; i++) {
        clean = clean && ((i >= RING_AT && i < end) || page[i] == 0);
    }
    spin_unlock(&x->lock, s);
    return clean;
}
