/*
 * xenbus write and xenbus rm: each run is one transaction, so either all of it happens or nothing.
 */
#include "xenbus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "transact.h"

struct change {
    const struct command *self;
    bool json;
    bool escapes;
    bool force;
    char **args;
    int n_args;
    /* What was done, for --json; rebuilt at each try. */
    cJSON *done;
};

static bool handle(int option, const char *arg, void *context)
{
    struct change *change = context;

    (void)arg;
    if (option == 'e') {
        change->escapes = true;
    } else {
        change->force = true;
    }
    return true;
}

static void note(struct change *change, const char *path, const char *what, bool yes)
{
    cJSON *item = cJSON_CreateObject();

    json_add_text(item, "path", path);
    cJSON_AddBoolToObject(item, what, yes);
    cJSON_AddItemToArray(change->done, item);
}

static int write_all(struct change *change, struct xs_handle *xs, xs_transaction_t t)
{
    for (int i = 0; i < change->n_args; i += 2) {
        const char *path = change->args[i];
        char *value = change->args[i + 1];
        size_t len = strlen(value);
        char *bytes = change->escapes ? text_unescape(value, &len) : must_strdup(value);
        bool written;

        if (bytes == NULL) {
            return command_usage(change->self, "%s: bad escape in '%s'", path, value);
        }
        written = xs_write(xs, t, path, bytes, (unsigned int)len);
        free(bytes);
        if (!written) {
            return command_failed(change->self, "%s: %s", path, store_error(errno));
        }
        note(change, path, "written", true);
    }
    return EXIT_FOUND;
}

static int remove_all(struct change *change, struct xs_handle *xs, xs_transaction_t t)
{
    for (int i = 0; i < change->n_args; i++) {
        const char *path = change->args[i];
        /* xenstored calls it a success to remove what is not there while its parent is: look first.
         */
        char *value = xs_read(xs, t, path, NULL);
        bool removed = value != NULL && xs_rm(xs, t, path);

        free(value);
        if (!removed && (errno != ENOENT || !change->force)) {
            return command_failed(change->self, "%s: %s", path, store_error(errno));
        }
        note(change, path, "removed", removed);
    }
    return EXIT_FOUND;
}

/* One try of all that the command line asks for. */
static int change_all(void *context, struct xs_handle *xs, xs_transaction_t t)
{
    struct change *change = context;

    cJSON_Delete(change->done);
    change->done = cJSON_CreateArray();
    return change->self == &cmd_write ? write_all(change, xs, t) : remove_all(change, xs, t);
}

static int run(const struct command *self, int argc, char **argv)
{
    bool writing = self == &cmd_write;
    struct change change = {.self = self};
    int status = command_options(self, argc, argv, &change.json, handle, &change);
    struct xs_handle *xs;

    if (status >= 0) {
        return status;
    }
    change.args = argv + optind;
    change.n_args = argc - optind;
    if (writing && change.n_args % 2 != 0) {
        return command_usage(self, "'%s' has no value", argv[argc - 1]);
    }
    for (int i = 0; i < change.n_args; i += writing ? 2 : 1) {
        if (!store_path_valid(change.args[i])) {
            return command_usage(self, "'%s' is not a path of the store", change.args[i]);
        }
    }
    xs = store_open(self);
    if (xs == NULL) {
        return EXIT_FAILED;
    }
    status = transact(self, xs, TRANSACT_TRIES, NULL, change_all, &change);
    xs_close(xs);
    if (change.json && status == EXIT_FOUND) {
        json_print(change.done, true);
    } else {
        cJSON_Delete(change.done);
    }
    return status;
}

static const struct option write_longs[] = {
    {"escapes", no_argument, NULL, 'e'},
    COMMON_OPTIONS,
};

const struct command cmd_write = {
    .name = "write",
    .summary = "Writes each VALUE to its PATH, all in one transaction",
    .synopsis = "[-ej] PATH VALUE [PATH VALUE]...",
    .options = "  -e, --escapes       read \\n, \\t, \\r, \\0, \\\\, \\\" and \\xNN in VALUE\n",
    .shorts = "e" COMMON_SHORTS,
    .longs = write_longs,
    .min_args = 2,
    .max_args = -1,
    .run = run,
};

static const struct option rm_longs[] = {
    {"force", no_argument, NULL, 'f'},
    COMMON_OPTIONS,
};

const struct command cmd_rm = {
    .name = "rm",
    .summary = "Removes each PATH and all below it, in one transaction",
    .synopsis = "[-fj] PATH...",
    .options = "  -f, --force         a PATH that is not there is no failure\n",
    .shorts = "f" COMMON_SHORTS,
    .longs = rm_longs,
    .min_args = 1,
    .max_args = -1,
    .run = run,
};
