/*
 * duet-consoled: options, and the order of start.
 *
 * Theory of operation. (1) Options. (2) As root: signals, the store, Xen's devices, inotify, the
 * log directory. (3) The user and all capabilities are given up. (4) The domains there are get
 * their consoles, which starts xenstore's reader thread. (5) The system-call filter, before the
 * loop runs and with it the first byte of a guest is read. (6) The loop, until SIGTERM, or until
 * xenstored or a device fails: then the service manager starts the daemon again, and guests do not
 * notice.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "daemon.h"
#include "notify.h"
#include "privileges.h"

#define EXIT_USAGE 2
#define KIB        1024ULL

struct options {
    const char *log_dir;
    const char *user;
    uint64_t log_size;
    unsigned int log_keep;
    struct stream_settings settings;
    bool foreign;
    bool filter;
};

static const char help_text[] =
    "Usage: duet-consoled [OPTION]...\n"
    "Serves the primary consoles of all Xen guests: a terminal for xl console, and a log each.\n"
    "Runs in the foreground.\n\n"
    "  -d, --log-dir DIR    directory of the logs NAME.log (default /var/log/duet/console)\n"
    "  -s, --log-size KIB   rotate a log of this size; 0: never (default 16384)\n"
    "  -k, --log-keep N     how many rotated logs to keep, 0 to 999 (default 3)\n"
    "  -b, --history KIB    output to show to who attaches, 1 to 65536 (default 64)\n"
    "  -r, --rate KIB       what a guest may print per second; 0: no limit (default 1024)\n"
    "  -u, --user NAME      become this user after start\n"
    "      --foreign-map    map console pages that a guest's toolstack did not grant\n"
    "      --no-filter      without the system-call filter, for debuggers\n"
    "  -l, --log-level L    error, warning, notice, info or debug (default info)\n"
    "  -h, --help           print this\n"
    "  -V, --version        print the version\n\n"
    "SIGHUP opens the logs anew. See duet-consoled(8).\n";

static bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
    char *end;

    errno = 0;
    *value = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *value >= min &&
           *value <= max;
}

/* Applies one option; returns whether its argument is acceptable. */
static bool apply(struct options *options, int option, const char *arg)
{
    uint64_t value = 0;
    bool good;
    int level;

    switch (option) {
    case 'd':
        options->log_dir = arg;
        return *arg == '/';
    case 'u':
        options->user = arg;
        return *arg != '\0';
    case 's':
        good = parse_number(arg, 0, 1ULL << 40, &value);
        options->log_size = value * KIB;
        return good;
    case 'k':
        good = parse_number(arg, 0, 999, &value);
        options->log_keep = (unsigned int)value;
        return good;
    case 'b':
        good = parse_number(arg, 1, 65536, &value);
        options->settings.history = value * KIB;
        return good;
    case 'r':
        good = parse_number(arg, 0, 1ULL << 30, &value);
        options->settings.rate = value * KIB;
        return good;
    case 'l':
        level = log_level_by_name(arg);
        if (level >= 0) {
            log_set_level(level);
        }
        return level >= 0;
    case 'F':
        options->foreign = true;
        return true;
    default:
        options->filter = false;
        return true;
    }
}

/* Reads the command line. Returns -1 to go on, or the exit status. */
static int parse_options(struct options *options, int argc, char **argv)
{
    static const struct option longs[] = {
        {"log-dir", required_argument, NULL, 'd'},   {"log-size", required_argument, NULL, 's'},
        {"log-keep", required_argument, NULL, 'k'},  {"history", required_argument, NULL, 'b'},
        {"rate", required_argument, NULL, 'r'},      {"user", required_argument, NULL, 'u'},
        {"foreign-map", no_argument, NULL, 'F'},     {"no-filter", no_argument, NULL, 'N'},
        {"log-level", required_argument, NULL, 'l'}, {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},         {0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "d:s:k:b:r:u:l:hV", longs, NULL)) != -1) {
        if (option == 'h') {
            fputs(help_text, stdout);
            return EXIT_SUCCESS;
        }
        if (option == 'V') {
            puts("duet-consoled (Duet) " DUET_VERSION);
            return EXIT_SUCCESS;
        }
        if (option == '?' || !apply(options, option, optarg)) {
            if (option != '?') {
                fprintf(stderr, "duet-consoled: '%s' is not a value of this option\n", optarg);
            }
            fputs("Try 'duet-consoled --help'.\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (optind == argc) {
        return -1;
    }
    fprintf(stderr, "duet-consoled: unexpected argument '%s'\nTry 'duet-consoled --help'.\n",
            argv[optind]);
    return EXIT_USAGE;
}

/* Two descriptors per console, and one per log. */
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
    struct shared *shared = arg;

    log_msg(LOG_NOTICE, NULL, "stopping: %s", strsignal(signo));
    notify_stopping();
    loop_stop(shared->loop, EXIT_SUCCESS);
}

static void on_hangup(void *arg, int signo)
{
    struct shared *shared = arg;

    (void)signo;
    log_dir_reopen(&shared->logs);
    log_msg(LOG_INFO, NULL, "opened the logs anew");
}

static void on_store_lost(void *arg)
{
    struct shared *shared = arg;

    log_msg(LOG_CRIT, NULL, "lost the connection to xenstored");
    loop_stop(shared->loop, EXIT_FAILURE);
}

static void on_ready(void *arg)
{
    struct shared *shared = arg;

    notify_ready(shared->loop);
    log_msg(LOG_NOTICE, NULL, "ready");
}

/* libxl takes the console domain from this key when it builds a guest; without it, domain 0. */
static void announce(struct shared *shared)
{
    int err = store_write(shared->store, STORE_NO_TX, "/tool/xenconsoled", "domid", "%u",
                          store_self_domid(shared->store));

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

/* What has to be opened as root. Returns 0 or an exit status. */
static int open_all(struct shared *shared, const struct options *options)
{
    const char *what;
    int err = loop_signal(shared->loop, SIGTERM, on_stop, shared);

    signal(SIGUSR1, SIG_IGN); /* mean nothing here, and must not end it */
    signal(SIGUSR2, SIG_IGN);
    if (err == 0) {
        err = loop_signal(shared->loop, SIGINT, on_stop, shared);
    }
    if (err == 0) {
        err = loop_signal(shared->loop, SIGHUP, on_hangup, shared);
    }
    if (err != 0) {
        return failed("cannot handle signals", err);
    }
    shared->store = store_open(shared->loop, on_store_lost, shared);
    if (shared->store == NULL) {
        return failed("cannot connect to xenstored", -errno);
    }
    err = xenports_open(&shared->xen, shared->loop, options->foreign, &what);
    if (err != 0) {
        return failed(what, err);
    }
    err = readers_open(&shared->readers, shared->loop);
    if (err != 0) {
        return failed("inotify", err);
    }
    err = log_dir_open(&shared->logs, options->log_dir, options->log_size, options->log_keep);
    if (err != 0) {
        return failed(options->log_dir, err);
    }
    return 0;
}

static int give_up_privileges(const struct shared *shared, const struct options *options)
{
    const char *stage;
    int err = privileges_drop(options->user, shared->logs.fd, &stage);

    return err != 0 ? failed(stage, err) : 0;
}

static int run(struct shared *shared, const struct options *options)
{
    struct daemon daemon;
    int status = open_all(shared, options), err;

    if (status == 0) {
        status = give_up_privileges(shared, options);
    }
    if (status != 0) {
        return status;
    }
    announce(shared);
    err = daemon_start(&daemon, shared, on_ready, shared);
    if (err == 0 && options->filter) {
        err = privileges_filter();
    }
    if (err != 0) {
        status = failed("cannot start", err);
    } else {
        status = loop_run(shared->loop);
    }
    daemon_stop(&daemon);
    return status < 0 ? failed("event loop", status) : status;
}

int main(int argc, char **argv)
{
    struct options options = {
        .log_dir = "/var/log/duet/console",
        .log_size = 16384 * KIB,
        .log_keep = 3,
        .settings = {.history = 64 * KIB, .rate = 1024 * KIB},
        .filter = true,
    };
    struct shared shared = {.logs = {.fd = -1}, .readers = {.fd = -1}};
    int status = parse_options(&options, argc, argv);

    if (status >= 0) {
        return status;
    }
    raise_descriptor_limit();
    shared.settings = options.settings;
    shared.loop = loop_new();
    if (shared.loop == NULL) {
        return failed("cannot create an event loop", -errno);
    }
    status = run(&shared, &options);
    log_dir_close(&shared.logs);
    readers_close(&shared.readers, shared.loop);
    if (shared.xen.loop != NULL) {
        xenports_close(&shared.xen);
    }
    store_close(shared.store);
    loop_free(shared.loop);
    return status;
}
