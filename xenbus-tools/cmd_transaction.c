/*
 * xenbus transaction: the operations of a script, all of them or none. The script is read to its
 * end before the store is asked for anything; conditions (exists, missing, equals) are part of the
 * transaction, so what they saw still holds when the rest is committed.
 */
#include "xenbus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"
#include "text.h"
#include "transact.h"

struct applying {
    const struct command *self;
    bool json;
    long tries;
    const char *file;
    struct script script;
    /* Why it was not applied, for --json: the line, 0 when it is none's fault, and a sentence. */
    unsigned int failed_line;
    char *failed_why;
};

static bool handle(int option, const char *arg, void *context)
{
    struct applying *applying = context;

    (void)option;
    return parse_count(arg, 1, &applying->tries) && applying->tries <= 1000000;
}

/* Notes and says why @line cannot be done; @why is escaped already. Returns EXIT_FAILED. */
static int refuse(struct applying *applying, unsigned int line, const char *why)
{
    free(applying->failed_why);
    applying->failed_why = must_strdup(why);
    applying->failed_line = line;
    return command_failed(applying->self, "%s:%u: %s; nothing was changed", applying->file, line,
                          why);
}

/* The step's condition: 0 when it holds, else -1 with a sentence in *@why, which the caller frees.
 */
static int check_condition(const struct script_step *step, const char *value, unsigned int len,
                           int err, char **why)
{
    char *found = value != NULL ? text_escaped(value, len) : NULL;
    char *wanted = step->value != NULL ? text_escaped(step->value, step->len) : NULL;
    int rc = 0;

    if (value == NULL && err != ENOENT) {
        rc = asprintf(why, "%s: %s", step->path, store_error(err));
    } else if (step->op == SCRIPT_MISSING && value != NULL) {
        rc = asprintf(why, "%s is there: \"%s\"", step->path, found);
    } else if (step->op != SCRIPT_MISSING && value == NULL) {
        rc = asprintf(why, "%s is not there", step->path);
    } else if (value != NULL && wanted != NULL && step->op == SCRIPT_EQUALS &&
               (len != step->len || memcmp(value, step->value, len) != 0)) {
        rc = asprintf(why, "%s is \"%s\", not \"%s\"", step->path, found, wanted);
    }
    free(found);
    free(wanted);
    return rc != 0 ? -1 : 0;
}

/* Carries out one step; 0, or -1 with a sentence in *@why. */
static int do_step(const struct script_step *step, struct xs_handle *xs, xs_transaction_t t,
                   char **why)
{
    unsigned int len = 0;
    char *value = NULL;
    bool done = false;
    int err;

    switch (step->op) {
    case SCRIPT_WRITE:
        done = xs_write(xs, t, step->path, step->value, (unsigned int)step->len);
        break;
    case SCRIPT_MKDIR:
        done = xs_mkdir(xs, t, step->path);
        break;
    case SCRIPT_CHMOD: {
        struct xs_permissions perms[SCRIPT_PERMS_MAX];

        memcpy(perms, step->perms, sizeof(perms));
        done = xs_set_permissions(xs, t, step->path, perms, step->n_perms);
        break;
    }
    case SCRIPT_RM:
    case SCRIPT_RM_FORCE:
        value = xs_read(xs, t, step->path, NULL);
        done = value != NULL ? xs_rm(xs, t, step->path)
                             : errno == ENOENT && step->op == SCRIPT_RM_FORCE;
        break;
    default:
        value = xs_read(xs, t, step->path, &len);
        err = check_condition(step, value, len, errno, why);
        free(value);
        return err;
    }
    err = errno;
    free(value);
    if (!done && asprintf(why, "%s: %s", step->path, store_error(err)) < 0) {
        *why = NULL;
    }
    return done ? 0 : -1;
}

static int apply(void *context, struct xs_handle *xs, xs_transaction_t t)
{
    struct applying *applying = context;

    for (size_t i = 0; i < applying->script.n; i++) {
        char *why = NULL;

        if (do_step(&applying->script.steps[i], xs, t, &why) != 0) {
            int status = refuse(applying, applying->script.steps[i].line,
                                why != NULL ? why : "out of memory");

            free(why);
            return status;
        }
    }
    return EXIT_FOUND;
}

/* Reads the script; returns an exit code. */
static int read_script(struct applying *applying)
{
    FILE *in = strcmp(applying->file, "-") == 0 ? stdin : fopen(applying->file, "re");
    char why[320];
    unsigned int line;

    if (in == NULL) {
        return command_failed(applying->self, "%s: %s", applying->file, strerror(errno));
    }
    line = script_read(in, &applying->script, why, sizeof(why));
    if (in != stdin) {
        fclose(in);
    }
    return line != 0 ? refuse(applying, line, why) : EXIT_FOUND;
}

static void print_json(const struct applying *applying, int status, int tried)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddBoolToObject(json, "applied", status == EXIT_FOUND);
    cJSON_AddNumberToObject(json, "operations", (double)applying->script.n);
    cJSON_AddNumberToObject(json, "tries", tried);
    if (applying->failed_line != 0) {
        cJSON_AddNumberToObject(json, "line", applying->failed_line);
        json_add_text(json, "error", applying->failed_why);
    }
    json_print(json, true);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct applying applying = {.self = self, .tries = TRANSACT_TRIES, .file = "-"};
    int status = command_options(self, argc, argv, &applying.json, handle, &applying);
    struct xs_handle *xs;
    int tried = 0;

    if (status >= 0) {
        return status;
    }
    if (optind < argc) {
        applying.file = argv[optind];
    }
    status = read_script(&applying);
    if (status == EXIT_FOUND) {
        xs = store_open(self);
        status = xs == NULL ? EXIT_FAILED
                            : transact(self, xs, (int)applying.tries, &tried, apply, &applying);
        if (xs != NULL) {
            xs_close(xs);
        }
    }
    if (applying.json) {
        print_json(&applying, status, tried);
    }
    script_free(&applying.script);
    free(applying.failed_why);
    return status;
}

static const struct option longs[] = {
    {"tries", required_argument, NULL, 't'},
    COMMON_OPTIONS,
};

const struct command cmd_transaction = {
    .name = "transaction",
    .summary = "Applies the operations of a script, all of them or none",
    .synopsis = "[-j] [-t COUNT] [FILE]",
    .options =
        "  FILE, or standard input, has one operation a line:\n"
        "    write PATH VALUE    rm PATH     exists PATH     chmod PATH PERMISSION...\n"
        "    mkdir PATH          rm-f PATH   missing PATH    equals PATH VALUE\n"
        "  exists, missing and equals are conditions; rm-f takes what is not there. A word in\n"
        "  double quotes may have blanks and \\n, \\t, \\r, \\0, \\\\, \\\" and \\xNN; # begins a "
        "remark.\n\n"
        "  -t, --tries COUNT   give up after so many conflicts with others (default: 100)\n",
    .shorts = "t:" COMMON_SHORTS,
    .longs = longs,
    .max_args = 1,
    .run = run,
};
