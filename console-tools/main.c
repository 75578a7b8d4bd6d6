/*
 * duet-console: one command for the consoles of guests. The sub-commands are in cmd_*.c.
 */
#include "console_tool.h"

static const struct command *const commands[] = {&cmd_attach, &cmd_list, &cmd_log, &cmd_send};

int main(int argc, char **argv)
{
    static const struct program program = {
        .name = "duet-console",
        .summary = "Reads and writes the consoles of Xen guests, which duet-consoled serves.",
        .note = "\nA DOMAIN is a name or a number. duet-console --version prints the version.\n"
                "Exit status: 0 done, 1 failed, 2 wrong usage, 124 the guest took no input in "
                "time.\n",
        .commands = commands,
        .nr_commands = sizeof(commands) / sizeof(commands[0]),
    };

    return command_main(&program, argc, argv);
}
