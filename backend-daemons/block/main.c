/*
 * duet-blockd: its options; the rest of its life is the supervisor's (lib/supervisor.h). Runs in
 * the foreground and reports readiness to the service manager. No locks; a guest's suspend is not
 * seen here.
 */
#include <getopt.h>
#include <stdio.h>

#include "device.h"
#include "options.h"

static void usage(FILE *out)
{
    fputs("Usage: duet-blockd [OPTION]...\n"
          "Serves the block devices (vbd, vbd3) of Xen guests from raw files and block devices.\n"
          "\n"
          "  -l, --log-level LEVEL     error, warning, notice, info (default) or debug\n"
          "  -o, --opener PATH         program that opens and locks one image\n"
          "                            (default " DUET_BLOCK_OPENER ")\n"
          "  -s, --hotplug-script PATH script that tells xl our verdict about an image\n"
          "                            (default /etc/xen/scripts/block-duet)\n"
          "  -u, --uid-base UID        a worker runs as UID plus its guest's domain id\n"
          "                            (default 0x70000000)\n"
          "  -w, --worker PATH         program that serves one device\n"
          "                            (default " DUET_BLOCK_WORKER ")\n"
          "  -h, --help                show this and exit\n"
          "  -V, --version             show the version and exit\n"
          "\n"
          "Exit status: 0 after SIGTERM or SIGINT, 1 when it cannot go on, 2 for wrong usage.\n",
          out);
}

/* Returns -1 to go on, or the exit status. */
static int parse_options(int argc, char **argv, struct blockd *d)
{
    static const struct option options[] = {{"log-level", required_argument, NULL, 'l'},
                                            {"hotplug-script", required_argument, NULL, 's'},
                                            {"opener", required_argument, NULL, 'o'},
                                            {"uid-base", required_argument, NULL, 'u'},
                                            {"worker", required_argument, NULL, 'w'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},
                                            {NULL, 0, NULL, 0}};
    bool ok = true;
    int c;

    while (ok && (c = getopt_long(argc, argv, "l:o:s:u:w:hV", options, NULL)) != -1) {
        switch (c) {
        case 'l':
            ok = options_log_level(optarg);
            break;
        case 'o':
            d->images.opener_path = optarg;
            break;
        case 's':
            d->hotplug_script = optarg;
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
            puts("duet-blockd " DUET_VERSION);
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
    struct blockd d = {
        .sup = {.ops = &blockd_ops, .worker_path = DUET_BLOCK_WORKER, .uid_base = 0x70000000U},
        .images = {.opener_path = DUET_BLOCK_OPENER, .patience_ms = 8000},
        .qdisks = {.patience_ms = 10000},
        .hotplug_script = "/etc/xen/scripts/block-duet"};
    int status = parse_options(argc, argv, &d);

    return status >= 0 ? status : supervisor_run(&d.sup);
}
