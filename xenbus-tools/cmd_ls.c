/*
 * xenbus ls: the tree below some paths, with values and, on request, permissions.
 *
 * It does not use a transaction, because xenstored copies each node that a transaction reads, and a
 * listing of a whole host would hold up everybody. A node that vanishes meanwhile is left out.
 */
#include "xenbus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "perms.h"
#include "text.h"

struct ls {
    struct xs_handle *xs;
    bool json;
    bool full_paths;
    bool permissions;
    bool names_only;
    /* Levels below the path given; negative: all. */
    int depth;
};

static bool handle(int option, const char *arg, void *context)
{
    struct ls *ls = context;
    char *end;

    switch (option) {
    case 'f':
        ls->full_paths = true;
        return true;
    case 'p':
        ls->permissions = true;
        return true;
    case '1':
        ls->depth = 1;
        return true;
    case 'n':
        ls->names_only = true;
        return true;
    default:
        ls->depth = (int)strtol(arg, &end, 10);
        return end != arg && *end == '\0' && ls->depth >= 0 && ls->depth < 10000;
    }
}

static void print_permissions(const struct ls *ls, const char *path)
{
    unsigned int n = 0;
    struct xs_permissions *perms = xs_get_permissions(ls->xs, XBT_NULL, path, &n);
    char *text = perms_text(perms, perms != NULL ? n : 0);

    printf("   (%s)", text);
    free(text);
    free(perms);
}

static cJSON *json_permissions(const struct ls *ls, const char *path)
{
    unsigned int n = 0;
    struct xs_permissions *perms = xs_get_permissions(ls->xs, XBT_NULL, path, &n);
    cJSON *list = json_perms(perms, perms != NULL ? n : 0);

    free(perms);
    return list;
}

static void print_node(const struct ls *ls, const char *path, const char *name, int level,
                       const void *value, unsigned int len)
{
    const char *shown = ls->full_paths ? path : name;

    if (!ls->full_paths) {
        printf("%*s", level, "");
    }
    text_escape(stdout, shown, strlen(shown));
    if (!ls->names_only) {
        fputs(" = \"", stdout);
        text_escape(stdout, value, len);
        fputc('"', stdout);
    }
    if (ls->permissions) {
        print_permissions(ls, path);
    }
    fputc('\n', stdout);
}

static cJSON *json_node(const struct ls *ls, const char *path, const void *value, unsigned int len)
{
    cJSON *node = cJSON_CreateObject();

    json_add_text(node, "path", path);
    if (!ls->names_only) {
        json_add_value(node, value, len);
    }
    if (ls->permissions) {
        cJSON_AddItemToObject(node, "permissions", json_permissions(ls, path));
    }
    return node;
}

static void list_node(const struct ls *ls, const char *path, const char *name, int level,
                      cJSON *into);

/* The children of @path, @level levels below the path given. */
static void list_children(const struct ls *ls, const char *path, int level, cJSON *node)
{
    unsigned int n = 0;
    char **names;

    if (ls->depth >= 0 && level >= ls->depth) {
        return;
    }
    names = xs_directory(ls->xs, XBT_NULL, path, &n);
    for (unsigned int i = 0; names != NULL && i < n; i++) {
        char *child = store_join(path, names[i]);

        list_node(ls, child, names[i], level, node);
        free(child);
    }
    free(names);
}

static void list_node(const struct ls *ls, const char *path, const char *name, int level,
                      cJSON *into)
{
    unsigned int len = 0;
    char *value = xs_read(ls->xs, XBT_NULL, path, &len);
    cJSON *node = NULL;

    if (value == NULL) {
        return;
    }
    if (ls->json) {
        cJSON *children = cJSON_GetObjectItemCaseSensitive(into, "children");

        if (children == NULL) {
            children = cJSON_AddArrayToObject(into, "children");
        }
        node = json_node(ls, path, value, len);
        cJSON_AddItemToArray(children, node);
    } else {
        print_node(ls, path, name, level, value, len);
    }
    free(value);
    list_children(ls, path, level + 1, node);
}

/* One path of the command line; returns an exit code. */
static int list_path(const struct command *self, const struct ls *ls, const char *path, cJSON *all)
{
    unsigned int len = 0;
    char *value;
    cJSON *node = NULL;

    if (!store_path_valid(path)) {
        return command_usage(self, "'%s' is not a path of the store", path);
    }
    value = xs_read(ls->xs, XBT_NULL, path, &len);
    if (value == NULL) {
        return command_failed(self, "%s: %s", path, store_error(errno));
    }
    if (ls->json) {
        node = json_node(ls, path, value, len);
        cJSON_AddItemToArray(all, node);
    } else if (ls->depth == 0) {
        print_node(ls, path, path, 0, value, len);
    }
    free(value);
    list_children(ls, path, 0, node);
    return EXIT_FOUND;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct ls ls = {.depth = -1};
    int status = command_options(self, argc, argv, &ls.json, handle, &ls);
    static char root[] = "/";
    static char *root_only[] = {root};
    char **paths = argv + optind;
    int n = argc - optind;
    cJSON *all;

    if (status >= 0) {
        return status;
    }
    if (n == 0) {
        paths = root_only;
        n = 1;
    }
    ls.xs = store_open(self);
    if (ls.xs == NULL) {
        return EXIT_FAILED;
    }
    status = EXIT_FOUND;
    all = cJSON_CreateArray();
    for (int i = 0; i < n; i++) {
        int one = list_path(self, &ls, paths[i], all);

        if (one > status) {
            status = one;
        }
    }
    if (ls.json) {
        json_print(all, true);
    } else {
        cJSON_Delete(all);
    }
    xs_close(ls.xs);
    return status;
}

static const struct option longs[] = {
    {"full", no_argument, NULL, 'f'},        {"permissions", no_argument, NULL, 'p'},
    {"children", no_argument, NULL, '1'},    {"names", no_argument, NULL, 'n'},
    {"depth", required_argument, NULL, 'd'}, COMMON_OPTIONS,
};

const struct command cmd_ls = {
    .name = "ls",
    .summary = "Lists the tree below each PATH (default: /) with its values",
    .synopsis = "[-fp1nj] [-d LEVELS] [PATH]...",
    .options = "  -f, --full          print whole paths instead of an indented tree\n"
               "  -p, --permissions   print who owns, reads and writes each node\n"
               "  -1, --children      only the direct children, like --depth 1\n"
               "  -d, --depth LEVELS  go down so many levels; 0 prints PATH itself\n"
               "  -n, --names         names without values\n",
    .shorts = "fp1nd:" COMMON_SHORTS,
    .longs = longs,
    .max_args = -1,
    .run = run,
};
