/*
 * duet-netd: options, signals and the life of the process around the supervisor (supervisor.h).
 * Runs in the foreground and reports readiness to the service manager. On SIGTERM or SIGINT the
 * workers finish what they took from their rings; store and taps are left as they are, so that the
 * next duet-netd goes on with the same guests. SIGUSR1 puts statistics into the log. No locks; a
 * guest's suspend is not seen here.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "log.h"
#include "loop.h"
#include "notify.h"
#include "supervisor.h"
#include "wire.h"

#define EXIT_USAGE 2

static void usage(FILE *out)
{
    fputs(
        "Usage: duet-netd [OPTION]...\n"
        "Serves the network devices (vif) of Xen guests: each is a tap, vifD.N, of this domain.\n"
        "\n"
        "  -l, --log-level LEVEL  error, warning, notice, info (default) or debug\n"
        "  -q, --max-queues N     queues that a guest may use, 1 to 8 (default 8)\n"
        "  -t, --stall SECONDS    the link is down for a guest that takes no packets for so long\n"
        "                         (default 60)\n"
        "  -u, --uid-base UID     a worker runs as UID plus its guest's domain id\n"
        "                         (default 0x70000000)\n"
        "  -w, --worker PATH      program that serves one device\n"
        "                         (default " DUET_NET_WORKER ")\n"
        "  -h, --help             show this and exit\n"
        "  -V, --version          show the version and exit\n"
        "\n"
        "Exit status: 0 after SIGTERM or SIGINT, 1 when it cannot go on, 2 for wrong usage.\n",
        out);
}

/* Reads a number from `min` to `max`, or says what is wrong. */
static bool take_number(const char *option, unsigned long min, unsigned long max, unsigned int *out)
{
    char *end;
    unsigned long n;

    errno = 0;
    n = strtoul(optarg, &end, 0);
    if (errno != 0 || end == optarg || *end != '\0' || n < min || n > max) {
        fprintf(stderr, "duet-netd: --%s %s: not a number from %lu to %lu\n", option, optarg, min,
                max);
        return false;
    }
    *out = (unsigned int)n;
    return true;
}

static bool take_level(void)
{
    int level = log_level_by_name(optarg);

    if (level < 0) {
        fprintf(stderr, "duet-netd: --log-level %s: there is no such level\n", optarg);
        return false;
    }
    log_set_level(level);
    return true;
}

/* Returns -1 to go on, or the exit status. */
static int parse_options(int argc, char **argv, struct supervisor *sup)
{
    static const struct option options[] = {
        {"log-level", required_argument, NULL, 'l'}, {"max-queues", required_argument, NULL, 'q'},
        {"stall", required_argument, NULL, 't'},     {"uid-base", required_argument, NULL, 'u'},
        {"worker", required_argument, NULL, 'w'},    {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},         {NULL, 0, NULL, 0}};
    bool ok = true;
    int c;

    while (ok && (c = getopt_long(argc, argv, "l:q:t:u:w:hV", options, NULL)) != -1) {
        switch (c) {
        case 'l':
            ok = take_level();
            break;
        case 'q':
            ok = take_number("max-queues", 1, WIRE_MAX_QUEUES, &sup->max_queues);
            break;
        case 't':
            ok = take_number("stall", 1, 86400, &sup->stall_seconds);
            break;
        case 'u': /* room for every domain id above it, and never root */
            ok = take_number("uid-base", 1, 0xfffe0000, &sup->uid_base);
            break;
        case 'w':
            sup->worker_path = optarg;
            break;
        case 'h':
            usage(stdout);
            return 0;
        case 'V':
            puts("duet-netd " DUET_VERSION);
            return 0;
        default:
            ok = false;
            usage(stderr);
            break;
        }
    }
    if (ok && optind != argc) {
        usage(stderr);
        ok = false;
    }
    return ok ? -1 : EXIT_USAGE;
}

static void on_terminate(void *arg, int signo)
{
    log_msg(LOG_INFO, NULL, "%s: the workers finish; the interfaces stay", strsignal(signo));
    notify_stopping();
    supervisor_stop(arg);
}

static void on_usr1(void *arg, int signo)
{
    (void)signo;
    supervisor_count(arg);
}

/* The empty directory that becomes a worker's file system. */
static bool make_empty_directory(void)
{
    static const char *const dirs[] = {"/run/duet", "/run/duet/empty"};

    for (unsigned int i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        if (mkdir(dirs[i], i == 0 ? 0755 : 0555) < 0 && errno != EEXIST) {
            log_msg(LOG_ERR, NULL, "%s: cannot be created: %s", dirs[i], strerror(errno));
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    struct supervisor sup = {.worker_path = DUET_NET_WORKER,
                             .tap_prefix = "vif",
                             .uid_base = 0x70000000U,
                             .max_queues = WIRE_MAX_QUEUES,
                             .stall_seconds = 60};
    int status = parse_options(argc, argv, &sup);

    if (status >= 0) {
        return status;
    }
    status = 1;
    sup.loop = loop_new();
    if (sup.loop == NULL || loop_signal(sup.loop, SIGUSR1, on_usr1, &sup) != 0 ||
        loop_signal(sup.loop, SIGTERM, on_terminate, &sup) != 0 ||
        loop_signal(sup.loop, SIGINT, on_terminate, &sup) != 0) {
        log_msg(LOG_ERR, NULL, "no event loop: %s", strerror(errno));
        return status;
    }
    if (make_empty_directory() && supervisor_start(&sup) == 0) {
        notify_ready(sup.loop);
        status = loop_run(sup.loop);
    }
    supervisor_free(&sup);
    loop_free(sup.loop);
    return status;
}
