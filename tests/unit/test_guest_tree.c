/*
 * The guest kernel's tree of files: names lead where they should however they are changed, bytes
 * stay what was written, all that is taken is given back, and what there is no room for is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fs/tree.h"
#include "kern/mem.h"
#include "kern/page.h"
#include "kern/wait.h"
#include "psm/clock.h"
#include "psm/random.h"

/* ---- what it stands on ---- */

static unsigned held;             /* pages, and objects */
static unsigned locks;            /* held now */
static uint64_t memory = 1 << 20; /* pages of the domain's */
static unsigned refuse_after = UINT32_MAX;
static nsec_t now = 1000;

struct fake_page {
    char bytes[PAGE_SIZE];
    unsigned refs;
};

void mutex_init(struct mutex *m, const char *name)
{
    m->class = strcmp(name, "contents") == 0 ? 2 : 1;
    m->owner = NULL;
}

/* "tree" comes before "contents". */
void mutex_lock(struct mutex *m)
{
    assert_true((locks & m->class) == 0 && locks < m->class);
    locks |= m->class;
}

void mutex_unlock(struct mutex *m)
{
    assert_true((locks & m->class) != 0);
    locks &= ~(unsigned)m->class;
}

static bool refused(void)
{
    return refuse_after == 0 || (refuse_after != UINT32_MAX && refuse_after-- == 0);
}

void *kzalloc(size_t size)
{
    void *p = refused() ? NULL : calloc(1, size);

    held += p != NULL;
    return p;
}

void *kmalloc(size_t size)
{
    return kzalloc(size);
}

void kfree(void *p)
{
    held -= p != NULL;
    free(p);
}

void *page_alloc_zeroed(unsigned order)
{
    if (order != 0) { /* the table of names, which stays */
        return kzalloc((size_t)PAGE_SIZE << order);
    }
    struct fake_page *p = kzalloc(sizeof(*p));
    if (p != NULL) {
        p->refs = 1;
    }
    return p;
}

bool page_share(void *page)
{
    ((struct fake_page *)page)->refs++;
    return true;
}

void page_drop(void *page)
{
    if (--((struct fake_page *)page)->refs == 0) {
        kfree(page);
    }
}

uint64_t page_count(void)
{
    return memory;
}

bool page_users_may_take(void)
{
    return true;
}

nsec_t clock_wall(void)
{
    return now;
}

uint32_t random_u32(void)
{
    return 12345;
}

/* ---- paths ---- */

static char text[TREE_PATH_SIZE];

static void copy(char *to, size_t size, const char *from)
{
    assert_true((size_t)snprintf(to, size, "%s", from) < size);
}

static int walk(const char *path, bool follow, struct place *place)
{
    assert_true(strlen(path) < sizeof(text));
    copy(text, sizeof(text), path);
    return tree_walk(tree_root(), text, follow, place);
}

/* What is at a path, which has a name; NULL: nothing. */
static struct node *at(const char *path)
{
    struct place place;
    struct node *n = NULL;

    if (walk(path, true, &place) == 0) {
        n = place.node;
        place_put(&place);
    }
    return n;
}

static int make(const char *path, uint32_t mode)
{
    struct node *n = node_new(mode);
    struct place place;
    int rc = n == NULL ? -ENOSPC : walk(path, false, &place);

    if (rc == 0) {
        rc = place_free(&place, node_is(n, NODE_DIR));
        rc = rc == 0 ? tree_link(&place, n) : rc;
        place_put(&place);
    }
    node_put(n);
    return rc;
}

static int make_link(const char *path, const char *target)
{
    int rc = make(path, NODE_SYMLINK | 0777);
    struct place place;

    if (rc == 0) {
        assert_int_equal(walk(path, false, &place), 0);
        rc = node_set_target(place.node, target, strlen(target));
        place_put(&place);
    }
    return rc;
}

static int unmake(const char *path, bool folder)
{
    struct place place;
    int rc = walk(path, false, &place);

    if (rc == 0) {
        rc = tree_remove(&place, folder);
        place_put(&place);
    }
    return rc;
}

static int change_name(const char *from, const char *to)
{
    static char other[TREE_PATH_SIZE];
    struct place a, b;
    int rc = walk(from, false, &a);

    copy(other, sizeof(other), to);
    if (rc == 0) {
        rc = tree_walk(tree_root(), other, false, &b);
        if (rc == 0) {
            rc = tree_rename(&a, &b, true);
            place_put(&b);
        }
        place_put(&a);
    }
    return rc;
}

static unsigned at_start;

static int begin(void **state)
{
    (void)state;
    refuse_after = UINT32_MAX;
    memory = 1 << 20;
    locks = 0;
    if (tree_root() == NULL) {
        assert_non_null(tree_boot());
    }
    tree_lock();
    at_start = held;
    return 0;
}

static int nothing_is_left(void **state)
{
    (void)state;
    refuse_after = UINT32_MAX;
    assert_int_equal(held, at_start);
    assert_int_equal(node_taken(), 1); /* the root */
    tree_unlock();
    assert_int_equal(locks, 0);
    return 0;
}

static void names_lead_to_nodes(void **state)
{
    struct place place;
    char path[64];

    (void)state;
    assert_int_equal(make("/a", NODE_DIR | 0755), 0);
    assert_int_equal(make("/a/b/", NODE_DIR | 0755), 0);
    assert_int_equal(make("/a/f/", NODE_FILE | 0644), -ENOENT);
    assert_int_equal(make("a/f", NODE_FILE | 0644), 0);
    assert_int_equal(make("a/f", NODE_FILE | 0644), -EEXIST);
    assert_int_equal(make("a/f/x", NODE_FILE | 0644), -ENOTDIR);
    assert_int_equal(make("x/f", NODE_FILE | 0644), -ENOENT);
    assert_ptr_equal(at("//a/./b/../f"), at("a/f"));
    assert_ptr_equal(at("/../../a"), at("a"));
    assert_null(at("a/f/"));
    assert_null(at("a/f/."));
    assert_string_equal(tree_path(at("a/b"), path, sizeof(path)), "/a/b");
    assert_string_equal(tree_path(tree_root(), path, sizeof(path)), "/");
    assert_null(tree_path(at("a/b"), path, 4));
    assert_non_null(tree_path(at("a/b"), path, 5));
    assert_int_equal(walk("a/none", true, &place), 0);
    assert_null(place.node);
    assert_ptr_equal(place.dir, at("a") == NULL ? NULL : place.dir);
    place_put(&place);
    assert_int_equal(at("a")->nlink, 2);
    assert_int_equal(unmake("a", true), -ENOTEMPTY);
    assert_int_equal(unmake("a", false), -EISDIR);
    assert_int_equal(unmake("a/f", true), -ENOTDIR);
    assert_int_equal(unmake("a/b/.", true), -EINVAL);
    assert_int_equal(unmake("/", true), -EBUSY);
    assert_int_equal(unmake("a/none", false), -ENOENT);
    assert_int_equal(unmake("a/b", true), 0);
    assert_int_equal(unmake("a/f", false), 0);
    assert_int_equal(unmake("a", true), 0);
}

static void links_are_followed_so_far(void **state)
{
    char name[8], target[300];

    (void)state;
    assert_int_equal(make("d", NODE_DIR | 0755), 0);
    assert_int_equal(make("d/f", NODE_FILE | 0644), 0);
    assert_int_equal(make_link("l", "d"), 0);
    assert_int_equal(make_link("d/up", "../d/f"), 0);
    assert_int_equal(make_link("d/abs", "/l/up"), 0);
    assert_int_equal(make_link("root", "/"), 0);
    assert_int_equal(make_link("self", "self"), 0);
    assert_ptr_equal(at("l/abs"), at("d/f"));
    assert_ptr_equal(at("root"), tree_root());
    assert_ptr_equal(at("root/root/d"), at("l"));
    assert_null(at("self"));
    assert_int_equal(unmake("root/", true), -EBUSY);
    /* As many as may be, and one more. */
    for (unsigned i = 0; i <= TREE_LINKS_MAX; i++) {
        snprintf(name, sizeof(name), "k%u", i);
        snprintf(target, sizeof(target), i == 0 ? "d/f" : "k%u", i - 1);
        assert_int_equal(make_link(name, target), 0);
    }
    assert_ptr_equal(at("k39"), at("d/f"));
    assert_null(at("k40"));
    /* Of a link and what is behind it no path may become too long. */
    memset(target, 'x', sizeof(target));
    target[250] = '\0';
    assert_int_equal(make_link("far", target), 0);
    static char path[TREE_PATH_SIZE];
    copy(path, sizeof(path), "far");
    memset(path + 3, '/', sizeof(path) - 4);
    path[TREE_PATH_SIZE - 1] = '\0';
    struct place place;
    assert_int_equal(walk(path, true, &place), -ENAMETOOLONG);
    memset(target, 'y', sizeof(target));
    target[TREE_NAME_MAX + 1] = '\0';
    assert_int_equal(walk(target, true, &place), -ENAMETOOLONG);
    for (unsigned i = 0; i <= TREE_LINKS_MAX; i++) {
        snprintf(name, sizeof(name), "k%u", i);
        assert_int_equal(unmake(name, false), 0);
    }
    static const char *const all[] = {"far", "self", "root", "d/abs", "d/up", "l", "d/f"};
    for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
        assert_int_equal(unmake(all[i], false), 0);
    }
    assert_int_equal(unmake("d", true), 0);
}

/* A path that is short, but long by its links, is not followed to its end with the tree held. */
static void steps_are_counted(void **state)
{
    static char target[1900];
    char name[8];
    struct place place;

    (void)state;
    assert_int_equal(make("f", NODE_FILE | 0644), 0);
    for (unsigned i = 0; i < 6; i++) {
        for (unsigned j = 0; j < 900; j++) {
            memcpy(target + 2 * j, "./", sizeof("./"));
        }
        snprintf(name, sizeof(name), "s%u", i - 1);
        copy(target + 1800, sizeof(target) - 1800, i == 0 ? "f" : name);
        snprintf(name, sizeof(name), "s%u", i);
        assert_int_equal(make_link(name, target), 0);
    }
    assert_ptr_equal(at("s3"), at("f"));
    assert_int_equal(walk("s4", true, &place), -LINUX_ELOOP);
    for (unsigned i = 0; i < 6; i++) {
        snprintf(name, sizeof(name), "s%u", i);
        assert_int_equal(unmake(name, false), 0);
    }
    assert_int_equal(unmake("f", false), 0);
}

static void names_change(void **state)
{
    struct place place;

    (void)state;
    assert_int_equal(make("a", NODE_DIR | 0755), 0);
    assert_int_equal(make("a/b", NODE_DIR | 0755), 0);
    assert_int_equal(make("c", NODE_DIR | 0755), 0);
    assert_int_equal(make("f", NODE_FILE | 0644), 0);
    assert_int_equal(make("g", NODE_FILE | 0644), 0);
    const struct node *g = at("g");
    assert_int_equal(change_name("g", "f"), 0);
    assert_ptr_equal(at("f"), g);
    assert_int_equal(change_name("f", "f"), 0);
    assert_int_equal(change_name("a", "a/b/c"), -EINVAL);
    assert_int_equal(change_name("a", "a"), 0);
    assert_int_equal(change_name("c", "a"), -ENOTEMPTY);
    assert_int_equal(change_name("c", "f"), -ENOTDIR);
    assert_int_equal(change_name("f", "c"), -EISDIR);
    assert_int_equal(change_name("a/.", "x"), -EBUSY);
    assert_int_equal(change_name("/", "x"), -EBUSY);
    assert_int_equal(change_name("c", "a/.."), -EBUSY);
    assert_int_equal(change_name("none", "x"), -ENOENT);
    assert_int_equal(change_name("f", "x/"), -ENOENT);
    assert_int_equal(change_name("a/b", "c"), 0); /* which is empty */
    assert_int_equal(at("a")->nlink, 1);
    assert_int_equal(change_name("c", "a/c"), 0);
    assert_ptr_equal(at("a/c/.."), at("a"));
    /* Two names are one file, and of a folder there are none. */
    assert_int_equal(walk("a/h", false, &place), 0);
    assert_int_equal(tree_link(&place, at("f") == NULL ? NULL : (struct node *)(uintptr_t)g), 0);
    place_put(&place);
    assert_int_equal(g->nlink, 2);
    assert_int_equal(walk("a/i", false, &place), 0);
    assert_int_equal(tree_link(&place, place.dir), -EPERM);
    place_put(&place);
    assert_int_equal(unmake("f", false), 0);
    assert_ptr_equal(at("a/h"), g);
    /* What is removed lives on for who has it, and takes nothing up. */
    assert_int_equal(walk("a/c", false, &place), 0);
    assert_int_equal(unmake("a/c", true), 0);
    struct place inside;
    copy(text, sizeof(text), "x");
    assert_int_equal(tree_walk(place.node, text, false, &inside), 0);
    assert_int_equal(place_free(&inside, false), -ENOENT);
    place_put(&inside);
    copy(text, sizeof(text), "../x");
    assert_int_equal(tree_walk(place.node, text, false, &inside), -ENOENT);
    char path[64];
    assert_null(tree_path(place.node, path, sizeof(path)));
    place_put(&place);
    assert_int_equal(unmake("a/h", false), 0);
    assert_int_equal(unmake("a", true), 0);
}

static unsigned listed;
static uint64_t go_on;
static unsigned at_most;

static bool list_one(const struct tree_entry *e, void *arg)
{
    char *seen = arg;
    char *end = NULL;
    unsigned i;
    char name[16];

    assert_true(e->len < sizeof(name));
    memcpy(name, e->name, e->len);
    name[e->len] = '\0';
    if (at_most == 0) {
        return false;
    }
    at_most--;
    go_on = e->next;
    listed++;
    i = name[0] == 'n' ? (unsigned)strtoul(name + 1, &end, 10) : 0;
    if (end != NULL && *end == '\0') {
        seen[i]++;
    } else {
        assert_true(strcmp(name, ".") == 0 || strcmp(name, "..") == 0);
    }
    return true;
}

static void lists_stay_right(void **state)
{
    char seen[100] = "", path[16];

    (void)state;
    assert_int_equal(make("d", NODE_DIR | 0755), 0);
    for (unsigned i = 0; i < 50; i++) {
        snprintf(path, sizeof(path), "d/n%u", i);
        assert_int_equal(make(path, NODE_FILE | 0644), 0);
    }
    listed = 0;
    for (go_on = 0, at_most = 7; at_most == 7;) {
        tree_list(at("d"), go_on, list_one, seen);
        /* Behind, and in front of, where it goes on. */
        snprintf(path, sizeof(path), "d/n%u", (unsigned)go_on / 2);
        (void)unmake(path, false);
        snprintf(path, sizeof(path), "d/n%u", 49u - (unsigned)go_on / 7);
        (void)unmake(path, false);
        at_most = at_most == 0 ? 7 : 0;
    }
    for (unsigned i = 0; i < 50; i++) {
        snprintf(path, sizeof(path), "d/n%u", i);
        if (at(path) != NULL) {
            assert_int_equal(seen[i], 1);
            assert_int_equal(unmake(path, false), 0);
        } else {
            assert_true(seen[i] <= 1);
        }
    }
    assert_int_equal(unmake("d", true), 0);
}

/* ---- bytes ---- */

static bool goes_on(void)
{
    return false;
}

static void bytes_are_what_was_written(void **state)
{
    static uint8_t model[40 * PAGE_SIZE], in[40 * PAGE_SIZE], base[5 * PAGE_SIZE + 77];
    struct node *n = node_new(NODE_FILE | 0644);
    size_t size = sizeof(base);
    unsigned seed = 1;

    (void)state;
    for (size_t i = 0; i < sizeof(base); i++) {
        base[i] = (uint8_t)(i * 7 + i / 251);
    }
    memcpy(model, base, sizeof(base));
    n->base = base;
    n->base_size = n->size = sizeof(base);
    for (unsigned i = 0; i < 3000; i++) {
        uint64_t pos = (uint64_t)rand_r(&seed) % (30 * PAGE_SIZE), old = pos;
        size_t len = (size_t)rand_r(&seed) % (i % 4 == 0 ? 5 * PAGE_SIZE : 300);

        switch (rand_r(&seed) % 8) {
        case 0: /* cut */
            if (pos < size) {
                memset(model + pos, 0, size - pos);
            }
            assert_int_equal(node_resize(n, pos), 0);
            size = pos;
            break;
        case 1: /* reserve */
            assert_int_equal(node_reserve(n, pos, len + 1, i % 2 == 0, goes_on), 0);
            size = i % 2 == 0 ? size : MAX(size, pos + len + 1);
            break;
        case 2: /* append */
            if (size + len <= sizeof(model)) {
                memset(in, (int)i, len);
                memset(model + size, (int)i, len);
                assert_int_equal(node_write(n, &pos, true, in, len), len);
                size += len;
                assert_int_equal(pos, len == 0 ? old : size);
            }
            break;
        default:
            memset(in, (int)i, len);
            memset(model + pos, (int)i, len);
            assert_int_equal(node_write(n, &pos, false, in, len), len);
            assert_int_equal(pos, old + len);
            size = len == 0 ? size : MAX(size, pos);
        }
        assert_int_equal(n->size, size);
        assert_int_equal(node_read(n, 0, in, sizeof(in)), size);
        assert_memory_equal(in, model, size);
        assert_int_equal(node_read(n, size, in, 1), 0);
    }
    for (size_t i = 0; i < sizeof(base); i++) {
        assert_int_equal(base[i], (uint8_t)(i * 7 + i / 251)); /* which is somebody else's */
    }
    node_put(n);
}

static void holes_take_nothing(void **state)
{
    struct node *n = node_new(NODE_FILE | 0644);
    uint64_t far = NODE_SIZE_MAX - 1, pos = far;
    char c = 0;

    (void)state;
    assert_int_equal(node_resize(n, NODE_SIZE_MAX), 0);
    assert_int_equal(node_resize(n, NODE_SIZE_MAX + 1), -LINUX_EFBIG);
    assert_int_equal(n->pages, 0);
    assert_int_equal(node_write(n, &pos, false, "xy", 2), 1);
    assert_int_equal(node_write(n, &pos, false, "z", 1), -LINUX_EFBIG);
    assert_int_equal(n->pages, 1);
    assert_int_equal(node_read(n, far, &c, 1), 1);
    assert_int_equal(c, 'x');
    assert_int_equal(node_read(n, far / 2, &c, 1), 1);
    assert_int_equal(c, 0);
    pos = 0;
    assert_int_equal(node_write(n, &pos, false, "a", 1), 1);
    assert_int_equal(node_reserve(n, NODE_SIZE_MAX, 1, true, goes_on), -LINUX_EFBIG);
    assert_int_equal(node_resize(n, 1), 0);
    assert_int_equal(n->pages, 1);
    assert_int_equal(node_resize(n, 0), 0);
    assert_int_equal(n->pages, 0);
    node_put(n);
}

static void shared_pages_are_the_files_own(void **state)
{
    struct node *n = node_new(NODE_FILE | 0644);
    uint64_t pos = 0;
    void *page;
    char c;

    (void)state;
    assert_int_equal(node_page(n, 0, &page), -ENXIO);
    assert_int_equal(node_write(n, &pos, false, "hello", 5), 5);
    assert_int_equal(node_page(n, 0, &page), 0);
    ((char *)page)[0] = 'J';
    assert_int_equal(node_read(n, 0, &c, 1), 1);
    assert_int_equal(c, 'J');
    assert_int_equal(node_resize(n, 0), 0); /* who has mapped it keeps it */
    assert_int_equal(((char *)page)[4], 'o');
    page_drop(page);
    node_put(n);
}

/* ---- no room ---- */

static void the_share_is_kept(void **state)
{
    struct node *n = node_new(NODE_FILE | 0644);
    static char piece[PAGE_SIZE];
    uint64_t pos = 0, pages, left;
    char path[16];
    unsigned names = 0;

    (void)state;
    memory = 128;
    while (node_write(n, &pos, false, piece, sizeof(piece)) > 0) {
    }
    assert_int_equal(node_write(n, &pos, false, piece, 1), -ENOSPC);
    node_room(&pages, &left);
    assert_int_equal(pages, 64);
    assert_true(left <= 1 && n->pages >= 60);
    assert_int_equal(node_reserve(n, pos, PAGE_SIZE * 3, false, goes_on), -ENOSPC);
    assert_int_equal(n->size, pos);
    uint64_t begin = 5;
    assert_int_equal(node_write(n, &begin, false, "over what is there", 18), 18);
    assert_int_equal(node_resize(n, 0), 0);
    for (snprintf(path, sizeof(path), "%u", names); make(path, NODE_FILE | 0644) == 0; names++) {
        snprintf(path, sizeof(path), "%u", names + 1);
    }
    assert_true(names > 500 && names < 3000);
    assert_int_equal(make("x", NODE_DIR | 0755), -ENOSPC);
    struct node *seen = node_new_fleeting(NODE_SYMLINK | 0777);
    assert_non_null(seen); /* /proc is there still */
    assert_int_equal(node_set_target(seen, "self", 4), 0);
    struct place place;
    assert_int_equal(walk("gone", false, &place), 0);
    assert_int_equal(tree_link(&place, seen), -EXDEV); /* it would be of no share */
    place_put(&place);
    node_put(seen);
    while (names-- > 0) {
        snprintf(path, sizeof(path), "%u", names);
        assert_int_equal(unmake(path, false), 0);
    }
    node_put(n);
}

static unsigned asked, stops_at;

/* Others have their turn whenever this is asked. */
static bool stops(void)
{
    assert_int_equal(locks & 2, 0);
    return asked++ == stops_at;
}

/* What is refused, or stopped, leaves what was reserved before, and what was taken is back. */
static void reserving_is_all_or_nothing(void **state)
{
    struct node *n = node_new(NODE_FILE | 0644);

    (void)state;
    memory = 2000;
    asked = 0;
    stops_at = UINT32_MAX;
    assert_int_equal(node_reserve(n, 0, PAGE_SIZE * 300, true, stops), 0);
    assert_true(asked >= 4);
    assert_int_equal(n->pages, 300);
    assert_int_equal(n->size, 0);
    uint64_t taken = node_taken();
    /* More than there is, at once. */
    asked = 0;
    assert_int_equal(node_reserve(n, 0, NODE_SIZE_MAX, false, stops), -ENOSPC);
    assert_int_equal(asked, 0);
    /* What does not fit only since all that is there is of another part. */
    assert_int_equal(node_reserve(n, PAGE_SIZE * 300, PAGE_SIZE * 900, false, stops), -ENOSPC);
    assert_true(asked > 10);
    assert_int_equal(n->pages, 300);
    assert_true(node_taken() <= taken + 4); /* tables, which are the file's */
    asked = 0;
    stops_at = 3;
    assert_int_equal(node_reserve(n, 0, PAGE_SIZE * 600, false, stops), -LINUX_EINTR);
    assert_int_equal(n->pages, 300);
    assert_int_equal(n->size, 0);
    assert_true(node_taken() <= taken + 4);
    stops_at = UINT32_MAX;
    assert_int_equal(node_reserve(n, 0, PAGE_SIZE * 900, false, stops), 0); /* of which 300 are */
    assert_int_equal(n->size, PAGE_SIZE * 900);
    assert_int_equal(n->pages, 900);
    node_put(n);
}

/* Whichever of its requests finds no memory, all is as it was, or done. */
static void memory_may_fail_anywhere(void **state)
{
    static char piece[3 * PAGE_SIZE];

    (void)state;
    for (unsigned i = 0; i < 40; i++) {
        struct node *n;
        uint64_t pos = 600 * PAGE_SIZE - 5;

        refuse_after = i;
        (void)make("d", NODE_DIR | 0755);
        (void)make("d/f", NODE_FILE | 0644);
        (void)make_link("d/l", "f");
        n = at("d/f");
        if (n != NULL) {
            (void)node_write(n, &pos, false, piece, sizeof(piece));
            int rc = node_reserve(n, 0, 5 * PAGE_SIZE, false, goes_on);
            assert_true(rc == 0 || rc == -ENOSPC);
        }
        (void)change_name("d/f", "g");
        refuse_after = UINT32_MAX;
        (void)unmake("g", false);
        (void)unmake("d/f", false);
        (void)unmake("d/l", false);
        (void)unmake("d", true);
        assert_int_equal(held, at_start);
    }
}

/* An archive's names, whatever they are. */
static void archives_become_trees(void **state)
{
    static const struct {
        const char *path;
        uint32_t mode;
    } entries[] = {{"a/b/c", NODE_FILE | 0644},   {"a", NODE_DIR | 0700},
                   {"l", NODE_SYMLINK | 0777},    {"a/b/c", NODE_FILE | 0600},
                   {"a/b/c/d", NODE_FILE | 0600}, {"a", NODE_FILE | 0600}};
    static const int results[] = {0, 0, 0, 0, -ENOTDIR, -ENOTEMPTY};
    char *room = text;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(entries); i++) {
        struct node *n = node_new(entries[i].mode);
        const char *path = entries[i].path;

        assert_int_equal(tree_link_at(path, strlen(path), n, room), results[i]);
        node_put(n);
    }
    assert_int_equal(at("a")->mode, NODE_DIR | 0700);
    assert_int_equal(at("a/b")->mode, NODE_DIR | 0755);
    assert_int_equal(at("a/b/c")->mode, NODE_FILE | 0600);
    assert_int_equal(unmake("a/b/c", false), 0);
    assert_int_equal(unmake("a/b", true), 0);
    assert_int_equal(unmake("a", true), 0);
    assert_int_equal(unmake("l", false), 0);
}

static struct node *find_other(struct node *dir, const char *name, size_t len)
{
    (void)dir;
    return len == 5 && memcmp(name, "other", len) == 0 ? node_new_fleeting(NODE_FILE | 0444) : NULL;
}

static void list_nothing(struct node *dir, uint64_t from, tree_fn *fn, void *arg)
{
    (void)dir;
    (void)from;
    (void)fn;
    (void)arg;
}

/* Where an archive has a folder that is somebody's own (/proc), his names are what is there. */
static void a_folder_is_taken_over(void **state)
{
    static const struct folder folder = {.find = find_other, .list = list_nothing};
    char room[TREE_PATH_SIZE];
    struct place place;

    (void)state;
    assert_int_equal(make("p", NODE_DIR | 0755), 0);
    assert_int_equal(make("p/hidden", NODE_FILE | 0644), 0);
    struct node *n = node_new(NODE_DIR | 0555);
    n->own = &folder;
    assert_int_equal(tree_link_at("p", 1, n, room), 0);
    node_put(n);
    assert_int_equal(at("p")->mode, NODE_DIR | 0555);
    assert_null(at("p/hidden"));
    assert_int_equal(walk("p/other", true, &place), 0);
    assert_non_null(place.node);
    place_put(&place);
    assert_int_equal(make("p/x", NODE_FILE | 0644), -EACCES);
    assert_int_equal(unmake("p", true), -EBUSY);
    at("p")->own = NULL;
    assert_int_equal(unmake("p/hidden", false), 0);
    assert_int_equal(unmake("p", true), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_lead_to_nodes, begin, nothing_is_left),
        cmocka_unit_test_setup_teardown(links_are_followed_so_far, begin, nothing_is_left),
        cmocka_unit_test_setup_teardown(steps_are_counted, begin, nothing_is_left),
        cmocka_unit_test_setup_teardown(names_change, begin, nothing_is_left),
        cmocka_unit_test_setup_teardown(lists_stay_right, begin, nothing_is_left),
        cmocka_unit_test_setup_teardown(bytes_are_what_was_written, begin, nothing_is_left),
        cmocka_unit_test_setup_teardown(holes_take_nothing, begin, nothing_is_left),
        cmocka_unit_test_setup_teardown(shared_pages_are_the_files_own, begin, nothing_is_left),
        cmocka_unit_test_setup_teardown(the_share_is_kept, begin, nothing_is_left),
        cmocka_unit_test_setup_teardown(reserving_is_all_or_nothing, begin, nothing_is_left),
        cmocka_unit_test_setup_teardown(memory_may_fail_anywhere, begin, nothing_is_left),
        cmocka_unit_test_setup_teardown(archives_become_trees, begin, nothing_is_left),
        cmocka_unit_test_setup_teardown(a_folder_is_taken_over, begin, nothing_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
