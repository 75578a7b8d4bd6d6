/*
 * The guest kernel's tables of descriptors, as threads share them: who uses a file keeps it,
 * however its descriptor is closed, replaced or left behind meanwhile; each file is closed once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fake_files.h"
#include "fake_user.h"
#include "syscall/file.h"

static struct fd_table table, child;
static unsigned closed; /* files */

static unsigned forgotten; /* files, by who watched them */

void epoll_forget(struct file *f)
{
    assert_false(fake_locked);
    assert_int_equal(forgotten, closed); /* before its own end */
    f->watched = 0;
    forgotten++;
}

/* May sleep, and take other locks. */
static void close_file(struct file *f)
{
    (void)f;
    assert_false(fake_locked);
    closed++;
}

static const struct file_ops ops = {.close = close_file};

static int begin(void **state)
{
    (void)state;
    memset(&table, 0, sizeof(table));
    memset(&child, 0, sizeof(child));
    fd_table_init(&table);
    fd_table_init(&child);
    closed = forgotten = 0;
    fake_files_begin();
    return 0;
}

static int nothing_is_left(void **state)
{
    (void)state;
    fd_close_all(&table);
    fd_close_all(&child);
    assert_int_equal(fake_held, 0);
    return 0;
}

static void open_one(int fd)
{
    assert_int_equal(fd_install(&table, file_new(&ops, O_RDWR), false, 0), fd);
}

static void who_uses_a_file_keeps_it(void **state)
{
    (void)state;
    open_one(0);
    struct file *f = fd_get(&table, 0);
    assert_int_equal(fd_close(&table, 0), 0); /* by another thread */
    assert_int_equal(closed, 0);
    assert_ptr_equal(f->ops, &ops);
    assert_null(fd_get(&table, 0));
    assert_int_equal(fd_close(&table, 0), -EBADF);
    file_put(f);
    assert_int_equal(closed, 1);
}

static void what_is_replaced_is_closed(void **state)
{
    (void)state;
    open_one(0);
    open_one(1);
    struct file *old = fd_get(&table, 1);
    fd_replace(&table, 1, fd_get(&table, 0), true);
    assert_int_equal(closed, 0);
    file_put(old);
    assert_int_equal(closed, 1);
    assert_int_equal(fd_cloexec(&table, 1, NULL), 1);
    fd_replace(&table, 5, fd_get(&table, 0), false);
    assert_int_equal(fd_close(&table, 0), 0);
    assert_int_equal(fd_close(&table, 1), 0);
    assert_int_equal(closed, 1);
    assert_int_equal(fd_close(&table, 5), 0);
    assert_int_equal(closed, 2);
}

/* Nobody was told of them; but by the time a descriptor may be of another file. */
static void what_nobody_was_told_of_is_taken_back(void **state)
{
    int fds[2];

    (void)state;
    fake_user_is(0x10000, fds, sizeof(fds));
    for (unsigned i = 0; i < 2; i++) {
        struct file *two[2] = {file_new(&ops, O_RDWR), file_new(&ops, O_RDWR)};

        assert_int_equal(fd_give_two(&table, two, false, UADDR(0x10000u + i * 4)),
                         i == 0 ? 0 : -EFAULT);
        assert_int_equal(closed, 2 * i);
    }
    assert_int_equal(fds[0], 0);
    assert_int_equal(fds[1], 1);
    struct file *f = fd_get(&table, 1);
    fd_replace(&table, 1, fd_get(&table, 0), false);
    fd_close_if(&table, 1, f);
    assert_int_equal(fd_cloexec(&table, 1, NULL), 0);
    fd_replace(&table, 1, file_get(f), false);
    fd_close_if(&table, 1, f);
    assert_int_equal(fd_cloexec(&table, 1, NULL), -EBADF);
    assert_int_equal(closed, 2);
    file_put(f);
    assert_int_equal(closed, 3);
}

static void a_child_has_files_of_its_own(void **state)
{
    const bool yes = true;

    (void)state;
    open_one(0);
    open_one(1);
    assert_int_equal(fd_cloexec(&table, 1, &yes), 0);
    fd_copy(&child, &table);
    fd_close_exec(&child);
    assert_int_equal(fd_cloexec(&child, 0, NULL), 0);
    assert_int_equal(fd_cloexec(&child, 1, NULL), -EBADF);
    assert_int_equal(closed, 0);
    fd_close_all(&table);
    assert_int_equal(closed, 1);
}

static void no_descriptor_is_behind_the_table(void **state)
{
    struct file *f = file_new(&ops, O_RDWR);

    (void)state;
    assert_null(fd_get(&table, FD_MAX));
    assert_null(fd_get(&table, UINT64_MAX));
    assert_int_equal(fd_close(&table, FD_MAX), -EBADF);
    assert_int_equal(fd_cloexec(&table, FD_MAX, NULL), -EBADF);
    for (int fd = 0; fd < FD_MAX; fd++) {
        open_one(fd);
    }
    assert_int_equal(fd_install(&table, f, false, 0), -EMFILE);
    file_put(f);
}

static void a_table_that_is_full_has_no_room(void **state)
{
    (void)state;
    for (int fd = 0; fd < FD_MAX; fd++) {
        assert_true(fd_has_room(&table));
        open_one(fd);
    }
    assert_false(fd_has_room(&table));
    assert_int_equal(fd_close(&table, 5), 0);
    assert_true(fd_has_room(&table));
}

/* Of two new files a program gets both descriptors, or none. */
static void two_are_given_or_none(void **state)
{
    struct file *two[2] = {file_new(&ops, O_RDWR), file_new(&ops, O_RDWR)};
    int fds[2];

    (void)state;
    fake_user_is(0x1000, fds, sizeof(fds));
    assert_int_equal(fd_give_two(&table, two, true, UADDR(0x1000)), 0);
    assert_int_equal(fds[0], 0);
    assert_int_equal(fds[1], 1);
    assert_int_equal(fd_cloexec(&table, 1, NULL), 1);
    two[0] = file_new(&ops, O_RDWR);
    two[1] = file_new(&ops, O_RDWR);
    assert_int_equal(fd_give_two(&table, two, false, UADDR(0x1001)), -EFAULT);
    assert_int_equal(closed, 2);
    for (int fd = 2; fd < FD_MAX - 1; fd++) {
        open_one(fd);
    }
    two[0] = file_new(&ops, O_RDWR);
    two[1] = file_new(&ops, O_RDWR);
    assert_int_equal(fd_give_two(&table, two, false, UADDR(0x1000)), -EMFILE);
    assert_int_equal(closed, 4);
    assert_true(fd_has_room(&table));
    open_one(FD_MAX - 1);
    two[0] = file_new(&ops, O_RDWR);
    two[1] = file_new(&ops, O_RDWR);
    assert_int_equal(fd_give_two(&table, two, false, UADDR(0x1000)), -EMFILE);
    assert_int_equal(closed, 6);
}

/* Who watches a file is told of its end first, and only then. */
static void a_watched_file_is_forgotten(void **state)
{
    (void)state;
    open_one(0);
    open_one(1);
    struct file *f = fd_get(&table, 1);
    f->watched = 1;
    assert_int_equal(fd_close(&table, 0), 0);
    assert_int_equal(forgotten, 0);
    closed = 0;
    assert_int_equal(fd_close(&table, 1), 0);
    assert_int_equal(forgotten, 0);
    file_changed(f);
    assert_int_equal(file_changes(f), 1);
    assert_int_equal(fake_woken, 1);
    file_put(f);
    assert_int_equal(forgotten, 1);
    assert_int_equal(closed, 1);
}

/* What a device becomes ready for concerns all files of it. */
static void files_of_a_device_change_together(void **state)
{
    static unsigned changes;
    static const struct file_ops device = {.changes = &changes};
    struct file *a = file_new(&device, O_RDWR), *b = file_new(&device, O_RDWR),
                *c = file_new(&ops, O_RDWR);

    (void)state;
    file_changed(a);
    assert_int_equal(file_changes(b), 1);
    assert_int_equal(file_changes(c), 0);
    file_changed(c);
    assert_int_equal(file_changes(b), 1);
    file_put(a);
    file_put(b);
    file_put(c);
}

/* Descriptors of all processes are many: what they cost is programs' memory. */
static void files_are_made_of_what_programs_may_take(void **state)
{
    (void)state;
    fake_users_may_take = false;
    assert_null(file_new(&ops, O_RDWR));
    assert_int_equal(fd_give(&table, file_new(&ops, O_RDWR), false), -ENOMEM);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, nothing_is_left)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_uses_a_file_keeps_it),
        TEST(what_is_replaced_is_closed),
        TEST(what_nobody_was_told_of_is_taken_back),
        TEST(a_child_has_files_of_its_own),
        TEST(no_descriptor_is_behind_the_table),
        TEST(a_table_that_is_full_has_no_room),
        TEST(two_are_given_or_none),
        TEST(a_watched_file_is_forgotten),
        TEST(files_of_a_device_change_together),
        TEST(files_are_made_of_what_programs_may_take),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
