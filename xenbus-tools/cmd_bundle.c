/*
 * xenbus bundle: everything that a report of a fault needs, in one file: the store, what the doctor
 * finds, the devices, what Xen, the kernel and the daemons said, versions and configuration.
 *
 * What is asked is the table below. Nothing here changes anything on the host. Secrets are left out
 * by their names (redact.h); disks' contents are not looked at, and what guests said on their
 * consoles comes only when it is asked for.
 */
#include "xenbus.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bundle.h"
#include "text.h"

/* Who has logs of consoles, and where. */
static const struct {
    const char *who, *folder;
} console_logs[] = {{"duet", "/var/log/duet/console"}, {"xen", "/var/log/xen/console"}};

#define ITEM_BYTES  ((size_t)8 << 20)
#define STORE_BYTES ((size_t)256 << 20)

static const struct bundle_item items[] = {
    {"store.json", .argv = {BUNDLE_SELF, "export", "--redact", "/"}, .most = STORE_BYTES},
    {"doctor.txt", .argv = {BUNDLE_SELF, "doctor"}},
    {"devices.txt", .argv = {BUNDLE_SELF, "devices"}},
    {"devices.json", .argv = {BUNDLE_SELF, "devices", "--json"}},
    {"graph.dot", .argv = {BUNDLE_SELF, "graph"}},
    {"top.json", .argv = {BUNDLE_SELF, "top", "--json", "--looks", "2", "--delay", "1"}},
    {"xl-list.txt", .argv = {"xl", "list", "-v"}, .optional = true},
    {"xl-info.txt", .argv = {"xl", "info", "-n"}, .optional = true},
    {"xl-vcpus.txt", .argv = {"xl", "vcpu-list"}, .optional = true},
    {"xl-dmesg.txt", .argv = {"xl", "dmesg"}, .optional = true},
    {"journal-duet.txt",
     .argv = {"journalctl", "--no-pager", "-q", "-b", "-n", "20000", "-o", "short-iso-precise",
              "-u", "duet-*", "-u", "xen*", "-u", "virtlogd*"},
     .optional = true},
    {"journal-kernel.txt",
     .argv = {"journalctl", "--no-pager", "-q", "-b", "-k", "-n", "10000", "-o", "short-monotonic"},
     .optional = true},
    {"units.txt", .argv = {"systemctl", "--no-pager", "-l", "-n", "0", "status", "duet-*", "xen*"},
     .optional = true},
    {"failed.txt", .argv = {"systemctl", "--no-pager", "--failed"}, .optional = true},
    {"packages.txt",
     .argv = {"dpkg-query", "-W", "duet-*", "xen*", "libxen*", "linux-image-*", "qemu-*"},
     .optional = true},
    {"xl-log.txt",
     .argv = {"sh", "-c", "tail -n 200 /var/log/xen/xl-*.log /var/log/xen/xen-hotplug.log"}},
    {"links.txt", .argv = {"ip", "-d", "-s", "link"}, .optional = true},
    {"bridges.txt", .argv = {"bridge", "-d", "link"}, .optional = true},
    {"loops.txt", .argv = {"losetup", "--list"}, .optional = true},
    {"disks.txt", .argv = {"lsblk", "-o", "NAME,MAJ:MIN,SIZE,RO,TYPE,FSTYPE,MOUNTPOINTS"},
     .optional = true},
    {"room.txt", .argv = {"df", "-h"}},
    {"processes.txt", .argv = {"ps", "axo", "pid,ppid,user,stat,wchan:24,etimes,rss,comm"}},
    {"kernel.txt", .argv = {"uname", "-a"}},
    {"modules.txt", .path = "/proc/modules"},
    {"cmdline.txt", .path = "/proc/cmdline"},
    {"meminfo.txt", .path = "/proc/meminfo"},
    {"interrupts.txt", .path = "/proc/interrupts"},
    {"os-release.txt", .argv = {"cat", "/etc/os-release"}, .optional = true},
    {"duet.conf", .path = "/etc/duet/duet.conf", .optional = true},
    {"xl.conf", .path = "/etc/xen/xl.conf", .optional = true},
};

struct bundling {
    const struct command *self;
    bool json, consoles, quiet;
    const char *file;
    double seconds;
};

static bool handle(int option, const char *arg, void *context)
{
    struct bundling *bundling = context;

    switch (option) {
    case 'o':
        bundling->file = arg;
        return *arg != '\0';
    case 't':
        return parse_seconds(arg, &bundling->seconds) && bundling->seconds > 0 &&
               bundling->seconds <= 3600;
    case 'q':
        bundling->quiet = true;
        return true;
    default:
        bundling->consoles = true;
        return true;
    }
}

static void progress(const struct bundling *bundling, const char *name)
{
    if (!bundling->quiet && isatty(STDERR_FILENO)) {
        fprintf(stderr, "xenbus bundle: %s\n", name);
    }
}

/* ---- consoles ---- */

enum { CONSOLE_NAME_MAX = 64, CONSOLES_MAX = 500 };

static int is_log(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* The end of each log there. */
static int add_logs(struct bundle *bundle, const char *who, const char *folder)
{
    struct dirent **logs = NULL;
    int err = 0, n = scandir(folder, &logs, is_log, alphasort);

    for (int i = 0; i < n; i++) {
        char *path = store_join(folder, logs[i]->d_name);
        char name[CONSOLE_NAME_MAX];
        const struct bundle_item item = {.name = name, .path = path, .optional = true};

        /* Numbered, since the worker of consoles, which guests may have taken over, chose the name.
         */
        snprintf(name, sizeof(name), "console-%s-%d.log", who, i);
        err = err != 0 || i >= CONSOLES_MAX ? err : bundle_add(bundle, &item);
        free(path);
        free(logs[i]);
    }
    free(logs);
    return err;
}

static int add_consoles(struct bundle *bundle)
{
    int err = 0;

    for (size_t i = 0; i < sizeof(console_logs) / sizeof(*console_logs) && err == 0; i++) {
        err = add_logs(bundle, console_logs[i].who, console_logs[i].folder);
    }
    return err;
}

/* ---- the whole ---- */

static int collect(const struct bundling *bundling, struct bundle *bundle)
{
    int err = 0;

    for (size_t i = 0; i < sizeof(items) / sizeof(*items) && err == 0; i++) {
        progress(bundling, items[i].name);
        err = bundle_add(bundle, &items[i]);
    }
    return err == 0 && bundling->consoles ? add_consoles(bundle) : err;
}

/* "duet-HOST-TIME". */
static void name_report(char *name, size_t size)
{
    struct utsname host = {.nodename = "host"};
    time_t now = time(NULL);
    struct tm tm;
    char when[32];

    uname(&host);
    gmtime_r(&now, &tm);
    strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
    snprintf(name, size, "duet-%.64s-%s", host.nodename, when);
}

static void tell(const struct bundling *bundling, const struct bundle *bundle, const char *file)
{
    const cJSON *item;

    if (bundling->json) {
        cJSON *all = cJSON_CreateObject();

        json_add_text(all, "file", file);
        cJSON_AddNumberToObject(all, "secrets_left_out", (double)bundle->left_out);
        cJSON_AddItemToObject(all, "contents", cJSON_Duplicate(bundle->items, true));
        json_print(all, true);
        return;
    }
    cJSON_ArrayForEach (item, bundle->items) {
        const cJSON *lacks = cJSON_GetObjectItem(item, "lacks");

        if (cJSON_IsString(lacks)) {
            fputs("xenbus bundle: ", stderr);
            text_print(stderr, cJSON_GetStringValue(cJSON_GetObjectItem(item, "file")));
            fputs(": ", stderr);
            text_print(stderr, lacks->valuestring);
            fputc('\n', stderr);
        }
    }
    text_print(stdout, file);
    printf(
        ": %d files, %lu secrets left out. Names of guests, addresses and paths are in it: look\n"
        "through it before you send it to anybody.\n",
        cJSON_GetArraySize(bundle->items), bundle->left_out);
}

/* Makes the report, and packs it into @fd. Returns an exit code. */
static int make(const struct bundling *bundling, struct bundle *bundle, int fd)
{
    char why[512];
    int err = collect(bundling, bundle);

    if (err != 0 && err != -EINTR) {
        return command_failed(bundling->self, "%s: %s", bundle->dir, strerror(-err));
    }
    if (err == 0 && bundle_pack(bundle, fd, why, sizeof(why)) == 0) {
        return EXIT_FOUND;
    }
    return command_failed(bundling->self, "%s", err == -EINTR ? "interrupted" : why);
}

/* From now on a signal that is to end us can be read here. Negative: it ends us at once, and what
 * is on the disk stays. */
static int catch_signals(void)
{
    sigset_t ends;

    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGHUP);
    sigaddset(&ends, SIGQUIT);
    return sigprocmask(SIG_BLOCK, &ends, NULL) == 0 ? signalfd(-1, &ends, SFD_CLOEXEC) : -1;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct bundling bundling = {.self = self, .seconds = 30};
    int status = command_options(self, argc, argv, &bundling.json, handle, &bundling);
    struct bundle bundle = {.most = ITEM_BYTES};
    char name[128], file[sizeof(name) + 8];
    int fd, err;

    if (status >= 0) {
        return status;
    }
    name_report(name, sizeof(name));
    snprintf(file, sizeof(file), "%s.tar.gz", name);
    bundling.file = bundling.file != NULL ? bundling.file : file;
    fd = open(bundling.file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return command_failed(self, "%s: %s", bundling.file, strerror(errno));
    }
    bundle.seconds = bundling.seconds;
    bundle.stop = catch_signals();
    err = bundle_begin(&bundle, name);
    status = err != 0 ? command_failed(self, "/var/tmp: %s", strerror(-err))
                      : make(&bundling, &bundle, fd);
    if (fsync(fd) != 0 && status == EXIT_FOUND) {
        status = command_failed(self, "%s: %s", bundling.file, strerror(errno));
    }
    close(fd);
    if (status == EXIT_FOUND) {
        tell(&bundling, &bundle, bundling.file);
    } else {
        unlink(bundling.file);
    }
    bundle_remove(&bundle);
    close(bundle.stop);
    return status;
}

static const struct option longs[] = {
    {"output", required_argument, NULL, 'o'},
    {"timeout", required_argument, NULL, 't'},
    {"consoles", no_argument, NULL, 'c'},
    {"quiet", no_argument, NULL, 'q'},
    COMMON_OPTIONS,
};

const struct command cmd_bundle = {
    .name = "bundle",
    .summary = "Puts all that a report of a fault needs into one file, without secrets",
    .synopsis = "[-cqj] [-t SECONDS] [-o FILE]",
    .options =
        "  Nothing on this host is changed. What does not answer in time is left out, and told.\n\n"
        "  -o, --output FILE   where to (default: ./duet-HOST-TIME.tar.gz); it must not exist\n"
        "  -c, --consoles      the last 8 MiB of what each guest said on its console, too\n"
        "  -t, --timeout S     how long each question may take (default: 30)\n"
        "  -q, --quiet         do not tell what is being asked\n",
    .shorts = "o:t:cq" COMMON_SHORTS,
    .longs = longs,
    .run = run,
};
