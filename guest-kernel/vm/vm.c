/*
 * vm.c - regions, demand-zero pages and copy-on-write.
 *
 * A page's reference count (struct page) says in how many spaces it is mapped. A write fault on a
 * present, read-only entry of a writable region means that the page was shared. If others still
 * map it, it is copied; if not, it is simply made writable.
 * Locks: the space's mutex, over regions, tables and `resident`; a clone takes the parent's only,
 * for nobody knows the child yet. Reference counts are atomic: two spaces may drop a page at once.
 * Suspend: waits until no space is locked.
 */
#include "vm/vm.h"

#include <xen_list.h>

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

struct region {
    uint64_t start, end;
    enum hat_prot prot;
    XEN_TAILQ_ENTRY(struct region) link;
};

struct vm_space {
    struct mutex lock;
    struct uhat *uhat;
    XEN_TAILQ_HEAD(region_list, struct region) regions;
    uint64_t resident;
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

/* ---- regions ---- */

static struct region *region_at(const struct vm_space *s, uint64_t va)
{
    struct region *r;

    XEN_TAILQ_FOREACH (r, &s->regions, link) {
        if (va >= r->start && va < r->end) {
            return r;
        }
    }
    return NULL;
}

static bool region_overlaps(const struct vm_space *s, uint64_t start, uint64_t end)
{
    const struct region *r;

    XEN_TAILQ_FOREACH (r, &s->regions, link) {
        if (start < r->end && r->start < end) {
            return true;
        }
    }
    return false;
}

static int region_add(struct vm_space *s, uint64_t start, uint64_t end, enum hat_prot prot)
{
    struct region *r = kmalloc(sizeof(*r));

    if (r == NULL) {
        return -ENOMEM;
    }
    *r = (struct region){.start = start, .end = end, .prot = prot};
    XEN_TAILQ_INSERT_TAIL(&s->regions, r, link);
    return 0;
}

int vm_map(struct vm_space *s, uint64_t va, uint64_t len, enum hat_prot prot)
{
    if (len == 0 || va % PAGE_SIZE != 0 || len % PAGE_SIZE != 0 || va >= USER_END ||
        len > USER_END - va) {
        return -EINVAL;
    }
    space_lock(s);
    int rc = region_overlaps(s, va, va + len) ? -EEXIST : region_add(s, va, va + len, prot);
    space_unlock(s);
    return rc;
}

/* ---- pages ---- */

static void page_put(pfn_t pfn)
{
    if (__atomic_sub_fetch(&page_of(pfn)->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        page_free(pfn_to_virt(pfn), 0);
    }
}

/* The page behind an entry of a space, which is always one of ours. */
static pfn_t entry_pfn(const struct uhat_entry *entry)
{
    pfn_t pfn;
    bool ours = m2p_get(entry->mfn, &pfn);

    ASSERT(ours);
    return pfn;
}

/* Remove a region's pages. The space is locked. */
static void region_empty(struct vm_space *s, const struct region *r)
{
    struct uhat_entry entry;

    for (uint64_t va = r->start; va < r->end; va += PAGE_SIZE) {
        if (uhat_query(s->uhat, va, &entry)) {
            pfn_t pfn = entry_pfn(&entry);

            uhat_unmap(s->uhat, va, 1);
            page_put(pfn);
            s->resident--;
        }
    }
}

static void region_remove(struct vm_space *s, struct region *r)
{
    region_empty(s, r);
    XEN_TAILQ_REMOVE(&s->regions, r, link);
    kfree(r);
}

int vm_unmap(struct vm_space *s, uint64_t va)
{
    space_lock(s);
    struct region *r = region_at(s, va);
    bool found = r != NULL && r->start == va;
    if (found) {
        region_remove(s, r);
    }
    space_unlock(s);
    return found ? 0 : -ENOENT;
}

uint64_t vm_resident(struct vm_space *s)
{
    return READ_ONCE(s->resident);
}

/* ---- faults ---- */

/* Map a page that the caller owns; on failure it is freed. */
static int map_own(struct vm_space *s, uint64_t va, void *page, enum hat_prot prot)
{
    mfn_t mfn = virt_to_mfn(page);
    int rc = uhat_map(s->uhat, va, &mfn, 1, prot);

    if (rc != 0) {
        page_free(page, 0);
    }
    return rc;
}

static int vm_fill(struct vm_space *s, uint64_t va, const struct region *r)
{
    void *page = page_alloc_zeroed(0);
    int rc = page == NULL ? -ENOMEM : map_own(s, va, page, r->prot);

    s->resident += rc == 0;
    return rc;
}

/* Somebody wants to write to a page that may be shared. */
static int unshare(struct vm_space *s, uint64_t va, const struct region *r,
                   const struct uhat_entry *entry)
{
    pfn_t shared = entry_pfn(entry);

    if (__atomic_load_n(&page_of(shared)->refs, __ATOMIC_ACQUIRE) == 1) {
        return uhat_protect(s->uhat, va, 1, r->prot);
    }
    void *copy = page_alloc(0);
    if (copy == NULL) {
        return -ENOMEM;
    }
    memcpy(copy, pfn_to_virt(shared), PAGE_SIZE);
    int rc = map_own(s, va, copy, r->prot);
    if (rc == 0) {
        page_put(shared);
    }
    return rc;
}

static int fault_locked(struct vm_space *s, uint64_t va, enum hat_prot access)
{
    const struct region *r = region_at(s, va);
    struct uhat_entry entry;

    if (r == NULL || (r->prot & access) != access) {
        return -EFAULT;
    }
    if (!uhat_query(s->uhat, va, &entry)) {
        return vm_fill(s, va, r);
    }
    if ((access & HAT_WRITE) && (entry.prot & HAT_WRITE) == 0) {
        return unshare(s, va, r, &entry);
    }
    return 0; /* another thread was faster */
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
    mutex_init(&s->lock, "address space");
    XEN_TAILQ_INIT(&s->regions);
    return s;
}

void vm_destroy(struct vm_space *s)
{
    struct region *r, *next;

    space_lock(s);
    for (r = XEN_TAILQ_FIRST(&s->regions); r != NULL; r = next) {
        next = XEN_TAILQ_NEXT(r, link);
        region_remove(s, r);
    }
    space_unlock(s);
    uhat_destroy(s->uhat);
    kfree(s);
}

/* Share one region's pages with a clone, read-only on both sides. The parent is locked. */
static int region_clone(struct vm_space *parent, struct vm_space *child, const struct region *r)
{
    struct uhat_entry entry;
    int rc = region_add(child, r->start, r->end, r->prot);

    for (uint64_t va = r->start; va < r->end && rc == 0; va += PAGE_SIZE) {
        if (!uhat_query(parent->uhat, va, &entry)) {
            continue;
        }
        rc = uhat_protect(parent->uhat, va, 1, r->prot & ~HAT_WRITE);
        if (rc == 0) {
            rc = uhat_map(child->uhat, va, &entry.mfn, 1, r->prot & ~HAT_WRITE);
        }
        if (rc == 0) {
            __atomic_add_fetch(&page_of(entry_pfn(&entry))->refs, 1, __ATOMIC_RELAXED);
            child->resident++;
        }
    }
    return rc;
}

struct vm_space *vm_clone(struct vm_space *parent)
{
    struct vm_space *child = vm_create();
    const struct region *r;
    int rc = 0;

    if (child == NULL) {
        return NULL;
    }
    space_lock(parent);
    XEN_TAILQ_FOREACH (r, &parent->regions, link) {
        rc = rc == 0 ? region_clone(parent, child, r) : rc;
    }
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
