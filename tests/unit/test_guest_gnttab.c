/*
 * The grant table over suspends that come at the worst moments, and what it lets others see.
 *
 * A suspend may come whenever no thread holds frames. Here it comes each time that the last one
 * lets go: the table is unmapped, another host gives other frames, the table is mapped again. No
 * frame of the old host may stay mapped, and none of the new may lack. Xen is a function of this
 * program, which the kernel's hypercall page leads to.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hat/kvm.h"
#include "hat/p2m.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/page.h"
#include "kern/thread.h"
#include "kern/wait.h"
#include "os/gnttab.h"
#include "os/hypercall.h"
#include "os/panic.h"
#include "psm/clock.h"
#include "psm/timer.h"

#define FRAMES 4u

/* ---- Xen ---- */

/*
 * Each entry of the page calls xen() with its number, as Xen's would trap. The kernel's side is
 * compiled without vector registers, so that none need be kept.
 */
__asm__(".pushsection .text\n"
        ".balign 4096\n"
        ".globl hypercall_page\n"
        "hypercall_page:\n"
        ".set nr, 0\n"
        ".rept 64\n"
        "  .balign 32\n"
        "  mov %r10, %rcx\n"
        "  mov $nr, %r8d\n"
        "  jmp 1f\n"
        "  .set nr, nr + 1\n"
        ".endr\n"
        ".balign 32\n"
        "1: push %rbp\n"
        "  mov %rsp, %rbp\n"
        "  and $-16, %rsp\n"
        "  call xen\n"
        "  leave\n"
        "  ret\n"
        ".popsection\n");

long xen(unsigned long a1, unsigned long a2, unsigned long a3, unsigned long a4, unsigned nr);

static unsigned host = 1; /* whose frames are the grant table's */

static uint64_t frame_of(unsigned index)
{
    return host * 0x1000ull + index;
}

long xen(unsigned long a1, unsigned long a2, unsigned long a3, unsigned long a4, unsigned nr)
{
    assert_int_equal(nr, __HYPERVISOR_grant_table_op);
    assert_int_equal(a3, 1);
    assert_int_equal(a4, 0);
    if (a1 == GNTTABOP_query_size) {
        struct gnttab_query_size *op = (void *)a2;

        op->max_nr_frames = FRAMES;
        op->status = GNTST_okay;
        return 0;
    }
    assert_int_equal(a1, GNTTABOP_setup_table);
    struct gnttab_setup_table *op = (void *)a2;
    for (unsigned i = 0; i < op->nr_frames; i++) {
        op->frame_list.p[i] = frame_of(i);
    }
    op->status = GNTST_okay;
    return 0;
}

/* ---- the kernel's address space: one region, the table's ---- */

static void *region;
static uint64_t mapped[FRAMES]; /* 0: nothing */

void *kvm_reserve(size_t npages)
{
    assert_int_equal(npages, FRAMES);
    region = aligned_alloc(PAGE_SIZE, npages * PAGE_SIZE);
    return region != NULL ? memset(region, 0, npages * PAGE_SIZE) : NULL;
}

void kvm_release(void *va __unused, size_t npages __unused)
{
    fail();
}

static size_t index_in_region(const void *va)
{
    return (size_t)((const char *)va - (const char *)region) / PAGE_SIZE;
}

int kvm_map(void *va, const mfn_t *mfns, size_t n, enum hat_prot prot)
{
    assert_int_equal(prot, HAT_WRITE);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(mapped[index_in_region(va) + i], 0);
        mapped[index_in_region(va) + i] = mfns[i].n;
    }
    return 0;
}

void kvm_unmap(void *va, size_t n)
{
    memset(&mapped[index_in_region(va)], 0, n * sizeof(mapped[0]));
}

maddr_t kvm_pte_maddr(const void *va __unused)
{
    fail();
    return (maddr_t){0};
}

/* ---- suspends ---- */

static bool memory_out, suspends;
static unsigned holds;

static void to_another_host(void)
{
    struct gnttab_stats stats;

    gnttab_suspend();
    for (unsigned i = 0; i < FRAMES; i++) {
        if (mapped[i] != 0) {
            fail_msg("frame %u stays mapped over a suspend", i);
        }
    }
    host++;
    memory_out = true;
    assert_int_equal(gnttab_resume(), 0);
    memory_out = false;
    gnttab_get_stats(&stats);
    for (unsigned i = 0; i < FRAMES; i++) {
        assert_int_equal(mapped[i], i < stats.frames ? frame_of(i) : 0);
    }
}

void frames_hold(void)
{
    holds++;
}

void frames_release(void)
{
    if (--holds == 0 && suspends) {
        to_another_host();
    }
}

/* ---- the rest of the kernel ---- */

static bool cleared = true; /* the page that is granted */

void *page_alloc(unsigned order)
{
    return memory_out ? NULL : aligned_alloc(PAGE_SIZE, PAGE_SIZE << order);
}

void *page_alloc_zeroed(unsigned order)
{
    void *page = page_alloc(order);

    return page != NULL ? memset(page, 0, PAGE_SIZE << order) : NULL;
}

void page_free(void *page, unsigned order __unused)
{
    free(page);
}

void *kzalloc(size_t size)
{
    return memory_out ? NULL : calloc(1, size);
}

bool page_is_cleared(const void *addr __unused)
{
    return cleared;
}

pfn_t virt_to_pfn(const void *va)
{
    return PFN((uintptr_t)va >> PAGE_SHIFT);
}

mfn_t p2m_get(pfn_t pfn)
{
    return MFN(pfn.n);
}

bool m2p_get(mfn_t mfn, pfn_t *pfn)
{
    *pfn = PFN(mfn.n);
    return true;
}

upcall_state_t spin_lock(spinlock_t *lock)
{
    assert_int_equal(lock->owner, -1);
    lock->owner = 0;
    return false;
}

void spin_unlock(spinlock_t *lock, upcall_state_t state __unused)
{
    lock->owner = -1;
}

bool upcalls_masked(void)
{
    return false;
}

void mutex_init(struct mutex *m, const char *name __unused)
{
    *m = (struct mutex){.owner = NULL};
}

void mutex_lock(struct mutex *m)
{
    assert_null(m->owner);
    m->owner = (struct thread *)m;
}

void mutex_unlock(struct mutex *m)
{
    m->owner = NULL;
}

void timer_init(struct timer *t, void (*fn)(struct timer *t))
{
    *t = (struct timer){.fn = fn};
}

void timer_arm(struct timer *t, nsec_t deadline)
{
    t->deadline = deadline;
}

nsec_t clock_now(void)
{
    return 0;
}

void klog(enum log_level level __unused, const char *fmt __unused, ...)
{
}

const char *errno_name(int err __unused)
{
    return "an error";
}

static jmp_buf at_panic;
static bool panic_expected;

void panic(const char *fmt, ...)
{
    va_list ap;

    if (panic_expected) {
        longjmp(at_panic, 1);
    }
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    abort();
}

/* ---- tests ---- */

/* Takes references until the table has @frames frames. */
static void grow_to(uint32_t frames)
{
    struct gnttab_stats stats;
    gref_t ref;

    do {
        assert_int_equal(gnttab_alloc(&ref), 0);
        gnttab_get_stats(&stats);
    } while (stats.frames < frames);
    assert_int_equal(stats.frames, frames);
}

static void suspends_while_the_table_grows(void **state)
{
    (void)state;
    suspends = true;
    for (uint32_t frames = 2; frames <= FRAMES; frames++) {
        grow_to(frames);
    }
    suspends = false;
    assert_int_equal(host, FRAMES); /* each growth had one */
}

static bool grant_is_refused(gref_t ref, const void *page)
{
    panic_expected = true;
    bool refused = setjmp(at_panic) != 0;
    if (!refused) {
        gnttab_grant(ref, 1, virt_to_mfn(page), false);
    }
    panic_expected = false;
    return refused;
}

/* Nobody may be shown what a former owner left in a page. */
static void pages_that_were_not_cleared(void **state)
{
    void *page = page_alloc_zeroed(0);
    gref_t ref;

    (void)state;
    assert_non_null(page);
    assert_int_equal(gnttab_alloc(&ref), 0);
    cleared = false;
    assert_true(grant_is_refused(ref, page));
    cleared = true;
    assert_false(grant_is_refused(ref, page));
    assert_int_equal(gnttab_end(ref), 0);
    gnttab_free(ref);
    page_free(page, 0);
}

static int begin(void **state)
{
    (void)state;
    gnttab_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(suspends_while_the_table_grows),
        cmocka_unit_test(pages_that_were_not_cleared),
    };

    return cmocka_run_group_tests(tests, begin, NULL);
}
