/*
 * What every sub-command of xenbus does alike: options, help, error messages.
 */
#include "xenbus.h"

#include <stdarg.h>
#include <stdlib.h>

#include "text.h"

void command_help(const struct command *self, FILE *out)
{
    fprintf(out, "Usage: xenbus %s %s\n%s.\n\n%s", self->name, self->synopsis, self->summary,
            self->options);
    fputs("  -j, --json          print JSON\n"
          "  -h, --help          print this\n",
          out);
}

static void complain(const struct command *self, const char *fmt, va_list ap)
{
    char *message = NULL;

    fflush(stdout);
    if (vasprintf(&message, fmt, ap) < 0) {
        message = NULL;
    }
    fprintf(stderr, "xenbus %s: ", self->name);
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
    fprintf(stderr, "Usage: xenbus %s %s\nTry 'xenbus %s --help'.\n", self->name, self->synopsis,
            self->name);
    return EXIT_USAGE;
}

int command_options(const struct command *self, int argc, char **argv, bool *json,
                    bool (*handle)(int option, const char *arg, void *context), void *context)
{
    int option;

    optind = 1;
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
