/*
 * xenbus trace: the handshakes of devices as a time line, live by watches or from a recording.
 *
 * One watch on /local/domain tells of every change; the value is read when the event comes, so of
 * changes that follow each other faster than that the last one is seen. A recording has the
 * changes, not the steps: a line of JSON each, behind a first one that tells what it is; the last
 * one tells when it ended.
 */
#include "xenbus.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "devices.h"
#include "pairs.h"
#include "text.h"
#include "trace.h"

static const char trace_format[] = "xenbus-trace";

enum { TRACE_VERSION = 1 };

struct tracing {
    const struct command *self;
    bool json;
    bool until_settled;
    const char *domain;
    const char *class;
    const char *record;
    const char *from;
    double slow;
    double timeout;
    struct trace *trace;
    FILE *recording;
    long long begin;
};

static bool handle(int option, const char *arg, void *context)
{
    struct tracing *tracing = context;

    switch (option) {
    case 'd':
        tracing->domain = arg;
        return *arg != '\0';
    case 'c':
        tracing->class = arg;
        return *arg != '\0';
    case 'r':
        tracing->record = arg;
        return *arg != '\0';
    case 'f':
        tracing->from = arg;
        return *arg != '\0';
    case 's':
        return parse_seconds(arg, &tracing->slow);
    case 't':
        return parse_seconds(arg, &tracing->timeout);
    default:
        tracing->until_settled = true;
        return true;
    }
}

static void print_json(const struct trace_step *step)
{
    static const char *const kinds[] = {[TRACE_STATE] = "state",
                                        [TRACE_KEYS] = "keys",
                                        [TRACE_GONE] = "gone",
                                        [TRACE_ERROR] = "error",
                                        [TRACE_MISSING] = "missing"};
    cJSON *json = cJSON_CreateObject();

    cJSON_AddNumberToObject(json, "time", step->time);
    if (step->since < 0) {
        cJSON_AddNullToObject(json, "since");
    } else {
        cJSON_AddNumberToObject(json, "since", step->since);
    }
    cJSON_AddNumberToObject(json, "domid", step->domid);
    json_add_text(json, "class", step->class);
    json_add_text(json, "device", step->device);
    cJSON_AddStringToObject(json, "side", step->side == TRACE_FRONT ? "frontend" : "backend");
    cJSON_AddStringToObject(json, "step", kinds[step->kind]);
    if (step->kind == TRACE_STATE) {
        cJSON_AddNumberToObject(json, "state", step->state);
        cJSON_AddStringToObject(json, "state_name", state_name(step->state));
    } else if (step->text != NULL) {
        json_add_text(json, "text", step->text);
    }
    cJSON_AddBoolToObject(json, "slow", step->slow);
    cJSON_AddBoolToObject(json, "initial", step->initial);
    json_print(json, false);
}

/* What a step is, behind times and names. */
static void print_what(const struct trace_step *step)
{
    static const char *const before[] = {
        [TRACE_KEYS] = "writes ", [TRACE_ERROR] = "error: ", [TRACE_MISSING] = "MISSING: "};

    if (step->kind == TRACE_STATE) {
        printf("state %d %s%s", step->state, state_name(step->state),
               step->initial ? " (as it was)" : "");
    } else if (step->kind == TRACE_GONE) {
        fputs("directory gone", stdout);
    } else {
        fputs(before[step->kind], stdout);
        text_escape(stdout, step->text, strlen(step->text));
    }
}

static void print_plain(const struct trace_step *step)
{
    char *class = text_escaped(step->class, strlen(step->class));
    char *device = text_escaped(step->device, strlen(step->device));

    printf("%10.3f ", step->time);
    if (step->since < 0) {
        printf("%10s ", "");
    } else {
        printf("%+10.3f ", step->since);
    }
    printf("%4u %s/%s  %-5s  ", step->domid, class, device,
           step->side == TRACE_FRONT ? "front" : "back");
    print_what(step);
    puts(step->slow && step->kind != TRACE_MISSING ? "   <- SLOW" : "");
    fflush(stdout);
    free(class);
    free(device);
}

static void print_step(void *context, const struct trace_step *step)
{
    const struct tracing *tracing = context;

    if (tracing->json) {
        print_json(step);
    } else {
        print_plain(step);
    }
}

static void write_line(FILE *out, cJSON *json)
{
    json_write(out, json, false);
    fputc('\n', out);
}

static void record_change(const struct tracing *tracing, const struct trace_change *change)
{
    cJSON *json;

    if (tracing->recording == NULL) {
        return;
    }
    json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "time", change->time);
    json_add_text(json, "path", change->path);
    json_add_text(json, "value", change->value);
    if (change->initial) {
        cJSON_AddTrueToObject(json, "initial");
    }
    write_line(tracing->recording, json);
}

static double seconds_since(const struct tracing *tracing)
{
    return (double)(now_ms() - tracing->begin) / 1000;
}

/* Takes the change that a watch has told of at @path. */
static void take_change(struct tracing *tracing, struct xs_handle *xs, const char *path,
                        bool initial)
{
    struct trace_change change = {.path = path, .initial = initial};
    char *value = xs_read(xs, XBT_NULL, path, NULL);

    change.time = initial ? 0 : seconds_since(tracing);
    change.value = value;
    /* What is gone may be a whole domain; of what is there only some matters. */
    if (value == NULL || trace_concerns(path)) {
        record_change(tracing, &change);
        trace_change(tracing->trace, &change);
    }
    free(value);
}

static void take_key(struct tracing *tracing, struct xs_handle *xs, const char *dir,
                     const char *key)
{
    char *path = store_join(dir, key);

    take_change(tracing, xs, path, true);
    free(path);
}

/* What is there when the trace begins: the names of domains, the states of devices. */
static void take_beginning(struct tracing *tracing, struct xs_handle *xs)
{
    static const struct device_filter all;
    struct store_view view = {.xs = xs};
    struct device *devices = devices_read(&view, &all), *device, *next;
    unsigned int n = 0;
    char **domains = xs_directory(xs, XBT_NULL, "/local/domain", &n);

    for (unsigned int i = 0; domains != NULL && i < n; i++) {
        char *home = store_join("/local/domain", domains[i]);

        take_key(tracing, xs, home, "name");
        free(home);
    }
    free(domains);
    HASH_ITER (hh, devices, device, next) {
        if (device->back.there && device->back.state != STATE_ABSENT) {
            take_key(tracing, xs, device->back_path, "state");
        }
        if (device->front.there && device->front.state != STATE_ABSENT) {
            take_key(tracing, xs, device->front_path, "state");
        }
    }
    devices_free(devices);
}

/* Tells what is missing, closes the recording; returns an exit code. */
static int finish_trace(struct tracing *tracing, double time)
{
    unsigned int missing = trace_end(tracing->trace, time);
    bool lost = false;

    if (tracing->recording != NULL) {
        cJSON *json = cJSON_CreateObject();

        cJSON_AddNumberToObject(json, "time", time);
        cJSON_AddTrueToObject(json, "end");
        write_line(tracing->recording, json);
        lost = ferror(tracing->recording) != 0;
        lost = fclose(tracing->recording) != 0 || lost;
        tracing->recording = NULL;
    }
    if (lost) {
        command_failed(tracing->self, "%s: the recording could not be written whole",
                       tracing->record);
        return EXIT_TROUBLE;
    }
    return missing > 0 ? EXIT_FAILED : EXIT_FOUND;
}

/* Follows the store until the time is over, a signal comes, or all have settled. */
static int follow(struct tracing *tracing, struct xs_handle *xs, int stop_fd)
{
    long long deadline = tracing->timeout < 0 ? -1 : deadline_after(tracing->timeout);

    if (!xs_watch(xs, "/local/domain", "trace")) {
        command_failed(tracing->self, "/local/domain: %s", store_error(errno));
        return EXIT_TROUBLE;
    }
    tracing->begin = now_ms();
    take_beginning(tracing, xs);
    while (!tracing->until_settled || !trace_settled(tracing->trace)) {
        char **event;
        int got = store_next_event(xs, deadline, stop_fd, &event);

        if (got < 0) {
            command_failed(tracing->self, "%s", store_error(-got));
            finish_trace(tracing, seconds_since(tracing));
            return EXIT_TROUBLE;
        }
        if (got == 0 || ferror(stdout) != 0) {
            break;
        }
        take_change(tracing, xs, event[XS_WATCH_PATH], false);
        free(event);
    }
    return finish_trace(tracing, seconds_since(tracing));
}

/* Opens the file to record to, if one is wanted; false with a message. */
static bool open_recording(struct tracing *tracing)
{
    cJSON *head;

    if (tracing->record == NULL) {
        return true;
    }
    tracing->recording = fopen(tracing->record, "we");
    if (tracing->recording == NULL) {
        command_failed(tracing->self, "%s: %s", tracing->record, strerror(errno));
        return false;
    }
    setlinebuf(tracing->recording);
    head = cJSON_CreateObject();
    cJSON_AddStringToObject(head, "format", trace_format);
    cJSON_AddNumberToObject(head, "version", TRACE_VERSION);
    write_line(tracing->recording, head);
    return true;
}

static int trace_live(struct tracing *tracing)
{
    struct xs_handle *xs = store_open(tracing->self);
    int status = EXIT_TROUBLE, stop_fd;
    sigset_t signals;

    if (xs == NULL || !open_recording(tracing)) {
        if (xs != NULL) {
            xs_close(xs);
        }
        return EXIT_TROUBLE;
    }
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    stop_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    if (stop_fd >= 0) {
        status = follow(tracing, xs, stop_fd);
        close(stop_fd);
    }
    if (tracing->recording != NULL) {
        fclose(tracing->recording);
    }
    xs_close(xs);
    return status;
}

/* Whether the first line of a recording is what it should be. */
static bool is_head(const cJSON *json)
{
    const char *format = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "format"));
    const cJSON *version = cJSON_GetObjectItemCaseSensitive(json, "version");

    return format != NULL && strcmp(format, trace_format) == 0 && cJSON_IsNumber(version) &&
           version->valueint == TRACE_VERSION;
}

/* Takes one line of a recording; false if it is none. *@time becomes its time. */
static bool take_line(struct tracing *tracing, const cJSON *json, double *time)
{
    const cJSON *at = cJSON_GetObjectItemCaseSensitive(json, "time");
    struct trace_change change = {
        .path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "path")),
        .value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "value")),
        .initial = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "initial")),
    };

    if (!cJSON_IsNumber(at) || at->valuedouble < *time) {
        return false;
    }
    *time = change.time = at->valuedouble;
    if (change.path == NULL) {
        return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "end"));
    }
    /* Bytes that are no text are a value, too. */
    if (change.value == NULL && cJSON_HasObjectItem(json, "value_hex")) {
        change.value = "?";
    }
    trace_change(tracing->trace, &change);
    return true;
}

static int trace_recording(struct tracing *tracing)
{
    FILE *in = strcmp(tracing->from, "-") == 0 ? stdin : fopen(tracing->from, "re");
    unsigned long number = 0;
    char *line = NULL;
    size_t size = 0;
    double time = 0;
    bool good = true;

    if (in == NULL) {
        command_failed(tracing->self, "%s: %s", tracing->from, strerror(errno));
        return EXIT_TROUBLE;
    }
    while (good && getline(&line, &size, in) >= 0) {
        cJSON *json = cJSON_Parse(line);

        good = json != NULL && (number == 0 ? is_head(json) : take_line(tracing, json, &time));
        cJSON_Delete(json);
        number++;
    }
    free(line);
    if (in != stdin) {
        fclose(in);
    }
    if (!good || number == 0) {
        command_failed(tracing->self, "%s:%lu: not a recording of 'xenbus trace --record'",
                       tracing->from, number);
        return EXIT_TROUBLE;
    }
    return finish_trace(tracing, time);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct tracing tracing = {.self = self, .slow = 1, .timeout = -1};
    int status = command_options(self, argc, argv, &tracing.json, handle, &tracing);

    if (status >= 0) {
        return status;
    }
    if (tracing.from != NULL && tracing.record != NULL) {
        return command_usage(self, "--from and --record exclude each other");
    }
    tracing.trace = trace_new(tracing.domain, tracing.class, tracing.slow, print_step, &tracing);
    status = tracing.from != NULL ? trace_recording(&tracing) : trace_live(&tracing);
    trace_free(tracing.trace);
    return status;
}

static const struct option longs[] = {
    {"domain", required_argument, NULL, 'd'},  {"class", required_argument, NULL, 'c'},
    {"slow", required_argument, NULL, 's'},    {"timeout", required_argument, NULL, 't'},
    {"until-settled", no_argument, NULL, 'u'}, {"record", required_argument, NULL, 'r'},
    {"from", required_argument, NULL, 'f'},    COMMON_OPTIONS,
};

const struct command cmd_trace = {
    .name = "trace",
    .summary = "Shows handshakes as a time line, with the slow and the missing step",
    .synopsis = "[-uj] [-d DOMAIN] [-c CLASS] [-s SECONDS] [-t SECONDS] [-r FILE | -f FILE]",
    .options =
        "  Follows the store until it is interrupted. Columns: time, time since the device's\n"
        "  last step, domain, device, whose step. Exit status: 0 all have settled, 1 a step is\n"
        "  missing, 2 trouble.\n\n"
        "  -d, --domain DOMAIN only this domain (id or name), which may come later\n"
        "  -c, --class CLASS   only this class (vbd, vif, ...)\n"
        "  -s, --slow S        mark a step that took S seconds or more (default: 1)\n"
        "  -t, --timeout S     end after S seconds\n"
        "  -u, --until-settled end when no handshake is under way\n"
        "  -r, --record FILE   write what happens to FILE as well\n"
        "  -f, --from FILE     show what was recorded; - is standard input\n",
    .shorts = "d:c:s:t:ur:f:" COMMON_SHORTS,
    .longs = longs,
    .run = run,
};
