/*
 * duet-sim: runs schedules, the kept ones first, and says how many a minute.
 *
 * usage: duet-sim [--seed N] [--schedules N] [--seconds N] [--seeds FILE] [--spare-nothing]
 * [--limits]
 * [--trace]
 *
 * --spare-nothing also draws what is known not to hold (README.md).
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "daemon.h"
#include "schedule.h"
#include "sim.h"

int __real_clock_gettime(clockid_t id, struct timespec *ts);
ssize_t __real_write(int fd, const void *bytes, size_t len);
FILE *__real_fopen(const char *path, const char *mode);

static uint64_t seed_at_hand;

static double seconds(void)
{
    struct timespec ts;

    __real_clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* The code under test has crashed, which is a finding as well. */
static void on_crash(int signo)
{
    char text[96];
    int n = snprintf(text, sizeof(text), "seed %llu: signal %d\n", (unsigned long long)seed_at_hand,
                     signo);

    fflush(stdout);
    __real_write(STDERR_FILENO, text, (size_t)n);
    _exit(1);
}

static void catch_crashes(void)
{
    static char stack[65536];
    const stack_t own = {.ss_sp = stack, .ss_size = sizeof(stack)};
    const struct sigaction action = {.sa_handler = on_crash, .sa_flags = SA_ONSTACK};
    static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};

    sigaltstack(&own, NULL);
    for (unsigned int i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        sigaction(signals[i], &action, NULL);
    }
}

/* Returns whether nothing was found. With the trace's hash. */
static bool run(uint64_t seed, uint64_t *hash)
{
    const char *found;

    seed_at_hand = seed;
    found = sim_run(seed, schedule_run);
    *hash = sim_trace_hash();
    if (found != NULL) {
        fflush(stdout);
        fprintf(stderr, "seed %llu: %s\n", (unsigned long long)seed, found);
    }
    return found == NULL;
}

/* The kept ones: a number at the start of each line; what follows is for people. */
static bool run_file(const char *path)
{
    FILE *f = __real_fopen(path, "re");
    char line[256];
    bool good = true;
    unsigned int n = 0;
    uint64_t hash;

    if (f == NULL) {
        perror(path);
        exit(2);
    }
    while (fgets(line, sizeof(line), f) != NULL) {
        if (line[0] >= '0' && line[0] <= '9') {
            good = run(strtoull(line, NULL, 10), &hash) && good;
            n++;
        }
    }
    fclose(f);
    printf("%u kept schedules\n", n);
    return good;
}

static void show(uint64_t n, double took, uint64_t hash)
{
    const struct schedule_counts *c = &schedule_counts;

    printf("%llu schedules in %.1f s, %.0f a minute; %llu steps, %llu requests; killed: %llu "
           "workers, %llu daemons, %llu openers; %llu restarts, %llu saves, %llu detaches\n",
           (unsigned long long)n, took, (double)n * 60 / took, (unsigned long long)c->steps,
           (unsigned long long)c->requests, (unsigned long long)c->kills,
           (unsigned long long)c->daemon_kills, (unsigned long long)c->opener_kills,
           (unsigned long long)c->restarts, (unsigned long long)c->saves,
           (unsigned long long)c->detaches);
    printf("the last one's trace: %016llx\n", (unsigned long long)hash);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                            {"schedules", required_argument, NULL, 'n'},
                                            {"seconds", required_argument, NULL, 't'},
                                            {"seeds", required_argument, NULL, 'f'},
                                            {"spare-nothing", no_argument, NULL, 'a'},
                                            {"trace", no_argument, NULL, 'v'},
                                            {"level", required_argument, NULL, 'l'},
                                            {"limits", no_argument, NULL, 'm'},
                                            {NULL, 0, NULL, 0}};
    uint64_t seed = (uint64_t)time(NULL) * 1000000 + (uint64_t)getpid();
    uint64_t schedules = UINT64_MAX, n = 0, hash = 0, again;
    double limit = 0, begin;
    bool good = true;
    int c;

    log_set_level(-1);
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 's':
            seed = strtoull(optarg, NULL, 10);
            schedules = schedules == UINT64_MAX ? 1 : schedules;
            break;
        case 'n':
            schedules = strtoull(optarg, NULL, 10);
            break;
        case 't':
            limit = strtod(optarg, NULL);
            schedules = UINT64_MAX;
            break;
        case 'f':
            good = run_file(optarg) && good;
            break;
        case 'a':
            schedule_spares = false;
            break;
        case 'm':
            daemon_limits = true;
            break;
        case 'v':
            sim_tracing = true;
            log_set_level(LOG_DEBUG);
            break;
        default:
            fprintf(stderr, "usage: duet-sim [--seed N] [--schedules N] [--seconds N] [--seeds "
                            "FILE] [--spare-nothing] [--limits] [--trace]\n");
            return 2;
        }
    }
    catch_crashes();
    begin = seconds();
    for (; good && n < schedules && (limit == 0 || seconds() - begin < limit); n++) {
        good = run(seed + n, &hash);
        if (good && n % 1000 == 0 && !sim_tracing) { /* a seed runs the same way each time */
            good = run(seed + n, &again);
            if (good && again != hash) {
                fprintf(stderr, "seed %llu: runs another way the second time\n",
                        (unsigned long long)(seed + n));
                good = false;
            }
        }
    }
    show(n, seconds() - begin, hash);
    return good ? 0 : 1;
}
