/*
 * node.h - files, folders and links in memory: what they are, and a file's bytes.
 *
 * Names are the business of tree.h. A node lives as long as somebody refers to it: a name, an open
 * file, a mapping. A file's bytes begin as a part of memory that is somebody else's and stays (the
 * archive's); a page of them is copied when it is first written, or shared.
 *
 * All nodes and names together may take half of the domain's memory, and leave what
 * page_users_may_take() says. Beyond, nothing is taken: -ENOSPC.
 * Locks: "contents" (a mutex) over all files' bytes, sizes and times of change; "tree" over
 * everything else. References are atomic.
 */
#ifndef FS_NODE_H
#define FS_NODE_H

#include "kern/types.h"

#include <xen_list.h>

/* Types in a mode, by their numbers in every Unix. */
#define NODE_TYPE    0170000u
#define NODE_DEVICE  0020000u
#define NODE_DIR     0040000u
#define NODE_FILE    0100000u
#define NODE_SYMLINK 0120000u
#define NODE_SOCKET  0140000u
#define NODE_BITS    07777u /* of a mode, that can be changed */

#define NODE_SIZE_MAX (1ull << 39) /* of a file, holes included: as its table of pages reaches */

struct name;
XEN_TAILQ_HEAD(name_list, struct name);

struct node {
    unsigned refs; /* atomic */
    uint32_t mode, uid, gid, nlink;
    uint64_t ino;
    nsec_t atime, mtime, ctime; /* since 1970 */
    struct name *name;          /* one of its names; NULL: it has none. Of a folder the only one */
    const void *own;            /* of a device, and of what somebody makes as it is looked at */
    unsigned tag;               /* his as well */
    bool fleeting;              /* not of the share of memory */
    uint64_t size;
    union {
        struct {
            struct name_list names;
            struct node *parent; /* with a reference; NULL: it was removed, or is the root */
            uint64_t cookies;    /* names so far: each has a number, in their order */
        };
        struct {
            const uint8_t *base; /* the first bytes, where no page is; a link's target */
            uint64_t base_size;
            void *root;      /* a tree of tables, the leaves of which are pages; a link's target,
                                if it is to be freed */
            unsigned height; /* of the tree: 0: the root is the only page */
            unsigned pages;  /* of it, tables not counted */
        };
    };
};

/** node_new() - an empty one, with a reference that is the caller's; NULL: no room. Any context. */
struct node *node_new(uint32_t mode);

/** node_new_fleeting() - one that has no name, and goes when nobody looks any more. */
struct node *node_new_fleeting(uint32_t mode);

/** node_get(), node_put() - a reference more; one less, NULL: nothing. Thread context. */
struct node *node_get(struct node *n);
void node_put(struct node *n);

static inline bool node_is(const struct node *n, uint32_t type)
{
    return (n->mode & NODE_TYPE) == type;
}

/** node_alloc(), node_free() - zeroed memory out of the share; NULL: no room. Any context. */
void *node_alloc(size_t size);
void node_free(void *memory, size_t size);

/** node_room() - pages of the share of memory, and how many of them can be had. Any context. */
void node_room(uint64_t *pages, uint64_t *left);

/** node_taken() - pages of it that are in use. Any context. */
uint64_t node_taken(void);

/** node_set_target() - make a link point somewhere. @target is copied. 0 or -ENOSPC. */
int node_set_target(struct node *n, const char *target, size_t len) __must_check;

/** node_read() - bytes of a file. Return: how many, 0 at the end. Thread context. */
size_t node_read(struct node *n, uint64_t pos, void *buf, size_t size);

/**
 * node_write() - write to a file, and move *@pos behind it
 * @append: at its end, wherever *@pos is
 *
 * Return: how many bytes, -ENOSPC, -EFBIG. Thread context.
 */
ssize_t node_write(struct node *n, uint64_t *pos, bool append, const void *buf, size_t size);

/** node_resize() - cut a file, or let it grow by a hole. 0 or -EFBIG. Thread context. */
int node_resize(struct node *n, uint64_t size) __must_check;

/**
 * node_reserve() - have pages for a part of a file
 * @stop: asked now and then; true: the caller shall not go on
 *
 * What is refused leaves the file as it was. Return: 0, -ENOSPC, -EFBIG, -EINTR: @stop. Thread
 * context.
 */
int node_reserve(struct node *n, uint64_t from, uint64_t len, bool keep_size,
                 bool (*stop)(void)) __must_check;

/** node_page() - a page of a file, shared with the caller. 0, -ENOSPC; -ENXIO: behind its end. */
int node_page(struct node *n, uint64_t pos, void **page) __must_check;

/** node_boot() - once. */
void node_boot(void);

#endif /* FS_NODE_H */
