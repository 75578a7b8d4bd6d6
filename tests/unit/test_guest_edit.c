/*
 * The guest shell's line editor, played on a terminal of one row: after each run of keys the row
 * must show what the line holds, with the cursor where it belongs.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/edit.h"

/* One row of a terminal, enough of one to understand what the editor sends. */
struct row {
    char cells[256];
    size_t column;
    char escape[16]; /* sequence so far */
};

static void row_escape(struct row *r, char c)
{
    size_t n = strlen(r->escape);

    assert_true(n + 1 < sizeof(r->escape));
    r->escape[n] = c;
    r->escape[n + 1] = '\0';
    if (c < '@' || c > '~' || n < 2) {
        return;
    }
    if (c == 'K') {
        memset(r->cells + r->column, ' ', sizeof(r->cells) - 1 - r->column);
    } else if (c == 'D') {
        r->column -= (size_t)strtol(r->escape + 2, NULL, 10);
    } else if (c == 'J' || c == 'H') {
        r->column = 0;
    } else {
        fail_msg("sequence ending in %c", c);
    }
    r->escape[0] = '\0';
}

static void row_show(const char *s, size_t n, void *arg)
{
    struct row *r = arg;

    for (size_t i = 0; i < n; i++) {
        if (r->escape[0] || s[i] == '\x1b') {
            row_escape(r, s[i]);
        } else if (s[i] == '\r') {
            r->column = 0;
        } else if (s[i] == '\n') {
            r->column = 0;
            memset(r->cells, ' ', sizeof(r->cells) - 1);
        } else {
            assert_true(r->column < EDIT_COLUMNS);
            r->cells[r->column++] = s[i];
        }
    }
}

static struct edit e;
static struct row row;

static int begin(void **state)
{
    (void)state;
    memset(&e, 0, sizeof(e));
    memset(&row, 0, sizeof(row));
    memset(row.cells, ' ', sizeof(row.cells) - 1);
    e.prompt = "duet# ";
    e.show = row_show;
    e.arg = &row;
    edit_begin(&e);
    return 0;
}

static enum edit_result keys(const char *s)
{
    enum edit_result last = EDIT_MORE;

    for (; *s; s++) {
        last = edit_key(&e, *s);
    }
    return last;
}

/* The line is @text with the cursor at @pos, and so the row shows it. */
static void expect(const char *text, size_t pos)
{
    char shown[300];
    int n = snprintf(shown, sizeof(shown), "duet# %s", text);

    assert_string_equal(e.text, text);
    assert_int_equal(e.len, strlen(text));
    assert_int_equal(e.pos, pos);
    assert_memory_equal(row.cells, shown, (size_t)n);
    for (size_t i = (size_t)n; i < EDIT_COLUMNS; i++) {
        assert_int_equal(row.cells[i], ' ');
    }
    assert_int_equal(row.column, 6 + pos);
}

static void typing_and_moving(void **state)
{
    (void)state;
    keys("helo");
    expect("helo", 4);
    keys("\x1b[Dl"); /* left */
    expect("hello", 4);
    keys("\x01<"); /* ^A */
    expect("<hello", 1);
    keys("\x05>"); /* ^E */
    expect("<hello>", 7);
    keys("\x1b[H\x1b[C\x1b[3~"); /* Home, right, Delete */
    expect("<ello>", 1);
    keys("\x1b[F\x7f\x7f"); /* End, Backspace twice */
    expect("<ell", 4);
    keys("\x1b[1~\x7f\x1b[D"); /* at the start nothing more happens */
    expect("<ell", 0);
    keys("\x1b[4~\x1b[C\x1b[3~");
    expect("<ell", 4);
    assert_int_equal(keys("\r"), EDIT_LINE);
    assert_string_equal(e.text, "<ell");
}

static void killing(void **state)
{
    (void)state;
    keys("dd if=xvda of=xvdb");
    keys("\x17"); /* ^W */
    expect("dd if=xvda ", 11);
    keys("\x17");
    expect("dd ", 3);
    keys("abc\x1b[D\x0b"); /* left, ^K */
    expect("dd ab", 5);
    keys("\x1b[D\x15"); /* left, ^U */
    expect("b", 0);
    keys("\x0c"); /* ^L */
    expect("b", 0);
    assert_int_equal(keys("\x03"), EDIT_ABORT);
}

static void history(void **state)
{
    (void)state;
    edit_remember(&e, "first");
    edit_remember(&e, "second");
    edit_remember(&e, "second");
    edit_remember(&e, "");
    keys("new\x1b[A"); /* up */
    expect("second", 6);
    keys("\x1b[A\x1b[A"); /* the oldest stays */
    expect("first", 5);
    keys("\x1b[B\x1b[B"); /* down, to what was being typed */
    expect("new", 3);
    keys("\x1b[B");
    expect("new", 3);
    for (int i = 0; i < 3 * EDIT_HISTORY; i++) {
        char line[16];

        snprintf(line, sizeof(line), "line %d", i);
        edit_remember(&e, line);
    }
    assert_string_equal(edit_history(&e, 1), "line 71");
    assert_string_equal(edit_history(&e, EDIT_HISTORY), "line 48");
    assert_null(edit_history(&e, EDIT_HISTORY + 1));
}

/* A line wider than the terminal scrolls sideways and never leaves the row. */
static void long_lines(void **state)
{
    (void)state;
    for (int i = 0; i < EDIT_MAX + 50; i++) {
        char c = (char)('a' + i % 26);

        edit_key(&e, c);
    }
    assert_int_equal(e.len, EDIT_MAX - 1);
    assert_int_equal(e.pos, EDIT_MAX - 1);
    assert_true(row.column < EDIT_COLUMNS);
    assert_int_equal(row.cells[row.column - 1], e.text[EDIT_MAX - 2]);
    keys("\x01");
    assert_int_equal(row.column, 6);
    assert_memory_equal(row.cells + 6, e.text, 60);
    keys("\x1b[C\x0b");
    expect("a", 1);
}

/* Sequences nobody knows, and ones cut short by ^C, leave no trace. */
static void strange_sequences(void **state)
{
    (void)state;
    keys("a\x1b[99;99Zb\x1bxc\x1b[200000000~d");
    expect("abcd", 4);
    assert_int_equal(keys("\x1b[\x03"), EDIT_ABORT);
    edit_begin(&e);
    keys("x\x01\x02\x1b");
    assert_int_equal(edit_key(&e, '\x03'), EDIT_ABORT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(typing_and_moving, begin), cmocka_unit_test_setup(killing, begin),
        cmocka_unit_test_setup(history, begin),           cmocka_unit_test_setup(long_lines, begin),
        cmocka_unit_test_setup(strange_sequences, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
