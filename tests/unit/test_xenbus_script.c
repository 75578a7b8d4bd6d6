/*
 * The scripts of `xenbus transaction`: each operation is read with its bytes, each mistake is
 * refused with the number of its line and a sentence.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

static unsigned int parse(const char *text, struct script *script, char *why, size_t why_size)
{
    FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    unsigned int line = script_read(in, script, why, why_size);

    fclose(in);
    return line;
}

static void every_operation_is_read(void **state)
{
    static const enum script_op ops[] = {SCRIPT_WRITE,  SCRIPT_WRITE,    SCRIPT_MKDIR,
                                         SCRIPT_RM,     SCRIPT_RM_FORCE, SCRIPT_CHMOD,
                                         SCRIPT_EXISTS, SCRIPT_MISSING,  SCRIPT_EQUALS};
    struct script script;
    char why[200];

    (void)state;
    assert_int_equal(parse("# a remark\n"
                           "write /a 1\r\n"
                           "\t write\t/b   \"two words # and \\x00\\\"\\n\"  # here, too\n\n"
                           "mkdir /c\nrm /d\nrm-f /e\nchmod /f n5 r0\nexists relative/g\n"
                           "missing /h\nequals /i \"\"",
                           &script, why, sizeof(why)),
                     0);
    assert_int_equal(script.n, 9);
    for (size_t i = 0; i < script.n; i++) {
        assert_int_equal(script.steps[i].op, ops[i]);
    }
    assert_int_equal(script.steps[0].line, 2);
    assert_string_equal(script.steps[0].value, "1");
    assert_int_equal(script.steps[1].line, 3);
    assert_int_equal(script.steps[1].len, 19);
    assert_memory_equal(script.steps[1].value, "two words # and \0\"\n", 19);
    assert_int_equal(script.steps[5].n_perms, 2);
    assert_int_equal(script.steps[5].perms[0].id, 5);
    assert_int_equal(script.steps[5].perms[1].perms, XS_PERM_READ);
    assert_int_equal(script.steps[8].len, 0);
    script_free(&script);
}

static void mistakes_are_refused_with_their_line(void **state)
{
    static const struct {
        const char *text;
        unsigned int line;
        const char *why;
    } wrong[] = {
        {"frobnicate /a", 1, "no operation 'frobnicate'"},
        {"write /a 1\nwrite /b", 2, "wants 'write PATH VALUE'"},
        {"write /a 1 2", 1, "wants 'write"},
        {"\n\nrm", 3, "wants 'rm PATH'"},
        {"chmod /a", 1, "wants 'chmod"},
        {"chmod /a n0 q5", 1, "'q5' is not a permission"},
        {"mkdir /a/", 1, "'/a/' is not a path"},
        {"rm @releaseDomain", 1, "is not a path"},
        {"write \"/a\\x00b\" 1", 1, "is not a path"},
        {"write /a \"no end", 1, "does not end"},
        {"write /a \"bad \\q\"", 1, "bad escape"},
        {"write /a \"x\"y", 1, "quoted word"},
        {"write /a \"x\\", 1, "does not end"},
        {"chmod /a n0 n0 n0 n0 n0 n0 n0 n0 n0 n0 n0 n0 n0 n0 n0 n0 n0 n0 n0 n0 n0 n0 n0 n0 n0 n0 "
         "n0 n0 "
         "n0 n0 n0 n0 n0 n0 n0 n0",
         1, "too many words"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct script script;
        char why[320] = "";

        assert_int_equal(parse(wrong[i].text, &script, why, sizeof(why)), wrong[i].line);
        if (strstr(why, wrong[i].why) == NULL) {
            fail_msg("%s: '%s' does not say '%s'", wrong[i].text, why, wrong[i].why);
        }
        script_free(&script);
    }
}

static void many_lines_are_read(void **state)
{
    struct script script;
    char why[200], *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    for (int i = 0; i < 1000; i++) {
        fprintf(out, "write /a/%d %d\n", i, i);
    }
    fclose(out);
    assert_int_equal(parse(text, &script, why, sizeof(why)), 0);
    assert_int_equal(script.n, 1000);
    assert_string_equal(script.steps[999].path, "/a/999");
    assert_string_equal(script.steps[0].value, "0");
    script_free(&script);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_is_read),
        cmocka_unit_test(mistakes_are_refused_with_their_line),
        cmocka_unit_test(many_lines_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
