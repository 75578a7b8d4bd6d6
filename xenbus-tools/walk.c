/*
 * The walk through the store, see walk.h. The depth of the recursion is that of the store, which
 * the length of a path limits (3,072 characters).
 */
#include "walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xenbus.h"

struct walk {
    struct xs_handle *xs;
    xs_transaction_t t;
    int (*visit)(void *context, const struct walk_node *node);
    void *context;
};

static int name_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Whether the walk may go on in spite of what a request below the root failed with. */
static bool walk_passable(int err)
{
    return err == ENOENT || err == EACCES;
}

static int walk_at(const struct walk *walk, const char *path, bool is_root);

static int walk_children(const struct walk *walk, const char *path)
{
    unsigned int n = 0;
    char **names = xs_directory(walk->xs, walk->t, path, &n);
    int err = 0;

    if (names == NULL) {
        return walk_passable(errno) ? 0 : -errno;
    }
    qsort(names, n, sizeof(*names), name_compare);
    for (unsigned int i = 0; i < n && err == 0; i++) {
        char *child = store_join(path, names[i]);

        err = walk_at(walk, child, false);
        free(child);
    }
    free(names);
    return err;
}

/* Reads one node and shows it. Returns 0, -errno, -ENOENT when it is not there (any more). */
static int walk_show(const struct walk *walk, const char *path)
{
    struct walk_node node = {.path = path};
    char *value = xs_read(walk->xs, walk->t, path, &node.len);
    struct xs_permissions *perms = NULL;
    int err;

    if (value == NULL && errno != EACCES) {
        return -errno;
    }
    if (value != NULL) {
        perms = xs_get_permissions(walk->xs, walk->t, path, &node.n_perms);
    }
    if (value != NULL && perms == NULL && errno != EACCES) {
        err = -errno;
    } else {
        node.err = perms == NULL ? EACCES : 0;
        node.value = perms == NULL ? "" : value;
        node.len = perms == NULL ? 0 : node.len;
        node.perms = perms;
        err = walk->visit(walk->context, &node);
    }
    free(perms);
    free(value);
    return err;
}

static int walk_at(const struct walk *walk, const char *path, bool is_root)
{
    int err = walk_show(walk, path);

    if (err == -ENOENT && !is_root) {
        return 0;
    }
    return err != 0 ? err : walk_children(walk, path);
}

int store_walk(struct xs_handle *xs, xs_transaction_t t, const char *root,
               int (*visit)(void *context, const struct walk_node *node), void *context)
{
    struct walk walk = {.xs = xs, .t = t, .visit = visit, .context = context};
    char *value = xs_read(xs, t, root, NULL);

    if (value == NULL) {
        return -errno;
    }
    free(value);
    return walk_at(&walk, root, true);
}

static int copy_node(void *context, const struct walk_node *seen)
{
    struct node *node =
        snapshot_add(context, seen->path, seen->value, seen->len, seen->perms, seen->n_perms);

    if (node != NULL) {
        node->unreadable = seen->err != 0;
    }
    return 0;
}

int snapshot_load(struct snapshot *snapshot, struct xs_handle *xs, xs_transaction_t t,
                  const char *root)
{
    return store_walk(xs, t, root, copy_node, snapshot);
}
