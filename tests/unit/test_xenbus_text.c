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

/* What json_print_text() makes of @text; the caller frees. */
static char *printed(const char *text)
{
    char *out = NULL;
    size_t size = 0;
    FILE *mem = open_memstream(&out, &size);

    assert_non_null(mem);
    json_print_text(mem, text);
    fclose(mem);
    return out;
}

/* What a terminal obeys or an eye cannot see: DEL, C1 controls, direction, no width, beyond 16
 * bits. */
static const char *const treacherous[] = {"\x7f",
                                          ("\xc2\x9b"
                                           "2J"),
                                          "\xc2\x80",
                                          "\xc2\x9f",
                                          "\xe2\x80\xae",
                                          "\xe2\x81\xa6",
                                          "\xe2\x80\x8b",
                                          "\xef\xbb\xbf",
                                          "\xe2\x80\xa8",
                                          "\xc2\xad",
                                          "\xf3\xa0\x81\xa1",
                                          "\xf0\x9f\x98\x80",
                                          "\xf4\x8f\xbf\xbf",
                                          "\x1b[2J\b\f\n"};

static void json_is_printable_ascii_and_reads_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(treacherous) / sizeof(treacherous[0]); i++) {
        cJSON *object = cJSON_CreateObject(), *back;
        char *raw, *text;

        json_add_value(object, treacherous[i], strlen(treacherous[i]));
        raw = cJSON_PrintUnformatted(object);
        text = printed(raw);
        for (const char *p = text; *p != '\0'; p++) {
            assert_in_range(*p, 0x20, 0x7e);
        }
        back = cJSON_Parse(text);
        assert_non_null(back);
        assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(back, "value")),
                            treacherous[i]);
        cJSON_Delete(back);
        cJSON_Delete(object);
        cJSON_free(raw);
        free(text);
    }
}

static void json_escapes_are_the_standard_ones(void **state)
{
    static const char *const pairs[][2] = {
        {"\x7f", "\\u007f"},         {"\xc2\x9b", "\\u009b"},
        {"\xe2\x80\xae", "\\u202e"}, {"\xf0\x9f\x98\x80", "\\ud83d\\ude00"},
        {"\xff", "\\ufffd"},         {"[\"a\"]", "[\"a\"]"}};

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        char *text = printed(pairs[i][0]);

        assert_string_equal(text, pairs[i][1]);
        free(text);
    }
}

static void a_message_is_printable_and_keeps_its_quotes(void **state)
{
    char *out = NULL;
    size_t size = 0;
    FILE *mem = open_memstream(&out, &size);

    (void)state;
    assert_non_null(mem);
    text_print(mem, "/a is still \"\\x1b\", \x7f\xc2\x9b\n\xe2\x80\xae");
    fclose(mem);
    assert_string_equal(out, "/a is still \"\\x1b\", \\x7f\\xc2\\x9b\\n\\xe2\\x80\\xae");
    free(out);
}

static void other_text_gets_hex_beside_its_key(void **state)
{
    cJSON *object = cJSON_CreateObject();

    (void)state;
    json_add_text(object, "details", "\xff\\xff");
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(object, "details")));
    assert_string_equal(
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "details_hex")),
        "ff5c786666");
    json_add_text(object, "why", NULL);
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(object, "why")));
    assert_null(cJSON_GetObjectItemCaseSensitive(object, "why_hex"));
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
        cmocka_unit_test(json_is_printable_ascii_and_reads_the_same),
        cmocka_unit_test(json_escapes_are_the_standard_ones),
        cmocka_unit_test(a_message_is_printable_and_keeps_its_quotes),
        cmocka_unit_test(other_text_gets_hex_beside_its_key),
        cmocka_unit_test(checks_paths),
        cmocka_unit_test(reads_seconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
