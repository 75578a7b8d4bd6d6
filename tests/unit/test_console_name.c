/*
 * Guests' names as file names: one safe component of a path, different for different names.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "name.h"

static void expect(const char *name, const char *file)
{
    char result[CONS_FILE_MAX];

    cons_name_to_file(name, result);
    assert_string_equal(result, file);
}

static void plain_names_stay(void **state)
{
    (void)state;
    expect("g1", "g1");
    expect("Domain-0", "Domain-0");
    expect("web.example_com+2", "web.example_com+2");
}

static void paths_and_hidden_files_are_impossible(void **state)
{
    (void)state;
    expect("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd");
    expect(".", "%2E");
    expect("..", "%2E.");
    expect(".hidden", "%2Ehidden");
    expect("a b\n", "a%20b%0A");
    expect("\xc3\xa9", "%C3%A9");
    expect("%2F", "%252F");
    expect("", "%");
}

static void long_names_are_cut_and_told_apart(void **state)
{
    char name[4001], first[CONS_FILE_MAX], second[CONS_FILE_MAX];

    (void)state;
    for (size_t len = 1; len < sizeof(name); len++) {
        memset(name, len % 2 ? 'a' : '/', len);
        name[len] = '\0';
        cons_name_to_file(name, first);
        assert_true(strlen(first) > 0 && strlen(first) < CONS_FILE_MAX);
        assert_null(strchr(first, '/'));
        name[len - 1] = 'b';
        cons_name_to_file(name, second);
        assert_string_not_equal(first, second);
    }
}

static void the_longest_that_fits_is_not_cut(void **state)
{
    char name[CONS_FILE_MAX + 1], file[CONS_FILE_MAX];

    (void)state;
    memset(name, 'a', sizeof(name));
    name[CONS_FILE_MAX - 1] = '\0';
    cons_name_to_file(name, file);
    assert_string_equal(file, name);
    memset(name, 'a', CONS_FILE_MAX);
    name[CONS_FILE_MAX] = '\0';
    cons_name_to_file(name, file);
    assert_non_null(strstr(file, "%~"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_names_stay),
        cmocka_unit_test(paths_and_hidden_files_are_impossible),
        cmocka_unit_test(long_names_are_cut_and_told_apart),
        cmocka_unit_test(the_longest_that_fits_is_not_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
