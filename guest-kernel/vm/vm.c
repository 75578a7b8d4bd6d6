/*
 * vm.c - pages of address spaces: on demand, and copied on write.
 *
 * A page's reference count (struct page) says in how many spaces it is mapped. A write fault on a
 * present, read-only entry of a writable region means that the page was shared, or that the region
 * became writable. If others still map it, it is copied; if not, it is simply made writable.
 *
 * Page tables have no entry that keeps a page and lets nobody see it. So the pages of a region that
 * nobody may touch (VM_NONE) are parked: taken out of the tables and kept in a list, until somebody
 * may touch them again.
 *
 * A shared region's pages are its source's. They are never copied, and a clone of the space gets
 * them from the source as it uses them.
 * Locks: the space's mutex, over regions, tables and `resident`; a clone takes the parent's only,
 * for nobody knows the child yet. Reference counts are atomic: two spaces may drop a page at once.
 * Suspend: waits until no space is locked, but for a region's source, which is read without frames
 * in hand.
 */
#include "vm/region.h"

#include "hat/layout.h"
#include "hat/p2m.h"
#include "hat/uhat.h"
#include "kern/mem.h"
#include "kern/page.h"
#include "kern/sched.h"
#include "kern/string.h"
#include "os/panic.h"
#include "psm/cpu.h"
#include "psm/trap.h"

#define SPACE_MAX (4ull << 30) /* bytes of regions in a space */

/* A page of a region that nobody may touch. */
struct parked {
    uint64_t va;
    pfn_t pfn;
    XEN_TAILQ_ENTRY(struct parked) link;
};

XEN_TAILQ_HEAD(parked_list, struct parked);

struct vm_space {
    unsigned refs; /* atomic */
    struct mutex lock;
    struct uhat *uhat;
    struct regions regions;
    struct parked_list parked;
    uint64_t resident; /* parked ones included */
    uint64_t size;     /* of all regions, in bytes */
};

/* What is done with a space handles frames throughout. */
static void space_lock(struct vm_space *s)
{
    mutex_lock(&s->lock);
    frames_hold();
}

static void space_unlock(struct vm_space *s)
{
    frames_release();
    mutex_unlock(&s->lock);
}

/* ---- pages ---- */

/* The page behind an entry of a space, which is always one of ours. */
static pfn_t entry_pfn(const struct uhat_entry *entry)
{
    pfn_t pfn;
    bool ours = m2p_get(entry->mfn, &pfn);

    ASSERT(ours);
    return pfn;
}

/* Mapped pages behind one another, handled at once: that is what requests to Xen cost least for. */
#define RUN_MAX 32

struct run {
    uint64_t va;
    size_t n;
    mfn_t mfns[RUN_MAX];
};

/* The first run of mapped pages from @va on. False: there is none below @end. */
static bool run_find(const struct vm_space *s, uint64_t va, uint64_t end, struct run *run)
{
    struct uhat_entry entry;

    run->n = 0;
    run->va = va = uhat_next(s->uhat, va, end);
    for (; va < end && run->n < RUN_MAX && uhat_query(s->uhat, va, &entry); va += PAGE_SIZE) {
        run->mfns[run->n++] = entry.mfn;
    }
    return run->n != 0;
}

static uint64_t run_end(const struct run *run)
{
    return run->va + run->n * PAGE_SIZE;
}

static pfn_t mfn_pfn(mfn_t mfn)
{
    return entry_pfn(&(struct uhat_entry){.mfn = mfn});
}

/* ---- parked pages ---- */

static struct parked *parked_at(const struct vm_space *s, uint64_t va)
{
    struct parked *p;

    XEN_TAILQ_FOREACH (p, &s->parked, link) {
        if (p->va == va) {
            return p;
        }
    }
    return NULL;
}

static void unpark(struct vm_space *s, struct parked *p)
{
    XEN_TAILQ_REMOVE(&s->parked, p, link);
    kfree(p);
}

/* Park a page, whose reference passes to the list. */
static int park(struct vm_space *s, uint64_t va, pfn_t pfn)
{
    struct parked *p = kmalloc(sizeof(*p));

    if (p == NULL) {
        return -ENOMEM;
    }
    *p = (struct parked){.va = va, .pfn = pfn};
    XEN_TAILQ_INSERT_TAIL(&s->parked, p, link);
    return 0;
}

/* Nobody may touch a range any more. 0 or -ENOMEM: the pages behind the last parked one stay. */
static int park_range(struct vm_space *s, uint64_t start, uint64_t end)
{
    struct uhat_entry entry;
    int rc = 0;

    for (uint64_t va = uhat_next(s->uhat, start, end); va < end && rc == 0;
         va = uhat_next(s->uhat, va + PAGE_SIZE, end)) {
        if (uhat_query(s->uhat, va, &entry) && (rc = park(s, va, entry_pfn(&entry))) == 0) {
            uhat_unmap(s->uhat, va, 1);
        }
    }
    return rc;
}

/* ---- regions ---- */

static bool range_is_ok(uint64_t va, uint64_t len)
{
    return len != 0 && va % PAGE_SIZE == 0 && len % PAGE_SIZE == 0 && va < USER_END &&
           len <= USER_END - va;
}

static int prot_check(unsigned prot)
{
    return (prot & HAT_WRITE) && (prot & HAT_EXEC) ? -EACCES : 0;
}

static int map_locked(struct vm_space *s, const struct vm_piece *piece)
{
    const struct region *next = region_from(&s->regions, piece->va);
    int rc = prot_check(piece->prot);

    if (!range_is_ok(piece->va, piece->len)) {
        rc = -EINVAL;
    } else if (next != NULL && next->start < piece->va + piece->len) {
        rc = -EEXIST;
    } else if (piece->len > SPACE_MAX - s->size) {
        rc = -ENOMEM;
    }
    rc = rc == 0 ? region_add(&s->regions, piece) : rc;
    s->size += rc == 0 ? piece->len : 0;
    return rc;
}

int vm_map_piece(struct vm_space *s, const struct vm_piece *piece)
{
    space_lock(s);
    int rc = map_locked(s, piece);
    space_unlock(s);
    return rc;
}

int vm_place_piece(struct vm_space *s, struct vm_piece *piece, uint64_t low, uint64_t high)
{
    space_lock(s);
    piece->va = region_place(&s->regions, piece->len, low, high);
    int rc = piece->va == 0 ? -ENOMEM : map_locked(s, piece);
    space_unlock(s);
    return rc;
}

int vm_map(struct vm_space *s, uint64_t va, uint64_t len, unsigned prot)
{
    struct vm_piece piece = {.va = va, .len = len, .prot = prot};

    return vm_map_piece(s, &piece);
}

/* Remove a range's pages. */
static void range_empty(struct vm_space *s, uint64_t start, uint64_t end)
{
    struct parked *p, *next;
    struct run run;

    for (uint64_t va = start; run_find(s, va, end, &run); va = run_end(&run)) {
        uhat_unmap(s->uhat, run.va, run.n);
        for (size_t i = 0; i < run.n; i++) {
            page_drop(pfn_to_virt(mfn_pfn(run.mfns[i])));
        }
        s->resident -= run.n;
    }
    for (p = XEN_TAILQ_FIRST(&s->parked); p != NULL; p = next) {
        next = XEN_TAILQ_NEXT(p, link);
        if (p->va >= start && p->va < end) {
            page_drop(pfn_to_virt(p->pfn));
            s->resident--;
            unpark(s, p);
        }
    }
}

/* See to it that no region reaches across the ends of a range. */
static int range_cut_out(struct vm_space *s, uint64_t start, uint64_t end)
{
    int rc = region_split_at(&s->regions, start);

    return rc == 0 ? region_split_at(&s->regions, end) : rc;
}

static void range_remove(struct vm_space *s, uint64_t start, uint64_t end)
{
    struct region *r;

    while ((r = region_from(&s->regions, start)) != NULL && r->start < end) {
        range_empty(s, r->start, r->end);
        s->size -= r->end - r->start;
        region_remove(&s->regions, r);
    }
}

int vm_unmap(struct vm_space *s, uint64_t va, uint64_t len)
{
    if (!range_is_ok(va, len)) {
        return -EINVAL;
    }
    space_lock(s);
    int rc = range_cut_out(s, va, va + len);
    if (rc == 0) {
        range_remove(s, va, va + len);
    }
    space_unlock(s);
    return rc;
}

/* 0; -ENOMEM: a part is in no region; -EACCES: in one that has one of @flags. */
static int range_check(const struct vm_space *s, uint64_t start, uint64_t end, unsigned flags)
{
    while (start < end) {
        const struct region *r = region_at(&s->regions, start);

        if (r == NULL || (r->flags & flags)) {
            return r == NULL ? -ENOMEM : -EACCES;
        }
        start = r->end;
    }
    return 0;
}

static int protect_locked(struct vm_space *s, uint64_t start, uint64_t end, unsigned prot)
{
    struct region *r;
    int rc = range_check(s, start, end, prot & HAT_WRITE ? VM_READONLY : 0);

    rc = rc == 0 ? range_cut_out(s, start, end) : rc;
    if (rc != 0) {
        return rc;
    }
    for (uint64_t va = start; va < end; va = r->end) {
        r = region_at(&s->regions, va);
        r->prot = prot;
    }
    if (prot & VM_NONE) {
        return park_range(s, start, end);
    }
    /* Read-only: a page may be shared. Who writes first finds out. */
    return uhat_protect(s->uhat, start, (end - start) / PAGE_SIZE, prot & HAT_EXEC);
}

int vm_protect(struct vm_space *s, uint64_t va, uint64_t len, unsigned prot)
{
    if (!range_is_ok(va, len)) {
        return -EINVAL;
    }
    int rc = prot_check(prot);
    if (rc == 0) {
        space_lock(s);
        rc = protect_locked(s, va, va + len, prot);
        space_unlock(s);
    }
    return rc;
}

bool vm_is_mapped(struct vm_space *s, uint64_t va, uint64_t len)
{
    space_lock(s);
    bool mapped = range_is_ok(va, len) && range_check(s, va, va + len, 0) == 0;
    space_unlock(s);
    return mapped;
}

int vm_discard(struct vm_space *s, uint64_t va, uint64_t len)
{
    if (!range_is_ok(va, len)) {
        return -EINVAL;
    }
    space_lock(s);
    int rc = range_check(s, va, va + len, 0);
    range_empty(s, va, va + len);
    space_unlock(s);
    return rc;
}

/* ---- ranges that grow and move ---- */

/* Map a range's pages at another place as well, where there are none. */
static int pages_copy(struct vm_space *s, uint64_t from, uint64_t len, uint64_t to)
{
    enum hat_prot prot = (enum hat_prot)(region_at(&s->regions, from)->prot & HAT_EXEC);
    struct run run;
    int rc = 0;

    for (uint64_t va = from; rc == 0 && run_find(s, va, from + len, &run); va = run_end(&run)) {
        /* Read-only: a page may be shared. Who writes first finds out. */
        rc = uhat_map(s->uhat, run.va - from + to, run.mfns, run.n, prot);
    }
    return rc;
}

/* Take a range's pages out of the tables; they are somewhere else. */
static void pages_forget(struct vm_space *s, uint64_t start, uint64_t end)
{
    struct run run;

    for (uint64_t va = start; run_find(s, va, end, &run); va = run_end(&run)) {
        uhat_unmap(s->uhat, run.va, run.n);
    }
}

/* A region moves to another place, and gets longer meanwhile. */
static int region_move(struct vm_space *s, const struct region *r, const struct vm_piece *piece)
{
    uint64_t from = r->start, len = r->end - r->start, to = piece->va;
    struct parked *p;
    int rc = map_locked(s, piece);

    if (rc != 0) {
        return rc;
    }
    rc = pages_copy(s, from, len, to);
    if (rc != 0) {
        pages_forget(s, to, to + len);
        if (range_cut_out(s, to, to + piece->len) == 0) {
            range_remove(s, to, to + piece->len);
        }
        return rc;
    }
    pages_forget(s, from, from + len);
    XEN_TAILQ_FOREACH (p, &s->parked, link) {
        p->va += p->va >= from && p->va < from + len ? to - from : 0;
    }
    range_remove(s, from, from + len);
    return 0;
}

/* Let a region end later, if nothing is in the way. */
static bool grow_in_place(struct vm_space *s, struct region *r, uint64_t more)
{
    const struct region *next = XEN_TAILQ_NEXT(r, link);

    if ((next == NULL ? USER_END - PAGE_SIZE : next->start) < r->end + more) {
        return false;
    }
    s->size += more;
    r->bytes += r->bytes == r->end - r->start ? more : 0; /* of a file, not only its beginning */
    r->end += more;
    return true;
}

/* Put a range elsewhere, @len bytes long. */
static int grow_elsewhere(struct vm_space *s, uint64_t va, uint64_t old, uint64_t len, uint64_t *to)
{
    int rc = range_cut_out(s, va, va + old);

    if (rc != 0) {
        return rc;
    }
    const struct region *r = region_at(&s->regions, va);
    struct vm_piece piece = region_piece(r);
    piece.bytes += piece.bytes == old ? len - old : 0;
    piece.len = len;
    piece.va = *to;
    return region_move(s, r, &piece);
}

/* *@to: where it may be moved to, 0: nowhere; it becomes where it is. */
static int resize_locked(struct vm_space *s, uint64_t va, uint64_t had, uint64_t wants,
                         uint64_t *to)
{
    struct region *r = region_at(&s->regions, va);
    int rc = 0;

    if (r == NULL || r->end - va < had) {
        return -EFAULT;
    }
    if (wants > had && wants - had > SPACE_MAX - s->size) {
        return -ENOMEM;
    }
    if (wants > had && (r->end != va + had || !grow_in_place(s, r, wants - had))) {
        return *to == 0 ? -ENOMEM : grow_elsewhere(s, va, had, wants, to);
    }
    if (wants < had) {
        rc = range_cut_out(s, va + wants, va + had);
        if (rc == 0) {
            range_remove(s, va + wants, va + had);
        }
    }
    *to = va;
    return rc;
}

int vm_resize(struct vm_space *s, uint64_t va, uint64_t had, uint64_t wants, uint64_t low,
              uint64_t high, uint64_t *to)
{
    if (!range_is_ok(va, had) || wants == 0 || wants % PAGE_SIZE != 0 || wants > USER_END) {
        return -EINVAL;
    }
    space_lock(s);
    *to = high == 0 ? 0 : region_place(&s->regions, wants, low, high);
    int rc = resize_locked(s, va, had, wants, to);
    space_unlock(s);
    return rc;
}

void vm_each(struct vm_space *s, bool (*fn)(const struct vm_piece *piece, void *arg), void *arg)
{
    const struct region *r;

    space_lock(s);
    XEN_TAILQ_FOREACH (r, &s->regions.list, link) {
        struct vm_piece piece = region_piece(r);

        if (!fn(&piece, arg)) {
            break;
        }
    }
    space_unlock(s);
}

uint64_t vm_size(const struct vm_space *s)
{
    return READ_ONCE(s->size);
}

bool vm_has(struct vm_space *s, uint64_t va)
{
    space_lock(s);
    bool has = region_at(&s->regions, va) != NULL;
    space_unlock(s);
    return has;
}

uint64_t vm_resident(struct vm_space *s)
{
    return READ_ONCE(s->resident);
}

/* ---- faults ---- */

/* Map a page that the caller has a share of; on failure it is dropped. */
static int map_own(struct vm_space *s, uint64_t va, void *page, enum hat_prot prot)
{
    mfn_t mfn = virt_to_mfn(page);
    int rc = uhat_map(s->uhat, va, &mfn, 1, prot);

    if (rc != 0) {
        page_drop(page);
    }
    return rc;
}

/* What a page of a region begins with. Frames are let go of meanwhile: a disk may have to be read.
 */
static int source_fill(const struct region *r, uint64_t va, void *page)
{
    uint64_t at = va - r->start;
    int rc = 0;

    if (at < r->bytes) {
        frames_release();
        rc = r->source->read(r->source, r->offset + at, page, MIN(r->bytes - at, PAGE_SIZE));
        frames_hold();
    }
    return rc;
}

/* A page of one's own. */
static int page_make(const struct region *r, uint64_t va, void **page)
{
    *page = page_users_may_take() ? page_alloc_zeroed(0) : NULL;
    if (*page == NULL) {
        return -ENOMEM;
    }
    int rc = source_fill(r, va, *page);
    if (rc != 0) {
        page_free(*page, 0);
    }
    return rc;
}

/* The source's page. */
static int page_borrow(const struct region *r, uint64_t va, void **page)
{
    frames_release();
    int rc = r->source->page(r->source, r->offset + (va - r->start), page);
    frames_hold();
    return rc;
}

static int vm_fill(struct vm_space *s, uint64_t va, const struct region *r)
{
    void *page;
    int rc = r->flags & VM_SHARED ? page_borrow(r, va, &page) : page_make(r, va, &page);

    if (rc != 0) {
        return rc;
    }
    rc = map_own(s, va, page, (enum hat_prot)r->prot);
    s->resident += rc == 0;
    return rc;
}

/* A page that was parked may be touched again; it may be shared. */
static int fetch_parked(struct vm_space *s, struct parked *p, const struct region *r)
{
    mfn_t mfn = p2m_get(p->pfn);
    int rc = uhat_map(s->uhat, p->va, &mfn, 1, (enum hat_prot)(r->prot & HAT_EXEC));

    if (rc == 0) {
        unpark(s, p);
    }
    return rc;
}

/* Somebody wants to write to a page that may be shared. */
static int unshare(struct vm_space *s, uint64_t va, const struct region *r,
                   const struct uhat_entry *entry)
{
    pfn_t shared = entry_pfn(entry);

    if ((r->flags & VM_SHARED) || __atomic_load_n(&page_of(shared)->refs, __ATOMIC_ACQUIRE) == 1) {
        return uhat_protect(s->uhat, va, 1, (enum hat_prot)r->prot);
    }
    void *copy = page_users_may_take() ? page_alloc(0) : NULL;
    if (copy == NULL) {
        return -ENOMEM;
    }
    memcpy(copy, pfn_to_virt(shared), PAGE_SIZE);
    int rc = map_own(s, va, copy, (enum hat_prot)r->prot);
    if (rc == 0) {
        page_drop(pfn_to_virt(shared));
    }
    return rc;
}

static int fault_locked(struct vm_space *s, uint64_t va, enum hat_prot access)
{
    const struct region *r = region_at(&s->regions, va);
    struct uhat_entry entry;
    int rc = 0;

    if (r == NULL || (r->prot & VM_NONE) || (r->prot & access) != access) {
        return -EFAULT;
    }
    struct parked *p = parked_at(s, va);
    if (p != NULL) {
        rc = fetch_parked(s, p, r);
    } else if (!uhat_query(s->uhat, va, &entry)) {
        rc = vm_fill(s, va, r);
    }
    if (rc == 0 && (access & HAT_WRITE) && uhat_query(s->uhat, va, &entry) &&
        (entry.prot & HAT_WRITE) == 0) {
        rc = unshare(s, va, r, &entry);
    }
    return rc; /* 0 as well if another thread was faster */
}

/* 0 when the thread may go on, -EFAULT when no region allows the access, -ENOMEM. */
static int vm_fault(uint64_t va, enum hat_prot access)
{
    struct vm_space *s = thread_self()->space;

    if (s == NULL) {
        return -EFAULT;
    }
    space_lock(s);
    int rc = fault_locked(s, va & PAGE_MASK, access);
    space_unlock(s);
    return rc;
}

void vm_boot(void)
{
    trap_set_user_fault(vm_fault);
}

/* ---- spaces ---- */

struct vm_space *vm_create(void)
{
    struct vm_space *s = kzalloc(sizeof(*s));

    if (s == NULL || (s->uhat = uhat_create()) == NULL) {
        kfree(s);
        return NULL;
    }
    s->refs = 1;
    mutex_init(&s->lock, "address space");
    regions_init(&s->regions);
    XEN_TAILQ_INIT(&s->parked);
    return s;
}

struct vm_space *vm_share(struct vm_space *s)
{
    __atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
    return s;
}

void vm_destroy(struct vm_space *s)
{
    if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) != 0) {
        return;
    }
    space_lock(s);
    range_remove(s, 0, USER_END);
    space_unlock(s);
    uhat_destroy(s->uhat);
    kfree(s);
}

/* The child has a page of the parent's as well. */
static void page_get(struct vm_space *child, pfn_t pfn)
{
    __atomic_add_fetch(&page_of(pfn)->refs, 1, __ATOMIC_RELAXED);
    child->resident++;
}

static int clone_parked(struct vm_space *parent, struct vm_space *child)
{
    const struct parked *p;

    XEN_TAILQ_FOREACH (p, &parent->parked, link) {
        if (region_at(&parent->regions, p->va)->flags & VM_SHARED) {
            continue;
        }
        int rc = park(child, p->va, p->pfn);
        if (rc != 0) {
            return rc;
        }
        page_get(child, p->pfn);
    }
    return 0;
}

/* Share one region's pages with a clone, read-only on both sides. The parent is locked. */
static int region_clone(struct vm_space *parent, struct vm_space *child, const struct region *r)
{
    struct vm_piece piece = region_piece(r);
    enum hat_prot prot = (enum hat_prot)(r->prot & HAT_EXEC);
    struct run run;
    int rc = map_locked(child, &piece);

    for (uint64_t va = r->start;
         rc == 0 && (r->flags & VM_SHARED) == 0 && run_find(parent, va, r->end, &run);
         va = run_end(&run)) {
        rc = uhat_protect(parent->uhat, run.va, run.n, prot);
        rc = rc == 0 ? uhat_map(child->uhat, run.va, run.mfns, run.n, prot) : rc;
        for (size_t i = 0; i < run.n && rc == 0; i++) {
            page_get(child, mfn_pfn(run.mfns[i]));
        }
    }
    return rc;
}

struct vm_space *vm_clone(struct vm_space *parent)
{
    struct vm_space *child = vm_create();
    const struct region *r;

    if (child == NULL) {
        return NULL;
    }
    space_lock(parent);
    int rc = 0;
    XEN_TAILQ_FOREACH (r, &parent->regions.list, link) {
        rc = rc == 0 ? region_clone(parent, child, r) : rc;
    }
    rc = rc == 0 ? clone_parked(parent, child) : rc;
    space_unlock(parent);
    if (rc != 0) {
        vm_destroy(child);
        return NULL;
    }
    return child;
}

void vm_enter(struct vm_space *s)
{
    upcall_state_t state = upcalls_save();
    struct cpu *cpu = this_cpu();

    cpu->current->space = s;
    cpu->current->uhat = s == NULL ? NULL : s->uhat;
    uhat_switch(cpu, cpu->current->uhat);
    upcalls_restore(state);
}
