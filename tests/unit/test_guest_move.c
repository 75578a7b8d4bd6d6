/*
 * A page that is to be received needs a hole, whose frame Xen takes, or refuses: then all is as it
 * was before.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

#include "hat/hat.h"
#include "hat/p2m.h"
#include "kern/mem.h"
#include "kern/page.h"
#include "kern/thread.h"
#include "os/gnttab_move.h"
#include "os/hypercall.h"
#include "os/reservation.h"

#define REF   77u
#define FRAME 0x1234u

char hypercall_page[4096]; /* not reached: no copies, no transfers */

static struct {
    void *page;
    enum page_kind kind;
    bool hole, ref_taken, offered, xen_takes, tables;
    unsigned left; /* pages that the kernel gave up */
} m;

void *page_alloc(unsigned order)
{
    assert_int_equal(order, 0);
    m.page = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
    m.kind = PAGE_USED;
    return m.page;
}

void page_free(void *page, unsigned order)
{
    assert_int_equal(order, 0);
    assert_ptr_equal(page, m.page);
    assert_false(m.hole);
    assert_int_equal(m.kind, PAGE_USED);
    free(page);
    m.page = NULL;
}

void page_set_kind(void *page, unsigned order, enum page_kind kind)
{
    assert_int_equal(order, 0);
    assert_ptr_equal(page, m.page);
    m.kind = kind;
}

void page_leave(pfn_t pfn)
{
    assert_true(m.hole);
    assert_ptr_equal(pfn_to_virt(pfn), m.page);
    free(m.page);
    m.page = NULL;
    m.left++;
}

pfn_t virt_to_pfn(const void *va)
{
    return PFN(((uintptr_t)va - KPM_BASE) >> PAGE_SHIFT);
}

mfn_t p2m_get(pfn_t pfn)
{
    return MFN(pfn.n);
}

void hat_kpm_unmap(const pfn_t *pfns, mfn_t *mfns, size_t n)
{
    (void)pfns;
    assert_int_equal(n, 1);
    assert_false(m.hole);
    m.hole = true;
    mfns[0] = MFN(FRAME);
}

int hat_kpm_map(pfn_t pfn, mfn_t mfn)
{
    (void)pfn;
    assert_true(m.hole);
    assert_int_equal(mfn.n, FRAME);
    m.hole = !m.tables;
    return m.tables ? 0 : -ENOMEM;
}

long frames_give(xen_pfn_t *frames, unsigned count)
{
    assert_int_equal(count, 1);
    assert_int_equal(frames[0], FRAME);
    return m.xen_takes ? 1 : 0;
}

void frames_hold(void)
{
}

void frames_release(void)
{
}

int gnttab_alloc(gref_t *ref)
{
    *ref = REF;
    m.ref_taken = true;
    return 0;
}

void gnttab_free(gref_t ref)
{
    assert_int_equal(ref, REF);
    assert_false(m.offered);
    m.ref_taken = false;
}

void gnttab_grant_transfer(gref_t ref, uint16_t domid, pfn_t pfn)
{
    (void)domid;
    (void)pfn;
    assert_int_equal(ref, REF);
    m.offered = true;
}

int gnttab_cancel_transfer(gref_t ref)
{
    assert_int_equal(ref, REF);
    m.offered = false;
    return 0;
}

int gnttab_end_transfer(gref_t ref, mfn_t *mfn)
{
    (void)ref;
    (void)mfn;
    return -EAGAIN;
}

int gnttab_errno(int16_t status)
{
    return status;
}

static void offered_and_declined(void **state)
{
    struct gnttab_slot slot;

    (void)state;
    m.xen_takes = true;
    assert_int_equal(gnttab_accept(1, &slot), 0);
    assert_true(m.hole && m.offered && m.ref_taken);
    assert_int_equal(gnttab_accepted(&slot), -EAGAIN);
    assert_int_equal(gnttab_decline(&slot), 0);
    assert_false(m.ref_taken);
    assert_int_equal(m.left, 1);
    m.hole = false;
}

static void xen_refuses(void **state)
{
    struct gnttab_slot slot;

    (void)state;
    m.xen_takes = false;
    m.left = 0;
    m.tables = true;
    assert_int_equal(gnttab_accept(1, &slot), -EIO);
    assert_false(m.hole || m.offered || m.ref_taken);
    assert_null(m.page);
    assert_int_equal(m.left, 0);
    m.tables = false;
    assert_int_equal(gnttab_accept(1, &slot), -EIO);
    assert_false(m.offered || m.ref_taken);
    assert_null(m.page);
    assert_int_equal(m.left, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offered_and_declined),
        cmocka_unit_test(xen_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
