/*
 * commands.c - the table of all commands, and `help`, which prints it.
 */
#include "shell/commands.h"

#include "kern/string.h"

static int cmd_help(struct shell *sh, int argc, char **argv);

static const struct sh_command help_commands[] = {
    {"help", "help [COMMAND]", "what there is, or what COMMAND does",
     "Keys: Left Right Home End ^A ^E move, Backspace Delete ^K ^U ^W erase, Up Down go through\n"
     "the history, Tab completes, ^L clears the screen, ^C drops the line or ends a command.\n"
     "Several commands stand on a line with ';' between them; quotes keep blanks together.\n",
     ARGS_COMMAND, cmd_help},
    {0},
};

const struct sh_command *const sh_groups[] = {
    help_commands,     info_commands,  store_commands, disk_commands,  dd_commands,
    net_commands,      ping_commands,  fetch_commands, iperf_commands, httpd_commands,
    machine_commands,  power_commands, test_commands,  debug_commands, netabuse_commands,
    blkabuse_commands, exec_commands,  NULL,
};

const struct sh_command *sh_find(const char *name)
{
    for (size_t g = 0; sh_groups[g] != NULL; g++) {
        for (const struct sh_command *c = sh_groups[g]; c->name != NULL; c++) {
            if (strcmp(c->name, name) == 0) {
                return c;
            }
        }
    }
    return NULL;
}

static int cmd_help(struct shell *sh, int argc, char **argv)
{
    if (argc > 2) {
        return SH_USAGE;
    }
    if (argc == 2) {
        const struct sh_command *c = sh_find(argv[1]);

        if (c == NULL) {
            return sh_error(sh, "%s: no such command", argv[1]);
        }
        sh_printf(sh, "usage: %s\n%s\n", c->usage, c->summary);
        sh_printf(sh, "%s", c->detail != NULL ? c->detail : "");
        return SH_OK;
    }
    for (size_t g = 0; sh_groups[g] != NULL; g++) {
        for (const struct sh_command *c = sh_groups[g]; c->name != NULL; c++) {
            sh_printf(sh, "  %-10s %s\n", c->name, c->summary);
        }
    }
    return SH_OK;
}
