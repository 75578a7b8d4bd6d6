/*
 * tree.c - names and paths: see tree.h.
 *
 * All names hang in one table by the hash of folder and text, and in their folder's list in the
 * order in which they were made: their numbers only grow, so whoever lists a folder while it
 * changes sees each name that stays once.
 */
#include "fs/tree.h"

#include "kern/mem.h"
#include "kern/page.h"
#include "kern/string.h"
#include "kern/wait.h"
#include "psm/clock.h"
#include "psm/random.h"

#define PAGES_A_BUCKET 4 /* of memory: names that fill their share of it make lists of some 100 */
#define DOTS           2 /* numbers of "." and "..", before all others */

struct name {
    XEN_TAILQ_ENTRY(struct name) in_dir;
    XEN_LIST_ENTRY(struct name) in_bucket;
    struct node *dir;  /* which lives as long */
    struct node *node; /* with a reference */
    uint64_t cookie;
    uint8_t len;
    char text[];
};

XEN_LIST_HEAD(bucket, struct name);

static struct mutex lock;
static struct bucket *buckets;
static uint32_t bucket_mask; /* their number is a power of two */
static uint32_t seed;
static struct node *root;

/* The table of names, as large as memory is; smaller if there is no such block. */
static bool table_boot(void)
{
    uint64_t wanted = page_count() / PAGES_A_BUCKET * sizeof(struct bucket);
    unsigned order = 0;

    while (order < PAGE_ORDER_MAX && PAGE_SIZE << order < wanted) {
        order++;
    }
    while ((buckets = page_alloc_zeroed(order)) == NULL && order != 0) {
        order--;
    }
    bucket_mask = (uint32_t)((PAGE_SIZE << order) / sizeof(struct bucket)) - 1;
    return buckets != NULL;
}

struct node *tree_boot(void)
{
    mutex_init(&lock, "tree");
    node_boot();
    seed = random_u32();
    root = table_boot() ? node_new(NODE_DIR | 0755) : NULL;
    if (root != NULL) {
        root->nlink = 1;
    }
    return root;
}

void tree_lock(void)
{
    mutex_lock(&lock);
}

void tree_unlock(void)
{
    mutex_unlock(&lock);
}

struct node *tree_root(void)
{
    return root;
}

/* ---- names ---- */

static struct bucket *bucket_of(const struct node *dir, const char *text, size_t len)
{
    uint32_t hash = (uint32_t)dir->ino ^ seed;

    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ (uint8_t)text[i]) * 16777619u; /* FNV-1a */
    }
    return &buckets[(hash ^ hash >> 16) & bucket_mask];
}

static struct name *dir_find(const struct node *dir, const char *text, size_t len)
{
    struct name *n;

    XEN_LIST_FOREACH (n, bucket_of(dir, text, len), in_bucket) {
        if (n->dir == dir && n->len == len && memcmp(n->text, text, len) == 0) {
            return n;
        }
    }
    return NULL;
}

static struct name *name_new(const char *text, size_t len)
{
    struct name *n = node_alloc(sizeof(*n) + len);

    if (n != NULL) {
        n->len = (uint8_t)len;
        memcpy(n->text, text, len);
    }
    return n;
}

static void dir_changed(struct node *dir)
{
    dir->mtime = dir->ctime = clock_wall();
}

/* Let a name lead from a folder to a node. */
static void name_add(struct name *n, struct node *dir, struct node *node)
{
    n->dir = dir;
    n->node = node_get(node);
    n->cookie = DOTS + dir->cookies++;
    XEN_TAILQ_INSERT_TAIL(&dir->names, n, in_dir);
    XEN_LIST_INSERT_HEAD(bucket_of(dir, n->text, n->len), n, in_bucket);
    node->nlink++;
    node->name = n;
    if (node_is(node, NODE_DIR)) {
        node->parent = node_get(dir);
        dir->nlink++; /* its ".." */
    }
    dir_changed(dir);
}

static void name_remove(struct name *n)
{
    struct node *node = n->node, *dir = n->dir;

    XEN_TAILQ_REMOVE(&dir->names, n, in_dir);
    XEN_LIST_REMOVE(n, in_bucket);
    node->nlink--;
    node->ctime = clock_wall();
    node->name = node->name == n ? NULL : node->name;
    dir_changed(dir);
    node_free(n, sizeof(*n) + n->len);
    if (node_is(node, NODE_DIR)) {
        node->parent = NULL;
        dir->nlink--;
        node_put(dir);
    }
    node_put(node);
}

/* ---- paths ---- */

void place_put(struct place *place)
{
    node_put(place->dir);
    node_put(place->node);
    *place = (struct place){0};
}

static bool is_dots(const char *text, size_t len)
{
    return text[0] == '.' && (len == 1 || (len == 2 && text[1] == '.'));
}

/* A new reference to what a component leads to; NULL: it is not there. */
static struct node *step(struct node *dir, const char *text, size_t len)
{
    const struct folder *folder = dir->own;

    if (is_dots(text, len)) {
        return len == 1 || dir == root ? node_get(dir)
               : dir->parent == NULL   ? NULL
                                       : node_get(dir->parent);
    }
    if (folder != NULL) {
        return folder->find(dir, text, len);
    }
    const struct name *n = dir_find(dir, text, len);
    return n == NULL ? NULL : node_get(n->node);
}

/* Put a link's target in front of the rest of a path. */
static int splice(char *path, const char *rest, const struct node *link)
{
    size_t len = link->size, rest_len = strlen(rest);

    if (len == 0 || len + rest_len >= TREE_PATH_SIZE) {
        return len == 0 ? -ENOENT : -ENAMETOOLONG;
    }
    memmove(path + len, rest, rest_len + 1);
    memcpy(path, link->base, len);
    return 0;
}

/* A path that is being followed. */
struct walk {
    char *path;
    const char *at; /* its next component */
    unsigned links, steps;
};

/*
 * Follow one component from @place's node, which is a folder. @follow: also a link at the end.
 * Return: 0: @place is one further, or begins anew where a link points.
 */
static int follow_component(struct walk *w, bool follow, struct place *place)
{
    const char *end = w->at;
    int rc = 0;

    if (w->steps++ == TREE_STEPS_MAX) {
        return -LINUX_ELOOP;
    }
    while (*end != '\0' && *end != '/') {
        end++;
    }
    size_t len = (size_t)(end - w->at);
    const char *rest = end;
    while (*rest == '/') {
        rest++;
    }
    if (!node_is(place->node, NODE_DIR) || len > TREE_NAME_MAX) {
        return len > TREE_NAME_MAX ? -ENAMETOOLONG : -ENOTDIR;
    }
    struct node *next = step(place->node, w->at, len);
    if (next == NULL && *rest != '\0') {
        return -ENOENT;
    }
    if (next != NULL && node_is(next, NODE_SYMLINK) && (*end != '\0' || follow)) {
        rc = w->links++ == TREE_LINKS_MAX ? -LINUX_ELOOP : splice(w->path, end, next);
        node_put(next);
        w->at = w->path;
        if (rc == 0 && w->path[0] == '/') {
            place_put(place);
            place->node = node_get(root);
        }
        return rc;
    }
    node_put(place->dir);
    *place = (struct place){
        .dir = place->node, .node = next, .last = w->at, .len = len, .slash = *end != '\0'};
    w->at = rest;
    return 0;
}

int tree_walk(struct node *from, char *path, bool follow, struct place *place)
{
    struct walk w = {.path = path, .at = path};
    int rc = path[0] == '\0' ? -ENOENT : 0;

    *place = (struct place){.node = node_get(path[0] == '/' ? root : from)};
    for (;;) {
        while (*w.at == '/') {
            w.at++;
        }
        if (rc != 0 || *w.at == '\0') {
            break;
        }
        rc = follow_component(&w, follow, place);
    }
    if (rc == 0 && place->slash && place->node != NULL && !node_is(place->node, NODE_DIR)) {
        rc = -ENOTDIR;
    }
    if (rc != 0) {
        place_put(place);
    }
    return rc;
}

/* ---- what is done with names ---- */

int place_free(const struct place *place, bool folder)
{
    if (place->node != NULL) {
        return -EEXIST;
    }
    if (place->dir->own != NULL) {
        return -EACCES;
    }
    bool gone = place->dir != root && place->dir->parent == NULL;
    return gone || (place->slash && !folder) ? -ENOENT : 0;
}

int tree_link(const struct place *place, struct node *node)
{
    if (node->fleeting || (node_is(node, NODE_DIR) && node->nlink != 0)) {
        return node->fleeting ? -EXDEV : -EPERM;
    }
    struct name *n = name_new(place->last, place->len);
    if (n == NULL) {
        return -ENOSPC;
    }
    name_add(n, place->dir, node);
    node->ctime = clock_wall();
    return 0;
}

/* Whether what a path led to may be taken away from there. */
static int place_removable(const struct place *place)
{
    if (place->node == NULL) {
        return -ENOENT;
    }
    if (place->dir == NULL || (node_is(place->node, NODE_DIR) && place->node->own != NULL)) {
        return -EBUSY; /* the root, and others' folders */
    }
    if (place->dir->own != NULL) {
        return -EACCES;
    }
    return is_dots(place->last, place->len) ? -EINVAL : 0;
}

static int check_folder(const struct node *node, bool folder)
{
    if (node_is(node, NODE_DIR) != folder) {
        return folder ? -ENOTDIR : -EISDIR;
    }
    return folder && !XEN_TAILQ_EMPTY(&node->names) ? -ENOTEMPTY : 0;
}

int tree_remove(const struct place *place, bool folder)
{
    int rc = place_removable(place);

    rc = rc == 0 ? check_folder(place->node, folder) : rc;
    if (rc == 0) {
        name_remove(dir_find(place->dir, place->last, place->len));
    }
    return rc;
}

void tree_unlink(const struct node *node)
{
    tree_lock();
    if (node->name != NULL) {
        name_remove(node->name);
    }
    tree_unlock();
}

/* Whether a folder is another one, or above it. */
static bool is_above(const struct node *dir, const struct node *other)
{
    while (other != NULL && other != dir) {
        other = other->parent;
    }
    return other != NULL;
}

/* Whether a path ends in "." or "..", or is the root's. */
static bool is_fixed(const struct place *place)
{
    return place->dir == NULL || is_dots(place->last, place->len);
}

static int rename_check(const struct place *from, const struct place *to, bool replace)
{
    bool folder = from->node != NULL && node_is(from->node, NODE_DIR);
    int rc = is_fixed(from) || is_fixed(to) ? -EBUSY : place_removable(from);

    if (rc == 0 && to->node != NULL) {
        rc = replace ? place_removable(to) : -EEXIST;
    } else if (rc == 0) {
        rc = place_free(to, folder);
    }
    if (rc == 0 && folder && is_above(from->node, to->dir)) {
        rc = -EINVAL;
    }
    return rc == 0 && to->node != NULL && to->node != from->node ? check_folder(to->node, folder)
                                                                 : rc;
}

int tree_rename(const struct place *from, const struct place *to, bool replace)
{
    int rc = rename_check(from, to, replace);

    if (rc != 0 || from->node == to->node) {
        return rc;
    }
    struct name *n = name_new(to->last, to->len);
    if (n == NULL) {
        return -ENOSPC;
    }
    if (to->node != NULL) {
        name_remove(dir_find(to->dir, to->last, to->len));
    }
    name_remove(dir_find(from->dir, from->last, from->len)); /* the place has a reference */
    name_add(n, to->dir, from->node);
    return 0;
}

void tree_list(struct node *dir, uint64_t from, tree_fn *fn, void *arg)
{
    const struct folder *folder = dir->own;
    const struct name *n;
    bool more = true;

    for (; from < DOTS && more; from++) {
        const struct node *node = from == 0 || dir->parent == NULL ? dir : dir->parent;

        more = fn(&(struct tree_entry){.name = "..",
                                       .len = from + 1,
                                       .ino = node->ino,
                                       .next = from + 1,
                                       .mode = node->mode},
                  arg);
    }
    if (more && folder != NULL) {
        folder->list(dir, from, fn, arg);
        return;
    }
    for (n = XEN_TAILQ_FIRST(&dir->names); more && n != NULL; n = XEN_TAILQ_NEXT(n, in_dir)) {
        if (n->cookie >= from) {
            more = fn(&(struct tree_entry){.name = n->text,
                                           .len = n->len,
                                           .ino = n->node->ino,
                                           .next = n->cookie + 1,
                                           .mode = n->node->mode},
                      arg);
        }
    }
}

char *tree_path(const struct node *node, char *buf, size_t size)
{
    char *at = buf + size - 1;

    *at = '\0';
    for (; node != root; node = node->name->dir) {
        const struct name *n = node->name;

        if (n == NULL || (size_t)(at - buf) < n->len + 1u) {
            return NULL;
        }
        at -= n->len;
        memcpy(at, n->text, n->len);
        *--at = '/';
    }
    if (*at == '\0' && at != buf) {
        *--at = '/';
    }
    return at;
}

/* ---- the start ---- */

/* Of a name that stands twice the last one counts; a folder keeps what is in it. */
static int tree_replace(const struct place *place, struct node *node)
{
    struct node *old = place->node;

    if (node_is(old, NODE_DIR) && node_is(node, NODE_DIR)) {
        old->mode = node->mode;
        old->uid = node->uid;
        old->gid = node->gid;
        old->mtime = node->mtime;
        old->own = node->own; /* whose names then hide what was there, as under a mount */
        return 0;
    }
    int rc = tree_remove(place, node_is(old, NODE_DIR));
    return rc == 0 ? tree_link(place, node) : rc;
}

int tree_link_at(const char *path, size_t len, struct node *node, char *room)
{
    int rc = 0;

    for (size_t end = 1; end <= len && rc == 0; end++) {
        struct place place;

        if (end != len && path[end] != '/') {
            continue;
        }
        memcpy(room, path, end);
        room[end] = '\0';
        rc = tree_walk(root, room, end != len, &place);
        if (rc != 0) {
            return rc;
        }
        struct node *made = end == len           ? node_get(node)
                            : place.node == NULL ? node_new(NODE_DIR | 0755)
                                                 : NULL;
        if (end == len && place.node != NULL) {
            rc = tree_replace(&place, made);
        } else if (place.dir != NULL && place.node == NULL) {
            rc = made == NULL ? -ENOSPC : tree_link(&place, made);
        }
        node_put(made);
        place_put(&place);
    }
    return rc;
}
