/*
 * t_mem.c - promises of the page and object allocators.
 */
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/page.h"
#include "kern/string.h"
#include "psm/clock.h"
#include "selftest/selftest.h"

#define OBJECTS 300

static bool pages_merge_again(void)
{
    struct mem_stats before, after;
    void *pages[64];

    mem_get_stats(&before);
    for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
        pages[i] = page_alloc(0);
        CHECK(pages[i] != NULL);
        memset(pages[i], (int)i, PAGE_SIZE);
    }
    for (size_t i = 0; i < ARRAY_SIZE(pages); i += 2) {
        page_free(pages[i], 0);
    }
    for (size_t i = 1; i < ARRAY_SIZE(pages); i += 2) {
        CHECK(((unsigned char *)pages[i])[PAGE_SIZE - 1] == i);
        page_free(pages[i], 0);
    }
    mem_get_stats(&after);
    CHECK(after.free_blocks[0] <= before.free_blocks[0] + 2);
    return true;
}

static bool objects_do_not_overlap(void)
{
    static unsigned char *objects[OBJECTS];

    for (unsigned i = 0; i < OBJECTS; i++) {
        size_t size = 1 + i * 37 % 5000;

        objects[i] = kmalloc(size);
        CHECK(objects[i] != NULL);
        CHECK((uintptr_t)objects[i] % 16 == 0);
        memset(objects[i], (int)(i & 0xff), size);
    }
    for (unsigned i = 0; i < OBJECTS; i++) {
        size_t size = 1 + i * 37 % 5000;

        for (size_t at = 0; at < size; at++) {
            CHECK(objects[i][at] == (i & 0xff));
        }
        kfree(objects[i]);
    }
    return true;
}

static bool running_out_is_an_error(void)
{
    void *chain = NULL;
    struct mem_stats empty;

    /* The pages are their own list, so that the test needs no memory to remember them. */
    for (void **page; (page = page_alloc(0)) != NULL; chain = page) {
        *page = chain;
    }
    mem_get_stats(&empty);
    bool none = kmalloc(PAGE_SIZE * 2) == NULL;
    while (chain != NULL) {
        void *next = *(void **)chain;

        page_free(chain, 0);
        chain = next;
    }
    CHECK(none);
    CHECK(empty.alloc_failures > 0);
    return true;
}

#define REFUSALS 200

/* Bytes of log until now. */
static uint64_t logged(void)
{
    static char text[1024];
    uint64_t at = 0;

    while (log_read(&at, text, sizeof(text)) != 0) {
    }
    return at;
}

/* Each failure counts; but who makes us fail, again and again, does not fill the log. */
static bool failures_do_not_flood_the_log(void)
{
    struct mem_stats before, after;
    nsec_t began = clock_now();

    mem_get_stats(&before);
    uint64_t start = logged();
    memory_refuse(true);
    for (unsigned i = 0; i < REFUSALS; i++) {
        kfree(kmalloc(1000));
    }
    memory_refuse(false);
    uint64_t bytes = logged() - start;
    uint64_t seconds = (clock_now() - began) / NSEC_PER_SEC + 1;
    mem_get_stats(&after);
    CHECK(after.alloc_failures >= before.alloc_failures + REFUSALS);
    CHECK(bytes <= (seconds + 1) * 1024);
    return true;
}

/* Pages that were zeroed are known as such, all of them, until they are freed. */
static bool cleared_pages_are_known(void)
{
    char *cleared = page_alloc_zeroed(2);
    CHECK(cleared != NULL);
    bool all = true;
    for (size_t at = 0; at < 4 * PAGE_SIZE; at += PAGE_SIZE) {
        all = all && page_is_cleared(cleared + at) && cleared[at] == '\0';
    }
    memset(cleared, 0x5a, 4 * PAGE_SIZE);
    page_free(cleared, 2);
    bool none = true;
    char *again = page_alloc(2);
    for (size_t at = 0; again != NULL && at < 4 * PAGE_SIZE; at += PAGE_SIZE) {
        none = none && !page_is_cleared(again + at);
    }
    if (again != NULL) {
        page_free(again, 2);
    }
    CHECK(all && none && again != NULL);
    return true;
}

const struct selftest selftests_mem[] = {
    {.name = "mem-pages-merge-again", .fn = pages_merge_again},
    {.name = "mem-objects-do-not-overlap", .fn = objects_do_not_overlap},
    {.name = "mem-running-out-is-an-error", .fn = running_out_is_an_error},
    {.name = "mem-failures-do-not-flood-the-log", .fn = failures_do_not_flood_the_log},
    {.name = "mem-cleared-pages-are-known", .fn = cleared_pages_are_known},
    {.name = NULL},
};
