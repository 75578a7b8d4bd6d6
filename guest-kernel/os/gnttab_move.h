/*
 * gnttab_move.h - data and pages between domains without mapping anything: copy and transfer.
 *
 * Locks: none of its own; gnttab.h's where references are taken. Suspend: a transfer that was
 * announced is gone afterwards, as all grants are; its owner announces it again.
 */
#ifndef OS_GNTTAB_MOVE_H
#define OS_GNTTAB_MOVE_H

#include "os/gnttab.h"

/* One side of a copy: a page that @domid granted as @ref, at @offset bytes into it. */
struct gnttab_place {
    uint16_t domid;
    gref_t ref;
    uint16_t offset;
};

/**
 * gnttab_copy_from() - have Xen copy bytes out of a granted page (GNTTABOP_copy)
 * @to: memory of the direct map; @len bytes that do not cross a page on either side
 *
 * Return: 0; -EINVAL for a range that crosses a page; what Xen said, as gnttab_map(). Any context.
 */
int gnttab_copy_from(const struct gnttab_place *from, void *to, uint16_t len) __must_check;

/** gnttab_copy_to() - the other way; the grant must allow writing. */
int gnttab_copy_to(const struct gnttab_place *to, const void *from, uint16_t len) __must_check;

/* A page that we are ready to receive. */
struct gnttab_slot {
    gref_t ref;
    void *page; /* its address in the direct map, where nothing is mapped until it has come */
};

/**
 * gnttab_accept() - offer room for one page that @domid may transfer to us
 * @slot: filled in; owned by the caller until gnttab_accepted() or gnttab_decline()
 *
 * The frame that was there is given back to Xen. Return: 0; or -errno, and nothing is offered or
 * lost. Thread context.
 */
int gnttab_accept(uint16_t domid, struct gnttab_slot *slot) __must_check;

/**
 * gnttab_accepted() - take what has come
 *
 * Return: 0: @slot->page is an order-0 page of the caller's, and the slot is used up; -EAGAIN:
 * nothing has come yet; -ENOMEM: no page table for it, try again. Thread context.
 */
int gnttab_accepted(struct gnttab_slot *slot) __must_check;

/** gnttab_decline() - take the offer back. -EBUSY: the page is coming; use gnttab_accepted(). */
int gnttab_decline(struct gnttab_slot *slot) __must_check;

/**
 * gnttab_transfer() - give a page away for good
 * @page: an order-0 page of the caller's, which is gone afterwards, also when this fails
 *
 * Return: 0, or why the other domain did not get it (-EACCES: it offered no such room).
 */
int gnttab_transfer(uint16_t domid, gref_t ref, void *page) __must_check;

#endif /* OS_GNTTAB_MOVE_H */
