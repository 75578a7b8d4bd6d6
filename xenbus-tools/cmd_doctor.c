/*
 * xenbus doctor: looks at the store and at this host, and says what is stuck or wrong, why, and
 * what to do.
 *
 * A handshake that is under way looks like one that is stuck, so whatever may settle by itself is
 * looked at again for a while, and only what stays is told.
 */
#include "xenbus.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"
#include "doctor_load.h"
#include "exports.h"
#include "text.h"

/* How often what may settle is looked at again before it is a finding. */
enum { LOOKS = 2 };

struct doctoring {
    const struct command *self;
    bool json;
    bool list;
    const char *from;
    double settle;
};

static bool handle(int option, const char *arg, void *context)
{
    struct doctoring *doctoring = context;

    switch (option) {
    case 'f':
        doctoring->from = arg;
        return *arg != '\0';
    case 's':
        return parse_seconds(arg, &doctoring->settle) && doctoring->settle <= 3600;
    default:
        doctoring->list = true;
        return true;
    }
}

static const char *severity_name(const struct check *check)
{
    return check->severity == SEVERITY_ERROR ? "error" : "warning";
}

static void list_check(void *context, const struct check *check)
{
    cJSON *all = context, *item;

    if (all == NULL) {
        printf("%s  %-7s  %s%s\n", check->code, severity_name(check), check->title,
               check->host ? " (not in an export)" : "");
        return;
    }
    item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "code", check->code);
    cJSON_AddStringToObject(item, "severity", severity_name(check));
    cJSON_AddStringToObject(item, "title", check->title);
    cJSON_AddItemToArray(all, item);
}

static void print_plain(const struct finding *list)
{
    for (const struct finding *finding = list; finding != NULL; finding = finding->next) {
        printf("%s %s: ", finding->check->code, severity_name(finding->check));
        text_print(stdout, finding->path);
        fputs("\n    ", stdout);
        text_print(stdout, finding->what);
        if (finding->advice != NULL) {
            fputs("\n    try: ", stdout);
            text_print(stdout, finding->advice);
        }
        putchar('\n');
    }
    if (list != NULL) {
        puts("xenbus(1) tells more about each code.");
    }
}

static void print_json(const struct finding *list)
{
    cJSON *all = cJSON_CreateArray();

    for (const struct finding *finding = list; finding != NULL; finding = finding->next) {
        cJSON *item = cJSON_CreateObject();

        cJSON_AddStringToObject(item, "code", finding->check->code);
        cJSON_AddStringToObject(item, "severity", severity_name(finding->check));
        cJSON_AddStringToObject(item, "title", finding->check->title);
        json_add_text(item, "path", finding->path);
        json_add_text(item, "what", finding->what);
        json_add_text(item, "advice", finding->advice);
        cJSON_AddItemToArray(all, item);
    }
    json_print(all, true);
}

/* What the checks look at; NULL with a message. */
static struct snapshot *look(const struct command *self, struct xs_handle *xs,
                             const struct host *host)
{
    struct snapshot *snapshot = snapshot_new("/");
    int err = doctor_load(snapshot, xs, host->domid);

    if (err != 0) {
        command_failed(self, "/local/domain: %s", store_error(-err));
        snapshot_free(snapshot);
        return NULL;
    }
    snapshot_finish(snapshot);
    return snapshot;
}

/* One look; false with a message when there is none. */
static bool examine(const struct command *self, struct xs_handle *xs, const struct host *host,
                    struct finding **findings)
{
    struct snapshot *snapshot = look(self, xs, host);

    if (snapshot == NULL) {
        return false;
    }
    *findings = diagnose(snapshot, host);
    snapshot_free(snapshot);
    return true;
}

/* Looks until what may settle has settled or the time is over. */
static bool examine_patiently(const struct doctoring *doctoring, struct xs_handle *xs,
                              const struct host *host, struct finding **findings)
{
    bool good = examine(doctoring->self, xs, host, findings);

    for (int i = 0; i < LOOKS && good && findings_settling(*findings); i++) {
        struct finding *before = *findings;

        /* What is waited for is that nothing happens: there is no event for it. */
        poll(NULL, 0, (int)(doctoring->settle * 1000 / LOOKS));
        *findings = NULL;
        good = examine(doctoring->self, xs, host, findings);
        *findings = findings_persistent(*findings, before);
        findings_free(before);
    }
    return good;
}

static bool examine_host(const struct doctoring *doctoring, struct finding **findings)
{
    struct xs_handle *xs = store_open(doctoring->self);
    struct host host;
    bool good;

    if (xs == NULL) {
        return false;
    }
    host_open(&host, xs);
    good = examine_patiently(doctoring, xs, &host, findings);
    host_close(&host);
    xs_close(xs);
    return good;
}

static bool examine_export(const struct doctoring *doctoring, struct finding **findings)
{
    struct snapshot *snapshot = export_open(doctoring->self, doctoring->from);

    if (snapshot == NULL) {
        return false;
    }
    *findings = diagnose(snapshot, NULL);
    snapshot_free(snapshot);
    return true;
}

static int run_list(const struct doctoring *doctoring)
{
    cJSON *all = doctoring->json ? cJSON_CreateArray() : NULL;

    checks_visit(list_check, all);
    if (all != NULL) {
        json_print(all, true);
    }
    return EXIT_FOUND;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct doctoring doctoring = {.self = self, .settle = 3};
    int status = command_options(self, argc, argv, &doctoring.json, handle, &doctoring);
    struct finding *findings = NULL;
    bool good;

    if (status >= 0) {
        return status;
    }
    if (doctoring.list) {
        return run_list(&doctoring);
    }
    good = doctoring.from != NULL ? examine_export(&doctoring, &findings)
                                  : examine_host(&doctoring, &findings);
    if (!good) {
        findings_free(findings);
        return EXIT_TROUBLE;
    }
    if (doctoring.json) {
        print_json(findings);
    } else {
        print_plain(findings);
    }
    status = findings != NULL ? EXIT_FAILED : EXIT_FOUND;
    findings_free(findings);
    return status;
}

static const struct option longs[] = {
    {"from", required_argument, NULL, 'f'},
    {"settle", required_argument, NULL, 's'},
    {"list", no_argument, NULL, 'l'},
    COMMON_OPTIONS,
};

const struct command cmd_doctor = {
    .name = "doctor",
    .summary = "Finds what is stuck or wrong, says why and what to do",
    .synopsis = "[-lj] [-s SECONDS] [-f EXPORT]",
    .options =
        "  Exit status: 0 healthy (and silent), 1 findings, 2 trouble.\n\n"
        "  -f, --from EXPORT   look at a file of 'xenbus export', without this host's facts\n"
        "  -s, --settle S      what may settle by itself has S seconds for it (default: 3)\n"
        "  -l, --list          list all codes\n",
    .shorts = "f:s:l" COMMON_SHORTS,
    .longs = longs,
    .run = run,
};
