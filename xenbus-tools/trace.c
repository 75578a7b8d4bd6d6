/*
 * From changes of the store to steps of handshakes, see trace.h.
 *
 * Between two states an end writes its keys one by one: they are gathered, and become one step when
 * the device's next step of another kind begins.
 */
#include "trace.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "devices.h"
#include "pairs.h"
#include "xenbus.h"

/* The keys of one step that are named; the rest is counted. */
enum { KEYS_NAMED = 512 };

struct trace_end {
    bool there;
    int state;
    /* Its directory. */
    char *path;
};

struct trace_device {
    /* "5 vbd 51712". */
    char *key;
    unsigned int domid;
    char *class;
    char *name;
    struct trace_end ends[2];
    /* When its last step was; negative before the first. */
    double last;
    /* Keys that have been written and not been told: whose, since when, which, how many beyond. */
    enum trace_side keys_side;
    double keys_time;
    char keys[KEYS_NAMED];
    unsigned int keys_more;
    UT_hash_handle hh;
};

struct trace {
    const char *domain;
    const char *class;
    double slow;
    void (*emit)(void *context, const struct trace_step *step);
    void *context;
    /* The one domain that is wanted, once it is known. */
    bool domain_known;
    unsigned int domid;
    struct trace_device *devices;
};

/* A path of the store taken to pieces. */
struct trace_place {
    enum trace_side side;
    bool error;
    unsigned int domid;
    char class[48];
    char name[48];
    /* How much of the path is the device's directory. */
    size_t dir_len;
    /* What stands below it, "" for itself. */
    const char *key;
};

struct trace *trace_new(const char *domain, const char *class, double slow,
                        void (*emit)(void *context, const struct trace_step *step), void *context)
{
    struct trace *trace = must_alloc(sizeof(*trace));

    trace->domain = domain;
    trace->class = class;
    trace->slow = slow;
    trace->emit = emit;
    trace->context = context;
    trace->domain_known = domain != NULL && parse_domid(domain, &trace->domid);
    return trace;
}

static void free_traced(struct trace_device *device)
{
    free(device->key);
    free(device->class);
    free(device->name);
    free(device->ends[TRACE_FRONT].path);
    free(device->ends[TRACE_BACK].path);
    free(device);
}

void trace_free(struct trace *trace)
{
    struct trace_device *next = trace->devices;

    HASH_CLEAR(hh, trace->devices);
    while (next != NULL) {
        struct trace_device *device = next;

        next = device->hh.next;
        free_traced(device);
    }
    free(trace);
}

/* Takes the next part of the path at *@p into @part; false when there is none, or it is too long.
 */
static bool next_part(const char **p, char *part, size_t size)
{
    size_t len;

    if (**p != '/') {
        return false;
    }
    len = strcspn(*p + 1, "/");
    if (len == 0 || len >= size) {
        return false;
    }
    memcpy(part, *p + 1, len);
    part[len] = '\0';
    *p += len + 1;
    return true;
}

static bool next_domid(const char **p, unsigned int *domid)
{
    char part[16];

    return next_part(p, part, sizeof(part)) && parse_domid(part, domid);
}

/* The class that a guest knows a kind of back end by. */
static void kind_to_class(char *kind)
{
    if (strcmp(kind, "vbd3") == 0 || strcmp(kind, "qdisk") == 0) {
        memcpy(kind, "vbd", sizeof("vbd"));
    }
}

/* Skips "/local/domain/ID" and reads the ID; NULL when @path is not below a domain's home. */
static const char *below_home(const char *path, unsigned int *domid)
{
    static const char homes[] = "/local/domain";

    if (strncmp(path, homes, sizeof(homes) - 1) != 0) {
        return NULL;
    }
    path += sizeof(homes) - 1;
    return next_domid(&path, domid) ? path : NULL;
}

/* Takes the path of a device's directory, or of what is below it, to pieces; false if it is no such
 * path. */
static bool find_place(const char *path, struct trace_place *place)
{
    const char *p = below_home(path, &place->domid), *back;
    char part[16];

    if (p == NULL || !next_part(&p, part, sizeof(part))) {
        return false;
    }
    place->error = strcmp(part, "error") == 0;
    if (place->error && !next_part(&p, part, sizeof(part))) {
        return false;
    }
    back = strcmp(part, "backend") == 0 ? p : NULL;
    place->side = back != NULL ? TRACE_BACK : TRACE_FRONT;
    if ((back == NULL && strcmp(part, "device") != 0) ||
        !next_part(&p, place->class, sizeof(place->class)) ||
        (back != NULL && !next_domid(&p, &place->domid)) ||
        !next_part(&p, place->name, sizeof(place->name))) {
        return false;
    }
    kind_to_class(place->class);
    place->dir_len = (size_t)(p - path);
    place->key = *p == '/' ? p + 1 : p;
    return true;
}

/* Whether @path is a domain's name; its id. */
static bool is_domain_name(const char *path, unsigned int *domid)
{
    const char *rest = below_home(path, domid);

    return rest != NULL && strcmp(rest, "/name") == 0;
}

bool trace_concerns(const char *path)
{
    struct trace_place place;
    unsigned int domid;

    return find_place(path, &place) || is_domain_name(path, &domid);
}

static bool is_wanted(const struct trace *trace, const struct trace_place *place)
{
    if (trace->domain != NULL && (!trace->domain_known || trace->domid != place->domid)) {
        return false;
    }
    /* What is no handshake has no time line. */
    return (trace->class == NULL || strcmp(trace->class, place->class) == 0) &&
           strcmp(place->class, "suspend") != 0 && strcmp(place->class, "console") != 0;
}

static struct trace_device *get_traced(struct trace *trace, const struct trace_place *place)
{
    struct trace_device *device = NULL;
    char key[128];

    snprintf(key, sizeof(key), "%u %s %s", place->domid, place->class, place->name);
    HASH_FIND_STR(trace->devices, key, device);
    if (device == NULL) {
        device = must_alloc(sizeof(*device));
        device->key = must_strdup(key);
        device->domid = place->domid;
        device->class = must_strdup(place->class);
        device->name = must_strdup(place->name);
        device->last = -1;
        device->ends[TRACE_FRONT].state = device->ends[TRACE_BACK].state = STATE_ABSENT;
        HASH_ADD_KEYPTR(hh, trace->devices, device->key, strlen(device->key), device);
    }
    return device;
}

/* Hands on one step of @device. */
static void emit_step(struct trace *trace, struct trace_device *device, struct trace_step *step)
{
    step->domid = device->domid;
    step->class = device->class;
    step->device = device->name;
    step->since = device->last < 0 ? -1 : step->time - device->last;
    step->slow = !step->initial && step->since >= trace->slow;
    device->last = step->time;
    trace->emit(trace->context, step);
}

/* Tells the keys that have been gathered, if any. */
static void flush_keys(struct trace *trace, struct trace_device *device)
{
    struct trace_step step = {
        .kind = TRACE_KEYS, .side = device->keys_side, .time = device->keys_time};
    char *text = NULL;

    if (device->keys[0] == '\0') {
        return;
    }
    if (device->keys_more > 0 &&
        asprintf(&text, "%s and %u more", device->keys, device->keys_more) < 0) {
        text = NULL;
    }
    step.text = text != NULL ? text : device->keys;
    emit_step(trace, device, &step);
    free(text);
    device->keys[0] = '\0';
    device->keys_more = 0;
}

/* Gathers one key that was written. */
static void gather_key(struct trace *trace, struct trace_device *device,
                       const struct trace_place *place, double time)
{
    size_t used = strlen(device->keys), size = strlen(place->key);

    if (used > 0 && device->keys_side != place->side) {
        flush_keys(trace, device);
        used = 0;
    }
    if (used == 0) {
        device->keys_side = place->side;
        device->keys_time = time;
    }
    if (used + size + 3 > sizeof(device->keys)) {
        device->keys_more++;
        return;
    }
    snprintf(device->keys + used, sizeof(device->keys) - used, "%s%s", used > 0 ? ", " : "",
             place->key);
}

static void note_state(struct trace *trace, struct trace_device *device,
                       const struct trace_place *place, const struct trace_change *change)
{
    struct trace_end *end = &device->ends[place->side];
    struct trace_step step = {.kind = TRACE_STATE,
                              .side = place->side,
                              .time = change->time,
                              .initial = change->initial,
                              .state = state_parse(change->value)};

    /* A watch tells of each write, and the value may be the one that was seen already. */
    if (step.state == end->state) {
        return;
    }
    end->state = step.state;
    flush_keys(trace, device);
    emit_step(trace, device, &step);
}

/* An end is there from the first thing that is seen below its directory. */
static void note_end(struct trace_device *device, const struct trace_place *place, const char *path)
{
    struct trace_end *end = &device->ends[place->side];

    if (!end->there) {
        end->there = true;
        free(end->path);
        end->path = must_alloc(place->dir_len + 1);
        memcpy(end->path, path, place->dir_len);
    }
}

/* Something is gone: every end whose directory it is, or was in it. */
static void note_removal(struct trace *trace, const struct trace_change *change)
{
    size_t len = strlen(change->path);
    struct trace_device *device, *next;

    HASH_ITER (hh, trace->devices, device, next) {
        for (int side = TRACE_FRONT; side <= TRACE_BACK; side++) {
            struct trace_end *end = &device->ends[side];
            struct trace_step step = {
                .kind = TRACE_GONE, .side = (enum trace_side)side, .time = change->time};

            if (!end->there || strncmp(end->path, change->path, len) != 0 ||
                (end->path[len] != '\0' && end->path[len] != '/')) {
                continue;
            }
            end->there = false;
            end->state = STATE_ABSENT;
            flush_keys(trace, device);
            emit_step(trace, device, &step);
        }
    }
}

static void note_error(struct trace *trace, struct trace_device *device,
                       const struct trace_place *place, const struct trace_change *change)
{
    struct trace_step step = {
        .kind = TRACE_ERROR, .side = place->side, .time = change->time, .text = change->value};

    if (strcmp(place->key, "error") == 0) {
        flush_keys(trace, device);
        emit_step(trace, device, &step);
    }
}

void trace_change(struct trace *trace, const struct trace_change *change)
{
    struct trace_place place;
    struct trace_device *device;
    unsigned int domid;

    if (change->value == NULL) {
        note_removal(trace, change);
        return;
    }
    if (is_domain_name(change->path, &domid)) {
        if (trace->domain != NULL && strcmp(trace->domain, change->value) == 0) {
            trace->domain_known = true;
            trace->domid = domid;
        }
        return;
    }
    if (!find_place(change->path, &place) || !is_wanted(trace, &place)) {
        return;
    }
    device = get_traced(trace, &place);
    if (place.error) {
        note_error(trace, device, &place, change);
        return;
    }
    note_end(device, &place, change->path);
    if (strcmp(place.key, "state") == 0) {
        note_state(trace, device, &place, change);
    } else if (place.key[0] != '\0' && !change->initial) {
        gather_key(trace, device, &place, change->time);
    }
}

/* By phases: what the front end does next, what the back end does. The latter goes first. */
const char *trace_next(int front, int back, enum trace_side *side)
{
    *side = TRACE_BACK;
    if (front == STATE_ABSENT && back == STATE_ABSENT) {
        return NULL;
    }
    if (front == STATE_ABSENT) {
        return "closes, and its directory is removed";
    }
    if ((front == 4 || front == 7 || front == 8) && (back == 4 || back == 7 || back == 8)) {
        return NULL;
    }
    if (front == 6) {
        /* It waits in state 2 for the guest to come back. */
        return back == 6 || back == 2 ? NULL : "closes: state 6 (Closed)";
    }
    if (front == 5) {
        *side = back == 6 ? TRACE_FRONT : TRACE_BACK;
        return "closes: state 6 (Closed)";
    }
    if (back == 5) {
        *side = TRACE_FRONT;
        return "lets go of the device: state 5 (Closing) or 6 (Closed)";
    }
    if (back == 6 || back == STATE_MALFORMED || front == STATE_MALFORMED) {
        return "none: the states do not fit, 'xenbus doctor' says what to do";
    }
    if (back <= 1) {
        return "takes the device, publishes what it offers: state 2 (InitWait)";
    }
    if (front >= 3) {
        *side = back == 4 ? TRACE_FRONT : TRACE_BACK;
        return back == 4 ? "connects: state 4 (Connected)"
                         : "maps the rings and connects: state 4 (Connected)";
    }
    *side = TRACE_FRONT;
    return "publishes its rings: state 3 (Initialised) or 4 (Connected)";
}

bool trace_settled(const struct trace *trace)
{
    const struct trace_device *device = trace->devices;
    enum trace_side side;

    while (device != NULL && trace_next(device->ends[TRACE_FRONT].state,
                                        device->ends[TRACE_BACK].state, &side) == NULL) {
        device = device->hh.next;
    }
    return trace->devices != NULL && device == NULL;
}

unsigned int trace_end(struct trace *trace, double time)
{
    struct trace_device *device, *next;
    unsigned int missing = 0;

    HASH_ITER (hh, trace->devices, device, next) {
        struct trace_step step = {.kind = TRACE_MISSING, .time = time};

        flush_keys(trace, device);
        step.text =
            trace_next(device->ends[TRACE_FRONT].state, device->ends[TRACE_BACK].state, &step.side);
        if (step.text != NULL) {
            emit_step(trace, device, &step);
            missing++;
        }
    }
    return missing;
}
