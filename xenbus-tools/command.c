/*
 * What every sub-command of xenbus does alike: how it is found, options, help, error messages.
 */
#include "xenbus.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

static const char *program_name = "xenbus";

const char *command_program(void)
{
    return program_name;
}

void command_help(const struct command *self, FILE *out)
{
    fprintf(out, "Usage: %s %s %s\n%s.\n\n%s", program_name, self->name, self->synopsis,
            self->summary, self->options);
    if (strchr(self->shorts, 'j') != NULL) {
        fputs("  -j, --json          print JSON\n", out);
    }
    fputs("  -h, --help          print this\n", out);
}

static void complain(const struct command *self, const char *fmt, va_list ap)
{
    char *message = NULL;

    fflush(stdout);
    if (vasprintf(&message, fmt, ap) < 0) {
        message = NULL;
    }
    fprintf(stderr, "%s %s: ", program_name, self->name);
    text_print(stderr, message != NULL ? message : "out of memory");
    fputc('\n', stderr);
    free(message);
}

int command_usage(const struct command *self, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    complain(self, fmt, ap);
    va_end(ap);
    fprintf(stderr, "Usage: %s %s %s\nTry '%s %s --help'.\n", program_name, self->name,
            self->synopsis, program_name, self->name);
    return EXIT_USAGE;
}

int command_options(const struct command *self, int argc, char **argv, bool *json,
                    bool (*handle)(int option, const char *arg, void *context), void *context)
{
    int option;

    optind = 0; /* from the start, whatever was read before */
    while ((option = getopt_long(argc, argv, self->shorts, self->longs, NULL)) != -1) {
        if (option == 'h') {
            command_help(self, stdout);
            return EXIT_FOUND;
        }
        if (option == '?') {
            return command_usage(self, "unknown or incomplete option");
        }
        if (option == 'j') {
            *json = true;
        } else if (!handle(option, optarg, context)) {
            return command_usage(self, "option -%c does not take '%s'", option,
                                 optarg != NULL ? optarg : "");
        }
    }
    if (argc - optind < self->min_args) {
        return command_usage(self, "too few arguments");
    }
    if (self->max_args >= 0 && argc - optind > self->max_args) {
        return command_usage(self, "unexpected argument '%s'", argv[optind + self->max_args]);
    }
    return -1;
}

int command_each(int argc, char **argv, bool json,
                 int (*look)(void *context, const char *arg, cJSON *all), void *context)
{
    cJSON *all = cJSON_CreateArray();
    int status = EXIT_FOUND;

    for (int i = optind; i < argc; i++) {
        int one = look(context, argv[i], all);

        status = one > status ? one : status;
    }
    if (json) {
        json_print(all, true);
    } else {
        cJSON_Delete(all);
    }
    return status;
}

int command_failed(const struct command *self, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    complain(self, fmt, ap);
    va_end(ap);
    return EXIT_FAILED;
}

static const struct command *find(const struct program *program, const char *name)
{
    for (size_t i = 0; i < program->nr_commands; i++) {
        if (strcmp(program->commands[i]->name, name) == 0) {
            return program->commands[i];
        }
    }
    return NULL;
}

static void help(const struct program *program, FILE *out)
{
    fprintf(out, "Usage: %s COMMAND [OPTION]... [ARGUMENT]...\n%s\n\n", program->name,
            program->summary);
    for (size_t i = 0; i < program->nr_commands; i++) {
        fprintf(out, "  %-12s %s\n", program->commands[i]->name, program->commands[i]->summary);
    }
    fputs(program->note, out);
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

int command_main(const struct program *program, int argc, char **argv)
{
    const struct command *command;

    program_name = program->name;
    if (argc < 2) {
        help(program, stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("%s (Duet) " DUET_VERSION "\n", program_name);
        return EXIT_FOUND;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        command = argc > 2 ? find(program, argv[2]) : NULL;
        if (command != NULL) {
            command_help(command, stdout);
        } else {
            help(program, stdout);
        }
        return EXIT_FOUND;
    }
    command = find(program, argv[1]);
    if (command == NULL) {
        fprintf(stderr, "%s: no command '", program_name);
        text_print(stderr, argv[1]);
        fprintf(stderr, "'; '%s --help' lists them\n", program_name);
        return EXIT_USAGE;
    }
    return finish(command, command->run(command, argc - 1, argv + 1));
}
