/*
 * rootfs.c - names, files and folders of the archive: see rootfs.h.
 *
 * A path is worked off component by component: `todo` is what is left of it, `done` the way so far
 * without links, "." and "..". A link puts its target in front of what is left.
 */
#include "syscall/rootfs.h"

#include "hat/layout.h"
#include "hat/p2m.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "os/start_info.h"
#include "vm/vm.h"

#define LINKS_MAX 16
#define SECTOR    512
#define DT_SHIFT  12 /* a record's type is the mode's upper bits */

static struct cpio root;
static const struct cpio_entry root_dir = {.name = "", .mode = CPIO_DIR | 0755, .nlink = 1};

void rootfs_boot(void)
{
    const char *why = NULL;

    if (start_info->mod_len == 0) {
        return;
    }
    if (start_info->flags & SIF_MOD_START_PFN || start_info->mod_start < KERNEL_BASE) {
        log_err("ramdisk: it is not mapped where this kernel looks");
        return;
    }
    /* The builder's mapping is gone; the page stays where it was, nobody else's. */
    const char *data =
        (const char *)pfn_to_virt(PFN((start_info->mod_start - KERNEL_BASE) >> PAGE_SHIFT)) +
        start_info->mod_start % PAGE_SIZE;
    int rc = cpio_open(data, start_info->mod_len, &root, &why);
    if (rc != 0) {
        log_err("ramdisk: %s", why != NULL ? why : errno_name(rc));
        return;
    }
    log_info("ramdisk: %lu KiB, %lu names", start_info->mod_len >> 10, (unsigned long)root.count);
}

/* ---- names ---- */

struct walk {
    char todo[PATH_SIZE], done[PATH_SIZE], link[PATH_SIZE];
    size_t done_len;
    unsigned links;
};

/* Forget the last component of the way so far. */
static void step_up(struct walk *w)
{
    while (w->done_len != 0 && w->done[--w->done_len] != '/') {
    }
    w->done[w->done_len] = '\0';
}

/* Append a component. False: it became too long. */
static bool step_down(struct walk *w, const char *name, size_t len)
{
    size_t slash = w->done_len != 0;

    if (w->done_len + slash + len >= sizeof(w->done)) {
        return false;
    }
    if (slash != 0) {
        w->done[w->done_len] = '/';
    }
    memcpy(w->done + w->done_len + slash, name, len);
    w->done_len += slash + len;
    w->done[w->done_len] = '\0';
    return true;
}

static struct node node_at(const struct walk *w)
{
    struct node node = {.device = dev_find(w->done)};

    if (node.device == NULL) {
        node.entry = cpio_find(&root, w->done, w->done_len);
        node.entry = node.entry == NULL && w->done_len == 0 ? &root_dir : node.entry;
    }
    return node;
}

static uint32_t node_type(const struct node *node)
{
    return node->entry != NULL ? node->entry->mode & CPIO_TYPE : S_IFCHR;
}

/* Put a link's target in front of @rest. */
static int follow_link(struct walk *w, const struct cpio_entry *e, const char *rest)
{
    size_t len = e->size, rest_len = strlen(rest);

    if (w->links++ == LINKS_MAX) {
        return -LINUX_ELOOP;
    }
    if (len == 0 || len + 1 + rest_len + 1 > sizeof(w->link)) {
        return len == 0 ? -ENOENT : -ENAMETOOLONG;
    }
    memcpy(w->link, e->data, len);
    w->link[len] = '/';
    memcpy(w->link + len + 1, rest, rest_len + 1);
    w->link[rest_len == 0 ? len : len + 1 + rest_len] = '\0';
    memcpy(w->todo, w->link, sizeof(w->todo));
    step_up(w);
    if (w->todo[0] == '/') {
        w->done_len = 0;
        w->done[0] = '\0';
    }
    return 0;
}

/* Work off the first component of `todo`; @at moves on. */
static int walk_step(struct walk *w, const char **at, bool follow, struct node *node)
{
    const char *name = *at;
    const char *end = strchr(name, '/');
    size_t len = end != NULL ? (size_t)(end - name) : strlen(name);
    const char *rest = name + len;

    while (*rest == '/') {
        rest++;
    }
    *at = rest;
    if (node_type(node) != CPIO_DIR) {
        return -ENOTDIR;
    }
    if (len == 2 && name[0] == '.' && name[1] == '.') {
        step_up(w);
    } else if (len != 1 || name[0] != '.') {
        if (!step_down(w, name, len)) {
            return -ENAMETOOLONG;
        }
    }
    *node = node_at(w);
    if (node->entry == NULL && node->device == NULL) {
        return -ENOENT;
    }
    if (node_type(node) == CPIO_SYMLINK && (end != NULL || follow)) {
        int rc = follow_link(w, node->entry, rest);

        *at = w->todo + (w->todo[0] == '/');
        *node = node_at(w);
        return rc;
    }
    return 0;
}

static int walk_path(struct walk *w, const char *cwd, const char *path, bool follow,
                     struct node *node)
{
    int n = snprintf(w->todo, sizeof(w->todo), "%s/%s", path[0] == '/' ? "" : cwd, path);
    const char *at = w->todo;
    int rc = 0;

    if (path[0] == '\0' || (size_t)n >= sizeof(w->todo)) {
        return path[0] == '\0' ? -ENOENT : -ENAMETOOLONG;
    }
    *node = node_at(w);
    while (rc == 0) {
        while (*at == '/') {
            at++;
        }
        if (*at == '\0') {
            break;
        }
        rc = walk_step(w, &at, follow, node);
    }
    return rc;
}

int rootfs_find(const char *cwd, const char *path, bool follow, struct node *node, char *canonical)
{
    struct walk *w = kzalloc(sizeof(*w));

    if (w == NULL) {
        return -ENOMEM;
    }
    int rc = walk_path(w, cwd, path, follow, node);
    if (rc == 0 && canonical != NULL &&
        (size_t)snprintf(canonical, PATH_SIZE, "/%s", w->done) >= PATH_SIZE) {
        rc = -ENAMETOOLONG;
    }
    kfree(w);
    return rc;
}

/* ---- files ---- */

/* A file's bytes as pages begin with them. */
struct entry_source {
    struct vm_source source;
    const struct cpio_entry *entry;
};

static void entry_copy(const struct cpio_entry *e, uint64_t pos, void *buf, size_t n)
{
    memcpy(buf, e->data + pos, n);
}

static int entry_source_read(struct vm_source *source, uint64_t offset, void *buf, size_t len)
{
    const struct cpio_entry *e = CONTAINER_OF(source, struct entry_source, source)->entry;

    if (offset < e->size) {
        entry_copy(e, offset, buf, MIN(e->size - offset, len));
    }
    return 0;
}

static void entry_source_free(struct vm_source *source)
{
    kfree(CONTAINER_OF(source, struct entry_source, source));
}

static struct vm_source *entry_file_source(const struct file *f)
{
    struct entry_source *s = kmalloc(sizeof(*s));

    if (s == NULL) {
        return NULL;
    }
    *s = (struct entry_source){
        .source = {.refs = 1, .read = entry_source_read, .free = entry_source_free},
        .entry = f->entry};
    return &s->source;
}

static ssize_t entry_file_read(struct file *f, uint64_t pos, void *buf, size_t n)
{
    if (file_is_dir(f)) {
        return -EISDIR;
    }
    if (pos >= f->entry->size) {
        return 0;
    }
    n = MIN(n, f->entry->size - pos);
    entry_copy(f->entry, pos, buf, n);
    return (ssize_t)n;
}

static void entry_file_stat(const struct file *f, struct abi_stat *st)
{
    rootfs_stat(&(struct node){.entry = f->entry}, st);
}

static const struct file_ops entry_ops = {.read = entry_file_read,
                                          .stat = entry_file_stat,
                                          .source = entry_file_source,
                                          .seekable = true};

bool file_is_dir(const struct file *f)
{
    return f->entry != NULL && (f->entry->mode & CPIO_TYPE) == CPIO_DIR;
}

void rootfs_stat(const struct node *node, struct abi_stat *st)
{
    const struct cpio_entry *e = node->entry;

    *st = (struct abi_stat){.blksize = PAGE_SIZE, .nlink = 1};
    if (e == NULL) {
        st->mode = S_IFCHR | 0666;
        return;
    }
    st->ino = e->ino;
    st->nlink = e->nlink;
    st->mode = e->mode;
    st->uid = e->uid;
    st->gid = e->gid;
    st->size = e->size;
    st->blocks = DIV_ROUND_UP((int64_t)e->size, SECTOR);
    st->atime = st->mtime = st->ctime = e->mtime;
}

static int open_check(const struct node *node, unsigned flags)
{
    uint32_t type = node_type(node);

    if ((flags & O_CREAT) && (flags & O_EXCL)) {
        return -EEXIST;
    }
    if ((flags & O_DIRECTORY) && type != CPIO_DIR) {
        return -ENOTDIR;
    }
    if (type == CPIO_SYMLINK) {
        return -LINUX_ELOOP;
    }
    if (node->entry != NULL && type != CPIO_DIR && type != CPIO_FILE) {
        return -ENXIO; /* a device that the archive names and we do not have */
    }
    if (node->entry != NULL && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC))) {
        return type == CPIO_DIR ? -EISDIR : -EROFS;
    }
    return 0;
}

int rootfs_open(const char *cwd, const char *path, unsigned flags, struct file **out)
{
    struct node node;
    int rc = rootfs_find(cwd, path, (flags & O_NOFOLLOW) == 0, &node, NULL);

    if (rc != 0) {
        return rc == -ENOENT && (flags & O_CREAT) ? -EROFS : rc;
    }
    rc = open_check(&node, flags);
    if (rc != 0) {
        return rc;
    }
    *out = file_new(node.entry != NULL ? &entry_ops : node.device, flags);
    if (*out == NULL) {
        return -ENOMEM;
    }
    (*out)->entry = node.entry;
    return 0;
}

/* ---- folders ---- */

/* The name of an entry inside a folder, NULL if it is not there, or not the one that counts. */
static const char *name_inside(const struct cpio_entry *dir, const struct cpio_entry *e,
                               size_t *len)
{
    size_t skip = dir->name_len + (dir->name_len != 0);

    if (e->name_len <= skip || memcmp(e->name, dir->name, dir->name_len) != 0 ||
        (dir->name_len != 0 && e->name[dir->name_len] != '/') ||
        memchr(e->name + skip, '/', e->name_len - skip) != NULL ||
        cpio_find(&root, e->name, e->name_len) != e) {
        return NULL;
    }
    *len = e->name_len - skip;
    return e->name + skip;
}

ssize_t rootfs_dirents(const struct cpio_entry *dir, uint64_t *pos, char *buf, size_t size)
{
    static const char *const dots[] = {".", ".."};
    size_t used = 0;

    for (; *pos < root.count + ARRAY_SIZE(dots); (*pos)++) {
        bool is_dot = *pos < ARRAY_SIZE(dots);
        const struct cpio_entry *e = is_dot ? dir : &root.entries[*pos - ARRAY_SIZE(dots)];
        size_t len = is_dot ? *pos + 1 : 0;
        const char *name = is_dot ? dots[*pos] : name_inside(dir, e, &len);
        size_t reclen = ROUND_UP(sizeof(struct abi_dirent) + len + 1, sizeof(uint64_t));

        if (name == NULL) {
            continue;
        }
        if (reclen > size - used) {
            return used != 0 ? (ssize_t)used : -EINVAL;
        }
        struct abi_dirent *d = (struct abi_dirent *)(buf + used);
        memset(d, 0, reclen);
        d->ino = e->ino;
        d->off = (int64_t)*pos + 1;
        d->reclen = (uint16_t)reclen;
        d->type = (uint8_t)(e->mode >> DT_SHIFT);
        memcpy(d->name, name, len);
        used += reclen;
    }
    return (ssize_t)used;
}
