/*
 * Sub-commands that change the store, against a store in the test: all or nothing, tried again
 * after a conflict but not for ever, an end when xenstored dies, and only what differs is written.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_xenstore.h"
#include "transact.h"
#include "xenbus.h"

enum { ARGS_MAX = 8 };

/* Runs a sub-command with these words; returns its exit code. What it says goes to nobody. */
static int run_words(const struct command *command, const char *const *words)
{
    char *argv[ARGS_MAX + 2] = {must_strdup(command->name)};
    int argc = 1, status;

    for (; *words != NULL; words++) {
        assert_in_range(argc, 1, ARGS_MAX);
        argv[argc++] = must_strdup(*words);
    }
    status = command->run(command, argc, argv);
    while (argc > 0) {
        free(argv[--argc]);
    }
    return status;
}

#define run_command(command, ...) run_words(command, (const char *const[]){__VA_ARGS__, NULL})

/* A file with this text; the caller unlinks and frees it. */
static char *file_of(const char *text)
{
    char *path = must_strdup("/tmp/test_xenbus_XXXXXX");
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    return path;
}

static int run_on_text(const struct command *command, const char *option, const char *text)
{
    char *file = file_of(text);
    int status = option != NULL ? run_command(command, option, file) : run_command(command, file);

    unlink(file);
    free(file);
    return status;
}

static int prepare(void **state)
{
    (void)state;
    fake_reset();
    fake_set("/t", "");
    fake_set("/t/a", "1");
    return 0;
}

static void a_script_is_applied(void **state)
{
    (void)state;
    assert_int_equal(run_on_text(&cmd_transaction, NULL,
                                 "equals /t/a 1\nwrite /t/a 2\nwrite /t/b \"x y\"\nmissing /t/c\n"
                                 "mkdir /t/c\nchmod /t/c n5 r0\nrm-f /t/nothing\nexists /t/b\n"),
                     EXIT_FOUND);
    assert_string_equal(fake_get("/t/a"), "2");
    assert_string_equal(fake_get("/t/b"), "x y");
    assert_non_null(fake_get("/t/c"));
}

static void one_bad_line_and_nothing_is_done(void **state)
{
    static const char *const bad[] = {
        "write /t/a 2\nequals /t/a 1\n", "write /t/a 2\nrm /t/nothing\n",
        "write /t/a 2\nmissing /t/a\n",  "write /t/a 2\nexists /t/nothing\n",
        "write /t/a 2\nchmod /t/x n0\n", "write /t/a 2\nfrobnicate\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(run_on_text(&cmd_transaction, NULL, bad[i]), EXIT_FAILED);
        assert_string_equal(fake_get("/t/a"), "1");
    }
}

static void conflicts_are_tried_again_but_not_for_ever(void **state)
{
    (void)state;
    fake_conflicts(3);
    assert_int_equal(run_on_text(&cmd_transaction, NULL, "write /t/a 2\n"), EXIT_FOUND);
    assert_int_equal(fake_transactions(), 4);
    assert_string_equal(fake_get("/t/a"), "2");
    fake_conflicts(5);
    assert_int_equal(run_on_text(&cmd_transaction, "--tries=5", "write /t/a 3\n"), EXIT_FAILED);
    assert_int_equal(fake_transactions(), 9);
    assert_string_equal(fake_get("/t/a"), "2");
    fake_conflicts(TRANSACT_TRIES);
    assert_int_equal(run_command(&cmd_write, "/t/a", "3"), EXIT_FAILED);
    assert_int_equal(fake_transactions(), 9 + TRANSACT_TRIES);
    assert_string_equal(fake_get("/t/a"), "2");
}

static void a_dead_xenstored_ends_each_command(void **state)
{
    (void)state;
    fake_die();
    assert_int_equal(run_on_text(&cmd_transaction, NULL, "write /t/a 2\n"), EXIT_FAILED);
    assert_int_equal(run_command(&cmd_write, "/t/a", "3"), EXIT_FAILED);
    assert_int_equal(run_command(&cmd_chmod, "/t", "n0"), EXIT_FAILED);
    assert_int_equal(run_command(&cmd_chmod, "-R", "/t", "n0"), EXIT_FAILED);
    assert_int_equal(run_command(&cmd_exists, "/t"), EXIT_TROUBLE);
    assert_int_equal(run_command(&cmd_export, "/t"), EXIT_FAILED);
}

static void exists_keeps_no_and_wrong_apart(void **state)
{
    (void)state;
    assert_int_equal(run_command(&cmd_exists, "/t", "/t/a"), EXIT_FOUND);
    assert_int_equal(run_command(&cmd_exists, "/t/a", "/t/b"), EXIT_FAILED);
    assert_int_equal(run_command(&cmd_exists, "/t//a"), EXIT_USAGE);
}

#define EXPORT_OF(a_value, b_perms)                                           \
    "[{\"format\":\"xenbus-export\",\"version\":1,\"root\":\"/t\"},"          \
    "{\"path\":\"/t\",\"value\":\"\",\"permissions\":[\"n0\"]},"              \
    "{\"path\":\"/t/a\",\"value\":\"" a_value "\",\"permissions\":[\"n0\"]}," \
    "{\"path\":\"/t/b\",\"value\":\"b\",\"permissions\":[\"" b_perms "\",\"r7\"]}]"

static void import_writes_what_differs(void **state)
{
    (void)state;
    assert_int_equal(run_on_text(&cmd_diff, NULL, EXPORT_OF("1", "n5")), 1);
    assert_int_equal(run_on_text(&cmd_import, NULL, EXPORT_OF("1", "n5")), EXIT_FOUND);
    assert_string_equal(fake_get("/t/b"), "b");
    assert_int_equal(run_on_text(&cmd_diff, NULL, EXPORT_OF("1", "n5")), 0);
    assert_int_equal(run_on_text(&cmd_diff, NULL, EXPORT_OF("1", "n6")), 1);
    assert_int_equal(run_on_text(&cmd_diff, "--values", EXPORT_OF("1", "n6")), 0);
    fake_set("/t/extra", "");
    fake_set("/t/extra/below", "");
    assert_int_equal(run_on_text(&cmd_import, NULL, EXPORT_OF("2", "n5")), EXIT_FOUND);
    assert_string_equal(fake_get("/t/a"), "2");
    assert_non_null(fake_get("/t/extra"));
    assert_int_equal(run_on_text(&cmd_import, "--replace", EXPORT_OF("2", "n5")), EXIT_FOUND);
    assert_null(fake_get("/t/extra"));
    assert_null(fake_get("/t/extra/below"));
    assert_int_equal(run_on_text(&cmd_diff, NULL, EXPORT_OF("2", "n5")), 0);
    fake_conflicts(2);
    assert_int_equal(run_on_text(&cmd_import, NULL, EXPORT_OF("3", "n5")), EXIT_FOUND);
    assert_string_equal(fake_get("/t/a"), "3");
    assert_int_equal(run_on_text(&cmd_diff, NULL, "[]"), EXIT_TROUBLE);
    assert_int_equal(run_on_text(&cmd_import, NULL, "[]"), EXIT_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_script_is_applied, prepare),
        cmocka_unit_test_setup(one_bad_line_and_nothing_is_done, prepare),
        cmocka_unit_test_setup(conflicts_are_tried_again_but_not_for_ever, prepare),
        cmocka_unit_test_setup(a_dead_xenstored_ends_each_command, prepare),
        cmocka_unit_test_setup(exists_keeps_no_and_wrong_apart, prepare),
        cmocka_unit_test_setup(import_writes_what_differs, prepare),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
