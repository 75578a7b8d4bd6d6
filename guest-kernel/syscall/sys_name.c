/*
 * sys_name.c - calls on names.
 *
 * Most calls are there twice: with a folder's descriptor for where a path begins, and without,
 * which is the first with the current folder.
 */
#include "kern/mem.h"
#include "kern/string.h"
#include "psm/clock.h"
#include "syscall/calls.h"
#include "syscall/paths.h"
#include "syscall/rootfs.h"
#include "syscall/times.h"

#define ANY_X      0111u
#define X_OK       1u
#define UTIME_NOW  0x3fffffff
#define UTIME_OMIT 0x3ffffffe
#define NO_OWNER   UINT32_MAX /* leave it as it is */

#define TMPFS_MAGIC 0x01021994
#define PROC_MAGIC  0x9fa0

#define HERE ((uint64_t)AT_FDCWD)

/* The same call by another of its names. */
static int64_t call_as(const struct call *c, call_fn *fn, uint64_t a0, uint64_t a1, uint64_t a2,
                       uint64_t a3)
{
    struct call as = *c;

    as.a[0] = a0;
    as.a[1] = a1;
    as.a[2] = a2;
    as.a[3] = a3;
    as.a[4] = as.a[5] = 0;
    return fn(&as);
}

/* ---- where a path begins, and leads to ---- */

/* A reference to the folder that a path begins in. */
static int start_of(struct call *c, uint64_t dirfd, const char *path, struct node **start)
{
    if (path[0] == '/') {
        *start = node_get(tree_root());
        return 0;
    }
    if ((int)dirfd == AT_FDCWD) {
        *start = task_cwd(c->t);
        return 0;
    }
    struct file *f = fd_get(&c->t->fds, dirfd);
    if (f == NULL) {
        return -EBADF;
    }
    bool is_dir = f->node != NULL && node_is(f->node, NODE_DIR);
    if (is_dir) {
        *start = node_get(f->node);
    }
    file_put(f);
    return is_dir ? 0 : -ENOTDIR;
}

int path_copy(struct call *c, uint64_t dirfd, uint64_t address, struct path *p)
{
    *p = (struct path){.text = kmalloc(PATH_SIZE)};

    ssize_t rc = p->text == NULL ? -ENOMEM : string_from_user(p->text, UADDR(address), PATH_SIZE);
    rc = rc < 0 ? rc : start_of(c, dirfd, p->text, &p->start);
    if (rc != 0) {
        path_free(p);
    }
    return (int)rc;
}

void path_free(struct path *p)
{
    node_put(p->start);
    kfree(p->text);
    *p = (struct path){0};
}

/* Follow one that was copied. */
static int path_follow(struct path *p, bool follow)
{
    tree_lock();
    int rc = tree_walk(p->start, p->text, follow, &p->place);
    if (rc != 0) {
        path_end(p);
    }
    return rc;
}

int path_begin(struct call *c, uint64_t dirfd, uint64_t address, bool follow, struct path *p)
{
    int rc = path_copy(c, dirfd, address, p);

    return rc == 0 ? path_follow(p, follow) : rc;
}

int path_of(struct call *c, const char *text, size_t len, bool follow, struct path *p)
{
    *p = (struct path){.text = kmalloc(PATH_SIZE)};

    if (p->text == NULL) {
        return -ENOMEM;
    }
    memcpy(p->text, text, len);
    p->text[len] = '\0';
    int rc = start_of(c, HERE, p->text, &p->start);
    if (rc != 0) {
        path_free(p);
    }
    return rc == 0 ? path_follow(p, follow) : rc;
}

void path_end(struct path *p)
{
    place_put(&p->place);
    tree_unlock();
    path_free(p);
}

int path_node(struct call *c, uint64_t dirfd, uint64_t address, bool follow, struct node **node)
{
    struct path p;
    int rc = path_begin(c, dirfd, address, follow, &p);

    if (rc == 0) {
        rc = p.place.node == NULL ? -ENOENT : 0;
        if (rc == 0) {
            *node = node_get(p.place.node);
        }
        path_end(&p);
    }
    return rc;
}

/* ---- opening ---- */

unsigned path_mode(const struct call *c, uint64_t mode)
{
    return (unsigned)mode & NODE_BITS & ~__atomic_load_n(&c->t->umask, __ATOMIC_RELAXED);
}

int64_t sys_openat(struct call *c)
{
    unsigned flags = (unsigned)c->a[2];
    struct path p;
    struct file *f = NULL;
    int rc = path_copy(c, c->a[0], c->a[1], &p);

    if (rc == 0) {
        rc = rootfs_open(p.start, p.text, flags, path_mode(c, c->a[3]), &f);
        path_free(&p);
    }
    return rc == 0 ? fd_give(&c->t->fds, f, flags & O_CLOEXEC) : rc;
}

int64_t sys_open(struct call *c)
{
    return call_as(c, sys_openat, HERE, c->a[0], c->a[1], c->a[2]);
}

int64_t sys_creat(struct call *c)
{
    return call_as(c, sys_openat, HERE, c->a[0], O_CREAT | O_WRONLY | O_TRUNC, c->a[1]);
}

/* ---- looking ---- */

int64_t sys_newfstatat(struct call *c)
{
    struct abi_stat st;
    struct node *n;
    char first;

    if (c->a[3] & AT_EMPTY_PATH) {
        int rc = copy_from_user(&first, UADDR(c->a[1]), 1);

        if (rc != 0) {
            return rc;
        }
        if (first == '\0') {
            return call_as(c, sys_fstat, c->a[0], c->a[2], 0, 0);
        }
    }
    int rc = path_node(c, c->a[0], c->a[1], (c->a[3] & AT_SYMLINK_NOFOLLOW) == 0, &n);
    if (rc == 0) {
        rootfs_stat(n, &st);
        node_put(n);
        rc = copy_to_user(UADDR(c->a[2]), &st, sizeof(st));
    }
    return rc;
}

int64_t sys_stat(struct call *c)
{
    return call_as(c, sys_newfstatat, HERE, c->a[0], c->a[1], 0);
}

int64_t sys_lstat(struct call *c)
{
    return call_as(c, sys_newfstatat, HERE, c->a[0], c->a[1], AT_SYMLINK_NOFOLLOW);
}

/* Everybody is root, who may do all but run what nobody may. */
int64_t sys_faccessat(struct call *c)
{
    struct node *n;
    int rc = path_node(c, c->a[0], c->a[1], true, &n);

    if (rc == 0) {
        rc = (c->a[2] & X_OK) && !node_is(n, NODE_DIR) && (n->mode & ANY_X) == 0 ? -EACCES : 0;
        node_put(n);
    }
    return rc;
}

int64_t sys_access(struct call *c)
{
    return call_as(c, sys_faccessat, HERE, c->a[0], c->a[1], 0);
}

int64_t sys_readlinkat(struct call *c)
{
    struct node *n;
    int64_t rc = (int)c->a[3] <= 0 ? -EINVAL : path_node(c, c->a[0], c->a[1], false, &n);

    if (rc != 0) {
        return rc;
    }
    rc = -EINVAL;
    if (node_is(n, NODE_SYMLINK)) { /* which never changes */
        uint64_t size = MIN(c->a[3], n->size);

        rc = copy_to_user(UADDR(c->a[2]), n->base, size);
        rc = rc == 0 ? (int64_t)size : rc;
    }
    node_put(n);
    return rc;
}

int64_t sys_readlink(struct call *c)
{
    return call_as(c, sys_readlinkat, HERE, c->a[0], c->a[1], c->a[2]);
}

int64_t tell_statfs(const struct node *n, uint64_t to)
{
    struct abi_statfs st = {
        .type = PROC_MAGIC, .bsize = PAGE_SIZE, .namelen = TREE_NAME_MAX, .frsize = PAGE_SIZE};

    if (n->own == NULL) {
        st.type = TMPFS_MAGIC;
        node_room(&st.blocks, &st.bfree);
        st.bavail = st.bfree;
    }
    return copy_to_user(UADDR(to), &st, sizeof(st));
}

int64_t sys_statfs(struct call *c)
{
    struct node *n;
    int64_t rc = path_node(c, HERE, c->a[0], true, &n);

    if (rc == 0) {
        rc = tell_statfs(n, c->a[1]);
        node_put(n);
    }
    return rc;
}

/* ---- making ---- */

/* Give something new a name. @n: NULL: there was no memory. The reference is taken over. */
static int64_t make_name(struct call *c, uint64_t dirfd, uint64_t address, struct node *n)
{
    struct path p;
    int64_t rc = n == NULL ? -ENOSPC : path_begin(c, dirfd, address, false, &p);

    if (rc == 0) {
        rc = place_free(&p.place, node_is(n, NODE_DIR));
        rc = rc == 0 ? tree_link(&p.place, n) : rc;
        path_end(&p);
    }
    node_put(n);
    return rc;
}

int64_t sys_mkdirat(struct call *c)
{
    return make_name(c, c->a[0], c->a[1], node_new(NODE_DIR | path_mode(c, c->a[2])));
}

int64_t sys_mkdir(struct call *c)
{
    return call_as(c, sys_mkdirat, HERE, c->a[0], c->a[1], 0);
}

int64_t sys_symlinkat(struct call *c)
{
    char *target = kmalloc(PATH_SIZE);
    ssize_t len = target == NULL ? -ENOMEM : string_from_user(target, UADDR(c->a[0]), PATH_SIZE);

    if (len <= 0) {
        kfree(target);
        return len == 0 ? -ENOENT : len;
    }
    struct node *n = node_new(NODE_SYMLINK | 0777);
    int64_t rc = n == NULL ? -ENOSPC : node_set_target(n, target, (size_t)len);
    kfree(target);
    if (rc != 0) {
        node_put(n);
        return rc;
    }
    return make_name(c, c->a[1], c->a[2], n);
}

int64_t sys_symlink(struct call *c)
{
    return call_as(c, sys_symlinkat, c->a[0], HERE, c->a[1], 0);
}

int64_t sys_linkat(struct call *c)
{
    struct node *n;
    struct path p;

    if ((c->a[4] & ~(uint64_t)AT_SYMLINK_FOLLOW) != 0) {
        return -EINVAL;
    }
    int64_t rc = path_node(c, c->a[0], c->a[1], c->a[4] & AT_SYMLINK_FOLLOW, &n);
    if (rc != 0) {
        return rc;
    }
    rc = path_begin(c, c->a[2], c->a[3], false, &p);
    if (rc == 0) {
        rc = place_free(&p.place, false);
        rc = rc == 0 && n->nlink == 0 ? -ENOENT : rc; /* it was removed meanwhile */
        rc = rc == 0 ? tree_link(&p.place, n) : rc;
        path_end(&p);
    }
    node_put(n);
    return rc;
}

int64_t sys_link(struct call *c)
{
    return call_as(c, sys_linkat, HERE, c->a[0], HERE, c->a[1]);
}

/* ---- removing and renaming ---- */

int64_t sys_unlinkat(struct call *c)
{
    struct path p;
    int64_t rc = (c->a[2] & ~(uint64_t)AT_REMOVEDIR) != 0
                     ? -EINVAL
                     : path_begin(c, c->a[0], c->a[1], false, &p);

    if (rc == 0) {
        rc = tree_remove(&p.place, c->a[2] & AT_REMOVEDIR);
        path_end(&p);
    }
    return rc;
}

int64_t sys_unlink(struct call *c)
{
    return call_as(c, sys_unlinkat, HERE, c->a[0], 0, 0);
}

int64_t sys_rmdir(struct call *c)
{
    return call_as(c, sys_unlinkat, HERE, c->a[0], AT_REMOVEDIR, 0);
}

int64_t sys_renameat2(struct call *c)
{
    struct path from, to;

    if ((c->a[4] & ~(uint64_t)RENAME_NOREPLACE) != 0) {
        return -EINVAL;
    }
    int64_t rc = path_copy(c, c->a[0], c->a[1], &from);
    if (rc != 0) {
        return rc;
    }
    rc = path_begin(c, c->a[2], c->a[3], false, &to);
    if (rc == 0) {
        rc = tree_walk(from.start, from.text, false, &from.place);
        if (rc == 0) {
            rc = tree_rename(&from.place, &to.place, (c->a[4] & RENAME_NOREPLACE) == 0);
            place_put(&from.place);
        }
        path_end(&to);
    }
    path_free(&from);
    return rc;
}

int64_t sys_renameat(struct call *c)
{
    return call_as(c, sys_renameat2, c->a[0], c->a[1], c->a[2], c->a[3]);
}

int64_t sys_rename(struct call *c)
{
    return call_as(c, sys_renameat2, HERE, c->a[0], HERE, c->a[1]);
}

/* ---- what a node is ---- */

int64_t change_mode(struct node *n, uint64_t mode)
{
    tree_lock();
    n->mode = (n->mode & ~NODE_BITS) | ((uint32_t)mode & NODE_BITS);
    n->ctime = clock_wall();
    tree_unlock();
    return 0;
}

int64_t change_owner(struct node *n, uint32_t uid, uint32_t gid)
{
    tree_lock();
    n->uid = uid == NO_OWNER ? n->uid : uid;
    n->gid = gid == NO_OWNER ? n->gid : gid;
    n->ctime = clock_wall();
    tree_unlock();
    return 0;
}

int64_t sys_fchmodat(struct call *c)
{
    struct node *n;
    int64_t rc = path_node(c, c->a[0], c->a[1], true, &n);

    if (rc == 0) {
        rc = change_mode(n, c->a[2]);
        node_put(n);
    }
    return rc;
}

int64_t sys_chmod(struct call *c)
{
    return call_as(c, sys_fchmodat, HERE, c->a[0], c->a[1], 0);
}

int64_t sys_fchownat(struct call *c)
{
    struct node *n;
    int64_t rc = path_node(c, c->a[0], c->a[1], (c->a[4] & AT_SYMLINK_NOFOLLOW) == 0, &n);

    if (rc == 0) {
        rc = change_owner(n, (uint32_t)c->a[2], (uint32_t)c->a[3]);
        node_put(n);
    }
    return rc;
}

int64_t sys_chown(struct call *c)
{
    return call_as(c, sys_fchownat, HERE, c->a[0], c->a[1], c->a[2]);
}

int64_t sys_lchown(struct call *c)
{
    struct call as = *c;

    as.a[4] = AT_SYMLINK_NOFOLLOW;
    as.a[3] = c->a[2];
    as.a[2] = c->a[1];
    as.a[1] = c->a[0];
    as.a[0] = HERE;
    return sys_fchownat(&as);
}

/* A time that is to be set: as it is told, now, or @t as it was. */
static int time_of(const struct abi_timespec *ts, nsec_t *t)
{
    if (ts->nsec == UTIME_OMIT) {
        return 0;
    }
    if (ts->nsec == UTIME_NOW) {
        *t = clock_wall();
        return 0;
    }
    if (ts->nsec < 0 || ts->nsec >= (int64_t)NSEC_PER_SEC) {
        return -EINVAL;
    }
    /* What is before 1970, or behind what a number has room for, is at that end. */
    *t = ts->sec < 0
             ? 0
             : MIN((uint64_t)ts->sec, INT64_MAX / NSEC_PER_SEC) * NSEC_PER_SEC + (uint64_t)ts->nsec;
    return 0;
}

static int set_times(struct node *n, uint64_t from)
{
    struct abi_timespec ts[2] = {{.nsec = UTIME_NOW}, {.nsec = UTIME_NOW}};
    int rc = from == 0 ? 0 : copy_from_user(ts, UADDR(from), sizeof(ts));

    if (rc != 0) {
        return rc;
    }
    tree_lock();
    nsec_t atime = n->atime, mtime = n->mtime;
    rc = time_of(&ts[0], &atime);
    rc = rc == 0 ? time_of(&ts[1], &mtime) : rc;
    if (rc == 0) {
        n->atime = atime;
        n->mtime = mtime;
        n->ctime = clock_wall();
    }
    tree_unlock();
    return rc;
}

int64_t sys_utimensat(struct call *c)
{
    bool follow = (c->a[3] & AT_SYMLINK_NOFOLLOW) == 0;
    struct node *n;
    int64_t rc =
        c->a[1] == 0 ? node_of_descriptor(c, 0, &n) : path_node(c, c->a[0], c->a[1], follow, &n);

    if (rc == 0) {
        rc = set_times(n, c->a[2]);
        node_put(n);
    }
    return rc;
}

int64_t sys_truncate(struct call *c)
{
    struct node *n;
    int64_t rc = (int64_t)c->a[1] < 0 ? -EINVAL : path_node(c, HERE, c->a[0], true, &n);

    if (rc == 0) {
        rc = node_is_plain(n) ? node_resize(n, c->a[1]) : node_is(n, NODE_DIR) ? -EISDIR : -EINVAL;
        node_put(n);
    }
    return rc;
}

int64_t sys_umask(struct call *c)
{
    return __atomic_exchange_n(&c->t->umask, (unsigned)c->a[0] & 0777, __ATOMIC_RELAXED);
}

/* ---- the current folder ---- */

int64_t sys_getcwd(struct call *c)
{
    struct node *cwd = task_cwd(c->t);
    char *buf = c->u->page;

    tree_lock();
    const char *path = tree_path(cwd, buf, PATH_SIZE);
    tree_unlock();
    node_put(cwd);
    if (path == NULL) {
        return -ENOENT;
    }
    size_t size = (size_t)(buf + PATH_SIZE - path);
    int rc = c->a[1] < size ? -ERANGE : copy_to_user(UADDR(c->a[0]), path, size);
    return rc == 0 ? (int64_t)size : rc;
}

/* The reference is taken over. */
static int64_t go_to(struct call *c, struct node *dir)
{
    int64_t rc = node_is(dir, NODE_DIR) ? 0 : -ENOTDIR;

    if (rc == 0) {
        tree_lock();
        struct node *old = c->t->cwd;
        c->t->cwd = dir;
        tree_unlock();
        dir = old;
    }
    node_put(dir);
    return rc;
}

int64_t sys_chdir(struct call *c)
{
    struct node *n;
    int64_t rc = path_node(c, HERE, c->a[0], true, &n);

    return rc == 0 ? go_to(c, n) : rc;
}

int64_t sys_fchdir(struct call *c)
{
    struct node *n;
    int64_t rc = node_of_descriptor(c, 0, &n);

    return rc == 0 ? go_to(c, n) : rc == -EINVAL ? -ENOTDIR : rc;
}
