/*
 * xenbus chmod: the permissions of a node, or of all below it, in one transaction.
 */
#include "xenbus.h"

#include <errno.h>
#include <stdlib.h>

#include "perms.h"
#include "text.h"
#include "transact.h"
#include "walk.h"

struct chmodding {
    const struct command *self;
    bool json;
    bool recursive;
    const char *path;
    struct xs_permissions *perms;
    unsigned int n_perms;
    /* Of the try at hand. */
    struct xs_handle *xs;
    xs_transaction_t t;
    unsigned int changed;
};

static bool handle(int option, const char *arg, void *context)
{
    struct chmodding *chmodding = context;

    (void)option;
    (void)arg;
    chmodding->recursive = true;
    return true;
}

/* Sets the permissions of one node unless it has them already: no watch fires for nothing. */
static int chmod_node(void *context, const struct walk_node *node)
{
    struct chmodding *chmodding = context;

    if (node->err != 0) {
        return command_failed(chmodding->self, "%s: %s; nothing was changed", node->path,
                              store_error(node->err));
    }
    if (perms_equal(node->perms, node->n_perms, chmodding->perms, chmodding->n_perms)) {
        return 0;
    }
    if (!xs_set_permissions(chmodding->xs, chmodding->t, node->path, chmodding->perms,
                            chmodding->n_perms)) {
        return command_failed(chmodding->self, "%s: %s; nothing was changed", node->path,
                              store_error(errno));
    }
    chmodding->changed++;
    return 0;
}

/* The node alone: what is below it is not looked at. */
static int chmod_one(struct chmodding *chmodding)
{
    struct walk_node node = {.path = chmodding->path};
    struct xs_permissions *perms =
        xs_get_permissions(chmodding->xs, chmodding->t, node.path, &node.n_perms);
    int err;

    if (perms == NULL) {
        return -errno;
    }
    node.perms = perms;
    err = chmod_node(chmodding, &node);
    free(perms);
    return err;
}

static int chmod_all(void *context, struct xs_handle *xs, xs_transaction_t t)
{
    struct chmodding *chmodding = context;
    int err;

    chmodding->xs = xs;
    chmodding->t = t;
    chmodding->changed = 0;
    err = chmodding->recursive ? store_walk(xs, t, chmodding->path, chmod_node, chmodding)
                               : chmod_one(chmodding);
    if (err < 0) {
        return command_failed(chmodding->self, "%s: %s", chmodding->path, store_error(-err));
    }
    return err;
}

static void print_result(const struct chmodding *chmodding)
{
    cJSON *json = cJSON_CreateObject();

    json_add_text(json, "path", chmodding->path);
    cJSON_AddItemToObject(json, "permissions", json_perms(chmodding->perms, chmodding->n_perms));
    cJSON_AddNumberToObject(json, "changed", chmodding->changed);
    json_print(json, true);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct chmodding chmodding = {.self = self};
    int status = command_options(self, argc, argv, &chmodding.json, handle, &chmodding);
    struct xs_handle *xs;

    if (status >= 0) {
        return status;
    }
    chmodding.path = argv[optind];
    if (!store_path_valid(chmodding.path) || chmodding.path[0] == '@') {
        return command_usage(self, "'%s' is not a path of the store", chmodding.path);
    }
    chmodding.n_perms = (unsigned int)(argc - optind - 1);
    chmodding.perms = must_alloc(chmodding.n_perms * sizeof(*chmodding.perms));
    for (unsigned int i = 0; i < chmodding.n_perms; i++) {
        const char *text = argv[optind + 1 + (int)i];

        if (!perm_parse(text, &chmodding.perms[i])) {
            free(chmodding.perms);
            return command_usage(
                self, "'%s' is not a permission: n, r, w or b and a domain's id, as r5", text);
        }
    }
    xs = store_open(self);
    status =
        xs == NULL ? EXIT_FAILED : transact(self, xs, TRANSACT_TRIES, NULL, chmod_all, &chmodding);
    if (status == EXIT_FOUND && chmodding.json) {
        print_result(&chmodding);
    }
    if (xs != NULL) {
        xs_close(xs);
    }
    free(chmodding.perms);
    return status;
}

static const struct option longs[] = {
    {"recursive", no_argument, NULL, 'R'},
    COMMON_OPTIONS,
};

const struct command cmd_chmod = {
    .name = "chmod",
    .summary = "Sets who owns, reads and writes PATH",
    .synopsis = "[-Rj] PATH PERMISSION...",
    .options =
        "  PERMISSION is n (nothing), r, w or b (both) and a domain's id. The first names the\n"
        "  owner, with what all others may do: 'n5 r0' is domain 5's, readable by 0.\n\n"
        "  -R, --recursive     and of all below it, in one transaction\n",
    .shorts = "R" COMMON_SHORTS,
    .longs = longs,
    .min_args = 2,
    .max_args = -1,
    .run = run,
};
