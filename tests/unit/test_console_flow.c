/*
 * What paces and remembers a console's output: the history by position, and the count of those who
 * have a real terminal open.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <termios.h>
#include <unistd.h>

#include "history.h"
#include "pty.h"
#include "readers.h"

/* Everything from @position on, as the readers would get it. */
static size_t collect(const struct cons_history *history, uint64_t *position, char *out)
{
    const char *data;
    size_t len, total = 0;

    while ((len = cons_history_from(history, position, &data)) > 0) {
        memcpy(out + total, data, len);
        total += len;
        *position += len;
    }
    return total;
}

static void history_keeps_the_end(void **state)
{
    struct cons_history history;
    uint64_t position = 0;
    char out[16];

    (void)state;
    cons_history_init(&history, 8);
    assert_int_equal(collect(&history, &position, out), 0);
    cons_history_append(&history, "abc", 3);
    assert_int_equal(collect(&history, &position, out), 3);
    assert_memory_equal(out, "abc", 3);
    cons_history_append(&history, "defghij", 7);
    assert_int_equal(collect(&history, &position, out), 7);
    assert_memory_equal(out, "defghij", 7);
    position = 0;
    assert_int_equal(collect(&history, &position, out), 8);
    assert_memory_equal(out, "cdefghij", 8);
    assert_int_equal(position, 10);
    cons_history_free(&history);
}

static void history_takes_more_than_its_size(void **state)
{
    struct cons_history history;
    uint64_t position = 0;
    char out[16];

    (void)state;
    cons_history_init(&history, 4);
    cons_history_append(&history, "0123456789", 10);
    assert_int_equal(history.head, 10);
    assert_int_equal(cons_history_oldest(&history), 6);
    assert_int_equal(collect(&history, &position, out), 4);
    assert_memory_equal(out, "6789", 4);
    cons_history_free(&history);
}

static void stop_loop(void *arg)
{
    loop_stop(arg, 0);
}

static void readers_are_noticed_by_opening_the_terminal(void **state)
{
    struct loop *loop = loop_new();
    struct cons_reader watch = {0};
    struct cons_readers readers;
    struct cons_pty pty;
    char path[CONS_TTY_MAX];
    int first, second;

    (void)state;
    cons_pty_init(&pty);
    assert_int_equal(cons_pty_open(&pty, path), 0);
    assert_int_equal(cons_pty_reset(&pty), 0);
    assert_int_equal(cons_readers_open(&readers, loop, inotify_init1(IN_NONBLOCK)), 0);
    cons_readers_add(&readers, &watch, inotify_add_watch(readers.fd, path, IN_OPEN), stop_loop,
                     loop);
    assert_false(cons_pty_has_reader(&pty));
    first = open(path, O_RDWR | O_NOCTTY);
    assert_true(first >= 0);
    /* Ends only because the open was noticed. */
    loop_run(loop);
    assert_true(cons_pty_has_reader(&pty));
    second = open(path, O_RDWR | O_NOCTTY);
    close(first);
    assert_true(cons_pty_has_reader(&pty));
    close(second);
    assert_false(cons_pty_has_reader(&pty));
    /* A reset opens the slave itself: nobody may be left attached by it. */
    assert_int_equal(cons_pty_reset(&pty), 0);
    assert_false(cons_pty_has_reader(&pty));
    cons_readers_del(&readers, &watch);
    loop_fd_del(loop, &readers.watch);
    close(readers.fd);
    cons_pty_close(&pty);
    loop_free(loop);
}

static void a_reset_terminal_is_raw_and_empty(void **state)
{
    struct cons_pty pty;
    char path[CONS_TTY_MAX];
    struct pollfd arrived = {.events = POLLIN};
    struct termios cooked;
    char byte;
    int fd;

    (void)state;
    cons_pty_init(&pty);
    assert_int_equal(cons_pty_open(&pty, path), 0);
    assert_int_equal(cons_pty_reset(&pty), 0);
    /* A reader that leaves some output unread, and the terminal cooked. */
    fd = open(path, O_RDWR | O_NOCTTY);
    assert_true(fd >= 0);
    assert_int_equal(write(pty.master, "left over", 9), 9);
    arrived.fd = fd;
    assert_int_equal(poll(&arrived, 1, -1), 1);
    assert_int_equal(tcgetattr(fd, &cooked), 0);
    cooked.c_lflag |= ECHO | ICANON;
    assert_int_equal(tcsetattr(fd, TCSANOW, &cooked), 0);
    close(fd);
    assert_int_equal(cons_pty_reset(&pty), 0);
    fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, &byte, 1), -1);
    assert_int_equal(errno, EAGAIN);
    /* Raw: no line editing, no echo back to the master. */
    assert_int_equal(write(pty.master, "x", 1), 1);
    arrived.fd = fd;
    assert_int_equal(poll(&arrived, 1, -1), 1);
    assert_int_equal(read(fd, &byte, 1), 1);
    assert_int_equal(read(pty.master, &byte, 1), -1);
    assert_int_equal(errno, EAGAIN);
    close(fd);
    cons_pty_close(&pty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(history_keeps_the_end),
        cmocka_unit_test(history_takes_more_than_its_size),
        cmocka_unit_test(readers_are_noticed_by_opening_the_terminal),
        cmocka_unit_test(a_reset_terminal_is_raw_and_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
