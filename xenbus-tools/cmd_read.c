/*
 * xenbus read: the values of some paths, one line each, escaped unless --raw asks for the bytes.
 */
#include "xenbus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

struct reading {
    const struct command *self;
    struct xs_handle *xs;
    bool json;
    bool raw;
    bool with_path;
};

static bool handle(int option, const char *arg, void *context)
{
    struct reading *reading = context;

    (void)arg;
    if (option == 'r') {
        reading->raw = true;
    } else {
        reading->with_path = true;
    }
    return true;
}

static void print_value(const struct reading *reading, const char *path, const void *value,
                        unsigned int len)
{
    if (reading->raw) {
        fwrite(value, 1, len, stdout);
        return;
    }
    if (reading->with_path) {
        printf("%s = \"", path);
    }
    text_escape(stdout, value, len);
    puts(reading->with_path ? "\"" : "");
}

/* Reads @path; prints it or adds it to @all. Returns an exit code. */
static int read_path(void *context, const char *path, cJSON *all)
{
    const struct reading *reading = context;
    unsigned int len = 0;
    char *value;
    const char *error = NULL;
    int status = EXIT_FOUND;

    if (!store_path_valid(path)) {
        return command_usage(reading->self, "'%s' is not a path of the store", path);
    }
    value = xs_read(reading->xs, XBT_NULL, path, &len);
    if (value == NULL) {
        error = store_error(errno);
        status = command_failed(reading->self, "%s: %s", path, error);
    }
    if (reading->json) {
        cJSON *item = cJSON_CreateObject();

        json_add_text(item, "path", path);
        if (value != NULL) {
            json_add_value(item, value, len);
        } else {
            cJSON_AddStringToObject(item, "error", error);
        }
        cJSON_AddItemToArray(all, item);
    } else if (value != NULL) {
        print_value(reading, path, value, len);
    }
    free(value);
    return status;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct reading reading = {.self = self};
    int status = command_options(self, argc, argv, &reading.json, handle, &reading);

    if (status >= 0) {
        return status;
    }
    reading.xs = store_open(self);
    if (reading.xs == NULL) {
        return EXIT_FAILED;
    }
    status = command_each(argc, argv, reading.json, read_path, &reading);
    xs_close(reading.xs);
    return status;
}

static const struct option longs[] = {
    {"raw", no_argument, NULL, 'r'},
    {"paths", no_argument, NULL, 'p'},
    COMMON_OPTIONS,
};

const struct command cmd_read = {
    .name = "read",
    .summary = "Prints the value of each PATH",
    .synopsis = "[-rpj] PATH...",
    .options = "  -r, --raw           print the bytes as they are, no escapes, no newline\n"
               "  -p, --paths         print PATH = \"VALUE\"\n",
    .shorts = "rp" COMMON_SHORTS,
    .longs = longs,
    .min_args = 1,
    .max_args = -1,
    .run = run,
};
