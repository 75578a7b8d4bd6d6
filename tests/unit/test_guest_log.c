/*
 * The guest's log against words of a back end or of the toolstack: a line stays one line, of
 * printable characters only, whatever stands in it and however long it is, in the ring as on the
 * console.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "kern/lock.h"
#include "kern/log.h"
#include "psm/clock.h"

static char shown[1U << 15]; /* the whole ring, when the sink is set */
static size_t shown_len;

/* ---- the kernel around it ---- */

nsec_t clock_now(void)
{
    return 1234 * NSEC_PER_MSEC;
}

/* ---- the console ---- */

static void show(const char *text, size_t len)
{
    assert_true(shown_len + len < sizeof(shown));
    memcpy(shown + shown_len, text, len);
    shown_len += len;
    shown[shown_len] = '\0';
}

static const struct log_sink sink = {.write = show};

static void begin(void)
{
    log_set_sink(NULL);
    log_set_sink(&sink); /* shows what is in the ring again */
    shown_len = 0;
    shown[0] = '\0';
}

static void one_line(void)
{
    assert_true(shown_len > 0 && shown_len <= 256);
    for (size_t i = 0; i < shown_len - 1; i++) {
        assert_in_range((unsigned char)shown[i], ' ', '~');
    }
    assert_int_equal(shown[shown_len - 1], '\n');
}

static void usual_text_is_as_it_was(void **unused)
{
    (void)unused;
    begin();
    log_info("%s: %u-byte sectors, 100%%", "xvda", 512);
    assert_string_equal(shown, "[    1.234] xvda: 512-byte sectors, 100%\n");
}

static void no_terminal_obeys_it(void **unused)
{
    (void)unused;
    begin();
    log_warn("eth0: '%s' is no address", "\x1b[2J\x07\x9b"
                                         "0m\r\n[    0.000] forged \x7f\xff");
    one_line();
    assert_string_equal(shown,
                        "[    1.234] eth0: '\\x1b[2J\\x07\\x9b0m\\x0d\\x0a[    0.000] forged "
                        "\\x7f\\xff' is no address\n");
}

static void every_byte(void **unused)
{
    (void)unused;
    for (unsigned c = 1; c < 256; c++) {
        begin();
        log_info("%c", (int)c);
        one_line();
    }
}

/* Wherever the end of the room comes, also within what stands for one byte. */
static void long_text_is_cut(void **unused)
{
    char text[600];

    (void)unused;
    for (size_t len = 0; len < sizeof(text); len++) {
        memset(text, len % 2 != 0 ? '\x1b' : 'x', len);
        text[len] = '\0';
        begin();
        log_info("%s", text);
        one_line();
    }
}

/* Who reads the ring later sees no more of it. */
static void the_ring_has_the_same(void **unused)
{
    char text[256];
    uint64_t at = 0;
    size_t n;

    (void)unused;
    while ((n = log_read(&at, text, sizeof(text))) != 0) {
        for (size_t i = 0; i < n; i++) {
            assert_true(text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~'));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usual_text_is_as_it_was),
        cmocka_unit_test(no_terminal_obeys_it),
        cmocka_unit_test(every_byte),
        cmocka_unit_test(long_text_is_cut),
        cmocka_unit_test(the_ring_has_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
