/*
 * duet-crash's reader of core files and its page walks: a good core is read exactly, and of a core
 * that is cut short, overlaps itself or has absurd counts each is refused with a sentence.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "fake_core.h"
#include "walk.h"

#define VCPUS 2
#define PAGES 8
#define VA    0xffffffff80001000ull

static int make(void **state)
{
    struct fake_core *f = malloc(sizeof(*f));

    if (f == NULL) {
        return -1;
    }
    fake_core_make(f, VCPUS, PAGES);
    *state = f;
    return 0;
}

static int drop(void **state)
{
    fake_core_free(*state);
    free(*state);
    return 0;
}

/* Parses a copy of exactly @size bytes, so that ASan sees one byte too much. */
static int parse_cut(const struct fake_core *f, size_t size, char *why, size_t why_size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    struct core *core = NULL;

    assert_non_null(copy);
    memcpy(copy, f->data, size);
    int err = core_parse(copy, size, &core, why, why_size);
    if (err == 0) {
        core_close(core);
    }
    free(copy);
    return err;
}

static void expect_refusal(const struct fake_core *f, const char *words)
{
    char why[256] = "";

    assert_int_equal(parse_cut(f, f->size, why, sizeof(why)), -EINVAL);
    if (strstr(why, words) == NULL) {
        fail_msg("'%s' does not say '%s'", why, words);
    }
}

static void good_core_is_read(void **state)
{
    struct fake_core *f = *state;
    struct core *core = NULL;
    struct core_page page;
    char why[256];

    fake_core_page(f, 5)[17] = 0x5a;
    f->vcpus[1].user_regs.rip = 0x1234;
    assert_int_equal(core_parse(f->data, f->size, &core, why, sizeof(why)), 0);
    assert_int_equal(core_vcpu_count(core), VCPUS);
    assert_int_equal(core_page_count(core), PAGES);
    assert_int_equal(core_vcpu(core, 1)->user_regs.rip, 0x1234);
    assert_null(core_vcpu(core, VCPUS));
    assert_non_null(core_shared_info(core));
    for (unsigned int i = 0; i < PAGES; i++) {
        assert_int_equal(core_page_by_pfn(core, i, &page), 0);
        assert_int_equal(page.mfn, fake_core_mfn(f, i));
        assert_ptr_equal(page.bytes, fake_core_page(f, i));
        assert_int_equal(core_page_by_mfn(core, fake_core_mfn(f, i), &page), 0);
        assert_int_equal(page.pfn, i);
    }
    assert_int_equal(page.bytes == fake_core_page(f, PAGES - 1), 1);
    assert_int_equal(core_page_by_pfn(core, PAGES, &page), -ENOENT);
    assert_int_equal(core_page_by_mfn(core, 3, &page), -ENOENT);
    core_close(core);
}

static void pages_that_went_are_left_out(void **state)
{
    struct fake_core *f = *state;
    struct core *core = NULL;
    struct core_page page;
    char why[256];

    f->p2m[2 * 6] = f->p2m[2 * 7] = UINT64_MAX;
    f->p2m[2 * 6 + 1] = f->p2m[2 * 7 + 1] = UINT64_MAX;
    assert_int_equal(core_parse(f->data, f->size, &core, why, sizeof(why)), 0);
    assert_int_equal(core_page_count(core), PAGES - 2);
    assert_int_equal(core_page_by_mfn(core, UINT64_MAX, &page), -ENOENT);
    core_close(core);
}

/* Wherever the file ends: the pages are its last part, so nothing shorter is whole. */
static void every_cut_is_refused(void **state)
{
    const struct fake_core *f = *state;

    for (size_t size = 0; size < f->size; size += size < 4096 ? 1 : 509) {
        char why[256] = "";

        assert_int_equal(parse_cut(f, size, why, sizeof(why)), -EINVAL);
        assert_true(why[0] != '\0');
    }
}

static void other_files_are_refused(void **state)
{
    struct fake_core *f = *state;

    f->header->e_type = ET_EXEC;
    expect_refusal(f, "no core of an x86-64 domain");
    f->header->e_type = ET_CORE;
    f->note[0] = 0xf00febee;
    expect_refusal(f, "HVM");
    f->note[0] = 1;
    expect_refusal(f, "not known");
    f->note[0] = 0xf00febed;
    f->note[3] = 65536;
    expect_refusal(f, "not known");
    f->note[3] = 4096;
    *f->version = 1ull << 32;
    expect_refusal(f, "major version 1");
    *f->version = 1;
    f->header->e_ident[0] = 0x1f;
    expect_refusal(f, "no ELF file");
}

static void absurd_counts_are_refused(void **state)
{
    static const uint64_t absurd[] = {PAGES + 1, 1ull << 32, 1ull << 52, UINT64_MAX / 16,
                                      UINT64_MAX};
    struct fake_core *f = *state;

    for (size_t i = 0; i < sizeof(absurd) / sizeof(absurd[0]); i++) {
        f->note[2] = absurd[i];
        expect_refusal(f, "pages");
        f->note[2] = PAGES;
        f->note[1] = absurd[i];
        expect_refusal(f, "vCPUs");
        f->note[1] = VCPUS;
    }
    f->note[1] = 0;
    expect_refusal(f, "0 vCPUs");
    f->note[1] = VCPUS;
    f->header->e_shnum = UINT16_MAX;
    expect_refusal(f, "table of sections");
    f->header->e_shnum = FAKE_COUNT;
    f->header->e_shoff = UINT64_MAX - 64;
    expect_refusal(f, "table of sections");
}

static void spoiled_sections_are_refused(void **state)
{
    struct fake_core *f = *state;
    Elf64_Shdr saved = f->sections[FAKE_P2M];

    f->sections[FAKE_P2M].sh_offset = f->sections[FAKE_PAGES].sh_offset + 64;
    expect_refusal(f, "overlap");
    f->sections[FAKE_P2M].sh_offset = UINT64_MAX - 8;
    expect_refusal(f, "beyond the file's end");
    f->sections[FAKE_P2M] = saved;
    f->sections[FAKE_P2M].sh_size = UINT64_MAX - 8;
    expect_refusal(f, "beyond the file's end");
    f->sections[FAKE_P2M] = saved;
    f->sections[FAKE_P2M].sh_name = f->sections[FAKE_PAGES].sh_name;
    expect_refusal(f, "two sections");
    f->sections[FAKE_P2M].sh_name = UINT32_MAX;
    expect_refusal(f, "no section .xen_p2m");
    f->sections[FAKE_P2M] = saved;
    ((uint32_t *)(void *)(f->note))[-3] = UINT32_MAX - 2; /* the note's size */
    expect_refusal(f, "beyond its section");
}

static void a_page_has_one_number(void **state)
{
    struct fake_core *f = *state;

    f->p2m[2 * 3] = 5;
    expect_refusal(f, "same pfn");
    f->p2m[2 * 3] = 3;
    f->p2m[2 * 3 + 1] = fake_core_mfn(f, 6);
    expect_refusal(f, "same pfn");
}

/* ---- walks ---- */

static struct core *open_core(const struct fake_core *f, struct space *space)
{
    struct core *core = NULL;
    char why[256];

    assert_int_equal(core_parse(f->data, f->size, &core, why, sizeof(why)), 0);
    assert_int_equal(space_of_vcpu(core, 0, space), 0);
    return core;
}

static void walk_finds_the_page(void **state)
{
    struct fake_core *f = *state;
    struct space space;
    struct walk walk;
    char text[16];

    fake_core_map(f, VA, fake_core_mfn(f, 4), PTE_PRESENT | PTE_NX);
    fake_core_map(f, VA + 4096, fake_core_mfn(f, 6), PTE_PRESENT);
    memcpy(fake_core_page(f, 4) + 4092, "over", 4);
    memcpy(fake_core_page(f, 6), " the edge", 10);
    struct core *core = open_core(f, &space);
    walk_address(&space, VA + 12, &walk);
    assert_int_equal(walk.end, WALK_MAPPED);
    assert_int_equal(walk.nsteps, 4);
    assert_int_equal(walk.page.pfn, 4);
    assert_int_equal(walk.steps[3].entry & PTE_NX, PTE_NX);
    assert_int_equal(space_read_string(&space, VA + 4092, text, sizeof(text)), 0);
    assert_string_equal(text, "over the edge");
    assert_int_equal(space_read(&space, VA + 8188, text, 8), -EFAULT);
    core_close(core);
}

static void walk_says_how_it_ended(void **state)
{
    struct fake_core *f = *state;
    struct space space;
    struct walk walk;

    fake_core_map(f, VA, 0x77777, PTE_PRESENT);
    ((uint64_t *)(void *)fake_core_page(f, 0))[3] = 0x66666ull << 12 | PTE_PRESENT;
    struct core *core = open_core(f, &space);
    walk_address(&space, VA, &walk);
    assert_int_equal(walk.end, WALK_FOREIGN);
    assert_int_equal(walk.mfn, 0x77777);
    walk_address(&space, VA + 4096, &walk);
    assert_int_equal(walk.end, WALK_NOT_PRESENT);
    assert_int_equal(walk.nsteps, 4);
    walk_address(&space, 3ull << 39, &walk);
    assert_int_equal(walk.end, WALK_NO_TABLE);
    assert_int_equal(walk.nsteps, 1);
    walk_address(&space, 0x0000800000000000ull, &walk);
    assert_int_equal(walk.end, WALK_NOT_CANONICAL);
    core_close(core);
}

/* A large page is a run of frames; a table that maps itself ends like any other. */
static void walk_of_odd_tables(void **state)
{
    struct fake_core *f = *state;
    struct space space;
    struct walk walk;
    uint64_t *level4 = (void *)fake_core_page(f, 0), *level2 = (void *)fake_core_page(f, 2);

    fake_core_map(f, VA, fake_core_mfn(f, 4), PTE_PRESENT);
    level2[VA >> 21 & 511] = 0x40000ull << 12 | PTE_PRESENT | PTE_LARGE;
    level4[256] = fake_core_mfn(f, 0) << 12 | PTE_PRESENT;
    struct core *core = open_core(f, &space);
    walk_address(&space, VA, &walk);
    assert_int_equal(walk.end, WALK_FOREIGN);
    assert_int_equal(walk.mfn, 0x40001);
    walk_address(&space, 0xffff804020100800ull, &walk);
    assert_int_equal(walk.end, WALK_MAPPED);
    assert_int_equal(walk.page.pfn, 0);
    core_close(core);
}

static void vcpu_without_tables(void **state)
{
    struct fake_core *f = *state;
    struct space space;

    f->vcpus[0].ctrlreg[3] = 0;
    struct core *core = NULL;
    char why[256];
    assert_int_equal(core_parse(f->data, f->size, &core, why, sizeof(why)), 0);
    assert_int_equal(space_of_vcpu(core, 0, &space), -ENOENT);
    assert_int_equal(space_of_vcpu(core, VCPUS, &space), -ENOENT);
    assert_int_equal(space_of_kernel(core, &space), 0);
    assert_int_equal(space.root, fake_core_mfn(f, 0));
    core_close(core);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(good_core_is_read),         CASE(pages_that_went_are_left_out),
        CASE(every_cut_is_refused),      CASE(other_files_are_refused),
        CASE(absurd_counts_are_refused), CASE(spoiled_sections_are_refused),
        CASE(a_page_has_one_number),     CASE(walk_finds_the_page),
        CASE(walk_says_how_it_ended),    CASE(walk_of_odd_tables),
        CASE(vcpu_without_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
