/*
 * Figures of devices: see top.h.
 */
#include "top.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "xenbus.h"

/* Devices that anybody has; more is nonsense. */
#define DEVICES_MAX 4096UL
/* More than any counter holds; no sum of them is infinite. */
#define NUMBER_MAX 1e20
#define METRIC_MAX 96
#define LABELS_MAX 4096

const char *const top_key_names[TOP_KEYS] = {
    [TOP_BY_DOMAIN] = "domain", [TOP_BY_DEVICE] = "device",   [TOP_BY_OPERATIONS] = "ops",
    [TOP_BY_TO_GUEST] = "to",   [TOP_BY_FROM_GUEST] = "from", [TOP_BY_ERRORS] = "errors",
    [TOP_BY_QUEUED] = "queue",  [TOP_BY_LATENCY] = "latency", [TOP_BY_RESTARTS] = "restarts",
};

/* Which metric is part of which figure; a label's value that it has to have, if there is one. */
static const struct rule {
    const char *metric, *label, *value;
    enum top_figure figure;
} rules[] = {
    {"duet_block_up", NULL, NULL, TOP_UP},
    {"duet_net_up", NULL, NULL, TOP_UP},
    {"duet_console_up", NULL, NULL, TOP_UP},
    {"duet_block_connected", NULL, NULL, TOP_CONNECTED},
    {"duet_net_connected", NULL, NULL, TOP_CONNECTED},
    {"duet_console_connected", NULL, NULL, TOP_CONNECTED},
    {"duet_block_worker_restarts_total", NULL, NULL, TOP_RESTARTS},
    {"duet_net_worker_restarts_total", NULL, NULL, TOP_RESTARTS},
    {"duet_block_requests_total", NULL, NULL, TOP_OPERATIONS},
    {"duet_net_packets_total", NULL, NULL, TOP_OPERATIONS},
    {"duet_block_bytes_total", "op", "read", TOP_TO_GUEST},
    {"duet_net_bytes_total", "direction", "to_guest", TOP_TO_GUEST},
    {"duet_console_bytes_total", "direction", "input", TOP_TO_GUEST},
    {"duet_block_bytes_total", "op", "write", TOP_FROM_GUEST},
    {"duet_net_bytes_total", "direction", "from_guest", TOP_FROM_GUEST},
    {"duet_console_bytes_total", "direction", "output", TOP_FROM_GUEST},
    {"duet_block_errors_total", NULL, NULL, TOP_ERRORS},
    {"duet_block_refused_total", NULL, NULL, TOP_ERRORS},
    {"duet_net_dropped_total", NULL, NULL, TOP_ERRORS},
    {"duet_net_refused_total", NULL, NULL, TOP_ERRORS},
    {"duet_console_lost_bytes_total", NULL, NULL, TOP_ERRORS},
    {"duet_block_outstanding_requests", NULL, NULL, TOP_QUEUED},
    {"duet_block_request_duration_seconds_sum", NULL, NULL, TOP_SECONDS},
    {"duet_block_request_duration_seconds_count", NULL, NULL, TOP_TIMED},
};

#define N_RULES (sizeof(rules) / sizeof(rules[0]))

/* A line of the text, taken apart. */
struct sample {
    char metric[METRIC_MAX];
    char domid[16], domain[TOP_NAME_MAX], device[TOP_NAME_MAX];
    char label[32], value[32]; /* the one behind those; "": none */
    double number;
};

/* Copies at most so much of a name; returns what follows it. */
static const char *take_name(const char *at, char *out, size_t size)
{
    size_t len = 0;

    for (; isalnum((unsigned char)*at) || *at == '_'; at++) {
        if (len + 1 < size) {
            out[len++] = *at;
        }
    }
    out[len] = '\0';
    return at;
}

/* Copies a label's value in quotes, without its escapes; returns what follows, or NULL. */
static const char *take_value(const char *at, char *out, size_t size)
{
    size_t len = 0;

    if (*at != '"') {
        return NULL;
    }
    for (at++; *at != '"'; at++) {
        char c = *at;

        if (c == '\\') {
            c = *++at == 'n' ? '\n' : *at;
        }
        if (c == '\0' || *at == '\0') {
            return NULL;
        }
        if (len + 1 < size) {
            out[len++] = c;
        }
    }
    out[len] = '\0';
    return at + 1;
}

/* One NAME="VALUE"; returns what follows, or NULL. */
static const char *take_label(const char *at, struct sample *s)
{
    char name[32], value[LABELS_MAX];
    const struct {
        const char *name;
        char *out;
        size_t size;
    } places[] = {{"domid", s->domid, sizeof(s->domid)},
                  {"domain", s->domain, sizeof(s->domain)},
                  {"device", s->device, sizeof(s->device)}};

    at = take_name(at, name, sizeof(name));
    at = *at == '=' ? take_value(at + 1, value, sizeof(value)) : NULL;
    if (at == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (strcmp(name, places[i].name) == 0) {
            snprintf(places[i].out, places[i].size, "%.*s", (int)places[i].size - 1, value);
            return at;
        }
    }
    snprintf(s->label, sizeof(s->label), "%s", name);
    snprintf(s->value, sizeof(s->value), "%.*s", (int)sizeof(s->value) - 1, value);
    return at;
}

/* Returns false when the line, which ends at `end`, is no sample. */
static bool take_sample(const char *at, const char *end, struct sample *s)
{
    char *rest;

    memset(s, 0, sizeof(*s));
    at = take_name(at, s->metric, sizeof(s->metric));
    if (*at == '{') {
        do {
            at = take_label(at + 1, s);
        } while (at != NULL && *at == ',');
        at = at != NULL && *at == '}' ? at + 1 : NULL;
    }
    if (at == NULL || *at != ' ' || at > end) {
        return false;
    }
    at++;
    if (strspn(at, "0123456789.eE+-") != (size_t)(end - at)) { /* neither hex nor words */
        return false;
    }
    s->number = strtod(at, &rest);
    return rest == end && end != at && s->number >= 0 && s->number <= NUMBER_MAX;
}

static struct top_device *device_of(struct top_view *view, const struct sample *s)
{
    const unsigned int domid = (unsigned int)strtoul(s->domid, NULL, 10);
    struct top_device *d;

    for (size_t i = view->nr; i-- > 0;) {
        d = &view->devices[i];
        if (d->domid == domid && strcmp(d->device, s->device) == 0) {
            return d;
        }
    }
    if (view->nr == DEVICES_MAX) {
        return NULL;
    }
    if ((view->nr & (view->nr - 1)) == 0) { /* as many as a power of two: twice that */
        view->devices =
            realloc(view->devices, (view->nr != 0 ? view->nr * 2 : 1) * sizeof(*view->devices));
        if (view->devices == NULL) {
            abort();
        }
    }
    d = &view->devices[view->nr++];
    memset(d, 0, sizeof(*d));
    d->domid = domid;
    snprintf(d->domain, sizeof(d->domain), "%s", s->domain);
    snprintf(d->device, sizeof(d->device), "%s", s->device);
    return d;
}

static void add_sample(struct top_view *view, const struct sample *s)
{
    for (size_t i = 0; i < N_RULES; i++) {
        const struct rule *r = &rules[i];
        struct top_device *d;

        if (strcmp(r->metric, s->metric) != 0 ||
            (r->label != NULL &&
             (strcmp(r->label, s->label) != 0 || strcmp(r->value, s->value) != 0))) {
            continue;
        }
        d = device_of(view, s);
        if (d != NULL) {
            d->total[r->figure] += s->number;
        }
        return;
    }
}

bool top_add(struct top_view *view, const char *text)
{
    bool right = true;

    while (*text != '\0') {
        const char *end = strchrnul(text, '\n');
        struct sample s;

        if (*text != '#' && end != text) {
            if (take_sample(text, end, &s)) {
                add_sample(view, &s);
            } else {
                right = false;
            }
        }
        text = *end == '\n' ? end + 1 : end;
    }
    return right;
}

static void compare_device(struct top_device *d, const struct top_device *before, double seconds)
{
    for (int i = 0; i < TOP_FIGURES; i++) {
        const double more = d->total[i] - before->total[i];

        d->rate[i] = more > 0 && seconds > 0 ? more / seconds : 0;
    }
    if (d->rate[TOP_TIMED] > 0) {
        d->latency_ms = d->rate[TOP_SECONDS] / d->rate[TOP_TIMED] * 1000;
    }
}

void top_compare(struct top_view *view, const struct top_view *before, double seconds)
{
    for (size_t i = 0; i < view->nr; i++) {
        for (size_t j = 0; j < before->nr; j++) {
            if (view->devices[i].domid == before->devices[j].domid &&
                strcmp(view->devices[i].device, before->devices[j].device) == 0) {
                compare_device(&view->devices[i], &before->devices[j], seconds);
                break;
            }
        }
    }
}

static double worth(const struct top_device *d, enum top_key key)
{
    switch (key) {
    case TOP_BY_OPERATIONS:
        return d->rate[TOP_OPERATIONS];
    case TOP_BY_TO_GUEST:
        return d->rate[TOP_TO_GUEST];
    case TOP_BY_FROM_GUEST:
        return d->rate[TOP_FROM_GUEST];
    case TOP_BY_ERRORS:
        return d->rate[TOP_ERRORS];
    case TOP_BY_QUEUED:
        return d->total[TOP_QUEUED];
    case TOP_BY_LATENCY:
        return d->latency_ms;
    case TOP_BY_RESTARTS:
        return d->total[TOP_RESTARTS];
    default:
        return 0;
    }
}

static int compare(const void *one, const void *other, void *arg)
{
    const struct top_device *a = one, *b = other;
    const enum top_key key = *(const enum top_key *)arg;
    const double x = worth(a, key), y = worth(b, key);
    const int device = strcmp(a->device, b->device);

    if (x != y) {
        return x > y ? -1 : 1;
    }
    if (key == TOP_BY_DEVICE && device != 0) {
        return device;
    }
    return a->domid != b->domid ? (a->domid < b->domid ? -1 : 1) : device;
}

void top_sort(struct top_view *view, enum top_key key)
{
    if (view->nr > 1) {
        qsort_r(view->devices, view->nr, sizeof(*view->devices), compare, &key);
    }
}

void top_free(struct top_view *view)
{
    free(view->devices);
    *view = (struct top_view){.devices = NULL};
}
