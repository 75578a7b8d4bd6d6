/*
 * cmd_blkabuse.c - blkabuse: a block front end that breaks the rules, for people who try a back
 * end. No state but the running command's. Suspend: ends the command.
 */
#include "hostile/xvb_trial.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "psm/clock.h"
#include "shell/commands.h"

#define SECONDS 2

typedef unsigned long ul;

static bool blkabuse_interrupted(void *arg)
{
    return sh_interrupted(arg);
}

/* ---- one rule ---- */

static bool is_kept(const struct xvb_trial *t)
{
    return t->wrong == NULL && t->after == NULL;
}

static void say_count(struct shell *sh, const char **comma, uint64_t n, const char *what)
{
    if (n != 0) {
        sh_printf(sh, "%s%lu %s", *comma, (ul)n, what);
        *comma = ", ";
    }
}

/* "NAME: kept: 1 refused", "NAME: BROKEN: 2 carried out; not what the rule says". */
static void say_result(struct shell *sh, const struct xvb_case *c, const struct xvb_trial *t)
{
    const char *comma = "";

    sh_printf(sh, "%s: %s: ", c->name, is_kept(t) ? "kept" : "BROKEN");
    say_count(sh, &comma, t->kicks, "notifications");
    say_count(sh, &comma, t->sum.okay, "carried out");
    say_count(sh, &comma, t->sum.error, "refused");
    say_count(sh, &comma, t->sum.unsupported, "not supported");
    if ((t->outcome & XVB_CLOSED) != 0) {
        sh_printf(sh, "%sclosed%s", comma, t->usable ? " and offered again" : "");
        comma = ", ";
    }
    if ((t->outcome & XVB_STOPPED) != 0) {
        sh_printf(sh, "%snot served any more", comma);
        comma = ", ";
    }
    if (t->wrong != NULL) {
        sh_printf(sh, "%s%s", comma[0] != '\0' ? "; " : "", t->wrong);
        comma = ", ";
    }
    if (t->after != NULL) {
        sh_printf(sh, "%s%s", comma[0] != '\0' ? "; " : "", t->after);
    }
    sh_printf(sh, "\n");
}

struct blkabuse_counts {
    ul kept, broken, skipped;
};

/* Tries a rule. SH_FAIL: the disk is of no use any more. */
static int try_rule(struct shell *sh, struct xvb_trial *t, const struct xvb_case *c,
                    struct blkabuse_counts *counts)
{
    const char *against = xvb_applies(c, &t->ring.disk);

    if (against != NULL) {
        sh_printf(sh, "%s: does not apply: %s\n", c->name, against);
        counts->skipped++;
        return SH_OK;
    }
    xvb_trial_run(t, c);
    say_result(sh, c, t);
    counts->kept += is_kept(t);
    counts->broken += !is_kept(t);
    return t->usable ? SH_OK
                     : sh_error(sh, "%s is of no use any more: attach it anew", t->ring.dev->name);
}

/* ---- the kinds ---- */

static int run_rules(struct shell *sh, struct xvb_trial *t, const char *name)
{
    struct blkabuse_counts counts = {0};
    bool all = strcmp(name, "all") == 0;
    int status = SH_OK;

    for (const struct xvb_case *c = xvb_cases; c->name != NULL && status == SH_OK; c++) {
        bool for_this = ((c->needs & XVB_READONLY) != 0) == t->ring.disk.readonly;

        if ((all && for_this) || strcmp(c->name, name) == 0) {
            status = try_rule(sh, t, c, &counts);
        }
        if (sh_interrupted(sh)) {
            return SH_INTERRUPTED;
        }
    }
    if (all) {
        sh_printf(sh, "blkabuse: %lu kept, %lu broken, %lu do not apply\n", counts.kept,
                  counts.broken, counts.skipped);
    }
    return status != SH_OK ? status : counts.broken != 0 ? SH_FAIL : SH_OK;
}

static int list_rules(struct shell *sh)
{
    for (const struct xvb_case *c = xvb_cases; c->name != NULL; c++) {
        sh_printf(sh, "rule %s %s: %s [%s]\n", (c->needs & XVB_READONLY) != 0 ? "ro" : "rw",
                  c->name, c->what, c->origin);
    }
    return SH_OK;
}

/* A vCPU as busy as with `kicks`, to compare with. */
static int blkabuse_spin(struct shell *sh, uint64_t seconds)
{
    nsec_t until = clock_now() + seconds * NSEC_PER_SEC;

    while (clock_now() < until && !sh_interrupted(sh)) {
        __builtin_ia32_pause();
    }
    sh_printf(sh, "spin: over\n");
    return sh_interrupted(sh) ? SH_INTERRUPTED : SH_OK;
}

static bool is_rule(const char *name)
{
    const struct xvb_case *c = xvb_cases;

    while (c->name != NULL && strcmp(c->name, name) != 0) {
        c++;
    }
    return c->name != NULL || strcmp(name, "all") == 0;
}

static int open_and_run(struct shell *sh, const char *disk, const char *kind, uint64_t seconds)
{
    struct xvb_trial *t = kzalloc(sizeof(*t));
    int status = SH_FAIL;

    if (t == NULL) {
        return sh_error(sh, "no memory");
    }
    t->interrupted = blkabuse_interrupted;
    t->arg = sh;
    t->duration = seconds * NSEC_PER_SEC;
    int rc = xvb_trial_open(t, disk);
    if (rc != 0) {
        (void)sh_error(sh, "%s: %s", disk,
                       rc == -ENODEV ? "no such disk; `disks` lists them"
                       : rc == -EINVAL
                           ? "a disk of 1 MiB or more, of sectors of 512 bytes, is wanted"
                           : errno_name(rc));
    } else {
        status = run_rules(sh, t, kind);
        xvb_trial_close(t);
    }
    kfree(t);
    return status;
}

static int cmd_blkabuse(struct shell *sh, int argc, char **argv)
{
    uint64_t seconds = SECONDS;

    if (argc < 3 || argc > 4) {
        return SH_USAGE;
    }
    if (argc > 3 && (parse_u64(argv[3], &seconds) != 0 || seconds > 1000000)) {
        return sh_error(sh, "%s: not a number of seconds", argv[3]);
    }
    if (strcmp(argv[2], "list") == 0) {
        return list_rules(sh);
    }
    if (strcmp(argv[2], "spin") == 0) {
        return blkabuse_spin(sh, seconds);
    }
    return is_rule(argv[2]) ? open_and_run(sh, argv[1], argv[2], seconds) : SH_USAGE;
}

const struct sh_command blkabuse_commands[] = {
    {"blkabuse", "blkabuse DISK KIND [SECONDS]", "abuse a disk's back end on purpose",
     "KIND is one of\n"
     "  all   every rule that applies to the disk, one after the other\n"
     "  list  their names, what they say, and where that is from\n"
     "  NAME  that rule alone\n"
     "  spin  no abuse: a vCPU as busy as with `kicks`, to compare with\n"
     "What is repeated (kicks, twice-..., gref-revoked) goes on for SECONDS (2). A rule is BROKEN "
     "if\n"
     "a request comes to an end that the protocol does not allow, if an answer makes no sense or\n"
     "tells of the back end's memory, if the disk changes outside of sectors 512 to 767 or our\n"
     "memory outside of what was asked for, or if the disk is not served afterwards.\n"
     "Meanwhile the disk's users wait. What is in sectors 512 to 767 is lost.\n",
     ARGS_DISK, cmd_blkabuse},
    {0},
};
