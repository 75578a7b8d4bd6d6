/*
 * tree.h - the tree of names: paths, folders, and what is done with names.
 *
 * A name leads from a folder to a node (node.h). A path is followed component by component; a
 * symbolic link puts its target in front of what is left, so no path is deeper than a loop. Folders
 * may be somebody else's, who makes what is in them as it is looked for (struct folder).
 * Locks: "tree" (a mutex), taken by the caller of everything here with tree_lock().
 */
#ifndef FS_TREE_H
#define FS_TREE_H

#include "fs/node.h"

#define TREE_PATH_SIZE 4096 /* with its NUL; also of a path whose links are followed */
#define TREE_NAME_MAX  255
#define TREE_LINKS_MAX 40
#define TREE_STEPS_MAX 4096 /* components of a path, those of its links included */

/* What a folder tells of one name in it. */
struct tree_entry {
    const char *name;
    size_t len;
    uint64_t ino, next; /* where to go on behind it */
    uint32_t mode;
};

/* Takes what a folder tells; false: no more. */
typedef bool tree_fn(const struct tree_entry *entry, void *arg);

/**
 * struct folder - what `own` of a folder points to whose names somebody makes
 * @find: a new reference to what is called so, NULL: there is none. Nobody creates or removes there
 * @list: all names whose number is @from or above
 */
struct folder {
    struct node *(*find)(struct node *dir, const char *name, size_t len);
    void (*list)(struct node *dir, uint64_t from, tree_fn *fn, void *arg);
};

/* Where a path leads to. */
struct place {
    struct node *dir;  /* a reference to the folder of the last component; NULL: it is the root */
    struct node *node; /* a reference to what is there; NULL: nothing */
    const char *last;  /* the last component, in the path that was followed */
    size_t len;
    bool slash; /* something is behind it: it means a folder */
};

/** tree_boot() - an empty root. Once. Return: it, or NULL: no memory. */
struct node *tree_boot(void);

/** tree_lock(), tree_unlock() - around everything below. Thread context. */
void tree_lock(void);
void tree_unlock(void);

/** tree_root() - without a reference: it stays. Any context. */
struct node *tree_root(void);

/**
 * tree_walk() - follow a path
 * @from: where it begins if it does not begin with '/'
 * @path: TREE_PATH_SIZE bytes, which are changed; @place points into them
 * @follow: also a link at its end
 *
 * Return: 0, also if the last component is not there; -ENOENT, -ENOTDIR, -LINUX_ELOOP,
 * -ENAMETOOLONG. @place is to be given to place_put() if it is 0.
 */
int tree_walk(struct node *from, char *path, bool follow, struct place *place) __must_check;
void place_put(struct place *place);

/** place_free() - whether something may be created there. 0, -EEXIST, -ENOENT, -EACCES. */
int place_free(const struct place *place, bool folder) __must_check;

/**
 * tree_link() - give a node a name where place_free() says so
 *
 * Return: 0, -ENOSPC; -EPERM: a folder that has one; -EXDEV: it is fleeting.
 */
int tree_link(const struct place *place, struct node *node) __must_check;

/** tree_remove() - take a name away. As unlink() and rmdir() do. */
int tree_remove(const struct place *place, bool folder) __must_check;

/** tree_unlink() - take a node's name away, if it has one still. The tree is not locked. */
void tree_unlink(const struct node *node);

/** tree_rename() - as rename() does. @replace: what is there already may go. */
int tree_rename(const struct place *from, const struct place *to, bool replace) __must_check;

/** tree_list() - the names of a folder from number @from on, "." and ".." first. */
void tree_list(struct node *dir, uint64_t from, tree_fn *fn, void *arg);

/**
 * tree_path() - the path of a node
 *
 * Return: where in the @size bytes of @buf it begins; NULL: it has none, or there is no room.
 */
char *tree_path(const struct node *node, char *buf, size_t size);

/**
 * tree_link_at() - link a node at a path from the root, as an archive names it
 * @room: TREE_PATH_SIZE bytes, more than @len
 *
 * Missing folders are made, and what is there is replaced. Return: 0 or -errno.
 */
int tree_link_at(const char *path, size_t len, struct node *node, char *room) __must_check;

#endif /* FS_TREE_H */
