/*
 * xenbus export: a part of the store as JSON, node by node as it is read. See exports.h for the
 * format.
 */
#include "xenbus.h"

#include <stdlib.h>

#include "exports.h"
#include "redact.h"

struct exporting {
    bool redact;
    unsigned long nodes;
    unsigned long unreadable;
};

/* A node, without its secret. */
static void write_redacted(const struct walk_node *node)
{
    struct walk_node clean = *node;
    char *text = NULL;
    size_t len;

    if (redact_names_secret(node->path) && node->len > 0) {
        clean.value = REDACTED;
        clean.len = sizeof(REDACTED) - 1;
    } else if (node->err == 0) {
        text = redact_text(node->value, node->len, &len);
        clean.value = text;
        clean.len = (unsigned int)len;
    }
    export_node(stdout, &clean);
    free(text);
}

static int write_node(void *context, const struct walk_node *node)
{
    struct exporting *exporting = context;

    exporting->nodes++;
    exporting->unreadable += node->err != 0;
    if (exporting->redact) {
        write_redacted(node);
    } else {
        export_node(stdout, node);
    }
    return ferror(stdout) != 0 ? EXIT_FAILED : 0;
}

static bool handle(int option, const char *arg, void *context)
{
    struct exporting *exporting = context;

    (void)option;
    (void)arg;
    exporting->redact = true;
    return true;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct exporting exporting = {0};
    bool json = false;
    int status = command_options(self, argc, argv, &json, handle, &exporting);
    const char *root = "/";
    struct xs_handle *xs;
    int err;

    if (status >= 0) {
        return status;
    }
    if (optind < argc) {
        root = argv[optind];
    }
    if (!store_path_valid(root) || root[0] != '/') {
        return command_usage(self, "'%s' is not an absolute path of the store", root);
    }
    xs = store_open(self);
    if (xs == NULL) {
        return EXIT_FAILED;
    }
    export_begin(stdout, root);
    err = store_walk(xs, XBT_NULL, root, write_node, &exporting);
    xs_close(xs);
    if (err < 0) {
        return command_failed(self, "%s: %s; the export is not complete", root, store_error(-err));
    }
    if (err > 0) {
        return EXIT_FAILED; /* nobody takes the output; main() says so */
    }
    export_end(stdout);
    if (exporting.unreadable > 0) {
        return command_failed(self, "%lu of %lu nodes may not be read from this domain",
                              exporting.unreadable, exporting.nodes);
    }
    return EXIT_FOUND;
}

static const struct option longs[] = {
    {"redact", no_argument, NULL, 'r'},
    COMMON_OPTIONS,
};

const struct command cmd_export = {
    .name = "export",
    .summary = "Writes all at and below PATH (default: /) as JSON, permissions included",
    .synopsis = "[-rj] [PATH]",
    .options = "  What 'xenbus import' puts back, and 'diff' and 'doctor' look at.\n\n"
               "  -r, --redact        leave passwords and their kin out\n",
    .shorts = "r" COMMON_SHORTS,
    .longs = longs,
    .max_args = 1,
    .run = run,
};
