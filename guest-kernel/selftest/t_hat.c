/*
 * t_hat.c - promises of the MMU: address spaces, sharing, the p2m.
 */
#include "hat/hat.h"
#include "hat/layout.h"
#include "hat/kvm.h"
#include "hat/p2m.h"
#include "hat/uhat.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "kern/thread.h"
#include "kern/wait.h"
#include "psm/clock.h"
#include "psm/cpu.h"
#include "psm/trap.h"
#include "selftest/selftest.h"
#include "vm/vm.h"

#define BASE   0x400000ull
#define PAGES  4096
#define ROUNDS 16
#define MANY   256 /* times PAGES: a million mappings */

static bool map_cycles(unsigned rounds)
{
    struct uhat *h = uhat_create();
    size_t size = PAGES * sizeof(mfn_t);
    mfn_t *mfns = kmalloc(size);
    void *page = page_alloc(0);

    CHECK(h != NULL && mfns != NULL && page != NULL);
    for (size_t i = 0; i < PAGES; i++) {
        mfns[i] = virt_to_mfn(page);
    }
    for (unsigned round = 0; round < rounds; round++) {
        uint64_t va = BASE + round * 7 * PAGE_SIZE;

        CHECK(uhat_map(h, va, mfns, PAGES, HAT_WRITE) == 0);
        uhat_unmap(h, va, PAGES);
        CHECK(uhat_tables(h) == 2);
    }
    uhat_destroy(h);
    page_free(page, 0);
    kfree(mfns);
    return true;
}

static bool map_cycles_leak_nothing(void)
{
    return map_cycles(ROUNDS);
}

static bool a_million_mappings_leak_nothing(void)
{
    return map_cycles(MANY);
}

static bool untouched_memory_reads_zero(void)
{
    struct vm_space *s = vm_create();

    CHECK(s != NULL);
    CHECK(vm_map(s, BASE, 8 * PAGE_SIZE, HAT_WRITE) == 0);
    CHECK(vm_map(s, BASE + PAGE_SIZE, PAGE_SIZE, HAT_READ) == -EEXIST);
    vm_enter(s);
    bool zero = *(volatile uint64_t *)(BASE + 5 * PAGE_SIZE) == 0;
    *(volatile uint64_t *)(BASE + 8) = 42;
    bool kept = *(volatile uint64_t *)(BASE + 8) == 42;
    vm_enter(NULL);
    CHECK(zero && kept);
    CHECK(vm_resident(s) == 2);
    vm_destroy(s);
    return true;
}

static bool protection_is_enforced(void)
{
    struct vm_space *s = vm_create();
    uint64_t value;

    CHECK(s != NULL && vm_map(s, BASE, PAGE_SIZE, HAT_READ) == 0);
    vm_enter(s);
    int read = safe_read64((uint64_t *)BASE, &value);
    int written = safe_write64((uint64_t *)BASE, 1);
    int outside = safe_read64((uint64_t *)(BASE + PAGE_SIZE), &value);
    vm_enter(NULL);
    int left = safe_read64((uint64_t *)BASE, &value);
    vm_destroy(s);
    CHECK(read == 0);
    CHECK(written == -EFAULT);
    CHECK(outside == -EFAULT);
    CHECK(left == -EFAULT);
    return true;
}

static bool clones_copy_on_write(void)
{
    struct vm_space *parent = vm_create();
    volatile uint64_t *word = (volatile uint64_t *)BASE;

    CHECK(parent != NULL && vm_map(parent, BASE, 4 * PAGE_SIZE, HAT_WRITE) == 0);
    vm_enter(parent);
    *word = 1;
    struct vm_space *child = vm_clone(parent);
    CHECK(child != NULL);
    *word = 2;
    vm_enter(child);
    uint64_t in_child = *word;
    *word = 3;
    vm_enter(parent);
    uint64_t in_parent = *word;
    vm_enter(NULL);
    vm_destroy(parent);
    vm_enter(child);
    uint64_t survived = *word;
    vm_enter(NULL);
    vm_destroy(child);
    CHECK(in_child == 1);
    CHECK(in_parent == 2);
    CHECK(survived == 3);
    return true;
}

/* What is hidden, or unmapped around it, keeps its contents; what is unmapped is gone. */
static bool regions_are_cut_where_asked(void)
{
    struct vm_space *s = vm_create();
    volatile uint64_t *page[4];
    uint64_t value;

    for (unsigned i = 0; i < ARRAY_SIZE(page); i++) {
        page[i] = (volatile uint64_t *)(BASE + i * PAGE_SIZE);
    }
    CHECK(s != NULL && vm_map(s, BASE, 4 * PAGE_SIZE, HAT_WRITE) == 0);
    CHECK(vm_map(s, BASE + 8 * PAGE_SIZE, PAGE_SIZE, HAT_WRITE | HAT_EXEC) == -EACCES);
    vm_enter(s);
    for (unsigned i = 0; i < ARRAY_SIZE(page); i++) {
        *page[i] = i + 1;
    }
    int rc = vm_unmap(s, BASE + PAGE_SIZE, PAGE_SIZE);
    rc = rc == 0 ? vm_protect(s, BASE + 2 * PAGE_SIZE, PAGE_SIZE, VM_NONE) : rc;
    int gone = safe_read64((uint64_t *)page[1], &value);
    int hidden = safe_read64((uint64_t *)page[2], &value);
    struct vm_space *child = vm_clone(s);
    rc = rc == 0 ? vm_protect(s, BASE + 2 * PAGE_SIZE, 2 * PAGE_SIZE, HAT_READ) : rc;
    uint64_t shown = *page[2];
    int written = safe_write64((uint64_t *)page[3], 9);
    uint64_t resident = vm_resident(s);
    int hole = vm_protect(s, BASE, 3 * PAGE_SIZE, HAT_READ);
    vm_enter(NULL);
    vm_destroy(s);
    if (child != NULL) {
        vm_destroy(child);
    }
    CHECK(child != NULL && rc == 0);
    CHECK(gone == -EFAULT && hidden == -EFAULT && written == -EFAULT);
    CHECK(shown == 3 && resident == 3 && hole == -ENOMEM);
    return true;
}

/* A reader in the same space, perhaps on another vCPU, that ends when it cannot read any more. */
struct reader {
    struct vm_space *space;
    uint64_t reads;
    bool stop, faulted;
};

static void read_on(void *arg)
{
    struct reader *r = arg;
    uint64_t value;

    vm_enter(r->space);
    while (!READ_ONCE(r->stop) && !r->faulted) {
        r->faulted = safe_read64((uint64_t *)BASE, &value) != 0;
        WRITE_ONCE(r->reads, r->reads + 1);
    }
    vm_enter(NULL);
}

static bool unmapping_reaches_every_vcpu(void)
{
    struct reader readers[4];
    struct thread *threads[ARRAY_SIZE(readers)];
    struct vm_space *s = vm_create();
    bool all = true;

    CHECK(s != NULL && vm_map(s, BASE, PAGE_SIZE, HAT_WRITE) == 0);
    for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
        readers[i] = (struct reader){.space = s};
        threads[i] = thread_create("reader", read_on, &readers[i], PRIO_NORMAL);
        CHECK(threads[i] != NULL);
    }
    for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
        while (READ_ONCE(readers[i].reads) == 0) {
            thread_yield();
        }
    }
    CHECK(vm_unmap(s, BASE, PAGE_SIZE) == 0);
    thread_sleep_until(clock_now() + 100 * NSEC_PER_MSEC);
    for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
        WRITE_ONCE(readers[i].stop, true);
        thread_join(threads[i]);
        all &= readers[i].faulted;
    }
    vm_destroy(s);
    CHECK(all);
    return true;
}

static bool p2m_and_m2p_agree(void)
{
    uint64_t holes = 0;

    for (uint64_t i = 0; i < p2m_limit().n; i++) {
        mfn_t mfn = p2m_get(PFN(i));
        pfn_t back;

        if (!mfn_is_valid(mfn)) {
            holes++;
            continue;
        }
        if (!m2p_get(mfn, &back) || back.n != i) {
            selftest_fail("pfn %#lx has mfn %#lx, which is another's", i, mfn.n);
            return false;
        }
    }
    CHECK(holes < p2m_limit().n);
    return true;
}

static bool wild_addresses_fault_safely(void)
{
    uint64_t value = 0;

    CHECK(safe_read64((uint64_t *)KVM_END - 1, &value) == -EFAULT);
    CHECK(safe_read64(NULL, &value) == -EFAULT);
    CHECK(safe_write64((uint64_t *)(uintptr_t)safe_read64, 0) == -EFAULT);
    CHECK(safe_write64((uint64_t *)(uintptr_t)hat_table_entry(KPM_BASE, 4), 0) == -EFAULT);
    return true;
}

const struct selftest selftests_hat[] = {
    {.name = "hat-map-cycles-leak-nothing", .fn = map_cycles_leak_nothing},
    {.name = "hat-untouched-memory-reads-zero", .fn = untouched_memory_reads_zero},
    {.name = "hat-protection-is-enforced", .fn = protection_is_enforced},
    {.name = "hat-clones-copy-on-write", .fn = clones_copy_on_write},
    {.name = "hat-regions-are-cut-where-asked", .fn = regions_are_cut_where_asked},
    {.name = "hat-unmapping-reaches-every-vcpu", .fn = unmapping_reaches_every_vcpu},
    {.name = "hat-p2m-and-m2p-agree", .fn = p2m_and_m2p_agree},
    {.name = "hat-wild-addresses-fault-safely", .fn = wild_addresses_fault_safely},
    {.name = "hat-a-million-mappings-leak-nothing",
     .fn = a_million_mappings_leak_nothing,
     .slow = true},
    {.name = NULL},
};
