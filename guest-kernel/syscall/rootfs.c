/*
 * rootfs.c - the tree of files, and open files of it: see rootfs.h.
 */
#include "syscall/rootfs.h"

#include "fs/cpio.h"
#include "hat/layout.h"
#include "hat/p2m.h"
#include "kern/log.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "os/start_info.h"
#include "syscall/procfs.h"
#include "vm/vm.h"

#define SECTOR   512
#define DT_SHIFT 12 /* a record's type is the mode's upper bits */

/* ---- the start ---- */

/* What an entry of the archive becomes; NULL: no memory. */
static struct node *node_of(const struct cpio_entry *e)
{
    struct node *n = node_new(e->mode);

    if (n == NULL) {
        return NULL;
    }
    n->uid = e->uid;
    n->gid = e->gid;
    n->atime = n->mtime = n->ctime = e->mtime * NSEC_PER_SEC;
    if (node_is(n, NODE_FILE) || node_is(n, NODE_SYMLINK)) {
        n->base = e->data;
        n->base_size = n->size = e->size;
    }
    return n;
}

/* The node of an entry, or of one before it that is the same file. */
static struct node *node_shared(const struct cpio *archive, struct node *const *made, size_t i)
{
    const struct cpio_entry *e = &archive->entries[i];

    for (size_t j = 0; j < i && e->nlink > 1 && (e->mode & CPIO_TYPE) == CPIO_FILE; j++) {
        const struct cpio_entry *other = &archive->entries[j];

        if (other->ino == e->ino && other->nlink == e->nlink && other->mode == e->mode &&
            made[j] != NULL) {
            return node_get(made[j]);
        }
    }
    return node_of(e);
}

/* Return: how many entries there was no room for. */
static size_t unpack(const struct cpio *archive)
{
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): of a pointer is what is meant */
    struct node **made = kzalloc((archive->count + 1) * sizeof(*made));
    char *room = kmalloc(TREE_PATH_SIZE);
    size_t lost = 0;

    for (size_t i = 0; i < archive->count && made != NULL && room != NULL; i++) {
        const struct cpio_entry *e = &archive->entries[i];

        made[i] = node_shared(archive, made, i);
        if (e->name_len == 0 && made[i] != NULL) {
            tree_root()->mode = NODE_DIR | (e->mode & NODE_BITS);
        } else if (e->name_len >= TREE_PATH_SIZE || made[i] == NULL ||
                   tree_link_at(e->name, e->name_len, made[i], room) != 0) {
            lost++;
        }
    }
    for (size_t i = 0; i < archive->count && made != NULL; i++) {
        node_put(made[i]);
    }
    lost = made == NULL || room == NULL ? archive->count : lost;
    kfree(room);
    kfree(made);
    return lost;
}

static void unpack_ramdisk(void)
{
    const char *why = NULL;
    struct cpio archive;

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
    int rc = cpio_open(data, start_info->mod_len, &archive, &why);
    if (rc != 0) {
        log_err("ramdisk: %s", why != NULL ? why : errno_name(rc));
        return;
    }
    size_t lost = unpack(&archive);
    log_info("ramdisk: %lu KiB, %lu names", start_info->mod_len >> 10,
             (unsigned long)archive.count);
    if (lost != 0) {
        log_err("ramdisk: %lu names have no place", (unsigned long)lost);
    }
    cpio_close(&archive);
}

/* Link @n at a path. @own is the node's before: a folder that is there already takes it over. */
static int link_as(const char *path, struct node *n, const void *own, char *room)
{
    n->own = own;
    return tree_link_at(path, strlen(path), n, room);
}

/* A node of ours at a path. */
static void link_own(const char *path, uint32_t mode, const void *own)
{
    struct node *n = node_new(mode);
    char *room = kmalloc(TREE_PATH_SIZE);

    if (n == NULL || room == NULL || link_as(path, n, own, room) != 0) {
        log_err("no place for /%s", path);
    }
    kfree(room);
    node_put(n);
}

void rootfs_boot(void)
{
    const struct file_ops *ops;
    const char *path;

    if (tree_boot() == NULL) {
        return;
    }
    procfs_boot();
    tree_lock();
    unpack_ramdisk();
    for (size_t i = 0; (ops = dev_at(i, &path)) != NULL; i++) {
        link_own(path, NODE_DEVICE | 0666, ops);
    }
    link_own("proc", NODE_DIR | 0555, &proc_folder);
    tree_unlock();
}

/* ---- files as pages ---- */

struct node_source {
    struct vm_source source;
    struct node *node; /* with a reference */
};

static struct node *source_node(struct vm_source *source)
{
    return CONTAINER_OF(source, struct node_source, source)->node;
}

static int node_source_read(struct vm_source *source, uint64_t offset, void *buf, size_t len)
{
    return len != 0 && node_read(source_node(source), offset, buf, len) == 0 ? -ENXIO : 0;
}

static int node_source_page(struct vm_source *source, uint64_t offset, void **page)
{
    return node_page(source_node(source), offset, page);
}

static void node_source_free(struct vm_source *source)
{
    node_put(source_node(source));
    kfree(CONTAINER_OF(source, struct node_source, source));
}

struct vm_source *rootfs_source(struct node *node)
{
    struct node_source *s = kmalloc(sizeof(*s));

    if (s == NULL) {
        return NULL;
    }
    *s = (struct node_source){.source = {.refs = 1,
                                         .read = node_source_read,
                                         .page = node_source_page,
                                         .free = node_source_free},
                              .node = node_get(node)};
    return &s->source;
}

bool node_is_plain(const struct node *node)
{
    return node_is(node, NODE_FILE) && node->own == NULL;
}

/* ---- open files ---- */

static ssize_t node_file_read(struct file *f, uint64_t pos, void *buf, size_t n)
{
    return node_is(f->node, NODE_DIR) ? -EISDIR : (ssize_t)node_read(f->node, pos, buf, n);
}

static ssize_t node_file_write(struct file *f, uint64_t *pos, const void *buf, size_t n)
{
    return node_write(f->node, pos, f->flags & O_APPEND, buf, n);
}

static void node_file_stat(const struct file *f, struct abi_stat *st)
{
    rootfs_stat(f->node, st);
}

static void node_file_close(struct file *f)
{
    node_put(f->node);
}

static const struct file_ops node_ops = {.read = node_file_read,
                                         .write_at = node_file_write,
                                         .stat = node_file_stat,
                                         .close = node_file_close,
                                         .seekable = true};

void rootfs_stat(const struct node *n, struct abi_stat *st)
{
    bool file = node_is(n, NODE_FILE);

    *st = (struct abi_stat){.dev = 1,
                            .ino = n->ino,
                            .nlink = n->nlink + (node_is(n, NODE_DIR) && n->nlink != 0),
                            .mode = n->mode,
                            .uid = n->uid,
                            .gid = n->gid,
                            .size = (int64_t)n->size,
                            .blksize = PAGE_SIZE,
                            .atime = n->atime / NSEC_PER_SEC,
                            .atime_nsec = n->atime % NSEC_PER_SEC,
                            .mtime = n->mtime / NSEC_PER_SEC,
                            .mtime_nsec = n->mtime % NSEC_PER_SEC,
                            .ctime = n->ctime / NSEC_PER_SEC,
                            .ctime_nsec = n->ctime % NSEC_PER_SEC};
    /* What is in the archive counts as if it were in pages. */
    uint64_t pages = file ? MAX(n->pages, DIV_ROUND_UP(n->base_size, PAGE_SIZE)) : 0;
    st->blocks = (int64_t)(pages * (PAGE_SIZE / SECTOR));
}

/* ---- opening ---- */

/* Whether what is there already may be opened so. */
static int open_check(const struct node *n, unsigned flags)
{
    bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & (O_TRUNC | O_CREAT));

    if ((flags & O_CREAT) && (flags & O_EXCL)) {
        return -EEXIST;
    }
    switch (n->mode & NODE_TYPE) {
    case NODE_DIR:
        return writes ? -EISDIR : 0;
    case NODE_SYMLINK:
        return flags & O_DIRECTORY ? -ENOTDIR : -LINUX_ELOOP;
    case NODE_FILE:
        return flags & O_DIRECTORY ? -ENOTDIR : writes && n->own != NULL ? -EACCES : 0;
    default: /* a socket, or a device that the archive names and we do not have */
        return flags & O_DIRECTORY ? -ENOTDIR : n->own == NULL ? -ENXIO : 0;
    }
}

static int open_place(const struct place *place, unsigned flags, unsigned mode, struct node **out)
{
    if (place->node != NULL) {
        *out = node_get(place->node);
        return open_check(place->node, flags);
    }
    if ((flags & O_CREAT) == 0) {
        return -ENOENT;
    }
    int rc = place->slash ? -EISDIR : place_free(place, false);
    if (rc == 0) {
        *out = node_new(NODE_FILE | mode);
        rc = *out == NULL ? -ENOSPC : tree_link(place, *out);
    }
    return rc;
}

static int open_node(struct node *n, unsigned flags, struct file **out)
{
    bool plain = node_is_plain(n) || node_is(n, NODE_DIR);
    const struct file_ops *ops = plain ? &node_ops : node_is(n, NODE_FILE) ? &proc_ops : n->own;
    int rc = (flags & O_TRUNC) && node_is_plain(n) ? node_resize(n, 0) : 0;

    if (rc != 0) {
        return rc;
    }
    *out = file_new(ops, flags & ~(O_CREAT | O_EXCL | O_TRUNC));
    if (*out == NULL) {
        return -ENOMEM;
    }
    if (!node_is(n, NODE_DEVICE)) {
        (*out)->node = node_get(n);
    }
    return 0;
}

int rootfs_open(struct node *from, char *path, unsigned flags, unsigned mode, struct file **out)
{
    bool exclusive = (flags & O_CREAT) && (flags & O_EXCL);
    struct node *n = NULL;
    struct place place;

    tree_lock();
    int rc = tree_walk(from, path, (flags & O_NOFOLLOW) == 0 && !exclusive, &place);
    if (rc == 0) {
        rc = open_place(&place, flags, mode, &n);
        place_put(&place);
    }
    tree_unlock();
    rc = rc == 0 ? open_node(n, flags, out) : rc;
    node_put(n);
    return rc;
}

/* ---- folders ---- */

struct dirents {
    char *buf;
    size_t size, used;
    uint64_t *pos;
    bool full;
};

static bool put_dirent(const struct tree_entry *e, void *arg)
{
    struct dirents *out = arg;
    size_t reclen = ROUND_UP(sizeof(struct abi_dirent) + e->len + 1, sizeof(uint64_t));

    if (reclen > out->size - out->used) {
        out->full = true;
        return false;
    }
    struct abi_dirent *d = (struct abi_dirent *)(out->buf + out->used);
    memset(d, 0, reclen);
    d->ino = e->ino;
    d->off = (int64_t)e->next;
    d->reclen = (uint16_t)reclen;
    d->type = (uint8_t)((e->mode & NODE_TYPE) >> DT_SHIFT);
    memcpy(d->name, e->name, e->len);
    out->used += reclen;
    *out->pos = e->next;
    return true;
}

ssize_t rootfs_dirents(struct node *dir, uint64_t *pos, char *buf, size_t size)
{
    struct dirents out = {.buf = buf, .size = size, .pos = pos};

    tree_lock();
    tree_list(dir, *pos, put_dirent, &out);
    tree_unlock();
    return out.full && out.used == 0 ? -EINVAL : (ssize_t)out.used;
}
