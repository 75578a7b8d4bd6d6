/*
 * The copy of the store, see snapshot.h.
 */
#include "snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "xenbus.h"

struct snapshot *snapshot_new(const char *root)
{
    struct snapshot *snapshot = must_alloc(sizeof(*snapshot));

    snapshot->root = must_strdup(root);
    return snapshot;
}

static void node_free(struct node *node)
{
    free(node->path);
    free(node->value);
    free(node->perms);
    free(node);
}

void snapshot_free(struct snapshot *snapshot)
{
    struct node *next;

    if (snapshot == NULL) {
        return;
    }
    next = snapshot->nodes;
    HASH_CLEAR(hh, snapshot->nodes);
    while (next != NULL) {
        struct node *node = next;

        next = node->hh.next;
        node_free(node);
    }
    free(snapshot->root);
    free(snapshot);
}

struct node *snapshot_find(const struct snapshot *snapshot, const char *path)
{
    struct node *node = NULL;

    HASH_FIND_STR(snapshot->nodes, path, node);
    return node;
}

struct node *snapshot_add(struct snapshot *snapshot, const char *path, const void *value,
                          unsigned int len, const struct xs_permissions *perms,
                          unsigned int n_perms)
{
    struct node *node;
    const char *slash = strrchr(path, '/');

    if (snapshot_find(snapshot, path) != NULL) {
        return NULL;
    }
    node = must_alloc(sizeof(*node));
    node->path = must_strdup(path);
    node->name = slash != NULL ? node->path + (slash - path) + 1 : node->path;
    node->value = must_alloc((size_t)len + 1);
    memcpy(node->value, value, len);
    node->len = len;
    node->perms = must_alloc((size_t)(n_perms + 1) * sizeof(*perms));
    if (n_perms > 0) {
        memcpy(node->perms, perms, n_perms * sizeof(*perms));
    }
    node->n_perms = n_perms;
    HASH_ADD_KEYPTR(hh, snapshot->nodes, node->path, strlen(node->path), node);
    return node;
}

/* A slash ends a name as the end of the path does, so it sorts before all other characters. */
static int path_rank(char c)
{
    return c == '/' ? 1 : c == '\0' ? 0 : (unsigned char)c + 1;
}

int path_compare(const char *a, const char *b)
{
    while (*a == *b && *a != '\0') {
        a++;
        b++;
    }
    return path_rank(*a) - path_rank(*b);
}

static int node_compare(const struct node *a, const struct node *b)
{
    return path_compare(a->path, b->path);
}

/* The node that @node stands in, NULL when the copy does not have it. */
static struct node *node_parent(const struct snapshot *snapshot, const struct node *node)
{
    size_t len = (size_t)(node->name - node->path);
    struct node *parent = NULL;

    if (len == 0 || node->name[0] == '\0') {
        return NULL;
    }
    len = len > 1 ? len - 1 : 1;
    HASH_FIND(hh, snapshot->nodes, node->path, len, parent);
    return parent;
}

void snapshot_finish(struct snapshot *snapshot)
{
    struct node *node, *last;

    HASH_SRT(hh, snapshot->nodes, node_compare);
    if (snapshot->nodes == NULL) {
        return;
    }
    /* From the last to the first, so that each lands at the head of its siblings. */
    last = ELMT_FROM_HH(snapshot->nodes->hh.tbl, snapshot->nodes->hh.tbl->tail);
    for (node = last; node != NULL; node = node->hh.prev) {
        node->parent = node_parent(snapshot, node);
        if (node->parent != NULL) {
            node->next = node->parent->children;
            node->parent->children = node;
        }
    }
}

struct node *node_child(const struct node *node, const char *name)
{
    struct node *child = node != NULL ? node->children : NULL;

    while (child != NULL && strcmp(child->name, name) != 0) {
        child = child->next;
    }
    return child;
}

const char *node_key(const struct node *node, const char *key)
{
    const struct node *child = node_child(node, key);

    if (child == NULL || child->unreadable || strlen(child->value) != child->len) {
        return NULL;
    }
    return child->value;
}
