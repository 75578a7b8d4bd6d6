/*
 * xenbus watch and xenbus wait: both sleep on watches, and neither ever polls the store.
 *
 * xenstored fires each watch once when it is set. `watch` marks that event as the initial one.
 * `wait` takes it as its first look, so that a change between looking and watching cannot be
 * missed.
 */
#include "xenbus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

enum goal {
    GOAL_VALUE,
    GOAL_EXISTS,
    GOAL_GONE,
};

struct watching {
    bool json;
    bool changes_only;
    bool escapes;
    long count;
    double timeout;
    enum goal goal;
};

static bool handle(int option, const char *arg, void *context)
{
    struct watching *watching = context;

    switch (option) {
    case 'c':
        watching->changes_only = true;
        return true;
    case 'n':
        return parse_count(arg, 1, &watching->count);
    case 't':
        return parse_seconds(arg, &watching->timeout);
    case 'x':
        watching->goal = GOAL_EXISTS;
        return true;
    case 'g':
        watching->goal = GOAL_GONE;
        return true;
    default:
        watching->escapes = true;
        return true;
    }
}

static void print_event(struct xs_handle *xs, const struct watching *watching, const char *path,
                        bool initial)
{
    unsigned int len = 0;
    char *value = path[0] == '@' ? NULL : xs_read(xs, XBT_NULL, path, &len);

    if (watching->json) {
        cJSON *event = cJSON_CreateObject();

        json_add_text(event, "path", path);
        cJSON_AddBoolToObject(event, "initial", initial);
        cJSON_AddBoolToObject(event, "exists", value != NULL);
        if (value != NULL) {
            json_add_value(event, value, len);
        }
        json_print(event, false);
    } else {
        text_escape(stdout, path, strlen(path));
        if (value != NULL) {
            fputs(" = \"", stdout);
            text_escape(stdout, value, len);
            puts("\"");
        } else {
            puts(path[0] == '@' ? "" : " (gone)");
        }
        fflush(stdout);
    }
    free(value);
}

/* Prints events until the count is reached, the time is over or stdout is closed. */
static int watch_loop(const struct command *self, struct xs_handle *xs,
                      const struct watching *watching, int n_paths)
{
    long long deadline = watching->timeout < 0 ? -1 : deadline_after(watching->timeout);
    bool *seen = must_alloc(sizeof(bool) * (size_t)n_paths);
    int status = EXIT_FOUND;

    for (long printed = 0; watching->count == 0 || printed < watching->count;) {
        char **event;
        int got = store_next_event(xs, deadline, -1, &event);
        long token;

        if (got <= 0) {
            status = got == 0 ? EXIT_TIMEOUT
                              : command_failed(self, "lost xenstored: %s", store_error(-got));
            break;
        }
        token = strtol(event[XS_WATCH_TOKEN], NULL, 10);
        if (token >= 0 && token < n_paths && (seen[token] || !watching->changes_only)) {
            print_event(xs, watching, event[XS_WATCH_PATH], !seen[token]);
            printed++;
        }
        if (token >= 0 && token < n_paths) {
            seen[token] = true;
        }
        free(event);
        if (ferror(stdout) != 0) {
            break;
        }
    }
    free(seen);
    return status;
}

static int run_watch(const struct command *self, int argc, char **argv)
{
    struct watching watching = {.timeout = -1};
    int status = command_options(self, argc, argv, &watching.json, handle, &watching);
    struct xs_handle *xs;

    if (status >= 0) {
        return status;
    }
    xs = store_open(self);
    if (xs == NULL) {
        return EXIT_FAILED;
    }
    status = EXIT_FOUND;
    for (int i = optind; i < argc && status == EXIT_FOUND; i++) {
        char token[24];

        snprintf(token, sizeof(token), "%d", i - optind);
        if (!store_path_valid(argv[i])) {
            status = command_usage(self, "'%s' is not a path of the store", argv[i]);
        } else if (!xs_watch(xs, argv[i], token)) {
            status = command_failed(self, "%s: %s", argv[i], store_error(errno));
        }
    }
    if (status == EXIT_FOUND) {
        status = watch_loop(self, xs, &watching, argc - optind);
    }
    xs_close(xs);
    return status;
}

static bool reached(const struct watching *watching, const char *value, unsigned int len,
                    const char *wanted, size_t wanted_len)
{
    switch (watching->goal) {
    case GOAL_EXISTS:
        return value != NULL;
    case GOAL_GONE:
        return value == NULL;
    default:
        return value != NULL && wanted != NULL && len == wanted_len &&
               memcmp(value, wanted, len) == 0;
    }
}

static void report_timeout(const struct command *self, const struct watching *watching,
                           const char *path, const char *value, unsigned int len)
{
    char *text = value != NULL ? text_escaped(value, len) : NULL;

    if (text != NULL) {
        command_failed(self, "%s is still \"%s\" after %g s", path, text, watching->timeout);
    } else {
        command_failed(self, "%s is not there after %g s", path, watching->timeout);
    }
    free(text);
}

static void json_wait(const char *path, const char *value, unsigned int len, bool timed_out)
{
    cJSON *result = cJSON_CreateObject();

    json_add_text(result, "path", path);
    cJSON_AddBoolToObject(result, "timed_out", timed_out);
    cJSON_AddBoolToObject(result, "exists", value != NULL);
    if (value != NULL) {
        json_add_value(result, value, len);
    }
    json_print(result, true);
}

static int wait_loop(const struct command *self, struct xs_handle *xs,
                     const struct watching *watching, const char *path, const char *wanted,
                     size_t wanted_len)
{
    long long deadline = watching->timeout < 0 ? -1 : deadline_after(watching->timeout);

    for (;;) {
        char **event;
        int got = store_next_event(xs, deadline, -1, &event);
        unsigned int len = 0;
        char *value;
        bool there;

        if (got < 0) {
            return command_failed(self, "lost xenstored: %s", store_error(-got));
        }
        if (got > 0) {
            free(event);
        }
        value = xs_read(xs, XBT_NULL, path, &len);
        if (value == NULL && errno != ENOENT) {
            return command_failed(self, "%s: %s", path, store_error(errno));
        }
        there = reached(watching, value, len, wanted, wanted_len);
        if (!there && got > 0) {
            free(value);
            continue;
        }
        if (watching->json) {
            json_wait(path, value, len, !there);
        }
        if (!there) {
            report_timeout(self, watching, path, value, len);
        }
        free(value);
        return there ? EXIT_FOUND : EXIT_TIMEOUT;
    }
}

static int run_wait(const struct command *self, int argc, char **argv)
{
    struct watching watching = {.timeout = -1, .goal = GOAL_VALUE};
    int status = command_options(self, argc, argv, &watching.json, handle, &watching);
    struct xs_handle *xs;
    size_t len = 0;
    char *wanted = NULL;

    if (status >= 0) {
        return status;
    }
    if (argc - optind != (watching.goal == GOAL_VALUE ? 2 : 1)) {
        return command_usage(self, "give PATH and VALUE, or PATH with --exists or --gone");
    }
    if (!store_path_valid(argv[optind]) || argv[optind][0] == '@') {
        return command_usage(self, "'%s' is not a path of the store", argv[optind]);
    }
    if (watching.goal == GOAL_VALUE) {
        wanted = argv[optind + 1];
        len = strlen(wanted);
        wanted = watching.escapes ? text_unescape(wanted, &len) : must_strdup(wanted);
        if (wanted == NULL) {
            return command_usage(self, "bad escape in '%s'", argv[optind + 1]);
        }
    }
    xs = store_open(self);
    if (xs == NULL) {
        status = EXIT_FAILED;
    } else if (!xs_watch(xs, argv[optind], "wait")) {
        status = command_failed(self, "%s: %s", argv[optind], store_error(errno));
    } else {
        status = wait_loop(self, xs, &watching, argv[optind], wanted, len);
    }
    free(wanted);
    if (xs != NULL) {
        xs_close(xs);
    }
    return status;
}

static const struct option watch_longs[] = {
    {"changes", no_argument, NULL, 'c'},
    {"count", required_argument, NULL, 'n'},
    {"timeout", required_argument, NULL, 't'},
    COMMON_OPTIONS,
};

const struct command cmd_watch = {
    .name = "watch",
    .summary = "Prints every change at or below each PATH, with the value it has then",
    .synopsis = "[-cj] [-n COUNT] [-t SECONDS] PATH...",
    .options = "  -c, --changes       leave out what xenstored sends when the watch is set\n"
               "  -n, --count COUNT   end with 0 after so many lines\n"
               "  -t, --timeout S     end with 124 after S seconds\n",
    .shorts = "cn:t:" COMMON_SHORTS,
    .longs = watch_longs,
    .min_args = 1,
    .max_args = -1,
    .run = run_watch,
};

static const struct option wait_longs[] = {
    {"timeout", required_argument, NULL, 't'},
    {"exists", no_argument, NULL, 'x'},
    {"gone", no_argument, NULL, 'g'},
    {"escapes", no_argument, NULL, 'e'},
    COMMON_OPTIONS,
};

const struct command cmd_wait = {
    .name = "wait",
    .summary = "Waits until PATH has the VALUE, exists, or is gone",
    .synopsis = "[-ej] [-t SECONDS] {PATH VALUE | --exists PATH | --gone PATH}",
    .options = "  -x, --exists        wait until PATH is there, whatever its value\n"
               "  -g, --gone          wait until PATH is not there\n"
               "  -t, --timeout S     end with 124 after S seconds (default: never)\n"
               "  -e, --escapes       read \\n, \\t, \\r, \\0, \\\\, \\\" and \\xNN in VALUE\n",
    .shorts = "t:xge" COMMON_SHORTS,
    .longs = wait_longs,
    .min_args = 1,
    .max_args = 2,
    .run = run_wait,
};
