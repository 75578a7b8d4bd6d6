/*
 * The guest shell's parser (words, quotes, comments, limits), the store's replies as the guest
 * reads them, virtual disks' names, and the test pattern.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "io/xvbd/vbd_name.h"
#include "lib/parse.h"
#include "lib/pattern.h"
#include "xenbus/xs_parse.h"

static void words_and_commands(void **state)
{
    const char *line = " dd if=xvda  of='a b' ; ;echo \"x;y\\\" z\"  q\\ r# # no more; halt";
    struct parsed p;

    (void)state;
    assert_int_equal(parse_command(&line, &p), 0);
    assert_int_equal(p.argc, 3);
    assert_string_equal(p.argv[0], "dd");
    assert_string_equal(p.argv[1], "if=xvda");
    assert_string_equal(p.argv[2], "of=a b");
    assert_null(p.argv[3]);
    assert_int_equal(parse_command(&line, &p), 0);
    assert_int_equal(p.argc, 0);
    assert_int_equal(parse_command(&line, &p), 0);
    assert_int_equal(p.argc, 3);
    assert_string_equal(p.argv[1], "x;y\" z");
    assert_string_equal(p.argv[2], "q r#");
    assert_int_equal(parse_command(&line, &p), -ENOENT);
}

static void words_empty(void **state)
{
    const char *line = "xs write a ''";
    struct parsed p;

    (void)state;
    assert_int_equal(parse_command(&line, &p), 0);
    assert_int_equal(p.argc, 4);
    assert_string_equal(p.argv[3], "");
}

static void words_limits(void **state)
{
    char text[PARSE_TEXT + 64];
    const char *line = "echo 'never closed; halt";
    struct parsed p;

    (void)state;
    assert_int_equal(parse_command(&line, &p), -EINVAL);
    assert_int_equal(parse_command(&line, &p), -ENOENT);

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    line = text;
    assert_int_equal(parse_command(&line, &p), -E2BIG);
    assert_int_equal(parse_command(&line, &p), -ENOENT);

    /* One word that just fits, then one more than there is room for. */
    text[PARSE_TEXT - 1] = '\0';
    line = text;
    assert_int_equal(parse_command(&line, &p), 0);
    assert_int_equal(strlen(p.argv[0]), PARSE_TEXT - 1);

    for (size_t i = 0; i < PARSE_WORDS + 1; i++) {
        memcpy(text + 2 * i, "w ", 3);
    }
    line = text;
    assert_int_equal(parse_command(&line, &p), -E2BIG);
}

static void store_errors(void **state)
{
    (void)state;
    assert_int_equal(xs_parse_error("ENOENT", 7), -ENOENT);
    assert_int_equal(xs_parse_error("EAGAIN", 6), -EAGAIN);
    assert_int_equal(xs_parse_error("ENOTEMPTY", 10), -ENOTEMPTY);
    assert_int_equal(xs_parse_error("ENOENTX", 8), -EIO);
    assert_int_equal(xs_parse_error("EN", 2), -EIO);
    assert_int_equal(xs_parse_error("", 0), -EIO);
}

static void store_lists(void **state)
{
    static const char list[] = "vbd\0vif\0";
    const char *cur = NULL;

    (void)state;
    assert_int_equal(xs_list_count(list, 8), 2);
    assert_int_equal(xs_list_count(list, 7), -EBADMSG);
    assert_int_equal(xs_list_count(list, 0), 0);
    cur = xs_list_next(list, 8, cur);
    assert_string_equal(cur, "vbd");
    cur = xs_list_next(list, 8, cur);
    assert_string_equal(cur, "vif");
    assert_null(xs_list_next(list, 8, cur));
    assert_null(xs_list_next(list, 0, NULL));
}

static void store_events(void **state)
{
    const char *path, *token;

    (void)state;
    assert_int_equal(xs_parse_watch_event("device\0a1\0", 10, &path, &token), 0);
    assert_string_equal(path, "device");
    assert_string_equal(token, "a1");
    assert_int_equal(xs_parse_watch_event("device\0", 7, &path, &token), -EBADMSG);
    assert_int_equal(xs_parse_watch_event("device\0a1", 9, &path, &token), -EBADMSG);
    assert_int_equal(xs_parse_watch_event("", 0, &path, &token), -EBADMSG);
}

static void store_numbers(void **state)
{
    uint32_t hex = 7;
    uint64_t dec = 7;

    (void)state;
    assert_int_equal(xs_parse_hex("00ff", &hex), 0);
    assert_int_equal(hex, 0xff);
    assert_int_equal(xs_parse_hex("ffffffff", &hex), 0);
    assert_int_equal(xs_parse_hex("", &hex), -EINVAL);
    assert_int_equal(xs_parse_hex("1ffffffff", &hex), -EINVAL);
    assert_int_equal(xs_parse_hex("0x1", &hex), -EINVAL);
    assert_int_equal(xs_parse_dec("18446744073709551615", &dec), 0);
    assert_true(dec == UINT64_MAX);
    assert_int_equal(xs_parse_dec("18446744073709551616", &dec), -ERANGE);
    assert_int_equal(xs_parse_dec("-1", &dec), -EINVAL);
    assert_int_equal(xs_parse_dec(" 1", &dec), -EINVAL);
    assert_int_equal(xs_parse_dec("1 ", &dec), -EINVAL);
    assert_int_equal(xs_parse_dec("", &dec), -EINVAL);
    assert_true(dec == UINT64_MAX);
}

static void device_paths(void **state)
{
    struct xs_device_path p;

    (void)state;
    assert_int_equal(xs_parse_device_path("device/vbd/51712/state", &p), 0);
    assert_string_equal(p.class, "vbd");
    assert_string_equal(p.id, "51712");
    assert_string_equal(p.rest, "state");
    assert_int_equal(xs_parse_device_path("device/vif/0", &p), 0);
    assert_string_equal(p.rest, "");
    assert_int_equal(xs_parse_device_path("device", &p), -EINVAL);
    assert_int_equal(xs_parse_device_path("device/vbd", &p), -EINVAL);
    assert_int_equal(xs_parse_device_path("device//0", &p), -EINVAL);
    assert_int_equal(xs_parse_device_path("control/shutdown", &p), -EINVAL);
    assert_int_equal(xs_parse_device_path("device/vbd/123456789012345678901234", &p), -EINVAL);
    assert_int_equal(xs_parse_device_path("device/vbd/12345678901234567890123", &p), 0);
}

static void disk_names(void **state)
{
    static const struct {
        uint32_t vdev;
        const char *name; /* NULL: no disk */
    } cases[] = {
        {51712, "xvda"},
        {51713, "xvda1"},
        {51728, "xvdb"},
        {202 << 8 | 15 << 4 | 15, "xvdp15"},
        {1u << 28 | 16 << 8, "xvdq"},
        {1u << 28 | 25 << 8 | 255, "xvdz255"},
        {1u << 28 | 26 << 8, "xvdaa"},
        {1u << 28 | 701 << 8, "xvdzz"},
        {1u << 28 | 702 << 8, "xvdaaa"},
        {0x1fffffff, "xvdbgqcv255"},
        {8 << 8, "sda"},
        {8 << 8 | 1 << 4 | 2, "sdb2"},
        {3 << 8, "hda"},
        {3 << 8 | 1 << 6 | 5, "hdb5"},
        {22 << 8, "hdc"},
        {22 << 8 | 1 << 6, "hdd"},
        {22 << 8 | 2 << 6, NULL},
        {0, NULL},
        {9 << 8, NULL},
        {1u << 29, NULL},
        {UINT32_MAX, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char name[16];
        int rc = vbd_name(cases[i].vdev, name, sizeof(name));

        assert_int_equal(rc, cases[i].name ? 0 : -EINVAL);
        if (cases[i].name) {
            assert_string_equal(name, cases[i].name);
        }
    }
}

static void pattern(void **state)
{
    char a[512];
    char b[512];

    (void)state;
    pattern_fill(a, sizeof(a), 0xdeadbeef, 0x123456789a0);
    assert_memory_equal(a, "deadbeef 00000123456789a0 duet.\n", PATTERN_RECORD);
    assert_memory_equal(a + 32, "deadbeef 00000123456789c0 duet.\n", PATTERN_RECORD);
    assert_int_equal(pattern_check(a, sizeof(a), 0xdeadbeef, 0x123456789a0), -1);
    assert_int_equal(pattern_check(a, sizeof(a), 0xdeadbeee, 0x123456789a0), 7);
    assert_int_equal(pattern_check(a, sizeof(a), 0xdeadbeef, 0x123456789c0), 23);
    memcpy(b, a, sizeof(b));
    b[511] ^= 1;
    assert_int_equal(pattern_check(b, sizeof(b), 0xdeadbeef, 0x123456789a0), 511);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_commands), cmocka_unit_test(words_empty),
        cmocka_unit_test(words_limits),       cmocka_unit_test(store_errors),
        cmocka_unit_test(store_lists),        cmocka_unit_test(store_events),
        cmocka_unit_test(store_numbers),      cmocka_unit_test(device_paths),
        cmocka_unit_test(disk_names),         cmocka_unit_test(pattern),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
