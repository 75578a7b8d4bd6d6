/*
 * xenbus top: what each device does right now, by the figures that the daemons tell (top.h).
 */
#include "xenbus.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "scrape.h"
#include "text.h"
#include "top.h"

#define SOURCES_MAX 8U
#define N_COLUMNS   7U
#define CELL_MAX    24
#define NAME_WIDTH  20

/* Where figures come from, and what to do when nobody tells any there. */
struct source {
    const char *path, *section, *unit, *order;
    int err;  /* of the last look, 0 or an errno */
    bool odd; /* it told something that the format does not know */
};

static const struct source usual[] = {
    {.path = "/run/duet/block.metrics",
     .section = "block",
     .unit = "duet-block",
     .order = "reload"},
    {.path = "/run/duet/net.metrics", .section = "net", .unit = "duet-net", .order = "reload"},
    {.path = "/run/duet/console.metrics",
     .section = "console",
     .unit = "duet-console",
     .order = "restart"},
};

struct topping {
    bool json, batch;
    long looks; /* 0: without end */
    double delay;
    enum top_key key;
    struct source sources[SOURCES_MAX];
    size_t nr_sources;
    struct termios terminal; /* as it was */
};

static volatile sig_atomic_t over;

static void on_signal(int signo)
{
    (void)signo;
    over = 1;
}

static bool take_key(struct topping *t, const char *name)
{
    for (int i = 0; i < TOP_KEYS; i++) {
        if (strcmp(top_key_names[i], name) == 0) {
            t->key = (enum top_key)i;
            return true;
        }
    }
    return false;
}

static bool handle(int option, const char *arg, void *context)
{
    struct topping *t = context;

    switch (option) {
    case 'b':
        t->batch = true;
        return true;
    case 'n':
        return parse_count(arg, 1, &t->looks);
    case 'd':
        return parse_seconds(arg, &t->delay) && t->delay >= 0.1;
    case 'o':
        return take_key(t, arg);
    default:
        if (t->nr_sources == SOURCES_MAX || *arg != '/') {
            return false;
        }
        t->sources[t->nr_sources++] = (struct source){.path = arg};
        return true;
    }
}

/* Looks at all daemons. Returns how many have answered. */
static size_t look(struct topping *t, struct top_view *view)
{
    size_t nr = 0;

    for (size_t i = 0; i < t->nr_sources; i++) {
        struct source *s = &t->sources[i];
        char *text = scrape(s->path);

        s->err = text == NULL ? errno : 0;
        s->odd = text != NULL && !top_add(view, text);
        nr += text != NULL;
        free(text);
    }
    return nr;
}

/* What there is to say of a daemon that has not answered, or not as it should; else NULL. The
 * caller frees. */
static char *complaint(const struct source *s)
{
    char *said = NULL;

    if (s->odd) {
        if (asprintf(&said, "%s: some lines are no figures", s->path) < 0) {
            return NULL;
        }
    } else if (s->unit != NULL && s->err == ECONNREFUSED) {
        if (asprintf(&said, "%s: %s does not run; to start it: systemctl start %s", s->path,
                     s->unit, s->unit) < 0) {
            return NULL;
        }
    } else if (s->err == ECONNREFUSED) {
        if (asprintf(&said, "%s: its daemon does not run", s->path) < 0) {
            return NULL;
        }
    } else if (s->section != NULL && s->err == ENOENT) {
        if (asprintf(&said,
                     "%s: nobody tells figures there; set `metrics = %s` in [%s] of "
                     "/etc/duet/duet.conf, then: systemctl %s %s",
                     s->path, s->path, s->section, s->order, s->unit) < 0) {
            return NULL;
        }
    } else if (s->err != 0 && asprintf(&said, "%s: %s", s->path, strerror(s->err)) < 0) {
        return NULL;
    }
    return said;
}

static void print_complaints(const struct topping *t, FILE *out)
{
    for (size_t i = 0; i < t->nr_sources; i++) {
        char *said = complaint(&t->sources[i]);

        if (said != NULL) {
            text_print(out, said);
            fputc('\n', out);
        }
        free(said);
    }
}

/* A number in at most six columns. */
static void put_number(char cell[CELL_MAX], double n)
{
    static const char units[] = "kMGTPE";
    int unit = -1;

    while (n >= 10000 && units[unit + 1] != '\0') {
        n /= 1000;
        unit++;
    }
    if (unit < 0) {
        snprintf(cell, CELL_MAX, n < 10 && n != (double)(long)n ? "%.1f" : "%.0f", n);
    } else {
        snprintf(cell, CELL_MAX, "%.0f%c", n, units[unit]);
    }
}

static const char *state_of(const struct top_device *d)
{
    if (d->total[TOP_CONNECTED] == 0) {
        return "off";
    }
    return d->total[TOP_UP] != 0 ? "up" : "stuck";
}

static void print_device(const struct top_device *d)
{
    char cells[N_COLUMNS][CELL_MAX] = {{'\0'}};
    char *name = text_escaped(d->domain, strlen(d->domain));
    char *device = text_escaped(d->device, strlen(d->device));

    put_number(cells[0], d->rate[TOP_OPERATIONS]);
    put_number(cells[1], d->rate[TOP_TO_GUEST]);
    put_number(cells[2], d->rate[TOP_FROM_GUEST]);
    put_number(cells[3], d->rate[TOP_ERRORS]);
    put_number(cells[4], d->total[TOP_QUEUED]);
    snprintf(cells[5], CELL_MAX, "%.2f", d->latency_ms);
    put_number(cells[6], d->total[TOP_RESTARTS]);
    printf("%5u %-*.*s %-14.32s %-5s %7s %7s %7s %6s %5s %8s %8s\n", d->domid, NAME_WIDTH,
           NAME_WIDTH, name, device, state_of(d), cells[0], cells[1], cells[2], cells[3], cells[4],
           cells[5], cells[6]);
    free(device);
    free(name);
}

/* At most so many devices. */
static void print_table(const struct topping *t, const struct top_view *view, size_t rows)
{
    printf("%5s %-*s %-14s %-5s %7s %7s %7s %6s %5s %8s %8s\n", "DOMID", NAME_WIDTH, "NAME",
           "DEVICE", "STATE", "OPS/s", "TO/s", "FROM/s", "ERR/s", "QUEUE", "LAT ms", "RESTARTS");
    for (size_t i = 0; i < view->nr && i < rows; i++) {
        print_device(&view->devices[i]);
    }
    if (view->nr > rows) {
        printf("... and %zu more\n", view->nr - rows);
    }
    print_complaints(t, stdout);
}

static cJSON *json_figures(const double figures[TOP_FIGURES])
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddNumberToObject(json, "operations", figures[TOP_OPERATIONS]);
    cJSON_AddNumberToObject(json, "to_guest_bytes", figures[TOP_TO_GUEST]);
    cJSON_AddNumberToObject(json, "from_guest_bytes", figures[TOP_FROM_GUEST]);
    cJSON_AddNumberToObject(json, "errors", figures[TOP_ERRORS]);
    return json;
}

static cJSON *json_device(const struct top_device *d)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddNumberToObject(json, "domid", d->domid);
    json_add_text(json, "domain", d->domain);
    json_add_text(json, "device", d->device);
    cJSON_AddStringToObject(json, "state", state_of(d));
    cJSON_AddNumberToObject(json, "queued", d->total[TOP_QUEUED]);
    cJSON_AddNumberToObject(json, "latency_ms", d->latency_ms);
    cJSON_AddNumberToObject(json, "restarts", d->total[TOP_RESTARTS]);
    cJSON_AddItemToObject(json, "total", json_figures(d->total));
    cJSON_AddItemToObject(json, "per_second", json_figures(d->rate));
    return json;
}

/* One look as one line. */
static void print_json(const struct topping *t, const struct top_view *view)
{
    cJSON *all = cJSON_CreateObject(), *devices = cJSON_CreateArray();
    cJSON *problems = cJSON_CreateArray();

    for (size_t i = 0; i < view->nr; i++) {
        cJSON_AddItemToArray(devices, json_device(&view->devices[i]));
    }
    for (size_t i = 0; i < t->nr_sources; i++) {
        char *said = complaint(&t->sources[i]);

        if (said != NULL) {
            cJSON_AddItemToArray(problems, cJSON_CreateString(said));
        }
        free(said);
    }
    cJSON_AddItemToObject(all, "devices", devices);
    cJSON_AddItemToObject(all, "problems", problems);
    json_print(all, false);
}

/* How many devices a screen has room for, with the line above and what is said below. */
static size_t screen_rows(const struct topping *t)
{
    struct winsize size = {.ws_row = 0};

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row < t->nr_sources + 5) {
        return 20;
    }
    return size.ws_row - t->nr_sources - 4;
}

static void show(const struct topping *t, const struct top_view *view)
{
    if (t->json) {
        print_json(t, view);
        return;
    }
    if (!t->batch) {
        printf("\033[H\033[Jxenbus top: by %s; s: by another figure, q: ends\n\n",
               top_key_names[t->key]);
    }
    print_table(t, view, t->batch ? view->nr : screen_rows(t));
    if (t->batch) {
        putchar('\n');
    }
    fflush(stdout);
}

static void take_keystroke(struct topping *t)
{
    char c;

    if (read(STDIN_FILENO, &c, 1) != 1 || c == 'q') {
        over = 1;
    } else if (c == 's') {
        t->key = (t->key + 1) % TOP_KEYS;
    }
}

/* Waits until it is time for the next look. What somebody types sorts what there is, and makes no
 * look: rates over moments mean nothing. */
static void pause_for(struct topping *t, struct top_view *shown, double seconds)
{
    const long long deadline = deadline_after(seconds);
    struct pollfd keys = {.fd = t->batch ? -1 : STDIN_FILENO, .events = POLLIN};
    long long left;

    while (over == 0 && (left = deadline - now_ms()) > 0) {
        if (poll(&keys, 1, (int)left) <= 0) {
            continue;
        }
        take_keystroke(t);
        if (over == 0) {
            top_sort(shown, t->key);
            show(t, shown);
        }
    }
}

static int watch(const struct command *self, struct topping *t)
{
    struct top_view before = {.devices = NULL}, view = {.devices = NULL};
    long long at = now_ms();
    long looks = 0;

    if (look(t, &before) == 0) {
        print_complaints(t, stderr);
        top_free(&before);
        return command_failed(self, "no daemon tells figures");
    }
    while (over == 0 && (t->looks == 0 || looks < t->looks)) {
        long long now;

        pause_for(t, &before, t->delay);
        if (over != 0) {
            break;
        }
        look(t, &view); /* of a daemon that is started anew, nothing for a while */
        now = now_ms();
        top_compare(&view, &before, (double)(now - at) / 1000);
        top_sort(&view, t->key);
        show(t, &view);
        top_free(&before);
        before = view;
        view = (struct top_view){.devices = NULL};
        at = now;
        looks++;
    }
    top_free(&view);
    top_free(&before);
    return EXIT_FOUND;
}

/* The terminal gives each key at once, and does not show it, until it is given back. */
static void take_terminal(struct topping *t)
{
    struct termios raw;

    t->batch = t->batch || t->json || isatty(STDOUT_FILENO) == 0 ||
               tcgetattr(STDIN_FILENO, &t->terminal) < 0;
    if (t->batch) {
        return;
    }
    raw = t->terminal;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct topping t = {.delay = 3};
    const struct sigaction action = {.sa_handler = on_signal};
    int status = command_options(self, argc, argv, &t.json, handle, &t);

    if (status >= 0) {
        return status;
    }
    if (t.nr_sources == 0) {
        memcpy(t.sources, usual, sizeof(usual));
        t.nr_sources = sizeof(usual) / sizeof(usual[0]);
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    take_terminal(&t);
    status = watch(self, &t);
    if (!t.batch) {
        tcsetattr(STDIN_FILENO, TCSANOW, &t.terminal);
    }
    return status;
}

static const struct option longs[] = {
    {"batch", no_argument, NULL, 'b'},        {"looks", required_argument, NULL, 'n'},
    {"delay", required_argument, NULL, 'd'},  {"sort", required_argument, NULL, 'o'},
    {"socket", required_argument, NULL, 's'}, COMMON_OPTIONS,
};

const struct command cmd_top = {
    .name = "top",
    .summary = "Shows what each device does right now, by the figures of Duet's daemons",
    .synopsis = "[-bj] [-n LOOKS] [-d SECONDS] [-o KEY] [-s SOCKET]...",
    .options = "  -b, --batch         a table for each look, and nothing to type\n"
               "  -n, --looks LOOKS   end after so many\n"
               "  -d, --delay SECONDS time from one look to the next (default 3)\n"
               "  -o, --sort KEY      domain (default), device, ops, to, from, errors, queue,\n"
               "                      latency or restarts\n"
               "  -s, --socket SOCKET where a daemon tells its figures (default: block.metrics,\n"
               "                      net.metrics and console.metrics in /run/duet)\n",
    .shorts = "bn:d:o:s:" COMMON_SHORTS,
    .longs = longs,
    .run = run,
};
