/*
 * xenbus diff: what differs between two exports, or between an export and the store now. Exit
 * status as that of diff(1).
 */
#include "xenbus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "exports.h"
#include "perms.h"
#include "text.h"

struct diffing {
    bool json;
    bool values_only;
    unsigned long shown;
};

static bool handle(int option, const char *arg, void *context)
{
    struct diffing *diffing = context;

    (void)option;
    (void)arg;
    diffing->values_only = true;
    return true;
}

static void print_value(const struct node *node)
{
    if (node->unreadable) {
        fputs("(unreadable)", stdout);
        return;
    }
    putchar('"');
    text_escape(stdout, node->value, node->len);
    putchar('"');
}

static void print_perms(const struct node *node)
{
    char *text = perms_text(node->perms, node->n_perms);

    printf("(%s)", text);
    free(text);
}

static void print_plain(const struct difference *difference)
{
    const struct node *before = difference->before, *after = difference->after;
    const struct node *any = before != NULL ? before : after;

    fputs(before == NULL ? "+ " : after == NULL ? "- " : "~ ", stdout);
    text_escape(stdout, any->path, strlen(any->path));
    if (before == NULL || after == NULL) {
        fputs(" = ", stdout);
        print_value(any);
        fputs("   ", stdout);
        print_perms(any);
        putchar('\n');
        return;
    }
    if (difference->value) {
        fputs(" = ", stdout);
        print_value(before);
        fputs(" -> ", stdout);
        print_value(after);
    }
    if (difference->perms) {
        fputs("   ", stdout);
        print_perms(before);
        fputs(" -> ", stdout);
        print_perms(after);
    }
    putchar('\n');
}

static cJSON *json_side(const struct node *node)
{
    cJSON *json;

    if (node == NULL) {
        return cJSON_CreateNull();
    }
    json = cJSON_CreateObject();
    if (node->unreadable) {
        cJSON_AddTrueToObject(json, "unreadable");
    } else {
        json_add_value(json, node->value, node->len);
        cJSON_AddItemToObject(json, "permissions", json_perms(node->perms, node->n_perms));
    }
    return json;
}

/* One element of the array, which is printed as it goes. */
static void print_json(struct diffing *diffing, const struct difference *difference)
{
    const struct node *any = difference->before != NULL ? difference->before : difference->after;
    cJSON *json = cJSON_CreateObject();

    json_add_text(json, "path", any->path);
    cJSON_AddStringToObject(json, "change",
                            difference->before == NULL  ? "added"
                            : difference->after == NULL ? "removed"
                                                        : "changed");
    cJSON_AddItemToObject(json, "before", json_side(difference->before));
    cJSON_AddItemToObject(json, "after", json_side(difference->after));
    fputs(diffing->shown == 0 ? "\n" : ",\n", stdout);
    json_write(stdout, json, false);
}

static void show(void *context, const struct difference *difference)
{
    struct diffing *diffing = context;
    struct difference shown = *difference;

    if (diffing->values_only) {
        shown.perms = false;
    }
    if (shown.before != NULL && shown.after != NULL && !shown.value && !shown.perms) {
        return;
    }
    if (diffing->json) {
        print_json(diffing, &shown);
    } else {
        print_plain(&shown);
    }
    diffing->shown++;
}

/* The store now, below @root; NULL with a message. */
static struct snapshot *store_now(const struct command *self, const char *root)
{
    struct xs_handle *xs = store_open(self);
    struct snapshot *snapshot;
    int err;

    if (xs == NULL) {
        return NULL;
    }
    snapshot = snapshot_new(root);
    err = snapshot_load(snapshot, xs, XBT_NULL, root);
    xs_close(xs);
    /* An export whose root is gone differs in all that it has. */
    if (err != 0 && err != -ENOENT) {
        command_failed(self, "%s: %s", root, store_error(-err));
        snapshot_free(snapshot);
        return NULL;
    }
    snapshot_finish(snapshot);
    return snapshot;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct diffing diffing = {0};
    int status = command_options(self, argc, argv, &diffing.json, handle, &diffing);
    struct snapshot *before, *after = NULL;

    if (status >= 0) {
        return status;
    }
    before = export_open(self, argv[optind]);
    if (before != NULL) {
        after =
            optind + 1 < argc ? export_open(self, argv[optind + 1]) : store_now(self, before->root);
    }
    if (after == NULL) {
        snapshot_free(before);
        return EXIT_TROUBLE;
    }
    if (diffing.json) {
        putchar('[');
    }
    compare_snapshots(before, after, show, &diffing);
    if (diffing.json) {
        puts("\n]");
    }
    snapshot_free(before);
    snapshot_free(after);
    return diffing.shown > 0 ? EXIT_FAILED : EXIT_FOUND;
}

static const struct option longs[] = {
    {"values", no_argument, NULL, 'v'},
    COMMON_OPTIONS,
};

const struct command cmd_diff = {
    .name = "diff",
    .summary = "Shows what differs between two exports, or an export and now",
    .synopsis = "[-vj] EXPORT [EXPORT]",
    .options =
        "  EXPORT is a file of 'xenbus export', - standard input; without the second one it is\n"
        "  the store as it is now. + is new, - is gone, ~ has changed.\n"
        "  Exit status: 0 equal, 1 different, 2 trouble.\n\n"
        "  -v, --values        leave permissions out\n",
    .shorts = "v" COMMON_SHORTS,
    .longs = longs,
    .min_args = 1,
    .max_args = 2,
    .run = run,
};
