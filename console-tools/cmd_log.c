/*
 * duet-console log: a guest's log, fit for a terminal, and what is added to it. The log is read as
 * a file, so the guest need not be there, and the daemon neither.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "domain.h"
#include "logview.h"
#include "name.h"

struct reading {
    const struct command *self;
    const char *dir;
    bool follow;
    long lines; /* negative: all */
    char name[CONS_LOG_NAME_MAX];
    int dir_fd, fd;
    off_t at;
    struct logview view;
};

static bool handle(int option, const char *arg, void *context)
{
    struct reading *r = context;

    switch (option) {
    case 'd':
        r->dir = arg;
        return *arg == '/';
    case 'n':
        return parse_count(arg, 0, &r->lines);
    case 'f':
        r->follow = true;
        return true;
    default:
        r->view.raw = true;
        return true;
    }
}

/* The log's name: the domain's, or that of a guest which is not there. */
static void name_log(struct reading *r, const char *text)
{
    struct domain domain = {.name = NULL};
    struct xs_handle *xs = xs_open(0);
    char file[CONS_FILE_MAX];

    if (xs != NULL && domain_find(xs, text, &domain) == 0 && domain.name[0] != '\0') {
        text = domain.name;
    }
    cons_name_to_file(text, file);
    snprintf(r->name, sizeof(r->name), "%s.log", file);
    domain_free(&domain);
    if (xs != NULL) {
        xs_close(xs);
    }
}

/* The folder is another user's: no link is followed, and only a file is read. Returns 0 or -errno.
 */
static int open_log(struct reading *r)
{
    int fd = openat(r->dir_fd, r->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;

    if (fd < 0) {
        return -errno;
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return -EINVAL;
    }
    if (r->fd >= 0) {
        close(r->fd);
    }
    r->fd = fd;
    r->at = 0;
    return 0;
}

/* Prints what is there beyond what was printed. Returns 0 or -errno. */
static int print_rest(struct reading *r)
{
    char data[65536];
    ssize_t n;

    while ((n = pread(r->fd, data, sizeof(data), r->at)) > 0) {
        logview_print(&r->view, stdout, data, (size_t)n);
        r->at += n;
    }
    if (n < 0) {
        return -errno;
    }
    return fflush(stdout) != 0 ? -errno : 0;
}

/* Another file has the name now: the old one is read to its end, then that one. */
static int mind_rotation(struct reading *r)
{
    struct stat ours, named;
    int err;

    if (fstat(r->fd, &ours) < 0) {
        return -errno;
    }
    if (ours.st_size < r->at) { /* cut short by somebody who copied it */
        r->at = 0;
    }
    if (fstatat(r->dir_fd, r->name, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
        (named.st_ino == ours.st_ino && named.st_dev == ours.st_dev)) {
        return print_rest(r);
    }
    err = print_rest(r);
    if (err == 0) {
        err = open_log(r);
    }
    return err == 0 ? print_rest(r) : err == -ENOENT ? 0 : err;
}

/* Until a signal. */
static int follow(struct reading *r, int watch)
{
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    int err = 0;

    while (err == 0) {
        ssize_t n = read(watch, events, sizeof(events));
        bool about_ours = n <= 0;

        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *event = (const struct inotify_event *)(events + at);

            about_ours = about_ours || (event->mask & IN_Q_OVERFLOW) != 0 ||
                         (event->len > 0 && strcmp(event->name, r->name) == 0);
            at += (ssize_t)(sizeof(*event) + event->len);
        }
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (about_ours) {
            err = mind_rotation(r);
        }
    }
    return err;
}

static int failed(const struct reading *r, int err)
{
    if (err == -ENOENT) {
        return command_failed(r->self,
                              "%s/%s: there is no such log; has a guest of this name ever "
                              "printed anything here?",
                              r->dir, r->name);
    }
    if (err == -ELOOP || err == -EINVAL) {
        return command_failed(r->self, "%s/%s: is no file; nothing but logs belongs there", r->dir,
                              r->name);
    }
    return command_failed(r->self, "%s/%s: %s", r->dir, r->name, strerror(-err));
}

static int print_log(struct reading *r)
{
    /* First, so that nothing is added between a look and the watch. */
    int watch = r->follow ? inotify_init1(IN_CLOEXEC) : -1, err;
    struct stat st;

    if (r->follow &&
        (watch < 0 || inotify_add_watch(watch, r->dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)) {
        return -errno;
    }
    r->dir_fd = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    err = r->dir_fd < 0 ? -errno : open_log(r);
    if (err == 0 && r->lines >= 0) {
        r->at = fstat(r->fd, &st) < 0 ? -errno : logview_last(r->fd, st.st_size, r->lines);
        err = r->at < 0 ? (int)r->at : 0;
    }
    if (err == 0) {
        err = print_rest(r);
    }
    if (err == 0 && r->follow) {
        err = follow(r, watch);
    }
    if (err == 0 && r->view.len > 0) {
        logview_flush(&r->view, stdout);
        putchar('\n');
    }
    return err;
}

static int run(const struct command *self, int argc, char **argv)
{
    static struct reading r;
    int status, err;

    r = (struct reading){.self = self, .dir = CONS_LOG_DIR, .lines = -1, .dir_fd = -1, .fd = -1};
    status = command_options(self, argc, argv, NULL, handle, &r);
    if (status >= 0) {
        return status;
    }
    if (r.view.raw && isatty(STDOUT_FILENO) != 0) {
        return command_usage(self, "--raw does not write to a terminal: a guest chose the bytes");
    }
    name_log(&r, argv[optind]);
    err = print_log(&r);
    if (r.fd >= 0) {
        close(r.fd);
    }
    if (r.dir_fd >= 0) {
        close(r.dir_fd);
    }
    return err == 0 ? EXIT_FOUND : failed(&r, err);
}

static const struct option longs[] = {
    {"follow", no_argument, NULL, 'f'},
    {"lines", required_argument, NULL, 'n'},
    {"raw", no_argument, NULL, 'r'},
    {"log-dir", required_argument, NULL, 'd'},
    HELP_OPTION,
};

const struct command cmd_log = {
    .name = "log",
    .summary = "Prints what the guest DOMAIN has printed, made fit for a terminal",
    .synopsis = "[-fr] [-n LINES] [-d DIR] DOMAIN",
    .options = "  -f, --follow        and what is added, until it is interrupted\n"
               "  -n, --lines LINES   only the last lines\n"
               "  -r, --raw           bytes as they are; not to a terminal\n"
               "  -d, --log-dir DIR   of duet-consoled (default " CONS_LOG_DIR ")\n",
    .shorts = "fn:rd:h",
    .longs = longs,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
