/*
 * xenbus: one command to look into XenBus. Finds the sub-command and hands over to it; the
 * sub-commands are in cmd_*.c.
 */
#include "xenbus.h"

#include <string.h>

static const struct command *const commands[] = {
    &cmd_devices, &cmd_ls, &cmd_read, &cmd_write, &cmd_rm, &cmd_watch, &cmd_wait,
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

static void help(FILE *out)
{
    fputs("Usage: xenbus COMMAND [OPTION]... [ARGUMENT]...\n"
          "Looks into the store that Xen's domains share, and at the devices described there.\n\n",
          out);
    for (size_t i = 0; i < N_COMMANDS; i++) {
        fprintf(out, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
    }
    fputs("\nEach command takes --help and --json. xenbus --version prints the version.\n"
          "Exit status: 0 done, 1 not found or failed, 2 wrong usage, 124 timed out.\n",
          out);
}

int main(int argc, char **argv)
{
    const struct command *command;

    if (argc < 2) {
        help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts("xenbus (Duet) " DUET_VERSION);
        return EXIT_FOUND;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        command = argc > 2 ? find(argv[2]) : NULL;
        if (command != NULL) {
            command_help(command, stdout);
        } else {
            help(stdout);
        }
        return EXIT_FOUND;
    }
    command = find(argv[1]);
    if (command == NULL) {
        fprintf(stderr, "xenbus: no command '%s'; 'xenbus --help' lists them\n", argv[1]);
        return EXIT_USAGE;
    }
    return command->run(command, argc - 1, argv + 1);
}
