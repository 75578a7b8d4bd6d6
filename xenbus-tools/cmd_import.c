/*
 * xenbus import: makes the store what an export says, in one transaction, by the differences only:
 * what is right already is not written again, so that no watch fires for it.
 */
#include "xenbus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "exports.h"
#include "perms.h"
#include "text.h"
#include "transact.h"

struct importing {
    const struct command *self;
    bool json;
    bool replace;
    struct snapshot *wanted;
    /* Of the try at hand. */
    struct xs_handle *xs;
    xs_transaction_t t;
    unsigned long written, permitted, removed;
    /* The last path that was removed: all below it went with it. */
    const char *gone;
    int err;
    const char *failed;
};

static bool handle(int option, const char *arg, void *context)
{
    struct importing *importing = context;

    (void)option;
    (void)arg;
    importing->replace = true;
    return true;
}

/* Whether @path went with the node that was removed last. */
static bool went_along(const struct importing *importing, const char *path)
{
    size_t len = importing->gone != NULL ? strlen(importing->gone) : 0;

    return len > 0 && strncmp(path, importing->gone, len) == 0 && path[len] == '/';
}

static bool remove_node(struct importing *importing, const struct node *node)
{
    if (!importing->replace || went_along(importing, node->path)) {
        return true;
    }
    importing->gone = node->path;
    importing->removed++;
    return xs_rm(importing->xs, importing->t, node->path);
}

static bool write_node(struct importing *importing, const struct difference *difference)
{
    const struct node *node = difference->after;

    if (difference->before == NULL || difference->value) {
        importing->written++;
        if (!xs_write(importing->xs, importing->t, node->path, node->value, node->len)) {
            return false;
        }
    }
    if (difference->before == NULL || difference->perms) {
        importing->permitted++;
        return xs_set_permissions(importing->xs, importing->t, node->path, node->perms,
                                  node->n_perms);
    }
    return true;
}

/* Does away with one difference, unless an earlier one could not be. */
static void settle(void *context, const struct difference *difference)
{
    struct importing *importing = context;
    bool done;

    if (importing->err != 0) {
        return;
    }
    done = difference->after == NULL ? remove_node(importing, difference->before)
                                     : write_node(importing, difference);
    if (!done) {
        importing->err = errno;
        importing->failed =
            difference->after != NULL ? difference->after->path : difference->before->path;
    }
}

static int import_all(void *context, struct xs_handle *xs, xs_transaction_t t)
{
    struct importing *importing = context;
    struct snapshot *now = snapshot_new(importing->wanted->root);
    int err = snapshot_load(now, xs, t, now->root);
    int status = EXIT_FOUND;

    importing->xs = xs;
    importing->t = t;
    importing->written = importing->permitted = importing->removed = 0;
    importing->gone = NULL;
    importing->err = 0;
    if (err != 0 && err != -ENOENT) {
        status = command_failed(importing->self, "%s: %s; nothing was changed", now->root,
                                store_error(-err));
    } else {
        snapshot_finish(now);
        compare_snapshots(now, importing->wanted, settle, importing);
        if (importing->err != 0) {
            status = command_failed(importing->self, "%s: %s; nothing was changed",
                                    importing->failed, store_error(importing->err));
        }
    }
    snapshot_free(now);
    return status;
}

/* An export that lacks what a node holds cannot be put back. */
static int refuse_gaps(const struct command *self, const struct snapshot *wanted)
{
    for (const struct node *node = wanted->nodes; node != NULL; node = node->hh.next) {
        if (node->unreadable) {
            return command_failed(
                self, "%s: who made the export could not read it; make one in dom0", node->path);
        }
    }
    return EXIT_FOUND;
}

static void print_result(const struct importing *importing)
{
    cJSON *json;

    if (!importing->json) {
        return;
    }
    json = cJSON_CreateObject();
    json_add_text(json, "root", importing->wanted->root);
    cJSON_AddNumberToObject(json, "written", (double)importing->written);
    cJSON_AddNumberToObject(json, "permissions", (double)importing->permitted);
    cJSON_AddNumberToObject(json, "removed", (double)importing->removed);
    json_print(json, true);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct importing importing = {.self = self};
    int status = command_options(self, argc, argv, &importing.json, handle, &importing);
    struct xs_handle *xs;

    if (status >= 0) {
        return status;
    }
    importing.wanted = export_open(self, optind < argc ? argv[optind] : "-");
    if (importing.wanted == NULL) {
        return EXIT_FAILED;
    }
    status = refuse_gaps(self, importing.wanted);
    if (status == EXIT_FOUND) {
        xs = store_open(self);
        status = xs == NULL ? EXIT_FAILED
                            : transact(self, xs, TRANSACT_TRIES, NULL, import_all, &importing);
        if (xs != NULL) {
            xs_close(xs);
        }
    }
    if (status == EXIT_FOUND) {
        print_result(&importing);
    }
    snapshot_free(importing.wanted);
    return status;
}

static const struct option longs[] = {
    {"replace", no_argument, NULL, 'r'},
    COMMON_OPTIONS,
};

const struct command cmd_import = {
    .name = "import",
    .summary = "Makes the store what an export says, all of it or nothing",
    .synopsis = "[-rj] [EXPORT]",
    .options =
        "  EXPORT is a file of 'xenbus export'; without it, or with -, standard input. What is\n"
        "  right already is left alone. 'xenbus diff EXPORT' shows first what would be done.\n\n"
        "  -r, --replace       also remove what the export does not have below its root\n",
    .shorts = "r" COMMON_SHORTS,
    .longs = longs,
    .max_args = 1,
    .run = run,
};
