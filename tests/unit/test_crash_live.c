/*
 * duet-crash's live domains, against a hypervisor that is a table in memory: pages by both of their
 * numbers, by either kind of p2m; a p2m, page tables and numbers that lead anywhere; pages that go
 * while they are read; no more mapped than is allowed, and nothing left mapped. And the pause's
 * keeper: it unpauses when the reader is done, and when it is killed.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "live.h"
#include "live_pause.h"
#include "walk.h"

#define PAGES     1024
#define FIRST_MFN 0x5000ull
#define VA        0xffffffff80001000ull
#define P2M_VA    0xffffffff90000000ull

struct fake {
    uint64_t (*pages)[CORE_PAGE_SIZE / sizeof(uint64_t)]; /* the i-th is mfn FIRST_MFN + i, pfn i */
    bool gone[PAGES];
    unsigned int mapped, most;
    unsigned int closed;
    struct live_info info;
    struct vcpu_guest_context vcpu;
    struct shared_info shared;
    unsigned int started; /* vCPUs that were */
    int vcpu_error;
};

static int fake_info(void *arg, struct live_info *info)
{
    const struct fake *f = arg;

    *info = f->info;
    return 0;
}

static int fake_vcpu(void *arg, unsigned int id, struct vcpu_guest_context *to)
{
    const struct fake *f = arg;

    *to = f->vcpu;
    return f->vcpu_error != 0 ? f->vcpu_error : id < f->started ? 0 : -ENODATA;
}

static int fake_shared(void *arg, struct shared_info *to)
{
    const struct fake *f = arg;

    *to = f->shared;
    return 0;
}

static const uint8_t *fake_map(void *arg, uint64_t mfn)
{
    struct fake *f = arg;

    if (mfn - FIRST_MFN >= PAGES || f->gone[mfn - FIRST_MFN]) {
        return NULL;
    }
    f->mapped++;
    f->most = f->mapped > f->most ? f->mapped : f->most;
    return (const uint8_t *)f->pages[mfn - FIRST_MFN];
}

static void fake_unmap(void *arg, const uint8_t *page)
{
    struct fake *f = arg;

    assert_true(page >= (const uint8_t *)f->pages && f->mapped > 0);
    f->mapped--;
}

static int fake_pfn_of(void *arg, uint64_t mfn, uint64_t *pfn)
{
    (void)arg;
    *pfn = mfn - FIRST_MFN;
    return 0;
}

static void fake_close(void *arg)
{
    struct fake *f = arg;

    f->closed++;
}

static const struct live_hyper fake_hyper = {
    .info = fake_info,
    .vcpu = fake_vcpu,
    .shared_info = fake_shared,
    .map = fake_map,
    .unmap = fake_unmap,
    .pfn_of = fake_pfn_of,
    .close = fake_close,
};

/* Maps @va to @mfn by the tables in pages 0 to 3; another part of the kernel's by one more. */
static void map(struct fake *f, uint64_t va, unsigned int last, uint64_t mfn)
{
    f->pages[0][va >> 39 & 511] = (FIRST_MFN + 1) << 12 | PTE_PRESENT;
    f->pages[1][va >> 30 & 511] = (FIRST_MFN + 2) << 12 | PTE_PRESENT;
    f->pages[2][va >> 21 & 511] = (FIRST_MFN + last) << 12 | PTE_PRESENT;
    f->pages[last][va >> 12 & 511] = mfn << 12 | PTE_PRESENT;
}

/* The p2m is in page 5 and 6, and its tree in 7 and 8. */
static int make(void **state)
{
    struct fake *f = calloc(1, sizeof(*f));

    if (f == NULL) {
        return -1;
    }
    *state = f;
    f->pages = calloc(PAGES, sizeof(*f->pages));
    if (f->pages == NULL) {
        return -1;
    }
    f->info = (struct live_info){.pages = PAGES, .vcpus = 4, .xen_version = 4 << 16 | 17};
    f->started = 2;
    f->vcpu.ctrlreg[3] = FIRST_MFN << 12;
    for (unsigned int i = 0; i < PAGES; i++) {
        f->pages[5 + i / 512][i % 512] = FIRST_MFN + i;
    }
    f->pages[7][0] = FIRST_MFN + 8;
    f->pages[8][0] = FIRST_MFN + 5;
    f->pages[8][1] = FIRST_MFN + 6;
    map(f, VA, 3, FIRST_MFN + 9);
    map(f, P2M_VA, 4, FIRST_MFN + 5);
    map(f, P2M_VA + CORE_PAGE_SIZE, 4, FIRST_MFN + 6);
    f->shared.arch.max_pfn = PAGES;
    f->shared.arch.pfn_to_mfn_frame_list_list = FIRST_MFN + 7;
    f->shared.arch.p2m_vaddr = P2M_VA;
    f->shared.arch.p2m_cr3 = FIRST_MFN << 12;
    return 0;
}

static int drop(void **state)
{
    struct fake *f = *state;

    assert_int_equal(f->mapped, 0);
    free(f->pages);
    free(f);
    return 0;
}

static struct core *opened(struct fake *f)
{
    struct core *core = NULL;
    char why[128] = "";

    assert_int_equal(live_open(&fake_hyper, f, &core, why, sizeof(why)), 0);
    return core;
}

static void expect_all_pages(struct fake *f)
{
    struct core *core = opened(f);
    struct core_page page;

    for (unsigned int i = 0; i < PAGES; i++) {
        assert_int_equal(core_page_by_pfn(core, i, &page), 0);
        assert_int_equal(page.pfn, i);
        assert_int_equal(page.mfn, FIRST_MFN + i);
        assert_ptr_equal(page.bytes, f->pages[i]);
        assert_int_equal(core_page_by_mfn(core, FIRST_MFN + i, &page), 0);
        assert_int_equal(page.pfn, i);
    }
    assert_int_equal(core_page_by_pfn(core, PAGES, &page), -ENOENT);
    assert_int_equal(core_page_by_pfn(core, UINT64_MAX, &page), -ENOENT);
    assert_int_equal(core_page_by_mfn(core, FIRST_MFN - 1, &page), -ENOENT);
    assert_true(f->most <= LIVE_MAPPED_MAX);
    core_close(core);
    assert_int_equal(f->closed, 1);
}

static void pages_by_both_numbers(void **state)
{
    expect_all_pages(*state);
}

static void pages_by_the_tree(void **state)
{
    struct fake *f = *state;

    f->shared.arch.p2m_cr3 = 0;
    expect_all_pages(f);
}

static void a_domain_is_described(void **state)
{
    struct fake *f = *state;
    struct core *core = opened(f);

    assert_true(core_is_live(core) && core_moves(core));
    assert_string_equal(core_noun(core), "domain");
    assert_int_equal(core_vcpu_count(core), 2); /* the other two were never started */
    assert_int_equal(core_page_count(core), PAGES);
    assert_int_equal(core_xen_version(core), 4 << 16 | 17);
    f->vcpu.user_regs.rip = 0x1234;
    assert_int_equal(core_refresh(core), 0);
    assert_int_equal(core_vcpu(core, 1)->user_regs.rip, 0x1234);
    f->vcpu_error = -ESRCH;
    assert_int_equal(core_refresh(core), -ESRCH);
    core_close(core);
}

static void a_paused_domain_is_read_once(void **state)
{
    struct fake *f = *state;

    f->info.still = true;
    struct core *core = opened(f);
    f->vcpu_error = -ESRCH;
    assert_false(core_moves(core));
    assert_int_equal(core_refresh(core), 0);
    core_close(core);
}

static void a_domain_that_went_is_refused(void **state)
{
    struct fake *f = *state;
    struct core *core = NULL;
    char why[128] = "";

    f->vcpu_error = -ESRCH;
    assert_int_equal(live_open(&fake_hyper, f, &core, why, sizeof(why)), -ESRCH);
    assert_string_equal(why, "the domain has gone");
    assert_int_equal(f->closed, 1);
    f->info.vcpus = 0;
    assert_int_equal(live_open(&fake_hyper, f, &core, why, sizeof(why)), -ENODATA);
    f->info.vcpus = UINT32_MAX;
    assert_int_equal(live_open(&fake_hyper, f, &core, why, sizeof(why)), -ENODATA);
}

/* Numbers of the domain's own that lead to nothing, round in circles, or to others' pages. */
static void hostile_numbers_end(void **state)
{
    static const uint64_t bad[] = {0,          1ull << 62,        1ull << 63,   UINT64_MAX,
                                   1ull << 40, FIRST_MFN + PAGES, FIRST_MFN - 1};
    struct fake *f = *state;
    struct core_page page;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        f->shared.arch.p2m_cr3 = FIRST_MFN << 12;
        f->shared.arch.max_pfn = UINT64_MAX;
        f->pages[5][3] = bad[i];
        struct core *core = opened(f);
        assert_int_equal(core_page_by_pfn(core, 3, &page), -ENOENT);
        assert_int_equal(core_page_by_pfn(core, UINT64_MAX / 8, &page), -ENOENT);
        core_close(core);
        f->shared.arch.p2m_cr3 = bad[i];
        f->shared.arch.pfn_to_mfn_frame_list_list = bad[i];
        core = opened(f);
        assert_int_equal(core_page_by_pfn(core, 4, &page), -ENOENT);
        assert_int_equal(core_page_by_pfn(core, 1ull << 40, &page), -ENOENT);
        core_close(core);
    }
    f->shared.arch.p2m_cr3 = 0; /* a tree whose levels are one page */
    f->shared.arch.pfn_to_mfn_frame_list_list = FIRST_MFN + 20;
    f->pages[20][0] = FIRST_MFN + 20;
    struct core *core = opened(f);
    assert_int_equal(core_page_by_pfn(core, 0, &page), 0);
    assert_int_equal(page.mfn, FIRST_MFN + 20);
    assert_int_equal(core_page_by_pfn(core, 1ull << 27, &page),
                     -ENOENT); /* more than it can have */
    core_close(core);
}

static void pages_go_while_they_are_read(void **state)
{
    struct fake *f = *state;
    struct core *core = opened(f);
    struct space space;
    char text[16];
    uint64_t word;

    assert_int_equal(space_of_kernel(core, &space), 0);
    memcpy(f->pages[9], "hello", 6);
    assert_int_equal(space_read_string(&space, VA, text, sizeof(text)), 0);
    assert_string_equal(text, "hello");
    f->pages[3][VA >> 12 & 511] = 0;
    assert_int_equal(space_read(&space, VA, &word, sizeof(word)), -EFAULT);
    f->pages[3][VA >> 12 & 511] = (FIRST_MFN + 30) << 12 | PTE_PRESENT;
    f->gone[30] = true;
    assert_int_equal(space_read(&space, VA, &word, sizeof(word)), -EFAULT);
    memset(f->pages[9], 'x', CORE_PAGE_SIZE); /* a string without an end */
    map(f, VA, 3, FIRST_MFN + 9);
    assert_int_equal(space_read_string(&space, VA, text, sizeof(text)), 0);
    assert_int_equal(strlen(text), sizeof(text) - 1);
    core_close(core);
}

/* ---- the pause ---- */

/* What the keeper did: it is another process. */
static struct {
    volatile int paused, unpaused, fails;
} * shown;

static int fake_pause(unsigned int domid, bool pause)
{
    assert_int_equal(domid, 7);
    if (shown->fails != 0) {
        return -EPERM;
    }
    *(pause ? &shown->paused : &shown->unpaused) += 1;
    return 0;
}

static int show(void **state)
{
    (void)state;
    shown = mmap(NULL, sizeof(*shown), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shown != MAP_FAILED ? 0 : -1;
}

static int hide(void **state)
{
    (void)state;
    return munmap(shown, sizeof(*shown));
}

static void the_pause_ends_with_its_reader(void **state)
{
    struct live_pause p;

    (void)state;
    assert_int_equal(live_pause_begin(&p, 7, fake_pause), 0);
    assert_int_equal(shown->paused, 1);
    assert_int_equal(shown->unpaused, 0);
    assert_int_equal(live_pause_end(&p), 0);
    assert_int_equal(shown->unpaused, 1);
}

/* The keeper tells who waits for it by the end of a pipe that it inherits. */
static void the_pause_ends_with_a_killed_reader(void **state)
{
    static const int signals[] = {SIGKILL, SIGINT, SIGTERM};

    (void)state;
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        int fds[2], status;
        char byte;

        assert_int_equal(pipe(fds), 0);
        pid_t reader = fork();
        assert_true(reader >= 0);
        if (reader == 0) {
            struct live_pause p;

            close(fds[0]);
            (void)live_pause_begin(&p, 7, fake_pause);
            raise(signals[i]);
            _exit(1);
        }
        close(fds[1]);
        assert_int_equal(waitpid(reader, &status, 0), reader);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(read(fds[0], &byte, 1), 0); /* the keeper has ended */
        close(fds[0]);
        assert_int_equal(shown->paused, i + 1);
        assert_int_equal(shown->unpaused, i + 1);
    }
}

static void a_pause_that_fails_is_told(void **state)
{
    struct live_pause p;

    (void)state;
    shown->fails = 1;
    assert_int_equal(live_pause_begin(&p, 7, fake_pause), -EPERM);
    shown->fails = 0;
    assert_int_equal(live_pause_begin(&p, 7, fake_pause), 0);
    shown->fails = 1; /* it cannot be unpaused, or the keeper was killed */
    assert_int_equal(live_pause_end(&p), -EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pages_by_both_numbers, make, drop),
        cmocka_unit_test_setup_teardown(pages_by_the_tree, make, drop),
        cmocka_unit_test_setup_teardown(a_domain_is_described, make, drop),
        cmocka_unit_test_setup_teardown(a_paused_domain_is_read_once, make, drop),
        cmocka_unit_test_setup_teardown(a_domain_that_went_is_refused, make, drop),
        cmocka_unit_test_setup_teardown(hostile_numbers_end, make, drop),
        cmocka_unit_test_setup_teardown(pages_go_while_they_are_read, make, drop),
        cmocka_unit_test_setup_teardown(the_pause_ends_with_its_reader, show, hide),
        cmocka_unit_test_setup_teardown(the_pause_ends_with_a_killed_reader, show, hide),
        cmocka_unit_test_setup_teardown(a_pause_that_fails_is_told, show, hide),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
