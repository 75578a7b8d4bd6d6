/*
 * Exports of the store: what was written reads back the same whatever its bytes and permissions;
 * what was cut short anywhere, or is something else, is refused with a sentence; the difference of
 * two copies names each node that differs and no other.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "exports.h"
#include "perms.h"

static const struct xs_permissions two_perms[] = {{.id = 0, .perms = XS_PERM_NONE},
                                                  {.id = 32751, .perms = XS_PERM_READ}};

static void put(FILE *out, const char *path, const void *value, size_t len)
{
    struct walk_node node = {
        .path = path, .value = value, .len = (unsigned int)len, .perms = two_perms, .n_perms = 2};

    assert_int_equal(export_node(out, &node), 0);
}

/* An export with every byte there is and some text that is easily spoilt. */
static char *written(size_t *size)
{
    static const char *const texts[] = {"", "4", "a \"quoted\" \\u0000 text\n",
                                        "\xe2\x80\xae\xc2\x9b\x7f", "\xf0\x9f\x98\x80"};
    char *text = NULL, path[32];
    FILE *out = open_memstream(&text, size);

    export_begin(out, "/t");
    put(out, "/t", "", 0);
    for (int byte = 0; byte < 256; byte++) {
        char value[3] = {'x', (char)byte, 'y'};

        snprintf(path, sizeof(path), "/t/byte%d", byte);
        put(out, path, value, byte % 2 + 2);
    }
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        snprintf(path, sizeof(path), "/t/text%zu", i);
        put(out, path, texts[i], strlen(texts[i]));
    }
    export_end(out);
    fclose(out);
    return text;
}

static struct snapshot *read_text(const char *text, size_t len, char *why)
{
    FILE *in = len > 0 ? fmemopen((void *)(uintptr_t)text, len, "r") : fopen("/dev/null", "r");
    struct snapshot *snapshot = export_read(in, why, 200);

    fclose(in);
    return snapshot;
}

static void any_bytes_come_back(void **state)
{
    char why[200] = "", *again = NULL;
    size_t size = 0, size_again = 0;
    char *text = written(&size);
    struct snapshot *snapshot = read_text(text, size, why);
    FILE *out = open_memstream(&again, &size_again);

    (void)state;
    assert_string_equal(why, "");
    assert_non_null(snapshot);
    for (int byte = 0; byte < 256; byte++) {
        char path[32], value[3] = {'x', (char)byte, 'y'};
        struct node *node;

        snprintf(path, sizeof(path), "/t/byte%d", byte);
        node = snapshot_find(snapshot, path);
        assert_non_null(node);
        assert_int_equal(node->len, byte % 2 + 2);
        assert_memory_equal(node->value, value, node->len);
        assert_true(perms_equal(node->perms, node->n_perms, two_perms, 2));
    }
    /* Written again, in the order of the tree, and read again, it is equal to itself. */
    export_begin(out, "/t");
    for (struct node *node = snapshot->nodes; node != NULL; node = node->hh.next) {
        put(out, node->path, node->value, node->len);
    }
    export_end(out);
    fclose(out);
    assert_int_equal(size_again, size);
    snapshot_free(snapshot);
    free(again);
    free(text);
}

static void an_export_is_printable(void **state)
{
    size_t size = 0;
    char *text = written(&size);

    (void)state;
    for (size_t i = 0; i < size; i++) {
        assert_true(text[i] == '\n' || (text[i] >= 0x20 && text[i] < 0x7f));
    }
    free(text);
}

static void cut_short_is_refused_at_every_byte(void **state)
{
    size_t size = 0;
    char *text = written(&size);

    (void)state;
    /* The last two are the end and its newline. */
    for (size_t len = 0; len < size - 1; len += len < 400 || len > size - 400 ? 1 : 37) {
        char why[200] = "";

        assert_null(read_text(text, len, why));
        assert_string_not_equal(why, "");
    }
    free(text);
}

#define HEAD       "[{\"format\":\"xenbus-export\",\"version\":1,\"root\":\"/t\"}"
#define NODE(rest) HEAD ",\n{" rest "}]"

static void what_is_no_export_is_refused_and_says_where(void **state)
{
    static const char *const wrong[][2] = {
        {"", "line 1"},
        {"{}", "line 1: not an export"},
        {"[{}]", "not what 'xenbus export' writes"},
        {"[{\"format\":\"xenbus-export\",\"version\":2,\"root\":\"/t\"}]", "version"},
        {"[{\"format\":\"xenbus-export\",\"version\":1,\"root\":\"t\"}]", "not what"},
        {HEAD "]x", "end is missing"},
        {HEAD ",]", "line 1: not JSON"},
        {NODE("\"value\":\"\",\"permissions\":[\"n0\"]"),
         "line 2: a node without a valid \"path\""},
        {NODE("\"path\":\"/t/\",\"value\":\"\",\"permissions\":[\"n0\"]"), "\"path\""},
        {NODE("\"path\":\"/other\",\"value\":\"\",\"permissions\":[\"n0\"]"), "\"path\""},
        {NODE("\"path\":\"/tt\",\"value\":\"\",\"permissions\":[\"n0\"]"), "\"path\""},
        {NODE("\"path\":\"/t/a\",\"value\":1,\"permissions\":[\"n0\"]"), "\"value\""},
        {NODE("\"path\":\"/t/a\",\"value\":null,\"hex\":\"0\",\"permissions\":[\"n0\"]"),
         "\"hex\""},
        {NODE("\"path\":\"/t/a\",\"value\":null,\"hex\":\"0g\",\"permissions\":[\"n0\"]"),
         "\"hex\""},
        {NODE("\"path\":\"/t/a\",\"value\":\"a\\u0000b\",\"permissions\":[\"n0\"]"), "NUL"},
        {NODE("\"path\":\"/t/a\",\"value\":\"\",\"permissions\":[]"), "permissions"},
        {NODE("\"path\":\"/t/a\",\"value\":\"\",\"permissions\":[\"x0\"]"), "permissions"},
        {NODE("\"path\":\"/t/a\",\"value\":\"\",\"permissions\":[\"n99999\"]"), "permissions"},
        {NODE("\"path\":\"/t/a\",\"value\":\"\",\"permissions\":[0]"), "permissions"},
        {NODE("\"path\":\"/t/a\",\"unreadable\":true},{\"path\":\"/t/a\",\"unreadable\":true"),
         "has already"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char why[200] = "";

        assert_null(read_text(wrong[i][0], strlen(wrong[i][0]), why));
        if (strstr(why, wrong[i][1]) == NULL) {
            fail_msg("%s: '%s' does not say '%s'", wrong[i][0], why, wrong[i][1]);
        }
    }
}

static void the_tree_is_sorted_whatever_the_order(void **state)
{
    static const char *const paths[] = {"/t/b", "/t/a-b", "/t/a/c", "/t", "/t/a", "/t/a/b/d"};
    struct snapshot *snapshot = snapshot_new("/t");
    struct node *root;

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_non_null(snapshot_add(snapshot, paths[i], paths[i], 3, two_perms, 2));
    }
    assert_null(snapshot_add(snapshot, "/t/a", "", 0, two_perms, 2));
    snapshot_finish(snapshot);
    root = snapshot_find(snapshot, "/t");
    assert_ptr_equal(root, snapshot->nodes);
    assert_true(path_compare("/t/a/c", "/t/a-b") < 0);
    assert_true(path_compare("/t/a", "/t/a/c") < 0);
    assert_true(path_compare("/t/a-b", "/t/a") > 0);
    assert_int_equal(path_compare("/t/a", "/t/a"), 0);
    assert_string_equal(root->children->path, "/t/a");
    assert_string_equal(root->children->next->path, "/t/a-b");
    assert_string_equal(root->children->next->next->path, "/t/b");
    assert_null(root->children->next->next->next);
    assert_string_equal(node_child(node_child(root, "a"), "c")->path, "/t/a/c");
    assert_string_equal(node_key(root, "b"), "/t/");
    assert_null(node_key(root, "nothing"));
    assert_null(node_key(NULL, "nothing"));
    assert_null(snapshot_find(snapshot, "/t/a/b/d")->parent); /* /t/a/b is not in the copy */
    snapshot_free(snapshot);
}

struct seen {
    char text[400];
};

static void note(void *context, const struct difference *difference)
{
    struct seen *seen = context;
    size_t used = strlen(seen->text);

    snprintf(seen->text + used, sizeof(seen->text) - used, "%c%s%s%s ",
             difference->before == NULL  ? '+'
             : difference->after == NULL ? '-'
                                         : '~',
             (difference->before != NULL ? difference->before : difference->after)->path,
             difference->value ? "=" : "", difference->perms ? "()" : "");
}

static void differences_are_named_and_no_other(void **state)
{
    static const struct xs_permissions other[] = {{.id = 1, .perms = XS_PERM_NONE}};
    struct snapshot *a = snapshot_new("/t"), *b = snapshot_new("/t");
    struct seen seen = {""};

    (void)state;
    snapshot_add(a, "/t", "", 0, two_perms, 2);
    snapshot_add(b, "/t", "", 0, two_perms, 2);
    snapshot_add(a, "/t/gone", "x", 1, two_perms, 2);
    snapshot_add(b, "/t/new", "x", 1, two_perms, 2);
    snapshot_add(a, "/t/value", "x\0y", 3, two_perms, 2);
    snapshot_add(b, "/t/value", "x\0z", 3, two_perms, 2);
    snapshot_add(a, "/t/perms", "x", 1, two_perms, 2);
    snapshot_add(b, "/t/perms", "x", 1, other, 1);
    snapshot_add(a, "/t/hidden", "", 0, NULL, 0)->unreadable = true;
    snapshot_add(b, "/t/hidden", "", 0, two_perms, 2);
    snapshot_finish(a);
    snapshot_finish(b);
    assert_int_equal(compare_snapshots(a, b, note, &seen), 5);
    assert_string_equal(seen.text, "-/t/gone ~/t/hidden=() +/t/new ~/t/perms() ~/t/value= ");
    seen.text[0] = '\0';
    assert_int_equal(compare_snapshots(a, a, note, &seen), 0);
    snapshot_free(a);
    snapshot_free(b);
}

static void permissions_read_and_write(void **state)
{
    static const char *const wrong[] = {"",    "n",   "5",      "x5",      "n-1",
                                        "n 1", "r5x", "n99999", "b0000001"};
    struct xs_permissions perm;
    char text[PERM_TEXT_SIZE];

    (void)state;
    for (const char *letter = "nrwb"; *letter != '\0'; letter++) {
        char given[] = {*letter, '1', '7', '\0'};

        assert_true(perm_parse(given, &perm));
        perm_text(&perm, text);
        assert_string_equal(text, given);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(perm_parse(wrong[i], &perm));
    }
    assert_int_equal(perms_of_domain(two_perms, 2, 0), XS_PERM_READ | XS_PERM_WRITE);
    assert_int_equal(perms_of_domain(two_perms, 2, 32751), XS_PERM_READ);
    assert_int_equal(perms_of_domain(two_perms, 2, 7), XS_PERM_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(an_export_is_printable),
        cmocka_unit_test(cut_short_is_refused_at_every_byte),
        cmocka_unit_test(what_is_no_export_is_refused_and_says_where),
        cmocka_unit_test(the_tree_is_sorted_whatever_the_order),
        cmocka_unit_test(differences_are_named_and_no_other),
        cmocka_unit_test(permissions_read_and_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
