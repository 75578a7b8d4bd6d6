/*
 * paths.h - paths that programs give, on their way to nodes: for the calls on names.
 *
 * A path is copied once, and followed with the tree locked (fs/tree.h).
 */
#ifndef SYSCALL_PATHS_H
#define SYSCALL_PATHS_H

#include "fs/tree.h"
#include "syscall/task.h"

_Static_assert(PATH_SIZE == TREE_PATH_SIZE, "paths are followed where they were copied to");

struct path {
    char *text;
    struct node *start; /* with a reference */
    struct place place;
};

/** path_copy() - copy a path, and find where it begins; to be path_free()d if it is 0. */
int path_copy(struct call *c, uint64_t dirfd, uint64_t address, struct path *p) __must_check;
void path_free(struct path *p);

/** path_begin() - follow one as well. If it is 0 the tree is locked until path_end(). */
int path_begin(struct call *c, uint64_t dirfd, uint64_t address, bool follow,
               struct path *p) __must_check;
void path_end(struct path *p);

/** path_of() - the same of @len bytes that were copied already. */
int path_of(struct call *c, const char *text, size_t len, bool follow, struct path *p) __must_check;

/** path_mode() - of what is made, as the process's mask leaves it. */
unsigned path_mode(const struct call *c, uint64_t mode);

/** path_node() - a reference to what it leads to. 0 or -errno. */
int path_node(struct call *c, uint64_t dirfd, uint64_t address, bool follow,
              struct node **node) __must_check;

/**
 * node_of_descriptor() - a reference to what the descriptor in the call's first argument is of
 * @read_only: the error if it cannot be written to; 0: it need not be
 *
 * Return: 0, -EBADF, -EINVAL: it is none of the tree's; @read_only.
 */
int64_t node_of_descriptor(struct call *c, int read_only, struct node **node) __must_check;

/** change_mode(), change_owner(), tell_statfs() - of a node, as chmod() and its kin say. */
int64_t change_mode(struct node *n, uint64_t mode);
int64_t change_owner(struct node *n, uint32_t uid, uint32_t gid);
int64_t tell_statfs(const struct node *n, uint64_t to);

#endif /* SYSCALL_PATHS_H */
