/*
 * duet-consoled, the supervisor's half of the console daemon: options, and the order of start.
 *
 *   1. Options.
 *   2. As root: signals, Xen's devices, inotify, the directory of the logs.
 *   3. The worker is started and gets those. It cages itself, and has the guests' bytes from
 *      then on.
 *   4. The store is opened, and root is given up.
 *   5. The domains that are there get their consoles, which starts xenstore's reader thread.
 *   6. The system-call filter.
 *   7. The loop, until SIGTERM, or until xenstored or the worker is lost. Then the service manager
 *      starts both halves again, and guests do not notice.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cage_supervisor.h"
#include "daemon.h"
#include "logfile.h"
#include "notify.h"
#include "options.h"

#define KIB UINT64_C(1024)

struct consoled {
    struct cons_host host;
    struct cons_daemon daemon;
    struct cons_wire_config config;
    const char *user;
    const char *worker;
    bool filter;
    int logs;
};

static const char help_text[] =
    "Usage: duet-consoled [OPTION]...\n"
    "Serves the primary consoles of all Xen guests: a terminal for xl console, and a log each.\n"
    "Runs in the foreground.\n\n"
    "  -d, --log-dir DIR      directory of the logs NAME.log (default /var/log/duet/console)\n"
    "  -s, --log-size KIB     rotate a log of this size; 0: never (default 16384)\n"
    "  -k, --log-keep N       how many rotated logs to keep, 0 to 999 (default 3)\n"
    "  -b, --history KIB      output to show to who attaches, 1 to 65536 (default 64)\n"
    "  -r, --rate KIB         what a guest may print per second; 0: no limit (default 1024)\n"
    "  -u, --user NAME        become this user after start (default duet-console)\n"
    "  -w, --worker PATH      program that has the guests' bytes\n"
    "                         (default " DUET_CONSOLE_WORKER ")\n"
    "      --foreign-map      map console pages that a guest's toolstack did not grant\n"
    "      --no-filter        without the supervisor's system-call filter, for debuggers\n"
    "  -l, --log-level LEVEL  error, warning, notice, info (default) or debug\n"
    "  -h, --help             show this and exit\n"
    "  -V, --version          show the version and exit\n\n"
    "SIGHUP opens the logs anew, SIGUSR1 writes statistics to the journal. See duet-consoled(8).\n"
    "Exit status: 0 after SIGTERM or SIGINT, 1 when it cannot go on, 2 for wrong usage.\n";

/* A number of KiB as bytes. */
static bool kib_option(const char *option, const char *text, uint64_t min, uint64_t max,
                       uint64_t *bytes)
{
    uint64_t value = 0;
    bool ok = options_number(option, text, min, max, &value);

    *bytes = value * KIB;
    return ok;
}

static bool log_dir_option(struct consoled *d, const char *text)
{
    if (*text != '/' || strlen(text) >= sizeof(d->config.log_dir)) {
        fprintf(stderr, "%s: --log-dir %s: not an absolute path of less than %zu bytes\n",
                program_invocation_short_name, text, sizeof(d->config.log_dir));
        return false;
    }
    snprintf(d->config.log_dir, sizeof(d->config.log_dir), "%s", text);
    return true;
}

/* Applies one option. Returns false after a sentence on standard error. */
static bool apply(struct consoled *d, int option, const char *arg)
{
    uint64_t value = 0;
    bool ok;

    switch (option) {
    case 'd':
        return log_dir_option(d, arg);
    case 's':
        return kib_option("log-size", arg, 0, UINT64_C(1) << 40, &d->config.log_size);
    case 'k':
        ok = options_number("log-keep", arg, 0, 999, &value);
        d->config.log_keep = (uint32_t)value;
        return ok;
    case 'b':
        return kib_option("history", arg, 1, 65536, &d->config.history);
    case 'r':
        return kib_option("rate", arg, 0, UINT64_C(1) << 30, &d->config.rate);
    case 'u':
        d->user = arg;
        return true;
    case 'w':
        d->worker = arg;
        return true;
    case 'l':
        return options_log_level(arg);
    case 'F':
        d->config.foreign = 1;
        return true;
    case 'N':
        d->filter = false;
        return true;
    default: /* getopt_long() has said what is wrong */
        return false;
    }
}

/* Reads the command line. Returns -1 to go on, or the exit status. */
static int parse_options(struct consoled *d, int argc, char **argv)
{
    static const struct option longs[] = {
        {"log-dir", required_argument, NULL, 'd'},
        {"log-size", required_argument, NULL, 's'},
        {"log-keep", required_argument, NULL, 'k'},
        {"history", required_argument, NULL, 'b'},
        {"rate", required_argument, NULL, 'r'},
        {"user", required_argument, NULL, 'u'},
        {"worker", required_argument, NULL, 'w'},
        {"foreign-map", no_argument, NULL, 'F'},
        {"no-filter", no_argument, NULL, 'N'},
        {"log-level", required_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    bool ok = true;
    int option;

    while (ok && (option = getopt_long(argc, argv, "d:s:k:b:r:u:w:l:hV", longs, NULL)) != -1) {
        if (option == 'h') {
            fputs(help_text, stdout);
            return EXIT_SUCCESS;
        }
        if (option == 'V') {
            puts("duet-consoled " DUET_VERSION);
            return EXIT_SUCCESS;
        }
        ok = apply(d, option, optarg);
    }
    if (ok && optind != argc) {
        fprintf(stderr, "%s: unexpected argument '%s'\n", program_invocation_short_name,
                argv[optind]);
        ok = false;
    }
    if (!ok) {
        fputs("Try 'duet-consoled --help'.\n", stderr);
    }
    return ok ? -1 : OPTIONS_EXIT_USAGE;
}

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
    notify_stopping();
    cons_link_stop(&d->host.link);
}

/* SIGHUP and SIGUSR1 are orders for the worker. */
static void on_order(void *arg, int signo)
{
    struct consoled *d = arg;
    const struct cons_order order = {.kind = signo == SIGHUP ? CONS_REOPEN : CONS_COUNT};

    cons_link_send(&d->host.link, &order, -1);
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
    static const struct {
        int signo;
        loop_signal_fn *fn;
    } signals[] = {{SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGHUP, on_order}, {SIGUSR1, on_order}};
    int err = 0;

    signal(SIGUSR2, SIG_IGN);
    for (unsigned int i = 0; err == 0 && i < sizeof(signals) / sizeof(signals[0]); i++) {
        err = loop_signal(d->host.loop, signals[i].signo, signals[i].fn, d);
    }
    return err;
}

/* What has to be opened as root. Returns 0 or an exit status. */
static int open_all(struct consoled *d)
{
    const char *what;
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
    return d->logs < 0 ? failed(d->config.log_dir, d->logs) : 0;
}

static int start_worker(struct consoled *d, uid_t uid, gid_t gid)
{
    const int fds[CONS_NR_FDS] = {
        [CONS_FD_EVENTS] = d->host.doors.events,
        [CONS_FD_GRANTS] = d->host.doors.grants,
        [CONS_FD_READERS] = d->host.readers,
        [CONS_FD_LOGS] = d->logs,
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
    };
    int err, status;

    announce(&d->host);
    err = cons_daemon_start(&d->daemon, &d->host, on_ready, d);
    if (err == 0 && d->filter) {
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
    cons_daemon_stop(&d->daemon);
    cons_link_close(&d->host.link);
    /* The session with xenstored ends with the process: to close it would mean to cancel
     * libxenstore's thread, for which the C library loads code, and the filter rules that out. */
    return status;
}

int main(int argc, char **argv)
{
    static struct consoled d = {
        .host = {.doors = {-1, -1}, .readers = -1},
        .config = {.history = 64 * KIB,
                   .rate = 1024 * KIB,
                   .log_size = 16384 * KIB,
                   .log_keep = 3,
                   .log_dir = "/var/log/duet/console"},
        .user = "duet-console",
        .worker = DUET_CONSOLE_WORKER,
        .filter = true,
        .logs = -1,
    };
    int status = parse_options(&d, argc, argv);

    if (status >= 0) {
        return status;
    }
    log_prepare(); /* asks what standard error is, which the filter refuses later */
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
