/*
 * Old output that is shown again must not make the terminal answer: questions go, everything else
 * stays byte for byte, however it is cut.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "replay.h"

static void expect(const char *in, const char *wanted)
{
    char out[256];
    size_t len = cons_replay_filter(in, strlen(in), out);

    assert_int_equal(len, strlen(wanted));
    assert_memory_equal(out, wanted, len);
}

static void text_and_colours_stay(void **state)
{
    (void)state;
    expect("", "");
    expect("plain text\r\n", "plain text\r\n");
    expect("\x1b[1;31mred\x1b[0m\x1b[2J\x1b[H\x1b[?25l",
           "\x1b[1;31mred\x1b[0m\x1b[2J\x1b[H\x1b[?25l");
    expect("\x1b(B\x1b=\x1bM", "\x1b(B\x1b=\x1bM");
    expect("\xc3\xa9\xe2\x82\xac", "\xc3\xa9\xe2\x82\xac");
}

static void questions_go(void **state)
{
    (void)state;
    expect("/ # \x1b[6n", "/ # ");
    expect("a\x1b[cb\x1b[>0cc\x1b[5nd\x1b[?6ne", "abcde");
    expect("\x1bZ|\x05|\x1b[18t|\x1b[0x|\x1b[?2026$p|\x1b[>q|", "||||||");
    expect("\x1bP$qm\x1b\\x", "x");
    expect("\x1b]11;?\x07y\x1b]0;title\x1b\\z", "yz");
}

/* The 8-bit forms: as UTF-8, which is what terminals obey today, and as single bytes. */
static void questions_in_c1_go(void **state)
{
    (void)state;
    expect("/ # \xc2\x9b"
           "6n",
           "/ # ");
    expect("/ # \x9b"
           "6n",
           "/ # ");
    expect("\xc2\x9a|\x9a|\xc2\x90$qm\xc2\x9cx\x90$qm\x9cy\xc2\x9d"
           "11;?\x07z",
           "||xyz");
    expect("\x1b]0;\xe6\x9c\x9c\xc2\x9c.", ".");
}

/* Bytes of UTF-8 characters that look like those controls. */
static void characters_stay_whole(void **state)
{
    (void)state;
    expect("\xe7\x9b\x9b"
           "6n",
           "\xe7\x9b\x9b"
           "6n");
    expect("\xc3\x9b"
           "6n\xc3\x9a",
           "\xc3\x9b"
           "6n\xc3\x9a");
    expect("\xc2\x9b"
           "1;31mred",
           "\xc2\x9b"
           "1;31mred");
    expect("\xe7\x9b", "\xe7\x9b");
}

static void likenesses_stay(void **state)
{
    (void)state;
    expect("\x1b[!p\x1b[4 q", "\x1b[!p\x1b[4 q");
    expect("[6n", "[6n");
    expect("\x1b[6\nn", "\x1b[6\nn");
}

static void what_is_cut_off_stays(void **state)
{
    static const char *const cut[] = {"\x1b",    "\x1b[",      "\x1b[6", "\x1b]0;title",
                                      "\x1bP$q", "\x1b]x\x1b", "\xc2",   "\x9b"};

    (void)state;
    for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
        expect(cut[i], cut[i]);
    }
}

static void it_works_in_place_and_never_grows(void **state)
{
    static const char pieces[] = "\x1b[]P\\6nc;?$>Zx\x05\x07 \xc2\x9b\x9c\x9d\xe7";
    char in[64], out[64];
    uint32_t seed = 1;

    (void)state;
    for (int round = 0; round < 50000; round++) {
        size_t len, in_place;

        for (size_t i = 0; i < sizeof(in); i++) {
            seed = seed * 1664525 + 1013904223;
            in[i] = pieces[(seed >> 16) % (sizeof(pieces) - 1)];
        }
        len = cons_replay_filter(in, sizeof(in), out);
        assert_true(len <= sizeof(in));
        in_place = cons_replay_filter(in, sizeof(in), in);
        assert_int_equal(in_place, len);
        assert_memory_equal(in, out, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_and_colours_stay),
        cmocka_unit_test(questions_go),
        cmocka_unit_test(questions_in_c1_go),
        cmocka_unit_test(characters_stay_whole),
        cmocka_unit_test(likenesses_stay),
        cmocka_unit_test(what_is_cut_off_stays),
        cmocka_unit_test(it_works_in_place_and_never_grows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
