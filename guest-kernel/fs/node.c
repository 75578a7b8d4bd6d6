/*
 * node.c - what files, folders and links are made of: see node.h.
 *
 * The pages of a file hang in a tree of tables as high as its longest use so far has needed: a file
 * of a page has no table. Where a table or a page is missing there are the bytes of `base`, and
 * behind them zeroes.
 */
#include "fs/node.h"

#include "kern/mem.h"
#include "kern/page.h"
#include "kern/string.h"
#include "kern/wait.h"
#include "psm/clock.h"

#define FAN_BITS 9 /* a table is a page of pointers */
#define FAN      (1u << FAN_BITS)

#define RESERVE_PIECE 64 /* pages for which "contents" is held at once */

static struct mutex contents;
static uint64_t taken; /* bytes; atomic */
static uint64_t inos;  /* atomic */

void node_boot(void)
{
    mutex_init(&contents, "contents");
}

/* ---- the share of memory ---- */

static uint64_t share_size(void)
{
    return page_count() / 2;
}

static void share_give(size_t size)
{
    __atomic_sub_fetch(&taken, size, __ATOMIC_RELAXED);
}

static bool share_take(size_t size)
{
    if (!page_users_may_take()) {
        return false;
    }
    if (__atomic_add_fetch(&taken, size, __ATOMIC_RELAXED) > share_size() * PAGE_SIZE) {
        share_give(size);
        return false;
    }
    return true;
}

void *node_alloc(size_t size)
{
    if (!share_take(size)) {
        return NULL;
    }
    void *memory = kzalloc(size);
    if (memory == NULL) {
        share_give(size);
    }
    return memory;
}

void node_free(void *memory, size_t size)
{
    share_give(size);
    kfree(memory);
}

uint64_t node_taken(void)
{
    return DIV_ROUND_UP(__atomic_load_n(&taken, __ATOMIC_RELAXED), PAGE_SIZE);
}

void node_room(uint64_t *pages, uint64_t *left)
{
    uint64_t used = node_taken();

    *pages = share_size();
    *left = page_users_may_take() && *pages > used ? *pages - used : 0;
}

/* ---- nodes ---- */

static void *alloc_for(bool fleeting, size_t size)
{
    return fleeting ? kzalloc(size) : node_alloc(size);
}

static void free_for(bool fleeting, void *memory, size_t size)
{
    node_free(memory, fleeting ? 0 : size);
}

static struct node *node_make(uint32_t mode, bool fleeting)
{
    struct node *n = alloc_for(fleeting, sizeof(*n));

    if (n == NULL) {
        return NULL;
    }
    n->refs = 1;
    n->fleeting = fleeting;
    n->mode = mode;
    n->ino = __atomic_add_fetch(&inos, 1, __ATOMIC_RELAXED);
    n->atime = n->mtime = n->ctime = clock_wall();
    if (node_is(n, NODE_DIR)) {
        XEN_TAILQ_INIT(&n->names);
    }
    return n;
}

struct node *node_new(uint32_t mode)
{
    return node_make(mode, false);
}

struct node *node_new_fleeting(uint32_t mode)
{
    return node_make(mode, true);
}

struct node *node_get(struct node *n)
{
    __atomic_add_fetch(&n->refs, 1, __ATOMIC_RELAXED);
    return n;
}

static void free_pages_from(struct node *n, void **slot, unsigned level, uint64_t first);

/* A file's or a link's own memory. */
static void node_empty(struct node *n)
{
    if (node_is(n, NODE_FILE)) {
        free_pages_from(n, &n->root, n->height, 0);
    } else if (node_is(n, NODE_SYMLINK) && n->root != NULL) {
        free_for(n->fleeting, n->root, n->size);
    }
}

/* A folder that goes may be the last that refers to the one above. */
void node_put(struct node *n)
{
    while (n != NULL && __atomic_sub_fetch(&n->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        struct node *parent = node_is(n, NODE_DIR) ? n->parent : NULL;

        node_empty(n);
        free_for(n->fleeting, n, sizeof(*n));
        n = parent;
    }
}

int node_set_target(struct node *n, const char *target, size_t len)
{
    char *copy = alloc_for(n->fleeting, len);

    if (copy == NULL) {
        return -ENOSPC;
    }
    memcpy(copy, target, len);
    n->root = copy;
    n->base = n->root;
    n->size = n->base_size = len;
    return 0;
}

/* ---- pages ---- */

static void *take_page(void)
{
    if (!share_take(PAGE_SIZE)) {
        return NULL;
    }
    void *page = page_alloc_zeroed(0);
    if (page == NULL) {
        share_give(PAGE_SIZE);
    }
    return page;
}

static void drop_page(void *page)
{
    page_drop(page);
    share_give(PAGE_SIZE);
}

/* Free the pages from number @first on that hang in a slot. No deeper than the highest tree. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static void free_pages_from(struct node *n, void **slot, unsigned level, uint64_t first)
{
    void **table = *slot;

    if (table == NULL) {
        return;
    }
    if (level != 0) {
        unsigned shift = FAN_BITS * (level - 1);

        for (uint64_t i = first >> shift; i < FAN; i++) {
            free_pages_from(n, &table[i], level - 1,
                            i == first >> shift ? first & ((1ull << shift) - 1) : 0);
        }
    }
    if (first == 0) {
        n->pages -= level == 0;
        drop_page(table);
        *slot = NULL;
    }
}

/* Free the pages from number @first on. */
static void cut_pages(struct node *n, uint64_t first)
{
    if (first >> (FAN_BITS * n->height) == 0) {
        free_pages_from(n, &n->root, n->height, first);
    }
    n->height = n->root == NULL ? 0 : n->height;
}

/* Let the tree have a place for a page of a number. 0 or -ENOSPC. */
static int tree_reach(struct node *n, uint64_t index)
{
    while (index >> (FAN_BITS * n->height) != 0) {
        if (n->root != NULL) {
            void **table = take_page();

            if (table == NULL) {
                return -ENOSPC;
            }
            table[0] = n->root;
            n->root = table;
        }
        n->height++;
    }
    return 0;
}

/* The place of a page; NULL: it has none, or, if it is to be made, there is no room. */
static void **find_slot(struct node *n, uint64_t index, bool make)
{
    void **slot = &n->root;

    if (make ? tree_reach(n, index) != 0 : index >> (FAN_BITS * n->height) != 0) {
        return NULL;
    }
    for (unsigned level = n->height; level != 0; level--) {
        if (*slot == NULL && make) {
            *slot = take_page();
        }
        if (*slot == NULL) {
            return NULL;
        }
        slot = (void **)*slot + (index >> (FAN_BITS * (level - 1))) % FAN;
    }
    return slot;
}

/* Bytes of a file where no page is. */
static void read_base(const struct node *n, uint64_t pos, void *buf, size_t size)
{
    size_t there = pos < n->base_size ? MIN(size, n->base_size - pos) : 0;

    if (there != 0) {
        memcpy(buf, n->base + pos, there);
    }
    memset((char *)buf + there, 0, size - there);
}

/* A page that was taken before: each begins with where the next one is. None is left: a new one. */
static void *next_page(void **spare)
{
    void **page = *spare;

    if (page == NULL) {
        return take_page();
    }
    *spare = *page;
    return page;
}

static void *get_page_from(struct node *n, uint64_t index, void **spare)
{
    void **slot = find_slot(n, index, true);

    if (slot == NULL) {
        return NULL;
    }
    if (*slot == NULL && (*slot = next_page(spare)) != NULL) {
        read_base(n, index * PAGE_SIZE, *slot, PAGE_SIZE);
        n->pages++;
    }
    return *slot;
}

/* A page of a file, which is made if it is not there. */
static void *get_page(struct node *n, uint64_t index)
{
    void *none = NULL;

    return get_page_from(n, index, &none);
}

/* ---- bytes ---- */

size_t node_read(struct node *n, uint64_t pos, void *buf, size_t size)
{
    size_t done = 0;

    mutex_lock(&contents);
    size = pos < n->size ? MIN(size, n->size - pos) : 0;
    while (done < size) {
        size_t at = pos % PAGE_SIZE, part = MIN(size - done, PAGE_SIZE - at);
        void **slot = find_slot(n, pos / PAGE_SIZE, false);

        if (slot != NULL && *slot != NULL) {
            memcpy((char *)buf + done, (char *)*slot + at, part);
        } else {
            read_base(n, pos, (char *)buf + done, part);
        }
        done += part;
        pos += part;
    }
    mutex_unlock(&contents);
    return done;
}

static void node_changed(struct node *n)
{
    n->mtime = n->ctime = clock_wall();
}

ssize_t node_write(struct node *n, uint64_t *pos, bool append, const void *buf, size_t size)
{
    ssize_t rc = 0;
    size_t done = 0;

    mutex_lock(&contents);
    uint64_t to = append ? n->size : *pos;
    if (size != 0 && to >= NODE_SIZE_MAX) {
        rc = -LINUX_EFBIG;
    }
    size = rc == 0 ? MIN(size, NODE_SIZE_MAX - to) : 0;
    while (done < size) {
        size_t at = to % PAGE_SIZE, part = MIN(size - done, PAGE_SIZE - at);
        char *page = get_page(n, to / PAGE_SIZE);

        if (page == NULL) {
            rc = -ENOSPC;
            break;
        }
        memcpy(page + at, (const char *)buf + done, part);
        done += part;
        to += part;
    }
    if (done != 0) {
        n->size = MAX(n->size, to);
        *pos = to;
        node_changed(n);
    }
    mutex_unlock(&contents);
    return done != 0 ? (ssize_t)done : rc;
}

int node_resize(struct node *n, uint64_t size)
{
    if (size > NODE_SIZE_MAX) {
        return -LINUX_EFBIG;
    }
    mutex_lock(&contents);
    if (size < n->size) {
        void **slot = find_slot(n, size / PAGE_SIZE, false);

        if (size % PAGE_SIZE != 0 && slot != NULL && *slot != NULL) {
            memset((char *)*slot + size % PAGE_SIZE, 0, PAGE_SIZE - size % PAGE_SIZE);
        }
        cut_pages(n, DIV_ROUND_UP(size, PAGE_SIZE));
        n->base_size = MIN(n->base_size, size);
    }
    n->size = size;
    node_changed(n);
    mutex_unlock(&contents);
    return 0;
}

/* ---- room that is asked for beforehand ---- */

/* Pages of a part of a file. All that it lacks are taken first, and then given to it. */
struct reserve {
    uint64_t first, end;
    void *spare; /* those that are not in the file yet, as next_page() takes them */
};

static bool reserve_take(struct node *n, uint64_t index, void **spare)
{
    void **slot = find_slot(n, index, true);

    if (slot == NULL || *slot != NULL) {
        return slot != NULL;
    }
    void **page = take_page();
    if (page == NULL) {
        return false;
    }
    *page = *spare;
    *spare = page;
    return true;
}

static bool reserve_place(struct node *n, uint64_t index, void **spare)
{
    return get_page_from(n, index, spare) != NULL;
}

/* Do something for all of them, in pieces, between which others have their turn. */
static int reserve_each(struct node *n, struct reserve *r,
                        bool (*fn)(struct node *n, uint64_t index, void **spare),
                        bool (*stop)(void))
{
    bool done = true;

    for (uint64_t i = r->first; i < r->end && done;) {
        if (stop != NULL && stop()) {
            return -LINUX_EINTR;
        }
        mutex_lock(&contents);
        for (uint64_t end = MIN(r->end, i + RESERVE_PIECE); i < end && done; i++) {
            done = fn(n, i, &r->spare);
        }
        mutex_unlock(&contents);
    }
    return done ? 0 : -ENOSPC;
}

/* Whether there may be room: what the file has already may all be of this part. */
static bool reserve_fits(const struct node *n, const struct reserve *r)
{
    uint64_t pages, left;

    node_room(&pages, &left);
    return r->end - r->first <= left + READ_ONCE(n->pages);
}

static void reserved(struct node *n, uint64_t size)
{
    mutex_lock(&contents);
    n->size = MAX(n->size, size);
    node_changed(n);
    mutex_unlock(&contents);
}

int node_reserve(struct node *n, uint64_t from, uint64_t len, bool keep_size, bool (*stop)(void))
{
    if (from > NODE_SIZE_MAX || len > NODE_SIZE_MAX - from) {
        return -LINUX_EFBIG;
    }
    struct reserve r = {.first = from / PAGE_SIZE, .end = DIV_ROUND_UP(from + len, PAGE_SIZE)};
    if (!reserve_fits(n, &r)) {
        return -ENOSPC;
    }
    int rc = reserve_each(n, &r, reserve_take, stop);
    rc = rc == 0 ? reserve_each(n, &r, reserve_place, NULL) : rc;
    if (rc == 0) {
        reserved(n, keep_size ? 0 : from + len);
    }
    while (r.spare != NULL) {
        drop_page(next_page(&r.spare));
    }
    return rc;
}

int node_page(struct node *n, uint64_t pos, void **page)
{
    int rc = -ENXIO;

    mutex_lock(&contents);
    if (pos < n->size) {
        *page = get_page(n, pos / PAGE_SIZE);
        rc = *page != NULL && page_share(*page) ? 0 : -ENOSPC;
    }
    mutex_unlock(&contents);
    return rc;
}
