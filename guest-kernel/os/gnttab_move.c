/*
 * gnttab_move.c - GNTTABOP_copy and GNTTABOP_transfer.
 *
 * A page that leaves, or makes room for one that comes, becomes a hole: out of the direct map, no
 * frame in the p2m (kern/page.h, PAGE_BALLOON). Only PV guests can transfer. Xen writes a received
 * frame's number into the entry and its m2p; we map it at the pfn that was offered.
 * Locks and suspend: see gnttab_move.h.
 */
#include "os/gnttab_move.h"

#include "hat/hat.h"
#include "hat/p2m.h"
#include "kern/mem.h"
#include "kern/page.h"
#include "kern/thread.h"
#include "os/hypercall.h"
#include "os/reservation.h"

static bool one_page(const struct gnttab_place *place, const void *memory, uint16_t len)
{
    return place->offset + len <= PAGE_SIZE && ((uintptr_t)memory & ~PAGE_MASK) + len <= PAGE_SIZE;
}

static struct gnttab_copy_ptr granted(const struct gnttab_place *place)
{
    return (struct gnttab_copy_ptr){
        .u.ref = place->ref, .domid = place->domid, .offset = place->offset};
}

static struct gnttab_copy_ptr gnttab_move_own(const void *memory)
{
    return (struct gnttab_copy_ptr){.u.gmfn = virt_to_mfn(memory).n,
                                    .domid = DOMID_SELF,
                                    .offset = (uint16_t)((uintptr_t)memory & ~PAGE_MASK)};
}

static int gnttab_move_copy(struct gnttab_copy *op)
{
    long rc = HYPERVISOR_grant_table_op(GNTTABOP_copy, op, 1);

    return rc != 0 ? (int)rc : gnttab_errno(op->status);
}

int gnttab_copy_from(const struct gnttab_place *from, void *to, uint16_t len)
{
    frames_hold();
    struct gnttab_copy op = {.source = granted(from),
                             .dest = gnttab_move_own(to),
                             .len = len,
                             .flags = GNTCOPY_source_gref};
    int rc = one_page(from, to, len) ? gnttab_move_copy(&op) : -EINVAL;
    frames_release();
    return rc;
}

int gnttab_copy_to(const struct gnttab_place *to, const void *from, uint16_t len)
{
    frames_hold();
    struct gnttab_copy op = {.source = gnttab_move_own(from),
                             .dest = granted(to),
                             .len = len,
                             .flags = GNTCOPY_dest_gref};
    int rc = one_page(to, from, len) ? gnttab_move_copy(&op) : -EINVAL;
    frames_release();
    return rc;
}

/* Make a hole of a page that is not the balloon's. Return: the frame that was behind it. */
static mfn_t make_hole(pfn_t pfn)
{
    mfn_t mfn;

    hat_kpm_unmap(&pfn, &mfn, 1);
    page_set_kind(pfn_to_virt(pfn), 0, PAGE_RESERVED);
    return mfn;
}

/* Put a frame behind the slot's page, and the page back into use. */
static int fill_slot(const struct gnttab_slot *slot, mfn_t mfn)
{
    int rc = hat_kpm_map(virt_to_pfn(slot->page), mfn);

    if (rc == 0) {
        page_set_kind(slot->page, 0, PAGE_USED);
    }
    return rc;
}

/* Xen does not want the frame: it goes back to where it was, and nothing is offered. */
static void take_back_hole(struct gnttab_slot *slot, mfn_t mfn)
{
    if (fill_slot(slot, mfn) == 0) {
        page_free(slot->page, 0);
    } else {
        page_leave(virt_to_pfn(slot->page)); /* no page table for it: the frame is lost to us */
    }
    gnttab_free(slot->ref);
    *slot = (struct gnttab_slot){.ref = GREF_NONE};
}

int gnttab_accept(uint16_t domid, struct gnttab_slot *slot)
{
    int rc;

    slot->page = page_alloc(0);
    if (slot->page == NULL) {
        return -ENOMEM;
    }
    rc = gnttab_alloc(&slot->ref);
    if (rc != 0) {
        page_free(slot->page, 0);
        return rc;
    }
    pfn_t pfn = virt_to_pfn(slot->page);

    frames_hold();
    mfn_t mfn = make_hole(pfn);
    xen_pfn_t frame = mfn.n;
    rc = frames_give(&frame, 1) == 1 ? 0 : -EIO;
    if (rc != 0) {
        take_back_hole(slot, mfn);
    }
    frames_release();
    if (rc == 0) {
        gnttab_grant_transfer(slot->ref, domid, pfn);
    }
    return rc;
}

int gnttab_accepted(struct gnttab_slot *slot)
{
    mfn_t mfn;

    frames_hold();
    int rc = gnttab_end_transfer(slot->ref, &mfn);
    rc = rc == 0 ? fill_slot(slot, mfn) : rc;
    frames_release();
    if (rc == 0) {
        gnttab_free(slot->ref);
        slot->ref = GREF_NONE;
    }
    return rc;
}

int gnttab_decline(struct gnttab_slot *slot)
{
    pfn_t pfn = virt_to_pfn(slot->page);
    int rc = gnttab_cancel_transfer(slot->ref);

    if (rc == 0) {
        gnttab_free(slot->ref);
        page_leave(pfn); /* a hole like the balloon's, which fills it when the target wants */
        slot->page = NULL;
    }
    return rc;
}

int gnttab_transfer(uint16_t domid, gref_t ref, void *page)
{
    pfn_t pfn = virt_to_pfn(page);

    frames_hold();
    mfn_t mfn = make_hole(pfn);
    struct gnttab_transfer op = {.mfn = mfn.n, .domid = domid, .ref = ref};
    long rc = HYPERVISOR_grant_table_op(GNTTABOP_transfer, &op, 1);
    frames_release();

    page_leave(pfn);
    return rc != 0 ? (int)rc : gnttab_errno(op.status);
}
