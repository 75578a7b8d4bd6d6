/*
 * selftest.c - the runner.
 *
 * One run at a time: `running` is taken for its length. After each test free memory must be what it
 * was, give or take what the slabs and tables keep for the next use.
 * Suspend: a run goes on afterwards.
 */
#include "selftest/selftest.h"

#include "kern/mem.h"
#include "kern/string.h"
#include "kern/wait.h"
#include "psm/clock.h"
#include "xenbus/xs.h"

#define SLACK_PAGES 64 /* what caches may keep */

static const struct selftest *const rooms[] = {selftests_mem, selftests_hat,  selftests_psm,
                                               selftests_smp, selftests_kern, selftests_xen,
                                               selftests_blk, selftests_net,  selftests_tcpip};
static bool running;
static char reason[160];

void selftest_fail(const char *fmt, ...)
{
    va_list ap;

    if (reason[0] != '\0') {
        return;
    }
    va_start(ap, fmt);
    vsnprintf(reason, sizeof(reason), fmt, ap);
    va_end(ap);
}

static uint64_t pages_free(void)
{
    struct mem_stats stats;

    mem_get_stats(&stats);
    return stats.pages_free;
}

/* Run one test and say how it went. */
static bool run_one(const struct selftest *test, selftest_say_t say, void *arg)
{
    uint64_t before = pages_free();
    nsec_t start = clock_now();

    reason[0] = '\0';
    bool ok = test->fn();
    uint64_t after = pages_free();
    if (ok && after + SLACK_PAGES < before) {
        ok = false;
        selftest_fail("%lu pages are missing afterwards", before - after);
    }
    if (ok) {
        say(arg, "ok %s (%lu us)\n", test->name,
            (unsigned long)((clock_now() - start) / NSEC_PER_USEC));
    } else {
        say(arg, "FAIL %s: %s\n", test->name, reason[0] != '\0' ? reason : "no reason given");
    }
    return ok;
}

static bool selected(const struct selftest *test, const char *pattern)
{
    if (test->slow) {
        return pattern != NULL && strcmp(test->name, pattern) == 0;
    }
    return pattern == NULL || strstr(test->name, pattern) != NULL;
}

int selftest_run(const char *pattern, selftest_say_t say, void *arg)
{
    int ran = 0, failed = 0, skipped = 0;

    if (__atomic_exchange_n(&running, true, __ATOMIC_ACQUIRE)) {
        say(arg, "selftest: runs already\n");
        return -EBUSY;
    }
    for (size_t room = 0; room < ARRAY_SIZE(rooms); room++) {
        for (const struct selftest *test = rooms[room]; test->name != NULL; test++) {
            if (!selected(test, pattern)) {
                continue;
            }
            if (test->needs_store && !xs_available()) {
                say(arg, "skip %s: this domain has no store\n", test->name);
                skipped++;
            } else {
                ran++;
                failed += !run_one(test, say, arg);
            }
        }
    }
    __atomic_store_n(&running, false, __ATOMIC_RELEASE);
    say(arg, "selftest: %d passed, %d failed", ran - failed, failed);
    if (skipped > 0) {
        say(arg, ", %d skipped", skipped);
    }
    say(arg, "\n");
    return ran + skipped == 0 ? -ENOENT : failed;
}

void selftest_foreach(void (*fn)(const char *name, void *arg), void *arg)
{
    for (size_t room = 0; room < ARRAY_SIZE(rooms); room++) {
        for (const struct selftest *test = rooms[room]; test->name != NULL; test++) {
            fn(test->name, arg);
        }
    }
}
