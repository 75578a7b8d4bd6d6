/*
 * duet-blockd: options, logging and the life of the process around the supervisor (supervisor.h).
 * Runs in the foreground, reports readiness to the service manager, and on SIGTERM or SIGINT lets
 * every worker finish what it took from its ring before it exits; the store is left as it is, so
 * that the next duet-blockd goes on with the same guests. No locks; a guest's suspend is not seen
 * here.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "loop.h"
#include "notify.h"
#include "supervisor.h"

#define DEFAULT_UID_BASE       0x70000000U
#define DEFAULT_HOTPLUG_SCRIPT "/etc/xen/scripts/block-duet"
#define EXIT_USAGE             2

static void usage(FILE *out)
{
    fputs("Usage: duet-blockd [OPTION]...\n"
          "Serves the block devices (vbd, vbd3) of Xen guests from raw files and block devices.\n"
          "\n"
          "  -l, --log-level LEVEL     error, warning, notice, info (default) or debug\n"
          "  -s, --hotplug-script PATH script that tells xl our verdict about an image\n"
          "                            (default " DEFAULT_HOTPLUG_SCRIPT ")\n"
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

static int parse_uid(const char *s, uid_t *out)
{
    unsigned long n;
    char *end;

    errno = 0;
    n = strtoul(s, &end, 0);
    /* room for every domain id above it, and never root */
    if (errno != 0 || *end != '\0' || end == s || n == 0 || n > 0xfffe0000UL) {
        return -EINVAL;
    }
    *out = (uid_t)n;
    return 0;
}

/* Returns -1 to go on, or the exit status. */
static int parse_options(int argc, char **argv, struct supervisor *sup)
{
    static const struct option options[] = {{"log-level", required_argument, NULL, 'l'},
                                            {"hotplug-script", required_argument, NULL, 's'},
                                            {"uid-base", required_argument, NULL, 'u'},
                                            {"worker", required_argument, NULL, 'w'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},
                                            {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "l:s:u:w:hV", options, NULL)) != -1) {
        switch (c) {
        case 'l':
            if (log_level_by_name(optarg) < 0) {
                fprintf(stderr, "duet-blockd: --log-level %s: no such level\n", optarg);
                return EXIT_USAGE;
            }
            log_set_level(log_level_by_name(optarg));
            break;
        case 's':
            sup->hotplug_script = optarg;
            break;
        case 'u':
            if (parse_uid(optarg, &sup->uid_base) != 0) {
                fprintf(stderr, "duet-blockd: --uid-base %s: not a user id from 1 to 0xfffe0000\n",
                        optarg);
                return EXIT_USAGE;
            }
            break;
        case 'w':
            sup->worker_path = optarg;
            break;
        case 'h':
            usage(stdout);
            return 0;
        case 'V':
            puts("duet-blockd " DUET_VERSION);
            return 0;
        default:
            usage(stderr);
            return EXIT_USAGE;
        }
    }
    if (optind != argc) {
        usage(stderr);
        return EXIT_USAGE;
    }
    return -1;
}

/* The empty directory that becomes a worker's file system. */
static int make_empty_directory(void)
{
    if ((mkdir("/run/duet", 0755) < 0 && errno != EEXIST) ||
        (mkdir("/run/duet/empty", 0555) < 0 && errno != EEXIST)) {
        log_msg(LOG_ERR, NULL, "cannot create /run/duet/empty: %s", strerror(errno));
        return -errno;
    }
    return 0;
}

static void on_terminate(void *arg, int signo)
{
    log_msg(LOG_INFO, NULL, "%s: letting the workers finish", strsignal(signo));
    notify_stopping();
    supervisor_stop(arg);
}

int main(int argc, char **argv)
{
    struct supervisor sup = {.worker_path = DUET_BLOCK_WORKER,
                             .hotplug_script = DEFAULT_HOTPLUG_SCRIPT,
                             .uid_base = DEFAULT_UID_BASE};
    int status = parse_options(argc, argv, &sup);

    if (status >= 0) {
        return status;
    }
    status = 1;
    sup.loop = loop_new();
    if (sup.loop == NULL || loop_signal(sup.loop, SIGTERM, on_terminate, &sup) != 0 ||
        loop_signal(sup.loop, SIGINT, on_terminate, &sup) != 0) {
        log_msg(LOG_ERR, NULL, "cannot set up the event loop: %s", strerror(errno));
        return status;
    }
    if (make_empty_directory() == 0 && supervisor_start(&sup) == 0) {
        notify_ready(sup.loop);
        status = loop_run(sup.loop);
    }
    supervisor_free(&sup);
    loop_free(sup.loop);
    return status;
}
