/*
 * duet-consoled, the supervisor's half of the console daemon: options, and the order of start.
 *
 *   1. Options.
 *   2. As root: signals, Xen's devices, inotify, the directory of the logs, which is locked
 *      against another daemon of this kind, and the socket for duet-console.
 *   3. The worker is started and gets those. It cages itself, and has the guests' bytes from
 *      then on.
 *   4. The store is opened, and root is given up.
 *   5. The domains that are there get their consoles, which starts xenstore's reader thread.
 *   6. The system-call filter.
 *   7. The loop, until SIGTERM, or until xenstored or the worker is lost. Then the service manager
 *      starts both halves again, and guests do not notice.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include "cage_supervisor.h"
#include "cons_metrics.h"
#include "cons_talk.h"
#include "daemon.h"
#include "entrance.h"
#include "journal.h"
#include "logfile.h"
#include "metrics_http.h"
#include "notify.h"
#include "options.h"
#include "single.h"

#define KIB UINT64_C(1024)

struct consoled {
    struct cons_host host;
    struct cons_daemon daemon;
    struct cons_wire_config config;
    const char *user;
    const char *worker;
    const char *log_dir;
    bool foreign;
    bool no_filter;
    int logs;
    const char *metrics_at;
    struct metrics_server metrics;
    const char *socket;
    bool no_socket;
    struct cons_entrance entrance;
};

/* The worker has two descriptors per console and one per log, and inherits the limit. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void on_stop(void *arg, int signo)
{
    struct consoled *d = arg;

    log_msg(LOG_NOTICE, NULL, "stopping: %s", strsignal(signo));
    journal_end();
    notify_stopping();
    cons_link_stop(&d->host.link);
}

static void on_count(void *arg, int signo)
{
    struct consoled *d = arg;
    const struct cons_order order = {.kind = CONS_COUNT};

    (void)signo;
    cons_link_send(&d->host.link, &order, -1);
}

/* By now it may neither open a socket nor remove one. */
static void keep_metrics(const struct consoled *d)
{
    if (strcmp(d->metrics_at != NULL ? d->metrics_at : "", d->metrics.address) != 0) {
        log_msg(LOG_WARNING, NULL,
                "metrics: another address, or none, holds once this daemon is started again");
    }
}

/* Logs that somebody has renamed, and the configuration. */
static void on_reload(void *arg, int signo)
{
    struct consoled *d = arg;
    const struct cons_order reopen = {.kind = CONS_REOPEN};
    struct cons_order limit = {.kind = CONS_LIMIT};

    log_msg(LOG_NOTICE, NULL, "%s: reads %s", strsignal(signo), d->host.conf.path);
    conf_reload(&d->host.conf);
    keep_metrics(d);
    limit.limits = d->config.limits;
    cons_link_send(&d->host.link, &limit, -1);
    cons_daemon_reconfigure(&d->daemon);
    cons_link_send(&d->host.link, &reopen, -1);
}

static void on_store_lost(void *arg)
{
    struct consoled *d = arg;

    log_msg(LOG_CRIT, NULL, "lost the connection to xenstored");
    loop_stop(d->host.loop, EXIT_FAILURE);
}

static void on_ready(void *arg)
{
    struct consoled *d = arg;

    cons_entrance_begin(&d->entrance, d->host.loop, &d->host.link);
    notify_ready(d->host.loop);
    log_msg(LOG_NOTICE, NULL, "ready");
}

static void on_report(void *arg, const struct cons_report *report)
{
    struct consoled *d = arg;

    if (report->report.kind == WIRE_FAILED) {
        log_msg(LOG_CRIT, NULL, "the worker cannot start: %s: %s", report->report.text,
                strerror(report->report.err));
    } else {
        cons_daemon_report(&d->daemon, report);
    }
}

static void on_worker_end(void *arg, bool orderly)
{
    struct consoled *d = arg;

    loop_stop(d->host.loop, orderly ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* libxl takes the console domain from this key when it builds a guest; without it, domain 0. */
static void announce(struct cons_host *host)
{
    int err = store_write(host->store, STORE_NO_TX, "/tool/xenconsoled", "domid", "%u",
                          store_self_domid(host->store));

    if (err != 0) {
        log_msg(LOG_WARNING, NULL,
                "/tool/xenconsoled/domid: cannot write: %s; set it from dom0 to the domain of this "
                "daemon",
                strerror(-err));
    }
}

static int failed(const char *what, int err)
{
    log_msg(LOG_CRIT, NULL, "%s: %s", what, strerror(-err));
    return EXIT_FAILURE;
}

static int take_signals(struct consoled *d)
{
    static const struct loop_signal_rule signals[] = {
        {SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGHUP, on_reload}, {SIGUSR1, on_count}};

    signal(SIGUSR2, SIG_IGN);
    return loop_signals(d->host.loop, signals, sizeof(signals) / sizeof(signals[0]), d);
}

/* What has to be opened as root. Returns 0 or an exit status. */
static int open_all(struct consoled *d)
{
    const char *what;
    char why[256];
    int err = take_signals(d);

    if (err != 0) {
        return failed("cannot handle signals", err);
    }
    err = cons_doors_open(&d->host.doors, &what);
    if (err != 0) {
        return failed(what, err);
    }
    d->host.readers = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (d->host.readers < 0) {
        return failed("inotify", -errno);
    }
    d->logs = cons_logs_make(d->config.log_dir);
    if (d->logs < 0) {
        return failed(d->config.log_dir, d->logs);
    }
    err = single_claim_folder(d->logs, "duet-consoled", why, sizeof(why));
    if (err != 0) {
        log_msg(LOG_CRIT, NULL, "%s", why);
        return EXIT_FAILURE;
    }
    metric_bounds(&cons_metrics, &d->host.ledger.bounds);
    err = cons_ledger_open(&d->host.ledger);
    if (err != 0) {
        return failed("memory for what is counted", err);
    }
    metrics_move(&d->metrics, d->host.loop, d->metrics_at, cons_metrics_text, &d->daemon);
    if (!d->no_socket) {
        cons_entrance_open(&d->entrance, d->socket);
    }
    return 0;
}

static int start_worker(struct consoled *d, uid_t uid, gid_t gid)
{
    const int fds[CONS_NR_FDS] = {
        [CONS_FD_EVENTS] = d->host.doors.events, [CONS_FD_GRANTS] = d->host.doors.grants,
        [CONS_FD_READERS] = d->host.readers,     [CONS_FD_LOGS] = d->logs,
        [CONS_FD_LEDGER] = d->host.ledger.fd,
    };
    int err;

    d->config.head = (struct wire_head){
        .magic = CONS_WIRE_MAGIC, .class = CONS_WIRE_CLASS, .uid = uid, .log_level = log_level()};
    d->config.gid = gid;
    d->host.link.on_report = on_report;
    d->host.link.on_end = on_worker_end;
    d->host.link.arg = d;
    err = cons_link_start(&d->host.link, d->host.loop, d->worker, &d->config, fds);
    return err != 0 ? failed(d->worker, err) : 0;
}

/* Steps 3 and 4. Returns 0 or an exit status. */
static int part_ways(struct consoled *d)
{
    const char *stage;
    uid_t uid = 0;
    gid_t gid = 0;
    int err = cons_find_user(d->user, &uid, &gid), status;

    if (err != 0) {
        return failed(d->user, err);
    }
    err = cons_give_logs(d->logs, uid, gid);
    if (err != 0) {
        return failed("giving the log directory to the user", err);
    }
    status = start_worker(d, uid, gid);
    if (status != 0) {
        return status;
    }
    d->host.store = store_open(d->host.loop, on_store_lost, d);
    if (d->host.store == NULL) {
        return failed("cannot connect to xenstored", -errno);
    }
    err = cons_office_drop(uid, gid, &stage);
    return err != 0 ? failed(stage, err) : 0;
}

/* Steps 5 to 7. Returns the exit status. */
static int serve(struct consoled *d)
{
    const struct cons_office office = {
        .events = d->host.doors.events,
        .grants = d->host.doors.grants,
        .readers = d->host.readers,
        .worker = d->host.link.child.socket.fd,
        .entrance = d->entrance.fd,
        .metrics = d->metrics.address[0] != '\0',
    };
    int err, status;

    announce(&d->host);
    err = cons_daemon_start(&d->daemon, &d->host, on_ready, d);
    if (err == 0 && !d->no_filter) {
        err = cons_office_filter(&office);
    }
    if (err != 0) {
        return failed("cannot start", err);
    }
    status = loop_run(d->host.loop);
    return status < 0 ? failed("event loop", status) : status;
}

static int run(struct consoled *d)
{
    int status = open_all(d);

    if (status == 0) {
        status = part_ways(d);
    }
    if (status == 0) {
        status = serve(d);
    }
    cons_entrance_close(&d->entrance);
    cons_daemon_stop(&d->daemon);
    cons_link_close(&d->host.link);
    /* The session with xenstored ends with the process: to close it would mean to cancel
     * libxenstore's thread, for which the C library loads code, and the filter rules that out. */
    return status;
}

/* What is kept of what guests print. */
static void add_log_options(struct consoled *d, struct options *options)
{
    const struct option_rule rules[] = {
        {.letter = 't',
         .name = "log-times",
         .argument = "0|1",
         .help = "1: each line of a log begins with the time, in UTC\n(default 0)",
         .type = OPTION_NUMBER,
         .to = &d->config.limits.stamps,
         .max = 1,
         .scope = OPTION_OF_CLASS},
        {.letter = 'd',
         .name = "log-dir",
         .argument = "DIR",
         .help = "directory of the logs NAME.log\n(default " CONS_LOG_DIR ")",
         .type = OPTION_DIR,
         .to = &d->log_dir,
         .max = sizeof(d->config.log_dir)},
        {.letter = 's',
         .name = "log-size",
         .argument = "KIB",
         .help = "rotate a log of this size; 0: never (default 16384)",
         .type = OPTION_KIB,
         .to = &d->config.limits.size,
         .max = UINT64_C(1) << 40,
         .scope = OPTION_OF_CLASS},
        {.letter = 'k',
         .name = "log-keep",
         .argument = "N",
         .help = "how many rotated logs to keep, 0 to 999 (default 3)",
         .type = OPTION_NUMBER,
         .to = &d->config.limits.keep,
         .max = 999,
         .scope = OPTION_OF_CLASS},
    };

    options_add(options, rules, sizeof(rules) / sizeof(rules[0]));
}

/* What the command line sets. Returns -1 to go on, or the exit status. */
static int parse_options(struct consoled *d, int argc, char **argv)
{
    const struct option_rule rules[] = {
        {.letter = 'b',
         .name = "history",
         .argument = "KIB",
         .help = "output to show to who attaches, 1 to 65536 (default 64)",
         .type = OPTION_KIB,
         .to = &d->host.terms.history,
         .min = 1,
         .max = 65536,
         .scope = OPTION_OF_GUEST},
        {.letter = 'r',
         .name = "rate",
         .argument = "KIB",
         .help = "what a guest may print per second; 0: no limit\n(default 1024)",
         .type = OPTION_KIB,
         .to = &d->host.terms.rate,
         .max = UINT64_C(1) << 30,
         .scope = OPTION_OF_GUEST},
        {.name = "socket",
         .argument = "PATH",
         .help = "where duet-console finds this daemon\n(default " CONS_TALK_SOCKET ")",
         .type = OPTION_DIR,
         .to = &d->socket,
         .max = sizeof(((struct sockaddr_un *)NULL)->sun_path)},
        {.name = "no-socket",
         .help = "be found by xl console only",
         .type = OPTION_SWITCH,
         .to = &d->no_socket},
        {.letter = 'u',
         .name = "user",
         .argument = "NAME",
         .help = "become this user after start (default duet-console)",
         .to = &d->user},
        {.letter = 'w',
         .name = "worker",
         .argument = "PATH",
         .help = "program that has the guests' bytes\n(default " DUET_CONSOLE_WORKER ")",
         .to = &d->worker},
        {.name = "foreign-map",
         .help = "map console pages that a guest's toolstack did not\ngrant",
         .type = OPTION_SWITCH,
         .to = &d->foreign},
        {.name = "no-filter",
         .help = "without the supervisor's system-call filter, for\ndebuggers",
         .type = OPTION_SWITCH,
         .to = &d->no_filter},
        OPTION_METRICS(d->metrics_at),
        OPTION_LOG_LEVEL,
    };
    struct options *options = &d->host.conf.options;
    int status;

    options->program = "duet-consoled";
    options->what =
        "Serves the primary consoles of all Xen guests: a terminal for xl console, and a "
        "log each.\n"
        "SIGHUP opens the logs anew and reads the configuration, SIGUSR1 writes "
        "statistics to the\njournal.";
    d->host.conf.class = "console";
    add_log_options(d, options);
    options_add(options, rules, sizeof(rules) / sizeof(rules[0]));
    status = conf_start(&d->host.conf, argc, argv);
    d->config.foreign = d->foreign;
    snprintf(d->config.log_dir, sizeof(d->config.log_dir), "%s", d->log_dir);
    return status;
}

int main(int argc, char **argv)
{
    static struct consoled d = {
        .host = {.doors = {-1, -1},
                 .readers = -1,
                 .terms = {.history = 64 * KIB, .rate = 1024 * KIB}},
        .config = {.limits = {.size = 16384 * KIB, .keep = 3}},
        .user = "duet-console",
        .worker = DUET_CONSOLE_WORKER,
        .log_dir = CONS_LOG_DIR,
        .logs = -1,
        .socket = CONS_TALK_SOCKET,
        .entrance = {.fd = -1},
    };
    int status = parse_options(&d, argc, argv);

    if (status >= 0) {
        return status;
    }
    log_prepare(); /* asks what standard error is, which the filter refuses later */
    journal_begin(JOURNAL_SOCKET);
    raise_descriptor_limit();
    d.host.loop = loop_new();
    if (d.host.loop == NULL) {
        return failed("cannot create an event loop", -errno);
    }
    status = run(&d);
    cons_doors_close(&d.host.doors);
    loop_free(d.host.loop);
    return status;
}
