/*
 * What is told of consoles: see cons_metrics.h.
 */
#include "cons_metrics.h"

#include <stdio.h>
#include <stdlib.h>

#include "daemon.h"
#include "session.h"

static const struct metric metrics[] = {
    {.name = "duet_console_up",
     .help = "Whether the console is served, and what is counted of it can be true.",
     .kind = METRIC_GAUGE,
     .series = {{"", METRIC_UP}}},
    {.name = "duet_console_connected",
     .help = "Whether the worker has the guest's ring.",
     .kind = METRIC_GAUGE,
     .series = {{"", METRIC_CONNECTED}}},
    {.name = "duet_console_bytes_total",
     .help = "Bytes that the guest printed (output) and was given (input).",
     .kind = METRIC_COUNTER,
     .series = {{"direction=\"output\"", CONS_FIGURE_OUTPUT},
                {"direction=\"input\"", CONS_FIGURE_INPUT}}},
    {.name = "duet_console_lost_bytes_total",
     .help = "Bytes that could not be written to the log, or that a reader who had stopped missed.",
     .kind = METRIC_COUNTER,
     .series = {{"by=\"log\"", CONS_FIGURE_LOST_LOG}, {"by=\"reader\"", CONS_FIGURE_LOST_READER}}},
    {.name = "duet_console_rate_limited_total",
     .help = "Times that its rate held the guest's output back.",
     .kind = METRIC_COUNTER,
     .series = {{"", CONS_FIGURE_HELD_BACK}}},
    {.name = "duet_console_attached",
     .help = "Whether somebody reads the console's terminal.",
     .kind = METRIC_GAUGE,
     .most = 1,
     .series = {{"", CONS_FIGURE_ATTACHED}}},
    {.name = "duet_console_sessions",
     .help = "Readers and writers of the console at the daemon's socket.",
     .kind = METRIC_GAUGE,
     .most = CONS_SESSIONS_OF_EACH,
     .series = {{"", CONS_FIGURE_SESSIONS}}},
};

const struct metric_table cons_metrics = {.metrics = metrics,
                                          .nr = sizeof(metrics) / sizeof(metrics[0])};

/* A console beyond the seats is served, and nobody counts what it does. */
static bool is_counted(const struct cons_console *console)
{
    return console->seat < CONS_LEDGER_SEATS;
}

static void fill_row(struct cons_console *console, struct metric_row *row)
{
    struct figures now;

    figures_read(&console->figures, &console->host->ledger.bounds, &now);
    *row = (struct metric_row){
        .domid = (int)console->domid,
        .domain = console->name,
        .value = {[METRIC_CONNECTED] = console->served ? 1 : 0,
                  [METRIC_UP] = console->served && !console->figures.lies ? 1 : 0}};
    snprintf(row->device, sizeof(row->device), "%s/0", CONS_WIRE_CLASS);
    metric_put(row, &now);
}

char *cons_metrics_text(void *arg, unsigned long *len)
{
    struct cons_daemon *daemon = arg;
    struct cons_console *console, *next;
    struct metric_row *rows = calloc(HASH_COUNT(daemon->consoles) + 1UL, sizeof(*rows));
    unsigned int nr = 0;
    char *text;

    if (rows == NULL) {
        return NULL;
    }
    HASH_ITER (hh, daemon->consoles, console, next) {
        if (is_counted(console)) {
            fill_row(console, &rows[nr++]);
        }
    }
    text = metrics_text(&cons_metrics, rows, nr, "duet-consoled", daemon->began_s, len);
    free(rows);
    return text;
}
