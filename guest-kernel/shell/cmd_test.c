/*
 * cmd_test.c - commands that try the kernel: self-tests, stress, the cost of mappings.
 */
#include "domain/suspend.h"
#include "kern/string.h"
#include "selftest/journal.h"
#include "selftest/selftest.h"
#include "selftest/stress.h"
#include "shell/commands.h"

#define LINE_MAX 256

/* selftest.h's way of saying something, on the shell's terminal. */
static void test_say(void *arg, const char *fmt, ...) __printf_like(2, 3);

static void test_say(void *arg, const char *fmt, ...)
{
    char line[LINE_MAX];
    va_list ap;

    va_start(ap, fmt);
    int len = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    sh_write(arg, line, MIN((size_t)len, sizeof(line) - 1));
}

static void list_one(const char *name, void *arg)
{
    test_say(arg, "%s\n", name);
}

static int cmd_selftest(struct shell *sh, int argc, char **argv)
{
    const char *pattern = argc == 2 ? argv[1] : NULL;

    if (argc > 2) {
        return SH_USAGE;
    }
    if (pattern != NULL && strcmp(pattern, "-l") == 0) {
        selftest_foreach(list_one, sh);
        return SH_OK;
    }
    int rc = selftest_run(pattern, test_say, sh);
    if (rc == -ENOENT) {
        return sh_error(sh, "no test's name contains \"%s\": see selftest -l", pattern);
    }
    return rc == 0 ? SH_OK : SH_FAIL;
}

static bool test_interrupted(void *arg)
{
    return sh_interrupted(arg);
}

static int cmd_stress(struct shell *sh, int argc, char **argv)
{
    uint64_t seconds = 60;

    if (argc > 2) {
        return SH_USAGE;
    }
    if (argc == 2 && (parse_u64(argv[1], &seconds) != 0 || seconds == 0)) {
        return sh_error(sh, "\"%s\" is no number of seconds", argv[1]);
    }
    return stress_run(seconds, test_interrupted, test_say, sh) == 0 ? SH_OK : SH_FAIL;
}

/* "journal: running: ..." or "stopped"; the lanes' last sequences are for who checks the disk. */
static int journal_print(struct shell *sh, const char *state, const struct journal_report *r)
{
    sh_printf(sh, "journal: %s: %lu written, %lu read, %lu wrong; %lu slots, last", state,
              (unsigned long)r->written, (unsigned long)r->read, (unsigned long)r->wrong,
              (unsigned long)r->slots);
    for (unsigned i = 0; i < JOURNAL_LANES; i++) {
        sh_printf(sh, " %lu", (unsigned long)r->last[i]);
    }
    sh_printf(sh, "\njournal: %lu ticks of 10 ms, %lu early, longest pause %lu ms\n",
              (unsigned long)r->ticks, (unsigned long)r->early,
              (unsigned long)(r->pause / NSEC_PER_MSEC));
    return r->wrong == 0 && r->early == 0 ? SH_OK : SH_FAIL;
}

static int cmd_journal(struct shell *sh, int argc, char **argv)
{
    struct journal_report report;
    const char *verb = argc > 1 ? argv[1] : "";
    const char *state = "running";
    int rc;

    if (argc == 3 && strcmp(verb, "start") == 0) {
        rc = journal_start(argv[2]);
    } else if (argc == 2 && strcmp(verb, "status") == 0) {
        rc = journal_status(&report);
    } else if (argc == 2 && strcmp(verb, "stop") == 0) {
        state = "stopped";
        rc = journal_stop(&report);
    } else {
        return SH_USAGE;
    }
    if (rc != 0) {
        return sh_error(sh, "%s: %s", argv[argc - 1], errno_name(rc));
    }
    return argc == 2 ? journal_print(sh, state, &report) : SH_OK;
}

static int cmd_starve(struct shell *sh, int argc, char **argv __unused)
{
    if (argc != 1) {
        return SH_USAGE;
    }
    suspend_starve();
    sh_printf(sh, "starve: the next suspend finds no memory\n");
    return SH_OK;
}

static int cmd_mmubench(struct shell *sh, int argc, char **argv __unused)
{
    if (argc != 1) {
        return SH_USAGE;
    }
    int rc = mmu_bench(test_say, sh);

    return rc == 0 ? SH_OK : sh_error(sh, "%s", errno_name(rc));
}

const struct sh_command test_commands[] = {
    {.name = "selftest",
     .usage = "selftest [-l | NAME]",
     .summary = "run the kernel's own tests",
     .detail = "Runs the tests whose name contains NAME, without one all but the slow ones;\n"
               "a slow one runs by its whole name. -l lists the names.\n",
     .run = cmd_selftest},
    {.name = "starve",
     .usage = "starve",
     .summary = "have the next suspend find no memory on its way back",
     .detail =
         "It comes back all the same, or panics: what a way back takes must be there before.\n",
     .run = cmd_starve},
    {.name = "stress",
     .usage = "stress [SECONDS]",
     .summary = "load memory, MMU, timers, interrupts, threads and disk at once",
     .detail = "60 seconds if none are given. Fails if anything goes wrong or memory is missing\n"
               "afterwards. ^C ends it early.\n",
     .run = cmd_stress},
    {.name = "journal",
     .usage = "journal start DISK | status | stop",
     .summary = "write numbered, checksummed blocks to a disk in the background",
     .detail =
         "Overwrites the disk from its start, round and round, and reads back, and has a timer\n"
         "tick. `status` and `stop` tell the longest pause between two ticks since the last of\n"
         "them; `stop` reads all of the disk back. Fails if a block is lost, torn or not where\n"
         "it belongs, or if a tick came early.\n",
     .args = ARGS_DISK,
     .run = cmd_journal},
    {.name = "mmubench",
     .usage = "mmubench",
     .summary = "show what mapping 1, 64 and 4096 pages costs",
     .run = cmd_mmubench},
    {.name = NULL},
};
