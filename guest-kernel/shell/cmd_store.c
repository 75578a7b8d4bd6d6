/*
 * cmd_store.c - the command `xs`: looking into the store and changing it.
 */
#include "kern/mem.h"
#include "kern/string.h"
#include "shell/commands.h"
#include "xenbus/xs.h"

#define DEPTH_MAX 16
#define PATH_MAX  512
#define STOPPED   1 /* by ^C: neither success nor an error number */

static int store_report(struct shell *sh, const char *path, int rc)
{
    return rc != 0 ? sh_error(sh, "%s: %s", path, errno_name(rc)) : SH_OK;
}

/* Writes a value with what is not printable as \xHH. */
static void print_value(struct shell *sh, const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = value[i];

        if (c >= ' ' && c < '\x7f') {
            sh_write(sh, &c, 1);
        } else {
            sh_printf(sh, "\\x%02x", (unsigned char)c);
        }
    }
}

/* A walk through a part of the store. */
struct walk {
    struct shell *sh;
    char path[PATH_MAX];
};

static void print_node(struct walk *w, const char *name, unsigned depth)
{
    char *value;
    size_t len;

    sh_printf(w->sh, "%*s%s", (int)depth * 2, "", name);
    int rc = xs_read(XS_NO_TXN, w->path, NULL, &value, &len);
    if (rc != 0) {
        sh_printf(w->sh, ": %s\n", errno_name(rc));
        return;
    }
    if (len != 0) {
        sh_printf(w->sh, " = \"");
        print_value(w->sh, value, len);
        sh_printf(w->sh, "\"");
    }
    sh_printf(w->sh, "\n");
    kfree(value);
}

/* Lists what is below w->path, to @levels levels. */
static int walk_list(struct walk *w, unsigned depth, unsigned levels)
{
    struct xs_list names;
    size_t end = strlen(w->path);
    int rc = xs_directory(XS_NO_TXN, w->path, NULL, &names);

    if (rc != 0) {
        /* A node may go while we walk; only the one that was asked for must be there. */
        return depth != 0 ? 0 : rc;
    }
    for (const char *name = NULL; rc == 0 && (name = xs_list_each(&names, name));) {
        if (sh_interrupted(w->sh)) {
            rc = STOPPED;
        } else if (end + strlen(name) + 2 <= sizeof(w->path)) {
            bool root = end == 1 && w->path[0] == '/';

            snprintf(w->path + end, sizeof(w->path) - end, "%s%s", root || end == 0 ? "" : "/",
                     name);
            print_node(w, name, depth);
            if (depth + 1 < levels) {
                rc = walk_list(w, depth + 1, levels);
            }
            w->path[end] = '\0';
        }
    }
    xs_list_free(&names);
    return rc;
}

static int xs_ls(struct shell *sh, int argc, char **argv)
{
    bool deep = argc > 2 && strcmp(argv[2], "-r") == 0;
    const char *path = argc > 2 + deep ? argv[2 + deep] : NULL;
    char *self = NULL;

    if (argc > 3 + deep) {
        return SH_USAGE;
    }
    struct walk *w = kzalloc(sizeof(*w));
    if (w == NULL) {
        return sh_error(sh, "out of memory");
    }
    w->sh = sh;
    /* Without a path: this domain's own directory, which the store knows under "domid" only. */
    int rc = path != NULL ? 0 : xs_read(XS_NO_TXN, "domid", NULL, &self, NULL);
    if (rc == 0) {
        snprintf(w->path, sizeof(w->path), path != NULL ? "%s" : "/local/domain/%s",
                 path != NULL ? path : self);
        rc = walk_list(w, 0, deep ? DEPTH_MAX : 1);
    }
    int status =
        rc == STOPPED ? SH_INTERRUPTED : store_report(sh, path != NULL ? path : w->path, rc);
    kfree(self);
    kfree(w);
    return status;
}

static int xs_cat(struct shell *sh, int argc, char **argv)
{
    int status = argc < 3 ? SH_USAGE : SH_OK;

    for (int i = 2; i < argc; i++) {
        char *value;
        size_t len;
        int rc = xs_read(XS_NO_TXN, argv[i], NULL, &value, &len);

        if (rc != 0) {
            status = store_report(sh, argv[i], rc);
            continue;
        }
        print_value(sh, value, len);
        sh_printf(sh, "\n");
        kfree(value);
    }
    return status;
}

static int xs_put(struct shell *sh, int argc, char **argv)
{
    if (argc != 4) {
        return SH_USAGE;
    }
    return store_report(sh, argv[2], xs_write(XS_NO_TXN, argv[2], NULL, argv[3]));
}

static int xs_del(struct shell *sh, int argc, char **argv)
{
    int status = argc < 3 ? SH_USAGE : SH_OK;

    for (int i = 2; i < argc; i++) {
        int rc = store_report(sh, argv[i], xs_rm(XS_NO_TXN, argv[i], NULL));

        status = rc != 0 ? rc : status;
    }
    return status;
}

static int xs_perms(struct shell *sh, int argc, char **argv)
{
    struct xs_list perms;

    if (argc != 3) {
        return SH_USAGE;
    }
    int rc = xs_get_perms(XS_NO_TXN, argv[2], NULL, &perms);
    if (rc != 0) {
        return store_report(sh, argv[2], rc);
    }
    for (const char *p = NULL; (p = xs_list_each(&perms, p));) {
        sh_printf(sh, "%s ", p);
    }
    sh_printf(sh, "\n");
    xs_list_free(&perms);
    return SH_OK;
}

static int xs_stat(struct shell *sh, int argc, char **argv __unused)
{
    struct xs_stats s;

    if (argc != 2) {
        return SH_USAGE;
    }
    xs_get_stats(&s);
    sh_printf(sh, "%lu requests, %u watches, %lu events (%lu merged), %lu garbled messages%s\n",
              (unsigned long)s.requests, s.watches, (unsigned long)s.events,
              (unsigned long)s.merged, (unsigned long)s.garbled, s.broken ? ", BROKEN" : "");
    return SH_OK;
}

static int cmd_xs(struct shell *sh, int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(struct shell *sh, int argc, char **argv);
    } verbs[] = {
        {"ls", xs_ls},  {"read", xs_cat},    {"write", xs_put},
        {"rm", xs_del}, {"perms", xs_perms}, {"stat", xs_stat},
    };

    for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(verbs); i++) {
        if (strcmp(argv[1], verbs[i].name) == 0) {
            return verbs[i].run(sh, argc, argv);
        }
    }
    return SH_USAGE;
}

const struct sh_command store_commands[] = {
    {"xs", "xs ls [-r] [PATH] | read PATH... | write PATH VALUE | rm PATH... | perms PATH | stat",
     "look into xenstore and change it",
     "A path that does not begin with / is below /local/domain/SELF. `ls` without a path lists\n"
     "that directory; -r goes into sub-directories. What is not printable shows as \\xHH.\n",
     ARGS_XS, cmd_xs},
    {0},
};
