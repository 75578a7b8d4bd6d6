/*
 * ext.c - superblock, inodes, folders. See ext.h.
 */
#include "fs/ext.h"

#include "kern/mem.h"
#include "kern/string.h"

#define SUPER_OFFSET   1024
#define SUPER_MAGIC    0xef53
#define ROOT_INODE     2
#define DIR_BYTES_MAX  (64ull << 20) /* longest folder that is walked */
#define OLD_INODE_SIZE 128
#define GROUP_DESC_OLD 32

/* s_feature_incompat: what a reader must know. */
#define INCOMPAT_FILETYPE  0x2u
#define INCOMPAT_RECOVER   0x4u
#define INCOMPAT_EXTENTS   0x40u
#define INCOMPAT_64BIT     0x80u
#define INCOMPAT_FLEX_BG   0x200u
#define INCOMPAT_CSUM_SEED 0x2000u
#define INCOMPAT_KNOWN \
    (INCOMPAT_FILETYPE | INCOMPAT_EXTENTS | INCOMPAT_64BIT | INCOMPAT_FLEX_BG | INCOMPAT_CSUM_SEED)

#define MODE_TYPE     0xf000u
#define MODE_FILE     0x8000u
#define MODE_DIR      0x4000u
#define INODE_EXTENTS 0x80000u
#define INODE_INLINE  0x10000000u

/* struct ext4_super_block, as far as it is used. */
struct super {
    uint32_t inodes, blocks_lo, reserved_lo, free_blocks, free_inodes;
    uint32_t first_block, log_block_size, log_cluster_size;
    uint32_t blocks_per_group, clusters_per_group, inodes_per_group;
    uint32_t mount_time, write_time;
    uint16_t mounts, max_mounts, magic, state, errors, minor;
    uint32_t last_check, check_interval, creator, revision;
    uint16_t uid, gid;
    uint32_t first_inode;
    uint16_t inode_size, group_number;
    uint32_t compat, incompat, ro_compat;
    uint8_t uuid[16], label[16], mounted_on[64];
    uint32_t bitmap_usage;
    uint8_t prealloc[2];
    uint16_t reserved_gdt;
    uint8_t journal_uuid[16];
    uint32_t journal_inode, journal_dev, last_orphan, hash_seed[4];
    uint8_t hash_version, journal_backup;
    uint16_t desc_size;
    uint32_t mount_options, first_meta_bg, mkfs_time, journal_blocks[17];
    uint32_t blocks_hi;
} __packed;

struct inode {
    uint16_t mode, uid;
    uint32_t size_lo, atime, ctime, mtime, dtime;
    uint16_t gid, links;
    uint32_t blocks, flags, version, map[15], generation, acl, size_hi;
} __packed;

struct dirent {
    uint32_t inode;
    uint16_t rec_len;
    uint8_t name_len, type;
    char name[];
} __packed;

/* Whether the block is kept; then a copy of it. */
static bool cached(const struct ext_fs *fs, uint64_t block, void *page)
{
    struct ext_cache *c = fs->cache;
    upcall_state_t state = spin_lock(&c->lock);
    bool found = c->slots[block % EXT_CACHED].block == block;

    if (found) {
        memcpy(page, c->slots[block % EXT_CACHED].page, fs->block_size);
    }
    spin_unlock(&c->lock, state);
    return found;
}

/* Keeps a copy, in the place of another block's. */
static void keep(const struct ext_fs *fs, uint64_t block, const void *page)
{
    struct ext_cache *c = fs->cache;
    size_t slot = block % EXT_CACHED;
    void *spare = READ_ONCE(c->slots[slot].page) ? NULL : page_alloc(0);
    upcall_state_t state = spin_lock(&c->lock);

    if (c->slots[slot].page == NULL) {
        c->slots[slot].page = spare;
        spare = NULL;
    }
    if (c->slots[slot].page != NULL) {
        memcpy(c->slots[slot].page, page, fs->block_size);
        c->slots[slot].block = block;
    }
    spin_unlock(&c->lock, state);
    if (spare != NULL) {
        page_free(spare, 0);
    }
}

int ext_read_block(const struct ext_fs *fs, uint64_t block, void *page)
{
    if (block == 0 || block >= fs->blocks) {
        return -EINVAL;
    }
    if (cached(fs, block, page)) {
        return 0;
    }
    uint64_t per_block = fs->block_size >> BLK_SECTOR_SHIFT;
    int rc = blk_rw(fs->dev, BLK_READ, block * per_block, per_block, page);
    if (rc == 0) {
        keep(fs, block, page);
    }
    return rc;
}

/* What of a superblock keeps this reader from the file system; NULL if nothing does. */
static const char *unreadable(const struct super *s, const struct blk_info *disk)
{
    if (s->magic != SUPER_MAGIC) {
        return "there is no ext2, ext3 or ext4 file system on it";
    }
    if (s->log_block_size > 2) {
        return "its blocks are larger than 4 KiB";
    }
    if (s->incompat & INCOMPAT_RECOVER) {
        return "its journal has to be replayed first (e2fsck, or a mount)";
    }
    if (s->incompat & ~INCOMPAT_KNOWN) {
        return "it has a feature that this reader does not know";
    }
    uint64_t bytes = disk->sectors << BLK_SECTOR_SHIFT;
    uint32_t block_size = 1024u << s->log_block_size;
    if (s->inodes_per_group == 0 || s->inodes_per_group > block_size * 8 || s->inodes == 0 ||
        disk->sector_size > block_size || s->first_block > 1 || s->blocks_lo > bytes / block_size ||
        ((s->incompat & INCOMPAT_64BIT) && s->blocks_hi != 0)) {
        return "its superblock contradicts the disk";
    }
    if (s->revision != 0 && (s->inode_size < OLD_INODE_SIZE || s->inode_size > block_size ||
                             (s->inode_size & (s->inode_size - 1)))) {
        return "its inodes have an impossible size";
    }
    if ((s->incompat & INCOMPAT_64BIT) &&
        (s->desc_size < 2 * GROUP_DESC_OLD || s->desc_size > 1024 ||
         (s->desc_size & (s->desc_size - 1)))) {
        return "its group descriptors have an impossible size";
    }
    return NULL;
}

int ext_open(struct blk_dev *dev, struct ext_fs *fs, const char **why)
{
    struct blk_info disk;
    void *page = page_alloc_zeroed(0);
    struct super s;

    if (page == NULL) {
        return -ENOMEM;
    }
    blk_get_info(dev, &disk);
    int rc = disk.sectors >= PAGE_SIZE >> BLK_SECTOR_SHIFT
                 ? blk_rw(dev, BLK_READ, 0, PAGE_SIZE >> BLK_SECTOR_SHIFT, page)
                 : -EINVAL;
    memcpy(&s, (uint8_t *)page + SUPER_OFFSET, sizeof(s));
    page_free(page, 0);
    if (rc != 0) {
        *why = "it is too small";
        return rc;
    }
    *why = unreadable(&s, &disk);
    if (*why != NULL) {
        return -EINVAL;
    }
    *fs = (struct ext_fs){
        .dev = dev,
        .block_size = 1024u << s.log_block_size,
        .blocks = s.blocks_lo,
        .first_block = s.first_block,
        .inodes = s.inodes,
        .inodes_per_group = s.inodes_per_group,
        .inode_size = s.revision != 0 ? s.inode_size : OLD_INODE_SIZE,
        .desc_size = s.incompat & INCOMPAT_64BIT ? s.desc_size : GROUP_DESC_OLD,
    };
    fs->cache = kzalloc(sizeof(*fs->cache));
    if (fs->cache == NULL) {
        *why = "there is no memory for it";
        return -ENOMEM;
    }
    spin_init(&fs->cache->lock, "ext");
    return 0;
}

void ext_close(struct ext_fs *fs)
{
    for (unsigned i = 0; i < EXT_CACHED; i++) {
        if (fs->cache->slots[i].page != NULL) {
            page_free(fs->cache->slots[i].page, 0);
        }
    }
    kfree(fs->cache);
}

/* Copies an inode out of its group's table. @page is scratch. */
static int read_inode(const struct ext_fs *fs, uint32_t number, struct inode *inode, uint8_t *page)
{
    uint32_t table_lo, table_hi = 0;

    if (number == 0 || number > fs->inodes) {
        return -EINVAL;
    }
    uint64_t at = (uint64_t)((number - 1) / fs->inodes_per_group) * fs->desc_size;
    int rc = ext_read_block(fs, fs->first_block + 1 + at / fs->block_size, page);
    if (rc != 0) {
        return rc;
    }
    memcpy(&table_lo, page + at % fs->block_size + 8, sizeof(table_lo));
    if (fs->desc_size > GROUP_DESC_OLD) {
        memcpy(&table_hi, page + at % fs->block_size + 40, sizeof(table_hi));
    }
    at = (uint64_t)((number - 1) % fs->inodes_per_group) * fs->inode_size;
    rc = ext_read_block(fs, ((uint64_t)table_hi << 32 | table_lo) + at / fs->block_size, page);
    if (rc == 0) {
        memcpy(inode, page + at % fs->block_size, sizeof(*inode));
    }
    return rc;
}

int ext_inode(const struct ext_fs *fs, uint32_t number, struct ext_file *file)
{
    void *page = page_alloc_zeroed(0);
    struct inode inode;

    if (page == NULL) {
        return -ENOMEM;
    }
    int rc = read_inode(fs, number, &inode, page);
    page_free(page, 0);
    if (rc != 0) {
        return rc;
    }
    unsigned type = inode.mode & MODE_TYPE;
    if (inode.links == 0 || (inode.flags & INODE_INLINE)) {
        return -EINVAL;
    }
    *file = (struct ext_file){
        .fs = fs,
        .inode = number,
        .type = type == MODE_FILE  ? EXT_FILE
                : type == MODE_DIR ? EXT_DIR
                                   : EXT_OTHER,
        .size = (uint64_t)inode.size_hi << 32 | inode.size_lo,
        .mtime = inode.mtime,
        .extents = inode.flags & INODE_EXTENTS,
    };
    memcpy(file->map, inode.map, sizeof(file->map));
    return file->size > INT64_MAX ? -EINVAL : 0;
}

void ext_put(struct ext_file *file)
{
    for (unsigned i = 0; i < EXT_LEVELS; i++) {
        if (file->meta[i].page != NULL) {
            page_free(file->meta[i].page, 0);
        }
    }
    if (file->bounce != NULL) {
        page_free(file->bounce, 0);
    }
    *file = (struct ext_file){0};
}

/* The entries of one block of a folder. */
static int each_in_block(const uint8_t *block, uint32_t size,
                         int (*fn)(void *arg, const char *name, size_t len, uint32_t inode),
                         void *arg)
{
    int rc = 0;

    for (uint32_t at = 0; rc == 0 && at + sizeof(struct dirent) <= size;) {
        struct dirent d;

        memcpy(&d, block + at, sizeof(d));
        if (d.rec_len < sizeof(d) || (d.rec_len % 4) != 0 || d.rec_len > size - at ||
            d.name_len > d.rec_len - sizeof(d)) {
            return -EINVAL;
        }
        if (d.inode != 0 && d.name_len != 0) {
            rc = fn(arg, (const char *)block + at + sizeof(d), d.name_len, d.inode);
        }
        at += d.rec_len;
    }
    return rc;
}

int ext_each(struct ext_file *dir,
             int (*fn)(void *arg, const char *name, size_t len, uint32_t inode), void *arg)
{
    uint8_t *page = page_alloc_zeroed(0);
    int rc = page != NULL ? 0 : -ENOMEM;

    if (dir->type != EXT_DIR) {
        rc = -ENOTDIR;
    } else if (dir->size > DIR_BYTES_MAX) {
        rc = -EINVAL;
    }
    for (uint64_t at = 0; rc == 0 && at < dir->size; at += dir->fs->block_size) {
        ssize_t n = ext_read(dir, at, page, dir->fs->block_size);

        rc = n < 0 ? (int)n : each_in_block(page, (uint32_t)n, fn, arg);
    }
    if (page != NULL) {
        page_free(page, 0);
    }
    return rc;
}

struct wanted {
    const char *name;
    size_t len;
    uint32_t inode;
};

static int is_wanted(void *arg, const char *name, size_t len, uint32_t inode)
{
    struct wanted *w = arg;

    if (len != w->len || memcmp(name, w->name, len) != 0) {
        return 0;
    }
    w->inode = inode;
    return 1;
}

int ext_find(const struct ext_fs *fs, const char *path, struct ext_file *file)
{
    int rc = ext_inode(fs, ROOT_INODE, file);

    while (rc == 0) {
        while (*path == '/') {
            path++;
        }
        if (*path == '\0') {
            return 0;
        }
        const char *end = strchr(path, '/');
        struct wanted w = {.name = path, .len = end != NULL ? (size_t)(end - path) : strlen(path)};
        rc = ext_each(file, is_wanted, &w);
        ext_put(file);
        rc = rc == 0 ? -ENOENT : rc == 1 ? ext_inode(fs, w.inode, file) : rc;
        path += w.len;
    }
    return rc;
}
