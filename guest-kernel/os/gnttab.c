/*
 * gnttab.c - the grant table, version 1.
 *
 * Owns the table's frames (Xen's pages, mapped into a kvm region reserved at its full size) and,
 * beside each frame, a page of notes of our own: the free list's links, and what to free once a
 * deferred entry's peer lets go. Xen writes the table as well (GTF_reading, GTF_writing), so an
 * entry in use is changed by compare-and-swap only. The notes are never visible to anybody else.
 * Locks: gnttab_grow_lock (a mutex; one grower) over gnttab_lock (spinlock: free list, notes,
 * deferred list, counters), a leaf but for the page allocator's and the timers' locks.
 * Suspend: the frames are unmapped before and mapped again after; the notes stay as they are.
 */
#include "os/gnttab.h"

#include "hat/kvm.h"
#include "hat/p2m.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/page.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "kern/wait.h"
#include "os/hypercall.h"
#include "os/panic.h"
#include "psm/clock.h"
#include "psm/timer.h"

#define ENTRIES_PER_FRAME (PAGE_SIZE / sizeof(grant_entry_v1_t))
#define FRAMES_CAP        1024u /* beyond what any Xen gives by default; bounds the reservation */
#define RETRY_PERIOD      NSEC_PER_SEC
#define HELD_SHARE        16 /* one part of memory in so many that a peer may keep from us */

/* What we note about an entry. */
struct note {
    gref_t next;   /* on the free list or the deferred list */
    bool deferred; /* its peer holds on to it */
    void *page;    /* deferred: to be freed with it */
};

#define NOTES_ORDER 1 /* pages (as a power of two) that the notes of one frame take */
_Static_assert(ENTRIES_PER_FRAME * sizeof(struct note) <= (PAGE_SIZE << NOTES_ORDER),
               "a frame's notes fit their pages");

static struct mutex gnttab_grow_lock;
static spinlock_t gnttab_lock = SPINLOCK("gnttab");
static grant_entry_v1_t *table;
static struct note **notes; /* one array per frame */
static gref_t free_head = GREF_NONE;
static gref_t deferred_head = GREF_NONE;
static struct timer retry_timer;
static struct gnttab_stats counts;
static uint64_t *frame_list; /* room for all frames' numbers: a resume must not need memory */

static struct note *note_of(gref_t ref)
{
    return &notes[ref / ENTRIES_PER_FRAME][ref % ENTRIES_PER_FRAME];
}

/*
 * Maps frames 0 ... n-1, which GNTTABOP_setup_table makes exist, and counts them. A suspend comes
 * before or after, since the caller holds frames: it unmaps what is counted. Allocates nothing.
 */
static int map_frames(uint32_t n)
{
    struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = n};
    set_xen_guest_handle(setup.frame_list, frame_list);

    long rc = HYPERVISOR_grant_table_op(GNTTABOP_setup_table, &setup, 1);
    if (rc == 0 && setup.status != GNTST_okay) {
        rc = -ENOSPC;
    }
    for (uint32_t i = counts.frames; rc == 0 && i < n; i++) {
        mfn_t mfn = MFN(frame_list[i]);
        rc = kvm_map((char *)table + i * PAGE_SIZE, &mfn, 1, HAT_WRITE);
        counts.frames += rc == 0 ? 1 : 0;
    }
    return (int)rc;
}

/* Puts the entries of a new frame on the free list; the first frame keeps Xen's reserved ones. */
static void add_entries(uint32_t frame)
{
    gref_t first = frame * ENTRIES_PER_FRAME;
    gref_t end = first + ENTRIES_PER_FRAME;

    if (frame == 0) {
        first = GNTTAB_NR_RESERVED_ENTRIES;
    }
    for (gref_t ref = end; ref-- > first;) {
        note_of(ref)->next = free_head;
        note_of(ref)->page = NULL;
        free_head = ref;
    }
    counts.entries_free += end - first;
    counts.entries += ENTRIES_PER_FRAME;
}

/* One more frame. Caller holds gnttab_grow_lock, or boot has one thread. */
static int gnttab_grow(void)
{
    uint32_t frame = counts.frames;

    if (frame >= counts.frames_max) {
        return -ENOSPC;
    }
    struct note *page = page_alloc_zeroed(NOTES_ORDER);
    if (page == NULL) {
        return -ENOMEM;
    }
    frames_hold();
    int rc = map_frames(frame + 1);
    frames_release();
    if (rc != 0) {
        page_free(page, NOTES_ORDER);
        return rc;
    }
    upcall_state_t s = spin_lock(&gnttab_lock);
    notes[frame] = page;
    add_entries(frame);
    spin_unlock(&gnttab_lock, s);
    return 0;
}

static gref_t take_free(void)
{
    upcall_state_t s = spin_lock(&gnttab_lock);
    gref_t ref = free_head;

    if (ref != GREF_NONE) {
        free_head = note_of(ref)->next;
        counts.entries_free--;
    }
    spin_unlock(&gnttab_lock, s);
    return ref;
}

int gnttab_alloc(gref_t *ref)
{
    int rc = 0;

    *ref = take_free();
    if ((*ref != GREF_NONE || upcalls_masked()) != 0) {
        return *ref == GREF_NONE ? -ENOSPC : 0;
    }
    mutex_lock(&gnttab_grow_lock);
    while (rc == 0 && (*ref = take_free()) == GREF_NONE) {
        rc = gnttab_grow();
    }
    mutex_unlock(&gnttab_grow_lock);
    return rc;
}

void gnttab_free(gref_t ref)
{
    ASSERT(ref < counts.entries && !(READ_ONCE(table[ref].flags) & GTF_type_mask));
    upcall_state_t s = spin_lock(&gnttab_lock);

    note_of(ref)->next = free_head;
    free_head = ref;
    counts.entries_free++;
    spin_unlock(&gnttab_lock, s);
}

/* Whether a frame is a page of ours in which nothing of a former owner is left. */
static bool may_be_seen(mfn_t mfn)
{
    pfn_t pfn;

    return m2p_get(mfn, &pfn) && page_is_cleared(pfn_to_virt(pfn));
}

void gnttab_grant(gref_t ref, uint16_t domid, mfn_t mfn, bool readonly)
{
    grant_entry_v1_t *e = &table[ref];

    ASSERT(ref < counts.entries && mfn_is_valid(mfn) && may_be_seen(mfn));
    e->frame = (uint32_t)mfn.n;
    e->domid = domid;
    wmb();
    WRITE_ONCE(e->flags, (uint16_t)(GTF_permit_access | (readonly ? GTF_readonly : 0)));
}

int gnttab_end(gref_t ref)
{
    uint16_t *flags = &table[ref].flags;
    uint16_t old = READ_ONCE(*flags);

    do {
        if (old & (GTF_reading | GTF_writing)) {
            return -EBUSY;
        }
    } while (
        !__atomic_compare_exchange_n(flags, &old, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    return 0;
}

int gnttab_share_page(uint16_t domid, void *page, bool readonly, gref_t *ref)
{
    int rc = gnttab_alloc(ref);

    if (rc == 0) {
        frames_hold();
        gnttab_grant(*ref, domid, virt_to_mfn(page), readonly);
        frames_release();
    }
    return rc;
}

int gnttab_share_new_page(uint16_t domid, void **page, gref_t *ref)
{
    *ref = GREF_NONE;
    *page = page_alloc_zeroed(0);
    if (*page == NULL) {
        return -ENOMEM;
    }
    int rc = gnttab_share_page(domid, *page, false, ref);
    if (rc != 0) {
        page_free(*page, 0);
        *page = NULL;
        *ref = GREF_NONE;
    }
    return rc;
}

static void free_entry_and_page(gref_t ref, void *page)
{
    gnttab_free(ref);
    if (page != NULL) {
        page_free(page, 0);
    }
}

static void defer(gref_t ref, void *page)
{
    upcall_state_t s = spin_lock(&gnttab_lock);

    note_of(ref)->page = page;
    note_of(ref)->deferred = true;
    note_of(ref)->next = deferred_head;
    deferred_head = ref;
    counts.deferred++;
    counts.deferred_ever++;
    timer_arm(&retry_timer, clock_now() + RETRY_PERIOD);
    spin_unlock(&gnttab_lock, s);
}

void gnttab_unshare_page(gref_t ref, void *page)
{
    if (gnttab_end(ref) == 0) {
        free_entry_and_page(ref, page);
        return;
    }
    log_debug("gnttab: domain %u holds on to grant %u, freed when it lets go", table[ref].domid,
              ref);
    defer(ref, page);
}

/* Timer: takes the whole list, gives back what can be, puts the rest on the list again. */
static void retry_deferred(struct timer *t)
{
    upcall_state_t s = spin_lock(&gnttab_lock);
    gref_t ref = deferred_head;

    deferred_head = GREF_NONE;
    spin_unlock(&gnttab_lock, s);

    while (ref != GREF_NONE) {
        struct note *n = note_of(ref);
        gref_t next = n->next;
        bool ended = gnttab_end(ref) == 0;

        s = spin_lock(&gnttab_lock);
        if (ended) {
            n->deferred = false;
            counts.deferred--;
        } else {
            n->next = deferred_head;
            deferred_head = ref;
            timer_arm(t, clock_now() + RETRY_PERIOD);
        }
        spin_unlock(&gnttab_lock, s);
        if (ended) {
            free_entry_and_page(ref, n->page);
        }
        ref = next;
    }
}

uint32_t gnttab_held_by(uint16_t domid)
{
    uint32_t entries = READ_ONCE(counts.entries), n = 0;

    for (gref_t ref = 0; ref < entries && READ_ONCE(counts.deferred) != 0; ref++) {
        n += READ_ONCE(note_of(ref)->deferred) && READ_ONCE(table[ref].domid) == domid;
    }
    return n;
}

bool gnttab_holds_too_much(uint16_t domid)
{
    struct mem_stats mem;

    mem_get_stats(&mem);
    return gnttab_held_by(domid) > mem.pages_total / HELD_SHARE;
}

/* Xen's answer for one grant operation as an error number. */
int gnttab_errno(int16_t status)
{
    switch (status) {
    case GNTST_okay:
        return 0;
    case GNTST_permission_denied:
        return -EACCES;
    case GNTST_bad_domain:
        return -ENXIO;
    case GNTST_eagain:
        return -EAGAIN;
    case GNTST_no_space:
        return -ENOSPC;
    default:
        return -EINVAL;
    }
}

void gnttab_grant_transfer(gref_t ref, uint16_t domid, pfn_t pfn)
{
    table[ref].domid = domid;
    table[ref].frame = (uint32_t)pfn.n;
    wmb(); /* Xen looks at the flags first */
    WRITE_ONCE(table[ref].flags, GTF_accept_transfer);
}

int gnttab_cancel_transfer(gref_t ref)
{
    uint16_t waiting = GTF_accept_transfer;

    return __atomic_compare_exchange_n(&table[ref].flags, &waiting, GTF_invalid, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
               ? 0
               : -EBUSY;
}

int gnttab_end_transfer(gref_t ref, mfn_t *mfn)
{
    if ((READ_ONCE(table[ref].flags) & GTF_transfer_completed) == 0) {
        return -EAGAIN;
    }
    rmb(); /* the flags before the frame */
    *mfn = MFN(READ_ONCE(table[ref].frame));
    WRITE_ONCE(table[ref].flags, GTF_invalid);
    return 0;
}

int gnttab_map(uint16_t domid, gref_t ref, bool readonly, struct gnttab_map *map)
{
    map->va = kvm_reserve(1);
    if (map->va == NULL) {
        return -ENOMEM;
    }
    frames_hold();
    struct gnttab_map_grant_ref op = {
        .host_addr = kvm_pte_maddr(map->va).a,
        .flags = GNTMAP_host_map | GNTMAP_contains_pte | (readonly ? GNTMAP_readonly : 0),
        .ref = ref,
        .dom = domid,
    };
    int rc = (int)HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, &op, 1);

    if (rc == 0) {
        rc = gnttab_errno(op.status);
    }
    if (rc == 0) {
        map->handle = op.handle;
        __atomic_add_fetch(&counts.mapped, 1, __ATOMIC_RELAXED);
    }
    frames_release();
    if (rc != 0) {
        kvm_release(map->va, 1);
        map->va = NULL;
    }
    return rc;
}

int gnttab_unmap(struct gnttab_map *map)
{
    frames_hold();
    struct gnttab_unmap_grant_ref op = {
        .host_addr = kvm_pte_maddr(map->va).a,
        .handle = map->handle,
    };
    int rc = (int)HYPERVISOR_grant_table_op(GNTTABOP_unmap_grant_ref, &op, 1);

    frames_release();
    if (rc == 0) {
        rc = gnttab_errno(op.status);
    }
    if (rc == 0) {
        kvm_release(map->va, 1);
        map->va = NULL;
        __atomic_sub_fetch(&counts.mapped, 1, __ATOMIC_RELAXED);
    }
    return rc;
}

void gnttab_get_stats(struct gnttab_stats *stats)
{
    upcall_state_t s = spin_lock(&gnttab_lock);

    *stats = counts;
    spin_unlock(&gnttab_lock, s);
}

void gnttab_foreach(void (*fn)(const struct gnttab_entry *entry, void *arg), void *arg)
{
    for (gref_t ref = 0; ref < READ_ONCE(counts.entries); ref++) {
        struct gnttab_entry entry = {.ref = ref, .flags = READ_ONCE(table[ref].flags)};

        if ((entry.flags & GTF_type_mask) != 0) {
            entry.domid = table[ref].domid;
            entry.mfn = MFN(table[ref].frame);
            fn(&entry, arg);
        }
    }
}

void gnttab_suspend(void)
{
    kvm_unmap(table, counts.frames);
}

int gnttab_resume(void)
{
    uint32_t n = counts.frames;

    counts.frames = 0;
    return map_frames(n);
}

void gnttab_init(void)
{
    struct gnttab_query_size size = {.dom = DOMID_SELF};

    if (HYPERVISOR_grant_table_op(GNTTABOP_query_size, &size, 1) != 0 ||
        size.status != GNTST_okay) {
        panic("gnttab: Xen does not tell the grant table's size (status %d)", size.status);
    }
    mutex_init(&gnttab_grow_lock, "gnttab-grow");
    timer_init(&retry_timer, retry_deferred);
    counts.frames_max = MIN(size.max_nr_frames, FRAMES_CAP);
    table = kvm_reserve(counts.frames_max);
    notes = kzalloc(counts.frames_max * sizeof(void *));
    if (table == NULL || notes == NULL) {
        panic("gnttab: no memory for a table of %u frames", counts.frames_max);
    }
    unsigned order = 0;
    while ((PAGE_SIZE << order) < counts.frames_max * sizeof(*frame_list)) {
        order++;
    }
    frame_list = page_alloc(order);
    int rc = frame_list != NULL ? gnttab_grow() : -ENOMEM;
    if (rc != 0) {
        panic("gnttab: the first frame cannot be mapped: %s", errno_name(rc));
    }
    log_debug("gnttab: version 1, up to %u frames, %u entries each", counts.frames_max,
              (unsigned)ENTRIES_PER_FRAME);
}
