/*
 * duet-crash: looks into the core of a domain that runs our kernel, or into the live domain. Finds
 * the kernel that belongs to it and hands over to the command; those are in cmd_*.c and analyze.c.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash.h"
#include "gdb.h"
#include "live_pause.h"
#include "live_xen.h"
#include "text.h"

static const struct command *const commands[] = {
    &cmd_analyze, &cmd_bt, &cmd_threads, &cmd_locks, &cmd_log,     &cmd_vcpus,   &cmd_info,
    &cmd_print,   &cmd_x,  &cmd_vtop,    &cmd_pte,   &cmd_pfn2mfn, &cmd_mfn2pfn,
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* Where a kernel with symbols may be installed. */
static const char *const kernels[] = {DUET_CRASH_KERNELS "/duet-guest.debug",
                                      DUET_CRASH_KERNELS "/duet-guest-debug.debug"};

#define N_KERNELS (sizeof(kernels) / sizeof(kernels[0]))

struct options {
    const char *kernel, *core;
    const char *live; /* the domain to read instead of a core; NULL: none */
    const char *gdb;  /* where to serve it; NULL: not */
    bool json, pause;
};

static void help(FILE *out)
{
    fputs(
        "Usage: duet-crash [-j] [-k KERNEL] CORE [COMMAND [ARGUMENT]...]\n"
        "       duet-crash [-j] [-k KERNEL] [-p] --live DOMAIN [COMMAND [ARGUMENT]...]\n"
        "       duet-crash --gdb[=stdio|PORT|SOCKET] {CORE | [-p] --live DOMAIN} [KERNEL]\n"
        "Tells from a core of a domain (xl dump-core), or from the live domain, what its kernel,\n"
        "which is ours, was doing. Nothing in a live domain is changed, and it runs on.\n"
        "Without a command: analyze.\n\n",
        out);
    for (size_t i = 0; i < N_COMMANDS; i++) {
        fprintf(out, "  %-8s %-26s %s\n", commands[i]->name, commands[i]->synopsis,
                commands[i]->summary);
    }
    fprintf(
        out,
        "\n  -k, --kernel FILE   the kernel that made the core, with symbols\n"
        "                      (else %s, if it agrees)\n"
        "  -l, --live DOMAIN   read the domain of that name or number\n"
        "  -p, --pause         have it paused meanwhile\n"
        "  -j, --json          print JSON; addresses are strings\n"
        "  -g, --gdb[=WHERE]   serve one gdb: on standard input and output (stdio, the default),\n"
        "                      a TCP port of the loopback address, or a socket's path; as in\n"
        "                      (gdb) target remote | duet-crash --gdb CORE\n"
        "  -h, --help          print this\n"
        "  -V, --version       print the version\n"
        "ADDRESS is a number, SYMBOL or SYMBOL+0xN. Exit status: 0 done, 1 failed, 2 wrong "
        "usage.\n",
        kernels[0]);
}

/* Prints a complaint, with whatever came from outside escaped. */
static int complain(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int complain(int status, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    fflush(stdout);
    fputs("duet-crash: ", stderr);
    text_print(stderr, text);
    fputc('\n', stderr);
    return status;
}

/* Opens @path if it is the core's kernel. */
static int try_kernel(struct session *s, const char *path, char *why, unsigned long why_size)
{
    struct image *image = NULL;
    int err = image_open(path, &image, why, why_size);

    if (err == 0) {
        err = image_agrees(image, &s->space, why, why_size);
    }
    if (err != 0) {
        image_close(image);
        return err;
    }
    s->image = image;
    s->kernel = path;
    s->unwinder = (struct unwinder){.image = image, .space = &s->space};
    return 0;
}

/* Without one that was named, and @needed or not, it may be another kernel's domain. */
static int find_kernel(struct session *s, const struct options *o, bool needed)
{
    char why[256] = "";

    if (o->kernel != NULL) {
        return try_kernel(s, o->kernel, why, sizeof(why)) == 0
                   ? CRASH_DONE
                   : complain(CRASH_FAILED, "%s: %s", o->kernel, why);
    }
    for (size_t i = 0; i < N_KERNELS; i++) {
        if (try_kernel(s, kernels[i], why, sizeof(why)) == 0) {
            return CRASH_DONE;
        }
    }
    return !needed ? CRASH_DONE
                   : complain(CRASH_FAILED,
                              "no kernel with symbols agrees with the %s (-k FILE names one); "
                              "the last tried, %s: %s",
                              core_noun(s->core), kernels[N_KERNELS - 1], why);
}

static int run(struct session *s, const struct command *command, int argc, char **argv, bool json)
{
    struct excuse why = {""};
    cJSON *answer = cJSON_CreateObject();
    int status = command->run(s, argc, argv, answer, &why);

    if (status != CRASH_DONE) {
        cJSON_Delete(answer);
        return complain(status, "%s: %s", command->name, why.text);
    }
    if (json) {
        json_print(answer, true);
    } else {
        command->show(answer);
        cJSON_Delete(answer);
    }
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        return complain(CRASH_FAILED, "the output could not be written whole: %s", strerror(errno));
    }
    return CRASH_DONE;
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

static int serve(struct session *s, const char *where)
{
    struct excuse why = {""};

    if (s->image == NULL) {
        (void)complain(CRASH_DONE,
                       "--gdb: no kernel of ours agrees with the %s: gdb gets vCPUs and "
                       "memory, and needs to be told of the kernel's file",
                       core_noun(s->core));
    }
    int status = gdb_serve(s, where, &why);

    return status == CRASH_DONE ? status : complain(status, "--gdb: %s", why.text);
}

/* Opens what @command needs of a core, and has it run; NULL: serves GDB. Closes the core. */
static int with_core(const struct options *o, struct core *core, const struct command *command,
                     int argc, char **argv)
{
    struct session s = {.core = core};
    int status = CRASH_DONE;

    if (space_of_kernel(s.core, &s.space) != 0) {
        status = complain(CRASH_FAILED, "%s: no vCPU's page tables are in it",
                          o->live != NULL ? o->live : o->core);
    }
    if (status == CRASH_DONE) {
        status = find_kernel(&s, o, command != NULL && command->needs_kernel);
    }
    if (status == CRASH_DONE) {
        status = command == NULL ? serve(&s, o->gdb) : run(&s, command, argc, argv, o->json);
    }
    image_close(s.image);
    core_close(s.core);
    return status;
}

static int with_file(const struct options *o, const struct command *command, int argc, char **argv)
{
    struct core *core = NULL;
    char why[256] = "";

    return core_open(o->core, &core, why, sizeof(why)) == 0
               ? with_core(o, core, command, argc, argv)
               : complain(CRASH_FAILED, "%s: %s", o->core, why);
}

/* The pause, if there is one, ends after the last look. */
static int with_domain(const struct options *o, const struct command *command, int argc,
                       char **argv)
{
    struct live_pause pause;
    struct core *core = NULL;
    unsigned int domid;
    char why[256] = "";
    int err = live_xen_find(o->live, &domid, why, sizeof(why));

    if (err == 0) {
        err = live_xen_check(domid, why, sizeof(why));
    }
    if (err == 0 && o->pause) {
        err = live_pause_begin(&pause, domid, live_xen_pause);
        snprintf(why, sizeof(why), "it cannot be paused: %s", strerror(-err));
    }
    if (err != 0) {
        return complain(CRASH_FAILED, "%s: %s", o->live, why);
    }
    int status = live_xen_open(domid, &core, why, sizeof(why)) == 0
                     ? with_core(o, core, command, argc, argv)
                     : complain(CRASH_FAILED, "%s: %s", o->live, why);
    if (o->pause && live_pause_end(&pause) != 0) {
        status = complain(CRASH_FAILED, "%s: it may still be paused: see 'xl list', 'xl unpause'",
                          o->live);
    }
    return status;
}

static int with_target(const struct options *o, const struct command *command, int argc,
                       char **argv)
{
    return o->live != NULL ? with_domain(o, command, argc, argv)
                           : with_file(o, command, argc, argv);
}

/* Returns -1 to go on, else the exit status. */
static int read_options(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        {"kernel", required_argument, NULL, 'k'}, {"gdb", optional_argument, NULL, 'g'},
        {"live", required_argument, NULL, 'l'},   {"pause", no_argument, NULL, 'p'},
        {"json", no_argument, NULL, 'j'},         {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},      {0}};
    int option;

    while ((option = getopt_long(argc, argv, "k:g::l:pjhV", longs, NULL)) != -1) {
        switch (option) {
        case 'k':
            o->kernel = optarg;
            break;
        case 'g':
            o->gdb = optarg != NULL ? optarg : "stdio";
            break;
        case 'l':
            o->live = optarg;
            break;
        case 'p':
            o->pause = true;
            break;
        case 'j':
            o->json = true;
            break;
        case 'h':
            help(stdout);
            return CRASH_DONE;
        case 'V':
            puts("duet-crash (Duet) " DUET_VERSION);
            return CRASH_DONE;
        default:
            return CRASH_USAGE;
        }
    }
    return -1;
}

int main(int argc, char **argv)
{
    struct options o = {0};
    int status = read_options(argc, argv, &o);

    if (status >= 0) {
        return status;
    }
    if (o.pause && o.live == NULL) {
        return complain(CRASH_USAGE, "--pause is for --live DOMAIN");
    }
    if (optind == argc && o.live == NULL) {
        help(stderr);
        return CRASH_USAGE;
    }
    o.core = o.live == NULL ? argv[optind++] : NULL;
    if (o.gdb != NULL) {
        if (argc - optind > 1 || (optind < argc && o.kernel != NULL)) {
            return complain(CRASH_USAGE,
                            "usage: --gdb[=stdio|PORT|SOCKET] {CORE|--live DOMAIN} [KERNEL]");
        }
        o.kernel = optind < argc ? argv[optind] : o.kernel;
        return with_target(&o, NULL, 0, NULL);
    }
    const struct command *command = optind < argc ? find(argv[optind]) : &cmd_analyze;
    if (command == NULL) {
        return complain(CRASH_USAGE, "no command '%s'; 'duet-crash --help' lists them",
                        argv[optind]);
    }
    optind += optind < argc;
    if (argc - optind < command->min_args || argc - optind > command->max_args) {
        return complain(CRASH_USAGE, "usage: %s %s", command->name, command->synopsis);
    }
    return with_target(&o, command, argc - optind, argv + optind);
}
