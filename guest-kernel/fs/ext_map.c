/*
 * ext_map.c - where a file's blocks are, and reading them. See ext.h.
 *
 * A file's inode begins either a tree of extents (ext4) or the table of blocks with one, two and
 * three levels of indirection (ext2, ext3). Both are walked from the inode for each run of blocks;
 * the block last read at each level is kept.
 */
#include "fs/ext.h"

#include "kern/mem.h"
#include "kern/string.h"

#define EXTENT_MAGIC  0xf30a
#define EXTENT_UNINIT 32768u /* longer ones say: this much, of zeros */
#define DIRECT        12
#define INDIRECTIONS  3

/* A run of blocks of a file; block 0: a hole, which reads as zeros. */
struct run {
    uint64_t block, count;
};

struct extent_header {
    uint16_t magic, entries, max, depth;
    uint32_t generation;
} __packed;

/* Both kinds of entry begin with the first block of the file that they are about. */
struct extent {
    uint32_t first;
    uint16_t len, start_hi;
    uint32_t start_lo;
} __packed;

struct extent_index {
    uint32_t first, leaf_lo;
    uint16_t leaf_hi, unused;
} __packed;

/* The content of a block of the map, of @level; NULL with *@rc set. */
static const void *meta_block(struct ext_file *f, unsigned level, uint64_t block, int *rc)
{
    if (f->meta[level].page == NULL) {
        f->meta[level].page = page_alloc_zeroed(0);
    }
    if (f->meta[level].page == NULL) {
        *rc = -ENOMEM;
        return NULL;
    }
    if (f->meta[level].block != block) {
        f->meta[level].block = 0;
        *rc = ext_read_block(f->fs, block, f->meta[level].page);
        if (*rc != 0) {
            return NULL;
        }
        f->meta[level].block = block;
    }
    return f->meta[level].page;
}

/*
 * The last of @n entries that begins at or before @lblock, -1 if there is none; *@next is where the
 * one behind it begins, if there is one. Entries are 12 bytes and begin with their first block.
 */
static int last_before(const uint8_t *entries, unsigned n, uint64_t lblock, uint64_t *next)
{
    int found = -1;

    for (unsigned i = 0; i < n; i++) {
        uint32_t first;

        memcpy(&first, entries + i * sizeof(struct extent), sizeof(first));
        if (first > lblock) {
            *next = MIN(*next, first);
            break;
        }
        found = (int)i;
    }
    return found;
}

/* What a leaf's extent says of @lblock. @next: where the next extent begins. */
static int take_extent(const struct ext_file *f, const struct extent *e, uint64_t lblock,
                       uint64_t next, struct run *run)
{
    bool zeros = e->len > EXTENT_UNINIT;
    uint64_t len = zeros ? e->len - EXTENT_UNINIT : e->len;
    uint64_t into = lblock - e->first;
    uint64_t start = (uint64_t)e->start_hi << 32 | e->start_lo;

    if (into >= len) {
        *run = (struct run){.block = 0, .count = next - lblock};
        return 0;
    }
    if (start == 0 || start >= f->fs->blocks || len > f->fs->blocks - start) {
        return -EINVAL;
    }
    *run = (struct run){.block = zeros ? 0 : start + into, .count = len - into};
    return 0;
}

static int map_extents(struct ext_file *f, uint64_t lblock, struct run *run)
{
    const uint8_t *node = (const uint8_t *)f->map;
    size_t room = sizeof(f->map);
    uint64_t next = UINT32_MAX + 1ull;
    unsigned depth = EXT_LEVELS;

    if (lblock >= next) {
        return -EINVAL;
    }
    for (unsigned level = 0;; level++) {
        struct extent_header h;
        int rc = 0;

        memcpy(&h, node, sizeof(h));
        if (h.magic != EXTENT_MAGIC || h.entries > (room - sizeof(h)) / sizeof(struct extent) ||
            ((level != 0 ? h.depth + 1u != depth : h.depth > EXT_LEVELS) != 0)) {
            return -EINVAL;
        }
        depth = h.depth;
        int at = last_before(node + sizeof(h), h.entries, lblock, &next);
        if (at < 0) {
            *run = (struct run){.block = 0, .count = next - lblock};
            return 0;
        }
        const uint8_t *entry = node + sizeof(h) + (size_t)at * sizeof(struct extent);
        if (depth == 0) {
            struct extent e;

            memcpy(&e, entry, sizeof(e));
            return take_extent(f, &e, lblock, next, run);
        }
        struct extent_index index;
        memcpy(&index, entry, sizeof(index));
        node = meta_block(f, level, (uint64_t)index.leaf_hi << 32 | index.leaf_lo, &rc);
        if (node == NULL) {
            return rc;
        }
        room = f->fs->block_size;
    }
}

/* One block of a file with a table of blocks; 0 for a hole. */
static int map_table(struct ext_file *f, uint64_t lblock, uint64_t *block)
{
    uint64_t per_block = f->fs->block_size / sizeof(uint32_t);
    uint64_t span = 1; /* blocks that an entry of the level is about */
    unsigned levels = 0;

    if (lblock < DIRECT) {
        *block = f->map[lblock];
        return 0;
    }
    lblock -= DIRECT;
    for (levels = 1; levels <= INDIRECTIONS && lblock >= span * per_block; levels++) {
        lblock -= span * per_block;
        span *= per_block;
    }
    if (levels > INDIRECTIONS) {
        return -EINVAL;
    }
    *block = f->map[DIRECT + levels - 1];
    for (unsigned i = 0; i < levels && *block != 0; i++, span /= per_block) {
        uint32_t entry;
        int rc = 0;
        const uint8_t *table = meta_block(f, i, *block, &rc);

        if (table == NULL) {
            return rc;
        }
        memcpy(&entry, table + lblock / span % per_block * sizeof(entry), sizeof(entry));
        *block = entry;
    }
    return 0;
}

/* Joins what stands together into one run, up to @want blocks. */
static int map_blocks(struct ext_file *f, uint64_t lblock, uint64_t want, struct run *run)
{
    uint64_t block;
    int rc = map_table(f, lblock, &run->block);

    if (rc != 0 || run->block >= f->fs->blocks) {
        return rc != 0 ? rc : -EINVAL;
    }
    for (run->count = 1; run->count < want; run->count++) {
        rc = map_table(f, lblock + run->count, &block);
        if (rc != 0 || block != (run->block != 0 ? run->block + run->count : 0)) {
            break;
        }
    }
    return 0;
}

/* Reads a run to where it belongs: one block by way of the cache; a request's memory begins a page.
 */
static int read_run(struct ext_file *f, const struct run *run, uint8_t *to, uint64_t *done)
{
    uint64_t per_block = f->fs->block_size >> BLK_SECTOR_SHIFT;
    uint64_t count = MIN(run->count, f->fs->blocks - run->block);
    bool direct = ((uintptr_t)to & (PAGE_SIZE - 1)) == 0;

    if (!direct && f->bounce == NULL) {
        f->bounce = page_alloc_zeroed(0);
        if (f->bounce == NULL) {
            return -ENOMEM;
        }
    }
    if (!direct) {
        count = MIN(count, PAGE_SIZE / f->fs->block_size);
    }
    void *page = direct ? to : f->bounce;
    int rc = count == 1
                 ? ext_read_block(f->fs, run->block, page)
                 : blk_rw(f->fs->dev, BLK_READ, run->block * per_block, count * per_block, page);
    if (rc == 0 && !direct) {
        memcpy(to, f->bounce, count * f->fs->block_size);
    }
    *done = count;
    return rc;
}

ssize_t ext_read(struct ext_file *f, uint64_t offset, void *buf, size_t size)
{
    uint32_t block_size = f->fs->block_size;

    if (offset >= f->size) {
        return 0;
    }
    size_t bytes = MIN(size, f->size - offset);
    uint64_t left = DIV_ROUND_UP(bytes, block_size);
    uint64_t lblock = offset / block_size;
    for (uint8_t *to = buf; left != 0;) {
        struct run run = {0};
        uint64_t done;
        int rc = f->extents ? map_extents(f, lblock, &run) : map_blocks(f, lblock, left, &run);

        if (rc != 0 || run.count == 0) {
            return rc != 0 ? rc : -EINVAL;
        }
        done = run.count = MIN(run.count, left);
        if (run.block != 0) {
            rc = read_run(f, &run, to, &done);
        } else {
            memset(to, 0, run.count * block_size);
        }
        if (rc != 0) {
            return rc;
        }
        to += done * block_size;
        lblock += done;
        left -= done;
    }
    return (ssize_t)bytes;
}
