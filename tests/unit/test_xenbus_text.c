/*
 * The escapes of the xenbus tool: bytes that a guest chose must come out printable, and come back
 * the same; what is not UTF-8 must not reach a JSON string.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "xenbus.h"

static void escapes_what_is_not_printable(void **state)
{
    static const char bytes[] = "a\0b\n\t\r\\\"\x1b[2J\xff";
    char *text = text_escaped(bytes, sizeof(bytes) - 1);

    (void)state;
    assert_string_equal(text, "a\\x00b\\n\\t\\r\\\\\\\"\\x1b[2J\\xff");
    free(text);
}

static void every_byte_survives_the_round_trip(void **state)
{
    unsigned char bytes[256];
    size_t len = 0;
    char *text, *back;

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char)i;
    }
    text = text_escaped(bytes, sizeof(bytes));
    back = text_unescape(text, &len);
    assert_non_null(back);
    assert_int_equal(len, sizeof(bytes));
    assert_memory_equal(back, bytes, sizeof(bytes));
    free(text);
    free(back);
}

static void refuses_malformed_escapes(void **state)
{
    static const char *const bad[] = {"\\", "a\\q", "\\x", "\\x1", "\\x1g", "\\xg1"};
    size_t len;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_null(text_unescape(bad[i], &len));
    }
}

static void knows_utf8(void **state)
{
    static const char *const good[] = {"",
                                       "abc",
                                       "\xc3\xa9",
                                       "\xe2\x82\xac",
                                       "\xf0\x9f\x98\x80",
                                       "\xed\x9f\xbf",
                                       "\xf4\x8f\xbf\xbf"};
    /* Overlong, surrogate, above U+10FFFF, cut short, stray continuation. */
    static const char *const bad[] = {"\xc0\x80",         "\xe0\x80\x80", "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80", "\xe2\x82",     "\x80",
                                      "\xf8\x88\x80\x80", "\xc3"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(text_is_utf8(good[i], strlen(good[i])));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(text_is_utf8(bad[i], strlen(bad[i])));
    }
    assert_false(text_is_utf8("a\0b", 3));
}

static void json_gets_hex_for_bytes(void **state)
{
    cJSON *object = cJSON_CreateObject();

    (void)state;
    json_add_value(object, "\0\xff", 2);
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(object, "value")));
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "hex")),
                        "00ff");
    cJSON_Delete(object);
    object = cJSON_CreateObject();
    json_add_value(object, "4", 1);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "value")),
                        "4");
    assert_null(cJSON_GetObjectItemCaseSensitive(object, "hex"));
    cJSON_Delete(object);
}

static void checks_paths(void **state)
{
    static const char *const good[] = {"/", "/a", "domid", "/local/domain/0/a_b-c",
                                       "@releaseDomain"};
    static const char *const bad[] = {"", "/a/", "//a", "/a//b", "/a b", "/a\n", "/\xff", "a@b"};
    char *longest = must_alloc(4000);

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(store_path_valid(good[i]));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(store_path_valid(bad[i]));
    }
    memset(longest, 'a', 3072);
    longest[0] = '/';
    assert_false(store_path_valid(longest));
    longest[3071] = '\0';
    assert_true(store_path_valid(longest));
    free(longest);
}

static void reads_seconds(void **state)
{
    double seconds;

    (void)state;
    assert_true(parse_seconds("0.25", &seconds));
    assert_true(seconds > 0.249 && seconds < 0.251);
    assert_true(parse_seconds("0", &seconds));
    assert_false(parse_seconds("-1", &seconds));
    assert_false(parse_seconds("nan", &seconds));
    assert_false(parse_seconds("inf", &seconds));
    assert_false(parse_seconds("1s", &seconds));
    assert_false(parse_seconds("", &seconds));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_what_is_not_printable),
        cmocka_unit_test(every_byte_survives_the_round_trip),
        cmocka_unit_test(refuses_malformed_escapes),
        cmocka_unit_test(knows_utf8),
        cmocka_unit_test(json_gets_hex_for_bytes),
        cmocka_unit_test(checks_paths),
        cmocka_unit_test(reads_seconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
