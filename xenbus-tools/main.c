/*
 * xenbus: one command to look into XenBus. The sub-commands are in cmd_*.c.
 */
#include "xenbus.h"

static const struct command *const commands[] = {
    &cmd_devices, &cmd_ls,     &cmd_read,  &cmd_exists,      &cmd_watch,  &cmd_wait,
    &cmd_write,   &cmd_rm,     &cmd_chmod, &cmd_transaction, &cmd_export, &cmd_import,
    &cmd_diff,    &cmd_doctor, &cmd_trace, &cmd_graph,       &cmd_top,    &cmd_bundle,
};

int main(int argc, char **argv)
{
    static const struct program program = {
        .name = "xenbus",
        .summary =
            "Looks into the store that Xen's domains share, and at the devices described there.",
        .note =
            "\nEach command takes --help and --json. xenbus --version prints the version.\n"
            "Exit status: 0 done, 1 not found or failed (exists, diff, doctor, trace: no), 2 wrong "
            "usage\n"
            "(of those: no answer), 124 timed out. A guest hangs? Begin with 'xenbus doctor'.\n",
        .commands = commands,
        .nr_commands = sizeof(commands) / sizeof(commands[0]),
    };

    return command_main(&program, argc, argv);
}
