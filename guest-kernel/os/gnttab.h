/*
 * gnttab.h - grant references: letting another domain use a page of ours, and using one of theirs.
 *
 * A gref names an entry of the grant table (version 1, xen/grant_table.h). Drivers take references
 * with gnttab_alloc(), fill them with gnttab_grant() as often as they like and give them back with
 * gnttab_free(); gnttab_share_page() and gnttab_unshare_page() are the short way for a page that
 * lives and dies with its grant. A peer may keep a page mapped after we asked for it back: ending
 * is then refused (-EBUSY), or deferred until the peer lets go, never forced and never a panic.
 * Locks: gnttab_lock, a leaf. Suspend: gnttab_suspend() unmaps Xen's frames, gnttab_resume() asks
 * for them again; entries are empty afterwards and their owners fill them anew.
 */
#ifndef OS_GNTTAB_H
#define OS_GNTTAB_H

#include "hat/addr.h"

typedef uint32_t gref_t;

#define GREF_NONE UINT32_MAX

/** gnttab_init() - size the table and map its first frame. Boot, before threads. Panics without. */
void gnttab_init(void);

/**
 * gnttab_alloc() - take a reference that grants nothing yet
 *
 * Grows the table when it is full, which needs thread context; with upcalls masked (interrupts,
 * spinlocks held) only what is free already is handed out.
 * Return: 0 with *@ref, -ENOSPC when Xen allows no larger table, -ENOMEM.
 */
int gnttab_alloc(gref_t *ref) __must_check;

/** gnttab_free() - give a reference back. It must grant nothing: see gnttab_end(). Any context. */
void gnttab_free(gref_t ref);

/**
 * gnttab_grant() - let @domid map or copy a frame of ours
 * @ref: from gnttab_alloc(), granting nothing now
 * @mfn: a frame of this domain, of a page from page_alloc_zeroed(): the peer sees all of it
 * @readonly: the peer may not write
 *
 * Any context.
 */
void gnttab_grant(gref_t ref, uint16_t domid, mfn_t mfn, bool readonly);

/**
 * gnttab_end() - take the permission back
 *
 * Return: 0, or -EBUSY while the peer has the page mapped or is copying: the entry is
 * as before then. Any context.
 */
int gnttab_end(gref_t ref) __must_check;

/**
 * gnttab_share_page() - reference and grant in one
 * @page: from page_alloc_zeroed()
 *
 * Return: 0 with *@ref, or as gnttab_alloc().
 */
int gnttab_share_page(uint16_t domid, void *page, bool readonly, gref_t *ref) __must_check;

/**
 * gnttab_share_new_page() - the same with a fresh page that the peer may write, all zero: a ring
 *
 * Return: 0 with *@page and *@ref, for gnttab_unshare_page(); or as gnttab_alloc(), with NULL and
 * GREF_NONE.
 */
int gnttab_share_new_page(uint16_t domid, void **page, gref_t *ref) __must_check;

/**
 * gnttab_unshare_page() - end a grant, free the reference and then the page behind it
 * @page: order-0 page to free; NULL if it is not ours to free
 *
 * While the peer holds on to it, page and reference wait on a list that a timer tries again each
 * second. Any context.
 */
void gnttab_unshare_page(gref_t ref, void *page);

/** gnttab_held_by() - how many pages wait for @domid to let go of them, about. Any context. */
uint32_t gnttab_held_by(uint16_t domid);

/**
 * gnttab_holds_too_much() - whether @domid is to get no more pages before it lets go of some
 *
 * Else one that keeps what it was given each time that it connects takes all of the memory. Any
 * context.
 */
bool gnttab_holds_too_much(uint16_t domid);

/**
 * gnttab_grant_transfer() - let @domid transfer a page to us, to be known as @pfn
 * @ref: from gnttab_alloc(), granting nothing now
 *
 * For gnttab_move.c. Any context.
 */
void gnttab_grant_transfer(gref_t ref, uint16_t domid, pfn_t pfn);

/** gnttab_end_transfer() - the frame that came; -EAGAIN while none has. The entry is empty then. */
int gnttab_end_transfer(gref_t ref, mfn_t *mfn) __must_check;

/** gnttab_cancel_transfer() - take the permission back; -EBUSY once a page is on its way. */
int gnttab_cancel_transfer(gref_t ref) __must_check;

/** gnttab_errno() - a GNTST_* status as 0 or -errno. Any context. */
int gnttab_errno(int16_t status);

/* One page of another domain, mapped here. */
struct gnttab_map {
    void *va;
    uint32_t handle;
};

/**
 * gnttab_map() - map a page that @domid granted us
 * @map: filled in; owned by the caller until gnttab_unmap()
 *
 * Return: 0, -ENOMEM, or -EINVAL/-EACCES/-ENXIO by what Xen said (GNTST_*). Thread context.
 */
int gnttab_map(uint16_t domid, gref_t ref, bool readonly, struct gnttab_map *map) __must_check;

/** gnttab_unmap() - undo gnttab_map(). Thread context. */
int gnttab_unmap(struct gnttab_map *map) __must_check;

struct gnttab_stats {
    uint32_t frames, frames_max;
    uint32_t entries, entries_free;
    uint32_t deferred;      /* pages that a peer has not given back yet */
    uint64_t deferred_ever; /* how often that happened */
    uint64_t mapped;        /* foreign pages mapped now */
};
/** gnttab_get_stats() - a consistent copy. Any context. */
void gnttab_get_stats(struct gnttab_stats *stats);

/* An entry in use, for the debugger. */
struct gnttab_entry {
    gref_t ref;
    uint16_t flags; /* GTF_* of xen/grant_table.h */
    uint16_t domid;
    mfn_t mfn;
};
/** gnttab_foreach() - visit every entry that grants something. Any context; takes no lock. */
void gnttab_foreach(void (*fn)(const struct gnttab_entry *entry, void *arg), void *arg);

/** gnttab_suspend() / gnttab_resume() - around a suspend, on vCPU 0, the other vCPUs stopped. */
void gnttab_suspend(void);
int gnttab_resume(void) __must_check;

#endif /* OS_GNTTAB_H */
