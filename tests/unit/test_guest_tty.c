/*
 * The guest kernel's console as programs have it (syscall/console.c): who may read, write and set
 * it, who waits for keys and for room, that poll() and its kin hear the truth of both, and whose
 * the console is when a program has ended.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "fake_files.h"
#include "fake_user.h"
#include "io/xencons/xencons.h"
#include "proc/jobs.h"
#include "psm/clock.h"
#include "psm/random.h"
#include "syscall/console.h"
#include "syscall/file.h"

#include <sys/ioctl.h>
#include <termios.h>

#define MEMORY 0x7fff00000000 /* of the program */

/* ---- the one at the keyboard, and the kernel's shell ---- */

static char keys[65536];
static size_t key_at, key_end; /* not taken yet */
static char shown[8192];
static size_t shown_len, room;
static bool asked_for_room, claimed, drained;
static void (*tell)(void);
static nsec_t now;

void xencons_tell(void (*fn)(void))
{
    tell = fn;
}

size_t xencons_take(char *buf, size_t size)
{
    size_t n = 0;

    while (n < size && key_at < key_end) {
        buf[n++] = keys[key_at++];
    }
    return n;
}

bool xencons_typed(void)
{
    return key_at != key_end;
}

void xencons_give_back(const char *buf, size_t n)
{
    assert_true(n <= key_at);
    key_at -= n;
    memcpy(keys + key_at, buf, n);
}

size_t xencons_put_raw(const char *text, size_t len)
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

bool xencons_drained(void)
{
    return drained;
}

void xencons_claim(bool by_programs)
{
    claimed = by_programs;
}

void xencons_look_again(void)
{
}

static bool due; /* what the shell's thread would do next */

void xencons_wait_until(bool (*cond)(void *arg), void *arg)
{
    due = cond(arg);
}

void random_fill(void *buf, size_t n)
{
    memset(buf, 7, n);
}

nsec_t clock_now(void)
{
    return now;
}

void epoll_forget(struct file *f)
{
    (void)f;
}

/* ---- processes ---- */

static unsigned posted_group, posted[64]; /* how often each signal was sent, and to whom last */
static int background;                    /* what job_background() says */
static unsigned background_number;
static int in_session;

void job_signal(unsigned group, unsigned number)
{
    posted_group = group;
    posted[number]++;
}

int job_background(const struct uthread *t, unsigned number)
{
    (void)t;
    background_number = number;
    return background;
}

int job_in_session(unsigned group, unsigned session)
{
    (void)group;
    (void)session;
    return in_session;
}

static struct proc shells, job;
static struct file *console;
static char buf[64];
static unsigned char memory[4096];

static unsigned turns;

static bool after_one_turn(void *arg)
{
    (void)arg;
    return turns == 0 || turns-- == 0;
}

/* The shell's thread has its share. */
static void serve(unsigned n)
{
    turns = 2 * n; /* it looks twice in each */
    console_serve(after_one_turn, NULL);
}

static void types(const char *text)
{
    for (; *text != '\0'; text++) {
        assert_true(key_end < sizeof(keys));
        keys[key_end++] = *text;
    }
    serve(1);
}

static void runs_as(struct proc *p)
{
    uthread_self()->proc = p;
}

static int begin(void **state)
{
    (void)state;
    fake_files_begin();
    key_at = key_end = shown_len = 0;
    room = sizeof(shown);
    asked_for_room = false;
    drained = true;
    now = 1;
    memset(posted, 0, sizeof(posted));
    background = -CALL_RESTARTS;
    background_number = 0;
    in_session = 0;
    shells = (struct proc){.pid = 5, .group = 5, .origin = 5};
    job = (struct proc){.pid = 6, .group = 6, .origin = 5, .parent = &shells};
    runs_as(&shells);
    fake_user_is(MEMORY, memory, sizeof(memory));
    console_boot();
    console_begin(&shells);
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

static ssize_t reads(size_t n)
{
    memset(buf, 0, sizeof(buf));
    return console->ops->read(console, 0, buf, n);
}

static ssize_t writes(const char *text)
{
    return console->ops->write(console, text, strlen(text));
}

static int control(unsigned cmd, uint64_t arg)
{
    return console->ops->ioctl(console, cmd, UADDR(arg));
}

static int number_of(unsigned cmd)
{
    int number = -1;

    assert_int_equal(control(cmd, MEMORY), 0);
    memcpy(&number, memory, sizeof(number));
    return number;
}

static int set_number(unsigned cmd, int number)
{
    memcpy(memory, &number, sizeof(number));
    return control(cmd, MEMORY);
}

/* Modes without lines. */
static void raw(unsigned min, unsigned time)
{
    struct abi_termios m;

    assert_int_equal(control(TCGETS, MEMORY), 0);
    memcpy(&m, memory, sizeof(m));
    m.lflag &= ~(tcflag_t)(ICANON | ECHO);
    m.cc[VMIN] = (uint8_t)min;
    m.cc[VTIME] = (uint8_t)time;
    memcpy(memory, &m, sizeof(m));
    assert_int_equal(control(TCSETS, MEMORY), 0);
}

/* ---- keys and lines ---- */

static void it_is_readable_when_a_line_is(void **state)
{
    unsigned before = file_changes(console);

    (void)state;
    assert_int_equal(file_ready(console) & (POLLIN | POLLOUT), POLLOUT);
    types("hel");
    assert_true(file_changes(console) > before);
    assert_false(file_ready(console) & POLLIN);
    types("\x7flp\r");
    assert_true(file_ready(console) & POLLIN);
    assert_memory_equal(shown, "hel\b \blp\r\n", 10); /* while nobody reads, too */
    assert_int_equal(reads(3), 3);
    assert_memory_equal(buf, "hel", 3);
    assert_true(file_ready(console) & POLLIN);
    assert_int_equal(number_of(FIONREAD), 2);
    assert_int_equal(reads(60), 2);
    assert_memory_equal(buf, "p\n", 2);
    assert_false(file_ready(console) & POLLIN);
    types("\x04");
    assert_true(file_ready(console) & POLLIN);
    assert_int_equal(reads(10), 0);
    assert_false(file_ready(console) & POLLIN);
    assert_int_equal(reads(0), 0);
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
    assert_int_equal(writes("12345"), 3);
    assert_int_equal(writes("45"), -EAGAIN);
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
    assert_int_equal(writes("x"), -CALL_RESTARTS);
    fake_interrupted = false;
    room = 2;
    assert_int_equal(writes("123"), 2); /* what went, went */
    fake_interrupted = false;
    fake_sleep = room_comes;
    assert_int_equal(writes("12345"), 5);
    drained = false;
    fake_sleep = a_signal_comes;
    assert_int_equal(control(TCSBRK, 1), -CALL_RESTARTS);
}

/* Keys that find no room stay with who typed them, until somebody reads. */
static void who_types_without_end(void **state)
{
    (void)state;
    memset(keys, 'x', 10000);
    for (unsigned i = 9; i < 10000; i += 10) {
        keys[i] = '\n';
    }
    key_end = 10000;
    serve(100);
    assert_in_range(key_end - key_at, 5000, 6000);
    assert_false(due);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(reads(60), 10);
        serve(1);
    }
    assert_false(file_ready(console) & POLLIN);
    /* What is typed is not shown where there is no room, and nobody waits for any. */
    room = 0;
    types("unseen\n");
    assert_int_equal(reads(10), 7);
}

/* ---- without lines ---- */

static void a_key_comes(void)
{
    types("k");
}

static void three_keys_come(void)
{
    types("abc");
}

static void the_timer_runs_out(void)
{
    fake_times_out = true;
}

static void reads_wait_for_so_many(void **state)
{
    (void)state;
    raw(3, 0);
    types("ab");
    assert_false(file_ready(console) & POLLIN);
    assert_int_equal(reads(2), 2); /* no more were asked for */
    fake_sleep = three_keys_come;
    assert_int_equal(reads(10), 3);
    types("d");
    fake_sleep = a_signal_comes;
    assert_int_equal(reads(10), 1); /* what was there */
    fake_interrupted = false;
    raw(0, 0);
    assert_int_equal(reads(10), 0);
    types("e");
    assert_true(file_ready(console) & POLLIN);
    assert_int_equal(reads(10), 1);
}

static void reads_wait_so_long(void **state)
{
    (void)state;
    raw(0, 3);
    now = 1000;
    fake_sleep = the_timer_runs_out;
    assert_int_equal(reads(10), 0);
    assert_int_equal(fake_deadline, 1000 + 300 * NSEC_PER_MSEC);
    fake_sleep = a_key_comes;
    assert_int_equal(reads(10), 1);
    /* Between keys: it begins with the first. */
    raw(5, 2);
    fake_sleep = a_key_comes;
    now = 2000;
    console->flags = O_RDWR;
    fake_next_sleep = the_timer_runs_out;
    assert_int_equal(reads(10), 1);
    assert_int_equal(fake_deadline, 2000 + 200 * NSEC_PER_MSEC);
}

/* ---- whose it is ---- */

static void keys_are_told_to_the_foreground(void **state)
{
    (void)state;
    types("abc\x03");
    assert_int_equal(posted[2], 1);
    assert_int_equal(posted_group, 5);
    assert_int_equal(set_number(TIOCSPGRP, 6), 0);
    assert_int_equal(number_of(TIOCGPGRP), 6);
    types("\x1a\x1c");
    assert_int_equal(posted[20], 1);
    assert_int_equal(posted[3], 1);
    assert_int_equal(posted_group, 6);
    in_session = -EPERM;
    runs_as(&job);
    assert_int_equal(set_number(TIOCSPGRP, 7), -EPERM);
    assert_int_equal(set_number(TIOCSPGRP, 0), -EINVAL);
    assert_int_equal(number_of(TIOCGPGRP), 6);
}

static void the_background_is_kept_from_it(void **state)
{
    (void)state;
    types("line\n");
    runs_as(&job);
    assert_int_equal(reads(10), -CALL_RESTARTS);
    assert_int_equal(background_number, SIGNAL_TTY_IN);
    assert_int_equal(writes("x"), 1);
    assert_int_equal(control(TCFLSH, 0), -CALL_RESTARTS);
    assert_int_equal(background_number, SIGNAL_TTY_OUT);
    assert_int_equal(control(TCSETS, MEMORY), -CALL_RESTARTS);
    assert_int_equal(set_number(TIOCSPGRP, 6), -CALL_RESTARTS);
    background = -EIO;
    assert_int_equal(reads(10), -EIO);
    background = 0; /* it refuses SIGTTOU */
    assert_int_equal(control(TCFLSH, 1), 0);
    assert_int_equal(set_number(TIOCSPGRP, 6), 0);
    assert_int_equal(reads(10), 5);
}

static void writers_are_kept_from_it_if_it_says_so(void **state)
{
    struct abi_termios m;

    (void)state;
    assert_int_equal(control(TCGETS, MEMORY), 0);
    memcpy(&m, memory, sizeof(m));
    m.lflag |= TOSTOP;
    memcpy(memory, &m, sizeof(m));
    assert_int_equal(control(TCSETS, MEMORY), 0);
    assert_int_equal(writes("x"), 1);
    runs_as(&job);
    assert_int_equal(writes("x"), -CALL_RESTARTS);
    assert_int_equal(background_number, SIGNAL_TTY_OUT);
}

static void another_session_does_not_have_it(void **state)
{
    (void)state;
    job.session = job.pid;
    runs_as(&job);
    assert_int_equal(control(TIOCGPGRP, MEMORY), -LINUX_ENOTTY);
    assert_int_equal(set_number(TIOCSPGRP, 6), -LINUX_ENOTTY);
    assert_int_equal(control(TIOCGSID, MEMORY), -LINUX_ENOTTY);
    assert_int_equal(control(TIOCNOTTY, 0), -LINUX_ENOTTY);
    assert_int_equal(control(TIOCSCTTY, 0), -EPERM);
    types("line\n");
    assert_int_equal(reads(10), 5); /* nobody is in its background */
    assert_int_equal(control(TIOCSCTTY, 1), 0);
    assert_int_equal(control(TIOCSCTTY, 0), 0);
    assert_int_equal(number_of(TIOCGSID), 6);
    /* It leads its session: that has lost it when it ends. */
    console_leave(&job);
    assert_int_equal(posted[1], 1);
    assert_int_equal(posted[18], 1);
    assert_int_equal(posted_group, 6);
    types("\x03");
    assert_int_equal(posted[2], 0);
    assert_int_equal(control(TIOCSCTTY, 0), 0);
    assert_int_equal(control(TIOCNOTTY, 0), 0);
}

static void the_shell_has_it_back(void **state)
{
    char text[16];

    (void)state;
    raw(1, 0);
    types("status");
    console_end();
    assert_false(claimed);
    assert_int_equal(xencons_take(text, sizeof(text)), 6); /* which nobody has read */
    assert_memory_equal(text, "status", 6);
    /* What is left of the program reads its end, and may write, as lines. */
    assert_true(file_ready(console) & POLLIN);
    assert_int_equal(reads(10), 0);
    assert_int_equal(writes("a\n"), 2);
    assert_memory_equal(shown + shown_len - 3, "a\r\n", 3);
    assert_int_equal(control(TIOCSCTTY, 1), -EPERM);
    assert_int_equal(control(TIOCGPGRP, MEMORY), -LINUX_ENOTTY);
    console_begin(&shells);
    assert_true(claimed);
    assert_int_equal(number_of(TIOCGPGRP), 5);
    types("line\n");
    assert_int_equal(reads(10), 5); /* its settings are as at first */
}

/* ---- settings ---- */

static void its_size_is_what_was_set(void **state)
{
    struct abi_winsize size = {.rows = 30, .columns = 90};

    (void)state;
    memcpy(memory, &size, sizeof(size));
    assert_int_equal(control(TIOCSWINSZ, MEMORY), 0);
    assert_int_equal(posted[28], 1);
    assert_int_equal(control(TIOCSWINSZ, MEMORY), 0);
    assert_int_equal(posted[28], 1); /* it is the same */
    memset(memory, 0, sizeof(size));
    assert_int_equal(control(TIOCGWINSZ, MEMORY), 0);
    assert_memory_equal(memory, &size, sizeof(size));
}

static void what_is_wrong_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(control(TCSETS, MEMORY + sizeof(memory)), -EFAULT);
    assert_int_equal(control(TIOCSWINSZ, MEMORY + sizeof(memory)), -EFAULT);
    assert_int_equal(control(TIOCSPGRP, MEMORY + sizeof(memory)), -EFAULT);
    assert_int_equal(control(TCGETS, MEMORY + sizeof(memory) - 4), -EFAULT);
    assert_int_equal(control(TCFLSH, 3), -EINVAL);
    assert_int_equal(control(TCXONC, 4), -EINVAL);
    assert_int_equal(control(0x1234, 0), -LINUX_ENOTTY);
    types("line\n");
    assert_int_equal(control(TCFLSH, 1), 0);
    assert_int_equal(control(TCXONC, 0), 0);
    assert_false(file_ready(console) & POLLOUT);
    assert_int_equal(control(TCXONC, 1), 0);
    assert_int_equal(reads(10), 5);
    types("line\n");
    assert_int_equal(control(TCGETS, MEMORY), 0);
    assert_int_equal(control(TCSETS + 2, MEMORY), 0); /* TCSETSF */
    assert_false(file_ready(console) & POLLIN);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, nothing_is_left)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_readable_when_a_line_is),
        TEST(who_does_not_wait_is_told_so),
        TEST(who_waits_sleeps_where_signals_wake),
        TEST(who_types_without_end),
        TEST(reads_wait_for_so_many),
        TEST(reads_wait_so_long),
        TEST(keys_are_told_to_the_foreground),
        TEST(the_background_is_kept_from_it),
        TEST(writers_are_kept_from_it_if_it_says_so),
        TEST(another_session_does_not_have_it),
        TEST(the_shell_has_it_back),
        TEST(its_size_is_what_was_set),
        TEST(what_is_wrong_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
