/*
 * A copy of (a part of) the store in memory: what `diff` compares, `import` applies and `doctor`
 * judges. It comes from the store or from an export; who looks at it cannot tell which.
 *
 * Types owned: `struct node`, `struct snapshot`. A node of a few bytes takes some 300 bytes here:
 * 100,000 of them 30 MB. One thread, no locks.
 */
#ifndef DUET_XENBUS_SNAPSHOT_H
#define DUET_XENBUS_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <uthash.h>
#include <xenstore.h>

struct node {
    char *path;
    /* The last part of @path, in it. */
    const char *name;
    /* @len bytes and a NUL behind them. */
    char *value;
    unsigned int len;
    struct xs_permissions *perms;
    unsigned int n_perms;
    /* Who took the copy was not allowed to read it: neither value nor permissions are known. */
    bool unreadable;
    /* The tree, sorted by name; set by snapshot_finish(). */
    struct node *parent, *children, *next;
    UT_hash_handle hh;
};

struct snapshot {
    /* By path; after snapshot_finish() in the order of the tree, parents first. */
    struct node *nodes;
    /* The path below which all of them stand. */
    char *root;
};

/* An empty copy of what is below @root; the caller frees it with snapshot_free(). */
struct snapshot *snapshot_new(const char *root);
void snapshot_free(struct snapshot *snapshot);

/*
 * Adds a node with copies of all that is given. Returns it, or NULL when the path is there already.
 */
struct node *snapshot_add(struct snapshot *snapshot, const char *path, const void *value,
                          unsigned int len, const struct xs_permissions *perms,
                          unsigned int n_perms);

/* Sorts the nodes and makes a tree of them; to be called when all have been added. */
void snapshot_finish(struct snapshot *snapshot);

/* The node at @path, NULL if there is none. */
struct node *snapshot_find(const struct snapshot *snapshot, const char *path);

/* The child of @node (which may be NULL) called @name; NULL if there is none. */
struct node *node_child(const struct node *node, const char *name);

/*
 * The value of the child of @node called @key as text; NULL when it is missing, unreadable, or has
 * a NUL within. It belongs to the copy.
 */
const char *node_key(const struct node *node, const char *key);

/* Like strcmp for paths, in the order of a walk through the tree: a parent before its children, and
 * these before its next sibling. */
int path_compare(const char *a, const char *b);

#endif
