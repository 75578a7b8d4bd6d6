/*
 * xenbus exists: whether all of some paths are there. For scripts: it prints nothing unless asked
 * for JSON, and keeps "no" (1) apart from "cannot tell" (2).
 */
#include "xenbus.h"

#include <errno.h>
#include <stdlib.h>

#include "text.h"

struct looking {
    const struct command *self;
    struct xs_handle *xs;
};

/* Looks at @path; returns an exit code. */
static int look(void *context, const char *path, cJSON *all)
{
    const struct looking *looking = context;
    char *value = xs_read(looking->xs, XBT_NULL, path, NULL);
    /* A node that we may not read is there: xenstored says ENOENT of what is not. */
    bool there = value != NULL || errno == EACCES;
    bool unknown = !there && errno != ENOENT;
    const char *error = unknown ? store_error(errno) : NULL;
    cJSON *item = cJSON_CreateObject();

    free(value);
    json_add_text(item, "path", path);
    if (unknown) {
        cJSON_AddNullToObject(item, "exists");
        cJSON_AddStringToObject(item, "error", error);
        command_failed(looking->self, "%s: %s", path, error);
    } else {
        cJSON_AddBoolToObject(item, "exists", there);
    }
    cJSON_AddItemToArray(all, item);
    return unknown ? EXIT_TROUBLE : there ? EXIT_FOUND : EXIT_FAILED;
}

static int run(const struct command *self, int argc, char **argv)
{
    bool json = false;
    int status = command_options(self, argc, argv, &json, NULL, NULL);
    struct looking looking = {.self = self};

    if (status >= 0) {
        return status;
    }
    for (int i = optind; i < argc; i++) {
        if (!store_path_valid(argv[i]) || argv[i][0] == '@') {
            return command_usage(self, "'%s' is not a path of the store", argv[i]);
        }
    }
    looking.xs = store_open(self);
    if (looking.xs == NULL) {
        return EXIT_TROUBLE;
    }
    status = command_each(argc, argv, json, look, &looking);
    xs_close(looking.xs);
    return status;
}

static const struct option longs[] = {
    COMMON_OPTIONS,
};

const struct command cmd_exists = {
    .name = "exists",
    .summary = "Tells by its exit status whether every PATH is there",
    .synopsis = "[-j] PATH...",
    .options = "  Exit status: 0 all are there, 1 one is not, 2 cannot tell.\n",
    .shorts = COMMON_SHORTS,
    .longs = longs,
    .min_args = 1,
    .max_args = -1,
    .run = run,
};
