/*
 * The guest's reader of ext2, ext3 and ext4. Images that mke2fs makes, with blocks of each size,
 * are read as they are. What is missing, is not a folder, or contradicts itself is an error.
 * Nothing is held afterwards.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fake_disk.h"
#include "fs/ext.h"
#include "kern/mem.h"

#define IMAGE_SIZE (8u << 20)
#define BUF_SIZE   (32u << 10)

static const char *const kinds[] = {"-t ext4 -b 1024", "-t ext4 -b 4096", "-t ext2 -b 1024",
                                    "-t ext2 -b 4096", "-t ext3 -b 2048", "-t ext4 -O ^64bit"};

/* Opens the file of a path, reads all of it, gives the bytes. */
static uint8_t *contents(const struct ext_fs *fs, const char *path, uint64_t *size)
{
    struct ext_file f;
    uint8_t *buf = aligned_alloc(PAGE_SIZE, BUF_SIZE);

    assert_int_equal(ext_find(fs, path, &f), 0);
    assert_int_equal(f.type, EXT_FILE);
    uint8_t *all = malloc(f.size + 1);
    uint64_t at = 0;
    ssize_t n;
    while ((n = ext_read(&f, at, buf, BUF_SIZE)) > 0) {
        memcpy(all + at, buf, (size_t)n);
        at += (uint64_t)n;
    }
    assert_int_equal(n, 0);
    assert_int_equal(at, f.size);
    *size = at;
    ext_put(&f);
    free(buf);
    return all;
}

static void check_files(const struct ext_fs *fs)
{
    uint64_t size;
    uint8_t *bytes = contents(fs, "/hello", &size);

    assert_int_equal(size, 6);
    assert_memory_equal(bytes, "hello\n", 6);
    free(bytes);
    bytes = contents(fs, "dir//sub/deep", &size);
    assert_int_equal(size, 4);
    assert_memory_equal(bytes, "deep", 4);
    free(bytes);
    bytes = contents(fs, "/big", &size);
    assert_int_equal(size, 100000);
    for (unsigned i = 0; i < size; i++) {
        assert_int_equal(bytes[i], i * 31 >> 3 & 0xff);
    }
    free(bytes);
    bytes = contents(fs, "/hole", &size);
    assert_int_equal(size, 5000000);
    for (unsigned i = 0; i < size - 3; i++) {
        assert_int_equal(bytes[i], 0);
    }
    assert_memory_equal(bytes + size - 3, "end", 3);
    free(bytes);
}

static int count(void *arg, const char *name, size_t len, uint32_t inode)
{
    (void)inode;
    *(unsigned *)arg += len > 2 || name[0] != '.';
    return 0;
}

static void check_folders(const struct ext_fs *fs)
{
    struct ext_file f;
    unsigned names = 0;

    assert_int_equal(ext_find(fs, "/many/", &f), 0);
    assert_int_equal(f.type, EXT_DIR);
    assert_int_equal(ext_each(&f, count, &names), 0);
    assert_int_equal(names, 300);
    ext_put(&f);
    assert_int_equal(ext_find(fs, "", &f), 0);
    assert_int_equal(f.type, EXT_DIR);
    ext_put(&f);
    assert_int_equal(ext_find(fs, "/many/299", &f), 0);
    assert_int_equal(f.size, 0);
    ext_put(&f);
    assert_int_equal(ext_find(fs, "/link", &f), 0);
    assert_int_equal(f.type, EXT_OTHER);
    assert_int_equal(ext_each(&f, count, &names), -ENOTDIR);
    ext_put(&f);
    assert_int_equal(ext_find(fs, "/many/300", &f), -ENOENT);
    assert_int_equal(ext_find(fs, "/man", &f), -ENOENT);
    assert_int_equal(ext_find(fs, "/hello/x", &f), -ENOTDIR);
    assert_int_equal(ext_find(fs, "/../../hello", &f), 0);
    ext_put(&f);
}

static void images_of_mke2fs(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        uint8_t *image = fake_image(kinds[i], IMAGE_SIZE);
        const char *why = "";
        struct ext_fs fs;

        assert_non_null(image);
        fake_disk_set(image, IMAGE_SIZE);
        if (ext_open(&fake_disk, &fs, &why)) {
            fail_msg("%s: %s", kinds[i], why);
        }
        check_files(&fs);
        check_folders(&fs);
        ext_close(&fs);
        assert_int_equal(fake_pages_held(), 0);
        free(image);
    }
}

/* What was looked for once is found again without the disk. */
static void kept_blocks(void **state)
{
    uint8_t *image = fake_image(kinds[1], IMAGE_SIZE);
    const char *why;
    struct ext_fs fs;
    uint64_t size;

    (void)state;
    assert_non_null(image);
    fake_disk_set(image, IMAGE_SIZE);
    assert_int_equal(ext_open(&fake_disk, &fs, &why), 0);
    free(contents(&fs, "/dir/sub/deep", &size));
    unsigned before = fake_disk_reads();
    free(contents(&fs, "/dir/sub/deep", &size));
    assert_int_equal(fake_disk_reads(), before);
    ext_close(&fs);
    free(image);
}

/* Superblocks that do not fit: the field at @offset made @value. */
static void superblocks_refused(void **state)
{
    static const struct {
        size_t offset;
        uint32_t value;
    } bad[] = {
        {1024 + 0, 0},                           /* no inodes */
        {1024 + 4, 0x7fffffff},                  /* more blocks than the disk has */
        {1024 + 20, 7},                          /* first block */
        {1024 + 24, 30},                         /* block size */
        {1024 + 40, 0},                          /* inodes of a group */
        {1024 + 40, 0xffffffff}, {1024 + 56, 0}, /* magic */
        {1024 + 88, 100},                        /* inode size */
        {1024 + 96, 0x4},                        /* the journal is to be replayed */
        {1024 + 96, 0x80000000},                 /* an unknown feature */
    };
    uint8_t *image = fake_image(kinds[0], IMAGE_SIZE);

    (void)state;
    assert_non_null(image);
    fake_disk_set(image, IMAGE_SIZE);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        uint32_t good;
        const char *why = NULL;
        struct ext_fs fs;

        memcpy(&good, image + bad[i].offset, sizeof(good));
        memcpy(image + bad[i].offset, &bad[i].value, sizeof(good));
        assert_int_equal(ext_open(&fake_disk, &fs, &why), -EINVAL);
        assert_non_null(why);
        memcpy(image + bad[i].offset, &good, sizeof(good));
    }
    free(image);
}

static void blocks_outside(void **state)
{
    uint8_t *image = fake_image(kinds[0], IMAGE_SIZE);
    void *page = page_alloc(0);
    const char *why;
    struct ext_fs fs;

    (void)state;
    assert_non_null(image);
    fake_disk_set(image, IMAGE_SIZE);
    assert_int_equal(ext_open(&fake_disk, &fs, &why), 0);
    fs.blocks /= 2; /* the disk is larger than its file system */
    assert_int_equal(ext_read_block(&fs, fs.blocks - 1, page), 0);
    assert_int_equal(ext_read_block(&fs, fs.blocks, page), -EINVAL);
    assert_int_equal(ext_read_block(&fs, 0, page), -EINVAL);
    ext_close(&fs);
    page_free(page, 0);
    free(image);
}

/* Bytes of the image; NULL if they are not there. */
static uint8_t *place_of(uint8_t *image, const void *bytes, size_t size)
{
    return memmem(image, IMAGE_SIZE, bytes, size);
}

/* Looks for a file behind "hello" in its folder. */
static int look_behind(uint8_t *image)
{
    const char *why;
    struct ext_fs fs;
    struct ext_file f;

    fake_disk_set(image, IMAGE_SIZE);
    assert_int_equal(ext_open(&fake_disk, &fs, &why), 0);
    int rc = ext_find(&fs, "/nobody", &f);
    ext_close(&fs);
    return rc;
}

/* A folder's entry: inode, length of the entry (2 bytes), of the name, type, name. */
static void damaged_folders(void **state)
{
    static const struct {
        uint16_t rec_len;
        uint8_t name_len;
    } bad[] = {{0, 5}, {4, 5}, {18, 5}, {0xfffc, 5}, {12, 5}, {16, 200}};
    uint8_t *image = fake_image(kinds[0], IMAGE_SIZE);

    (void)state;
    assert_non_null(image);
    uint8_t *lens = place_of(image, "\x05\x01hello", 7);
    assert_non_null(lens);
    assert_int_equal(look_behind(image), -ENOENT);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        memcpy(lens - 2, &bad[i].rec_len, sizeof(bad[i].rec_len));
        lens[0] = bad[i].name_len;
        assert_int_equal(look_behind(image), -EINVAL);
    }
    free(image);
}

/* The node of an inode has room for four extents; here it claims to have five. */
static void too_many_extents(void **state)
{
    uint8_t *image = fake_image(kinds[0], IMAGE_SIZE);
    void *page = page_alloc(0);
    const char *why;
    struct ext_fs fs;
    struct ext_file f;

    (void)state;
    assert_non_null(image);
    fake_disk_set(image, IMAGE_SIZE);
    assert_int_equal(ext_open(&fake_disk, &fs, &why), 0);
    assert_int_equal(ext_find(&fs, "/hello", &f), 0);
    assert_int_equal(ext_read(&f, 0, page, PAGE_SIZE), 6);
    ((uint8_t *)f.map)[2] = 5;
    assert_int_equal(ext_read(&f, 0, page, PAGE_SIZE), -EINVAL);
    ext_put(&f);
    ext_close(&fs);
    page_free(page, 0);
    free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_of_mke2fs),    cmocka_unit_test(kept_blocks),
        cmocka_unit_test(superblocks_refused), cmocka_unit_test(blocks_outside),
        cmocka_unit_test(damaged_folders),     cmocka_unit_test(too_many_extents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
