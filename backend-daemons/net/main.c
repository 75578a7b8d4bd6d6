/*
 * duet-netd: its options; the rest of its life is the supervisor's (lib/supervisor.h). Runs in the
 * foreground and reports readiness to the service manager. The taps stay when it ends, so that the
 * next duet-netd goes on with the same guests. SIGUSR1 puts statistics into the log. No locks; a
 * guest's suspend is not seen here.
 */
#include <getopt.h>
#include <stdio.h>

#include "device.h"
#include "options.h"

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

/* Returns -1 to go on, or the exit status. */
static int parse_options(int argc, char **argv, struct netd *d)
{
    static const struct option options[] = {
        {"log-level", required_argument, NULL, 'l'}, {"max-queues", required_argument, NULL, 'q'},
        {"stall", required_argument, NULL, 't'},     {"uid-base", required_argument, NULL, 'u'},
        {"worker", required_argument, NULL, 'w'},    {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},         {NULL, 0, NULL, 0}};
    uint64_t n = 0;
    bool ok = true;
    int c;

    while (ok && (c = getopt_long(argc, argv, "l:q:t:u:w:hV", options, NULL)) != -1) {
        switch (c) {
        case 'l':
            ok = options_log_level(optarg);
            break;
        case 'q':
            ok = options_number("max-queues", optarg, 1, NET_WIRE_MAX_QUEUES, &n);
            d->max_queues = (unsigned int)n;
            break;
        case 't':
            ok = options_number("stall", optarg, 1, 86400, &n);
            d->stall_seconds = (unsigned int)n;
            break;
        case 'u':
            ok = options_uid_base(optarg, &d->sup.uid_base);
            break;
        case 'w':
            d->sup.worker_path = optarg;
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
    return ok ? -1 : OPTIONS_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct netd d = {
        .sup = {.ops = &netd_ops, .worker_path = DUET_NET_WORKER, .uid_base = 0x70000000U},
        .tap_prefix = "vif",
        .max_queues = NET_WIRE_MAX_QUEUES,
        .stall_seconds = 60};
    int status = parse_options(argc, argv, &d);

    return status >= 0 ? status : supervisor_run(&d.sup);
}
