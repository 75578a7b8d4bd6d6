/*
 * The guest kernel's console as programs have it (syscall/dev.c): lines, who waits for one and for
 * room, and that poll() and its kin hear the truth of both.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "fake_files.h"
#include "io/xencons/xencons.h"
#include "psm/random.h"
#include "syscall/dev.h"
#include "syscall/file.h"

/* ---- the one at the keyboard ---- */

static const char *keys; /* not taken yet */
static unsigned endless; /* so many more are typed without a pause */
static char shown[8192];
static size_t shown_len, room;
static bool asked_for_room;
static void (*tell)(void);

void xencons_tell(void (*fn)(void))
{
    tell = fn;
}

size_t xencons_take(char *buf, size_t size)
{
    size_t n = 0;

    while (n < size && *keys != '\0') {
        buf[n++] = *keys++;
    }
    if (n == 0 && endless != 0) {
        endless--;
        buf[n++] = 'x';
    }
    return n;
}

size_t xencons_put(const char *text, size_t len)
{
    size_t n = len < room ? len : room;

    memcpy(shown + shown_len, text, n);
    shown_len += n;
    room -= n;
    asked_for_room = asked_for_room || n < len;
    return n;
}

bool xencons_writable(void)
{
    asked_for_room = asked_for_room || room == 0;
    return room != 0;
}

void random_fill(void *buf, size_t n)
{
    memset(buf, 7, n);
}

void epoll_forget(struct file *f)
{
    (void)f;
}

static void types(const char *text)
{
    assert_true(*keys == '\0');
    keys = text;
    tell();
}

/* ---- tests ---- */

static struct file *console;
static char buf[64];

static ssize_t reads(size_t n)
{
    memset(buf, 0, sizeof(buf));
    return console->ops->read(console, 0, buf, n);
}

static int begin(void **state)
{
    (void)state;
    fake_files_begin();
    keys = "";
    endless = 0;
    shown_len = 0;
    room = sizeof(shown);
    asked_for_room = false;
    dev_boot();
    console = file_new(&console_ops, O_RDWR);
    return 0;
}

static int nothing_is_left(void **state)
{
    (void)state;
    file_put(console);
    assert_int_equal(fake_held, 0);
    return 0;
}

static void it_is_readable_when_a_line_is(void **state)
{
    unsigned before = file_changes(console);

    (void)state;
    assert_int_equal(file_ready(console) & (POLLIN | POLLOUT), POLLOUT);
    types("hel");
    assert_int_equal(file_changes(console), before + 1);
    assert_false(file_ready(console) & POLLIN);
    types("\x7flp\r");
    assert_true(file_ready(console) & POLLIN);
    assert_memory_equal(shown, "hel\b \blp\n", 9); /* while nobody reads, too */
    assert_int_equal(reads(3), 3);
    assert_memory_equal(buf, "hel", 3);
    assert_true(file_ready(console) & POLLIN);
    assert_int_equal(reads(60), 2);
    assert_memory_equal(buf, "p\n", 2);
    assert_false(file_ready(console) & POLLIN);
}

static void an_end_can_be_read(void **state)
{
    (void)state;
    types("\x04");
    assert_true(file_ready(console) & POLLIN);
    assert_int_equal(reads(10), 0);
    assert_false(file_ready(console) & POLLIN);
    types("all\x03no\n"); /* ^C takes back what is before it */
    assert_int_equal(reads(10), 3);
    assert_memory_equal(buf, "no\n", 3);
}

static void who_does_not_wait_is_told_so(void **state)
{
    (void)state;
    console->flags |= O_NONBLOCK;
    assert_int_equal(reads(10), -EAGAIN);
    types("a\nb\n");
    assert_int_equal(reads(10), 2);
    assert_int_equal(reads(10), 2);
    assert_int_equal(reads(10), -EAGAIN);
    room = 3;
    assert_int_equal(console->ops->write(console, "12345", 5), 3);
    assert_int_equal(console->ops->write(console, "45", 2), -EAGAIN);
    assert_false(file_ready(console) & POLLOUT);
    assert_true(asked_for_room);
}

static void a_line_comes(void)
{
    types("late\n");
}

static void a_signal_comes(void)
{
    assert_false(fake_interrupted); /* who was woken by one sleeps no more */
    fake_interrupted = true;
}

static void room_comes(void)
{
    room = sizeof(shown) - shown_len;
    tell();
}

static void who_waits_sleeps_where_signals_wake(void **state)
{
    (void)state;
    fake_sleep = a_line_comes;
    assert_int_equal(reads(10), 5);
    fake_sleep = a_signal_comes;
    assert_int_equal(reads(10), -CALL_RESTARTS);
    fake_interrupted = false;
    room = 0;
    assert_int_equal(console->ops->write(console, "x", 1), -CALL_RESTARTS);
    fake_interrupted = false;
    room = 2;
    assert_int_equal(console->ops->write(console, "123", 3), 2); /* what went, went */
    fake_interrupted = false;
    fake_sleep = room_comes;
    assert_int_equal(console->ops->write(console, "12345", 5), 5);
}

/* Nobody is kept, and nobody forgets the rest. */
static void who_types_without_end(void **state)
{
    unsigned woken;

    (void)state;
    endless = 1000000;
    woken = fake_woken;
    assert_false(file_ready(console) & POLLIN);
    assert_true(endless > 900000);
    assert_true(fake_woken > woken);
    endless = 0;
    types("\n");
    assert_true(file_ready(console) & POLLIN);
    assert_int_equal(reads(60), 60);
    while (file_ready(console) & POLLIN) {
        (void)reads(60);
    }
    /* What is typed is not shown where there is no room, and nobody waits for any. */
    room = 0;
    types("unseen\n");
    assert_int_equal(reads(10), 7);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, nothing_is_left)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_readable_when_a_line_is), TEST(an_end_can_be_read),
        TEST(who_does_not_wait_is_told_so),  TEST(who_waits_sleeps_where_signals_wake),
        TEST(who_types_without_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
