/*
 * xenbus: one command to look into XenBus. Finds the sub-command and hands over to it; the
 * sub-commands are in cmd_*.c.
 */
#include "xenbus.h"

#include <errno.h>
#include <string.h>

static const struct command *const commands[] = {
    &cmd_devices, &cmd_ls,     &cmd_read,  &cmd_exists,      &cmd_watch,  &cmd_wait,
    &cmd_write,   &cmd_rm,     &cmd_chmod, &cmd_transaction, &cmd_export, &cmd_import,
    &cmd_diff,    &cmd_doctor, &cmd_trace, &cmd_graph,       &cmd_top,    &cmd_bundle,
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
        fprintf(out, "  %-12s %s\n", commands[i]->name, commands[i]->summary);
    }
    fputs("\nEach command takes --help and --json. xenbus --version prints the version.\n"
          "Exit status: 0 done, 1 not found or failed (exists, diff, doctor, trace: no), 2 wrong "
          "usage\n"
          "(of those: no answer), 124 timed out. A guest hangs? Begin with 'xenbus doctor'.\n",
          out);
}

/* The exit code when a sub-command ended with @status: an answer that could not be written is none.
 */
static int finish(const struct command *command, int status)
{
    bool lost = ferror(stdout) != 0;

    errno = 0;
    if (fclose(stdout) != 0 || lost) {
        return command_failed(command, "the output could not be written whole: %s",
                              errno != 0 ? strerror(errno) : "an earlier write failed");
    }
    return status;
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
    return finish(command, command->run(command, argc - 1, argv + 1));
}
