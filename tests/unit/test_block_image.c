/*
 * Images: what may be one, who may share one, and that what is given back is free. On files in a
 * temporary folder; block devices need root and a real one (tests/lab/block-bad-images).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"

static struct image_table table;
static char folder[] = "/tmp/duet-test-image-XXXXXX";
static char why[512];

static const char *path(const char *name)
{
    static char p[256];

    snprintf(p, sizeof(p), "%s/%s", folder, name);
    return p;
}

static void make(const char *name, off_t bytes)
{
    int fd = open(path(name), O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, bytes), 0);
    close(fd);
}

static struct image_user user(int domid, bool read_only, const char *vm)
{
    struct image_user u = {.id = {.class = "vbd", .domid = domid, .device = 51712},
                           .read_only = read_only};

    snprintf(u.vm, sizeof(u.vm), "%s", vm);
    return u;
}

static int open_(struct image_user *u, const char *name)
{
    return image_open(&table, path(name), u, why, sizeof(why));
}

static void a_file_is_measured(void **state)
{
    struct image_user u = user(1, false, "");

    (void)state;
    make("a", 1000 * 512 + 100);
    assert_int_equal(open_(&u, "a"), 0);
    assert_int_equal(u.sectors, 1000);
    assert_false(u.block_device);
    assert_int_equal(u.physical_sector_bytes, 512);
    image_close(&table, &u);
    assert_null(table.images);
    image_close(&table, &u); /* harmless */
}

static void only_files_and_block_devices_will_do(void **state)
{
    struct image_user u = user(1, false, "");
    char expected[512];

    (void)state;
    assert_int_equal(open_(&u, "none"), -ENOENT);
    snprintf(expected, sizeof(expected), "image %s: No such file or directory", path("none"));
    assert_string_equal(why, expected);
    assert_int_equal(open_(&u, "."), -EISDIR);
    assert_non_null(strstr(why, "is a directory"));
    mkfifo(path("fifo"), 0600);
    assert_int_equal(open_(&u, "fifo"), -EINVAL); /* and does not wait for a writer */
    assert_non_null(strstr(why, "is a FIFO"));
    assert_int_equal(image_open(&table, "/dev/null", &u, why, sizeof(why)), -EINVAL);
    assert_non_null(strstr(why, "is a character device"));
    assert_int_equal(image_open(&table, "relative", &u, why, sizeof(why)), -EINVAL);
    assert_non_null(strstr(why, "not an absolute path"));
    make("small", 511);
    assert_int_equal(open_(&u, "small"), -ENODATA);
    assert_non_null(strstr(why, "smaller than one sector"));
    assert_null(table.images);
}

static void one_writer_or_many_readers(void **state)
{
    struct image_user w = user(1, false, "/vm/a"), r = user(2, true, "/vm/b"),
                      r2 = user(3, true, "/vm/c");

    (void)state;
    make("a", 4096);
    assert_int_equal(open_(&w, "a"), 0);
    assert_int_equal(open_(&r, "a"), -EBUSY);
    assert_non_null(strstr(why, "in use read-write by vbd 1/51712"));
    assert_non_null(strstr(why, "not available read-only to vbd 2/51712"));
    image_close(&table, &w);
    assert_int_equal(open_(&r, "a"), 0);
    assert_int_equal(open_(&r2, "a"), 0);
    assert_int_equal(open_(&w, "a"), -EBUSY);
    assert_non_null(strstr(why, "in use read-only by vbd 2/51712"));
    image_close(&table, &r);
    image_close(&table, &r2);
    assert_null(table.images);
}

static void another_name_is_the_same_image(void **state)
{
    struct image_user a = user(1, false, ""), b = user(2, false, "");
    char target[256];

    (void)state;
    make("a", 4096);
    snprintf(target, sizeof(target), "%s", path("a"));
    assert_int_equal(symlink(target, path("link")), 0);
    assert_int_equal(link(target, path("hard")), 0);
    assert_int_equal(open_(&a, "a"), 0);
    assert_int_equal(open_(&b, "link"), -EBUSY);
    assert_int_equal(open_(&b, "hard"), -EBUSY);
    image_close(&table, &a);
}

static void take(struct image_user *u)
{
    assert_int_equal(image_take(u, why, sizeof(why)), 0);
    assert_true(u->taken);
}

static void the_two_ends_of_a_migration_take_turns(void **state)
{
    struct image_user old = user(1, false, "/vm/u"), new = user(2, false, "/vm/u"),
                      again = user(2, false, "/vm/u"), other = user(3, false, "/vm/v");

    (void)state;
    make("a", 4096);
    assert_int_equal(open_(&old, "a"), 0);
    assert_null(image_rival(&old, false));
    take(&old);
    assert_int_equal(open_(&new, "a"), 0); /* is promised it, and knows its size */
    assert_int_equal(new.sectors, 8);
    assert_false(new.taken);
    assert_ptr_equal(image_rival(&new, true), &old);
    assert_ptr_equal(image_rival(&old, false), &new);
    assert_null(image_rival(&old, true));
    assert_int_equal(open_(&again, "a"), -EBUSY); /* twice in one domain is a mistake */
    assert_int_equal(open_(&other, "a"), -EBUSY);
    image_drop(&old);
    assert_null(image_rival(&new, true));
    take(&new);
    image_close(&table, &old);
    assert_null(image_rival(&new, false));
    image_close(&table, &new);
    assert_null(table.images);
}

static unsigned int rivals;

static void count_rival(struct image_user *rival)
{
    assert_int_equal(rival->id.domid, 2);
    rivals++;
}

static void readers_are_no_rivals(void **state)
{
    struct image_user a = user(1, true, "/vm/u"), b = user(2, true, "/vm/u");
    struct image_user w = user(1, false, "/vm/u"), v = user(2, false, "/vm/u");

    (void)state;
    make("a", 4096);
    assert_int_equal(open_(&a, "a"), 0);
    assert_int_equal(open_(&b, "a"), 0);
    take(&a);
    take(&b);
    assert_null(image_rival(&a, false));
    rivals = 0;
    image_each_rival(&a, count_rival);
    assert_int_equal(rivals, 0);
    image_close(&table, &a);
    image_close(&table, &b);
    assert_int_equal(open_(&w, "a"), 0);
    assert_int_equal(open_(&v, "a"), 0);
    image_each_rival(&w, count_rival);
    assert_int_equal(rivals, 1);
    image_close(&table, &w);
    image_close(&table, &v);
    image_each_rival(&w, count_rival); /* harmless */
    assert_null(image_rival(&w, false));
}

static void domains_without_a_vm_path_are_not_the_same(void **state)
{
    struct image_user a = user(1, false, ""), b = user(2, false, "");

    (void)state;
    make("a", 4096);
    assert_int_equal(open_(&a, "a"), 0);
    assert_int_equal(open_(&b, "a"), -EBUSY);
    image_close(&table, &a);
}

static int lock(int fd, short type)
{
    struct flock fl = {.l_type = type, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_SETLK, &fl);
}

static void other_programs_are_locked_out_and_respected(void **state)
{
    struct image_user u = user(1, false, "");
    int fd;

    (void)state;
    make("a", 4096);
    fd = open(path("a"), O_RDWR | O_CLOEXEC);
    assert_int_equal(open_(&u, "a"), 0);
    assert_int_equal(lock(fd, F_RDLCK), -1);
    image_close(&table, &u);
    assert_int_equal(lock(fd, F_WRLCK), 0);
    assert_int_equal(open_(&u, "a"), -EBUSY);
    assert_non_null(strstr(why, "in use by another program"));
    u.read_only = true;
    assert_int_equal(open_(&u, "a"), -EBUSY);
    close(fd);
    assert_int_equal(open_(&u, "a"), 0);
    image_close(&table, &u);
}

static void a_read_only_users_descriptor_cannot_write(void **state)
{
    struct image_user u = user(1, true, "");

    (void)state;
    make("a", 4096);
    assert_int_equal(open_(&u, "a"), 0);
    assert_int_equal(image_take(&u, why, sizeof(why)), 0);
    assert_int_equal(fcntl(u.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    image_close(&table, &u);
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"a", "link", "hard", "fifo", "small"};

    (void)state;
    for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        unlink(path(names[i]));
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_measured),
        cmocka_unit_test(only_files_and_block_devices_will_do),
        cmocka_unit_test(one_writer_or_many_readers),
        cmocka_unit_test(another_name_is_the_same_image),
        cmocka_unit_test(the_two_ends_of_a_migration_take_turns),
        cmocka_unit_test(readers_are_no_rivals),
        cmocka_unit_test(domains_without_a_vm_path_are_not_the_same),
        cmocka_unit_test(other_programs_are_locked_out_and_respected),
        cmocka_unit_test(a_read_only_users_descriptor_cannot_write),
    };

    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, remove_folder);
}
