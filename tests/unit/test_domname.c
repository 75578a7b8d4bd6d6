/*
 * A guest's name from end to end of a migration.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "domname.h"

static void expect_without_role(const char *name, const char *expected)
{
    char copy[64];

    snprintf(copy, sizeof(copy), "%s", name);
    domname_drop_role(copy);
    assert_string_equal(copy, expected);
}

static void both_ends_of_a_migration_have_one_name(void **state)
{
    (void)state;
    expect_without_role("web--incoming", "web");
    expect_without_role("web--migratedaway", "web");
    expect_without_role("web", "web");
    expect_without_role("web--incoming--incoming", "web--incoming");
    expect_without_role("web--incoming2", "web--incoming2");
    expect_without_role("--incoming", "--incoming"); /* then it is a name */
    expect_without_role("", "");
}

static void only_the_old_end_is_away(void **state)
{
    (void)state;
    assert_true(domname_is_away("web--migratedaway"));
    assert_false(domname_is_away("web--incoming"));
    assert_false(domname_is_away("web"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_of_a_migration_have_one_name),
        cmocka_unit_test(only_the_old_end_is_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
