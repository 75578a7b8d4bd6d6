/*
 * duet-console list: the consoles of all domains, and who is attached.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "domain.h"
#include "talk.h"
#include "text.h"

static bool handle(int option, const char *arg, void *context)
{
    (void)option;
    *(const char **)context = arg;
    return *arg == '/';
}

static const char *served_text(const struct domain *domain, const struct cons_talk_state *state)
{
    if (state->served == 0) {
        return domain_has_xenconsoled(domain) ? "no" : "QEMU";
    }
    return state->connected != 0 ? "yes" : "waits";
}

static void print_row(const struct domain *domain, const struct cons_talk_state *state)
{
    char writer[16] = "-";

    if (state->writer != 0) {
        snprintf(writer, sizeof(writer), "%" PRIu32, state->writer);
    }
    printf("%5u %-6s %-10s %8" PRIu32 " %8s %12" PRIu64 " %9" PRIu64 " ", domain->domid,
           served_text(domain, state), state->terminal != 0 ? "attached" : "free", state->readers,
           writer, state->output, state->input);
    text_print(stdout, domain->name);
    putchar('\n');
}

static void add_json(cJSON *all, const struct domain *domain, const struct cons_talk_state *state)
{
    cJSON *item = cJSON_CreateObject();

    cJSON_AddNumberToObject(item, "domid", domain->domid);
    json_add_text(item, "name", domain->name);
    cJSON_AddStringToObject(item, "served", served_text(domain, state));
    json_add_text(item, "tty", domain->tty[0] != '\0' ? domain->tty : NULL);
    cJSON_AddBoolToObject(item, "terminal", state->terminal != 0);
    cJSON_AddNumberToObject(item, "readers", state->readers);
    if (state->writer != 0) {
        cJSON_AddNumberToObject(item, "writer", state->writer);
    } else {
        cJSON_AddNullToObject(item, "writer");
    }
    cJSON_AddNumberToObject(item, "output", (double)state->output);
    cJSON_AddNumberToObject(item, "input", (double)state->input);
    cJSON_AddNumberToObject(item, "missed", (double)state->missed);
    json_add_text(item, "log", state->log[0] != '\0' ? state->log : NULL);
    cJSON_AddItemToArray(all, item);
}

/* Asks the daemon about a domain. Returns 0 or -errno. */
static int look(int fd, unsigned int domid, struct cons_talk_state *state)
{
    union talk_message message = {.kind = 0};
    int err = talk_ask(fd, CONS_TALK_LOOK, domid, 0);

    if (err == 0) {
        err = talk_hear(fd, &message);
    }
    if (err < 0) {
        return err;
    }
    if (message.kind != CONS_TALK_STATE || message.state.domid != domid) {
        return -EPROTO;
    }
    *state = message.state;
    return 0;
}

/* A console. */
struct row {
    struct domain domain;
    struct cons_talk_state state;
};

struct rows {
    struct row *row;
    unsigned int nr;
};

/* Asks about all domains but our own, whose console is not ours to serve. Returns 0 or -errno, with
 * what was learnt until then. */
static int collect(struct xs_handle *xs, int fd, struct rows *rows)
{
    unsigned int nr = 0;
    char **domids = xs_directory(xs, XBT_NULL, "/local/domain", &nr);
    int err = 0;

    if (domids == NULL) {
        return errno != 0 ? -errno : -EIO;
    }
    rows->row = must_alloc((nr + 1) * sizeof(*rows->row));
    for (unsigned int i = 0; i < nr && err == 0; i++) {
        const unsigned int domid = (unsigned int)strtoul(domids[i], NULL, 10);
        struct row *row = &rows->row[rows->nr];

        if (!domain_read(xs, domid, &row->domain)) {
            continue;
        }
        err = look(fd, domid, &row->state);
        if (err == 0 && (row->state.served != 0 || (domid != 0 && row->domain.type[0] != '\0'))) {
            rows->nr++;
        } else {
            domain_free(&row->domain);
        }
    }
    free(domids);
    return err;
}

static void print_rows(const struct rows *rows)
{
    puts("DOMID SERVED TERMINAL    READERS   WRITER      PRINTED     TYPED NAME");
    for (unsigned int i = 0; i < rows->nr; i++) {
        print_row(&rows->row[i].domain, &rows->row[i].state);
    }
}

static void print_json(const struct rows *rows)
{
    cJSON *all = cJSON_CreateArray();

    for (unsigned int i = 0; i < rows->nr; i++) {
        add_json(all, &rows->row[i].domain, &rows->row[i].state);
    }
    json_print(all, true);
}

/* Prints when it has all: the daemon does not wait for a pager. */
static int run(const struct command *self, int argc, char **argv)
{
    const char *socket = CONS_TALK_SOCKET;
    bool json = false;
    int status = command_options(self, argc, argv, &json, handle, &socket), fd;
    struct rows rows = {.nr = 0};
    struct xs_handle *xs;

    if (status >= 0) {
        return status;
    }
    fd = talk_open(self, socket);
    xs = fd < 0 ? NULL : store_open(self);
    if (xs == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return EXIT_FAILED;
    }
    status = collect(xs, fd, &rows);
    xs_close(xs);
    close(fd);
    if (json) {
        print_json(&rows);
    } else {
        print_rows(&rows);
    }
    while (rows.nr > 0) {
        domain_free(&rows.row[--rows.nr].domain);
    }
    free(rows.row);
    return status == 0 ? EXIT_FOUND
                       : command_failed(self, "the list is not complete: %s", strerror(-status));
}

static const struct option longs[] = {
    SOCKET_OPTION,
    COMMON_OPTIONS,
};

const struct command cmd_list = {
    .name = "list",
    .summary = "Lists consoles, who has them open, and who writes",
    .synopsis = "[-j] [-s PATH]",
    .options = SOCKET_HELP,
    .shorts = "s:" COMMON_SHORTS,
    .longs = longs,
    .max_args = 0,
    .run = run,
};
