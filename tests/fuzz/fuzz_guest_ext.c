/*
 * Fuzzes the guest's reader of file systems. Whatever is changed in images that mke2fs made, a walk
 * through all folders and files ends, reads nothing but blocks of the disk, and gives back what it
 * took. Input: which image, then changes: where (a block with metadata, or anywhere) and what.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/fake_disk.h"
#include "fs/ext.h"

#define IMAGE_SIZE (512u << 10)
#define CHANGES    16
#define DEPTH      4
#define FILES      12
#define BUF_SIZE   (16u << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static uint8_t *images[3];
static uint8_t *buf;
static unsigned files;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const char *const kinds[] = {"-t ext4 -b 1024 -N 320 -O ^has_journal",
                                        "-t ext2 -b 1024 -N 320",
                                        "-t ext4 -b 4096 -N 320 -O ^has_journal,^64bit"};

    (void)argc;
    (void)argv;
    buf = aligned_alloc(PAGE_SIZE, BUF_SIZE);
    for (unsigned i = 0; i < 3; i++) {
        images[i] = fake_image(kinds[i], IMAGE_SIZE);
        if (!images[i]) {
            fprintf(stderr, "mke2fs %s: no image\n", kinds[i]);
            abort();
        }
    }
    return 0;
}

static void read_some(struct ext_file *f)
{
    ssize_t n = 1;

    for (uint64_t at = 0; n > 0 && at < 4 * BUF_SIZE; at += BUF_SIZE) {
        n = ext_read(f, at, buf, BUF_SIZE);
    }
    (void)ext_read(f, f->size / f->fs->block_size * f->fs->block_size, buf, BUF_SIZE);
}

struct walk {
    const struct ext_fs *fs;
    unsigned depth;
};

static int visit(void *arg, const char *name, size_t len, uint32_t inode)
{
    struct walk *w = arg;
    struct ext_file f;

    if (len > EXT_NAME_MAX || memchr(name, '\n', len) == name || files++ > FILES) {
        return len > EXT_NAME_MAX ? (abort(), 0) : 1;
    }
    if (ext_inode(w->fs, inode, &f)) {
        return 0;
    }
    read_some(&f);
    if (f.type == EXT_DIR && w->depth < DEPTH) {
        w->depth++;
        (void)ext_each(&f, visit, w);
        w->depth--;
    }
    ext_put(&f);
    return 0;
}

static void walk_all(void)
{
    const char *why;
    struct ext_fs fs;
    struct ext_file f;

    if (ext_open(&fake_disk, &fs, &why)) {
        return;
    }
    struct walk w = {.fs = &fs};
    files = 0;
    if (ext_find(&fs, "/", &f) == 0) {
        (void)ext_each(&f, visit, &w);
        ext_put(&f);
    }
    if (ext_find(&fs, "/dir/sub/deep", &f) == 0) {
        read_some(&f);
        ext_put(&f);
    }
    if (ext_find(&fs, "/big", &f) == 0) {
        read_some(&f);
        ext_put(&f);
    }
    ext_close(&fs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct {
        size_t at;
        uint8_t was[4];
    } undo[CHANGES];
    unsigned n = 0;

    if (!size) {
        return 0;
    }
    uint8_t *image = images[data[0] % 3];
    for (data++, size--; size >= 8 && n < CHANGES; data += 8, size -= 8, n++) {
        uint32_t at;

        memcpy(&at, data, sizeof(at));
        undo[n].at = (at & 0x80000000U ? at : at % (128U << 10)) % (IMAGE_SIZE - 4);
        memcpy(undo[n].was, image + undo[n].at, 4);
        memcpy(image + undo[n].at, data + 4, 4);
    }
    fake_disk_set(image, IMAGE_SIZE);
    walk_all();
    if (fake_pages_held()) {
        abort();
    }
    while (n--) {
        memcpy(image + undo[n].at, undo[n].was, 4);
    }
    return 0;
}
