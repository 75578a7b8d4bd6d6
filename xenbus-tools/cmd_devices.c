/*
 * xenbus devices: the pairs of frontends and backends as a table or as JSON, with what is wrong.
 */
#include "xenbus.h"

#include <stdlib.h>
#include <string.h>

#include "devices.h"
#include "text.h"

#define N_COLUMNS 7

struct listing {
    bool json;
    bool check;
    struct device_filter filter;
};

struct row {
    char *cells[N_COLUMNS];
    const struct device *device;
};

static bool handle(int option, const char *arg, void *context)
{
    struct listing *listing = context;

    switch (option) {
    case 'd':
        listing->filter.domain = arg;
        return *arg != '\0';
    case 'c':
        listing->filter.class = arg;
        return *arg != '\0';
    case 'p':
        listing->filter.problems_only = true;
        return true;
    default:
        listing->check = true;
        return true;
    }
}

static char *state_cell(const struct device *device, const struct device_end *end)
{
    char cell[32];

    if (!end->there) {
        snprintf(cell, sizeof(cell), "missing");
    } else if (device->stateless) {
        snprintf(cell, sizeof(cell), "-");
    } else if (end->state < 0) {
        snprintf(cell, sizeof(cell), "%s", state_name(end->state));
    } else {
        snprintf(cell, sizeof(cell), "%d %s", end->state, state_name(end->state));
    }
    return must_strdup(cell);
}

/* Cells hold text of guests: each is escaped here, once. */
static char *escaped_cell(const char *text)
{
    return text != NULL ? text_escaped(text, strlen(text)) : must_strdup("-");
}

static void fill_row(struct row *row, const struct device *device)
{
    char place[64];
    char *name = escaped_cell(device->name);
    char **cell = row->cells;

    row->device = device;
    *cell++ = escaped_cell(device->class);
    *cell = NULL;
    if (asprintf(cell, "%u %s", device->domid, name) < 0) {
        *cell = must_strdup("?");
    }
    cell++;
    *cell++ = escaped_cell(device->device);
    snprintf(place, sizeof(place), "%u/%.32s", device->backend_domid,
             device->kind ? device->kind : "?");
    *cell++ = escaped_cell(place);
    *cell++ = state_cell(device, &device->front);
    *cell++ = state_cell(device, &device->back);
    *cell = escaped_cell(device->details);
    free(name);
}

static void print_finding(const char *what, const char *text)
{
    if (text == NULL) {
        return;
    }
    printf("    %s: ", what);
    text_escape(stdout, text, strlen(text));
    putchar('\n');
}

static void print_row(const struct row *row, const size_t *widths)
{
    static const char marks[] = {[FIT_SETTLED] = ' ', [FIT_MOVING] = '~', [FIT_BROKEN] = '!'};

    putchar(row->device != NULL ? marks[row->device->fit] : ' ');
    for (size_t i = 0; i < N_COLUMNS; i++) {
        printf(" %-*s", i + 1 < N_COLUMNS ? (int)widths[i] : 0, row->cells[i]);
    }
    putchar('\n');
    if (row->device == NULL || row->device->fit == FIT_SETTLED) {
        return;
    }
    print_finding(row->device->fit == FIT_BROKEN ? "mismatch" : "moving", row->device->why);
    print_finding("frontend's error", row->device->front_error);
    print_finding("backend's error", row->device->back_error);
}

static void print_table(struct device *devices)
{
    static char titles[N_COLUMNS][10] = {"CLASS",    "DOMAIN",  "DEVICE", "BACKEND",
                                         "FRONTEND", "BACKEND", "DETAILS"};
    size_t n = HASH_COUNT(devices), widths[N_COLUMNS] = {0}, used = 0;
    struct row *rows = must_alloc((n + 1) * sizeof(*rows));
    struct device *device, *next;

    for (size_t i = 0; i < N_COLUMNS; i++) {
        rows[0].cells[i] = titles[i];
    }
    HASH_ITER (hh, devices, device, next)
        fill_row(&rows[++used], device);
    for (size_t r = 0; r <= used; r++) {
        for (size_t i = 0; i < N_COLUMNS; i++) {
            size_t width = strlen(rows[r].cells[i]);

            widths[i] = width > widths[i] ? width : widths[i];
        }
    }
    for (size_t r = 0; r <= used; r++) {
        print_row(&rows[r], widths);
        for (size_t i = 0; r > 0 && i < N_COLUMNS; i++) {
            free(rows[r].cells[i]);
        }
    }
    free(rows);
}

static cJSON *json_end(const struct device *device, const struct device_end *end, const char *path,
                       const char *error)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddBoolToObject(json, "exists", end->there);
    json_add_text(json, "path", path);
    if (device->stateless || end->state == STATE_ABSENT) {
        cJSON_AddNullToObject(json, "state");
    } else {
        cJSON_AddNumberToObject(json, "state", end->state);
        cJSON_AddStringToObject(json, "state_name", state_name(end->state));
    }
    json_add_text(json, "error", error);
    return json;
}

static cJSON *json_device(const struct device *device)
{
    static const char *const fits[] = {
        [FIT_SETTLED] = "settled", [FIT_MOVING] = "moving", [FIT_BROKEN] = "mismatch"};
    cJSON *json = cJSON_CreateObject();

    json_add_text(json, "class", device->class);
    cJSON_AddNumberToObject(json, "domid", device->domid);
    json_add_text(json, "name", device->name);
    json_add_text(json, "device", device->device);
    cJSON_AddNumberToObject(json, "backend_domid", device->backend_domid);
    json_add_text(json, "kind", device->kind);
    cJSON_AddItemToObject(
        json, "frontend",
        json_end(device, &device->front, device->front_path, device->front_error));
    cJSON_AddItemToObject(json, "backend",
                          json_end(device, &device->back, device->back_path, device->back_error));
    json_add_text(json, "details", device->details);
    cJSON_AddStringToObject(json, "fit", fits[device->fit]);
    json_add_text(json, "why", device->why);
    return json;
}

/* Whether --check has to complain. */
static bool any_mismatch(struct device *devices)
{
    struct device *device, *next;

    HASH_ITER (hh, devices, device, next) {
        if (device->fit == FIT_BROKEN) {
            return true;
        }
    }
    return false;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct listing listing = {0};
    int status = command_options(self, argc, argv, &listing.json, handle, &listing);
    struct device *devices, *device, *next;
    struct xs_handle *xs;

    if (status >= 0) {
        return status;
    }
    xs = store_open(self);
    if (xs == NULL) {
        return EXIT_FAILED;
    }
    devices = devices_read(&(struct store_view){.xs = xs}, &listing.filter);
    if (listing.json) {
        cJSON *all = cJSON_CreateArray();

        HASH_ITER (hh, devices, device, next)
            cJSON_AddItemToArray(all, json_device(device));
        json_print(all, true);
    } else {
        print_table(devices);
    }
    status = listing.check && any_mismatch(devices) ? EXIT_FAILED : EXIT_FOUND;
    devices_free(devices);
    xs_close(xs);
    return status;
}

static const struct option longs[] = {
    {"domain", required_argument, NULL, 'd'},
    {"class", required_argument, NULL, 'c'},
    {"problems", no_argument, NULL, 'p'},
    {"check", no_argument, NULL, 'k'},
    COMMON_OPTIONS,
};

const struct command cmd_devices = {
    .name = "devices",
    .summary = "Lists every pair of frontend and backend with both states",
    .synopsis = "[-pkj] [-d DOMAIN] [-c CLASS]",
    .options = "  -d, --domain DOMAIN only the devices of this domain (id or name)\n"
               "  -c, --class CLASS   only this class or kind (vbd, vbd3, vif, console, ...)\n"
               "  -p, --problems      only pairs that are not settled\n"
               "  -k, --check         end with 1 when a pair does not fit\n",
    .shorts = "d:c:pk" COMMON_SHORTS,
    .longs = longs,
    .run = run,
};
