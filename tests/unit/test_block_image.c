/*
 * Images: which files may be images, who may share one, that what is given back is free, and that
 * storage that does not answer holds up nobody. The images are files in a temporary folder, and the
 * openers are this program itself. Block devices need root and a real one
 * (tests/lab/block-bad-images).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "engine.h"
#include "image.h"
#include "inuse.h"
#include "opener.h"

#define OPENER       "/proc/self/exe"
#define PATIENT_MS   60000
#define IMPATIENT_MS 200

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

/* What was told last, about whom, and how often anything was. */
static struct {
    enum image_event event;
    const struct image_user *user;
    int err;
    unsigned int count;
} told;

static void on_event(struct image_user *u, enum image_event event, int err, const char *text)
{
    told.event = event;
    told.user = u;
    told.err = err;
    told.count++;
    snprintf(why, sizeof(why), "%s", text != NULL ? text : "");
}

/* Runs the loop for a moment. */
static void on_tick(void *arg)
{
    (void)arg;
    loop_stop(table.loop, 0);
}

static void turn(void)
{
    struct loop_timer tick = {0};

    loop_timer_set(table.loop, &tick, 1000000, on_tick, NULL);
    loop_run(table.loop);
}

/* Runs the loop until something is told. */
static void wait_told(void)
{
    told.count = 0;
    for (int i = 0; i < 10000 && told.count == 0; i++) {
        turn();
    }
    assert_int_equal(told.count, 1);
}

/* Runs the loop until no image is in use and no opener is left. */
static void wait_free(void)
{
    for (int i = 0; i < 10000 && !XEN_LIST_EMPTY(&table.openers); i++) {
        turn();
    }
    assert_true(XEN_LIST_EMPTY(&table.openers));
    assert_null(table.images);
}

/* Opens it, and waits for what comes of it. */
static int open_path(struct image_user *u, const char *p)
{
    int err = image_open(&table, p, u, why, sizeof(why));

    if (err != 0) {
        return err;
    }
    wait_told();
    assert_ptr_equal(told.user, u);
    assert_int_equal(u->stage, told.event == IMAGE_OPENED ? IMAGE_OPEN : IMAGE_NONE);
    return told.err;
}

static int open_(struct image_user *u, const char *name)
{
    return open_path(u, path(name));
}

static void a_file_is_measured(void **state)
{
    struct image_user u = user(1, false, "");

    (void)state;
    make("a", 1000 * 512 + 100);
    assert_int_equal(open_(&u, "a"), 0);
    assert_int_equal(u.facts.sectors, 1000);
    assert_false(u.facts.block_device);
    assert_int_equal(u.facts.physical_sector_bytes, 512);
    image_close(&u);
    wait_free();
    image_close(&u); /* harmless */
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
    assert_int_equal(open_path(&u, "/dev/null"), -EINVAL);
    assert_non_null(strstr(why, "is a character device"));
    assert_int_equal(open_path(&u, "relative"), -EINVAL);
    assert_non_null(strstr(why, "not an absolute path"));
    make("small", 511);
    assert_int_equal(open_(&u, "small"), -ENODATA);
    assert_non_null(strstr(why, "smaller than one sector"));
    wait_free();
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
    image_close(&w);
    assert_int_equal(open_(&r, "a"), 0);
    assert_int_equal(open_(&r2, "a"), 0);
    assert_int_equal(open_(&w, "a"), -EBUSY);
    assert_non_null(strstr(why, "in use read-only by vbd 2/51712"));
    image_close(&r);
    image_close(&r2);
    wait_free();
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
    image_close(&a);
}

/* Has the image handed to a worker, which is this program. Returns its descriptor, and the lock's.
 */
static int take_both(struct image_user *u, int *lock_fd)
{
    int extra = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int fds[3] = {-1, -1, -1};
    char text[16];
    int sv[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
    assert_int_equal(image_take(u, sv[0], "config", 6, &extra, 1, why, sizeof(why)), 0);
    assert_true(u->taken);
    close(sv[0]);
    close(extra);
    assert_int_equal(child_receive(sv[1], text, sizeof(text), fds, 3), 6);
    assert_memory_equal(text, "config", 6);
    assert_int_not_equal(fcntl(fds[2], F_GETFD), -1);
    close(fds[2]);
    close(sv[1]);
    *lock_fd = fds[1];
    return fds[0];
}

/* The same; and lets go of the lock. */
static int take(struct image_user *u)
{
    int lock_fd;
    int fd = take_both(u, &lock_fd);

    close(lock_fd);
    return fd;
}

static void the_two_ends_of_a_migration_take_turns(void **state)
{
    struct image_user old = user(1, false, "/vm/u"), new = user(2, false, "/vm/u"),
                      again = user(2, false, "/vm/u"), other = user(3, false, "/vm/v");

    (void)state;
    make("a", 4096);
    assert_int_equal(open_(&old, "a"), 0);
    assert_null(image_rival(&old, false));
    close(take(&old));
    assert_int_equal(open_(&new, "a"), 0); /* is promised it, and knows its size */
    assert_int_equal(new.facts.sectors, 8);
    assert_false(new.taken);
    assert_ptr_equal(image_rival(&new, true), &old);
    assert_ptr_equal(image_rival(&old, false), &new);
    assert_null(image_rival(&old, true));
    assert_int_equal(open_(&again, "a"), -EBUSY); /* twice in one domain is a mistake */
    assert_int_equal(open_(&other, "a"), -EBUSY);
    image_drop(&old);
    assert_null(image_rival(&new, true));
    close(take(&new));
    image_close(&old);
    assert_null(image_rival(&new, false));
    image_close(&new);
    wait_free();
}

/* Of the user. */
static void kill_opener(const struct image_user *u)
{
    kill(((struct child *)u->opener)->pid, SIGKILL); /* its first member */
}

/* Its user may open the image again, and that only. */
static void an_image_whose_opener_is_killed_may_be_opened_again(void **state)
{
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct image_user u = user(1, false, "/vm/u");
    char to[256];
    int fd;

    (void)state;
    make("a", 4096);
    assert_int_equal(open_(&u, "a"), 0);
    kill_opener(&u);
    wait_told();
    assert_int_equal(told.event, IMAGE_LOST);
    assert_non_null(strstr(why, "the process that locked it killed by signal 9"));
    assert_int_equal(u.stage, IMAGE_NONE);
    assert_int_equal(open_(&u, "a"), 0);
    fd = open(path("a"), O_RDWR | O_CLOEXEC);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &fl), -1); /* it is locked */
    make("b", 4096);
    snprintf(to, sizeof(to), "%s", path("a"));
    assert_int_equal(rename(path("b"), to), 0); /* another file of that name */
    kill_opener(&u);
    wait_told();
    assert_int_equal(told.event, IMAGE_LOST);
    assert_int_equal(open_(&u, "a"), -ESTALE);
    assert_non_null(strstr(why, "is another file than before"));
    close(fd);
    wait_free();
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
    close(take(&a));
    close(take(&b));
    assert_null(image_rival(&a, false));
    rivals = 0;
    image_each_rival(&a, count_rival);
    assert_int_equal(rivals, 0);
    image_close(&a);
    image_close(&b);
    assert_int_equal(open_(&w, "a"), 0);
    assert_int_equal(open_(&v, "a"), 0);
    image_each_rival(&w, count_rival);
    assert_int_equal(rivals, 1);
    image_close(&w);
    image_close(&v);
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
    image_close(&a);
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
    image_close(&u);
    wait_free();
    assert_int_equal(lock(fd, F_WRLCK), 0);
    assert_int_equal(open_(&u, "a"), -EBUSY);
    assert_non_null(strstr(why, "in use by another program"));
    u.read_only = true;
    assert_int_equal(open_(&u, "a"), -EBUSY);
    close(fd);
    assert_int_equal(open_(&u, "a"), 0);
    image_close(&u);
}

/*
 * A worker that is killed while the storage is slow: its last writes may still come. Its io_uring,
 * which lives until they have, holds the lock; here a pipe that nobody writes to is the storage.
 */
static void a_dead_workers_image_is_locked_until_its_last_operation_ended(void **state)
{
    struct image_user u = user(1, false, "");
    int image_fd, lock_fd, other = -1, slow[2];
    struct blk_engine_files files = {.log = -1};
    struct io_uring ring;
    char byte;

    (void)state;
    make("a", 4096);
    other = open(path("a"), O_RDWR | O_CLOEXEC);
    assert_int_equal(pipe(slow), 0);
    assert_int_equal(open_(&u, "a"), 0);
    image_fd = take_both(&u, &lock_fd);
    files.image = slow[0];
    files.lock = lock_fd;
    assert_int_equal(blk_engine_open(&ring, 8, &files, false), 0);
    blk_engine_read(&ring, &byte, 1, 0, false, 1);
    assert_int_equal(uring_submit(&ring, 0), 0);
    close(image_fd);
    close(lock_fd);
    image_close(&u); /* the opener goes, too */
    wait_free();
    assert_int_equal(lock(other, F_WRLCK), -1);
    io_uring_queue_exit(&ring);
    while (lock(other, F_WRLCK) != 0) { /* the kernel gets round to it */
        assert_int_equal(errno, EAGAIN);
        turn();
    }
    close(slow[0]);
    close(slow[1]);
    close(other);
}

static struct io_uring *last_ring; /* of the worker that is waited for */

static void its_last_operation_ends(void)
{
    assert_non_null(last_ring);
    io_uring_queue_exit(last_ring);
    last_ring = NULL;
}

/* Storage that stalls, and a guest that is restored meanwhile: the next device of the same image
 * has another log. */
static void a_worker_waits_for_the_operations_of_another_devices_worker(void **state)
{
    struct image_user u = user(1, false, "/vm/1"), next = user(2, false, "/vm/1");
    struct blk_engine_files files = {.log = -1};
    struct io_uring ring;
    int image, slow[2];
    char byte;

    (void)state;
    make("a", 4096);
    assert_int_equal(pipe(slow), 0);
    assert_int_equal(open_(&u, "a"), 0);
    image = take(&u);
    assert_int_equal(blk_engine_claim(image, false, its_last_operation_ends), 0);
    files.image = slow[0];
    files.lock = image;
    assert_int_equal(blk_engine_open(&ring, 8, &files, false), 0);
    blk_engine_read(&ring, &byte, 1, 0, false, 1);
    assert_int_equal(uring_submit(&ring, 0), 0);
    close(image);
    image_drop(&u); /* it was killed */

    assert_int_equal(open_(&next, "a"), 0);
    image = take(&next);
    last_ring = &ring;
    assert_int_equal(blk_engine_claim(image, false, its_last_operation_ends), 0);
    assert_null(last_ring);
    close(image);
    image_close(&next);
    image_close(&u);
    close(slow[0]);
    close(slow[1]);
}

static void readers_do_not_wait_for_readers(void **state)
{
    struct image_user a = user(1, true, ""), b = user(2, true, "");
    int first, second;

    (void)state;
    make("a", 4096);
    assert_int_equal(open_(&a, "a"), 0);
    assert_int_equal(open_(&b, "a"), 0);
    first = take(&a);
    second = take(&b);
    assert_int_equal(blk_engine_claim(first, true, its_last_operation_ends), 0);
    assert_int_equal(blk_engine_claim(second, true, its_last_operation_ends), 0);
    close(first);
    close(second);
    image_close(&a);
    image_close(&b);
}

static void a_read_only_users_descriptor_cannot_write(void **state)
{
    struct image_user u = user(1, true, "");
    int fd;

    (void)state;
    make("a", 4096);
    assert_int_equal(open_(&u, "a"), 0);
    fd = take(&u);
    assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    close(fd);
    image_close(&u);
}

static void a_hung_image_holds_up_nobody(void **state)
{
    struct image_user hung = user(1, false, ""), other = user(2, false, "");
    int fd;

    (void)state;
    table.patience_ms = IMPATIENT_MS;
    make("a", 4096);
    make("b", 512);
    fd = open(path("a"), O_RDWR | O_CLOEXEC);
    assert_int_equal(fcntl(fd, F_SETLEASE, F_WRLCK), 0); /* an open waits until it is given up */
    assert_int_equal(image_open(&table, path("a"), &hung, why, sizeof(why)), 0);
    wait_told();
    assert_ptr_equal(told.user, &hung);
    assert_int_equal(told.event, IMAGE_LATE);
    assert_int_equal(told.err, -ETIMEDOUT);
    assert_non_null(strstr(why, "has not opened for"));
    table.patience_ms = PATIENT_MS;
    assert_int_equal(open_(&other, "b"), 0); /* meanwhile */
    fcntl(fd, F_SETLEASE, F_UNLCK);
    wait_told(); /* a late answer is an answer */
    assert_int_equal(told.event, IMAGE_OPENED);
    assert_int_equal(hung.stage, IMAGE_OPEN);
    image_close(&hung);
    image_close(&other);
    close(fd);
    wait_free();
}

static void an_opening_may_be_given_up(void **state)
{
    struct image_user hung = user(1, false, "");
    int fd;

    (void)state;
    table.patience_ms = IMPATIENT_MS;
    make("a", 4096);
    fd = open(path("a"), O_RDWR | O_CLOEXEC);
    assert_int_equal(fcntl(fd, F_SETLEASE, F_WRLCK), 0);
    assert_int_equal(image_open(&table, path("a"), &hung, why, sizeof(why)), 0);
    wait_told();
    assert_int_equal(told.event, IMAGE_LATE);
    image_close(&hung);
    assert_int_equal(hung.stage, IMAGE_NONE);
    close(fd);
    wait_free();
}

static void who_comes_while_it_is_closed_waits(void **state)
{
    struct image_user a = user(1, false, ""), b = user(2, false, "");

    (void)state;
    make("a", 4096);
    assert_int_equal(open_(&a, "a"), 0);
    image_close(&a); /* its opener is not gone yet, and neither is the lock */
    assert_int_equal(open_(&b, "a"), 0);
    image_close(&b);
    wait_free();
}

static void another_size_is_told(void **state)
{
    struct image_user u = user(1, false, "");

    (void)state;
    make("a", 4096);
    assert_int_equal(open_(&u, "a"), 0);
    assert_int_equal(truncate(path("a"), 8192), 0);
    wait_told();
    assert_int_equal(told.event, IMAGE_RESIZED);
    assert_int_equal(u.facts.sectors, 16);
    assert_int_equal(truncate(path("a"), 100), 0);
    wait_told();
    assert_int_equal(u.facts.sectors, 0);
    image_close(&u);
    wait_free();
}

static void force_asks_nobody(void **state)
{
    struct image_user a = user(1, false, ""), b = user(2, false, "");

    (void)state;
    b.forced = true;
    make("a", 4096);
    assert_int_equal(open_(&a, "a"), 0);
    assert_int_equal(open_(&b, "a"), 0);
    image_close(&a);
    image_close(&b);
    wait_free();
}

static void what_is_mounted_is_known(void **state)
{
    static const char mounts[] =
        "22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/root rw,errors=remount-ro\n"
        "23 22 7:3 / /mnt/a\\040b ro,relatime - ext4 /dev/no-such-node ro\n"
        "24 22 7:4 / /mnt/c ro,relatime - ext4 /dev/no-such-node rw\n";
    char where[64];
    FILE *f;

    (void)state;
    f = fopen(path("a"), "we");
    assert_non_null(f);
    fputs(mounts, f);
    fclose(f);
    assert_true(inuse_mounted(path("a"), makedev(8, 2), true, where, sizeof(where)));
    assert_string_equal(where, "/");
    assert_true(inuse_mounted(path("a"), makedev(7, 3), false, where, sizeof(where)));
    assert_string_equal(where, "/mnt/a b");
    assert_false(inuse_mounted(path("a"), makedev(7, 3), true, where, sizeof(where)));
    assert_true(inuse_mounted(path("a"), makedev(7, 4), true, where, sizeof(where)));
    assert_false(inuse_mounted(path("a"), makedev(7, 5), false, where, sizeof(where)));
    assert_false(inuse_swap(path("a"), makedev(8, 2)));
}

/* Whatever was closed is free again. */
static int all_is_free(void **state)
{
    (void)state;
    wait_free();
    table.patience_ms = PATIENT_MS;
    return 0;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"a", "b", "link", "hard", "fifo", "small"};

    (void)state;
    for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        unlink(path(names[i]));
    }
    return rmdir(folder);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_file_is_measured, all_is_free),
        cmocka_unit_test_teardown(only_files_and_block_devices_will_do, all_is_free),
        cmocka_unit_test_teardown(one_writer_or_many_readers, all_is_free),
        cmocka_unit_test_teardown(another_name_is_the_same_image, all_is_free),
        cmocka_unit_test_teardown(the_two_ends_of_a_migration_take_turns, all_is_free),
        cmocka_unit_test_teardown(readers_are_no_rivals, all_is_free),
        cmocka_unit_test_teardown(domains_without_a_vm_path_are_not_the_same, all_is_free),
        cmocka_unit_test_teardown(other_programs_are_locked_out_and_respected, all_is_free),
        cmocka_unit_test_teardown(a_dead_workers_image_is_locked_until_its_last_operation_ended,
                                  all_is_free),
        cmocka_unit_test_teardown(a_worker_waits_for_the_operations_of_another_devices_worker,
                                  all_is_free),
        cmocka_unit_test_teardown(readers_do_not_wait_for_readers, all_is_free),
        cmocka_unit_test_teardown(a_read_only_users_descriptor_cannot_write, all_is_free),
        cmocka_unit_test_teardown(a_hung_image_holds_up_nobody, all_is_free),
        cmocka_unit_test_teardown(an_opening_may_be_given_up, all_is_free),
        cmocka_unit_test_teardown(who_comes_while_it_is_closed_waits, all_is_free),
        cmocka_unit_test_teardown(an_image_whose_opener_is_killed_may_be_opened_again, all_is_free),
        cmocka_unit_test_teardown(another_size_is_told, all_is_free),
        cmocka_unit_test_teardown(force_asks_nobody, all_is_free),
        cmocka_unit_test_teardown(what_is_mounted_is_known, all_is_free),
    };

    if (argc == 1 && strcmp(argv[0], OPENER) == 0) {
        return opener_run(CHILD_SOCKET_FD);
    }
    signal(SIGIO, SIG_IGN); /* the kernel asks for a lease back */
    table.loop = loop_new();
    table.opener_path = OPENER;
    table.opener_program = -1;
    table.on_event = on_event;
    table.patience_ms = PATIENT_MS;
    if (table.loop == NULL || mkdtemp(folder) == NULL) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, remove_folder);
}
