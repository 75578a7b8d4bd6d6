/*
 * A guest's name from end to end of a migration, and its uuid.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "domname.h"
#include "fake_xenstore.h"

#define UUID "0123abcd-4567-89ef-0123-456789abcdef"

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

static void on_lost(void *arg)
{
    (void)arg;
    fail();
}

/* Without an answer it is what it was; without a uuid there is none. */
static void a_uuid_stays_while_the_store_does_not_answer(void **state)
{
    struct loop *loop = loop_new();
    char uuid[DOMNAME_UUID] = "";
    struct store *st;

    (void)state;
    fake_reset();
    fake_set("domid", "0");
    st = store_open(loop, on_lost, NULL);
    fake_set("/local/domain/7/vm", "/vm/" UUID);
    domname_read_uuid(st, 7, uuid);
    assert_string_equal(uuid, UUID);
    fake_fail_once(EAGAIN);
    domname_read_uuid(st, 7, uuid);
    assert_string_equal(uuid, UUID);
    fake_rm("/local/domain/7/vm");
    domname_read_uuid(st, 7, uuid);
    assert_string_equal(uuid, "");
    store_close(st);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_of_a_migration_have_one_name),
        cmocka_unit_test(only_the_old_end_is_away),
        cmocka_unit_test(a_uuid_stays_while_the_store_does_not_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
