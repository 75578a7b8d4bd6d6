/*
 * The guest kernel's line discipline (syscall/ldisc.c): lines and their editing, keys that are
 * signals, what is shown of both, and the modes that change all this.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "syscall/ldisc.h"

#include <termios.h>

static struct ldisc l;
static char shown[65536];
static size_t shown_len, room;

static size_t screen(const char *text, size_t len)
{
    size_t n = len < room ? len : room;

    memcpy(shown + shown_len, text, n);
    shown_len += n;
    room -= n;
    return n;
}

static int begin(void **state)
{
    (void)state;
    shown_len = 0;
    room = sizeof(shown);
    ldisc_init(&l, screen);
    return 0;
}

/* Type keys. Return: the last signal among them. */
static unsigned types(const char *keys)
{
    unsigned number = 0, one;

    for (; *keys != '\0'; keys++) {
        one = ldisc_key(&l, *keys);
        number = one != 0 ? one : number;
    }
    return number;
}

#define SHOWS(text)                                    \
    do {                                               \
        assert_int_equal(shown_len, sizeof(text) - 1); \
        assert_memory_equal(shown, text, shown_len);   \
        shown_len = 0;                                 \
    } while (0)

#define READS(n, text)                                                 \
    do {                                                               \
        char got_[8192];                                               \
        assert_int_equal(ldisc_read(&l, got_, (n)), sizeof(text) - 1); \
        assert_memory_equal(got_, text, sizeof(text) - 1);             \
    } while (0)

static void modes(uint32_t iflag, uint32_t oflag, uint32_t lflag)
{
    struct abi_termios m = l.modes;

    m.iflag = iflag;
    m.oflag = oflag;
    m.lflag = lflag;
    ldisc_set(&l, &m);
}

/* ---- lines ---- */

static void a_line_is_read_when_it_ends(void **state)
{
    (void)state;
    types("hel");
    assert_int_equal(ldisc_waiting(&l), 0);
    types("\x7flp\r");
    SHOWS("hel\b \blp\r\n");
    assert_int_equal(ldisc_waiting(&l), 5);
    READS(3, "hel");
    types("more\n");
    READS(100, "p\n");
    READS(100, "more\n");
    assert_int_equal(ldisc_waiting(&l), 0);
}

static void an_end_is_no_byte(void **state)
{
    (void)state;
    types("\x04");
    assert_int_equal(ldisc_waiting(&l), 1);
    READS(10, "");
    assert_int_equal(ldisc_waiting(&l), 0);
    types("part\x04");
    READS(10, "part");
    assert_int_equal(ldisc_waiting(&l), 0);
    types("abc\x04");
    READS(3, "abc"); /* and the end with it */
    assert_int_equal(ldisc_waiting(&l), 0);
    assert_int_equal(ldisc_key(&l, '\0'), 0); /* a NUL that was typed is a byte */
    types("\n");
    READS(10, "\0\n");
}

static void words_and_lines_are_erased(void **state)
{
    (void)state;
    types("two words  \x17");
    SHOWS("two words  \b \b\b \b\b \b\b \b\b \b\b \b\b \b");
    types("\x15");
    SHOWS("\b \b\b \b\b \b\b \b");
    types("\x7f\x17\x15\n"); /* of nothing */
    SHOWS("\r\n");
    READS(10, "\n");
    types("a\x12z\n");
    SHOWS("a^R\r\naz\r\n");
    READS(10, "az\n");
    modes(ICRNL, OPOST | ONLCR, ICANON | ECHO | ECHOK);
    types("ab\x7f\x15");
    SHOWS("ab\x7f\x15\r\n");
    types("c\n");
    READS(10, "c\n");
}

/* A control key takes two columns, a tab up to eight, a character of UTF-8 one. */
static void what_is_wide_is_erased_whole(void **state)
{
    (void)state;
    types("\x01\x7f");
    SHOWS("^A\b \b\b \b");
    (void)ldisc_write(&l, "abc", 3);
    shown_len = 0;
    types("d\t\x7f\x7f");
    SHOWS("d\t\b\b\b\b\b \b");
    modes(ICRNL | IUTF8, OPOST | ONLCR, l.modes.lflag);
    types("\xc3\xa4\x7f");
    SHOWS("\xc3\xa4\b \b");
    types("x\n");
    READS(10, "x\n");
}

static void a_key_may_mean_itself(void **state)
{
    (void)state;
    assert_int_equal(types("\x16\x03\x16\x7f\n"), 0);
    SHOWS("^\b^C^\b^?\r\n");
    READS(10, "\x03\x7f\n");
}

static void other_ends_of_lines(void **state)
{
    struct abi_termios m = l.modes;

    (void)state;
    m.cc[VEOL] = ';';
    m.cc[VEOL2] = '|';
    ldisc_set(&l, &m);
    types("a;b|c");
    READS(10, "a;");
    READS(10, "b|");
    assert_int_equal(ldisc_waiting(&l), 0);
}

/* The end of a line has its place, whatever is before it, and who waits for it finds it. */
static void a_line_too_long_is_cut(void **state)
{
    char got[LDISC_SIZE];

    (void)state;
    for (unsigned i = 0; i < 2 * LDISC_SIZE; i++) {
        assert_true(ldisc_takes(&l));
        assert_int_equal(ldisc_key(&l, 'x'), 0);
    }
    shown_len = 0;
    types("\x7f\x7fyz\n");
    assert_int_equal(ldisc_waiting(&l), LDISC_SIZE);
    assert_false(ldisc_takes(&l));
    types("lost\n");
    assert_int_equal(ldisc_read(&l, got, sizeof(got)), LDISC_SIZE);
    assert_memory_equal(got + LDISC_SIZE - 4, "xyz\n", 4);
    assert_true(ldisc_takes(&l));
    assert_int_equal(ldisc_waiting(&l), 0);
    types("next\n");
    READS(10, "next\n");
    /* So it is before a key that means itself. */
    for (unsigned i = 0; i < LDISC_SIZE - 1; i++) {
        types("x");
    }
    shown_len = 0;
    types("\x16z\n");
    SHOWS("^\b\r\n");
    assert_int_equal(ldisc_waiting(&l), LDISC_SIZE);
    assert_int_equal(ldisc_read(&l, got, sizeof(got)), LDISC_SIZE);
    assert_memory_equal(got + LDISC_SIZE - 3, "xx\n", 3);
}

/* ---- signals ---- */

static void keys_are_signals(void **state)
{
    (void)state;
    assert_int_equal(types("abc\x03"), 2);
    SHOWS("abc^C");
    types("d\n");
    READS(10, "d\n"); /* what was before is forgotten */
    assert_int_equal(types("\x1c"), 3);
    assert_int_equal(types("\x1a"), 20);
    modes(ICRNL, OPOST | ONLCR, (l.modes.lflag | NOFLSH) & ~(tcflag_t)ECHO);
    shown_len = 0;
    assert_int_equal(types("ab\x03\n"), 2);
    SHOWS("");
    READS(10, "ab\n");
    modes(ICRNL, OPOST | ONLCR, ICANON);
    assert_int_equal(types("\x03\n"), 0);
    READS(10, "\x03\n");
}

static void output_is_halted(void **state)
{
    (void)state;
    assert_int_equal(ldisc_write(&l, "ab", 2), 2);
    types("\x13");
    assert_int_equal(ldisc_write(&l, "c", 1), 0);
    types("x\x11");
    assert_int_equal(ldisc_write(&l, "d", 1), 1);
    types("\x13");
    assert_int_equal(types("\x03"), 2); /* lets it go on, too */
    assert_int_equal(ldisc_write(&l, "e", 1), 1);
    types("\x13");
    modes(ICRNL, OPOST, l.modes.lflag); /* nobody could type ^Q now */
    assert_int_equal(ldisc_write(&l, "f", 1), 1);
    types("\x13\n");
    READS(10, "\x13\n");
}

/* ---- without lines ---- */

static void raw_keys_are_read_at_once(void **state)
{
    (void)state;
    modes(0, 0, 0);
    assert_int_equal(types("\x03\r\x7f\x04\x1a"), 0);
    assert_int_equal(ldisc_waiting(&l), 5);
    SHOWS("");
    READS(2, "\x03\r");
    READS(10, "\x7f\x04\x1a");
    for (unsigned i = 0; ldisc_takes(&l); i++) {
        assert_true(i < LDISC_SIZE);
        types("k");
    }
    ldisc_flush(&l);
    assert_int_equal(ldisc_waiting(&l), 0);
    assert_true(ldisc_takes(&l));
}

static void what_was_typed_outlives_the_mode(void **state)
{
    uint32_t lines = l.modes.lflag;

    (void)state;
    types("a\x04half");
    modes(ICRNL, OPOST, 0);
    READS(100, "a\0half");
    types("xy");
    modes(ICRNL, OPOST, lines);
    READS(100, "xy"); /* a line, though nobody ended it */
    types("z\n");
    READS(100, "z\n");
}

static void keys_are_changed(void **state)
{
    (void)state;
    modes(IGNCR | ISTRIP, 0, ICANON);
    types("a\r\xe2\n");
    READS(10, "ab\n");
    modes(INLCR, 0, 0);
    types("\n\r");
    READS(10, "\r\r");
}

/* ---- what is written ---- */

static void newlines_are_written_whole(void **state)
{
    (void)state;
    assert_int_equal(ldisc_write(&l, "a\n\nb", 4), 4);
    SHOWS("a\r\n\r\nb");
    room = 2;
    assert_int_equal(ldisc_write(&l, "a\nb", 3), 1); /* half of it went: it comes again */
    room = 100;
    assert_int_equal(ldisc_write(&l, "\nb", 2), 2);
    SHOWS("a\r\r\nb");
    modes(0, 0, 0);
    assert_int_equal(ldisc_write(&l, "a\n\r", 3), 3);
    SHOWS("a\n\r");
    modes(0, OPOST | OCRNL, 0);
    assert_int_equal(ldisc_write(&l, "a\n\rb", 4), 4);
    SHOWS("a\n\nb");
}

static void what_is_left_is_somebody_elses(void **state)
{
    char got[4];

    (void)state;
    types("line\nhalf");
    assert_int_equal(ldisc_unread(&l, got, 4), 4);
    assert_memory_equal(got, "half", 4);
    assert_int_equal(ldisc_unread(&l, got, 4), 4);
    assert_memory_equal(got, "ine\n", 4);
    assert_int_equal(ldisc_unread(&l, got, 4), 1);
    assert_int_equal(ldisc_unread(&l, got, 4), 0);
    assert_int_equal(ldisc_waiting(&l), 0);
}

/* Any modes and keys, from a generator of numbers: nothing is read twice or out of bounds. */
static void any_modes_and_any_keys(void **state)
{
    uint32_t seed = 1;
    char got[LDISC_SIZE];

    (void)state;
    for (unsigned i = 0; i < 200000; i++) {
        seed = seed * 1664525 + 1013904223;
        uint32_t r = seed >> 8;
        if (r % 97 == 0) {
            struct abi_termios m = l.modes;
            m.iflag = r;
            m.oflag = r >> 3;
            m.lflag = r >> 5;
            m.cc[r % sizeof(m.cc)] = (uint8_t)(r >> 7);
            ldisc_set(&l, &m);
        }
        if (ldisc_takes(&l)) {
            (void)ldisc_key(&l, (char)(r >> 4));
        }
        if (r % 31 == 0) {
            assert_true(ldisc_read(&l, got, r % sizeof(got)) <= sizeof(got));
        }
        assert_true(ldisc_waiting(&l) <= LDISC_SIZE);
        shown_len = 0;
        room = r % 8 == 0 ? 1 : sizeof(shown);
    }
}

#define TEST(fn) cmocka_unit_test_setup(fn, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_line_is_read_when_it_ends),
        TEST(an_end_is_no_byte),
        TEST(words_and_lines_are_erased),
        TEST(what_is_wide_is_erased_whole),
        TEST(a_key_may_mean_itself),
        TEST(other_ends_of_lines),
        TEST(a_line_too_long_is_cut),
        TEST(keys_are_signals),
        TEST(output_is_halted),
        TEST(raw_keys_are_read_at_once),
        TEST(what_was_typed_outlives_the_mode),
        TEST(keys_are_changed),
        TEST(newlines_are_written_whole),
        TEST(what_is_left_is_somebody_elses),
        TEST(any_modes_and_any_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
