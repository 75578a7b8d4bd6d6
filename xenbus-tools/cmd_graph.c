/*
 * xenbus graph: domains, their devices and what backs them, as a graph in graphviz' DOT, or as SVG
 * through its program `dot`. A domain is a box; in it stand the frontends it has and the back ends
 * it serves; an edge is a handshake, with both states and a colour that says how they fit.
 */
#include "xenbus.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devices.h"
#include "exports.h"
#include "text.h"

struct graphing {
    const struct command *self;
    bool json;
    bool svg;
    const char *from;
};

/* A domain that has a device or serves one. */
struct graphed {
    unsigned int domid;
    char *name;
    UT_hash_handle hh;
};

static bool handle(int option, const char *arg, void *context)
{
    struct graphing *graphing = context;

    if (option == 's') {
        graphing->svg = true;
        return true;
    }
    graphing->from = arg;
    return *arg != '\0';
}

/* Prints @text within a quoted string of DOT: escaped as everywhere, and once more for DOT. */
static void dot_text(FILE *out, const char *text)
{
    char *escaped = text_escaped(text, strlen(text));

    for (const char *p = escaped; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\') {
            fputc('\\', out);
        }
        fputc(*p, out);
    }
    free(escaped);
}

static void note_domain(struct graphed **domains, const struct store_view *view, unsigned int domid)
{
    struct graphed *domain = NULL;
    char path[40];

    HASH_FIND_INT(*domains, &domid, domain);
    if (domain == NULL) {
        snprintf(path, sizeof(path), "/local/domain/%u/name", domid);
        domain = must_alloc(sizeof(*domain));
        domain->domid = domid;
        domain->name = view_read(view, path);
        HASH_ADD_INT(*domains, domid, domain);
    }
}

/* The domains of @devices. */
static struct graphed *domains_of(struct device *devices, const struct store_view *view)
{
    struct graphed *domains = NULL;
    struct device *device, *next;

    HASH_ITER (hh, devices, device, next) {
        note_domain(&domains, view, device->domid);
        note_domain(&domains, view, device->backend_domid);
    }
    return domains;
}

static void free_graphed(struct graphed *domains)
{
    struct graphed *next = domains;

    HASH_CLEAR(hh, domains);
    while (next != NULL) {
        struct graphed *domain = next;

        next = domain->hh.next;
        free(domain->name);
        free(domain);
    }
}

/* One end as a node of DOT; @prefix tells the two of a device apart. */
static void dot_end(FILE *out, const char *prefix, const struct device *device, const char *class,
                    const char *details)
{
    fprintf(out, "    \"%s ", prefix);
    dot_text(out, device->key);
    fputs("\" [label=\"", out);
    dot_text(out, class);
    fputc(' ', out);
    dot_text(out, device->device);
    if (details != NULL && *details != '\0') {
        fputs("\\n", out);
        dot_text(out, details);
    }
    fputs("\"];\n", out);
}

static void dot_domain(FILE *out, const struct graphed *domain, struct device *devices)
{
    struct device *device, *next;

    fprintf(out, "  subgraph cluster_%u {\n    label=\"", domain->domid);
    dot_text(out, domain->name != NULL ? domain->name : "?");
    fprintf(out, " (%u)\"; style=rounded;\n", domain->domid);
    HASH_ITER (hh, devices, device, next) {
        if (device->front.there && device->domid == domain->domid) {
            dot_end(out, "front", device, device->class, NULL);
        }
        if (device->back.there && device->backend_domid == domain->domid) {
            dot_end(out, "back", device, device->kind, device->details);
        }
    }
    fputs("  }\n", out);
}

static const char *const fit_colours[] = {
    [FIT_SETTLED] = "darkgreen", [FIT_MOVING] = "orange", [FIT_BROKEN] = "red"};

static void dot_edge(FILE *out, const struct device *device)
{
    if (!device->front.there || !device->back.there) {
        return;
    }
    fputs("  \"front ", out);
    dot_text(out, device->key);
    fputs("\" -> \"back ", out);
    dot_text(out, device->key);
    fprintf(out, "\" [dir=both, color=%s, label=\"", fit_colours[device->fit]);
    if (!device->stateless) {
        fprintf(out, "%s, %s", state_name(device->front.state), state_name(device->back.state));
    }
    fputs("\"];\n", out);
}

static void print_dot(FILE *out, struct device *devices, struct graphed *domains)
{
    struct device *device, *next_device;
    struct graphed *domain, *next;

    fputs("digraph xenbus {\n  rankdir=LR;\n  node [shape=box];\n", out);
    HASH_ITER (hh, domains, domain, next) {
        dot_domain(out, domain, devices);
    }
    HASH_ITER (hh, devices, device, next_device) {
        dot_edge(out, device);
    }
    fputs("}\n", out);
}

static void print_graph_json(struct device *devices, struct graphed *domains)
{
    cJSON *json = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(json, "domains"), *item;
    struct device *device, *next_device;
    struct graphed *domain, *next;

    HASH_ITER (hh, domains, domain, next) {
        item = cJSON_CreateObject();
        cJSON_AddNumberToObject(item, "domid", domain->domid);
        json_add_text(item, "name", domain->name);
        cJSON_AddItemToArray(list, item);
    }
    list = cJSON_AddArrayToObject(json, "edges");
    HASH_ITER (hh, devices, device, next_device) {
        item = cJSON_CreateObject();
        cJSON_AddNumberToObject(item, "from", device->domid);
        cJSON_AddNumberToObject(item, "to", device->backend_domid);
        json_add_text(item, "class", device->class);
        json_add_text(item, "kind", device->kind);
        json_add_text(item, "device", device->device);
        json_add_text(item, "details", device->details);
        cJSON_AddStringToObject(item, "colour", fit_colours[device->fit]);
        cJSON_AddItemToArray(list, item);
    }
    json_print(json, true);
}

/* Has graphviz' dot make SVG of what is printed; returns an exit code. */
static int print_svg(const struct command *self, struct device *devices, struct graphed *domains)
{
    int ends[2], status = 0;
    FILE *out;
    pid_t pid;

    if (pipe(ends) != 0) {
        return command_failed(self, "pipe: %s", strerror(errno));
    }
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        dup2(ends[0], STDIN_FILENO);
        close(ends[0]);
        close(ends[1]);
        execlp("dot", "dot", "-Tsvg", (char *)NULL);
        _exit(127);
    }
    close(ends[0]);
    out = pid > 0 ? fdopen(ends[1], "w") : NULL;
    if (out == NULL) {
        close(ends[1]);
        return command_failed(self, "cannot start dot: %s", strerror(errno));
    }
    print_dot(out, devices, domains);
    fclose(out);
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
        return command_failed(self, "dot has not ended well");
    }
    if (WEXITSTATUS(status) == 127) {
        return command_failed(self, "there is no program 'dot': install graphviz");
    }
    return WEXITSTATUS(status) != 0
               ? command_failed(self, "dot: exit status %d", WEXITSTATUS(status))
               : EXIT_FOUND;
}

static int show_graph(const struct graphing *graphing, const struct store_view *view)
{
    static const struct device_filter all;
    struct device *devices = devices_read(view, &all);
    struct graphed *domains = domains_of(devices, view);
    int status = EXIT_FOUND;

    if (graphing->json) {
        print_graph_json(devices, domains);
    } else if (graphing->svg) {
        status = print_svg(graphing->self, devices, domains);
    } else {
        print_dot(stdout, devices, domains);
    }
    free_graphed(domains);
    devices_free(devices);
    return status;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct graphing graphing = {.self = self};
    int status = command_options(self, argc, argv, &graphing.json, handle, &graphing);
    struct store_view view = {0};
    struct snapshot *snapshot;

    if (status >= 0) {
        return status;
    }
    /* dot may end before it has read all: that is told by its exit status. */
    signal(SIGPIPE, SIG_IGN);
    if (graphing.from != NULL) {
        snapshot = export_open(self, graphing.from);
        view.snapshot = snapshot;
        status = snapshot == NULL ? EXIT_FAILED : show_graph(&graphing, &view);
        snapshot_free(snapshot);
        return status;
    }
    view.xs = store_open(self);
    if (view.xs == NULL) {
        return EXIT_FAILED;
    }
    status = show_graph(&graphing, &view);
    xs_close(view.xs);
    return status;
}

static const struct option longs[] = {
    {"svg", no_argument, NULL, 's'},
    {"from", required_argument, NULL, 'f'},
    COMMON_OPTIONS,
};

const struct command cmd_graph = {
    .name = "graph",
    .summary = "Draws domains, their devices and what backs them, as DOT or SVG",
    .synopsis = "[-sj] [-f EXPORT]",
    .options =
        "  Green: connected, or closed on both ends; orange: on the way; red: does not fit.\n\n"
        "  -s, --svg           SVG instead of DOT; needs the program dot of graphviz\n"
        "  -f, --from EXPORT   draw a file of 'xenbus export'\n",
    .shorts = "sf:" COMMON_SHORTS,
    .longs = longs,
    .run = run,
};
