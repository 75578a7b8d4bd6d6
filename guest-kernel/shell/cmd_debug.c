/*
 * cmd_debug.c - the debugger and the deliberate bugs as commands of the shell.
 */
#include "kdi/crashtest.h"
#include "kdi/kdi.h"
#include "kern/log.h"
#include "kern/string.h"
#include "shell/commands.h"

#define LINE_MAX 128

static struct sh_text report;

static void debug_collect(const char *text, size_t len)
{
    sh_text_add(&report, "%.*s", (int)len, text);
}

/* kdi alone stops the machine; with a command it runs that one while the kernel runs on. */
static int cmd_kdi(struct shell *sh, int argc, char **argv)
{
    char line[LINE_MAX] = "";

    if (argc == 1) {
        kdi_break("called from the shell");
        return SH_OK;
    }
    for (int i = 1; i < argc; i++) {
        size_t used = strlen(line);

        snprintf(line + used, sizeof(line) - used, "%s ", argv[i]);
    }
    kdi_report(line, debug_collect);
    return sh_text_write(sh, &report);
}

static int cmd_crashtest(struct shell *sh, int argc, char **argv)
{
    const struct crashtest *t = argc == 2 ? crashtest_find(argv[1]) : NULL;

    if (t != NULL) {
        t->commit();
        return SH_OK;
    }
    if (argc > 1) {
        return SH_USAGE;
    }
    for (t = crashtests; t->kind != NULL; t++) {
        sh_printf(sh, "  %-12s %s\n", t->kind, t->expected);
    }
    return SH_OK;
}

const struct sh_command debug_commands[] = {
    {"kdi", "kdi [COMMAND]", "stop the machine and look at it",
     "Without a command: enters the debugger; `help` there lists its commands, `c` goes on.\n"
     "With one, such as `kdi threads`: shows it while the kernel runs on.\n",
     ARGS_NONE, cmd_kdi},
    {"crashtest", "crashtest [KIND]", "commit a bug on purpose, or list the kinds", NULL, ARGS_NONE,
     cmd_crashtest},
    {0},
};
