/*
 * xenbus export: a part of the store as JSON, node by node as it is read. See exports.h for the
 * format.
 */
#include "xenbus.h"

#include "exports.h"

struct exporting {
    unsigned long nodes;
    unsigned long unreadable;
};

static int write_node(void *context, const struct walk_node *node)
{
    struct exporting *exporting = context;

    exporting->nodes++;
    exporting->unreadable += node->err != 0;
    export_node(stdout, node);
    return ferror(stdout) != 0 ? EXIT_FAILED : 0;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct exporting exporting = {0};
    bool json = false;
    int status = command_options(self, argc, argv, &json, NULL, NULL);
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
    COMMON_OPTIONS,
};

const struct command cmd_export = {
    .name = "export",
    .summary = "Writes all at and below PATH (default: /) as JSON, permissions included",
    .synopsis = "[-j] [PATH]",
    .options = "  What 'xenbus import' puts back, and 'diff' and 'doctor' look at.\n",
    .shorts = COMMON_SHORTS,
    .longs = longs,
    .max_args = 1,
    .run = run,
};
