/*
 * log_escape(): what a guest wrote can neither forge a line of the journal nor drive a terminal.
 * log_limited(): a flood becomes one line and a count.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

static void expect_escaped(const char *in, const char *out)
{
    char buf[256];

    assert_int_equal(log_escape(buf, sizeof(buf), in), strlen(out));
    assert_string_equal(buf, out);
}

static void text_stays(void **state)
{
    (void)state;
    expect_escaped("", "");
    expect_escaped("vbd 5/51712 \"x\"", "vbd 5/51712 \"x\"");
    expect_escaped("Gr\xc3\xbc\xc3\x9f", "Gr\xc3\xbc\xc3\x9f");
    expect_escaped("\xd0\x94\xce\xb1\xe6\x97\xa5\xea\xb0\x80",
                   "\xd0\x94\xce\xb1\xe6\x97\xa5\xea\xb0\x80");
}

static void control_characters_are_escaped(void **state)
{
    (void)state;
    expect_escaped("a\nb", "a\\x0ab");
    expect_escaped("\x1b[2J", "\\x1b[2J");
    expect_escaped("\x7f", "\\x7f");
    expect_escaped("\xc2\x9b"
                   "2J",
                   "\\xc2\\x9b2J"); /* a C1 control in UTF-8 */
}

/* Nothing that turns the direction, has no width or sits upon its neighbour. */
static void what_deceives_the_eye_is_escaped(void **state)
{
    (void)state;
    expect_escaped("\xc2\xad", "\\xc2\\xad");                   /* soft hyphen */
    expect_escaped("\xcc\x80", "\\xcc\\x80");                   /* combining grave accent */
    expect_escaped("\xd8\x9c", "\\xd8\\x9c");                   /* Arabic letter mark */
    expect_escaped("\xd7\x90", "\\xd7\\x90");                   /* a letter from right to left */
    expect_escaped("\xe1\xa0\x8e", "\\xe1\\xa0\\x8e");          /* vowel separator */
    expect_escaped("\xe2\x80\x8b", "\\xe2\\x80\\x8b");          /* zero-width space */
    expect_escaped("\xe2\x80\xa8", "\\xe2\\x80\\xa8");          /* line separator */
    expect_escaped("\xe2\x80\xae", "\\xe2\\x80\\xae");          /* right-to-left override */
    expect_escaped("\xe2\x81\xa6", "\\xe2\\x81\\xa6");          /* isolate */
    expect_escaped("\xef\xbb\xbf", "\\xef\\xbb\\xbf");          /* byte order mark */
    expect_escaped("\xf3\xa0\x81\xa1", "\\xf3\\xa0\\x81\\xa1"); /* tag */
}

static void broken_utf8_is_escaped(void **state)
{
    (void)state;
    expect_escaped("\xff", "\\xff");
    expect_escaped("\xc3", "\\xc3");
    expect_escaped("\xe2\x82", "\\xe2\\x82");
    expect_escaped("\xe0\x83\x80", "\\xe0\\x83\\x80"); /* longer than need be */
    expect_escaped("\xed\xa0\x80", "\\xed\\xa0\\x80");
}

static void a_small_buffer_is_not_overrun(void **state)
{
    char buf[6];

    (void)state;
    assert_int_equal(log_escape(buf, sizeof(buf), "ab\ncd"), 2);
    assert_string_equal(buf, "ab");
    assert_int_equal(log_escape(buf, 1, "x"), 0);
    assert_string_equal(buf, "");
}

static void levels_have_names(void **state)
{
    (void)state;
    assert_int_equal(log_level_by_name("error"), LOG_ERR);
    assert_int_equal(log_level_by_name("debug"), LOG_DEBUG);
    assert_int_equal(log_level_by_name("loud"), -EINVAL);
}

/* Runs fn with standard error in a pipe; returns what it wrote. */
static char *captured(void (*fn)(void))
{
    static char buf[4096];
    int saved = dup(STDERR_FILENO);
    int fds[2];
    ssize_t n;

    assert_int_equal(pipe(fds), 0);
    dup2(fds[1], STDERR_FILENO);
    fn();
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fds[1]);
    n = read(fds[0], buf, sizeof(buf) - 1);
    close(fds[0]);
    assert_true(n >= 0);
    buf[n] = '\0';
    return buf;
}

static void log_some(void)
{
    const struct log_id disk = {.class = "vbd", .domid = 5, .device = 51712};
    const struct log_id class = {.class = "vbd", .domid = -1, .device = -1};

    log_msg(LOG_ERR, &disk, "key %s", "a\nb");
    log_msg(LOG_INFO, &class, "two");
    log_msg(LOG_WARNING, NULL, "three");
    log_msg(LOG_DEBUG, NULL, "not shown");
}

static void a_line_names_its_device(void **state)
{
    (void)state;
    assert_string_equal(captured(log_some), "<3>vbd 5/51712: key a\\x0ab\n<6>vbd: two\n<4>three\n");
}

static void log_flood(void)
{
    struct log_limit limit = {.burst = 2, .interval_ms = 60000};

    for (int i = 0; i < 100; i++) {
        log_limited(&limit, LOG_WARNING, NULL, "flood %d", i);
    }
    limit.window_start_ms -= 60000; /* the interval has passed */
    log_limited(&limit, LOG_WARNING, NULL, "later");
}

static void a_flood_is_held_back_and_counted(void **state)
{
    (void)state;
    assert_string_equal(captured(log_flood),
                        "<4>flood 0\n<4>flood 1\n<4>later (98 more like this were not logged)\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_stays),
        cmocka_unit_test(control_characters_are_escaped),
        cmocka_unit_test(what_deceives_the_eye_is_escaped),
        cmocka_unit_test(broken_utf8_is_escaped),
        cmocka_unit_test(a_small_buffer_is_not_overrun),
        cmocka_unit_test(levels_have_names),
        cmocka_unit_test(a_line_names_its_device),
        cmocka_unit_test(a_flood_is_held_back_and_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
